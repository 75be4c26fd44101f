/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Semaphore: the number of free permits and a holder table of which process holds how many, changed
 * together under a guard, so that a process that dies, at whatever instruction, has taken a permit
 * and is written down, or has not. What the dead hold is taken back by any process that finds no
 * permit, asks for the value, or gives back more than it holds.
 *
 * A process that releases what it does not hold uses the semaphore as a signal. Then it is not
 * possible to know which process a permit belongs to: the holder table is void from there on.
 */
#include "core/base/reserved.h"
#include "core/object/holders.h"
#include "core/object/sync.h"

#include <cohort/sync.h>
#include <limits.h>
#include <stdio.h>

enum { PARTS_HOLDERS }; /* the parts of a semaphore */

struct cohort_semaphore_t {
    cohort__sync_t sync;
    uint64_t limit;
    _Atomic uint64_t value;
    _Atomic uint64_t is_signal;
    cohort__holders_t holders;
};
_Static_assert(sizeof(cohort_semaphore_t) <= COHORT__OBJECT_SIZE_MAX, "a semaphore fits its block");

typedef struct {
    const cohort__call_t *call;
    cohort_semaphore_t *semaphore;
    cohort__pid_t process;
} wait_t;

static apr_status_t destroy_semaphore(void *object) { return cohort_semaphore_destroy(object); }

static apr_status_t semaphore_create(cohort_semaphore_t **semaphore, apr_size_t value,
                                     const cohort_semaphore_options_t *options, apr_pool_t *pool) {
    cohort__thread_t *me = NULL;
    cohort_semaphore_t *made;
    if (value > COHORT_SEMAPHORE_VALUE_MAX) {
        return cohort__fail(APR_EINVAL, "value is %" APR_SIZE_T_FMT ", more than %u", value,
                            COHORT_SEMAPHORE_VALUE_MAX);
    }
    apr_status_t status = semaphore ? cohort__enter(&me) : cohort__null("semaphore");
    if (!status && options)
        status = cohort__check_reserved(options->reserved, 8, "options.reserved");
    if (!status) status = cohort__sync_new(me, sizeof *made, &made);
    if (status) return status;
    made->limit = options && options->bounded ? value : COHORT_SEMAPHORE_VALUE_MAX;
    atomic_store_explicit(&made->value, value, memory_order_relaxed);
    cohort__holders_setup(&made->holders, &made->sync.object.parts[PARTS_HOLDERS]);
    cohort__object_publish(me, made, COHORT__TAG_SEMAPHORE, pool, destroy_semaphore);
    *semaphore = made;
    return APR_SUCCESS;
}

apr_status_t cohort_semaphore_create(cohort_semaphore_t **semaphore, apr_size_t value,
                                     const cohort_semaphore_options_t *options, apr_pool_t *pool) {
    return COHORT__CALL_ANEW(semaphore_create(semaphore, value, options, pool));
}

static uint64_t value_of(cohort_semaphore_t *s) {
    return atomic_load_explicit(&s->value, memory_order_acquire);
}

static bool is_signal(cohort_semaphore_t *s) {
    return atomic_load_explicit(&s->is_signal, memory_order_acquire) != 0;
}

/* With the guard: what the dead hold is free again. */
static void take_back_unit(cohort_semaphore_t *s) {
    if (is_signal(s)) return;
    for (cohort__holder_t *e = NULL; (e = cohort__holders_next(&s->holders, e)) != NULL;) {
        if (cohort__process_alive(atomic_load(&e->id), true)) continue;
        cohort__guard_set(&s->sync.guard, &s->value, value_of(s) + atomic_load(&e->value));
        cohort__holders_remove(&s->sync.guard, e);
        cohort__guard_commit(&s->sync.guard);
    }
}

/* With the guard and a free permit: write down that the process has one more. */
static apr_status_t hold_one(cohort_semaphore_t *s, cohort__thread_t *me, cohort__pid_t process) {
    if (is_signal(s)) return APR_SUCCESS;
    cohort__holder_t *mine = cohort__holders_find(&s->holders, process);
    if (!mine) return cohort__holders_add(&s->holders, &s->sync.guard, me, process, 1, NULL);
    cohort__holders_set(&s->sync.guard, mine, atomic_load(&mine->value) + 1);
    return APR_SUCCESS;
}

static apr_status_t take_one(cohort_semaphore_t *s, cohort__thread_t *me, cohort__pid_t process) {
    if (value_of(s) == 0) return APR_EAGAIN;
    apr_status_t status = hold_one(s, me, process);
    if (!status) cohort__guard_set(&s->sync.guard, &s->value, value_of(s) - 1);
    return status;
}

/* *unsettled: the process that has to be repaired first, as it died over the holder table's
 * memory. */
static apr_status_t take_permit(wait_t *w, bool look, cohort__pid_t *unsettled) {
    cohort_semaphore_t *s = w->semaphore;
    *unsettled = 0;
    if (!cohort__sync_guard(w->call)) return COHORT_EHANDLE;
    if (look) take_back_unit(s);
    apr_status_t status = take_one(s, w->call->me, w->process);
    bool more = value_of(s) > 0;
    *unsettled =
        more && status == APR_EAGAIN
            ? cohort__owner_ptrs_unsettled(w->call->me, s->holders.parts, COHORT__HOLDERS_PARTS)
            : 0;
    cohort__guard_leave(&s->sync.guard);
    if (more && look) cohort__notify(&s->sync.changed, COHORT__ALL);
    return status;
}

/* Takes the guard only when that can help. */
static apr_status_t try_semaphore(void *arg, bool thorough) {
    wait_t *w = arg;
    cohort_semaphore_t *s = w->semaphore;
    cohort__pid_t unsettled;
    if (cohort__call_over(w->call)) return COHORT_EHANDLE;
    /* the change may be undone */
    bool look = thorough && value_of(s) == 0 &&
                (!is_signal(s) || cohort__guard_is_changing(&s->sync.guard));
    if (value_of(s) == 0 && !look) return APR_EAGAIN;
    apr_status_t status = take_permit(w, look, &unsettled);
    return unsettled && cohort__process_check_dead(unsettled) ? take_permit(w, look, &unsettled)
                                                              : status;
}

static apr_status_t semaphore_acquire(cohort_semaphore_t *semaphore, apr_interval_time_t timeout) {
    cohort__call_t call;
    apr_status_t status =
        cohort__call_begin(&call, semaphore, COHORT__KIND_SYNC, COHORT__TAG_SEMAPHORE);
    if (status) return status;
    wait_t w = {&call, semaphore, cohort__self_id()};
    return cohort__await(&semaphore->sync.changed, try_semaphore, &w, cohort__deadline(timeout));
}

apr_status_t cohort_semaphore_acquire(cohort_semaphore_t *semaphore, apr_interval_time_t timeout) {
    return COHORT__CALL(semaphore_acquire(semaphore, timeout));
}

/* With the guard: `n` permits of the process are none of its own any more. */
static void give_up_permits(cohort_semaphore_t *s, cohort__holder_t *mine, uint64_t held,
                            uint64_t n) {
    if (is_signal(s)) return;
    if (n > held) cohort__guard_set(&s->sync.guard, &s->is_signal, 1);
    else if (n == held) cohort__holders_remove(&s->sync.guard, mine);
    else cohort__holders_set(&s->sync.guard, mine, held - n);
}

/* With the guard. */
static apr_status_t give_permits(cohort_semaphore_t *s, cohort__pid_t process, uint64_t n) {
    cohort__holder_t *mine = is_signal(s) ? NULL : cohort__holders_find(&s->holders, process);
    uint64_t held = mine ? atomic_load(&mine->value) : 0;
    if (n > held) take_back_unit(s);
    if (n > s->limit || value_of(s) + n > s->limit)
        return cohort__fail(COHORT_EOVERRELEASE, "%llu permits more than the initial %llu",
                            (unsigned long long)n, (unsigned long long)s->limit);
    give_up_permits(s, mine, held, n);
    cohort__guard_set(&s->sync.guard, &s->value, value_of(s) + n);
    return APR_SUCCESS;
}

static apr_status_t semaphore_release(cohort_semaphore_t *semaphore, apr_size_t n) {
    cohort__call_t call;
    apr_status_t status =
        n ? cohort__call_begin(&call, semaphore, COHORT__KIND_SYNC, COHORT__TAG_SEMAPHORE)
          : cohort__fail(APR_EINVAL, "n is 0");
    if (status) return status;
    if (!cohort__sync_guard(&call)) return COHORT_EHANDLE;
    status = give_permits(semaphore, cohort__self_id(), n);
    cohort__guard_leave(&semaphore->sync.guard);
    cohort__notify(&semaphore->sync.changed, n < INT_MAX ? (int)n : COHORT__ALL);
    return status;
}

apr_status_t cohort_semaphore_release(cohort_semaphore_t *semaphore, apr_size_t n) {
    return COHORT__CALL(semaphore_release(semaphore, n));
}

/* The free permits, with those that the dead hold. */
static apr_status_t count_permits(const cohort__call_t *call, uint64_t *value) {
    cohort_semaphore_t *semaphore = (cohort_semaphore_t *)call->object;
    if (!cohort__sync_guard(call)) return COHORT_EHANDLE;
    take_back_unit(semaphore);
    *value = value_of(semaphore);
    cohort__guard_leave(&semaphore->sync.guard);
    if (*value > 0) cohort__notify(&semaphore->sync.changed, COHORT__ALL);
    return APR_SUCCESS;
}

static apr_status_t semaphore_value(cohort_semaphore_t *semaphore, apr_size_t *value) {
    cohort__call_t call;
    uint64_t now = 0;
    apr_status_t status =
        cohort__call_begin(&call, semaphore, COHORT__KIND_SYNC, COHORT__TAG_SEMAPHORE);
    if (!status) status = count_permits(&call, &now);
    *value = (apr_size_t)now;
    return status;
}

apr_size_t cohort_semaphore_value(const cohort_semaphore_t *semaphore) {
    apr_size_t value = 0;
    (void)COHORT__CALL(semaphore_value((cohort_semaphore_t *)semaphore, &value));
    return value;
}

unsigned cohort__semaphore_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough) {
    const cohort__call_t call = {aim->me, aim->handle, aim->life};
    uint64_t value = value_of(aim->handle);
    if (value == 0 && thorough && count_permits(&call, &value)) return wanted;
    return value > 0 || cohort__call_over(&call) ? wanted : 0;
}

void cohort__semaphore_describe(const cohort__aim_t *aim, char *text, size_t size) {
    unsigned long free = (unsigned long)value_of(aim->handle);
    snprintf(text, size, "a semaphore with %lu free permit%s", free, free == 1 ? "" : "s");
}

static apr_status_t semaphore_destroy(cohort_semaphore_t *semaphore) {
    cohort__call_t call;
    apr_status_t status;
    if (!cohort__sync_end(&call, semaphore, COHORT__KIND_SYNC, COHORT__TAG_SEMAPHORE, true,
                          &status))
        return status;
    cohort__notify(&semaphore->sync.changed, COHORT__ALL);
    cohort__object_free(call.me, semaphore);
    return APR_SUCCESS;
}

apr_status_t cohort_semaphore_destroy(cohort_semaphore_t *semaphore) {
    return COHORT__CALL_ANEW(semaphore_destroy(semaphore));
}
