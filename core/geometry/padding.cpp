#include "geometry/padding.hpp"

namespace cca {

Padding choose_padding(std::uint32_t width, std::uint32_t height) noexcept {
    const std::uint32_t across = (kSideMultiple - width % kSideMultiple) % kSideMultiple;
    const std::uint32_t down = (kSideMultiple - height % kSideMultiple) % kSideMultiple;
    return {static_cast<std::uint8_t>(across / 2), static_cast<std::uint8_t>(down / 2),
            static_cast<std::uint8_t>(across - across / 2),
            static_cast<std::uint8_t>(down - down / 2)};
}

}  // namespace cca
