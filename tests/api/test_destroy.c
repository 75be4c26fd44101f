/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects that are destroyed while several processes use them, and made again in the same place at
 * once. A table of objects: each use gives one of a few statuses, no process comes to harm, and in
 * the end every block is free again.
 */
#include "parties.h"
#include "watchdog.h"

#include <stdio.h>
#include <stdlib.h>

#define USE_TIME 2000 /* microseconds that a use waits at most */
#define LIST_MAX 10
#define ENOUGH   apr_time_from_sec(15) /* after which there are no more rounds */

/* Handles of the object in the slot; a use may find those of one that is gone, but never half of
 * one and half of another. */
typedef struct {
    _Atomic(void *) object, second;
    _Atomic int stop, used;
    void *blocks[4];
} slot_t;

typedef struct {
    const char *name;
    void (*make)(slot_t *slot);
    apr_status_t (*use)(void *object, void *second, unsigned n);
    void (*destroy)(slot_t *slot);
    int processes, threads, rounds;
    /* besides APR_SUCCESS, APR_EAGAIN, APR_TIMEUP and COHORT_EHANDLE */
    apr_status_t allowed[LIST_MAX];
} kind_t;

#define PUBLISH(slot, made) atomic_store(&(slot)->object, made)
#define TAKE(slot)          atomic_load(&(slot)->object)

/* ---- queues and pipes ----------------------------------------------------------------------- */

static void make_queue(slot_t *slot) {
    cohort_queue_options_t options = {.capacity = 4};
    cohort_queue_t *queue;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&queue, &options, NULL));
    PUBLISH(slot, queue);
}
static void make_joinable(slot_t *slot) {
    cohort_queue_options_t options = {.joinable = 1};
    cohort_queue_t *queue;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&queue, &options, NULL));
    PUBLISH(slot, queue);
}
static apr_status_t use_queue(void *queue, void *second, unsigned n) {
    static char large[4000];
    apr_size_t size;
    (void)second;
    return n % 2 ? cohort_queue_put(queue, large, n % 3 ? 16 : sizeof large, USE_TIME)
                 : cohort_queue_get(queue, large, sizeof large, &size, USE_TIME);
}
static apr_status_t use_joinable(void *queue, void *second, unsigned n) {
    if (n % 5 == 4) return cohort_queue_join(queue, USE_TIME);
    apr_status_t status = use_queue(queue, second, n);
    return n % 2 || status ? status : cohort_queue_task_done(queue);
}
static void destroy_queue(slot_t *slot) {
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(TAKE(slot)));
}
static void close_and_destroy_queue(slot_t *slot) {
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(TAKE(slot)));
    destroy_queue(slot);
}

static void make_pipe(slot_t *slot) {
    cohort_connection_t *ends[2];
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&ends[0], &ends[1], NULL, NULL));
    atomic_store(&slot->second, ends[1]);
    PUBLISH(slot, ends[0]);
}
static apr_status_t use_pipe(void *first, void *second, unsigned n) {
    char bytes[16] = "";
    apr_size_t size;
    if (n % 8 == 7) (void)cohort_connection_close(first);
    if (n % 8 == 7) return cohort_connection_close(second);
    return n % 2 ? cohort_connection_send(second, bytes, sizeof bytes, USE_TIME)
                 : cohort_connection_recv(first, bytes, sizeof bytes, &size, USE_TIME);
}
static void destroy_pipe(slot_t *slot) {
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(TAKE(slot)));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(atomic_load(&slot->second)));
}

/* ---- synchronisers -------------------------------------------------------------------------- */

static void make_lock(slot_t *slot) {
    cohort_lock_t *lock;
    CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&lock, NULL));
    PUBLISH(slot, lock);
}
static apr_status_t use_lock(void *lock, void *second, unsigned n) {
    (void)second, (void)n;
    apr_status_t status = cohort_lock_acquire(lock, USE_TIME);
    return status ? status : cohort_lock_release(lock);
}
static void destroy_lock(slot_t *slot) {
    CHECK_STATUS(APR_SUCCESS, cohort_lock_destroy(TAKE(slot)));
}

static void make_rlock(slot_t *slot) {
    cohort_rlock_t *lock;
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_create(&lock, NULL));
    PUBLISH(slot, lock);
}
static apr_status_t use_rlock(void *lock, void *second, unsigned n) {
    (void)second, (void)n;
    apr_status_t status = cohort_rlock_acquire(lock, USE_TIME);
    return status ? status : cohort_rlock_release(lock);
}
static void destroy_rlock(slot_t *slot) {
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_destroy(TAKE(slot)));
}

static void make_semaphore(slot_t *slot) {
    cohort_semaphore_t *semaphore;
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_create(&semaphore, 20, NULL, NULL));
    PUBLISH(slot, semaphore);
}
/* All of the processes hold permits most of the time, so that the list of them is long. */
static apr_status_t use_semaphore(void *semaphore, void *second, unsigned n) {
    (void)second;
    apr_status_t status = cohort_semaphore_acquire(semaphore, USE_TIME);
    if (status) return status;
    if (n % 2) (void)cohort_semaphore_value(semaphore);
    return cohort_semaphore_release(semaphore, 1);
}
static void destroy_semaphore(slot_t *slot) {
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_destroy(TAKE(slot)));
}

static void make_condition(slot_t *slot) {
    cohort_condition_t *condition;
    CHECK_STATUS(APR_SUCCESS, cohort_condition_create(&condition, NULL, NULL));
    PUBLISH(slot, condition);
}
static apr_status_t use_condition(void *condition, void *second, unsigned n) {
    (void)second;
    apr_status_t status = cohort_condition_acquire(condition, USE_TIME);
    if (status) return status;
    if (n % 16 == 15) status = cohort_condition_notify(condition, 3);
    else status = cohort_condition_wait(condition, USE_TIME * 4);
    (void)cohort_condition_release(condition);
    return status;
}
static void destroy_condition(slot_t *slot) {
    CHECK_STATUS(APR_SUCCESS, cohort_condition_destroy(TAKE(slot)));
}

static void make_event(slot_t *slot) {
    cohort_event_t *event;
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&event, NULL));
    PUBLISH(slot, event);
}
static apr_status_t use_event(void *event, void *second, unsigned n) {
    (void)second;
    return n % 4 == 0   ? cohort_event_set(event)
           : n % 4 == 1 ? cohort_event_clear(event)
                        : cohort_event_wait(event, USE_TIME);
}
static void destroy_event(slot_t *slot) {
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(TAKE(slot)));
}

static void make_barrier_of(slot_t *slot, unsigned parties) {
    cohort_barrier_t *barrier;
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_create(&barrier, parties, NULL, NULL));
    PUBLISH(slot, barrier);
}
static void make_barrier(slot_t *slot) { make_barrier_of(slot, 5); }
static void make_meeting(slot_t *slot) { make_barrier_of(slot, 2); }
static void make_large_barrier(slot_t *slot) { make_barrier_of(slot, 300); }
static apr_status_t use_barrier(void *barrier, void *second, unsigned n) {
    (void)second;
    if (n % 32 == 31) return cohort_barrier_reset(barrier);
    if (n % 8 == 7) (void)cohort_barrier_waiting(barrier);
    return cohort_barrier_wait(barrier, NULL, n % 2 ? USE_TIME : COHORT_FOREVER);
}
static void destroy_barrier(slot_t *slot) {
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_destroy(TAKE(slot)));
}

/* ---- results, pools, processes -------------------------------------------------------------- */

enum { ITEMS = 60, ITEM = 200 };

static apr_status_t fail_some(const void *input, void *output) {
    memset(output, *(const int *)input, ITEM);
    return *(const int *)input % 3 ? APR_SUCCESS
                                   : cohort_task_fail(APR_EGENERAL, "item %d", *(const int *)input);
}
static void make_result(slot_t *slot) {
    int inputs[ITEMS];
    cohort_result_t *result;
    cohort_pool_options_t options = {.workers = 2};
    if (!slot->blocks[0])
        CHECK_STATUS(APR_SUCCESS,
                     cohort_pool_create((cohort_pool_t **)&slot->blocks[0], &options, NULL));
    for (int i = 0; i < ITEMS; i++) inputs[i] = i;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, slot->blocks[0],
                                                 &(cohort_job_t){.task = fail_some,
                                                                 COHORT_INPUTS(inputs, ITEMS),
                                                                 .output_size = ITEM},
                                                 NULL));
    PUBLISH(slot, result);
}
static apr_status_t look_at_errors(cohort_result_t *result) {
    cohort_task_error_t **errors;
    apr_size_t count;
    apr_pool_t *pool;
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, NULL));
    apr_status_t status = cohort_result_errors(result, &errors, &count, pool);
    if (!status) CHECK_INT(ITEMS / 3, count);
    apr_pool_destroy(pool);
    return status;
}
static apr_status_t check_outputs(cohort_result_t *result) {
    unsigned char outputs[ITEMS * ITEM];
    apr_status_t status = cohort_result_get(result, outputs, sizeof outputs, USE_TIME);
    for (int i = 0; i < ITEMS && status == APR_EGENERAL; i++)
        CHECK_INT(i, outputs[i * ITEM + ITEM - 1]);
    return status == APR_EGENERAL ? APR_SUCCESS : status;
}
static apr_status_t use_result(void *result, void *second, unsigned n) {
    cohort_waitable_t item = {.object = result};
    cohort_task_error_t error;
    (void)second;
    switch (n % 6) {
    case 0: return check_outputs(result);
    case 1: return look_at_errors(result);
    case 2: return cohort_result_wait(result, COHORT_FOREVER);
    case 3: return cohort_wait(&item, 1, COHORT_WAIT_ANY, USE_TIME);
    case 4: return cohort_result_error(result, &error);
    default: return cohort_result_is_ready(result) ? APR_SUCCESS : APR_EAGAIN;
    }
}
static void destroy_result(slot_t *slot) {
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(TAKE(slot)));
}

static void make_imap(slot_t *slot) {
    int inputs[ITEMS];
    cohort_imap_t *imap;
    cohort_pool_options_t options = {.workers = 2};
    if (!slot->blocks[0])
        CHECK_STATUS(APR_SUCCESS,
                     cohort_pool_create((cohort_pool_t **)&slot->blocks[0], &options, NULL));
    for (int i = 0; i < ITEMS; i++) inputs[i] = i;
    cohort_job_t job = {
        .task = fail_some, COHORT_INPUTS(inputs, ITEMS), .output_size = ITEM, .chunk = 3};
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_imap(&imap, slot->blocks[0], &job,
                                  &(cohort_imap_options_t){.window = 20, .unordered = 1}, NULL));
    PUBLISH(slot, imap);
}
static apr_status_t use_imap(void *imap, void *second, unsigned n) {
    unsigned char output[ITEM];
    cohort_item_t item = {.data = output, .capacity = n % 2 ? ITEM : 0};
    cohort_waitable_t wait = {.object = imap};
    (void)second;
    if (n % 5 == 4) return cohort_wait(&wait, 1, COHORT_WAIT_ANY, USE_TIME);
    if (n % 2 == 0) item.data = NULL;
    apr_status_t status = cohort_imap_next(imap, &item, USE_TIME);
    if (status) return status == APR_EOF ? APR_SUCCESS : status;
    CHECK_INT(item.index % 3 ? APR_SUCCESS : APR_EGENERAL, item.status);
    if (!item.status) CHECK_INT(item.index, ((unsigned char *)item.data)[ITEM - 1]);
    return cohort_item_release(&item);
}
static void destroy_imap(slot_t *slot) {
    CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(TAKE(slot)));
}

static void make_pool(slot_t *slot) {
    cohort_pool_t *pool;
    cohort_pool_options_t options = {.workers = 1};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, NULL));
    PUBLISH(slot, pool);
}
static apr_status_t use_pool(void *pool, void *second, unsigned n) {
    char output[ITEM];
    int input = (int)n * 3 + 1;
    cohort_result_t *result;
    (void)second;
    if (n % 2) return cohort_pool_apply(pool, fail_some, &input, sizeof input, output, ITEM);
    apr_status_t status = cohort_pool_submit(
        &result, pool,
        &(cohort_job_t){.task = fail_some, COHORT_INPUTS(&input, 1), .output_size = ITEM}, NULL);
    if (status) return status;
    status = cohort_result_wait(result, COHORT_FOREVER);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    return status;
}
static void destroy_pool(slot_t *slot) {
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(TAKE(slot)));
}

static int end_at_once(void *args) {
    (void)args;
    return 7;
}
static void make_process(slot_t *slot) { PUBLISH(slot, party_start(end_at_once, NULL, 0)); }
static apr_status_t use_process(void *process, void *second, unsigned n) {
    char name[64];
    (void)second;
    if (n % 4 == 0) return cohort_process_name(process, name, sizeof name);
    if (n % 4 == 1) return cohort_process_join(process, USE_TIME);
    if (n % 4 == 2) return cohort_process_kill(process);
    return cohort_process_is_alive(process) ? APR_SUCCESS : APR_EAGAIN;
}
static void destroy_process(slot_t *slot) {
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(TAKE(slot), COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(TAKE(slot)));
}

static const kind_t kinds[] = {
    {"queue", make_queue, use_queue, destroy_queue, 4, 1, 300, {0}},
    {"joinable_queue",
     make_joinable,
     use_joinable,
     destroy_queue,
     4,
     1,
     300,
     {COHORT_EOVERRELEASE}},
    {"closed_queue",
     make_joinable,
     use_joinable,
     close_and_destroy_queue,
     4,
     1,
     300,
     {COHORT_EOVERRELEASE, COHORT_ECLOSED}},
    {"pipe", make_pipe, use_pipe, destroy_pipe, 3, 1, 300, {COHORT_ECLOSED, APR_EOF}},
    {"lock", make_lock, use_lock, destroy_lock, 4, 1, 1000, {COHORT_EOVERRELEASE}},
    {"rlock", make_rlock, use_rlock, destroy_rlock, 4, 1, 1000, {COHORT_ENOTOWNER}},
    {"semaphore", make_semaphore, use_semaphore, destroy_semaphore, 9, 1, 300, {0}},
    {"condition", make_condition, use_condition, destroy_condition, 4, 7, 300, {COHORT_ENOTOWNER}},
    {"event", make_event, use_event, destroy_event, 4, 1, 500, {0}},
    {"barrier", make_barrier, use_barrier, destroy_barrier, 4, 1, 3000, {COHORT_EBROKEN}},
    {"barrier_that_meets",
     make_meeting,
     use_barrier,
     destroy_barrier,
     4,
     1,
     3000,
     {COHORT_EBROKEN}},
    {"large_barrier",
     make_large_barrier,
     use_barrier,
     destroy_barrier,
     4,
     1,
     3000,
     {COHORT_EBROKEN}},
    {"result", make_result, use_result, destroy_result, 4, 1, 300, {0}},
    {"imap", make_imap, use_imap, destroy_imap, 4, 1, 300, {0}},
    {"pool", make_pool, use_pool, destroy_pool, 3, 1, 25, {COHORT_ETERMINATED, COHORT_ENOTRUNNING}},
    {"process", make_process, use_process, destroy_process, 3, 1, 60, {COHORT_ENOTSTARTED}},
};

/* ---- the race ------------------------------------------------------------------------------- */

typedef struct {
    slot_t *slot;
    int kind, number;
} user_t;

static bool is_allowed(const kind_t *kind, apr_status_t status) {
    if (!status || APR_STATUS_IS_EAGAIN(status) || APR_STATUS_IS_TIMEUP(status) ||
        status == COHORT_EHANDLE)
        return true;
    for (int i = 0; i < LIST_MAX && kind->allowed[i]; i++) {
        if (kind->allowed[i] == status) return true;
    }
    return false;
}

static void *APR_THREAD_FUNC use(apr_thread_t *thread, void *given) {
    const user_t *user = given;
    const kind_t *kind = &kinds[user->kind];
    (void)thread;
    for (unsigned n = (unsigned)user->number; !atomic_load(&user->slot->stop); n++) {
        void *second = atomic_load(&user->slot->second), *object = TAKE(user->slot);
        apr_status_t status = kind->use(object, second, n);
        if (!is_allowed(kind, status))
            test_fail(__FILE__, __LINE__, "%s, use %u: status %d", kind->name, n, status);
        atomic_fetch_add(&user->slot->used, 1);
        if (status == COHORT_EHANDLE) apr_thread_yield();
    }
    return NULL;
}

static int user_main(void *args) {
    user_t *user = args;
    apr_thread_t *threads[16];
    int more = kinds[user->kind].threads - 1;
    for (int i = 0; i < more; i++) threads[i] = party_thread(use, user);
    use(NULL, user);
    for (int i = 0; i < more; i++) party_thread_finish(threads[i]);
    return 0;
}

static void check_users(cohort_process_t **users, const kind_t *kind) {
    for (int i = 0; i < kind->processes; i++) {
        if (cohort_process_exit_code(users[i]) == COHORT_EXIT_NONE) continue;
        test_fail(__FILE__, __LINE__, "%s: a user ended with %d", kind->name,
                  cohort_process_exit_code(users[i]));
    }
}

static void race(int k) {
    const kind_t *kind = &kinds[k];
    cohort_process_t *users[16];
    slot_t *slot = party_memory(sizeof *slot);
    kind->make(slot);
    for (int i = 0; i < kind->processes; i++) {
        user_t user = {slot, k, i * 3};
        users[i] = party_start(user_main, &user, sizeof user);
    }
    apr_time_t start = apr_time_now();
    for (int round = 0; round < kind->rounds && apr_time_now() - start < ENOUGH; round++) {
        int used = atomic_load(&slot->used);
        test_watchdog_step(round);
        /* all may be waiting for this very destruction, and in most rounds it comes while they
         * arrive */
        apr_time_t begin = apr_time_now();
        while (round % 4 == 0 && atomic_load(&slot->used) < used + kind->processes / 2 &&
               apr_time_now() - begin < USE_TIME)
            check_users(users, kind);
        for (volatile int spin = rand() % 20000; spin > 0; spin--) continue;
        kind->destroy(slot);
        used = atomic_load(&slot->used);
        /* all find it gone */
        while (round % 3 == 0 && atomic_load(&slot->used) < used + 2 * kind->processes) {
            check_users(users, kind);
            apr_thread_yield();
        }
        kind->make(slot);
    }
    test_watchdog_step(-1); /* the end */
    atomic_store(&slot->stop, 1);
    kind->destroy(slot);
    parties_finish(users, kind->processes);
    if (slot->blocks[0]) CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(slot->blocks[0]));
    CHECK_STATUS(APR_SUCCESS, cohort_free(slot));
}

/* The root's record of a started process may keep a block for a moment longer than the process'
 * end; all others are free. */
static void race_of(const char *name) {
    apr_uint64_t blocks = blocks_in_use();
    for (int k = 0; k < (int)(sizeof kinds / sizeof *kinds); k++) {
        if (!strcmp(kinds[k].name, name)) race(k);
    }
    test_watchdog_step(-2);
    while (blocks_in_use() > blocks) apr_sleep(1000); /* the watchdog sees to it that this ends */
    CHECK_INT(blocks, blocks_in_use());
}

#define RACE(name) \
    static void race_##name(void) { race_of(#name); }
RACE(queue)
RACE(joinable_queue)
RACE(closed_queue)
RACE(pipe)
RACE(lock)
RACE(rlock)
RACE(semaphore)
RACE(condition)
RACE(event)
RACE(barrier)
RACE(barrier_that_meets)
RACE(large_barrier)
RACE(result)
RACE(imap)
RACE(pool)
RACE(process)

const test_case_t destroy_cases[] = {
    {"Destroy", "queue", race_queue},
    {"Destroy", "joinable_queue", race_joinable_queue},
    {"Destroy", "closed_queue", race_closed_queue},
    {"Destroy", "pipe", race_pipe},
    {"Destroy", "lock", race_lock},
    {"Destroy", "rlock", race_rlock},
    {"Destroy", "semaphore", race_semaphore},
    {"Destroy", "condition", race_condition},
    {"Destroy", "event", race_event},
    {"Destroy", "barrier", race_barrier},
    {"Destroy", "barrier_that_meets", race_barrier_that_meets},
    {"Destroy", "large_barrier", race_large_barrier},
    {"Destroy", "result", race_result},
    {"Destroy", "imap", race_imap},
    {"Destroy", "pool", race_pool},
    {"Destroy", "process", race_process},
    {0},
};
