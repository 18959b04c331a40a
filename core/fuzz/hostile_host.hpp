// A host that runs nothing: what it hands over is the same for each tensor, or what a fuzz input
// would have a broken engine hand over.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "cca/cca.h"
#include "input.hpp"

namespace cca::fuzz {

/// What may go wrong; all zero for a sound engine.
struct Faults {
    std::uint8_t download = 0;  ///< how many downloads are filled with what the input says
    std::uint8_t give_up = 0;   ///< the step before which the host gives up; 0: it never does
};

class HostileHost {
  public:
    HostileHost(Input& input, Faults faults) : input_(input), faults_(faults) {}

    /// Does a step, which must not contradict those before. False: the host gives up.
    bool do_step(const cca_step& step);

    /// Whether all tensors are freed.
    bool empty() const { return slots_.empty(); }

  private:
    struct Slot {
        cca_tensor tensor;
        const std::uint8_t* source;
        std::vector<std::uint8_t> content;
    };

    void add(std::uint32_t number, Slot slot);
    void bind(const cca_binding& binding, bool output);
    void fill(const cca_step& step);

    Input& input_;
    Faults faults_;
    std::uint32_t steps_ = 0;
    std::map<std::uint32_t, Slot> slots_;
};

}  // namespace cca::fuzz
