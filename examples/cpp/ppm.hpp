// Binary PPM files (P6) of 8 bits a sample.
#pragma once

#include <cca/cca.h>

#include <cstdint>
#include <span>
#include <vector>

/// Finds the pixels of a PPM file: the picture points into it.
///
/// Throws BadInput if `file` is anything else than one PPM picture.
cca_picture parse_ppm(std::span<const std::uint8_t> file);

std::vector<std::uint8_t> format_ppm(const cca_picture& picture);
