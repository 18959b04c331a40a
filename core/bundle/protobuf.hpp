// The wire format of Protocol Buffers, one message at a time, read so that no two readers could
// understand it differently.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>

#include "format/container.hpp"

namespace cca::protobuf {

/// Not in the wire format, or not in its shortest form; `what()` is one line.
class Error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// How a field is stored. Groups, which nobody writes any more, are refused.
enum class Wire : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
    std::uint32_t number;  ///< at least 1
    Wire wire;
    std::uint64_t varint;  ///< of a varint, its value; else 0
    BytesView bytes;       ///< of bytes, its content; else empty
};

/// The fields of a message, in the order in which they are stored.
class Message {
  public:
    explicit Message(BytesView content) : rest_(content) {}

    bool at_end() const { return rest_.empty(); }

    /// The next field.
    ///
    /// @throws Error if it is damaged, truncated, a group, or has a number in more bytes than
    ///         that needs.
    Field next();

  private:
    std::uint64_t take_varint();
    BytesView take(std::uint64_t count);

    BytesView rest_;
};

}  // namespace cca::protobuf
