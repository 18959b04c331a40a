"""Text from outside, made safe to print: names of files, what bundles and libraries say."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

_SURROGATES = range(0xD800, 0xE000)
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


def json_line(facts: Mapping[str, Any]) -> str:
    """Strict JSON in ASCII: numbers that JSON lacks are null, halves of characters U+FFFD."""
    return json.dumps(_strict(facts), allow_nan=False)


def name_facts(key: str, name: str) -> dict[str, str]:
    """What JSON says of a file's name: text, and its bytes where it is not UTF-8.

    Args:
        key: Of the text; the bytes, in hexadecimal, are under the same with `_hex`.
        name: As the system gave it.
    """
    raw = os.fsencode(name)
    text = raw.decode("utf-8", errors="replace")
    return {key: text} if text.encode() == raw else {key: text, f"{key}_hex": raw.hex()}


def _strict(value: Any) -> Any:
    if isinstance(value, str):
        return "".join("\ufffd" if ord(letter) in _SURROGATES else letter for letter in value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_strict(str(key)): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value
