# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# Compile SOURCE with what pkg-config says about the installed library, and run it (by EMULATOR).
# KIND static (for mingw-w64): with libcohort.a, and the flags that pkg-config has for a static
# link.
# PKG_CONFIG_APR: where APR for that other system is described; nothing of this one is looked at
# then.
cmake_minimum_required(VERSION 3.21)
set(ENV{PKG_CONFIG_PATH} "${PKG_CONFIG_DIR}:$ENV{PKG_CONFIG_PATH}")
set(static "")
if(KIND STREQUAL "static")
  set(static --static)
endif()
if(PKG_CONFIG_APR)
  set(ENV{PKG_CONFIG_LIBDIR} ${PKG_CONFIG_APR})
endif()
execute_process(COMMAND ${PKG_CONFIG} ${static} --cflags --libs cohort OUTPUT_VARIABLE package
                OUTPUT_STRIP_TRAILING_WHITESPACE
                COMMAND_ERROR_IS_FATAL ANY)
if(static) # all but APR, of which there is a DLL only
  string(REPLACE "-lcohort" "-l:libcohort.a" package "-static ${package}")
  string(REPLACE "-lapr-1" "-l:libapr-1.dll.a" package "${package}")
endif()
separate_arguments(package UNIX_COMMAND "${package}")
separate_arguments(flags UNIX_COMMAND "${FLAGS}")
set(as "")
if(LANGUAGE STREQUAL "CXX")
  set(as -x c++)
endif()
set(path "")
if(LIBRARY_DIR)
  set(path -Wl,-rpath,${LIBRARY_DIR})
endif()
execute_process(COMMAND ${COMPILER} ${flags} ${as} ${SOURCE} -x none -o ${PROGRAM} ${package}
  ${path} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${EMULATOR} ${PROGRAM} RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} ended with ${result}")
endif()
