#include "machine_runs.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <random>
#include <thread>

#include "format/container.hpp"

namespace cca::test {
namespace {

constexpr std::size_t kPixelBytes = 3;

void drive_worker(FakeHost& host, std::uint32_t worker, const Next& next) {
    const cca_step* step = nullptr;
    for (succeed(next(worker, &step)); step->kind != CCA_STEP_DONE; succeed(next(worker, &step))) {
        host.do_step(*step);
    }
    succeed(next(worker, &step));
    if (step->kind != CCA_STEP_DONE || !host.empty()) {
        throw std::logic_error("the last step is not the last, or tensors are left");
    }
}

}  // namespace

void succeed(cca_status status) {
    if (status != CCA_OK) {
        throw Failure(status, cca_last_error());
    }
}

Picture make_picture(std::uint32_t width, std::uint32_t height, unsigned seed) {
    std::mt19937 generator(seed);
    Picture picture{width, height, Bytes(std::size_t{width} * height * kPixelBytes), {}};
    std::ranges::generate(picture.pixels, [&] { return static_cast<std::uint8_t>(generator()); });
    return picture;
}

Picture crop(const Picture& picture, const cca_region& region) {
    Picture part{region.width, region.height, {}, picture.icc};
    for (std::uint32_t row = 0; row < region.height; ++row) {
        const auto first =
            picture.pixels.begin() +
            std::ptrdiff_t((std::size_t{region.y + row} * picture.width + region.x) * kPixelBytes);
        part.pixels.insert(part.pixels.end(), first,
                           first + std::ptrdiff_t(region.width * kPixelBytes));
    }
    return part;
}

cca_picture view(const Picture& picture) {
    cca_picture found{};
    found.pixels = picture.pixels.data();
    found.width = picture.width;
    found.height = picture.height;
    found.icc = view(picture.icc);
    return found;
}

std::vector<Bytes> payloads_of(const Bytes& stream) {
    const cca::ParsedStream parsed = cca::parse_stream(stream);
    cca::BytesView rest = parsed.payload;
    const auto& tiling = parsed.info.tiling;
    std::vector<Bytes> payloads;
    for (const std::size_t size :
         tiling ? tiling->tile_sizes
                : std::vector<std::uint32_t>{static_cast<std::uint32_t>(rest.size())}) {
        payloads.emplace_back(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(size));
        rest = rest.subspan(size);
    }
    return payloads;
}

Bytes with_payloads(const Bytes& stream, const std::vector<Bytes>& payloads) {
    cca::StreamInfo info = cca::parse_stream(stream).info;
    Bytes all;
    for (std::size_t i = 0; i < payloads.size(); ++i) {
        all.insert(all.end(), payloads[i].begin(), payloads[i].end());
        if (info.tiling) {
            info.tiling->tile_sizes.at(i) = static_cast<std::uint32_t>(payloads[i].size());
        }
    }
    return cca::write_stream(info, all);
}

cca_encode_options encode_options() {
    cca_encode_options options{};
    options.struct_size = sizeof options;
    return options;
}

cca_decode_options decode_options() {
    cca_decode_options options{};
    options.struct_size = sizeof options;
    return options;
}

std::vector<FakeHost> drive(const ToyFamily& family, std::uint32_t workers, const Next& next) {
    std::vector<FakeHost> hosts(workers, FakeHost(family));
    if (workers == 1) {
        drive_worker(hosts.front(), 0, next);
        return hosts;
    }
    std::vector<std::exception_ptr> errors(workers);
    std::vector<std::thread> threads;
    for (std::uint32_t worker = 0; worker < workers; ++worker) {
        threads.emplace_back([&, worker] {
            try {
                drive_worker(hosts[worker], worker, next);
            } catch (...) {
                errors[worker] = std::current_exception();
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    for (const std::exception_ptr& error : errors) {
        if (error) {
            std::rethrow_exception(error);
        }
    }
    return hosts;
}

OwnedEncoderMachine Codec::encoder(const std::vector<Picture>& pictures,
                                   const cca_encode_options& options) const {
    std::vector<cca_picture> views;
    for (const Picture& picture : pictures) {
        views.push_back(view(picture));
    }
    cca_encoder* encoder = nullptr;
    succeed(cca_encoder_create(model_.get(), views.data(), views.size(), &options, &encoder));
    return OwnedEncoderMachine(encoder);
}

OwnedDecoderMachine Codec::decoder(const std::vector<Bytes>& streams,
                                   const cca_decode_options& options) const {
    std::vector<cca_view> views;
    for (const Bytes& stream : streams) {
        views.push_back(view(stream));
    }
    cca_decoder* decoder = nullptr;
    succeed(cca_decoder_create(model_.get(), views.data(), views.size(), &options, &decoder));
    return OwnedDecoderMachine(decoder);
}

Encoded Codec::encode(const std::vector<Picture>& pictures,
                      const cca_encode_options& options) const {
    const OwnedEncoderMachine machine = encoder(pictures, options);
    Encoded encoded;
    encoded.hosts = drive(family_, std::max(options.workers, 1U),
                          [&](std::uint32_t worker, const cca_step** step) {
                              return cca_encoder_next(machine.get(), worker, step);
                          });
    for (std::size_t i = 0; i < pictures.size(); ++i) {
        cca_view bytes{};
        succeed(cca_encoder_stream(machine.get(), i, &bytes));
        encoded.streams.emplace_back(bytes.data, bytes.data + bytes.size);
        if (options.reconstruct != 0) {
            succeed(cca_encoder_reconstruction(machine.get(), i, &bytes));
            encoded.reconstructions.emplace_back(bytes.data, bytes.data + bytes.size);
        }
    }
    return encoded;
}

Decoded Codec::decode(const std::vector<Bytes>& streams, const cca_decode_options& options) const {
    const OwnedDecoderMachine machine = decoder(streams, options);
    Decoded decoded;
    decoded.hosts = drive(family_, std::max(options.workers, 1U),
                          [&](std::uint32_t worker, const cca_step** step) {
                              return cca_decoder_next(machine.get(), worker, step);
                          });
    for (std::size_t i = 0; i < streams.size(); ++i) {
        cca_picture found{};
        succeed(cca_decoder_picture(machine.get(), i, &found));
        const std::size_t bytes = std::size_t{found.width} * found.height * kPixelBytes;
        decoded.pictures.push_back({found.width, found.height,
                                    Bytes(found.pixels, found.pixels + bytes),
                                    Bytes(found.icc.data, found.icc.data + found.icc.size)});
    }
    return decoded;
}

Bytes Codec::stream_of(const Picture& picture, std::uint32_t tile_side) const {
    cca_encode_options options = encode_options();
    options.tile_side = tile_side;
    return encode({picture}, options).streams.front();
}

}  // namespace cca::test
