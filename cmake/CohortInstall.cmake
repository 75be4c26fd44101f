# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# What `cmake --install` gives: headers, both libraries, cohort.pc, and a CMake package with
# Cohort::cohort and Cohort::cohort_static.
include(CMakePackageConfigHelpers)

set(COHORT_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/Cohort)

install(DIRECTORY include/cohort ${PROJECT_BINARY_DIR}/include/cohort
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(TARGETS cohort cohort_static EXPORT CohortTargets)
install(EXPORT CohortTargets NAMESPACE Cohort:: DESTINATION ${COHORT_PACKAGE_DIR})

configure_package_config_file(cmake/CohortConfig.cmake.in ${PROJECT_BINARY_DIR}/CohortConfig.cmake
  INSTALL_DESTINATION ${COHORT_PACKAGE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/CohortConfigVersion.cmake
  COMPATIBILITY ${COHORT_COMPATIBILITY})
install(FILES ${PROJECT_BINARY_DIR}/CohortConfig.cmake
        ${PROJECT_BINARY_DIR}/CohortConfigVersion.cmake cmake/FindAPR.cmake
        DESTINATION ${COHORT_PACKAGE_DIR})

# Only what a static link of a consumer needs beyond APR.
set(COHORT_PC_LIBS_PRIVATE ${CMAKE_THREAD_LIBS_INIT})
foreach(library IN LISTS COHORT_OS_LIBRARIES)
  if(library MATCHES "^-")
    string(APPEND COHORT_PC_LIBS_PRIVATE " ${library}")
  elseif(NOT library MATCHES "::")
    string(APPEND COHORT_PC_LIBS_PRIVATE " -l${library}")
  endif()
endforeach()
file(RELATIVE_PATH COHORT_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/cohort.pc.in ${PROJECT_BINARY_DIR}/cohort.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/cohort.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
