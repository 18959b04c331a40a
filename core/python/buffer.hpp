// Python objects' memory, by the buffer protocol: no copy, and no conversion behind one's back.
#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cca::python {

/// A held buffer of a bytes-like object or array; the object cannot resize it meanwhile.
class Buffer {
  public:
    /// @param name  what error messages call the object.
    /// @throws a Python TypeError if it has no buffer, ValueError if that is not C-contiguous.
    Buffer(nanobind::handle object, const char* name);
    ~Buffer();
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    std::vector<std::size_t> shape() const;

    /// True if the elements are unsigned integers of `size` bytes, in this machine's order.
    bool holds_unsigned(std::size_t size) const { return holds("BHILQ", size); }

    /// True if the elements are numbers with one of these codes of the struct module, of `size`
    /// bytes, in this machine's order.
    bool holds(std::string_view codes, std::size_t size) const;

    /// The elements, if they are int32.
    ///
    /// @throws a Python TypeError if they are not.
    std::span<const std::int32_t> int32() const;

    /// The elements, whatever they are, as `T`: ask holds_unsigned() before.
    template <typename T>
    std::span<const T> elements() const {
        return {static_cast<const T*>(view_.buf), static_cast<std::size_t>(view_.len) / sizeof(T)};
    }

    [[noreturn]] void refuse_type(const char* wanted) const;

  private:
    const char* name_;
    Py_buffer view_;
};

/// The bytes of a bytes-like object, without its shape.
std::span<const std::uint8_t> bytes_of(const Buffer& buffer);

}  // namespace cca::python
