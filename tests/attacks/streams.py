"""Streams: damaged as they are, or forged field by field with checksums that fit."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import tempfile
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from random import Random

import cca_runtime
from cca_runtime.cli import main
from cca_runtime.codec import Codec
from cca_runtime.streams import NO_LIMIT, parse
from locations import ROOT
from references import format_reference

from attacks.executions import accepts
from attacks.mutation import damaged, number

STREAMS = ROOT / "tests" / "data" / "streams"
MAX_PIXELS = 1 << 16
MOST_TILES = 4096
"""The slow reader lists them all before it looks at the bytes."""


@dataclass(frozen=True)
class Forgery:
    """What goes into a stream, allowed or not; the checksums are computed."""

    width: int
    height: int
    padding: tuple[int, ...]
    model_id: bytes
    payloads: tuple[bytes, ...]
    metadata: tuple[bytes | None, ...] = (None, None, None)
    fingerprint: bytes | None = None
    tiling: tuple[int, ...] | None = None
    digests: tuple[int, ...] = ()
    """Of the payloads' latents; those that are missing are 0."""
    version: int = 3
    step: int = 0
    flags: int = 0
    lengths: dict[int, int] = field(default_factory=dict)
    """Lengths that some sections claim instead of theirs."""
    padded_lengths: bool = False
    """Whether lengths end in a byte that they do not need."""

    def sealed(self) -> bytes:
        """The stream."""
        flags = self.flags | (self.fingerprint is not None) | (self.tiling is not None) << 4
        flags |= sum((part is not None) << bit for bit, part in enumerate(self.metadata, 1))
        head = bytes.fromhex("89434341") + bytes([self.version, flags & 255]) + self.model_id
        head += struct.pack("<HH4B", self.width, self.height, *self.padding)
        head += bytes([self.step]) + (self.fingerprint or b"") + bytes(self.tiling or ())
        sections = [*self.payloads, *(part for part in self.metadata if part is not None)]
        for index, section in enumerate(sections):
            head += self._leb128(self.lengths.get(index, len(section)))
            head += struct.pack("<I", format_reference.crc32c(section))
            if index < len(self.payloads) and not flags & 1:
                digest = self.digests[index] if index < len(self.digests) else 0
                head += struct.pack("<I", digest)
        return head + struct.pack("<I", format_reference.crc32c(head)) + b"".join(sections)

    def _leb128(self, value: int) -> bytes:
        out = bytearray()
        while value >= 128 or self.padded_lengths:
            out.append(value & 127 | 128)
            value >>= 7
            if len(out) == 4:
                break
        return bytes([*out, value & 255])


def attack(random: Random) -> bool:
    stored, forgery = random.choice(_originals())
    data = damaged(stored, random) if random.random() < 0.3 else _forged(forgery, random).sealed()
    sound = accepts(lambda: parse(data, max_pixels=NO_LIMIT))
    expected = _page_allows(data)
    assert expected in (None, sound), f"the format's page says {expected}"
    if random.random() < 0.05:
        _describe(data, sound)
    return accepts(lambda: _decode(data, random)) and sound


def _forged(forgery: Forgery, random: Random) -> Forgery:
    for _ in range(random.choice((1, 1, 2, 3))):
        payloads = forgery.payloads
        which = random.randrange(len(payloads))
        match random.randrange(16):
            case 0:
                forgery = replace(forgery, width=number(random, 65_535))
            case 1:
                forgery = replace(forgery, height=number(random, 65_535))
            case 2:  # another picture of the same padded size, or of another
                left, right = random.randrange(256), random.randrange(256)
                width = 64 * random.randint(1, 9) - left - right
                padding = (left, forgery.padding[1], right, forgery.padding[3])
                forgery = replace(forgery, width=max(width, 0), padding=padding)
            case 3:
                padding = tuple(number(random, 255) for _ in range(4))
                forgery = replace(forgery, padding=padding)
            case 4:
                forgery = replace(forgery, model_id=random.randbytes(8))
            case 5:
                forgery = replace(forgery, fingerprint=random.randbytes(8))
            case 6:
                tiling = tuple(number(random, random.choice((3, 255))) for _ in range(4))
                forgery = replace(forgery, tiling=tiling)
            case 7:
                changed = damaged(payloads[which], random)
                payloads = (*payloads[:which], changed, *payloads[which + 1 :])
                forgery = replace(forgery, payloads=payloads)
            case 8:
                forgery = replace(forgery, payloads=tuple(random.sample(payloads, len(payloads))))
            case 9:
                forgery = replace(forgery, payloads=payloads * random.randint(1, 5))
            case 10:
                lengths = {which: number(random, (1 << 35) - 1)}
                forgery = replace(forgery, lengths=lengths)
            case 11:
                parts = [None, b"", b"II*\0", random.randbytes(random.randrange(300))]
                metadata = tuple(random.choice(parts) for _ in range(3))
                forgery = replace(forgery, metadata=metadata)
            case 12:
                forgery = replace(forgery, version=random.randrange(256))
            case 13:
                forgery = replace(forgery, step=random.randrange(256))
            case 14:
                digests = tuple(number(random, (1 << 32) - 1) for _ in payloads)
                forgery = replace(forgery, digests=digests)
            case _:
                forgery = replace(
                    forgery,
                    flags=1 << random.randrange(8),
                    padded_lengths=random.random() < 0.5,
                )
    return forgery


def _page_allows(data: bytes) -> bool | None:
    """What a reader of docs/spec/format.md says; None if it would take too long."""
    if len(data) > 27 and data[5] & 16:
        width, height, *padding = struct.unpack_from("<HH4B", data, 14)
        across, down, columns, rows = data[23:27] if not data[5] & 1 else (data + bytes(8))[31:35]
        if min(across, down, columns, rows) > 0:
            pixels = (width + sum(padding[::2])) * (height + sum(padding[1::2]))
            if pixels / (4096 * across * down * columns * rows) > MOST_TILES:
                return None
    try:
        format_reference.parse(data)
    except (AssertionError, IndexError, struct.error):
        return False
    return True


def _decode(data: bytes, random: Random) -> None:
    codec = _codec()
    if random.random() < 0.7:
        info, _ = parse(data)
        assert codec.decode(data).shape == (info.height, info.width, 3)
        return
    x, y, width, height = (random.choice((0, 1, 5, 64, 149)) for _ in range(4))
    assert codec.decode(data, region=(x, y, width, height)).shape == (height, width, 3)


def _describe(data: bytes, sound: bool) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "forged.cca")
        path.write_bytes(data)
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            code = main(["info", "--json", str(path)])
    assert code == (0 if sound else 2)
    if sound:
        assert json.loads(out.getvalue())["kind"] == "stream"
    else:
        assert errors.getvalue().removesuffix("\n").isprintable()


@cache
def _codec() -> Codec:
    return cca_runtime.load(STREAMS / "model.bundle", max_pixels=MAX_PIXELS)


@cache
def _originals() -> list[tuple[bytes, Forgery]]:
    names = ("crop-64x64", "one-pixel", "odd-100x75", "tiled/six-150x100")
    return [_taken_apart((STREAMS / f"{name}.cca").read_bytes()) for name in names]


def _taken_apart(data: bytes) -> tuple[bytes, Forgery]:
    stream = format_reference.parse(data)
    tiled = tuple(tile.payload for tile in stream.tiles)
    sections = stream.sections
    forgery = Forgery(
        stream.width,
        stream.height,
        stream.padding,
        stream.model_id,
        tiled or (sections["payload"],),
        tuple(sections.get(name) for name in ("icc", "exif", "xmp")),
        stream.fingerprint,
        tuple(data[23:27]) if tiled else None,
        tuple(stream.digests),
    )
    assert forgery.sealed() == data
    return data, forgery
