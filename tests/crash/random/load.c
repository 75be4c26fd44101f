/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <apr_pools.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGE     70000
#define STOP_LOOK 50000 /* microseconds: no wait is longer, so that all see the end */

typedef struct {
    account_t *account;
    uint32_t lane, number, size, sum;
    unsigned char bytes[];
} message_t;

typedef struct {
    board_t *board;
    place_t *place;
    dice_t dice;
    apr_pool_t *pool;
} actor_t;

uint64_t roll(dice_t *dice) {
    uint64_t x = dice->state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint64_t roll_below(dice_t *dice, uint64_t limit) { return roll(dice) % limit; }

void violation(board_t *board, const char *format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "VIOLATION: %s\n", text);
    fflush(stderr);
    atomic_store(&board->failed, 1);
}

static bool must_stop(actor_t *me) {
    atomic_fetch_add(&me->place->progress, 1);
    return atomic_load(&me->board->stop);
}

static bool is_timeout(apr_status_t status) {
    return APR_STATUS_IS_EAGAIN(status) || APR_STATUS_IS_TIMEUP(status);
}

/* Not at all, a moment, or long enough to sleep. */
static apr_interval_time_t some_time(dice_t *dice) {
    static const apr_interval_time_t times[] = {0, 0, 50, 1000, STOP_LOOK};
    return times[roll_below(dice, 5)];
}

static void pause_sometimes(dice_t *dice) {
    if (roll_below(dice, 4) == 0) apr_sleep((apr_interval_time_t)roll_below(dice, 300));
}

/* ---- messages ------------------------------------------------------------------------------- */

static uint32_t sum_of(const message_t *m) {
    uint32_t sum = 2166136261u ^ m->account->number * 31 ^ m->number ^ m->lane << 20 ^ m->size;
    for (uint32_t i = 0; i < m->size; i++) sum = (sum ^ m->bytes[i]) * 16777619u;
    return sum;
}

static uint32_t some_size(dice_t *dice) {
    uint64_t n = roll_below(dice, 100);
    return (uint32_t)(n < 70 ? n % 30 : n < 98 ? n * 13 : roll_below(dice, LARGE));
}

static void make(message_t *m, account_t *account, uint32_t lane, uint32_t number, dice_t *dice) {
    m->account = account;
    m->lane = lane;
    m->number = number;
    m->size = some_size(dice);
    for (uint32_t i = 0; i < m->size; i++)
        m->bytes[i] = (unsigned char)(account->number + number * 7 + i);
    m->sum = sum_of(m);
}

static apr_status_t put(board_t *board, message_t *m, apr_interval_time_t timeout) {
    apr_size_t size = sizeof *m + m->size;
    if (m->lane == PIPE_LANE) return cohort_connection_send(board->sender, m, size, timeout);
    return cohort_queue_put(board->queues[m->lane], m, size, timeout);
}

/* The next number of the lane is begun before the put and done after it. */
static bool produce_one(actor_t *me, message_t *m) {
    account_t *account = me->place->account;
    uint32_t lane = (uint32_t)roll_below(&me->dice, LANES),
             number = atomic_load(&account->lane[lane].done);
    if (number == PER_LANE) return false;
    make(m, account, lane, number, &me->dice);
    atomic_store(&account->lane[lane].begun, number + 1);
    apr_status_t status = put(me->board, m, some_time(&me->dice));
    if (!status) atomic_store(&account->lane[lane].done, number + 1);
    else atomic_store(&account->lane[lane].begun, number);
    MUST(me->board,
         !status || is_timeout(status) ||
             (atomic_load(&me->board->stop) &&
              (APR_STATUS_IS_EOF(status) || status == COHORT_ECLOSED)),
         "a put into lane %u gave status %d", lane, status);
    return true;
}

static void produce(actor_t *me) {
    message_t *m = malloc(sizeof *m + LARGE);
    while (!must_stop(me) && produce_one(me, m)) pause_sometimes(&me->dice);
    free(m);
}

/* Of a message that was not in its turn this says nothing. */
typedef struct {
    const account_t *account;
    uint32_t next;
} seen_t;

static void check_order(board_t *board, const message_t *m) {
    static seen_t seen[LANES][64];
    seen_t *s = &seen[m->lane][m->account->number % 64];
    if (s->account == m->account)
        MUST(board, m->number >= s->next, "lane %u: number %u came after %u", m->lane, m->number,
             s->next - 1);
    *s = (seen_t){m->account, m->number + 1};
}

static void look_at(board_t *board, const message_t *m, apr_size_t size, uint32_t lane,
                    bool in_turn) {
    if (size < sizeof *m || !cohort_is_shared(m->account, sizeof *m->account) || m->lane != lane ||
        size != sizeof *m + m->size || m->number >= PER_LANE || sum_of(m) != m->sum) {
        violation(board, "a torn message of %zu bytes in lane %u", (size_t)size, lane);
        return;
    }
    MUST(board, m->number < atomic_load(&m->account->lane[lane].begun),
         "lane %u: number %u was never put", lane, m->number);
    MUST(board, atomic_fetch_add(&m->account->lane[lane].got[m->number], 1) == 0,
         "lane %u: number %u of producer %u came twice", lane, m->number, m->account->number);
    if (in_turn) check_order(board, m);
}

typedef struct {
    void *data;
    apr_size_t size;
    bool in_turn, block;
    apr_status_t status;
} taken_t;

static void take_message(board_t *board, uint32_t lane, void *buffer, apr_interval_time_t timeout,
                         taken_t *t) {
    cohort_message_t m = {.data = buffer, .capacity = sizeof(message_t) + LARGE};
    t->status = lane == PIPE_LANE ? cohort_connection_recv_message(board->receiver, &m, timeout)
                                  : cohort_queue_get_message(board->queues[lane], &m, timeout);
    t->data = buffer;
    t->size = m.size;
    t->in_turn = !m.returned;
}

static void take_block(board_t *board, uint32_t lane, apr_interval_time_t timeout, taken_t *t) {
    t->block = true;
    t->status = lane == PIPE_LANE
                    ? cohort_connection_recv_block(board->receiver, &t->data, &t->size, timeout)
                    : cohort_queue_get_block(board->queues[lane], &t->data, &t->size, timeout);
}

static void take_copy(board_t *board, uint32_t lane, apr_interval_time_t timeout, apr_pool_t *pool,
                      taken_t *t) {
    t->status =
        lane == PIPE_LANE
            ? cohort_connection_recv_copy(board->receiver, &t->data, &t->size, timeout, pool)
            : cohort_queue_get_copy(board->queues[lane], &t->data, &t->size, timeout, pool);
}

bool load_take(board_t *board, place_t *place, uint32_t lane, dice_t *dice,
               apr_interval_time_t timeout) {
    static void *buffer;
    apr_pool_t *pool = NULL;
    taken_t t = {0};
    uint64_t how = roll_below(dice, 8);
    if (!buffer) buffer = malloc(sizeof(message_t) + LARGE);
    if (how == 0) apr_pool_create(&pool, NULL);
    if (place) {
        atomic_store(&place->open_lane, lane);
        atomic_store(&place->open, how == 1 ? OPEN_MESSAGE | OPEN_BLOCK : OPEN_MESSAGE);
    }
    if (pool) take_copy(board, lane, timeout, pool, &t);
    else if (how == 1) take_block(board, lane, timeout, &t);
    else take_message(board, lane, buffer, timeout, &t);
    if (!t.status) look_at(board, t.data, t.size, lane, t.in_turn);
    if (!t.status && t.block) (void)cohort_free(t.data);
    if (place) atomic_store(&place->open, SHUT);
    if (pool) apr_pool_destroy(pool);
    MUST(board,
         !t.status || is_timeout(t.status) || APR_STATUS_IS_EOF(t.status) ||
             (atomic_load(&board->stop) && t.status == COHORT_ECLOSED),
         "a get from lane %u gave status %d", lane, t.status);
    if (!t.status && lane == JOINABLE_LANE) {
        apr_status_t status = cohort_queue_task_done(board->queues[lane]);
        MUST(board, !status, "task_done gave status %d", status);
    }
    return !t.status;
}

static void consume(actor_t *me) {
    while (!must_stop(me)) {
        uint32_t lane = (uint32_t)roll_below(&me->dice, LANES);
        (void)load_take(me->board, me->place, lane, &me->dice, some_time(&me->dice));
        pause_sometimes(&me->dice);
    }
}

/* ---- barrier -------------------------------------------------------------------------------- */

/* A party that finds it broken waits until the root has mended it. */
static void meet(actor_t *me) {
    board_t *board = me->board;
    while (!must_stop(me)) {
        uint32_t round = atomic_load(&board->barrier_round);
        apr_status_t status = cohort_barrier_wait(board->barrier, NULL, COHORT_FOREVER);
        if (!status) atomic_fetch_add(&board->met, 1);
        MUST(board, !status || status == COHORT_EBROKEN, "the barrier gave status %d", status);
        while (status && atomic_load(&board->barrier_round) == round && !must_stop(me))
            apr_sleep(500);
        pause_sometimes(&me->dice);
    }
}

/* ---- locks ---------------------------------------------------------------------------------- */

static void step_both(board_t *board, _Atomic uint64_t *one, _Atomic uint64_t *other, bool mended) {
    if (mended) atomic_store(other, atomic_load(one));
    MUST(board, atomic_load(one) == atomic_load(other),
         "two are inside a lock, or a dead owner was not told of");
    atomic_fetch_add(one, 1);
    atomic_fetch_add(other, 1);
}

static void lock_once(actor_t *me) {
    board_t *board = me->board;
    apr_status_t status = cohort_lock_acquire(board->lock, some_time(&me->dice));
    if (is_timeout(status)) return;
    MUST(board, !status || status == COHORT_EOWNERDEAD, "a lock gave status %d", status);
    step_both(board, &board->a, &board->b, status == COHORT_EOWNERDEAD);
    status = cohort_lock_release(board->lock);
    MUST(board, !status, "the release of a lock gave status %d", status);
}

static void rlock_twice(actor_t *me) {
    board_t *board = me->board;
    apr_status_t status = cohort_rlock_acquire(board->rlock, some_time(&me->dice)), again;
    if (is_timeout(status)) return;
    MUST(board, !status || status == COHORT_EOWNERDEAD, "a recursive lock gave status %d", status);
    again = cohort_rlock_acquire(board->rlock, 0);
    MUST(board, !again, "a recursive lock gave status %d the second time", again);
    step_both(board, &board->c, &board->d, status == COHORT_EOWNERDEAD);
    for (int i = 0; i < 2; i++) {
        status = cohort_rlock_release(board->rlock);
        MUST(board, !status, "the release of a recursive lock gave status %d", status);
    }
}

static void hold_permit(actor_t *me) {
    apr_status_t status = cohort_semaphore_acquire(me->board->semaphore, some_time(&me->dice));
    if (is_timeout(status)) return;
    MUST(me->board, !status, "a semaphore gave status %d", status);
    pause_sometimes(&me->dice);
    status = cohort_semaphore_release(me->board->semaphore, 1);
    MUST(me->board, !status, "the release of a permit gave status %d", status);
}

static void lock_things(actor_t *me) {
    while (!must_stop(me)) {
        lock_once(me);
        rlock_twice(me);
        hold_permit(me);
        if (roll_below(&me->dice, 2)) (void)cohort_event_set(me->board->event);
        else (void)cohort_event_clear(me->board->event);
        pause_sometimes(&me->dice);
    }
}

static bool own(board_t *board, apr_status_t status) {
    MUST(board, !status || status == COHORT_EOWNERDEAD || is_timeout(status),
         "a condition gave status %d", status);
    return !is_timeout(status);
}

static void wait_for_tokens(actor_t *me) {
    board_t *board = me->board;
    while (!must_stop(me)) {
        (void)cohort_event_wait(board->event, some_time(&me->dice));
        if (!own(board, cohort_condition_acquire(board->condition, STOP_LOOK))) continue;
        while (!atomic_load(&board->tokens) && !must_stop(me))
            (void)own(board, cohort_condition_wait(board->condition, STOP_LOOK));
        if (atomic_load(&board->tokens)) atomic_fetch_sub(&board->tokens, 1);
        apr_status_t status = cohort_condition_release(board->condition);
        MUST(board, !status, "the release of a condition gave status %d", status);
    }
}

static void make_tokens(actor_t *me) {
    board_t *board = me->board;
    while (!must_stop(me)) {
        if (!own(board, cohort_condition_acquire(board->condition, STOP_LOOK))) continue;
        atomic_fetch_add(&board->tokens, 1);
        apr_status_t status = roll_below(&me->dice, 4)
                                  ? cohort_condition_notify(board->condition, 1)
                                  : cohort_condition_notify_all(board->condition);
        MUST(board, !status, "a notification gave status %d", status);
        status = cohort_condition_release(board->condition);
        MUST(board, !status, "the release of a condition gave status %d", status);
        pause_sometimes(&me->dice);
    }
}

/* ---- pool ----------------------------------------------------------------------------------- */

apr_status_t load_task(const void *input, void *output) {
    const job_t *job = input;
    if (job->runs) atomic_fetch_add(&job->runs[job->item], 1);
    if (job->item % 13 == 5) apr_sleep(300); /* time to be killed in */
    *(uint32_t *)output = job->item + 1;
    return job->item % 97 == 96 ? cohort_task_fail(TASK_FAILS, "item %u", job->item) : APR_SUCCESS;
}

apr_status_t load_range(const void *inputs, void *outputs, apr_size_t first, apr_size_t last) {
    const job_t *jobs = inputs;
    uint32_t *out = outputs;
    apr_status_t status = APR_SUCCESS;
    for (apr_size_t i = first; i < last; i++) {
        apr_status_t one = load_task(&jobs[i], &out[i]);
        if (!status) status = one;
    }
    return status;
}

apr_status_t load_bytes(const void *input, void *output) {
    const job_t *job = input;
    apr_size_t size = load_bytes_size(job->item);
    char *made = cohort_task_output(size / 2);
    uint32_t result = 0;
    if (made) memset(made, (int)job->item, size / 2);
    apr_status_t status = load_task(input, &result);
    if (output || cohort_task_input_size() != sizeof *job) return APR_EINVAL;
    made = cohort_task_output(size);
    if (!made) return APR_ENOMEM;
    memset(made + size / 2, (int)job->item, size - size / 2);
    return status;
}

cohort_job_t load_order(load_kind_t kind, job_t *items, cohort_bytes_t *inputs, uint32_t n) {
    cohort_job_t order = {COHORT_INPUTS(items, n), .output_size = sizeof(uint32_t)};
    if (kind == LOAD_TASK) order.task = load_task;
    if (kind == LOAD_RANGE) order.range = load_range;
    if (kind != LOAD_BYTES) return order;
    for (uint32_t i = 0; i < n; i++) inputs[i] = (cohort_bytes_t){&items[i], sizeof *items};
    order.task = load_bytes;
    order.inputs = inputs;
    order.input_size = order.output_size = COHORT_BYTES;
    return order;
}

static bool is_right(const cohort_bytes_t *output, uint32_t item) {
    if (!output->data || output->size != load_bytes_size(item)) return false;
    for (apr_size_t i = 0; i < output->size; i++) {
        if (((const char *)output->data)[i] != (char)item) return false;
    }
    return true;
}

apr_status_t load_get_bytes(board_t *board, cohort_result_t *result, uint32_t *outputs,
                            uint32_t n) {
    cohort_bytes_t *taken = calloc(2 * (size_t)n, sizeof *taken), *left = taken + n;
    if (!taken) return APR_ENOMEM;
    for (uint32_t i = 0; i < n; i += 3)
        (void)!cohort_result_take(result, i, &taken[i].data, &taken[i].size);
    apr_status_t status = cohort_result_get(result, left, n * sizeof *left, 0);
    for (uint32_t i = 0; i < n; i++) {
        cohort_bytes_t *output = taken[i].data ? &taken[i] : &left[i];
        MUST(board, !taken[i].data || !left[i].data, "the output of item %u came twice", i);
        outputs[i] = is_right(output, i) ? i + 1 : 0;
        apr_status_t freed = cohort_free(output->data);
        MUST(board, !freed, "the release of an output gave status %d", freed);
    }
    free(taken);
    return status;
}

/* What is late ends for a submitter that dies meanwhile as well. */
static void submit_with_time(actor_t *me) {
    job_t jobs[90];
    uint32_t n = 1 + (uint32_t)roll_below(&me->dice, 90);
    for (uint32_t i = 0; i < n; i++) jobs[i] = (job_t){NULL, i};
    cohort_job_t order = load_order(LOAD_TASK, jobs, NULL, n);
    order.chunk = (apr_size_t)roll_below(&me->dice, 8);
    order.task_grace = COHORT_FOREVER;
    order.timeout = 200 + (apr_interval_time_t)roll_below(&me->dice, 5000);
    apr_status_t status = cohort_pool_run(me->board->pool, &order);
    MUST(me->board,
         !status || status == COHORT_EWORKERDIED || status == TASK_FAILS ||
             status == COHORT_EDEADLINE,
         "a map with a time gave status %d", status);
}

/* The outputs are dropped: what is handed over to a process that is killed is not counted. */
static void submit_bytes(actor_t *me) {
    job_t jobs[90];
    cohort_bytes_t inputs[90];
    uint32_t n = 1 + (uint32_t)roll_below(&me->dice, 90);
    for (uint32_t i = 0; i < n; i++) jobs[i] = (job_t){NULL, i};
    cohort_job_t order = load_order(LOAD_BYTES, jobs, inputs, n);
    order.chunk = (apr_size_t)roll_below(&me->dice, 8);
    apr_status_t status = cohort_pool_run(me->board->pool, &order);
    MUST(me->board, !status || status == COHORT_EWORKERDIED || status == TASK_FAILS,
         "a map of bytes gave status %d", status);
}

static void submit(actor_t *me) {
    job_t jobs[90];
    uint32_t outputs[90];
    while (!must_stop(me)) {
        uint32_t n = 1 + (uint32_t)roll_below(&me->dice, 90);
        if (n % 3 == 0) submit_bytes(me);
        if (n % 3 == 1) submit_with_time(me);
        for (uint32_t i = 0; i < n; i++) jobs[i] = (job_t){NULL, i};
        memset(outputs, 0, sizeof outputs);
        apr_status_t status =
            cohort_pool_run(me->board->pool, &(cohort_job_t){.task = load_task,
                                                             COHORT_INPUTS(jobs, n),
                                                             COHORT_OUTPUTS(outputs),
                                                             .chunk = roll_below(&me->dice, 8)});
        MUST(me->board, !status || status == COHORT_EWORKERDIED, "a map gave status %d", status);
        for (uint32_t i = 0; i < n && !status; i++)
            MUST(me->board, outputs[i] == i + 1, "item %u of a map gave %u", i, outputs[i]);
        pause_sometimes(&me->dice);
    }
}

/* ---- memory --------------------------------------------------------------------------------- */

typedef struct {
    uint64_t size, mark;
} block_t;

static void fill_slot(actor_t *me, _Atomic(void *) *slot) {
    uint64_t size =
        sizeof(block_t) * 2 +
        (roll_below(&me->dice, 10) ? roll_below(&me->dice, 3000) : roll_below(&me->dice, 200000));
    void *made;
    atomic_store(&me->place->open, OPEN_BLOCK);
    apr_status_t status = cohort_alloc(&made, (apr_size_t)size);
    MUST(me->board, !status, "an allocation of %llu bytes gave status %d", (unsigned long long)size,
         status);
    if (status) return;
    block_t *head = made, tail = {size, size * 31};
    *head = tail;
    memcpy((char *)made + size - sizeof tail, &tail, sizeof tail);
    atomic_store(slot, made);
    atomic_store(&me->place->open, SHUT);
}

static void empty_slot(actor_t *me, _Atomic(void *) *slot) {
    block_t *head = atomic_load(slot), tail;
    bool whole = head->mark == head->size * 31;
    if (whole) memcpy(&tail, (char *)head + head->size - sizeof tail, sizeof tail);
    MUST(me->board, whole && tail.size == head->size && tail.mark == head->mark,
         "a block was written into");
    atomic_store(&me->place->open, OPEN_BLOCK);
    atomic_store(slot, NULL);
    apr_status_t status = cohort_free(head);
    MUST(me->board, !status, "the release of a block gave status %d", status);
    atomic_store(&me->place->open, SHUT);
}

static void use_region(actor_t *me);

static void allocate(actor_t *me) {
    while (!must_stop(me)) {
        _Atomic(void *) *slot = &me->place->ledger[roll_below(&me->dice, LEDGER)];
        if (atomic_load(slot)) empty_slot(me, slot);
        else fill_slot(me, slot);
        if (roll_below(&me->dice, 8) == 0) use_region(me);
        pause_sometimes(&me->dice);
    }
}

/* ---- processes ------------------------------------------------------------------------------ */

static int be_quick(void *code) { return *(int *)code; }

_Noreturn static int be_slow(void *unused) {
    (void)unused;
    for (;;) apr_sleep(1000000);
}

static void start_one(actor_t *me, bool slow) {
    int code = (int)roll_below(&me->dice, 100);
    cohort_process_t *child;
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON};
    apr_status_t status = cohort_process_create(&child, slow ? be_slow : be_quick, &code,
                                                sizeof code, &options, NULL);
    if (!status) status = cohort_process_start(child);
    MUST(me->board, !status || status == COHORT_ESTART, "a start gave status %d", status);
    if (status) return;
    if (slow) (void)cohort_process_kill(child);
    status = cohort_process_join(child, COHORT_FOREVER);
    int is = cohort_process_exit_code(child);
    MUST(me->board, !status, "a join gave status %d", status);
    MUST(me->board, is == (slow ? -9 : code) || is == COHORT_EXIT_UNKNOWN || is == -9,
         "exit code %d instead of %d", is, slow ? -9 : code);
    (void)cohort_process_destroy(child);
}

static void start_others(actor_t *me) {
    while (!must_stop(me)) {
        start_one(me, roll_below(&me->dice, 2));
        apr_sleep((apr_interval_time_t)roll_below(&me->dice, 20000));
    }
}

/* ---- regions -------------------------------------------------------------------------------- */

/* Of this process, it is part of its death; the chunks count as blocks of bytes do. */
static void use_region(actor_t *me) {
    cohort_region_t *region;
    cohort_region_options_t options = {.chunk = 4096};
    apr_status_t status = cohort_region_create(&region, &options, NULL);
    for (uint64_t n = roll_below(&me->dice, 30); n > 0 && !status; n--) {
        apr_size_t size = 1 + (apr_size_t)roll_below(&me->dice, n % 7 ? 500 : 20000);
        void *block = NULL;
        status = cohort_region_alloc(&block, region, size);
        if (!status) memset(block, (int)n, size);
        if (!status && n % 11 == 0) status = cohort_region_clear(region);
    }
    if (!status) status = cohort_region_destroy(region);
    MUST(me->board, !status, "a region gave status %d", status);
}

/* ---- parcels -------------------------------------------------------------------------------- */

typedef struct {
    cohort_parcel_t parcel;
    uint64_t number;
} letter_t;

static void send_letter(actor_t *me, apr_file_t *file) {
    board_t *board = me->board;
    letter_t letter = {.number = 0};
    const cohort_gift_t gift = {.file = file};
    apr_interval_time_t lifetime = 1000 + (apr_interval_time_t)roll_below(&me->dice, 200000);
    apr_status_t status = cohort_gift_send(&letter.parcel, &gift, lifetime);
    if (APR_STATUS_IS_ENOTIMPL(status)) return;
    MUST(board, !status, "a parcel gave status %d", status);
    letter.number = atomic_fetch_add(&board->mailed, 1);
    atomic_store(&board->taken[letter.number % LETTERS], 0);
    status = cohort_queue_put(board->mail, &letter, sizeof letter, some_time(&me->dice));
    if (!status) return;
    MUST(board, is_timeout(status), "a put of a letter gave status %d", status);
    status = cohort_parcel_discard(&letter.parcel);
    MUST(board, !status || status == APR_NOTFOUND, "a parcel's end gave status %d", status);
}

static void close_handle(actor_t *me, apr_os_file_t handle) {
    apr_file_t *file = NULL;
    apr_status_t status = apr_os_file_put(&file, &handle, APR_FOPEN_WRITE, me->pool);
    if (!status) status = apr_file_close(file);
    MUST(me->board, !status, "what was in a parcel cannot be closed: %d", status);
    apr_pool_clear(me->pool);
}

/* Its sender may have died, or its time be over; a sender that is stopped is waited for. */
static void open_letter(actor_t *me) {
    board_t *board = me->board;
    letter_t letter;
    apr_size_t size;
    apr_os_file_t handle;
    if (cohort_queue_get(board->mail, &letter, sizeof letter, &size, some_time(&me->dice))) return;
    apr_status_t status = cohort_parcel_handle(&handle, &letter.parcel, COHORT_FOREVER);
    MUST(board, !status || status == COHORT_EOWNERDEAD || status == APR_NOTFOUND,
         "a parcel that came gave status %d", status);
    if (status) return;
    MUST(board, atomic_fetch_add(&board->taken[letter.number % LETTERS], 1) == 0,
         "parcel %llu was taken twice", (unsigned long long)letter.number);
    close_handle(me, handle);
    status = cohort_parcel_handle(&handle, &letter.parcel, 0);
    MUST(board, status == APR_NOTFOUND || status == COHORT_EOWNERDEAD,
         "a parcel that was taken gave status %d", status);
}

static void send_and_take(actor_t *me) {
    apr_file_t *reader, *writer;
    apr_pool_t *own;
    apr_pool_create(&own, NULL);
    apr_pool_create(&me->pool, NULL);
    apr_status_t status = apr_file_pipe_create(&reader, &writer, own);
    MUST(me->board, !status, "a pipe of the system gave status %d", status);
    while (!must_stop(me) && !status) {
        if (roll_below(&me->dice, 2)) send_letter(me, writer);
        else open_letter(me);
        pause_sometimes(&me->dice);
    }
    apr_pool_destroy(own);
    apr_pool_destroy(me->pool);
}

/* --------------------------------------------------------------------------------------------- */

int load_run(void *data) {
    static void (*const bodies[KINDS])(actor_t *) = {
        produce,     consume, meet,     lock_things,  wait_for_tokens,
        make_tokens, submit,  allocate, start_others, send_and_take};
    orders_t *orders = data;
    actor_t me = {orders->board, &orders->board->places[orders->place], {orders->seed}, NULL};
    bodies[me.place->kind](&me);
    return 0;
}
