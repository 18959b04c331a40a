// Code that reads as if it ran the graphs itself, and stops at each step for its host to do it.
#pragma once

#include <coroutine>
#include <exception>
#include <utility>

#include "codec/step.hpp"

namespace cca {

/// A coroutine that gives steps with `co_yield`, its own and, with `co_await`, those of others.
///
/// An exception leaves it through `co_await` or next(), as from a function.
class [[nodiscard]] Steps {
  public:
    struct promise_type;
    using Handle = std::coroutine_handle<promise_type>;

    struct promise_type {
        // Of the outermost coroutine: where it was left, and with which step.
        struct Progress {
            Handle innermost;
            const Step* step = nullptr;
        };

        // To the coroutine that awaits this one, when it ends.
        struct Return {
            bool await_ready() const noexcept { return false; }
            std::coroutine_handle<> await_suspend(Handle ended) const noexcept {
                const promise_type& promise = ended.promise();
                if (!promise.caller) {
                    return std::noop_coroutine();
                }
                promise.progress->innermost = promise.caller;
                return promise.caller;
            }
            void await_resume() const noexcept {}
        };

        Steps get_return_object() noexcept { return Steps(Handle::from_promise(*this)); }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        Return final_suspend() const noexcept { return {}; }
        std::suspend_always yield_value(const Step& step) noexcept {
            progress->step = &step;
            return {};
        }
        void return_void() const noexcept {}
        void unhandled_exception() noexcept { error = std::current_exception(); }

        Progress* progress = nullptr;
        Handle caller;
        std::exception_ptr error;
    };

    Steps(Steps&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Steps& operator=(Steps&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~Steps() {
        if (handle_) {
            handle_.destroy();
        }
    }

    // ---- for a coroutine that awaits this one

    bool await_ready() const noexcept { return false; }
    Handle await_suspend(Handle caller) noexcept {
        promise_type& promise = handle_.promise();
        promise.progress = caller.promise().progress;
        promise.caller = caller;
        promise.progress->innermost = handle_;
        return handle_;
    }
    void await_resume() const { rethrow(); }

    // ---- for the outermost one

    /// Runs on to the next step. Null at the end.
    const Step* next(promise_type::Progress& progress) {
        if (progress.innermost == nullptr) {
            progress.innermost = handle_;
        }
        handle_.promise().progress = &progress;
        progress.step = nullptr;
        progress.innermost.resume();
        if (handle_.done()) {
            rethrow();
        }
        return progress.step;
    }

  private:
    explicit Steps(Handle handle) noexcept : handle_(handle) {}

    void rethrow() const {
        if (handle_.promise().error) {
            std::rethrow_exception(handle_.promise().error);
        }
    }

    Handle handle_;
};

}  // namespace cca
