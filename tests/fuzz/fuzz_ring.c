/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue with any values in its words: those of its cells, its hints, and the record of a
 * dead thread that a survivor repairs. The input is a list of operations, among them writing a
 * word. Whatever it is, each call comes back with a status, nothing outside of what belongs to the
 * queue is read or written, and the queue can be destroyed. What cannot be defended against is not
 * tried: a segment's own measures, links and owner pointers.
 */
#include "fuzz.h"

#include "core/memory/arena.h"
#include "core/object/ring_cells.h"

#include <apr_general.h>
#include <apr_thread_proc.h>
#include <cohort/cohort.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BIG 5000
/* of blocks that are lost: time for a new arena */
#define FULL ((apr_uint64_t)100 << 20)

typedef struct {
    const uint8_t *at, *end;
} input_t;

static unsigned byte(input_t *in) { return in->at < in->end ? *in->at++ : 0; }

static uint64_t word(input_t *in) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value = value << 8 | byte(in);
    return value;
}

/* ---- the dead thread: a record that has an owner, but a thread that does nothing more ------- */

static cohort__thread_t *dead;
static cohort_queue_t *queue;
static apr_pool_t *pool, *copies;
static char room[BIG + 8];

static void *APR_THREAD_FUNC leave_record(apr_thread_t *thread, void *unused) {
    cohort__thread_t *me;
    (void)thread, (void)unused;
    if (cohort__enter(&me)) abort();
    cohort_os_thread_mark(NULL);
    dead = me;
    return NULL;
}

static void begin(void) {
    apr_thread_t *thread;
    apr_status_t status;
    if (cohort_initialize(&(cohort_options_t){.arena_size = (apr_uint64_t)256 << 20})) abort();
    if (apr_pool_create(&pool, NULL) || apr_pool_create(&copies, NULL) ||
        apr_thread_create(&thread, NULL, leave_record, NULL, pool))
        abort();
    (void)apr_thread_join(&status, thread);
}

static void begin_anew_if_full(void) {
    cohort_arena_usage_t usage;
    if (cohort_arena_usage(&usage)) abort();
    if (usage.used < FULL) return;
    apr_pool_destroy(copies);
    apr_pool_destroy(pool);
    cohort_finalize();
    begin();
}

/* ---- operations ----------------------------------------------------------------------------- */

static void check(apr_status_t status) {
    static const apr_status_t clear[] = {APR_SUCCESS,      APR_EAGAIN,      APR_ENOMEM,
                                         COHORT_ETOOSMALL, COHORT_EDAMAGED, COHORT_EOVERRELEASE,
                                         APR_EINVAL,       COHORT_EHANDLE,  COHORT_ECLOSED};
    for (size_t i = 0; i < sizeof clear / sizeof *clear; i++)
        if (status == clear[i]) return;
    fprintf(stderr, "status %d\n", (int)status);
    abort();
}

static void put(input_t *in) { check(cohort_queue_put(queue, room, byte(in), 0)); }
static void put_large(input_t *in) { check(cohort_queue_put(queue, room, BIG - byte(in), 0)); }

static void put_many(input_t *in) {
    cohort_message_t messages[20];
    apr_size_t done, n = byte(in) % 20 + 1;
    for (apr_size_t i = 0; i < n; i++)
        messages[i] = (cohort_message_t){.data = room, .size = byte(in) % 3 ? 8 : 200};
    check(cohort_queue_put_many(queue, messages, n, &done, 0));
}

static void get(input_t *in) {
    apr_size_t size, capacity = byte(in) % 2 ? BIG : 8;
    apr_status_t status = cohort_queue_get(queue, room, capacity, &size, 0);
    check(status);
    if (!status && size > capacity) abort();
}

static void get_copy(input_t *in) {
    void *data;
    apr_size_t size;
    (void)in;
    apr_status_t status = cohort_queue_get_copy(queue, &data, &size, 0, copies);
    check(status);
    if (!status && ((char *)data)[size] != 0) abort();
    apr_pool_clear(copies);
}

static void get_block(input_t *in) {
    void *block;
    apr_size_t size;
    (void)in;
    apr_status_t status = cohort_queue_get_block(queue, &block, &size, 0);
    check(status);
    if (status) return;
    if (cohort__block_size(block) < size) abort();
    check(cohort_free(block));
}

static void get_many(input_t *in) {
    static char rooms[20][64];
    cohort_message_t messages[20];
    apr_size_t done, n = byte(in) % 20 + 1;
    for (apr_size_t i = 0; i < n; i++)
        messages[i] = (cohort_message_t){.data = rooms[i], .capacity = sizeof rooms[i]};
    check(cohort_queue_get_many(queue, messages, n, &done, 0));
}

static void look(input_t *in) {
    (void)in;
    (void)cohort_queue_size(queue);
    (void)cohort_queue_is_full(queue);
    check(cohort_queue_task_done(queue));
    check(cohort_queue_join(queue, 0));
}

static cohort__ring_t *ring(void) { return cohort__queue_ring((cohort__ring_owner_t *)queue, 0); }
static cohort__segment_t *segment(void) { return atomic_load(&ring()->tail); }
static cohort__cell_t *cell(input_t *in) { return cohort__cell_at(segment(), byte(in)); }

/* Mostly something that could be true: a position near by, a record that exists, a step that there
 * is. */
static uint64_t some_word(input_t *in) {
    unsigned how = byte(in);
    if (how % 4 == 0) return word(in);
    uint64_t near = atomic_load(&segment()->tail) + byte(in) - 16;
    uint32_t owner = how % 4 == 1 ? cohort__record(dead) : byte(in);
    return cohort__cell_word(near & (COHORT__POSITIONS - 1), owner,
                             (cohort__cell_step_t)(how >> 2 & 7));
}

static void write_cell(input_t *in) {
    cohort__cell_t *s = cell(in);
    atomic_store(&s->word, some_word(in));
}

static void write_size(input_t *in) {
    cohort__cell_t *s = cell(in);
    unsigned how = byte(in);
    uint64_t size = how & 1 ? word(in) : byte(in) * 64u;
    atomic_store(&s->size,
                 size | (how & 2 ? COHORT__OUT_OF_LINE : 0) | (how & 4 ? COHORT__RETURNED : 0));
}

static void *some_pointer(input_t *in) {
    switch (byte(in) % 7) {
    case 0: return NULL;
    case 1: return queue;
    case 2: return segment();
    case 3: return atomic_load(&cell(in)->block);
    case 4: return (char *)cohort__arena + word(in) % cohort__arena->size;
    case 5: return (void *)(uintptr_t)word(in);
    default: return (char *)segment() + byte(in);
    }
}

/* A block has one owner pointer, so not the segment itself, which has one. */
static void write_block(input_t *in) {
    void *block = some_pointer(in);
    cohort__cell_t *s = cell(in);
    if (block != segment() &&
        !(cohort__block_is(block, COHORT__KIND_BYTES) && block != atomic_load(&s->block)))
        atomic_store(&s->block, block);
}

static void write_hint(input_t *in) {
    unsigned how = byte(in);
    uint64_t value = how & 1 ? word(in) : byte(in);
    if (how & 2) atomic_store(&segment()->head, value);
    else atomic_store(&segment()->tail, value);
}

/* The dead thread was putting, getting, looking, or something that there is not. */
static void repair(input_t *in) {
    unsigned how = byte(in);
    cohort__op_kind_t kind = how % 4 == 0   ? COHORT__OP_RING_PUT
                             : how % 4 == 1 ? COHORT__OP_RING_GET
                             : how % 4 == 2 ? COHORT__OP_LOOK
                                            : 77;
    atomic_store(&dead->op_object, how & 16 ? some_pointer(in) : segment());
    atomic_store(&dead->op_position,
                 how & 32 ? word(in) : atomic_load(&segment()->tail) + byte(in) - 16);
    atomic_store(&dead->op, kind);
    cohort__ring_repair(dead);
    cohort__op_end(dead);
}

/* What is in it comes out, as far as there is sense in it. */
static void drain(void) {
    apr_size_t size;
    check(cohort_queue_close(queue));
    for (int n = 0; n < 100; n++) {
        apr_status_t status = cohort_queue_get(queue, room, BIG, &size, 0);
        check(status);
        if (status == COHORT_ECLOSED) check(cohort_queue_discard(queue));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const operations[])(input_t * in) = {
        put,        put_large,  put_many,   get,         get_copy,   get_block, get_many, look,
        write_cell, write_cell, write_size, write_block, write_hint, repair,    repair};
    input_t in = {data, data + size};
    if (!pool) begin();
    begin_anew_if_full();
    unsigned capacity = byte(&in), shape = byte(&in);
    cohort_queue_options_t options = {
        .capacity = capacity % 10, .message_size = shape & 1 ? 16 : 0, .joinable = shape >> 1 & 1};
    if (cohort_queue_create(&queue, &options, NULL)) abort();
    for (int n = 0; in.at < in.end && n < 200; n++)
        operations[byte(&in) % (sizeof operations / sizeof *operations)](&in);
    if (shape & 4) drain();
    if (cohort_queue_destroy(queue)) abort();
    return 0;
}
