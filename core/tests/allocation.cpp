#include "allocation.hpp"

#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

thread_local std::size_t allocations_left = SIZE_MAX;

}  // namespace

// noinline: the compiler would otherwise see malloc and free through new and delete, and warn.
[[gnu::noinline]] void* operator new(std::size_t size) {
    if (allocations_left == 0) {
        throw std::bad_alloc();
    }
    allocations_left -= allocations_left != SIZE_MAX;
    if (void* const memory = std::malloc(size != 0 ? size : 1)) {
        return memory;
    }
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
    std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

namespace cca::test {

OutOfMemory::OutOfMemory(std::size_t allowed) {
    allocations_left = allowed;
}

OutOfMemory::~OutOfMemory() {
    allocations_left = SIZE_MAX;
}

std::size_t OutOfMemory::left() const {
    return allocations_left;
}

}  // namespace cca::test
