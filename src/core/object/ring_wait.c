/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a ring: lingering before the sleep, the repair of a dead thread in the way, and
 * waking the threads that wait. */
#include "core/object/ring_cells.h"

#include "core/base/bits.h"

#include <cohort/wait.h>

/* Nanoseconds. */
#define LINGER_LEAST 1000
#define LINGER_MOST  16000

bool cohort__ring_clear_way(uint64_t word) {
    cohort__cell_step_t step = cohort__word_step(word);
    if ((step != COHORT__CELL_WRITING && step != COHORT__CELL_READING) ||
        cohort__word_owner(word) >= cohort__thread_count())
        return false;
    cohort__pid_t owner = atomic_load_explicit(&cohort__thread_at(cohort__word_owner(word))->owner,
                                               memory_order_acquire);
    return owner == 0 || cohort__process_check_dead(owner);
}

void cohort__ring_stir(cohort__ring_t *ring) {
    atomic_fetch_or(&ring->irregular, 0); /* a full barrier */
    cohort__notify(&ring->items, COHORT__ALL);
    cohort__notify(&ring->space, COHORT__ALL);
}

/* How long this thread lingers: longer as long as that is rewarded, less when it is not. */
static _Thread_local int64_t linger_patience = LINGER_LEAST;

/* A thread that does the same thing to a ring again and again and is faster than the other side
 * would fight with it for the line of each message. It gives the other side the time of some
 * messages, and then has them in one go. A thread that waits for an answer does not linger. */
static apr_status_t linger(cohort__try_t try, void *arg, int64_t deadline) {
    int64_t until = cohort_os_now() + linger_patience;
    for (until = until < deadline ? until : deadline; cohort_os_now() < until;) {
        for (int i = 0; i < 8; i++) cohort__relax();
    }
    apr_status_t status = try(arg, false);
    linger_patience = status != APR_EAGAIN ? linger_patience * 2 : linger_patience / 2;
    if (linger_patience > LINGER_MOST) linger_patience = LINGER_MOST;
    if (linger_patience < LINGER_LEAST) linger_patience = LINGER_LEAST;
    return status;
}

apr_status_t cohort__ring_await(const cohort__call_t *call, cohort__eventcount_t *ec,
                                cohort__try_t try, void *arg, apr_interval_time_t timeout) {
    apr_status_t status = try(arg, false);
    if (status == APR_EAGAIN) {
        int64_t deadline = cohort__deadline(timeout);
        if (deadline && call->me->waited == ec) status = linger(try, arg, deadline);
        if (status == APR_EAGAIN) status = cohort__await(ec, try, arg, deadline);
    }
    call->me->waited = ec;
    return status;
}

cohort__eventcount_t *cohort__ring_event(cohort__ring_t *in, cohort__ring_t *out, unsigned wanted,
                                         int i) {
    bool of_items = in && (wanted & COHORT_READY_IN || !(wanted & COHORT_READY_OUT));
    bool of_space = out && (wanted & COHORT_READY_OUT || !of_items);
    if (i == 0 && of_items) return &in->items;
    return i == of_items && of_space ? &out->space : NULL;
}
