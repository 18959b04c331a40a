#include <doctest/doctest.h>

#include "bundle/json.hpp"
#include "bundle/model.hpp"
#include "bundle/sha256.hpp"
#include "format/error.hpp"
#include "graph_file.hpp"
#include "sample_bundle.hpp"
#include "toy_family.hpp"

using namespace cca;
using test::replaced;

namespace {

const Bytes kTables = test::sample_tables();
const std::string kManifest = test::sample_manifest(kTables);

BytesView bytes_of(std::string_view text) {
    const cca_view view = test::view(text);
    return {view.data, view.size};
}

Manifest parse(std::string_view text) {
    return parse_manifest(bytes_of(text));
}

}  // namespace

TEST_CASE("a manifest is read") {
    const Manifest manifest = parse(kManifest);
    CHECK(manifest.name == "sample");
    CHECK(manifest.exact);
    CHECK_FALSE(parse(test::sample_manifest(kTables, "native")).exact);
    CHECK(manifest.latent_channels == 5);
    CHECK(manifest.hyper_channels == 2);
    CHECK(manifest.group_sizes == std::vector<std::uint32_t>{2, 3});
    CHECK(manifest.smallest_scale == test::kToySmallestScale);
    CHECK(manifest.analysis.name == "analysis");
    CHECK(manifest.analysis.file.path == "graphs/analysis.onnx");
    CHECK(manifest.analysis.file.size == test::graph_file("analysis").size());
    CHECK_FALSE(manifest.analysis.float16);
    CHECK(manifest.widest_stage == 5);
    CHECK(manifest.synthesis.name == "synthesis");
    REQUIRE(manifest.priors.size() == 3);
    CHECK(manifest.priors[1].name == "prior_1");
    CHECK(manifest.tables.path == "tables.bin");
    CHECK(manifest.tables.size == kTables.size());
    CHECK(kManifest.find(to_hex(manifest.model_id)) != std::string::npos);
    REQUIRE(manifest.conformance);
    CHECK(manifest.conformance->file.path == "conformance.npz");
    REQUIRE(manifest.conformance->cases.size() == 1);
    const ConformanceCase& only = manifest.conformance->cases.front();
    CHECK(only.name == "case-1");
    CHECK(only.batch == 2);
    CHECK(only.latent_height == 4);
    CHECK(only.latent_width == 8);
    CHECK(only.step == -3);
    CHECK(only.fast);
    CHECK(only.digests.size() == 3);
    CHECK_FALSE(parse(test::sample_manifest(kTables, "native")).conformance);
}

TEST_CASE("a graph may have a variant in float16, an exact prior may not") {
    const std::string variant = R"("float16": {"file": "graphs/a.fp16.onnx", "sha256": ")" +
                                to_hex(sha256({})) + R"(", "bytes": 7}, "inputs": {)";
    const Manifest manifest = parse(replaced(kManifest, R"("inputs": {)", variant));
    REQUIRE(manifest.analysis.float16);
    CHECK(manifest.analysis.float16->path == "graphs/a.fp16.onnx");
    CHECK(manifest.analysis.float16->size == 7);
    const std::string other = replaced(variant, "a.fp16.onnx", "a.onnx");
    CHECK_THROWS_WITH_AS(parse(replaced(kManifest, R"("inputs": {)", other)),
                         doctest::Contains("graph 'analysis': 'file' is no usable path"),
                         BundleError);
    const std::string native = test::sample_manifest(kTables, "native");
    const std::string prior = R"("inputs": {"z_symbols")";
    const std::string with = replaced(variant, R"("inputs": {)", prior);
    CHECK(parse(replaced(native, prior, with)).priors.front().float16);
    CHECK_THROWS_WITH_AS(parse(replaced(kManifest, prior, with)),
                         doctest::Contains("graph 'prior_0': a variant in float16"), BundleError);
}

TEST_CASE("the widths of transforms tell the widest stage") {
    const auto widest = [](std::string_view more) {
        const std::string from = R"("hyper_channels": 2)";
        return parse(replaced(kManifest, from, from + std::string(more))).widest_stage;
    };
    CHECK(widest(R"(, "analysis": {"widths": [7, 9, 5]})") == 5);
    CHECK(widest(R"(, "analysis": {"widths": [7, 9]}, "synthesis": {"widths": [9, 6]})") == 7);
    CHECK(widest(R"(, "analysis": {"widths": [7, 9]}, "synthesis": {"widths": [9, 8]})") == 8);
    for (const char* widths : {"[]", "[1.5]", "[0]", "[65537]", "7", "[true]"}) {
        CHECK_THROWS_WITH_AS(widest(R"(, "analysis": {"widths": )" + std::string(widths) + "}"),
                             doctest::Contains("widths"), BundleError);
    }
    CHECK_THROWS_AS(widest(R"(, "analysis": [])"), BundleError);
}

TEST_CASE("what is wrong with a manifest is said") {
    const auto refused = [](std::string_view from, std::string_view to, const char* why) {
        CHECK_THROWS_WITH_AS(parse(replaced(kManifest, from, to)), doctest::Contains(why),
                             BundleError);
    };
    refused("{\"format\"", "[\"format\"", "manifest.json is no strict JSON: line 1");
    refused("cca-bundle", "zip", "'format' is not 'cca-bundle'");
    refused("\"format\"", "\"formal\"", "'format' is missing or is no string");
    refused("\"version\": 5", "\"version\": \"4\"", "'version' is missing or is no integer");
    refused("\"sample\"", "\"a\\nb\"", "'name' has control characters");
    refused("\"sample\"", "\"a\\u0000b\"", "'name' has control characters");
    refused("\"sample\"", "\"a\\u202eb\"", "'name' has control characters");
    refused("\"sample\"", '"' + std::string(201, 'a') + '"', "'name' is longer than 200");
    refused("exact", "inexact", "'entropy_mode' is neither");
    refused("\"smallest_scale\": 3", "\"smallest_scale\": -1", "-1, which is not in 0..128");
    refused("\"smallest_scale\": 3", "\"smallest_scale\": 129", "129, which is not in 0..128");
    refused("\"smallest_scale\"", "\"scale\"", "graphs that take a 'step' belong together");
    refused("\"smallest_scale\": 3", "\"smallest_scale\": 2", "'model_id' is not");
    refused("\"latent_channels\": 5", "\"latent_channels\": -5", "'latent_channels' is -5");
    refused("\"hyper_channels\": 2", "\"hyper_channels\": 65537", "'hyper_channels' is 65537");
    refused("\"architecture\": {", "\"architecture\": 7, \"x\": {", "'architecture' is missing");
    refused("\"bytes\": 18", "\"bytes\": 2147483648", "graph 'analysis': 'bytes' is 2147483648");
    refused("\"bytes\": 18", "\"bytes\": 0", "'bytes' is 0");
    refused("\"inputs\"", "\"outputs\"", "name twice");
    refused("\"inputs\": {\"image\"", "\"inputs\": [], \"x\": {\"image\"",
            "graph 'analysis': 'inputs' is missing or is no object");
    refused("\"tables.bin\"", "\"../tables.bin\"", "is not tables.bin");
    refused("\"model_id\": \"", "\"model_id\": \"0", "'model_id' is not");
    for (const char* path :
         {"/etc/passwd.onnx", "../up.onnx", "graphs//a.onnx", "graphs/a.npz", ".onnx",
          "graphs/.onnx", "a b.onnx", "a\\\\b.onnx", "graphs/../a.onnx"}) {
        refused("graphs/analysis.onnx", path, "'file' is no usable path");
    }
    const std::string hash = to_hex(sha256(bytes_of(test::graph_file("analysis"))));
    refused(hash, hash.substr(1), "'sha256' is no SHA-256");
    refused(hash, 'A' + hash.substr(1), "'sha256' is no SHA-256");
}

TEST_CASE("what is wrong with conformance cases is said") {
    const auto refused = [](std::string_view from, std::string_view to, const char* why) {
        CHECK_THROWS_WITH_AS(parse(replaced(kManifest, from, to)), doctest::Contains(why),
                             BundleError);
    };
    refused("\"conformance\"", "\"performance\"", "'conformance' is missing");
    refused("conformance.npz", "other.npz", "the file of 'conformance' is not conformance.npz");
    refused("\"bytes\": 10", "\"bytes\": 16777217", "'bytes' is 16777217");
    refused("\"cases\": [{", "\"cases\": [7, {", "'name' is missing");
    refused("\"fast\": true", "\"fast\": false", "no conformance case is marked fast");
    refused("\"step\": -3", "\"step\": -129", "'step' is -129, which is not in -128..127");
    refused("\"step\": -3", "\"step\": 1.5", "'step' is missing or is no integer");
    refused("\"fast\": true", "\"fast\": 1", "conformance case 'case-1': 'fast' is missing");
    for (const char* name : {"", "../x", "A", "a b", "01234567890123456789012345678901234567890"}) {
        refused("case-1", name, "unusable name of a conformance case");
    }
    refused("\"batch\": 2", "\"batch\": 17", "'batch' is 17");
    refused("\"latent_height\": 4", "\"latent_height\": 6", "not multiples of 4");
    refused("\"latent_height\": 4", "\"latent_height\": 4096", "more than the limit of 16384");
    refused("{\"prior_0\": \"", "{\"prior_0\": \"0", "'prior_0' is no SHA-256");
    refused("{\"prior_0\": \"", "{\"prior_3\": \"", "'prior_0' is missing");
    refused("{\"prior_0\": \"", "{\"prior_9\": 1, \"prior_0\": \"", "'digests' has unknown ones");
    const std::size_t start = kManifest.find("{\"name\": \"case-1\"");
    const std::string entry = kManifest.substr(start, kManifest.rfind(']') - start);
    refused(entry, entry + ", " + entry, "two conformance cases have the same name");
    std::string many = entry;
    for (int i = 1; i < 65; ++i) {
        many += ", " + entry;
    }
    refused(entry, many, "65 conformance cases, the limit is 64");
}

TEST_CASE("what is wrong with 'coding' is said") {
    const std::string_view coding = R"("coding": [{"channels": 2}, {"channels": 3}, {}])";
    const auto refused = [&](const std::string& entries, const char* why) {
        CHECK_THROWS_WITH_AS(parse(replaced(kManifest, coding, "\"coding\": " + entries)),
                             doctest::Contains(why), BundleError);
    };
    refused("{}", "'coding' is missing or is no array");
    refused("[]", "'graphs' has others than");
    refused(R"([{"channels": 2}, {"channels": 3}])", "'graphs' has others than");
    refused(R"([{"channels": 2}, {"channels": 3}, {}, {}])", "'prior_3' is missing");
    refused(R"([{"channels": 2}, {"channels": 3.0}, {}])",
            "'channels' is missing or is no integer");
    refused(R"([{"channels": 0}, {"channels": 3}, {}])",
            "'channels' is 0, which is not in 1..65536");
    refused(R"([{"channels": 2}, {"channels": 65537}, {}])", "'channels' is 65537");
    refused(R"([{"channels": 2, "positions": "all"}, {}, {}])", "neither even nor odd");
    refused(R"([{"channels": 2, "positions": 1}, {}, {}])",
            "'positions' is missing or is no string");
}

TEST_CASE("a bundle of version 4 has one quantisation step alone") {
    const Manifest manifest = parse(test::one_step_manifest(kTables));
    CHECK_FALSE(manifest.smallest_scale);
    CHECK_FALSE(manifest.plan.takes_step);
    CHECK(manifest.conformance->cases.front().step == 0);
    CHECK_THROWS_WITH_AS(parse(replaced(test::one_step_manifest(kTables), "\"format\"",
                                        "\"smallest_scale\": 3, \"format\"")),
                         doctest::Contains("belong together"), BundleError);
}

TEST_CASE("another version of the bundle is a case of its own") {
    CHECK_THROWS_WITH_AS(parse(replaced(kManifest, "\"version\": 5", "\"version\": 6")),
                         doctest::Contains("knows 4 and 5"), UnsupportedBundleError);
    CHECK_THROWS_WITH_AS(parse(replaced(kManifest, "\"version\": 5", "\"version\": 1")),
                         doctest::Contains("export the checkpoint again"), UnsupportedBundleError);
}

TEST_CASE("a manifest is no larger than a mebibyte") {
    const std::string padded = kManifest + std::string(kMaxManifestBytes - kManifest.size(), ' ');
    CHECK_NOTHROW(parse(padded));
    CHECK_THROWS_WITH_AS(parse(padded + ' '), doctest::Contains("larger than 1048576"),
                         BundleError);
}

TEST_CASE("every manifest cut short is refused") {
    for (std::size_t size = 0; size < kManifest.size(); ++size) {
        CHECK_THROWS_AS(parse(kManifest.substr(0, size)), BundleError);
    }
}

TEST_CASE("manifest and tables belong together") {
    CHECK_NOTHROW(open_model(bytes_of(kManifest), kTables));
    Bytes other = kTables;
    other.back() ^= 1;
    CHECK_THROWS_WITH_AS(open_model(bytes_of(kManifest), other),
                         doctest::Contains("tables.bin is not the file"), BundleError);
    // With the right hash and the wrong number of hyper-latent channels, or no tables at all.
    test::ToyFamily family = test::sample_family();
    family.hyper_channels = 3;
    family.analysis.outputs[1].shape[1] = family.priors[0].inputs[0].shape[1] = "3";
    const std::string three = test::toy_manifest(family, kTables, "exact");
    CHECK_THROWS_WITH_AS(open_model(bytes_of(three), kTables),
                         doctest::Contains("tables for 2 hyper-latent channels"), BundleError);
    const Bytes rubbish{1, 2, 3};
    CHECK_THROWS_AS(open_model(bytes_of(test::sample_manifest(rubbish)), rubbish), BundleError);
}

TEST_CASE("a file is checked by size and hash") {
    const BundleFile file{"tables.bin", to_hex(sha256(bytes_of("abc"))), 3};
    CHECK_NOTHROW(check_file(file, bytes_of("abc")));
    CHECK_THROWS_AS(check_file(file, bytes_of("abd")), BundleError);
    CHECK_THROWS_AS(check_file({file.path, file.sha256, 4}, bytes_of("abc")), BundleError);
    CHECK_THROWS_AS(check_file(file, {}), BundleError);
    const BundleFile graph{"a.onnx", file.sha256, 3};
    CHECK_THROWS_WITH_AS(check_file(graph, bytes_of("abc")), doctest::Contains("a.onnx: no ONNX"),
                         BundleError);
}
