"""Training: resuming changes nothing, nothing held out is trained on, code lengths are right."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from cca_export.checkpoint import load_network
from cca_export.families.cca.network import CcaNetwork
from cca_export.tables import gaussian_tables, scale_table
from locations import CHECKPOINTS, GOLDEN
from PIL import Image
from tiny_networks import tiny_architecture
from training import evaluate, train
from training.cca_loss import AdjustedContext
from training.code_length import FloatCodec
from training.curves import RIVALS, Curve, Point, rate_difference
from training.data import HELD_OUT, TRAINING, Batches, BatchShape, Crops
from training.forward import training_pass
from training.muon import orthogonalised
from training.quantisation import at_step
from training.rates import gaussian_bits
from training.schedule import Schedule
from training.start import untrained
from training.train import run
from training.trainer import Settings, StateError, Trainer, quantisation_steps

SETTINGS = Settings(steps=6, trade_off=0.013, learning_rate=1e-3, seed=3)
WITH_CCA = dataclasses.replace(SETTINGS, cca=1.0)
ANY_STEP = dataclasses.replace(SETTINGS, step_range=(0.4, 3.2))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they save on networks this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def batches() -> Batches:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(256, size=(90, 80, 3), dtype=np.uint8) for _ in range(2)]
    return Batches(Crops(pictures, [1, 2]), seed=3, shapes=[BatchShape(2, 64)] * SETTINGS.steps)


def tiny_trainer(settings: Settings = SETTINGS) -> Trainer:
    return Trainer(untrained(tiny_architecture((2, 3)), seed=1), settings)


def weights(network: CcaNetwork) -> dict[str, bytes]:
    return {name: t.numpy().tobytes() for name, t in network.state_dict().items()}


@pytest.mark.parametrize("settings", [SETTINGS, WITH_CCA, ANY_STEP])
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    batches: Batches, tmp_path: Path, settings: Settings
) -> None:
    whole = tiny_trainer(settings)
    run(whole, batches, tmp_path / "whole")

    interrupted = tiny_trainer(settings)
    for step in range(3):
        interrupted.train_step(batches[step])
    interrupted.save(tmp_path)
    resumed = tiny_trainer(settings)
    resumed.resume(tmp_path)
    run(resumed, batches, tmp_path)

    assert resumed.step == SETTINGS.steps
    assert weights(resumed.network) == weights(whole.network)
    assert weights(resumed.average) == weights(whole.average)
    assert weights(whole.network) != weights(tiny_trainer().network)
    model = load_network(tmp_path / "model.pth")
    assert weights(model) == weights(whole.average.half().float())
    assert model.finest_step == min(1, settings.step_range[0])


def test_a_run_may_be_given_another_length_while_its_learning_rate_is_flat(tmp_path: Path) -> None:
    """Up to there both lengths take the very same steps."""
    short, long = (dataclasses.replace(SETTINGS, steps=steps) for steps in (10, 40))
    images = torch.zeros(1, 3, 64, 64)
    trainer = tiny_trainer(long)
    for _ in range(6):
        trainer.train_step(images)
    trainer.save(tmp_path)
    shortened = tiny_trainer(short)
    shortened.resume(tmp_path)
    assert weights(shortened.network) == weights(trainer.network)
    trainer.train_step(images)
    trainer.save(tmp_path)
    with pytest.raises(StateError, match=r"another steps \(40\)"):
        tiny_trainer(short).resume(tmp_path)


def test_a_run_is_not_resumed_with_other_settings(tmp_path: Path) -> None:
    tiny_trainer().save(tmp_path)
    other = dataclasses.replace(SETTINGS, trade_off=0.02)
    with pytest.raises(StateError, match=r"another trade_off \(0.013\)"):
        tiny_trainer(other).resume(tmp_path)
    wider = Trainer(untrained(tiny_architecture((2, 4)), seed=1), SETTINGS)
    with pytest.raises(StateError, match="another architecture"):
        wider.resume(tmp_path)


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    trainer = tiny_trainer()
    trainer.save(tmp_path)
    file = tmp_path / "state.pt"
    content = file.read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"\x80\x02N."):
        file.write_bytes(damaged)
        with pytest.raises(StateError, match=r"state\.pt .*: move it away") as error:
            trainer.resume(tmp_path)
        assert "\n" not in str(error.value)


def test_a_step_lowers_the_loss_of_its_batch(batches: Batches) -> None:
    trainer = tiny_trainer()
    losses = [trainer.train_step(batches[0]) for _ in range(6)]
    assert losses[-1].loss < losses[0].loss


def test_the_loss_weighs_rate_and_error_by_the_step(batches: Batches) -> None:
    settings = dataclasses.replace(SETTINGS, step_range=(2.0, 2.0))
    found = tiny_trainer(settings).train_step(batches[0])
    expected = 2 * (found.bits_per_pixel + 0.013 / 2**2 * found.mean_squared_error)
    assert found.loss == pytest.approx(expected)


def test_steps_of_a_batch_are_spread_over_the_logarithms() -> None:
    generator = torch.Generator().manual_seed(1)
    steps = torch.stack([quantisation_steps((0.5, 8.0), 4, generator) for _ in range(200)])
    ordered, order = torch.log2(steps).sort(1)
    for quarter, exponent in enumerate((-1, 0, 1, 2)):
        assert exponent <= ordered[:, quarter].min() < exponent + 0.1
        assert exponent + 0.9 < ordered[:, quarter].max() <= exponent + 1
        assert 20 < (order[:, 0] == quarter).sum() < 80  # no place in the batch has one of its own


def test_the_curve_tells_bits_of_groups_and_what_contexts_save(
    batches: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "_REPORT_STEPS", 3)
    run(tiny_trainer(WITH_CCA), batches, tmp_path)
    with (tmp_path / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["3", "6"]
    for row in rows:
        assert {"saved_0", "saved_1"} < set(row)
        groups = float(row["group_0"]) + float(row["group_1"])
        assert 0 < groups < float(row["bits_per_pixel"])  # hyper-latents take the rest


def test_the_auxiliary_prior_lacks_the_group_just_before() -> None:
    architecture = tiny_architecture((2, 3, 4))
    adjusted = AdjustedContext(architecture)
    with torch.no_grad():
        done = training_pass(
            untrained(architecture, seed=1),
            torch.rand(2, 3, 64, 64),
            torch.Generator().manual_seed(1),
        )
        before = adjusted(done.context)
        assert before.shape == (3, 2)
        changes = []
        for group in range(3):
            decoded = list(done.context.decoded)
            decoded[group] = decoded[group] + 1
            changed = adjusted(dataclasses.replace(done.context, decoded=decoded))
            changes.append((changed != before).any(1).tolist())
    assert changes == [[False, False, True], [False] * 3, [False] * 3]


def test_a_step_is_a_scale_of_the_latents() -> None:
    """Random steps in training, and layers scaled to a fixed one, are the same codec."""
    network = load_network(CHECKPOINTS / "cca-small.pth")
    with np.load(GOLDEN / "chelsea.npz") as golden:
        pixels = golden["image"]
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    bits = []
    for step in (0.5, 2.0):
        scaled = at_step(network, step)
        assert scaled.finest_step == min(1, 1 / step)
        drawn = [torch.Generator().manual_seed(1) for _ in range(2)]
        done = training_pass(network, images, drawn[0], torch.tensor([step]))
        same = training_pass(scaled, images, drawn[1])
        # A power of two scales floating-point numbers exactly, sums of products nearly.
        assert (done.image - same.image).abs().mean() < 1e-4
        assert done.bits.item() == pytest.approx(same.bits.item(), rel=1e-3)
        bits.append(FloatCodec(scaled).code(pixels).bits)
    assert bits[0] > 1.3 * FloatCodec(network).code(pixels).bits > 1.3 * bits[1]


def test_held_out_pictures_are_not_trained_on() -> None:
    assert {s.name for s in HELD_OUT} == {"chelsea", "china", "flower"}
    files = {(s.package, s.path) for s in TRAINING}
    assert len(files) == len(TRAINING)
    assert not files & {(s.package, s.path) for s in HELD_OUT}


def test_no_held_out_picture_has_a_second_name_among_the_training_pictures() -> None:
    contents = {}
    for source in (*TRAINING, *HELD_OUT):
        pytest.importorskip(source.package, reason=f"{source.package} ships {source.name}")
        contents[source] = hashlib.sha256(source.load().tobytes()).digest()
    assert len(set(contents.values())) == len(contents)


def test_learning_rate_rises_stays_and_falls_to_zero() -> None:
    schedule = Schedule(steps=10_000, peak=1.0)
    rates = [schedule.learning_rate(step) for step in range(10_000)]
    assert rates[0] < 0.01
    assert rates[300:6000] == [1.0] * 5700
    assert all(a > b for a, b in itertools.pairwise(rates[6000:]))
    assert rates[-1] < 1e-6
    sizes = [shape.size for shape in schedule.batch_shapes()]
    assert sizes == sorted(sizes)
    assert sizes[7499:7501] == [128, 256]


def test_gaussian_bits_are_those_of_the_coder_s_tables() -> None:
    tables, scales = gaussian_tables(), scale_table()
    rows, symbols = np.array([0, 10, 20, 40, 63]), np.array([0, 1, -2, 3, 40])
    interval = symbols - tables.offset[rows]
    frequencies = tables.cdf[rows, interval + 1] - tables.cdf[rows, interval]
    bits = gaussian_bits(torch.tensor(symbols).float(), scales[rows])
    np.testing.assert_allclose(bits, 16 - np.log2(frequencies), atol=0.02)


def test_a_scale_below_the_bound_is_only_ever_pushed_up() -> None:
    for residual, moves in ((0.0, False), (3.0, True)):
        scale = torch.tensor([0.05], requires_grad=True)
        gaussian_bits(torch.tensor([residual]), scale).sum().backward()
        assert scale.grad is not None
        assert (scale.grad.item() < 0) is moves
        assert scale.grad.item() <= 0


def test_muon_s_steps_have_no_small_directions() -> None:
    rows = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)))[0]
    gradient = rows @ torch.diag(torch.logspace(0, -1.5, 6)) @ torch.eye(6, 40)
    for matrix in (gradient, gradient.T):
        values = torch.linalg.svdvals(orthogonalised(matrix))
        assert 0.6 < values.min() <= values.max() < 1.3
        product = matrix.T @ orthogonalised(matrix)
        torch.testing.assert_close(product, product.T)  # the same singular vectors


def test_code_length_and_picture_are_those_of_the_reference() -> None:
    codec = FloatCodec(load_network(CHECKPOINTS / "cca-small.pth"))
    with np.load(GOLDEN / "chelsea.npz") as golden:
        coded = codec.code(golden["image"])
        strings = len(golden["y_string"]) + len(golden["z_string"])
        reference = np.rint(golden["x_hat"].transpose(1, 2, 0) * 255)
    # A string ends with up to a few unused bytes, and rANS itself loses next to nothing.
    assert strings - 16 < coded.bits / 8 < strings
    assert np.mean(coded.pixels != reference) < 1e-3


def test_a_training_pass_computes_what_the_reference_does() -> None:
    network = load_network(CHECKPOINTS / "cca-small.pth")
    with np.load(GOLDEN / "chelsea.npz") as golden:
        images = torch.from_numpy(golden["image"]).permute(2, 0, 1)[None] / 255
        restored, bits = golden["x_hat"], float(golden["estimated_bits"])
    done = training_pass(network, images, torch.Generator().manual_seed(1))
    assert np.abs(done.image[0].clamp(0, 1).numpy() - restored).mean() < 1e-4
    assert (
        1 < done.bits.item() / bits < 1.2
    )  # noise costs more than rounding where scales are small


def test_rate_difference_of_known_curves() -> None:
    other = Curve([Point(1000, 30), Point(2000, 33), Point(4000, 36)])
    half = [Point(500, 30), Point(1000, 33)]
    assert rate_difference(half, [other]) == pytest.approx(-0.5)
    assert rate_difference(half[:1], [other]) == pytest.approx(-0.5)
    assert np.isnan(rate_difference([Point(500, 37)], [other]))
    better = Curve([Point(900, 30), Point(900, 36)])
    assert rate_difference([Point(450, 33)], [other, better]) == pytest.approx(-0.5)


def test_rate_differences_count_between_two_sizes_and_where_both_reach() -> None:
    other = Curve([Point(1000, 30), Point(2000, 33), Point(4000, 36)])
    bent = [Point(1000, 30), Point(2000, 33), Point(16000, 36)]
    assert rate_difference(bent, [other], (1000, 2000)) == pytest.approx(0)
    assert rate_difference(bent, [other], (2000, 16000)) == pytest.approx(1, abs=0.02)
    longer = [Point(250, 27), *(Point(p.size / 2, p.decibels) for p in other.points)]
    assert rate_difference(longer, [other]) == pytest.approx(-0.5)
    assert np.isnan(rate_difference(bent, [other], (100, 200)))


def test_checkpoints_are_evaluated_at_several_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(GOLDEN / "chelsea.npz") as golden:
        Image.fromarray(golden["image"][:128, :128]).save(tmp_path / "cat.png")
    checkpoint = str(CHECKPOINTS / "cca-small.pth")
    arguments = ["evaluate", checkpoint, "--pictures", str(tmp_path), "--at", "0.7", "1.4"]
    monkeypatch.setattr(sys, "argv", arguments)
    few = {
        name: [dataclasses.replace(r, qualities=(20, 60, 90)) for r in RIVALS[name]]
        for name in RIVALS
    }
    monkeypatch.setattr(evaluate, "RIVALS", few)
    evaluate.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["picture", "checkpoint", "bpp", "PSNR", "JPEG", "WebP", "AVIF"]
    assert [line.split()[0] for line in lines[1:]] == ["cat", "cat", "mean", "mean", "BD-rate"]
    bpp, decibels = (np.array([float(line.split()[i]) for line in lines[1:3]]) for i in (4, 5))
    assert bpp[0] > bpp[1]
    assert decibels[0] > decibels[1]
