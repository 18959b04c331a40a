// UTF-8 (RFC 3629).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cca {

/// Bytes of the character that `text` begins with; 0 if it begins with none.
std::size_t utf8_length(std::string_view text) noexcept;

/// Appends `code_point`, which is at most 0x10FFFF and no surrogate.
void append_utf8(std::string& out, std::uint32_t code_point);

/// True if `text`, in UTF-8, has nothing that steers a terminal, starts a line, reorders text
/// around it, or cannot be seen.
bool is_printable(std::string_view text) noexcept;

}  // namespace cca
