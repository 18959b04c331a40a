// Times the coder's loops beside CompressAI's own, in one process and in turn: see rans.py.
//
//     rans FILE ROUNDS
//
// FILE has, as little-endian 32-bit integers: number of tables and length of a row; the CDFs, their
// lengths and offsets; number of symbols; the symbols, and their table indexes. Prints a line for
// each coder: its name, payload bytes, median seconds of processor time to encode and to decode.
#include <rans_interface.hpp>

#include <pybind11/embed.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "entropy/rans.hpp"
#include "entropy/simd.hpp"

namespace {

using Integers = std::vector<std::int32_t>;

// A picture has about this many groups.
constexpr std::size_t kGroups = 5;

struct Data {
    explicit Data(const char* path) {
        std::ifstream file(path, std::ios::binary);
        const auto read = [&file](std::size_t count) {
            Integers values(count);
            file.read(reinterpret_cast<char*>(values.data()),
                      static_cast<std::streamsize>(count * sizeof(values[0])));
            return values;
        };
        const Integers shape = read(2);
        const auto tables = static_cast<std::size_t>(shape[0]);
        row_length = static_cast<std::size_t>(shape[1]);
        cdfs = read(tables * row_length);
        lengths = read(tables);
        offsets = read(tables);
        const auto count = static_cast<std::size_t>(read(1)[0]);
        symbols = read(count);
        indexes = read(count);
        bytes.assign(indexes.begin(), indexes.end());
        for (std::size_t table = 0; table < tables; ++table) {
            const auto row = cdfs.begin() + static_cast<std::ptrdiff_t>(table * row_length);
            rows.emplace_back(row, row + static_cast<std::ptrdiff_t>(row_length));
        }
    }

    std::size_t row_length;
    Integers cdfs, lengths, offsets, symbols, indexes;
    std::vector<std::uint8_t> bytes;  // the indexes
    std::vector<Integers> rows;       // of cdfs
};

struct Times {
    std::size_t payload = 0;
    std::vector<double> encode;
    std::vector<double> decode;
};

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

// What the thread has run: on a busy machine, others' turns would count against the longer of two
// pieces of work only.
double thread_seconds() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double seconds_of(const std::function<void()>& work) {
    const double start = thread_seconds();
    work();
    return thread_seconds() - start;
}

void require_equal(const Integers& decoded, const Data& data) {
    if (decoded != data.symbols) {
        std::fputs("decoded symbols differ\n", stderr);
        std::exit(1);
    }
}

void time_baseline(const Data& data, Times& times) {
    std::string payload;
    times.encode.push_back(seconds_of([&] {
        BufferedRansEncoder encoder;
        encoder.encode_with_indexes(data.symbols, data.indexes, data.rows, data.lengths,
                                    data.offsets);
        payload = encoder.flush();
    }));
    times.payload = payload.size();
    RansDecoder decoder;
    decoder.set_stream(payload);
    Integers decoded;
    times.decode.push_back(seconds_of([&] {
        decoded = decoder.decode_stream(data.indexes, data.rows, data.lengths, data.offsets);
    }));
    require_equal(decoded, data);
}

void time_own(const Data& data, const cca::EntropyTables& tables, Times& times) {
    const std::size_t group = data.symbols.size() / kGroups + 1;
    const auto for_groups = [&](auto work) {
        for (std::size_t first = 0; first < data.symbols.size(); first += group) {
            work(first, std::min(group, data.symbols.size() - first));
        }
    };
    std::vector<std::uint8_t> payload;
    times.encode.push_back(seconds_of([&] {
        cca::Encoder encoder;
        for_groups([&](std::size_t first, std::size_t count) {
            encoder.push(std::span(data.symbols).subspan(first, count),
                         std::span(data.bytes).subspan(first, count), tables);
        });
        payload = encoder.finish();
    }));
    times.payload = payload.size();
    Integers decoded(data.symbols.size());
    times.decode.push_back(seconds_of([&] {
        cca::Decoder decoder(payload);
        for_groups([&](std::size_t first, std::size_t count) {
            decoder.pull(std::span(decoded).subspan(first, count),
                         std::span(data.bytes).subspan(first, count), tables);
        });
        decoder.finish();
    }));
    require_equal(decoded, data);
}

}  // namespace

int main(int, char** arguments) {
    const pybind11::scoped_interpreter python;  // the baseline returns its payload as an object
    const Data data(arguments[1]);
    const cca::EntropyTables tables(data.cdfs, data.row_length, data.lengths, data.offsets);
    std::map<std::string, Times> times;
    // Each coder works twice in a row, and the second time counts: with warm caches and memory.
    Times warming;
    for (int round = std::atoi(arguments[2]); round-- > 0;) {
        time_baseline(data, warming);
        time_baseline(data, times["compressai"]);
        for (const std::string& path : cca::simd_paths()) {
            setenv("CCA_SIMD", path.c_str(), 1);
            time_own(data, tables, warming);
            time_own(data, tables, times[path]);
        }
    }
    for (const auto& [name, own] : times) {
        std::printf("%s %zu %.9f %.9f\n", name.c_str(), own.payload, median(own.encode),
                    median(own.decode));
    }
}
