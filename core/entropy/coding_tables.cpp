#include "entropy/coding_tables.hpp"

#include <algorithm>

namespace cca {
namespace {

constexpr std::uint32_t kTotal = 1U << kMaxPrecision;

// A CDF in bins, counted from 0 here; frequencies in 65,536ths.
struct Bins {
    int low_bits = 0;
    std::vector<std::uint32_t> frequencies;
    std::size_t mode = 0;
    std::uint32_t escape = 0;

    std::uint32_t mode_frequency() const { return frequencies[mode]; }
    std::uint32_t below() const { return mode > 0 ? frequencies[mode - 1] : 0; }
    std::uint32_t above() const {
        return mode + 1 < frequencies.size() ? frequencies[mode + 1] : 0;
    }
    int relative(std::size_t bin) const { return static_cast<int>(bin) - static_cast<int>(mode); }
};

// The middle one, if several are: a symmetric table then has its mode at its centre.
std::size_t most_frequent(const std::vector<std::uint32_t>& frequencies) {
    const std::uint32_t most = std::ranges::max(frequencies);
    auto skipped = (std::ranges::count(frequencies, most) - 1) / 2;
    std::size_t bin = 0;
    while (frequencies[bin] != most || skipped-- > 0) {
        ++bin;
    }
    return bin;
}

Bins make_bins(std::span<const std::int32_t> cdf, int low_bits) {
    Bins bins;
    bins.low_bits = low_bits;
    const std::size_t symbols = cdf.size() - 2;
    const std::size_t width = std::size_t{1} << low_bits;
    for (std::size_t symbol = 0; symbol < symbols; symbol += width) {
        const std::size_t end = std::min(symbol + width, symbols);
        bins.frequencies.push_back(static_cast<std::uint32_t>(cdf[end] - cdf[symbol]));
    }
    bins.mode = most_frequent(bins.frequencies);
    bins.escape = static_cast<std::uint32_t>(cdf[symbols + 1] - cdf[symbols]);
    return bins;
}

int choose_precision(const Bins& bins) {
    const std::uint32_t rare = kTotal - bins.mode_frequency();
    int precision = kMaxPrecision;
    while (precision > kMinPrecision && rare >> (kMaxPrecision - precision) >= kMaxRareSlots) {
        --precision;
    }
    return precision;
}

// A frequency at a precision: to the nearest, at least 1.
std::uint32_t scale(std::uint32_t frequency, int precision) {
    return std::max(1U, ((frequency << precision) + kTotal / 2) >> kMaxPrecision);
}

bool neighbours_are_near(const Bins& bins) {
    const auto [less, more] = std::minmax({bins.below(), bins.above()});
    return less > 0 && (more - less) * kNearTolerance <= more;
}

// The first step: mode, near and far.
CodingTable make_first_step(const Bins& bins) {
    CodingTable table{};
    table.precision = static_cast<std::uint8_t>(choose_precision(bins));
    table.low_bits = static_cast<std::uint8_t>(bins.low_bits);
    const std::uint32_t slots = 1U << table.precision;
    std::uint32_t far = kTotal - bins.mode_frequency();
    if (neighbours_are_near(bins)) {
        table.near = scale(std::min(bins.below(), bins.above()), table.precision);
        far -= bins.below() + bins.above();
    }
    table.far_slots = std::min(scale(far, table.precision), slots - 1 - 2 * table.near);
    table.mode_slots = slots - 2 * table.near - table.far_slots;
    return table;
}

// The far bins, and those on the way to them; frequencies in kFarSlots-ths.
struct Far {
    std::size_t first = 0;  // live bins: first .. last
    std::size_t last = 0;
    std::vector<std::uint32_t> frequencies;  // of all bins; 0 for the mode and near ones
    std::uint32_t escape = 0;
};

Far select_far(const CodingTable& table, const Bins& bins) {
    const std::size_t near = table.near > 0 ? 1 : 0;
    Far far{0, bins.frequencies.size() - 1, bins.frequencies, bins.escape};
    std::fill_n(far.frequencies.begin() + static_cast<std::ptrdiff_t>(bins.mode - near),
                2 * near + 1, 0);
    std::uint32_t total = far.escape;
    for (const std::uint32_t frequency : far.frequencies) {
        total += frequency;
    }
    // Bins at either end with less than a quarter of a slot are left to the escape.
    const auto drop = [&far, total](std::size_t bin) {
        const bool negligible = std::uint64_t{far.frequencies[bin]} * 4 * kFarSlots < total;
        if (negligible) {
            far.escape += far.frequencies[bin];
            far.frequencies[bin] = 0;
        }
        return negligible;
    };
    while (far.first < bins.mode - near && drop(far.first)) {
        ++far.first;
    }
    while (far.last > bins.mode + near && drop(far.last)) {
        --far.last;
    }
    return far;
}

// Each live far bin gets one slot and its share of the others. What comes before a bin is rounded,
// not the bin itself, so that nothing is left over.
void share_far_slots(Far& far, const CodingTable& table, std::size_t mode) {
    const std::size_t near = table.near > 0 ? 1 : 0;
    const auto live = static_cast<std::uint32_t>(far.last - far.first - 2 * near);
    if (live == 0) {
        far.escape = kFarSlots;
        return;
    }
    std::uint64_t bins = 0;
    for (std::size_t bin = far.first; bin <= far.last; ++bin) {
        bins += far.frequencies[bin];
    }
    const std::uint64_t escape = std::uint64_t{far.escape} * kFarSlots / (bins + far.escape);
    far.escape = std::clamp(static_cast<std::uint32_t>(escape), 1U, kFarSlots - live);
    const std::uint64_t shared = kFarSlots - live - far.escape;
    std::uint64_t before = 0;
    for (std::size_t bin = far.first; bin <= far.last; ++bin) {
        if (bin + near < mode || bin > mode + near) {
            const std::uint64_t after = before + far.frequencies[bin];
            far.frequencies[bin] =
                static_cast<std::uint32_t>(1 + after * shared / bins - before * shared / bins);
            before = after;
        }
    }
}

// Far bins' intervals in rising order, then the escape's.
void append_far(CodingTables& set, CodingTable& table, const Bins& bins, const Far& far) {
    table.first_bin = static_cast<std::int8_t>(bins.relative(far.first));
    table.last_bin = static_cast<std::int8_t>(bins.relative(far.last));
    table.far_intervals = set.far_intervals.size();
    std::uint32_t start = 0;
    const auto append = [&](std::int8_t bin, std::uint32_t frequency) {
        set.far_intervals.push_back(
            {static_cast<std::uint16_t>(start), static_cast<std::uint16_t>(frequency)});
        for (std::uint32_t place = 0; place < frequency; ++place) {
            set.far.push_back(FarSlot::pack(bin, frequency, place));
        }
        start += frequency;
    };
    for (std::size_t bin = far.first; bin <= far.last; ++bin) {
        append(static_cast<std::int8_t>(bins.relative(bin)), far.frequencies[bin]);
    }
    append(kEscape, far.escape);
}

void pack(CodingTables& set, std::size_t index, const CodingTable& table) {
    const auto precision = static_cast<std::uint32_t>(table.precision - kMinPrecision);
    set.packed[index] = table.mode_slots | precision << PackedTable::kPrecisionShift |
                        table.near << PackedTable::kNearShift;
    FirstStep* step = set.first_steps.data() + FirstStep::kKinds * index;
    EncoderStep* encoder_step = set.encoder_steps.data() + FirstStep::kKinds * index;
    for (const int bin : {0, -1, 1, 2}) {
        const Interval interval = table.first_interval(bin);
        *step++ = {interval, table.precision,
                   table.is_far(bin) ? kFar : static_cast<std::int8_t>(bin)};
        *encoder_step++ = EncoderStep::pack(interval, table.precision);
    }
    set.kind_bounds[index] = {table.mode_slots, table.mode_slots + table.near,
                              table.mode_slots + 2 * table.near, table.precision};
    if (table.near == 0) {
        set.not_near[index / 8] |= static_cast<std::uint8_t>(1U << index % 8);
    }
}

bool is_sparse(const CodingTables& set, const CodingTable& table) {
    return set.tables.size() == set.sparse && set.sparse < kMaxSparseTables &&
           table.precision == kMaxPrecision && table.low_bits == 0 &&
           kTotal - table.mode_slots <= kMaxSparseSlots;
}

}  // namespace

void append_table(CodingTables& set, std::span<const std::int32_t> cdf, std::int32_t offset) {
    CodingTable table{};
    Bins bins;
    Far far;
    for (int low_bits = 0;; ++low_bits) {
        bins = make_bins(cdf, low_bits);
        table = make_first_step(bins);
        far = select_far(table, bins);
        if (bins.relative(far.first) >= kFirstBin && bins.relative(far.last) <= kLastBin) {
            break;
        }
    }
    table.mode = offset + static_cast<std::int32_t>(bins.mode << bins.low_bits);
    share_far_slots(far, table, bins.mode);
    append_far(set, table, bins, far);

    const std::size_t index = set.tables.size();
    if (is_sparse(set, table)) {
        set.sparse_slots[set.sparse++] = static_cast<std::uint8_t>(kTotal - table.mode_slots);
    }
    if (table.low_bits > 0) {
        set.first_wide = std::min(set.first_wide, index);
    } else {
        set.plain = set.plain && table.mode == 0;
    }
    if (index < CodingTables::kPacked) {
        pack(set, index, table);
    }
    set.tables.push_back(table);
}

}  // namespace cca
