#include "ppm.hpp"

#include <string>

#include "error.hpp"

namespace {

constexpr std::uint32_t kMaxNumber = 65'535;

bool is_space(std::uint8_t byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}
bool is_digit(std::uint8_t byte) {
    return byte >= '0' && byte <= '9';
}

/// Takes white space, comments (from '#' to the end of the line) and a number off the front.
std::uint32_t take_number(std::span<const std::uint8_t>& rest, const std::string& name) {
    bool comment = false;
    std::size_t at = 0;
    for (; at < rest.size() && (comment || is_space(rest[at]) || rest[at] == '#'); ++at) {
        comment = rest[at] == '#' || (comment && rest[at] != '\n');
    }
    const std::size_t first = at;
    std::uint32_t value = 0;
    for (; at < rest.size() && is_digit(rest[at]) && value <= kMaxNumber; ++at) {
        value = 10 * value + (rest[at] - '0');
    }
    if (at == first || value < 1 || value > kMaxNumber) {
        throw BadInput("damaged PPM: its " + name + " is not a number from 1 to 65,535");
    }
    rest = rest.subspan(at);
    return value;
}

}  // namespace

cca_picture parse_ppm(std::span<const std::uint8_t> file) {
    if (file.size() < 2 || file[0] != 'P' || file[1] != '6') {
        throw BadInput("not a binary PPM file (P6)");
    }
    std::span<const std::uint8_t> rest = file.subspan(2);
    cca_picture picture{};
    picture.width = take_number(rest, "width");
    picture.height = take_number(rest, "height");
    if (take_number(rest, "largest value") != 255) {
        throw BadInput("a PPM of more or less than 8 bits a sample: convert it to 8 bits first");
    }
    if (rest.empty() || !is_space(rest[0])) throw BadInput("damaged PPM: its header has no end");
    rest = rest.subspan(1);  // one byte of white space; what looks like more is pixels
    const std::uint64_t expected = std::uint64_t{3} * picture.width * picture.height;
    if (rest.size() != expected) {
        throw BadInput("damaged PPM: " + std::to_string(rest.size()) + " bytes of pixels, not " +
                       std::to_string(expected));
    }
    picture.pixels = rest.data();
    return picture;
}

std::vector<std::uint8_t> format_ppm(const cca_picture& picture) {
    const std::string header =
        "P6\n" + std::to_string(picture.width) + " " + std::to_string(picture.height) + "\n255\n";
    std::vector<std::uint8_t> file(header.begin(), header.end());
    file.insert(file.end(), picture.pixels,
                picture.pixels + std::size_t{3} * picture.width * picture.height);
    return file;
}
