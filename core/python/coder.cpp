// EntropyTables, Encoder and Decoder for Python.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <atomic>
#include <memory>
#include <stdexcept>

#include "buffer.hpp"
#include "entropy/rans.hpp"
#include "module.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace cca::python {
namespace {

// A coder at work with the GIL released, and the flag that keeps a second thread out.
template <typename Coder>
class Exclusive {
  public:
    explicit Exclusive(Coder coder) : coder_(std::move(coder)) {}
    Exclusive(const Exclusive&) = delete;
    Exclusive& operator=(const Exclusive&) = delete;

    template <typename Work>
    auto run(Work work) {
        if (busy_.test_and_set(std::memory_order_acquire)) {
            throw std::runtime_error("this coder is at work in another thread");
        }
        const Release release{busy_};
        const nb::gil_scoped_release no_gil;
        return work(coder_);
    }

  private:
    struct Release {
        std::atomic_flag& busy;
        ~Release() { busy.clear(std::memory_order_release); }
    };

    Coder coder_;
    std::atomic_flag busy_;
};

using PyEncoder = Exclusive<Encoder>;
using PyDecoder = Exclusive<Decoder>;
using Array = nb::ndarray<nb::numpy, std::int32_t>;

// Calls `work` with the table indexes as the type they have.
template <typename Work>
void with_indexes(const Buffer& indexes, Work work) {
    if (indexes.holds_unsigned(sizeof(std::uint8_t))) {
        work(indexes.elements<std::uint8_t>());
    } else if (indexes.holds_unsigned(sizeof(std::uint16_t))) {
        work(indexes.elements<std::uint16_t>());
    } else {
        indexes.refuse_type("uint8 or uint16");
    }
}

void init_tables(EntropyTables* self, nb::handle cdfs_object, nb::handle lengths_object,
                 nb::handle offsets_object) {
    const Buffer cdfs(cdfs_object, "cdfs");
    const Buffer lengths(lengths_object, "lengths");
    const Buffer offsets(offsets_object, "offsets");
    const auto shape = cdfs.shape();
    if (shape.size() != 2 || lengths.shape() != std::vector{shape[0]} ||
        offsets.shape() != std::vector{shape[0]}) {
        throw std::invalid_argument("cdfs must be [T, L], lengths and offsets [T]");
    }
    new (self) EntropyTables(cdfs.int32(), shape[1], lengths.int32(), offsets.int32());
}

void push(PyEncoder& encoder, nb::handle symbols_object, nb::handle indexes_object,
          const EntropyTables& tables) {
    const Buffer symbols(symbols_object, "symbols");
    const Buffer indexes(indexes_object, "indexes");
    if (symbols.shape() != indexes.shape()) {
        throw std::invalid_argument("symbols and indexes differ in shape");
    }
    const auto values = symbols.int32();
    with_indexes(indexes, [&](auto typed) {
        encoder.run([&](Encoder& core) { core.push(values, typed, tables); });
    });
}

nb::bytes finish_encoder(PyEncoder& encoder) {
    const auto payload = encoder.run([](const Encoder& core) { return core.finish(); });
    return nb::bytes(payload.data(), payload.size());
}

void init_decoder(PyDecoder* self, nb::handle payload_object) {
    const Buffer payload(payload_object, "payload");
    new (self) PyDecoder(Decoder(bytes_of(payload)));
}

Array pull(PyDecoder& decoder, nb::handle indexes_object, const EntropyTables& tables) {
    const Buffer indexes(indexes_object, "indexes");
    std::unique_ptr<std::int32_t[]> symbols;
    with_indexes(indexes, [&](auto typed) {
        symbols = std::make_unique_for_overwrite<std::int32_t[]>(typed.size());
        decoder.run([&](Decoder& core) {
            core.pull(std::span(symbols.get(), typed.size()), typed, tables);
        });
    });
    const auto shape = indexes.shape();
    std::int32_t* const data = symbols.get();
    const nb::capsule owner(
        data, [](void* memory) noexcept { delete[] static_cast<std::int32_t*>(memory); });
    symbols.release();
    return Array(data, shape.size(), shape.data(), owner);
}

void finish_decoder(PyDecoder& decoder) {
    decoder.run([](Decoder& core) { core.finish(); });
}

}  // namespace

void bind_coder(nb::module_& module) {
    nb::class_<EntropyTables>(module, "EntropyTables", nb::is_final())
        .def("__init__", &init_tables, "cdfs"_a, "lengths"_a, "offsets"_a)
        .def("__len__", &EntropyTables::size);
    nb::class_<PyEncoder>(module, "Encoder", nb::is_final())
        .def("__init__", [](PyEncoder* self) { new (self) PyEncoder(Encoder()); })
        .def("push", &push, "symbols"_a, "indexes"_a, "tables"_a)
        .def("finish", &finish_encoder);
    nb::class_<PyDecoder>(module, "Decoder", nb::is_final())
        .def("__init__", &init_decoder, "payload"_a)
        .def("pull", &pull, "indexes"_a, "tables"_a)
        .def("finish", &finish_decoder);
}

}  // namespace cca::python
