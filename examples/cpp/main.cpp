// Encodes and decodes pictures with a model bundle.
#include <cstdio>
#include <exception>
#include <string>

#include "codec.hpp"
#include "engine.hpp"
#include "error.hpp"
#include "files.hpp"
#include "libcca.hpp"
#include "ppm.hpp"

namespace {

constexpr std::uint64_t kMaxFile = std::uint64_t{1} << 31;  // bytes

constexpr const char* kUsage =
    "usage: encode BUNDLE IN.ppm OUT.cca\n"
    "       decode BUNDLE IN.cca OUT.ppm\n"
    "OUT is replaced if it exists. Exit codes: 0 done, 1 failed, 2 wrong usage or bad input.\n";

void encode(Codec& codec, const std::string& in, const std::string& out) {
    const Picture picture = parse_ppm(read_file(in, kMaxFile));
    write_file(out, codec.encode(picture));
}

void decode(Codec& codec, const std::string& in, const std::string& out) {
    const Picture picture = codec.decode(read_file(in, kMaxFile));
    write_file(out, format_ppm(picture));
}

int run(int argc, char** argv) {
    const std::string command = argc == 5 ? argv[1] : "";
    if (command != "encode" && command != "decode") {
        std::fputs(kUsage, stderr);
        return 2;
    }
    check(cca_check_abi(CCA_ABI_VERSION));
    const auto engine = open_engine();
    Codec codec(argv[2], *engine);
    (command == "encode" ? encode : decode)(codec, argv[3], argv[4]);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const BadInput& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 2;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
