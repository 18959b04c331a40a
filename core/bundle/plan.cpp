#include "bundle/plan.hpp"

#include <algorithm>
#include <map>
#include <string>

#include "bundle/model.hpp"
#include "format/error.hpp"

namespace cca {
namespace {

using Kind = Dimension::Kind;

constexpr std::string_view kPrevious = "previous_";

// What a value must be like to be bound to a port.
struct Layout {
    DType dtype;
    std::vector<Dimension> shape;

    bool fits(const Port& port) const { return port.dtype == dtype && port.shape == shape; }
};

Dimension fixed(std::uint32_t size) {
    return {Kind::kFixed, size};
}

Dimension varying(Kind kind) {
    return {kind, 0};
}

// Channels of a batch: [N, count, h, w].
Layout latents_of(DType dtype, std::uint32_t count) {
    return {dtype,
            {varying(Kind::kBatch), fixed(count), varying(Kind::kLatentHeight),
             varying(Kind::kLatentWidth)}};
}

// Rows of y_hat: [count, N, h, w].
Layout y_hat_rows(std::uint32_t count) {
    return {DType::kFloat32,
            {fixed(count), varying(Kind::kBatch), varying(Kind::kLatentHeight),
             varying(Kind::kLatentWidth)}};
}

class Builder {
  public:
    Builder(const std::vector<Graph>& priors, std::uint32_t latent_channels,
            std::uint32_t hyper_channels)
        : priors_(priors) {
        plan_.latent_channels = latent_channels;
        plan_.hyper_channels = hyper_channels;
        layouts_ = {{DType::kInt32,
                     {varying(Kind::kBatch), fixed(hyper_channels), varying(Kind::kHyperHeight),
                      varying(Kind::kHyperWidth)}},
                    {DType::kFloat32, {fixed(4)}},
                    {DType::kFloat32, {fixed(1)}},
                    y_hat_rows(latent_channels)};
    }

    void add(const CodingEntry& entry) {
        const Graph& graph = priors_[plan_.passes.size()];
        try {
            plan_.passes.push_back(resolve(entry, graph.signature));
        } catch (const BundleError& error) {
            throw BundleError("graph '" + graph.name + "': " + error.what());
        }
    }

    CodingPlan finish() {
        if (coded_ != plan_.latent_channels || half_coded_) {
            throw BundleError("'coding' does not code all latent channels");
        }
        if (written_ != plan_.latent_channels) {
            throw BundleError("'coding' does not write all of y_hat");
        }
        for (ValueId value = 0; value < last_reader_.size(); ++value) {
            if (value != CodingPlan::kYHat && value != CodingPlan::kAverages &&
                value != CodingPlan::kStep) {
                free_after_last_use(value);
            }
        }
        plan_.values = static_cast<std::uint32_t>(layouts_.size());
        return std::move(plan_);
    }

  private:
    Pass resolve(const CodingEntry& entry, const Signature& signature) {
        Pass pass;
        pass.prior = static_cast<std::uint32_t>(plan_.passes.size());
        for (const Port& port : signature.inputs) {
            pass.inputs.push_back(find_input(port));
            used(pass.inputs.back().value);
        }
        std::map<std::string, ValueId, std::less<>> given;
        for (const Port& port : signature.outputs) {
            if (port.name == "y_hat") {
                pass.outputs.push_back(find_y_hat(port));
            } else {
                const ValueId value = add_value({port.dtype, port.shape});
                given[port.name] = value;
                pass.outputs.push_back({&port, value, std::nullopt});
            }
        }
        symbols_.reset();
        if (entry.channels != 0) {
            pass.coded = code(entry, given);
            symbols_ = pass.coded->symbols;
            group_ = pass.coded->channels;
        }
        previous_ = given;
        for (const auto& [name, value] : given) {
            latest_[name] = value;
        }
        return pass;
    }

    PlanBinding find_input(const Port& port) {
        const std::string& name = port.name;
        if (name == "z_symbols") {
            return bind(port, CodingPlan::kHyperSymbols);
        }
        if (name == "averages") {
            plan_.takes_averages = true;
            return bind(port, CodingPlan::kAverages);
        }
        if (name == "step") {
            plan_.takes_step = true;
            return bind(port, CodingPlan::kStep);
        }
        if (name == "symbols" && symbols_) {
            return bind(port, *symbols_);
        }
        if (name == "previous_y_hat" && written_ > 0) {
            require(y_hat_rows(written_).fits(port), port);
            return {&port, CodingPlan::kYHat, Channels{0, written_}};
        }
        const bool previous = name.starts_with(kPrevious);
        const auto& values = previous ? previous_ : latest_;
        const auto found =
            values.find(previous ? std::string_view(name).substr(kPrevious.size()) : name);
        if (found == values.end()) {
            throw BundleError("no graph before gives its input '" + name + "'");
        }
        return bind(port, found->second);
    }

    PlanBinding bind(const Port& port, ValueId value) const {
        require(layouts_[value].fits(port), port);
        return {&port, value, std::nullopt};
    }

    // Each graph that gives y_hat completes the group that was coded before it.
    PlanBinding find_y_hat(const Port& port) {
        if (!symbols_ || half_coded_ || written_ + group_.count != coded_) {
            throw BundleError("it gives y_hat of no coded channel group");
        }
        require(y_hat_rows(group_.count).fits(port), port);
        const Channels rows{written_, group_.count};
        written_ = coded_;
        return {&port, CodingPlan::kYHat, rows};
    }

    CodedGroup code(const CodingEntry& entry,
                    const std::map<std::string, ValueId, std::less<>>& given) {
        const bool completes = entry.positions == Positions::kOdd;
        const Channels channels{half_coded_ ? group_.first : coded_, entry.channels};
        if (completes != half_coded_ || (completes && channels.count != group_.count) ||
            channels.count > plan_.latent_channels - channels.first || written_ != channels.first) {
            throw BundleError("its channel group does not continue 'coding'");
        }
        half_coded_ = entry.positions == Positions::kEven;
        coded_ = channels.first + channels.count;
        const ValueId means = require_output(given, "means", DType::kFloat32, channels.count);
        const ValueId indexes = require_output(given, "indexes", DType::kUint8, channels.count);
        Layout symbols = latents_of(DType::kUint8, channels.count);
        symbols.shape.push_back(fixed(2));
        return {channels, entry.positions, means, indexes, add_value(std::move(symbols))};
    }

    ValueId require_output(const std::map<std::string, ValueId, std::less<>>& given,
                           const char* name, DType dtype, std::uint32_t channels) const {
        const auto found = given.find(name);
        const Layout layout = latents_of(dtype, channels);
        if (found == given.end() || layouts_[found->second].dtype != layout.dtype ||
            layouts_[found->second].shape != layout.shape) {
            throw BundleError("it has no output '" + std::string(name) +
                              "' of its channel group's shape");
        }
        return found->second;
    }

    static void require(bool fits, const Port& port) {
        if (!fits) {
            throw BundleError("its '" + port.name + "' has another type or shape than expected");
        }
    }

    ValueId add_value(Layout layout) {
        layouts_.push_back(std::move(layout));
        used(static_cast<ValueId>(layouts_.size() - 1));
        return static_cast<ValueId>(layouts_.size() - 1);
    }

    // By the pass that is being made.
    void used(ValueId value) {
        last_reader_.resize(layouts_.size());
        last_reader_[value] = plan_.passes.size();
    }

    void free_after_last_use(ValueId value) {
        Pass& pass = plan_.passes[last_reader_[value]];
        const auto& coded = pass.coded;
        const bool read_by_coder =
            coded && (value == coded->means || value == coded->indexes || value == coded->symbols);
        (read_by_coder ? pass.free_after_coding : pass.free_after_run).push_back(value);
    }

    const std::vector<Graph>& priors_;
    CodingPlan plan_;
    std::vector<Layout> layouts_;
    std::vector<std::size_t> last_reader_;  // the pass, of each value
    std::map<std::string, ValueId, std::less<>> previous_;
    std::map<std::string, ValueId, std::less<>> latest_;
    std::optional<ValueId> symbols_;  // of the pass before
    Channels group_;                  // which it coded
    bool half_coded_ = false;
    std::uint32_t coded_ = 0;    // channels so far
    std::uint32_t written_ = 0;  // channels of y_hat so far
};

}  // namespace

CodingPlan make_plan(const std::vector<CodingEntry>& coding, const std::vector<Graph>& priors,
                     std::uint32_t latent_channels, std::uint32_t hyper_channels) {
    Builder builder(priors, latent_channels, hyper_channels);
    for (const CodingEntry& entry : coding) {
        builder.add(entry);
    }
    return builder.finish();
}

}  // namespace cca
