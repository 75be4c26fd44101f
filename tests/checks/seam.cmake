# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# The seam, src/core/base/os.h. No operating system is named on its upper side, that is outside
# src/posix and src/win32: not its macros, not its headers. Below it, the functions that os.h
# declares, at most 50, are those that each back end defines, in the files that the head of os.h
# names, and in the order in which they are declared; each of the variants of a file has the same
# ones. BUILT are the sources of the back end in this build, with commas between them, which have
# each function once. WORK is a directory of this check's own, for trees that break these rules on
# purpose.
cmake_minimum_required(VERSION 3.21)
set(macros
  "_WIN32|_WIN64|WIN32|__CYGWIN__|__MINGW(32|64)__\
|__linux__|__linux|__APPLE__|__MACH__|__(Free|Net|Open)BSD__|__unix__|_POSIX_[A-Z]+|__ANDROID__")
set(headers
  "(windows|winsock2|unistd|pthread|fcntl|spawn|poll|dlfcn|sched|semaphore|process|io)\\.h\
|(sys|linux|mach)/[a-z_]+\\.h")
set(names "(^|[^A-Za-z0-9_])(${macros})($|[^A-Za-z0-9_])|#[ ]*include[ ]*[<\"](${headers})[>\"]")
set(function "^[A-Za-z_][^(;]*[ *](cohort_os_[a-z_]+)\\(.*")
set(group "^/\\* ---- ([a-z]+).*")
set(most 50)

# Lines above the seam at `root` that name an operating system.
macro(find_names root)
  file(GLOB_RECURSE files ${root}/include/*.h ${root}/src/core/*.[ch] ${root}/tests/api/*.[ch]
       ${root}/tests/core/*.[ch]
       ${root}/tests/support/*.[ch] ${root}/examples/*.[ch])
  list(LENGTH files count)
  if(count LESS 10)
    message(FATAL_ERROR "Only ${count} files found under ${root}: is that the project?")
  endif()
  foreach(file IN LISTS files)
    file(STRINGS ${file} lines REGEX "${names}")
    foreach(line IN LISTS lines)
      file(RELATIVE_PATH name ${root} ${file})
      list(APPEND found "${name} names an operating system: ${line}")
    endforeach()
  endforeach()
endmacro()

# What os.h declares: `declared`, in order, and the group of each, group_of_NAME.
macro(read_seam root)
  file(STRINGS ${root}/src/core/base/os.h lines REGEX "^ \\*   os_|${group}|${function}")
  set(head "")
  set(groups "")
  set(declared "")
  foreach(line IN LISTS lines)
    if(line MATCHES "^ \\*")
      string(REGEX MATCHALL "os_[a-z]+\\.c" files "${line}")
      list(APPEND head ${files})
    elseif(line MATCHES "${group}")
      list(APPEND groups "os_${CMAKE_MATCH_1}.c")
      set(current ${CMAKE_MATCH_1})
    elseif(NOT line MATCHES "^static" AND line MATCHES "${function}")
      list(APPEND declared ${CMAKE_MATCH_1})
      set(group_of_${CMAKE_MATCH_1} ${current})
    endif()
  endforeach()
  if(NOT head STREQUAL groups)
    list(APPEND found "the head of os.h does not name the files of its groups in their order")
  endif()
  list(LENGTH declared count)
  if(count GREATER most)
    list(APPEND found "os.h declares ${count} functions, and ${most} are the most")
  endif()
endmacro()

# What a file of a back end defines: noted in definers_NAME.
macro(read_source end file)
  file(STRINGS ${root}/src/${end}/${file} lines REGEX "${function}")
  set(last -1)
  foreach(line IN LISTS lines)
    if(line MATCHES "\\)[ ]*;$" OR NOT line MATCHES "${function}")
      continue()
    endif()
    set(name ${CMAKE_MATCH_1})
    list(FIND declared ${name} place)
    list(APPEND definers_${name} ${file})
    if(place LESS 0)
      list(APPEND found "${end}/${file}: ${name} is not declared in os.h")
    elseif(NOT file MATCHES "^os_${group_of_${name}}(_[a-z0-9]+)?\\.c$")
      list(APPEND found "${end}/${file}: ${name} belongs in os_${group_of_${name}}.c")
    elseif(place LESS last)
      list(APPEND found "${end}/${file}: ${name} is not in the order of os.h")
    endif()
    set(last ${place})
  endforeach()
endmacro()

# Is a function defined once: in the file of its group, or in each of its variants?
macro(check_definers end name)
  set(expected os_${group_of_${name}}.c)
  file(GLOB variants RELATIVE ${root}/src/${end} ${root}/src/${end}/os_${group_of_${name}}_*.c)
  if(NOT definers_${name})
    list(APPEND found "${end}: ${name} is missing")
  elseif(NOT definers_${name} STREQUAL expected AND NOT definers_${name} STREQUAL variants)
    list(JOIN definers_${name} " and " files)
    list(APPEND found "${end}: ${name} is in ${files}, not in ${expected} or all of its variants")
  endif()
endmacro()

# The same of the files that this build has.
macro(check_built end name)
  set(times 0)
  foreach(file IN LISTS BUILT)
    cmake_path(GET file FILENAME file)
    if(file IN_LIST definers_${name})
      math(EXPR times "${times} + 1")
    endif()
  endforeach()
  if(NOT times EQUAL 1)
    list(APPEND found "${name} is defined ${times} times in this build")
  endif()
endmacro()

# The rules that the tree at `root` breaks, one a line.
function(find_faults root faults)
  set(found "")
  find_names(${root})
  read_seam(${root})
  foreach(end posix win32)
    foreach(name IN LISTS declared)
      set(definers_${name} "")
    endforeach()
    file(GLOB sources RELATIVE ${root}/src/${end} ${root}/src/${end}/*.c)
    foreach(file IN LISTS sources)
      read_source(${end} ${file})
    endforeach()
    foreach(name IN LISTS declared)
      check_definers(${end} ${name})
      if("${BUILT}" MATCHES "/src/${end}/")
        check_built(${end} ${name})
      endif()
    endforeach()
  endforeach()
  list(JOIN found "\n  " text)
  set(${faults} "${text}" PARENT_SCOPE)
  set(functions ${count} PARENT_SCOPE)
endfunction()

string(REPLACE "," ";" BUILT "${BUILT}")
find_faults(${ROOT} faults)
if(faults)
  message(FATAL_ERROR "The seam:\n  ${faults}")
endif()
message(STATUS "${functions} functions are the same in os.h and in both back ends")

# The check itself: each of these faults is found.
function(expect root what expected)
  find_faults(${root} faults)
  if(NOT faults STREQUAL expected)
    message(FATAL_ERROR "With ${what} this is found:\n  ${faults}\nnot\n  ${expected}")
  endif()
endfunction()

if(BUILT)
  list(FILTER BUILT EXCLUDE REGEX "/os_facts\\.c$")
  expect(${ROOT} "a build without os_facts.c" "cohort_os_facts is defined 0 times in this build")
endif()

# In a copy of the tree, `before` becomes `after` in a file.
set(BUILT "")
function(plant file before after expected)
  file(READ ${ROOT}/src/${file} content)
  string(REPLACE "${before}" "${after}" changed "${content}")
  if(changed STREQUAL content)
    message(FATAL_ERROR "src/${file} has nothing to plant a fault in: \"${before}\"")
  endif()
  file(WRITE ${WORK}/src/${file} "${changed}")
  expect(${WORK} "a fault planted in src/${file}" "${expected}")
  file(WRITE ${WORK}/src/${file} "${content}")
endfunction()

file(REMOVE_RECURSE ${WORK})
file(COPY ${ROOT}/src DESTINATION ${WORK})
set(elsewhere "not in os_machine.c or all of its variants")
plant(core/base/fail.h "#include <apr_errno.h>" "#include <unistd.h>"
      "src/core/base/fail.h names an operating system: #include <unistd.h>")
plant(core/base/os.h " os_mutex.c" ""
      "the head of os.h does not name the files of its groups in their order")
plant(core/base/os.h "int64_t cohort_os_figure("
      "void cohort_os_planted(void);\nint64_t cohort_os_figure("
      "os.h declares 51 functions, and 50 are the most
  posix: cohort_os_planted is missing\n  win32: cohort_os_planted is missing")
plant(posix/os_mutex.c "bool cohort__allow_cancel("
      "void cohort_os_planted(void) {}\nbool cohort__allow_cancel("
      "posix/os_mutex.c: cohort_os_planted is not declared in os.h")
plant(win32/os_machine.c "int64_t cohort_os_figure(" "int cohort__planted("
      "win32: cohort_os_figure is missing")
plant(win32/os_text.c "wchar_t *cohort__wide("
      "int64_t cohort_os_figure(void) { return 1; }\nwchar_t *cohort__wide("
      "win32/os_text.c: cohort_os_figure belongs in os_machine.c\n\
  win32: cohort_os_figure is in os_machine.c and os_text.c, ${elsewhere}")
plant(posix/os_state_darwin.c "apr_status_t cohort_os_state_look(" "apr_status_t cohort__planted("
      "posix: cohort_os_state_look is in os_state_linux.c, \
not in os_state.c or all of its variants")
plant(win32/os_mutex.c "void cohort_os_mutex_lock("
      "void cohort_os_mutex_unlock(cohort_os_mutex_t *m) { (void)m; }\nvoid cohort_os_mutex_lock("
      "win32/os_mutex.c: cohort_os_mutex_lock is not in the order of os.h\n\
  win32: cohort_os_mutex_unlock is in os_mutex.c and os_mutex.c, \
not in os_mutex.c or all of its variants")
file(REMOVE_RECURSE ${WORK})
