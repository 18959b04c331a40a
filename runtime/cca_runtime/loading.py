"""Opening a model on an engine."""

from __future__ import annotations

import logging
import os
from typing import Any

from cca_core import DEFAULT_MAX_PIXELS
from cca_engines import (
    DEFAULT_ENGINE,
    Engine,
    EngineError,
    Precision,
    engines_by_speed,
    open_engine,
    third_party_engines,
)

from cca_runtime.arguments import BY_SIZE, MOST_THREADS, named, show, true_or_false, whole_number
from cca_runtime.bundle import Bundle, open_bundle
from cca_runtime.codec import WORKERS, Codec, Reopening
from cca_runtime.errors import BadInputError, FailureError, only_cca_errors
from cca_runtime.plans import plan_options

FASTEST = "auto"
"""As an engine: the fastest that works here."""

_log = logging.getLogger(__name__)


def load(
    path_or_name: str | os.PathLike[str] | None = None,
    engine: str = DEFAULT_ENGINE,
    *,
    precision: Precision | None = None,
    threads: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    workers: int = WORKERS,
    tile: int | str | None = BY_SIZE,
    trust_plans: bool = False,
    keep_going: bool = False,
) -> Codec:
    """Open a model.

    The first time a model in exact mode meets an engine on this machine, the engine
    is compared with the bundle's fast conformance cases; one that compiles plans always is.

    Args:
        path_or_name: A bundle directory, the name of a model that ships with the
            package, or None for the default model.
        engine: The backend that runs the graphs; `auto` for the fastest that works here (why
            others do not is logged).
        precision: What it computes in where results need not be exact; None for its default.
            `openvino` has `float32` and, on processors that have it, `bfloat16`.
        threads: Threads that the engine runs a graph on; None for as many as there are processor
            cores that this process may use. GPUs have their own. Up to 1,024.
        max_pixels: Streams and pictures of more pixels than this, padding included,
            are refused.
        workers: Pictures that are coded at once, of a list or for threads; and tiles. Up to 1,024.
        tile: Longest side, in pixels, of the tiles that pictures are encoded in: a multiple of
            64, up to 16,320. `auto`: tiles of up to 3,072 for pictures of more than 2^21 pixels;
            None: every picture in one piece. What is decoded is as the stream says.
        trust_plans: Whether plans inside the bundle may be used, for engines that have them.
            They are code: trust them as you would trust a program.
        keep_going: Decode a picture even if its latents are not those that the encoder had, which
            `Decoded.notes` then says. Without, it is a FailureError.

    Raises:
        BadInputError: No such bundle, or it is broken; an argument is of another kind, or out
            of its range.
        FailureError: The engine is unknown or not installed, cannot be used here, does not
            have this precision, or does not compute the model exactly.
    """
    if path_or_name is not None and not isinstance(path_or_name, str | os.PathLike):
        raise BadInputError(f"a model must be a path, a name or None, and is {show(path_or_name)}")
    named(engine, "the engine")
    if precision is not None:
        named(precision, "the precision")
    if threads is not None:
        threads = whole_number(threads, "threads", 1, MOST_THREADS)
    true_or_false(trust_plans, "trust_plans")
    settings: dict[str, Any] = {
        "precision": precision,
        "threads": threads,
        "trust_plans": trust_plans,
    }

    def opened(name: str) -> Codec:
        codec = Codec(
            bundle,
            _open_engine(name, bundle, **settings),
            max_pixels=max_pixels,
            workers=workers,
            tile=tile,
            keep_going=keep_going,
            reopening=Reopening(_reopen, settings),
        )
        codec.check_engine()
        return codec

    with only_cca_errors():
        bundle = open_bundle(path_or_name)
        if engine != FASTEST:
            return opened(engine)
        for name in third_party_engines():
            _log.info("engine %s is not tried, its speed is unknown: ask for it by name", name)
        *faster, surest = engines_by_speed()
        for name in faster:
            try:
                codec = opened(name)
                codec.load_prior()
                return codec
            except FailureError as error:
                _log.info("engine %s cannot be used: %s", name, error)
        return opened(surest)


def _reopen(path: str, engine: str, options: dict[str, Any]) -> Codec:
    return load(path, engine, **options)


def _open_engine(
    name: str,
    bundle: Bundle,
    *,
    precision: Precision | None,
    threads: int | None,
    trust_plans: bool,
) -> Engine:
    plans = plan_options(bundle, trust=trust_plans)
    try:
        return open_engine(name, precision=precision, threads=threads, plans=plans)
    except EngineError as error:
        raise FailureError(str(error)) from error
