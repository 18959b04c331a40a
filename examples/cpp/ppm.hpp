// Binary PPM files (P6) of 8 bits a sample.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "picture.hpp"

/// Throws BadInput if `file` is anything else than one PPM picture.
Picture parse_ppm(std::span<const std::uint8_t> file);

std::vector<std::uint8_t> format_ppm(const Picture& picture);
