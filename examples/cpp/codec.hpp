// The codec: pictures to streams and back, with one model on one engine.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

#include "bundle.hpp"
#include "picture.hpp"

class Codec {
  public:
    /// Throws BadInput if there is no usable bundle in `directory`. `engine` must outlive it.
    Codec(const std::filesystem::path& directory, Engine& engine)
        : engine_(engine), bundle_(directory, engine) {}

    /// Gives a whole .cca file.
    ///
    /// Throws BadInput if the picture is too large or the bundle is broken, std::runtime_error if
    /// the engine fails.
    std::vector<std::uint8_t> encode(const Picture& picture);

    /// Throws BadInput if the stream is damaged or another model's or the bundle is broken,
    /// std::runtime_error if the engine fails.
    Picture decode(std::span<const std::uint8_t> file);

  private:
    /// Codes a channel group. Gives the symbols, as many as there are table indexes.
    using CodeGroup = std::function<std::vector<std::int32_t>(
        const Shape& shape, std::span<const std::uint8_t> indexes, const TensorPtr& means)>;

    TensorPtr run_prior(std::span<const std::int32_t> z_symbols, const Shape& z_shape,
                        const CodeGroup& code_group);

    Engine& engine_;
    Bundle bundle_;
};
