// Any bytes as a stream: refused, or taken apart so that they can be put together again; cut short,
// taken apart as far as they are there.
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

// `start` and `whole` are of one stream, the former of so many bytes less.
bool agree(const cca::ParsedStream& start, const cca::ParsedStream& whole, std::size_t missing) {
    cca::StreamInfo info = whole.info;
    for (const auto section :
         {&cca::StreamInfo::icc, &cca::StreamInfo::exif, &cca::StreamInfo::xmp}) {
        if (missing > 0 && !(start.info.*section)) {
            (info.*section).reset();
        }
    }
    const std::size_t there = start.payload.size();
    return start.info == info && start.missing == missing &&
           start.payload_size == whole.payload.size() &&
           start.payload.data() == whole.payload.data() && there <= whole.payload.size() &&
           (there == whole.payload.size() || missing >= whole.payload.size() - there);
}

void check_cut(cca::BytesView stream, const cca::ParsedStream& whole, std::size_t size) {
    const auto header = static_cast<std::size_t>(whole.payload.data() - stream.data());
    try {
        const cca::ParsedStream start = cca::parse_start(stream.first(size), kNoLimit);
        check(size >= header, "a header is whole");
        check(agree(start, whole, stream.size() - size), "what is there is as it was");
    } catch (const cca::StreamError&) {
        check(size < header, "what is cut behind its header is read");
    }
}

// What is no stream may be the start of one.
void check_start(cca::BytesView stream) {
    try {
        check(cca::parse_start(stream, kNoLimit).missing > 0, "what is whole is refused");
    } catch (const cca::StreamError&) {
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
        check_cut(stream, parsed, size);
        check_cut(stream, parsed, size - 1);
        check_cut(stream, parsed, size * data[size - 1] / 256);  // anywhere
    } catch (const cca::StreamError&) {
        check_start(stream);
    }
    return 0;
}
