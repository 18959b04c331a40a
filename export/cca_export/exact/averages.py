"""The numbers that stand for a division by the number of latents."""

from __future__ import annotations

from cca_export.exact.layers import INNER


def average_factors(height: int, width: int) -> tuple[float, float, float, float]:
    """The graphs' input `averages` for latents of `height` x `width` (docs/exact.md, "Averages").

    Returns:
        2^-r, 2^-k, R, 2^-t with R / 2^t as near to 2^(r + k) / (height width) as R
        from 513 to 1024 allows.
    """
    largest = INNER.high * height * width
    row = max(0, largest.bit_length() - 23)
    coarse = max(0, (largest >> row).bit_length() - 14)
    positions = height * width
    fine = 0
    while ((1 << (row + coarse + fine)) * 2 + positions) // (2 * positions) <= 512:
        fine += 1
    reciprocal = ((1 << (row + coarse + fine)) * 2 + positions) // (2 * positions)
    return 2.0**-row, 2.0**-coarse, float(reciprocal), 2.0**-fine
