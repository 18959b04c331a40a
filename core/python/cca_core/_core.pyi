"""The native core: machines, the `.cca` container (docs/spec/format.md) and the entropy coder."""

import enum
from collections.abc import Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

class StreamError(ValueError):
    """A truncated, altered or unsupported stream or payload; its message is one line."""

class LimitError(StreamError):
    """A stream with nothing wrong but its size, refused at a limit that the caller may raise."""

class BundleError(ValueError):
    """A file of a model bundle that is damaged or unsupported; its message is one line."""

class ForeignStreamError(ValueError):
    """A sound stream that another model, or another engine, made."""

class TargetError(ValueError):
    """No quantisation step gives a picture the size or PSNR that is asked for."""

class LatentsError(RuntimeError):
    """A model gives infinite or undefined latents for a picture."""

class InexactError(RuntimeError):
    """An engine does not compute a model in exact mode exactly."""

class StateError(RuntimeError):
    """A call in the wrong order."""

Slot: TypeAlias = int
"""A tensor of the host, by number. Numbers of freed slots are given again."""

Binding: TypeAlias = tuple[str, Slot, int | None, str, tuple[int, ...]]
"""What a graph reads or writes under a name: the name, the slot, its first row or None for all of
the slot, and dtype and shape of what is bound."""

class Host(Protocol):
    """Runs graphs for a machine, one worker's steps on one thread."""

    def upload(self, slot: Slot, array: NDArray[Any], /) -> None:
        """Make a tensor of a read-only array, which stays as it is until the slot is freed."""

    def allocate(self, slot: Slot, dtype: str, shape: tuple[int, ...], /) -> None:
        """Make a tensor of any content."""

    def run(self, graph: int, inputs: list[Binding], outputs: list[Binding], /) -> None:
        """Run a graph, by its number. Outputs with a first row are written to where they lie."""

    def download(self, slot: Slot, /) -> NDArray[Any]:
        """A tensor as a C-contiguous array."""

    def free(self, slot: Slot, /) -> None:
        """Drop a tensor."""

@final
class Model:
    """A bundle's manifest and tables; immutable."""

    def __init__(self, manifest: Buffer, tables: Buffer) -> None:
        """Read the contents of `manifest.json` and `tables.bin`.

        Raises:
            BundleError: One is damaged or of an unknown version, or they do not belong together.
        """

    @property
    def graphs(self) -> list[str]:
        """Names of the graphs, in the order of their numbers."""

    @property
    def group_sizes(self) -> list[int]:
        """Channels of each channel group."""

@final
class CodingPlan:
    """What is known of a model before its files: graphs' inputs and outputs, and their order."""

    def __init__(self, manifest: Buffer) -> None:
        """Read `architecture`, `coding` and `graphs` of a manifest; files are not looked at.

        Raises:
            BundleError: Something in them does not fit together.
        """

    @property
    def graphs(self) -> list[str]:
        """Names of the graphs, in the order of their numbers."""

def quantisation_step(code: int) -> float:
    """The step D that a stream's `step` stands for, exactly; D of 0 is 1.

    Args:
        code: -128 to 127 (docs/spec/format.md, "Quantisation step").
    """

def symbol_range(code: int) -> tuple[int, int]:
    """The smallest and the largest symbol of a stream with that `step`."""

def step_of_quality(quality: float) -> int:
    """The `step` of a quality: higher is better, and 50 is D = 1.

    Raises:
        ValueError: It is not from 0 to 100.
    """

def quality_of_step(code: int) -> float:
    """The quality of a `step`."""

def choose_tables(
    indexes: NDArray[np.uint8], *, step: int, smallest_scale: int | None, tables: int
) -> NDArray[np.uint8]:
    """The entropy table of each symbol.

    Args:
        indexes: Scales as a graph gives them, uint8 [n].
        step: Of the stream.
        smallest_scale: Of the manifest.
        tables: How many there are.

    Raises:
        BundleError: An index is beyond the last table's.
    """

TILE_BY_SIZE: Final[int]
"""As `tile_side`: tiles for large pictures."""

TILE_NONE: Final[int]
"""As `tile_side`: every picture as a whole."""

class TargetKind(enum.Enum):
    """What a target is about."""

    FILE_BYTES = ...
    """The whole stream."""

    PAYLOAD_BYTES = ...
    """The stream without its metadata."""

    PSNR = ...
    """dB, over all samples."""

@final
class Target:
    """What an encoder looks for a quantisation step for.

    Sizes are met within 1 %, by the largest that is not above the target if there is one, a PSNR
    within 0.05 dB.
    """

    def __init__(self, kind: TargetKind, value: float) -> None: ...
    @property
    def kind(self) -> TargetKind: ...
    @property
    def value(self) -> float: ...

@final
class EncoderMachine:
    """Encodes pictures of one padded size together, step by step."""

    def __init__(
        self,
        model: Model,
        pictures: Sequence[tuple[NDArray[np.uint8], bytes | None, bytes | None, bytes | None]],
        *,
        tile_side: int = ...,
        reconstruct: bool = False,
        fingerprint: bytes | None = None,
        max_pixels: int = ...,
        workers: int = 1,
        step: int = 0,
        target: Target | None = None,
    ) -> None:
        """Begin.

        Args:
            model: The model.
            pictures: uint8 [H, W, 3], C-contiguous, and ICC, EXIF and XMP data of each. Several
                must have one padded size and no tiles.
            tile_side: Longest side of a tile, a multiple of 64, or one of the constants.
            reconstruct: Also give the pixels that decoding will give.
            fingerprint: 8 bytes that stand for the engine; native mode needs it.
            max_pixels: Most pixels of a picture, its padding included.
            workers: Threads that may do steps at the same time.
            step: Quantisation step, as in a stream, if there is no target.
            target: What to look for a step for, of a single picture.

        Raises:
            LimitError: A picture has more than `max_pixels`.
            ValueError: There is no such tile or target, or the pictures do not fit together.
        """

    def step(self, worker: int, host: Host) -> bool:
        """Do a worker's next step on its host. False when all is done.

        What the core has to do before it releases the GIL; an exception of the host passes
        through, and the machine is then of no more use.

        Raises:
            LatentsError, InexactError, BundleError, LimitError, TargetError: As their names say.
            StateError: An earlier step failed.
        """

    def waited(self, worker: int) -> float:
        """Seconds that a worker has waited for the others so far."""

    def finish(
        self,
    ) -> list[tuple[StreamInfo, bytes, NDArray[np.uint8] | None, list[int], int]]:
        """What became of each picture; once, at the end.

        Header, stream, reconstruction if it was asked for, bytes of the hyper-latents and of each
        channel group, and how many steps were tried.
        """

@final
class DecoderMachine:
    """Decodes streams of one padded size together, step by step."""

    def __init__(
        self,
        model: Model,
        streams: Sequence[bytes],
        *,
        region: tuple[int, int, int, int] | None = None,
        fingerprint: bytes | None = None,
        max_pixels: int = ...,
        workers: int = 1,
        keep_going: bool = False,
        groups: int | None = None,
        preview: bool = False,
        pixels: bool = True,
    ) -> None:
        """Begin.

        Args:
            model: The model.
            streams: Whole streams. Several must have one padded size and no tiles.
            region: Of a single picture, x, y, width and height of the part to decode.
            fingerprint: As for encoding.
            max_pixels: Most pixels of a picture, its padding included.
            workers: Threads that may do steps at the same time.
            keep_going: Decode what is not what the encoder had, and count it in `mismatches`.
            groups: Channel groups to use, all of them without it; the others are predicted.
            preview: Take a single stream that is cut short, and show what is there.
            pixels: Without them, only the symbols are decoded.

        Raises:
            StreamError: A stream is damaged.
            LimitError: A picture has more than `max_pixels`.
            ForeignStreamError: A stream is of another model or engine.
            ValueError: The region is not in the picture, there are not so many groups, or streams
                do not fit together.
        """

    def step(self, worker: int, host: Host) -> bool:
        """As `EncoderMachine.step`.

        Raises:
            StreamError: A payload is damaged.
            InexactError: The latents are not those that the encoder had.
            BundleError, LimitError, StateError: As for `EncoderMachine.step`.
        """

    @property
    def mismatches(self) -> int:
        """Payloads, with `keep_going`, whose latents are not those that the encoder had."""

    def waited(self, worker: int) -> float:
        """As `EncoderMachine.waited`."""

    def finish(
        self,
    ) -> list[tuple[StreamInfo, NDArray[np.uint8] | None, list[int], list[int], int]]:
        """What became of each stream; once, at the end.

        Header; pixels [H, W, 3] if they were asked for; for each payload how many channel groups
        were used, or -1 if not even its hyper-latents are there; bytes that were decoded of the
        hyper-latents and of each channel group; and how many bytes a stream that is cut short
        lacks.
        """

@final
class PriorMachine:
    """Runs the prior graphs of a batch without a coder, step by step."""

    def __init__(
        self,
        model: Model | CodingPlan,
        z_symbols: NDArray[np.int32],
        *,
        symbols: NDArray[np.int32] | None = None,
        latents: NDArray[np.float32] | None = None,
        step: int = 0,
    ) -> None:
        """Begin.

        Args:
            model: The model, or its plan.
            z_symbols: int32 [N, Z, h/4, w/4], values of an int16.
            symbols: int32 [N, M, h, w], within `symbol_range` of the step; or
            latents: float32 [N, M, h, w], to be rounded as an encoder does.
            step: Quantisation step, as in a stream.

        Raises:
            ValueError: Shapes do not fit together, or a symbol is out of range.
        """

    def step(self, worker: int, host: Host) -> bool:
        """As `EncoderMachine.step`."""

    def waited(self, worker: int) -> float:
        """As `EncoderMachine.waited`."""

    def finish(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Symbols [N, M, h, w] and y_hat [M, N, h, w]."""

@final
class EntropyTables:
    """Quantised cumulative distributions (CDFs), checked and copied; immutable, thread-safe.

    `len()` is the number of tables T.
    """

    def __init__(
        self, cdfs: NDArray[np.int32], lengths: NDArray[np.int32], offsets: NDArray[np.int32]
    ) -> None:
        """Check and copy the tables, which are laid out as CompressAI's.

        Args:
            cdfs: int32 [T, L]. The first `lengths[t]` entries of row t rise strictly from 0 to
                65,536; the others are ignored. Interval i is symbol `offsets[t] + i`, and the
                last interval the escape, for symbols outside the table.
            lengths: int32 [T], each from 2 to min(L, 65,536).
            offsets: int32 [T]; every symbol of a table must fit in an int16.

        Raises:
            ValueError: A table breaks these rules; the message names it.
            TypeError: An array is not int32.
        """

    def __len__(self) -> int: ...

@final
class Encoder:
    """Collects symbols and encodes them together with interleaved rANS.

    One thread at a time: a second one meanwhile gets a RuntimeError.
    """

    def __init__(self) -> None: ...
    def push(
        self,
        symbols: NDArray[np.int32],
        indexes: NDArray[np.uint8] | NDArray[np.uint16],
        tables: EntropyTables,
    ) -> None:
        """Append symbols, in C order. Releases the GIL.

        Args:
            symbols: int32, C-contiguous, of any shape; values from -32,768 to 32,767.
            indexes: uint8 or uint16, C-contiguous, of the same shape: the table of each symbol.
            tables: The tables `indexes` chooses from; needed during the call only.

        Raises:
            ValueError: An index names no table, a symbol does not fit in an int16, or an array
                has the wrong shape or layout. The encoder is then as before the call.
            TypeError: An array has another dtype.
        """

    def finish(self) -> bytes:
        """Encode everything pushed so far into the coder's payload. Releases the GIL."""

@final
class Decoder:
    """Decodes a coder's payload, symbols in the order they were pushed.

    After an error it is of no more use. One thread at a time: a second one meanwhile gets a
    RuntimeError.
    """

    def __init__(self, payload: Buffer) -> None:
        """Copy the payload and read the coder's first states.

        Raises:
            StreamError: The states are truncated or invalid.
        """

    def pull(
        self, indexes: NDArray[np.uint8] | NDArray[np.uint16], tables: EntropyTables
    ) -> NDArray[np.int32]:
        """Decode one symbol for each index. Releases the GIL.

        Args:
            indexes: uint8 or uint16, C-contiguous, of any shape: the table of each symbol, as
                the encoder was given it.
            tables: The tables `indexes` chooses from.

        Returns:
            The symbols, int32, in the shape of `indexes`.

        Raises:
            StreamError: The payload is exhausted or holds an impossible escape.
            ValueError: An index names no table, or the array is not C-contiguous.
            TypeError: The array has another dtype.
        """

    def finish(self) -> None:
        """Confirm that every symbol has been pulled.

        Raises:
            StreamError: Words are left over, or a lane is not back where the encoder began.
        """

def could_hold(payload_bytes: int, tables: EntropyTables, symbols_of_each: int) -> bool:
    """Whether a payload is large enough for a group, as far as that can be told at once.

    To be asked of the hyper-latents before memory for them is allocated: a few bytes can claim
    the largest picture there is.

    Args:
        payload_bytes: Size of the whole payload.
        tables: The group's tables.
        symbols_of_each: How many symbols each of them has in the group.

    Returns:
        False only if no payload of this size holds such a group.
    """

@final
class StreamInfo:
    """What a stream's header and metadata sections say. Immutable; compares by value.

    Attributes:
        width: Pixels of the picture itself, 1 to 65,535.
        height: Pixels of the picture itself, 1 to 65,535.
        padding: Pixels added (left, top, right, bottom), 0 to 255 each; they make both sides
            multiples of 64.
        model_id: 8 bytes that name the model the stream needs.
        entropy_mode: "exact" decodes anywhere, "native" on the engine of the fingerprint alone.
        fingerprint: 8 bytes in native mode, otherwise None.
        icc: ICC colour profile, or None.
        exif: EXIF metadata, or None.
        xmp: XMP metadata, or None.
        tiling: None, or of a picture that is coded in parts, width and height of its windows in
            pixels (multiples of 64 up to 16,320) and how many of these a tile has across and
            down. All begin at the left upper corner of the padded picture.
        tile_sizes: Bytes of each tile's part of the payload, row after row; empty without tiling.
        digests: In exact mode, the digest of y_hat for each payload; empty in native mode.
        step: Quantisation step; 0, which is 1.0.
    """

    def __init__(
        self,
        *,
        width: int,
        height: int,
        padding: tuple[int, int, int, int],
        model_id: bytes,
        entropy_mode: str,
        fingerprint: bytes | None = None,
        icc: bytes | None = None,
        exif: bytes | None = None,
        xmp: bytes | None = None,
        tiling: tuple[int, int, int, int] | None = None,
        tile_sizes: Sequence[int] = (),
        digests: Sequence[int] = (),
        step: int = 0,
    ) -> None:
        """Check and copy the fields.

        Raises:
            ValueError: A field breaks the limits above, a fingerprint is missing or superfluous,
                a metadata section is empty or larger than 16 MiB, or a tiling leaves the picture
                in one window or does not have one size for each tile.
        """

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def padding(self) -> tuple[int, int, int, int]: ...
    @property
    def tiling(self) -> tuple[int, int, int, int] | None: ...
    @property
    def tile_sizes(self) -> list[int]: ...
    @property
    def digests(self) -> list[int]: ...
    @property
    def step(self) -> int: ...
    @property
    def model_id(self) -> bytes: ...
    @property
    def entropy_mode(self) -> Literal["native", "exact"]: ...
    @property
    def fingerprint(self) -> bytes | None: ...
    @property
    def icc(self) -> bytes | None: ...
    @property
    def exif(self) -> bytes | None: ...
    @property
    def xmp(self) -> bytes | None: ...
    def __eq__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

LATENT_STRIDE: Final[int]
"""Pixels of the padded picture for one latent, along each side."""

HYPER_STRIDE: Final[int]
"""Likewise for one hyper-latent: sides of padded pictures are multiples of it."""

LATENTS_PER_HYPER: Final[int]
"""Latents for one hyper-latent, along each side."""

HALO: Final[int]
"""Pixels that a transform sees around a window."""

FADE: Final[int]
"""Pixels on each side of a seam, where two windows are blended."""

def padded_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of a picture with the padding that the encoder gives it.

    Raises:
        ValueError: A side is not in 0..65,535.
    """

def pad_picture(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture with the padding that the encoder gives it, uint8 [height, width, 3].

    Args:
        pixels: uint8 [height, width, 3], contiguous; 1 to 65,535 pixels a side.

    Raises:
        TypeError, ValueError: They are no such pixels.
    """

_Pair: TypeAlias = tuple[int, int]

def division_of(info: StreamInfo) -> tuple[_Pair, _Pair, _Pair, _Pair]:
    """How a stream's picture is divided.

    Returns:
        Width and height of the padded picture, of its largest window and of its largest tile;
        then tiles across and down. A picture that is coded as a whole is one tile of one window.
    """

def choose_division(width: int, height: int, tile_side: int) -> tuple[_Pair, _Pair, _Pair, _Pair]:
    """How the encoder divides a picture; as for `division_of`.

    Args:
        width: Of the picture, without padding.
        height: Likewise.
        tile_side: As for `EncoderMachine`.

    Raises:
        ValueError: There is no such picture or tile.
    """

def dimensions(batch: int, width: int, height: int) -> dict[str, int]:
    """Sizes of all dimensions of graphs that vary, by name, for pictures that the encoder pads.

    Args:
        batch: Pictures at once.
        width: Of each, without padding.
        height: Likewise.

    Raises:
        ValueError: A side is not in 0..65,535.
    """

def write_stream(info: StreamInfo, payload: Buffer) -> bytes:
    """The stream with this header and coder payload (below 2^32 bytes).

    Of a tiled picture, the payload is all tiles' payloads, one after the other.

    Raises:
        ValueError: The payload is too large, or not as large as its tiles together.
    """

DEFAULT_MAX_PIXELS: Final[int]
"""2^28, a square of 16,384 pixels."""

def parse_stream(data: Buffer, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> tuple[StreamInfo, bytes]:
    """The header with its metadata, and the coder's payload. Every byte is checked.

    Args:
        data: The whole stream.
        max_pixels: Most pixels of a picture, its padding included, below 2^64.

    Raises:
        LimitError: The picture has more than `max_pixels`.
        StreamError: The stream is damaged, truncated, or of an unknown version.
    """

def parse_start(data: Buffer, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> tuple[StreamInfo, int]:
    """The header of a stream that may be cut short behind it, and how many bytes it lacks.

    Metadata are there or not. A section that is not whole is not checked.

    Args:
        data: What there is of the stream.
        max_pixels: As for `parse_stream`.

    Raises:
        LimitError, StreamError: As for `parse_stream`, but not for a stream that ends early.
    """

def read_tables(data: Buffer) -> tuple[EntropyTables, EntropyTables]:
    """The entropy tables of latents, one a scale, and hyper-latents, one a channel.

    Args:
        data: The content of a bundle's `tables.bin` (docs/spec/bundle.md).

    Raises:
        BundleError: It is something else, damaged, or of an unknown version.
    """

def check_graph(model: Buffer) -> None:
    """Look through a serialised ONNX model that an engine is to run (docs/spec/bundle.md).

    Raises:
        BundleError: It holds more than computation and weights: other files' weights, control
            flow, functions, unlisted operators, or what two engines could understand differently.
    """

@final
class BundleFile:
    """A file of a bundle, as its manifest describes it.

    Attributes:
        path: Inside the bundle, with '/' between its parts; does not leave it.
        sha256: 64 lower-case hexadecimal digits.
        size: Bytes.
    """

    @property
    def path(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def size(self) -> int: ...

@final
class Graph:
    """A graph of a bundle.

    Attributes:
        name: "analysis", "prior_0", ..., "synthesis".
        file: In float32.
        float16: The variant in float16, or None.
        outputs: Names of what it gives.
    """

    @property
    def name(self) -> str: ...
    @property
    def file(self) -> BundleFile: ...
    @property
    def float16(self) -> BundleFile | None: ...
    @property
    def outputs(self) -> list[str]: ...

@final
class ConformanceCase:
    """One set of inputs in `conformance.npz`, and what the prior graphs compute from it.

    Attributes:
        name: What errors and reports call it: lower-case letters, digits and '-'.
        batch: Pictures coded at once, 1 to 16.
        latent_height: Rows of latents, a multiple of 4; at most 16,384 latents over the batch.
        latent_width: Columns of latents, likewise.
        step: Quantisation step, as in a stream.
        fast: Whether it is run when an engine first meets the model.
        digests: SHA-256 of the outputs of `prior_0` to `prior_G` (`cca_engines.digest`).
    """

    @property
    def name(self) -> str: ...
    @property
    def batch(self) -> int: ...
    @property
    def latent_height(self) -> int: ...
    @property
    def latent_width(self) -> int: ...
    @property
    def step(self) -> int: ...
    @property
    def fast(self) -> bool: ...
    @property
    def digests(self) -> list[str]: ...

@final
class Conformance:
    """Conformance vectors of a model in exact mode; at least one case is fast.

    Attributes:
        file: Where the inputs are, at most 16 MiB.
        cases: At most 64, with different names.
    """

    @property
    def file(self) -> BundleFile: ...
    @property
    def cases(self) -> list[ConformanceCase]: ...

@final
class Manifest:
    """What a `manifest.json` says, validated (docs/spec/bundle.md).

    Attributes:
        name: For people; printable, at most 200 bytes of UTF-8.
        model_id: 8 bytes that stand for the prior graphs and the tables.
        entropy_mode: "exact" or "native".
        latent_channels: M, the sum of `group_sizes`, 1 to 65,536.
        hyper_channels: Z, 1 to 65,536.
        group_sizes: Channels of each group.
        smallest_scale: Half places below the first entry of the scale table from which graphs
            count scales, 0 to 128; None if the model has one quantisation step alone.
        widest_stage: Channels of the transforms at a picture's full size, for estimates of memory.
        analysis: The analysis transform.
        priors: `prior_0` to `prior_G`.
        synthesis: The synthesis transform.
        tables: Where the entropy tables are, at most 64 MiB.
        conformance: In exact mode, otherwise None.
    """

    @property
    def name(self) -> str: ...
    @property
    def model_id(self) -> bytes: ...
    @property
    def entropy_mode(self) -> Literal["native", "exact"]: ...
    @property
    def latent_channels(self) -> int: ...
    @property
    def hyper_channels(self) -> int: ...
    @property
    def group_sizes(self) -> list[int]: ...
    @property
    def smallest_scale(self) -> int | None: ...
    @property
    def widest_stage(self) -> int: ...
    @property
    def analysis(self) -> Graph: ...
    @property
    def priors(self) -> list[Graph]: ...
    @property
    def synthesis(self) -> Graph: ...
    @property
    def tables(self) -> BundleFile: ...
    @property
    def conformance(self) -> Conformance | None: ...

def model_id(
    priors: Sequence[tuple[str, str]], tables: str, smallest_scale: int | None = None
) -> bytes:
    """The model id of a bundle (docs/spec/bundle.md, "Model id"), 8 bytes.

    Args:
        priors: Name and SHA-256, in hexadecimal, of each prior graph's file, in the order in
            which they run.
        tables: SHA-256 of `tables.bin`.
        smallest_scale: Of the manifest.
    """

def read_manifest(content: Buffer) -> Manifest:
    """Read the content of a `manifest.json`, at most 1 MiB.

    Raises:
        BundleError: It is not strict JSON, not a manifest, or of an unknown version.
    """
