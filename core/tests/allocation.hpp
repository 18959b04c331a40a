// Running out of memory at will: this program's operator new fails when it is told to.
#pragma once

#include <cstddef>

namespace cca::test {

/// While it lives, this thread's allocations fail, all but the first `allowed`.
class OutOfMemory {
  public:
    explicit OutOfMemory(std::size_t allowed);
    ~OutOfMemory();
    OutOfMemory(const OutOfMemory&) = delete;
    OutOfMemory& operator=(const OutOfMemory&) = delete;

    /// How many more are allowed.
    std::size_t left() const;
};

/// Calls `work` with no memory, then with one allocation, two, and so on, as long as it returns
/// `failure`. Returns what it returns at last, and how many calls failed in `failures`.
template <typename Result, typename Work>
Result with_growing_memory(Result failure, std::size_t& failures, Work work) {
    for (failures = 0;; ++failures) {
        const OutOfMemory limit(failures);
        const Result result = work();
        if (result != failure) {
            return result;
        }
    }
}

}  // namespace cca::test
