# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# Toolchain: Windows x86-64 by mingw-w64 (posix threads), with programs run through Wine. Everything
# is linked statically into the programs, so that no runtime library of the compiler has to be found
# beside them.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(COHORT_TRIPLET x86_64-w64-mingw32)

# Debian names the flavour with posix threads "-posix"; others have only that flavour. A program in
# C needs no compiler for C++.
find_program(COHORT_MINGW_CC NAMES ${COHORT_TRIPLET}-gcc-posix ${COHORT_TRIPLET}-gcc REQUIRED)
find_program(COHORT_MINGW_CXX NAMES ${COHORT_TRIPLET}-g++-posix ${COHORT_TRIPLET}-g++)
set(CMAKE_C_COMPILER ${COHORT_MINGW_CC})
if(COHORT_MINGW_CXX)
  set(CMAKE_CXX_COMPILER ${COHORT_MINGW_CXX})
endif()
set(CMAKE_RC_COMPILER ${COHORT_TRIPLET}-windres)

# A caller may have named more places, and packages of its own by CMAKE_PREFIX_PATH.
list(PREPEND CMAKE_FIND_ROOT_PATH /usr/${COHORT_TRIPLET})
list(APPEND CMAKE_FIND_ROOT_PATH ${CMAKE_PREFIX_PATH})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

set(CMAKE_C_FLAGS_INIT "-D_WIN32_WINNT=0x0A00")
set(CMAKE_CXX_FLAGS_INIT "-D_WIN32_WINNT=0x0A00")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-static")
set(CMAKE_CROSSCOMPILING_EMULATOR ${CMAKE_CURRENT_LIST_DIR}/wine-run.sh)

# The one that needs no DLL beside the program.
if(EXISTS /usr/${COHORT_TRIPLET}/lib/libz.a)
  set(ZLIB_LIBRARY /usr/${COHORT_TRIPLET}/lib/libz.a CACHE FILEPATH "")
endif()
