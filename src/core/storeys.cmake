# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# The storeys of the core from the ground up, and the sources of each. A file uses its own storey
# and those below it; the back ends use the first one alone. The test check.layers enforces that,
# and that every source is listed here.
set(COHORT_STOREYS base memory life object process pool cohort)

set(COHORT_STOREY_base errors.c)
set(COHORT_STOREY_memory
    alloc.c arena.c code.c heap.c heap_check.c heap_large.c heap_objects.c heap_repair.c heap_rows.c
    heap_slabs.c identity.c lock.c member.c park.c thread.c upward.c)
set(COHORT_STOREY_life
    create.c death.c slots.c watched.c watcher.c watcher_borrow.c watcher_end.c)
set(COHORT_STOREY_object
    barrier.c object.c pipe.c pipe_ends.c queue.c queue_account.c ring_chain.c ring_close.c
    ring_count.c ring_get.c ring_hints.c ring_put.c ring_repair.c ring_wait.c holders.c shared.c
    sync_condition.c sync_event.c sync_lock.c sync_semaphore.c)
set(COHORT_STOREY_process
    ask.c attempt.c child.c given.c keeper.c launch.c lifeline.c method.c orphans.c process.c
    program.c server.c server_client.c start.c)
set(COHORT_STOREY_pool
    backend_local.c pool.c pool_callback.c pool_core.c pool_failure.c pool_job.c pool_result.c
    pool_retry.c pool_setting.c pool_staff.c pool_submit.c pool_task.c pool_worker.c)
set(COHORT_STOREY_cohort init.c layout.c registry.c wait.c)

# COHORT_CORE_SOURCES: all of them, with their folders.
set(COHORT_CORE_SOURCES "")
foreach(storey IN LISTS COHORT_STOREYS)
  set(sources ${COHORT_STOREY_${storey}})
  list(TRANSFORM sources PREPEND ${CMAKE_CURRENT_LIST_DIR}/${storey}/)
  list(APPEND COHORT_CORE_SOURCES ${sources})
endforeach()
