// How a fuzz input calls the C API: with nulls where it likes, held to what cca.h documents.
#pragma once

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <string>

#include "cca/cca.h"
#include "check.hpp"
#include "input.hpp"

namespace cca::fuzz {

class Calls {
  public:
    explicit Calls(Input& input) : input_(input) {}

    /// `pointer`, or null if the input wants to pass that.
    template <typename T>
    T* pointer_or_null(T* pointer) {
        return input_.number<std::uint8_t>() % 16 == 0 ? nullptr : pointer;
    }

    /// Some of the input's bytes, or a view that claims bytes at a null pointer.
    cca_view view(std::size_t most) {
        const std::size_t size = input_.number<std::uint16_t>() % (most + 1);
        const auto bytes = input_.take(size);
        return {pointer_or_null(bytes.data()), bytes.size()};
    }

    /// Checks the outcome of a call: success, or one of the errors that are documented for it.
    /// Returns whether it was a success.
    bool ok(cca_status status, std::initializer_list<cca_status> documented) {
        const std::string message = cca_last_error();
        if (status == CCA_OK) {
            check(message == last_error_, "a success leaves the last error alone");
            return true;
        }
        check(std::ranges::find(documented, status) != documented.end(),
              "the error is documented for this function");
        check(!message.empty() && message.size() <= 255, "a message has 1 to 255 bytes");
        check(std::ranges::none_of(message, [](unsigned char c) { return c < 0x20; }),
              "a message is one line");
        last_error_ = message;
        return false;
    }

    /// Checks that a call fails, with this error.
    void fails(cca_status status, cca_status expected) {
        check(status == expected, "the error is the expected one");
        ok(status, {expected});
    }

  private:
    Input& input_;
    std::string last_error_ = cca_last_error();
};

}  // namespace cca::fuzz
