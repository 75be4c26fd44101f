/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring from the inside: positions that wrap, deaths at chosen steps of a put and a get, repairs
 * that come twice or too late, and the chain of an unbounded ring. The dead are children that do
 * the first steps of an operation by hand and wait to be killed.
 */
#include "threads.h"

#include "core/object/ring_cells.h"
#include "core/object/holders.h"

#define TAG   COHORT__TAG('T', 'E', 'S', 'T')
#define LARGE 5000 /* bytes of a message out of line */

typedef struct {
    cohort__ring_owner_t owner;
    _Alignas(64) cohort__ring_t ring; /* where a queue has it, so that it is destroyed as one */
    cohort__guard_t guard;
} box_t;

typedef struct {
    box_t *box;
    _Atomic int *ready;
    _Atomic uint64_t *record; /* of the child */
    int step;
    int size;
} args_t;

static box_t *new_box(uint64_t capacity, uint64_t first) {
    cohort__thread_t *me = enter();
    box_t *box = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort__object_new(me, COHORT__KIND_QUEUE, sizeof *box, &box));
    CHECK_STATUS(APR_SUCCESS, cohort__ring_setup(me, &box->ring, &box->guard,
                                                 &box->owner.object.parts[0], capacity, 40, first));
    CHECK(cohort__queue_ring(&box->owner, 0) == &box->ring);
    cohort__object_publish(me, box, TAG, NULL, NULL);
    return box;
}

static cohort__call_t call_on(box_t *box) {
    return (cohort__call_t){enter(), &box->owner.object, atomic_load(&box->owner.object.tag)};
}

static void destroy(box_t *box) {
    cohort__call_t call = call_on(box);
    cohort__ring_owner_destroy(&call, COHORT__KIND_QUEUE);
}

static apr_status_t put_sized(box_t *box, int number, size_t size, bool thorough) {
    cohort__call_t call = call_on(box);
    int message[LARGE] = {number};
    cohort__send_t send = {message, size, false};
    CHECK_STATUS(APR_SUCCESS, cohort__ring_send_begin(&call, &box->ring, &send));
    apr_status_t status = cohort__ring_put(&call, &box->ring, &send, thorough);
    cohort__ring_send_end(&call);
    return status;
}

static apr_status_t put(box_t *box, int number) {
    return put_sized(box, number, sizeof number, true);
}

static apr_status_t get(box_t *box, int *number, bool *returned, bool thorough) {
    cohort__call_t call = call_on(box);
    int message[LARGE];
    cohort__receive_t receive = {
        .how = COHORT__RECEIVE_INTO, .data = message, .capacity = sizeof message};
    apr_status_t status = cohort__ring_get(&call, &box->ring, &receive, thorough);
    *number = message[0];
    if (returned) *returned = receive.returned;
    return status;
}

static void check_get(int expected, bool returned, box_t *box) {
    int number = -1;
    bool came_back = false;
    CHECK_STATUS(APR_SUCCESS, get(box, &number, &came_back, true));
    CHECK_INT(expected, number);
    CHECK_INT(returned, came_back);
}

static void check_empty(box_t *box) {
    int number;
    cohort__call_t call = call_on(box);
    CHECK_STATUS(APR_EAGAIN, get(box, &number, NULL, true));
    CHECK_INT(0, cohort__ring_count(&call, &box->ring));
}

static uint64_t count(box_t *box) {
    cohort__call_t call = call_on(box);
    return cohort__ring_count(&call, &box->ring);
}

/* The heap's blocks, and that it is sound. */
static uint64_t blocks(void) {
    cohort__usage_t usage;
    char why[200] = "";
    if (!cohort__alloc_sound(why, sizeof why)) CHECK_STR("a sound heap", why);
    cohort__alloc_usage(&usage);
    return usage.blocks;
}

/* ---- positions ------------------------------------------------------------------------------ */

static void positions_are_ahead_or_behind(void) {
    for (uint64_t cells = 1; cells < 70; cells++) {
        cohort__segment_t s = {.cells = cells,
                               .limit = COHORT__POSITIONS - COHORT__POSITIONS % cells};
        uint64_t last = s.limit - 1;
        CHECK_INT(0, s.limit % cells);
        CHECK_INT(0, cohort__step(&s, last, 1));
        CHECK_INT(cells - 1, cohort__step(&s, last, cells));
        CHECK(cohort__is_ahead(&s, last, 0));
        CHECK(!cohort__is_ahead(&s, 0, last));
        CHECK(!cohort__is_ahead(&s, last, last));
        CHECK_INT(cells + 1, cohort__ahead(&s, last, cells));
    }
}

static void wraps(uint64_t capacity) {
    uint64_t limit = COHORT__POSITIONS - COHORT__POSITIONS % capacity;
    box_t *box = new_box(capacity, limit - 2 * capacity - 1);
    int in = 0, out = 0;
    while (out < 300) {
        while (put(box, in) == APR_SUCCESS) in++;
        CHECK_INT(out + (int)capacity, in);
        CHECK_INT(capacity, count(box));
        for (int n = 0; n < 1 + out % (int)capacity; n++, out++) check_get(out, false, box);
        CHECK_INT(in - out, count(box));
    }
    CHECK(cohort__head_position(atomic_load(&atomic_load(&box->ring.head)->head)) < 300);
    destroy(box);
}

static void positions_wrap(void) {
    wraps(1);
    wraps(2);
    wraps(3);
    wraps(7);
    wraps(64);
}

/* A bump that was under way when the head went back must not skip what came back. */
static void a_late_bump_fails(void) {
    box_t *box = new_box(4, 0);
    cohort__segment_t *segment = atomic_load(&box->ring.head);
    for (int i = 0; i < 3; i++) CHECK_STATUS(APR_SUCCESS, put(box, i));
    uint64_t seen = atomic_load(&segment->head), bumped = cohort__head_with(seen, 1);
    cohort__ring_rewind(segment, 0);
    CHECK(!atomic_compare_exchange_strong(&segment->head, &seen, bumped));
    for (int i = 0; i < 3; i++) check_get(i, false, box);
    cohort__ring_rewind(segment, 1);
    CHECK_INT(1, cohort__head_position(atomic_load(&segment->head)));
    check_empty(box); /* walks on over what is taken */
    destroy(box);
}

/* ---- the dead ------------------------------------------------------------------------------- */

static _Noreturn void wait_to_be_killed(args_t *a) {
    atomic_store(a->record, atomic_load(&enter()->index));
    atomic_store(a->ready, 1);
    party_wait_for_death();
}

enum { CLAIMED, FILLED, MOVED_OUT, BEFORE_COMMIT };

/* A put up to its claim, or up to just before its publishing step. */
static int die_in_put(void *data) {
    args_t *a = data;
    cohort__call_t call = call_on(a->box);
    cohort__thread_t *me = call.me;
    cohort__segment_t *segment = cohort__segment_hold(&call, &a->box->ring.tail);
    int message[LARGE] = {4711};
    cohort__send_t send = {message, (size_t)a->size, false};
    CHECK_STATUS(APR_SUCCESS, cohort__ring_send_begin(&call, &a->box->ring, &send));
    uint64_t p = atomic_load(&segment->tail);
    uint64_t word = cohort__cell_word(p, 0, COHORT__CELL_FREE);
    cohort__cell_t *cell = cohort__cell_at(segment, p);
    cohort__op_begin(me, COHORT__OP_RING_PUT, segment, p);
    CHECK(atomic_compare_exchange_strong(
        &cell->word, &word, cohort__cell_word(p, cohort__record(me), COHORT__CELL_WRITING)));
    if (a->step == FILLED && send.in_flight) {
        cohort__block_move(me, &me->in_flight[COHORT__IN_FLIGHT_MESSAGE], &cell->block);
        atomic_store(&cell->size, (uint64_t)a->size | COHORT__OUT_OF_LINE);
    }
    wait_to_be_killed(a);
}

static apr_status_t wait_in_get(void *arg) { wait_to_be_killed(arg); }

/* A get up to its commit, or with the block already out of the cell. */
static int die_in_get(void *data) {
    args_t *a = data;
    cohort__call_t call = call_on(a->box);
    int message[LARGE];
    cohort__receive_t r = {.how = COHORT__RECEIVE_INTO,
                           .data = message,
                           .capacity = sizeof message,
                           .claimed = wait_in_get,
                           .arg = a};
    if (a->step == BEFORE_COMMIT) return cohort__ring_get(&call, &a->box->ring, &r, true);
    cohort__segment_t *segment = cohort__segment_hold(&call, &a->box->ring.head);
    uint64_t p = cohort__head_position(atomic_load(&segment->head)),
             word = cohort__cell_word(p, 0, COHORT__CELL_FULL);
    cohort__cell_t *cell = cohort__cell_at(segment, p);
    cohort__op_begin(call.me, COHORT__OP_RING_GET, segment, p);
    CHECK(atomic_compare_exchange_strong(
        &cell->word, &word, cohort__cell_word(p, cohort__record(call.me), COHORT__CELL_READING)));
    if (a->step == MOVED_OUT)
        cohort__block_move(call.me, &cell->block, &call.me->in_flight[COHORT__IN_FLIGHT_MESSAGE]);
    wait_to_be_killed(a);
}

static args_t new_args(uint64_t capacity, int step, int size) {
    args_t a = {new_box(capacity, 0), party_memory(sizeof(int)), party_memory(8), step, size};
    return a;
}

static cohort_process_t *start(args_t *a, cohort_target_t target) {
    cohort_process_t *child = party_start(target, a, sizeof *a);
    party_await(a->ready, 1);
    atomic_store(a->ready, 0);
    return child;
}

static void reap(cohort_process_t *child) {
    party_kill(child);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(child));
}

static void a_writer_dies(uint64_t capacity, int step, int size) {
    args_t a = new_args(capacity, step, size);
    uint64_t before = blocks();
    cohort_process_t *child = start(&a, die_in_put);
    int number;
    CHECK_STATUS(APR_EAGAIN, get(a.box, &number, NULL, true));
    if (capacity == 1) CHECK_STATUS(APR_EAGAIN, put(a.box, 1));
    reap(child);
    CHECK_STATUS(APR_EAGAIN, get(a.box, &number, NULL, true));
    for (int i = 0; i < 3; i++) {
        if (capacity == 0 || capacity > 2 || i < (int)capacity)
            CHECK_STATUS(APR_SUCCESS, put(a.box, i));
    }
    if (capacity) CHECK_INT(capacity < 3 ? capacity : 3, count(a.box));
    for (int i = 0; i < 3; i++) {
        if (capacity == 0 || capacity > 2 || i < (int)capacity) check_get(i, false, a.box);
    }
    check_empty(a.box);
    CHECK_INT(before, blocks());
    destroy(a.box);
}

static void writers_die(void) {
    for (uint64_t capacity = 0; capacity < 4; capacity++) {
        a_writer_dies(capacity, CLAIMED, 4);
        a_writer_dies(capacity, CLAIMED, LARGE);
        a_writer_dies(capacity, FILLED, LARGE);
    }
}

/* The message behind an unfinished one was put no later, and need not wait for it. */
static void a_slow_writer_stops_no_other(void) {
    for (uint64_t capacity = 0; capacity < 9; capacity += 4) {
        args_t a = new_args(capacity, CLAIMED, 4);
        cohort_process_t *child = start(&a, die_in_put);
        for (int round = 0; round < 2; round++) {
            CHECK_STATUS(APR_SUCCESS, put(a.box, round));
            CHECK_STATUS(APR_SUCCESS, put(a.box, 10 + round));
            check_get(round, false, a.box);
            if (round == 0) check_get(10 + round, false, a.box);
            if (capacity == 4) break;
        }
        reap(child);
        if (capacity != 4) check_get(11, false, a.box);
        check_empty(a.box);
        for (uint64_t i = 0; i < capacity; i++) CHECK_STATUS(APR_SUCCESS, put(a.box, (int)i));
        if (capacity) CHECK_STATUS(APR_EAGAIN, put(a.box, 99));
        CHECK_INT(capacity, count(a.box));
        destroy(a.box);
    }
}

static void a_reader_dies(uint64_t capacity, int step, int size) {
    args_t a = new_args(capacity, step, size);
    int number;
    CHECK_STATUS(APR_SUCCESS, put_sized(a.box, 1, (size_t)size, true));
    uint64_t before = blocks();
    cohort_process_t *child = start(&a, die_in_get);
    CHECK_STATUS(APR_EAGAIN, get(a.box, &number, NULL, true));
    if (capacity != 1) {
        CHECK_STATUS(APR_SUCCESS, put(a.box, 2));
        check_get(2, false, a.box);
    }
    reap(child);
    check_get(1, true, a.box);
    CHECK_INT(size > 40 ? before - 1 : before, blocks());
    check_empty(a.box);
    CHECK_STATUS(APR_SUCCESS, put(a.box, 3));
    check_get(3, false, a.box); /* the mark does not stay with the cell */
    check_empty(a.box);
    destroy(a.box);
}

static void readers_die(void) {
    for (uint64_t capacity = 0; capacity < 4; capacity++) {
        a_reader_dies(capacity, CLAIMED, 4);
        a_reader_dies(capacity, CLAIMED, LARGE);
        a_reader_dies(capacity, MOVED_OUT, LARGE);
        a_reader_dies(capacity, BEFORE_COMMIT, 4);
        a_reader_dies(capacity, BEFORE_COMMIT, LARGE);
    }
}

/* Others are a lap ahead by the time that the message comes back. */
static void a_message_comes_back_late(void) {
    args_t a = new_args(4, BEFORE_COMMIT, 4);
    CHECK_STATUS(APR_SUCCESS, put(a.box, 1));
    cohort_process_t *child = start(&a, die_in_get);
    for (int i = 2; i < 5; i++) CHECK_STATUS(APR_SUCCESS, put(a.box, i));
    CHECK_STATUS(APR_EAGAIN, put(a.box, 5)); /* its cell is still being read */
    check_get(2, false, a.box);
    reap(child);
    CHECK_INT(3, count(a.box));
    CHECK_STATUS(APR_EAGAIN, put(a.box, 5));
    check_get(1, true, a.box);
    CHECK_STATUS(APR_SUCCESS, put(a.box, 5));
    for (int i = 3; i < 6; i++) check_get(i, false, a.box);
    check_empty(a.box);
    destroy(a.box);
}

/* ---- repairs -------------------------------------------------------------------------------- */

static void a_put_is_undone_once(void) {
    box_t *box = new_box(3, 0);
    cohort__thread_t *me = enter();
    cohort__segment_t *segment = atomic_load(&box->ring.tail);
    cohort__cell_t *cell = cohort__cell_at(segment, 0);
    cohort__op_begin(me, COHORT__OP_RING_PUT, segment, 0);
    atomic_store(&cell->word, cohort__cell_word(0, cohort__record(me), COHORT__CELL_WRITING));
    cohort__ring_repair(me);
    cohort__ring_repair(me);
    CHECK_INT(cohort__free_again(segment, 0), atomic_load(&cell->word));
    cohort__op_end(me);
    for (int i = 0; i < 3; i++) CHECK_STATUS(APR_SUCCESS, put(box, i));
    for (int i = 0; i < 3; i++) check_get(i, false, box);
    check_empty(box);
    destroy(box);
}

/* A thread that has put or taken and dies before it has raised the tail or the head. */
static void the_repair_raises_tail_and_head(void) {
    box_t *box = new_box(4, 0);
    cohort__thread_t *me = enter();
    cohort__segment_t *segment = atomic_load(&box->ring.tail);
    for (int i = 0; i < 3; i++) CHECK_STATUS(APR_SUCCESS, put(box, i));
    atomic_store(&segment->tail, 1); /* as a run of puts leaves it */
    cohort__op_begin(me, COHORT__OP_RING_PUT, segment, 2);
    cohort__ring_repair(me);
    cohort__op_end(me);
    CHECK_INT(3, count(box));
    for (int i = 0; i < 2; i++) check_get(i, false, box);
    atomic_store(&segment->head, 0);
    cohort__op_begin(me, COHORT__OP_RING_GET, segment, 1);
    cohort__ring_repair(me);
    cohort__op_end(me);
    CHECK_INT(1, count(box));
    check_get(2, false, box);
    check_empty(box);
    destroy(box);
}

/* The first repairer died after the message was back, but before the head was. */
static void a_repair_is_finished_by_the_next(void) {
    box_t *box = new_box(3, 0);
    cohort__thread_t *me = enter();
    cohort__segment_t *segment = atomic_load(&box->ring.tail);
    for (int i = 0; i < 2; i++) CHECK_STATUS(APR_SUCCESS, put(box, i));
    cohort__op_begin(me, COHORT__OP_RING_GET, segment, 0);
    atomic_store(&segment->head, 1);
    cohort__ring_repair(me);
    cohort__op_end(me);
    for (int i = 0; i < 2; i++) check_get(i, false, box);
    check_empty(box);
    destroy(box);
}

/* ---- the chain ------------------------------------------------------------------------------ */

/* A message comes back into a segment that all others have left behind. */
static void a_reader_dies_segments_ago(void) {
    args_t a = new_args(0, BEFORE_COMMIT, 4);
    int in = 0, out = 1;
    CHECK_STATUS(APR_SUCCESS, put(a.box, in++));
    uint64_t before = blocks();
    cohort_process_t *child = start(&a, die_in_get);
    for (; in < 3000; in++) CHECK_STATUS(APR_SUCCESS, put(a.box, in));
    for (; out < 2900; out++) check_get(out, false, a.box);
    CHECK_INT(100, count(a.box));
    reap(child);
    CHECK_INT(101, count(a.box));
    check_get(0, true, a.box);
    for (; out < 3000; out++) check_get(out, false, a.box);
    check_empty(a.box);
    CHECK(blocks() <= before + 2); /* the first segments are gone */
    destroy(a.box);
}

static void a_writer_dies_segments_ago(void) {
    args_t a = new_args(0, FILLED, LARGE);
    cohort_process_t *child = start(&a, die_in_put);
    for (int i = 0; i < 2000; i++) CHECK_STATUS(APR_SUCCESS, put(a.box, i));
    for (int i = 0; i < 1500; i++) check_get(i, false, a.box);
    reap(child);
    CHECK_INT(500, count(a.box));
    for (int i = 1500; i < 2000; i++) check_get(i, false, a.box);
    check_empty(a.box);
    destroy(a.box);
}

static int announce_and_stay(void *data) {
    args_t *a = data;
    cohort__call_t call = call_on(a->box);
    CHECK(cohort__segment_hold(&call, &a->box->ring.head) != NULL);
    wait_to_be_killed(a);
}

/* What a thread may be about to touch is not freed; after that one's death it is. */
static void an_announced_segment_stays(void) {
    args_t a = new_args(0, 0, 0);
    cohort_process_t *child = start(&a, announce_and_stay);
    cohort__segment_t *first = atomic_load(&a.box->ring.head);
    for (int i = 0; i < 2000; i++) {
        CHECK_STATUS(APR_SUCCESS, put(a.box, i));
        check_get(i, false, a.box);
    }
    CHECK(atomic_load(&a.box->ring.head) != first);
    CHECK(atomic_load(&a.box->ring.parts[0]) == first);
    reap(child);
    for (int i = 0; i < 2000; i++) {
        CHECK_STATUS(APR_SUCCESS, put(a.box, i));
        check_get(i, false, a.box);
    }
    CHECK(atomic_load(&a.box->ring.parts[0]) == atomic_load(&a.box->ring.head));
    destroy(a.box);
}

/* The oldest segment is taken off in two moves; after a death in between, the next one that needs
 * the chain does the second. */
static void a_half_done_unlinking_is_finished(void) {
    box_t *box = new_box(0, 0);
    cohort__thread_t *me = enter();
    uint64_t before = blocks();
    cohort__segment_t *first = atomic_load(&box->ring.head);
    int cells = (int)first->cells;
    for (int i = 0; i <= cells; i++) CHECK_STATUS(APR_SUCCESS, put(box, i));
    for (int i = 0; i < cells; i++) check_get(i, false, box);
    atomic_store(&box->ring.head, atomic_load(&first->next));
    cohort__block_move(me, &box->ring.parts[0], &box->ring.parts[1]);
    for (int i = cells + 1; i < 5 * cells; i++) CHECK_STATUS(APR_SUCCESS, put(box, i));
    for (int i = cells; i < 5 * cells; i++) check_get(i, false, box);
    check_empty(box);
    CHECK(blocks() <= before + 2);
    destroy(box);
}

/* ---- destruction ---------------------------------------------------------------------------- */

static int die_in_destroy(void *data) {
    args_t *a = data;
    cohort__thread_t *me = enter();
    cohort__op_begin(me, COHORT__OP_DESTROY, a->box, 0);
    atomic_store(&a->box->owner.destroyer, cohort__thread_id(me));
    if (a->step) atomic_store(&a->box->owner.object.tag, 0);
    wait_to_be_killed(a);
}

static void destroyers_die(void) {
    uint64_t before = 0;
    for (int i = 0; i < 6; i++) {
        args_t a = new_args(i % 2 ? 0 : 300, i / 2, 0);
        for (int n = 0; n < 300; n++)
            CHECK_STATUS(APR_SUCCESS, put_sized(a.box, n, n % 10 ? 4 : LARGE, true));
        cohort_process_t *child = start(&a, die_in_destroy);
        reap(child);
        CHECK(!cohort__block_is(a.box, COHORT__KIND_QUEUE));
        CHECK_STATUS(APR_SUCCESS, cohort_free((void *)a.ready));
        CHECK_STATUS(APR_SUCCESS, cohort_free((void *)a.record));
        if (i == 0) before = blocks();
    }
    CHECK_INT(before, blocks());
}

/* Destruction does not wait for those that died inside. */
static void destroyed_around_the_dead(void) {
    args_t a = new_args(3, CLAIMED, LARGE);
    cohort_process_t *writer = start(&a, die_in_put);
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(writer));
    destroy(a.box);
    CHECK(!cohort__block_is(a.box, COHORT__KIND_QUEUE));
    party_end(writer, -9);
}

/* ---- holder tables -------------------------------------------------------------------------- */

typedef struct {
    cohort__object_t object;
    cohort__guard_t guard;
    cohort__holders_t holders;
} listed_t;

static listed_t *new_listed(cohort__thread_t *me) {
    listed_t *l = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort__object_new(me, COHORT__KIND_SYNC, sizeof *l, &l));
    cohort__holders_setup(&l->holders, &l->object.parts[1]);
    cohort__object_publish(me, l, TAG, NULL, NULL);
    return l;
}

static uint64_t sum_of(cohort__holders_t *holders) {
    uint64_t sum = 0;
    for (cohort__holder_t *e = NULL; (e = cohort__holders_next(holders, e)) != NULL;)
        sum += atomic_load(&e->value);
    return sum;
}

static void a_holder_table_grows(void) {
    cohort__thread_t *me = enter();
    listed_t *l = new_listed(me);
    uint64_t value = 0;
    for (uint64_t id = 1; id <= 1000; id++) {
        cohort__guard_enter(&l->guard, me);
        CHECK(cohort__holders_find(&l->holders, id) == NULL);
        CHECK_STATUS(APR_SUCCESS, cohort__holders_add(&l->holders, &l->guard, me, id, id, NULL));
        cohort__guard_leave(&l->guard);
    }
    CHECK_INT(500500, sum_of(&l->holders));
    CHECK(cohort__holders_peek(&l->holders, 3, &value));
    CHECK_INT(3, value);
    cohort__guard_enter(&l->guard, me);
    cohort__holder_t *e = cohort__holders_find(&l->holders, 700);
    cohort__holders_set(&l->guard, e, 7);
    cohort__holders_remove(&l->guard, cohort__holders_find(&l->holders, 900));
    cohort__guard_leave(&l->guard);
    CHECK_INT(500500 - 693 - 900, sum_of(&l->holders));
    CHECK(cohort__holders_find(&l->holders, 900) == NULL);
    cohort__object_end(l, TAG);
    cohort__object_free(me, l);
}

typedef struct {
    listed_t *listed;
    _Atomic int *ready;
} listing_t;

static int die_in_add(void *data) {
    listing_t *l = data;
    cohort__guard_enter(&l->listed->guard, enter());
    CHECK_STATUS(APR_SUCCESS, cohort__holders_add(&l->listed->holders, &l->listed->guard, enter(),
                                                  999, 999, NULL));
    atomic_store(l->ready, 1);
    party_wait_for_death();
}

/* Also when the addition made the holder table grow: the next owner finds it as it was. */
static void an_unfinished_addition_is_undone(void) {
    cohort__thread_t *me = enter();
    listing_t l = {new_listed(me), party_memory(sizeof(int))};
    for (uint64_t id = 1; id <= 60; id++) {
        cohort__guard_enter(&l.listed->guard, me);
        CHECK(cohort__holders_find(&l.listed->holders, 999) == NULL);
        CHECK_INT(id * (id - 1) / 2, sum_of(&l.listed->holders));
        CHECK_STATUS(APR_SUCCESS,
                     cohort__holders_add(&l.listed->holders, &l.listed->guard, me, id, id, NULL));
        cohort__guard_leave(&l.listed->guard);
        if (id != 6 && id != 7 && id != 22 && id != 54) continue; /* where it is full, and not */
        atomic_store(l.ready, 0);
        cohort_process_t *child = party_start(die_in_add, &l, sizeof l);
        party_await(l.ready, 1);
        reap(child);
    }
    cohort__object_end(l.listed, TAG);
    cohort__object_free(me, l.listed);
    (void)blocks();
}

const test_case_t ring_cases[] = {
    {"Ring", "positions_are_ahead_or_behind", positions_are_ahead_or_behind},
    {"Ring", "positions_wrap", positions_wrap},
    {"Ring", "a_late_bump_fails", a_late_bump_fails},
    {"Ring", "writers_die", writers_die},
    {"Ring", "a_slow_writer_stops_no_other", a_slow_writer_stops_no_other},
    {"Ring", "readers_die", readers_die},
    {"Ring", "a_message_comes_back_late", a_message_comes_back_late},
    {"Ring", "a_put_is_undone_once", a_put_is_undone_once},
    {"Ring", "the_repair_raises_tail_and_head", the_repair_raises_tail_and_head},
    {"Ring", "a_repair_is_finished_by_the_next", a_repair_is_finished_by_the_next},
    {"Ring", "a_reader_dies_segments_ago", a_reader_dies_segments_ago},
    {"Ring", "a_writer_dies_segments_ago", a_writer_dies_segments_ago},
    {"Ring", "an_announced_segment_stays", an_announced_segment_stays},
    {"Ring", "a_half_done_unlinking_is_finished", a_half_done_unlinking_is_finished},
    {"Ring", "destroyers_die", destroyers_die},
    {"Ring", "destroyed_around_the_dead", destroyed_around_the_dead},
    {"Ring", "a_holder_table_grows", a_holder_table_grows},
    {"Ring", "an_unfinished_addition_is_undone", an_unfinished_addition_is_undone},
    {0},
};
