"""Many pictures at once against one after the other, in one run.

    python benchmarks/pipeline.py > benchmarks/results/pipeline.md

A loop over `Codec.encode` or `decode` gives each picture all cores; a list shares them among
pictures. Both are timed in turn, on the same threads and pictures. Folders are what `cca-run`
makes of the same pictures as PNG files, with all that is to be loaded, read and written, beside
a loop over the same steps.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from cca_engines import open_engine
from cca_engines.processor import processor_name, usable_cores
from cca_runtime.bundle import open_bundle
from cca_runtime.cli import main as cca_run
from cca_runtime.codec import Codec
from cca_runtime.loading import load
from cca_runtime.pictures import Picture, Pixels, format_picture, read_picture
from gpu import picture_of


def pictures(size: str, count: int) -> list[Pixels]:
    """Different pictures of one size: one photograph, moved sideways."""
    picture = picture_of(size)
    return [np.ascontiguousarray(np.roll(picture, 16 * index, axis=1)) for index in range(count)]


def loop_over_files(engine: str, sources: Sequence[Path], folder: Path, extension: str) -> None:
    """What `cca-run` does, one file after the other."""
    codec = load(engine=engine)
    for source in sources:
        data = source.read_bytes()
        if extension == ".cca":
            output = codec.encode_picture(read_picture(data)).data
        else:
            output = format_picture(codec.decode_stream(data).picture, extension).data
        (folder / source.with_suffix(extension).name).write_bytes(output)


def compare(
    label: str, alone: Callable[[], object], together: Callable[[], object], count: int, rounds: int
) -> None:
    """A table row: medians of pictures a second, and of the rounds' ratios."""
    alone()  # loads graphs
    together()
    pairs = []
    for _ in range(rounds):
        start = time.perf_counter()
        alone()
        middle = time.perf_counter()
        together()
        pairs.append((middle - start, time.perf_counter() - middle))
    first, second = (count / statistics.median(times) for times in zip(*pairs, strict=True))
    ratios = sorted(one / other for one, other in pairs)
    ratio = statistics.median(ratios)
    speeds = f"{first:.2f} | {second:.2f} | {ratio:.2f} | {ratios[0]:.2f} to {ratios[-1]:.2f}"
    print(f"| {label} | {speeds} |", flush=True)


def compare_codec(codec: Codec, name: str, images: list[Pixels], rounds: int) -> None:
    streams = codec.encode(images)
    if streams != [codec.encode(image) for image in images]:
        sys.exit("a list gives other streams than single calls")
    count = len(images)
    compare(
        f"{name}, encode",
        lambda: [codec.encode(image) for image in images],
        lambda: codec.encode(images),
        count,
        rounds,
    )
    compare(
        f"{name}, decode",
        lambda: [codec.decode(stream) for stream in streams],
        lambda: codec.decode(streams),
        count,
        rounds,
    )


def compare_folders(name: str, images: list[Pixels], workers: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        originals, coded, restored, alone = (Path(place, part) for part in "ocra")
        for folder in (originals, alone):
            folder.mkdir()
        for index, image in enumerate(images):
            data = format_picture(Picture(image), ".png").data
            (originals / f"{index:03}.png").write_bytes(data)
        options = ["--engine", name, "--workers", str(workers), "--overwrite", "--quiet"]
        for command, source, target, extension in (
            ("encode", originals, coded, ".cca"),
            ("decode", coded, restored, ".png"),
        ):
            arguments = [command, str(source), "-o", str(target), *options]
            if cca_run(arguments) != 0:
                sys.exit(f"cca-run {command} failed")
            files = sorted(source.iterdir())
            compare(
                f"{name}, {command} a folder",
                lambda files=files, extension=extension: loop_over_files(
                    name, files, alone, extension
                ),
                lambda arguments=arguments: cca_run(arguments),
                len(images),
                rounds,
            )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", help="bundle (default: the shipped one)")
    parser.add_argument("--engines", default="onnxruntime,openvino", help="to compare")
    parser.add_argument("--size", default="768x512", metavar="WxH")
    parser.add_argument("--count", type=int, default=32, help="pictures (default: 32)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    bundle = open_bundle(options.model)
    images = pictures(options.size, options.count)
    print("# Many pictures at once\n")
    print(f"Model {bundle.name}, {len(images)} pictures of {options.size}, ", end="")
    print(f"{options.workers} workers on {usable_cores()} cores of {processor_name()}, ", end="")
    print(f"load average {os.getloadavg()[0]:.1f}; medians of {options.rounds} rounds.\n")
    print("| | loop, pictures/s | at once, pictures/s | ratio | of the rounds |")
    print("|---|--:|--:|--:|--:|")
    for name in options.engines.split(","):
        codec = Codec(bundle, open_engine(name), workers=options.workers)
        compare_codec(codec, name, images, options.rounds)
        if options.model is None:
            compare_folders(name, images, options.workers, options.rounds)


if __name__ == "__main__":
    main()
