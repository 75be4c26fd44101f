# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# The storeys of the core from the ground up, and the sources of each. A file uses its own storey
# and those below it; the back ends use the first one alone. The test check.layers enforces that,
# and that every source is listed here.
set(COHORT_STOREYS base memory life object process pool cohort)

set(COHORT_STOREY_base errors.c)
set(COHORT_STOREY_memory
    alloc.c arena.c code.c heap.c heap_check.c heap_large.c heap_objects.c heap_repair.c heap_rows.c
    heap_slabs.c identity.c lock.c member.c news.c park.c thread.c upward.c)
set(COHORT_STOREY_life
    create.c death.c slots.c watched.c watcher.c watcher_borrow.c watcher_end.c)
set(COHORT_STOREY_object
    barrier.c object.c pipe.c pipe_ends.c queue.c queue_account.c region.c ring_chain.c ring_close.c
    ring_count.c ring_get.c ring_hints.c ring_put.c ring_repair.c ring_wait.c holders.c shared.c
    sync_condition.c sync_event.c sync_lock.c sync_semaphore.c)
set(COHORT_STOREY_process
    ask.c attempt.c census.c child.c gift.c given.c keeper.c launch.c lifeline.c lines.c method.c
    orphans.c parcel.c process.c program.c run.c run_attempt.c run_collect.c runner.c
    runner_lost.c runner_task.c server.c server_client.c service.c service_ask.c service_keep.c
    settings.c start.c streams.c)
set(COHORT_STOREY_pool
    backend_local.c pool.c pool_activity.c pool_again.c pool_answer.c pool_bytes.c pool_callback.c
    pool_cancel.c pool_completed.c pool_core.c pool_crash.c pool_deadline.c pool_delay.c
    pool_each.c pool_failure.c pool_fair.c pool_feed.c pool_imap.c pool_imap_make.c pool_item.c
    pool_job.c pool_job_count.c pool_job_item.c pool_limit.c pool_order.c pool_recruit.c
    pool_resize.c pool_result.c pool_retire.c pool_retry.c pool_room.c pool_run.c pool_setting.c
    pool_staff.c pool_statistics.c pool_statistics_table.c pool_submit.c pool_tally.c pool_task.c
    pool_worker.c progress.c progress_bar.c progress_line.c)
set(COHORT_STOREY_cohort init.c layout.c registry.c thing.c wait.c waitset.c waitset_entry.c
    waitset_poll.c waitset_ring.c)

# COHORT_CORE_SOURCES: all of them, with their folders.
set(COHORT_CORE_SOURCES "")
foreach(storey IN LISTS COHORT_STOREYS)
  set(sources ${COHORT_STOREY_${storey}})
  list(TRANSFORM sources PREPEND ${CMAKE_CURRENT_LIST_DIR}/${storey}/)
  list(APPEND COHORT_CORE_SOURCES ${sources})
endforeach()
