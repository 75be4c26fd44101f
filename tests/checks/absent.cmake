# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# What is counted as skipped on Windows is each case of tests/posix, no less and no more:
# cmake -DTESTS=DIRECTORY -DPROGRAM=TEST_POSIX -P absent.cmake
cmake_minimum_required(VERSION 3.21)
include(${CMAKE_CURRENT_LIST_DIR}/../support/absent.cmake)

posix_cases(${TESTS} expected)
list(TRANSFORM expected REPLACE "\\|.*" "")
execute_process(COMMAND ${PROGRAM} --gtest_list_tests OUTPUT_VARIABLE output
  COMMAND_ERROR_IS_FATAL ANY)
string(REGEX REPLACE "\n" ";" lines "${output}")
set(there "")
foreach(line IN LISTS lines)
  if(line MATCHES "^([A-Za-z0-9_]+)\\.$")
    set(suite ${CMAKE_MATCH_1})
  elseif(line MATCHES "^  ([A-Za-z0-9_]+)")
    list(APPEND there ${suite}.${CMAKE_MATCH_1})
  endif()
endforeach()
set(missing ${there})
list(REMOVE_ITEM missing ${expected})
set(unknown ${expected})
list(REMOVE_ITEM unknown ${there})
if(missing OR unknown)
  message(FATAL_ERROR "tests/support/absent.cmake misses: ${missing}\nand knows of: ${unknown}")
endif()
list(LENGTH there n)
message("${n} cases of tests/posix have a reason")
