/// libcca in C++: cca.h with errors that are exceptions, and handles that free themselves.
///
/// Nothing but this header is needed beside the library. What each function and field means is said
/// in cca.h; here is what C++ adds. Decoding, with a host of your own (see Host):
///
///     const cca::Model model(cca::view(manifest), cca::view(tables));
///     const cca::Decoder decoder = cca::decode(model, host, cca::view(stream));
///     const cca_picture picture = decoder.picture();
///
/// Rules that hold everywhere:
/// - Errors. Every function that can fail throws Error. What a host throws passes through.
/// - Ownership. Objects can be moved and not copied; what was moved from may only be destroyed or
///   assigned to. Views and strings are borrowed, as in cca.h. Models, pixels and streams outlive
///   the encoders and decoders that read them.
/// - Threads. As in cca.h: different objects may be used by different threads at once, and a Model
///   by any number of threads.
///
/// C++17 and later.
#ifndef CCA_CCA_HPP
#define CCA_CCA_HPP

#include <cca/cca.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <future>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace cca {
// Keeps these names apart from those inside the static library.
inline namespace api {

// ---- Errors -------------------------------------------------------------------------------------

/// A call of the library that failed. what() is one line of UTF-8.
class Error : public std::runtime_error {
  public:
    Error(cca_status status, const std::string& message)
        : std::runtime_error(message), status_(status) {}

    cca_status status() const noexcept { return status_; }

    /// Whether a file or an argument is at fault. If not, the work failed: try again, elsewhere.
    bool is_bad_input() const noexcept {
        switch (status_) {
            case CCA_ERROR_ARGUMENT:
            case CCA_ERROR_STREAM:
            case CCA_ERROR_UNSUPPORTED:
            case CCA_ERROR_LIMIT:
            case CCA_ERROR_BUNDLE:
            case CCA_ERROR_MODEL:
            case CCA_ERROR_TARGET:
                return true;
            default:
                return false;
        }
    }

  private:
    cca_status status_;
};

/// Throws an Error, with cca_last_error(), unless `status` is CCA_OK.
inline void check(cca_status status) {
    if (status != CCA_OK) {
        throw Error(status, cca_last_error());
    }
}

namespace detail {

template <auto kFree>
struct Free {
    template <typename Handle>
    void operator()(Handle* handle) const noexcept {
        kFree(handle);
    }
};

template <typename Handle, auto kFree>
using Owned = std::unique_ptr<Handle, Free<kFree>>;

/// Calls `function(arguments..., &handle)`, and takes what that gives.
template <typename OwnedHandle, typename Function, typename... Arguments>
OwnedHandle create(Function function, Arguments... arguments) {
    typename OwnedHandle::pointer handle = nullptr;
    check(function(arguments..., &handle));
    return OwnedHandle(handle);
}

}  // namespace detail

// ---- Bytes --------------------------------------------------------------------------------------

/// The bytes of a container: a vector, string, span or array of elements of one byte.
template <typename Container>
cca_view view(const Container& bytes) noexcept {
    static_assert(sizeof(*std::data(bytes)) == 1, "a view is of bytes");
    return {reinterpret_cast<const std::uint8_t*>(std::data(bytes)), std::size(bytes)};
}

/// Bytes that the library made.
class Bytes {
  public:
    /// Takes over what a function of cca.h gave.
    explicit Bytes(cca_bytes* bytes) noexcept : bytes_(bytes) {}

    const std::uint8_t* data() const noexcept { return cca_bytes_view(bytes_.get()).data; }
    std::size_t size() const noexcept { return cca_bytes_view(bytes_.get()).size; }

  private:
    detail::Owned<cca_bytes, cca_bytes_free> bytes_;
};

// ---- Streams and models -------------------------------------------------------------------------

/// cca_stream_parse(): the result's views point into `stream`.
inline cca_stream_info parse_stream(cca_view stream, const cca_limits& limits = {}) {
    cca_stream_info info{};
    check(cca_stream_parse(stream, &limits, &info));
    return info;
}

/// cca_step_of_quality(): the quantisation step, for EncodeOptions, of a quality from 0 to 100.
inline std::int32_t step_of_quality(double quality) {
    std::int32_t step = 0;
    check(cca_step_of_quality(quality, &step));
    return step;
}

/// cca_step_value(): what lies between two latents that a stream of this step can tell apart.
inline float step_value(std::int32_t step) {
    float value = 0;
    check(cca_step_value(step, &value));
    return value;
}

/// cca_file_check(): throws unless `content` is what the bundle's manifest says of the file.
inline void check_file(const cca_file& file, cca_view content) {
    check(cca_file_check(&file, content));
}

/// The part of a model bundle that the library needs.
class Model {
  public:
    /// cca_check_abi(), then cca_model_open(): reads the contents of two files of the bundle.
    ///
    /// @param manifest  of `manifest.json`; read during the call.
    /// @param tables    of `tables.bin`; read during the call.
    Model(cca_view manifest, cca_view tables) {
        check(cca_check_abi(CCA_ABI_VERSION));
        model_ = detail::create<Handle>(cca_model_open, manifest, tables);
    }

    /// Its pointers belong to the model, and so do those of its graphs.
    cca_model_info info() const {
        cca_model_info info{};
        check(cca_model_describe(get(), &info));
        return info;
    }

    std::uint32_t graph_count() const noexcept { return cca_model_graph_count(get()); }

    /// @param index  less than graph_count(); as in steps.
    cca_graph graph(std::uint32_t index) const {
        cca_graph graph{};
        check(cca_model_graph(get(), index, &graph));
        return graph;
    }

    const cca_tables* gaussian_tables() const noexcept { return cca_model_gaussian_tables(get()); }
    const cca_tables* hyper_tables() const noexcept { return cca_model_hyper_tables(get()); }

    /// The table of each latent symbol: `count` of them, of as many indexes that a graph gave.
    void choose_tables(std::int32_t step, const std::uint8_t* indexes, std::size_t count,
                       std::uint8_t* tables) const {
        check(cca_model_choose_tables(get(), step, indexes, count, tables));
    }

    /// For functions of cca.h.
    const cca_model* get() const noexcept { return model_.get(); }

  private:
    using Handle = detail::Owned<cca_model, cca_model_free>;
    Handle model_;
};

// ---- Entropy coder ------------------------------------------------------------------------------

/// Decodes a payload, group by group.
class RansDecoder {
  public:
    /// @param payload  copied.
    explicit RansDecoder(cca_view payload)
        : decoder_(detail::create<Handle>(cca_rans_decoder_create, payload)) {}

    /// Decodes the next group: `count` symbols, of as many table indexes.
    void pull(const cca_tables* tables, const std::uint8_t* indexes, std::size_t count,
              std::int32_t* symbols) {
        check(cca_rans_decoder_pull_u8(decoder_.get(), tables, indexes, count, symbols));
    }
    void pull(const cca_tables* tables, const std::uint16_t* indexes, std::size_t count,
              std::int32_t* symbols) {
        check(cca_rans_decoder_pull_u16(decoder_.get(), tables, indexes, count, symbols));
    }

    /// Confirms that the payload ends here.
    void finish() { check(cca_rans_decoder_finish(decoder_.get())); }

  private:
    using Handle = detail::Owned<cca_rans_decoder, cca_rans_decoder_free>;
    Handle decoder_;
};

/// Collects groups, in the decoder's order, and encodes them all at the end.
class RansEncoder {
  public:
    RansEncoder() : encoder_(detail::create<Handle>(cca_rans_encoder_create)) {}

    /// Appends a group: `count` symbols, and as many table indexes.
    void push(const cca_tables* tables, const std::uint8_t* indexes, const std::int32_t* symbols,
              std::size_t count) {
        check(cca_rans_encoder_push_u8(encoder_.get(), tables, indexes, symbols, count));
    }
    void push(const cca_tables* tables, const std::uint16_t* indexes, const std::int32_t* symbols,
              std::size_t count) {
        check(cca_rans_encoder_push_u16(encoder_.get(), tables, indexes, symbols, count));
    }

    /// The payload. Nothing can follow.
    Bytes finish() {
        cca_bytes* payload = nullptr;
        check(cca_rans_encoder_finish(encoder_.get(), &payload));
        return Bytes(payload);
    }

  private:
    using Handle = detail::Owned<cca_rans_encoder, cca_rans_encoder_free>;
    Handle encoder_;
};

// ---- Machines -----------------------------------------------------------------------------------

/// cca_decode_options whose `struct_size` is set; all else is the default.
struct DecodeOptions : cca_decode_options {
    DecodeOptions() noexcept : cca_decode_options() { struct_size = sizeof(cca_decode_options); }
};

/// cca_encode_options whose `struct_size` is set; all else is the default.
struct EncodeOptions : cca_encode_options {
    EncodeOptions() noexcept : cca_encode_options() { struct_size = sizeof(cca_encode_options); }
};

/// Decodes one stream, or several of one padded size and without tiles as a batch.
class Decoder {
  public:
    Decoder(const Model& model, cca_view stream, const DecodeOptions& options = {})
        : Decoder(model, std::vector<cca_view>{stream}, options) {}

    /// @param streams  their bytes, and not the vector, outlive the decoder.
    Decoder(const Model& model, const std::vector<cca_view>& streams,
            const DecodeOptions& options = {})
        : decoder_(detail::create<Handle>(cca_decoder_create, model.get(), streams.data(),
                                          streams.size(),
                                          static_cast<const cca_decode_options*>(&options))),
          group_count_(model.info().group_count) {}

    /// What the worker is to do next. Valid until the worker's next call.
    const cca_step& next(std::uint32_t worker = 0) {
        const cca_step* step = nullptr;
        check(cca_decoder_next(decoder_.get(), worker, &step));
        return *step;
    }

    /// Ends the work early; any thread may call it. Workers that wait get CCA_ERROR_STATE.
    void stop() noexcept { cca_decoder_stop(decoder_.get()); }

    /// When all is done: the picture of a stream. Its pointers belong to the decoder.
    cca_picture picture(std::size_t index = 0) const {
        cca_picture picture{};
        check(cca_decoder_picture(decoder_.get(), index, &picture));
        return picture;
    }

    /// When all is done: how many channel groups were used of each payload, or -1 if not even its
    /// hyper-latents are there.
    std::vector<std::int32_t> groups(std::size_t index = 0) const {
        const Groups found = find_groups(index);
        return {found.of_payloads, found.of_payloads + found.payloads};
    }

    /// When all is done: bytes that are the hyper-latents', then those of each channel group, as
    /// far as they were decoded.
    std::vector<std::uint64_t> group_bytes(std::size_t index = 0) const {
        const Groups found = find_groups(index);
        return {found.bytes, found.bytes + group_count_ + 1};
    }

    /// When all is done, with `keep_going`: payloads whose latents are not the encoder's.
    std::uint64_t mismatches() const {
        std::uint64_t count = 0;
        check(cca_decoder_mismatches(decoder_.get(), &count));
        return count;
    }

  private:
    struct Groups {
        const std::int32_t* of_payloads;
        std::size_t payloads;
        const std::uint64_t* bytes;
    };

    Groups find_groups(std::size_t index) const {
        Groups found{};
        check(cca_decoder_groups(decoder_.get(), index, &found.of_payloads, &found.payloads,
                                 &found.bytes));
        return found;
    }

    using Handle = detail::Owned<cca_decoder, cca_decoder_free>;
    Handle decoder_;
    std::size_t group_count_;
};

/// Encodes one picture, or several of one padded size and without tiles as a batch.
class Encoder {
  public:
    Encoder(const Model& model, const cca_picture& picture, const EncodeOptions& options = {})
        : Encoder(model, std::vector<cca_picture>{picture}, options) {}

    /// @param pictures  their pixels, and not the vector, outlive the encoder.
    Encoder(const Model& model, const std::vector<cca_picture>& pictures,
            const EncodeOptions& options = {})
        : encoder_(detail::create<Handle>(cca_encoder_create, model.get(), pictures.data(),
                                          pictures.size(),
                                          static_cast<const cca_encode_options*>(&options))),
          group_count_(model.info().group_count) {}

    /// As Decoder::next().
    const cca_step& next(std::uint32_t worker = 0) {
        const cca_step* step = nullptr;
        check(cca_encoder_next(encoder_.get(), worker, &step));
        return *step;
    }

    /// As Decoder::stop().
    void stop() noexcept { cca_encoder_stop(encoder_.get()); }

    /// When all is done: the .cca file of a picture. Its bytes belong to the encoder.
    cca_view stream(std::size_t index = 0) const {
        cca_view stream{};
        check(cca_encoder_stream(encoder_.get(), index, &stream));
        return stream;
    }

    /// When all is done, with `reconstruct`: the pixels that decoding will give. They belong to the
    /// encoder.
    cca_view reconstruction(std::size_t index = 0) const {
        cca_view pixels{};
        check(cca_encoder_reconstruction(encoder_.get(), index, &pixels));
        return pixels;
    }

    /// When all is done: bytes of a payload that are the hyper-latents', then those of each channel
    /// group.
    std::vector<std::uint64_t> group_bytes(std::size_t index = 0) const {
        const std::uint64_t* bytes = nullptr;
        check(cca_encoder_group_bytes(encoder_.get(), index, &bytes));
        return {bytes, bytes + group_count_ + 1};
    }

  private:
    using Handle = detail::Owned<cca_encoder, cca_encoder_free>;
    Handle encoder_;
    std::size_t group_count_;
};

// ---- Hosts --------------------------------------------------------------------------------------

/// Runs graphs on tensors, for one worker: what a program implements with its engine. Each function
/// does a step of its kind, and throws whatever it likes if it cannot.
class Host {
  public:
    virtual ~Host() = default;

    /// Makes a tensor in `step.slot`, of the bytes at `step.source`, or of any content if that is
    /// null. The bytes stay as they are until the slot is freed.
    virtual void upload(const cca_step& step) = 0;

    /// Runs graph `step.graph` of the model. Outputs that are no rows make a tensor each. Throws if
    /// the graph gives a tensor of another type or shape than its binding says.
    virtual void run(const cca_step& step) = 0;

    /// Waits for the tensor in `step.slot`, and copies its `step.size` bytes to `step.target`.
    virtual void download(const cca_step& step) = 0;

    /// Drops the tensor in `step.slot`.
    virtual void free(const cca_step& step) = 0;

    /// Drops all tensors: the work ended with an error.
    virtual void reset() noexcept = 0;

  protected:
    Host() = default;
    Host(const Host&) = default;
    Host& operator=(const Host&) = default;
};

/// Bytes of a tensor.
inline std::uint64_t byte_size(const cca_tensor& tensor) noexcept {
    std::uint64_t size = tensor.dtype == CCA_UINT8 ? 1 : 4;
    for (std::uint32_t axis = 0; axis < tensor.rank; ++axis) {
        size *= tensor.shape[axis];
    }
    return size;
}

/// Whether two tensors have the same type and shape.
inline bool same_layout(const cca_tensor& a, const cca_tensor& b) noexcept {
    bool same = a.dtype == b.dtype && a.rank == b.rank;
    for (std::uint32_t axis = 0; same && axis < a.rank; ++axis) {
        same = a.shape[axis] == b.shape[axis];
    }
    return same;
}

/// Does all steps of a worker.
///
/// @param machine  a Decoder or an Encoder. After an exception it is of no more use.
/// @param worker   as for Decoder::next(); other workers are on threads of their own.
template <typename Machine>
void drive(Machine& machine, Host& host, std::uint32_t worker = 0) {
    try {
        for (;;) {
            const cca_step& step = machine.next(worker);
            switch (step.kind) {
                case CCA_STEP_UPLOAD:
                    host.upload(step);
                    break;
                case CCA_STEP_RUN:
                    host.run(step);
                    break;
                case CCA_STEP_DOWNLOAD:
                    host.download(step);
                    break;
                case CCA_STEP_FREE:
                    host.free(step);
                    break;
                case CCA_STEP_DONE:
                    return;
                default:
                    throw Error(CCA_ERROR_UNSUPPORTED,
                                "a step of a kind that cca.hpp is too old for");
            }
        }
    } catch (...) {
        machine.stop();
        host.reset();
        throw;
    }
}

/// Does all steps of all workers, each on a thread of its own, which gains time with a picture in
/// tiles. If several fail, the exception is one of those that were not merely told to stop.
///
/// @param machine  made with as many `workers` as there are hosts.
/// @param hosts    one for each worker.
template <typename Machine>
void drive(Machine& machine, const std::vector<Host*>& hosts) {
    std::vector<std::future<void>> workers;
    for (Host* const host : hosts) {
        const auto worker = static_cast<std::uint32_t>(workers.size());
        workers.push_back(std::async(std::launch::async,
                                     [&machine, host, worker] { drive(machine, *host, worker); }));
    }
    std::exception_ptr failed;
    std::exception_ptr stopped;
    for (std::future<void>& worker : workers) {
        try {
            worker.get();
        } catch (const Error& error) {
            (error.status() == CCA_ERROR_STATE ? stopped : failed) = std::current_exception();
        } catch (...) {
            failed = std::current_exception();
        }
    }
    if (failed || stopped) {
        std::rethrow_exception(failed ? failed : stopped);
    }
}

/// Decodes a stream with one worker, whatever `options.workers` says.
///
/// @return a decoder that is done.
inline Decoder decode(const Model& model, Host& host, cca_view stream, DecodeOptions options = {}) {
    options.workers = 1;
    Decoder decoder(model, stream, options);
    drive(decoder, host);
    return decoder;
}

/// Encodes a picture with one worker, whatever `options.workers` says.
///
/// @return an encoder that is done.
inline Encoder encode(const Model& model, Host& host, const cca_picture& picture,
                      EncodeOptions options = {}) {
    options.workers = 1;
    Encoder encoder(model, picture, options);
    drive(encoder, host);
    return encoder;
}

}  // namespace api
}  // namespace cca

#endif
