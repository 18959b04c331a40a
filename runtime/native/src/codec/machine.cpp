#include "codec/machine.hpp"

#include "cca/error.hpp"

namespace cca {

Machine::Machine(std::uint32_t workers, std::uint64_t most_bytes) {
    for (std::uint32_t i = 0; i < workers; ++i) {
        workers_.emplace_back(most_bytes);
    }
}

const Step& Machine::next(std::uint32_t number) {
    Worker& worker = workers_.at(number);
    try {
        while (worker.steps || begin_task(worker)) {
            if (const Step* const step = worker.steps->next(worker.progress)) {
                return *step;
            }
            end_task(worker);
        }
        return last_;
    } catch (...) {
        fail();
        throw;
    }
}

bool Machine::begin_task(Worker& worker) {
    std::unique_lock lock(turn_);
    while (!done_ && !failed_ && tasks_.empty()) {
        if (under_way_ > 0) {
            changed_.wait(lock);
        } else if (!begin_phase(tasks_)) {
            done_ = true;
        }
        changed_.notify_all();
    }
    if (failed_) {
        throw StateError("an earlier step of this machine failed");
    }
    if (tasks_.empty()) {
        return false;
    }
    worker.task = std::move(tasks_.front());
    tasks_.pop_front();
    worker.progress = {};
    worker.steps.emplace(worker.task(worker.slots));
    ++under_way_;
    return true;
}

void Machine::end_task(Worker& worker) {
    worker.steps.reset();
    worker.task = nullptr;
    const std::lock_guard lock(turn_);
    --under_way_;
    changed_.notify_all();
}

void Machine::fail() {
    const std::lock_guard lock(turn_);
    failed_ = true;
    changed_.notify_all();
}

}  // namespace cca
