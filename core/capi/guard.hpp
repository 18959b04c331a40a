// The border between C++ and C: exceptions become status codes, and nothing else crosses it.
#pragma once

#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "cca/cca.h"

namespace cca::c_api {

/// An error that has its status already.
class Refusal : public std::exception {
  public:
    Refusal(cca_status status, std::string message)
        : status_(status), message_(std::move(message)) {}

    cca_status status() const noexcept { return status_; }
    const char* what() const noexcept override { return message_.c_str(); }

  private:
    cca_status status_;
    std::string message_;
};

/// Makes `message` this thread's last error, cut and without control characters. Returns `status`.
cca_status fail(cca_status status, std::string_view message) noexcept;

/// Turns the exception being handled into a status and this thread's last error.
cca_status fail_with_current_exception() noexcept;

/// Does `work`, whatever it throws.
template <typename Work>
cca_status guarded(Work work) noexcept {
    try {
        work();
        return CCA_OK;
    } catch (...) {
        return fail_with_current_exception();
    }
}

/// Throws a Refusal unless `pointer` is something.
void require(const void* pointer, const char* name);

/// Throws a Refusal unless there is memory for `count` elements, or none are wanted.
template <typename T>
std::span<T> require_array(T* elements, std::size_t count, const char* name) {
    if (count != 0) {
        require(elements, name);
        if (count > SIZE_MAX / 2 / sizeof(T)) {
            throw Refusal(CCA_ERROR_ARGUMENT, std::string(name) + ": more than memory can hold");
        }
    }
    return {elements, count};
}

inline std::span<const std::uint8_t> require_view(cca_view view, const char* name) {
    return require_array(view.data, view.size, name);
}

}  // namespace cca::c_api
