// Eight threads at once, with one model; `make tsan` runs it under ThreadSanitizer.
#include <doctest/doctest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "format/container.hpp"
#include "sample_bundle.hpp"

using namespace cca::test;

namespace {

constexpr int kThreads = 8;
constexpr std::size_t kSymbols = 20'000;

// Runs `work(thread)` in all threads at once.
template <typename Work>
void in_all_threads(Work work) {
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back(work, thread);
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
}

struct Symbols {
    explicit Symbols(int seed) {
        std::mt19937 generator(static_cast<unsigned>(seed));
        for (std::size_t i = 0; i < kSymbols; ++i) {
            indexes.push_back(static_cast<std::uint8_t>(generator() % 4));
            values.push_back(static_cast<std::int32_t>(generator() % 30) - 15);
        }
    }
    std::vector<std::uint8_t> indexes;
    std::vector<std::int32_t> values;
};

// Encodes and decodes, with an error on the way; true if all went as it should.
bool round_trip(const cca_model* model, const Symbols& symbols) {
    const cca_tables* const tables = cca_model_gaussian_tables(model);
    cca_rans_encoder* encoder = nullptr;
    cca_bytes* payload = nullptr;
    cca_rans_decoder* decoder = nullptr;
    std::vector<std::int32_t> decoded(kSymbols);
    bool good =
        cca_rans_encoder_create(&encoder) == CCA_OK &&
        cca_rans_encoder_push_u8(encoder, tables, nullptr, nullptr, 1) == CCA_ERROR_ARGUMENT &&
        cca_rans_encoder_push_u8(encoder, tables, symbols.indexes.data(), symbols.values.data(),
                                 kSymbols) == CCA_OK &&
        cca_rans_encoder_finish(encoder, &payload) == CCA_OK &&
        cca_rans_decoder_create(cca_bytes_view(payload), &decoder) == CCA_OK &&
        cca_rans_decoder_pull_u8(decoder, tables, symbols.indexes.data(), kSymbols,
                                 decoded.data()) == CCA_OK &&
        cca_rans_decoder_finish(decoder) == CCA_OK;
    good = good && decoded == symbols.values;
    cca_rans_encoder_free(encoder);
    cca_rans_decoder_free(decoder);
    cca_bytes_free(payload);
    return good;
}

}  // namespace

TEST_CASE("eight threads encode and decode with one model") {
    const OwnedModel model = open_sample();
    std::atomic<int> good = 0;
    in_all_threads([&](int thread) {
        const Symbols symbols(thread);
        for (int i = 0; i < 5; ++i) {
            good += round_trip(model.get(), symbols);
        }
    });
    CHECK(good == 5 * kThreads);
}

TEST_CASE("eight threads open models and parse streams") {
    std::atomic<int> good = 0;
    in_all_threads([&](int) {
        const OwnedModel model = open_sample();
        cca::StreamInfo info;
        info.width = info.height = 64;
        info.digests = {0};
        const Bytes stream = cca::write_stream(info, {});
        cca_stream_info parsed{};
        good += cca_stream_parse(view(stream), nullptr, &parsed) == CCA_OK;
    });
    CHECK(good == kThreads);
}

TEST_CASE("threads that share a coder are told so, and the coder stays whole") {
    const OwnedModel model = open_sample();
    const Symbols symbols(1);
    cca_rans_encoder* encoder = nullptr;
    REQUIRE(cca_rans_encoder_create(&encoder) == CCA_OK);
    const OwnedEncoder owned(encoder);
    std::atomic<std::size_t> pushed = 0;
    std::atomic<int> unexpected = 0;
    in_all_threads([&](int) {
        const cca_status status =
            cca_rans_encoder_push_u8(encoder, cca_model_gaussian_tables(model.get()),
                                     symbols.indexes.data(), symbols.values.data(), kSymbols);
        pushed += status == CCA_OK;
        unexpected += status != CCA_OK && status != CCA_ERROR_STATE;
    });
    CHECK(unexpected == 0);
    CHECK(pushed >= 1);
    cca_bytes* payload = nullptr;
    REQUIRE(cca_rans_encoder_finish(encoder, &payload) == CCA_OK);
    const OwnedBytes owned_payload(payload);
    cca_rans_decoder* decoder = nullptr;
    REQUIRE(cca_rans_decoder_create(cca_bytes_view(payload), &decoder) == CCA_OK);
    const OwnedDecoder owned_decoder(decoder);
    std::vector<std::int32_t> decoded(kSymbols);
    for (std::size_t group = 0; group < pushed; ++group) {
        REQUIRE(cca_rans_decoder_pull_u8(decoder, cca_model_gaussian_tables(model.get()),
                                         symbols.indexes.data(), kSymbols,
                                         decoded.data()) == CCA_OK);
        CHECK(decoded == symbols.values);
    }
    CHECK(cca_rans_decoder_finish(decoder) == CCA_OK);
}
