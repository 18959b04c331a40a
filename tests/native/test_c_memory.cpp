// Memory that runs out, at each allocation in turn, is a status and leaves nothing behind.
#include <doctest/doctest.h>

#include <vector>

#include "allocation.hpp"
#include "sample_bundle.hpp"

using namespace cca::test;

namespace {

// Calls `work` with ever more memory, and expects it to succeed after at least one failure.
template <typename Work>
void survives(Work work) {
    std::size_t failures = 0;
    CHECK(with_growing_memory(CCA_ERROR_MEMORY, failures, work) == CCA_OK);
    CHECK(failures > 0);
}

}  // namespace

TEST_CASE("memory runs out while a model is opened") {
    const Bytes tables = sample_tables();
    const std::string manifest = sample_manifest(tables);
    cca_model* model = nullptr;
    survives([&] { return cca_model_open(view(manifest), view(tables), &model); });
    const OwnedModel owned(model);
    cca_graph graph;
    REQUIRE(cca_model_graph(model, 1, &graph) == CCA_OK);
    survives([&] { return cca_file_check(&graph.file, view("prior_0")); });
}

TEST_CASE("memory runs out while a stream is written or parsed") {
    cca_stream_info info{};
    info.width = info.height = 64;
    info.icc = view("colour");
    info.payload = view("payload");
    cca_bytes* stream = nullptr;
    survives([&] { return cca_stream_write(&info, &stream); });
    const OwnedBytes owned(stream);
    survives([&] { return cca_stream_parse(cca_bytes_view(stream), 0, &info); });
}

TEST_CASE("a coder that ran out of memory is of no more use") {
    const OwnedModel model = open_sample();
    const cca_tables* const tables = cca_model_gaussian_tables(model.get());
    const std::vector<std::uint8_t> indexes(5'000, 3);
    const std::vector<std::int32_t> symbols(5'000, -19);
    cca_rans_encoder* created = nullptr;
    survives([&] { return cca_rans_encoder_create(&created); });
    const OwnedEncoder encoder(created);
    std::size_t failures = 0;
    const auto push = [&] {
        return cca_rans_encoder_push_u8(created, tables, indexes.data(), symbols.data(), 5'000);
    };
    CHECK(with_growing_memory(CCA_ERROR_MEMORY, failures, push) == CCA_ERROR_STATE);
    CHECK(failures > 0);

    cca_rans_encoder* second = nullptr;
    REQUIRE(cca_rans_encoder_create(&second) == CCA_OK);
    const OwnedEncoder owned(second);
    REQUIRE(cca_rans_encoder_push_u8(second, tables, indexes.data(), symbols.data(), 5'000) ==
            CCA_OK);
    cca_bytes* payload = nullptr;
    const auto finish = [&] { return cca_rans_encoder_finish(second, &payload); };
    CHECK(with_growing_memory(CCA_ERROR_MEMORY, failures, finish) == CCA_ERROR_STATE);
    CHECK(payload == nullptr);
}

TEST_CASE("memory runs out while a decoder is made") {
    const OwnedModel model = open_sample();
    cca_rans_encoder* encoder = nullptr;
    REQUIRE(cca_rans_encoder_create(&encoder) == CCA_OK);
    const OwnedEncoder owned_encoder(encoder);
    const std::uint8_t index[] = {0};
    const std::int32_t symbol[] = {1};
    const cca_tables* const tables = cca_model_gaussian_tables(model.get());
    REQUIRE(cca_rans_encoder_push_u8(encoder, tables, index, symbol, 1) == CCA_OK);
    cca_bytes* payload = nullptr;
    REQUIRE(cca_rans_encoder_finish(encoder, &payload) == CCA_OK);
    const OwnedBytes owned_payload(payload);
    cca_rans_decoder* decoder = nullptr;
    survives([&] { return cca_rans_decoder_create(cca_bytes_view(payload), &decoder); });
    const OwnedDecoder owned_decoder(decoder);
}
