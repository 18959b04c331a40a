"""An engine that computes one value otherwise is found out, even behind the last symbol."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import cca_runtime
import numpy as np
import pytest
from cca_engines import Tensor
from cca_runtime import FailureError
from cca_runtime.cli import main
from cca_runtime.codec import Codec
from cca_runtime.host import EngineHost
from cca_runtime.results import Decoded
from numpy.typing import NDArray

NOT_THOSE = "the latents are not those that the encoder had"


@pytest.fixture(scope="module")
def streams(default_codec: Codec, chelsea: NDArray[np.uint8]) -> dict[str, bytes]:
    tiling = Codec(default_codec.bundle, default_codec.engine, tile=64)
    picture = np.ascontiguousarray(chelsea[:100, :120])
    return {"whole": default_codec.encode(picture), "tiled": tiling.encode(picture)}


def go_wrong(
    monkeypatch: pytest.MonkeyPatch, graph: int, output: str, by: float, *, once: bool = False
) -> None:
    """From now on, engines get one value of a prior graph's output wrong."""
    runs: list[str] = []

    def spy(self: EngineHost, name: str, _: object, outputs: Mapping[str, Tensor]) -> None:
        if name != self.graphs.names[graph] or (once and runs):
            return
        runs.append(name)
        values = self.engine.to_host(outputs[output])
        values.reshape(-1)[values.size // 2] += by
        assert np.array_equal(self.engine.to_host(outputs[output]), values), "no copy"

    monkeypatch.setattr(EngineHost, "ran", spy)


def last_prior(codec: Codec, back: int = 1) -> int:
    """The number of the last prior graph, or of one so far before it."""
    return codec.bundle.read_model().graphs.index(codec.bundle.prior_graphs[-back])


# The last group's means come from the last graph but one, and are part of its y_hat.
WRONG = [(2, "means", 1 / 128), (1, "y_hat", -1 / 128), (1, "y_hat", 1.0)]


@pytest.mark.parametrize("kind", ["whole", "tiled"])
@pytest.mark.parametrize(("back", "output", "by"), WRONG)
def test_one_wrong_value_of_the_last_group_is_an_error(
    default_codec: Codec,
    streams: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    back: int,
    output: str,
    by: float,
) -> None:
    go_wrong(monkeypatch, last_prior(default_codec, back), output, by)
    with pytest.raises(FailureError, match=NOT_THOSE) as caught:
        default_codec.decode(streams[kind])
    message = str(caught.value)
    assert f"(engine onnxruntime, model '{default_codec.bundle.name}'; --keep-going" in message
    assert message.startswith("tile in column ") == (kind == "tiled")


def test_an_inexact_value_is_not_encoded(
    default_codec: Codec, chelsea: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    go_wrong(monkeypatch, last_prior(default_codec), "y_hat", 1 / 256)
    name = default_codec.bundle.name
    with pytest.raises(FailureError, match=rf"exactly \(engine onnxruntime, model '{name}'\)$"):
        default_codec.encode(chelsea)


def test_who_keeps_going_gets_a_picture_and_a_note(
    default_codec: Codec, streams: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = cca_runtime.load(keep_going=True, workers=1)
    wide = dataclasses.replace(codec.engine.capabilities, batch=4)
    monkeypatch.setattr(codec.engine, "capabilities", wide)
    for kind, where in (("whole", "the latents are"), ("tiled", "the latents in 1 of 4 tiles are")):
        sound = default_codec.decode(streams[kind])
        with monkeypatch.context() as patch:
            go_wrong(patch, last_prior(default_codec), "y_hat", 4.0, once=True)
            # Of a list, the note is with the picture that it is about.
            first, second = codec.decode_each([streams[kind]] * 2)
        assert isinstance(first, Decoded)
        assert isinstance(second, Decoded)
        (note,) = first.notes
        assert note.startswith(f"this is not the picture that was encoded: {where} not those")
        assert note.endswith(f"(engine onnxruntime, model '{codec.bundle.name}')")
        assert 0 < np.mean(first.picture.pixels != sound) < 1
        assert second.notes == ()
        np.testing.assert_array_equal(second.picture.pixels, sound)


def test_the_command_line(
    default_codec: Codec,
    streams: dict[str, bytes],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    coded, picture = tmp_path / "a.cca", tmp_path / "a.png"
    coded.write_bytes(streams["whole"])
    go_wrong(monkeypatch, last_prior(default_codec), "y_hat", 4.0)
    assert main(["decode", str(coded)]) == 1
    error = capsys.readouterr().err
    assert NOT_THOSE in error
    assert "--keep-going" in error
    assert not picture.exists()
    assert main(["decode", str(coded), "--keep-going"]) == 0
    output = capsys.readouterr()
    assert f"note: {coded}: this is not the picture that was encoded" in output.err
    assert picture.exists()
