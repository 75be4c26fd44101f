# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# How Cohort's own targets are compiled: C11 without extensions, strict warnings, nothing visible
# that is not public.
include(GenerateExportHeader)

# Versions that agree in this can stand in for each other (docs/stability.md). The package, the name
# of the shared library and the versions of its symbols go by it.
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(COHORT_ABI ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  set(COHORT_COMPATIBILITY SameMinorVersion)
else()
  set(COHORT_ABI ${PROJECT_VERSION_MAJOR})
  set(COHORT_COMPATIBILITY SameMajorVersion)
endif()

include(CohortSymbols)

configure_file(include/cohort/version.h.in ${PROJECT_BINARY_DIR}/include/cohort/version.h @ONLY)

function(cohort_strict target)
  set_target_properties(${target} PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF)
  if(MSVC)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:C>:/W4>
      $<$<COMPILE_LANG_AND_ID:C,MSVC>:/experimental:c11atomics> $<$<BOOL:${COHORT_WERROR}>:/WX>)
  else()
    target_compile_options(${target} PRIVATE -Wall -Wextra
                                             $<$<COMPILE_LANGUAGE:C>:-Wvla -Wstrict-prototypes
                                             -Wpointer-arith>
                                             $<$<BOOL:${COHORT_WERROR}>:-Werror>)
  endif()
endfunction()

# cohort_library(NAME SHARED|STATIC): the library from the core and the back end. Both forms are
# compiled from the same sources, since their public functions are marked differently where a system
# asks for it.
function(cohort_library target kind)
  add_library(${target} ${kind} ${COHORT_CORE_SOURCES} ${COHORT_OS_SOURCES})
  add_library(Cohort::${target} ALIAS ${target})
  cohort_strict(${target})
  set_target_properties(${target} PROPERTIES
    C_VISIBILITY_PRESET hidden
    POSITION_INDEPENDENT_CODE ON
    VERSION ${PROJECT_VERSION}
    SOVERSION ${COHORT_ABI}
    DEFINE_SYMBOL cohort_EXPORTS)
  if(NOT (MSVC AND kind STREQUAL "STATIC"))
    set_target_properties(${target} PROPERTIES OUTPUT_NAME cohort)
  endif()
  if(kind STREQUAL "SHARED" AND UNIX AND NOT APPLE)
    # resolved once in a fork server, not in each of its children
    target_link_options(${target} PRIVATE LINKER:-z,now)
  endif()
  if(kind STREQUAL "SHARED")
    cohort_export_listed(${target})
    generate_export_header(${target} BASE_NAME cohort EXPORT_MACRO_NAME COHORT_API STATIC_DEFINE
                           COHORT_STATIC
                           EXPORT_FILE_NAME ${PROJECT_BINARY_DIR}/include/cohort/export.h)
  endif()
  target_include_directories(${target}
    PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>
           $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    PRIVATE ${PROJECT_SOURCE_DIR}/src)
  if(NOT MSVC) # two thread-local words are looked up at every call
    target_compile_options(${target} PRIVATE
      -ftls-model=initial-exec
      $<$<C_COMPILER_ID:GNU>:-Wshadow$<SEMICOLON>-Wundef>
      $<$<C_COMPILER_ID:GNU>:-Wmissing-prototypes$<SEMICOLON>-Wconversion>)
  endif()
  target_compile_definitions(${target} PRIVATE ${COHORT_OS_DEFINITIONS})
  if(kind STREQUAL "STATIC")
    target_compile_definitions(${target} PUBLIC COHORT_STATIC)
  endif()
  target_link_libraries(${target} PUBLIC APR::APR PRIVATE Threads::Threads ${COHORT_OS_LIBRARIES})
endfunction()

# cohort_program(NAME LIBRARY SOURCES...): a program that uses the library.
function(cohort_program target library)
  add_executable(${target} ${ARGN})
  cohort_strict(${target})
  target_link_libraries(${target} PRIVATE ${library})
endfunction()
