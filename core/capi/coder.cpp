// The entropy coder as state machines that refuse calls in the wrong order.
#include <atomic>
#include <memory>
#include <stdexcept>

#include "entropy/rans.hpp"
#include "guard.hpp"
#include "handles.hpp"

namespace cca::c_api {
namespace {

// What a coder can still do, and whether a thread is in it.
class Turnstile {
  public:
    // Lets one thread in, as long as the coder is of use.
    //
    // @throws Refusal otherwise.
    class Turn {
      public:
        explicit Turn(Turnstile& turnstile) : turnstile_(turnstile) {
            if (turnstile_.busy_.test_and_set(std::memory_order_acquire)) {
                throw Refusal(CCA_ERROR_STATE, "another thread is in this coder");
            }
            if (turnstile_.closed_ != nullptr) {
                const char* const why = turnstile_.closed_;
                turnstile_.busy_.clear(std::memory_order_release);
                throw Refusal(CCA_ERROR_STATE, why);
            }
        }
        ~Turn() { turnstile_.busy_.clear(std::memory_order_release); }
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;

        // From now on the coder is of no use, and this says why.
        void close(const char* why) { turnstile_.closed_ = why; }

      private:
        Turnstile& turnstile_;
    };

  private:
    std::atomic_flag busy_;
    const char* closed_ = nullptr;
};

constexpr const char* kFinished = "this coder is finished";
constexpr const char* kFailed = "this coder is of no more use since an earlier call failed";

}  // namespace
}  // namespace cca::c_api

using namespace cca::c_api;

struct cca_rans_decoder {
    explicit cca_rans_decoder(cca::BytesView payload) : decoder(payload) {}

    cca::Decoder decoder;
    Turnstile turnstile;
};

struct cca_rans_encoder {
    cca::Encoder encoder;
    Turnstile turnstile;
};

namespace {

template <typename Index>
cca_status pull(cca_rans_decoder* handle, const cca_tables* tables, const Index* indexes,
                std::size_t count, std::int32_t* symbols) {
    return guarded([&] {
        require(handle, "decoder");
        Turnstile::Turn turn(handle->turnstile);
        // Unless all goes well.
        turn.close(kFailed);
        require(tables, "tables");
        handle->decoder.pull(require_array(symbols, count, "symbols"),
                             require_array(indexes, count, "indexes"), tables->tables);
        turn.close(nullptr);
    });
}

template <typename Index>
cca_status push(cca_rans_encoder* handle, const cca_tables* tables, const Index* indexes,
                const std::int32_t* symbols, std::size_t count) {
    return guarded([&] {
        require(handle, "encoder");
        Turnstile::Turn turn(handle->turnstile);
        require(tables, "tables");
        const auto values = require_array(symbols, count, "symbols");
        const auto chosen = require_array(indexes, count, "indexes");
        turn.close(kFailed);
        try {
            handle->encoder.push(values, chosen, tables->tables);
        } catch (const std::invalid_argument&) {  // which leaves the encoder as it was
            turn.close(nullptr);
            throw;
        }
        turn.close(nullptr);
    });
}

}  // namespace

cca_status cca_rans_decoder_create(cca_view payload, cca_rans_decoder** decoder) {
    return guarded([&] {
        require(decoder, "decoder");
        *decoder = std::make_unique<cca_rans_decoder>(require_view(payload, "payload")).release();
    });
}

cca_status cca_rans_decoder_pull_u8(cca_rans_decoder* decoder, const cca_tables* tables,
                                    const uint8_t* indexes, size_t count, int32_t* symbols) {
    return pull(decoder, tables, indexes, count, symbols);
}

cca_status cca_rans_decoder_pull_u16(cca_rans_decoder* decoder, const cca_tables* tables,
                                     const uint16_t* indexes, size_t count, int32_t* symbols) {
    return pull(decoder, tables, indexes, count, symbols);
}

cca_status cca_rans_decoder_finish(cca_rans_decoder* decoder) {
    return guarded([&] {
        require(decoder, "decoder");
        Turnstile::Turn turn(decoder->turnstile);
        turn.close(kFinished);
        decoder->decoder.finish();
    });
}

void cca_rans_decoder_free(cca_rans_decoder* decoder) {
    delete decoder;
}

cca_status cca_rans_encoder_create(cca_rans_encoder** encoder) {
    return guarded([&] {
        require(encoder, "encoder");
        *encoder = std::make_unique<cca_rans_encoder>().release();
    });
}

cca_status cca_rans_encoder_push_u8(cca_rans_encoder* encoder, const cca_tables* tables,
                                    const uint8_t* indexes, const int32_t* symbols, size_t count) {
    return push(encoder, tables, indexes, symbols, count);
}

cca_status cca_rans_encoder_push_u16(cca_rans_encoder* encoder, const cca_tables* tables,
                                     const uint16_t* indexes, const int32_t* symbols,
                                     size_t count) {
    return push(encoder, tables, indexes, symbols, count);
}

cca_status cca_rans_encoder_finish(cca_rans_encoder* encoder, cca_bytes** payload) {
    return guarded([&] {
        require(encoder, "encoder");
        require(payload, "payload");
        Turnstile::Turn turn(encoder->turnstile);
        turn.close(kFinished);
        give(payload, encoder->encoder.finish());
    });
}

void cca_rans_encoder_free(cca_rans_encoder* encoder) {
    delete encoder;
}
