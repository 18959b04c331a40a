#include <doctest/doctest.h>

#include <string>

#include "bundle/utf8.hpp"

using namespace cca;

TEST_CASE("every code point makes one character, of which no beginning is one") {
    for (std::uint32_t point = 0; point <= 0x10FFFF; ++point) {
        if (point >= 0xD800 && point <= 0xDFFF) {
            continue;
        }
        std::string text;
        append_utf8(text, point);
        const std::size_t expected = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
        // CHECK would be slow a million times.
        if (text.size() != expected || utf8_length(text) != expected ||
            utf8_length(std::string_view(text).substr(0, expected - 1)) != 0) {
            FAIL("code point ", point);
        }
    }
}

TEST_CASE("what RFC 3629 rules out is no character") {
    for (const char* text : {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80",
                             "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF",
                             "\xC3(", "\xE2\x82("}) {
        CHECK(utf8_length(text) == 0);
    }
}
