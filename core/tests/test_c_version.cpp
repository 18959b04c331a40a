#include <doctest/doctest.h>

#include <cstring>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>

#include "capi/guard.hpp"
#include "format/error.hpp"
#include "sample_bundle.hpp"

extern "C" uint32_t abi_seen_by_c(void);

using namespace cca::c_api;

TEST_CASE("versions and the ABI check") {
    CHECK(cca_abi_version() == CCA_ABI_VERSION);
    CHECK(abi_seen_by_c() == CCA_ABI_VERSION);
    CHECK(std::string(cca_version_string()).find('.') != std::string::npos);
    CHECK(cca_check_abi(CCA_ABI_VERSION) == CCA_OK);
    CHECK(cca_check_abi(CCA_ABI_VERSION + 1) == CCA_ERROR_ABI);
    CHECK(std::string(cca_last_error()).find("compiled for ABI 3") != std::string::npos);
}

TEST_CASE("every status has a name of its own") {
    std::set<std::string> names;
    for (int status = 0; status <= CCA_ERROR_INEXACT; ++status) {
        CHECK(std::strncmp(cca_status_name(status), "CCA_", 4) == 0);
        names.insert(cca_status_name(status));
    }
    CHECK(names.size() == CCA_ERROR_INEXACT + 1);
    CHECK(cca_status_name(CCA_ERROR_LIMIT) == std::string("CCA_ERROR_LIMIT"));
    CHECK(cca_status_name(-1) == std::string("unknown status"));
    CHECK(cca_status_name(CCA_ERROR_INEXACT + 1) == std::string("unknown status"));
}

TEST_CASE("every exception has a status, and its message is the last error") {
    const auto status_of = [](const auto& exception) { return guarded([&] { throw exception; }); };
    CHECK(guarded([] {}) == CCA_OK);
    CHECK(status_of(Refusal(CCA_ERROR_STATE, "refused")) == CCA_ERROR_STATE);
    CHECK(cca_last_error() == std::string("refused"));
    CHECK(guarded([] {}) == CCA_OK);
    CHECK(cca_last_error() == std::string("refused"));
    CHECK(status_of(cca::StreamError("stream")) == CCA_ERROR_STREAM);
    CHECK(status_of(cca::LimitError("limit")) == CCA_ERROR_LIMIT);
    CHECK(status_of(cca::UnsupportedStreamError("new")) == CCA_ERROR_UNSUPPORTED);
    CHECK(status_of(cca::UnsupportedBundleError("new")) == CCA_ERROR_UNSUPPORTED);
    CHECK(status_of(cca::BundleError("bundle")) == CCA_ERROR_BUNDLE);
    CHECK(status_of(cca::ForeignStreamError("foreign")) == CCA_ERROR_MODEL);
    CHECK(status_of(cca::TargetError("target")) == CCA_ERROR_TARGET);
    CHECK(status_of(cca::LatentsError("latents")) == CCA_ERROR_LATENTS);
    CHECK(status_of(cca::InexactError("inexact")) == CCA_ERROR_INEXACT);
    CHECK(status_of(cca::StateError("order")) == CCA_ERROR_STATE);
    CHECK(status_of(std::invalid_argument("argument")) == CCA_ERROR_ARGUMENT);
    CHECK(status_of(std::bad_alloc()) == CCA_ERROR_MEMORY);
    CHECK(status_of(std::length_error("vector")) == CCA_ERROR_MEMORY);
    CHECK(cca_last_error() == std::string("out of memory"));
    CHECK(status_of(std::logic_error("a mistake")) == CCA_ERROR_INTERNAL);
    CHECK(cca_last_error() == std::string("a mistake"));
    CHECK(status_of(7) == CCA_ERROR_INTERNAL);
    CHECK(cca_last_error() == std::string("unknown exception"));
}

TEST_CASE("the last error is one line of UTF-8 that fits") {
    fail(CCA_ERROR_BUNDLE, "a\nb\x7F\xFF");
    CHECK(cca_last_error() == std::string("a?b??"));
    fail(CCA_ERROR_BUNDLE, std::string(300, 'x'));
    CHECK(cca_last_error() == std::string(255, 'x'));
    std::string euros;
    for (int i = 0; i < 100; ++i) {
        euros += "\xE2\x82\xAC";
    }
    fail(CCA_ERROR_BUNDLE, 'x' + euros);
    CHECK(cca_last_error() == 'x' + euros.substr(0, 252));
}

TEST_CASE("each thread has its own last error") {
    fail(CCA_ERROR_STATE, "here");
    std::string before;
    std::string after;
    std::thread([&] {
        before = cca_last_error();
        fail(CCA_ERROR_STATE, "there");
        after = cca_last_error();
    }).join();
    CHECK(before.empty());
    CHECK(after == "there");
    CHECK(cca_last_error() == std::string("here"));
}

TEST_CASE("bytes may be null") {
    CHECK(cca_bytes_view(nullptr).data == nullptr);
    CHECK(cca_bytes_view(nullptr).size == 0);
    cca_bytes_free(nullptr);
}
