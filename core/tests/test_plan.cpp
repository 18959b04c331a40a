// Manifests whose graphs and `coding` contradict each other: each is refused, and says where.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "bundle/model.hpp"
#include "format/error.hpp"
#include "sample_bundle.hpp"

using namespace cca;
using namespace cca::test;

namespace {

using Edit = std::function<void(ToyFamily&)>;

Manifest parse(const ToyFamily& family) {
    const std::string text = toy_manifest(family, sample_tables(), "exact");
    return parse_manifest({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

void refused(ToyFamily family, const Edit& edit, const char* why) {
    CAPTURE(why);
    edit(family);
    CHECK_THROWS_WITH_AS(parse(family), doctest::Contains(why), BundleError);
}

// The size of an axis of a port.
std::string& axis(ToyFamily& family, std::size_t prior, bool output, std::size_t port,
                  std::size_t number) {
    ToyGraph& graph = family.priors[prior];
    return (output ? graph.outputs : graph.inputs)[port].shape[number];
}

}  // namespace

TEST_CASE("a plan follows from the manifest") {
    const Manifest manifest = parse(sample_family());
    const CodingPlan& plan = manifest.plan;
    REQUIRE(plan.passes.size() == 3);
    CHECK(plan.takes_averages);
    CHECK(plan.passes[0].coded->channels.first == 0);
    CHECK(plan.passes[0].coded->channels.count == 2);
    CHECK(plan.passes[1].coded->channels.first == 2);
    CHECK(plan.passes[1].coded->positions == Positions::kAll);
    CHECK_FALSE(plan.passes[2].coded);
    // previous_y_hat is what is written, y_hat the rows behind it.
    const auto& inputs = plan.passes[2].inputs;
    const auto known = std::ranges::find_if(
        inputs, [](const PlanBinding& input) { return input.port->name == "previous_y_hat"; });
    REQUIRE(known != inputs.end());
    REQUIRE(known->rows);
    CHECK(known->rows->first == 0);
    CHECK(known->rows->count == 2);
    CHECK(plan.passes[2].outputs[0].rows->first == 2);
    CHECK(plan.passes[2].outputs[0].rows->count == 3);
    CHECK_FALSE(parse(checkerboard_family()).plan.takes_averages);
    CHECK(plan.takes_step);
}

TEST_CASE("a group in two passes is one group") {
    const Manifest manifest = parse(checkerboard_family());
    CHECK(manifest.group_sizes == std::vector<std::uint32_t>{2, 3});
    CHECK(manifest.plan.passes[1].coded->positions == Positions::kEven);
    CHECK(manifest.plan.passes[2].coded->positions == Positions::kOdd);
    CHECK(manifest.plan.passes[2].coded->channels.first == 2);
}

TEST_CASE("'coding' must code every latent once") {
    const char* const broken = "its channel group does not continue 'coding'";
    const auto coding = [](std::vector<ToyCoding> entries) {
        return [entries](ToyFamily& family) { family.coding = entries; };
    };
    const ToyFamily board = checkerboard_family();
    refused(board, coding({{2, ""}, {3, "odd"}, {3, "even"}, {}}), "graph 'prior_1': its channel");
    refused(board, coding({{2, ""}, {3, "even"}, {3, "even"}, {}}), "graph 'prior_2': its channel");
    refused(board, coding({{2, ""}, {3, "even"}, {3, ""}, {}}), broken);
    refused(board, coding({{2, ""}, {3, "even"}, {2, "odd"}, {}}), broken);
    refused(board, coding({{2, "odd"}, {3, "even"}, {3, "odd"}, {}}),
            "graph 'prior_0': its channel");
    refused(board, coding({{2, "even"}, {3, "even"}, {3, "odd"}, {}}), "graph 'prior_1':");
    refused(board, coding({{2, ""}, {3, "even"}, {}, {}}), "graph 'prior_3': no graph before");
    refused(sample_family(), coding({{2, ""}, {3, "even"}, {}}),
            "graph 'prior_2': it gives y_hat of no coded");
    refused(sample_family(), coding({{2, ""}, {4, ""}, {}}), "graph 'prior_1': its channel group");
    refused(sample_family(), coding({{6, ""}, {3, ""}, {}}), "graph 'prior_0': its channel group");
    refused(sample_family(), coding({{2, ""}, {65'536, ""}, {}}), broken);
    refused(sample_family(), coding({{2, ""}, {2, ""}, {}}),
            "graph 'prior_1': it has no output 'means' of its channel group's shape");
    refused(sample_family(), coding({{2, ""}, {}, {}}), "graph 'prior_2': no graph before gives");
}

TEST_CASE("a half that no pass completes is refused") {
    refused(
        checkerboard_family(),
        [](ToyFamily& family) {
            family.coding.resize(2);
            family.priors.resize(2);
        },
        "'coding' does not code all latent channels");
    refused(
        sample_family(), [](ToyFamily& family) { family.coding.clear(), family.priors.clear(); },
        "'coding' does not code all latent channels");
}

TEST_CASE("y_hat must be written once, behind its group") {
    const auto erase_output = [](std::size_t prior) {
        return [prior](ToyFamily& family) {
            auto& outputs = family.priors[prior].outputs;
            outputs.erase(outputs.begin());
        };
    };
    refused(sample_family(), erase_output(2), "'coding' does not write all of y_hat");
    refused(sample_family(), erase_output(1), "graph 'prior_1': its channel group");
    const auto write_early = [](std::size_t prior, std::uint32_t channels) {
        return [=](ToyFamily& family) {
            family.priors[prior].outputs.push_back(y_hat_port("y_hat", channels));
        };
    };
    refused(sample_family(), write_early(0, 2), "graph 'prior_0': it gives y_hat of no coded");
    refused(checkerboard_family(), write_early(2, 3),
            "graph 'prior_2': it gives y_hat of no coded");
    refused(
        sample_family(),
        [](ToyFamily& family) {  // once more, by a graph behind the last
            family.priors.push_back({"prior_3", {}, {y_hat_port("y_hat", 3)}});
            family.coding.emplace_back();
        },
        "graph 'prior_3': it gives y_hat of no coded");
}

TEST_CASE("inputs must be there") {
    const auto rename = [](std::size_t prior, std::size_t port, const char* name) {
        return [=](ToyFamily& family) { family.priors[prior].inputs[port].name = name; };
    };
    refused(sample_family(), rename(0, 1, "symbols"),
            "graph 'prior_0': no graph before gives its input 'symbols'");
    refused(sample_family(), rename(0, 1, "previous_y_hat"), "its input 'previous_y_hat'");
    refused(sample_family(), rename(1, 1, "previous_supports"), "its input 'previous_supports'");
    refused(sample_family(), rename(2, 1, "previous_latent_means"),
            "graph 'prior_2': no graph before gives its input 'previous_latent_means'");
    refused(sample_family(), rename(1, 1, ""), "its input ''");
    refused(sample_family(), rename(1, 1, "previous_"), "its input 'previous_'");
    refused(sample_family(), rename(1, 1, "later"), "its input 'later'");
}

TEST_CASE("shapes and dtypes must fit") {
    const auto size = [](std::size_t prior, bool output, std::size_t port, std::size_t number,
                         const char* to) {
        return [=](ToyFamily& family) { axis(family, prior, output, port, number) = to; };
    };
    const char* const other = "has another type or shape than expected";
    refused(sample_family(), size(0, false, 0, 1, "3"), "graph 'prior_0': its 'z_symbols' has");
    refused(sample_family(), size(0, false, 0, 2, "hyper_width"), other);
    refused(sample_family(), size(0, false, 1, 0, "5"), "graph 'prior_0': its 'averages' has");
    refused(sample_family(), size(2, false, 4, 0, "2"), "graph 'prior_2': its 'step' has");
    refused(sample_family(), size(1, false, 2, 1, "3"), "graph 'prior_1': its 'symbols' has");
    refused(sample_family(), size(1, false, 2, 4, "4"), other);
    refused(sample_family(), size(1, false, 1, 0, "1"), "its 'previous_support' has");
    refused(sample_family(), size(2, false, 3, 0, "5"), "graph 'prior_2': its 'previous_y_hat'");
    refused(sample_family(), size(2, true, 0, 0, "2"), "graph 'prior_2': its 'y_hat' has");
    refused(sample_family(), size(2, true, 0, 1, "1"), "graph 'prior_2': its 'y_hat' has");
    refused(sample_family(), size(0, true, 1, 2, "latent_width"),
            "prior_0': it has no output 'means'");
    refused(sample_family(), size(0, true, 2, 1, "5"), "prior_0': it has no output 'indexes'");
    refused(sample_family(), size(0, true, 2, 1, "depth"), "neither a number nor a known name");
    refused(sample_family(), size(0, true, 2, 1, "0"), "outputs 'indexes': a size in its shape");
    refused(sample_family(), size(0, true, 2, 1, "65537"), "is not in 1..65536");
    refused(
        sample_family(), [](ToyFamily& family) { family.priors[1].outputs[2].dtype = CCA_INT32; },
        "graph 'prior_1': it has no output 'indexes'");
    refused(
        sample_family(), [](ToyFamily& family) { family.priors[1].inputs[2].dtype = CCA_INT32; },
        "graph 'prior_1': its 'symbols' has");
    refused(
        sample_family(), [](ToyFamily& family) { family.priors[1].outputs[3].shape.clear(); },
        "graph 'prior_1': outputs 'support': 'shape' is no array of 1 to 5 sizes");
    refused(
        sample_family(),
        [](ToyFamily& family) { family.priors[1].outputs[3].shape.resize(6, "1"); },
        "'shape' is no array of 1 to 5 sizes");
}

TEST_CASE("transforms take and give what every family's do") {
    const auto transform = [](bool synthesis, bool output, std::size_t port,
                              std::function<void(ToyPort&)> edit) {
        return [=](ToyFamily& family) {
            ToyGraph& graph = synthesis ? family.synthesis : family.analysis;
            edit((output ? graph.outputs : graph.inputs)[port]);
        };
    };
    const auto as_float = [](ToyPort& port) { port.dtype = CCA_FLOAT32; };
    const auto as_bytes = [](ToyPort& port) { port.dtype = CCA_UINT8; };
    const auto renamed = [](ToyPort& port) { port.name = "x"; };
    refused(sample_family(), transform(false, false, 0, as_float), "graph 'analysis': its 'image'");
    refused(sample_family(), transform(false, true, 0, as_bytes), "graph 'analysis': its 'y'");
    refused(sample_family(), transform(false, true, 1, renamed), "analysis': its 'z_symbols'");
    refused(sample_family(), transform(true, false, 0, as_bytes), "graph 'synthesis': its 'y_hat'");
    refused(sample_family(), transform(true, true, 0, renamed), "graph 'synthesis': its 'image'");
    refused(sample_family(), transform(true, true, 0, [](ToyPort& port) { port.shape[3] = "4"; }),
            "graph 'synthesis': its 'image'");
    refused(
        sample_family(),
        [](ToyFamily& family) {
            family.synthesis.outputs.push_back(latents_port("more", CCA_FLOAT32, 1));
        },
        "graph 'synthesis': its 'image'");
    refused(
        sample_family(), [](ToyFamily& family) { family.analysis.outputs.pop_back(); },
        "graph 'analysis': its 'y'");
}

TEST_CASE("dtypes and keys of ports are checked") {
    const std::string text = toy_manifest(sample_family(), sample_tables(), "exact");
    const auto refused_text = [&](const char* from, const char* to, const char* why) {
        const std::string edited = replaced(text, from, to);
        CHECK_THROWS_WITH_AS(
            parse_manifest({reinterpret_cast<const std::uint8_t*>(edited.data()), edited.size()}),
            doctest::Contains(why), BundleError);
    };
    refused_text(R"("dtype": "uint8")", R"("dtype": "uint16")",
                 "graph 'analysis': inputs 'image': 'dtype' is none of float32, int32 and uint8");
    refused_text(R"("dtype": "uint8")", R"("dtype": 8)", "'dtype' is none of");
    refused_text(R"("dtype": "uint8", )", "", "'dtype' is none of");
    refused_text(R"(["batch", "height", "width", 3])", "4", "'shape' is no array");
    refused_text(R"(["batch", "height")", R"([null, "height")", "neither a number nor");
    refused_text(R"("outputs": {"y")", R"("output": {"y")", "'outputs' is missing");
}
