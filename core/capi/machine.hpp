// Machines as C sees them: what encoder and decoder have in common.
#pragma once

#include <atomic>
#include <cstring>
#include <deque>
#include <optional>
#include <vector>

#include "codec/machine.hpp"
#include "codec/part_coders.hpp"
#include "guard.hpp"
#include "handles.hpp"
#include "limits.hpp"

namespace cca::c_api {

/// Steps of a machine in C's terms, one at a time for each worker.
class StepTranslator {
  public:
    explicit StepTranslator(std::uint32_t workers) : workers_(workers) {}

    /// The next step of a worker. It stays valid until the worker's next call.
    ///
    /// @throws Refusal if there is no such worker, or another thread is it.
    const cca_step* next(Machine& machine, std::uint32_t worker);

    /// Throws a Refusal unless every worker has had its last step.
    void require_done() const;

  private:
    struct Worker {
        std::atomic_flag busy;
        std::atomic<bool> done = false;
        cca_step step{};
        std::vector<cca_binding> inputs;
        std::vector<cca_binding> outputs;

        void translate(const Step& from);
    };

    std::deque<Worker> workers_;
};

/// Options that may be those of a program with an older or a newer header: fields which it does not
/// know are zero, and those which this library does not know must be.
template <typename Options>
Options read_options(const Options* from) {
    Options options{};
    if (from == nullptr) {
        return options;
    }
    std::size_t size = 0;
    std::memcpy(&size, from, sizeof size);
    const auto* const bytes = reinterpret_cast<const unsigned char*>(from);
    if (size < sizeof size || size > 4096) {
        throw Refusal(CCA_ERROR_ARGUMENT, "struct_size is not the size of the structure");
    }
    for (std::size_t i = sizeof(Options); i < size; ++i) {
        if (bytes[i] != 0) {
            throw Refusal(CCA_ERROR_ARGUMENT, "an option is set that this library does not know");
        }
    }
    std::memcpy(&options, from, std::min(size, sizeof(Options)));
    if constexpr (requires { options.reserved; }) {
        if (options.reserved != 0) {
            throw Refusal(CCA_ERROR_ARGUMENT, "'reserved' is not 0");
        }
    }
    return options;
}

std::optional<Identifier> to_fingerprint(const std::uint8_t* fingerprint);
std::uint32_t to_workers(std::uint32_t workers);
ModelView view_of(const cca_model* model);

/// Does steps with a host's functions until all are done.
template <typename Next>
void drive(const cca_host* given, Next next) {
    require(given, "host");
    const cca_host host = read_options(given);
    require(reinterpret_cast<const void*>(host.upload), "host->upload");
    require(reinterpret_cast<const void*>(host.run), "host->run");
    require(reinterpret_cast<const void*>(host.download), "host->download");
    require(reinterpret_cast<const void*>(host.free), "host->free");
    for (const cca_step* step = next(); step->kind != CCA_STEP_DONE; step = next()) {
        const auto function = step->kind == CCA_STEP_UPLOAD     ? host.upload
                              : step->kind == CCA_STEP_RUN      ? host.run
                              : step->kind == CCA_STEP_DOWNLOAD ? host.download
                                                                : host.free;
        if (const int result = function(host.context, step); result != 0) {
            throw Refusal(CCA_ERROR_HOST,
                          "a function of the host returned " + std::to_string(result));
        }
    }
}

}  // namespace cca::c_api
