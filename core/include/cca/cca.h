/* libcca: the CCA codec, for programs with an engine of their own.
 *
 * The library knows everything about pictures, streams (docs/spec/format.md) and model bundles
 * (docs/spec/bundle.md), and runs no networks: the host does that, with whatever engine it has.
 * There are two tiers:
 *
 * - Machines, the upper one. An encoder or decoder tells the host, step by step, which graph to run
 *   on which tensors. Decoding, without the error checks:
 *
 *       cca_model_open(manifest, tables, &model);          // contents of two files of the bundle
 *       cca_decoder_create(model, &stream, 1, NULL, &decoder);
 *       do {
 *           cca_decoder_next(decoder, 0, &step);
 *           // do what the step says: make a tensor, run a graph, fetch a tensor, free a tensor
 *       } while (step->kind != CCA_STEP_DONE);
 *       cca_decoder_picture(decoder, 0, &picture);         // pixels and metadata
 *
 *   cca_decode_with() and cca_encode_with() are that loop, for a host that is four functions.
 * - Streams and the entropy coder by themselves, the lower one, for programs that drive the graphs
 *   on their own.
 *
 * docs/guide/embedding.md walks through it.
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
 * the shared library's name, libcca.so.2. */
#define CCA_ABI_VERSION 2

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
    CCA_ERROR_MODEL = 10,      /* a sound stream that another model, or another engine, made */
    CCA_ERROR_LATENTS = 11,    /* the model gives infinite or undefined latents for a picture */
    CCA_ERROR_HOST = 12,       /* a function of the host failed */
    CCA_ERROR_INEXACT = 13,    /* the host's engine does not compute the model exactly */
    CCA_ERROR_TARGET = 14      /* no quantisation step gives the size or PSNR that is asked for */
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

/* How a large picture is divided (docs/spec/format.md, "Tiles"), from the padded picture's left
 * upper corner on: into windows, which the transforms work on, and into tiles of some windows,
 * which are coded one by one. Those at the right and at the bottom are as much smaller as is left.
 * All four are 0 for a picture that is coded as a whole. */
typedef struct cca_tiling {
    uint32_t window_width; /* pixels, a multiple of CCA_HYPER_SCALE up to 16,320 */
    uint32_t window_height;
    uint32_t columns; /* windows side by side in a tile, 1 to 255 */
    uint32_t rows;    /* windows one below the other in a tile, 1 to 255 */
} cca_tiling;

/* All that a stream holds. */
typedef struct cca_stream_info {
    uint32_t width;  /* of the picture without padding, 1 to 65,535 pixels */
    uint32_t height; /* likewise */
    cca_padding padding;
    uint32_t entropy_mode;                     /* a cca_entropy_mode */
    uint8_t model_id[CCA_IDENTIFIER_BYTES];    /* the model that made it */
    uint8_t fingerprint[CCA_IDENTIFIER_BYTES]; /* native mode: the engine; else zero */
    int32_t step;                              /* quantisation step, cca_step_of_quality() */
    cca_tiling tiling;
    uint64_t payload_count; /* number of tiles; 1 for a picture that is coded as a whole */
    cca_view payload;       /* the coder's, below 2^32 bytes: all tiles', one after the other */
    cca_view icc;           /* ICC colour profile, at most 2^24 bytes; size 0 if there is none */
    cca_view exif;          /* EXIF as in JPEG, "Exif" and two zeros before it, likewise */
    cca_view xmp;           /* XMP, UTF-8 text, likewise */
} cca_stream_info;

#define CCA_DEFAULT_MAX_PIXELS ((uint64_t)1 << 28) /* a square of 16,384 pixels */

/* What a reader is ready for. 0 stands for each one's default. */
typedef struct cca_limits {
    uint64_t max_pixels;       /* of a picture with its padding: CCA_DEFAULT_MAX_PIXELS */
    uint64_t max_tensor_bytes; /* of the tensors that a host holds for a worker: no limit */
    uint64_t max_metadata;     /* bytes of a stream's metadata together: 3 * 2^24 */
    uint64_t max_tiles;        /* of a picture: 2^20 */
} cca_limits;

/* Takes a stream apart, without decoding it. Every byte is checked: structure, limits and
 * checksums; only the payload's meaning is left to the decoder.
 *
 * stream  a whole .cca file. Read during the call, but `info` points into it afterwards.
 * limits  null for the defaults.
 * info    not null. Its views point into `stream` and live as long as that does.
 *
 * CCA_ERROR_ARGUMENT, _STREAM, _UNSUPPORTED, _LIMIT, _MEMORY. */
CCA_API cca_status cca_stream_parse(cca_view stream, const cca_limits* limits,
                                    cca_stream_info* info);

/* The quantisation step of a quality: how finely latents are told apart. Higher qualities are
 * better and larger.
 *
 * quality  0 to 100; 50 is what a model without a choice of steps was trained for.
 * step     not null; gets -128 (finest) to 127 (coarsest), and 0 for 50.
 *
 * CCA_ERROR_ARGUMENT. */
CCA_API cca_status cca_step_of_quality(double quality, int32_t* step);

/* What lies between two latents that a stream can tell apart: docs/spec/format.md, "Quantisation
 * step".
 *
 * step   -128 to 127.
 * value  not null; gets it, exactly: 1 for 0.
 *
 * CCA_ERROR_ARGUMENT. */
CCA_API cca_status cca_step_value(int32_t step, float* value);

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

/* A graph of the bundle: ONNX. */
typedef struct cca_graph {
    const char* name; /* "analysis", "prior_0", ..., "synthesis"; belongs to the model */
    cca_file file;
} cca_graph;

/* Number of the bundle's graphs. 0 if `model` is null. */
CCA_API uint32_t cca_model_graph_count(const cca_model* model);

/* A graph of the bundle: number 0 is the analysis transform, then come the prior's, in the order in
 * which they run, and last the synthesis transform.
 *
 * model  not null.
 * index  less than cca_model_graph_count().
 * graph  not null. Its strings belong to the model.
 *
 * CCA_ERROR_ARGUMENT. */
CCA_API cca_status cca_model_graph(const cca_model* model, uint32_t index, cca_graph* graph);

/* CCA_ERROR_BUNDLE unless the size and SHA-256 of `content` are those of `file` and, if its path
 * ends in ".onnx", it is a graph as docs/spec/bundle.md allows them, without weights in other
 * files, control flow or functions: to be called before an engine sees the content.
 *
 * file     not null; of a cca_graph.
 * content  read during the call.
 *
 * CCA_ERROR_ARGUMENT, _BUNDLE. */
CCA_API cca_status cca_file_check(const cca_file* file, cca_view content);

/* The tables of latent symbols, one for each scale; cca_model_choose_tables() chooses from them.
 * Belongs to the model. Null if `model` is. */
CCA_API const cca_tables* cca_model_gaussian_tables(const cca_model* model);

/* The tables of hyper-latent symbols, one for each hyper-latent channel: the table index of a
 * symbol is its channel. Belongs to the model. Null if `model` is. */
CCA_API const cca_tables* cca_model_hyper_tables(const cca_model* model);

/* The table of each latent symbol.
 *
 * model    not null.
 * step     of the stream.
 * indexes  `count` of them, as a graph gives them; null only if `count` is 0.
 * tables   gets `count` numbers of tables; null only if `count` is 0. May be `indexes`.
 *
 * CCA_ERROR_ARGUMENT, _BUNDLE, _MEMORY. */
CCA_API cca_status cca_model_choose_tables(const cca_model* model, int32_t step,
                                           const uint8_t* indexes, size_t count, uint8_t* tables);

/* Number of tables in a set: a table index must be less. 0 if `tables` is null. */
CCA_API size_t cca_tables_count(const cca_tables* tables);

/* ---- Decoding payloads --------------------------------------------------------------------- */

/* Decodes a payload, one *group* at a time and in the encoder's order: first all hyper-latents,
 * then each channel group. A group is one call of a pull function; its symbols are in the order
 * channel, row, column, and their number must be the encoder's. After a failed pull every further
 * call returns CCA_ERROR_STATE. */
typedef struct cca_rans_decoder cca_rans_decoder;

/* payload  of cca_stream_info; copied.
 * decoder  not null; gets the decoder, which the caller frees with cca_rans_decoder_free().
 *
 * CCA_ERROR_ARGUMENT, _STREAM, _MEMORY. */
CCA_API cca_status cca_rans_decoder_create(cca_view payload, cca_rans_decoder** decoder);

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
CCA_API cca_status cca_rans_decoder_pull_u8(cca_rans_decoder* decoder, const cca_tables* tables,
                                            const uint8_t* indexes, size_t count, int32_t* symbols);
CCA_API cca_status cca_rans_decoder_pull_u16(cca_rans_decoder* decoder, const cca_tables* tables,
                                             const uint16_t* indexes, size_t count,
                                             int32_t* symbols);

/* Confirms that the payload ends here: call it after the last group. (A preview that stops before
 * just frees the decoder.) Afterwards a pull returns CCA_ERROR_STATE, and so does another finish.
 *
 * CCA_ERROR_ARGUMENT, _STATE, _STREAM. */
CCA_API cca_status cca_rans_decoder_finish(cca_rans_decoder* decoder);

CCA_API void cca_rans_decoder_free(cca_rans_decoder* decoder);

/* ---- Encoding payloads --------------------------------------------------------------------- */

/* Collects groups, in the decoder's order, and encodes them all at the end. */
typedef struct cca_rans_encoder cca_rans_encoder;

/* encoder  not null; gets the encoder, which the caller frees with cca_rans_encoder_free().
 *
 * CCA_ERROR_ARGUMENT, _MEMORY. */
CCA_API cca_status cca_rans_encoder_create(cca_rans_encoder** encoder);

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
CCA_API cca_status cca_rans_encoder_push_u8(cca_rans_encoder* encoder, const cca_tables* tables,
                                            const uint8_t* indexes, const int32_t* symbols,
                                            size_t count);
CCA_API cca_status cca_rans_encoder_push_u16(cca_rans_encoder* encoder, const cca_tables* tables,
                                             const uint16_t* indexes, const int32_t* symbols,
                                             size_t count);

/* Encodes all groups. Afterwards every further call returns CCA_ERROR_STATE.
 *
 * encoder  not null.
 * payload  not null; gets the payload for cca_stream_info, which the caller frees with
 *          cca_bytes_free().
 *
 * CCA_ERROR_ARGUMENT, _STATE, _MEMORY. */
CCA_API cca_status cca_rans_encoder_finish(cca_rans_encoder* encoder, cca_bytes** payload);

CCA_API void cca_rans_encoder_free(cca_rans_encoder* encoder);

/* ---- Steps --------------------------------------------------------------------------------- */

/* Values of dtype. */
typedef enum cca_dtype { CCA_FLOAT32 = 0, CCA_INT32 = 1, CCA_UINT8 = 2 } cca_dtype;

/* Most axes of a tensor. */
#define CCA_MAX_RANK 5

/* A tensor, dense and in C order. */
typedef struct cca_tensor {
    uint32_t dtype; /* a cca_dtype */
    uint32_t rank;
    uint64_t shape[CCA_MAX_RANK];
} cca_tensor;

/* A tensor that a graph reads or writes under a name: all of a slot, or rows of it. */
typedef struct cca_binding {
    const char* name; /* of the graph's input or output; belongs to the model */
    uint32_t slot;
    uint32_t is_rows;   /* 1: rows of a slot that exists, which an output is written to in place */
    uint64_t first_row; /* of the first axis; shape[0] rows from there on */
    cca_tensor tensor;  /* what is bound: a graph that gives anything else is broken */
} cca_binding;

/* Values of kind. Later versions may add some, for options that do not exist today. */
typedef enum cca_step_kind {
    /* All is done; so is every further step. */
    CCA_STEP_DONE = 0,
    /* Make a tensor in `slot`, of the bytes at `source`, or of any content if that is null. The
     * bytes stay as they are until the slot is freed. */
    CCA_STEP_UPLOAD = 1,
    /* Run graph `graph` (cca_model_graph()). Outputs that are no rows make a tensor each. */
    CCA_STEP_RUN = 2,
    /* Wait for the tensor in `slot`, and copy it to `target`. */
    CCA_STEP_DOWNLOAD = 3,
    /* Drop the tensor in `slot`. Its number may be given again. */
    CCA_STEP_FREE = 4
} cca_step_kind;

/* What the host is to do next. It belongs to the machine and lasts until the worker's next one. */
typedef struct cca_step {
    uint32_t kind;      /* a cca_step_kind */
    uint32_t slot;      /* all but RUN and DONE: a small number; each worker has its own */
    cca_tensor tensor;  /* UPLOAD, DOWNLOAD */
    const void* source; /* UPLOAD */
    void* target;       /* DOWNLOAD */
    size_t size;        /* UPLOAD, DOWNLOAD: bytes of the tensor */
    uint32_t graph;     /* RUN */
    uint32_t input_count;
    uint32_t output_count;
    const cca_binding* inputs;
    const cca_binding* outputs;
} cca_step;

/* A host as functions, for cca_decode_with() and cca_encode_with(). Each does a step of its kind
 * and returns 0, or anything else to give up; `host` is `context`. */
typedef struct cca_host {
    size_t struct_size; /* sizeof(cca_host) */
    void* context;
    int (*upload)(void* host, const cca_step* step);
    int (*run)(void* host, const cca_step* step);
    int (*download)(void* host, const cca_step* step);
    int (*free)(void* host, const cca_step* step);
} cca_host;

/* A picture: 8-bit red, green and blue, row after row, and what travels with it. */
typedef struct cca_picture {
    const uint8_t* pixels;
    uint32_t width; /* 1 to 65,535 pixels */
    uint32_t height;
    cca_view icc; /* as in cca_stream_info */
    cca_view exif;
    cca_view xmp;
} cca_picture;

/* ---- Decoder ------------------------------------------------------------------------------- */

/* A part of a picture, in pixels. All zero stands for all of it. */
typedef struct cca_region {
    uint32_t x;
    uint32_t y;
    uint32_t width;
    uint32_t height;
} cca_region;

/* Fields that an older program does not know are zero, which always stands for the default. */
typedef struct cca_decode_options {
    size_t struct_size; /* sizeof(cca_decode_options) */
    cca_limits limits;
    cca_region region;          /* of a single picture */
    const uint8_t* fingerprint; /* native mode: CCA_IDENTIFIER_BYTES that stand for the engine */
    uint32_t workers;           /* threads that may do steps at the same time; 0 stands for 1 */
    uint32_t keep_going;        /* 1: show what came of latents that are not the encoder's */
    uint32_t leave_out;         /* channel groups, from the last on, that are predicted instead */
    uint32_t preview;           /* 1: take a stream that is cut short, and show what is there */
    uint32_t skip_pixels;       /* 1: decode symbols only, to learn what groups take */
    uint32_t reserved;          /* 0 */
} cca_decode_options;

/* Decodes one stream, or several of one padded size and without tiles together, as a batch. */
typedef struct cca_decoder cca_decoder;

/* Checks the streams, and that they are this model's.
 *
 * model    not null; outlives the decoder.
 * streams  `count` whole .cca files, at least 1; they outlive the decoder.
 * options  null for the defaults; read during the call.
 * decoder  not null; gets the decoder, which the caller frees with cca_decoder_free().
 *
 * CCA_ERROR_ARGUMENT, _STREAM, _UNSUPPORTED, _LIMIT, _MODEL, _MEMORY. */
CCA_API cca_status cca_decoder_create(const cca_model* model, const cca_view* streams, size_t count,
                                      const cca_decode_options* options, cca_decoder** decoder);

/* Does everything up to the next step: call it again when the host has done that. Large pictures
 * have work for several workers, each on a thread of its own; one that has nothing to do for now
 * waits here. After an error the decoder is of no more use, and the host drops all tensors.
 *
 * decoder  not null.
 * worker   less than the options' `workers`. One thread at a time may be a worker.
 * step     not null; gets the step.
 *
 * CCA_ERROR_ARGUMENT, _STATE, _STREAM, _INEXACT, _BUNDLE, _LIMIT, _MEMORY. */
CCA_API cca_status cca_decoder_next(cca_decoder* decoder, uint32_t worker, const cca_step** step);

/* A decoded picture, or the region of it. Its pointers belong to the decoder.
 *
 * decoder  not null; every worker has had CCA_STEP_DONE.
 * index    of its stream.
 * picture  not null.
 *
 * CCA_ERROR_ARGUMENT, _STATE. */
CCA_API cca_status cca_decoder_picture(const cca_decoder* decoder, size_t index,
                                       cca_picture* picture);

/* Number of payloads, with `keep_going`, whose latents are not those that the encoder had: its
 * engine or this one does not compute the model exactly.
 *
 * decoder  not null; every worker has had CCA_STEP_DONE.
 * count    not null.
 *
 * CCA_ERROR_ARGUMENT, _STATE. */
CCA_API cca_status cca_decoder_mismatches(const cca_decoder* decoder, uint64_t* count);

/* What was decoded of a picture.
 *
 * decoder, index  as for cca_decoder_picture().
 * groups          not null; gets for each payload how many channel groups were used, or -1 if not
 *                 even its hyper-latents are there. The numbers belong to the decoder.
 * count           not null; gets how many payloads there are: cca_stream_info.payload_count, which
 *                 cca_stream_parse() does not tell of a stream that is cut short.
 * bytes           not null; as cca_encoder_group_bytes() has them, as far as they were decoded.
 *
 * CCA_ERROR_ARGUMENT, _STATE. */
CCA_API cca_status cca_decoder_groups(const cca_decoder* decoder, size_t index,
                                      const int32_t** groups, size_t* count,
                                      const uint64_t** bytes);

/* Ends the work early, for a host that cannot do a step or is no longer asked to: workers that wait
 * come back with CCA_ERROR_STATE, and none has another step. May be called by any thread. */
CCA_API void cca_decoder_stop(cca_decoder* decoder);

CCA_API void cca_decoder_free(cca_decoder* decoder);

/* Decodes with one worker, whatever the options say, and a host that is given as functions.
 *
 * model, stream, options  as for cca_decoder_create().
 * host                    not null; used during the call.
 * decoder                 not null; gets a decoder that is done.
 *
 * CCA_ERROR_HOST, and those of the functions above. */
CCA_API cca_status cca_decode_with(const cca_model* model, cca_view stream,
                                   const cca_decode_options* options, const cca_host* host,
                                   cca_decoder** decoder);

/* ---- Encoder ------------------------------------------------------------------------------- */

#define CCA_TILE_BY_SIZE 0U      /* tiles of up to 3,072 pixels a side for pictures above 2^21 */
#define CCA_TILE_NONE UINT32_MAX /* every picture as a whole */

/* Values of target: what the encoder looks for a step for. Sizes are met within 1 %, by the largest
 * that is not above the target if there is one, a PSNR within 0.05 dB. */
typedef enum cca_target {
    CCA_TARGET_NONE = 0,          /* the options' `step` */
    CCA_TARGET_FILE_BYTES = 1,    /* of the whole stream */
    CCA_TARGET_PAYLOAD_BYTES = 2, /* of the stream without its metadata */
    CCA_TARGET_PSNR = 3           /* dB, over all samples */
} cca_target;

/* Fields that an older program does not know are zero, which always stands for the default. */
typedef struct cca_encode_options {
    size_t struct_size; /* sizeof(cca_encode_options) */
    cca_limits limits;
    const uint8_t* fingerprint; /* as for decoding */
    uint32_t tile_side;         /* longest side of a tile, a multiple of CCA_HYPER_SCALE up to
                                   16,320; or one of the above */
    uint32_t reconstruct;       /* 1: also give the pixels that decoding will give */
    uint32_t workers;           /* as for decoding */
    int32_t step;               /* quantisation step as in cca_stream_info, -128 to 127 */
    double target_value;        /* above 0, if there is a target */
    uint32_t target;            /* a cca_target, of a single picture */
    uint32_t reserved;          /* 0 */
} cca_encode_options;

/* Encodes one picture, or several of one padded size and without tiles together, as a batch. */
typedef struct cca_encoder cca_encoder;

/* model     not null; outlives the encoder.
 * pictures  `count` of them, at least 1. Their pixels outlive the encoder; metadata are copied.
 * options   null for the defaults; read during the call.
 * encoder   not null; gets the encoder, which the caller frees with cca_encoder_free().
 *
 * CCA_ERROR_ARGUMENT, _LIMIT, _MEMORY. */
CCA_API cca_status cca_encoder_create(const cca_model* model, const cca_picture* pictures,
                                      size_t count, const cca_encode_options* options,
                                      cca_encoder** encoder);

/* As cca_decoder_next().
 *
 * CCA_ERROR_ARGUMENT, _STATE, _BUNDLE, _LATENTS, _INEXACT, _TARGET, _LIMIT, _MEMORY. */
CCA_API cca_status cca_encoder_next(cca_encoder* encoder, uint32_t worker, const cca_step** step);

/* A whole .cca file. Its bytes belong to the encoder.
 *
 * encoder  not null; every worker has had CCA_STEP_DONE.
 * index    of its picture.
 * stream   not null.
 *
 * CCA_ERROR_ARGUMENT, _STATE. */
CCA_API cca_status cca_encoder_stream(const cca_encoder* encoder, size_t index, cca_view* stream);

/* The pixels that decoding will give, as in cca_picture. They belong to the encoder.
 *
 * encoder  not null; made with `reconstruct`; every worker has had CCA_STEP_DONE.
 * index    of its picture.
 * pixels   not null.
 *
 * CCA_ERROR_ARGUMENT, _STATE. */
CCA_API cca_status cca_encoder_reconstruction(const cca_encoder* encoder, size_t index,
                                              cca_view* pixels);

/* What a stream's bytes are for.
 *
 * encoder, index  as for cca_encoder_stream().
 * bytes           not null; gets the payload's bytes that are the hyper-latents', then those of
 *                 each channel group: cca_model_info.group_count + 1 numbers, which belong to the
 *                 encoder.
 *
 * CCA_ERROR_ARGUMENT, _STATE. */
CCA_API cca_status cca_encoder_group_bytes(const cca_encoder* encoder, size_t index,
                                           const uint64_t** bytes);

/* As cca_decoder_stop(). */
CCA_API void cca_encoder_stop(cca_encoder* encoder);

CCA_API void cca_encoder_free(cca_encoder* encoder);

/* Encodes with one worker and a host that is given as functions; see cca_decode_with(). */
CCA_API cca_status cca_encode_with(const cca_model* model, const cca_picture* picture,
                                   const cca_encode_options* options, const cca_host* host,
                                   cca_encoder** encoder);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
