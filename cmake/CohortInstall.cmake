# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# What `cmake --install` gives, all of it or by --component: runtime (the shared library, the
# licence), development (headers, static library, cohort.pc, a CMake package with Cohort::cohort and
# Cohort::cohort_static, man pages), doc (the texts and the examples).
include(CMakePackageConfigHelpers)

set(COHORT_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/Cohort)

install(DIRECTORY include/cohort ${PROJECT_BINARY_DIR}/include/cohort
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development FILES_MATCHING PATTERN "*.h")
install(TARGETS ${COHORT_FORMS} EXPORT CohortTargets
  RUNTIME COMPONENT runtime
  LIBRARY COMPONENT runtime NAMELINK_COMPONENT development
  ARCHIVE COMPONENT development)
install(EXPORT CohortTargets NAMESPACE Cohort:: DESTINATION ${COHORT_PACKAGE_DIR}
  COMPONENT development)

# What the package is made of, for those that keep lists (SPDX). SOURCE_DATE_EPOCH sets its date.
string(TIMESTAMP COHORT_SPDX_DATE "%Y-%m-%dT%H:%M:%SZ" UTC)
set(COHORT_SPDX_APR "NOASSERTION")
if(APR_VERSION)
  set(COHORT_SPDX_APR ${APR_VERSION})
endif()
configure_file(cmake/cohort.spdx.in ${PROJECT_BINARY_DIR}/cohort.spdx @ONLY)
install(FILES LICENSE ${PROJECT_BINARY_DIR}/cohort.spdx DESTINATION ${CMAKE_INSTALL_DOCDIR}
  COMPONENT runtime)
file(GLOB texts CONFIGURE_DEPENDS docs/*.md docs/*.svg)
install(FILES README.md CHANGELOG.md ${texts} DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT doc)
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT doc
  FILES_MATCHING PATTERN "*.c" PATTERN "*.cpp" PATTERN "*.h" PATTERN "expected" EXCLUDE)

# A man page for each function and for each header, from their comments.
find_program(COHORT_AWK awk)
mark_as_advanced(COHORT_AWK)
if(COHORT_AWK AND NOT WIN32)
  set(man ${PROJECT_BINARY_DIR}/man)
  file(GLOB headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/cohort/*.h
    ${PROJECT_SOURCE_DIR}/include/cohort/*.h.in)
  add_custom_command(OUTPUT ${man}/made
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${man}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${man}/man3 ${man}/man7
    COMMAND ${COHORT_AWK} -f ${PROJECT_SOURCE_DIR}/tools/man.awk -v out=${man}
      -v version=${PROJECT_VERSION} ${headers}
    COMMAND ${CMAKE_COMMAND} -E touch ${man}/made
    DEPENDS ${headers} ${PROJECT_SOURCE_DIR}/tools/man.awk
    COMMENT "Man pages" VERBATIM)
  add_custom_target(cohort_man ALL DEPENDS ${man}/made)
  install(DIRECTORY ${man}/man3 ${man}/man7 DESTINATION ${CMAKE_INSTALL_MANDIR}
    COMPONENT development)
endif()

configure_package_config_file(cmake/CohortConfig.cmake.in ${PROJECT_BINARY_DIR}/CohortConfig.cmake
  INSTALL_DESTINATION ${COHORT_PACKAGE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/CohortConfigVersion.cmake
  COMPATIBILITY ${COHORT_COMPATIBILITY})
install(FILES ${PROJECT_BINARY_DIR}/CohortConfig.cmake
        ${PROJECT_BINARY_DIR}/CohortConfigVersion.cmake cmake/FindAPR.cmake
        DESTINATION ${COHORT_PACKAGE_DIR} COMPONENT development)

# Only what a static link of a consumer needs beyond APR.
set(COHORT_PC_LIBS_PRIVATE "${CMAKE_THREAD_LIBS_INIT}")
foreach(library IN LISTS COHORT_OS_LIBRARIES)
  if(library MATCHES "^-")
    string(APPEND COHORT_PC_LIBS_PRIVATE " ${library}")
  elseif(NOT library MATCHES "::")
    string(APPEND COHORT_PC_LIBS_PRIVATE " -l${library}")
  endif()
endforeach()
string(STRIP "${COHORT_PC_LIBS_PRIVATE}" COHORT_PC_LIBS_PRIVATE)
# Where only the static library is installed, each link is a static one.
set(COHORT_PC_LIBS "")
set(COHORT_PC_CFLAGS "")
if(NOT "cohort" IN_LIST COHORT_FORMS)
  set(COHORT_PC_LIBS " ${COHORT_PC_LIBS_PRIVATE}")
  set(COHORT_PC_LIBS_PRIVATE "")
  set(COHORT_PC_CFLAGS " -DCOHORT_STATIC")
endif()
# From where the file lies, so that all can be moved; a directory given absolutely stays as it is.
foreach(directory LIBDIR INCLUDEDIR)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${directory}}")
    set(COHORT_PC_${directory} ${CMAKE_INSTALL_${directory}})
  else()
    set(COHORT_PC_${directory} \${prefix}/${CMAKE_INSTALL_${directory}})
  endif()
endforeach()
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(COHORT_PC_PREFIX ${CMAKE_INSTALL_PREFIX})
else()
  file(RELATIVE_PATH up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  string(REGEX REPLACE "/$" "" up "${up}")
  set(COHORT_PC_PREFIX \${pcfiledir}/${up})
endif()
configure_file(cmake/cohort.pc.in ${PROJECT_BINARY_DIR}/cohort.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/cohort.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
  COMPONENT development)
