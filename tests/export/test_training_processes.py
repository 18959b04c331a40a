"""Two processes that share batches train the network that one process trains."""

from __future__ import annotations

import multiprocessing
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from tiny_networks import tiny_architecture
from torch import distributed
from training.data import Batches, BatchShape, Crops
from training.start import untrained
from training.train import run
from training.trainer import Settings, Trainer

# The learning rate is high because it has hardly begun to rise in so few steps.
SETTINGS = Settings(4, 0.013, 0.3, seed=3, cca=1.0, step_range=(0.4, 3.2))
PROCESSES = 2


def batches() -> Batches:
    """Of three pictures, which two processes cannot share evenly."""
    pixels = np.random.default_rng(0).integers(256, size=(90, 80, 3), dtype=np.uint8)
    return Batches(Crops([pixels], [1]), seed=3, shapes=[BatchShape(3, 64)] * SETTINGS.steps)


def train(output: Path) -> Trainer:
    torch.set_num_threads(1)
    trainer = Trainer(untrained(tiny_architecture((2, 3)), seed=1), SETTINGS)
    run(trainer, batches(), output)
    return trainer


def train_share(rank: int, output: Path) -> None:
    meeting = f"file://{output.parent / 'meeting'}"
    waiting = timedelta(seconds=120)
    distributed.init_process_group("gloo", meeting, waiting, PROCESSES, rank)
    try:
        weights = train(output / f"run-{rank}").network.state_dict()
    finally:
        distributed.destroy_process_group()
    torch.save(dict(weights), output / f"{rank}.pt")


def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    output = tmp_path / "two"
    output.mkdir()
    second = multiprocessing.get_context("spawn").Process(target=train_share, args=(1, output))
    second.start()
    threads = torch.get_num_threads()
    expected = train(tmp_path / "one").network.state_dict()
    train_share(0, output)
    torch.set_num_threads(threads)
    second.join(120)
    assert second.exitcode == 0
    found = [torch.load(output / f"{rank}.pt") for rank in range(PROCESSES)]
    first = untrained(tiny_architecture((2, 3)), seed=1).state_dict()
    assert all(torch.equal(found[0][name], found[1][name]) for name in first)
    moved, apart = (
        sum((a[name] - b[name]).square().sum().item() for name in first) ** 0.5
        for a, b in ((expected, first), (found[0], expected))
    )
    assert apart < 0.02 * moved
    saved = [
        {file.name for file in (output / f"run-{rank}").iterdir()} for rank in range(PROCESSES)
    ]
    assert saved == [{"state.pt", "model.pth", "curve.csv"}, set()]  # one process saves
