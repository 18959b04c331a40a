// Each message has a list of the fields that may be in it. The lists name what an exporter writes,
// so that all else (other places for weights, graphs within graphs, functions) has no way in, and
// the depth of messages is that of the functions here.
#include "bundle/onnx_graph.hpp"

#include <algorithm>
#include <array>
#include <bitset>
#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "bundle/protobuf.hpp"
#include "format/error.hpp"

namespace cca {
namespace {

using protobuf::Field;
using protobuf::Wire;

constexpr std::uint64_t kOperatorSet = 18;
constexpr std::uint64_t kMaxFileVersion = 10;
constexpr std::size_t kMaxItems = 1 << 16;  // of a graph: nodes, weights, inputs, outputs
constexpr std::size_t kMaxFields = 3 * kMaxItems;
constexpr std::size_t kMaxList = 1 << 10;  // names and attributes of a node, numbers of those
constexpr std::size_t kMaxRank = 8;
constexpr std::size_t kMaxNameBytes = 1 << 10;
constexpr std::uint64_t kMaxSide = std::uint64_t{1} << 31;  // and of a weight, in bytes

// docs/spec/bundle.md has the same list.
constexpr std::array<std::string_view, 29> kOperators{
    "Add",
    "Cast",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "Div",
    "Erf",
    "Floor",
    "Gather",
    "Greater",
    "LayerNormalization",
    "Less",
    "Log",
    "Mul",
    "Reciprocal",
    "ReduceMean",
    "ReduceSum",
    "Relu",
    "Round",
    "Slice",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Tanh",
    "Transpose",
    "Where",
};
static_assert(std::ranges::is_sorted(kOperators));

// Of an element, by its number in ONNX; 0 for those that graphs have no weights or pictures of.
std::size_t element_bytes(std::uint64_t type) {
    switch (type) {
        case 1:  // float32
        case 6:  // int32
            return 4;
        case 2:  // uint8
            return 1;
        case 7:  // int64
            return 8;
        case 10:  // float16
            return 2;
        default:
            return 0;
    }
}

struct Rule {
    std::uint32_t number;
    Wire wire;
    bool repeated = false;
};

// What a field is called in ONNX's format, of the ones that attacks have been made of.
std::string field_name(std::string_view message, std::uint32_t number) {
    struct Known {
        std::string_view message;
        std::uint32_t number;
        const char* name;
    };
    constexpr std::array<Known, 11> kKnown{{
        {"the model", 14, "metadata_props"},
        {"the model", 20, "training_info"},
        {"the model", 25, "functions"},
        {"the graph", 15, "sparse_initializer"},
        {"the graph", 16, "metadata_props"},
        {"a node", 9, "metadata_props"},
        {"a weight", 13, "external_data"},
        {"a weight", 14, "data_location"},
        {"an attribute", 5, "a tensor"},
        {"an attribute", 6, "a graph"},
        {"an attribute", 21, "ref_attr_name"},
    }};
    for (const Known& known : kKnown) {
        if (known.message == message && known.number == number) {
            return known.name;
        }
    }
    return "field " + std::to_string(number) + " of ONNX's format";
}

// A message that has no other fields than `rules` say, and those that are not repeated once.
class Fields {
  public:
    Fields(BytesView content, const char* what, std::initializer_list<Rule> rules) : what_(what) {
        protobuf::Message message(content);
        while (!message.at_end()) {
            const Field field = message.next();
            const auto rule = std::ranges::find(rules, field.number, &Rule::number);
            if (rule == rules.end()) {
                refuse(field.number, "has ", ", which is not allowed");
            }
            if (rule->wire != field.wire) {
                refuse(field.number, "has ", " in another form than it has");
            }
            if (!rule->repeated && has(field.number)) {
                refuse(field.number, "has ", " twice");
            }
            if (all_.size() == kMaxFields) {
                refuse(field.number, "has too much of ", "");
            }
            present_.set(field.number);
            all_.push_back(field);
        }
    }

    bool has(std::uint32_t number) const { return present_.test(number); }

    // The field, which must be there.
    const Field& only(std::uint32_t number) const {
        if (!has(number)) {
            refuse(number, "lacks ", "");
        }
        return *std::ranges::find(all_, number, &Field::number);
    }

    // All of that number, at most `most`.
    std::vector<Field> all(std::uint32_t number, std::size_t most) const {
        std::vector<Field> found;
        std::ranges::copy_if(all_, std::back_inserter(found),
                             [number](const Field& field) { return field.number == number; });
        if (found.size() > most) {
            refuse(number, "has too much of ", "");
        }
        return found;
    }

  private:
    [[noreturn]] void refuse(std::uint32_t number, const char* before, const char* after) const {
        throw BundleError(std::string(what_) + " " + before + field_name(what_, number) + after);
    }

    const char* what_;
    std::bitset<32> present_;  // rules have smaller numbers
    std::vector<Field> all_;
};

// Printable ASCII, so that messages, ours and an engine's, can quote it.
std::string_view text_of(const Field& field) {
    const std::string_view text(reinterpret_cast<const char*>(field.bytes.data()),
                                field.bytes.size());
    if (text.size() > kMaxNameBytes ||
        std::ranges::any_of(text, [](char c) { return c < 0x20 || c > 0x7E; })) {
        throw BundleError("a name is too long or not in printable ASCII");
    }
    return text;
}

std::string quoted(std::string_view text) {
    return "'" + std::string(text.substr(0, 60)) + "'";
}

void check_domain(const Fields& fields, std::uint32_t number) {
    const std::string_view domain = fields.has(number) ? text_of(fields.only(number)) : "";
    if (!domain.empty() && domain != "ai.onnx") {
        throw BundleError("operators of " + quoted(domain) + " are not allowed, only ONNX's own");
    }
}

void check_operator_set(BytesView content) {
    const Fields fields(content, "an operator set", {{1, Wire::kBytes}, {2, Wire::kVarint}});
    check_domain(fields, 1);
    const std::uint64_t version = fields.only(2).varint;
    if (version != kOperatorSet) {
        throw BundleError("operator set " + std::to_string(version) + " is not " +
                          std::to_string(kOperatorSet));
    }
}

// The values of a graph: each is made once, and nothing is used before.
class Values {
  public:
    void define(std::string_view name) {
        if (name.empty() || !defined_.insert(name).second) {
            throw BundleError("value " + quoted(name) + " has no name or is made twice");
        }
    }

    void use(std::string_view name) const {
        if (!defined_.contains(name)) {
            throw BundleError("value " + quoted(name) + " is used before it is made");
        }
    }

  private:
    std::unordered_set<std::string_view> defined_;
};

void check_dimension(BytesView content) {
    const Fields fields(content, "a size", {{1, Wire::kVarint}, {2, Wire::kBytes}});
    if (fields.has(1) == fields.has(2)) {
        throw BundleError("a size is neither a number nor a name");
    }
    if (fields.has(1) && fields.only(1).varint > kMaxSide) {
        throw BundleError("a size is out of bounds");
    }
    if (fields.has(2)) {
        static_cast<void>(text_of(fields.only(2)));
    }
}

// An input or output: its name.
std::string_view check_value(BytesView content) {
    const Fields fields(content, "an input or output", {{1, Wire::kBytes}, {2, Wire::kBytes}});
    const Fields type(fields.only(2).bytes, "a type", {{1, Wire::kBytes}});
    const Fields tensor(type.only(1).bytes, "a tensor's type",
                        {{1, Wire::kVarint}, {2, Wire::kBytes}});
    if (element_bytes(tensor.only(1).varint) == 0) {
        throw BundleError("an input or output is of a type that codecs have no use for");
    }
    const Fields shape(tensor.only(2).bytes, "a shape", {{1, Wire::kBytes, true}});
    for (const Field& dimension : shape.all(1, kMaxRank)) {
        check_dimension(dimension.bytes);
    }
    return text_of(fields.only(1));
}

// A weight: its name. Its elements lie in the one place that is allowed, all of them.
std::string_view check_weight(BytesView content) {
    const Fields fields(
        content, "a weight",
        {{1, Wire::kVarint, true}, {2, Wire::kVarint}, {8, Wire::kBytes}, {9, Wire::kBytes}});
    const std::string_view name = text_of(fields.only(8));
    const std::uint64_t size = fields.has(9) ? fields.only(9).bytes.size() : 0;
    std::uint64_t expected = element_bytes(fields.only(2).varint);
    if (expected == 0) {
        throw BundleError("weight " + quoted(name) + " is of a type that codecs have no use for");
    }
    for (const Field& side : fields.all(1, kMaxRank)) {
        if (side.varint > kMaxSide) {
            throw BundleError("a size of weight " + quoted(name) + " is out of bounds");
        }
        expected = std::min(expected * side.varint, kMaxSide);  // of at most 2^62
    }
    if (size != expected) {
        throw BundleError("weight " + quoted(name) + " has " + std::to_string(size) +
                          " bytes in the graph, and not what its shape takes");
    }
    return name;
}

// An attribute: its name.
std::string_view check_attribute(BytesView content) {
    // The number of each field with a value, and that of its type.
    constexpr std::array<std::array<std::uint32_t, 2>, 5> kKinds{
        {{2, 1}, {3, 2}, {4, 3}, {7, 6}, {8, 7}}};
    const Fields fields(content, "an attribute",
                        {{1, Wire::kBytes},
                         {2, Wire::kFixed32},
                         {3, Wire::kVarint},
                         {4, Wire::kBytes},
                         {7, Wire::kFixed32, true},
                         {8, Wire::kVarint, true},
                         {20, Wire::kVarint}});
    const std::string_view name = text_of(fields.only(1));
    const std::uint64_t type = fields.only(20).varint;
    for (const auto& [number, its_type] : kKinds) {
        if (fields.has(number) && type != its_type) {
            throw BundleError("attribute " + quoted(name) + " is not of its own type");
        }
        static_cast<void>(fields.all(number, kMaxList));
    }
    if (std::ranges::none_of(kKinds, [type](const auto& kind) { return kind[1] == type; })) {
        throw BundleError("attribute " + quoted(name) + " is no number and no text");
    }
    if (fields.has(4)) {
        static_cast<void>(text_of(fields.only(4)));
    }
    return name;
}

void check_node(BytesView content, Values& values) {
    const Fields fields(content, "a node",
                        {{1, Wire::kBytes, true},
                         {2, Wire::kBytes, true},
                         {3, Wire::kBytes},
                         {4, Wire::kBytes},
                         {5, Wire::kBytes, true},
                         {7, Wire::kBytes}});
    const std::string_view kind = text_of(fields.only(4));
    check_domain(fields, 7);
    if (!std::ranges::binary_search(kOperators, kind)) {
        throw BundleError("operator " + quoted(kind) + " is not allowed");
    }
    if (fields.has(3)) {
        static_cast<void>(text_of(fields.only(3)));
    }
    std::unordered_set<std::string_view> attributes;
    for (const Field& attribute : fields.all(5, kMaxList)) {
        if (!attributes.insert(check_attribute(attribute.bytes)).second) {
            throw BundleError("a node of operator " + quoted(kind) + " has an attribute twice");
        }
    }
    for (const Field& input : fields.all(1, kMaxList)) {
        if (!input.bytes.empty()) {  // an optional one that is left out
            values.use(text_of(input));
        }
    }
    for (const Field& output : fields.all(2, kMaxList)) {
        values.define(text_of(output));
    }
}

void check_nodes_and_weights(BytesView content) {
    const Fields fields(content, "the graph",
                        {{1, Wire::kBytes, true},
                         {2, Wire::kBytes},
                         {5, Wire::kBytes, true},
                         {11, Wire::kBytes, true},
                         {12, Wire::kBytes, true}});
    if (fields.has(2)) {
        static_cast<void>(text_of(fields.only(2)));
    }
    Values values;
    for (const Field& input : fields.all(11, kMaxList)) {
        values.define(check_value(input.bytes));
    }
    for (const Field& weight : fields.all(5, kMaxItems)) {
        values.define(check_weight(weight.bytes));
    }
    for (const Field& node : fields.all(1, kMaxItems)) {
        check_node(node.bytes, values);
    }
    Values outputs;
    for (const Field& output : fields.all(12, kMaxList)) {
        const std::string_view name = check_value(output.bytes);
        values.use(name);
        outputs.define(name);
    }
}

}  // namespace

void check_graph(BytesView model) {
    try {
        const Fields fields(
            model, "the model",
            {{1, Wire::kVarint}, {2, Wire::kBytes}, {7, Wire::kBytes}, {8, Wire::kBytes}});
        if (fields.only(1).varint > kMaxFileVersion) {
            throw BundleError("it is of a newer version of ONNX's format");
        }
        check_operator_set(fields.only(8).bytes);
        check_nodes_and_weights(fields.only(7).bytes);
    } catch (const protobuf::Error& error) {
        throw BundleError("no ONNX model: " + std::string(error.what()));
    }
}

}  // namespace cca
