"""What stands in for the latents beyond a tile's edge: its own, mirrored.

The prior predicts a latent from those around it, and takes nothing at all for the edge of a
picture. A tile's edge is none: without anything beyond, its latents cost up to twice as much in
smooth pictures. Mirrored symbols are known to the decoder, and about as good as the real ones.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from references.tiling import Box

_Scalar = TypeVar("_Scalar", bound=np.generic)


class Mirroring(NamedTuple):
    """How many hyper-latents are mirrored at each edge; of latents, four times as many."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def extend(self, inner: NDArray[_Scalar], scale: int) -> NDArray[_Scalar]:
        """Mirror what is at the edges.

        Args:
            inner: [..., h, w].
            scale: 1 for hyper-latents, 4 for latents.

        Returns:
            [..., h + scale (top + bottom), w + scale (left + right)], contiguous.
        """
        if not any(self):
            return inner
        rows, columns = (
            (scale * self.top, scale * self.bottom),
            (
                scale * self.left,
                scale * self.right,
            ),
        )
        widths = [(0, 0)] * (inner.ndim - 2) + [rows, columns]
        return np.pad(inner, widths, mode="symmetric")

    def inner(self, extended: NDArray[_Scalar], scale: int) -> NDArray[_Scalar]:
        """Undo `extend`. Returns a contiguous array."""
        if not any(self):
            return extended
        height, width = extended.shape[-2:]
        rows = slice(scale * self.top, height - scale * self.bottom)
        columns = slice(scale * self.left, width - scale * self.right)
        return np.ascontiguousarray(extended[..., rows, columns])


NO_MIRRORING = Mirroring()


def mirroring_of(tile: Box, picture: Box) -> Mirroring:
    """One hyper-latent on each side where the picture goes on."""
    return Mirroring(
        int(tile.left > picture.left),
        int(tile.top > picture.top),
        int(tile.right < picture.right),
        int(tile.bottom < picture.bottom),
    )
