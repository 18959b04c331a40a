"""The C++ example: what it makes equals what `cca-run` makes, and what it does with bad input."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cca_core import parse_stream, write_stream
from forgery import edit, put_file, unloadable_graph
from locations import ROOT
from PIL import Image

FLOAT, UINT8 = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8
PPM = b"P6 3 2 255\n" + bytes(range(18))
STREAMS = ROOT / "tests" / "data" / "streams"


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The example, built against the installed package and compared: its folder and the report."""
    library = run(sys.executable, "-m", "cca_runtime", "--cmake-dir")
    if library.returncode == 1:
        assert "install them with pip" in library.stderr
        pytest.skip("cca-codec is not installed")
    work = tmp_path_factory.mktemp("example-cpp")
    script = ROOT / "examples" / "cpp" / "check.sh"
    done = run(script, sys.executable, work, CXXFLAGS="-Wall -Wextra -Werror")
    assert done.returncode == 0, done.stdout + done.stderr
    return work, done.stdout


@pytest.fixture(scope="module")
def program(checked: tuple[Path, str]) -> Path:
    return checked[0] / "build" / "cca-openvino"


@pytest.fixture(scope="module")
def stream(checked: tuple[Path, str]) -> bytes:
    return (checked[0] / "cpp" / "chelsea.cca").read_bytes()


@pytest.fixture
def bundle(exact_bundle: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(exact_bundle, tmp_path / "copy.bundle"))


def check_refused(program: Path, command: str, bundle: Path, data: bytes, folder: Path) -> str:
    """Runs a command that must fail as bad input does, and gives its one-line error."""
    done, line = fail(program, command, bundle, data, folder)
    assert done == 2, line
    return line


def fail(program: Path, command: str, bundle: Path, data: bytes, folder: Path) -> tuple[int, str]:
    """Runs a command that must fail: gives the exit code and the one-line error."""
    before = {"in", "out", *(path.name for path in folder.iterdir())}
    (folder / "in").write_bytes(data)
    (folder / "out").write_text("what was there before")
    done = run(program, command, bundle, folder / "in", folder / "out")
    assert (folder / "out").read_text() == "what was there before"
    assert {path.name for path in folder.iterdir()} == before  # and nothing half-written
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.returncode, done.stderr


def copying_graph(*outputs: str) -> bytes:
    """An analysis transform whose outputs are the picture itself, as float32."""
    shape = ["batch", "height", "width", 3]
    nodes = [onnx.helper.make_node("Cast", ["image"], [name], to=FLOAT) for name in outputs]
    graph = onnx.helper.make_graph(
        nodes,
        "analysis",
        [onnx.helper.make_tensor_value_info("image", UINT8, shape)],
        [onnx.helper.make_tensor_value_info(name, FLOAT, shape) for name in outputs],
    )
    opset = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(graph, ir_version=8, opset_imports=opset)
    return bytes(model.SerializeToString())


def test_both_directions_equal_cca_run(checked: tuple[Path, str]) -> None:
    """Whole pictures, tiles and regions; qualities, targets and previews."""
    work, report = checked
    whole = ["chelsea", "flower", "tiles-64", "tiles-128", "quality"]
    parts = [f"{name}-part.ppm" for name in ("chelsea", "tiles-64", "tiles-128")]
    rates = ["size.cca", "psnr.cca"]
    previews = ["groups.ppm", "cut-quality.ppm", "cut-tiles-64.ppm"]
    both = [f"{name}.{kind}" for name in whole for kind in ("cca", "ppm")]
    files = [*both, *parts, *rates, *previews]
    for file in files:
        assert f"equal: cpp/{file} python/{file} (" in report
        ours, theirs = (work / side / file for side in ("cpp", "python"))
        assert ours.read_bytes() == theirs.read_bytes()
    assert len({(work / "cpp" / file).read_bytes() for file in files}) == len(files)


def test_tiles_are_the_stream_s(checked: tuple[Path, str]) -> None:
    """What was compared is in tiles, and regions are parts of what decodes as a whole."""
    work, _ = checked
    for side in (64, 128):
        info, _ = parse_stream((work / "cpp" / f"tiles-{side}.cca").read_bytes())
        assert info.tiling is not None
        assert info.tiling[:2] == (side, side)
    with Image.open(work / "cpp" / "tiles-64.ppm") as whole:
        part = np.asarray(whole.crop((60, 50, 130, 151)))
    with Image.open(work / "cpp" / "tiles-64-part.ppm") as region:
        assert np.array_equal(np.asarray(region), part)


def test_rates_are_as_asked(checked: tuple[Path, str]) -> None:
    work, _ = checked
    info, _ = parse_stream((work / "cpp" / "quality.cca").read_bytes())
    assert info.step == -58  # (50 - 72.5) * 2.56
    assert 8910 <= (work / "cpp" / "size.cca").stat().st_size <= 9000
    info, _ = parse_stream((work / "cpp" / "psnr.cca").read_bytes())
    assert info.step > 0  # coarser than what the model was trained for, which has 34 dB


def test_previews_say_what_is_there(checked: tuple[Path, str]) -> None:
    """Of a picture as a whole, and of tiles: some are whole, one has a part, some have nothing."""
    work, _ = checked
    assert (work / "cut-quality.txt").read_text() == "2 of 4 channel groups\n"
    tiles = [int(line[0]) for line in (work / "cut-tiles-64.txt").read_text().splitlines()]
    assert len(tiles) == 15
    assert tiles == sorted(tiles, reverse=True)
    assert tiles.count(4) == 8
    assert tiles.count(0) >= 6


def test_no_python_in_the_process(program: Path) -> None:
    libraries = run("ldd", program).stdout
    assert "libcca.so" in libraries
    assert "libpython" not in libraries


def test_small_pictures_survive(program: Path, exact_bundle: Path, tmp_path: Path) -> None:
    """Padding on all sides, comments in the header, and an output that existed."""
    source, coded, decoded = (tmp_path / name for name in ("a.ppm", "a.cca", "b.ppm"))
    source.write_bytes(PPM.replace(b"P6 3", b"P6 # a comment\n#another 9 9\n\t3"))
    coded.write_text("to be replaced")
    for command in ([program, "encode", exact_bundle, source, coded],
                    [program, "decode", exact_bundle, coded, decoded]):  # fmt: skip
        done = run(*command)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert decoded.read_bytes().startswith(b"P6\n3 2\n255\n")
    assert len(decoded.read_bytes()) == 11 + 18
    assert {path.name for path in tmp_path.iterdir()} == {"a.ppm", "a.cca", "b.ppm"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a binary PPM"),
        (b"P5 3 2 255\n" + bytes(6), "not a binary PPM"),
        (b"P6", "its width"),
        (b"P6 # no end", "its width"),
        (b"P6 -3 2 255\n" + bytes(18), "its width"),
        (b"P6 0 2 255\n", "its width"),
        (b"P6 3 65536 255\n", "its height"),
        (b"P6 3 99999999999999999999 255\n", "its height"),
        (b"P6 3 2 65535\n" + bytes(36), "8 bits"),
        (b"P6 3 2 255", "header"),
        (PPM[:-1], "17 bytes of pixels, not 18"),
        (PPM + b"\n", "19 bytes of pixels, not 18"),
        (b"P6 65535 65535 255\n", "0 bytes of pixels"),
    ],
)
def test_bad_pictures(
    data: bytes, message: str, program: Path, exact_bundle: Path, tmp_path: Path
) -> None:
    assert message in check_refused(program, "encode", exact_bundle, data, tmp_path)


def damage_length(data: bytes) -> bytes:
    return data[: len(data) // 2]


def damage_payload(data: bytes) -> bytes:
    return data[:-100] + bytes([data[-100] ^ 1]) + data[-99:]


@pytest.mark.parametrize("damage", [damage_length, damage_payload, bytes.upper])
def test_damaged_streams(
    damage: Callable[[bytes], bytes],
    stream: bytes,
    program: Path,
    exact_bundle: Path,
    tmp_path: Path,
) -> None:
    check_refused(program, "decode", exact_bundle, damage(stream), tmp_path)


def test_damage_that_no_checksum_shows(
    stream: bytes, program: Path, exact_bundle: Path, tmp_path: Path
) -> None:
    info, payload = parse_stream(stream)
    data = write_stream(info, payload[: len(payload) // 2])
    check_refused(program, "decode", exact_bundle, data, tmp_path)


def test_tiles_that_end_early(
    checked: tuple[Path, str], program: Path, exact_bundle: Path, tmp_path: Path
) -> None:
    data = (checked[0] / "cpp" / "tiles-64.cca").read_bytes()
    for damage in (damage_length, damage_payload):
        check_refused(program, "decode", exact_bundle, damage(data), tmp_path)


def test_another_models_stream(program: Path, exact_bundle: Path, tmp_path: Path) -> None:
    data = (STREAMS / "odd-100x75.cca").read_bytes()
    assert "model" in check_refused(program, "decode", exact_bundle, data, tmp_path)


def test_damaged_graph(program: Path, bundle: Path, tmp_path: Path) -> None:
    graph = bundle / "graphs" / "analysis.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    assert "analysis" in check_refused(program, "encode", bundle, PPM, tmp_path)


def test_no_bundle(program: Path, tmp_path: Path) -> None:
    assert "manifest.json" in check_refused(program, "encode", tmp_path / "none", PPM, tmp_path)


def test_native_models_are_refused(program: Path, bundle: Path, tmp_path: Path) -> None:
    def make_native(manifest: dict[str, Any]) -> None:
        manifest["entropy_mode"] = "native"
        del manifest["conformance"], manifest["exactness"]

    edit(bundle, make_native)
    assert "exact mode" in check_refused(program, "encode", bundle, PPM, tmp_path)


def test_outputs_of_another_shape(program: Path, bundle: Path, tmp_path: Path) -> None:
    put_file(bundle, "analysis", copying_graph("y", "z_symbols"))
    assert "shape" in check_refused(program, "encode", bundle, PPM, tmp_path)


def test_missing_output(program: Path, bundle: Path, tmp_path: Path) -> None:
    put_file(bundle, "analysis", copying_graph("z_symbols"))
    assert "'y'" in check_refused(program, "encode", bundle, PPM, tmp_path)


def test_no_graph(program: Path, bundle: Path, tmp_path: Path) -> None:
    put_file(bundle, "analysis", b"no graph")
    assert "analysis.onnx: no ONNX model" in check_refused(program, "encode", bundle, PPM, tmp_path)


@pytest.mark.parametrize("graph", [unloadable_graph(), "synthesis.onnx"])
def test_graphs_that_do_not_run(
    graph: bytes | str, program: Path, bundle: Path, tmp_path: Path
) -> None:
    """A forged bundle: what cannot be loaded, and what has other inputs."""
    data = graph if isinstance(graph, bytes) else (bundle / "graphs" / graph).read_bytes()
    put_file(bundle, "analysis", data)
    code, line = fail(program, "encode", bundle, PPM, tmp_path)
    assert code == 1
    assert "graph 'analysis'" in line


def test_output_directory_is_missing(program: Path, exact_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.ppm").write_bytes(PPM)
    done = run(program, "encode", exact_bundle, tmp_path / "in.ppm", tmp_path / "none" / "out.cca")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "cannot be written" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["encode"],
        ["describe", "a", "b", "c"],
        ["encode", "a", "b", "c", "d"],
        ["encode", "--tile", "64", "a", "b"],
        ["encode", "--region", "0,0,1,1", "a", "b", "c"],
        ["decode", "--tile", "64", "a", "b", "c"],
        ["decode", "--region", "", "a", "b", "c"],
        ["encode", "--quality", "50", "--quality", "50", "a", "b", "c"],
        ["encode", "--preview", "a", "b", "c"],
        ["encode", "--groups", "1", "a", "b", "c"],
        ["decode", "--quality", "50", "a", "b", "c"],
        ["decode", "--groups", "a", "b", "c"],
    ],
)
def test_usage(arguments: list[str], program: Path) -> None:
    done = run(program, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


def option_refused(
    program: Path, bundle: Path, folder: Path, data: bytes, *command: str
) -> subprocess.CompletedProcess[str]:
    (folder / "in").write_bytes(data)
    done = run(program, *command, bundle, folder / "in", folder / "out")
    assert not (folder / "out").exists()
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert done.returncode == 2
    return done


@pytest.mark.parametrize(
    "tile", ["0", "-64", "+64", "64 ", "6x", "4294967295", "4294967296", "auto ", "63", "16384"]
)
def test_bad_tiles(tile: str, program: Path, exact_bundle: Path, tmp_path: Path) -> None:
    done = option_refused(program, exact_bundle, tmp_path, PPM, "encode", "--tile", tile)
    assert tile in done.stderr


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        (["--quality", "-1"], "0 to 100"),
        (["--quality", "100.5"], "0 to 100"),
        (["--quality", "nan"], "0 to 100"),
        (["--quality", "high"], "high"),
        (["--quality", "50 "], "50 "),
        (["--target-size", "0"], "above 0"),
        (["--target-size", "-20000"], "above 0"),
        (["--target-size", "inf"], "above 0"),
        (["--target-size", "20KB"], "20KB"),
        (["--target-size", "20"], "the nearest is"),
        (["--target-psnr", "99"], "the nearest is"),
        (["--target-psnr", "1e999"], "1e999"),
        (["--quality", "50", "--target-size", "20000"], "one of --quality"),
        (["--target-psnr", "30", "--target-size", "20000"], "one of --quality"),
    ],
)
def test_bad_rates(
    rate: list[str], message: str, program: Path, exact_bundle: Path, tmp_path: Path
) -> None:
    done = option_refused(program, exact_bundle, tmp_path, PPM, "encode", *rate)
    assert message in done.stderr


@pytest.mark.parametrize("groups", ["5", "65535", "65536", "-1", "1.5", "all", "1 "])
def test_bad_groups(
    groups: str, stream: bytes, program: Path, exact_bundle: Path, tmp_path: Path
) -> None:
    done = option_refused(program, exact_bundle, tmp_path, stream, "decode", "--groups", groups)
    assert groups in done.stderr


def test_previews_of_nothing(
    stream: bytes, program: Path, exact_bundle: Path, tmp_path: Path
) -> None:
    """Files that are cut in their header, or before the hyper-latents end; and damaged ones."""
    _, payload = parse_stream(stream)
    header = len(stream) - len(payload)
    for size in (0, 3, header - 1, header, header + 20):
        option_refused(program, exact_bundle, tmp_path, stream[:size], "decode", "--preview")
    done = option_refused(
        program, exact_bundle, tmp_path, damage_payload(stream), "decode", "--preview"
    )
    assert "checksum" in done.stderr


@pytest.mark.parametrize(
    "region",
    ["0,0,0,0", "0,0,0,1", "1,2,3", "1,2,3,4,5", "1,2,3,", "-1,0,1,1", "0,0,1,1 ", "0;0;1;1",
     "451,0,1,1", "0,0,452,1", "0,300,1,1", "65535,65535,65535,65535", "4294967295,0,2,1"],
)  # fmt: skip
def test_bad_regions(
    region: str, stream: bytes, program: Path, exact_bundle: Path, tmp_path: Path
) -> None:
    done = option_refused(program, exact_bundle, tmp_path, stream, "decode", "--region", region)
    assert region in done.stderr
