// What a graph takes and gives, as the manifest says.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codec/step.hpp"

namespace cca {

namespace json {
class Value;
}

/// The size of an axis: a number, or something that the picture decides.
struct Dimension {
    enum class Kind : std::uint8_t {
        kFixed,
        kBatch,
        kHeight,
        kWidth,
        kLatentHeight,
        kLatentWidth,
        kHyperHeight,
        kHyperWidth
    };
    Kind kind = Kind::kFixed;
    std::uint32_t size = 0;  ///< kFixed: at least 1

    bool operator==(const Dimension&) const = default;
};

/// An input or output.
struct Port {
    std::string name;
    DType dtype = DType::kFloat32;
    std::vector<Dimension> shape;
};

struct Signature {
    std::vector<Port> inputs;
    std::vector<Port> outputs;
};

/// Pictures of one size, or tiles, as the graphs see them: padding and halo included.
struct PartSize {
    std::uint32_t batch = 1;
    std::uint32_t width = 0;  ///< pixels, a multiple of kHyperStride
    std::uint32_t height = 0;

    std::uint32_t latent_width() const noexcept;
    std::uint32_t latent_height() const noexcept;
    std::uint32_t hyper_width() const noexcept;
    std::uint32_t hyper_height() const noexcept;
};

/// The sizes that a port has for a part.
Shape shape_of(const Port& port, const PartSize& size);

/// The sizes of all that the picture decides, by the names that a manifest has for them.
std::vector<std::pair<std::string_view, std::uint32_t>> dimensions_of(const PartSize& size);

/// Reads a graph's `inputs` and `outputs`. Throws BundleError naming what is wrong with them.
Signature parse_signature(const json::Value& graph);

/// The port of that name; null if there is none.
const Port* find_port(const std::vector<Port>& ports, std::string_view name);

}  // namespace cca
