"""Entropy tables: the quantised cumulative frequencies that the coder works with.

Integer for integer the tables that CompressAI builds for the same parameters, so
that rates can be compared and a stream's cost is the published one: 16-bit
cumulative frequencies, a tail mass of 1e-9 left to an escape symbol, 64 Gaussians
with log-spaced scales for the latents (Minnen et al. 2018) and one factorised
cumulative per channel for the hyper-latents (Balle et al. 2018, appendix 6.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from cca_export.families.cca.network import FactorisedPrior

PRECISION = 16
"""Bits of a cumulative frequency: every table ends at 2 ** PRECISION."""

TAIL_MASS = 1e-9
"""Probability that a table leaves to its escape symbol, both tails together."""

SCALES = 64
SMALLEST_SCALE = 0.11
LARGEST_SCALE = 256.0

PLACES_PER_LOG = (SCALES - 1) / math.log(LARGEST_SCALE / SMALLEST_SCALE)
"""Scales rise by the same ratio from place to place of their table."""

MAX_TABLE_SYMBOLS = 4096
"""Longest table of a hyper-latent channel; trained models need tens of symbols."""


class TableError(ValueError):
    """The parameters of the factorised prior give no usable table. One line."""


@dataclass(frozen=True)
class EntropyTables:
    """One cumulative table a row.

    Attributes:
        cdf: int32 [T, L]; row t rises strictly from 0 to 65536 over its first
            `length[t]` entries and is zero after. Its last interval is the escape symbol.
        length: int32 [T], entries in use: number of symbols (with the escape) + 1.
        offset: int32 [T], the value of the first symbol.
    """

    cdf: NDArray[np.int32]
    length: NDArray[np.int32]
    offset: NDArray[np.int32]


def scale_table() -> Tensor:
    """Standard deviations of the 64 Gaussian tables, float32 [64], log-spaced 0.11 to 256."""
    return torch.exp(torch.linspace(math.log(SMALLEST_SCALE), math.log(LARGEST_SCALE), SCALES))


def scale_thresholds(smallest_scale: int) -> Tensor:
    """What predicted scales are compared with, float32 [smallest_scale + 126], rising.

    They lie half a place of the scale table apart, from `smallest_scale` half places below its
    first entry to half a place above its last but one. Those at whole places are the table's own.
    """
    halves = torch.arange(-smallest_scale, 2 * (SCALES - 1), dtype=torch.float64)
    thresholds = (SMALLEST_SCALE * torch.exp(halves / (2 * PLACES_PER_LOG))).float()
    thresholds[smallest_scale::2] = scale_table()[:-1]
    return thresholds


def quantise_pmf(pmf: NDArray[np.float32]) -> NDArray[np.int32]:
    """Turn probabilities into a cumulative table in which every symbol can be coded.

    Probabilities are rounded to multiples of 2^-16 and rescaled downwards to a sum
    of at most 2^16; the last symbol takes what is left. Each symbol that is left
    without a frequency then takes 1 from the symbol with the lowest frequency above 1.

    Args:
        pmf: float32 [S], S < 65536, not negative.

    Returns:
        int32 [S + 1], rising strictly from 0 to 65536.

    Raises:
        TableError: A probability is negative or not finite, all are zero, or there
            are more symbols than frequencies.
    """
    if not np.isfinite(pmf).all() or (pmf < 0).any():
        raise TableError("probabilities that are negative or not finite")
    total = 1 << PRECISION
    # Halves round away from zero; scaling float32 by a power of two is exact.
    rounded = np.floor(pmf.astype(np.float64) * total + 0.5).astype(np.int64)
    if not 0 < rounded.sum() < 1 << 31 or len(pmf) >= total:
        raise TableError(f"{len(pmf)} probabilities that sum to {pmf.sum():.3g}")
    frequencies = rounded * total // rounded.sum()
    frequencies[-1] += total - frequencies.sum()
    _feed_starving(frequencies)
    return np.concatenate(([0], np.cumsum(frequencies))).astype(np.int32)


def _feed_starving(frequencies: NDArray[np.int64]) -> None:
    """Give every zero entry 1, taken from the lowest entries above 1 (in place).

    Whoever has the lowest frequency above 1 keeps it while giving, so it gives until
    it is down to 1 and the next lowest follows: one sorted pass replaces a search
    for each starving symbol.
    """
    starving = frequencies == 0
    donors = np.argsort(frequencies, kind="stable")
    donors = donors[frequencies[donors] > 1]
    spare = frequencies[donors] - 1
    given_before = np.cumsum(spare) - spare
    frequencies[donors] -= np.clip(starving.sum() - given_before, 0, spare)
    frequencies[starving] = 1


def gaussian_tables() -> EntropyTables:
    """Tables of zero-mean Gaussians integrated over unit intervals, one for each scale."""
    scales = scale_table()
    quantile = -NormalDist().inv_cdf(TAIL_MASS / 2)
    reach = torch.ceil(scales * quantile).int()
    distance = torch.abs(torch.arange(2 * int(reach.max()) + 1).int() - reach[:, None]).float()
    upper = _standard_normal_cumulative((0.5 - distance) / scales[:, None])
    lower = _standard_normal_cumulative((-0.5 - distance) / scales[:, None])
    return _tables(upper - lower, 2 * lower[:, :1], symbols=2 * reach + 1, offset=-reach)


def _standard_normal_cumulative(x: Tensor) -> Tensor:
    # erfc keeps its relative precision in the tail, where 1 + erf cancels.
    return 0.5 * torch.erfc(-(2**-0.5) * x)


def hyper_latent_tables(prior: FactorisedPrior) -> EntropyTables:
    """Tables of the factorised prior, one for each hyper-latent channel.

    Raises:
        TableError: The quantiles span too many symbols or the cumulative is unusable.
    """
    with torch.no_grad():
        low, median, high = prior.quantiles[:, 0].unbind(1)
        below = torch.ceil(median - low).clamp(0, MAX_TABLE_SYMBOLS).int()
        above = torch.ceil(high - median).clamp(0, MAX_TABLE_SYMBOLS).int()
        symbols = below + above + 1
        longest = int(symbols.max())
        if longest > MAX_TABLE_SYMBOLS:
            channel = int(symbols.argmax())
            raise TableError(
                f"z_entropy_bottleneck.quantiles of channel {channel} span more than "
                f"{MAX_TABLE_SYMBOLS} symbols"
            )
        samples = torch.arange(longest) + (median - below)[:, None, None]
        lower = cumulative_logits(prior, samples - 0.5)[:, 0]
        upper = cumulative_logits(prior, samples + 0.5)[:, 0]
        pmf = torch.sigmoid(upper) - torch.sigmoid(lower)
        tails = torch.sigmoid(lower[:, :1]) + torch.sigmoid(-upper[:, -1:])
    try:
        return _tables(pmf, tails, symbols, offset=-below)
    except TableError as error:
        raise TableError(f"z_entropy_bottleneck gives {error}") from error


def cumulative_logits(prior: FactorisedPrior, x: Tensor) -> Tensor:
    """Logits of each channel's cumulative at `x` [Z, 1, L] (Balle et al. 2018, appendix 6.1)."""
    for i, (matrix, bias) in enumerate(zip(prior.matrices, prior.biases, strict=True)):
        x = F.softplus(matrix) @ x + bias
        if i < len(prior.factors):
            x = x + torch.tanh(prior.factors[i]) * torch.tanh(x)
    return x


def _tables(pmf: Tensor, escape: Tensor, symbols: Tensor, offset: Tensor) -> EntropyTables:
    """Quantise each row of `pmf` [T, L], cut to `symbols` [T], followed by `escape` [T, 1]."""
    length = symbols.numpy() + 2
    cdf = np.zeros((len(length), length.max()), np.int32)
    for row, probabilities, tail, count in zip(
        cdf, pmf.numpy(), escape.numpy(), symbols.tolist(), strict=True
    ):
        row[: count + 2] = quantise_pmf(np.concatenate((probabilities[:count], tail)))
    return EntropyTables(cdf, length.astype(np.int32), offset.numpy().astype(np.int32))
