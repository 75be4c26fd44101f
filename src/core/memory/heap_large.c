/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Large blocks: whole spans, side by side. The word of the first one names the thread that is
 * making or freeing the block, until that is done.
 */
#include "core/memory/heap.h"

#include <cohort/errors.h>

apr_status_t cohort__large_new(cohort__thread_t *me, size_t size, cohort__owner_ptr_t *owner_ptr,
                               void **block) {
    uint64_t count = cohort__heap_round(size, COHORT__SPAN) / COHORT__SPAN;
    cohort__run_t run;
    cohort__heap_enter(me);
    apr_status_t status = cohort__run_find(count, &run);
    if (!status) {
        cohort__intend_new(me, cohort__intent_large(cohort__span_data(run.at)), owner_ptr);
        cohort__run_take(&run, count, cohort__large_word(count, cohort__thread_number(me)));
    }
    cohort__heap_leave();
    if (status) return status;
    cohort__owner_ptr_set(owner_ptr, cohort__span_data(run.at));
    cohort__span_become(run.at, cohort__large_word(count, 0));
    cohort__intent_done(me);
    *block = cohort__span_data(run.at);
    return APR_SUCCESS;
}

void cohort__large_free(cohort__thread_t *me, uint64_t at) {
    cohort__heap_t *h = cohort__heap();
    cohort__heap_enter(me);
    cohort__run_free(at, cohort__span_count(cohort__span_word(at)));
    cohort__store(&h->cursor, at); /* the next large block: its bytes are still in the caches */
    cohort__heap_leave();
}

apr_status_t cohort__large_drop(cohort__thread_t *me, void *block, cohort__owner_ptr_t *from,
                                uint64_t span, uint64_t head) {
    uint64_t settled = cohort__large_word(cohort__span_count(head), 0);
    if (cohort__span_kind(head) != COHORT__HEAP_LARGE || block != cohort__span_data(span))
        return COHORT_EFREE;
    cohort__intend_free(me, cohort__intent_large(block), from);
    if (!atomic_compare_exchange_strong(
            cohort__span_place(span), &settled,
            cohort__large_word(cohort__span_count(head), cohort__thread_number(me)))) {
        cohort__intent_done(me);
        return COHORT_EFREE;
    }
    cohort__owner_ptr_set(from, NULL);
    cohort__large_free(me, span);
    cohort__intent_done(me);
    return APR_SUCCESS;
}
