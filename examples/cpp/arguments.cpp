#include "arguments.hpp"

namespace {

/// The options of each command, and whether they take a value.
const std::map<std::string, std::map<std::string, bool>> kCommands{
    {"encode",
     {{"--tile", true}, {"--quality", true}, {"--target-size", true}, {"--target-psnr", true}}},
    {"decode", {{"--region", true}, {"--groups", true}, {"--preview", false}}},
};

}  // namespace

bool parse_options(int argc, char** argv, Options& options) {
    if (argc < 5 || !kCommands.contains(argv[1])) {
        return false;
    }
    const auto& known = kCommands.at(argv[1]);
    int next = 2;
    while (next < argc - 3) {
        const std::string name = argv[next++];
        const auto option = known.find(name);
        if (option == known.end()) {
            return false;
        }
        const std::string value = option->second ? argv[next++] : "yes";
        if (value.empty() || !options.emplace(name, value).second) {
            return false;
        }
    }
    return next == argc - 3;
}

double parse_real(const std::string& text, const char* advice) {
    double number = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc() || rest != end) {
        throw BadInput("'" + text + "': " + advice);
    }
    return number;
}
