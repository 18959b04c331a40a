#include "toy_graphs.hpp"

#include <cmath>
#include <cstring>
#include <stdexcept>

namespace cca::test {
namespace {

constexpr std::uint64_t kBlock = 16;  // pixels of a latent, along each side
constexpr std::uint64_t kHyper = 4;   // latents of a hyper-latent

using Sizes = std::map<std::string, std::uint64_t>;

void learn(Sizes& sizes, const std::string& name, std::uint64_t size) {
    if (size == 0 || !sizes.emplace(name, size).second) {
        if (sizes[name] != size) {
            throw std::logic_error("inputs disagree about " + name);
        }
    }
}

// All sizes, out of those that inputs show.
Sizes sizes_of(const ToyGraph& graph, const Tensors& inputs) {
    if (inputs.size() != graph.inputs.size()) {
        throw std::logic_error(graph.name + " takes another number of inputs");
    }
    Sizes sizes;
    for (const ToyPort& port : graph.inputs) {
        const auto found = inputs.find(port.name);
        if (found == inputs.end() || found->second.dtype != port.dtype ||
            found->second.shape.size() != port.shape.size()) {
            throw std::logic_error(graph.name + ": no such input as " + port.name);
        }
        for (std::size_t axis = 0; axis < port.shape.size(); ++axis) {
            learn(sizes, port.shape[axis], found->second.shape[axis]);
        }
    }
    for (const auto& [name, size] : Sizes(sizes)) {
        if (name.find_first_not_of("0123456789") == std::string::npos &&
            size != std::stoull(name)) {
            throw std::logic_error(graph.name + ": a size is not " + name);
        }
    }
    for (const std::string side : {"height", "width"}) {
        std::uint64_t latents = 0;
        if (sizes.contains(side)) {
            latents = sizes[side] / kBlock;
        } else {
            latents = sizes.contains("hyper_" + side) ? sizes["hyper_" + side] * kHyper
                                                      : sizes["latent_" + side];
        }
        learn(sizes, side, latents * kBlock);
        learn(sizes, "latent_" + side, latents);
        learn(sizes, "hyper_" + side, latents / kHyper);
        if (latents % kHyper != 0) {
            throw std::logic_error("a side is no multiple of 64 pixels");
        }
    }
    return sizes;
}

Tensor make_output(const ToyPort& port, const Sizes& sizes) {
    std::vector<std::uint64_t> shape;
    for (const std::string& size : port.shape) {
        const auto found = sizes.find(size);
        shape.push_back(found != sizes.end() ? found->second : std::stoull(size));
    }
    return make_tensor(port.dtype, shape);
}

void set_float(Tensor& tensor, std::uint64_t index, float value) {
    std::memcpy(&tensor.bytes[index * sizeof value], &value, sizeof value);
}

float get_float(const Tensor& tensor, std::uint64_t index) {
    float value = 0;
    std::memcpy(&value, &tensor.bytes[index * sizeof value], sizeof value);
    return value;
}

void set_int(Tensor& tensor, std::uint64_t index, std::int32_t value) {
    std::memcpy(&tensor.bytes[index * sizeof value], &value, sizeof value);
}

// A number for each latent of a batch, and for what lies next to it.
class Plane {
  public:
    explicit Plane(const Sizes& sizes)
        : batch(sizes.at("batch")),
          height(sizes.at("latent_height")),
          width(sizes.at("latent_width")),
          values_(batch * height * width) {}

    std::uint64_t batch;
    std::uint64_t height;
    std::uint64_t width;

    std::int64_t& at(std::uint64_t n, std::uint64_t r, std::uint64_t q) {
        return values_[(n * height + r) * width + q];
    }

    // With weights for the neighbours, which are 0 beyond the edge.
    std::int64_t around(std::uint64_t n, std::uint64_t r, std::uint64_t q) {
        std::int64_t sum = at(n, r, q);
        sum += r > 0 ? 3 * at(n, r - 1, q) : 0;
        sum += q > 0 ? 5 * at(n, r, q - 1) : 0;
        sum += r + 1 < height ? 7 * at(n, r + 1, q) : 0;
        sum += q + 1 < width ? 11 * at(n, r, q + 1) : 0;
        return sum + static_cast<std::int64_t>(5 * height + 3 * width);
    }

  private:
    std::vector<std::int64_t> values_;
};

template <typename Work>
void each_latent(const Plane& plane, Work work) {
    for (std::uint64_t n = 0; n < plane.batch; ++n) {
        for (std::uint64_t r = 0; r < plane.height; ++r) {
            for (std::uint64_t q = 0; q < plane.width; ++q) {
                work(n, r, q);
            }
        }
    }
}

std::uint32_t scramble(std::int64_t value, std::uint64_t more) {
    const auto mixed = static_cast<std::uint32_t>(value) * 2'654'435'761U +
                       static_cast<std::uint32_t>(more) * 40'503U;
    return mixed >> 13;
}

// Sums of a channel over blocks of the picture.
Plane block_sums(const Tensor& image, const Sizes& sizes, std::uint64_t channel) {
    Plane sums(sizes);
    const std::uint64_t width = sums.width * kBlock;
    const std::uint64_t area = sums.height * kBlock * width;
    for (std::uint64_t i = 0; i < sums.batch * area; ++i) {
        const std::uint64_t y = i % area / width;
        sums.at(i / area, y / kBlock, i % width / kBlock) += image.bytes[3 * i + channel];
    }
    return sums;
}

Tensors analyse(const ToyGraph& graph, const Tensor& image, const Sizes& sizes) {
    Tensor y = make_output(graph.outputs[0], sizes);
    Tensor z = make_output(graph.outputs[1], sizes);
    for (std::uint64_t c = 0; c < y.shape[1]; ++c) {
        Plane sums = block_sums(image, sizes, c % 3);
        each_latent(sums, [&](std::uint64_t n, std::uint64_t r, std::uint64_t q) {
            const std::uint64_t index = ((n * y.shape[1] + c) * sums.height + r) * sums.width + q;
            const auto value = scramble(sums.around(n, r, q), c) % 61;
            set_float(y, index, (static_cast<float>(value) - 30) * 0.5F);
        });
    }
    for (std::uint64_t c = 0; c < z.shape[1]; ++c) {
        Plane sums = block_sums(image, sizes, c % 3);
        each_latent(sums, [&](std::uint64_t n, std::uint64_t r, std::uint64_t q) {
            if (r % kHyper == 0 && q % kHyper == 0) {
                const std::uint64_t index =
                    ((n * z.shape[1] + c) * z.shape[2] + r / kHyper) * z.shape[3] + q / kHyper;
                set_int(z, index,
                        static_cast<std::int32_t>(scramble(sums.around(n, r, q), c) % 9) - 4);
            }
        });
    }
    return {{graph.outputs[0].name, y}, {graph.outputs[1].name, z}};
}

Tensors synthesise(const ToyGraph& graph, const Tensor& y_hat, const Sizes& sizes) {
    Plane sums(sizes);
    each_latent(sums, [&](std::uint64_t n, std::uint64_t r, std::uint64_t q) {
        for (std::uint64_t c = 0; c < y_hat.shape[0]; ++c) {
            const std::uint64_t index = ((c * sums.batch + n) * sums.height + r) * sums.width + q;
            sums.at(n, r, q) += static_cast<std::int64_t>(2 * c + 1) * y_hat.integer(index);
        }
    });
    Tensor image = make_output(graph.outputs[0], sizes);
    const std::uint64_t width = sums.width * kBlock;
    const std::uint64_t area = sums.height * kBlock * width;
    for (std::uint64_t i = 0; i < sums.batch * area; ++i) {
        const std::uint64_t y = i % area / width;
        const std::uint64_t x = i % width;
        const std::int64_t value = 7 * sums.around(i / area, y / kBlock, x / kBlock) +
                                   static_cast<std::int64_t>(5 * (y % kBlock) + 3 * (x % kBlock));
        for (std::uint64_t c = 0; c < 3; ++c) {
            image.bytes[3 * i + c] = static_cast<std::uint8_t>(value + 11 * std::int64_t(c));
        }
    }
    return {{graph.outputs[0].name, image}};
}

// The symbol of uint8 [N, C, h, w, 2].
std::int64_t symbol_at(const Tensor& symbols, std::uint64_t index) {
    return symbols.bytes[2 * index] + 256 * std::int64_t{symbols.bytes[2 * index + 1]} - 32'768;
}

// What an input of a prior graph has for a latent.
std::int64_t value_at(const std::string& name, const Tensor& input, std::uint64_t n,
                      std::uint64_t c, std::uint64_t r, std::uint64_t q) {
    const auto& shape = input.shape;
    if (name == "averages") {
        return input.integer(2) + std::lround(1'000 * input.integer(0));
    }
    if (name == "step") {
        return input.integer(0);
    }
    if (name == "z_symbols") {
        return input.integer(((n * shape[1] + c) * shape[2] + r / kHyper) * shape[3] + q / kHyper);
    }
    if (name == "previous_y_hat") {  // channels first
        return input.integer(((c * shape[1] + n) * shape[2] + r) * shape[3] + q);
    }
    const std::uint64_t index = ((n * shape[1] + c) * shape[2] + r) * shape[3] + q;
    return name == "symbols" ? symbol_at(input, index) : input.integer(index);
}

Plane mix_inputs(const ToyGraph& graph, const Tensors& inputs, const Sizes& sizes) {
    Plane mixed(sizes);
    std::int64_t weight = 0;
    for (const ToyPort& port : graph.inputs) {
        weight += 31;
        const Tensor& input = inputs.at(port.name);
        const std::uint64_t channels = port.name == "averages" || port.name == "step"
                                           ? 1
                                           : input.shape[port.name == "previous_y_hat" ? 0 : 1];
        each_latent(mixed, [&](std::uint64_t n, std::uint64_t r, std::uint64_t q) {
            for (std::uint64_t c = 0; c < channels; ++c) {
                mixed.at(n, r, q) += (weight + 7 * static_cast<std::int64_t>(c)) *
                                     value_at(port.name, input, n, c, r, q);
            }
        });
    }
    return mixed;
}

Tensors predict(const ToyGraph& graph, const Tensors& inputs, const Sizes& sizes) {
    Plane mixed = mix_inputs(graph, inputs, sizes);
    Tensors outputs;
    std::uint64_t number = 0;
    for (const ToyPort& port : graph.outputs) {
        Tensor output = make_output(port, sizes);
        const bool y_hat = port.name == "y_hat";
        const std::uint64_t channels = output.shape[y_hat ? 0 : 1];
        ++number;
        each_latent(mixed, [&](std::uint64_t n, std::uint64_t r, std::uint64_t q) {
            const std::int64_t around = mixed.around(n, r, q);
            for (std::uint64_t c = 0; c < channels; ++c) {
                const std::uint32_t value = scramble(around, 100 * number + c);
                const std::uint64_t plane = y_hat ? c * mixed.batch + n : n * channels + c;
                const std::uint64_t place = (plane * mixed.height + r) * mixed.width + q;
                if (port.dtype == CCA_UINT8) {
                    output.bytes[place] = static_cast<std::uint8_t>(value % 10);
                    continue;
                }
                float result = (static_cast<float>(value % 33) - 16) * 0.25F;
                if (y_hat) {
                    const std::uint64_t own =
                        ((n * channels + c) * mixed.height + r) * mixed.width + q;
                    const auto step = inputs.find("step");
                    result += static_cast<float>(symbol_at(inputs.at("symbols"), own)) *
                              (step == inputs.end() ? 1 : get_float(step->second, 0));
                }
                set_float(output, place, result);
            }
        });
        outputs.emplace(port.name, std::move(output));
    }
    return outputs;
}

}  // namespace

std::uint64_t dtype_size(cca_dtype dtype) {
    return dtype == CCA_UINT8 ? 1 : 4;
}

std::uint64_t Tensor::elements() const {
    std::uint64_t product = 1;
    for (const std::uint64_t size : shape) {
        product *= size;
    }
    return product;
}

std::int64_t Tensor::integer(std::uint64_t index) const {
    if (dtype == CCA_UINT8) {
        return bytes[index];
    }
    if (dtype == CCA_INT32) {
        std::int32_t value = 0;
        std::memcpy(&value, &bytes[index * sizeof value], sizeof value);
        return value;
    }
    return std::lround(128 * get_float(*this, index));
}

Tensor make_tensor(cca_dtype dtype, std::vector<std::uint64_t> shape) {
    Tensor tensor{dtype, std::move(shape), {}};
    tensor.bytes.resize(tensor.elements() * dtype_size(dtype));
    return tensor;
}

Tensors run_toy(const ToyGraph& graph, const Tensors& inputs) {
    const Sizes sizes = sizes_of(graph, inputs);
    if (graph.name == "analysis") {
        return analyse(graph, inputs.at("image"), sizes);
    }
    if (graph.name == "synthesis") {
        return synthesise(graph, inputs.at("y_hat"), sizes);
    }
    return predict(graph, inputs, sizes);
}

}  // namespace cca::test
