// cca.hpp: what it adds to cca.h.
#include <doctest/doctest.h>

#include <cca/cca.hpp>
#include <stdexcept>

#include "machine_runs.hpp"

using namespace cca::test;

namespace {

// A fake host, which can be told to fail.
class ToyHost : public cca::Host {
  public:
    explicit ToyHost(const ToyFamily& family, std::size_t fail_at = FakeHost::kNever)
        : host_(family), fail_at_(fail_at) {}

    void upload(const cca_step& step) override { do_step(step, CCA_STEP_UPLOAD); }
    void run(const cca_step& step) override { do_step(step, CCA_STEP_RUN); }
    void download(const cca_step& step) override { do_step(step, CCA_STEP_DOWNLOAD); }
    void free(const cca_step& step) override { do_step(step, CCA_STEP_FREE); }
    void reset() noexcept override { ++resets; }

    const FakeHost& host() const { return host_; }

    int resets = 0;

  private:
    void do_step(const cca_step& step, std::uint32_t kind) {
        CHECK(step.kind == kind);
        if (host_.steps == fail_at_) {
            throw std::runtime_error("the engine failed");
        }
        host_.do_step(step);
    }

    FakeHost host_;
    std::size_t fail_at_;
};

struct Toy {
    ToyFamily family = sample_family();
    Bytes tables = sample_tables();
    std::string manifest = toy_manifest(family, tables, "exact");
    cca::Model model{cca::view(manifest), cca::view(tables)};
    Picture picture = make_picture(150, 90);
};

Bytes copied(cca_view view) {
    return {view.data, view.data + view.size};
}

Bytes pixels_of(const cca_picture& picture) {
    return copied({picture.pixels, std::size_t{3} * picture.width * picture.height});
}

}  // namespace

TEST_CASE("cca.hpp encodes and decodes as cca.h does") {
    const Toy toy;
    const Codec codec(sample_family());
    ToyHost host(toy.family);
    cca::EncodeOptions options;
    options.tile_side = 64;
    options.reconstruct = 1;
    options.workers = 5;  // one host is one worker
    const cca::Encoder encoder = cca::encode(toy.model, host, view(toy.picture), options);
    const Bytes stream = copied(encoder.stream());
    CHECK(stream == codec.stream_of(toy.picture, 64));
    const Picture whole = codec.decode({stream}).pictures.front();
    CHECK(copied(encoder.reconstruction()) == whole.pixels);

    cca::DecodeOptions part;
    part.region = {70, 3, 60, 80};
    const cca::Decoder decoder = cca::decode(toy.model, host, cca::view(stream), part);
    CHECK(decoder.picture().width == 60);
    CHECK(pixels_of(decoder.picture()) == crop(whole, part.region).pixels);
    CHECK(decoder.mismatches() == 0);
    CHECK(host.host().empty());
    CHECK(host.resets == 0);
    CHECK_THROWS_AS(decoder.picture(1), cca::Error);
}

TEST_CASE("cca.hpp meets targets, and says what groups take and which are there") {
    const Toy toy;
    const Codec codec(sample_family());
    ToyHost host(toy.family);
    cca::EncodeOptions options;
    options.step = cca::step_of_quality(80);
    CHECK(options.step == -77);
    const Bytes fine = copied(cca::encode(toy.model, host, view(toy.picture), options).stream());
    CHECK(cca::parse_stream(cca::view(fine)).step == -77);
    cca::EncodeOptions aim;
    aim.target = CCA_TARGET_FILE_BYTES;
    aim.target_value = static_cast<double>(fine.size());
    const cca::Encoder encoder = cca::encode(toy.model, host, view(toy.picture), aim);
    const Bytes stream = copied(encoder.stream());
    CHECK(stream.size() <= fine.size());
    CHECK(stream.size() >= fine.size() * 0.99);
    const std::vector<std::uint64_t> bytes = encoder.group_bytes();
    REQUIRE(bytes.size() == 3);
    CHECK(bytes[0] + bytes[1] + bytes[2] == cca::parse_stream(cca::view(stream)).payload.size);
    CHECK_THROWS_AS(encoder.group_bytes(1), cca::Error);
    aim.target_value = 1;
    try {
        cca::encode(toy.model, host, view(toy.picture), aim);
        FAIL("it is met");
    } catch (const cca::Error& error) {
        CHECK(error.status() == CCA_ERROR_TARGET);
        CHECK(error.is_bad_input());
    }

    cca::DecodeOptions fewer;
    fewer.leave_out = 1;
    const cca::Decoder first = cca::decode(toy.model, host, cca::view(stream), fewer);
    CHECK(first.groups() == std::vector<std::int32_t>{1});
    CHECK(first.group_bytes() == std::vector<std::uint64_t>{bytes[0], bytes[1], 0});
    CHECK_THROWS_AS(first.groups(1), cca::Error);
    cca::DecodeOptions preview;
    preview.preview = 1;
    const Bytes cut(stream.begin(), stream.end() - 1);
    const cca::Decoder rest = cca::decode(toy.model, host, cca::view(cut), preview);
    CHECK(rest.groups() == std::vector<std::int32_t>{1});
    CHECK(pixels_of(rest.picture()) == pixels_of(first.picture()));

    const Bytes tiled = codec.stream_of(toy.picture, 64);
    const Bytes cut_tile(tiled.begin(), tiled.end() - 1);
    const cca::Decoder tiles = cca::decode(toy.model, host, cca::view(cut_tile), preview);
    CHECK(tiles.groups() == std::vector<std::int32_t>{2, 2, 2, 2, 2, 1});
}

TEST_CASE("cca.hpp drives workers and batches") {
    const Toy toy;
    const Codec codec(sample_family());
    const Bytes tiled = codec.stream_of(toy.picture, 64);
    cca::DecodeOptions options;
    options.workers = 3;
    cca::Decoder decoder(toy.model, cca::view(tiled), options);
    std::vector<ToyHost> hosts(3, ToyHost(toy.family));
    cca::drive(decoder, {&hosts[0], &hosts[1], &hosts[2]});
    CHECK(pixels_of(decoder.picture()) == codec.decode({tiled}).pictures.front().pixels);

    const std::vector<Picture> pictures{toy.picture, make_picture(151, 91, 2)};
    cca::Encoder encoder(toy.model, {view(pictures[0]), view(pictures[1])});
    ToyHost host(toy.family);
    cca::drive(encoder, host);
    for (std::size_t i = 0; i < pictures.size(); ++i) {
        CHECK(copied(encoder.stream(i)) == codec.stream_of(pictures[i]));
    }
}

TEST_CASE("cca.hpp lets through what a host throws, and stops the other workers") {
    const Toy toy;
    const Bytes tiled = Codec(sample_family()).stream_of(toy.picture, 64);
    for (const std::size_t fail_at : {0U, 1U, 7U}) {
        ToyHost host(toy.family, fail_at);
        CHECK_THROWS_WITH(cca::decode(toy.model, host, cca::view(tiled)), "the engine failed");
        CHECK(host.resets == 1);

        cca::DecodeOptions options;
        options.workers = 2;
        cca::Decoder decoder(toy.model, cca::view(tiled), options);
        ToyHost first(toy.family, fail_at);
        ToyHost second(toy.family, fail_at);
        CHECK_THROWS_WITH(cca::drive(decoder, {&first, &second}), "the engine failed");
        CHECK_THROWS_AS(decoder.picture(), cca::Error);
        CHECK_THROWS_AS(decoder.next(), cca::Error);
    }
}

TEST_CASE("cca.hpp throws the status and the message") {
    const Toy toy;
    try {
        cca::Decoder(toy.model, cca::view(std::string("no stream")));
        FAIL("it is accepted");
    } catch (const cca::Error& error) {
        CHECK(error.status() == CCA_ERROR_STREAM);
        CHECK(std::string(error.what()) == cca_last_error());
        CHECK(error.is_bad_input());
    }
    CHECK_FALSE(cca::Error(CCA_ERROR_INEXACT, "").is_bad_input());
    CHECK_THROWS_AS(cca::Model(cca::view(toy.manifest), {}), cca::Error);
    CHECK_THROWS_AS(toy.model.graph(toy.model.graph_count()), cca::Error);
    CHECK(toy.model.info().latent_channels == toy.family.latent_channels);
    CHECK(toy.model.graph(0).name == std::string("analysis"));
}

TEST_CASE("cca.hpp compares layouts") {
    const cca_tensor tensor{CCA_FLOAT32, 3, {2, 3, 5, 0, 0}};
    CHECK(cca::byte_size(tensor) == 120);
    CHECK(cca::same_layout(tensor, {CCA_FLOAT32, 3, {2, 3, 5, 9, 9}}));
    CHECK_FALSE(cca::same_layout(tensor, {CCA_INT32, 3, {2, 3, 5, 0, 0}}));
    CHECK_FALSE(cca::same_layout(tensor, {CCA_FLOAT32, 2, {2, 3, 5, 0, 0}}));
    CHECK_FALSE(cca::same_layout(tensor, {CCA_FLOAT32, 3, {2, 3, 6, 0, 0}}));
    CHECK(cca::byte_size({CCA_UINT8, 1, {7, 0, 0, 0, 0}}) == 7);
}

TEST_CASE("cca.hpp codes symbols") {
    const Toy toy;
    const std::vector<std::uint8_t> indexes{0, 1, 2, 3};
    const std::vector<std::uint16_t> channels{0, 0, 1};
    const std::vector<std::int32_t> symbols{1, -2, 3, 400};
    cca::RansEncoder encoder;
    encoder.push(toy.model.gaussian_tables(), indexes.data(), symbols.data(), 4);
    encoder.push(toy.model.hyper_tables(), channels.data(), symbols.data(), 3);
    const cca::Bytes payload = encoder.finish();
    CHECK_THROWS_AS(encoder.finish(), cca::Error);
    cca::RansDecoder decoder(cca::view(payload));
    std::vector<std::int32_t> found(4);
    decoder.pull(toy.model.gaussian_tables(), indexes.data(), 4, found.data());
    CHECK(found == symbols);
    decoder.pull(toy.model.hyper_tables(), channels.data(), 3, found.data());
    CHECK(found == symbols);
    decoder.finish();
    const std::vector<std::uint8_t> places{3, 5, 7, 9};
    std::vector<std::uint8_t> tables(4);
    toy.model.choose_tables(0, places.data(), 4, tables.data());
    CHECK(tables == indexes);
    CHECK(cca::step_value(0) == 1);
    CHECK_THROWS_AS(cca::step_value(128), cca::Error);
    CHECK_THROWS_AS(cca::step_of_quality(101), cca::Error);
    CHECK_THROWS_AS(toy.model.choose_tables(128, places.data(), 4, tables.data()), cca::Error);
    CHECK_THROWS_AS(decoder.finish(), cca::Error);
}
