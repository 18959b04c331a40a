// Memory that runs out, at each allocation in turn, is a status and leaves nothing behind.
#include <doctest/doctest.h>

#include <memory>
#include <type_traits>
#include <vector>

#include "allocation.hpp"
#include "format/container.hpp"
#include "graph_file.hpp"
#include "machine_runs.hpp"

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
    const std::string content = graph_file("prior_0");
    survives([&] { return cca_file_check(&graph.file, view(content)); });
}

TEST_CASE("memory runs out while a stream is parsed") {
    cca::StreamInfo info;
    info.width = info.height = 64;
    info.icc = cca::Bytes(6, 1);
    info.digests = {0};
    const Bytes stream = cca::write_stream(info, {});
    cca_stream_info parsed{};
    survives([&] { return cca_stream_parse(view(stream), nullptr, &parsed); });
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

namespace {

// Creates a machine, and does its steps, with `allowed` allocations of the library. The host has
// all the memory it wants. After a failure the machine must be of no more use.
template <typename Machine, typename Create, typename Next>
cca_status run_with(std::size_t& allowed, const ToyFamily& family, Create create, Next next) {
    Machine created = nullptr;
    {
        OutOfMemory limit(allowed);
        const cca_status status = create(&created);
        allowed = limit.left();
        if (status != CCA_OK) {
            CHECK(created == nullptr);
            return status;
        }
    }
    const auto free = [](Machine machine) {
        if constexpr (std::is_same_v<Machine, cca_decoder*>) {
            cca_decoder_free(machine);
        } else {
            cca_encoder_free(machine);
        }
    };
    const std::unique_ptr<std::remove_pointer_t<Machine>, decltype(free)> owned(created, free);
    FakeHost host(family);
    for (;;) {
        const cca_step* step = nullptr;
        cca_status status = CCA_OK;
        {
            OutOfMemory limit(allowed);
            status = next(created, &step);
            allowed = limit.left();
        }
        if (status != CCA_OK) {
            CHECK(next(created, &step) == CCA_ERROR_STATE);
            return status;
        }
        if (step->kind == CCA_STEP_DONE) {
            CHECK(host.empty());
            return CCA_OK;
        }
        host.do_step(*step);
    }
}

// Calls `run(allowed)` with ever more allocations.
template <typename Run>
void survives_steps(Run run) {
    std::size_t failures = 0;
    for (cca_status status = CCA_ERROR_MEMORY; status != CCA_OK; ++failures) {
        std::size_t allowed = failures;
        status = run(allowed);
        REQUIRE((status == CCA_OK || status == CCA_ERROR_MEMORY));
    }
    CHECK(failures > 50);
}

}  // namespace

TEST_CASE("memory runs out at any allocation of a machine") {
    for (const ToyFamily& family : {sample_family(), checkerboard_family()}) {
        const Codec codec(family);
        const Picture picture = make_picture(100, 70);
        const cca_picture pixels = cca::test::view(picture);
        for (const std::uint32_t tile_side : {CCA_TILE_NONE, 64U}) {
            cca_encode_options options = encode_options();
            options.tile_side = tile_side;
            options.reconstruct = 1;
            survives_steps([&](std::size_t& allowed) {
                return run_with<cca_encoder*>(
                    allowed, family,
                    [&](cca_encoder** encoder) {
                        return cca_encoder_create(codec.model(), &pixels, 1, &options, encoder);
                    },
                    [](cca_encoder* encoder, const cca_step** step) {
                        return cca_encoder_next(encoder, 0, step);
                    });
            });
            const Bytes stream = codec.stream_of(picture, tile_side);
            const cca_view bytes = view(stream);
            survives_steps([&](std::size_t& allowed) {
                return run_with<cca_decoder*>(
                    allowed, family,
                    [&](cca_decoder** decoder) {
                        return cca_decoder_create(codec.model(), &bytes, 1, nullptr, decoder);
                    },
                    [](cca_decoder* decoder, const cca_step** step) {
                        return cca_decoder_next(decoder, 0, step);
                    });
            });
        }
    }
}
