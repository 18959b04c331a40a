"""Float16 networks: against float64, beside plain float16, and what an export refuses."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pytest
import torch
from cca_export.check import CALIBRATION, MismatchError, load_picture
from cca_export.checkpoint import load_network
from cca_export.coding_runs import GraphRun
from cca_export.families.cca.cut import codec_graphs
from cca_export.families.cca.network import CcaNetwork
from cca_export.lower.fp16.check import Fp16Module, compare_fp16, fp16_loss
from cca_export.lower.fp16.convert import RangeError, fp16_network
from cca_export.lower.fp16.ranges import Ranges, observe_ranges
from fp16_islands import Rounded
from full_size_checkpoint import random_network
from locations import CHECKPOINTS, GOLDEN
from numpy.typing import NDArray
from tiny_networks import WIDE_STREAMS, scale_layers, tiny_architecture
from torch import Tensor, nn

ALLOWED = 0.004
"""Of a transform: relative, root mean square."""


@pytest.fixture(scope="module")
def picture() -> Tensor:
    """uint8 [1, 128, 192, 3]."""
    return torch.from_numpy(load_picture(CALIBRATION[0]))[:, :128, :192].contiguous()


@pytest.fixture
def network() -> CcaNetwork:
    return random_network(tiny_architecture((2,))).eval().requires_grad_(False)


def errors(network: CcaNetwork, fp16: CcaNetwork, picture: Tensor) -> list[float]:
    """Of y and x by an fp16 network, against the network in float64, relative."""
    exact = copy.deepcopy(network).double()
    pixels = picture.permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        y = exact.g_a(pixels.double())
        y_hat = torch.round(y).clamp(-32768, 32767)  # all that a stream holds
        expected = (y, exact.g_s(y_hat))
        found = (fp16.g_a(pixels), fp16.g_s(y_hat.float()))
    assert all(tensor.dtype == torch.float32 for tensor in found)
    return [
        ((f - e).square().mean().sqrt() / e.std()).item()
        for f, e in zip(found, expected, strict=True)
    ]


OVERFLOWS: dict[str, Mapping[str, float]] = {
    "residual streams": WIDE_STREAMS,
    "gate products": {"g_a.blocks.2.0.dwconv.1": 200, "g_s.blocks.0.0.dwconv.1": 200},
    "a residual stream from 1 to 1e9": {"g_a.blocks.2.0.dwconv.1": 600},
    "latents": {"g_a.down.3": 1e7},
    "what gates read": {
        **{"g_a.blocks.2.0.FFN.0": 1e5, "g_s.blocks.0.0.FFN.0": 1e5},
        **{"g_a.blocks.2.0.FFN.2": 1e-8, "g_s.blocks.0.0.FFN.2": 1e-8},
    },
}


@pytest.mark.parametrize("place", OVERFLOWS)
def test_networks_that_plain_float16_cannot_run(
    place: str, network: CcaNetwork, picture: Tensor
) -> None:
    scale_layers(network, OVERFLOWS[place])
    plain, _ = fp16_network(network, Ranges(), prior=False)
    assert not all(map(math.isfinite, errors(network, plain, picture)))
    fp16, places = fp16_network(network, observe_ranges(network, [picture.numpy()]), prior=False)
    assert places.scaled
    assert max(errors(network, fp16, picture)) < ALLOWED


def test_a_network_that_plain_float16_underflows(network: CcaNetwork, picture: Tensor) -> None:
    """Its first layer gives values around 1e-6, and no bias hides them."""
    scale_layers(network, {"g_a.down.0": 1e-6})
    for name, parameter in network.g_a.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
    plain, _ = fp16_network(network, Ranges(), prior=False)
    assert max(errors(network, plain, picture)) > 10 * ALLOWED
    fp16, _ = fp16_network(network, observe_ranges(network, [picture.numpy()]), prior=False)
    assert max(errors(network, fp16, picture)) < ALLOWED


def test_convolutions_whose_weights_do_not_fit_stay_float32(
    network: CcaNetwork, picture: Tensor
) -> None:
    """The last layer's are around 1e-7, and its input is not stored small enough to make up."""
    scale_layers(network, WIDE_STREAMS)
    fp16, places = fp16_network(network, observe_ranges(network, [picture.numpy()]), prior=False)
    assert places.kept == ["g_a.down.3"]
    assert max(errors(network, fp16, picture)) < ALLOWED


def test_pictures_beyond_the_calibration(network: CcaNetwork, picture: Tensor) -> None:
    """Everything is six times as large as what was seen."""
    scale_layers(network, {"g_a.down.0": 2e5, "g_s.up.0": 2e5})
    ranges, seen = observe_ranges(network, [picture.numpy()]), Ranges()
    for values in ("_inputs", "_outputs"):
        found = getattr(ranges, values)
        getattr(seen, values).update({layer: found[layer] / 6 for layer in found})
    fp16, _ = fp16_network(network, seen, prior=False)
    assert max(errors(network, fp16, picture)) < ALLOWED


def test_the_network_stays_as_it_is(network: CcaNetwork, picture: Tensor) -> None:
    before = copy.deepcopy(network.state_dict())
    fp16_network(network, observe_ranges(network, [picture.numpy()]), prior=True)
    assert network.state_dict().keys() == before.keys()
    for name, parameter in network.state_dict().items():
        assert torch.equal(parameter, before[name]), name


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e38])
def test_weights_that_overflow_float32(bad: float, network: CcaNetwork, picture: Tensor) -> None:
    network.get_parameter("g_a.down.1.weight")[0, 0] = bad
    ranges = observe_ranges(network, [picture.numpy()])
    with pytest.raises(RangeError, match=r"^'g_a\.down\.[12]\b.* overflows in float32 already: "):
        fp16_network(network, ranges, prior=False)


def test_the_trained_model_loses_no_quality() -> None:
    network = load_network(CHECKPOINTS / "cca-small.pth").eval()
    ranges = observe_ranges(network, [load_picture(CALIBRATION[0])])
    fp16, places = fp16_network(network, ranges, prior=False)
    assert (places.kept, places.scaled) == ([], {})
    modules = {graph.name: graph.module for graph in codec_graphs(fp16)}
    with np.load(GOLDEN / "chelsea.npz") as golden:
        picture = golden["image"][None]
    with Rounded():
        loss = fp16_loss("chelsea", picture, list(codec_graphs(network)), modules)
    assert 31 < loss.psnr < 32
    assert abs(loss.synthesis) < 0.01
    assert 0 < loss.latents < 0.01


class Wrong(nn.Module):
    """Outputs of a graph, altered."""

    def __init__(self, outputs: Mapping[str, NDArray[Any]]) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, **_: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(array) for array in self.outputs.values())


def test_a_wrong_variant_is_named(network: CcaNetwork, picture: Tensor) -> None:
    graph = next(codec_graphs(network))
    y, z_symbols = (output.numpy() for output in graph.module(picture))
    expected = {"y": y, "z_symbols": z_symbols}

    def compare(**outputs: NDArray[Any]) -> list[float]:
        wrong = cast(Fp16Module, Wrong(expected | outputs))
        run = GraphRun(graph, {"image": picture.numpy()}, expected)
        return [comparison.error for comparison in compare_fp16(run, wrong)]

    noise = np.random.default_rng(0).normal(size=y.shape).astype(np.float32)
    rms = np.sqrt(np.mean(y**2))
    assert compare() == [0, 0]
    assert compare(y=y + 0.01 * rms * noise)[0] == pytest.approx(0.01, rel=0.05)
    gap = y.copy()
    gap[0, 0, 0, 0] = np.nan
    for wrong in (y + 0.03 * rms * noise, gap, y * np.float32(np.inf)):
        with pytest.raises(MismatchError) as failure:
            compare(y=wrong)
        assert re.fullmatch(
            r"float16 graph 'analysis' computes 'y' with error \S+, allowed 0\.02: "
            r"export it without --precision fp16",
            str(failure.value),
        )
    with pytest.raises(MismatchError, match=r"'z_symbols' with error 1, allowed 0\.5: "):
        compare(z_symbols=z_symbols + 1)


@pytest.mark.parametrize("transform", ["analysis", "synthesis"])
def test_a_transform_that_loses_too_much(
    transform: str, network: CcaNetwork, picture: Tensor
) -> None:
    """On a black picture, which the random network decodes well."""
    black = np.zeros(picture.shape, np.uint8)
    graphs = list(codec_graphs(network))
    modules = {graph.name: graph.module for graph in graphs}
    assert fp16_loss("p", black, graphs, modules).latents == pytest.approx(0, abs=1e-6)

    class Worse(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            result, *others = modules[transform](x)
            return (255 - result if transform == "synthesis" else result * 1.3, *others)

    match = rf"^the float16 {transform} loses \S+ dB on p, allowed 0\.05: export it without "
    with pytest.raises(MismatchError, match=match):
        fp16_loss("p", black, graphs, modules | {transform: Worse()})
