"""Two processes that share batches train the network that one process trains."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import torch
from tiny_networks import tiny_architecture
from torch import distributed
from training.data import Batches, BatchShape, Crops
from training.start import untrained
from training.train import run
from training.trainer import Settings, Trainer

SETTINGS = Settings(4, 0.013, 1e-3, seed=3, cca=1.0, step_range=(0.4, 3.2))
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
    distributed.init_process_group("gloo", meeting, rank=rank, world_size=PROCESSES)
    output.mkdir(exist_ok=True)
    weights = dict(train(output / f"only-{rank}" if rank else output).network.state_dict())
    torch.save(weights, output / f"{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    expected = train(tmp_path / "one").network.state_dict()
    torch.set_num_threads(threads)
    output = tmp_path / "two"
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=train_share, args=(r, output)) for r in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    found = [torch.load(output / f"{rank}.pt") for rank in range(PROCESSES)]
    for name, weight in expected.items():
        assert torch.equal(found[0][name], found[1][name])
        torch.testing.assert_close(found[0][name], weight, atol=2e-5, rtol=1e-3)
    assert {file.name for file in output.iterdir()} >= {"state.pt", "model.pth"}
    assert not list((output / "only-1").iterdir())  # one process saves
