// What encoder and decoder have in common: phases of tasks, worked on by any number of threads.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "codec/slots.hpp"
#include "codec/steps.hpp"

namespace cca {

/// Coding of pictures, step by step.
///
/// Work comes in phases. The tasks of a phase are independent of each other; a phase begins when
/// the one before is done. Each worker does one task at a time, and has tensors of its own.
class Machine {
  public:
    /// @param workers     at least 1.
    /// @param most_bytes  of the tensors that the host holds for each worker.
    Machine(std::uint32_t workers, std::uint64_t most_bytes);
    virtual ~Machine() = default;
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    std::uint32_t workers() const noexcept { return static_cast<std::uint32_t>(workers_.size()); }

    /// Does everything up to a worker's next step, which stays valid until the next call.
    ///
    /// Each worker may be on a thread of its own; one that has nothing to do for now waits here.
    /// The kind of the last step is kDone.
    ///
    /// @throws whatever goes wrong; then no worker has another step.
    const Step& next(std::uint32_t worker);

    /// Ends the work: no worker has another step, and those that wait come back with a StateError.
    /// May be called while others are in next().
    void stop();

    /// Seconds that a worker has waited for the others so far.
    double waited(std::uint32_t worker) const { return workers_.at(worker).waited; }

  protected:
    using Task = std::function<Steps(Slots&)>;

    /// Fills in the tasks of the next phase. False when there is none; called again for an empty
    /// phase. All tasks so far are done, and no other thread is in the machine.
    virtual bool begin_phase(std::deque<Task>& tasks) = 0;

  private:
    struct Worker {
        explicit Worker(std::uint64_t most_bytes) : slots(most_bytes) {}

        Slots slots;
        Task task;  // outlives its steps, which may refer to what it captured
        std::optional<Steps> steps;
        Steps::promise_type::Progress progress;
        double waited = 0;
    };

    bool begin_task(Worker& worker);
    void wait(std::unique_lock<std::mutex>& lock, Worker& worker);
    void end_task(Worker& worker);
    void require_sound();

    std::deque<Worker> workers_;
    std::mutex turn_;  // of what follows
    std::condition_variable changed_;
    std::deque<Task> tasks_;
    std::uint32_t under_way_ = 0;
    bool done_ = false;
    bool stopped_ = false;
    Step last_;
};

}  // namespace cca
