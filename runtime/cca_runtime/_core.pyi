"""The native core: the `.cca` container and the entropy coder (docs/format.md)."""

from collections.abc import Sequence
from typing import Final, Literal, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

class StreamError(ValueError):
    """A truncated, altered or unsupported stream or payload; its message is one line."""

class LimitError(StreamError):
    """A stream with nothing wrong but its size, refused at a limit that the caller may raise."""

class BundleError(ValueError):
    """A file of a model bundle that is damaged or unsupported; its message is one line."""

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

def read_tables(data: Buffer) -> tuple[EntropyTables, EntropyTables]:
    """The entropy tables of latents, one a scale, and hyper-latents, one a channel.

    Args:
        data: The content of a bundle's `tables.bin` (docs/bundle.md).

    Raises:
        BundleError: It is something else, damaged, or of an unknown version.
    """

def check_graph(model: Buffer) -> None:
    """Look through a serialised ONNX model that an engine is to run (docs/bundle.md).

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
        takes_averages: Whether it has the input `averages` (docs/exact.md).
    """

    @property
    def name(self) -> str: ...
    @property
    def file(self) -> BundleFile: ...
    @property
    def float16(self) -> BundleFile | None: ...
    @property
    def takes_averages(self) -> bool: ...

@final
class ConformanceCase:
    """One set of inputs in `conformance.npz`, and what the prior graphs compute from it.

    Attributes:
        name: What errors and reports call it: lower-case letters, digits and '-'.
        batch: Pictures coded at once, 1 to 16.
        latent_height: Rows of latents, a multiple of 4; at most 16,384 latents over the batch.
        latent_width: Columns of latents, likewise.
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
    """What a `manifest.json` says, validated (docs/bundle.md).

    Attributes:
        name: For people; printable, at most 200 bytes of UTF-8.
        model_id: 8 bytes that stand for the prior graphs and the tables.
        entropy_mode: "exact" or "native".
        latent_channels: M, the sum of `group_sizes`, 1 to 65,536.
        hyper_channels: Z, 1 to 65,536.
        group_sizes: Channels of each group.
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

def read_manifest(content: Buffer) -> Manifest:
    """Read the content of a `manifest.json`, at most 1 MiB.

    Raises:
        BundleError: It is not strict JSON, not a manifest, or of an unknown version.
    """
