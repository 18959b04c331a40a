// Workers on threads; `make tsan` runs it under ThreadSanitizer.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "machine_runs.hpp"

using namespace cca::test;

TEST_CASE("workers on threads give the same bytes and pixels") {
    const Codec codec(sample_family());
    const Picture picture = make_picture(330, 201);
    for (const std::uint32_t tile_side : {64U, 128U, CCA_TILE_NONE}) {
        const Bytes stream = codec.stream_of(picture, tile_side);
        const Picture whole = codec.decode({stream}).pictures.front();
        for (const std::uint32_t workers : {1U, 2U, 4U}) {
            CAPTURE(workers);
            cca_encode_options encode = encode_options();
            encode.tile_side = tile_side;
            encode.workers = workers;
            encode.reconstruct = 1;
            const Encoded encoded = codec.encode({picture}, encode);
            CHECK(encoded.streams.front() == stream);
            CHECK(encoded.reconstructions.front() == whole.pixels);
            cca_decode_options decode = decode_options();
            decode.workers = workers;
            CHECK(codec.decode({stream}, decode).pictures.front() == whole);
            decode.region = {50, 40, 100, 90};
            CHECK(codec.decode({stream}, decode).pictures.front() == crop(whole, decode.region));
        }
    }
}

TEST_CASE("threads that are one worker are told so, and the work goes on") {
    const Codec codec(sample_family());
    const Bytes stream = codec.stream_of(make_picture(330, 201), 64);
    const Picture whole = codec.decode({stream}).pictures.front();
    const std::vector<Bytes> streams{stream};
    const OwnedDecoderMachine machine = codec.decoder(streams, decode_options());
    // The others ask all the time; what they are given now and then, they hand on.
    std::atomic<bool> done = false;
    std::atomic<int> unexpected = 0;
    std::atomic_flag host_busy;
    FakeHost host(codec.family());
    const auto work = [&] {
        while (!done) {
            while (host_busy.test_and_set()) {
                std::this_thread::yield();
            }
            const cca_step* step = nullptr;
            const cca_status status = cca_decoder_next(machine.get(), 0, &step);
            if (status == CCA_OK && step->kind == CCA_STEP_DONE) {
                done = true;
            } else if (status == CCA_OK) {
                host.do_step(*step);
            } else {
                ++unexpected;
                done = true;
            }
            host_busy.clear();
        }
    };
    std::thread second(work);
    work();
    second.join();
    CHECK(unexpected == 0);
    CHECK(host.empty());
    cca_picture picture{};
    REQUIRE(cca_decoder_picture(machine.get(), 0, &picture) == CCA_OK);
    CHECK(std::equal(whole.pixels.begin(), whole.pixels.end(), picture.pixels));
}

TEST_CASE("of two threads in one worker, one is refused and the other is served") {
    const Codec codec(sample_family());
    const std::vector<Bytes> streams{codec.stream_of(make_picture(128, 64), 64)};
    cca_decode_options options = decode_options();
    options.workers = 3;
    const OwnedDecoderMachine machine = codec.decoder(streams, options);
    const cca_step* step = nullptr;
    for (const std::uint32_t worker : {0U, 1U}) {  // both tiles are under way
        REQUIRE(cca_decoder_next(machine.get(), worker, &step) == CCA_OK);
    }
    // Nothing is left for worker 2, which waits. So one of two threads is refused, the other told
    // to stop.
    std::atomic<int> refused = 0;
    std::vector<std::string> messages(2);
    std::vector<std::thread> threads;
    for (std::string& message : messages) {
        threads.emplace_back([&] {
            const cca_step* own = nullptr;
            refused += cca_decoder_next(machine.get(), 2, &own) == CCA_ERROR_STATE;
            message = cca_last_error();
            cca_decoder_stop(machine.get());
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK(refused == 2);
    CHECK(std::ranges::count(messages, "another thread is this worker") == 1);
    CHECK(std::ranges::count(messages,
                             "this machine was stopped, or an earlier step of it failed") == 1);
    cca_picture picture{};
    CHECK(cca_decoder_picture(machine.get(), 0, &picture) == CCA_ERROR_STATE);
}

TEST_CASE("threads that wait come back when another worker's step fails") {
    const Codec codec(sample_family());
    const std::vector<Bytes> streams{codec.stream_of(make_picture(128, 64), 64)};
    cca_decode_options options = decode_options();
    options.workers = 3;
    const OwnedDecoderMachine machine = codec.decoder(streams, options);
    const cca_step* step = nullptr;
    REQUIRE(cca_decoder_next(machine.get(), 1, &step) == CCA_OK);
    std::atomic<cca_status> waiting = CCA_OK;
    REQUIRE(cca_decoder_next(machine.get(), 0, &step) == CCA_OK);
    std::thread waits([&] {
        const cca_step* own = nullptr;
        waiting = cca_decoder_next(machine.get(), 2, &own);
    });
    // Worker 0's host gives table indexes that no table has.
    FakeHost host(codec.family());
    cca_status status = CCA_OK;
    while (status == CCA_OK) {
        if (step->kind == CCA_STEP_DOWNLOAD) {
            std::fill_n(static_cast<std::uint8_t*>(step->target), step->size, std::uint8_t{200});
        } else {
            host.do_step(*step);
        }
        status = cca_decoder_next(machine.get(), 0, &step);
    }
    waits.join();
    CHECK(status == CCA_ERROR_BUNDLE);
    CHECK(waiting == CCA_ERROR_STATE);
    // Nor does the one that was at work have another step.
    CHECK(cca_decoder_next(machine.get(), 1, &step) == CCA_ERROR_STATE);
    CHECK(cca_decoder_next(machine.get(), 0, &step) == CCA_ERROR_STATE);
}
