// Any bytes as a graph: refused, or a model that nothing can be added to unnoticed.
#include <vector>

#include "bundle/onnx_graph.hpp"
#include "check.hpp"
#include "format/error.hpp"

namespace {

bool accepted(cca::BytesView model) {
    try {
        cca::check_graph(model);
        return true;
    } catch (const cca::BundleError&) {
        return false;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (!accepted({data, size})) {
        return 0;
    }
    // Readers of Protocol Buffers merge what follows into what was there.
    std::vector<std::uint8_t> longer(data, data + size);
    longer.insert(longer.end(), data, data + size);
    cca::fuzz::check(!accepted(longer), "a model holds one graph");
    longer.resize(size);
    longer.insert(longer.end(), {0xA2, 0x01, 0x00});
    cca::fuzz::check(!accepted(longer), "a model has no training");
    return 0;
}
