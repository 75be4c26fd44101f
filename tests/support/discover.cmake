# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# Read by ctest: adds each case of one test program, once per start method. Variables: see
# tests/CMakeLists.txt. A function, so that nothing leaks into the next program's file.

cmake_policy(VERSION 3.21)

function(add_case suite case method)
  set(name ${suite}.${case})
  set(labels ${PROGRAM} ${suite} ${LABELS})
  set(environment TMPDIR=${DIRECTORY})
  if(method)
    string(PREPEND name ${method}.)
    list(APPEND labels ${method})
    list(APPEND environment COHORT_TEST_METHOD=${method})
  else()
    string(PREPEND name os.)
  endif()
  add_test(${name} ${EMULATOR} ${EXECUTABLE} --gtest_filter=${suite}.${case})
  # The watchdog's time may be set for a whole run; ctest's own limit is only for a watchdog that
  # does not bite.
  if(DEFINED ENV{COHORT_TEST_TIMEOUT})
    set(SECONDS $ENV{COHORT_TEST_TIMEOUT})
  endif()
  math(EXPR limit "${SECONDS} + 30")
  list(APPEND environment COHORT_TEST_TIMEOUT=${SECONDS})
  set_tests_properties(${name} PROPERTIES
    ENVIRONMENT "${environment}" LABELS "${labels}" TIMEOUT ${limit}
    WORKING_DIRECTORY "${DIRECTORY}"
    FIXTURES_REQUIRED leftovers SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\] 1 test")
endfunction()

function(add_cases)
  if(NOT EXISTS ${EXECUTABLE})
    add_test(${PROGRAM}.is_not_built ${EXECUTABLE})
    return()
  endif()
  execute_process(COMMAND ${EMULATOR} ${EXECUTABLE} --gtest_list_tests OUTPUT_VARIABLE output
    RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${EXECUTABLE} cannot list its cases: ${result}\n${output}")
  endif()
  string(REGEX REPLACE "\r?\n" ";" lines "${output}")
  foreach(line IN LISTS lines)
    if(line MATCHES "^([A-Za-z0-9_]+)\\.$")
      set(suite ${CMAKE_MATCH_1})
    elseif(line MATCHES "^  ([A-Za-z0-9_]+)")
      set(case ${CMAKE_MATCH_1})
      if(METHODS)
        foreach(method IN LISTS METHODS)
          add_case(${suite} ${case} ${method})
        endforeach()
      else()
        add_case(${suite} ${case} "")
      endif()
    endif()
  endforeach()
endfunction()

add_cases()
