"""Train a small CCA model, or go on training one.

    python -m training.train --output RUN [--init CHECKPOINT] [--pictures DIR=WEIGHT ...]

The same command resumes a run that was stopped, exactly where RUN/state.pt was
saved. RUN/model.pth is the network so far, averaged over the last thousand steps;
RUN/curve.csv has the losses.
"""

from __future__ import annotations

import argparse
import csv
import signal
import sys
import time
from pathlib import Path
from types import FrameType

import torch
from cca_export.checkpoint import CheckpointError, load_network
from cca_export.families.cca.network import CcaNetwork
from torch.utils.data import DataLoader, Subset

from training.architectures import ArchitectureError, named_architecture
from training.data import Batches, training_crops
from training.grafting import GraftError, graft
from training.losses import Losses, mean
from training.options import parse_options
from training.pictures import Folder, PictureError
from training.processes import ProcessesError, any_process, is_first, join
from training.schedule import Schedule
from training.start import untrained
from training.trainer import Settings, StateError, Trainer

_REPORT_STEPS = 100
_SAVE_SECONDS = 150


def main() -> None:
    options = parse_options(__doc__.split("\n", maxsplit=1)[0])
    torch.set_num_threads(options.threads)
    shapes = Schedule(options.steps, options.learning_rate).batch_shapes()
    try:
        join(min((shape.count for shape in shapes), default=1))
        folders = [Folder.parse(text) for text in options.pictures]
        crops = training_crops(folders, options.output / "pictures")
        settings = Settings(
            options.steps,
            options.trade_off,
            options.learning_rate,
            options.seed,
            options.cca,
            tuple(options.step_range),
            crops.digest,
        )
        trainer = Trainer(_first_weights(options), settings, options.device)
        if (options.output / "state.pt").exists():
            trainer.resume(options.output)
            print(f"resumed at step {trainer.step}", flush=True)
        batches = Batches(crops, settings.seed, shapes)
    except (
        ArchitectureError,
        CheckpointError,
        GraftError,
        PictureError,
        ProcessesError,
        StateError,
    ) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    try:
        run(trainer, batches, options.output, options.workers)
    except OSError as error:
        sys.exit(f"{options.output} cannot be written ({error.strerror}): nothing saved is lost")


def _first_weights(options: argparse.Namespace) -> CcaNetwork:
    """A checkpoint's network, or a fresh one, which may begin as another checkpoint does."""
    if options.init is not None:
        return load_network(options.init)
    network = untrained(named_architecture(options.architecture or "small"), options.seed)
    if options.graft is not None:
        graft(network, load_network(options.graft))
    return network


def run(trainer: Trainer, batches: Batches, output: Path, workers: int = 0) -> None:
    """Train until the schedule ends or the process is asked to stop, saving now and then."""
    output.mkdir(parents=True, exist_ok=True)
    remaining = Subset(batches, range(trainer.step, len(batches)))
    loader = DataLoader(remaining, batch_size=None, num_workers=workers)
    recent: list[Losses] = []
    saved = reported = time.monotonic()
    with _StopRequest() as stop:
        for images in loader:
            recent.append(trainer.train_step(images))
            if trainer.step % _REPORT_STEPS == 0:
                _report(trainer, recent, time.monotonic() - reported)
                recent, reported = [], time.monotonic()
            if any_process(stop.asked):
                break
            if time.monotonic() - saved > _SAVE_SECONDS:
                _save(trainer, output)
                saved = time.monotonic()
        _save(trainer, output)


class _StopRequest:
    """Inside it, SIGTERM and SIGINT only set `asked`, so that no step or file is left half done."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> _StopRequest:
        self._previous = {n: signal.signal(n, self._ask) for n in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.asked = True


def _report(trainer: Trainer, recent: list[Losses], seconds: float) -> None:
    judged = mean(recent)
    trainer.curve.append({"step": trainer.step, **judged.columns()})
    if not is_first():
        return
    lists = (("groups", judged.group), ("saved", judged.saved))
    print(
        f"step {trainer.step:>6}  loss {judged.loss:.4f}  rate {judged.bits_per_pixel:.4f} bpp  "
        f"error {judged.mean_squared_error:6.2f}  {len(recent) / seconds:.2f} steps/s"
        + "".join(f"  {name}" + "".join(f" {v:.4f}" for v in bits) for name, bits in lists if bits),
        flush=True,
    )


def _save(trainer: Trainer, output: Path) -> None:
    if not is_first():
        return
    trainer.save(output)
    temporary = output / "curve.tmp"
    with temporary.open("w", encoding="utf-8", newline="") as out:
        table = csv.DictWriter(out, trainer.curve[-1] if trainer.curve else ["step"])
        table.writeheader()
        table.writerows(trainer.curve)
    temporary.replace(output / "curve.csv")


if __name__ == "__main__":
    main()
