# What `cmake --install` writes: header, libraries, CMake package and pkg-config file. Everything is
# found relative to these files, so that the tree can be moved. In a wheel it lies inside the Python
# package.
if(SKBUILD)
  set(root cca_runtime/)
  set(CMAKE_INSTALL_LIBDIR lib)
endif()
include(GNUInstallDirs)
set(include ${root}${CMAKE_INSTALL_INCLUDEDIR})
set(lib ${root}${CMAKE_INSTALL_LIBDIR})
set(package ${lib}/cmake/cca)

foreach(target cca cca_static)
  target_include_directories(${target} INTERFACE
    $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${include}>)
endforeach()
install(TARGETS cca cca_static EXPORT cca-targets LIBRARY DESTINATION ${lib} ARCHIVE DESTINATION ${lib})
install(FILES include/cca/cca.h include/cca/cca.hpp DESTINATION ${include}/cca)

include(CMakePackageConfigHelpers)
write_basic_package_version_file(cca-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_SOURCE_DIR}/cmake/cca-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/cca-config-version.cmake
        DESTINATION ${package})
install(EXPORT cca-targets NAMESPACE cca:: DESTINATION ${package})

# From the pkg-config file's directory to the prefix.
file(RELATIVE_PATH pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${PROJECT_SOURCE_DIR}/cmake/cca.pc.in cca.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/cca.pc DESTINATION ${lib}/pkgconfig)
