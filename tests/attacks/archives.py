"""`conformance.npz` and `tables.bin`, damaged, with a manifest that fits them."""

from __future__ import annotations

import io
import zipfile
from random import Random

import numpy as np
from cca_runtime.bundle import Bundle, open_bundle
from forgery import put_file

from attacks.bundles import MODEL, restore, scratch
from attacks.executions import accepts
from attacks.mutation import damaged, number


def attack(random: Random) -> bool:
    if random.random() < 0.3:
        name, file = "tables", "tables.bin"
        data = damaged((MODEL / file).read_bytes(), random)
    else:
        name, file = "conformance", "conformance.npz"
        data = (MODEL / file).read_bytes()
        data = damaged(data, random) if random.random() < 0.5 else _repacked(data, random)
    if not data:
        return False  # no manifest allows an empty file
    try:
        put_file(scratch(), name, data)
        return accepts(_read)
    finally:
        restore("manifest.json", file)


def _read() -> None:
    bundle = open_bundle(scratch())
    tables = bundle.read_tables()
    assert len(tables["z"]) == bundle.hyper_channels
    _check_vectors(bundle)


def _check_vectors(bundle: Bundle) -> None:
    assert bundle.conformance is not None
    cases = bundle.conformance.cases
    for case, inputs in zip(cases, bundle.conformance.read(cases), strict=True):
        shape = (case.batch, bundle.latent_channels, case.latent_height, case.latent_width)
        assert inputs.symbols.shape == shape
        assert np.array_equal(inputs.symbols, inputs.symbols.astype(np.int16))


def _repacked(data: bytes, random: Random) -> bytes:
    """The same entries, sound but for some, in an archive of another kind."""
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        victim = random.choice(old.namelist())
        for name in old.namelist():
            content, target = old.read(name), name
            if name == victim:
                content, target = _forged(content, name, random)
            entry = zipfile.ZipInfo(target)
            entry.compress_type = random.choice(methods[:2])
            if name == victim and random.random() < 0.3:
                entry.compress_type = random.choice(methods)
            new.writestr(entry, content)
    return out.getvalue()


def _forged(content: bytes, name: str, random: Random) -> tuple[bytes, str]:
    match random.randrange(6):
        case 0:
            return content + bytes(number(random, 1 << 24)), name
        case 1:
            shape = tuple(number(random, 1 << 31) for _ in range(random.randrange(5)))
            header = f"{{'descr': '<i2', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
            size = len(header).to_bytes(2, "little")
            return b"\x93NUMPY\x01\x00" + size + header + content[128:], name
        case 2:
            return damaged(content[:200], random) + content[200:], name
        case 3:
            return content, random.choice(("", "../x.npy", "a.npy", "a/b.npy", name[:-4], "\ud7ff"))
        case 4:
            header = b"(" * 5000
            size = len(header).to_bytes(2, "little")
            return b"\x93NUMPY\x01\x00" + size + header, name
        case _:
            array = io.BytesIO()
            np.save(array, np.array([{}], dtype=object), allow_pickle=True)
            return array.getvalue(), name
