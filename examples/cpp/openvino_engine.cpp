// engine.hpp on OpenVINO: its CPU plugin, in float32 throughout.
#include <sched.h>

#include <cstring>
#include <openvino/openvino.hpp>
#include <sstream>
#include <stdexcept>

#include "engine.hpp"

namespace {

ov::Tensor allocate(const cca_tensor& layout, void* memory = nullptr) {
    const ov::element::Type type = layout.dtype == CCA_FLOAT32 ? ov::element::f32
                                   : layout.dtype == CCA_INT32 ? ov::element::i32
                                                               : ov::element::u8;
    const ov::Shape shape(layout.shape, layout.shape + layout.rank);
    return memory ? ov::Tensor(type, shape, memory) : ov::Tensor(type, shape);
}

std::uint32_t type_of(ov::element::Type type) {
    if (type == ov::element::f32) return CCA_FLOAT32;
    if (type == ov::element::i32) return CCA_INT32;
    return type == ov::element::u8 ? std::uint32_t{CCA_UINT8} : kOtherType;
}

cca_tensor layout_of(const ov::Tensor& tensor) {
    const ov::Shape& shape = tensor.get_shape();
    return make_layout(type_of(tensor.get_element_type()), shape, shape.size());
}

struct OpenVinoTensor : Tensor {
    explicit OpenVinoTensor(const ov::Tensor& tensor, TensorPtr whole = nullptr)
        : Tensor(layout_of(tensor)), tensor(tensor), whole(std::move(whole)) {}

    void read(void* host) const override {
        std::memcpy(host, tensor.data(), tensor.get_byte_size());
    }

    const ov::Tensor tensor;
    const TensorPtr whole;  // keeps the memory of rows
};

/// Runs `call`, and keeps of its exceptions the first line that says what happened; lines before it
/// end with a colon and say where in OpenVINO's sources.
template <typename Call>
auto explain(const std::string& what, Call call) {
    try {
        return call();
    } catch (const std::exception& error) {
        std::istringstream text(error.what());
        std::string line;
        while (std::getline(text, line) && line.ends_with(':')) {
        }
        throw std::runtime_error(what + ": " + line);
    }
}

class OpenVinoGraph : public Graph {
  public:
    OpenVinoGraph(const ov::CompiledModel& compiled, std::string name)
        : compiled_(compiled), request_(compiled_.create_infer_request()), name_(std::move(name)) {}

    Tensors run(const Tensors& inputs, const Tensors& into) override {
        return explain("graph '" + name_ + "' failed", [&] {
            for (const auto& port : compiled_.inputs()) {
                const auto given = inputs.find(port.get_any_name());
                if (given == inputs.end()) {
                    throw std::runtime_error("nothing for input '" + port.get_any_name() + "'");
                }
                const auto& tensor = static_cast<const OpenVinoTensor&>(*given->second);
                request_.set_tensor(port, tensor.tensor);
            }
            request_.infer();
            Tensors outputs;
            for (const auto& port : compiled_.outputs()) {
                // A copy: the next run writes its outputs into the same memory.
                const ov::Tensor output = request_.get_tensor(port);
                const auto place = into.find(port.get_any_name());
                const bool fits = place != into.end() &&
                                  cca::same_layout(place->second->layout, layout_of(output));
                outputs[port.get_any_name()] = copy(output, fits ? place->second : nullptr);
            }
            return outputs;
        });
    }

  private:
    static TensorPtr copy(const ov::Tensor& output, const TensorPtr& place) {
        ov::Tensor tensor = place ? static_cast<const OpenVinoTensor&>(*place).tensor
                                  : ov::Tensor(output.get_element_type(), output.get_shape());
        output.copy_to(tensor);
        return place ? place : std::make_shared<OpenVinoTensor>(tensor);
    }

    ov::CompiledModel compiled_;
    ov::InferRequest request_;
    std::string name_;
};

/// Processor cores that this process may run on.
int usable_cores() {
    cpu_set_t cores;
    return sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
}

class OpenVinoEngine : public Engine {
  public:
    std::unique_ptr<Graph> load(const GraphFile& file) override {
        return explain("graph '" + file.name + "' cannot be loaded", [&] {
            const std::string onnx(file.onnx.begin(), file.onnx.end());
            const auto model = core_.read_model(onnx, ov::Tensor());
            return std::make_unique<OpenVinoGraph>(core_.compile_model(model, "CPU", settings_),
                                                   file.name);
        });
    }

    TensorPtr upload(const cca_tensor& layout, const void* host) override {
        ov::Tensor tensor = allocate(layout);
        if (host) std::memcpy(tensor.data(), host, tensor.get_byte_size());
        return std::make_shared<OpenVinoTensor>(tensor);
    }

    TensorPtr rows(const TensorPtr& whole, std::uint64_t first, const cca_tensor& layout) override {
        ov::Tensor all = static_cast<const OpenVinoTensor&>(*whole).tensor;  // of the same memory
        auto* const data = static_cast<std::uint8_t*>(all.data()) + row_offset(first, layout);
        return std::make_shared<OpenVinoTensor>(allocate(layout, data), whole);
    }

  private:
    ov::Core core_;
    // On processors with bfloat16 the default is to compute in it, silently: that is not exact.
    const ov::AnyMap settings_{ov::hint::inference_precision(ov::element::f32),
                               ov::hint::dynamic_quantization_group_size(0),
                               ov::inference_num_threads(usable_cores())};
};

}  // namespace

std::unique_ptr<Engine> open_engine() {
    return std::make_unique<OpenVinoEngine>();
}
