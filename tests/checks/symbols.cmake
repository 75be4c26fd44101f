# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# The shared library exports exactly the symbols of tests/symbols.txt. WRITE=1 writes that list
# instead.
cmake_minimum_required(VERSION 3.21)
execute_process(COMMAND ${NM} -D --defined-only ${LIBRARY} OUTPUT_VARIABLE output
  RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "${NM} cannot read ${LIBRARY}")
endif()
string(REGEX MATCHALL "[0-9a-f]+ [TDBRWV] [A-Za-z_][A-Za-z0-9_]*" entries "${output}")
list(TRANSFORM entries REPLACE "^[0-9a-f]+ [TDBRWV] " "")
list(SORT entries)
list(JOIN entries "\n" exported)
string(APPEND exported "\n")

if(WRITE)
  file(WRITE ${EXPECTED} "${exported}")
  return()
endif()
file(READ ${EXPECTED} expected)
if(NOT exported STREQUAL expected)
  string(REGEX REPLACE "\n" ";" wanted "${expected}")
  set(more ${entries})
  list(REMOVE_ITEM more ${wanted})
  list(REMOVE_ITEM wanted ${entries} "")
  message(FATAL_ERROR
    "The exported symbols differ from ${EXPECTED}.\nExported, not listed: ${more}\n"
    "Listed, not exported: ${wanted}\n"
    "When the change is meant: cmake -DWRITE=1 -DNM=${NM} -DLIBRARY=${LIBRARY} "
    "-DEXPECTED=${EXPECTED} -P ${CMAKE_CURRENT_LIST_FILE}")
endif()
