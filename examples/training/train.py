"""Train a small CCA model, or go on training one.

    python -m training.train --output RUN [--init CHECKPOINT]

The same command resumes a run that was stopped, exactly where RUN/state.pt was
saved. RUN/model.pth is the network so far, averaged over the last thousand steps;
RUN/curve.csv has the losses.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from types import FrameType

import torch
from cca_export.checkpoint import CheckpointError, load_network
from cca_export.network import CcaNetwork
from torch.utils.data import DataLoader, Subset

from training.data import Batches, MissingPictureError, training_crops
from training.schedule import Schedule
from training.small import SMALL, graft, untrained
from training.trainer import Losses, Settings, StateError, Trainer

_REPORT_STEPS = 100
_SAVE_SECONDS = 150


def main() -> None:
    options = _arguments()
    torch.set_num_threads(options.threads)
    settings = Settings(
        options.steps, options.trade_off, options.learning_rate, options.seed, options.cca
    )
    try:
        network = _first_weights(options.init, options.seed)
        trainer = Trainer(network, settings, options.device)
        if (options.output / "state.pt").exists():
            trainer.resume(options.output)
            print(f"resumed at step {trainer.step}", flush=True)
        shapes = Schedule(settings.steps, settings.learning_rate).batch_shapes()
        batches = Batches(training_crops(), settings.seed, shapes)
    except (CheckpointError, MissingPictureError, StateError) as error:
        sys.exit(str(error))
    run(trainer, batches, options.output, options.workers)


def _first_weights(start: Path | None, seed: int) -> CcaNetwork:
    """A checkpoint's network, or the small one with the transforms of another architecture's."""
    if start is None:
        return untrained(SMALL, seed)
    found = load_network(start)
    if found.architecture == SMALL:
        return found
    network = untrained(SMALL, seed)
    graft(network, found)
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
            if stop.asked:
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
    rate = sum(losses.rate for losses in recent) / len(recent)
    error = sum(losses.error for losses in recent) / len(recent)
    trainer.curve.append((trainer.step, rate, error))
    loss = rate + trainer.settings.trade_off * error
    speed = len(recent) / seconds
    print(
        f"step {trainer.step:>6}  loss {loss:.4f}  rate {rate:.4f} bpp  error {error:6.2f}  "
        f"{speed:.2f} steps/s",
        flush=True,
    )


def _save(trainer: Trainer, output: Path) -> None:
    trainer.save(output)
    lines = ["step,bits_per_pixel,mean_squared_error"]
    lines += [f"{step},{rate:.5f},{error:.4f}" for step, rate, error in trainer.curve]
    (output / "curve.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, metavar="RUN", help="folder")
    parser.add_argument("--init", type=Path, metavar="CHECKPOINT", help="to start from")
    parser.add_argument("--steps", type=int, default=13_000, help="(default: 13000)")
    parser.add_argument(
        "--lambda", dest="trade_off", type=float, default=0.013, help="(default: 0.013)"
    )
    parser.add_argument("--learning-rate", type=float, default=8e-4, help="peak (default: 8e-4)")
    parser.add_argument("--seed", type=int, default=1, help="of pictures and noise (default: 1)")
    parser.add_argument("--cca", type=float, default=0.0, help="weight of its loss (default: 0)")
    parser.add_argument("--device", default="cpu", help="PyTorch's name (default: cpu)")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch (default: 2)")
    parser.add_argument("--workers", type=int, default=0, help="that prepare pictures (default: 0)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
