// Whole files in and out.
#pragma once

#include <cca/cca.h>

#include <cstdint>
#include <filesystem>
#include <vector>

/// Reads a file.
///
/// Throws BadInput if it cannot be read or has more than `most` bytes.
std::vector<std::uint8_t> read_file(const std::filesystem::path& path, std::uint64_t most);

/// Writes a file whole or not at all: to a temporary one beside it, which is then renamed. What was
/// there before is replaced.
///
/// Throws BadInput if `path` is a directory or a device, std::runtime_error if writing fails.
void write_file(const std::filesystem::path& path, cca_view bytes);
