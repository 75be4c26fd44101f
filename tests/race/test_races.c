/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Races: what an order that an object does not establish would be. threads.h says how. */
#include "threads.h"

#include "core/pool/pool_result.h"
#include "core/process/process.h"

#include <apr_thread_proc.h>
#include <stdatomic.h>
#include <stdlib.h>

#define PARTIES 4

/* ---- the allocator -------------------------------------------------------------------------- */

enum { EXCHANGES = 64, BLOCKS = 4000 };
typedef struct {
    _Atomic(unsigned char *) places[EXCHANGES];
} exchange_t;

/* Blocks go from hand to hand; the thread that gets one frees it, and finds in it what its maker
 * wrote. */
static void swap_blocks(void *arg, int index) {
    exchange_t *x = arg;
    unsigned seed = (unsigned)index * 7919 + 1;
    for (int i = 0; i < BLOCKS; i++) {
        seed = seed * 1103515245 + 12345;
        apr_size_t size = seed >> 16 & 15 ? 8 + (seed >> 20) % 600 : 70000;
        unsigned char *block, *other;
        CHECK_STATUS(APR_SUCCESS, cohort_alloc((void **)&block, size));
        block[0] = block[size - 1] = block[4] = (unsigned char)i;
        memcpy(block + 1, &(unsigned short){(unsigned short)size}, 2);
        other = atomic_exchange(&x->places[(seed >> 8) % EXCHANGES], block);
        if (!other) continue;
        CHECK_INT(other[0], other[4]);
        CHECK_STATUS(APR_SUCCESS, cohort_free(other));
    }
}

static void blocks(void) {
    static exchange_t exchange;
    apr_uint64_t before = blocks_in_use();
    together(PARTIES, swap_blocks, &exchange);
    for (int i = 0; i < EXCHANGES; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_free(atomic_exchange(&exchange.places[i], NULL)));
    check_heap(before);
}

/* ---- queues and pipes ----------------------------------------------------------------------- */

enum { MESSAGES = 2500 };
typedef struct {
    cohort_queue_t *queue;
    cohort_connection_t *in, *out;
    _Atomic int sum, left;
} traffic_t;

/* The message names a block of plain memory, which belongs to the thread that has the message. */
typedef struct {
    int *number;
    char padding[40];
} parcel_t;

static parcel_t *parcel(char *room, int number) {
    parcel_t *p = (parcel_t *)(void *)room;
    CHECK_STATUS(APR_SUCCESS, cohort_alloc((void **)&p->number, sizeof *p->number));
    *p->number = number;
    return p;
}

static void unpack(traffic_t *t, const void *message) {
    int *number = ((const parcel_t *)message)->number;
    atomic_fetch_add(&t->sum, *number);
    *number = -1;
    CHECK_STATUS(APR_SUCCESS, cohort_free(number));
}

static apr_size_t size_of(int i) { return i % 50 == 49 ? 3000 : sizeof(parcel_t); }

/* The even put, the odd get. */
static void use_queue(void *arg, int index) {
    _Alignas(16) char room[3000] = {0};
    traffic_t *t = arg;
    for (int i = 0; index % 2 == 0 && i < MESSAGES; i++)
        CHECK_STATUS(APR_SUCCESS,
                     cohort_queue_put(t->queue, parcel(room, i), size_of(i), COHORT_FOREVER));
    while (index % 2 == 1 && atomic_fetch_sub(&t->left, 1) > 0) {
        apr_size_t size;
        CHECK_STATUS(APR_SUCCESS,
                     cohort_queue_get(t->queue, room, sizeof room, &size, COHORT_FOREVER));
        unpack(t, room);
        (void)cohort_queue_task_done(t->queue);
        size = cohort_queue_size(t->queue);
    }
}

static void queue_with(const cohort_queue_options_t *options) {
    traffic_t t = {.left = PARTIES / 2 * MESSAGES};
    apr_uint64_t before = blocks_in_use();
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&t.queue, options, NULL));
    together(PARTIES, use_queue, &t);
    CHECK_INT(PARTIES / 2 * (MESSAGES - 1) * MESSAGES / 2, atomic_load(&t.sum));
    if (options->joinable) CHECK_STATUS(APR_SUCCESS, cohort_queue_join(t.queue, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(t.queue));
    check_heap(before);
}

/* In runs that are longer than the ring has cells, so that a run laps its own hint, beside single
 * calls. The even put, the odd get. */
#define RUN_LENGTH 200
#define RUNS       400

static void put_runs(traffic_t *t, int index) {
    static const int32_t one = 1;
    cohort_message_t messages[RUN_LENGTH];
    for (int i = 0; i < RUN_LENGTH; i++)
        messages[i] = (cohort_message_t){.data = (void *)&one, .size = sizeof one};
    for (int i = 0; i < RUNS; i++) {
        apr_size_t done = 0, n = index % 4 ? 1 : RUN_LENGTH;
        CHECK_STATUS(APR_SUCCESS,
                     cohort_queue_put_many(t->queue, messages, n, &done, COHORT_FOREVER));
        CHECK_INT(n, done);
    }
}

static void get_runs(traffic_t *t, int index) {
    int32_t rooms[RUN_LENGTH];
    cohort_message_t messages[RUN_LENGTH];
    for (;;) {
        for (int i = 0; i < RUN_LENGTH; i++)
            messages[i] = (cohort_message_t){.data = &rooms[i], .capacity = sizeof *rooms};
        apr_size_t done = 0, n = index % 4 == 1 ? RUN_LENGTH : 1;
        apr_status_t status = cohort_queue_get_many(t->queue, messages, n, &done, COHORT_FOREVER);
        if (status == COHORT_ECLOSED) return;
        CHECK_STATUS(APR_SUCCESS, status);
        for (apr_size_t i = 0; i < done; i++) CHECK_INT(1, rooms[i]);
        atomic_fetch_add(&t->sum, (int)done);
    }
}

static void use_runs(void *arg, int index) {
    traffic_t *t = arg;
    if (index % 2) {
        get_runs(t, index);
        return;
    }
    put_runs(t, index);
    if (atomic_fetch_sub(&t->left, 1) == 1) CHECK_STATUS(APR_SUCCESS, cohort_queue_close(t->queue));
}

static void runs_of(apr_size_t capacity) {
    traffic_t t = {.left = PARTIES / 2};
    int expected = 0;
    cohort_queue_options_t options = {.capacity = capacity};
    for (int i = 0; i < PARTIES; i += 2) expected += RUNS * (i % 4 ? 1 : RUN_LENGTH);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&t.queue, &options, NULL));
    together(PARTIES, use_runs, &t);
    CHECK_INT(expected, atomic_load(&t.sum));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(t.queue));
}

static void queue_runs_in_one_cell(void) { runs_of(1); }
static void queue_runs_in_few_cells(void) {
    for (apr_size_t capacity = 2; capacity < 6; capacity++) runs_of(capacity);
}

static void queue_bounded(void) { queue_with(&(cohort_queue_options_t){.capacity = 5}); }
static void queue_of_one(void) { queue_with(&(cohort_queue_options_t){.capacity = 1}); }
static void queue_unbounded(void) { queue_with(&(cohort_queue_options_t){0}); }
static void queue_joinable(void) {
    queue_with(&(cohort_queue_options_t){.capacity = 64, .joinable = 1});
}

/* The even put until it is closed, the odd get until they are told that it is over; what was not
 * put is freed. The first of them closes or discards the queue in the middle. */
typedef struct {
    cohort_queue_t *queue;
    apr_status_t (*end)(cohort_queue_t *queue);
    _Atomic int put, got;
} ending_t;

static void put_until_closed(ending_t *e, int index) {
    _Alignas(16) char room[3000] = {0};
    for (int i = 0;; i++) {
        if (index == 0 && i == MESSAGES) CHECK_STATUS(APR_SUCCESS, e->end(e->queue));
        parcel_t *p = parcel(room, i);
        apr_status_t status = cohort_queue_put(e->queue, p, size_of(i), COHORT_FOREVER);
        if (!status) {
            atomic_fetch_add(&e->put, 1);
            continue;
        }
        CHECK_STATUS(COHORT_ECLOSED, status);
        CHECK_STATUS(APR_SUCCESS, cohort_free(p->number));
        return;
    }
}

static void use_until_closed(void *arg, int index) {
    _Alignas(16) char room[3000];
    ending_t *e = arg;
    apr_size_t size;
    apr_status_t status;
    if (index % 2 == 0) {
        put_until_closed(e, index);
        return;
    }
    while (!(status = cohort_queue_get(e->queue, room, sizeof room, &size, COHORT_FOREVER))) {
        int *number = ((parcel_t *)(void *)room)->number;
        *number = -1;
        CHECK_STATUS(APR_SUCCESS, cohort_free(number));
        atomic_fetch_add(&e->got, 1);
        (void)cohort_queue_task_done(e->queue);
    }
    CHECK_STATUS(COHORT_ECLOSED, status);
}

static void end_with(apr_status_t (*end)(cohort_queue_t *queue), bool all_come_out) {
    static const apr_size_t capacities[] = {1, 5, 0};
    for (int i = 0; i < 6; i++) {
        cohort_queue_options_t options = {.capacity = capacities[i % 3], .joinable = i / 3};
        ending_t e = {.end = end};
        apr_uint64_t before = blocks_in_use();
        CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&e.queue, &options, NULL));
        together(PARTIES, use_until_closed, &e);
        int lost = atomic_load(&e.put) - atomic_load(&e.got);
        CHECK(lost >= 0 && (lost == 0 || !all_come_out));
        CHECK_INT(0, cohort_queue_size(e.queue));
        if (options.joinable) CHECK_STATUS(APR_SUCCESS, cohort_queue_join(e.queue, 0));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(e.queue));
        check_heap(before + (apr_uint64_t)lost); /* what the lost ones had with them */
    }
}

static void queue_closed(void) { end_with(cohort_queue_close, true); }
static void queue_discarded(void) { end_with(cohort_queue_discard, false); }

static void use_pipe(void *arg, int index) {
    _Alignas(16) char room[3000] = {0};
    traffic_t *t = arg;
    for (int i = 0; index % 2 == 0 && i < MESSAGES; i++)
        CHECK_STATUS(APR_SUCCESS,
                     cohort_connection_send(t->in, parcel(room, i), size_of(i), COHORT_FOREVER));
    while (index % 2 == 1 && atomic_fetch_sub(&t->left, 1) > 0) {
        apr_size_t size;
        CHECK_STATUS(APR_SUCCESS,
                     cohort_connection_recv(t->out, room, sizeof room, &size, COHORT_FOREVER));
        unpack(t, room);
        (void)cohort_connection_poll(t->out, 0);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(index % 2 == 0 ? t->in : t->out));
}

static void pipe_of_many(void) {
    traffic_t t = {.left = PARTIES / 2 * MESSAGES};
    apr_uint64_t before = blocks_in_use();
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&t.in, &t.out, NULL, NULL));
    together(PARTIES, use_pipe, &t);
    CHECK_INT(PARTIES / 2 * (MESSAGES - 1) * MESSAGES / 2, atomic_load(&t.sum));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(t.in));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(t.out));
    check_heap(before);
}

/* ---- synchronisers -------------------------------------------------------------------------- */

enum { ROUNDS = 2000 };
typedef struct {
    cohort_lock_t *lock;
    cohort_rlock_t *rlock;
    cohort_semaphore_t *semaphore;
    cohort_condition_t *condition;
    cohort_event_t *event;
    cohort_barrier_t *barrier;
    int counter; /* plain: the lock's owner alone touches it */
    int tokens, made;
    int cells[2][MOST];
} shared_t;

static void count_locked(void *arg, int index) {
    shared_t *s = arg;
    (void)index;
    for (int i = 0; i < ROUNDS; i++) {
        while (cohort_lock_acquire(s->lock, i % 3 ? COHORT_FOREVER : 100) != APR_SUCCESS) continue;
        s->counter++;
        CHECK_STATUS(APR_SUCCESS, cohort_lock_release(s->lock));
        (void)cohort_lock_owner(s->lock);
    }
}

static void lock(void) {
    shared_t s = {0};
    CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&s.lock, NULL));
    together(PARTIES, count_locked, &s);
    CHECK_INT(PARTIES * ROUNDS, s.counter);
    CHECK_STATUS(APR_SUCCESS, cohort_lock_destroy(s.lock));
}

static void count_twice_locked(void *arg, int index) {
    shared_t *s = arg;
    (void)index;
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_rlock_acquire(s->rlock, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, cohort_rlock_acquire(s->rlock, COHORT_FOREVER));
        s->counter++;
        CHECK_STATUS(APR_SUCCESS, cohort_rlock_release(s->rlock));
        CHECK_STATUS(APR_SUCCESS, cohort_rlock_release(s->rlock));
    }
}

static void rlock(void) {
    shared_t s = {0};
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_create(&s.rlock, NULL));
    together(PARTIES, count_twice_locked, &s);
    CHECK_INT(PARTIES * ROUNDS, s.counter);
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_destroy(s.rlock));
}

static void count_with_permit(void *arg, int index) {
    shared_t *s = arg;
    (void)index;
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(s->semaphore, COHORT_FOREVER));
        s->counter++;
        (void)cohort_semaphore_value(s->semaphore);
        CHECK_STATUS(APR_SUCCESS, cohort_semaphore_release(s->semaphore, 1));
    }
}

static void semaphore(void) {
    shared_t s = {0};
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_create(&s.semaphore, 1, NULL, NULL));
    together(PARTIES, count_with_permit, &s);
    CHECK_INT(PARTIES * ROUNDS, s.counter);
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_destroy(s.semaphore));
}

/* The even make tokens, the odd take them. */
static void pass_tokens(void *arg, int index) {
    shared_t *s = arg;
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_condition_acquire(s->condition, COHORT_FOREVER));
        if (index % 2 == 0) {
            s->tokens++;
            CHECK_STATUS(APR_SUCCESS, i % 5 ? cohort_condition_notify(s->condition, 1)
                                            : cohort_condition_notify_all(s->condition));
        }
        while (index % 2 == 1 && s->tokens == 0)
            CHECK_STATUS(APR_SUCCESS, cohort_condition_wait(s->condition, COHORT_FOREVER));
        if (index % 2 == 1) s->tokens--;
        CHECK_STATUS(APR_SUCCESS, cohort_condition_release(s->condition));
    }
}

static void condition(void) {
    shared_t s = {0};
    CHECK_STATUS(APR_SUCCESS, cohort_condition_create(&s.condition, NULL, NULL));
    together(PARTIES, pass_tokens, &s);
    CHECK_INT(0, s.tokens);
    CHECK_STATUS(APR_SUCCESS, cohort_condition_destroy(s.condition));
}

/* What was written before the set is there after the wait. */
static void tell_by_event(void *arg, int index) {
    shared_t *s = arg;
    if (index == 0) {
        s->made = 42;
        CHECK_STATUS(APR_SUCCESS, cohort_event_set(s->event));
    } else {
        CHECK_STATUS(APR_SUCCESS, cohort_event_wait(s->event, COHORT_FOREVER));
        CHECK_INT(42, s->made);
    }
}

static void event(void) {
    for (int i = 0; i < 50; i++) {
        shared_t s = {0};
        CHECK_STATUS(APR_SUCCESS, cohort_event_create(&s.event, NULL));
        together(PARTIES, tell_by_event, &s);
        CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(s.event));
    }
}

/* Each reads after the meeting what its neighbour wrote before it. */
static void meet(void *arg, int index) {
    shared_t *s = arg;
    apr_size_t place;
    for (int i = 0; i < ROUNDS / 2; i++) {
        s->cells[i % 2][index] = i + index;
        CHECK_STATUS(APR_SUCCESS, cohort_barrier_wait(s->barrier, &place, COHORT_FOREVER));
        int neighbour = (index + 1) % PARTIES;
        CHECK_INT(i + neighbour, s->cells[i % 2][neighbour]);
    }
}

static void barrier(void) {
    shared_t s = {0};
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_create(&s.barrier, PARTIES, NULL, NULL));
    together(PARTIES, meet, &s);
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_destroy(s.barrier));
}

/* ---- objects that come and go, names, the table --------------------------------------------- */

static void make_and_end(void *arg, int index) {
    char name[64], text[8] = "name-x";
    (void)arg;
    for (int i = 0; i < 300; i++) {
        cohort_queue_t *queue;
        cohort_event_t *e;
        cohort_process_t *process;
        CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&queue, NULL, NULL));
        CHECK_STATUS(APR_SUCCESS, cohort_event_create(&e, NULL));
        CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, nothing, "args", 5, NULL, NULL));
        text[5] = (char)('a' + (index + i) % 26);
        CHECK_STATUS(APR_SUCCESS, cohort_process_set_name(root, text));
        CHECK_STATUS(APR_SUCCESS, cohort_process_name(root, name, sizeof name));
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
        CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(e));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(queue));
    }
}

static void comings_and_goings(void) {
    apr_uint64_t before = blocks_in_use();
    together(PARTIES, make_and_end, NULL);
    check_heap(before);
}

/* ---- pools ---------------------------------------------------------------------------------- */

enum { ITEMS = 2000 };
static cohort_pool_t *pool;

static apr_status_t square(const void *input, void *output) {
    *(int *)output = *(const int *)input * *(const int *)input;
    return *(const int *)input == 13 ? cohort_task_fail(APR_EGENERAL, "no %d", 13) : APR_SUCCESS;
}

static void submit(void *arg, int index) {
    int *in, *results, one = 5 + index, result = 0;
    (void)arg;
    CHECK_STATUS(APR_SUCCESS, cohort_alloc((void **)&in, ITEMS * sizeof *in));
    CHECK_STATUS(APR_SUCCESS, cohort_alloc((void **)&results, ITEMS * sizeof *in));
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < ITEMS; i++) in[i] = i + 20 + round;
        CHECK_STATUS(APR_SUCCESS,
                     cohort_pool_map(pool, square, in, sizeof *in, ITEMS, results, sizeof *in));
        for (int i = 0; i < ITEMS; i++) CHECK_INT(in[i] * in[i], results[i]);
        CHECK_STATUS(APR_SUCCESS,
                     cohort_pool_apply(pool, square, &one, sizeof one, &result, sizeof result));
        CHECK_INT(one * one, result);
        in[7] = 13;
        CHECK_STATUS(APR_EGENERAL,
                     cohort_pool_map(pool, square, in, sizeof *in, 30, results, sizeof *in));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_free(in));
    CHECK_STATUS(APR_SUCCESS, cohort_free(results));
}

static void with_pool(void (*run)(void *arg, int index)) {
    apr_uint64_t before = blocks_in_use();
    pool = begin_pool(3);
    together(3, run, NULL);
    end_pool(pool, before);
}

static void dispatch(void) { with_pool(submit); }
enum { ABOUT_TO_END = 300 };
static cohort_result_t *_Atomic handed; /* to those that cancel it; one destroys it meanwhile */
static _Atomic int cancels, over;

static apr_status_t heed(const void *input, void *output) {
    apr_status_t told = cohort_task_should_stop();
    if (told) return told;
    *(int *)output = *(const int *)input + 1;
    return APR_SUCCESS;
}

/* Every item has its output, or its status says that it was cancelled. */
static void check_each(const cohort_result_t *result, const int *results) {
    cohort_item_t item;
    for (apr_size_t i = 0; i < ABOUT_TO_END; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_result_item(result, i, &item));
        if (item.status) CHECK_STATUS(COHORT_ECANCELLED, item.status);
        else CHECK_INT((int)i + 1, results[i]);
        if (item.status) atomic_store(&cancels, 1);
    }
}

/* One submits, waits and destroys, the others cancel whatever there is, or was. */
static void cancel_each(void *arg, int index) {
    int in[ABOUT_TO_END], results[ABOUT_TO_END];
    (void)arg;
    for (int i = 0; i < ABOUT_TO_END; i++) in[i] = i;
    for (int round = 0; index ? !atomic_load(&over) : round < 200 || !cancels; round++) {
        cohort_job_t job = {heed, COHORT_INPUTS(in, ABOUT_TO_END), COHORT_OUTPUTS(results)};
        cohort_result_t *result = atomic_load(&handed);
        if (index == 1 && result) (void)cohort_result_cancel(result, COHORT_CANCEL_SOFT);
        if (index == 2 && result)
            (void)cohort_result_cancel_item(result, (apr_size_t)round % ABOUT_TO_END, 0);
        if (index) continue;
        job.chunk = (apr_size_t)(round % 9 + 1);
        job.task_timeout = round % 2 ? apr_time_from_sec(100) : 0;
        CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, pool, &job, NULL));
        atomic_store(&handed, result);
        (void)!cohort_result_get(result, NULL, 0, COHORT_FOREVER);
        check_each(result, results);
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    }
    atomic_store(&over, 1);
}

static void cancellation(void) { with_pool(cancel_each); }

/* ---- can this check fail? ------------------------------------------------------------------- */

#if defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define SANITIZER_EXIT 66

static void count_unlocked(void *arg, int index) {
    shared_t *s = arg;
    (void)index;
    for (int i = 0; i < ROUNDS; i++) s->counter++;
}

static int race(void *args) {
    shared_t s = {0};
    (void)args;
    together(PARTIES, count_unlocked, &s);
    return 0;
}

static void a_race_is_seen(void) {
    cohort_process_t *process;
    if (!SANITIZED) SKIP("not built with ThreadSanitizer");
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, race, NULL, 0, NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    CHECK_INT(SANITIZER_EXIT, cohort_process_exit_code(process));
}

const test_case_t races_cases[] = {
    {"Races", "a_race_is_seen", a_race_is_seen},
    {"Races", "blocks", blocks},
    {"Races", "queue_bounded", queue_bounded},
    {"Races", "queue_of_one", queue_of_one},
    {"Races", "queue_runs_in_one_cell", queue_runs_in_one_cell},
    {"Races", "queue_runs_in_few_cells", queue_runs_in_few_cells},
    {"Races", "queue_unbounded", queue_unbounded},
    {"Races", "queue_joinable", queue_joinable},
    {"Races", "queue_closed", queue_closed},
    {"Races", "queue_discarded", queue_discarded},
    {"Races", "pipe_of_many", pipe_of_many},
    {"Races", "lock", lock},
    {"Races", "rlock", rlock},
    {"Races", "semaphore", semaphore},
    {"Races", "condition", condition},
    {"Races", "event", event},
    {"Races", "barrier", barrier},
    {"Races", "comings_and_goings", comings_and_goings},
    {"Races", "dispatch", dispatch},
    {"Races", "cancellation", cancellation},
    {0},
};
