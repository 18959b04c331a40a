"""One execution of an attack, which its seed, kind and number make again."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from random import Random
from types import ModuleType

from cca_runtime import CcaError

import attacks


def kinds() -> list[str]:
    """The modules of this package that have an `attack`, by name."""
    names = [f"{attacks.__name__}.{found.name}" for found in pkgutil.iter_modules(attacks.__path__)]
    return [name for name in names if hasattr(_module(name), "attack")]


def short_name(kind: str) -> str:
    """What people call a kind: its module without the package."""
    return kind.rpartition(".")[2]


def execute(kind: str, seed: int, number: int) -> bool:
    """Run execution `number` of a kind; whether its mutant was accepted.

    Raises:
        Exception: The product did something else than accept or refuse.
    """
    return bool(_module(kind).attack(Random(f"{seed}/{short_name(kind)}/{number}")))


def accepts(use: Callable[[], object]) -> bool:
    """Whether `use`, which feeds the product, comes to an end without a refusal.

    Raises:
        AssertionError: The refusal is not one line that can be printed.
        Exception: Anything but a `CcaError`.
    """
    try:
        use()
    except CcaError as error:
        assert str(error).isprintable(), f"not one printable line: {str(error)!r}"
        assert str(error), "a refusal without words"
        return False
    return True


def _module(kind: str) -> ModuleType:
    return importlib.import_module(kind)
