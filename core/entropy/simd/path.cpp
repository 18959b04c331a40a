#include "entropy/simd/path.hpp"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "entropy/simd.hpp"
#include "entropy/simd/paths.hpp"

namespace cca::simd {
namespace {

// What this processor can run, fastest first.
std::vector<const Path*> usable_paths() {
    std::vector<const Path*> paths;
#if defined(CCA_SIMD_X86)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vbmi2")) {
        paths.push_back(&kAvx512);
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt")) {
        paths.push_back(&kAvx2);
    }
#elif defined(CCA_SIMD_NEON)
    paths.push_back(&kNeon);
#endif
    paths.push_back(&kScalar);
    return paths;
}

}  // namespace

View view(const CodingTables& tables) {
    const auto bound = [](std::size_t table) {
        return static_cast<std::uint8_t>(std::min<std::size_t>(table, 255));
    };
    return {.packed = tables.packed.data(),
            .first_steps = tables.first_steps.data(),
            .encoder_steps = tables.encoder_steps.data(),
            .kind_bounds = tables.kind_bounds.data(),
            .not_near = tables.not_near.data(),
            .far = tables.far.data(),
            .sparse_slots = tables.sparse_slots.data(),
            .sparse = bound(tables.sparse),
            .first_wide = bound(tables.first_wide),
            .small = tables.tables.size() <= 64};
}

const Path& path() {
    static const std::vector<const Path*> paths = usable_paths();
    const char* const name = std::getenv("CCA_SIMD");
    if (name == nullptr || *name == '\0') {
        return *paths.front();
    }
    std::string known;
    for (const Path* path : paths) {
        if (std::string_view(name) == path->name) {
            return *path;
        }
        known += std::string(known.empty() ? "" : ", ") + path->name;
    }
    throw std::invalid_argument("CCA_SIMD=" + std::string(name) +
                                " cannot be used on this processor, which has: " + known);
}

}  // namespace cca::simd

namespace cca {

std::vector<std::string> simd_paths() {
    std::vector<std::string> names;
    for (const simd::Path* path : simd::usable_paths()) {
        names.emplace_back(path->name);
    }
    return names;
}

std::string simd_path() {
    return simd::path().name;
}

}  // namespace cca
