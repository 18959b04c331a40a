#include "reference_codec.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "codec/averages.hpp"

namespace cca::test {
namespace {

constexpr int kLatent = 16;
constexpr int kHyper = 64;
constexpr int kHalo = 64;
constexpr int kFade = 16;

// Pixels of the padded picture.
struct Box {
    int left, top, right, bottom;

    int width() const { return right - left; }
    int height() const { return bottom - top; }
    Box around(int pixels, const Box& limit) const {
        return {std::max(left - pixels, limit.left), std::max(top - pixels, limit.top),
                std::min(right + pixels, limit.right), std::min(bottom + pixels, limit.bottom)};
    }
};

std::vector<Box> cells(const Box& picture, int width, int height) {
    std::vector<Box> found;
    for (int top = 0; top < picture.bottom; top += height) {
        for (int left = 0; left < picture.right; left += width) {
            found.push_back({left, top, std::min(left + width, picture.right),
                             std::min(top + height, picture.bottom)});
        }
    }
    return found;
}

// Planes of whole numbers or of floats over a box; `stride` pixels are an element.
struct Planes {
    Planes(const Box& covered, int pixels, int count)
        : box(covered),
          stride(pixels),
          channels(count),
          values(static_cast<std::size_t>(count) * width() * height()) {}

    std::size_t width() const { return static_cast<std::size_t>(box.width() / stride); }
    std::size_t height() const { return static_cast<std::size_t>(box.height() / stride); }

    // By the row and column of the whole picture.
    float& at(int channel, int row, int column) {
        return values[(static_cast<std::size_t>(channel) * height() +
                       static_cast<std::size_t>(row - box.top / stride)) *
                          width() +
                      static_cast<std::size_t>(column - box.left / stride)];
    }

    Box box;
    int stride;
    int channels;
    std::vector<float> values;
};

template <typename Work>
void each(const Box& box, int stride, Work work) {
    for (int row = box.top / stride; row < box.bottom / stride; ++row) {
        for (int column = box.left / stride; column < box.right / stride; ++column) {
            work(row, column);
        }
    }
}

Tensor run_one(const ToyGraph& graph, Tensor input, const char* output) {
    return run_toy(graph, {{graph.inputs.front().name, std::move(input)}}).at(output);
}

// Tensors of one picture or tile have the planes' layout, whichever of batch and channels is first.
void from_tensor(const Tensor& tensor, Planes& planes) {
    for (std::size_t i = 0; i < planes.values.size(); ++i) {
        const auto value = static_cast<float>(tensor.integer(i));
        planes.values[i] = tensor.dtype == CCA_FLOAT32 ? value / 128 : value;
    }
}

class Coder {
  public:
    Coder(const Codec& codec, const Picture& picture, const cca_stream_info& info)
        : codec_(codec), source_(picture), info_(info) {
        const auto& padding = info.padding;
        step_ =
            static_cast<float>(std::lround(128 * std::pow(256 / 0.11, info.step / 504.0))) / 128;
        picture_ = {0, 0, static_cast<int>(info.width + padding.left + padding.right),
                    static_cast<int>(info.height + padding.top + padding.bottom)};
        const cca_tiling& tiling = info.tiling;
        const bool tiled = tiling.window_width != 0;
        const int width = tiled ? static_cast<int>(tiling.window_width) : picture_.right;
        const int height = tiled ? static_cast<int>(tiling.window_height) : picture_.bottom;
        windows_ = cells(picture_, width, height);
        tiles_ = cells(picture_, tiled ? width * static_cast<int>(tiling.columns) : width,
                       tiled ? height * static_cast<int>(tiling.rows) : height);
    }

    Reference run() {
        const int channels = static_cast<int>(codec_.family().latent_channels);
        Planes y(picture_, kLatent, channels);
        Planes z(picture_, kHyper, static_cast<int>(codec_.family().hyper_channels));
        for (const Box& window : windows_) {
            analyse(window, y, z);
        }
        Planes y_hat(picture_, kLatent, channels);
        Reference reference;
        for (const Box& tile : tiles_) {
            reference.payloads.push_back(code_tile(tile, y, z, y_hat));
        }
        reference.picture = paint(y_hat);
        return reference;
    }

  private:
    Tensor padded(const Box& seen) const {
        Tensor image = make_tensor(CCA_UINT8, {1, static_cast<std::uint64_t>(seen.height()),
                                               static_cast<std::uint64_t>(seen.width()), 3});
        std::size_t place = 0;
        each(seen, 1, [&](int row, int column) {
            const int y =
                std::clamp(row - info_.padding.top, 0, static_cast<int>(source_.height) - 1);
            const int x =
                std::clamp(column - info_.padding.left, 0, static_cast<int>(source_.width) - 1);
            const std::size_t from =
                3 * (static_cast<std::size_t>(y) * source_.width + static_cast<std::size_t>(x));
            std::copy_n(&source_.pixels[from], 3, &image.bytes[place]);
            place += 3;
        });
        return image;
    }

    void analyse(const Box& window, Planes& y, Planes& z) const {
        const Box seen = window.around(kHalo, picture_);
        const Tensors given = run_toy(codec_.family().analysis, {{"image", padded(seen)}});
        Planes own_y(seen, kLatent, y.channels);
        Planes own_z(seen, kHyper, z.channels);
        from_tensor(given.at("y"), own_y);
        from_tensor(given.at("z_symbols"), own_z);
        for (int c = 0; c < y.channels; ++c) {
            each(window, kLatent, [&](int r, int q) { y.at(c, r, q) = own_y.at(c, r, q); });
        }
        for (int c = 0; c < z.channels; ++c) {
            each(window, kHyper, [&](int r, int q) { z.at(c, r, q) = own_z.at(c, r, q); });
        }
    }

    // The position in a tile that stands for one which may be beyond its edge.
    static int reflect(int position, int first, int end) {
        return position < first ? 2 * first - 1 - position
               : position < end ? position
                                : 2 * end - 1 - position;
    }

    // Calls `set(row, column, inner row, inner column)` for all of the extended tile.
    template <typename Set>
    static void mirror(const Box& extended, const Box& tile, int stride, Set set) {
        each(extended, stride, [&](int r, int q) {
            set(r, q, reflect(r, tile.top / stride, tile.bottom / stride),
                reflect(q, tile.left / stride, tile.right / stride));
        });
    }

    Bytes code_tile(const Box& tile, Planes& y, Planes& z, Planes& y_hat) {
        cca_rans_encoder* created = nullptr;
        succeed(cca_rans_encoder_create(&created));
        const OwnedEncoder encoder(created);
        const Box extended = tile.around(kHyper, picture_);
        const auto size = [&](int stride, bool across) {
            return static_cast<std::uint64_t>((across ? extended.width() : extended.height()) /
                                              stride);
        };
        const std::uint64_t height = size(kLatent, false);
        const std::uint64_t width = size(kLatent, true);

        Tensors known;
        known["z_symbols"] = make_tensor(CCA_INT32, {1, static_cast<std::uint64_t>(z.channels),
                                                     size(kHyper, false), size(kHyper, true)});
        std::vector<std::uint16_t> tables;
        std::vector<std::int32_t> symbols;
        std::size_t place = 0;
        for (int c = 0; c < z.channels; ++c) {
            each(tile, kHyper, [&](int r, int q) {
                tables.push_back(static_cast<std::uint16_t>(c));
                symbols.push_back(static_cast<std::int32_t>(z.at(c, r, q)));
            });
            mirror(extended, tile, kHyper, [&](int, int, int r, int q) {
                const auto symbol = static_cast<std::int32_t>(z.at(c, r, q));
                std::memcpy(&known["z_symbols"].bytes[4 * place++], &symbol, 4);
            });
        }
        succeed(cca_rans_encoder_push_u16(encoder.get(), cca_model_hyper_tables(codec_.model()),
                                          tables.data(), symbols.data(), symbols.size()));
        known["step"] = make_tensor(CCA_FLOAT32, {1});
        std::memcpy(known["step"].bytes.data(), &step_, sizeof step_);
        known["averages"] = make_tensor(CCA_FLOAT32, {4});
        const auto averages = cca::average_factors(static_cast<std::uint32_t>(height),
                                                   static_cast<std::uint32_t>(width));
        std::memcpy(known["averages"].bytes.data(), averages.data(), sizeof averages);

        Tensor all = make_tensor(CCA_FLOAT32, {0, 1, height, width});
        int first = 0;
        Planes coded(tile, kLatent, y.channels);  // symbols
        const auto& coding = codec_.family().coding;
        for (std::size_t i = 0; i < coding.size(); ++i) {
            const ToyGraph& graph = codec_.family().priors[i];
            Tensors inputs;
            for (const ToyPort& port : graph.inputs) {
                inputs[port.name] = port.name == "previous_y_hat" ? all : known.at(port.name);
            }
            std::erase_if(known, [](const auto& tensor) {
                return tensor.first.starts_with("previous_") || tensor.first == "symbols";
            });
            for (auto& [name, tensor] : run_toy(graph, inputs)) {
                if (name == "y_hat") {
                    all.shape[0] += tensor.shape[0];
                    all.bytes.insert(all.bytes.end(), tensor.bytes.begin(), tensor.bytes.end());
                } else {
                    known["previous_" + name] = tensor;
                    known[name] = std::move(tensor);
                }
            }
            if (coding[i].channels == 0) {
                continue;
            }
            const int count = static_cast<int>(coding[i].channels);
            known["symbols"] = code_group(tile, extended, first, count, coding[i].positions, y,
                                          coded, known, encoder.get());
            first += coding[i].positions == "even" ? 0 : count;
        }
        Planes outer(extended, kLatent, y.channels);
        from_tensor(all, outer);
        for (int c = 0; c < y.channels; ++c) {
            each(tile, kLatent, [&](int r, int q) { y_hat.at(c, r, q) = outer.at(c, r, q); });
        }
        cca_bytes* payload = nullptr;
        succeed(cca_rans_encoder_finish(encoder.get(), &payload));
        const OwnedBytes owned(payload);
        const cca_view bytes = cca_bytes_view(payload);
        return {bytes.data, bytes.data + bytes.size};
    }

    Tensor code_group(const Box& tile, const Box& extended, int first, int count,
                      const std::string& positions, Planes& y, Planes& coded, const Tensors& known,
                      cca_rans_encoder* encoder) {
        Planes means(extended, kLatent, count);
        Planes indexes(extended, kLatent, count);
        from_tensor(known.at("means"), means);
        from_tensor(known.at("indexes"), indexes);
        std::vector<std::uint8_t> tables;
        std::vector<std::int32_t> symbols;
        for (int c = 0; c < count; ++c) {
            each(tile, kLatent, [&](int r, int q) {
                // Rows and columns of the tile, from its own corner on.
                const int parity = (r - tile.top / kLatent + q - tile.left / kLatent) % 2;
                if (positions == (parity == 0 ? "odd" : "even")) {
                    return;
                }
                const float rounded =
                    std::nearbyint((y.at(first + c, r, q) - means.at(c, r, q)) / step_);
                coded.at(first + c, r, q) = std::clamp(rounded, -32'768.0F, 32'767.0F);
                symbols.push_back(static_cast<std::int32_t>(coded.at(first + c, r, q)));
                tables.push_back(table_of(indexes.at(c, r, q)));
            });
        }
        succeed(cca_rans_encoder_push_u8(encoder, cca_model_gaussian_tables(codec_.model()),
                                         tables.data(), symbols.data(), symbols.size()));
        Tensor bytes = make_tensor(
            CCA_UINT8, {1, static_cast<std::uint64_t>(count), means.height(), means.width(), 2});
        std::size_t place = 0;
        for (int c = 0; c < count; ++c) {
            mirror(extended, tile, kLatent, [&](int, int, int r, int q) {
                const int shifted = static_cast<int>(coded.at(first + c, r, q)) + 32'768;
                bytes.bytes[place++] = static_cast<std::uint8_t>(shifted % 256);
                bytes.bytes[place++] = static_cast<std::uint8_t>(shifted / 256);
            });
        }
        return bytes;
    }

    // Of a scale in half places, divided by the step: the next table that is no smaller.
    std::uint8_t table_of(float index) const {
        const double halves = index - kToySmallestScale - std::floor((info_.step + 2) / 4.0);
        const auto last =
            static_cast<double>(cca_tables_count(cca_model_gaussian_tables(codec_.model()))) - 1;
        return static_cast<std::uint8_t>(std::clamp(std::ceil(halves / 2), 0.0, last));
    }

    // Of 64, along one axis, `seams` being whether the picture goes on before and behind a window.
    static int weight(int position, int begin, int end, bool goes_on_before, bool goes_on_behind) {
        if (goes_on_before && position < begin + kFade) {
            return std::max(0, 2 * (position - begin) + 33);
        }
        if (goes_on_behind && position >= end - kFade) {
            return std::max(0, 64 - (2 * (position - end) + 33));
        }
        return position < begin || position >= end ? 0 : 64;
    }

    Picture paint(Planes& y_hat) const {
        std::vector<std::uint32_t> sums(static_cast<std::size_t>(picture_.right) *
                                        static_cast<std::size_t>(picture_.bottom) * 3);
        for (const Box& window : windows_) {
            const Box seen = window.around(kHalo, picture_);
            Planes latents(seen, kLatent, y_hat.channels);
            Tensor input = make_tensor(CCA_FLOAT32, {static_cast<std::uint64_t>(y_hat.channels), 1,
                                                     latents.height(), latents.width()});
            for (int c = 0; c < y_hat.channels; ++c) {
                each(seen, kLatent, [&](int r, int q) { latents.at(c, r, q) = y_hat.at(c, r, q); });
            }
            std::memcpy(input.bytes.data(), latents.values.data(), input.bytes.size());
            const Tensor image = run_one(codec_.family().synthesis, std::move(input), "image");
            std::size_t from = 0;
            each(seen, 1, [&](int row, int column) {
                const int across = weight(column, window.left, window.right, window.left > 0,
                                          window.right < picture_.right);
                const int down = weight(row, window.top, window.bottom, window.top > 0,
                                        window.bottom < picture_.bottom);
                const std::size_t to =
                    3 * (static_cast<std::size_t>(row) * static_cast<std::size_t>(picture_.right) +
                         static_cast<std::size_t>(column));
                for (std::size_t k = 0; k < 3; ++k) {
                    sums[to + k] += image.bytes[from++] * static_cast<std::uint32_t>(across * down);
                }
            });
        }
        Picture whole{static_cast<std::uint32_t>(picture_.right),
                      static_cast<std::uint32_t>(picture_.bottom),
                      {},
                      source_.icc};
        for (const std::uint32_t sum : sums) {
            whole.pixels.push_back(static_cast<std::uint8_t>((sum + 2'048) / 4'096));
        }
        return crop(whole, {info_.padding.left, info_.padding.top, info_.width, info_.height});
    }

    const Codec& codec_;
    const Picture& source_;
    cca_stream_info info_;
    float step_ = 1;
    Box picture_{};
    std::vector<Box> windows_;
    std::vector<Box> tiles_;
};

}  // namespace

Reference reference_codec(const Codec& codec, const Picture& picture, const Bytes& stream) {
    cca_stream_info info{};
    succeed(cca_stream_parse(view(stream), nullptr, &info));
    return Coder(codec, picture, info).run();
}

}  // namespace cca::test
