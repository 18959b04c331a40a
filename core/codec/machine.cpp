#include "codec/machine.hpp"

#include <chrono>

#include "format/error.hpp"

namespace cca {
namespace {

[[noreturn]] void throw_stopped() {
    throw StateError("this machine was stopped, or an earlier step of it failed");
}

}  // namespace

Machine::Machine(std::uint32_t workers, std::uint64_t most_bytes) {
    for (std::uint32_t i = 0; i < workers; ++i) {
        workers_.emplace_back(most_bytes);
    }
}

const Step& Machine::next(std::uint32_t number) {
    Worker& worker = workers_.at(number);
    try {
        require_sound();
        while (worker.steps || begin_task(worker)) {
            if (const Step* const step = worker.steps->next(worker.progress)) {
                return *step;
            }
            end_task(worker);
        }
        return last_;
    } catch (...) {
        stop();
        throw;
    }
}

bool Machine::begin_task(Worker& worker) {
    std::unique_lock lock(turn_);
    while (!done_ && !stopped_ && tasks_.empty()) {
        if (under_way_ > 0) {
            wait(lock, worker);
        } else if (!begin_phase(tasks_)) {
            done_ = true;
        }
        changed_.notify_all();
    }
    if (stopped_) {
        throw_stopped();
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

void Machine::wait(std::unique_lock<std::mutex>& lock, Worker& worker) {
    const auto start = std::chrono::steady_clock::now();
    changed_.wait(lock);
    worker.waited +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void Machine::end_task(Worker& worker) {
    worker.steps.reset();
    worker.task = nullptr;
    const std::lock_guard lock(turn_);
    --under_way_;
    changed_.notify_all();
}

void Machine::stop() {
    const std::lock_guard lock(turn_);
    stopped_ = true;
    changed_.notify_all();
}

// A step that failed cannot be taken up again.
void Machine::require_sound() {
    const std::lock_guard lock(turn_);
    if (stopped_) {
        throw_stopped();
    }
}

}  // namespace cca
