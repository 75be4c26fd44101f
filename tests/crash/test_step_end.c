/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death at the end of things: the last holder of a pipe closes it, an APR pool is destroyed with
 * objects of each kind in it, a daemon that has a pool of workers dies, a queue is closed or
 * destroyed while others wait in it, several processes stop and close the same child, a thread
 * ends. Whatever the victim has not come to, others do, without being asked: no survivor closes,
 * destroys or waits for what belonged to the victim alone.
 */
#include "check.h"
#include "core/memory/arena.h"
#include "step.h"

#include <apr_pools.h>
#include <cohort/cohort.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define LARGE 3000 /* bytes of a message that is a block of its own */
#define USERS 2

typedef struct {
    cohort_connection_t *first, *second;
    cohort_queue_t *queue, *other;
    cohort_lock_t *lock;
    cohort_rlock_t *rlock;
    cohort_semaphore_t *semaphore;
    cohort_event_t *event;
    cohort_condition_t *condition;
    cohort_barrier_t *barrier;
    cohort_pool_t *pool;
    cohort_result_t *done, *pending;
    cohort_process_t *child, *users[USERS];
    cohort__owner_ptr_t owner_ptr;
    _Atomic int waiting;              /* users that have begun */
    _Atomic apr_status_t ends[USERS]; /* how their waits ended */
} state_t;

static state_t *new_state(void) { return step_new(sizeof(state_t)); }

static void *nothing(void) { return new_state(); }

/* Destroyed or not: what a survivor has a handle of it may destroy. A pipe is no such object. */
static void discard(void *state) {
    state_t *s = state;
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(s->done));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(s->pending));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(s->queue));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(s->other));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_destroy(s->lock));
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_destroy(s->rlock));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_destroy(s->semaphore));
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(s->event));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_destroy(s->condition));
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_destroy(s->barrier));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

static void check_nothing(void *state, bool finished) { (void)state, (void)finished; }

/* ---- pipes ---------------------------------------------------------------------------------- */

static void make_pipe(state_t *s, apr_pool_t *pool) {
    static char large[LARGE];
    if (cohort_pipe_create(&s->first, &s->second, NULL, pool)) return;
    (void)!cohort_connection_send(s->first, large, sizeof large, 0);
    (void)!cohort_connection_send(s->second, large, sizeof large, 0);
}

static void own_pipe(void *state) { make_pipe(state, NULL); }

static void close_both(void *state) {
    state_t *s = state;
    (void)cohort_connection_close(s->first);
    (void)cohort_connection_close(s->second);
}

static void *shared_pipe(void) {
    state_t *s = new_state();
    make_pipe(s, NULL);
    return s;
}

static void hold_both(void *state) {
    state_t *s = state;
    (void)cohort_connection_poll(s->first, 0);
    (void)cohort_connection_poll(s->second, 0);
}

/* The survivor is the last to close, and finds the victim's holds gone. */
static void check_last(void *state, bool finished) {
    state_t *s = state;
    char buffer[LARGE];
    apr_size_t size;
    (void)finished;
    CHECK_STATUS(APR_SUCCESS, cohort_connection_recv(s->first, buffer, sizeof buffer, &size, 0));
    CHECK_STATUS(APR_EAGAIN, cohort_connection_recv(s->first, buffer, sizeof buffer, &size, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(s->second));
    CHECK_STATUS(APR_EOF, cohort_connection_recv(s->first, buffer, sizeof buffer, &size, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(s->first));
}

static int be_nothing(void *unused) {
    (void)unused;
    return 0;
}

/* The ends are a child's that is never started, and goes with its handle. */
static void give_and_close(void *state) {
    state_t *s = state;
    cohort_process_t *child;
    cohort_connection_t *ends[] = {s->first, s->second};
    cohort_process_options_t options = {.connections = ends, .n_connections = 2};
    if (cohort_process_create(&child, be_nothing, NULL, 0, &options, NULL)) return;
    close_both(s);
    (void)cohort_process_destroy(child);
}

/* ---- an APR pool with objects --------------------------------------------------------------- */

static apr_pool_t *objects; /* of the victim */

static void warm_objects(void) { (void)apr_pool_create(&objects, NULL); }

static void destroy_objects(void *state) {
    (void)state;
    apr_pool_destroy(objects);
}

static void with_pipe(void *state) {
    warm_objects();
    make_pipe(state, objects);
}

static void with_queues(void *state) {
    static char large[LARGE];
    state_t *s = state;
    warm_objects();
    (void)!cohort_queue_create(&s->queue, &(cohort_queue_options_t){.joinable = 1}, objects);
    (void)!cohort_queue_create(&s->other, &(cohort_queue_options_t){.capacity = 3}, objects);
    (void)!cohort_queue_put(s->queue, large, sizeof large, 0);
    (void)!cohort_queue_put(s->other, large, sizeof large, 0);
}

static void with_locks(void *state) {
    state_t *s = state;
    warm_objects();
    (void)!cohort_lock_create(&s->lock, objects);
    (void)!cohort_rlock_create(&s->rlock, objects);
    (void)!cohort_semaphore_create(&s->semaphore, 2, NULL, objects);
    (void)!cohort_semaphore_acquire(s->semaphore, 0);
    (void)!cohort_event_create(&s->event, objects);
    (void)!cohort_condition_create(&s->condition, NULL, objects);
    (void)!cohort_barrier_create(&s->barrier, 3, NULL, objects);
}

_Noreturn static apr_status_t take_long(const void *input, void *output) {
    (void)input, (void)output;
    for (;;) pause();
}

#define BYTES 2000 /* more than lies in the result itself */

static void submit(state_t *s, apr_pool_t *pool) {
    static int in[BYTES / sizeof(int)], out[BYTES / sizeof(int)];
    (void)!cohort_pool_submit(&s->done, s->pool,
                              &(cohort_job_t){.task = step_task,
                                              COHORT_INPUTS(in, BYTES / sizeof(int)),
                                              COHORT_OUTPUTS(out)},
                              pool);
    (void)cohort_result_wait(s->done, COHORT_FOREVER);
    (void)!cohort_pool_submit(&s->pending, s->pool,
                              &(cohort_job_t){.task = take_long,
                                              .inputs = in,
                                              .input_size = sizeof in,
                                              .n = 1,
                                              .output_size = sizeof out},
                              pool);
}

static const cohort_pool_options_t one_worker = {.workers = 1, .method = COHORT_START_FORK};
static const cohort_pool_options_t two_workers = {.workers = 2, .method = COHORT_START_FORK};

static void *a_pool(void) {
    state_t *s = new_state();
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&s->pool, &one_worker, NULL));
    return s;
}

static void with_results(void *state) {
    warm_objects();
    submit(state, objects);
}

static void check_pool(void *state, bool finished) {
    state_t *s = state;
    (void)finished;
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(s->pending));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(s->pool));
}

static void with_pool(void *state) {
    state_t *s = state;
    warm_objects();
    if (!cohort_pool_create(&s->pool, &two_workers, objects)) submit(s, objects);
}

_Noreturn static int be_a_child(void *unused) {
    (void)unused;
    for (;;) pause();
}

static const cohort_process_options_t a_daemon = {.lifetime = COHORT_LIFETIME_DAEMON,
                                                  .method = COHORT_START_FORK};

static void with_processes(void *state) {
    cohort_process_t *made, *ended;
    char args[LARGE] = "";
    (void)state;
    warm_objects();
    (void)!cohort_process_create(&made, be_nothing, args, sizeof args, NULL, objects);
    if (cohort_process_create(&ended, be_nothing, args, sizeof args, &a_daemon, objects) ||
        cohort_process_start(ended))
        return;
    (void)cohort_process_join(ended, COHORT_FOREVER);
}

/* ---- daemons that have a pool --------------------------------------------------------------- */

static void make_pool(void *state) {
    (void)!cohort_pool_create(&((state_t *)state)->pool, &two_workers, NULL);
}

static void make_pool_and_results(void *state) {
    state_t *s = state;
    make_pool(s);
    submit(s, NULL);
}

static void make_and_use_pool(void *state) {
    state_t *s = state;
    int in = 1, out;
    make_pool(s);
    (void)!cohort_pool_apply(s->pool, step_task, &in, sizeof in, &out, sizeof out);
}

static void use_pool(void *state) {
    int in = 1, out;
    (void)!cohort_pool_apply(((state_t *)state)->pool, step_task, &in, sizeof in, &out, sizeof out);
}

/* ---- queues that others wait in ------------------------------------------------------------- */

static int wait_for_message(void *args) {
    state_t *s = *(state_t **)args;
    char buffer[8];
    apr_size_t size;
    atomic_fetch_add(&s->waiting, 1);
    atomic_store(&s->ends[0],
                 cohort_queue_get(s->queue, buffer, sizeof buffer, &size, COHORT_FOREVER));
    return 0;
}

static int wait_for_room(void *args) {
    static char large[LARGE];
    state_t *s = *(state_t **)args;
    atomic_fetch_add(&s->waiting, 1);
    atomic_store(&s->ends[1], cohort_queue_put(s->other, large, sizeof large, COHORT_FOREVER));
    return 0;
}

static void start_user(state_t *s, int i, cohort_target_t target) {
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&s->users[i], target, &s, sizeof s, &a_daemon, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(s->users[i]));
}

static void end_users(state_t *s) {
    for (int i = 0; i < USERS; i++) {
        if (!s->users[i]) continue;
        CHECK_STATUS(APR_SUCCESS, cohort_process_join(s->users[i], COHORT_FOREVER));
        CHECK_INT(0, cohort_process_exit_code(s->users[i]));
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(s->users[i]));
    }
}

/* One process waits in the empty one, another in the full one. */
static void *queues_in_use(void) {
    state_t *s = new_state();
    CHECK_STATUS(APR_SUCCESS,
                 cohort_queue_create(&s->queue, &(cohort_queue_options_t){.joinable = 1}, NULL));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_queue_create(&s->other, &(cohort_queue_options_t){.capacity = 1}, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_put(s->other, "x", 1, 0));
    start_user(s, 0, wait_for_message);
    start_user(s, 1, wait_for_room);
    while (atomic_load(&s->waiting) < USERS) sched_yield();
    return s;
}

static void close_queues(void *state) {
    state_t *s = state;
    (void)cohort_queue_close(s->queue);
    (void)cohort_queue_close(s->other);
}

static void discard_queues(void *state) {
    state_t *s = state;
    (void)cohort_queue_discard(s->queue);
    (void)cohort_queue_discard(s->other);
}

static void check_closed(void *state, bool finished) {
    state_t *s = state;
    if (finished) CHECK(cohort_queue_is_closed(s->other));
    close_queues(s);
    end_users(s);
    CHECK_STATUS(COHORT_ECLOSED, atomic_load(&s->ends[0]));
    CHECK_STATUS(COHORT_ECLOSED, atomic_load(&s->ends[1]));
}

static void destroy_queues(void *state) {
    state_t *s = state;
    (void)cohort_queue_destroy(s->queue);
    (void)cohort_queue_destroy(s->other);
}

static void check_destroyed(void *state, bool finished) {
    state_t *s = state;
    int value;
    apr_size_t size;
    if (finished)
        CHECK_STATUS(COHORT_EHANDLE, cohort_queue_get(s->other, &value, sizeof value, &size, 0));
    destroy_queues(s);
    end_users(s);
    CHECK_STATUS(COHORT_EHANDLE, atomic_load(&s->ends[0]));
    CHECK_STATUS(COHORT_EHANDLE, atomic_load(&s->ends[1]));
}

/* ---- a child that several processes end ----------------------------------------------------- */

static cohort_process_t *start_child(void) {
    cohort_process_t *child;
    if (cohort_process_create(&child, be_a_child, NULL, 0, &a_daemon, NULL)) return NULL;
    return cohort_process_start(child) ? NULL : child;
}

static int join_child(void *args) {
    state_t *s = *(state_t **)args;
    atomic_fetch_add(&s->waiting, 1);
    atomic_store(&s->ends[0], cohort_process_join(s->child, COHORT_FOREVER));
    return 0;
}

static void *a_child(void) {
    state_t *s = new_state();
    s->child = start_child();
    CHECK(s->child);
    start_user(s, 0, join_child);
    while (!atomic_load(&s->waiting)) sched_yield();
    return s;
}

static void end_child(void *state) {
    state_t *s = state;
    (void)cohort_process_kill(s->child);
    (void)cohort_process_join(s->child, COHORT_FOREVER);
    (void)cohort_process_destroy(s->child);
}

/* The child is the survivor's, and its handle. */
static void check_child(void *state, bool finished) {
    state_t *s = state;
    CHECK(!finished || !cohort_process_is_alive(s->child));
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(s->child));
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(s->child, COHORT_FOREVER));
    CHECK_INT(-SIGKILL, cohort_process_exit_code(s->child));
    end_users(s);
    CHECK_STATUS(APR_SUCCESS, atomic_load(&s->ends[0]));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(s->child));
}

static int kill_and_join_child(void *args) {
    state_t *s = *(state_t **)args;
    while (!s->child) sched_yield();
    atomic_fetch_add(&s->waiting, 1);
    apr_status_t killed = cohort_process_kill(s->child),
                 joined = cohort_process_join(s->child, COHORT_FOREVER);
    atomic_store(&s->ends[0], killed ? killed : joined);
    return 0;
}

static void *a_user(void) {
    state_t *s = new_state();
    start_user(s, 0, kill_and_join_child);
    return s;
}

/* The child is the victim's, which closes its handle while another process kills and joins it. */
static void own_child(void *state) {
    state_t *s = state;
    s->child = start_child();
    while (!atomic_load(&s->waiting)) sched_yield();
}

static void check_own_child(void *state, bool finished) {
    state_t *s = state;
    (void)finished;
    end_users(s);
    apr_status_t status = atomic_load(&s->ends[0]);
    /* the handle may have been closed by then */
    CHECK(status == APR_SUCCESS || status == COHORT_EHANDLE);
}

/* ---- a permit that another process holds ---------------------------------------------------- */

_Noreturn static int hold_permit(void *args) {
    state_t *s = *(state_t **)args;
    atomic_store(&s->ends[0], cohort_semaphore_acquire(s->semaphore, COHORT_FOREVER));
    atomic_fetch_add(&s->waiting, 1);
    for (;;) pause();
}

static void *a_permit_taken(void) {
    state_t *s = new_state();
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_create(&s->semaphore, 1, NULL, NULL));
    start_user(s, 0, hold_permit);
    while (!atomic_load(&s->waiting)) sched_yield();
    return s;
}

static void give_permit(void *state) {
    (void)cohort_semaphore_release(((state_t *)state)->semaphore, 1);
}

/* Either the victim's permit is there, and the semaphore a signal; or that of the process which
 * dies now comes back. */
static void check_permit(void *state, bool finished) {
    state_t *s = state;
    unsigned value = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(s->users[0]));
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(s->users[0], COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(s->users[0]));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(s->semaphore, COHORT_FOREVER));
    value = cohort_semaphore_value(s->semaphore);
    CHECK_INT(0, value);
    (void)finished;
}

/* ---- a thread ------------------------------------------------------------------------------- */

static void use_memory(void *state) {
    state_t *s = state;
    cohort__thread_t *me;
    void *block;
    if (cohort__enter(&me)) return;
    (void)cohort__block_new(me, COHORT__KIND_BYTES, 100, &s->owner_ptr);
    for (size_t size = 40; size < 20000; size *= 2) {
        if (!cohort_alloc(&block, size)) (void)cohort_free(block);
    }
}

static void end_thread(void *state) {
    cohort__thread_t *me;
    (void)state;
    if (!cohort__enter(&me)) cohort__thread_exit(me);
}

static void check_thread(void *state, bool finished) {
    state_t *s = state;
    cohort__thread_t *me;
    (void)finished;
    CHECK_STATUS(APR_SUCCESS, cohort__enter(&me));
    CHECK(atomic_load(&s->owner_ptr));
    cohort__block_free(me, &s->owner_ptr);
}

#define CASE(function, prepare_, warm_, operate_, check_)                                          \
    STEP_CASES(function, .prepare = prepare_, .warm = warm_, .operate = operate_, .check = check_, \
               .discard = discard)

CASE(pipe_close_own, nothing, own_pipe, close_both, check_nothing)
CASE(pipe_close_shared, shared_pipe, hold_both, close_both, check_last)
CASE(pipe_close_given, nothing, own_pipe, give_and_close, check_nothing)
CASE(objects_pipe, nothing, with_pipe, destroy_objects, check_nothing)
CASE(objects_queues, nothing, with_queues, destroy_objects, check_nothing)
CASE(objects_locks, nothing, with_locks, destroy_objects, check_nothing)
CASE(objects_results, a_pool, with_results, destroy_objects, check_pool)
CASE(objects_pool, nothing, with_pool, destroy_objects, check_nothing)
CASE(objects_processes, nothing, with_processes, destroy_objects, check_nothing)
CASE(daemon_makes_pool, nothing, NULL, make_and_use_pool, check_nothing)
CASE(daemon_uses_pool, nothing, make_pool_and_results, use_pool, check_nothing)
CASE(daemon_leaves_pool, nothing, make_pool_and_results, step_leave, check_nothing)
CASE(queue_close_in_use, queues_in_use, NULL, close_queues, check_closed)
CASE(queue_discard_in_use, queues_in_use, NULL, discard_queues, check_closed)
CASE(queue_destroy_in_use, queues_in_use, NULL, destroy_queues, check_destroyed)
CASE(child_of_survivor, a_child, NULL, end_child, check_child)
CASE(child_of_victim, a_user, own_child, end_child, check_own_child)
CASE(permit_of_another, a_permit_taken, NULL, give_permit, check_permit)
CASE(thread_end, nothing, use_memory, end_thread, check_thread)

#define ENTRIES(function) \
    {"StepEnd", #function, function}, { "StepEnd", #function "_repair", function##_repair }
const test_case_t step_end_cases[] = {ENTRIES(pipe_close_own),       ENTRIES(pipe_close_shared),
                                      ENTRIES(pipe_close_given),     ENTRIES(objects_pipe),
                                      ENTRIES(objects_queues),       ENTRIES(objects_locks),
                                      ENTRIES(objects_results),      ENTRIES(objects_pool),
                                      ENTRIES(objects_processes),    ENTRIES(daemon_makes_pool),
                                      ENTRIES(daemon_uses_pool),     ENTRIES(daemon_leaves_pool),
                                      ENTRIES(queue_close_in_use),   ENTRIES(queue_discard_in_use),
                                      ENTRIES(queue_destroy_in_use), ENTRIES(child_of_survivor),
                                      ENTRIES(child_of_victim),      ENTRIES(permit_of_another),
                                      ENTRIES(thread_end),           {0}};
