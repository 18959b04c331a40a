#include "codec.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "libcca.hpp"

namespace {

template <typename T>
constexpr ElementType kTypeOf = ElementType::kUint8;
template <>
constexpr ElementType kTypeOf<float> = ElementType::kFloat32;
template <>
constexpr ElementType kTypeOf<std::int32_t> = ElementType::kInt32;

template <typename T>
TensorPtr upload(Engine& engine, const Shape& shape, std::span<const T> values) {
    return engine.upload(kTypeOf<T>, shape, values.data());
}

/// Brings a tensor to the host. Graphs come with the bundle, so what they give is checked.
template <typename T>
std::vector<T> read(const TensorPtr& tensor, const Shape& shape) {
    if (tensor->type != kTypeOf<T> || tensor->shape != shape) {
        throw BadInput("broken bundle: a graph gives a tensor of another type or shape");
    }
    std::vector<T> values(count_elements(shape));
    tensor->read(values.data());
    return values;
}

/// Shapes of the picture with its padding, of its latents and of its hyper-latents.
struct Shapes {
    Shapes(const cca_stream_info& stream, const cca_model_info& model) {
        const std::int64_t height = stream.height + stream.padding.top + stream.padding.bottom;
        const std::int64_t width = stream.width + stream.padding.left + stream.padding.right;
        image = {1, height, width, 3};
        y = {1, model.latent_channels, height / CCA_LATENT_SCALE, width / CCA_LATENT_SCALE};
        z = {1, model.hyper_channels, height / CCA_HYPER_SCALE, width / CCA_HYPER_SCALE};
    }
    Shape image, y, z;
};

/// Table index of each hyper-latent symbol, which is its channel.
std::vector<std::uint16_t> channel_indexes(const Shape& z_shape) {
    std::vector<std::uint16_t> indexes;
    indexes.reserve(count_elements(z_shape));
    for (std::int64_t channel = 0; channel < z_shape[1]; ++channel) {
        indexes.insert(indexes.end(), static_cast<std::size_t>(z_shape[2] * z_shape[3]),
                       static_cast<std::uint16_t>(channel));
    }
    return indexes;
}

/// Symbols as graphs read them: the little-endian bytes of symbol + 32768.
std::vector<std::uint8_t> symbol_bytes(std::span<const std::int32_t> symbols) {
    std::vector<std::uint8_t> bytes;
    bytes.reserve(2 * symbols.size());
    for (const std::int32_t symbol : symbols) {
        const auto shifted = static_cast<std::uint32_t>(symbol + 32'768);
        bytes.push_back(static_cast<std::uint8_t>(shifted));
        bytes.push_back(static_cast<std::uint8_t>(shifted >> 8));
    }
    return bytes;
}

}  // namespace

std::vector<std::uint8_t> Codec::encode(const Picture& picture) {
    cca_stream_info stream{};
    stream.width = picture.width;
    stream.height = picture.height;
    stream.entropy_mode = bundle_.info().entropy_mode;
    std::ranges::copy(bundle_.info().model_id, stream.model_id);
    check(cca_choose_padding(stream.width, stream.height, &stream.padding));

    const Shapes shapes(stream, bundle_.info());
    if (count_elements(shapes.image) / 3 > CCA_DEFAULT_MAX_PIXELS) {
        throw BadInput("the picture has more than " + std::to_string(CCA_DEFAULT_MAX_PIXELS) +
                       " pixels, which decoders refuse");
    }

    // The analysis transform gives the latents y and the symbols of the hyper-latents z.
    const Picture padded = pad(picture, stream.padding);
    const Tensors analysed =
        bundle_.run(bundle_.graph(cca_model_analysis),
                    {{"image", upload<std::uint8_t>(engine_, shapes.image, padded.rgb)}});
    const auto y = read<float>(output(analysed, "y"), shapes.y);
    auto z_symbols = read<std::int32_t>(output(analysed, "z_symbols"), shapes.z);
    for (std::int32_t& symbol : z_symbols) symbol = std::clamp(symbol, -32'768, 32'767);

    const auto encoder = make<Encoder>(cca_rans_encoder_create);
    check(cca_rans_encoder_push_u16(encoder.get(), cca_model_hyper_tables(bundle_.model()),
                                    channel_indexes(shapes.z).data(), z_symbols.data(),
                                    z_symbols.size()));
    const float* latents = y.data();  // of the next group
    run_prior(
        z_symbols, shapes.z,
        [&](const Shape& shape, std::span<const std::uint8_t> indexes, const TensorPtr& means) {
            std::vector<std::int32_t> symbols(indexes.size());
            check(cca_quantise(latents, read<float>(means, shape).data(), symbols.size(),
                               symbols.data()));
            check(cca_rans_encoder_push_u8(encoder.get(),
                                           cca_model_gaussian_tables(bundle_.model()),
                                           indexes.data(), symbols.data(), symbols.size()));
            latents += symbols.size();
            return symbols;
        });

    const auto payload = make<Bytes>(cca_rans_encoder_finish, encoder.get());
    stream.payload = cca_bytes_view(payload.get());
    const auto file = make<Bytes>(cca_stream_write, &stream);
    const cca_view bytes = cca_bytes_view(file.get());
    return {bytes.data, bytes.data + bytes.size};
}

Picture Codec::decode(std::span<const std::uint8_t> file) {
    cca_stream_info stream;
    check(cca_stream_parse(view(file), CCA_DEFAULT_MAX_PIXELS, &stream));
    check(cca_model_check_stream(bundle_.model(), &stream, nullptr));
    if (stream.tiling.window_width != 0) {
        throw BadInput("the picture is in tiles, which this program does not decode: use cca-run");
    }

    // First of all: a damaged payload is best refused before any graph runs.
    const Shapes shapes(stream, bundle_.info());
    const auto decoder = make<Decoder>(cca_rans_decoder_create, stream.payload);
    std::vector<std::int32_t> z_symbols(count_elements(shapes.z));
    check(cca_rans_decoder_pull_u16(decoder.get(), cca_model_hyper_tables(bundle_.model()),
                                    channel_indexes(shapes.z).data(), z_symbols.size(),
                                    z_symbols.data()));
    const TensorPtr y_hat =
        run_prior(z_symbols, shapes.z,
                  [&](const Shape&, std::span<const std::uint8_t> indexes, const TensorPtr&) {
                      std::vector<std::int32_t> symbols(indexes.size());
                      check(cca_rans_decoder_pull_u8(
                          decoder.get(), cca_model_gaussian_tables(bundle_.model()), indexes.data(),
                          symbols.size(), symbols.data()));
                      return symbols;
                  });
    check(cca_rans_decoder_finish(decoder.get()));

    const Tensors synthesised = bundle_.run(bundle_.graph(cca_model_synthesis), {{"y_hat", y_hat}});
    const Picture padded{static_cast<std::uint32_t>(shapes.image[2]),
                         static_cast<std::uint32_t>(shapes.image[1]),
                         read<std::uint8_t>(output(synthesised, "image"), shapes.image)};
    return crop(padded, stream.padding);
}

// Everything the prior graphs see is a function of symbols alone. So running the same graphs gives
// encoder and decoder the same table indexes, and they differ only in where a group's symbols come
// from: the encoder rounds latents against means and writes them, the decoder reads them.
//
//     z symbols -> prior_0 -> means, indexes of group 0 -> coder -> symbols
//                  prior_1 <----------------------------------------'
//                     '-----> means, indexes of group 1 -> coder -> symbols
//                    ...
//                  prior_G -> y_hat
TensorPtr Codec::run_prior(std::span<const std::int32_t> z_symbols, const Shape& z_shape,
                           const CodeGroup& code_group) {
    constexpr std::int64_t kScale = CCA_HYPER_SCALE / CCA_LATENT_SCALE;
    const std::int64_t height = kScale * z_shape[2];
    const std::int64_t width = kScale * z_shape[3];
    std::array<float, 4> factors;
    check(cca_averages(static_cast<std::uint32_t>(height), static_cast<std::uint32_t>(width),
                       factors.data()));
    const TensorPtr averages = upload<float>(engine_, {4}, factors);
    const auto run = [&](std::uint32_t index, Tensors inputs, const Tensors& into = {}) {
        const cca_graph graph = bundle_.graph(cca_model_prior, index);
        if (graph.takes_averages) inputs["averages"] = averages;
        return bundle_.run(graph, inputs, into);
    };

    Tensors state = run(0, {{"z_symbols", upload(engine_, z_shape, z_symbols)}});
    const Tensors known = {{"latent_means", output(state, "latent_means")},
                           {"latent_scales", output(state, "latent_scales")}};
    // Channels first: the groups lie one after the other, and each graph writes its own.
    const TensorPtr y_hat =
        engine_.allocate(ElementType::kFloat32, {bundle_.info().latent_channels, 1, height, width});
    const std::uint32_t groups = bundle_.info().group_count;
    std::int64_t known_channels = 0;
    for (std::uint32_t group = 0; group < groups; ++group) {
        const std::int64_t size = bundle_.info().group_sizes[group];
        const Shape shape = {1, size, height, width};
        const TensorPtr means = output(state, "means");
        const auto indexes = read<std::uint8_t>(output(state, "indexes"), shape);
        const std::vector<std::int32_t> symbols = code_group(shape, indexes, means);
        Tensors inputs = {{"previous_means", means},
                          {"previous_support", output(state, "support")},
                          {"symbols", upload<std::uint8_t>(engine_, {1, size, height, width, 2},
                                                           symbol_bytes(symbols))}};
        if (group + 1 < groups) {
            inputs.insert(known.begin(), known.end());
            if (group > 0) inputs["previous_y_hat"] = engine_.rows(y_hat, 0, known_channels);
        }
        state = run(group + 1, std::move(inputs),
                    {{"y_hat", engine_.rows(y_hat, known_channels, size)}});
        known_channels += size;
    }
    return y_hat;
}
