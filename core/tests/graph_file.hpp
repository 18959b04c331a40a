// The smallest ONNX model that the check of graphs accepts.
#pragma once

#include <cstddef>
#include <string>

namespace cca::test {

/// A model without operators. Its name, at most 127 bytes, tells one from another.
inline std::string graph_file(const std::string& name) {
    const auto length = [](std::size_t size) { return std::string(1, static_cast<char>(size)); };
    std::string graph = "\x12";
    graph += length(name.size());
    graph += name;
    std::string model = "\x08\x08\x42\x02\x10\x12\x3a";  // versions of the file and the operators
    model += length(graph.size());
    return model + graph;
}

}  // namespace cca::test
