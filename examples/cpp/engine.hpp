// All that the codec asks of an engine: load a graph, and run it on named tensors.
//
// openvino_engine.cpp and tensorrt_engine.cpp implement it; a program links one of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

/// Element types of the graphs' inputs and outputs.
enum class ElementType { kFloat32, kInt32, kUint8 };

using Shape = std::vector<std::int64_t>;

/// A tensor where the engine computes: in host memory, or on a device. Dense, in C order, written
/// once.
struct Tensor {
    Tensor(ElementType type, Shape shape) : type(type), shape(std::move(shape)) {}
    virtual ~Tensor() = default;

    /// Copies all elements to `host`, which has room for them.
    virtual void read(void* host) const = 0;

    const ElementType type;
    const Shape shape;
};

using TensorPtr = std::shared_ptr<const Tensor>;
using Tensors = std::map<std::string, TensorPtr>;

/// A graph of a bundle, still to be loaded.
struct GraphFile {
    std::string name;
    std::string sha256;              // of `onnx`: names what an engine keeps compiled
    std::vector<std::uint8_t> onnx;  // known to be what the bundle's manifest describes
};

/// A graph that an engine has loaded.
struct Graph {
    virtual ~Graph() = default;

    /// Runs the graph once, on a tensor of the same engine for each of its inputs. The result has
    /// all of its outputs, which stay valid when it runs again. Those that `into` has a tensor for
    /// are written there: it must have their type and shape, and be no part of an input.
    virtual Tensors run(const Tensors& inputs, const Tensors& into = {}) = 0;
};

/// What goes wrong in an engine is a std::runtime_error of one line. Graphs and tensors must not
/// outlive their engine.
struct Engine {
    virtual ~Engine() = default;
    virtual std::unique_ptr<Graph> load(const GraphFile& file) = 0;

    /// Makes a tensor of the elements at `host`, which may change afterwards.
    virtual TensorPtr upload(ElementType type, const Shape& shape, const void* host) = 0;

    /// Makes a tensor to be written by graphs.
    virtual TensorPtr allocate(ElementType type, const Shape& shape) = 0;

    /// `count` rows of a tensor, along its first axis, in the same memory.
    virtual TensorPtr rows(const TensorPtr& whole, std::int64_t first, std::int64_t count) = 0;
};

/// Opens the engine that the program is linked with.
std::unique_ptr<Engine> open_engine();

inline std::size_t element_bytes(ElementType type) {
    return type == ElementType::kUint8 ? 1 : 4;
}

inline std::size_t count_elements(const Shape& shape) {
    std::size_t count = 1;
    for (const std::int64_t side : shape) count *= static_cast<std::size_t>(side);
    return count;
}

/// The shape of `count` rows of a tensor of `shape`.
inline Shape rows_of(Shape shape, std::int64_t count) {
    shape.at(0) = count;
    return shape;
}
