#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "sample_bundle.hpp"

using namespace cca::test;

namespace {

const std::vector<std::uint16_t> kChannels{0, 0, 0, 0, 1, 1, 1, 1};
const std::vector<std::int32_t> kHyper{0, 1, -3, 900, 0, 0, 1, -32'768};
const std::vector<std::uint8_t> kIndexes{0, 1, 2, 3, 3, 2};
const std::vector<std::int32_t> kSymbols{0, -2, 4, -20, 32'767, 0};

OwnedEncoder new_encoder() {
    cca_rans_encoder* encoder = nullptr;
    REQUIRE(cca_rans_encoder_create(&encoder) == CCA_OK);
    return OwnedEncoder(encoder);
}

OwnedDecoder new_decoder(cca_view payload) {
    cca_rans_decoder* decoder = nullptr;
    REQUIRE(cca_rans_decoder_create(payload, &decoder) == CCA_OK);
    return OwnedDecoder(decoder);
}

struct Sample {
    OwnedModel model = open_sample();
    const cca_tables* hyper = cca_model_hyper_tables(model.get());
    const cca_tables* gaussian = cca_model_gaussian_tables(model.get());

    cca_status push_hyper(cca_rans_encoder* encoder) const {
        return cca_rans_encoder_push_u16(encoder, hyper, kChannels.data(), kHyper.data(),
                                         kHyper.size());
    }
    cca_status push(cca_rans_encoder* encoder) const {
        return cca_rans_encoder_push_u8(encoder, gaussian, kIndexes.data(), kSymbols.data(),
                                        kSymbols.size());
    }
    OwnedBytes payload() const {
        const OwnedEncoder encoder = new_encoder();
        REQUIRE(push_hyper(encoder.get()) == CCA_OK);
        REQUIRE(push(encoder.get()) == CCA_OK);
        cca_bytes* bytes = nullptr;
        REQUIRE(cca_rans_encoder_finish(encoder.get(), &bytes) == CCA_OK);
        return OwnedBytes(bytes);
    }
    cca_status pull_hyper(cca_rans_decoder* decoder, std::int32_t* symbols) const {
        return cca_rans_decoder_pull_u16(decoder, hyper, kChannels.data(), kChannels.size(),
                                         symbols);
    }
    cca_status pull(cca_rans_decoder* decoder, std::int32_t* symbols) const {
        return cca_rans_decoder_pull_u8(decoder, gaussian, kIndexes.data(), kIndexes.size(),
                                        symbols);
    }
};

}  // namespace

TEST_CASE_FIXTURE(Sample, "what is pushed is pulled, in steps, without the encoder or the model") {
    const OwnedBytes bytes = payload();
    const OwnedDecoder decoder = new_decoder(cca_bytes_view(bytes.get()));
    std::vector<std::int32_t> symbols(kHyper.size());
    REQUIRE(pull_hyper(decoder.get(), symbols.data()) == CCA_OK);
    CHECK(symbols == kHyper);
    symbols.resize(kSymbols.size());
    REQUIRE(pull(decoder.get(), symbols.data()) == CCA_OK);
    CHECK(symbols == kSymbols);
    model.reset();
    CHECK(cca_rans_decoder_finish(decoder.get()) == CCA_OK);
}

TEST_CASE_FIXTURE(Sample, "an empty payload and empty groups") {
    const OwnedEncoder encoder = new_encoder();
    CHECK(cca_rans_encoder_push_u8(encoder.get(), gaussian, nullptr, nullptr, 0) == CCA_OK);
    cca_bytes* bytes = nullptr;
    REQUIRE(cca_rans_encoder_finish(encoder.get(), &bytes) == CCA_OK);
    const OwnedBytes owned(bytes);
    const OwnedDecoder decoder = new_decoder(cca_bytes_view(bytes));
    CHECK(cca_rans_decoder_pull_u8(decoder.get(), gaussian, nullptr, 0, nullptr) == CCA_OK);
    CHECK(cca_rans_decoder_finish(decoder.get()) == CCA_OK);
    cca_rans_decoder* none = nullptr;
    CHECK(cca_rans_decoder_create({nullptr, 0}, &none) == CCA_ERROR_STREAM);
    CHECK(none == nullptr);
}

TEST_CASE_FIXTURE(Sample, "an encoder survives wrong arguments") {
    const OwnedEncoder encoder = new_encoder();
    cca_rans_encoder* const e = encoder.get();
    REQUIRE(push_hyper(e) == CCA_OK);
    const std::uint8_t* const indexes = kIndexes.data();
    const std::int32_t* const symbols = kSymbols.data();
    const std::uint8_t no_table[] = {4};
    const std::int32_t no_symbol[] = {32'768};
    CHECK(cca_rans_encoder_push_u8(nullptr, gaussian, indexes, symbols, 6) == CCA_ERROR_ARGUMENT);
    CHECK(cca_rans_encoder_push_u8(e, nullptr, indexes, symbols, 6) == CCA_ERROR_ARGUMENT);
    CHECK(std::string(cca_last_error()) == "tables is null");
    CHECK(cca_rans_encoder_push_u8(e, gaussian, nullptr, symbols, 6) == CCA_ERROR_ARGUMENT);
    CHECK(cca_rans_encoder_push_u8(e, gaussian, indexes, nullptr, 6) == CCA_ERROR_ARGUMENT);
    CHECK(cca_rans_encoder_push_u8(e, gaussian, indexes, symbols, SIZE_MAX) == CCA_ERROR_ARGUMENT);
    CHECK(cca_rans_encoder_push_u8(e, gaussian, no_table, symbols, 1) == CCA_ERROR_ARGUMENT);
    CHECK(cca_rans_encoder_push_u8(e, gaussian, indexes, no_symbol, 1) == CCA_ERROR_ARGUMENT);
    CHECK(cca_rans_encoder_push_u16(nullptr, hyper, nullptr, nullptr, 0) == CCA_ERROR_ARGUMENT);
    CHECK(cca_rans_encoder_finish(e, nullptr) == CCA_ERROR_ARGUMENT);
    cca_bytes* bytes = nullptr;
    CHECK(cca_rans_encoder_finish(nullptr, &bytes) == CCA_ERROR_ARGUMENT);
    REQUIRE(push(e) == CCA_OK);
    REQUIRE(cca_rans_encoder_finish(e, &bytes) == CCA_OK);
    const OwnedBytes owned(bytes);
    const cca_view view = cca_bytes_view(bytes);
    const OwnedBytes undisturbed = payload();
    const cca_view expected = cca_bytes_view(undisturbed.get());
    CHECK(Bytes(view.data, view.data + view.size) ==
          Bytes(expected.data, expected.data + expected.size));
}

TEST_CASE_FIXTURE(Sample, "a finished encoder takes nothing more") {
    const OwnedEncoder encoder = new_encoder();
    cca_bytes* bytes = nullptr;
    REQUIRE(cca_rans_encoder_finish(encoder.get(), &bytes) == CCA_OK);
    const OwnedBytes owned(bytes);
    CHECK(push(encoder.get()) == CCA_ERROR_STATE);
    CHECK(std::string(cca_last_error()) == "this coder is finished");
    CHECK(cca_rans_encoder_finish(encoder.get(), &bytes) == CCA_ERROR_STATE);
}

TEST_CASE_FIXTURE(Sample, "a decoder is of no use after any error") {
    const OwnedBytes bytes = payload();
    const cca_view view = cca_bytes_view(bytes.get());
    std::vector<std::int32_t> symbols(16);
    const auto closes = [&](auto mistake, cca_status expected) {
        const OwnedDecoder decoder = new_decoder(view);
        CHECK(mistake(decoder.get()) == expected);
        CHECK(pull_hyper(decoder.get(), symbols.data()) == CCA_ERROR_STATE);
        CHECK(cca_rans_decoder_finish(decoder.get()) == CCA_ERROR_STATE);
        CHECK(std::string(cca_last_error()).find("an earlier call failed") != std::string::npos);
    };
    const std::uint16_t no_table[] = {2};
    closes(
        [&](cca_rans_decoder* d) {
            return cca_rans_decoder_pull_u16(d, hyper, no_table, 1, &symbols[0]);
        },
        CCA_ERROR_ARGUMENT);
    closes(
        [&](cca_rans_decoder* d) {
            return cca_rans_decoder_pull_u8(d, nullptr, nullptr, 0, nullptr);
        },
        CCA_ERROR_ARGUMENT);
    closes(
        [&](cca_rans_decoder* d) {
            return cca_rans_decoder_pull_u8(d, hyper, nullptr, 1, &symbols[0]);
        },
        CCA_ERROR_ARGUMENT);
    closes(
        [&](cca_rans_decoder* d) {
            return cca_rans_decoder_pull_u16(d, hyper, kChannels.data(), 8, nullptr);
        },
        CCA_ERROR_ARGUMENT);
    closes(
        [&](cca_rans_decoder* d) {
            const std::vector<std::uint8_t> indexes(4'000, 3);
            std::vector<std::int32_t> many(4'000);
            cca_status status = CCA_OK;
            for (int i = 0; i < 1000 && status == CCA_OK; ++i) {
                status =
                    cca_rans_decoder_pull_u8(d, gaussian, indexes.data(), many.size(), many.data());
            }
            return status;
        },
        CCA_ERROR_STREAM);
}

TEST_CASE_FIXTURE(Sample, "finish comes last, and once") {
    const OwnedBytes bytes = payload();
    const OwnedDecoder early = new_decoder(cca_bytes_view(bytes.get()));
    CHECK(cca_rans_decoder_finish(early.get()) == CCA_ERROR_STREAM);
    CHECK(cca_rans_decoder_finish(early.get()) == CCA_ERROR_STATE);
    const OwnedDecoder decoder = new_decoder(cca_bytes_view(bytes.get()));
    std::vector<std::int32_t> symbols(16);
    REQUIRE(pull_hyper(decoder.get(), symbols.data()) == CCA_OK);
    REQUIRE(pull(decoder.get(), symbols.data()) == CCA_OK);
    REQUIRE(cca_rans_decoder_finish(decoder.get()) == CCA_OK);
    CHECK(pull(decoder.get(), symbols.data()) == CCA_ERROR_STATE);
    CHECK(cca_rans_decoder_finish(decoder.get()) == CCA_ERROR_STATE);
}

TEST_CASE("null coders are errors") {
    cca_rans_decoder* decoder = nullptr;
    CHECK(cca_rans_encoder_create(nullptr) == CCA_ERROR_ARGUMENT);
    CHECK(cca_rans_decoder_create({nullptr, 0}, nullptr) == CCA_ERROR_ARGUMENT);
    CHECK(cca_rans_decoder_create({nullptr, 9}, &decoder) == CCA_ERROR_ARGUMENT);
    CHECK(cca_rans_decoder_pull_u8(nullptr, nullptr, nullptr, 0, nullptr) == CCA_ERROR_ARGUMENT);
    CHECK(cca_rans_decoder_pull_u16(nullptr, nullptr, nullptr, 0, nullptr) == CCA_ERROR_ARGUMENT);
    CHECK(cca_rans_decoder_finish(nullptr) == CCA_ERROR_ARGUMENT);
    CHECK(decoder == nullptr);
    cca_rans_decoder_free(nullptr);
    cca_rans_encoder_free(nullptr);
}
