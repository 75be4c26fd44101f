# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# No operating system is named outside src/posix and src/win32: not its macros, not its headers.
set(names
  "_WIN32|_WIN64|WIN32|__CYGWIN__|__MINGW(32|64)__|__linux__|__linux|__APPLE__|__MACH__|__(Free|Net|Open)BSD__|__unix__|_POSIX_[A-Z]+|__ANDROID__"
  "(windows|winsock2|unistd|pthread|signal|fcntl|spawn|poll|dlfcn|sched|semaphore|process|io)\\.h|sys/[a-z_]+\\.h|linux/[a-z_]+\\.h|mach/[a-z_]+\\.h")
list(JOIN names "|" pattern)
set(pattern "(^|[^A-Za-z0-9_/])(${pattern})($|[^A-Za-z0-9_])")

file(GLOB_RECURSE files ${ROOT}/include/*.h ${ROOT}/src/core/*.[ch] ${ROOT}/tests/api/*.[ch] ${ROOT}/tests/core/*.[ch]
     ${ROOT}/tests/support/*.[ch] ${ROOT}/examples/*.[ch])
list(LENGTH files count)
if(count LESS 10)
  message(FATAL_ERROR "Only ${count} files found under ${ROOT}: is that the project?")
endif()
set(found "")
foreach(file IN LISTS files)
  file(STRINGS ${file} lines REGEX "${pattern}")
  foreach(line IN LISTS lines)
    # Cohort's own headers may be called as the system's are.
    if(NOT line MATCHES "#include [<\"](cohort|core)/")
      file(RELATIVE_PATH name ${ROOT} ${file})
      string(APPEND found "\n  ${name}: ${line}")
    endif()
  endforeach()
endforeach()
if(found)
  message(FATAL_ERROR "An operating system is named outside src/posix and src/win32:${found}")
endif()
message(STATUS "${count} files name no operating system")
