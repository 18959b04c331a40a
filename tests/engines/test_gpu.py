"""Engines on the GPU of this machine, if it has one: the default model, exact to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import cca_runtime
import numpy as np
import pytest
from cca_engines import EngineError, Tensor, available_engines, open_engine
from cca_runtime.bundle import open_bundle
from cca_runtime.codec import Codec
from cca_runtime.conformance import verify
from cca_runtime.graph_runner import GraphRunner
from cca_runtime.plans import plan_options
from numpy.typing import NDArray

pytestmark = pytest.mark.gpu

Pictures = list[NDArray[np.uint8]]


@pytest.fixture(scope="module", params=["tensorrt", "tensorrt-rtx", "cuda"])
def codec(request: pytest.FixtureRequest) -> Codec:
    """The default model on an engine; those with plans build them first."""
    if request.param not in available_engines():
        pytest.skip(f"engine {request.param} needs a GPU and a package, and lacks one of them here")
    bundle = open_bundle()
    return Codec(
        bundle, open_engine(request.param, plans=plan_options(bundle, trust=True)), workers=3
    )


@pytest.fixture(scope="module")
def pictures(chelsea: NDArray[np.uint8]) -> Pictures:
    """Of several sizes, some of which are the same once padded."""
    sizes = [(256, 384), (250, 380), (64, 64), (130, 70), (64, 60), (1, 1), (200, 300)]
    noise = np.random.default_rng(5).integers(0, 256, (192, 320, 3), np.uint8)
    return [*(np.ascontiguousarray(chelsea[:height, :width]) for height, width in sizes), noise]


@pytest.fixture
def analysis_on_the_cpu(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Picture by picture: its arithmetic need not be exact, nor the same in a batch."""
    analysis = open_engine("onnxruntime").load(codec.bundle.read_graph("analysis"), "analysis")
    run = GraphRunner.run

    def run_on_either(
        graphs: GraphRunner,
        name: str,
        inputs: dict[str, Tensor],
        into: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        if name != "analysis":
            return run(graphs, name, inputs, into)
        engine = graphs._engine
        images = engine.to_host(inputs["image"])
        each = [analysis.run({"image": image[None]}) for image in images]
        return {
            key: engine.to_device(np.concatenate([outputs[key] for outputs in each]))
            for key in analysis.outputs
        }

    monkeypatch.setattr(GraphRunner, "run", run_on_either)


def look_alike(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> bool:
    """Synthesis may be in half precision."""
    return bool(np.abs(first.astype(int) - second).mean() < 0.5)


def test_all_conformance_cases_agree(codec: Codec) -> None:
    verification = verify(codec.bundle, codec.engine)
    assert verification.mismatches == []
    assert set(verification.compared) == set(codec.bundle.prior_graphs)


@pytest.mark.usefixtures("analysis_on_the_cpu")
def test_streams_are_those_of_the_cpu(codec: Codec, pictures: Pictures) -> None:
    cpu = cca_runtime.load()
    for picture in pictures:
        assert codec.encode(picture) == cpu.encode(picture)


def test_pictures_come_back_here_and_on_the_cpu(codec: Codec, pictures: Pictures) -> None:
    cpu = cca_runtime.load()
    for picture in pictures:
        for stream in (codec.encode(picture), cpu.encode(picture)):
            assert look_alike(codec.decode(stream), cpu.decode(stream))


def test_threads_give_the_streams_of_one(codec: Codec, pictures: Pictures) -> None:
    alone = [codec.encode(picture) for picture in pictures] * 3
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(codec.encode, pictures * 3)) == alone
        restored = list(pool.map(codec.decode, alone))
    for picture, stream in zip(restored, alone, strict=True):
        np.testing.assert_array_equal(picture, codec.decode(stream))


@pytest.mark.usefixtures("analysis_on_the_cpu")
def test_batches_give_the_streams_of_one(codec: Codec, pictures: Pictures) -> None:
    most = codec.engine.capabilities.batch
    assert most > 1
    alike = [np.roll(pictures[2], shift, axis=1) for shift in range(2 * most)]
    streams = [codec.encode(picture) for picture in alike]
    assert codec.encode(alike) == streams
    for picture, stream in zip(codec.decode(streams), streams, strict=True):
        assert look_alike(picture, codec.decode(stream))


def test_more_than_the_gpu_holds_is_one_clear_error(codec: Codec) -> None:
    with pytest.raises(EngineError) as failure:
        codec.engine.empty((1 << 22, 1 << 22), np.uint8)
    assert "the GPU has no room for a tensor of shape [4194304, 4194304]" in str(failure.value)
    assert "\n" not in str(failure.value)
    small = np.zeros((64, 64, 3), np.uint8)
    assert codec.decode(codec.encode(small)).shape == small.shape
