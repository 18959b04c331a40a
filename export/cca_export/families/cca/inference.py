"""Infer a CCA network's architecture from the names and shapes of its parameters.

Every number is asked of several tensors that must agree on it and the majority
answers, so that one misshaped tensor is blamed for what it is when the whole
state dict is compared afterwards, instead of being believed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from cca_export.families.cca.architecture import (
    STAGES,
    Architecture,
    GroupShape,
    NafStackShape,
    TransformShape,
)

Shapes = Mapping[str, tuple[int, ...]]
"""Parameter name to shape."""

_NAF_PARTS = r"(?:beta|gamma|dwconv|sca|FFN|norm1|norm2)\b"
_BOTTLENECK_PARTS = r"(?:conv2|conv3)\b"


class UnknownArchitectureError(ValueError):
    """The tensors that would tell a size are missing; `names` has one for each such size."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


class _Witnesses:
    """Asks tensors for sizes and keeps a list of the questions nobody could answer."""

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes
        self.unanswered: list[str] = []

    def size(self, *places: tuple[str, int]) -> int:
        """The commonest size among `places` (name, axis); the first breaks ties."""
        answers = Counter(
            self._shapes[name][axis]
            for name, axis in places
            if axis < len(self._shapes.get(name, ()))
        )
        if not answers:
            self.unanswered.append(places[0][0])
            return 1
        return answers.most_common(1)[0][0]

    def count(self, prefix: str, parts: str = "") -> int:
        """How many different numbers follow `prefix` in the names, before the pattern `parts`."""
        pattern = re.compile(rf"{re.escape(prefix)}\.(\d{{1,6}})(?:\.|$){parts}")
        matches = (pattern.match(name) for name in self._shapes)
        return len({match[1] for match in matches if match})

    def transform(self, prefix: str, strided: str, axis: int) -> TransformShape:
        """A transform whose strided layers keep their output channels in `axis` of the weight."""
        layers = f"{prefix}.{strided}"
        stages = [f"{prefix}.blocks.{i}" for i in range(STAGES)]
        return TransformShape(
            widths=tuple(
                self.size(
                    (f"{layers}.{i}.bias", 0),
                    (f"{layers}.{i}.weight", axis),
                    (f"{layers}.{i + 1}.weight", 1 - axis),
                )
                for i in range(STAGES)
            ),
            naf_blocks=tuple(self.count(stage, _NAF_PARTS) for stage in stages),
            bottleneck_blocks=tuple(self.count(stage, _BOTTLENECK_PARTS) for stage in stages),
        )

    def naf_stack(self, prefix: str) -> NafStackShape:
        width = self.size(
            (f"{prefix}.in_conv.bias", 0),
            (f"{prefix}.in_conv.weight", 0),
            (f"{prefix}.out_conv.weight", 1),
        )
        return NafStackShape(width, self.count(f"{prefix}.blocks"))

    def hidden(self, prefix: str, axis: int = 0) -> tuple[int, int]:
        """Hidden widths of three convolutions numbered 0, 2 and 4."""
        return (
            self.size(
                (f"{prefix}.0.bias", 0),
                (f"{prefix}.0.weight", axis),
                (f"{prefix}.2.weight", 1 - axis),
            ),
            self.size(
                (f"{prefix}.2.bias", 0),
                (f"{prefix}.2.weight", axis),
                (f"{prefix}.4.weight", 1 - axis),
            ),
        )

    def group(self, i: int) -> GroupShape:
        heads = [f"{kind}_transforms.{i}" for kind in ("mean_cc", "scale_cc", "lrp")]
        return GroupShape(
            channels=self.size(
                *((f"{head}.4.bias", 0) for head in heads),
                *((f"{head}.4.weight", 0) for head in heads),
            ),
            mean_naf=self.naf_stack(f"mean_NAF_transforms.{i}"),
            scale_naf=self.naf_stack(f"scale_NAF_transforms.{i}"),
            mean_head=self.hidden(heads[0]),
            scale_head=self.hidden(heads[1]),
            lrp_head=self.hidden(heads[2]),
        )

    def factorised_filters(self) -> tuple[int, ...]:
        prior = "z_entropy_bottleneck"
        layers = max(self.count(f"{prior}.{part}") for part in ("matrices", "biases"))
        return tuple(
            self.size(
                (f"{prior}.biases.{i}", 1),
                (f"{prior}.matrices.{i}", 1),
                (f"{prior}.factors.{i}", 1),
            )
            for i in range(layers - 1)
        )


def infer_architecture(shapes: Shapes) -> Architecture:
    """Infer the architecture that `shapes` belong to.

    The answer is the best guess; whether every tensor fits it is for the caller
    to compare.

    Raises:
        UnknownArchitectureError: Tensors that tell a size are missing.
        ValueError: A size is out of the supported range, or the sizes contradict each other.
    """
    ask = _Witnesses(shapes)
    latent_channels = ask.size(
        ("g_a.down.3.bias", 0),
        ("g_s.up.0.weight", 0),
        ("h_a.0.weight", 1),
        ("h_mean_s.4.bias", 0),
        ("h_scale_s.4.bias", 0),
    )
    hyper_channels = ask.size(
        ("z_entropy_bottleneck.quantiles", 0),
        ("h_a.4.bias", 0),
        ("h_mean_s.0.weight", 0),
        ("h_scale_s.0.weight", 0),
    )
    analysis = ask.transform("g_a", "down", axis=0)
    synthesis = ask.transform("g_s", "up", axis=1)
    hyper_analysis = ask.hidden("h_a")
    hyper_means = ask.hidden("h_mean_s", axis=1)
    hyper_scales = ask.hidden("h_scale_s", axis=1)
    factorised_filters = ask.factorised_filters()
    groups = tuple(ask.group(i) for i in range(ask.count("mean_cc_transforms")))
    if ask.unanswered:
        raise UnknownArchitectureError(ask.unanswered)
    return Architecture(
        latent_channels=latent_channels,
        hyper_channels=hyper_channels,
        analysis=analysis,
        synthesis=synthesis,
        hyper_analysis=hyper_analysis,
        hyper_means=hyper_means,
        hyper_scales=hyper_scales,
        factorised_filters=factorised_filters,
        groups=groups,
    )
