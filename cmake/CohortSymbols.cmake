# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# What the shared library exports, by a list: a line COHORT_N.N, which is the version that symbols
# have on ELF, and below it the functions that came with it, one a line. A later version is one more
# such line with its own functions below. The test check.symbols includes this file, too.

# A version script for linkers of ELF: "COHORT_1.0 { global: a; b; local: *; };", then
# "COHORT_1.1 { global: c; } COHORT_1.0;".
function(cohort_version_script list path)
  file(STRINGS ${list} lines)
  set(script "")
  set(end "")
  set(before "") # a variable of the project above may have that name
  set(hidden " local: *;\n")
  foreach(line IN LISTS lines)
    if(line MATCHES "^COHORT_")
      string(APPEND script "${end}${line} {\n global:\n")
      set(end "${hidden}}${before};\n")
      set(before " ${line}")
      set(hidden "")
    else()
      string(APPEND script "  ${line};\n")
    endif()
  endforeach()
  file(CONFIGURE OUTPUT ${path} CONTENT "${script}${end}" @ONLY)
endfunction()

# The list that Apple's linker takes: names as they are in object files.
function(cohort_exported_list list path)
  file(STRINGS ${list} lines REGEX "^cohort_")
  list(TRANSFORM lines PREPEND "_")
  list(JOIN lines "\n" text)
  file(CONFIGURE OUTPUT ${path} CONTENT "${text}\n" @ONLY)
endfunction()

# Have the linker export what src/symbols.txt lists and nothing else. Where it takes no list the
# marks of the headers (COHORT_API) alone decide: on Windows, and of some linkers for macOS.
function(cohort_export_listed target)
  set(list ${PROJECT_SOURCE_DIR}/src/symbols.txt)
  set(script ${CMAKE_CURRENT_BINARY_DIR}/${target}.symbols)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${list})
  file(STRINGS ${list} versions REGEX "^COHORT_")
  if(PROJECT_VERSION_MAJOR EQUAL 0 AND NOT versions STREQUAL "COHORT_${COHORT_ABI}")
    message(FATAL_ERROR "src/symbols.txt: its only version is to be COHORT_${COHORT_ABI} "
      "(docs/stability.md), not ${versions}")
  endif()
  if(APPLE)
    cohort_exported_list(${list} ${script})
    file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/main.symbols "_main\n")
    include(CheckLinkerFlag)
    check_linker_flag(C "LINKER:-exported_symbols_list,${CMAKE_CURRENT_BINARY_DIR}/main.symbols"
                      COHORT_LINKER_TAKES_A_LIST)
    if(NOT COHORT_LINKER_TAKES_A_LIST)
      return()
    endif()
    target_link_options(${target} PRIVATE "LINKER:-exported_symbols_list,${script}")
  elseif(UNIX)
    cohort_version_script(${list} ${script})
    target_link_options(${target} PRIVATE "LINKER:--version-script,${script}")
  else()
    return()
  endif()
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${script})
endfunction()
