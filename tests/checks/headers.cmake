# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# The public headers, and uses.c, which uses their macros, compile without a warning in every
# version of C and of C++; so does each header by itself, and twice in a row, in the first version.
# C and CXX are lists of compilers, versions that a compiler does not know are left out; INCLUDES is
# one of directories, that of APR last, FLAGS what APR's headers ask for. Lists are with commas.
# WORK is a directory of this check's own.
cmake_minimum_required(VERSION 3.21)

foreach(list IN ITEMS C CXX INCLUDES FLAGS)
  string(REPLACE "," ";" ${list} "${${list}}")
endforeach()

set(C_STANDARDS c11 c17 c2x)
set(CXX_STANDARDS c++11 c++14 c++17 c++20 c++2b)
set(C_ENDING c)
set(CXX_ENDING cc)
set(WARNINGS -Wall -Wextra -pedantic -Werror)

set(flags ${FLAGS})
list(POP_BACK INCLUDES apr)
foreach(directory IN LISTS INCLUDES)
  list(APPEND flags -I${directory})
endforeach()
list(APPEND flags -isystem ${apr})

# "": it compiles. `more` are flags before the others, with other headers, say.
function(compile compiler standard more source trouble)
  execute_process(COMMAND ${compiler} -std=${standard} ${WARNINGS} ${more} ${flags}
                  -c ${source} -o ${WORK}/out.o
                  RESULT_VARIABLE result ERROR_VARIABLE output OUTPUT_VARIABLE output)
  set(${trouble} "" PARENT_SCOPE)
  if(NOT result EQUAL 0)
    set(${trouble} "${compiler} -std=${standard} ${source}:\n${output}" PARENT_SCOPE)
  endif()
endfunction()

function(write_source header)
  string(REPLACE ".h" "" name ${header})
  foreach(ending IN ITEMS ${C_ENDING} ${CXX_ENDING})
    file(WRITE ${WORK}/${name}.${ending}
         "#include <cohort/${header}>\n#include <cohort/${header}>\ntypedef int nothing_t;\n")
  endforeach()
endfunction()

# ---- the check ----------------------------------------------------------------------------------

file(REMOVE_RECURSE ${WORK})
set(headers "")
foreach(directory IN LISTS INCLUDES)
  file(GLOB found RELATIVE ${directory}/cohort ${directory}/cohort/*.h)
  list(APPEND headers ${found})
endforeach()
foreach(header IN LISTS headers)
  write_source(${header})
endforeach()
foreach(ending IN ITEMS ${C_ENDING} ${CXX_ENDING})
  file(WRITE ${WORK}/nothing.${ending} "typedef int nothing_t;\n")
  file(COPY_FILE ${CMAKE_CURRENT_LIST_DIR}/uses.c ${WORK}/uses.${ending})
endforeach()
list(TRANSFORM headers REPLACE "\\.h$" "")

set(troubles "")
set(count 0)
foreach(language IN ITEMS C CXX)
  set(first_${language} "")
  foreach(compiler IN LISTS ${language})
    foreach(standard IN LISTS ${language}_STANDARDS)
      compile(${compiler} ${standard} "" ${WORK}/nothing.${${language}_ENDING} trouble)
      if(trouble)
        message(STATUS "${compiler} knows no ${standard}")
        continue()
      endif()
      set(sources uses)
      if(NOT first_${language})
        set(first_${language} ${compiler} ${standard})
      endif()
      if(standard IN_LIST first_${language})
        list(APPEND sources ${headers})
      endif()
      foreach(source IN LISTS sources)
        compile(${compiler} ${standard} "" ${WORK}/${source}.${${language}_ENDING} trouble)
        string(APPEND troubles "${trouble}")
        math(EXPR count "${count} + 1")
      endforeach()
    endforeach()
  endforeach()
  if(NOT first_${language})
    message(FATAL_ERROR "No compiler of ${${language}} knows any of ${${language}_STANDARDS}")
  endif()
endforeach()
if(troubles)
  message(FATAL_ERROR "${troubles}")
endif()
message(STATUS "${count} compilations without a warning")

# ---- the check itself ---------------------------------------------------------------------------

# With `text` planted in a header of its own both languages complain about `word`.
function(plant text word)
  file(WRITE ${WORK}/include/cohort/planted.h "${text}\n")
  write_source(planted.h)
  foreach(language IN ITEMS C CXX)
    compile(${first_${language}} -I${WORK}/include ${WORK}/planted.${${language}_ENDING} trouble)
    if(NOT trouble MATCHES "${word}")
      message(FATAL_ERROR "A planted warning, ${word}, is not found by ${first_${language}}:\n"
        "${trouble}")
    endif()
  endforeach()
endfunction()

plant("#pragma once\nstatic int planted;" "planted") # not used
# It does not stand alone; is what no standard has; does not stand twice.
plant("#pragma once\ntypedef struct { apr_size_t n; } planted_t;" "apr_size_t")
plant("#pragma once\ntypedef struct { int n; int array[0]; } planted_t;" "array")
plant("enum { PLANTED };" "PLANTED")
file(REMOVE_RECURSE ${WORK})
