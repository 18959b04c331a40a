"""How the installed libraries were built, read from their ELF headers (the System V ABI)."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import cca_runtime
import pytest
from cca_core import _core

PT_DYNAMIC, PT_GNU_STACK, PT_GNU_RELRO = 2, 0x6474E551, 0x6474E552
DT_FLAGS, DT_FLAGS_1 = 30, 0x6FFFFFFB
BIND_NOW, NOW = 8, 1
EXECUTABLE = 1

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads ELF files")


@pytest.fixture(params=["module", "libcca"])
def library(request: pytest.FixtureRequest) -> bytes:
    if request.param == "module":
        return Path(_core.__file__ or "").read_bytes()
    return (Path(cca_runtime.__file__ or "").parent / "lib" / "libcca.so").read_bytes()


def segments(elf: bytes) -> dict[int, tuple[int, int, int]]:
    """Flags, offset and size of each kind of segment."""
    assert elf[:6] == b"\x7fELF\x02\x01", "64 bits, little endian"
    (start,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    found = {}
    for index in range(count):
        kind, flags, offset, _, _, length = struct.unpack_from("<IIQQQQ", elf, start + index * size)
        found[kind] = (flags, offset, length)
    return found


def dynamic(elf: bytes) -> dict[int, int]:
    _, offset, length = segments(elf)[PT_DYNAMIC]
    return dict(struct.iter_unpack("<QQ", elf[offset : offset + length]))


def test_no_stack_is_executable(library: bytes) -> None:
    assert not segments(library)[PT_GNU_STACK][0] & EXECUTABLE


def test_relocations_are_done_at_start_and_read_only(library: bytes) -> None:
    assert PT_GNU_RELRO in segments(library)
    tags = dynamic(library)
    assert tags.get(DT_FLAGS, 0) & BIND_NOW or tags.get(DT_FLAGS_1, 0) & NOW


def test_stacks_are_guarded(library: bytes) -> None:
    assert b"\0__stack_chk_fail\0" in library


def test_calls_of_the_c_library_are_checked() -> None:
    """The module's; libcca has none of those."""
    module = Path(_core.__file__ or "").read_bytes()
    assert b"_chk\0" in module.replace(b"__stack_chk_fail", b"")
