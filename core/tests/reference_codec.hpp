// The codec once more, as simply as docs/spec/format.md says it: slow, and without the machines.
#pragma once

#include <vector>

#include "machine_runs.hpp"

namespace cca::test {

struct Reference {
    std::vector<Bytes> payloads;  ///< of the tiles, row after row
    Picture picture;              ///< what decoding gives
};

/// Encodes and decodes a picture in exact mode.
///
/// @param stream  one of this picture: padding and tiling are taken from its header.
Reference reference_codec(const Codec& codec, const Picture& picture, const Bytes& stream);

}  // namespace cca::test
