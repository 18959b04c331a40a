#include "bundle/signature.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "bundle/json.hpp"
#include "format/error.hpp"
#include "geometry/grid.hpp"

namespace cca {
namespace {

constexpr std::int64_t kMaxDimension = 1 << 16;

constexpr std::array<std::pair<std::string_view, Dimension::Kind>, 7> kNames = {
    {{"batch", Dimension::Kind::kBatch},
     {"height", Dimension::Kind::kHeight},
     {"width", Dimension::Kind::kWidth},
     {"latent_height", Dimension::Kind::kLatentHeight},
     {"latent_width", Dimension::Kind::kLatentWidth},
     {"hyper_height", Dimension::Kind::kHyperHeight},
     {"hyper_width", Dimension::Kind::kHyperWidth}}};

constexpr std::array<std::pair<std::string_view, DType>, 3> kDTypes = {
    {{"float32", DType::kFloat32}, {"int32", DType::kInt32}, {"uint8", DType::kUint8}}};

std::uint32_t resolve(const Dimension& dimension, const PartSize& size) {
    switch (dimension.kind) {
        case Dimension::Kind::kBatch:
            return size.batch;
        case Dimension::Kind::kHeight:
            return size.height;
        case Dimension::Kind::kWidth:
            return size.width;
        case Dimension::Kind::kLatentHeight:
            return size.latent_height();
        case Dimension::Kind::kLatentWidth:
            return size.latent_width();
        case Dimension::Kind::kHyperHeight:
            return size.hyper_height();
        case Dimension::Kind::kHyperWidth:
            return size.hyper_width();
        case Dimension::Kind::kFixed:
            break;
    }
    return dimension.size;
}

Dimension parse_dimension(const json::Value& value) {
    if (const auto* const size = value.as<std::int64_t>()) {
        if (*size < 1 || *size > kMaxDimension) {
            throw BundleError("a size in its shape is not in 1.." + std::to_string(kMaxDimension));
        }
        return {Dimension::Kind::kFixed, static_cast<std::uint32_t>(*size)};
    }
    if (const auto* const name = value.as<std::string>()) {
        const auto found =
            std::ranges::find(kNames, *name, &std::pair<std::string_view, Dimension::Kind>::first);
        if (found != kNames.end()) {
            return {found->second, 0};
        }
    }
    throw BundleError("a size in its shape is neither a number nor a known name");
}

Port parse_port(const json::Value::Member& member) {
    Port port{member.name, DType::kFloat32, {}};
    const json::Value* const dtype = member.value.find("dtype");
    const auto* const dtype_name = dtype == nullptr ? nullptr : dtype->as<std::string>();
    const auto found =
        dtype_name == nullptr
            ? kDTypes.end()
            : std::ranges::find(kDTypes, *dtype_name, &std::pair<std::string_view, DType>::first);
    if (found == kDTypes.end()) {
        throw BundleError("'dtype' is none of float32, int32 and uint8");
    }
    port.dtype = found->second;
    const json::Value* const shape = member.value.find("shape");
    const auto* const sizes = shape == nullptr ? nullptr : shape->as<json::Value::Array>();
    if (sizes == nullptr || sizes->empty() || sizes->size() > Shape::kMaxRank) {
        throw BundleError("'shape' is no array of 1 to " + std::to_string(Shape::kMaxRank) +
                          " sizes");
    }
    for (const json::Value& size : *sizes) {
        port.shape.push_back(parse_dimension(size));
    }
    return port;
}

std::vector<Port> parse_ports(const json::Value& graph, const char* key) {
    const json::Value* const value = graph.find(key);
    const auto* const members = value == nullptr ? nullptr : value->as<json::Value::Object>();
    if (members == nullptr) {
        throw BundleError("'" + std::string(key) + "' is missing or is no object");
    }
    std::vector<Port> ports;
    for (const json::Value::Member& member : *members) {
        try {
            ports.push_back(parse_port(member));
        } catch (const BundleError& error) {
            throw BundleError(std::string(key) + " '" + member.name + "': " + error.what());
        }
    }
    return ports;
}

}  // namespace

std::uint32_t PartSize::latent_width() const noexcept {
    return width / kLatentStride;
}
std::uint32_t PartSize::latent_height() const noexcept {
    return height / kLatentStride;
}
std::uint32_t PartSize::hyper_width() const noexcept {
    return width / kHyperStride;
}
std::uint32_t PartSize::hyper_height() const noexcept {
    return height / kHyperStride;
}

Shape shape_of(const Port& port, const PartSize& size) {
    Shape shape;
    for (const Dimension& dimension : port.shape) {
        shape.push_back(resolve(dimension, size));
    }
    return shape;
}

std::vector<std::pair<std::string_view, std::uint32_t>> dimensions_of(const PartSize& size) {
    std::vector<std::pair<std::string_view, std::uint32_t>> dimensions;
    for (const auto& [name, kind] : kNames) {
        dimensions.emplace_back(name, resolve({kind, 0}, size));
    }
    return dimensions;
}

Signature parse_signature(const json::Value& graph) {
    return {parse_ports(graph, "inputs"), parse_ports(graph, "outputs")};
}

const Port* find_port(const std::vector<Port>& ports, std::string_view name) {
    const auto found = std::ranges::find(ports, name, &Port::name);
    return found == ports.end() ? nullptr : &*found;
}

}  // namespace cca
