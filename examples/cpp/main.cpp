// Encodes and decodes pictures with a model bundle.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>

#include "arguments.hpp"
#include "bundle_host.hpp"
#include "error.hpp"
#include "files.hpp"
#include "ppm.hpp"

namespace {

constexpr std::uint64_t kMaxFile = std::uint64_t{1} << 31;  // bytes

constexpr const char* kUsage =
    "usage: encode [--tile SIDE|auto|none] [--quality Q | --target-size BYTES | --target-psnr DB]\n"
    "              BUNDLE IN.ppm OUT.cca\n"
    "       decode [--region X,Y,W,H] [--groups K] [--preview] BUNDLE IN.cca OUT.ppm\n"
    "OUT is replaced if it exists. Exit codes: 0 done, 1 failed, 2 wrong usage or bad input.\n";

std::uint32_t parse_tile(const std::string& text) {
    if (text == "auto") {
        return CCA_TILE_BY_SIZE;
    }
    return text == "none"
               ? CCA_TILE_NONE
               : parse_numbers<1>(text, {1}, "--tile takes a number of pixels, auto or none")[0];
}

void encode(BundleHost& host, const Options& given, const char* in, const char* out) {
    cca::EncodeOptions options;
    if (given.size() > given.count("--tile") + 1) {
        throw BadInput("give one of --quality, --target-size and --target-psnr");
    }
    for (const auto& [name, value] : given) {
        if (name == "--tile") {
            options.tile_side = parse_tile(value);
        } else if (name == "--quality") {
            options.step = cca::step_of_quality(parse_real(value, "--quality takes a number"));
        } else {
            options.target = name == "--target-size" ? CCA_TARGET_FILE_BYTES : CCA_TARGET_PSNR;
            options.target_value = parse_real(value, "a target is a number of bytes or decibels");
        }
    }
    const auto file = read_file(in, kMaxFile);
    write_file(out, cca::encode(host.model(), host, parse_ppm(file), options).stream());
}

void decode(BundleHost& host, const Options& given, const char* in, const char* out) {
    cca::DecodeOptions options;
    const std::uint32_t all = host.model().info().group_count;
    for (const auto& [name, value] : given) {
        if (name == "--region") {
            const auto [x, y, width, height] = parse_numbers<4>(
                value, {0, 0, 1, 1}, "--region takes X,Y,W,H in pixels, such as 0,0,64,64");
            options.region = {x, y, width, height};
        } else if (name == "--groups") {
            const std::uint32_t wanted = parse_numbers<1>(value, {0}, "--groups takes a number")[0];
            if (wanted > all) {
                throw BadInput("'" + value + "': the model has " + std::to_string(all) +
                               " channel groups");
            }
            options.leave_out = all - wanted;
        } else {
            options.preview = 1;
        }
    }
    const auto file = read_file(in, kMaxFile);
    const cca::Decoder decoder = cca::decode(host.model(), host, cca::view(file), options);
    write_file(out, cca::view(format_ppm(decoder.picture())));
    if (options.preview != 0) {
        for (const std::int32_t groups : decoder.groups()) {  // of each tile, or of the picture
            std::printf("%d of %u channel groups\n", std::max(groups, 0), all);
        }
    }
}

int run(int argc, char** argv) {
    Options options;
    if (!parse_options(argc, argv, options)) {
        std::fputs(kUsage, stderr);
        return 2;
    }
    const auto engine = open_engine();
    BundleHost host(argv[argc - 3], *engine);
    const bool encodes = std::string(argv[1]) == "encode";
    (encodes ? encode : decode)(host, options, argv[argc - 2], argv[argc - 1]);
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
