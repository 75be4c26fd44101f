/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The load of the random kills: what the processes do all at once while they are killed, and what
 * each writes down, in memory of the arena, so that it can be said afterwards whether anything was
 * lost, doubled, torn or left.
 *
 * Each process has a place, which is filled again when it is killed. It says in its place when it
 * is inside a call of which a killed process cannot write down the outcome any more ("open"): at
 * most one message, or one block, may be missing for each that was killed there.
 */
#ifndef COHORT_TESTS_RANDOM_LOAD_H
#define COHORT_TESTS_RANDOM_LOAD_H

#include <cohort/cohort.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LANES         4 /* a small queue, an unbounded one, a joinable one, a pipe */
#define PIPE_LANE     3
#define JOINABLE_LANE 2
#define PER_LANE      1500 /* messages of one producer */
#define PARTIES       3
#define PERMITS       2
#define LEDGER        12 /* blocks that an allocator keeps */
#define PLACES        22
#define LETTERS       4096 /* their numbers are counted by */

/* A producer's own account. It outlives the producer, and messages point at it. */
typedef struct account_t {
    struct account_t *next; /* root's */
    uint32_t number;
    struct {
        /* messages that it began to put, and those that are surely there */
        _Atomic uint32_t begun, done;
        _Atomic uint8_t got[PER_LANE];
    } lane[LANES];
} account_t;

typedef enum {
    PRODUCER,
    CONSUMER,
    PARTY,
    LOCKER,
    WAITER,
    NOTIFIER,
    SUBMITTER,
    ALLOCATOR,
    STARTER,
    MAILER,
    KINDS
} kind_t;

enum { SHUT, OPEN_MESSAGE = 1, OPEN_BLOCK = 2 }; /* both: it gets a message as a block */

typedef struct {
    kind_t kind;
    _Atomic int open;
    _Atomic uint32_t open_lane;
    _Atomic uint64_t progress;
    _Atomic(void *) ledger[LEDGER];
    /* root's */
    cohort_process_t *process;
    account_t *account;
    uint64_t lives;
} place_t;

typedef struct {
    _Atomic int stop, failed;
    cohort_queue_t *queues[PIPE_LANE];
    cohort_connection_t *receiver, *sender;
    cohort_barrier_t *barrier;
    _Atomic uint32_t barrier_round; /* a party that found it broken waits for the next */
    _Atomic uint64_t meetings, met;
    cohort_lock_t *lock;
    cohort_rlock_t *rlock;
    _Atomic uint64_t a, b, c, d; /* a == b under the lock, c == d under the other */
    cohort_semaphore_t *semaphore;
    cohort_condition_t *condition;
    _Atomic uint64_t tokens;
    cohort_event_t *event;
    cohort_pool_t *pool;
    cohort_queue_t *mail; /* of letters with a parcel each */
    _Atomic uint64_t mailed;
    _Atomic uint8_t taken[LETTERS]; /* of each, how often its parcel was */
    place_t places[PLACES];
} board_t;

/* What a process is told at its start. */
typedef struct {
    board_t *board;
    uint32_t place;
    uint64_t seed;
} orders_t;

/* A deterministic sequence of numbers. */
typedef struct {
    uint64_t state;
} dice_t;
uint64_t roll(dice_t *dice);
uint64_t roll_below(dice_t *dice, uint64_t limit);

/* Something does not hold. Says so, and lets the run fail; returns. */
void violation(board_t *board, const char *format, ...);
#define MUST(board, condition, ...) ((condition) ? (void)0 : violation(board, __VA_ARGS__))

/* The body of every process of the load. */
int load_run(void *orders);
/* One message of a lane, looked at and written down; false: none there. */
bool load_take(board_t *board, place_t *place, uint32_t lane, dice_t *dice,
               apr_interval_time_t timeout);
/* The tasks: `item` + 1 into the output; every 97th fails with status 77. */
typedef struct {
    _Atomic uint32_t *runs; /* counts how often the item ran; may be NULL */
    uint32_t item;
} job_t;
apr_status_t load_task(const void *input, void *output);
/* The same for inputs with a size each; so have the outputs, each byte of which is the item. */
apr_status_t load_bytes(const void *input, void *output);
static inline apr_size_t load_bytes_size(uint32_t item) {
    return item % 20 == 7 ? 70000 : item % 50 * 90;
}
/* A job of n items with one of the three tasks; outputs are left to the result. */
typedef enum { LOAD_TASK, LOAD_RANGE, LOAD_BYTES } load_kind_t;
cohort_job_t load_order(load_kind_t kind, job_t *items, cohort_bytes_t *inputs, uint32_t n);
/* Get the outputs of load_bytes: some are taken, and the rest is handed over; all that came is
 * freed. A right one counts as its item + 1, another as 0. */
apr_status_t load_get_bytes(board_t *board, cohort_result_t *result, uint32_t *outputs, uint32_t n);
/* The same for a range of items; it fails if one of them does. */
apr_status_t load_range(const void *inputs, void *outputs, apr_size_t first, apr_size_t last);
#define TASK_FAILS 77

#endif
