// The one error of everything that reads a stream.
#pragma once

#include <stdexcept>

namespace cca {

/// A truncated, altered or unsupported stream or payload; `what()` is one line for a user.
class StreamError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

}  // namespace cca
