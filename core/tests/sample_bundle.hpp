// A small model bundle in memory: two channel groups of 2 and 3, two hyper-latent channels.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "cca/cca.h"
#include "toy_family.hpp"

namespace cca::test {

/// The content of a `tables.bin`: four gaussian tables of 3, 5, 9 and 41 symbols around 0, and two
/// of 7 and 1 symbols for the hyper-latents.
Bytes sample_tables();

/// The content of the `manifest.json` beside it.
///
/// @param tables  what its hash of the tables is to fit.
/// @param mode    "exact" or "native".
std::string sample_manifest(const Bytes& tables, const std::string& mode = "exact");

/// The same of version 4, which had no quantisation steps.
std::string one_step_manifest(const Bytes& tables);

/// `text` with the first `from`, which must be there, replaced.
std::string replaced(std::string text, std::string_view from, std::string_view to);

/// As the C API takes them.
cca_view view(const Bytes& bytes);
cca_view view(std::string_view text);

template <auto kFree>
struct Deleter {
    template <typename Handle>
    void operator()(Handle* handle) const {
        kFree(handle);
    }
};
using OwnedModel = std::unique_ptr<cca_model, Deleter<cca_model_free>>;
using OwnedBytes = std::unique_ptr<cca_bytes, Deleter<cca_bytes_free>>;
using OwnedDecoder = std::unique_ptr<cca_rans_decoder, Deleter<cca_rans_decoder_free>>;
using OwnedEncoder = std::unique_ptr<cca_rans_encoder, Deleter<cca_rans_encoder_free>>;

/// A family with the sample's tables, opened.
OwnedModel open_toy(const ToyFamily& family, const std::string& mode = "exact");

/// The sample bundle, opened.
OwnedModel open_sample(const std::string& mode = "exact");

}  // namespace cca::test
