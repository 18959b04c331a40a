// Any bytes as a stream: refused, or taken apart so that they can be put together again.
#include "format/container.hpp"

#include <algorithm>

#include "check.hpp"
#include "format/error.hpp"

namespace {

using cca::fuzz::check;

constexpr cca::Limits kNoLimit{.max_pixels = std::uint64_t{1} << 33};

void check_pixel_limit(cca::BytesView stream, const cca::StreamInfo& info) {
    const std::uint64_t pixels = cca::padded_pixels(info);
    check(cca::parse_stream(stream, {pixels}).info == info, "a limit that is kept changes nothing");
    try {
        static_cast<void>(cca::parse_stream(stream, {pixels - 1}));
        check(false, "a larger picture is refused");
    } catch (const cca::LimitError&) {
        return;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const cca::BytesView stream(data, size);
    try {
        const cca::ParsedStream parsed = cca::parse_stream(stream, kNoLimit);
        const cca::Bytes again = cca::write_stream(parsed.info, parsed.payload);
        check(std::ranges::equal(again, stream), "there is one stream for a header and payload");
        check_pixel_limit(stream, parsed.info);
    } catch (const cca::StreamError&) {
        return 0;
    }
    return 0;
}
