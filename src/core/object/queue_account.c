/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The account of a joinable queue: which process has what.
 *
 * Unfinished messages = those in the ring + those that live processes have outstanding (holders)
 * - those with a task_done() that came before their get (credit). A get enters itself there
 * before its one committing step, so a message is never out of the account; a process that dies
 * takes its entry with it, and the message it was getting goes back into the ring.
 */
#include "core/object/queue.h"

/* ---- for the owner of the guard ------------------------------------------------------------- */

static uint64_t outstanding(cohort_queue_t *q) {
    uint64_t sum = 0;
    for (cohort__holder_t *e = NULL; (e = cohort__holders_next(&q->outstanding, e)) != NULL;)
        sum += atomic_load(&e->value);
    return sum;
}

/* What a dead process was getting is back in the ring only after its repair: returns one that has
 * to be repaired first, or 0. */
static cohort__pid_t drop_dead(cohort_queue_t *q) {
    cohort__pid_t unrepaired = 0;
    for (cohort__holder_t *e = NULL; (e = cohort__holders_next(&q->outstanding, e)) != NULL;) {
        cohort__pid_t process = atomic_load(&e->id);
        cohort_process_t *slot = cohort__process_find(process);
        if (cohort__process_alive(process, true)) continue;
        if (slot && atomic_load(&slot->repaired) == COHORT__REPAIRED_NOTHING) {
            unrepaired = process;
        } else {
            cohort__holders_remove(&q->guard, e);
            cohort__guard_commit(&q->guard);
        }
    }
    return unrepaired;
}

/* Credit beyond what there is was for messages that a dead process had. */
static uint64_t unfinished(cohort_queue_t *q) {
    uint64_t all = outstanding(q) + cohort__ring_count_inside(&q->ring),
             credit = atomic_load(&q->credit);
    if (credit > all) cohort__guard_set(&q->guard, &q->credit, credit = all);
    return all - credit;
}

/* ---- a get ---------------------------------------------------------------------------------- */

/* The message is counted twice until it has left the ring: what is unfinished may seem more than it
 * is, and never less. */
apr_status_t cohort__queue_expect(void *arg) {
    const cohort__call_t *call = arg;
    cohort_queue_t *q = cohort__queue_of(call);
    apr_status_t status = APR_SUCCESS;
    if (!cohort__ring_guard(call, &q->ring, &q->owner.object.parts[COHORT__QUEUE_HOLDERS],
                            COHORT__HOLDERS_PARTS))
        return COHORT_EHANDLE;
    cohort__holder_t *mine = cohort__holders_find(&q->outstanding, cohort__self_id());
    /* so that the list is never longer than what lived at one time */
    if (!mine) (void)drop_dead(q);
    if (mine) cohort__holders_set(&q->guard, mine, atomic_load(&mine->value) + 1);
    else
        status =
            cohort__holders_add(&q->outstanding, &q->guard, call->me, cohort__self_id(), 1, NULL);
    cohort__guard_leave(&q->guard);
    return status;
}

/* A task_done() may have been counted for it: then another message was meant. */
void cohort__queue_unexpect(void *arg) {
    const cohort__call_t *call = arg;
    cohort_queue_t *q = cohort__queue_of(call);
    cohort__guard_enter(&q->guard, call->me);
    cohort__holder_t *mine = cohort__holders_find(&q->outstanding, cohort__self_id());
    if (mine && atomic_load(&mine->value))
        cohort__holders_set(&q->guard, mine, atomic_load(&mine->value) - 1);
    else cohort__guard_set(&q->guard, &q->credit, atomic_load(&q->credit) + 1);
    bool done = unfinished(q) == 0;
    cohort__guard_leave(&q->guard);
    if (done) cohort__notify(&q->done, COHORT__ALL);
}

/* ---- joining -------------------------------------------------------------------------------- */

/* One's own first; then any process', since any may say it; then one that is still in the
 * queue. */
static void count_done(cohort_queue_t *q) {
    cohort__holder_t *e = cohort__holders_find(&q->outstanding, cohort__self_id());
    if (!e || !atomic_load(&e->value)) {
        for (e = cohort__holders_next(&q->outstanding, NULL); e && !atomic_load(&e->value);)
            e = cohort__holders_next(&q->outstanding, e);
    }
    if (e) cohort__holders_set(&q->guard, e, atomic_load(&e->value) - 1);
    else cohort__guard_set(&q->guard, &q->credit, atomic_load(&q->credit) + 1);
}

static apr_status_t enter_joinable(cohort_queue_t *queue, cohort__call_t *call) {
    apr_status_t status = cohort__queue_begin(queue, call);
    return status            ? status
           : queue->joinable ? APR_SUCCESS
                             : cohort__fail(APR_EINVAL, "the queue was not created joinable");
}

static bool account_open(const cohort__call_t *call) {
    if (!cohort__call_look(call)) return false;
    cohort__guard_enter(&cohort__queue_of(call)->guard, call->me);
    return true;
}

static void account_close(const cohort__call_t *call) {
    cohort__guard_leave(&cohort__queue_of(call)->guard);
    cohort__call_look_end(call);
}

static apr_status_t queue_task_done(cohort_queue_t *queue) {
    cohort__call_t call;
    apr_status_t status = enter_joinable(queue, &call);
    if (status) return status;
    if (!account_open(&call)) return COHORT_EHANDLE;
    uint64_t left = unfinished(queue);
    if (left) count_done(queue);
    account_close(&call);
    if (left == 1) cohort__notify(&queue->done, COHORT__ALL);
    return left ? APR_SUCCESS : COHORT_EOVERRELEASE;
}

apr_status_t cohort_queue_task_done(cohort_queue_t *queue) {
    return COHORT__CALL(queue_task_done(queue));
}

static apr_status_t try_join_queue(void *arg, bool thorough) {
    const cohort__call_t *call = arg;
    cohort_queue_t *queue = cohort__queue_of(call);
    if (thorough && cohort__ring_state(&queue->ring) == COHORT__RING_DISCARDING)
        (void)cohort__queue_throw_away(call, true);
    for (;;) {
        if (!account_open(call)) return COHORT_EHANDLE;
        cohort__pid_t unrepaired = thorough ? drop_dead(queue) : 0;
        uint64_t left = unfinished(queue);
        account_close(call);
        if (!left) return APR_SUCCESS;
        if (!unrepaired || !cohort__process_is_gone(unrepaired)) return APR_EAGAIN;
    }
}

static apr_status_t queue_join(cohort_queue_t *queue, apr_interval_time_t timeout) {
    cohort__call_t call;
    apr_status_t status = enter_joinable(queue, &call);
    return status ? status
                  : cohort__ring_await(&call, &queue->done, try_join_queue, &call, timeout);
}

apr_status_t cohort_queue_join(cohort_queue_t *queue, apr_interval_time_t timeout) {
    return COHORT__CALL(queue_join(queue, timeout));
}
