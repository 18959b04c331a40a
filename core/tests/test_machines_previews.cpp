// Pictures of some channel groups: those that are asked for, or those that a file still has.
#include <doctest/doctest.h>

#include <algorithm>

#include "format/container.hpp"
#include "machine_runs.hpp"

using namespace cca::test;

namespace {

struct Preview {
    cca_status status = CCA_OK;
    std::string message;
    Picture picture;
    std::vector<std::int32_t> groups;
    std::vector<Bytes> symbols;  // that graphs were given, group by group
};

// Notes what a host is given as symbols.
Preview decode(const Codec& codec, const Bytes& stream, const cca_decode_options& options) {
    Preview preview;
    const cca_view bytes = view(stream);
    cca_decoder* created = nullptr;
    preview.status = cca_decoder_create(codec.model(), &bytes, 1, &options, &created);
    const OwnedDecoderMachine machine(created);
    FakeHost host(codec.family());
    const cca_step* step = nullptr;
    while (preview.status == CCA_OK &&
           (preview.status = cca_decoder_next(machine.get(), 0, &step)) == CCA_OK &&
           step->kind != CCA_STEP_DONE) {
        host.do_step(*step);
        if (step->kind == CCA_STEP_UPLOAD && step->tensor.rank == 5) {
            const auto* const from = static_cast<const std::uint8_t*>(step->source);
            preview.symbols.emplace_back(from, from + step->size);
        }
    }
    if (preview.status != CCA_OK) {
        preview.message = cca_last_error();
        return preview;
    }
    cca_picture picture{};
    succeed(cca_decoder_picture(machine.get(), 0, &picture));
    preview.picture = {picture.width, picture.height, {}, {}};
    preview.picture.pixels.assign(picture.pixels,
                                  picture.pixels + std::size_t{3} * picture.width * picture.height);
    const std::int32_t* groups = nullptr;
    std::size_t payloads = 0;
    const std::uint64_t* sizes = nullptr;
    succeed(cca_decoder_groups(machine.get(), 0, &groups, &payloads, &sizes));
    preview.groups.assign(groups, groups + payloads);
    return preview;
}

cca_decode_options leave_out(std::uint32_t groups) {
    cca_decode_options options = decode_options();
    options.leave_out = groups;
    return options;
}

cca_decode_options cut() {
    cca_decode_options options = decode_options();
    options.preview = 1;
    return options;
}

bool all_zero(const Bytes& symbols) {
    for (std::size_t i = 0; i < symbols.size(); i += 2) {
        if (symbols[i] != 0x00 || symbols[i + 1] != 0x80) {
            return false;
        }
    }
    return true;
}

Bytes first(const Bytes& stream, std::size_t size) {
    return {stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(size)};
}

}  // namespace

TEST_CASE("groups that are left out are their means, and all before them as they were") {
    for (const ToyFamily& family : {sample_family(), checkerboard_family()}) {
        const Codec codec(family);
        for (const std::uint32_t tile_side : {CCA_TILE_NONE, 64U}) {
            const Bytes stream = codec.stream_of(make_picture(64, 64 + 64), tile_side);
            const std::size_t tiles = tile_side == CCA_TILE_NONE ? 1 : 2;
            const Preview whole = decode(codec, stream, decode_options());
            const Preview same = decode(codec, stream, leave_out(0));
            CHECK(same.picture == whole.picture);
            CHECK(same.groups == std::vector<std::int32_t>(tiles, 2));
            const Preview one = decode(codec, stream, leave_out(1));
            CHECK(one.groups == std::vector<std::int32_t>(tiles, 1));
            CHECK(one.symbols.front() == whole.symbols.front());
            CHECK_FALSE(all_zero(one.symbols.front()));
            CHECK(all_zero(one.symbols[1]));
            CHECK_FALSE(one.picture == whole.picture);
            const Preview none = decode(codec, stream, leave_out(2));
            CHECK(none.groups == std::vector<std::int32_t>(tiles, 0));
            CHECK(std::ranges::all_of(none.symbols, all_zero));
            CHECK(decode(codec, stream, leave_out(3)).status == CCA_ERROR_ARGUMENT);
        }
    }
}

TEST_CASE("a preview of a whole file is the picture") {
    const Codec codec(sample_family());
    for (const std::uint32_t tile_side : {CCA_TILE_NONE, 64U}) {
        const Bytes stream = codec.stream_of(make_picture(128, 64), tile_side);
        CHECK(decode(codec, stream, cut()).picture ==
              decode(codec, stream, decode_options()).picture);
    }
}

TEST_CASE("a file that is cut anywhere shows the groups that it has") {
    const Codec codec(sample_family());
    // One lane, and many.
    for (const std::uint32_t side : {128U, 1'280U}) {
        Picture source = make_picture(side, side);
        source.icc = {1, 2, 3, 4};
        cca_encode_options fine = encode_options();
        fine.step = -40;
        const Bytes stream = codec.encode({source}, fine).streams.front();
        std::vector<Preview> wanted;
        for (const std::uint32_t left_out : {2U, 1U, 0U}) {
            wanted.push_back(decode(codec, stream, leave_out(left_out)));
        }
        const auto payload = cca::parse_stream(stream).payload;
        const auto begin = static_cast<std::size_t>(payload.data() - stream.data());
        int seen = -1;
        std::vector<int> counts(4);
        std::vector<std::size_t> sizes;
        for (std::size_t size = 0; size < stream.size(); size += 1 + size / 40) {
            sizes.push_back(size);
        }
        // Where the last lane's words are.
        for (std::size_t left = 300; left > 0 && sizes.back() < stream.size() - left; left -= 12) {
            sizes.push_back(stream.size() - left);
        }
        for (const std::size_t size : sizes) {
            CAPTURE(size);
            const Preview preview = decode(codec, first(stream, size), cut());
            if (size < begin) {
                CHECK(preview.status == CCA_ERROR_STREAM);
                continue;
            }
            if (preview.status != CCA_OK) {  // within the hyper-latents
                CHECK(seen == -1);
                CHECK(preview.status == CCA_ERROR_STREAM);
                ++counts[0];
                continue;
            }
            const int groups = preview.groups.front();
            CHECK(groups >= seen);
            seen = groups;
            ++counts[static_cast<std::size_t>(groups) + 1];
            CHECK(preview.picture == wanted[static_cast<std::size_t>(groups)].picture);
        }
        CHECK(*std::ranges::min_element(counts.begin() + 1, counts.begin() + 3) > 0);
        // Only metadata are missing.
        const Preview last = decode(codec, first(stream, stream.size() - 1), cut());
        CHECK(last.groups.front() == 2);
        CHECK(last.picture == wanted.back().picture);
        // Without asking, a cut file is a damaged one.
        CHECK(decode(codec, first(stream, stream.size() - 1), decode_options()).status ==
              CCA_ERROR_STREAM);
    }
}

TEST_CASE("a large file that is cut in its hyper-latents says that it is cut") {
    const Codec codec(sample_family());
    cca::StreamInfo info = cca::parse_stream(codec.stream_of(make_picture(64, 64))).info;
    info.width = info.height = 8'192;
    const Bytes payload(300);
    const Bytes stream = cca::write_stream(info, payload);
    for (const std::size_t left : {std::size_t{1}, payload.size() - 40, payload.size()}) {
        const Preview preview = decode(codec, first(stream, stream.size() - left), cut());
        CHECK(preview.status == CCA_ERROR_STREAM);
        CHECK(preview.message ==
              "the file is cut short before anything of the picture can be shown");
    }
    CHECK(decode(codec, stream, cut()).message.find("too small") != std::string::npos);
}

TEST_CASE("tiles that are not there are shown without anything") {
    const Codec codec(sample_family());
    const Bytes stream = codec.stream_of(make_picture(128, 128), 64);
    const std::vector<Bytes> tiles = payloads_of(stream);
    std::size_t end = stream.size();
    for (const Bytes& tile : tiles) {
        end -= tile.size();
    }
    for (std::size_t whole = 0; whole <= tiles.size(); ++whole) {
        const Preview preview = decode(codec, first(stream, end), cut());
        CHECK(preview.status == CCA_OK);
        std::vector<std::int32_t> expected(4, -1);
        std::fill_n(expected.begin(), whole, 2);
        CHECK(preview.groups == expected);
        end += whole < tiles.size() ? tiles[whole].size() : 0;
    }
}

TEST_CASE("previews are of one stream, and damage is damage") {
    const Codec codec(sample_family());
    Bytes stream = codec.stream_of(make_picture(64, 64));
    const std::vector<cca_view> two{view(stream), view(stream)};
    cca_decoder* decoder = nullptr;
    const cca_decode_options options = cut();
    CHECK(cca_decoder_create(codec.model(), two.data(), 2, &options, &decoder) ==
          CCA_ERROR_ARGUMENT);
    stream.back() ^= 1;
    CHECK(decode(codec, stream, cut()).message.find("checksum") != std::string::npos);
    stream.push_back(0);
    stream[stream.size() - 2] ^= 1;
    CHECK(decode(codec, stream, cut()).message.find("trailing bytes") != std::string::npos);
}
