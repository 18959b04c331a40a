// Encodes and decodes pictures with a model bundle.
#include <array>
#include <charconv>
#include <cstdio>
#include <exception>
#include <string>

#include "bundle_host.hpp"
#include "error.hpp"
#include "files.hpp"
#include "ppm.hpp"

namespace {

constexpr std::uint64_t kMaxFile = std::uint64_t{1} << 31;  // bytes

constexpr const char* kUsage =
    "usage: encode [--tile SIDE|auto|none] BUNDLE IN.ppm OUT.cca\n"
    "       decode [--region X,Y,W,H] BUNDLE IN.cca OUT.ppm\n"
    "OUT is replaced if it exists. Exit codes: 0 done, 1 failed, 2 wrong usage or bad input.\n";

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

void encode(BundleHost& host, const std::string& tile, const char* in, const char* out) {
    cca::EncodeOptions options;
    if (tile == "none") {
        options.tile_side = CCA_TILE_NONE;
    } else if (!tile.empty() && tile != "auto") {
        options.tile_side =
            parse_numbers<1>(tile, {1}, "--tile takes a number of pixels, auto or none")[0];
    }
    const auto file = read_file(in, kMaxFile);
    write_file(out, cca::encode(host.model(), host, parse_ppm(file), options).stream());
}

void decode(BundleHost& host, const std::string& region, const char* in, const char* out) {
    cca::DecodeOptions options;
    if (!region.empty()) {
        const auto [x, y, width, height] = parse_numbers<4>(
            region, {0, 0, 1, 1}, "--region takes X,Y,W,H in pixels, such as 0,0,64,64");
        options.region = {x, y, width, height};
    }
    const auto file = read_file(in, kMaxFile);
    const cca::Decoder decoder = cca::decode(host.model(), host, cca::view(file), options);
    write_file(out, cca::view(format_ppm(decoder.picture())));
}

int run(int argc, char** argv) {
    const std::string command = argc > 1 ? argv[1] : "";
    const bool encodes = command == "encode";
    const bool has_option =
        argc == 7 && std::string(argv[2]) == (encodes ? "--tile" : "--region") && *argv[3];
    if ((!encodes && command != "decode") || (argc != 5 && !has_option)) {
        std::fputs(kUsage, stderr);
        return 2;
    }
    const auto engine = open_engine();
    BundleHost host(argv[argc - 3], *engine);
    (encodes ? encode : decode)(host, has_option ? argv[3] : "", argv[argc - 2], argv[argc - 1]);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const auto fail = [](const std::exception& error, int code) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return code;
    };
    try {
        return run(argc, argv);
    } catch (const BadInput& error) {
        return fail(error, 2);
    } catch (const cca::Error& error) {
        return fail(error, error.is_bad_input() ? 2 : 1);
    } catch (const std::exception& error) {
        return fail(error, 1);
    }
}
