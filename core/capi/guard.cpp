#include "guard.hpp"

#include <array>
#include <new>
#include <stdexcept>

#include "bundle/utf8.hpp"
#include "format/error.hpp"

namespace cca::c_api {
namespace {

// No allocation: an error about memory must find room here.
thread_local std::array<char, 256> last_error{};

bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
}

}  // namespace

cca_status fail(cca_status status, std::string_view message) noexcept {
    // Messages may quote what came from outside, so that a character's end is looked for here.
    std::size_t size = 0;
    while (!message.empty()) {
        const std::size_t length = utf8_length(message);
        const std::size_t taken = length == 0 ? 1 : length;
        if (size + taken >= last_error.size()) {
            break;
        }
        const bool usable = length != 0 && !is_control(message.front());
        for (std::size_t i = 0; i < taken; ++i) {
            last_error[size++] = usable ? message[i] : '?';
        }
        message.remove_prefix(taken);
    }
    last_error[size] = '\0';
    return status;
}

cca_status fail_with_current_exception() noexcept {
    try {
        throw;
    } catch (const Refusal& error) {
        return fail(error.status(), error.what());
    } catch (const UnsupportedStreamError& error) {
        return fail(CCA_ERROR_UNSUPPORTED, error.what());
    } catch (const LimitError& error) {
        return fail(CCA_ERROR_LIMIT, error.what());
    } catch (const StreamError& error) {
        return fail(CCA_ERROR_STREAM, error.what());
    } catch (const UnsupportedBundleError& error) {
        return fail(CCA_ERROR_UNSUPPORTED, error.what());
    } catch (const BundleError& error) {
        return fail(CCA_ERROR_BUNDLE, error.what());
    } catch (const ForeignStreamError& error) {
        return fail(CCA_ERROR_MODEL, error.what());
    } catch (const TargetError& error) {
        return fail(CCA_ERROR_TARGET, error.what());
    } catch (const LatentsError& error) {
        return fail(CCA_ERROR_LATENTS, error.what());
    } catch (const InexactError& error) {
        return fail(CCA_ERROR_INEXACT, error.what());
    } catch (const StateError& error) {
        return fail(CCA_ERROR_STATE, error.what());
    } catch (const std::invalid_argument& error) {
        return fail(CCA_ERROR_ARGUMENT, error.what());
    } catch (const std::bad_alloc&) {
        return fail(CCA_ERROR_MEMORY, "out of memory");
    } catch (const std::length_error&) {  // what a container says instead of bad_alloc
        return fail(CCA_ERROR_MEMORY, "out of memory");
    } catch (const std::exception& error) {
        return fail(CCA_ERROR_INTERNAL, error.what());
    } catch (...) {
        return fail(CCA_ERROR_INTERNAL, "unknown exception");
    }
}

void require(const void* pointer, const char* name) {
    if (pointer == nullptr) {
        throw Refusal(CCA_ERROR_ARGUMENT, std::string(name) + " is null");
    }
}

}  // namespace cca::c_api

const char* cca_last_error(void) {
    return cca::c_api::last_error.data();
}
