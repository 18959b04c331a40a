/* libcca: the CCA stream format and its entropy coder, for programs with an engine of their own.
 *
 * The library reads and writes streams (docs/format.md), reads model bundles (docs/bundle.md) and
 * codes symbols. It runs no networks: the host runs the bundle's graphs with whatever engine it
 * has, and leaves format and coding to these functions. Decoding, without the error checks:
 *
 *     cca_model_open(manifest, tables, &model);          // contents of two files of the bundle
 *     cca_stream_parse(bytes, 0, &stream);
 *     cca_model_check_stream(model, &stream, NULL);      // was it made with this model?
 *     cca_decoder_create(stream.payload, &decoder);
 *     cca_decoder_pull_u16(decoder, cca_model_hyper_tables(model), channels, n, z_symbols);
 *     // run prior_0 on z_symbols; then for each channel group:
 *     cca_decoder_pull_u8(decoder, cca_model_gaussian_tables(model), indexes, n, symbols);
 *     // ... run the next prior graph on the symbols ...
 *     cca_decoder_finish(decoder);
 *     // run synthesis, take away stream.padding
 *
 * docs/embedding.md walks through it.
 *
 * Rules that hold everywhere:
 * - Errors. Functions that can fail return a cca_status; cca_last_error() says more. A function
 *   that fails writes nothing to its outputs, except that symbols may be half-written. Null where
 *   it is not allowed, and calls in the wrong order, are errors and not crashes. No C++ exception
 *   ever leaves the library.
 * - Ownership. What a *_create, *_open, *_write or *_finish hands out belongs to the caller, who
 *   frees it with the matching *_free. Every *_free takes null. Views and strings are borrowed: the
 *   text at each function says from whom.
 * - Threads. There is no global state but each thread's last error. Different handles can be used
 *   by different threads at once. A cca_model and its tables never change and can be shared. An
 *   encoder or decoder serves one thread at a time: a call while another thread is in one returns
 *   CCA_ERROR_STATE. Freeing a handle that is in use, or using a freed one, cannot be caught.
 * - Input. Streams, manifests and tables may be hostile. They are checked before they are believed,
 *   and memory grows with bytes that are there, not with sizes that are claimed.
 * - Speed. The coder takes the fastest code path that the processor has; all give the same bytes.
 *   For tests, the environment variable CCA_SIMD forces one (scalar, avx2, avx512 or neon); where
 *   it is not there, creating a coder is CCA_ERROR_ARGUMENT.
 *
 * C11 or C++11 and later. */
#ifndef CCA_CCA_H
#define CCA_CCA_H

#include <stddef.h>
#include <stdint.h>

/* CCA_STATIC: define it when linking the static library on Windows (CMake's cca::cca_static
 * does). CCA_BUILD_SHARED is for the library's own build. */
#if defined(_WIN32) && !defined(CCA_STATIC)
#if defined(CCA_BUILD_SHARED)
#define CCA_API __declspec(dllexport)
#else
#define CCA_API __declspec(dllimport)
#endif
#elif defined(__GNUC__) && !defined(CCA_STATIC)
#define CCA_API __attribute__((visibility("default")))
#else
#define CCA_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version ------------------------------------------------------------------------------- */

/* Layouts, values and meanings in this header. Raised when any of them changes in a way that an
 * already compiled program would notice; new functions do not raise it. It is also the number in
 * the shared library's name, libcca.so.1. */
#define CCA_ABI_VERSION 1

/* CCA_ABI_VERSION of the library that is running. */
CCA_API uint32_t cca_abi_version(void);

/* The release that is running, for instance "0.1.0". A constant string. */
CCA_API const char* cca_version_string(void);

/* ---- Errors -------------------------------------------------------------------------------- */

/* Values never change their meaning; later versions may add some. */
typedef enum cca_status {
    CCA_OK = 0,
    CCA_ERROR_INTERNAL = 1,    /* a mistake in the library: please report it */
    CCA_ERROR_MEMORY = 2,      /* out of memory */
    CCA_ERROR_ARGUMENT = 3,    /* null, a size, index or symbol out of range */
    CCA_ERROR_STATE = 4,       /* wrong order: used after finish or failure, or by two threads */
    CCA_ERROR_ABI = 5,         /* program and library disagree about this header */
    CCA_ERROR_STREAM = 6,      /* no CCA stream, or a damaged or truncated one */
    CCA_ERROR_UNSUPPORTED = 7, /* a stream or bundle of a version that this library does not know */
    CCA_ERROR_LIMIT = 8,       /* a sound stream of more pixels than max_pixels */
    CCA_ERROR_BUNDLE = 9,      /* no model bundle, or a damaged or inconsistent one */
    CCA_ERROR_MODEL = 10       /* a sound stream that another model, or another engine, made */
} cca_status;

/* Name of a status, for instance "CCA_ERROR_STREAM"; "unknown status" for any other value.
 * A constant string. */
CCA_API const char* cca_status_name(int status);

/* What went wrong in the last call of this thread that returned an error: one line of UTF-8, at
 * most 255 bytes, never null; "" before the first error. Calls that succeed leave it alone. The
 * string belongs to the library and changes with this thread's next error. */
CCA_API const char* cca_last_error(void);

/* Call it once at start: CCA_ERROR_ABI unless the library has the ABI the program was compiled for.
 *
 * abi_version  CCA_ABI_VERSION, as the program sees it. */
CCA_API cca_status cca_check_abi(uint32_t abi_version);

/* ---- Bytes --------------------------------------------------------------------------------- */

/* Bytes that belong to somebody else. */
typedef struct cca_view {
    const uint8_t* data; /* null only if size is 0 */
    size_t size;         /* in bytes */
} cca_view;

/* Bytes that the library made. */
typedef struct cca_bytes cca_bytes;

/* Its content; belongs to `bytes` and goes with it. A null pointer and 0 if `bytes` is null. */
CCA_API cca_view cca_bytes_view(const cca_bytes* bytes);

CCA_API void cca_bytes_free(cca_bytes* bytes);

/* ---- Streams ------------------------------------------------------------------------------- */

/* Values of entropy_mode. */
typedef enum cca_entropy_mode {
    CCA_ENTROPY_EXACT = 0, /* prior graphs compute integers: a stream decodes on any engine */
    CCA_ENTROPY_NATIVE = 1 /* a stream decodes only on the engine of its fingerprint */
} cca_entropy_mode;

#define CCA_IDENTIFIER_BYTES 8 /* of a model id, and of a fingerprint */

/* Sides of the padded picture are multiples of CCA_HYPER_SCALE, latents are CCA_LATENT_SCALE times
 * smaller than it along each side, hyper-latents CCA_HYPER_SCALE times. */
#define CCA_LATENT_SCALE 16
#define CCA_HYPER_SCALE 64

/* Pixels around the picture that the decoder takes away. */
typedef struct cca_padding {
    uint8_t left;
    uint8_t top;
    uint8_t right;
    uint8_t bottom;
} cca_padding;

/* How a large picture is divided (docs/format.md, "Tiles"), from the padded picture's left upper
 * corner on: into windows, which the transforms work on, and into tiles of some windows, which are
 * coded one by one. Those at the right and at the bottom are as much smaller as is left. All four
 * are 0 for a picture that is coded as a whole. */
typedef struct cca_tiling {
    uint32_t window_width; /* pixels, a multiple of CCA_HYPER_SCALE up to 16,320 */
    uint32_t window_height;
    uint32_t columns; /* windows side by side in a tile, 1 to 255 */
    uint32_t rows;    /* windows one below the other in a tile, 1 to 255 */
} cca_tiling;

/* All that a stream holds. cca_stream_parse() fills it, cca_stream_write() reads it; set it to zero
 * before filling in your own. */
typedef struct cca_stream_info {
    uint32_t width;  /* of the picture without padding, 1 to 65,535 pixels */
    uint32_t height; /* likewise */
    cca_padding padding;
    uint32_t entropy_mode;                     /* a cca_entropy_mode */
    uint8_t model_id[CCA_IDENTIFIER_BYTES];    /* the model that made it */
    uint8_t fingerprint[CCA_IDENTIFIER_BYTES]; /* native mode: the engine; else zero, and unread */
    cca_view payload;                          /* the coder's, below 2^32 bytes; all tiles' */
    cca_view icc;  /* ICC colour profile, at most 2^24 bytes; size 0 if there is none */
    cca_view exif; /* EXIF as in TIFF and JPEG, likewise */
    cca_view xmp;  /* XMP, UTF-8 text, likewise */
    cca_tiling tiling;
    cca_view tile_table; /* which part of the payload is whose, for cca_stream_tiles() */
} cca_stream_info;

#define CCA_DEFAULT_MAX_PIXELS ((uint64_t)1 << 28) /* a square of 16,384 pixels */

/* Takes a stream apart. Every byte is checked: structure, limits and checksums; only the payload's
 * meaning is left to the decoder.
 *
 * stream      a whole .cca file. Read during the call, but `info` points into it afterwards.
 * max_pixels  most pixels of the picture with its padding that the host is ready to decode; 0
 *             stands for CCA_DEFAULT_MAX_PIXELS.
 * info        not null. Its views point into `stream` and live as long as that does.
 *
 * CCA_ERROR_ARGUMENT, _STREAM, _UNSUPPORTED, _LIMIT, _MEMORY. */
CCA_API cca_status cca_stream_parse(cca_view stream, uint64_t max_pixels, cca_stream_info* info);

/* Puts a stream together.
 *
 * info    not null; read during the call. The payload is an encoder's. With a tiling it must be of
 *         cca_stream_parse(): cca_stream_write_tiles() is for new ones.
 * stream  not null; gets the .cca file, which the caller frees with cca_bytes_free().
 *
 * CCA_ERROR_ARGUMENT if a field breaks its limits or padding does not reach a multiple of
 * CCA_HYPER_SCALE; CCA_ERROR_MEMORY. */
CCA_API cca_status cca_stream_write(const cca_stream_info* info, cca_bytes** stream);

/* A part of the picture that is coded by itself. */
typedef struct cca_tile {
    uint32_t left; /* pixels of the padded picture, multiples of CCA_HYPER_SCALE all */
    uint32_t top;
    uint32_t width;
    uint32_t height;
    cca_view payload; /* a whole payload for a decoder */
} cca_tile;

/* Number of tiles, row after row; 1 for a picture that is coded as a whole.
 *
 * info   not null; read during the call.
 * count  not null.
 *
 * CCA_ERROR_ARGUMENT if a field breaks its limits. */
CCA_API cca_status cca_stream_tile_count(const cca_stream_info* info, size_t* count);

/* The tiles of a stream.
 *
 * info   not null; from cca_stream_parse().
 * tiles  gets `count` tiles, with payloads that are parts of info->payload.
 * count  what cca_stream_tile_count() gives.
 *
 * CCA_ERROR_ARGUMENT, _MEMORY. */
CCA_API cca_status cca_stream_tiles(const cca_stream_info* info, cca_tile* tiles, size_t count);

/* Puts together a stream of tiles.
 *
 * info      not null; read during the call, but for `payload` and `tile_table`.
 * payloads  `count` payloads, of an encoder each.
 * count     what cca_stream_tile_count() gives.
 * stream    as for cca_stream_write().
 *
 * CCA_ERROR_ARGUMENT, _MEMORY. */
CCA_API cca_status cca_stream_write_tiles(const cca_stream_info* info, const cca_view* payloads,
                                          size_t count, cca_bytes** stream);

/* The padding that `cca-run encode` chooses: the fewest pixels that reach multiples of
 * CCA_HYPER_SCALE, split evenly, the odd one right and below. The border pixels are repeated there.
 * Any padding that a stream can carry decodes; this one gives the same bytes as `cca-run`.
 *
 * width, height  of the picture, 1 to 65,535 pixels.
 * padding        not null.
 *
 * CCA_ERROR_ARGUMENT. */
CCA_API cca_status cca_choose_padding(uint32_t width, uint32_t height, cca_padding* padding);

/* ---- Models -------------------------------------------------------------------------------- */

/* The part of a model bundle that the host and the coder need; immutable. */
typedef struct cca_model cca_model;

/* A set of entropy tables; immutable, and part of a model. */
typedef struct cca_tables cca_tables;

/* Reads a bundle's manifest and tables.
 *
 * manifest  content of the bundle's `manifest.json`, at most 1 MiB; read during the call.
 * tables    content of the bundle's `tables.bin`, which must be the file that the manifest
 *           describes; read during the call.
 * model     not null; gets the model, which the caller frees with cca_model_free().
 *
 * CCA_ERROR_ARGUMENT, _BUNDLE, _UNSUPPORTED, _MEMORY. */
CCA_API cca_status cca_model_open(cca_view manifest, cca_view tables, cca_model** model);

/* No decoder or encoder needs the model after its last pull or push. */
CCA_API void cca_model_free(cca_model* model);

typedef struct cca_model_info {
    const char* name;                       /* for people; UTF-8 */
    uint8_t model_id[CCA_IDENTIFIER_BYTES]; /* for cca_stream_info */
    uint32_t entropy_mode;                  /* a cca_entropy_mode */
    uint32_t latent_channels;               /* M, the sum of group_sizes */
    uint32_t hyper_channels;                /* Z */
    uint32_t group_count;                   /* G; the prior graphs are prior_0 to prior_G */
    const uint32_t* group_sizes;            /* channels of each group, group_count of them */
} cca_model_info;

/* What the model is.
 *
 * model  not null.
 * info   not null. Its pointers belong to the model.
 *
 * CCA_ERROR_ARGUMENT. */
CCA_API cca_status cca_model_describe(const cca_model* model, cca_model_info* info);

/* A file of the bundle, as the manifest describes it. The strings belong to the model. */
typedef struct cca_file {
    const char* path;   /* inside the bundle's directory, '/' between its parts, no ".." */
    const char* sha256; /* 64 lower-case hexadecimal digits */
    uint64_t size;      /* in bytes, below 2^31 */
} cca_file;

/* A graph of the bundle: ONNX. Inputs and outputs are listed in docs/bundle.md. */
typedef struct cca_graph {
    const char* name; /* "analysis", "prior_0", ..., "synthesis"; belongs to the model */
    cca_file file;
    uint32_t takes_averages; /* 1 if it has the input `averages`, see cca_averages(); else 0 */
} cca_graph;

/* The analysis transform, from picture to latents; prior graph `index`, 0 to G (which is not
 * group_count - 1: the last one only completes the latents); the synthesis transform.
 *
 * model  not null.
 * graph  not null. Its strings belong to the model.
 *
 * CCA_ERROR_ARGUMENT. */
CCA_API cca_status cca_model_analysis(const cca_model* model, cca_graph* graph);
CCA_API cca_status cca_model_prior(const cca_model* model, uint32_t index, cca_graph* graph);
CCA_API cca_status cca_model_synthesis(const cca_model* model, cca_graph* graph);

/* CCA_ERROR_BUNDLE unless the size and SHA-256 of `content` are those of `file` and, if its path
 * ends in ".onnx", it is a graph as docs/bundle.md allows them, without weights in other files,
 * control flow or functions: to be called before an engine sees the content.
 *
 * file     not null; of a cca_graph.
 * content  read during the call.
 *
 * CCA_ERROR_ARGUMENT, _BUNDLE. */
CCA_API cca_status cca_file_check(const cca_file* file, cca_view content);

/* The tables of latent symbols, one for each scale; a graph's output `indexes` chooses from them.
 * Belongs to the model. Null if `model` is. */
CCA_API const cca_tables* cca_model_gaussian_tables(const cca_model* model);

/* The tables of hyper-latent symbols, one for each hyper-latent channel: the table index of a
 * symbol is its channel. Belongs to the model. Null if `model` is. */
CCA_API const cca_tables* cca_model_hyper_tables(const cca_model* model);

/* Number of tables in a set: a table index must be less. 0 if `tables` is null. */
CCA_API size_t cca_tables_count(const cca_tables* tables);

/* CCA_ERROR_MODEL unless a stream decodes to what its encoder saw with this model on this engine.
 *
 * model        not null.
 * stream       not null; from cca_stream_parse().
 * fingerprint  CCA_IDENTIFIER_BYTES bytes that stand for the host's engine: device, library and
 *              version, whatever its floating-point results depend on. Compared in native mode
 *              only; may be null in exact mode.
 *
 * CCA_ERROR_ARGUMENT, _MODEL. */
CCA_API cca_status cca_model_check_stream(const cca_model* model, const cca_stream_info* stream,
                                          const uint8_t* fingerprint);

/* The input `averages`, float32 [4], of the prior graphs that have it (docs/exact.md, "Averages").
 *
 * latent_height, latent_width  of the padded picture's latents, each 1 to 65,535.
 * averages                     not null; gets 4 floats.
 *
 * CCA_ERROR_ARGUMENT. */
CCA_API cca_status cca_averages(uint32_t latent_height, uint32_t latent_width, float* averages);

/* ---- Decoder ------------------------------------------------------------------------------- */

/* Decodes a payload, one *group* at a time and in the encoder's order: first all hyper-latents,
 * then each channel group. A group is one call of a pull function; its symbols are in the order
 * channel, row, column, and their number must be the encoder's. After a failed pull every further
 * call returns CCA_ERROR_STATE. */
typedef struct cca_decoder cca_decoder;

/* payload  of cca_stream_info; copied.
 * decoder  not null; gets the decoder, which the caller frees with cca_decoder_free().
 *
 * CCA_ERROR_ARGUMENT, _STREAM, _MEMORY. */
CCA_API cca_status cca_decoder_create(cca_view payload, cca_decoder** decoder);

/* Decodes the next group.
 *
 * decoder  not null.
 * tables   not null; the set that `indexes` chooses from.
 * indexes  `count` table indexes, one for each symbol; null only if `count` is 0.
 * count    number of symbols in the group.
 * symbols  gets `count` symbols, -32,768 to 32,767; null only if `count` is 0. Must not overlap
 *          `indexes`.
 *
 * CCA_ERROR_ARGUMENT, _STATE, _STREAM, _MEMORY. */
CCA_API cca_status cca_decoder_pull_u8(cca_decoder* decoder, const cca_tables* tables,
                                       const uint8_t* indexes, size_t count, int32_t* symbols);
CCA_API cca_status cca_decoder_pull_u16(cca_decoder* decoder, const cca_tables* tables,
                                        const uint16_t* indexes, size_t count, int32_t* symbols);

/* Confirms that the payload ends here: call it after the last group. (A preview that stops before
 * just frees the decoder.) Afterwards a pull returns CCA_ERROR_STATE, and so does another finish.
 *
 * CCA_ERROR_ARGUMENT, _STATE, _STREAM. */
CCA_API cca_status cca_decoder_finish(cca_decoder* decoder);

CCA_API void cca_decoder_free(cca_decoder* decoder);

/* ---- Encoder ------------------------------------------------------------------------------- */

/* Collects groups, in the decoder's order, and encodes them all at the end. */
typedef struct cca_encoder cca_encoder;

/* encoder  not null; gets the encoder, which the caller frees with cca_encoder_free().
 *
 * CCA_ERROR_ARGUMENT, _MEMORY. */
CCA_API cca_status cca_encoder_create(cca_encoder** encoder);

/* Symbols as the coder takes them: latents minus means, rounded to nearest (halves to even) and
 * clipped to -32,768 .. 32,767. A device can as well do it itself.
 *
 * latents, means  `count` floats each; null only if `count` is 0.
 * symbols         gets `count` symbols; null only if `count` is 0. Must not overlap the others.
 *
 * CCA_ERROR_ARGUMENT if a difference is infinite or not a number. */
CCA_API cca_status cca_quantise(const float* latents, const float* means, size_t count,
                                int32_t* symbols);

/* Appends a group. After CCA_ERROR_ARGUMENT the encoder is as before the call; after any other
 * error every further call returns CCA_ERROR_STATE.
 *
 * encoder  not null.
 * tables   not null; the set that `indexes` chooses from. Not needed after the call.
 * indexes  `count` table indexes, one for each symbol; null only if `count` is 0.
 * symbols  `count` symbols, -32,768 to 32,767; null only if `count` is 0.
 * count    number of symbols in the group.
 *
 * CCA_ERROR_ARGUMENT, _STATE, _MEMORY. */
CCA_API cca_status cca_encoder_push_u8(cca_encoder* encoder, const cca_tables* tables,
                                       const uint8_t* indexes, const int32_t* symbols,
                                       size_t count);
CCA_API cca_status cca_encoder_push_u16(cca_encoder* encoder, const cca_tables* tables,
                                        const uint16_t* indexes, const int32_t* symbols,
                                        size_t count);

/* Encodes all groups. Afterwards every further call returns CCA_ERROR_STATE.
 *
 * encoder  not null.
 * payload  not null; gets the payload for cca_stream_info, which the caller frees with
 *          cca_bytes_free().
 *
 * CCA_ERROR_ARGUMENT, _STATE, _MEMORY. */
CCA_API cca_status cca_encoder_finish(cca_encoder* encoder, cca_bytes** payload);

CCA_API void cca_encoder_free(cca_encoder* encoder);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
