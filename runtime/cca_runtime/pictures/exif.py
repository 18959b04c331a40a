"""EXIF data: read, made fit for a picture that is upright and of a size of its own, written.

The data are a small TIFF file without pixels: directories of tagged values, of which the first
points to others (EXIF 3.0, 4.5 and 4.6). Values are kept as they are, byte for byte.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from cca_runtime.pictures.picture import MAX_METADATA_BYTES

PREFIX = b"Exif\0\0"

_ORIENTATION, _EXIF, _GPS, _INTEROP = 0x0112, 0x8769, 0x8825, 0xA005
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
_COLOUR_SPACE, _PIXELS_ACROSS, _PIXELS_DOWN, _INTEROP_INDEX = 0xA001, 0xA002, 0xA003, 0x0001
_INCH, _CENTIMETRE, _CM_AN_INCH = 2, 3, 2.54
_USUAL_DPI = 72.0
"""What EXIF says a resolution is where nobody knows."""

_BYTE, _SHORT, _LONG, _RATIONAL = 1, 3, 4, 5
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
_MOST_ENTRIES = 1024
"""Of one directory; cameras write some fifty."""

_OF_THE_FILE = {
    *range(254, 269), 273, *range(277, 282), 284, *range(288, 294), 297, 301, *range(317, 348),
    *range(512, 533), 700, 33723, 34377, 34675, 37724, 50838, 50839,
}  # fmt: skip
"""Tags of the first directory that say how a TIFF file or a thumbnail keeps its samples, where,
and in which colours; and metadata that have places of their own."""

_Directory = dict[int, "_Entry"]


@dataclass(frozen=True)
class _Entry:
    """One value: its type, how many there are, and their bytes."""

    kind: int
    count: int
    value: bytes


@dataclass
class Exif:
    """EXIF data.

    Attributes:
        order: `<` or `>`.
        main: The first directory, without pointers to the others.
        camera: The EXIF directory.
        gps: Where the picture was taken.
        interoperability: Which rules the file follows.
        damaged: Whether something could not be read, and is missing.
    """

    order: str = "<"
    main: _Directory = field(default_factory=dict)
    camera: _Directory = field(default_factory=dict)
    gps: _Directory = field(default_factory=dict)
    interoperability: _Directory = field(default_factory=dict)
    damaged: bool = False

    @property
    def orientation(self) -> int:
        """How the picture has to be turned: 1, as it is, to 8."""
        value = self._number(self.main, _ORIENTATION)
        return value if value is not None and 1 <= value <= 8 else 1

    @property
    def is_adobe_rgb(self) -> bool:
        """Whether the colours are Adobe RGB (DCF 2.0: the "R03" files, or colour space 2)."""
        index = self.interoperability.get(_INTEROP_INDEX)
        says_so = index is not None and index.value.startswith(b"R03")
        return says_so or self._number(self.camera, _COLOUR_SPACE) == 2

    @property
    def is_uncalibrated(self) -> bool:
        """Whether the colours are said to be something else than sRGB."""
        return self._number(self.camera, _COLOUR_SPACE) not in (None, 1, 2)

    @property
    def dpi(self) -> tuple[float, float] | None:
        """Pixels an inch, across and down."""
        unit = self._number(self.main, _RESOLUTION_UNIT) or _INCH
        scale = {_INCH: 1.0, _CENTIMETRE: _CM_AN_INCH}.get(unit)
        across, down = (self._fraction(tag) for tag in (_X_RESOLUTION, _Y_RESOLUTION))
        return (across * scale, down * scale) if scale and across and down else None

    def make_upright(self, width: int, height: int, *, sideways: bool) -> None:
        """Say that the picture needs no turning, and how large it is.

        Args:
            width: Pixels.
            height: Pixels.
            sideways: Whether it was turned by a quarter, so that resolutions change places.
        """
        self.main = {tag: e for tag, e in self.main.items() if tag not in _OF_THE_FILE}
        self.main.pop(_ORIENTATION, None)
        across, down = self.main.get(_X_RESOLUTION), self.main.get(_Y_RESOLUTION)
        if sideways and across and down:
            self.main |= {_X_RESOLUTION: down, _Y_RESOLUTION: across}
        for tag, pixels in ((_PIXELS_ACROSS, width), (_PIXELS_DOWN, height)):
            if tag in self.camera:
                self.camera[tag] = _Entry(_LONG, 1, struct.pack(self.order + "I", pixels))

    def set_dpi(self, dpi: tuple[float, float]) -> None:
        """Say pixels an inch, unless there is a resolution, or it says nothing."""
        known = {_X_RESOLUTION, _Y_RESOLUTION} & self.main.keys()
        if known or not all(0.01 <= value <= 1e6 for value in dpi):
            return
        if all(round(value, 1) == _USUAL_DPI for value in dpi):
            return
        for tag, value in zip((_X_RESOLUTION, _Y_RESOLUTION), dpi, strict=True):
            # PNG counts by the metre: 300 dots an inch come as 299.9994.
            near = round(value) if abs(value - round(value)) < 0.01 else value
            fraction = struct.pack(self.order + "II", round(near * 1000), 1000)
            self.main[tag] = _Entry(_RATIONAL, 1, fraction)
        self.main[_RESOLUTION_UNIT] = _Entry(_SHORT, 1, struct.pack(self.order + "H", _INCH))

    def to_bytes(self) -> bytes | None:
        r"""The data with `Exif\\0\\0` before them; None if there are none."""
        if not (self.main or self.camera or self.gps):
            return None
        writer = _Writer(self.order)
        camera: tuple[_Directory, _Children] = (
            self.camera,
            {_INTEROP: (self.interoperability, {})},
        )
        writer.add(self.main, {_EXIF: camera, _GPS: (self.gps, {})})
        return PREFIX + bytes(writer.data)

    def _number(self, directory: _Directory, tag: int) -> int | None:
        entry = directory.get(tag)
        if entry is None or entry.count != 1 or entry.kind not in (_BYTE, _SHORT, _LONG):
            return None
        return int.from_bytes(entry.value, "little" if self.order == "<" else "big")

    def _fraction(self, tag: int) -> float | None:
        entry = self.main.get(tag)
        if entry is None or entry.count != 1 or entry.kind != _RATIONAL:
            return None
        above, below = struct.unpack(self.order + "II", entry.value)
        return above / below if below else None


def parse_exif(data: bytes) -> Exif:
    r"""Read EXIF data, or the tags of a TIFF file, as far as they are sound.

    Args:
        data: With or without `Exif\\0\\0` before them.
    """
    exif = Exif()
    data = data.removeprefix(PREFIX)
    exif.order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4], "")
    if not exif.order or len(data) < 8:
        return Exif(damaged=True)
    reader = _Reader(data, exif.order)
    exif.main = reader.directory(struct.unpack_from(exif.order + "I", data, 4)[0])
    wrong = exif.main.get(_ORIENTATION) is not None and not exif._number(exif.main, _ORIENTATION)
    exif.camera = reader.pointed(exif.main, _EXIF)
    exif.gps = reader.pointed(exif.main, _GPS)
    exif.interoperability = reader.pointed(exif.camera, _INTEROP)
    exif.damaged = reader.damaged or wrong
    return exif


class _Reader:
    """Reads directories within the data and within a budget of bytes."""

    def __init__(self, data: bytes, order: str) -> None:
        self._data = data
        self._order = order
        self._budget = MAX_METADATA_BYTES
        self.damaged = False

    def directory(self, offset: int) -> _Directory:
        if offset + 2 > len(self._data):
            self.damaged = True
            return {}
        (count,) = struct.unpack_from(self._order + "H", self._data, offset)
        room = (len(self._data) - offset - 2) // 12
        if count > min(room, _MOST_ENTRIES):
            self.damaged = True
        entries = {}
        for index in range(min(count, room, _MOST_ENTRIES)):
            tag, entry = self._entry(offset + 2 + 12 * index)
            if entry is not None:
                entries[tag] = entry
        return entries

    def pointed(self, directory: _Directory, tag: int) -> _Directory:
        """The directory that a value points to; the pointer goes."""
        pointer = directory.pop(tag, None)
        if pointer is None:
            return {}
        if pointer.count != 1 or pointer.kind not in (_LONG, 13):
            self.damaged = True
            return {}
        return self.directory(struct.unpack(self._order + "I", pointer.value)[0])

    def _entry(self, at: int) -> tuple[int, _Entry | None]:
        tag, kind, count = struct.unpack_from(self._order + "HHI", self._data, at)
        if tag in _OF_THE_FILE:
            return tag, None
        size = _SIZES.get(kind, 0) * count
        start = at + 8
        if size > 4:
            (start,) = struct.unpack_from(self._order + "I", self._data, start)
        if size == 0 or size > self._budget or start + size > len(self._data):
            self.damaged = True
            return tag, None
        self._budget -= size
        return tag, _Entry(kind, count, self._data[start : start + size])


_Children = dict[int, tuple[_Directory, "_Children"]]


class _Writer:
    """Writes directories one after the other, each with its values behind it."""

    def __init__(self, order: str) -> None:
        self._order = order
        self.data = bytearray(b"II*\0" if order == "<" else b"MM\0*")
        self.data += struct.pack(order + "I", 8)

    def add(self, directory: _Directory, children: _Children) -> None:
        """Append a directory, and those that it points to."""
        children = {tag: child for tag, child in children.items() if child[0]}
        pointer = _Entry(_LONG, 1, bytes(4))
        entries = {**directory, **dict.fromkeys(children, pointer)}
        start = len(self.data)
        self.data += struct.pack(self._order + "H", len(entries))
        self.data += bytes(12 * len(entries) + 4)  # filled in below; no directory follows
        for index, (tag, entry) in enumerate(sorted(entries.items())):
            if tag in children:
                place = struct.pack(self._order + "I", len(self.data))
                self.add(*children[tag])
            elif len(entry.value) <= 4:
                place = entry.value.ljust(4, b"\0")
            else:
                place = struct.pack(self._order + "I", len(self.data))
                self.data += entry.value + b"\0" * (len(entry.value) % 2)
            record = struct.pack(self._order + "HHI", tag, entry.kind, entry.count) + place
            at = start + 2 + 12 * index
            self.data[at : at + 12] = record
