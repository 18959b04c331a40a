// A strict reader of small JSON documents (RFC 8259) that may be hostile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace cca::json {

/// Not JSON, or more of it than is read here; `what()` says where, in one line.
class Error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Arrays and objects within each other.
inline constexpr int kMaxDepth = 32;

/// Values of all kinds in a document: what bounds the memory that a few brackets may cost.
inline constexpr std::size_t kMaxValues = 1 << 16;

/// Characters of a number, and its largest exponent of ten: any reader can represent such numbers.
inline constexpr std::size_t kMaxNumberBytes = 64;
inline constexpr int kMaxExponent = 200;

/// A number that is no integer of 64 bits: checked, but not kept.
struct OtherNumber {};

class Value {
  public:
    struct Member;
    using Array = std::vector<Value>;
    using Object = std::vector<Member>;  // sorted by name; no name twice

    Value() = default;
    template <typename T>
    explicit Value(T content) : content_(std::move(content)) {}

    /// The content if it is a `T` (bool, std::int64_t, std::string, Array or Object), else null.
    template <typename T>
    const T* as() const {
        return std::get_if<T>(&content_);
    }

    /// The member of that name; null if there is none or this is no object.
    const Value* find(std::string_view name) const;

  private:
    std::variant<std::nullptr_t, bool, std::int64_t, OtherNumber, std::string, Array, Object>
        content_;
};

struct Value::Member {
    std::string name;
    Value value;
};

/// Reads a document.
///
/// @throws Error unless it is UTF-8 and JSON from the first byte to the last, within the limits
///         above and without a name that occurs twice in an object.
Value parse(std::span<const std::uint8_t> document);

}  // namespace cca::json
