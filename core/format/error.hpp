// The errors of everything that reads what comes from outside. `what()` is one line for a user.
#pragma once

#include <stdexcept>

namespace cca {

/// A truncated, altered or unsupported stream or payload.
class StreamError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// A stream of a version, or with a flag, that this decoder does not know.
class UnsupportedStreamError : public StreamError {
  public:
    using StreamError::StreamError;
};

/// A stream with nothing wrong but its size, refused at a limit that the caller may raise.
class LimitError : public StreamError {
  public:
    using StreamError::StreamError;
};

/// A model bundle with a damaged file, or with files that do not fit together.
class BundleError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// A model bundle of a version that this reader does not know.
class UnsupportedBundleError : public BundleError {
  public:
    using BundleError::BundleError;
};

/// A model that gives infinite or undefined latents for a picture.
class LatentsError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// A size or quality that no quantisation step gives a picture.
class TargetError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// A sound stream that another model, or another engine, made.
class ForeignStreamError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// An engine that does not compute a model in exact mode exactly.
class InexactError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// A call in the wrong order.
class StateError : public std::logic_error {
  public:
    using std::logic_error::logic_error;
};

}  // namespace cca
