// Writes the inputs that fuzzing starts from, made from the stored streams and their model.
//
//     make_seeds tests/data/streams DIRECTORY
//
// puts them below DIRECTORY, in a folder for each target.
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "coding.hpp"
#include "format/container.hpp"
#include "random.hpp"
#include "tests/graph_file.hpp"
#include "tiny_bundle.hpp"

namespace {

namespace fs = std::filesystem;
using cca::Bytes;

Bytes read(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    stream.exceptions(std::ios::badbit | std::ios::failbit);
    return Bytes(std::istreambuf_iterator<char>(stream), {});
}

// The seeds of one target.
class Seeds {
  public:
    Seeds(const fs::path& directory, const char* target) : directory_(directory / target) {
        fs::create_directories(directory_);
    }

    void add(const std::string& name, const Bytes& content) const {
        std::ofstream stream(directory_ / name, std::ios::binary);
        stream.exceptions(std::ios::badbit | std::ios::failbit);
        stream.write(reinterpret_cast<const char*>(content.data()),
                     static_cast<std::streamsize>(content.size()));
    }

  private:
    fs::path directory_;
};

Bytes to_bytes(const std::string& text) {
    return Bytes(text.begin(), text.end());
}

void append(Bytes& out, const Bytes& bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}

Bytes random_bytes(std::size_t count) {
    cca::fuzz::Random random(count);
    Bytes bytes(count);
    for (std::uint8_t& byte : bytes) {
        byte = static_cast<std::uint8_t>(random.next());
    }
    return bytes;
}

void seed_container(const Seeds& seeds, const fs::path& streams) {
    for (const fs::directory_entry& entry : fs::directory_iterator(streams)) {
        if (entry.path().extension() == ".cca") {
            seeds.add(entry.path().filename(), read(entry.path()));
        }
    }
    cca::StreamInfo info;
    info.width = info.height = cca::kSideMultiple;
    info.fingerprint.emplace();
    info.icc = info.exif = info.xmp = to_bytes("metadata");
    seeds.add("all-sections", cca::write_stream(info, random_bytes(200)));
    info.fingerprint.reset();
    info.digests = {1, 2};
    info.width = 3 * cca::kSideMultiple;
    info.tiling = cca::Tiling{.window_width = cca::kSideMultiple,
                              .window_height = cca::kSideMultiple,
                              .columns = 2,
                              .rows = 1,
                              .tile_sizes = {150, 50}};
    seeds.add("two-tiles", cca::write_stream(info, random_bytes(200)));
    info.tiling->columns = 3;
    info.tiling->tile_sizes = {200};
    info.digests = {1};
    seeds.add("three-windows", cca::write_stream(info, random_bytes(200)));
}

// The coder's seeds are the same groups: as symbols for the one target, coded for the other.
void seed_coder(const fs::path& directory) {
    // Number of symbols, tables and pattern of indexes, the pattern's parameter, as take_groups()
    // reads them; then how symbols are stored.
    struct Head {
        unsigned count, pattern, parameter, source;
    };
    const std::vector<std::vector<Head>> all{
        {{0, 0, 0, 0}},
        {{1, 0, 4, 0}},
        {{200, 9, 0, 2}, {800, 15, 1, 3}},
        {{48, 9, 0, 2}, {700, 15, 2, 2}, {900, 15, 3, 2}, {1'300, 15, 4, 3}},
        {{4'000, 15, 5, 2}, {4'000, 10, 0, 3}},
        {{4'000, 15, 6, 3}, {4'000, 20, 7, 2}, {4'000, 15, 8, 3}},
        {{1'000, 2, 6, 1}, {1'000, 2, 9, 1}, {1'000, 0, 0, 3}},
        {{3'000, 24, 0, 2}, {2'000, 23, 0, 0}},
        {{4'000, 16, 1, 3}, {4'000, 21, 2, 2}},
        {{2'000, 22, 0, 2}, {2'000, 12, 0, 2}},
    };
    const Seeds round_trip(directory, "round_trip");
    const Seeds decode(directory, "decode");
    for (std::size_t i = 0; i < all.size(); ++i) {
        Bytes head{static_cast<std::uint8_t>(all[i].size() - 1)};
        Bytes symbols;
        for (const Head& group : all[i]) {
            append(head, {static_cast<std::uint8_t>(group.count),
                          static_cast<std::uint8_t>(group.count >> 8),
                          static_cast<std::uint8_t>(group.pattern),
                          static_cast<std::uint8_t>(group.parameter)});
            append(symbols, {static_cast<std::uint8_t>(group.source)});
            append(symbols, random_bytes(std::min(group.count, 500U)));
        }
        Bytes seed = head;
        append(seed, symbols);
        round_trip.add(std::to_string(i), seed);

        cca::fuzz::Input input(seed.data(), seed.size());
        const auto groups = cca::fuzz::take_groups(input);
        std::vector<cca::fuzz::Symbols> taken;
        for (const cca::fuzz::Group& group : groups) {
            taken.push_back(cca::fuzz::take_symbols(input, group.indexes.size()));
        }
        append(head, cca::fuzz::encode(taken, groups));
        decode.add(std::to_string(i), head);
    }
}

void append_numbers(Bytes& out, const std::vector<std::int32_t>& numbers) {
    for (const std::int32_t number : numbers) {
        for (int shift = 0; shift < 32; shift += 8) {
            out.push_back(static_cast<std::uint8_t>(static_cast<std::uint32_t>(number) >> shift));
        }
    }
}

// Two tables, laid out as fuzz_entropy_tables.cpp reads them.
void seed_entropy_tables(const Seeds& seeds) {
    Bytes seed{5, 0, 0, 0, 0, 0, 0, 0, 2};
    append_numbers(seed, {5, 3});
    seed.push_back(2);
    append_numbers(seed, {-1, 0});
    append_numbers(seed, {0, 8'192, 57'344, 65'535, 65'536, 0, 65'535, 65'536, 0, 0});
    seeds.add("two", seed);
}

// The life of a program: a function's number in fuzz_c_api.cpp, then its arguments; 1 is
// neither null nor the way astray.
void seed_c_api(const Seeds& seeds) {
    Bytes session{1, 0, 0, 1, 1};  // open the model
    for (const Bytes& call : {
             Bytes{2, 1, 1},                                       // describe it
             Bytes{3, 2, 1, 1},                                    // a graph
             Bytes{8, 1},                                          // encode:
             Bytes{9, 1, 1, 1, 3, 0, 0, 0, 0, 0, 0, 1, 1},         // three hyper-latents
             Bytes{9, 1, 1, 1, 4, 0, 0, 0, 1, 255, 0, 0, 1, 1},    // four latents
             Bytes{10, 1, 0},                                      //
             Bytes{0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1},            // take a stream apart
             Bytes{5, 1, 1},                                       // decode
             Bytes{6, 1, 1, 0, 3, 0, 0, 1, 1},                     //
             Bytes{6, 1, 1, 1, 4, 0, 0, 1, 1},                     //
             Bytes{7, 1},                                          //
             Bytes{12, 0, 0, 0, 0, 0, 0, 0x49, 0x40, 0, 0, 1, 1},  // the step of quality 50
             Bytes{13, 1, 20, 0, 3, 0, 2, 4, 1, 1},                // tables of three indexes
         }) {
        append(session, call);
    }
    seeds.add("session", session);
    seeds.add("random", random_bytes(3'000));
}

// As fuzz_machines.cpp reads it: sides, options of the encoder, its host's faults; what is damaged
// in the stream, and where it is cut; options of the decoder, its host's faults.
void seed_machines(const Seeds& seeds) {
    seeds.add("whole", {1, 63, 64, 0, 0, 1});
    seeds.add("tiles", {1, 199, 130, 0, 1, 1});
    seeds.add("batch", {1, 99, 99, 2, 0, 1});
    seeds.add("damaged", {1, 199, 130, 0, 1, 1, 0, 0, 0, 0, 0, 3, 60, 0, 7, 80, 0, 9, 120, 0, 1});
    for (const std::uint8_t step : {128, 180, 0, 75, 127}) {
        const std::string name = std::to_string(step);
        seeds.add("step-" + name, {1, 199, 130, 0, 0, 1, 0, 0, step});
        // Each kind of target, for a size or PSNR that there is.
        for (const std::uint8_t target : {4, 5, 6}) {
            seeds.add("target-" + std::to_string(target) + "-" + name,
                      {1, 199, 130, 0, 0, 1, 0, 0, 0, target, 1, step,
                       static_cast<std::uint8_t>(target == 6 ? 0 : step)});
        }
        // Cut behind the header, and previewed.
        seeds.add("cut-" + name, {1, 199, 130, 0, 0, 1, 0, 0, step, 0, 0, 0, 1, 70, 0, 0, 0, 0, 1});
        seeds.add("cut-tiles-" + name,
                  {1, 199, 130, 0, 1, 1, 0, 0, step, 0, 0, 0, 1, 150, 0, 0, 0, 0, 1});
    }
    for (std::uint8_t seed = 0; seed < 8; ++seed) {
        Bytes script = random_bytes(60U + seed);
        script[4] = seed;
        seeds.add("random-" + std::to_string(seed), script);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        return 2;
    }
    const fs::path streams = argv[1];
    const fs::path directory = argv[2];
    seed_container({directory, "container"}, streams);
    seed_coder(directory);
    seed_entropy_tables({directory, "entropy_tables"});
    seed_c_api({directory, "c_api"});
    seed_machines({directory, "machines"});
    const Seeds manifests(directory, "manifest");
    const Seeds tables(directory, "table_file");
    const Seeds graphs(directory, "onnx_graph");
    graphs.add("tiny", to_bytes(cca::test::graph_file("analysis")));
    for (const char* name : {"analysis.onnx", "prior_3.onnx", "synthesis.onnx"}) {
        graphs.add(name, read(streams / "model.bundle" / "graphs" / name));
    }
    const auto tiny = cca::fuzz::make_tiny_bundle(true);
    manifests.add("tiny", to_bytes(tiny.manifest));
    tables.add("tiny", tiny.tables);
    manifests.add("stored", read(streams / "model.bundle" / "manifest.json"));
    tables.add("stored", read(streams / "model.bundle" / "tables.bin"));
    return 0;
}
