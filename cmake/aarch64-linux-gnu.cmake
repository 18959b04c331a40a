# Toolchain for ARM with Debian's cross compiler; ctest runs what it made in QEMU.
#     cmake -S . -B build/aarch64 --toolchain cmake/aarch64-linux-gnu.cmake -DCCA_PYTHON=OFF
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
