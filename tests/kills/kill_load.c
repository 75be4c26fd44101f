/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * kill_load FILE | kill_load DEATHS: a pool, a queue and a barrier at full work, while the
 * processes that work there are killed: by the script that runs this program, until FILE exists; or
 * by the program itself, until each of the three has seen so many deaths. Whatever is hit and when:
 *  - pool: every item of every map has its right result;
 *  - queue: each message is received whole, and never twice; none that was put is missing, except
 *    that each dead receiver may have taken one with it;
 *  - barrier: the parties that live are told, and a new barrier works;
 *  - at the end nothing of all that is left in the arena: no block (but of a putter that was killed
 *    while it was given one), no process, no record of a dead thread.
 * No process may hang: then this program does not end. The processes that can be killed are named
 * pool-N, queue-N and barrier-N. A process that ended by itself has said so before; so nothing here
 * goes by exit codes, which a killer may choose.
 */
#include "left.h"

#include <apr_file_info.h>
#include <apr_general.h>
#include <apr_time.h>
#include <cohort/cohort.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORKERS = 3,
    ITEMS = 60,
    PUTTERS = 2,
    GETTERS = 2,
    PARTIES = 3,
    LANES = 4096,
    LANE_LENGTH = 16384,
    MESSAGE_MAX = 3000
};

static void require(int condition, const char *format, ...) {
    va_list args;
    if (condition) return;
    va_start(args, format);
    fputs("kill_load: ", stderr);
    vfprintf(stderr, format, args);
    fputs("\n", stderr);
    va_end(args);
    exit(1);
}

static void must(apr_status_t status, const char *what) {
    char text[200];
    require(status == APR_SUCCESS, "%s: %s", what, cohort_strerror(status, text, sizeof text));
}

static void *shared(apr_size_t size) {
    void *block = NULL;
    must(cohort_alloc(&block, size), "cohort_alloc");
    memset(block, 0, size);
    return block;
}

static cohort_process_t *start(const char *group, int number, cohort_target_t target,
                               const void *args, apr_size_t size) {
    char name[32];
    cohort_process_t *process = NULL;
    snprintf(name, sizeof name, "%s-%d", group, number);
    cohort_process_options_t options = {.name = name, .lifetime = COHORT_LIFETIME_DAEMON};
    must(cohort_process_create(&process, target, args, size, &options, NULL),
         "cohort_process_create");
    apr_status_t status = COHORT_ESTART; /* killed before it began: then it may be tried again */
    while (status == COHORT_ESTART) status = cohort_process_start(process);
    must(status, "cohort_process_start");
    return process;
}

static void finish(cohort_process_t *process) {
    must(cohort_process_join(process, COHORT_FOREVER), "cohort_process_join");
    must(cohort_process_destroy(process), "cohort_process_destroy");
}

static void hit(cohort_process_t *process) {
    (void)cohort_process_kill(process); /* it may have ended meanwhile */
}

/* ---- pool ----------------------------------------------------------------------------------- */

static uint32_t scrambled(uint32_t x) {
    for (int i = 0; i < 30000; i++) x = x * 1664525 + 1013904223;
    return x;
}

static apr_status_t scramble(const void *input, void *output) {
    uint32_t x;
    memcpy(&x, input, sizeof x);
    x = scrambled(x);
    memcpy(output, &x, sizeof x);
    return APR_SUCCESS;
}

typedef struct {
    cohort_pool_t *pool;
    apr_int64_t pids[WORKERS];
    uint32_t in[ITEMS], out[ITEMS];
    int deaths, maps;
} pool_side_t;

static void pool_begin(pool_side_t *side) {
    cohort_pool_options_t options = {.workers = WORKERS, .name = "pool", .attempts = 100};
    apr_status_t status = COHORT_ESTART; /* a worker killed before it began, again */
    while (status == COHORT_ESTART) status = cohort_pool_create(&side->pool, &options, NULL);
    must(status, "cohort_pool_create");
}

/* A worker that is not there any more was killed. Its place may be empty for a while. */
static void pool_look(pool_side_t *side, int kill, apr_pool_t *memory) {
    cohort_process_t **workers;
    apr_int64_t pids[WORKERS] = {0};
    apr_size_t n;
    must(cohort_pool_workers(side->pool, &workers, &n, memory), "cohort_pool_workers");
    require(n <= WORKERS, "%d workers", (int)n);
    for (apr_size_t i = 0; i < n; i++) pids[i] = cohort_process_pid(workers[i]);
    for (int i = 0; i < WORKERS; i++) {
        bool gone = side->pids[i] != 0;
        for (int j = 0; j < WORKERS; j++) gone = gone && pids[j] != side->pids[i];
        side->deaths += gone;
    }
    memcpy(side->pids, pids, sizeof pids);
    if (kill && n) hit(workers[side->maps % n]);
}

static void pool_map(pool_side_t *side, int kill, apr_pool_t *memory) {
    cohort_result_t *result;
    for (uint32_t i = 0; i < ITEMS; i++) side->in[i] = (uint32_t)side->maps * ITEMS + i;
    must(cohort_pool_submit(&result, side->pool,
                            &(cohort_job_t){.task = scramble,
                                            COHORT_INPUTS(side->in, ITEMS),
                                            COHORT_OUTPUTS(side->out)},
                            NULL),
         "map");
    pool_look(side, kill, memory);
    must(cohort_result_get(result, side->out, sizeof side->out, COHORT_FOREVER),
         "cohort_result_get");
    must(cohort_result_destroy(result), "cohort_result_destroy");
    for (uint32_t i = 0; i < ITEMS; i++)
        require(side->out[i] == scrambled(side->in[i]), "map %d: item %u is wrong", side->maps, i);
    side->maps++;
}

/* ---- queue ---------------------------------------------------------------------------------- */

/* What one putter put; the process that takes its place begins another lane. */
typedef struct {
    _Atomic uint32_t put; /* so many are in the queue for sure; one more may be, if it was killed */
    _Atomic uint8_t got[LANE_LENGTH];
} lane_t;

typedef struct {
    cohort_queue_t *queue;
    _Atomic(lane_t *) lanes[LANES];
    _Atomic uint32_t lane_count;
    _Atomic int said[PUTTERS + GETTERS]; /* that it ends by itself */
    _Atomic int stop, twice, torn;
} queue_board_t;

typedef struct {
    queue_board_t *board;
    int number;
} member_t;

typedef struct {
    uint32_t lane, number, size;
    unsigned char bytes[MESSAGE_MAX];
} message_t;

static uint32_t fill(message_t *m, uint32_t lane, uint32_t number) {
    *m = (message_t){
        .lane = lane, .number = number, .size = (lane * 7919 + number * 104729) % MESSAGE_MAX};
    for (uint32_t i = 0; i < m->size; i++) m->bytes[i] = (unsigned char)(lane + number * 31 + i);
    return (uint32_t)offsetof(message_t, bytes) + m->size;
}

static int put_messages(void *args) {
    member_t *self = args;
    queue_board_t *board = self->board;
    uint32_t number = atomic_fetch_add(&board->lane_count, 1);
    lane_t *lane = shared(sizeof *lane);
    message_t m;
    require(number < LANES, "too many lanes");
    atomic_store(&board->lanes[number], lane);
    for (uint32_t i = 0; i < LANE_LENGTH && !atomic_load(&board->stop); i++) {
        must(cohort_queue_put(board->queue, &m, fill(&m, number, i), COHORT_FOREVER), "put");
        atomic_store(&lane->put, i + 1);
    }
    atomic_store(&board->said[self->number], 1);
    return 0;
}

static void check_message(queue_board_t *board, const message_t *m, apr_size_t size) {
    static message_t expected;
    lane_t *lane = m->lane < LANES ? atomic_load(&board->lanes[m->lane]) : NULL;
    if (!lane || m->number >= LANE_LENGTH || size != fill(&expected, m->lane, m->number) ||
        memcmp(m, &expected, size))
        atomic_store(&board->torn, 1);
    else if (atomic_exchange(&lane->got[m->number], 1)) atomic_store(&board->twice, 1);
}

static int get_messages(void *args) {
    member_t *self = args;
    queue_board_t *board = self->board;
    apr_status_t status;
    for (;;) {
        message_t m;
        apr_size_t size;
        status = cohort_queue_get(board->queue, &m, sizeof m, &size, COHORT_FOREVER);
        if (status != APR_SUCCESS) break;
        check_message(board, &m, size);
    }
    require(status == APR_EOF || status == COHORT_ECLOSED, "get: %d", (int)status);
    atomic_store(&board->said[self->number], 1);
    return 0;
}

typedef struct {
    queue_board_t *board;
    cohort_process_t *members[PUTTERS + GETTERS]; /* putters first */
    int deaths, dead_getters, rounds;
} queue_side_t;

static void queue_start(queue_side_t *side, int i) {
    member_t member = {side->board, i};
    atomic_store(&side->board->said[i], 0);
    side->members[i] =
        start("queue", i + 1, i < PUTTERS ? put_messages : get_messages, &member, sizeof member);
}

static void queue_begin(queue_side_t *side) {
    side->board = shared(sizeof *side->board);
    must(cohort_queue_create(&side->board->queue,
                             &(cohort_queue_options_t){.capacity = 64, .message_size = 512}, NULL),
         "cohort_queue_create");
    for (int i = 0; i < PUTTERS + GETTERS; i++) queue_start(side, i);
}

/* A process that has ended was killed, or has filled its lane and said so. */
static void queue_end(queue_side_t *side, int i) {
    finish(side->members[i]);
    bool killed = !atomic_load(&side->board->said[i]);
    side->deaths += killed;
    side->dead_getters += killed && i >= PUTTERS;
}

static void queue_replace(queue_side_t *side, int from) {
    for (int i = from; i < PUTTERS + GETTERS; i++) {
        if (cohort_process_is_alive(side->members[i])) continue;
        queue_end(side, i);
        queue_start(side, i);
    }
}

static void queue_look(queue_side_t *side, int kill) {
    if (kill) hit(side->members[side->rounds++ % (PUTTERS + GETTERS)]);
    queue_replace(side, 0);
    require(!atomic_load(&side->board->torn), "a message is torn");
    require(!atomic_load(&side->board->twice), "a message was received twice");
}

/* The putters end when there is room for their last messages, and those are received: what is
 * in a queue when it is closed is lost. */
static void queue_drain(queue_side_t *side) {
    int empty = 0;
    while (!empty) {
        bool putting = false;
        for (int i = 0; i < PUTTERS; i++)
            putting = putting || cohort_process_is_alive(side->members[i]);
        queue_replace(side, PUTTERS);
        apr_sleep(1000);
        if (!putting) empty = cohort_queue_is_empty(side->board->queue);
    }
}

static int queue_check(queue_side_t *side) {
    queue_board_t *board = side->board;
    int missing = 0, received = 0;
    atomic_store(&board->stop, 1);
    queue_drain(side);
    for (int i = 0; i < PUTTERS; i++) queue_end(side, i);
    must(cohort_queue_close(board->queue), "cohort_queue_close");
    for (int i = PUTTERS; i < PUTTERS + GETTERS; i++) queue_end(side, i);
    for (uint32_t l = 0; l < atomic_load(&board->lane_count); l++) {
        lane_t *lane = atomic_load(&board->lanes[l]);
        uint32_t put = lane ? atomic_load(&lane->put) : 0;
        for (uint32_t i = 0; lane && i < LANE_LENGTH; i++) {
            bool got = atomic_load(&lane->got[i]);
            received += got;
            missing += i < put && !got;
            require(!got || i <= put, "message %u of lane %u was never put", i, l);
        }
    }
    require(missing <= side->dead_getters, "%d messages are missing, and %d receivers were killed",
            missing, side->dead_getters);
    return received;
}

/* ---- barrier -------------------------------------------------------------------------------- */

typedef struct {
    cohort_barrier_t *barrier;
    _Atomic int meetings, told;
} barrier_board_t;

static int meet(void *args) {
    barrier_board_t *board = *(barrier_board_t **)args;
    apr_status_t status;
    apr_size_t index;
    while ((status = cohort_barrier_wait(board->barrier, &index, COHORT_FOREVER)) == APR_SUCCESS) {
        if (index == 0) atomic_fetch_add(&board->meetings, 1);
    }
    require(status == COHORT_EBROKEN, "wait: %d", (int)status);
    atomic_fetch_add(&board->told, 1);
    return 0;
}

typedef struct {
    barrier_board_t *board;
    cohort_process_t *parties[PARTIES];
    int deaths, rounds;
} barrier_side_t;

static void barrier_begin(barrier_side_t *side) {
    if (!side->board) side->board = shared(sizeof *side->board);
    must(cohort_barrier_create(&side->board->barrier, PARTIES, NULL, NULL),
         "cohort_barrier_create");
    atomic_store(&side->board->told, 0);
    for (int i = 0; i < PARTIES; i++)
        side->parties[i] = start("barrier", i + 1, meet, &side->board, sizeof side->board);
}

static void barrier_end(barrier_side_t *side) {
    for (int i = 0; i < PARTIES; i++) finish(side->parties[i]);
    side->deaths += PARTIES - atomic_load(&side->board->told);
    must(cohort_barrier_destroy(side->board->barrier), "cohort_barrier_destroy");
}

static void barrier_look(barrier_side_t *side, int kill) {
    bool all = true;
    if (kill) hit(side->parties[side->rounds++ % PARTIES]);
    for (int i = 0; i < PARTIES; i++) all = all && cohort_process_is_alive(side->parties[i]);
    if (all) return;
    barrier_end(side);
    barrier_begin(side);
}

static int barrier_check(barrier_side_t *side) {
    must(cohort_barrier_abort(side->board->barrier), "cohort_barrier_abort");
    barrier_end(side);
    return atomic_load(&side->board->meetings);
}

/* ---- all of them ---------------------------------------------------------------------------- */

static pool_side_t pool_side;
static queue_side_t queue_side;
static barrier_side_t barrier_side;

static void check_left(const left_t *before) {
    queue_board_t *board = queue_side.board;
    left_t now;
    char text[300];
    must(cohort_pool_destroy(pool_side.pool), "cohort_pool_destroy");
    must(cohort_queue_destroy(board->queue), "cohort_queue_destroy");
    for (uint32_t i = 0; i < LANES; i++)
        must(cohort_free(atomic_load(&board->lanes[i])), "cohort_free");
    must(cohort_free(board), "cohort_free");
    must(cohort_free(barrier_side.board), "cohort_free");
    require(left_as_before(before, &now, (uint64_t)(queue_side.deaths - queue_side.dead_getters)),
            "left in the arena: %s", left_describe(before, &now, text, sizeof text));
}

static bool enough(const char *file, int wanted, apr_pool_t *memory) {
    apr_finfo_t info;
    if (!wanted) return apr_stat(&info, file, APR_FINFO_TYPE, memory) == APR_SUCCESS;
    return pool_side.deaths >= wanted && queue_side.deaths >= wanted &&
           barrier_side.deaths >= wanted;
}

int main(int argc, char **argv) {
    apr_pool_t *memory;
    must(cohort_initialize(NULL), "cohort_initialize");
    require(argc == 2, "usage: kill_load FILE | kill_load DEATHS");
    must(apr_pool_create(&memory, NULL), "apr_pool_create");
    int wanted = atoi(argv[1]);
    left_t before = left_now();
    pool_begin(&pool_side);
    queue_begin(&queue_side);
    barrier_begin(&barrier_side);
    puts("ready");
    fflush(stdout);
    do {
        pool_map(&pool_side, wanted, memory);
        queue_look(&queue_side, wanted);
        barrier_look(&barrier_side, wanted);
        apr_pool_clear(memory);
    } while (!enough(argv[1], wanted, memory));
    int messages = queue_check(&queue_side), meetings = barrier_check(&barrier_side);
    printf(
        "pool %d deaths, %d maps\nqueue %d deaths, %d messages\nbarrier %d deaths, %d meetings\n",
        pool_side.deaths, pool_side.maps, queue_side.deaths, messages, barrier_side.deaths,
        meetings);
    check_left(&before);
    return 0;
}
