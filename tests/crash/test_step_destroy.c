/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects destroyed at any instruction of a call on them, their blocks taken at once by other
 * objects of the same kind. The call ends, with COHORT_EHANDLE or with what it had come to before,
 * and touches nothing of the objects that came after.
 */
#include "check.h"
#include "step.h"

#include <cohort/cohort.h>

#define LITTLE 20000 /* us: by then a wait ends by itself */
#define OTHERS 5

typedef struct {
    void *object;
    void *second; /* another object that the first one needs */
    _Atomic int status;
    /* What took the place. */
    cohort_lock_t *lock;
    cohort_rlock_t *rlock;
    cohort_semaphore_t *semaphore;
    cohort_event_t *event;
    cohort_condition_t *condition;
    cohort_barrier_t *barrier;
    cohort_queue_t *queue;
    cohort_result_t *result;
    cohort_imap_t *imap;
} state_t;

static unsigned tries; /* so that each type comes first at times */

static void *nothing(void) { return step_new(sizeof(state_t)); }

/* An operation went well until the object was gone. */
static void check(void *state, bool finished) {
    state_t *s = state;
    apr_status_t status = atomic_load(&s->status);
    (void)finished;
    if (status != COHORT_EHANDLE && status != APR_TIMEUP && status != APR_EAGAIN)
        CHECK_STATUS(APR_SUCCESS, status);
}

/* ---- synchronisers -------------------------------------------------------------------------- */

static void take_place(state_t *s, unsigned type) {
    switch (type % OTHERS) {
    case 0: CHECK_STATUS(APR_SUCCESS, cohort_semaphore_create(&s->semaphore, 7, NULL, NULL)); break;
    case 1: CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&s->lock, NULL)); break;
    case 2: CHECK_STATUS(APR_SUCCESS, cohort_condition_create(&s->condition, NULL, NULL)); break;
    case 3: CHECK_STATUS(APR_SUCCESS, cohort_event_create(&s->event, NULL)); break;
    default: CHECK_STATUS(APR_SUCCESS, cohort_rlock_create(&s->rlock, NULL)); break;
    }
}

static void take_places(state_t *s) {
    unsigned first = tries++;
    for (unsigned i = 0; i < OTHERS; i++) take_place(s, first + i);
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(s->semaphore, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(s->event));
}

/* All that the others hold is as they left it. */
static void discard_places(state_t *s) {
    if (!s->semaphore) return;
    CHECK_INT(6, cohort_semaphore_value(s->semaphore));
    CHECK_INT(1, cohort_event_is_set(s->event));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(s->lock, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_release(s->lock));
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_acquire(s->rlock, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_release(s->rlock));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_acquire(s->condition, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_release(s->condition));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_destroy(s->semaphore));
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(s->event));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_destroy(s->lock));
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_destroy(s->rlock));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_destroy(s->condition));
}

/* The state with an object made by `create`. */
#define MADE(name, create)                 \
    static void *name(void) {              \
        state_t *s = nothing();            \
        CHECK_STATUS(APR_SUCCESS, create); \
        return s;                          \
    }

MADE(a_lock, cohort_lock_create((cohort_lock_t **)&s->object, NULL))
MADE(an_rlock, cohort_rlock_create((cohort_rlock_t **)&s->object, NULL))
MADE(a_semaphore, cohort_semaphore_create((cohort_semaphore_t **)&s->object, 1, NULL, NULL))
MADE(an_event, cohort_event_create((cohort_event_t **)&s->object, NULL))
MADE(a_condition, cohort_condition_create((cohort_condition_t **)&s->object, NULL, NULL))

static void *a_condition_of_a_lock(void) {
    state_t *s = nothing();
    cohort_lock_t *lock;
    CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&lock, NULL));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_condition_create((cohort_condition_t **)&s->object, lock, NULL));
    s->second = lock;
    return s;
}

static void use_lock(void *state) {
    state_t *s = state;
    apr_status_t status = cohort_lock_acquire(s->object, LITTLE);
    s->status = status ? status : cohort_lock_release(s->object);
}

static void use_rlock(void *state) {
    state_t *s = state;
    apr_status_t status = cohort_rlock_acquire(s->object, LITTLE);
    if (!status) status = cohort_rlock_acquire(s->object, LITTLE);
    if (!status) status = cohort_rlock_release(s->object);
    s->status = status ? status : cohort_rlock_release(s->object);
}

static void use_semaphore(void *state) {
    state_t *s = state;
    apr_status_t status = cohort_semaphore_acquire(s->object, LITTLE);
    s->status = status ? status : cohort_semaphore_release(s->object, 1);
    (void)cohort_semaphore_value(s->object);
}

static void await_semaphore(void *state) {
    state_t *s = state;
    s->status = cohort_semaphore_acquire(s->object, LITTLE);
    s->status = cohort_semaphore_acquire(s->object, LITTLE);
}

static void use_event(void *state) {
    state_t *s = state;
    apr_status_t status = cohort_event_set(s->object);
    if (!status) status = cohort_event_wait(s->object, LITTLE);
    s->status = status ? status : cohort_event_clear(s->object);
}

static void await_event(void *state) {
    state_t *s = state;
    s->status = cohort_event_wait(s->object, LITTLE);
}

static void use_condition(void *state) {
    state_t *s = state;
    apr_status_t status = cohort_condition_acquire(s->object, LITTLE);
    if (!status) status = cohort_condition_notify(s->object, 3);
    s->status = status ? status : cohort_condition_release(s->object);
}

static void await_condition(void *state) {
    state_t *s = state;
    apr_status_t status = cohort_condition_acquire(s->object, LITTLE);
    if (!status) status = cohort_condition_wait(s->object, LITTLE);
    s->status = status && status != APR_TIMEUP ? status : cohort_condition_release(s->object);
}

static void discard_sync(state_t *s) {
    discard_places(s);
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

/* ---- the rest ------------------------------------------------------------------------------- */

MADE(a_barrier, cohort_barrier_create((cohort_barrier_t **)&s->object, 2, NULL, NULL))
MADE(a_queue, cohort_queue_create((cohort_queue_t **)&s->object,
                                  &(cohort_queue_options_t){.joinable = 1}, NULL))

static void *a_job_done(void) {
    int input = 3;
    state_t *s = nothing();
    cohort_pool_t *pool;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool,
                                                 &(cohort_pool_options_t){
                                                     .workers = 1,
                                                     .method = COHORT_START_FORK,
                                                 },
                                                 NULL));
    cohort_job_t job = {.task = step_task, COHORT_INPUTS(&input, 1), .output_size = sizeof(int)};
    s->second = pool;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit((cohort_result_t **)&s->object, pool, &job, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(s->object, COHORT_FOREVER));
    return s;
}

static void use_barrier(void *state) {
    state_t *s = state;
    s->status = cohort_barrier_wait(s->object, NULL, LITTLE);
    (void)cohort_barrier_waiting(s->object);
}

static void use_queue(void *state) {
    state_t *s = state;
    char buffer[8];
    apr_size_t size;
    apr_status_t status = cohort_queue_put(s->object, "one", 4, LITTLE);
    if (!status) status = cohort_queue_get(s->object, buffer, sizeof buffer, &size, LITTLE);
    if (!status) status = cohort_queue_task_done(s->object);
    s->status = status ? status : cohort_queue_join(s->object, LITTLE);
}

static void use_queue_in_runs(void *state) {
    state_t *s = state;
    char buffer[2][8];
    apr_size_t done;
    cohort_message_t in[] = {{.data = "one", .size = 4}, {.data = "two", .size = 4}},
                     out[] = {{.data = buffer[0], .capacity = 8},
                              {.data = buffer[1], .capacity = 8}};
    apr_status_t status = cohort_queue_put_many(s->object, in, 2, &done, LITTLE);
    if (!status) status = cohort_queue_get_many(s->object, out, 2, &done, LITTLE);
    s->status = status;
    (void)cohort_queue_size(s->object);
}

static void use_result(void *state) {
    state_t *s = state;
    int output = 0;
    apr_status_t status = cohort_result_wait(s->object, LITTLE);
    if (!status) status = cohort_result_get(s->object, &output, sizeof output, LITTLE);
    if (!status) CHECK_INT(4, output);
    s->status = status;
    (void)cohort_result_is_successful(s->object);
}

/* As barrier and queue, each of another shape than the one that is gone. */
static void end_barrier(void *state) {
    state_t *s = state;
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_destroy(s->object));
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_create(&s->barrier, 1, NULL, NULL));
}

static void end_queue(void *state) {
    state_t *s = state;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(s->object));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&s->queue, NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_put(s->queue, "other", 6, 0));
}

static void end_result(void *state) {
    state_t *s = state;
    int input = 8;
    cohort_job_t job = {.task = step_task, COHORT_INPUTS(&input, 1), .output_size = sizeof(int)};
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(s->object));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&s->result, s->second, &job, NULL));
}

static void discard_barrier(void *state) {
    state_t *s = state;
    if (s->barrier) {
        CHECK_STATUS(APR_SUCCESS, cohort_barrier_wait(s->barrier, NULL, 0));
        CHECK_STATUS(APR_SUCCESS, cohort_barrier_destroy(s->barrier));
    } else {
        CHECK_STATUS(APR_SUCCESS, cohort_barrier_destroy(s->object));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

static void discard_queue(void *state) {
    state_t *s = state;
    if (s->queue) {
        CHECK_INT(1, cohort_queue_size(s->queue));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(s->queue));
    } else {
        CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(s->object));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

static void discard_result(void *state) {
    state_t *s = state;
    int output = 0;
    if (s->result) {
        CHECK_STATUS(APR_SUCCESS,
                     cohort_result_get(s->result, &output, sizeof output, COHORT_FOREVER));
        CHECK_INT(9, output);
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(s->result));
    } else {
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(s->object));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(s->second));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

/* ---- synchronisers destroyed ---------------------------------------------------------------- */

#define ENDS(type)                                                                        \
    static void end_##type(void *state) {                                                 \
        state_t *s = state;                                                               \
        CHECK_STATUS(APR_SUCCESS, cohort_##type##_destroy(s->object));                    \
        take_places(s);                                                                   \
    }                                                                                     \
    static void discard_##type(void *state) {                                             \
        state_t *s = state;                                                               \
        if (!s->semaphore) CHECK_STATUS(APR_SUCCESS, cohort_##type##_destroy(s->object)); \
        discard_sync(s);                                                                  \
    }

ENDS(lock)
ENDS(rlock)
ENDS(semaphore)
ENDS(event)
ENDS(condition)

/* The condition stays, and says that its lock is gone. */
static void end_lock_of_condition(void *state) {
    state_t *s = state;
    CHECK_STATUS(APR_SUCCESS, cohort_lock_destroy(s->second));
    take_places(s);
}

static void discard_condition_and_lock(void *state) {
    state_t *s = state;
    CHECK_STATUS(APR_SUCCESS, cohort_condition_destroy(s->object));
    if (!s->semaphore) CHECK_STATUS(APR_SUCCESS, cohort_lock_destroy(s->second));
    discard_sync(s);
}

#define CASE(name, prepare_, operate_, meanwhile_, discard_)                                \
    static void name(void) {                                                                \
        static const step_scenario_t scenario = {                                           \
            .prepare = prepare_, .operate = operate_, .check = check, .discard = discard_}; \
        step_beside(#name, &scenario, meanwhile_);                                          \
    }

CASE(lock, a_lock, use_lock, end_lock, discard_lock)
CASE(rlock, an_rlock, use_rlock, end_rlock, discard_rlock)
CASE(semaphore, a_semaphore, use_semaphore, end_semaphore, discard_semaphore)
CASE(semaphore_waits, a_semaphore, await_semaphore, end_semaphore, discard_semaphore)
CASE(event, an_event, use_event, end_event, discard_event)
CASE(event_waits, an_event, await_event, end_event, discard_event)
CASE(condition, a_condition, use_condition, end_condition, discard_condition)
CASE(condition_waits, a_condition, await_condition, end_condition, discard_condition)
CASE(lock_of_condition, a_condition_of_a_lock, use_condition, end_lock_of_condition,
     discard_condition_and_lock)
CASE(lock_of_waiting, a_condition_of_a_lock, await_condition, end_lock_of_condition,
     discard_condition_and_lock)
CASE(barrier, a_barrier, use_barrier, end_barrier, discard_barrier)
CASE(queue, a_queue, use_queue, end_queue, discard_queue)
CASE(queue_in_runs, a_queue, use_queue_in_runs, end_queue, discard_queue)
CASE(result, a_job_done, use_result, end_result, discard_result)

#define ENTRY(function) \
    { "StepDestroy", #function, function }
const test_case_t step_destroy_cases[] = {ENTRY(lock),
                                          ENTRY(rlock),
                                          ENTRY(semaphore),
                                          ENTRY(semaphore_waits),
                                          ENTRY(event),
                                          ENTRY(event_waits),
                                          ENTRY(condition),
                                          ENTRY(condition_waits),
                                          ENTRY(lock_of_condition),
                                          ENTRY(lock_of_waiting),
                                          ENTRY(barrier),
                                          ENTRY(queue),
                                          ENTRY(queue_in_runs),
                                          ENTRY(result),
                                          {0}};
