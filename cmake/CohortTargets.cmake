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

# Two thread-local words are looked up at every call. They can be had at a fixed distance where the
# loader keeps room for libraries that a program opens later; musl's keeps none, and refuses them.
include(CheckCSourceCompiles)
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  check_c_source_compiles("#include <features.h>
    #ifndef __GLIBC__
    #error no room for thread-local words of libraries that come later
    #endif
    int main(void) { return 0; }" COHORT_STATIC_TLS)
else()
  set(COHORT_STATIC_TLS ON)
endif()

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
  # What a new process runs through lies together: each 64 KiB of code that it touches costs it a
  # fault. Of objects and pools it runs what they do in a copy.
  set(early ${COHORT_CORE_SOURCES})
  set(late ${COHORT_CORE_SOURCES})
  list(FILTER late INCLUDE REGEX "/(object|pool)/")
  list(FILTER late EXCLUDE REGEX "/pool_(setting|callback)\\.c$")
  list(REMOVE_ITEM early ${late})
  add_library(${target} ${kind} ${early} ${COHORT_OS_SOURCES} ${late})
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
  if(NOT MSVC)
    if(NOT APPLE)
      target_compile_options(${target} PRIVATE -Wshadow -Wundef -Wmissing-prototypes -Wconversion)
    endif()
    if(COHORT_STATIC_TLS)
      target_compile_options(${target} PRIVATE -ftls-model=initial-exec)
    endif()
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
