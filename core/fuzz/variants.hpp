// The ways through the coder that must not differ in what comes out.
#pragma once

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.hpp"
#include "entropy/rans.hpp"

namespace cca::fuzz {

/// One way: a code path, and table indexes of 8 or 16 bits.
struct Variant {
    std::string path;  ///< a value of CCA_SIMD
    bool wide_indexes;
};

inline void choose_path(const std::string& name) {
    setenv("CCA_SIMD", name.c_str(), 1);
}

inline bool has_path(const std::string& name) {
    choose_path(name);
    try {
        const Encoder encoder;
        return true;
    } catch (const std::invalid_argument&) {
        return false;
    }
}

/// All that this build and this processor have.
inline const std::vector<Variant>& variants() {
    static const std::vector<Variant> all = [] {
        std::vector<Variant> found;
        for (const char* path : {"scalar", "avx2", "avx512", "neon"}) {
            if (has_path(path)) {
                found.push_back({path, false});
            }
        }
        found.push_back({"scalar", true});
        return found;
    }();
    return all;
}

/// The result of `work` on a variant, which must be the same for each.
template <typename Work>
auto on_every_variant(Work work) {
    const auto run = [&work](const Variant& variant) {
        choose_path(variant.path);
        return work(variant.wide_indexes);
    };
    auto result = run(variants().front());
    for (std::size_t i = 1; i < variants().size(); ++i) {
        check(run(variants()[i]) == result, "the code path makes no difference");
    }
    return result;
}

}  // namespace cca::fuzz
