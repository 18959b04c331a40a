#include "buffer.hpp"

#include <bit>

namespace nb = nanobind;

namespace cca::python {

static_assert(std::endian::native == std::endian::little,
              "the bindings hand the memory of little-endian machines to the core");

Buffer::Buffer(nb::handle object, const char* name) : name_(name) {
    if (PyObject_CheckBuffer(object.ptr()) == 0) {
        throw nb::type_error((std::string(name) + " must be an array or bytes-like, not " +
                              nb::type_name(object.type()).c_str())
                                 .c_str());
    }
    if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_FULL_RO) != 0) {
        throw nb::python_error();
    }
    if (PyBuffer_IsContiguous(&view_, 'C') == 0) {
        PyBuffer_Release(&view_);
        throw nb::value_error(
            (std::string(name) + " must be C-contiguous: numpy.ascontiguousarray makes it so")
                .c_str());
    }
}

Buffer::~Buffer() {
    PyBuffer_Release(&view_);
}

std::vector<std::size_t> Buffer::shape() const {
    return {view_.shape, view_.shape + view_.ndim};
}

std::span<const std::int32_t> Buffer::int32() const {
    if (!holds("il", sizeof(std::int32_t))) {
        refuse_type("int32");
    }
    return elements<std::int32_t>();
}

void Buffer::refuse_type(const char* wanted) const {
    throw nb::type_error((std::string(name_) + " must hold " + wanted + ", not '" + view_.format +
                          "' of " + std::to_string(view_.itemsize) + " bytes")
                             .c_str());
}

// A single code of the struct module is a native number; other orders have a prefix.
bool Buffer::holds(std::string_view codes, std::size_t size) const {
    const std::string_view format = view_.format;
    return format.size() == 1 && codes.find(format[0]) != std::string_view::npos &&
           static_cast<std::size_t>(view_.itemsize) == size;
}

std::span<const std::uint8_t> bytes_of(const Buffer& buffer) {
    return buffer.elements<std::uint8_t>();
}

}  // namespace cca::python
