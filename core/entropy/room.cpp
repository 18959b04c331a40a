#include "entropy/room.hpp"

#include <algorithm>
#include <cmath>

#include "entropy/coding_tables.hpp"
#include "entropy/rans_format.hpp"

namespace cca {
namespace {

// A step that takes f of 2^p slots takes at least half of log2(2^p / f) bits out of a state x: with
// h = x >> p >= 1 the state shrinks by (h 2^p + place) / (h f + place) >= (2^p / f + 1) / 2, since
// place < f, and that is at least the root of 2^p / f.
double least_bits(const CodingTable& table) {
    const double slots = std::exp2(table.precision);
    // Whatever is coded first is the mode, or is not.
    return std::log2(slots / std::max<double>(table.mode_slots, slots - table.mode_slots)) / 2;
}

// A word makes room for at most 17 bits, at the smallest state; each lane starts with a state.
constexpr double kBitsPerByte = 17.0 / kWordBytes;
constexpr double kStateBits = 32.0 * kLanes;

}  // namespace

bool could_hold(std::size_t payload_bytes, const EntropyTables& tables,
                std::uint64_t symbols_of_each) noexcept {
    double bits = 0;
    for (const CodingTable& table : tables.coding().tables) {
        bits += least_bits(table);
    }
    const double room = kBitsPerByte * static_cast<double>(payload_bytes) + kStateBits;
    // A part in a thousand for the rounding of these sums.
    return bits * static_cast<double>(symbols_of_each) * 0.999 <= room;
}

}  // namespace cca
