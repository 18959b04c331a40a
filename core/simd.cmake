# The coder's loops for newer instructions. Each is a source of its own, since the rest of the library
# has to run on every processor of the kind.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  target_sources(cca_core PRIVATE entropy/simd/avx2.cpp entropy/simd/avx512.cpp)
  target_compile_definitions(cca_core PRIVATE CCA_SIMD_X86)
  set_source_files_properties(entropy/simd/avx2.cpp PROPERTIES COMPILE_OPTIONS "-mavx2;-mpopcnt")
  set(avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vbmi2 -mpopcnt)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # Its own header makes undefined vectors in a way that it then warns of (GCC bug 105593).
    list(APPEND avx512 -Wno-uninitialized -Wno-maybe-uninitialized)
  endif()
  set_source_files_properties(entropy/simd/avx512.cpp PROPERTIES COMPILE_OPTIONS "${avx512}")
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  target_sources(cca_core PRIVATE entropy/simd/neon.cpp)
  target_compile_definitions(cca_core PRIVATE CCA_SIMD_NEON)
endif()
