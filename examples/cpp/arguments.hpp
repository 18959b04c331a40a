// Command lines.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <map>
#include <string>

#include "error.hpp"

/// Values of options, by their names with dashes.
using Options = std::map<std::string, std::string>;

/// Takes what is between the command and the three files. False if that is not the command's.
bool parse_options(int argc, char** argv, Options& options);

/// A number. Throws BadInput, with `advice`, if `text` is anything else.
double parse_real(const std::string& text, const char* advice);

/// Numbers from `least` on, one for each of `least`, with commas between them.
///
/// Throws BadInput, with `advice`, if `text` is anything else.
template <std::size_t kCount>
std::array<std::uint32_t, kCount> parse_numbers(const std::string& text,
                                                const std::array<std::uint32_t, kCount>& least,
                                                const char* advice) {
    std::array<std::uint32_t, kCount> numbers{};
    const char* at = text.data();
    const char* const end = at + text.size();
    for (std::size_t i = 0; i < kCount; ++i) {
        const auto [rest, error] = std::from_chars(at, end, numbers[i]);
        const bool last = i + 1 == kCount;
        if (error != std::errc() || numbers[i] < least[i] || numbers[i] > 65'535 ||
            (last ? rest != end : rest == end || *rest != ',')) {
            throw BadInput("'" + text + "': " + advice);
        }
        at = last ? rest : rest + 1;
    }
    return numbers;
}
