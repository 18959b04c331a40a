// Encoder and Decoder for Python: machines that call a host's methods.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "buffer.hpp"
#include "codec/decoder.hpp"
#include "codec/encoder.hpp"
#include "codec/prior_machine.hpp"
#include "model.hpp"
#include "module.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace cca::python {
namespace {

using OptionalBytes = std::optional<nb::bytes>;

const char* name_of(DType dtype) {
    switch (dtype) {
        case DType::kFloat32:
            return "float32";
        case DType::kInt32:
            return "int32";
        case DType::kUint8:
            break;
    }
    return "uint8";
}

nb::dlpack::dtype dlpack_type(DType dtype) {
    switch (dtype) {
        case DType::kFloat32:
            return nb::dtype<float>();
        case DType::kInt32:
            return nb::dtype<std::int32_t>();
        case DType::kUint8:
            break;
    }
    return nb::dtype<std::uint8_t>();
}

// Of the struct module.
const char* codes_of(DType dtype) {
    switch (dtype) {
        case DType::kFloat32:
            return "f";
        case DType::kInt32:
            return "il";
        case DType::kUint8:
            break;
    }
    return "B";
}

nb::tuple to_python(const Shape& shape) {
    nb::list sizes;
    for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
        sizes.append(shape[axis]);
    }
    return nb::tuple(sizes);
}

// A view of the machine's memory. `owner` is the machine.
nb::object array_of(const Step& step, nb::handle owner) {
    std::vector<std::size_t> shape;
    for (std::size_t axis = 0; axis < step.shape.rank(); ++axis) {
        shape.push_back(step.shape[axis]);
    }
    return nb::cast(nb::ndarray<nb::numpy, nb::ro>(step.source.data(), shape.size(), shape.data(),
                                                   owner, nullptr, dlpack_type(step.dtype)));
}

nb::list bindings(std::span<const Binding> from) {
    nb::list list;
    for (const Binding& binding : from) {
        list.append(nb::make_tuple(
            nb::str(binding.name.data(), binding.name.size()), binding.slot,
            binding.rows ? nb::object(nb::int_(binding.first_row)) : nb::object(nb::none()),
            name_of(binding.dtype), to_python(binding.shape)));
    }
    return list;
}

// Copies what the host has fetched.
void fill(const Step& step, nb::handle fetched) {
    const Buffer buffer(fetched, "the fetched tensor");
    if (!buffer.holds(codes_of(step.dtype), size_of(step.dtype)) ||
        buffer.elements<std::byte>().size() != step.target.size()) {
        throw std::invalid_argument("the fetched tensor is no " + std::string(name_of(step.dtype)) +
                                    " of " + std::to_string(step.shape.elements()) + " elements");
    }
    std::memcpy(step.target.data(), buffer.elements<std::byte>().data(), step.target.size());
}

// Does a step with a host's methods. False at the end.
bool do_with(const Step& step, nb::handle self, nb::handle host) {
    switch (step.kind) {
        case StepKind::kUpload:
            if (step.source.empty()) {
                host.attr("allocate")(step.slot, name_of(step.dtype), to_python(step.shape));
            } else {
                host.attr("upload")(step.slot, array_of(step, self));
            }
            return true;
        case StepKind::kRun:
            host.attr("run")(step.graph, bindings(step.inputs), bindings(step.outputs));
            return true;
        case StepKind::kDownload:
            fill(step, host.attr("download")(step.slot));
            return true;
        case StepKind::kFree:
            host.attr("free")(step.slot);
            return true;
        case StepKind::kDone:
            break;
    }
    return false;
}

// Does a worker's next step. False at the end.
bool do_step(Machine& machine, nb::handle self, std::uint32_t worker, nb::handle host) {
    const Step* step = nullptr;
    {
        const nb::gil_scoped_release release;
        step = &machine.next(worker);
    }
    try {
        return do_with(*step, self, host);
    } catch (...) {  // other workers may be waiting for this one
        machine.stop();
        throw;
    }
}

std::optional<Bytes> to_core(const OptionalBytes& bytes) {
    if (!bytes) {
        return std::nullopt;
    }
    const auto* const data = static_cast<const std::uint8_t*>(bytes->data());
    return Bytes(data, data + bytes->size());
}

std::optional<Identifier> to_identifier(const OptionalBytes& bytes) {
    if (!bytes) {
        return std::nullopt;
    }
    Identifier identifier;
    if (bytes->size() != identifier.size()) {
        throw std::invalid_argument("fingerprint must have 8 bytes");
    }
    std::memcpy(identifier.data(), bytes->data(), identifier.size());
    return identifier;
}

class PyDecoder {
  public:
    PyDecoder(
        const PyModel& model, std::vector<nb::bytes> streams,
        const std::optional<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t>>&
            region,
        const OptionalBytes& fingerprint, std::uint64_t max_pixels, std::uint32_t workers,
        bool keep_going, std::optional<std::uint32_t> groups, bool preview, bool pixels)
        : streams_(std::move(streams)), machine_([&] {
              DecodeOptions options;
              options.workers = workers;
              options.limits.max_pixels = max_pixels;
              options.fingerprint = to_identifier(fingerprint);
              options.keep_going = keep_going;
              options.groups = groups;
              options.preview = preview;
              options.pixels = pixels;
              if (region) {
                  const auto [x, y, width, height] = *region;
                  options.region = Region{x, y, width, height};
              }
              std::vector<BytesView> views;
              for (const nb::bytes& stream : streams_) {
                  views.emplace_back(static_cast<const std::uint8_t*>(stream.data()),
                                     stream.size());
              }
              return DecoderMachine(model.view(), views, options);
          }()) {}

    DecoderMachine& machine() { return machine_; }

    nb::list finish() {
        nb::list pictures;
        for (DecodedPicture& picture : machine_.pictures()) {
            nb::object pixels = nb::none();
            if (!picture.pixels.empty()) {
                pixels = to_array(std::move(picture.pixels),
                                  {picture.height, picture.width, kPixelBytes});
            }
            pictures.append(nb::make_tuple(picture.info, pixels, picture.groups,
                                           picture.group_bytes, picture.missing));
        }
        return pictures;
    }

  private:
    std::vector<nb::bytes> streams_;
    DecoderMachine machine_;
};

using PictureTuple = std::tuple<Pixels, OptionalBytes, OptionalBytes, OptionalBytes>;

class PyEncoder {
  public:
    PyEncoder(const PyModel& model, std::vector<PictureTuple> pictures, std::uint32_t tile_side,
              bool reconstruct, const OptionalBytes& fingerprint, std::uint64_t max_pixels,
              std::uint32_t workers, std::int8_t step, const std::optional<Target>& target)
        : pictures_(std::move(pictures)), machine_([&] {
              EncodeOptions options;
              options.workers = workers;
              options.tile_side = tile_side;
              options.reconstruct = reconstruct;
              options.step = QuantisationStep(step);
              options.target = target;
              options.limits.max_pixels = max_pixels;
              options.fingerprint = to_identifier(fingerprint);
              std::vector<PictureView> views;
              for (const auto& [pixels, icc, exif, xmp] : pictures_) {
                  if (pixels.shape(2) != kPixelBytes) {
                      throw std::invalid_argument("pixels must be [H, W, 3]");
                  }
                  views.push_back({pixels.data(), static_cast<std::uint32_t>(pixels.shape(1)),
                                   static_cast<std::uint32_t>(pixels.shape(0)), to_core(icc),
                                   to_core(exif), to_core(xmp)});
              }
              return EncoderMachine(model.view(), std::move(views), options);
          }()) {}

    EncoderMachine& machine() { return machine_; }

    nb::list finish() {
        nb::list results;
        for (EncodedPicture& encoded : machine_.encoded()) {
            nb::object pixels = nb::none();
            if (!encoded.reconstruction.empty()) {
                pixels = to_array(std::move(encoded.reconstruction),
                                  {encoded.info.height, encoded.info.width, kPixelBytes});
            }
            results.append(nb::make_tuple(encoded.info,
                                          nb::bytes(encoded.stream.data(), encoded.stream.size()),
                                          pixels, encoded.group_bytes, encoded.trials));
        }
        return results;
    }

  private:
    std::vector<PictureTuple> pictures_;
    EncoderMachine machine_;
};

using Int32Array = nb::ndarray<const std::int32_t, nb::c_contig, nb::ndim<4>, nb::device::cpu>;
using FloatArray = nb::ndarray<const float, nb::c_contig, nb::ndim<4>, nb::device::cpu>;

template <typename Array>
auto to_vector(const Array& array) {
    return std::vector(array.data(), array.data() + array.size());
}

class PyPrior {
  public:
    PyPrior(const Manifest& manifest, const Int32Array& z_symbols,
            const std::optional<Int32Array>& symbols, const std::optional<FloatArray>& latents,
            std::int8_t step)
        : channels_(manifest.latent_channels),
          part_{static_cast<std::uint32_t>(z_symbols.shape(0)),
                {z_symbols.shape(2), z_symbols.shape(3)},
                {},
                QuantisationStep(step)} {
        if (symbols.has_value() == latents.has_value()) {
            throw std::invalid_argument("give either symbols or latents");
        }
        machine_ = symbols ? PriorMachine::on_symbols(manifest, part_, to_vector(z_symbols),
                                                      to_vector(*symbols))
                           : PriorMachine::on_latents(manifest, part_, to_vector(z_symbols),
                                                      to_vector(*latents));
    }

    PriorMachine& machine() { return *machine_; }

    // Symbols int32 [N, M, h, w] and y_hat float32 [M, N, h, w].
    nb::tuple finish() {
        const std::size_t height = part_.latents().height;
        const std::size_t width = part_.latents().width;
        const std::size_t symbol_shape[] = {part_.batch, channels_, height, width};
        const std::size_t y_hat_shape[] = {channels_, part_.batch, height, width};
        return nb::make_tuple(to_array(std::vector(machine_->symbols()), symbol_shape),
                              to_array(to_vector_of(machine_->y_hat()), y_hat_shape));
    }

  private:
    static std::vector<float> to_vector_of(cca::Buffer& buffer) {
        const auto values = buffer.as<float>();
        return {values.begin(), values.end()};
    }

    std::size_t channels_;
    Part part_;
    std::unique_ptr<PriorMachine> machine_;
};

template <typename PyMachine>
void bind_steps(nb::class_<PyMachine>& machine) {
    machine
        .def(
            "step",
            [](nb::handle self, std::uint32_t worker, nb::handle host) {
                return do_step(nb::cast<PyMachine&>(self).machine(), self, worker, host);
            },
            "worker"_a, "host"_a)
        .def(
            "waited",
            [](PyMachine& self, std::uint32_t worker) { return self.machine().waited(worker); },
            "worker"_a)
        .def("finish", &PyMachine::finish);
}

}  // namespace

void bind_machines(nb::module_& module) {
    module.attr("TILE_BY_SIZE") = TileRule::kBySize;
    module.attr("TILE_NONE") = TileRule::kNone;
    nb::enum_<Target::Kind>(module, "TargetKind")
        .value("FILE_BYTES", Target::Kind::kFileBytes)
        .value("PAYLOAD_BYTES", Target::Kind::kPayloadBytes)
        .value("PSNR", Target::Kind::kPsnr);
    nb::class_<Target>(module, "Target")
        .def(nb::init<Target::Kind, double>(), "kind"_a, "value"_a)
        .def_ro("kind", &Target::kind)
        .def_ro("value", &Target::value);
    const auto max_pixels = Limits{}.max_pixels;
    nb::class_<PyDecoder> decoder(module, "DecoderMachine", nb::is_final());
    decoder
        .def(nb::init<const PyModel&, std::vector<nb::bytes>,
                      const std::optional<
                          std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t>>&,
                      const OptionalBytes&, std::uint64_t, std::uint32_t, bool,
                      std::optional<std::uint32_t>, bool, bool>(),
             nb::keep_alive<1, 2>(), "model"_a, "streams"_a, nb::kw_only(), "region"_a = nb::none(),
             "fingerprint"_a = nb::none(), "max_pixels"_a = max_pixels, "workers"_a = 1,
             "keep_going"_a = false, "groups"_a = nb::none(), "preview"_a = false,
             "pixels"_a = true)
        .def_prop_ro("mismatches", [](PyDecoder& self) { return self.machine().mismatches(); });
    bind_steps(decoder);
    nb::class_<PyEncoder> encoder(module, "EncoderMachine", nb::is_final());
    encoder.def(nb::init<const PyModel&, std::vector<PictureTuple>, std::uint32_t, bool,
                         const OptionalBytes&, std::uint64_t, std::uint32_t, std::int8_t,
                         const std::optional<Target>&>(),
                nb::keep_alive<1, 2>(), "model"_a, "pictures"_a, nb::kw_only(),
                "tile_side"_a = TileRule::kBySize, "reconstruct"_a = false,
                "fingerprint"_a = nb::none(), "max_pixels"_a = max_pixels, "workers"_a = 1,
                "step"_a = 0, "target"_a = nb::none());
    bind_steps(encoder);
    nb::class_<PyPrior> prior(module, "PriorMachine", nb::is_final());
    prior
        .def(
            "__init__",
            [](PyPrior* self, const PyModel& model, const Int32Array& z_symbols,
               const std::optional<Int32Array>& symbols, const std::optional<FloatArray>& latents,
               std::int8_t step) {
                new (self) PyPrior(model.model.manifest, z_symbols, symbols, latents, step);
            },
            nb::keep_alive<1, 2>(), "model"_a, "z_symbols"_a, nb::kw_only(),
            "symbols"_a = nb::none(), "latents"_a = nb::none(), "step"_a = 0)
        .def(
            "__init__",
            [](PyPrior* self, const PyCodingPlan& plan, const Int32Array& z_symbols,
               const std::optional<Int32Array>& symbols, const std::optional<FloatArray>& latents,
               std::int8_t step) {
                new (self) PyPrior(plan.manifest, z_symbols, symbols, latents, step);
            },
            nb::keep_alive<1, 2>(), "plan"_a, "z_symbols"_a, nb::kw_only(),
            "symbols"_a = nb::none(), "latents"_a = nb::none(), "step"_a = 0);
    bind_steps(prior);
}

}  // namespace cca::python
