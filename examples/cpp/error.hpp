#pragma once

#include <stdexcept>

/// Something is wrong with what the program was given: a file, an argument. The text is one line.
struct BadInput : std::runtime_error {
    using std::runtime_error::runtime_error;
};
