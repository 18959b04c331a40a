"""Manifests: their text damaged, or a value exchanged. Python and C must say the same of each."""

from __future__ import annotations

import ctypes
import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import cca_runtime
from cca_runtime.bundle import open_bundle

from attacks.bundles import MODEL, restore, scratch
from attacks.executions import accepts
from attacks.mutation import EDGES, damaged

VALUES: tuple[Any, ...] = (None, True, False, -1, 0, 1.5, 1e300, 10**30, "", "a\nb", "\u202e", "\0")
VALUES += ([], {}, [[]] * 40, {"a": 1}, "../../etc/passwd", "x" * 5000, *EDGES)
TEXTS = ("1e400", "-0", "NaN", "Infinity", "01", "1.", '"\\ud800"', "'a'", "9" * 5000, "[" * 100)
TEXTS += ('{"a": 1, "a": 1}', "3.0", "3e0", "\ufeff1", "//", '"\udc80"')


class View(ctypes.Structure):
    _fields_ = (("data", ctypes.c_char_p), ("size", ctypes.c_size_t))


def attack(random: Random) -> bool:
    text = _mutant(random)
    try:
        (scratch() / "manifest.json").write_bytes(text)
        accepted = accepts(lambda: open_bundle(scratch()).read_tables())
    finally:
        restore("manifest.json")
    assert accepted == _c_accepts(text), f"Python says {accepted}"
    if accepted:
        _expect_strict_json(text)
    return accepted


def _mutant(random: Random) -> bytes:
    text = (MODEL / "manifest.json").read_bytes()
    if random.random() < 0.4:
        return damaged(text, random)
    manifest = json.loads(text)
    place, key = random.choice(list(_places(manifest)))
    match random.randrange(4):
        case 0 | 1:
            place[key] = random.choice(VALUES)
        case 2:
            del place[key]
        case _:
            place[key] = "\ue000"
            raw = random.choice(TEXTS).encode("utf-8", "surrogateescape")
            return json.dumps(manifest).encode().replace(b'"\\ue000"', raw)
    return json.dumps(manifest).encode()


def _places(value: Any) -> Any:
    """Every member and element, as its container and key."""
    keys = value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    for key in list(keys):
        yield value, key
        yield from _places(value[key])


def _c_accepts(text: bytes) -> bool:
    model = ctypes.c_void_p()
    tables = (MODEL / "tables.bin").read_bytes()
    views = View(text, len(text)), View(tables, len(tables))
    status = _library().cca_model_open(*views, ctypes.byref(model))
    _library().cca_model_free(model)
    return bool(status == 0)


def _expect_strict_json(text: bytes) -> None:
    def no_constant(name: str) -> None:
        raise AssertionError(name)

    def once(members: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(members)) == len(members)
        return dict(members)

    manifest = json.loads(text.decode(), parse_constant=no_constant, object_pairs_hook=once)
    assert manifest["format"] == "cca-bundle"


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(Path(cca_runtime.__file__ or "").parent / "lib" / "libcca.so"))
    library.cca_model_open.argtypes = (View, View, ctypes.c_void_p)
    library.cca_model_free.argtypes = (ctypes.c_void_p,)
    library.cca_model_free.restype = None
    return library
