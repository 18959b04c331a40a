"""Muon: momentum whose matrices are made orthogonal before each step.

Jordan et al., *Muon: An optimizer for hidden layers in neural networks* (2024).
A gradient's few large directions otherwise drown its many small ones, and the
small ones are where a codec's high frequencies are learned. Per step this model
learns markedly faster than with Adam, at a few per cent more time.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

_MOMENTUM = 0.95
_ITERATIONS = 5
_QUINTIC = (3.4445, -4.7750, 2.0315)
# Makes a step's root mean square that of Adam at the same learning rate (Liu et al. 2025,
# "Muon is scalable for LLM training", section 2.2), so that both share one schedule.
_ADAM_STEP = 0.2


class Muon(torch.optim.Optimizer):
    """For weights of convolutions, each taken as a matrix with one row a first index."""

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float) -> None:
        super().__init__(parameters, {"lr": learning_rate})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group["lr"])

    def _move(self, parameter: Tensor, gradient: Tensor, learning_rate: float) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
        momentum = state["momentum"].mul_(_MOMENTUM).add_(gradient)
        ahead = gradient.add(momentum, alpha=_MOMENTUM).flatten(1)
        scale = _ADAM_STEP * max(ahead.shape) ** 0.5
        direction = orthogonalised(ahead).reshape(parameter.shape)
        parameter.sub_(direction, alpha=learning_rate * scale)


def orthogonalised(matrix: Tensor) -> Tensor:
    """A matrix with the same singular vectors and singular values near 1.

    Five steps of a Newton-Schulz iteration that trades exactness (values end between
    0.7 and 1.2) for speed. Each multiplies the matrix X from the left by a polynomial of
    X X^T; the polynomials are multiplied first, so that the long side is met only twice.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    wide: Tensor = matrix.T if tall else matrix
    wide = wide / (wide.norm() + 1e-7)
    gram = wide @ wide.T
    identity = torch.eye(len(gram), device=gram.device)
    product = identity
    a, b, c = _QUINTIC
    for _ in range(_ITERATIONS):
        factor = a * identity + b * gram + c * gram @ gram
        product = factor @ product
        gram = factor @ gram @ factor
    wide = product @ wide
    return wide.T if tall else wide


def is_convolution(parameter: Tensor) -> bool:
    """Whether a parameter mixes channels; depthwise weights are no matrix in this sense."""
    return parameter.ndim == 4 and parameter.shape[0] > 1 and parameter.shape[1] > 1
