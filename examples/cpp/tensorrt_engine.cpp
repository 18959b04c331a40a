// engine.hpp on TensorRT 10 or later: a plan for each graph, all of them on one CUDA stream.
//
// Tensors stay on the device. Only what the coder reads or writes crosses to the host: for each
// channel group its table indexes, one byte a symbol, and its symbols.
#include <NvInfer.h>
#include <NvOnnxParser.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <stdexcept>
#include <string_view>

#include "engine.hpp"
#include "error.hpp"
#include "files.hpp"

namespace {

namespace trt = nvinfer1;

// Sides of the pictures that a plan is built for, in hyper-latents. TensorRT tunes for the
// second; a picture larger than the third needs plans of its own.
constexpr std::int64_t kSides[] = {1, 12, 64};
constexpr trt::OptProfileSelector kSelectors[] = {
    trt::OptProfileSelector::kMIN, trt::OptProfileSelector::kOPT, trt::OptProfileSelector::kMAX};

constexpr std::uint64_t kMaxPlan = std::uint64_t{1} << 31;  // bytes

/// Keeps TensorRT's last error, for the exception that follows.
class Logger : public trt::ILogger {
  public:
    void log(Severity severity, const char* text) noexcept override {
        if (severity <= Severity::kERROR) std::snprintf(last_, sizeof last_, "%s", text);
    }
    [[noreturn]] void fail(const std::string& what) const {
        throw std::runtime_error(what + (last_[0] ? std::string(": ") + last_ : ""));
    }

  private:
    char last_[512] = "";
};

void check(cudaError_t status) {
    if (status != cudaSuccess) throw std::runtime_error(cudaGetErrorString(status));
}

std::uint32_t type_of(trt::DataType type) {
    if (type == trt::DataType::kFLOAT) return CCA_FLOAT32;
    if (type == trt::DataType::kINT32) return CCA_INT32;
    return type == trt::DataType::kUINT8 ? std::uint32_t{CCA_UINT8} : kOtherType;
}

trt::Dims to_dims(const cca_tensor& layout) {
    trt::Dims dims{};
    dims.nbDims = static_cast<std::int32_t>(layout.rank);
    std::copy_n(layout.shape, layout.rank, dims.d);
    return dims;
}

struct DeviceTensor : Tensor {
    DeviceTensor(const cca_tensor& layout, cudaStream_t stream)
        : Tensor(layout), bytes(cca::byte_size(layout)), stream(stream) {
        check(cudaMallocAsync(&data, bytes, stream));
    }

    /// Rows of another tensor, in its memory.
    DeviceTensor(TensorPtr tensor, std::uint64_t first, const cca_tensor& layout)
        : Tensor(layout),
          bytes(cca::byte_size(layout)),
          stream(static_cast<const DeviceTensor&>(*tensor).stream),
          whole(std::move(tensor)),
          data(static_cast<std::uint8_t*>(static_cast<const DeviceTensor&>(*whole).data) +
               row_offset(first, layout)) {}

    // The stream frees it once all that was enqueued before has run.
    ~DeviceTensor() override {
        if (!whole) cudaFreeAsync(data, stream);
    }

    void read(void* host) const override {
        check(cudaMemcpyAsync(host, data, bytes, cudaMemcpyDeviceToHost, stream));
        check(cudaStreamSynchronize(stream));
    }

    const std::size_t bytes;
    const cudaStream_t stream;
    const TensorPtr whole;  // whose memory it is, if not its own
    void* data = nullptr;
};

class TensorRtGraph : public Graph {
  public:
    TensorRtGraph(std::unique_ptr<trt::ICudaEngine> engine, std::string name, cudaStream_t stream,
                  const Logger& logger)
        : engine_(std::move(engine)),
          context_(engine_->createExecutionContext()),
          name_(std::move(name)),
          stream_(stream),
          logger_(logger) {
        require(context_ != nullptr);
    }

    Tensors run(const Tensors& inputs, const Tensors& into) override {
        for (const auto& [name, tensor] : inputs) bind_input(name.c_str(), *tensor);
        Tensors outputs;
        for (std::int32_t i = 0; i < engine_->getNbIOTensors(); ++i) {
            const char* name = engine_->getIOTensorName(i);
            if (engine_->getTensorIOMode(name) == trt::TensorIOMode::kOUTPUT) {
                const auto place = into.find(name);
                outputs[name] = bind_output(name, place == into.end() ? nullptr : place->second);
            }
        }
        require(context_->enqueueV3(stream_));
        return outputs;
    }

  private:
    void bind_input(const char* name, const Tensor& tensor) {
        require(
            engine_->getTensorIOMode(name) == trt::TensorIOMode::kINPUT &&
            type_of(engine_->getTensorDataType(name)) == tensor.layout.dtype &&
            context_->setInputShape(name, to_dims(tensor.layout)) &&
            context_->setInputTensorAddress(name, static_cast<const DeviceTensor&>(tensor).data));
    }

    TensorPtr bind_output(const char* name, const TensorPtr& place) {
        const trt::Dims dims = context_->getTensorShape(name);
        // -1 stands for a size that is not known, for lack of an input.
        require(dims.nbDims >= 0 && std::ranges::all_of(std::span(dims.d, dims.nbDims),
                                                        [](auto side) { return side > 0; }));
        const cca_tensor layout = make_layout(type_of(engine_->getTensorDataType(name)), dims.d,
                                              static_cast<std::size_t>(dims.nbDims));
        if (layout.dtype == kOtherType || layout.rank > CCA_MAX_RANK) {
            throw BadInput("broken bundle: graph '" + name_ + "' gives '" + name +
                           "' as no codec needs it");
        }
        const bool fits = place && cca::same_layout(place->layout, layout);
        TensorPtr tensor = fits ? place : std::make_shared<DeviceTensor>(layout, stream_);
        require(context_->setTensorAddress(name, static_cast<const DeviceTensor&>(*tensor).data));
        return tensor;
    }

    void require(bool condition) const {
        if (!condition) logger_.fail("graph '" + name_ + "' failed");
    }

    std::unique_ptr<trt::ICudaEngine> engine_;
    std::unique_ptr<trt::IExecutionContext> context_;
    std::string name_;
    cudaStream_t stream_;
    const Logger& logger_;
};

/// Size of a dimension by its name (docs/spec/bundle.md), for pictures of `side` hyper-latents.
std::int64_t dimension(std::string_view name, std::int64_t side) {
    if (name == "batch") return 1;
    if (name.starts_with("hyper_")) return side;
    const std::int64_t pixels = CCA_HYPER_SCALE * side;
    return name.starts_with("latent_") ? pixels / CCA_LATENT_SCALE : pixels;
}

class TensorRtEngine : public Engine {
  public:
    TensorRtEngine() : runtime_(trt::createInferRuntime(logger_)) {
        if (!runtime_) logger_.fail("TensorRT cannot be started");
        check(cudaStreamCreate(&stream_));
    }
    ~TensorRtEngine() override { cudaStreamDestroy(stream_); }

    std::unique_ptr<Graph> load(const GraphFile& file) override {
        const std::filesystem::path kept = plan_path(file);
        std::unique_ptr<trt::ICudaEngine> engine;
        if (!kept.empty() && std::filesystem::exists(kept)) {
            const auto plan = read_file(kept, kMaxPlan);
            engine.reset(runtime_->deserializeCudaEngine(plan.data(), plan.size()));
        }
        if (!engine) {
            const std::unique_ptr<trt::IHostMemory> plan = build(file);
            const auto* bytes = static_cast<const std::uint8_t*>(plan->data());
            if (!kept.empty()) write_file(kept, {bytes, plan->size()});
            engine.reset(runtime_->deserializeCudaEngine(bytes, plan->size()));
        }
        if (!engine) logger_.fail("the plan of graph '" + file.name + "' cannot be loaded");
        return std::make_unique<TensorRtGraph>(std::move(engine), file.name, stream_, logger_);
    }

    TensorPtr upload(const cca_tensor& layout, const void* host) override {
        const auto tensor = std::make_shared<DeviceTensor>(layout, stream_);
        // Pageable memory is the caller's again when this returns: it has been staged.
        if (host) {
            check(cudaMemcpyAsync(tensor->data, host, tensor->bytes, cudaMemcpyHostToDevice,
                                  stream_));
        }
        return tensor;
    }

    TensorPtr rows(const TensorPtr& whole, std::uint64_t first, const cca_tensor& layout) override {
        return std::make_shared<DeviceTensor>(whole, first, layout);
    }

  private:
    /// Where the plan of a graph is kept: in the directory $CCA_PLANS, under a name for all that it
    /// depends on. Plans are code: the directory must be as trusted as the program. Without the
    /// variable the path is empty, and plans are built anew each time.
    static std::filesystem::path plan_path(const GraphFile& file) {
        const char* directory = std::getenv("CCA_PLANS");
        if (!directory) return {};
        int device = 0;
        cudaDeviceProp properties{};
        check(cudaGetDevice(&device));
        check(cudaGetDeviceProperties(&properties, device));
        std::string gpu = properties.name;
        std::ranges::replace(gpu, ' ', '-');
        return std::filesystem::path(directory) /
               (file.sha256 + "." + gpu + ".trt" + std::to_string(getInferLibVersion()) + ".plan");
    }

    std::unique_ptr<trt::IHostMemory> build(const GraphFile& file) {
        const std::string failed = "graph '" + file.name + "' cannot be built";
        const std::unique_ptr<trt::IBuilder> builder(trt::createInferBuilder(logger_));
        if (!builder) logger_.fail(failed);
        const std::unique_ptr<trt::INetworkDefinition> network(builder->createNetworkV2(0));
        const std::unique_ptr<nvonnxparser::IParser> parser(
            nvonnxparser::createParser(*network, logger_));
        if (!parser->parse(file.onnx.data(), file.onnx.size())) {
            throw std::runtime_error(failed + ": " + parser->getError(0)->desc());
        }
        const std::unique_ptr<trt::IBuilderConfig> config(builder->createBuilderConfig());
        config->clearFlag(trt::BuilderFlag::kTF32);  // float32 throughout
        config->addOptimizationProfile(make_profile(*builder, *network));
        std::unique_ptr<trt::IHostMemory> plan(builder->buildSerializedNetwork(*network, *config));
        if (!plan) logger_.fail(failed);
        return plan;
    }

    static trt::IOptimizationProfile* make_profile(trt::IBuilder& builder,
                                                   const trt::INetworkDefinition& network) {
        trt::IOptimizationProfile* profile = builder.createOptimizationProfile();
        for (std::int32_t i = 0; i < network.getNbInputs(); ++i) {
            const trt::ITensor& input = *network.getInput(i);
            for (std::size_t choice = 0; choice < std::size(kSides); ++choice) {
                trt::Dims dims = input.getDimensions();
                for (std::int32_t axis = 0; axis < dims.nbDims; ++axis) {
                    if (dims.d[axis] >= 0) continue;
                    const char* name = input.getDimensionName(axis);
                    dims.d[axis] = dimension(name ? name : "", kSides[choice]);
                }
                profile->setDimensions(input.getName(), kSelectors[choice], dims);
            }
        }
        return profile;
    }

    Logger logger_;
    std::unique_ptr<trt::IRuntime> runtime_;
    cudaStream_t stream_ = nullptr;
};

}  // namespace

std::unique_ptr<Engine> open_engine() {
    return std::make_unique<TensorRtEngine>();
}
