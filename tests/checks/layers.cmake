# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# The storeys of src/core stand on each other: a file includes its own storey and those below it, and every source is
# listed in src/core/storeys.cmake. WORK is a directory of this check's own, for a tree that breaks these rules on purpose.
cmake_minimum_required(VERSION 3.21)

# What still goes up, each as "file including -> file included". The list only shrinks: one that is not needed any more
# is a failure too.
set(KNOWN
)

# The rules that the tree at `root` breaks.
function(find_breaches root breaches)
  include(${root}/src/core/storeys.cmake)
  set(found "")
  set(left ${KNOWN})
  file(GLOB_RECURSE files RELATIVE ${root}/src ${root}/src/*.[ch])
  foreach(file IN LISTS files)
    get_filename_component(folder ${file} DIRECTORY)
    get_filename_component(name ${file} NAME)
    set(height 0) # of a back end: the ground
    if(folder MATCHES "^core")
      string(REPLACE "core/" "" storey "${folder}")
      list(FIND COHORT_STOREYS "${storey}" height)
      if(height LESS 0 OR (name MATCHES "\\.c$" AND NOT name IN_LIST COHORT_STOREY_${storey}))
        list(APPEND found "${file} is not listed in src/core/storeys.cmake")
        continue()
      endif()
    endif()
    file(STRINGS ${root}/src/${file} lines REGEX "^[ \t]*#[ \t]*include[ \t]*\"core/")
    foreach(line IN LISTS lines)
      string(REGEX REPLACE ".*\"core/([^\"]*)\".*" "\\1" included "${line}")
      string(REGEX REPLACE "/.*" "" below "${included}")
      list(FIND COHORT_STOREYS "${below}" depth)
      string(REPLACE "core/" "" from "${file}")
      if("${from} -> ${included}" IN_LIST left)
        list(REMOVE_ITEM left "${from} -> ${included}")
      elseif(depth LESS 0 OR depth GREATER height)
        list(APPEND found "${from} -> ${included} goes up")
      endif()
    endforeach()
  endforeach()
  foreach(exception IN LISTS left)
    list(APPEND found "${exception} is an exception that is not needed any more")
  endforeach()
  set(${breaches} "${found}" PARENT_SCOPE)
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
    message(FATAL_ERROR "With src/${file} planted this is found: \"${breaches}\", not \"${expected}\"")
  endif()
  file(REMOVE_RECURSE ${WORK})
endfunction()

plant(core/memory/planted.h "#include \"core/life/slots.h\"\n" "memory/planted.h -> life/slots.h goes up")
plant(core/pool/planted.c "\n" "core/pool/planted.c is not listed in src/core/storeys.cmake")
plant(posix/planted.h "#include \"core/memory/arena.h\"\n" "posix/planted.h -> memory/arena.h goes up")
