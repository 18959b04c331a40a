"""The exact prior in int64 NumPy, written from docs/spec/exact.md and from nothing else.

Means are in units of 2^-6, y_hat and quantisation steps in units of 2^-7 until they leave. Every
sum of a convolution is checked against the bound that float32 engines rely on.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from references.quantisation_steps import numerator, symbol_range

Integers: TypeAlias = NDArray[np.int64]
Parameters: TypeAlias = Mapping[str, NDArray[Any]]
Outputs: TypeAlias = dict[str, NDArray[Any]]
Limits: TypeAlias = tuple[int, int]

SUPPORT: Limits = (-127, 127)
CONTEXT: Limits = (-511, 511)
INNER: Limits = (-1023, 1023)
NORMALISED: Limits = (-1023, 1023)
RESIDUAL: Limits = (-4095, 4095)
GELU_INPUT: Limits = (-2047, 2047)
GELU_OUTPUT: Limits = (-31, 224)
AVERAGE: Limits = (-2047, 2047)
ATTENTION: Limits = (-2047, 2047)
LRP_INPUT: Limits = (-511, 511)
MEANS: Limits = (-(2**21), 2**21)
SCALES: Limits = (0, 2**17)
ACCUMULATOR_LIMIT = 2**24


def read_parameters(path: Path) -> dict[str, NDArray[Any]]:
    """Parameters of a prior graph by name, those stored as float16 included."""
    initialisers = onnx.load(path).graph.initializer
    return {each.name.removesuffix(".half"): numpy_helper.to_array(each) for each in initialisers}


class Layers:
    """Those of docs/spec/exact.md, of one graph's parameters; tensors are int64 [N, C, H, W]."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters

    def integers(self, name: str) -> Integers:
        """A parameter that holds integers."""
        values = self.parameters[name].astype(np.int64)
        assert np.array_equal(values, self.parameters[name]), name
        return values

    def power(self, name: str) -> Integers:
        """Exponents [C, 1, 1] of a parameter that holds powers of two."""
        mantissa, exponent = np.frexp(self.parameters[name].astype(np.float64))
        assert (mantissa == 0.5).all(), name
        return exponent.astype(np.int64) - 1

    def hyper_latents(self, symbols: Integers) -> Integers:
        median = self.integers("hyper_latents.median")
        return clip((symbols << self.power("hyper_latents.factor")) + median, SUPPORT)

    def convolution(
        self,
        name: str,
        x: Integers,
        inputs: Limits,
        output: Limits | None,
        *,
        stride: int | None = None,
    ) -> Integers:
        """A convolution, padded so that it keeps the size; transposed if it has a stride."""
        assert x.min() >= inputs[0], name
        assert x.max() <= inputs[1], name
        weight, bias = (self.parameters[f"{name}.{part}"] for part in ("weight", "bias"))
        if stride is not None:
            weight = weight.swapaxes(0, 1)
        weight, bias, shift = integer_weights(weight, bias)
        _check_bound(name, weight, bias, inputs, stride or 1)
        total = _correlate(x, weight, stride) + bias[:, None, None]
        assert np.abs(total).max() < ACCUMULATOR_LIMIT, name
        y = self.unshift(name, total, shift[:, None, None])
        return y if output is None else clip(y, output)

    def unshift(self, name: str, total: Integers, shift: Integers) -> Integers:  # noqa: ARG002
        """Floor(total 2^-shift)."""
        return (total << np.maximum(-shift, 0)) >> np.maximum(shift, 0)

    def rescale(self, name: str, x: Integers, output: Limits) -> Integers:
        return clip(times_power(x, self.power(f"{name}.factor")), output)

    def gate(self, name: str, x: Integers) -> Integers:
        first, second = np.split(x, 2, axis=1)
        return self.rescale(f"{name}.rescale", first * second, INNER)

    def gelu(self, name: str, x: Integers) -> Integers:
        a, b, c = (
            self.parameters[f"{name}.{part}"].astype(np.float64)
            for part in ("erf_factor", "factor", "constant")
        )
        erf = np.stack([_erf_of_integers(float(each)) for each in a.flat])
        channels = np.arange(x.shape[1])[:, None, None]
        v = b * x * (1 + erf[channels, x - GELU_INPUT[0]]) + c
        return clip(np.floor(v).astype(np.int64), GELU_OUTPUT)

    def normalise(self, name: str, x: Integers) -> Integers:
        channels = x.shape[1]
        mean = (2 * x.sum(1, keepdims=True) + channels) // (2 * channels)
        deviation = clip(x - mean, RESIDUAL)
        q = 0
        while channels * 4095**2 > (16776960 - channels) << q:
            q += 1
        squares = times_power(deviation**2, -q).sum(1, keepdims=True)
        assert squares.max() < 16776960, name
        segments = ((1, 0), (16, 3840), (256, 65280), (4096, 1048320))
        entry = sum(np.clip((squares - start) // step, 0, 3840) for step, start in segments)
        table = self.parameters[f"{name}.inverse_deviation.values"].astype(np.float64)
        mantissa, exponent = np.frexp(table[entry, 0])
        product = deviation * (mantissa * 2**24).astype(np.int64)
        return clip(times_power(product, exponent.astype(np.int64) - 24), NORMALISED)

    def attention(self, name: str, x: Integers) -> Integers:
        r, k, reciprocal, t = averages(*x.shape[2:])
        rows = times_power(x.sum(3, keepdims=True), -r)
        total = times_power(rows.sum(2, keepdims=True), -k)
        assert np.abs(rows).sum(2).max() < ACCUMULATOR_LIMIT, name
        assert np.abs(total * reciprocal).max() < ACCUMULATOR_LIMIT, name
        scaled = times_power(total * reciprocal, self.power(f"{name}.average_factor") - t)
        average = clip(scaled, AVERAGE)
        attention = self.convolution(f"{name}.convolution", average, AVERAGE, ATTENTION)
        return self.rescale(name, x * attention, INNER)

    def block(self, name: str, x: Integers) -> Integers:
        y = self.normalise(f"{name}.norm1", x)
        y = self.convolution(f"{name}.dwconv.0", y, NORMALISED, INNER)
        y = self.convolution(f"{name}.dwconv.1", y, INNER, INNER)
        y = self.attention(f"{name}.sca", self.gate(f"{name}.gate", y))
        x = clip(x + self.convolution(f"{name}.conv1", y, INNER, None), RESIDUAL)
        y = self.normalise(f"{name}.norm2", x)
        y = self.convolution(f"{name}.FFN.0", y, NORMALISED, INNER)
        y = self.gate(f"{name}.FFN.1", y)
        return clip(x + self.convolution(f"{name}.FFN.2", y, INNER, None), RESIDUAL)

    def stack(self, name: str, context: Integers) -> Integers:
        identity = self.convolution(f"{name}.in_conv", context, CONTEXT, RESIDUAL)
        x = identity
        for block in range(len([each for each in self.parameters if _is_block(name, each)])):
            x = self.block(f"{name}.blocks.{block}", x)
        gathered = self.rescale(f"{name}.rescale", x + identity, INNER)
        return self.convolution(f"{name}.out_conv", gathered, INNER, SUPPORT)

    def head(
        self, name: str, x: Integers, output: Limits, strides: Sequence[int | None] = (None,) * 3
    ) -> Integers:
        y = self.convolution(f"{name}.0", x, SUPPORT, GELU_INPUT, stride=strides[0])
        y = self.gelu(f"{name}.1", y)
        y = self.convolution(f"{name}.2", y, GELU_OUTPUT, GELU_INPUT, stride=strides[1])
        y = self.gelu(f"{name}.3", y)
        return self.convolution(f"{name}.4", y, GELU_OUTPUT, output, stride=strides[2])

    def hyper_synthesis(self, name: str, z: Integers) -> Integers:
        return self.head(name, z, CONTEXT, strides=(2, 2, 1))

    def lrp(self, support: Integers, quantised: Integers, step: int) -> Integers:
        """Support, and step symbols + means, to y_hat; all but the support in units of 2^-7."""
        factor = self.power("lrp.rescale.factor")
        latents = clip(times_power(quantised, factor - 7), SUPPORT)
        argument = self.head("lrp.head", np.concatenate((support, latents), 1), LRP_INPUT)
        predictions = (2 * self.integers("lrp.tanh.values") * step + 2**7) // 2**8
        y_hat: Integers = quantised + predictions[argument + 511, 0]
        assert np.abs(y_hat).max() < ACCUMULATOR_LIMIT
        return y_hat

    def group(self, mean_context: Integers, scale_context: Integers) -> dict[str, Integers]:
        """Means in units of 2^-6, indexes and support."""
        support = self.stack("group.mean_naf", mean_context)
        scale_support = self.stack("group.scale_naf", scale_context)
        scales = self.head("group.scale_head", scale_support, SCALES)
        return {
            "means": self.head("group.mean_head", support, MEANS),
            "indexes": self.integers("group.index.indexes")[scales, 0],
            "support": support,
        }


def run_prior(
    graphs: Sequence[Layers], z_symbols: NDArray[Any], symbols: NDArray[Any], code: int = 0
) -> Iterator[Outputs]:
    """Outputs of prior_0 .. prior_G as docs/spec/exact.md lists them: real values, uint8 indexes.

    Args:
        graphs: The graphs' layers, in order.
        z_symbols: Integers [N, Z, h/4, w/4].
        symbols: Integers of all groups, [N, M, h, w].
        code: Of the quantisation step.
    """
    step, (low, high) = numerator(code), symbol_range(code)
    assert symbols.min() >= low
    assert symbols.max() <= high
    first = graphs[0]
    z = first.hyper_latents(z_symbols.astype(np.int64))
    latents = {f"latent_{kind}s": first.hyper_synthesis(f"h_{kind}_s", z) for kind in _KINDS}
    group = first.group(latents["latent_means"], latents["latent_scales"])
    yield _real({**latents, **group})
    y_hat = np.zeros((len(symbols), 0, *symbols.shape[2:]), dtype=np.int64)
    for graph in graphs[1:]:
        start = y_hat.shape[1]
        own = symbols[:, start : start + group["means"].shape[1]].astype(np.int64)
        quantised = own * step + 2 * group["means"]
        assert np.abs(quantised).max() < ACCUMULATOR_LIMIT
        group_y_hat = graph.lrp(group["support"], quantised, step)
        y_hat = np.concatenate((y_hat, group_y_hat), 1)
        group = {}
        if graph is not graphs[-1]:
            factor = graph.power("context.factor")
            context = clip(times_power(y_hat, factor - 7), CONTEXT)
            contexts = (np.concatenate((each, context), 1) for each in latents.values())
            group = graph.group(*contexts)
        yield _real({"y_hat": group_y_hat.swapaxes(0, 1), **group})


def averages(height: int, width: int) -> tuple[int, int, int, int]:
    """r, k, R, t of docs/spec/exact.md, "Averages"."""
    latents = height * width
    a = 1023 * latents
    r = max(0, len(f"{a:b}") - 23)
    k = max(0, len(f"{a // 2**r:b}") - 14)
    for t in range(64):
        reciprocal = (2 * 2 ** (r + k + t) + latents) // (2 * latents)
        if reciprocal >= 513:
            return r, k, reciprocal, t
    raise AssertionError("no reciprocal")


def clip(x: Integers, limits: Limits) -> Integers:
    clipped: Integers = np.clip(x, *limits)
    return clipped


def times_power(x: Integers, exponent: Integers | int) -> Integers:
    """Round(x 2^exponent), halves to even; beyond 2^40 only large, as only clipped values are."""
    right = clip(-np.asarray(exponent, dtype=np.int64), (0, 62))
    left = clip(np.asarray(exponent, dtype=np.int64), (0, 40))
    floor = x >> right
    rest, half = x - (floor << right), (1 << right) >> 1
    up = (rest > half) | ((rest == half) & (rest > 0) & (floor % 2 == 1))
    rounded: Integers = floor + up.astype(np.int64)
    return rounded << left


def integer_weights(
    weight: NDArray[Any], bias: NDArray[Any]
) -> tuple[Integers, Integers, Integers]:
    """Integers of a convolution: weights [O, ...] and biases [O] times 2^K, and K.

    K is the least for each output channel.
    """
    columns = np.concatenate((weight.reshape(len(weight), -1), bias[:, None]), 1)
    mantissa, exponent = np.frexp(columns.astype(np.float64))
    digits = (mantissa * 2**24).astype(np.int64)
    lowest = exponent - 24 + np.log2(np.maximum(digits & -digits, 1)).astype(np.int64)
    shift = -np.where(digits == 0, 1 << 30, lowest).min(1)
    shift[shift < -64] = 0  # a channel of zeros
    scaled = columns.astype(np.float64) * np.exp2(shift)[:, None]
    integers = scaled.astype(np.int64)
    assert np.array_equal(integers, scaled)
    return integers[:, :-1].reshape(weight.shape), integers[:, -1], shift


_KINDS = ("mean", "scale")


def _real(outputs: Mapping[str, Integers]) -> Outputs:
    """Values of integers, in the graphs' dtypes, all of which hold them exactly."""
    units = {"means": 2.0**-6, "y_hat": 2.0**-7}
    real: Outputs = {}
    for name, integers in outputs.items():
        values = integers * units.get(name, 1)
        real[name] = values.astype(np.uint8 if name == "indexes" else np.float32)
        assert np.array_equal(real[name], values), name
    return real


def _is_block(stack: str, parameter: str) -> bool:
    """Whether a parameter is the one that stands for its block in `stack`."""
    return parameter.startswith(f"{stack}.blocks.") and parameter.endswith(".conv1.weight")


def _check_bound(name: str, weight: Integers, bias: Integers, inputs: Limits, stride: int) -> None:
    """No partial sum reaches 2^24, whatever the input."""
    low, high = inputs
    for row in range(stride):
        for column in range(stride):
            taps = weight[:, :, row::stride, column::stride]
            ends = np.stack((taps * low, taps * high))
            positive = np.maximum(ends.max(0), 0).sum((1, 2, 3))
            negative = np.maximum(-ends.min(0), 0).sum((1, 2, 3))
            bound = np.maximum(positive, negative) + np.abs(bias)
            assert bound.max() < ACCUMULATOR_LIMIT, name


def _correlate(x: Integers, weight: Integers, stride: int | None) -> Integers:
    """Sums of products [N, O, H', W'], without biases; of a transposed convolution if `stride`."""
    kernel = weight.shape[2]
    margin = kernel // 2
    if stride is not None:
        # The transposed convolution of x is the correlation of x, spread out, with
        # the kernel turned round.
        batch, channels, height, width = x.shape
        spread = np.zeros((batch, channels, height * stride, width * stride), dtype=np.int64)
        spread[:, :, ::stride, ::stride] = x
        x, weight = spread, weight[:, :, ::-1, ::-1]
    x = np.pad(x, ((0, 0), (0, 0), (margin, margin), (margin, margin)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), axis=(2, 3))
    if weight.shape[1] == 1 and len(weight) == x.shape[1]:  # depthwise
        each: Integers = np.einsum("nchwij,cij->nchw", windows, weight[:, 0])
        return each
    batch, _, height, width = windows.shape[:4]
    rows = windows.transpose(0, 2, 3, 1, 4, 5).reshape(batch, height * width, -1)
    # Many times faster than a product of matrices, which NumPy has no kernel for in integers.
    sums: Integers = np.einsum("npk,ok->nop", rows, weight.reshape(len(weight), -1))
    return sums.reshape(batch, -1, height, width)


@functools.cache
def _erf_of_integers(factor: float) -> NDArray[np.float64]:
    """erf(factor x) for every input of a GELU."""
    low, high = GELU_INPUT
    return np.array([math.erf(factor * x) for x in range(low, high + 1)])
