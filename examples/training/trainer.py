"""One training run: its state, its steps, and how it is kept on disk.

A step depends on the settings, the state and its own number only: pictures, noise
and learning rate are functions of the number. A run that is interrupted and
resumed on the same kind of machine therefore ends with the very same weights.
"""

from __future__ import annotations

import copy
import os
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from cca_export.families.cca.network import CcaNetwork
from torch import Tensor, nn

from training.cca_loss import AdjustedContext, saved_bits
from training.forward import training_pass
from training.losses import Losses
from training.muon import Muon, is_convolution
from training.processes import add_up, add_up_gradients, share_of
from training.rates import quantile_loss
from training.schedule import Schedule

TRANSFORMS = ("g_a", "g_s", "h_a", "h_mean_s", "h_scale_s")
_AVERAGING = 0.999
_QUANTILES_RATE = 1e-3
_CLIP_TRANSFORMS = 5.0
_CLIP_PRIOR = 1.0
_NOISE = 1 << 32
"""Separates the seeds of noise of different runs."""


class StateError(Exception):
    """A saved run cannot be resumed with these settings. One line."""


@dataclass(frozen=True)
class Settings:
    """What decides a run's result, apart from its first weights.

    Attributes:
        steps: Length of the schedule.
        trade_off: Weight of the distortion, lambda: with quantisation step D, loss =
            D * (bits per pixel + lambda / D^2 * 255^2 * mean squared error).
        learning_rate: Highest learning rate, of Muon and Adam alike.
        seed: Seed of pictures, quantisation steps and noise.
        cca: Weight of the CCA loss, alpha; 0 leaves it out.
        step_range: Smallest and largest quantisation step; each picture of a batch
            has its own.
        pictures: Digest of the pictures to train on.
    """

    steps: int
    trade_off: float
    learning_rate: float
    seed: int
    cca: float = 0.0
    step_range: tuple[float, float] = (1.0, 1.0)
    pictures: str = ""


class Trainer:
    """A network in training, its average and its optimisers."""

    def __init__(self, network: CcaNetwork, settings: Settings, device: str = "cpu") -> None:
        self.settings = settings
        self.step = 0
        self.curve: list[dict[str, float]] = []
        self._device = torch.device(device)
        self.network = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network.train().requires_grad_(True)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self._schedule = Schedule(settings.steps, settings.learning_rate)
        quantiles = self.network.z_entropy_bottleneck.quantiles
        named = dict(self.network.named_parameters())
        weights = {name: p for name, p in named.items() if p is not quantiles}
        self._transforms = [p for n, p in weights.items() if n.split(".")[0] in TRANSFORMS]
        self._prior = [p for n, p in weights.items() if n.split(".")[0] not in TRANSFORMS]
        matrices = [p for p in weights.values() if is_convolution(p)]
        others = [p for p in weights.values() if not is_convolution(p)]
        self._muon = Muon(matrices, settings.learning_rate)
        self._adam = torch.optim.Adam(others, settings.learning_rate, fused=True)
        self._quantile_optimiser = torch.optim.Adam([quantiles], _QUANTILES_RATE)
        self._adjusted: AdjustedContext | None = None
        if settings.cca:
            self._adjusted = _adjusted_context(network, settings.seed).to(self._device)
            self._adjusted_optimiser = torch.optim.Adam(self._adjusted.parameters(), fused=True)

    def train_step(self, images: Tensor) -> Losses:
        """Take one step.

        Args:
            images: float32 [N, 3, H, W], the batch of this step's number. With several
                processes each takes its share of it.
        """
        settings = self.settings
        share = share_of(len(images))
        noise = torch.Generator().manual_seed(settings.seed * _NOISE + self.step)
        steps = share.of(quantisation_steps(settings.step_range, len(images), noise))
        steps = steps.to(self._device)
        images = share.of(images).to(self._device, memory_format=torch.channels_last)
        done = training_pass(self.network, images, noise, steps, share)
        pixels = share.pictures * images[0, 0].numel()
        rates = done.bits / pixels
        errors = 255**2 * (done.image - images).square().mean((1, 2, 3)) / share.pictures
        groups = torch.stack(done.group_bits) / pixels
        losses = steps * rates + settings.trade_off / steps * errors
        total, saved = losses.sum(), torch.empty(0, len(images))
        if self._adjusted is not None:
            saved = saved_bits(done, self._adjusted) / pixels
            total = total - settings.cca * (steps * saved).sum()
            self._adjusted_optimiser.zero_grad()
        self.network.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        self._update()
        self.step += 1
        rows = (losses[None], rates[None], errors[None], groups, saved)
        sums = add_up(torch.cat([row.detach().sum(1).cpu() for row in rows])).tolist()
        group_count = len(groups)
        return Losses(*sums[:3], tuple(sums[3 : 3 + group_count]), tuple(sums[3 + group_count :]))

    def _update(self) -> None:
        for optimiser in self._scheduled_optimisers():
            for group in optimiser.param_groups:
                group["lr"] = self._schedule.learning_rate(self.step)
        auxiliary = [] if self._adjusted is None else list(self._adjusted.parameters())
        add_up_gradients([*self._transforms, *self._prior, *auxiliary])
        # Apart, because the prior's gradients are the smaller ones and a burst in the
        # transforms would stop it.
        norms = (
            nn.utils.clip_grad_norm_(self._transforms, _CLIP_TRANSFORMS),
            nn.utils.clip_grad_norm_(self._prior, _CLIP_PRIOR),
        )
        if not all(norm.isfinite() for norm in norms):
            return
        self._muon.step()
        self._adam.step()
        self._update_quantiles()
        if self._adjusted is not None:
            for parameter in self._adjusted.parameters():
                if parameter.grad is not None:
                    parameter.grad.neg_()
            nn.utils.clip_grad_norm_(self._adjusted.parameters(), _CLIP_PRIOR)
            self._adjusted_optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.average.parameters()),
                list(self.network.parameters()),
                1 - min(_AVERAGING, (self.step + 1) / (self.step + 10)),
            )

    def _scheduled_optimisers(self) -> list[torch.optim.Optimizer]:
        adjusted = [self._adjusted_optimiser] if self._adjusted is not None else []
        return [self._muon, self._adam, *adjusted]

    def _update_quantiles(self) -> None:
        self._quantile_optimiser.zero_grad()
        quantiles = self.network.z_entropy_bottleneck.quantiles
        (quantiles.grad,) = torch.autograd.grad(
            quantile_loss(self.network.z_entropy_bottleneck), [quantiles]
        )
        self._quantile_optimiser.step()

    def save(self, folder: Path) -> None:
        """Write `state.pt`, all that resuming needs, and `model.pth`, the average in float16.

        `model.pth` says the smallest quantisation step as well, or 1 if all were larger.
        """
        state = {
            "settings": asdict(self.settings),
            "architecture": self.network.architecture.to_manifest(),
            "step": self.step,
            "curve": self.curve,
            **{name: part.state_dict() for name, part in self._parts().items()},
        }
        _write(state, folder / "state.pt")
        # Half precision is plenty for weights, and halves what a bundle takes.
        halves = {name: tensor.half() for name, tensor in self.average.state_dict().items()}
        finest = min(1.0, self.settings.step_range[0])
        _write({"state_dict": halves, "finest_step": finest}, folder / "model.pth")

    def resume(self, folder: Path) -> None:
        """Continue from `state.pt`, which may be of a longer or shorter run in its flat part.

        Raises:
            StateError: The state cannot be read, or was saved with other settings.
        """
        state = _read(folder / "state.pt", self._device)
        settings, saved = asdict(self.settings), state["settings"]
        changed = [name for name in settings if settings[name] != saved.get(name)]
        lengths = (settings["steps"], saved["steps"])
        if state["step"] <= min(Schedule(n, settings["learning_rate"]).flat_steps for n in lengths):
            changed = [name for name in changed if name != "steps"]
        if changed:
            raise StateError(
                f"{folder} holds a run with another {', '.join(changed)} "
                f"({', '.join(str(saved.get(name)) for name in changed)}): "
                "give the same settings or another folder"
            )
        if state["architecture"] != self.network.architecture.to_manifest():
            raise StateError(f"{folder} holds a run of another architecture: give another folder")
        self.step, self.curve = state["step"], state["curve"]
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        """Everything that has a state, by its name in `state.pt`."""
        parts: dict[str, nn.Module | torch.optim.Optimizer] = {
            "network": self.network,
            "average": self.average,
            "muon": self._muon,
            "adam": self._adam,
            "quantile_optimiser": self._quantile_optimiser,
        }
        if self._adjusted is not None:
            parts |= {"adjusted": self._adjusted, "adjusted_optimiser": self._adjusted_optimiser}
        return parts


def quantisation_steps(
    limits: tuple[float, float], count: int, generator: torch.Generator
) -> Tensor:
    """Random steps, float32 [count], evenly spread over the logarithms between the limits.

    Every `count`-th part of the range has one, so that batches are alike.
    """
    low, high = limits
    if low == high:
        return torch.full((count,), low)
    places = torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)
    return low * (high / low) ** (places / count)


def _adjusted_context(network: CcaNetwork, seed: int) -> AdjustedContext:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AdjustedContext(network.architecture)


def _read(file: Path, device: torch.device) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise StateError(f"{file} cannot be read or is damaged: move it away") from error
    if not isinstance(state, dict) or "architecture" not in state:
        raise StateError(f"{file} is not a run's state, or an older release's: move it away")
    return state


def _write(content: dict[str, Any], file: Path) -> None:
    """Replace `file` only when the new content is complete on the disk."""
    temporary = file.with_suffix(".tmp")
    with temporary.open("wb") as out:
        torch.save(content, out)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(file)
