# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# The storeys of src/core stand on each other: a file includes its own storey and those below it,
# every source is listed in src/core/storeys.cmake, and the storeys up to each of them link by
# themselves with the back end, whatever is included. WORK is a directory of this check's own, for
# trees and sources that break these rules on purpose. The link is left out without OBJECTS, a file
# that names the library's objects; COMPILER and LIBRARIES are what it takes.
cmake_minimum_required(VERSION 3.21)

# The rules that the tree at `root` breaks.
function(find_breaches root breaches)
  include(${root}/src/core/storeys.cmake)
  set(found "")
  file(GLOB_RECURSE files RELATIVE ${root}/src ${root}/src/*.[ch])
  foreach(file IN LISTS files)
    get_filename_component(folder ${file} DIRECTORY)
    get_filename_component(name ${file} NAME)
    string(REPLACE "core/" "" from "${file}")
    set(height 0) # of a back end: the ground
    if(folder MATCHES "^core")
      string(REPLACE "core/" "" storey "${folder}")
      list(FIND COHORT_STOREYS "${storey}" height)
      if(height LESS 0 OR (name MATCHES "\\.c$" AND NOT name IN_LIST COHORT_STOREY_${storey}))
        list(APPEND found "${from} is not listed in storeys.cmake")
        continue()
      endif()
    endif()
    file(STRINGS ${root}/src/${file} lines REGEX "^[ \t]*#[ \t]*include[ \t]*\"core/")
    foreach(line IN LISTS lines)
      string(REGEX REPLACE ".*\"core/([^\"]*)\".*" "\\1" included "${line}")
      string(REGEX REPLACE "/.*" "" below "${included}")
      list(FIND COHORT_STOREYS "${below}" depth)
      if(depth LESS 0 OR depth GREATER height)
        list(APPEND found "${from} -> ${included} goes up")
      endif()
    endforeach()
  endforeach()
  set(${breaches} "${found}" PARENT_SCOPE)
endfunction()

# Link the back end, the storeys up to this one and `more` as a shared object that needs nothing
# else. "": that works.
function(link_up_to storey more trouble)
  set(folders posix)
  foreach(each IN LISTS COHORT_STOREYS)
    list(APPEND folders core/${each})
    if(each STREQUAL storey)
      break()
    endif()
  endforeach()
  list(JOIN folders "|" folders)
  file(STRINGS ${OBJECTS} objects)
  list(FILTER objects INCLUDE REGEX "/src/(${folders})/[^/]*$")
  execute_process(COMMAND ${COMPILER} -shared -fPIC -Wl,-z,defs -o ${WORK}/upto_${storey}.so ${more}
                  ${objects} ${LIBRARIES}
                  RESULT_VARIABLE result ERROR_VARIABLE output OUTPUT_VARIABLE output)
  if(result EQUAL 0)
    set(output "")
  endif()
  set(${trouble} "${output}" PARENT_SCOPE)
endfunction()

find_breaches(${ROOT} breaches)
if(breaches)
  list(JOIN breaches "\n  " text)
  message(FATAL_ERROR "The storeys of src/core:\n  ${text}")
endif()

# The check itself: each of these files in a copy of the tree is found.
function(plant file content expected)
  file(REMOVE_RECURSE ${WORK})
  file(COPY ${ROOT}/src DESTINATION ${WORK})
  file(WRITE ${WORK}/src/${file} "${content}")
  find_breaches(${WORK} breaches)
  if(NOT breaches STREQUAL expected)
    message(FATAL_ERROR
      "With src/${file} planted this is found: \"${breaches}\", not \"${expected}\"")
  endif()
endfunction()

plant(core/memory/planted.h "#include \"core/life/slots.h\"\n"
  "memory/planted.h -> life/slots.h goes up")
plant(core/pool/planted.c "\n" "pool/planted.c is not listed in storeys.cmake")
plant(posix/planted.h "#include \"core/memory/arena.h\"\n"
  "posix/planted.h -> memory/arena.h goes up")

if(OBJECTS)
  include(${ROOT}/src/core/storeys.cmake)
  foreach(storey IN LISTS COHORT_STOREYS)
    link_up_to(${storey} "" trouble)
    if(trouble)
      message(FATAL_ERROR "The storeys up to ${storey} need something of a higher one:\n${trouble}")
    endif()
  endforeach()
  # A call that goes up without including anything.
  file(WRITE ${WORK}/planted.c "_Bool cohort__process_check_dead(unsigned long long id);\n"
       "_Bool planted(void);\n_Bool planted(void) { return cohort__process_check_dead(0); }\n")
  link_up_to(memory ${WORK}/planted.c trouble)
  if(NOT trouble MATCHES "cohort__process_check_dead")
    message(FATAL_ERROR "A planted call from memory to life is not found: ${trouble}")
  endif()
  link_up_to(life ${WORK}/planted.c trouble)
  if(trouble)
    message(FATAL_ERROR "The same call within the storey is taken for one that goes up: ${trouble}")
  endif()
endif()
file(REMOVE_RECURSE ${WORK})
