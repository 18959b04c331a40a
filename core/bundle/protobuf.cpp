#include "bundle/protobuf.hpp"

namespace cca::protobuf {
namespace {

constexpr int kMaxVarintBytes = 10;
constexpr std::uint64_t kMaxFieldNumber = (1U << 29) - 1;

}  // namespace

Field Message::next() {
    const std::uint64_t tag = take_varint();
    const std::uint64_t number = tag >> 3;
    if (number < 1 || number > kMaxFieldNumber) {
        throw Error("a field has an impossible number");
    }
    Field field{static_cast<std::uint32_t>(number), static_cast<Wire>(tag & 7), 0, {}};
    switch (field.wire) {
        case Wire::kVarint:
            field.varint = take_varint();
            return field;
        case Wire::kFixed64:
            static_cast<void>(take(8));
            return field;
        case Wire::kBytes:
            field.bytes = take(take_varint());
            return field;
        case Wire::kFixed32:
            static_cast<void>(take(4));
            return field;
    }
    throw Error("a field is a group or of an unknown kind");
}

std::uint64_t Message::take_varint() {
    std::uint64_t value = 0;
    for (int i = 0; i < kMaxVarintBytes; ++i) {
        const std::uint8_t byte = take(1).front();
        value |= std::uint64_t{byte & 0x7FU} << (7 * i);
        if (byte < 0x80) {
            if ((byte == 0 && i > 0) || (i == kMaxVarintBytes - 1 && byte > 1)) {
                break;
            }
            return value;
        }
    }
    throw Error("a number is longer than it needs to be");
}

BytesView Message::take(std::uint64_t count) {
    if (count > rest_.size()) {
        throw Error("it is truncated");
    }
    const BytesView taken = rest_.first(static_cast<std::size_t>(count));
    rest_ = rest_.subspan(taken.size());
    return taken;
}

}  // namespace cca::protobuf
