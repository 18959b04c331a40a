#include "codec/prior.hpp"

#include <algorithm>
#include <vector>

#include "codec/averages.hpp"
#include "format/latents_digest.hpp"
#include "geometry/grid.hpp"

namespace cca {
namespace {

constexpr std::int32_t kSymbolShift = 1 << 15;
constexpr std::size_t kSymbolBytes = 2;

// Mirrors planes into a buffer that a host can read.
template <typename T>
Buffer extend(const Mirroring& mirroring, std::size_t scale, const PlaneSize& size,
              std::span<const T> inner) {
    Buffer extended =
        make_buffer<T>(inner.size() / size.area() * mirroring.extended(size, scale).area());
    extend_planes(mirroring, scale, size, inner, extended.as<T>());
    return extended;
}

// The planes without what is mirrored; `scratch` is used only if there is any.
template <typename T>
std::span<const T> inner(const Mirroring& mirroring, const PlaneSize& size, Buffer& extended,
                         Buffer& scratch) {
    const std::span<T> all = extended.as<T>();
    if (mirroring.none()) {
        return all;
    }
    const PlaneSize outer = mirroring.extended(size, kLatentsPerHyper);
    scratch = make_buffer<T>(all.size() / outer.area() * size.area());
    inner_planes<T>(mirroring, kLatentsPerHyper, size, all, scratch.as<T>());
    return scratch.as<T>();
}

// Symbols as graphs read them: the bytes of symbol + 32768, the lower one first. Accelerators have
// no 16-bit integers.
Buffer symbol_bytes(const Mirroring& mirroring, const PlaneSize& size,
                    std::span<const std::int32_t> symbols) {
    std::vector<std::uint16_t> shifted(symbols.size());
    for (std::size_t i = 0; i < symbols.size(); ++i) {
        const auto value = static_cast<std::uint32_t>(symbols[i] + kSymbolShift);
        std::uint8_t bytes[kSymbolBytes] = {static_cast<std::uint8_t>(value),
                                            static_cast<std::uint8_t>(value >> 8)};
        std::memcpy(&shifted[i], bytes, kSymbolBytes);
    }
    return extend<std::uint16_t>(mirroring, kLatentsPerHyper, size, shifted);
}

// The state of one run of a plan: which slot holds which value.
class Run {
  public:
    Run(const Manifest& manifest, Slots& slots, const Part& part)
        : manifest_(manifest),
          plan_(manifest.plan),
          slots_(slots),
          part_(part),
          size_(part.extended()),
          slot_of_(plan_.values) {}

    Steps run(std::span<const std::int32_t> z_symbols, GroupCoder& coder, SlotId& y_hat) {
        Buffer extended = extend(part_.mirroring, 1, part_.hyper, z_symbols);
        Step step = slots_.upload(
            DType::kInt32,
            {size_.batch, plan_.hyper_channels, size_.hyper_height(), size_.hyper_width()},
            std::move(extended));
        slot_of_[CodingPlan::kHyperSymbols] = step.slot;
        co_yield step;
        if (plan_.takes_averages) {
            step = upload_averages();
            co_yield step;
        }
        if (plan_.takes_step) {
            step = upload_step();
            co_yield step;
        }
        // Channels first: groups lie one after the other, so each graph writes its own rows.
        step = slots_.allocate(DType::kFloat32, {plan_.latent_channels, size_.batch,
                                                 size_.latent_height(), size_.latent_width()});
        slot_of_[CodingPlan::kYHat] = y_hat = step.slot;
        co_yield step;
        for (const Pass& pass : plan_.passes) {
            co_await run_graph(pass);
            if (pass.coded) {
                co_await code_group(*pass.coded, coder);
            }
            co_await free(pass.free_after_coding);
        }
        if (plan_.takes_averages) {
            co_yield slots_.free(slot_of_[CodingPlan::kAverages]);
        }
        if (plan_.takes_step) {
            co_yield slots_.free(slot_of_[CodingPlan::kStep]);
        }
    }

  private:
    Step upload_averages() {
        const auto factors = average_factors(size_.latent_height(), size_.latent_width());
        Buffer content = make_buffer<float>(factors.size());
        std::ranges::copy(factors, content.as<float>().begin());
        Step step = slots_.upload(DType::kFloat32, {factors.size()}, std::move(content));
        slot_of_[CodingPlan::kAverages] = step.slot;
        return step;
    }

    Step upload_step() {
        Buffer content = make_buffer<float>(1);
        content.as<float>().front() = part_.step.value();
        Step step = slots_.upload(DType::kFloat32, {1}, std::move(content));
        slot_of_[CodingPlan::kStep] = step.slot;
        return step;
    }

    Binding bind(const PlanBinding& from) const {
        Binding binding{from.port->name, slot_of_[from.value], from.port->dtype,
                        shape_of(*from.port, size_)};
        if (from.rows) {
            binding.rows = true;
            binding.first_row = from.rows->first;
        }
        return binding;
    }

    Steps run_graph(const Pass& pass) {
        std::vector<Binding> inputs;
        for (const PlanBinding& input : pass.inputs) {
            inputs.push_back(bind(input));
        }
        std::vector<Binding> outputs;
        for (const PlanBinding& output : pass.outputs) {
            if (!output.rows) {
                const Shape shape = shape_of(*output.port, size_);
                slot_of_[output.value] =
                    slots_.take(shape.elements() * size_of(output.port->dtype));
            }
            outputs.push_back(bind(output));
        }
        Step step;
        step.kind = StepKind::kRun;
        step.graph = manifest_.prior_index(pass.prior);
        step.inputs = inputs;
        step.outputs = outputs;
        co_yield step;
        co_await free(pass.free_after_run);
    }

    Steps code_group(const CodedGroup& group, GroupCoder& coder) {
        const PlaneSize size = part_.latents();
        const Shape shape{size_.batch, group.channels.count, size_.latent_height(),
                          size_.latent_width()};
        Buffer indexes;
        co_yield Slots::download(slot_of_[group.indexes], DType::kUint8, shape, indexes);
        Buffer means;
        if (coder.reads_means()) {
            co_yield Slots::download(slot_of_[group.means], DType::kFloat32, shape, means);
        }
        // What the pass before has coded of these channels is completed.
        if (group.positions != Positions::kOdd) {
            symbols_.assign(std::size_t{part_.batch} * group.channels.count * size.area(), 0);
        }
        Buffer inner_indexes;
        Buffer inner_means;
        coder.code(group, inner<std::uint8_t>(part_.mirroring, size, indexes, inner_indexes),
                   inner<float>(part_.mirroring, size, means, inner_means), symbols_);
        Shape bytes_shape = shape;
        bytes_shape.push_back(kSymbolBytes);
        const Step step = slots_.upload(DType::kUint8, bytes_shape,
                                        symbol_bytes(part_.mirroring, size, symbols_));
        slot_of_[group.symbols] = step.slot;
        co_yield step;
    }

    Steps free(const std::vector<ValueId>& values) {
        for (const ValueId value : values) {
            const Step step = slots_.free(slot_of_[value]);
            co_yield step;
        }
    }

    const Manifest& manifest_;
    const CodingPlan& plan_;
    Slots& slots_;
    Part part_;
    PartSize size_;
    std::vector<SlotId> slot_of_;
    std::vector<std::int32_t> symbols_;
};

}  // namespace

PlaneSize hyper_size(const Box& box) noexcept {
    return {box.height() / kHyperStride, box.width() / kHyperStride};
}

PlaneSize Part::latents() const noexcept {
    return {hyper.height * kLatentsPerHyper, hyper.width * kLatentsPerHyper};
}

PartSize Part::extended() const noexcept {
    const PlaneSize outer = mirroring.extended(hyper, 1);
    return {batch, static_cast<std::uint32_t>(outer.width * kHyperStride),
            static_cast<std::uint32_t>(outer.height * kHyperStride)};
}

Steps run_prior(const Manifest& manifest, Slots& slots, const Part& part,
                std::span<const std::int32_t> z_symbols, GroupCoder& coder, SlotId& y_hat) {
    Run run(manifest, slots, part);
    co_await run.run(z_symbols, coder, y_hat);
}

Steps fetch_latents(const Manifest& manifest, Slots& slots, const Part& part, SlotId y_hat,
                    Buffer& latents) {
    const PartSize size = part.extended();
    Buffer extended;
    const Step download = Slots::download(
        y_hat, DType::kFloat32,
        {manifest.latent_channels, size.batch, size.latent_height(), size.latent_width()},
        extended);
    co_yield download;
    const Step free = slots.free(y_hat);
    co_yield free;
    if (part.mirroring.none()) {
        latents = std::move(extended);
        co_return;
    }
    latents = make_buffer<float>(manifest.latent_channels * part.batch * part.latents().area());
    inner_planes<float>(part.mirroring, kLatentsPerHyper, part.latents(), extended.as<float>(),
                        latents.as<float>());
}

std::vector<std::optional<std::uint32_t>> digest_latents(const Manifest& manifest, const Part& part,
                                                         std::span<const float> latents) {
    const std::size_t area = part.latents().area();
    std::vector<LatentsDigest> digests(part.batch);
    for (std::size_t plane = 0; plane < manifest.latent_channels * digests.size(); ++plane) {
        digests[plane % digests.size()].add(latents.subspan(plane * area, area));
    }
    std::vector<std::optional<std::uint32_t>> values;
    for (const LatentsDigest& digest : digests) {
        values.push_back(digest.value());
    }
    return values;
}

}  // namespace cca
