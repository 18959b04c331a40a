// A host that runs toy graphs, and holds the machine to what cca.h promises of its steps.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "toy_graphs.hpp"

namespace cca::test {

/// For one worker. Every step that breaks a promise is a std::logic_error.
class FakeHost {
  public:
    static constexpr std::size_t kNever = SIZE_MAX;

    explicit FakeHost(const ToyFamily& family) : graphs_(family.graphs()) {}

    void do_step(const cca_step& step);

    /// Whether all tensors are freed.
    bool empty() const { return slots_.empty(); }

    /// Bytes of all tensors together when they were most.
    std::uint64_t peak_bytes() const { return peak_bytes_; }

    /// As functions for cca_decode_with(). The step of number `fail_at` fails, with 7.
    cca_host functions(std::size_t fail_at = kNever);

    /// Names of the graphs, in the order in which they ran.
    std::vector<std::string> runs;

    /// The y_hat of each run of `synthesis`.
    std::vector<Bytes> y_hats;

    std::size_t steps = 0;
    std::size_t uploads = 0;      ///< with content
    std::size_t allocations = 0;  ///< without
    std::size_t downloads = 0;
    std::size_t frees = 0;

  private:
    struct Slot {
        Tensor tensor;
        const void* source = nullptr;
        std::vector<bool> written;  // each row of the first axis
    };

    void upload(const cca_step& step);
    void run(const cca_step& step);
    void download(const cca_step& step);
    void free(const cca_step& step);
    Tensor read(const cca_binding& binding);
    void write(const cca_binding& binding, Tensor tensor);
    Slot& slot(std::uint32_t number);
    void add(std::uint32_t number, Slot slot);
    static void check_source(const Slot& slot);
    template <std::uint32_t kKind>
    static int call(void* host, const cca_step* step);

    std::vector<ToyGraph> graphs_;
    std::map<std::uint32_t, Slot> slots_;
    std::uint64_t bytes_ = 0;
    std::uint64_t peak_bytes_ = 0;
    std::size_t fail_at_ = kNever;
};

}  // namespace cca::test
