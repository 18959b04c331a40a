"""`cca-run bench`: its account of the time, its report and its errors."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cca_engines.engine import Array, Precision, Tensor
from cca_engines.onnxruntime import OnnxRuntimeEngine, OnnxRuntimeGraph
from cca_runtime.bundle import open_bundle
from cca_runtime.cli import main
from cca_runtime.codec import Codec
from cca_runtime.generated import photograph_like
from cca_runtime.profile import profile
from PIL import Image

PRIORS = open_bundle(None).prior_graphs
GROUPS = len(PRIORS) - 1


class Clock:
    """Stands still but where it is told to go on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class SlowEngine(OnnxRuntimeEngine):
    """Takes a second for a graph, an eighth to bring an output, and a 16th to send an input."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(threads=1, optimisation="all")
        self.clock = clock

    def to_host(self, tensor: Tensor) -> Array:
        self.clock.now += 0.125
        return super().to_host(tensor)

    def to_device(self, array: Array) -> Tensor:
        self.clock.now += 0.0625
        return super().to_device(array)

    def load(self, model: bytes, name: str, precision: Precision = "float32") -> OnnxRuntimeGraph:
        graph = super().load(model, name, precision)
        run = graph.run

        def slow(
            inputs: Mapping[str, Tensor], into: Mapping[str, Tensor] | None = None
        ) -> dict[str, Tensor]:
            self.clock.now += 1
            return run(inputs, into)

        graph.run = slow  # type: ignore[method-assign]
        return graph


def test_every_second_has_its_stage(
    default_codec: Codec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in.png"
    Image.fromarray(photograph_like(64, 70)).save(path)
    clock = Clock()
    with monkeypatch.context() as patch:
        patch.setattr(time, "perf_counter", clock)
        measured = profile(default_codec.bundle, SlowEngine(clock), path.read_bytes(), 2)
    assert (measured.width, measured.height) == (64, 70)
    assert measured.stream_bytes == len(default_codec.encode(photograph_like(64, 70)))
    idle = {"read": 0, "coder": 0, "write": 0, "driver": 0}
    # What comes back: y and hyper-latent symbols; indexes, and for the encoder means; the image;
    # y_hat, for its digest, when all graphs are under way.
    encode = {"analysis": 1.25, **dict.fromkeys(PRIORS[:-1], 1.25), PRIORS[-1]: 1.125}
    decode = {**dict.fromkeys(PRIORS[:-1], 1.125), PRIORS[-1]: 1, "synthesis": 1.25}
    # What is sent: the averages' factors, the step, hyper-latent symbols, the groups'; the image.
    assert measured.encode == [{**encode, **idle, "transfer": (4 + GROUPS) * 0.0625}] * 2
    assert measured.decode == [{**decode, **idle, "transfer": (3 + GROUPS) * 0.0625}] * 2


def test_the_report_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--size", "90x70", "--repeat", "3", "--json"]) == 0
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (facts["width"], facts["height"], facts["repeat"]) == (90, 70, 3)
    assert facts["megabytes"] == pytest.approx(90 * 70 * 3 / 1e6)
    assert "onnxruntime" in facts["engine"]
    assert facts["model"] == "default"
    assert facts["cores"] >= 1
    assert facts["processor"]
    assert facts["load_seconds"] > 0
    assert facts["peak_memory_bytes"] > 1 << 24
    common = {"read", "transfer", *PRIORS, "coder", "write", "driver"}
    for direction, transform in (("encode", "analysis"), ("decode", "synthesis")):
        summary = facts[direction]
        assert summary["stages"].keys() == common | {transform}
        for row in (*summary["stages"].values(), summary["total"]):
            assert row["p5"] <= row["median"] <= row["p95"]
            assert row["mb_per_s"] * row["median"] == pytest.approx(facts["megabytes"])
        assert 0 < summary["driver_share"] < 1
        assert summary["total"]["p5"] > summary["stages"]["prior_0"]["p5"]


def test_the_report_for_people_on_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "in.png"
    Image.new("RGB", (40, 30)).save(path)
    assert main(["bench", str(path), "--repeat", "1", "--engine", "openvino"]) == 0
    report = capsys.readouterr().out
    assert f"picture {path}, 40x30" in report
    assert "engine openvino" in report
    for word in (*PRIORS, "analysis", "synthesis", "coder", "transfer", "driver", "total"):
        assert f"\n{word} " in report or f"\n{word}:" in report


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{text}"], 2, "not a picture"),
        (["{dir}/none.png"], 2, "No such file"),
        (["{text}", "--size", "8x8"], 2, "not both"),
        (["--engine", "steam"], 1, "unknown engine"),
        (["--model", "{dir}"], 2, "not a model bundle"),
    ],
)
def test_errors_are_one_line_with_the_right_code(
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "text").write_text("no picture")
    places = {"dir": str(tmp_path), "text": str(tmp_path / "text")}
    assert main(["bench", *(argument.format(**places) for argument in arguments)]) == code
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.startswith("cca-run: error: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--size", "8"],
        ["--size", "65536x1"],
        ["--size", "0x8"],
        ["--size", "axb"],
        ["--repeat", "0"],
    ],
)
def test_wrong_usage_is_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bench", *arguments])
    assert caught.value.code == 2


def test_generated_pictures_look_like_photographs_to_a_codec(default_codec: Codec) -> None:
    picture = photograph_like(256, 192)
    np.testing.assert_array_equal(picture, photograph_like(256, 192))
    assert picture.shape == (192, 256, 3)
    assert 0.2 < 8 * len(default_codec.encode(picture)) / (256 * 192) < 1.5
    # Equal energy by octave: what half the resolution keeps is most of it, and not all.
    coarse = picture.reshape(96, 2, 128, 2, 3).mean((1, 3))
    assert 0.7 < coarse.var() / picture.var() < 0.99
