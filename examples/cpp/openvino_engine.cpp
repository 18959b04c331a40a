// engine.hpp on OpenVINO: its CPU plugin, in float32 throughout.
#include <sched.h>

#include <cstring>
#include <openvino/openvino.hpp>
#include <sstream>
#include <stdexcept>

#include "engine.hpp"

namespace {

ElementType from_openvino(ov::element::Type type) {
    if (type == ov::element::f32) return ElementType::kFloat32;
    if (type == ov::element::i32) return ElementType::kInt32;
    if (type == ov::element::u8) return ElementType::kUint8;
    throw std::runtime_error("no codec uses elements of type " + type.to_string());
}

ov::element::Type to_openvino(ElementType type) {
    if (type == ElementType::kFloat32) return ov::element::f32;
    return type == ElementType::kInt32 ? ov::element::i32 : ov::element::u8;
}

struct OpenVinoTensor : Tensor {
    explicit OpenVinoTensor(const ov::Tensor& tensor)
        : Tensor(from_openvino(tensor.get_element_type()),
                 Shape(tensor.get_shape().begin(), tensor.get_shape().end())),
          tensor(tensor) {}

    void read(void* host) const override {
        std::memcpy(host, tensor.data(), tensor.get_byte_size());
    }

    const ov::Tensor tensor;
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

    Tensors run(const Tensors& inputs) override {
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
                ov::Tensor copy(output.get_element_type(), output.get_shape());
                output.copy_to(copy);
                outputs[port.get_any_name()] = std::make_shared<OpenVinoTensor>(copy);
            }
            return outputs;
        });
    }

  private:
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

    TensorPtr upload(ElementType type, const Shape& shape, const void* host) override {
        ov::Tensor tensor(to_openvino(type), ov::Shape(shape.begin(), shape.end()));
        std::memcpy(tensor.data(), host, tensor.get_byte_size());
        return std::make_shared<OpenVinoTensor>(tensor);
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
