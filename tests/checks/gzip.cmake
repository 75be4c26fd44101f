# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# Compress files of several sizes by COMMAND, test them with GUNZIP and compare what they unpack to.
# KILL: instead, a large one, while so many of the workers are killed. NAME makes the files' names
# unique.
cmake_minimum_required(VERSION 3.21)
set(file ${NAME}.data)
list(REMOVE_ITEM COMMAND "")

function(fail text)
  file(REMOVE ${file} ${file}.gz ${file}.out)
  message(FATAL_ERROR "${NAME}: ${text}")
endfunction()

# round_trip(BYTES PERIOD [ARGUMENT...]): random characters, again after so many; zlib looks back
# 32,768 bytes, so above that it has work to do.
function(round_trip bytes period)
  string(RANDOM LENGTH ${period} RANDOM_SEED 7 text)
  math(EXPR repeats "${bytes} / ${period} + 1")
  string(REPEAT "${text}" ${repeats} text)
  string(SUBSTRING "${text}" 0 ${bytes} text)
  file(WRITE ${file} "${text}")
  execute_process(COMMAND ${COMMAND} ${file} ${ARGN} OUTPUT_VARIABLE output ERROR_VARIABLE errors
    RESULT_VARIABLE result)
  message(STATUS "${bytes} bytes: ${output}${errors}")
  if(NOT result EQUAL 0)
    fail("ended with ${result}")
  endif()
  if(NOT output MATCHES "^${bytes} -> [0-9]+ bytes, ratio [0-9.]+, [0-9.]+ s, [0-9]+ workers\r?\n$"
    AND NOT KILL)
    fail("did not say what it has done")
  endif()
  execute_process(COMMAND ${GUNZIP} -t ${file}.gz RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    fail("gunzip -t does not accept ${bytes} bytes compressed")
  endif()
  execute_process(COMMAND ${GUNZIP} -c ${file}.gz OUTPUT_FILE ${file}.out RESULT_VARIABLE result)
  execute_process(COMMAND ${CMAKE_COMMAND} -E compare_files ${file} ${file}.out
    RESULT_VARIABLE different)
  if(result OR different)
    fail("${bytes} bytes are not the same when they are unpacked")
  endif()
endfunction()

if(KILL)
  set(COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/kill_workers.sh ${KILL} gzip- ${COMMAND})
  round_trip(20000000 100000 3)
else()
  foreach(bytes 0 1 655359 655360 655361 5000000)
    round_trip(${bytes} 100000)
  endforeach()
  round_trip(3000000 100000 1)
  # More than the whole arena can hold.
  set(ENV{COHORT_ARENA_SIZE} 64M)
  round_trip(80000000 1000 2)
  execute_process(COMMAND ${COMMAND} ${NAME}.missing ERROR_VARIABLE errors RESULT_VARIABLE result
    OUTPUT_QUIET)
  if(result EQUAL 0 OR NOT errors
    MATCHES "missing: .*[Nn]o such file|cannot find the file|File not found")
    fail("a missing file: ended with ${result}: ${errors}")
  endif()
endif()
file(REMOVE ${file} ${file}.gz ${file}.out)
