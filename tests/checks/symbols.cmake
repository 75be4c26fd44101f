# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# ROOT/src/symbols.txt lists the functions that the headers declare (COHORT_API), and the shared
# library LIBRARY exports these and nothing else, on ELF each with the version that it is listed
# under. NM reads the library, or, for Windows, OBJDUMP; without either the list is compared with
# the headers only. WORK is a directory of this check's own, for lists, headers and libraries with
# mistakes; COMPILER links the latter.
#   cmake -DWRITE=1 -DROOT=. -P tests/checks/symbols.cmake
# writes the list anew: what the headers have no more is gone, what is new has the last version.
cmake_minimum_required(VERSION 3.21)
include(${CMAKE_CURRENT_LIST_DIR}/../../cmake/CohortSymbols.cmake)

# The functions that the headers in a directory declare.
function(find_declared directory functions)
  set(found "")
  file(GLOB headers ${directory}/*.h)
  foreach(header IN LISTS headers)
    file(READ ${header} text)
    string(REGEX MATCHALL "COHORT_API[^;{]*" declarations "${text}")
    foreach(declaration IN LISTS declarations)
      if(declaration MATCHES "(cohort_[a-z0-9_]+)[ \n]*\\(")
        list(APPEND found ${CMAKE_MATCH_1})
      endif()
    endforeach()
  endforeach()
  list(SORT found)
  set(${functions} "${found}" PARENT_SCOPE)
endfunction()

# The functions of a list, and each as the library is to export it: "cohort_alloc@@COHORT_0.2".
function(read_list path functions exports)
  set(found "")
  set(versioned "")
  file(STRINGS ${path} lines)
  foreach(line IN LISTS lines)
    if(line MATCHES "^COHORT_")
      set(version ${line})
    else()
      list(APPEND found ${line})
      list(APPEND versioned ${line}@@${version})
    endif()
  endforeach()
  list(SORT found)
  list(SORT versioned)
  set(${functions} "${found}" PARENT_SCOPE)
  set(${exports} "${versioned}" PARENT_SCOPE)
endfunction()

function(read_elf library exports)
  execute_process(COMMAND ${NM} -D --defined-only ${library} OUTPUT_VARIABLE output
                  COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[0-9a-f]+ [TDBRVWi] [^\n]*" found "${output}")
  list(TRANSFORM found REPLACE "^[0-9a-f]+ . " "")
  list(SORT found)
  set(${exports} "${found}" PARENT_SCOPE)
endfunction()

function(read_dll library exports)
  execute_process(COMMAND ${OBJDUMP} -p ${library} OUTPUT_VARIABLE output
                  COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX REPLACE ".*\\[Ordinal/Name Pointer\\] Table" "" output "${output}")
  string(REGEX REPLACE "\r?\n\r?\n.*" "" output "${output}\n\n")
  string(APPEND output "\n")
  string(REGEX MATCHALL "\\[ *[0-9]+\\]([^\n]*base\\[ *[0-9]+\\])? +[^ \n]+\n" found "${output}")
  list(TRANSFORM found REPLACE "^.* ([^ ]+)\n$" "\\1")
  list(SORT found)
  set(${exports} "${found}" PARENT_SCOPE)
endfunction()

# "": the two lists are the same.
function(compare first_has first second_has second difference)
  set(more ${first})
  set(less ${second})
  if(second)
    list(REMOVE_ITEM more ${second})
  endif()
  if(first)
    list(REMOVE_ITEM less ${first})
  endif()
  set(text "")
  if(more)
    string(APPEND text "${first_has} and not ${second_has}: ${more}\n")
  endif()
  if(less)
    string(APPEND text "${second_has} and not ${first_has}: ${less}\n")
  endif()
  set(${difference} "${text}" PARENT_SCOPE)
endfunction()

function(compare_headers headers list difference)
  find_declared(${headers} declared)
  read_list(${list} listed exports)
  compare("declared" "${declared}" "listed" "${listed}" text)
  set(${difference} "${text}" PARENT_SCOPE)
endfunction()

function(compare_library library list difference)
  read_list(${list} listed exports)
  if(NM)
    read_elf(${library} found)
    compare("exported" "${found}" "listed" "${exports}" text)
  elseif(OBJDUMP)
    read_dll(${library} found)
    compare("exported" "${found}" "listed" "${listed}" text)
  endif()
  set(${difference} "${text}" PARENT_SCOPE)
endfunction()

# ---- the list anew ------------------------------------------------------------------------------

set(HEADERS ${ROOT}/include/cohort)
set(LIST ${ROOT}/src/symbols.txt)

function(write_list)
  find_declared(${HEADERS} new)
  file(STRINGS ${LIST} lines)
  set(text "")
  foreach(line IN LISTS lines)
    if(line MATCHES "^COHORT_" OR line IN_LIST new)
      string(APPEND text "${line}\n")
      list(REMOVE_ITEM new ${line})
    endif()
  endforeach()
  string(REGEX MATCH "^(.*\n)?(COHORT_[^\n]*)\n([^A-Z]*)$" all "${text}")
  set(before "${CMAKE_MATCH_1}${CMAKE_MATCH_2}\n")
  string(REGEX MATCHALL "[^\n]+" last "${CMAKE_MATCH_3}")
  list(APPEND last ${new})
  list(SORT last)
  list(JOIN last "\n" last)
  file(WRITE ${LIST} "${before}${last}\n")
endfunction()

if(WRITE)
  get_filename_component(LIST ${LIST} ABSOLUTE)
  get_filename_component(HEADERS ${HEADERS} ABSOLUTE)
  write_list()
  return()
endif()

# ---- the check ----------------------------------------------------------------------------------

compare_headers(${HEADERS} ${LIST} headers)
compare_library(${LIBRARY} ${LIST} library)
if(headers OR library)
  message(FATAL_ERROR "src/symbols.txt, the headers and ${LIBRARY} differ.\n${headers}${library}"
    "When the change is meant: cmake -DWRITE=1 -DROOT=. -P tests/checks/symbols.cmake, and build")
endif()

# ---- the check itself ---------------------------------------------------------------------------

function(expect what expected found)
  if(NOT found STREQUAL expected)
    message(FATAL_ERROR "${what}: \"${found}\" is found, and not \"${expected}\"")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK}/include)
file(COPY ${HEADERS} DESTINATION ${WORK}/include)
file(WRITE ${WORK}/include/cohort/planted.h
     "/** Text with COHORT_API; and a word. */\n"
     "COHORT_API apr_status_t\ncohort_planted(void (*call)(void));\n")
compare_headers(${WORK}/include/cohort ${LIST} found)
expect("A new function without an entry" "declared and not listed: cohort_planted\n" "${found}")
file(READ ${LIST} text)
string(REGEX REPLACE ".*(COHORT_[^\n]*).*" "\\1" last "${text}")
file(WRITE ${WORK}/symbols.txt "${text}cohort_zzz\n")
compare_headers(${HEADERS} ${WORK}/symbols.txt found)
expect("An entry without a function" "listed and not declared: cohort_zzz\n" "${found}")
if(NM)
  compare_library(${LIBRARY} ${WORK}/symbols.txt found)
  expect("A function that is not exported"
         "listed and not exported: cohort_zzz@@${last}\n" "${found}")
elseif(OBJDUMP)
  compare_library(${LIBRARY} ${WORK}/symbols.txt found)
  expect("A function that is not exported" "listed and not exported: cohort_zzz\n" "${found}")
endif()

# Libraries with two versions; the second time the linker does not get them.
if(COMPILER)
  file(WRITE ${WORK}/planted.txt "COHORT_7.0\ncohort_a\ncohort_b\nCOHORT_7.1\ncohort_c\n")
  file(WRITE ${WORK}/planted.c
       "int cohort_a(void);\nint cohort_b(void);\nint cohort_c(void);\nint cohort__d(void);\n"
       "int cohort_a(void) { return 1; }\nint cohort_b(void) { return 2; }\n"
       "int cohort_c(void) { return 3; }\nint cohort__d(void) { return 4; }\n")
  cohort_version_script(${WORK}/planted.txt ${WORK}/planted.symbols)
  foreach(option IN ITEMS -Wl,--version-script,${WORK}/planted.symbols -O0)
    execute_process(COMMAND ${COMPILER} -shared -fPIC ${option} -o ${WORK}/planted.so
                    ${WORK}/planted.c COMMAND_ERROR_IS_FATAL ANY)
    compare_library(${WORK}/planted.so ${WORK}/planted.txt found)
    if(option STREQUAL "-O0")
      set(less "cohort_a@@COHORT_7.0;cohort_b@@COHORT_7.0;cohort_c@@COHORT_7.1")
      set(less "listed and not exported: ${less}\n")
      expect("A library without versions"
             "exported and not listed: cohort__d;cohort_a;cohort_b;cohort_c\n${less}" "${found}")
    else()
      expect("A library with two versions" "" "${found}")
    endif()
  endforeach()
endif()
file(REMOVE_RECURSE ${WORK})
