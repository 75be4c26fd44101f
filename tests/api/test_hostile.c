/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Input that no sane program gives: each call of the API with each kind of wrong pointer, a full
 * arena under everything that needs some of it, and ten thousand objects of each kind. A clear
 * status each time, and then all works as before. What is special to one object is in that object's
 * tests.
 */
#include "parties.h"

#include <stdlib.h>

/* ---- objects, by their kinds ---------------------------------------------------------------- */

static apr_status_t no_range_done(const void *inputs, void *outputs, apr_size_t first,
                                  apr_size_t last) {
    (void)inputs, (void)outputs, (void)first, (void)last;
    return APR_SUCCESS;
}

static void no_callback(cohort_result_t *result, void *arg) { (void)result, (void)arg; }

static apr_status_t complete_one(void *result) {
    cohort_completed_t *completed;
    return cohort_completed_create(&completed, (cohort_result_t **)&result, 1, test_pool());
}

static apr_status_t nothing_done(const void *input, void *output) {
    (void)input, (void)output;
    return APR_SUCCESS;
}

static cohort_pool_t *crowd; /* results come from here */

static apr_status_t make_block(void **o) { return cohort_alloc(o, 1000); }
static apr_status_t make_large_block(void **o) { return cohort_alloc(o, 100000); }
static apr_status_t make_queue(void **o) {
    return cohort_queue_create((cohort_queue_t **)o, NULL, NULL);
}
static apr_status_t make_bounded(void **o) {
    return cohort_queue_create((cohort_queue_t **)o,
                               &(cohort_queue_options_t){.capacity = 4, .joinable = 1}, NULL);
}
static apr_status_t make_pipe(void **o) {
    cohort_connection_t *other = NULL;
    apr_status_t status = cohort_pipe_create((cohort_connection_t **)o, &other,
                                             &(cohort_pipe_options_t){.messages = 2}, NULL);
    return status ? status : cohort_connection_close(other);
}
static apr_status_t make_lock(void **o) { return cohort_lock_create((cohort_lock_t **)o, NULL); }
static apr_status_t make_rlock(void **o) { return cohort_rlock_create((cohort_rlock_t **)o, NULL); }
static apr_status_t make_semaphore(void **o) {
    return cohort_semaphore_create((cohort_semaphore_t **)o, 1, NULL, NULL);
}
static apr_status_t make_condition(void **o) {
    return cohort_condition_create((cohort_condition_t **)o, NULL, NULL);
}
static apr_status_t make_event(void **o) { return cohort_event_create((cohort_event_t **)o, NULL); }
static apr_status_t make_barrier(void **o) {
    return cohort_barrier_create((cohort_barrier_t **)o, 1, NULL, NULL);
}
static apr_status_t make_region(void **o) {
    return cohort_region_create((cohort_region_t **)o, NULL, NULL);
}
static apr_status_t make_process(void **o) {
    return cohort_process_create((cohort_process_t **)o, nothing, "argument", 9, NULL, NULL);
}
static apr_status_t make_result(void **o) {
    return cohort_pool_submit((cohort_result_t **)o, crowd,
                              &(cohort_job_t){.task = nothing_done, .n = 1}, NULL);
}

static apr_status_t make_imap(void **o) {
    return cohort_pool_imap((cohort_imap_t **)o, crowd,
                            &(cohort_job_t){.task = nothing_done, .n = 1}, NULL, NULL);
}

/* Something is done with it that only a sound object can do. */
static void use_block(void *o) { memset(o, 7, 1000); }
static void use_queue(void *o) {
    char byte = 1;
    apr_size_t size;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_put(o, &byte, 1, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_get(o, &byte, 1, &size, 0));
}
static void use_pipe(void *o) {
    char byte;
    apr_size_t size;
    CHECK_STATUS(APR_EOF, cohort_connection_recv(o, &byte, 1, &size, 0));
}
static void use_lock(void *o) {
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(o, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_release(o));
}
static void use_rlock(void *o) {
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_acquire(o, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_release(o));
}
static void use_semaphore(void *o) {
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(o, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_release(o, 1));
}
static void use_condition(void *o) {
    CHECK_STATUS(APR_SUCCESS, cohort_condition_acquire(o, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_notify_all(o));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_release(o));
}
static void use_event(void *o) {
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(o));
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(o, 0));
}
static void use_barrier(void *o) { CHECK_STATUS(APR_SUCCESS, cohort_barrier_wait(o, NULL, 0)); }
static void use_region(void *o) { CHECK_STATUS(APR_SUCCESS, cohort_region_clear(o)); }
static void use_process(void *o) { CHECK_STATUS(COHORT_ENOTSTARTED, cohort_process_join(o, 0)); }
static void use_result(void *o) {
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(o, COHORT_FOREVER));
}
static bool is_full; /* the arena */
/* An input that cannot be taken in ends with the reason. */
static void use_imap(void *o) {
    cohort_item_t item = {0};
    apr_status_t status = cohort_imap_next(o, &item, COHORT_FOREVER);
    if (!is_full || status != APR_ENOMEM) CHECK_STATUS(APR_SUCCESS, status);
    CHECK_STATUS(APR_EOF, cohort_imap_next(o, &item, COHORT_FOREVER));
}

static apr_status_t end_block(void *o) { return cohort_free(o); }
static apr_status_t end_queue(void *o) { return cohort_queue_destroy(o); }
static apr_status_t end_pipe(void *o) { return cohort_connection_close(o); }
static apr_status_t end_lock(void *o) { return cohort_lock_destroy(o); }
static apr_status_t end_rlock(void *o) { return cohort_rlock_destroy(o); }
static apr_status_t end_semaphore(void *o) { return cohort_semaphore_destroy(o); }
static apr_status_t end_condition(void *o) { return cohort_condition_destroy(o); }
static apr_status_t end_event(void *o) { return cohort_event_destroy(o); }
static apr_status_t end_barrier(void *o) { return cohort_barrier_destroy(o); }
static apr_status_t end_region(void *o) { return cohort_region_destroy(o); }
static apr_status_t end_process(void *o) { return cohort_process_destroy(o); }
static apr_status_t end_result(void *o) { return cohort_result_destroy(o); }
static apr_status_t end_runner(void *o) { return cohort_runner_destroy(o); }
static apr_status_t end_imap(void *o) { return cohort_imap_destroy(o); }

typedef enum {
    BLOCK,
    LARGE_BLOCK,
    QUEUE,
    BOUNDED,
    PIPE,
    LOCK,
    RLOCK,
    SEMAPHORE,
    CONDITION,
    EVENT,
    BARRIER,
    REGION,
    PROCESS,
    RESULT,
    IMAP,
    KINDS,
    POOL,
    RUNNER,
    RUN
} kind_t;

static const struct {
    const char *name;
    apr_status_t (*make)(void **object);
    void (*use)(void *object);
    apr_status_t (*end)(void *object);
} kinds[KINDS] = {
    [BLOCK] = {"block", make_block, use_block, end_block},
    [LARGE_BLOCK] = {"large block", make_large_block, use_block, end_block},
    [QUEUE] = {"queue", make_queue, use_queue, end_queue},
    [BOUNDED] = {"bounded queue", make_bounded, use_queue, end_queue},
    [PIPE] = {"pipe", make_pipe, use_pipe, end_pipe},
    [LOCK] = {"lock", make_lock, use_lock, end_lock},
    [RLOCK] = {"recursive lock", make_rlock, use_rlock, end_rlock},
    [SEMAPHORE] = {"semaphore", make_semaphore, use_semaphore, end_semaphore},
    [CONDITION] = {"condition", make_condition, use_condition, end_condition},
    [EVENT] = {"event", make_event, use_event, end_event},
    [BARRIER] = {"barrier", make_barrier, use_barrier, end_barrier},
    [REGION] = {"region", make_region, use_region, end_region},
    [PROCESS] = {"process", make_process, use_process, end_process},
    [RESULT] = {"result", make_result, use_result, end_result},
    [IMAP] = {"imap", make_imap, use_imap, end_imap},
};

/* A worker that was at a job which is destroyed frees it when it leaves. */
static void await_blocks(apr_uint64_t at_most) {
    while (blocks_in_use() > at_most) apr_sleep(1000);
}

/* ---- wrong pointers ------------------------------------------------------------------------- */

static char byte;
static apr_size_t size = 1;
static void *out;
static apr_size_t number;
static apr_size_t natural;

static int never(void *arg) {
    (void)arg;
    return 0;
}

/* A question has no status; the thread's last error says why its answer is no real one. */
static apr_status_t status_said(void) {
    const char *said = cohort_last_error();
    return strstr(said, "not a live") ? COHORT_EHANDLE : strstr(said, " is NULL") ? APR_EINVAL : 0;
}

#define ASK(name, expression)                              \
    static apr_status_t name(void *o) {                    \
        (void)cohort_free(&byte); /* another last error */ \
        (void)(expression);                                \
        return status_said();                              \
    }
#define CALL(name, expression) \
    static apr_status_t name(void *o) { return expression; }
CALL(queue_put, cohort_queue_put(o, &byte, 1, 0))
CALL(queue_get, cohort_queue_get(o, &byte, 1, &size, 0))
CALL(queue_get_copy, cohort_queue_get_copy(o, &out, &size, 0, test_pool()))
CALL(queue_get_block, cohort_queue_get_block(o, &out, &size, 0))
CALL(queue_put_many,
     cohort_queue_put_many(o, &(cohort_message_t){.data = &byte, .size = 1}, 1, &size, 0))
CALL(queue_get_many,
     cohort_queue_get_many(o, &(cohort_message_t){.data = &byte, .capacity = 1}, 1, &size, 0))
ASK(queue_size, cohort_queue_size(o))
ASK(queue_empty, cohort_queue_is_empty(o))
ASK(queue_full, cohort_queue_is_full(o))
ASK(queue_closed, cohort_queue_is_closed(o))
CALL(queue_close, cohort_queue_close(o))
CALL(queue_discard, cohort_queue_discard(o))
CALL(queue_task_done, cohort_queue_task_done(o))
CALL(queue_join, cohort_queue_join(o, 0))
CALL(connection_send, cohort_connection_send(o, &byte, 1, 0))
CALL(connection_recv, cohort_connection_recv(o, &byte, 1, &size, 0))
CALL(connection_recv_copy, cohort_connection_recv_copy(o, &out, &size, 0, test_pool()))
CALL(connection_recv_block, cohort_connection_recv_block(o, &out, &size, 0))
CALL(connection_poll, cohort_connection_poll(o, 0))
CALL(lock_acquire, cohort_lock_acquire(o, 0))
CALL(lock_release, cohort_lock_release(o))
ASK(lock_owner, cohort_lock_owner(o))
CALL(rlock_acquire, cohort_rlock_acquire(o, 0))
CALL(rlock_release, cohort_rlock_release(o))
ASK(rlock_owner, cohort_rlock_owner(o))
CALL(semaphore_acquire, cohort_semaphore_acquire(o, 0))
CALL(semaphore_release, cohort_semaphore_release(o, 1))
ASK(semaphore_value, cohort_semaphore_value(o))
CALL(condition_acquire, cohort_condition_acquire(o, 0))
CALL(condition_release, cohort_condition_release(o))
CALL(condition_wait, cohort_condition_wait(o, 0))
CALL(condition_wait_for, cohort_condition_wait_for(o, never, NULL, 0))
CALL(condition_notify, cohort_condition_notify(o, 1))
CALL(condition_notify_all, cohort_condition_notify_all(o))
CALL(event_set, cohort_event_set(o))
CALL(event_clear, cohort_event_clear(o))
CALL(event_wait, cohort_event_wait(o, 0))
ASK(event_is_set, cohort_event_is_set(o))
CALL(barrier_wait, cohort_barrier_wait(o, &natural, 0))
CALL(barrier_abort, cohort_barrier_abort(o))
CALL(barrier_reset, cohort_barrier_reset(o))
ASK(barrier_parties, cohort_barrier_parties(o))
ASK(barrier_waiting, cohort_barrier_waiting(o))
ASK(barrier_broken, cohort_barrier_is_broken(o))
CALL(region_alloc, cohort_region_alloc(&(void *){NULL}, o, 1))
CALL(region_clear, cohort_region_clear(o))
CALL(process_start, cohort_process_start(o))
CALL(process_join, cohort_process_join(o, 0))
CALL(process_name, cohort_process_name(o, &byte, 1))
CALL(process_set_name, cohort_process_set_name(o, "name"))
CALL(process_terminate, cohort_process_terminate(o))
CALL(process_kill, cohort_process_kill(o))
CALL(process_kill_tree, cohort_process_kill_tree(o))
CALL(process_interrupt, cohort_process_interrupt(o))
CALL(process_stop, cohort_process_stop(o, 0))
CALL(process_stop_tree, cohort_process_stop_tree(o, 0))
CALL(process_restart, cohort_process_restart(o, 0))
CALL(process_service, cohort_process_service(o, &(cohort_service_info_t){.pid = 0}))
CALL(processes_stop, cohort_processes_stop(&(cohort_process_t *){o}, 1, 0))
CALL(process_signal, cohort_process_signal(o, 15))
CALL(pool_map, cohort_pool_map(o, nothing_done, &byte, 1, 1, NULL, 0))
CALL(pool_map_ranges, cohort_pool_map_ranges(o, no_range_done, &byte, 1, 1, NULL, 0))
CALL(pool_run, cohort_pool_run(o, &(cohort_job_t){.task = nothing_done, .n = 1}))
CALL(pool_submit, cohort_pool_submit((cohort_result_t **)&out, o,
                                     &(cohort_job_t){.task = nothing_done, .n = 1}, NULL))
CALL(pool_apply, cohort_pool_apply(o, nothing_done, &byte, 1, NULL, 0))
CALL(pool_workers, cohort_pool_workers(o, (cohort_process_t ***)&out, &number, test_pool()))
CALL(pool_activity, cohort_pool_activity(o, (cohort_activity_t ***)&out, &number, test_pool()))
CALL(pool_statistics, cohort_pool_statistics(o, (cohort_pool_statistics_t **)&out, test_pool()))
CALL(pool_print_statistics, cohort_pool_print_statistics(o, NULL))
CALL(pool_wait_ready, cohort_pool_wait_ready(o, 0))
CALL(pool_resize, cohort_pool_resize(o, 1))
CALL(pool_run_on_each, cohort_pool_run_on_each(o, nothing_done, NULL, 0, NULL, 0, NULL))
CALL(pool_close, cohort_pool_close(o))
CALL(pool_terminate, cohort_pool_terminate(o))
CALL(pool_join, cohort_pool_join(o, 0))
CALL(end_pool, cohort_pool_destroy(o))
CALL(pool_imap,
     cohort_pool_imap((cohort_imap_t **)&out, o, &(cohort_job_t){.task = nothing_done}, NULL, NULL))
CALL(imap_next, cohort_imap_next(o, &(cohort_item_t){0}, 0))
CALL(runner_submit,
     cohort_runner_submit(NULL, o,
                          &(cohort_command_t){.argv = (const char *const[]){"none", NULL}}))
CALL(runner_next, cohort_runner_next(o, (cohort_run_t **)&out, 0))
CALL(run_wait, cohort_run_wait(o, 0))
CALL(run_cancel, cohort_run_cancel(o))
ASK(run_outcome, cohort_run_outcome(o))
CALL(end_run, cohort_run_destroy(o))
CALL(result_wait, cohort_result_wait(o, 0))
CALL(result_add_callback, cohort_result_add_callback(o, no_callback, NULL))
CALL(completed_create, complete_one(o))
ASK(result_successful, cohort_result_is_successful(o))
CALL(result_get, cohort_result_get(o, NULL, 0, 0))
ASK(result_outputs, cohort_result_outputs(o))
CALL(result_error, cohort_result_error(o, &(cohort_task_error_t){0}))
CALL(result_errors, cohort_result_errors(o, (cohort_task_error_t ***)&out, &size, test_pool()))

typedef struct {
    const char *name;
    kind_t kind; /* of object that it wants */
    apr_status_t (*call)(void *object);
    bool ends; /* takes NULL, and what is destroyed already */
} call_t;

#define USES(kind, name) \
    { #name, kind, name, false }
#define ENDS(kind, name) \
    { #name, kind, name, true }
static const call_t calls[] = {
    USES(QUEUE, queue_put),
    USES(QUEUE, queue_get),
    USES(QUEUE, queue_get_copy),
    USES(QUEUE, queue_get_block),
    USES(QUEUE, queue_put_many),
    USES(QUEUE, queue_get_many),
    USES(QUEUE, queue_size),
    USES(QUEUE, queue_empty),
    USES(QUEUE, queue_full),
    USES(QUEUE, queue_closed),
    USES(QUEUE, queue_close),
    USES(QUEUE, queue_discard),
    USES(QUEUE, queue_task_done),
    USES(QUEUE, queue_join),
    ENDS(QUEUE, end_queue),
    USES(PIPE, connection_send),
    USES(PIPE, connection_recv),
    USES(PIPE, connection_recv_copy),
    USES(PIPE, connection_recv_block),
    USES(PIPE, connection_poll),
    ENDS(PIPE, end_pipe),
    USES(LOCK, lock_acquire),
    USES(LOCK, lock_release),
    USES(LOCK, lock_owner),
    ENDS(LOCK, end_lock),
    USES(RLOCK, rlock_acquire),
    USES(RLOCK, rlock_release),
    USES(RLOCK, rlock_owner),
    ENDS(RLOCK, end_rlock),
    USES(SEMAPHORE, semaphore_acquire),
    USES(SEMAPHORE, semaphore_release),
    USES(SEMAPHORE, semaphore_value),
    ENDS(SEMAPHORE, end_semaphore),
    USES(CONDITION, condition_acquire),
    USES(CONDITION, condition_release),
    USES(CONDITION, condition_wait),
    USES(CONDITION, condition_wait_for),
    USES(CONDITION, condition_notify),
    USES(CONDITION, condition_notify_all),
    ENDS(CONDITION, end_condition),
    USES(EVENT, event_set),
    USES(EVENT, event_clear),
    USES(EVENT, event_wait),
    USES(EVENT, event_is_set),
    ENDS(EVENT, end_event),
    USES(BARRIER, barrier_wait),
    USES(BARRIER, barrier_abort),
    USES(BARRIER, barrier_reset),
    USES(BARRIER, barrier_parties),
    USES(BARRIER, barrier_waiting),
    USES(BARRIER, barrier_broken),
    ENDS(BARRIER, end_barrier),
    USES(REGION, region_alloc),
    USES(REGION, region_clear),
    ENDS(REGION, end_region),
    USES(PROCESS, process_start),
    USES(PROCESS, process_join),
    USES(PROCESS, process_name),
    USES(PROCESS, process_set_name),
    USES(PROCESS, process_terminate),
    USES(PROCESS, process_kill),
    USES(PROCESS, process_kill_tree),
    USES(PROCESS, process_interrupt),
    USES(PROCESS, process_stop),
    USES(PROCESS, process_stop_tree),
    USES(PROCESS, process_restart),
    USES(PROCESS, process_service),
    USES(PROCESS, processes_stop),
    USES(PROCESS, process_signal),
    ENDS(PROCESS, end_process),
    USES(POOL, pool_run),
    USES(POOL, pool_submit),
    USES(POOL, pool_imap),
    USES(POOL, pool_map),
    USES(POOL, pool_map_ranges),
    USES(POOL, pool_apply),
    USES(POOL, pool_workers),
    USES(POOL, pool_activity),
    USES(POOL, pool_statistics),
    USES(POOL, pool_print_statistics),
    USES(POOL, pool_wait_ready),
    USES(POOL, pool_resize),
    USES(POOL, pool_run_on_each),
    USES(POOL, pool_close),
    USES(POOL, pool_terminate),
    USES(POOL, pool_join),
    ENDS(POOL, end_pool),
    USES(RESULT, result_wait),
    USES(RESULT, result_add_callback),
    USES(RESULT, completed_create),
    USES(RESULT, result_successful),
    USES(RESULT, result_get),
    USES(RESULT, result_outputs),
    USES(RESULT, result_error),
    USES(RESULT, result_errors),
    ENDS(RESULT, end_result),
    USES(IMAP, imap_next),
    ENDS(IMAP, end_imap),
    USES(RUNNER, runner_submit),
    USES(RUNNER, runner_next),
    ENDS(RUNNER, end_runner),
    USES(RUN, run_wait),
    USES(RUN, run_cancel),
    USES(RUN, run_outcome),
    ENDS(RUN, end_run),
};
#define CALLS (sizeof calls / sizeof *calls)

static void expect(const call_t *c, const char *what, apr_status_t expected, void *object) {
    apr_status_t status = c->call(object);
    if (status != expected)
        test_fail(__FILE__, __LINE__, "%s of %s: %d, not %d", c->name, what, (int)status,
                  (int)expected);
}

static void crowd_begin(void) {
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&crowd, &(cohort_pool_options_t){.workers = 1}, NULL));
}
static void crowd_end(void) { CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(crowd)); }

/* A queue may be called by what asks for a bounded one. */
static bool fits(const call_t *c, kind_t kind) {
    return c->kind == kind || (c->kind == QUEUE && kind == BOUNDED);
}

static void nulls(void) {
    for (size_t i = 0; i < CALLS; i++)
        expect(&calls[i], "NULL", calls[i].ends ? APR_SUCCESS : APR_EINVAL, NULL);
}

static void strangers(void) {
    char *block = party_memory(4096), here[256] = {0};
    void *const pointers[] = {here,
                              here + 1,
                              block,
                              block + 64,
                              block + 1,
                              (void *)1,
                              (void *)~(uintptr_t)0,
                              (void *)(uintptr_t)0x123456789abcdef0u};
    for (size_t i = 0; i < CALLS; i++) {
        for (size_t p = 0; p < sizeof pointers / sizeof *pointers; p++) {
            /* what ends an object may take that for one that has been one */
            bool inside = cohort_is_shared(pointers[p], 1);
            if (calls[i].ends && inside) (void)calls[i].call(pointers[p]);
            else expect(&calls[i], "a stranger", COHORT_EHANDLE, pointers[p]);
        }
    }
    for (int i = 0; i < 4096; i++) CHECK_INT(0, block[i]);
    CHECK_STATUS(APR_SUCCESS, cohort_free(block));
}

/* Each call with a live object of each other kind, which is none the worse for it. */
static void mistaken_for_another(void) {
    void *objects[KINDS];
    crowd_begin();
    for (kind_t k = BLOCK; k < KINDS; k++) CHECK_STATUS(APR_SUCCESS, kinds[k].make(&objects[k]));
    for (size_t i = 0; i < CALLS; i++) {
        for (kind_t k = BLOCK; k < KINDS; k++) {
            if (fits(&calls[i], k)) continue;
            if (calls[i].ends) (void)calls[i].call(objects[k]);
            else expect(&calls[i], kinds[k].name, COHORT_EHANDLE, objects[k]);
        }
    }
    for (kind_t k = BLOCK; k < KINDS; k++) kinds[k].use(objects[k]);
    for (kind_t k = BLOCK; k < KINDS; k++) CHECK_STATUS(APR_SUCCESS, kinds[k].end(objects[k]));
    crowd_end();
}

static void after_the_end(void) {
    crowd_begin();
    for (kind_t k = QUEUE; k < KINDS; k++) {
        void *object;
        CHECK_STATUS(APR_SUCCESS, kinds[k].make(&object));
        CHECK_STATUS(APR_SUCCESS, kinds[k].end(object));
        for (size_t i = 0; i < CALLS; i++) {
            if (calls[i].kind != k) continue;
            /* An end of a pipe that this process has closed is still an end, as long as any process
             * has one. */
            apr_status_t status = calls[i].call(object);
            bool clear = calls[i].ends ? status == APR_SUCCESS || status == COHORT_ECLOSED
                                       : status == COHORT_EHANDLE || status == COHORT_ECLOSED;
            if (!clear)
                test_fail(__FILE__, __LINE__, "%s after the end: %d", calls[i].name, (int)status);
        }
    }
    cohort_pool_t *pool = crowd;
    crowd_end();
    for (size_t i = 0; i < CALLS; i++)
        if (calls[i].kind == POOL)
            expect(&calls[i], "a destroyed pool", calls[i].ends ? APR_SUCCESS : COHORT_EHANDLE,
                   pool);
}

/* ---- no arena left -------------------------------------------------------------------------- */

/* Blocks in a chain, so that nothing else is needed to remember them. */
static void *fill_up(void) {
    void *chain = NULL;
    for (apr_size_t each = (apr_size_t)8 << 20; each >= 32; each /= 2) {
        for (void **block; cohort_alloc((void **)&block, each) == APR_SUCCESS; chain = block)
            *block = chain;
    }
    return chain;
}

static void let_go(void *chain) {
    for (void *next; chain; chain = next) {
        next = *(void **)chain;
        CHECK_STATUS(APR_SUCCESS, cohort_free(chain));
    }
}

/* Objects until there are no more: what a slab had room for is still to be had. */
static void make_until_full(kind_t k) {
    enum { MOST = 20000 };
    void **objects = malloc(MOST * sizeof *objects);
    int n = 0;
    apr_status_t status = APR_SUCCESS;
    CHECK(objects != NULL);
    while (n < MOST && (status = kinds[k].make(&objects[n])) == APR_SUCCESS) n++;
    if (status != APR_ENOMEM)
        test_fail(__FILE__, __LINE__, "a %s in a full arena: %d", kinds[k].name, (int)status);
    is_full = true;
    for (int i = 0; i < n; i++) kinds[k].use(objects[i]);
    is_full = false;
    while (n > 0) CHECK_STATUS(APR_SUCCESS, kinds[k].end(objects[--n]));
    free(objects);
}

static void send_until_full(cohort_queue_t *queue, apr_size_t each) {
    static char bytes[100000];
    int n = 0, got = 0;
    apr_status_t status;
    while ((status = cohort_queue_put(queue, bytes, each, 0)) == APR_SUCCESS) n++;
    CHECK_STATUS(APR_ENOMEM, status);
    apr_size_t size;
    while (cohort_queue_get(queue, bytes, sizeof bytes, &size, 0) == APR_SUCCESS) got++;
    CHECK_INT(n, got);
}

static apr_status_t sum(const void *input, void *output) {
    const int *numbers = input;
    *(int *)output = numbers[0] + numbers[1];
    return APR_SUCCESS;
}

static void map_in_vain(void) {
    static int in[20000], results[10000];
    for (int i = 0; i < 20000; i++) in[i] = i;
    CHECK_STATUS(APR_ENOMEM,
                 cohort_pool_map(crowd, sum, in, 2 * sizeof *in, 10000, results, sizeof *results));
}

static void map_as_ever(void) {
    int in[6] = {1, 2, 3, 4, 5, 6}, results[3] = {0};
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_map(crowd, sum, in, 2 * sizeof *in, 3, results, sizeof *results));
    CHECK_INT(11, results[2]);
}

static void all_kinds_as_ever(void) {
    for (kind_t k = BLOCK; k < KINDS; k++) {
        void *object;
        CHECK_STATUS(APR_SUCCESS, kinds[k].make(&object));
        kinds[k].use(object);
        CHECK_STATUS(APR_SUCCESS, kinds[k].end(object));
    }
}

static int in_a_small_arena(void *args) {
    cohort_queue_t *queue;
    cohort_process_t *process;
    (void)args;
    cohort_finalize();
    CHECK_STATUS(APR_SUCCESS,
                 cohort_initialize(&(cohort_options_t){.arena_size = (apr_uint64_t)64 << 20}));
    crowd_begin();
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&queue, NULL, NULL));
    all_kinds_as_ever();
    map_as_ever();
    apr_uint64_t before = blocks_in_use();
    void *chain = fill_up();
    for (kind_t k = BLOCK; k < KINDS; k++) make_until_full(k);
    send_until_full(queue, 10);
    send_until_full(queue, 5000);
    send_until_full(queue, 100000);
    map_in_vain();
    CHECK_STATUS(APR_ENOMEM, cohort_process_create(&process, nothing, chain, 100000, NULL, NULL));
    let_go(chain);
    all_kinds_as_ever();
    map_as_ever();
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(queue));
    await_blocks(before);
    crowd_end();
    party_finish(party_start(nothing, NULL, 0));
    cohort_finalize();
    return 0;
}

static void full_arena(void) { party_finish(party_start(in_a_small_arena, NULL, 0)); }

/* ---- very many ------------------------------------------------------------------------------ */

static void ten_thousand_of_each(void) {
    enum { N = 10000 };
    void **objects = malloc(N * sizeof *objects);
    CHECK(objects != NULL);
    apr_uint64_t before = blocks_in_use();
    crowd_begin();
    for (kind_t k = BLOCK; k < KINDS; k++) {
        for (int i = 0; i < N; i++) CHECK_STATUS(APR_SUCCESS, kinds[k].make(&objects[i]));
        for (int i = 0; i < N; i++) kinds[k].use(objects[i]);
        for (int i = 0; i < N; i += 2) CHECK_STATUS(APR_SUCCESS, kinds[k].end(objects[i]));
        for (int i = N - 1; i > 0; i -= 2) CHECK_STATUS(APR_SUCCESS, kinds[k].end(objects[i]));
    }
    crowd_end();
    CHECK_INT(before, blocks_in_use());
    free(objects);
}

const test_case_t hostile_cases[] = {
    {"Hostile", "nulls", nulls},
    {"Hostile", "strangers", strangers},
    {"Hostile", "mistaken_for_another", mistaken_for_another},
    {"Hostile", "after_the_end", after_the_end},
    {"Hostile", "full_arena", full_arena},
    {"Hostile", "ten_thousand_of_each", ten_thousand_of_each},
    {0},
};
