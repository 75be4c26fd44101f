# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# Toolchain: macOS by "zig cc", which carries the headers and the list of symbols of the system's
# library. Programs are linked and cannot be run. COHORT_ZIG_BIN: the directory where
# tools/check-macos.sh has put cc, c++, ar and ranlib for the architecture COHORT_ZIG_ARCH.
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES COHORT_ZIG_BIN COHORT_ZIG_ARCH)
set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_PROCESSOR ${COHORT_ZIG_ARCH})
set(CMAKE_C_COMPILER ${COHORT_ZIG_BIN}/cc)
set(CMAKE_CXX_COMPILER ${COHORT_ZIG_BIN}/c++)
set(CMAKE_AR ${COHORT_ZIG_BIN}/ar CACHE FILEPATH "")
set(CMAKE_RANLIB ${COHORT_ZIG_BIN}/ranlib CACHE FILEPATH "")
set(CMAKE_INSTALL_NAME_TOOL ${COHORT_ZIG_BIN}/none CACHE FILEPATH "") # nothing is installed

set(CMAKE_FIND_ROOT_PATH ${COHORT_ZIG_BIN})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
