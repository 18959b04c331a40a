#include "sample_bundle.hpp"

#include <stdexcept>

#include "format/little_endian.hpp"

namespace cca::test {
namespace {

// A table whose symbols get rarer by half with their distance from the middle one.
std::vector<std::uint32_t> widths(unsigned symbols) {
    std::vector<std::uint32_t> result(symbols + 1, 1);
    std::uint32_t rest = 65'536 - (symbols + 1);
    const unsigned middle = symbols / 2;
    for (unsigned distance = 0; distance <= middle; ++distance) {
        const std::uint32_t share = distance == 0 ? rest / 2 : rest / 4;
        result[middle - distance] += share;
        rest -= share;
        if (distance != 0) {
            result[middle + distance] += share;
            rest -= share;
        }
    }
    result[middle] += rest;
    return result;
}

void append_set(Bytes& out, const std::vector<unsigned>& symbols) {
    append_bytes(out, symbols.size(), 4);
    for (const unsigned count : symbols) {
        append_bytes(out, static_cast<std::uint16_t>(-static_cast<int>(count / 2)), 2);
        append_bytes(out, count, 2);
    }
    for (const unsigned count : symbols) {
        for (const std::uint32_t width : widths(count)) {
            append_bytes(out, width - 1, 2);
        }
    }
}

}  // namespace

Bytes sample_tables() {
    Bytes file{0x89, 'C', 'C', 'T', 1, 0, 0, 0};
    append_set(file, {3, 5, 9, 41});
    append_set(file, {7, 1});
    return file;
}

std::string sample_manifest(const Bytes& tables, const std::string& mode) {
    return toy_manifest(sample_family(), tables, mode);
}

std::string one_step_manifest(const Bytes& tables) {
    ToyFamily family = sample_family();
    for (ToyGraph& prior : family.priors) {
        std::erase_if(prior.inputs, [](const ToyPort& port) { return port.name == "step"; });
    }
    return replaced(replaced(toy_manifest(family, tables, "exact"), R"("step": -3, )", ""),
                    R"("version": 5)", R"("version": 4)");
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
    const std::size_t position = text.find(from);
    if (position == std::string::npos) {
        throw std::logic_error("not in the text: " + std::string(from));
    }
    return text.replace(position, from.size(), to);
}

cca_view view(const Bytes& bytes) {
    return {bytes.data(), bytes.size()};
}

cca_view view(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

OwnedModel open_toy(const ToyFamily& family, const std::string& mode) {
    const Bytes tables = sample_tables();
    const std::string manifest = toy_manifest(family, tables, mode);
    cca_model* model = nullptr;
    if (cca_model_open(view(manifest), view(tables), &model) != CCA_OK) {
        throw std::logic_error(cca_last_error());
    }
    return OwnedModel(model);
}

OwnedModel open_sample(const std::string& mode) {
    return open_toy(sample_family(), mode);
}

}  // namespace cca::test
