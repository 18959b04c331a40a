// All that the codec asks of an engine: load a graph, and run it on named tensors.
//
// openvino_engine.cpp and tensorrt_engine.cpp implement it; a program links one of them.
#pragma once

#include <cca/cca.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

/// A tensor where the engine computes: in host memory, or on a device.
struct Tensor {
    explicit Tensor(const cca_tensor& layout) : layout(layout) {}
    virtual ~Tensor() = default;

    /// Waits for what computes it, and copies all elements to `host`, which has room for them.
    virtual void read(void* host) const = 0;

    const cca_tensor layout;
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
    /// all of its outputs, which stay valid when it runs again. Those that `into` has a tensor of
    /// the same layout for are written there.
    virtual Tensors run(const Tensors& inputs, const Tensors& into) = 0;
};

/// What goes wrong in an engine is a std::runtime_error of one line. Graphs and tensors must not
/// outlive their engine.
struct Engine {
    virtual ~Engine() = default;
    virtual std::unique_ptr<Graph> load(const GraphFile& file) = 0;

    /// Makes a tensor of the elements at `host`, which may change afterwards; of any, if that is
    /// null.
    virtual TensorPtr upload(const cca_tensor& layout, const void* host) = 0;

    /// Rows of a tensor, from `first` along its first axis, in the same memory.
    virtual TensorPtr rows(const TensorPtr& whole, std::uint64_t first,
                           const cca_tensor& layout) = 0;
};

/// Opens the engine that the program is linked with.
std::unique_ptr<Engine> open_engine();

/// A data type that no tensor of a codec has.
constexpr std::uint32_t kOtherType = UINT32_MAX;

/// A layout as an engine describes it. Shapes of too many axes are like no layout of a codec.
template <typename Sides>
cca_tensor make_layout(std::uint32_t dtype, const Sides& sides, std::size_t rank) {
    cca_tensor layout{dtype, static_cast<std::uint32_t>(rank), {}};
    for (std::size_t axis = 0; axis < rank && axis < CCA_MAX_RANK; ++axis) {
        layout.shape[axis] = static_cast<std::uint64_t>(sides[axis]);
    }
    return layout;
}

/// Where rows begin in the memory of the whole tensor, in bytes.
inline std::size_t row_offset(std::uint64_t first, const cca_tensor& rows) {
    return first * (cca::byte_size(rows) / rows.shape[0]);
}
