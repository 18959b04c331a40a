"""libcca as another language binds it: structures of cca.h, and a host that is four functions."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import contextmanager
from ctypes import (
    POINTER,
    Structure,
    byref,
    c_char_p,
    c_int,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from cca_runtime.bundle import Bundle
from cca_runtime.graph_runner import GraphRunner
from cca_runtime.host import EngineHost
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cca_core import Binding
    from cca_engines import Engine

Pixels: TypeAlias = NDArray[np.uint8]

DTYPES = ("float32", "int32", "uint8")
MOST_AXES = 5
OK, TILE_NONE = 0, 2**32 - 1


class View(Structure):
    _fields_ = (("data", c_void_p), ("size", c_size_t))


class TensorLayout(Structure):
    _fields_ = (("dtype", c_uint32), ("rank", c_uint32), ("shape", c_uint64 * MOST_AXES))

    def shape_and_type(self) -> tuple[tuple[int, ...], str]:
        return tuple(self.shape[: self.rank]), DTYPES[self.dtype]


class BindingOf(Structure):
    _fields_ = (
        ("name", c_char_p),
        ("slot", c_uint32),
        ("is_rows", c_uint32),
        ("first_row", c_uint64),
        ("tensor", TensorLayout),
    )

    def as_core(self) -> Binding:
        shape, dtype = self.tensor.shape_and_type()
        row = self.first_row if self.is_rows else None
        return self.name.decode(), self.slot, row, dtype, shape


class Step(Structure):
    _fields_ = (
        ("kind", c_uint32),
        ("slot", c_uint32),
        ("tensor", TensorLayout),
        ("source", c_void_p),
        ("target", c_void_p),
        ("size", c_size_t),
        ("graph", c_uint32),
        ("input_count", c_uint32),
        ("output_count", c_uint32),
        ("inputs", POINTER(BindingOf)),
        ("outputs", POINTER(BindingOf)),
    )


HostFunction = ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(Step))


class HostOf(Structure):
    _fields_ = (
        ("struct_size", c_size_t),
        ("context", c_void_p),
        ("upload", HostFunction),
        ("run", HostFunction),
        ("download", HostFunction),
        ("free", HostFunction),
    )


class Limits(Structure):
    _fields_ = (
        ("max_pixels", c_uint64),
        ("max_tensor_bytes", c_uint64),
        ("max_metadata", c_uint64),
        ("max_tiles", c_uint64),
    )


class Region(Structure):
    _fields_ = (("x", c_uint32), ("y", c_uint32), ("width", c_uint32), ("height", c_uint32))


class DecodeOptions(Structure):
    _fields_ = (
        ("struct_size", c_size_t),
        ("limits", Limits),
        ("region", Region),
        ("fingerprint", c_void_p),
        ("workers", c_uint32),
        ("keep_going", c_uint32),
    )


class EncodeOptions(Structure):
    _fields_ = (
        ("struct_size", c_size_t),
        ("limits", Limits),
        ("fingerprint", c_void_p),
        ("tile_side", c_uint32),
        ("reconstruct", c_uint32),
        ("workers", c_uint32),
        ("reserved", c_uint32),
    )


class PictureOf(Structure):
    _fields_ = (
        ("pixels", c_void_p),
        ("width", c_uint32),
        ("height", c_uint32),
        ("icc", View),
        ("exif", View),
        ("xmp", View),
    )


class CError(Exception):
    """A call that failed: the name of its status, and cca_last_error()."""


def view(data: bytes) -> View:
    """The caller keeps `data`."""
    return View(ctypes.cast(ctypes.c_char_p(data), c_void_p), len(data))


class CCodec:
    """A bundle on an engine, coded by the machines of a libcca."""

    def __init__(self, library: Path, bundle: Bundle, engine: Engine) -> None:
        self.library = ctypes.CDLL(str(library))
        for name in ("cca_last_error", "cca_status_name"):
            getattr(self.library, name).restype = c_char_p
        manifest = (bundle.path / "manifest.json").read_bytes()
        tables = (bundle.path / "tables.bin").read_bytes()
        self._host = EngineHost(engine, GraphRunner(bundle, engine))
        self._model = c_void_p()
        self._check(self.library.cca_model_open(view(manifest), view(tables), byref(self._model)))

    def close(self) -> None:
        self.library.cca_model_free(self._model)

    def decode(
        self, stream: bytes, options: DecodeOptions | None = None, host: HostOf | None = None
    ) -> Pixels:
        arguments = [self._model, view(stream), _reference(options), byref(host or self.host())]
        with self._machine("decode", "decoder", arguments) as decoder:
            picture = PictureOf()
            self._check(self.library.cca_decoder_picture(decoder, c_size_t(0), byref(picture)))
            return _pixels(picture.pixels, picture.height, picture.width)

    def encode(
        self, pixels: Pixels, options: EncodeOptions | None = None
    ) -> tuple[bytes, Pixels | None]:
        """The stream, and the reconstruction if the options ask for one."""
        height, width, _ = pixels.shape
        picture = PictureOf(pixels.ctypes.data, width, height)
        arguments = [self._model, byref(picture), _reference(options), byref(self.host())]
        with self._machine("encode", "encoder", arguments) as encoder:
            found = View()
            self._check(self.library.cca_encoder_stream(encoder, c_size_t(0), byref(found)))
            stream = ctypes.string_at(found.data, found.size)
            if options is None or not options.reconstruct:
                return stream, None
            self._check(self.library.cca_encoder_reconstruction(encoder, c_size_t(0), byref(found)))
            return stream, _pixels(found.data, height, width)

    def host(self, fail_at: str = "") -> HostOf:
        """The engine as functions, of which one may fail with 7."""

        def function(name: str) -> Any:
            work: Callable[[Step], None] = getattr(self, f"_{name}")

            def call(context: int, step: Any) -> int:
                assert context == 1234
                if name == fail_at:
                    return 7
                work(step.contents)
                return 0

            return HostFunction(call)

        functions = map(function, ("upload", "run", "download", "free"))
        return HostOf(ctypes.sizeof(HostOf), 1234, *functions)

    @contextmanager
    def _machine(self, verb: str, kind: str, arguments: list[Any]) -> Iterator[c_void_p]:
        machine = c_void_p()
        try:
            self._check(getattr(self.library, f"cca_{verb}_with")(*arguments, byref(machine)))
            yield machine
        finally:
            getattr(self.library, f"cca_{kind}_free")(machine)

    def _check(self, status: int) -> None:
        if status != OK:
            name = self.library.cca_status_name(status).decode()
            raise CError(f"{name}: {self.library.cca_last_error().decode()}")

    def _upload(self, step: Step) -> None:
        shape, dtype = step.tensor.shape_and_type()
        if not step.source:
            return self._host.allocate(step.slot, dtype, shape)
        data = ctypes.string_at(step.source, step.size)
        return self._host.upload(step.slot, np.frombuffer(data, dtype).reshape(shape))

    def _run(self, step: Step) -> None:
        self._host.run(
            step.graph,
            [step.inputs[i].as_core() for i in range(step.input_count)],
            [step.outputs[i].as_core() for i in range(step.output_count)],
        )

    def _download(self, step: Step) -> None:
        array = self._host.download(step.slot)
        assert (array.shape, array.dtype) == step.tensor.shape_and_type()
        assert array.nbytes == step.size
        ctypes.memmove(step.target, array.ctypes.data, step.size)

    def _free(self, step: Step) -> None:
        self._host.free(step.slot)


def decode_options(**fields: Any) -> DecodeOptions:
    return DecodeOptions(struct_size=ctypes.sizeof(DecodeOptions), **fields)


def encode_options(**fields: Any) -> EncodeOptions:
    return EncodeOptions(struct_size=ctypes.sizeof(EncodeOptions), **fields)


def _reference(options: Structure | None) -> Any:
    return None if options is None else byref(options)


def _pixels(address: int, height: int, width: int) -> Pixels:
    return np.frombuffer(ctypes.string_at(address, 3 * height * width), np.uint8).reshape(
        height, width, 3
    )
