// Any bytes as a bundle's tables.bin: refused, or tables that are good to code with.
#include "bundle/table_file.hpp"

#include "exercise_tables.hpp"
#include "format/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        const cca::ModelTables tables = cca::parse_table_file({data, size});
        cca::fuzz::exercise(tables.gaussian);
        cca::fuzz::exercise(tables.hyper_latents);
    } catch (const cca::BundleError&) {
        return 0;
    }
    return 0;
}
