/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of free spans: found, taken and freed, all under the guard of the heap. While spans are
 * being taken the heap says which, so that the next holder of the guard settles what a dead one
 * left.
 */
#include "core/memory/heap.h"

#include <cohort/errors.h>

#define READY_MAX 512u /* free spans that keep their memory */

/* The last holder died over these: it has taken what it wanted if the first word says so; else they
 * are one free row. */
static void settle_rows(uint64_t at, uint64_t count) {
    cohort__heap_t *h = cohort__heap();
    uint64_t ready = 0, top = cohort__load(&h->top), head;
    if (cohort__span_is_free(cohort__span_word(at))) {
        for (uint64_t i = 1; i < count; i++) cohort__span_become(at + i, COHORT__HEAP_TAIL);
        cohort__span_become(at, cohort__free_word(COHORT__HEAP_FREE, count));
    }
    for (uint64_t i = 0; i < top; i += cohort__span_count(head)) {
        head = cohort__span_word(i);
        if (cohort__span_kind(head) == COHORT__HEAP_READY) ready += cohort__span_count(head);
    }
    cohort__store(&h->ready, ready);
    cohort__store(&h->busy_count, 0);
}

void cohort__heap_enter(cohort__thread_t *me) {
    cohort__heap_t *h = cohort__heap();
    cohort__guard_enter_unsettled(&h->guard, me);
    uint64_t count = cohort__load(&h->busy_count);
    if (count) settle_rows(cohort__load(&h->busy_at), count);
}

void cohort__heap_leave(void) { cohort__guard_leave(&cohort__heap()->guard); }

static apr_status_t commit_tables(uint64_t spans) {
    cohort__heap_t *h = cohort__heap();
    uint64_t from = cohort__load(&h->ready_top), to = cohort__heap_round(spans, 64);
    if (spans <= from) return APR_SUCCESS;
    if (to > h->spans) to = h->spans;
    apr_status_t status = cohort__arena_commit(cohort__span_place(from), (to - from) * 8);
    if (!status)
        status = cohort__arena_commit(cohort__slab_partial(from, 0),
                                      (to - from + 63) / 64 * COHORT__CLASSES_MAX * 8);
    if (!status)
        status = cohort__arena_commit(cohort__slab_at(from), (to - from) * sizeof(cohort__slab_t));
    if (!status) cohort__store(&h->ready_top, to);
    return status;
}

/* The first run of so many. When there is none, `run` is the one that ends at `to`, if any. */
static bool search(uint64_t from, uint64_t to, uint64_t count, cohort__run_t *run) {
    *run = (cohort__run_t){to, 0};
    for (uint64_t at = from, next; at < to; at = next) {
        uint64_t head = cohort__span_word(at);
        next = at + cohort__span_count(head);
        if (!cohort__span_is_free(head)) {
            *run = (cohort__run_t){to, 0};
            continue;
        }
        if (run->count == 0) run->at = at;
        run->count += cohort__span_count(head);
        if (run->count >= count) return true;
    }
    return false;
}

static apr_status_t commit(uint64_t from, uint64_t to) {
    return from < to
               ? cohort__arena_commit(cohort__span_data(from), (size_t)((to - from) * COHORT__SPAN))
               : APR_SUCCESS;
}

/* Make the memory of the first spans of a run usable, where it is not. */
static apr_status_t make_ready(const cohort__run_t *run, uint64_t count) {
    uint64_t end = run->at + count, from = run->at, head;
    apr_status_t status = APR_SUCCESS;
    for (uint64_t at = run->at; at < end && !status; at += cohort__span_count(head)) {
        head = cohort__span_word(at);
        if (cohort__span_kind(head) != COHORT__HEAP_READY) continue;
        status = commit(from, at);
        from = at + cohort__span_count(head);
    }
    return status ? status : commit(from, end);
}

apr_status_t cohort__heap_is_full(uint64_t size) {
    return cohort__fail(APR_ENOMEM,
                        "no room for %lu KiB in the arena of %lu MiB (arena_size in the options of "
                        "cohort_initialize())",
                        (unsigned long)(size >> 10), (unsigned long)(cohort__map.size >> 20));
}

apr_status_t cohort__run_find(uint64_t count, cohort__run_t *run) {
    cohort__heap_t *h = cohort__heap();
    uint64_t top = cohort__load(&h->top), cursor = cohort__load(&h->cursor);
    if (cursor > top) cursor = 0;
    if (!search(cursor, top, count, run) && !search(0, top, count, run)) {
        if (count > h->spans || run->at > h->spans - count)
            return cohort__heap_is_full(count * COHORT__SPAN);
        apr_status_t status = commit_tables(run->at + count);
        if (status) return status;
        run->count = count;
    }
    apr_status_t status = make_ready(run, count);
    if (status) return status;
    if (run->at + count > top) cohort__store(&h->top, run->at + count);
    cohort__store(&h->cursor, run->at + count);
    return APR_SUCCESS;
}

void cohort__run_take(const cohort__run_t *run, uint64_t count, uint64_t word) {
    cohort__heap_t *h = cohort__heap();
    uint64_t ready = 0;
    unsigned kind = COHORT__HEAP_FREE; /* of the last row */
    cohort__store(&h->busy_at, run->at);
    cohort__store(&h->busy_count, run->count);
    for (uint64_t i = 0, n; i < count; i += n) {
        uint64_t row = cohort__span_word(run->at + i);
        n = cohort__span_count(row);
        kind = cohort__span_kind(row);
        if (kind == COHORT__HEAP_READY) ready += n < count - i ? n : count - i;
        if (i > 0) cohort__span_become(run->at + i, COHORT__HEAP_TAIL);
    }
    cohort__store(&h->ready, cohort__load(&h->ready) > ready ? cohort__load(&h->ready) - ready : 0);
    if (run->count > count)
        cohort__span_become(run->at + count, cohort__free_word(kind, run->count - count));
    cohort__span_become(run->at, word);
    cohort__store(&h->busy_count, 0);
}

void cohort__run_free(uint64_t at, uint64_t count) {
    cohort__heap_t *h = cohort__heap();
    bool keep = cohort__load(&h->ready) + count <= READY_MAX;
    cohort__span_become(at,
                        cohort__free_word(keep ? COHORT__HEAP_READY : COHORT__HEAP_FREE, count));
    if (keep) cohort__store(&h->ready, cohort__load(&h->ready) + count);
    else
        (void)cohort_os_arena_pages(&cohort__map, COHORT_OS_PAGES_DISCARD,
                                    (uint64_t)(cohort__span_data(at) - cohort__map.base),
                                    count * COHORT__SPAN);
}
