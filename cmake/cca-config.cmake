# find_package(cca) gives cca::cca, the shared library, and cca::cca_static.
include(${CMAKE_CURRENT_LIST_DIR}/cca-targets.cmake)
