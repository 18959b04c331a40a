"""Text from outside, made safe to print: names of files, what bundles and libraries say."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

_HALVES = re.compile("[\ud800-\udfff]")  # surrogates
_UNDECODED = range(0xDC80, 0xDD00)  # what PEP 383 makes of a byte that is not UTF-8


def printable(text: object) -> str:
    r"""The text on one line: whatever moves a cursor, hides or turns letters round is escaped.

    A byte of a name that is not UTF-8 appears as `\xe9`, a line feed as `\n`.
    """
    return "".join(
        character if character.isprintable() else _escape(character) for character in str(text)
    )


def _escape(character: str) -> str:
    if ord(character) in _UNDECODED:
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def reason(error: OSError) -> str:
    """What the system says of an error, without the name that Python adds."""
    return error.strerror or str(error) or type(error).__name__


def unexpected(error: BaseException) -> str:
    """What to say of an exception that nobody foresaw: its first line, for it may have many."""
    return f"internal error, please report it: {type(error).__name__}: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    try:
        lines = str(error).splitlines()
    except Exception:  # of a class that anybody may have written
        lines = []
    return next((line for line in map(str.strip, lines) if line), "(no message)")


def json_line(facts: Mapping[str, Any]) -> str:
    """Strict JSON in ASCII.

    Numbers that JSON lacks are null. Text that is no Unicode, as names of files need not be, has
    U+FFFD in place of what is not; the name's bytes stand beside it, in hexadecimal: `input` has
    an `input_hex`.
    """
    return json.dumps(_strict(facts), allow_nan=False)


def _strict(value: Any) -> Any:
    if isinstance(value, str):
        return _HALVES.sub("\ufffd", value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return dict(_strict_items(value))
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value


def _strict_items(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in facts.items():
        name = _strict(str(key))
        yield name, _strict(value)
        if isinstance(value, str) and _HALVES.search(value):
            with contextlib.suppress(UnicodeEncodeError):  # half a character, and not of a name
                yield f"{name}_hex", os.fsencode(value).hex()
