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
    explicit OpenVinoTensor(const ov::Tensor& tensor, TensorPtr whole = nullptr)
        : Tensor(from_openvino(tensor.get_element_type()),
                 Shape(tensor.get_shape().begin(), tensor.get_shape().end())),
          tensor(tensor),
          whole(std::move(whole)) {}

    void read(void* host) const override {
        std::memcpy(host, tensor.data(), tensor.get_byte_size());
    }

    const ov::Tensor tensor;
    const TensorPtr whole;  // keeps the memory of rows
};

ov::Shape to_openvino(const Shape& shape) {
    return ov::Shape(shape.begin(), shape.end());
}

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
                outputs[port.get_any_name()] =
                    place == into.end() ? copy(output) : copy(output, place->second);
            }
            return outputs;
        });
    }

  private:
    static TensorPtr copy(const ov::Tensor& output) {
        ov::Tensor tensor(output.get_element_type(), output.get_shape());
        output.copy_to(tensor);
        return std::make_shared<OpenVinoTensor>(tensor);
    }

    static TensorPtr copy(const ov::Tensor& output, const TensorPtr& place) {
        ov::Tensor tensor = static_cast<const OpenVinoTensor&>(*place).tensor;
        if (output.get_element_type() != tensor.get_element_type() ||
            output.get_shape() != tensor.get_shape()) {
            throw std::runtime_error("an output has another type or shape than its place");
        }
        output.copy_to(tensor);
        return place;
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

    TensorPtr upload(ElementType type, const Shape& shape, const void* host) override {
        ov::Tensor tensor(to_openvino(type), to_openvino(shape));
        std::memcpy(tensor.data(), host, tensor.get_byte_size());
        return std::make_shared<OpenVinoTensor>(tensor);
    }

    TensorPtr allocate(ElementType type, const Shape& shape) override {
        return std::make_shared<OpenVinoTensor>(ov::Tensor(to_openvino(type), to_openvino(shape)));
    }

    TensorPtr rows(const TensorPtr& whole, std::int64_t first, std::int64_t count) override {
        const std::size_t row =
            count_elements(rows_of(whole->shape, 1)) * element_bytes(whole->type);
        ov::Tensor all = static_cast<const OpenVinoTensor&>(*whole).tensor;  // of the same memory
        auto* data = static_cast<std::uint8_t*>(all.data());
        const ov::Tensor tensor(to_openvino(whole->type), to_openvino(rows_of(whole->shape, count)),
                                data + static_cast<std::size_t>(first) * row);
        return std::make_shared<OpenVinoTensor>(tensor, whole);
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
