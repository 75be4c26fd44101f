# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# Compile SOURCE with what pkg-config says about the installed library, and run it.
cmake_minimum_required(VERSION 3.21)
set(ENV{PKG_CONFIG_PATH} "${PKG_CONFIG_DIR}:$ENV{PKG_CONFIG_PATH}")
execute_process(COMMAND ${PKG_CONFIG} --cflags --libs cohort OUTPUT_VARIABLE package
                OUTPUT_STRIP_TRAILING_WHITESPACE
                COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(package UNIX_COMMAND "${package}")
separate_arguments(flags UNIX_COMMAND "${FLAGS}")
set(as "")
if(LANGUAGE STREQUAL "CXX")
  set(as -x c++)
endif()
execute_process(COMMAND ${COMPILER} ${flags} ${as} ${SOURCE} -x none -o ${PROGRAM} ${package}
  -Wl,-rpath,${LIBRARY_DIR} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${PROGRAM} RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} ended with ${result}")
endif()
