#include "exercise_tables.hpp"

#include <array>
#include <cstdint>
#include <vector>

#include "check.hpp"
#include "entropy/rans.hpp"

namespace cca::fuzz {
namespace {

constexpr std::array<std::int32_t, 12> kSymbols{0,  1,   -1,  2,      -2,     17,
                                                -9, 126, 999, -5'000, 32'767, -32'768};

}  // namespace

void exercise(const EntropyTables& tables) {
    std::vector<std::int32_t> symbols;
    std::vector<std::uint16_t> indexes;
    for (const std::int32_t symbol : kSymbols) {
        for (std::size_t table = 0; table < tables.size(); ++table) {
            symbols.push_back(symbol);
            indexes.push_back(static_cast<std::uint16_t>(table));
        }
    }
    Encoder encoder;
    encoder.push<std::uint16_t>(symbols, indexes, tables);
    Decoder decoder(encoder.finish());
    std::vector<std::int32_t> decoded(symbols.size());
    decoder.pull<std::uint16_t>(decoded, indexes, tables);
    decoder.finish();
    check(decoded == symbols, "tables that are accepted can be coded with");
}

}  // namespace cca::fuzz
