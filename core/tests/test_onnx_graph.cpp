#include "bundle/onnx_graph.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "format/error.hpp"
#include "graph_file.hpp"
#include "sample_bundle.hpp"
#include "toy_family.hpp"

using namespace cca;

namespace {

std::string varint(std::uint64_t value) {
    std::string out;
    for (; value >= 0x80; value >>= 7) {
        out += static_cast<char>((value & 0x7F) | 0x80);
    }
    return out + static_cast<char>(value);
}

std::string number(unsigned field, std::uint64_t value) {
    return varint(field << 3) + varint(value);
}

std::string text(unsigned field, std::string_view content) {
    return varint(field << 3 | 2) + varint(content.size()) + std::string(content);
}

std::string value(std::string_view name, unsigned type = 1) {
    const std::string shape = text(1, number(1, 3)) + text(1, text(2, "height"));
    return text(1, name) + text(2, text(1, number(1, type) + text(2, shape)));
}

std::string weight(std::string_view name, unsigned type, const std::vector<std::uint64_t>& sides,
                   std::size_t bytes) {
    std::string out;
    for (const std::uint64_t side : sides) {
        out += number(1, side);
    }
    return out + number(2, type) + text(8, name) + text(9, std::string(bytes, 'w'));
}

std::string node(std::string_view kind, const std::vector<const char*>& inputs,
                 const std::vector<const char*>& outputs, std::string_view more = "") {
    std::string out;
    for (const char* name : inputs) {
        out += text(1, name);
    }
    for (const char* name : outputs) {
        out += text(2, name);
    }
    return out + text(4, kind) + std::string(more);
}

const std::string kAxis = text(5, text(1, "axis") + number(3, 1) + number(20, 2));

std::string graph(std::string_view more = "", std::string_view nodes = "") {
    return std::string(nodes) + text(1, node("Mul", {"x", "w"}, {"h"})) +
           text(1, node("Clip", {"h", "", "w"}, {"y"}, kAxis)) + text(2, "analysis") +
           text(5, weight("w", 1, {2, 3}, 24)) + text(11, value("x")) + text(12, value("y")) +
           std::string(more);
}

std::string model(std::string_view graph_content, std::string_view more = "") {
    return number(1, 8) + text(2, "cca-export") + text(7, graph_content) + text(8, number(2, 18)) +
           std::string(more);
}

void check(std::string_view content) {
    const cca_view bytes = test::view(content);
    check_graph({bytes.data, bytes.size});
}

void refused(std::string_view content, const char* why) {
    CHECK_THROWS_WITH_AS(check(content), doctest::Contains(why), BundleError);
}

void refused_node(std::string_view content, const char* why) {
    refused(model(graph("", text(1, content))), why);
}

void refused_weight(std::string_view content, const char* why) {
    refused(model(graph(text(5, content))), why);
}

void refused_attribute(std::string_view content, const char* why) {
    refused_node(node("Relu", {"x"}, {"r"}, text(5, content)), why);
}

}  // namespace

TEST_CASE("a graph of allowed operators and whole weights passes") {
    CHECK_NOTHROW(check(model(graph())));
    CHECK_NOTHROW(check(test::graph_file("analysis")));
    for (const unsigned type : {1U, 2U, 6U, 7U, 10U}) {
        const std::size_t bytes = type == 2 ? 1 : type == 7 ? 8 : type == 10 ? 2 : 4;
        CHECK_NOTHROW(check(model(graph(text(5, weight("v", type, {5}, 5 * bytes))))));
    }
    CHECK_NOTHROW(check(model(graph(text(5, weight("v", 7, {}, 8))))));
    CHECK_NOTHROW(check(model(graph(text(5, weight("v", 7, {0}, 0))))));
    const std::string floats = text(1, "f") + number(20, 1) + "\x15" + std::string(4, '\0');
    CHECK_NOTHROW(check(model(graph("", text(1, node("Relu", {"x"}, {"r"}, text(5, floats)))))));
    const std::string other = text(7, "ai.onnx");
    CHECK_NOTHROW(check(model(graph("", text(1, node("Relu", {"x"}, {"r"}, other))))));
}

TEST_CASE("weights lie in the graph") {
    const std::string external = text(1, "location") + text(2, "weights.bin");
    refused_weight(weight("v", 1, {1}, 4) + text(13, external), "external_data");
    refused_weight(weight("v", 1, {1}, 4) + number(14, 1), "data_location");
    refused_weight(weight("v", 1, {1}, 4) + number(14, 0), "data_location");
    refused_weight(weight("v", 1, {1}, 4) + text(4, "data"), "field 4");
    refused_weight(weight("v", 1, {1}, 0), "weight 'v' has 0 bytes");
    refused_weight(weight("v", 1, {2}, 4), "not what its shape takes");
    refused_weight(weight("v", 1, {1ULL << 31, 1ULL << 31, 1ULL << 31, 1ULL << 31}, 4), "shape");
    refused_weight(weight("v", 1, {1ULL << 32}, 4), "out of bounds");
    refused_weight(weight("v", 1, {~std::uint64_t{0}}, 4), "out of bounds");
    refused_weight(weight("v", 8, {1}, 4), "a type that codecs have no use for");
    refused_weight(weight("v", 1, std::vector<std::uint64_t>(9, 1), 4), "too much of field 1");
    refused_weight(weight("", 1, {1}, 4), "no name");
    refused(model(graph(text(15, ""))), "sparse_initializer");
}

TEST_CASE("operators are listed ones of ONNX") {
    for (const char* kind :
         {"Loop", "If", "Scan", "SequenceMap", "Constant", "Relu2", "relu", ""}) {
        refused_node(node(kind, {"x"}, {"r"}), "is not allowed");
    }
    refused_node(node("Relu", {"x"}, {"r"}, text(7, "com.microsoft")), "'com.microsoft'");
    refused_node(node("Relu", {"x"}, {"r"}, text(9, "")), "metadata_props");
    refused_node(node("Relu", {"x"}, {"r"}, text(4, "Loop")), "twice");
    refused_node(text(1, "x") + text(2, "r"), "lacks field 4");
    refused_node(node("Relu", std::vector<const char*>(1025, "x"), {"r"}), "too much");
    refused_node(node("Relu\n", {"x"}, {"r"}), "printable ASCII");
    refused_node(node("Relu", {"x"}, {"r"}, text(3, std::string(1025, 'n'))), "too long");
}

TEST_CASE("attributes are numbers and short texts") {
    refused_attribute(text(1, "a") + text(5, weight("v", 1, {1}, 4)) + number(20, 4), "a tensor");
    refused_attribute(text(1, "a") + text(6, graph()) + number(20, 5), "a graph");
    refused_attribute(text(1, "a") + text(21, "b") + number(20, 2), "ref_attr_name");
    refused_attribute(text(1, "a") + number(3, 1) + number(20, 1), "not of its own type");
    refused_attribute(text(1, "a") + number(3, 1), "lacks field 20");
    refused_attribute(text(1, "a") + number(20, 4), "no number and no text");
    refused_attribute(text(1, "a") + text(4, "\xff") + number(20, 3), "printable ASCII");
    refused_node(node("Relu", {"x"}, {"r"}, kAxis + kAxis), "an attribute twice");
}

TEST_CASE("values are made once and before they are used") {
    refused_node(node("Relu", {"y"}, {"r"}), "'y' is used before");
    refused_node(node("Relu", {"x"}, {"h"}), "'h' has no name or is made twice");
    refused_node(node("Relu", {"x"}, {""}), "no name");
    refused(model(graph(text(5, weight("x", 1, {1}, 4)))), "'x' has no name or is made twice");
    refused(model(graph(text(12, value("z")))), "'z' is used before");
    refused(model(graph(text(12, value("y")))), "'y' has no name or is made twice");
    refused(model(graph(text(11, value("s", 8)))), "of a type");
    const std::string nothing = text(2, text(1, number(1, 1) + text(2, text(1, ""))));
    refused(model(graph(text(11, text(1, "s") + nothing))), "neither a number nor a name");
    const std::string wide =
        text(2, text(1, number(1, 1) + text(2, text(1, number(1, 1ULL << 40)))));
    refused(model(graph(text(11, text(1, "s") + wide))), "a size is out of bounds");
}

TEST_CASE("a model holds one graph, and nothing beside it") {
    refused(model(graph(), text(7, "")), "the model has field 7 of ONNX's format twice");
    refused(model(graph(), text(8, number(2, 18))), "twice");
    refused(model(graph(), text(14, "")), "metadata_props");
    refused(model(graph(), text(20, "")), "training_info");
    refused(model(graph(), text(25, "")), "functions");
    refused(model(graph(), number(7, 1)), "another form");
    refused(number(1, 8) + text(7, graph()) + text(8, number(2, 21)), "operator set 21 is not 18");
    refused(number(1, 8) + text(7, graph()) + text(8, text(1, "x") + number(2, 18)), "'x'");
    refused(number(1, 11) + text(7, graph()) + text(8, number(2, 18)), "newer version");
    refused(number(1, 8) + text(8, number(2, 18)), "lacks field 7");
    refused("", "lacks field 1");
}

TEST_CASE("there is one way to write a number") {
    const std::string rest = text(7, graph()) + text(8, number(2, 18));
    CHECK_NOTHROW(check(number(1, 8) + rest));
    using namespace std::string_literals;
    refused("\x08\x88\x00"s + rest, "longer than it needs to be");
    refused("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"s + rest, "longer");
    refused("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81"s + rest, "longer");
    refused("\x88\x00\x08"s + rest, "longer");
    refused("\x0b\x0c"s + rest, "a group");
    refused("\x0e"s + rest, "a group or of an unknown kind");
    refused("\x00\x01"s + rest, "impossible number");
    refused("\x09"s + std::string(8, '\0') + rest, "another form");
    refused(rest + "\x0a\x05", "truncated");
}

TEST_CASE("every graph cut short is refused") {
    const std::string whole = model(graph());
    for (std::size_t size = 0; size < whole.size(); ++size) {
        CHECK_THROWS_AS(check(whole.substr(0, size)), BundleError);
    }
}

TEST_CASE("more fields than graphs have are refused before they cost memory") {
    std::string many;
    for (int i = 0; i < 200'000; ++i) {
        many += std::string("\x0a\x00", 2);
    }
    refused(model(many), "has too much of field 1");
}
