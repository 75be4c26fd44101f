/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * How waits end. One table: a row for each call that can wait, and in it what the call gives for
 * each way in which its wait can come to an end before what it waits for is there. Three processes
 * take part: the maker makes what the row needs, the waiter waits, and the test's own process
 * brings about the end. A cell that says GOES_ON means that the wait does not end by this; then
 * what it waits for is brought about, and it succeeds.
 *
 * And how calls end that race with a destruction: a table of objects, each used by several
 * processes while it is destroyed and made again.
 */
#include "parties.h"

#include <stdlib.h>

/* ---- what a row works with ------------------------------------------------------------------ */

typedef struct {
    cohort_queue_t *queue;
    cohort_connection_t *ends[2]; /* the waiter uses the first */
    cohort_lock_t *lock;
    cohort_rlock_t *rlock;
    cohort_semaphore_t *semaphore;
    cohort_condition_t *condition;
    cohort_event_t *event;
    cohort_barrier_t *barrier;
    cohort_process_t *process;
    cohort_pool_t *pool;
    cohort_result_t *result;
    _Atomic int go;     /* tasks and sleepers return */
    _Atomic int inside; /* tasks that have begun, or waiters that wait under a lock */
} things_t;

/* WITH_ITS_POOL: a worker, being a daemon, dies with the pool's maker, and which of both is found
 * dead first decides whether the pool was terminated or the worker died in the task. */
enum { NOT_POSSIBLE = -1, GOES_ON = -2, SUCCESS_OR_GONE = -3, WITH_ITS_POOL = -4 };

typedef struct {
    const char *name;
    void (*make)(things_t *t);
    apr_status_t (*wait)(things_t *t);
    void (*satisfy)(things_t *t); /* in the test's process */
    apr_status_t (*destroy)(things_t *t), (*close)(things_t *t), (*stop)(things_t *t);
    int before; /* what the call gives that begins after the destruction */
    int destroyed, closed, stopped, killed, ended; /* killed, ended: the maker */
} row_t;

static int sleeper(void *args) {
    things_t *t = *(things_t **)args;
    while (!atomic_load(&t->go)) apr_sleep(500);
    return 0;
}

static apr_status_t task(const void *input, void *output) {
    things_t *t = *(things_t *const *)input;
    (void)output;
    atomic_fetch_add(&t->inside, 1);
    return sleeper((void *)&t);
}

static void task_goes(things_t *t) { atomic_store(&t->go, 1); }

/* ---- queues --------------------------------------------------------------------------------- */

static void make_queue(things_t *t) {
    cohort_queue_options_t options = {.capacity = 1, .joinable = 1};
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&t->queue, &options, NULL));
}
static void make_full_queue(things_t *t) {
    make_queue(t);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_put(t->queue, "1", 1, 0));
}
static void put_one(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_queue_put(t->queue, "2", 1, COHORT_FOREVER));
}
static void get_one(things_t *t) {
    char byte;
    apr_size_t size;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_get(t->queue, &byte, 1, &size, COHORT_FOREVER));
}
static void finish_one(things_t *t) { CHECK_STATUS(APR_SUCCESS, cohort_queue_task_done(t->queue)); }
static apr_status_t destroy_queue(things_t *t) { return cohort_queue_destroy(t->queue); }
static apr_status_t close_queue(things_t *t) { return cohort_queue_close(t->queue); }
static apr_status_t discard_queue(things_t *t) { return cohort_queue_discard(t->queue); }

static apr_status_t queue_get(things_t *t) {
    char byte;
    apr_size_t size;
    return cohort_queue_get(t->queue, &byte, 1, &size, COHORT_FOREVER);
}
static apr_status_t queue_get_message(things_t *t) {
    char byte;
    cohort_message_t message = {.data = &byte, .capacity = 1};
    return cohort_queue_get_message(t->queue, &message, COHORT_FOREVER);
}
static apr_status_t queue_get_many(things_t *t) {
    char byte;
    apr_size_t done;
    cohort_message_t message = {.data = &byte, .capacity = 1};
    return cohort_queue_get_many(t->queue, &message, 1, &done, COHORT_FOREVER);
}
static apr_status_t queue_get_copy(things_t *t) {
    void *data;
    apr_size_t size;
    return cohort_queue_get_copy(t->queue, &data, &size, COHORT_FOREVER, test_pool());
}
static apr_status_t queue_get_block(things_t *t) {
    void *block;
    apr_size_t size;
    apr_status_t status = cohort_queue_get_block(t->queue, &block, &size, COHORT_FOREVER);
    if (!status) CHECK_STATUS(APR_SUCCESS, cohort_free(block));
    return status;
}
static apr_status_t queue_put(things_t *t) {
    return cohort_queue_put(t->queue, "x", 1, COHORT_FOREVER);
}
static apr_status_t queue_put_many(things_t *t) {
    char byte = 'x';
    apr_size_t done;
    cohort_message_t message = {.data = &byte, .size = 1};
    return cohort_queue_put_many(t->queue, &message, 1, &done, COHORT_FOREVER);
}
static apr_status_t queue_put_block(things_t *t) {
    void *block;
    CHECK_STATUS(APR_SUCCESS, cohort_alloc(&block, 8));
    apr_status_t status = cohort_queue_put_block(t->queue, block, 8, COHORT_FOREVER);
    if (status) CHECK_STATUS(APR_SUCCESS, cohort_free(block));
    return status;
}
static apr_status_t queue_join(things_t *t) { return cohort_queue_join(t->queue, COHORT_FOREVER); }

/* ---- pipes ---------------------------------------------------------------------------------- */

static void make_pipe(things_t *t) {
    cohort_pipe_options_t options = {.messages = 1};
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&t->ends[0], &t->ends[1], &options, NULL));
}
static void make_full_pipe(things_t *t) {
    make_pipe(t);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(t->ends[0], "1", 1, 0));
}
static void send_one(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(t->ends[1], "2", 1, COHORT_FOREVER));
}
static apr_status_t close_end(things_t *t) { return cohort_connection_close(t->ends[0]); }
static apr_status_t connection_recv(things_t *t) {
    char byte;
    apr_size_t size;
    return cohort_connection_recv(t->ends[0], &byte, 1, &size, COHORT_FOREVER);
}
static apr_status_t connection_poll(things_t *t) {
    return cohort_connection_poll(t->ends[0], COHORT_FOREVER);
}
static apr_status_t connection_send(things_t *t) {
    return cohort_connection_send(t->ends[0], "x", 1, COHORT_FOREVER);
}

/* ---- synchronisers -------------------------------------------------------------------------- */

static void make_lock(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&t->lock, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(t->lock, 0));
}
static void make_rlock(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_create(&t->rlock, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_acquire(t->rlock, 0));
}
static void make_semaphore(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_create(&t->semaphore, 1, NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(t->semaphore, 0));
}
static void make_signal(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_create(&t->semaphore, 0, NULL, NULL));
}
static void make_condition(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_condition_create(&t->condition, NULL, NULL));
}
static void make_held_condition(things_t *t) {
    make_condition(t);
    CHECK_STATUS(APR_SUCCESS, cohort_condition_acquire(t->condition, 0));
}
static void make_condition_on_lock(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&t->lock, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_create(&t->condition, t->lock, NULL));
}
static void make_event(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&t->event, NULL));
}
static void make_barrier(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_create(&t->barrier, 2, NULL, NULL));
}

static apr_status_t lock_acquire(things_t *t) {
    return cohort_lock_acquire(t->lock, COHORT_FOREVER);
}
static apr_status_t rlock_acquire(things_t *t) {
    return cohort_rlock_acquire(t->rlock, COHORT_FOREVER);
}
static apr_status_t semaphore_acquire(things_t *t) {
    return cohort_semaphore_acquire(t->semaphore, COHORT_FOREVER);
}
static apr_status_t condition_acquire(things_t *t) {
    return cohort_condition_acquire(t->condition, COHORT_FOREVER);
}
static apr_status_t event_wait(things_t *t) { return cohort_event_wait(t->event, COHORT_FOREVER); }
static apr_status_t barrier_wait(things_t *t) {
    return cohort_barrier_wait(t->barrier, NULL, COHORT_FOREVER);
}
static int never(void *arg) {
    things_t *t = arg;
    return atomic_load(&t->go);
}
static apr_status_t condition_wait(things_t *t) {
    apr_status_t status = cohort_condition_acquire(t->condition, COHORT_FOREVER);
    atomic_fetch_add(&t->inside, 1);
    return status ? status : cohort_condition_wait(t->condition, COHORT_FOREVER);
}
static apr_status_t condition_wait_for(things_t *t) {
    apr_status_t status = cohort_condition_acquire(t->condition, COHORT_FOREVER);
    atomic_fetch_add(&t->inside, 1);
    return status ? status : cohort_condition_wait_for(t->condition, never, t, COHORT_FOREVER);
}
/* The waiter lets go of the lock when it waits. */
static void notify_condition(things_t *t) {
    party_await(&t->inside, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_condition_acquire(t->condition, COHORT_FOREVER));
    atomic_store(&t->go, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_condition_notify(t->condition, 1));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_release(t->condition));
}
static void release_permit(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_release(t->semaphore, 1));
}
static void set_event(things_t *t) { CHECK_STATUS(APR_SUCCESS, cohort_event_set(t->event)); }
static void meet(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_wait(t->barrier, NULL, COHORT_FOREVER));
}
static apr_status_t destroy_lock(things_t *t) { return cohort_lock_destroy(t->lock); }
static apr_status_t destroy_rlock(things_t *t) { return cohort_rlock_destroy(t->rlock); }
static apr_status_t destroy_semaphore(things_t *t) {
    return cohort_semaphore_destroy(t->semaphore);
}
static apr_status_t destroy_condition(things_t *t) {
    return cohort_condition_destroy(t->condition);
}
static apr_status_t destroy_event(things_t *t) { return cohort_event_destroy(t->event); }
static apr_status_t destroy_barrier(things_t *t) { return cohort_barrier_destroy(t->barrier); }
static apr_status_t abort_barrier(things_t *t) { return cohort_barrier_abort(t->barrier); }

/* ---- processes, pools, results -------------------------------------------------------------- */

static void make_process(things_t *t) { t->process = party_start(sleeper, &t, sizeof t); }
static void make_pool(things_t *t) {
    cohort_pool_options_t options = {.workers = 1};
    if (!t->pool) CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&t->pool, &options, NULL));
}
static void make_result(things_t *t) {
    make_pool(t);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_submit(&t->result, t->pool,
                                    &(cohort_job_t){.task = task, COHORT_INPUTS(&t, 1)}, NULL));
}
/* With work under way, and no more to come. */
static void make_closed_pool(things_t *t) {
    make_result(t);
    party_await(&t->inside, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(t->pool));
}
static apr_status_t process_join(things_t *t) {
    return cohort_process_join(t->process, COHORT_FOREVER);
}
static apr_status_t wait_process(things_t *t) {
    cohort_waitable_t item = {.object = t->process};
    return cohort_wait(&item, 1, COHORT_WAIT_ALL, COHORT_FOREVER);
}
static apr_status_t wait_result(things_t *t) {
    cohort_waitable_t item = {.object = t->result};
    return cohort_wait(&item, 1, COHORT_WAIT_ALL, COHORT_FOREVER);
}
static apr_status_t result_wait(things_t *t) {
    return cohort_result_wait(t->result, COHORT_FOREVER);
}
static apr_status_t result_get(things_t *t) {
    return cohort_result_get(t->result, NULL, 0, COHORT_FOREVER);
}
static apr_status_t pool_join(things_t *t) { return cohort_pool_join(t->pool, COHORT_FOREVER); }
static apr_status_t pool_apply(things_t *t) {
    return cohort_pool_apply(t->pool, task, &t, sizeof t, NULL, 0);
}
static apr_status_t pool_map(things_t *t) {
    things_t *inputs[3] = {t, t, t};
    return cohort_pool_map(t->pool, task, inputs, sizeof *inputs, 3, NULL, 0);
}
static apr_status_t kill_process(things_t *t) { return cohort_process_kill(t->process); }
static apr_status_t destroy_result(things_t *t) { return cohort_result_destroy(t->result); }
static apr_status_t destroy_pool(things_t *t) { return cohort_pool_destroy(t->pool); }
static apr_status_t terminate_pool(things_t *t) { return cohort_pool_terminate(t->pool); }
static apr_status_t close_pool(things_t *t) { return cohort_pool_close(t->pool); }

/* ---- the table ------------------------------------------------------------------------------ */

#define GONE COHORT_EHANDLE
#define NONE NOT_POSSIBLE

static const row_t rows[] = {
    /* call, made by, waits, what satisfies it, destroy, close, stop | before, destroyed, closed,
     * stopped, maker killed, maker ended */
    {"queue_get", make_queue, queue_get, put_one, destroy_queue, close_queue, discard_queue, GONE,
     GONE, COHORT_ECLOSED, COHORT_ECLOSED, GOES_ON, GOES_ON},
    {"queue_get_message", make_queue, queue_get_message, put_one, destroy_queue, close_queue,
     discard_queue, GONE, GONE, COHORT_ECLOSED, COHORT_ECLOSED, GOES_ON, GOES_ON},
    {"queue_get_many", make_queue, queue_get_many, put_one, destroy_queue, close_queue,
     discard_queue, GONE, GONE, COHORT_ECLOSED, COHORT_ECLOSED, GOES_ON, GOES_ON},
    {"queue_get_copy", make_queue, queue_get_copy, put_one, destroy_queue, close_queue,
     discard_queue, GONE, GONE, COHORT_ECLOSED, COHORT_ECLOSED, GOES_ON, GOES_ON},
    {"queue_get_block", make_queue, queue_get_block, put_one, destroy_queue, close_queue,
     discard_queue, GONE, GONE, COHORT_ECLOSED, COHORT_ECLOSED, GOES_ON, GOES_ON},
    {"queue_put", make_full_queue, queue_put, get_one, destroy_queue, close_queue, discard_queue,
     GONE, GONE, COHORT_ECLOSED, COHORT_ECLOSED, GOES_ON, GOES_ON},
    {"queue_put_many", make_full_queue, queue_put_many, get_one, destroy_queue, close_queue,
     discard_queue, GONE, GONE, COHORT_ECLOSED, COHORT_ECLOSED, GOES_ON, GOES_ON},
    {"queue_put_block", make_full_queue, queue_put_block, get_one, destroy_queue, close_queue,
     discard_queue, GONE, GONE, COHORT_ECLOSED, COHORT_ECLOSED, GOES_ON, GOES_ON},
    {"queue_join", make_full_queue, queue_join, finish_one, destroy_queue, close_queue,
     discard_queue, GONE, GONE, GOES_ON, APR_SUCCESS, GOES_ON, GOES_ON},
    {"connection_recv", make_pipe, connection_recv, send_one, NULL, close_end, NULL, NONE, NONE,
     COHORT_ECLOSED, NONE, APR_EOF, APR_EOF},
    {"connection_poll", make_pipe, connection_poll, send_one, NULL, close_end, NULL, NONE, NONE,
     COHORT_ECLOSED, NONE, APR_EOF, APR_EOF},
    {"connection_send", make_full_pipe, connection_send, NULL, NULL, close_end, NULL, NONE, NONE,
     COHORT_ECLOSED, NONE, APR_EOF, APR_EOF},
    {"lock_acquire", make_lock, lock_acquire, NULL, destroy_lock, NULL, NULL, GONE, GONE, NONE,
     NONE, COHORT_EOWNERDEAD, COHORT_EOWNERDEAD},
    {"rlock_acquire", make_rlock, rlock_acquire, NULL, destroy_rlock, NULL, NULL, GONE, GONE, NONE,
     NONE, COHORT_EOWNERDEAD, COHORT_EOWNERDEAD},
    {"semaphore_acquire", make_semaphore, semaphore_acquire, NULL, destroy_semaphore, NULL, NULL,
     GONE, GONE, NONE, NONE, APR_SUCCESS, APR_SUCCESS},
    {"semaphore_signal", make_signal, semaphore_acquire, release_permit, destroy_semaphore, NULL,
     NULL, GONE, GONE, NONE, NONE, GOES_ON, GOES_ON},
    {"condition_acquire", make_held_condition, condition_acquire, NULL, destroy_condition, NULL,
     NULL, GONE, GONE, NONE, NONE, COHORT_EOWNERDEAD, COHORT_EOWNERDEAD},
    {"condition_wait", make_condition, condition_wait, notify_condition, destroy_condition, NULL,
     NULL, GONE, GONE, NONE, NONE, GOES_ON, GOES_ON},
    {"condition_wait_for", make_condition, condition_wait_for, notify_condition, destroy_condition,
     NULL, NULL, GONE, GONE, NONE, NONE, GOES_ON, GOES_ON},
    {"condition_wait_and_its_lock", make_condition_on_lock, condition_wait, notify_condition,
     destroy_lock, NULL, NULL, GONE, GONE, NONE, NONE, GOES_ON, GOES_ON},
    {"event_wait", make_event, event_wait, set_event, destroy_event, NULL, NULL, GONE, GONE, NONE,
     NONE, GOES_ON, GOES_ON},
    {"barrier_wait", make_barrier, barrier_wait, meet, destroy_barrier, NULL, abort_barrier, GONE,
     GONE, NONE, COHORT_EBROKEN, GOES_ON, GOES_ON},
    {"process_join", make_process, process_join, task_goes, NULL, NULL, kill_process, NONE, NONE,
     NONE, APR_SUCCESS, APR_SUCCESS, APR_SUCCESS},
    {"wait_process", make_process, wait_process, task_goes, NULL, NULL, kill_process, NONE, NONE,
     NONE, APR_SUCCESS, APR_SUCCESS, APR_SUCCESS},
    {"wait_result", make_result, wait_result, task_goes, destroy_result, close_pool, terminate_pool,
     GONE, SUCCESS_OR_GONE, GOES_ON, APR_SUCCESS, APR_SUCCESS, APR_SUCCESS},
    {"result_wait", make_result, result_wait, task_goes, destroy_result, close_pool, terminate_pool,
     GONE, GONE, GOES_ON, APR_SUCCESS, APR_SUCCESS, APR_SUCCESS},
    {"result_get", make_result, result_get, task_goes, destroy_result, close_pool, terminate_pool,
     GONE, GONE, GOES_ON, COHORT_ETERMINATED, WITH_ITS_POOL, COHORT_ETERMINATED},
    {"pool_join", make_closed_pool, pool_join, task_goes, destroy_pool, NULL, terminate_pool, GONE,
     SUCCESS_OR_GONE, NONE, APR_SUCCESS, APR_SUCCESS, APR_SUCCESS},
    {"pool_apply", make_pool, pool_apply, task_goes, destroy_pool, close_pool, terminate_pool, GONE,
     COHORT_ETERMINATED, GOES_ON, COHORT_ETERMINATED, WITH_ITS_POOL, COHORT_ETERMINATED},
    {"pool_map", make_pool, pool_map, task_goes, destroy_pool, close_pool, terminate_pool, GONE,
     COHORT_ETERMINATED, GOES_ON, COHORT_ETERMINATED, WITH_ITS_POOL, COHORT_ETERMINATED},
};
#define ROWS (sizeof rows / sizeof *rows)

/* ---- one cell ------------------------------------------------------------------------------- */

typedef struct {
    things_t things, others; /* others: what is made in the place of what was destroyed */
    int row;
    _Atomic int made, waits, leave;
    _Atomic int status;
    /* another thread of the waiter's process, and what it does */
    enum { NO_TWIN, TWIN_DESTROYS, TWIN_CLOSES } twin;
} cell_t;

static int maker_main(void *args) {
    cell_t *cell = *(cell_t **)args;
    rows[cell->row].make(&cell->things);
    atomic_store(&cell->made, 1);
    while (!atomic_load(&cell->leave)) apr_sleep(500);
    return 0;
}

/* Works and conditions say when the wait has begun; of others that is not to be seen, and the
 * status is the same when it has not. */
static void await_inside(cell_t *cell) {
    const row_t *row = &rows[cell->row];
    bool tells = row->wait == pool_apply || row->wait == pool_map || row->wait == condition_wait ||
                 row->wait == condition_wait_for;
    party_await(&cell->waits, 1);
    if (tells) party_await(&cell->things.inside, 1);
    apr_sleep((apr_interval_time_t)(rand() % 20) * 1000);
}

static void *APR_THREAD_FUNC twin(apr_thread_t *thread, void *given) {
    cell_t *cell = given;
    const row_t *row = &rows[cell->row];
    (void)thread;
    await_inside(cell);
    CHECK_STATUS(APR_SUCCESS,
                 (cell->twin == TWIN_DESTROYS ? row->destroy : row->close)(&cell->things));
    return NULL;
}

static int waiter_main(void *args) {
    cell_t *cell = *(cell_t **)args;
    apr_thread_t *thread = cell->twin ? party_thread(twin, cell) : NULL;
    atomic_store(&cell->waits, 1);
    atomic_store(&cell->status, rows[cell->row].wait(&cell->things));
    if (thread) party_thread_finish(thread);
    return 0;
}

static void check_status(const row_t *row, const char *how, int expected, int status) {
    bool ok = status == (expected == GOES_ON ? APR_SUCCESS : expected);
    if (expected == SUCCESS_OR_GONE) ok = status == APR_SUCCESS || status == COHORT_EHANDLE;
    if (expected == WITH_ITS_POOL)
        ok = status == COHORT_ETERMINATED || status == COHORT_EWORKERDIED;
    char text[2][120];
    if (ok) return;
    test_fail(__FILE__, __LINE__, "%s, %s: expected %d (%s), got %d (%s)", row->name, how, expected,
              cohort_strerror(expected, text[0], sizeof text[0]), status,
              cohort_strerror(status, text[1], sizeof text[1]));
}

typedef struct {
    cell_t *cell;
    const row_t *row;
    cohort_process_t *maker, *waiter;
} scene_t;

static scene_t set_scene(int row) {
    scene_t s = {party_memory(sizeof(cell_t)), &rows[row], NULL, NULL};
    s.cell->row = row;
    s.maker = party_start(maker_main, &s.cell, sizeof s.cell);
    party_await(&s.cell->made, 1);
    return s;
}

static void start_waiter(scene_t *s) {
    s->waiter = party_start(waiter_main, &s->cell, sizeof s->cell);
}

static void finish(scene_t *s, const char *how, int expected) {
    if (expected == GOES_ON) s->row->satisfy(&s->cell->things);
    party_finish(s->waiter);
    check_status(s->row, how, expected, atomic_load(&s->cell->status));
    atomic_store(&s->cell->leave, 1);
    atomic_store(&s->cell->things.go, 1);
    atomic_store(&s->cell->others.go, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(s->maker, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(s->maker));
    (void)cohort_queue_destroy(s->cell->things.queue);
    (void)cohort_pool_destroy(s->cell->things.pool);
}

static void do_end(scene_t *s, apr_status_t (*end)(things_t *t)) {
    await_inside(s->cell);
    CHECK_STATUS(APR_SUCCESS, end(&s->cell->things));
}

#define EACH_ROW(i, member)             \
    for (int i = 0; i < (int)ROWS; i++) \
        if (rows[i].member != NOT_POSSIBLE)

static void destroyed_before(void) {
    EACH_ROW(i, before) {
        scene_t s = set_scene(i);
        if (rows[i].wait == pool_join) atomic_store(&s.cell->things.go, 1);
        CHECK_STATUS(APR_SUCCESS, rows[i].destroy(&s.cell->things));
        start_waiter(&s);
        finish(&s, "destroyed before", rows[i].before);
    }
}

static void destroyed_by_another_process(void) {
    EACH_ROW(i, destroyed) {
        scene_t s = set_scene(i);
        start_waiter(&s);
        do_end(&s, rows[i].destroy);
        finish(&s, "destroyed by another process", rows[i].destroyed);
    }
}

static void destroyed_by_another_thread(void) {
    EACH_ROW(i, destroyed) {
        scene_t s = set_scene(i);
        s.cell->twin = TWIN_DESTROYS;
        start_waiter(&s);
        finish(&s, "destroyed by another thread", rows[i].destroyed);
    }
}

/* What is made next of that type lies in the same place, mostly. */
static void destroyed_and_made_again(void) {
    EACH_ROW(i, destroyed) {
        scene_t s = set_scene(i);
        start_waiter(&s);
        await_inside(s.cell);
        if (rows[i].destroy == destroy_result) s.cell->others.pool = s.cell->things.pool;
        if (rows[i].destroy != destroy_pool) {
            CHECK_STATUS(APR_SUCCESS, rows[i].destroy(&s.cell->things));
            rows[i].make(&s.cell->others);
        } else {
            CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(s.cell->things.pool));
            make_pool(&s.cell->others);
        }
        finish(&s, "destroyed, and another one made", rows[i].destroyed);
        if (rows[i].destroy == destroy_pool)
            CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(s.cell->others.pool));
    }
}

/* A connection is closed for its process alone, so another thread there does it. */
static void closed(void) {
    EACH_ROW(i, closed) {
        scene_t s = set_scene(i);
        s.cell->twin = rows[i].close == close_end ? TWIN_CLOSES : NO_TWIN;
        start_waiter(&s);
        if (!s.cell->twin) do_end(&s, rows[i].close);
        finish(&s, "closed", rows[i].closed);
    }
}

static void stopped(void) {
    EACH_ROW(i, stopped) {
        scene_t s = set_scene(i);
        start_waiter(&s);
        do_end(&s, rows[i].stop);
        finish(&s, "aborted or terminated", rows[i].stopped);
    }
}

static void maker_killed(void) {
    EACH_ROW(i, killed) {
        scene_t s = set_scene(i);
        start_waiter(&s);
        await_inside(s.cell);
        CHECK_STATUS(APR_SUCCESS, cohort_process_kill(s.maker));
        CHECK_STATUS(APR_SUCCESS, cohort_process_join(s.maker, COHORT_FOREVER));
        finish(&s, "its maker was killed", rows[i].killed);
    }
}

static void maker_ended(void) {
    EACH_ROW(i, ended) {
        scene_t s = set_scene(i);
        start_waiter(&s);
        await_inside(s.cell);
        atomic_store(&s.cell->leave, 1);
        CHECK_STATUS(APR_SUCCESS, cohort_process_join(s.maker, COHORT_FOREVER));
        finish(&s, "its maker ended", rows[i].ended);
    }
}

const test_case_t ends_cases[] = {
    {"Ends", "destroyed_before", destroyed_before},
    {"Ends", "destroyed_by_another_process", destroyed_by_another_process},
    {"Ends", "destroyed_by_another_thread", destroyed_by_another_thread},
    {"Ends", "destroyed_and_made_again", destroyed_and_made_again},
    {"Ends", "closed", closed},
    {"Ends", "stopped", stopped},
    {"Ends", "maker_killed", maker_killed},
    {"Ends", "maker_ended", maker_ended},
    {0},
};
