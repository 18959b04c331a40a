"""Damage to bytes and numbers that any kind of attack may do."""

from __future__ import annotations

from random import Random

EDGES = (0, 1, 2, 3, 63, 64, 65, 127, 128, 255, 256, 1 << 12, (1 << 15) - 1, 1 << 15)
EDGES += ((1 << 16) - 1, 1 << 16, (1 << 24) + 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
"""Numbers at which types and limits end."""


def number(random: Random, most: int) -> int:
    """From 0 to `most`: one of the edges, or any."""
    if random.random() < 0.6:
        return random.choice([edge for edge in (*EDGES, most, most - 1) if 0 <= edge <= most])
    return random.randint(0, most)


def damaged(data: bytes, random: Random) -> bytes:
    """`data` changed in one to four places, or cut, or with parts of it somewhere else."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        start = random.randrange(len(changed) + 1)
        end = min(len(changed), start + random.choice((1, 2, 4, 8, 64, len(changed))))
        match random.randrange(7):
            case 0 | 1 if start < len(changed):
                changed[start] ^= 1 << random.randrange(8)
            case 2:
                changed[start : start + 4] = number(random, (1 << 32) - 1).to_bytes(4, "little")
            case 3:
                del changed[start:]
            case 4:
                del changed[start:end]
            case 5:
                changed[start:start] = changed[start:end]
            case _:
                target = random.randrange(len(changed) + 1)
                changed[target : target + end - start] = changed[start:end]
    return bytes(changed)
