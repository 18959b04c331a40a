// StreamInfo, write_stream and parse_stream for Python.
#include "format/container.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <string>
#include <tuple>

#include "buffer.hpp"
#include "fields.hpp"
#include "module.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace cca::python {
namespace {

using OptionalBytes = std::optional<nb::bytes>;

nb::bytes to_python(BytesView bytes) {
    return nb::bytes(bytes.data(), bytes.size());
}

template <typename Container>
OptionalBytes to_python(const std::optional<Container>& bytes) {
    return bytes ? OptionalBytes(to_python(BytesView(*bytes))) : std::nullopt;
}

BytesView view(const nb::bytes& bytes) {
    return {static_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

std::optional<Bytes> to_core(const OptionalBytes& bytes) {
    if (!bytes) {
        return std::nullopt;
    }
    const BytesView source = view(*bytes);
    return Bytes(source.begin(), source.end());
}

Identifier to_identifier(const nb::bytes& bytes, const char* name) {
    Identifier identifier;
    if (bytes.size() != identifier.size()) {
        throw std::invalid_argument(std::string(name) + " must have 8 bytes, not " +
                                    std::to_string(bytes.size()));
    }
    std::ranges::copy(view(bytes), identifier.begin());
    return identifier;
}

std::optional<Identifier> to_fingerprint(const std::string& entropy_mode,
                                         const OptionalBytes& fingerprint) {
    if (entropy_mode != "native" && entropy_mode != "exact") {
        throw std::invalid_argument("entropy_mode must be 'native' or 'exact', not '" +
                                    entropy_mode + "'");
    }
    if ((entropy_mode == "native") != fingerprint.has_value()) {
        throw std::invalid_argument(
            "a fingerprint belongs to entropy mode 'native', and to no other");
    }
    return fingerprint ? std::optional(to_identifier(*fingerprint, "fingerprint")) : std::nullopt;
}

std::string entropy_mode(const StreamInfo& info) {
    return info.fingerprint ? "native" : "exact";
}

std::tuple<int, int, int, int> padding(const StreamInfo& info) {
    return {info.padding.left, info.padding.top, info.padding.right, info.padding.bottom};
}

using TilingTuple = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t>;

std::optional<std::tuple<int, int, int, int>> tiling(const StreamInfo& info) {
    if (!info.tiling) {
        return std::nullopt;
    }
    const Tiling& from = *info.tiling;
    return std::tuple(from.window_width, from.window_height, from.columns, from.rows);
}

std::vector<std::uint32_t> tile_sizes(const StreamInfo& info) {
    return info.tiling ? info.tiling->tile_sizes : std::vector<std::uint32_t>{};
}

std::optional<Tiling> to_tiling(const std::optional<TilingTuple>& tiling,
                                const std::vector<std::uint32_t>& tile_sizes) {
    if (!tiling) {
        if (!tile_sizes.empty()) {
            throw std::invalid_argument("tile_sizes belong to a tiling");
        }
        return std::nullopt;
    }
    return Tiling{
        .window_width = to_field<std::uint16_t>(std::get<0>(*tiling), "window width"),
        .window_height = to_field<std::uint16_t>(std::get<1>(*tiling), "window height"),
        .columns = to_field<std::uint8_t>(std::get<2>(*tiling), "columns of a tile"),
        .rows = to_field<std::uint8_t>(std::get<3>(*tiling), "rows of a tile"),
        .tile_sizes = tile_sizes,
    };
}

void init_info(StreamInfo* self, std::int64_t width, std::int64_t height,
               const std::array<std::int64_t, 4>& padding, const nb::bytes& model_id,
               const std::string& entropy_mode, const OptionalBytes& fingerprint,
               const OptionalBytes& icc, const OptionalBytes& exif, const OptionalBytes& xmp,
               const std::optional<TilingTuple>& tiling,
               const std::vector<std::uint32_t>& tile_sizes,
               const std::vector<std::uint32_t>& digests, std::int64_t step) {
    const auto side = [&padding](std::size_t i) {
        return to_field<std::uint8_t>(padding[i], "padding");
    };
    StreamInfo info{
        .width = to_field<std::uint16_t>(width, "width"),
        .height = to_field<std::uint16_t>(height, "height"),
        .padding = {side(0), side(1), side(2), side(3)},
        .step = to_field<std::int8_t>(step, "step"),
        .tiling = to_tiling(tiling, tile_sizes),
        .digests = digests,
        .model_id = to_identifier(model_id, "model_id"),
        .fingerprint = to_fingerprint(entropy_mode, fingerprint),
        .icc = to_core(icc),
        .exif = to_core(exif),
        .xmp = to_core(xmp),
    };
    validate(info);
    new (self) StreamInfo(std::move(info));
}

nb::str repr(const StreamInfo& info) {
    const auto hex = [](const Identifier& id) { return to_python(BytesView(id)).attr("hex")(); };
    const auto size = [](const std::optional<Bytes>& bytes) { return bytes ? bytes->size() : 0; };
    return nb::str(
               "<StreamInfo {}x{} padding={} tiling={} model_id={} entropy_mode={} fingerprint={} "
               "icc={} B exif={} B xmp={} B>")
        .format(info.width, info.height, nb::cast(padding(info)), nb::cast(tiling(info)),
                hex(info.model_id), entropy_mode(info),
                info.fingerprint ? hex(*info.fingerprint) : nb::none(), size(info.icc),
                size(info.exif), size(info.xmp));
}

nb::bytes write(const StreamInfo& info, nb::handle payload_object) {
    const Buffer payload(payload_object, "payload");
    return to_python(BytesView(write_stream(info, bytes_of(payload))));
}

nb::tuple parse(nb::handle stream_object, std::uint64_t max_pixels) {
    const Buffer stream(stream_object, "data");
    Limits limits;
    limits.max_pixels = max_pixels;
    ParsedStream parsed = parse_stream(bytes_of(stream), limits);
    const nb::bytes payload = to_python(parsed.payload);
    return nb::make_tuple(std::move(parsed.info), payload);
}

nb::tuple parse_cut(nb::handle stream_object, std::uint64_t max_pixels) {
    const Buffer stream(stream_object, "data");
    Limits limits;
    limits.max_pixels = max_pixels;
    ParsedStream parsed = parse_start(bytes_of(stream), limits);
    return nb::make_tuple(std::move(parsed.info), parsed.missing);
}

}  // namespace

void bind_container(nb::module_& module) {
    nb::class_<StreamInfo> info(module, "StreamInfo", nb::is_final());
    info.def("__init__", &init_info, nb::kw_only(), "width"_a, "height"_a, "padding"_a,
             "model_id"_a, "entropy_mode"_a, "fingerprint"_a = nb::none(), "icc"_a = nb::none(),
             "exif"_a = nb::none(), "xmp"_a = nb::none(), "tiling"_a = nb::none(),
             "tile_sizes"_a = std::vector<std::uint32_t>{},
             "digests"_a = std::vector<std::uint32_t>{}, "step"_a = 0)
        .def_ro("width", &StreamInfo::width)
        .def_ro("height", &StreamInfo::height)
        .def_prop_ro("padding", &padding)
        .def_prop_ro("tiling", &tiling)
        .def_prop_ro("tile_sizes", &tile_sizes)
        .def_ro("digests", &StreamInfo::digests)
        .def_prop_ro("step", [](const StreamInfo& i) { return int{i.step}; })
        .def_prop_ro("model_id",
                     [](const StreamInfo& i) { return to_python(BytesView(i.model_id)); })
        .def_prop_ro("entropy_mode", &entropy_mode)
        .def_prop_ro("fingerprint", [](const StreamInfo& i) { return to_python(i.fingerprint); })
        .def_prop_ro("icc", [](const StreamInfo& i) { return to_python(i.icc); })
        .def_prop_ro("exif", [](const StreamInfo& i) { return to_python(i.exif); })
        .def_prop_ro("xmp", [](const StreamInfo& i) { return to_python(i.xmp); })
        .def(
            "__eq__", [](const StreamInfo& a, const StreamInfo& b) { return a == b; },
            nb::is_operator())
        .def("__repr__", &repr);
    // What compares by value must not hash by identity.
    info.attr("__hash__") = nb::none();
    module.def("write_stream", &write, "info"_a, "payload"_a);
    const auto most = Limits{}.max_pixels;
    module.attr("DEFAULT_MAX_PIXELS") = most;
    module.def("parse_stream", &parse, "data"_a, nb::kw_only(), "max_pixels"_a = most);
    module.def("parse_start", &parse_cut, "data"_a, nb::kw_only(), "max_pixels"_a = most);
}

}  // namespace cca::python
