"""Several processes that train one network: each has its share of every batch.

Gradients are added up over the processes before they are used, so all of them take the
same steps, and, up to rounding, those that one process would take.

    torchrun --nproc-per-node 2 -m training.train --output RUN ...
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class Share:
    """Every `count`-th picture of a batch of so many `pictures`, from `first` on."""

    first: int
    count: int
    pictures: int

    def of(self, batch: Tensor) -> Tensor:
        """The share's part of [pictures, ...], along the first axis."""
        return batch[self.first :: self.count]


class ProcessesError(Exception):
    """There are more processes than a batch has pictures. One line."""


def join(smallest_batch: int) -> None:
    """Meet the other processes that torchrun has started, if it has.

    Raises:
        ProcessesError: One of them would have nothing to do.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count > smallest_batch:
        raise ProcessesError(f"{count} processes cannot share {smallest_batch} pictures")
    if count > 1:
        distributed.init_process_group("gloo")


def is_first() -> bool:
    """Whether this process reports and saves."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def share_of(pictures: int) -> Share:
    """This process's share of a batch."""
    if not distributed.is_initialized():
        return Share(0, 1, pictures)
    return Share(distributed.get_rank(), distributed.get_world_size(), pictures)


def add_up(values: Tensor) -> Tensor:
    """The sum over all processes of a tensor that has the same shape in each."""
    if distributed.is_initialized():
        total = values.detach().cpu()
        distributed.all_reduce(total)
        return total.to(values.device)
    return values


def any_process(condition: bool) -> bool:
    """Whether the condition holds in one of the processes, the same answer in all."""
    return bool(add_up(torch.tensor(float(condition))))


def add_up_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace gradients by their sums over all processes; where one has none, it counts as 0."""
    if not distributed.is_initialized():
        return
    gradients = []
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        gradients.append(parameter.grad)
    # One message is much faster than hundreds.
    total = add_up(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, part in zip(gradients, total.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))
