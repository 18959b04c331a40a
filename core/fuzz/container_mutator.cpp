// Lets libFuzzer see past the checksums, which it cannot guess.
#include <cstddef>
#include <cstdint>

#include "reseal.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned int seed) {
    size = LLVMFuzzerMutate(data, size, max_size);
    if (seed % 8 != 0) {  // now and then a checksum is left wrong
        cca::fuzz::reseal({data, size});
    }
    return size;
}
