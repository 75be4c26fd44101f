# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# The API and the staff of a pool reach its jobs through the table of src/core/pool/backend.h: only
# the files of the local back end include its header, and name fields of a job that are its alone.
cmake_minimum_required(VERSION 3.21)
set(local backend_local.c pool_again.c pool_bytes.c pool_cancel.c pool_deadline.c pool_delay.c
    pool_each.c pool_fair.c pool_job.c pool_job_count.c pool_job_item.c pool_order.c pool_retire.c
    pool_room.c pool_run.c pool_tally.c pool_worker.c)
string(CONCAT fields "words?|chunks?|cursor|scanned|visits|by_chunk|first_failed|unwanted|round|"
       "ready|all|inputs|outputs|progress|needs")
set(of_jobs "state|failures|reason|n|task|context|attempts")
set(end "($|[^A-Za-z0-9_(])")
string(CONCAT pattern "(->|\\.)(${fields})${end}|(job|result)->(${of_jobs})${end}|"
       "(backend_local|pool_run)\\.h|cohort__((word|job)_|chunk_word)")
# Not jobs: an order in the making, what is found of a job, what a thread of a worker says of its
# item, and what every pool has.
string(CONCAT others "[ {]\\.(inputs|outputs) = |order(->|\\.)[a-z_]+|"
       "(found|result_find\\([^;]*\\)|running)\\.(outputs|progress)|in_flight\\.word")

# What of the local back end `text`, a file, names.
function(find_names text names)
  string(REGEX REPLACE "${others}" "" text "${text}")
  string(REGEX MATCHALL "${pattern}" found "${text}")
  set(${names} "${found}" PARENT_SCOPE)
endfunction()

file(GLOB files ${ROOT}/src/core/pool/*.c)
set(found "")
set(count 0)
foreach(file IN LISTS files)
  get_filename_component(name ${file} NAME)
  if(name IN_LIST local)
    continue()
  endif()
  file(READ ${file} text)
  find_names("${text}" names)
  foreach(each IN LISTS names)
    string(APPEND found "\n  ${name}: ${each}")
  endforeach()
  math(EXPR count "${count} + 1")
endforeach()
if(found)
  message(FATAL_ERROR "These name what the local back end of pools has for itself:${found}")
endif()
if(count LESS 5)
  message(FATAL_ERROR "Only ${count} files found under ${ROOT}: is that the project?")
endif()

# The check itself: each of these is found, and no more.
foreach(planted "#include \"core/pool/backend_local.h\"" "word = job->words[0]"
        "cohort__chunk_word(state, 0, 1, 0)" "x = atomic_load(&pool->ready.next)"
        "if (atomic_load(&result->state)) return"
        "cohort__job_finish(job, end, status)" "y = job_of(use)->chunks" "job->context = at")
  find_names("${planted}" names)
  list(LENGTH names length)
  if(NOT length EQUAL 1)
    message(FATAL_ERROR "A planted \"${planted}\" is not found: \"${names}\"")
  endif()
endforeach()
string(CONCAT innocent "pool->workers, pool->state, pool->failures, found.outputs, "
       "cohort__result_find(job).outputs, cohort__running.progress, {.task = task, .inputs = in, "
       ".outputs = out}, job->task(job, &task)")
find_names("${innocent}" names)
if(names)
  message(FATAL_ERROR "What any file may name is taken for the back end's: \"${names}\"")
endif()
message(STATUS "${count} files name nothing of the local back end")
