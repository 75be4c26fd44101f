# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# README.md's first C block is a whole program: it is taken out, compiled as a user's program is,
# and run. The lines that it prints stand in the text block after it.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/README.md)
file(READ ${PROJECT_SOURCE_DIR}/README.md readme)
string(FIND "${readme}" "```c\n" begin)
if(begin EQUAL -1)
  message(FATAL_ERROR "README.md has no C program")
endif()
math(EXPR begin "${begin} + 5")
string(SUBSTRING "${readme}" ${begin} -1 rest)
string(FIND "${rest}" "```" end)
string(SUBSTRING "${rest}" 0 ${end} program)
file(CONFIGURE OUTPUT readme_program.c CONTENT "${program}" @ONLY)
cohort_program(readme_program cohort ${CMAKE_CURRENT_BINARY_DIR}/readme_program.c)
add_test(NAME readme.program COMMAND readme_program WORKING_DIRECTORY ${COHORT_TEST_DIR})
set_tests_properties(readme.program PROPERTIES PASS_REGULAR_EXPRESSION "^9801\r?\n$" TIMEOUT 60
  FIXTURES_REQUIRED leftovers)
