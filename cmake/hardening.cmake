# What makes a mistake in the libraries harder to use, where compiler and linker have it.
include(CheckCXXCompilerFlag)
include(CheckCXXSourceCompiles)
include(CheckLinkerFlag)

foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection)
  string(MAKE_C_IDENTIFIER "cca_has_${flag}" known)
  check_cxx_compiler_flag("-Werror ${flag}" ${known})
  if(${known})
    add_compile_options(${flag})
  endif()
endforeach()

# Checked versions of the C library's functions; they need the optimiser. Level 3 is of 2021.
set(CMAKE_REQUIRED_FLAGS "-Werror -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3")
check_cxx_source_compiles("#include <cstdlib>\nint main() {}" cca_has_fortify_3)
unset(CMAKE_REQUIRED_FLAGS)
set(level $<IF:$<BOOL:${cca_has_fortify_3}>,3,2>)
set(optimised $<NOT:$<CONFIG:Debug>>)
add_compile_options("$<${optimised}:-U_FORTIFY_SOURCE>" "$<${optimised}:-D_FORTIFY_SOURCE=${level}>")

# Addresses of functions are settled at start and read-only from then on; no stack is code.
foreach(flag relro now noexecstack)
  check_linker_flag(CXX "-Wl,-z,${flag}" cca_has_z_${flag})
  if(cca_has_z_${flag})
    add_link_options("LINKER:-z,${flag}")
  endif()
endforeach()
