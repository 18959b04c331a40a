"""`cca-run` with qualities, targets, previews and less metadata: reports, errors and exit codes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cca_core import parse_stream
from cca_runtime.cli import main
from cca_runtime.codec import Codec
from cca_runtime.metrics import psnr
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from wrong_usage import refuse

Facts = Mapping[str, Any]
Report = Callable[..., Facts]


@pytest.fixture
def picture(tmp_path: Path, chelsea: NDArray[np.uint8]) -> Path:
    """With a profile, EXIF and XMP."""
    path = tmp_path / "cat.png"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    texts = PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", '<x:xmpmeta xmlns:x="adobe:ns:meta/"/>')
    image = Image.fromarray(chelsea[:100, :90])
    image.save(path, icc_profile=icc, exif=exif, pnginfo=texts)
    return path


@pytest.fixture
def stream(tmp_path: Path, chelsea: NDArray[np.uint8], default_codec: Codec) -> Path:
    path = tmp_path / "made.cca"
    path.write_bytes(default_codec.encode(chelsea[:100, :90], quality=80))
    return path


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Report:
    """Runs a command that gives one JSON object."""

    def run(*arguments: str | Path) -> Facts:
        assert main([*map(str, arguments), "--json"]) == 0
        facts: Facts = json.loads(capsys.readouterr().out)
        return facts

    return run


def test_the_report_tells_pixels_and_file_apart(
    picture: Path, report: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = report("encode", picture)
    info, payload = parse_stream(picture.with_suffix(".cca").read_bytes())
    size = picture.with_suffix(".cca").stat().st_size
    metadata = sum(len(part or b"") for part in (info.icc, info.exif, info.xmp))
    assert (facts["bytes"], facts["metadata_bytes"]) == (size, metadata)
    assert metadata > 100
    assert facts["bpp"] == pytest.approx(8 * (size - metadata) / 9000, abs=1e-6)
    assert facts["file_bpp"] == pytest.approx(8 * size / 9000, abs=1e-6)
    assert (facts["step"], facts["quality"], facts["trials"]) == (1.0, 50.0, 1)
    assert sum(facts["group_bytes"]) == len(payload)
    assert facts["target"] is None
    assert main(["encode", str(picture), "--overwrite"]) == 0
    text = capsys.readouterr().out
    assert f"{facts['bpp']:.3f} bpp of pixels, {facts['file_bpp']:.3f} of the file" in text
    assert "quality 50.0" in text


def test_a_quality(picture: Path, report: Report, default_codec: Codec) -> None:
    facts = report("encode", picture, "--quality", "81.25")
    assert (facts["quality"], facts["target"]) == (81.25, None)
    assert facts["step"] == pytest.approx(0.2922, abs=0.005)
    pixels = np.asarray(Image.open(picture))
    coded = parse_stream(picture.with_suffix(".cca").read_bytes())
    assert coded[1] == parse_stream(default_codec.encode(pixels, quality=81.25))[1]


@pytest.mark.parametrize(
    ("asked", "size"),
    [("2000", 2000), ("2KB", 2000), ("2.0 kb", 2000), ("1.95KiB", 1996), (".002MB", 2000)],
)
def test_a_target_of_the_files_size(picture: Path, report: Report, asked: str, size: int) -> None:
    facts = report("encode", picture, "--target-size", asked)
    written = picture.with_suffix(".cca").stat().st_size
    assert facts["target"] == {"of": "bytes", "asked": size, "reached": written}
    assert abs(written - size) <= 0.01 * size
    assert facts["trials"] > 1


def test_a_target_of_bits_a_pixel(picture: Path, report: Report) -> None:
    facts = report("encode", picture, "--target-bpp", "1.5")
    assert facts["target"] == {"of": "bpp", "asked": 1.5, "reached": facts["bpp"]}
    assert facts["bpp"] == pytest.approx(1.5, rel=0.011)
    assert facts["file_bpp"] > facts["bpp"]


def test_a_target_of_decibels(
    picture: Path, report: Report, capsys: pytest.CaptureFixture[str], default_codec: Codec
) -> None:
    plain = report("encode", picture, "--psnr")
    asked = round(plain["psnr"] - 1, 2)
    facts = report("encode", picture, "--target-psnr", str(asked), "--overwrite")
    restored = default_codec.decode(picture.with_suffix(".cca"))
    reached = psnr(np.asarray(Image.open(picture)), restored)
    assert facts["target"]["asked"] == asked
    assert facts["target"]["reached"] == pytest.approx(reached, abs=1e-4)
    assert reached == pytest.approx(asked, abs=0.05)
    assert main(["encode", str(picture), "--target-psnr", str(asked), "--overwrite"]) == 0
    assert re.search(rf"\d+ trials for {asked} dB", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("strip", "left"),
    [
        ("icc", {"exif", "xmp"}),
        ("exif", {"icc", "xmp"}),
        ("xmp,exif", {"icc"}),
        ("all", set()),
        ("all,icc", set()),
        (None, {"icc", "exif", "xmp"}),
    ],
)
def test_metadata_is_left_out_by_kind(picture: Path, strip: str | None, left: set[str]) -> None:
    arguments = [] if strip is None else ["--strip", strip]
    assert main(["encode", str(picture), "-q", *arguments]) == 0
    info, _ = parse_stream(picture.with_suffix(".cca").read_bytes())
    assert {name for name in ("icc", "exif", "xmp") if getattr(info, name)} == left


WRONG = [
    *(
        ["encode", "{picture}", f"--quality={text}"]
        for text in ("", "abc", "nan", "inf", "-1", "1e1", "5,5", "\u0665", "9" * 5000)
    ),
    *(
        ["encode", "{picture}", f"--target-size={text}"]
        for text in (
            "", "0", "-5", "abc", "KB", "0.5", "nan", "20GB", "20K", "1e3", "20KBs", "1.2.3KB",
            "9" * 5000, "20  KB", "\u0662KB",
        )
    ),
    *(["encode", "{picture}", f"--target-bpp={text}"] for text in ("", "x", "-1", "nan", "inf")),
    *(["encode", "{picture}", f"--target-psnr={text}"] for text in ("", "x", "-1", "nan", ".")),
    ["encode", "{picture}", "--quality", "50", "--target-size", "20KB"],
    ["encode", "{picture}", "--target-bpp", "1", "--target-psnr", "30"],
    ["encode", "{picture}", "--quality"],
    ["encode", "--strip", "{picture}"],
    *(["encode", "{picture}", f"--strip={text}"] for text in ("", "gps", "icc,", "ICC", "a b")),
    *(["decode", "{stream}", f"--groups={text}"] for text in ("", "-1", "1.5", "all", "65537")),
    ["decode", "{stream}", "--preview=yes"],
    ["bench", "--quality", "nan"],
]  # fmt: skip


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_usage_is_one_line_and_code_2(
    arguments: list[str], picture: Path, stream: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(arguments, {"picture": picture, "stream": stream}, capsys)
    assert not picture.with_suffix(".cca").exists()


BAD = {
    "too good": (["encode", "{picture}", "--quality", "100.5"], "quality must be a number, 0 to"),
    "bench too good": (["bench", "--quality", "101"], "quality must be a number, 0 to 100"),
    "too many bits": (["encode", "{picture}", "--target-bpp", "1001"], "0 to 1000"),
    "too many decibels": (["encode", "{picture}", "--target-psnr", "201"], "0 to 200"),
    "too many bytes": (["encode", "{picture}", "--target-size", "99999MiB"], "1 to 8589934592"),
    "smaller than header and metadata": (["encode", "{picture}", "--target-size", "60"], "nearest"),
    "no bits": (["encode", "{picture}", "--target-bpp", "0"], "must be above 0"),
    "few bits": (["encode", "{picture}", "--target-bpp", "0.001"], "nearest"),
    "a size out of reach": (["encode", "{picture}", "--target-size", "5MB"], "nearest"),
    "decibels out of reach": (["encode", "{picture}", "--target-psnr", "90"], "nearest"),
    "more groups than there are": (["decode", "{stream}", "--groups", "5"], "0 to 4, and is 5"),
    "cut in the header": (["decode", "{header}", "--preview"], "truncated: the header ends at"),
    "nothing to show": (["decode", "{start}", "--preview"], "before anything of the picture"),
    "cut": (["decode", "{cut}"], "truncated"),
    "no bytes": (["decode", "{empty}", "--preview"], "empty"),
    "info of a model that is none": (["info", "{stream}", "--model", "none"], "no model bundle"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_code_2_and_leaves_nothing(
    case: str, picture: Path, stream: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, message = BAD[case]
    data = stream.read_bytes()
    for name, content in {
        "header": data[:30],
        "start": data[:40],
        "cut": data[:-9],
        "empty": b"",
    }.items():
        (tmp_path / name).write_bytes(content)
    before = {entry.name for entry in tmp_path.iterdir()}
    places = {name: str(tmp_path / name) for name in ("header", "start", "cut", "empty")}
    places |= {"picture": str(picture), "stream": str(stream)}
    assert main([argument.format(**places) for argument in arguments]) == 2
    errors = capsys.readouterr().err
    assert message in errors, errors
    assert errors.startswith("cca-run: error: ")
    assert errors.count("\n") == 1
    assert {entry.name for entry in tmp_path.iterdir()} == before


def test_a_target_that_one_picture_cannot_meet_spoils_no_other(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tmp_path / "plain.png"
    Image.new("RGB", (90, 100), "teal").save(plain)
    arguments = [str(plain), str(picture), "--target-size", "2000", "-o", str(tmp_path / "out")]
    assert main(["encode", *arguments]) == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["cat.cca"]
    assert "plain.png" in capsys.readouterr().err


def test_previews(stream: Path, report: Report, default_codec: Codec) -> None:
    data = stream.read_bytes()
    facts = report("decode", stream, "--groups", "1", "-o", stream.with_suffix(".ppm"))
    assert (facts["groups"], facts["groups_of_model"]) == (1, 4)
    shown = np.asarray(Image.open(stream.with_suffix(".ppm")))
    np.testing.assert_array_equal(shown, default_codec.decode(data, groups=1))
    facts = report("decode", stream, "-o", stream.with_suffix(".png"))
    assert (facts["groups"], facts["groups_of_model"]) == (4, 4)


def test_a_preview_of_a_cut_file_says_which_groups_it_has(
    stream: Path, capsys: pytest.CaptureFixture[str], default_codec: Codec
) -> None:
    data = stream.read_bytes()
    stream.write_bytes(data[: len(data) * 2 // 3])
    used, total = default_codec.decode_stream(stream, preview=True).groups
    assert main(["decode", str(stream), "--preview"]) == 0
    output = capsys.readouterr()
    assert f"90x100, {used} of {total} groups" in output.out
    assert output.err.startswith(f"cca-run: note: {stream}: the file is cut")
    assert f"of {total}" in output.err
    np.testing.assert_array_equal(
        np.asarray(Image.open(stream.with_suffix(".png"))),
        default_codec.decode(data, groups=used),
    )


def test_info_says_step_quality_and_groups(
    stream: Path, report: Report, capsys: pytest.CaptureFixture[str], native_bundle: Path
) -> None:
    facts = report("info", stream)
    assert (facts["step"], facts["quality"]) == (39 / 128, 80.0781)
    assert facts["groups"] == 4
    assert facts["bpp"] == facts["file_bpp"]
    assert facts["file_bpp"] == pytest.approx(8 * facts["bytes"] / 9000, abs=1e-6)
    assert "group_bytes" not in facts
    assert report("info", stream, "--model", native_bundle)["groups"] is None
    bundle = report("info", "default")
    assert bundle["trained_quality"] == 50
    assert bundle["steps"] == [18 / 128, 903 / 128]
    assert 0 <= bundle["smallest_scale"] <= 128
    assert main(["info", str(stream), "default"]) == 0
    assert re.search(r"quality +80.0781\n", capsys.readouterr().out)


def test_info_counts_the_bytes_of_groups(
    stream: Path, report: Report, capsys: pytest.CaptureFixture[str], default_codec: Codec,
    chelsea: NDArray[np.uint8],
) -> None:  # fmt: skip
    facts = report("info", stream, "--groups")
    encoded = default_codec.encode_picture(chelsea[:100, :90], quality=80)
    assert facts["group_bytes"] == list(encoded.group_bytes)
    assert sum(facts["group_bytes"]) == facts["payload_bytes"]
    assert main(["info", str(stream), "--groups"]) == 0
    text = capsys.readouterr().out
    shares = [float(share) for share in re.findall(r"\((\d+\.\d)%\)", text)]
    assert len(shares) == 5
    assert sum(shares) == pytest.approx(100, abs=0.3)
    assert re.search(r"group_bytes +hyper-latents \d", text)


def test_info_cannot_count_groups_of_another_models_stream(
    stream: Path, native_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", str(stream), "--groups", "--model", str(native_bundle)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "decode it with the bundle that made it" in line


def test_bench_at_a_quality(report: Report) -> None:
    sizes = {}
    for quality in ("20", "80"):
        facts = report("bench", "--size", "64x64", "--repeat", "1", "--quality", quality)
        assert facts["quality"] == pytest.approx(float(quality), abs=0.4)
        sizes[quality] = facts["stream_bytes"]
    assert sizes["80"] > 2 * sizes["20"]
