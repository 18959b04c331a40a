#include "files.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "error.hpp"

namespace fs = std::filesystem;

namespace {

/// Removes the file when it goes out of scope; there may be none.
struct Temporary {
    fs::path path;
    ~Temporary() {
        std::error_code ignored;
        fs::remove(path, ignored);
    }
};

}  // namespace

std::vector<std::uint8_t> read_file(const fs::path& path, std::uint64_t most) {
    std::error_code error;
    const std::uintmax_t size = fs::file_size(path, error);
    if (error) throw BadInput(path.string() + ": cannot be read: " + error.message());
    if (size > most) {
        throw BadInput(path.string() + ": larger than " + std::to_string(most) + " bytes");
    }
    std::vector<std::uint8_t> bytes(size);
    std::ifstream file(path, std::ios::binary);
    file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
    if (!file) throw BadInput(path.string() + ": cannot be read: " + std::strerror(errno));
    return bytes;
}

void write_file(const fs::path& path, cca_view bytes) {
    if (fs::exists(path) && !fs::is_regular_file(path)) {
        throw BadInput(path.string() + ": is there already and is no file");
    }
    const Temporary temporary{path.string() + "." + std::to_string(getpid()) + ".part"};
    std::ofstream file(temporary.path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data), static_cast<std::streamsize>(bytes.size));
    file.close();
    if (!file) {
        throw std::runtime_error(path.string() + ": cannot be written: " + std::strerror(errno));
    }
    fs::rename(temporary.path, path);
}
