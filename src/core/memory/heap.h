/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The heap, for the files that it consists of. Guarantee: whatever process dies at whatever
 * instruction, every block is either owned by its one owner pointer (or the user) or free, and free
 * blocks are found again.
 *
 * The heap is a row of 64 KiB spans, each described by one word (span.h): a slab of equal blocks,
 * or the first or a later span of a large block or of a free row. Small blocks: each thread owns a
 * few slabs per size class and takes blocks from one of them; `used` bits are written by the owner
 * alone, with plain stores, so the fast path has no atomic read-modify-write, and two processes do
 * not meet in it. All other threads free by setting a bit in `freed`, which the owner collects when
 * it runs out. When all its slabs are full it lets one go, which is found again through the
 * `partial` bits once something in it was freed.
 *
 * Deaths: a thread notes in its record (intent.h) which block it is about to make, free or move,
 * before it does. A repairer finishes or undoes it. That is unambiguous because the block cannot
 * change hands meanwhile: slabs of a dead thread are let go only after its repair, a collector
 * leaves alone what another thread intends to free, and the word of a large block names the thread
 * that is making or freeing it. The spans of a large block that was not made yet, or is freed
 * already, may serve others before the repair, as a slab even; so the intent says that it is about
 * a large block, and the word must agree. Spans are taken and freed under a guard. Free ones lie in
 * rows, described by the word of the first as a large block is, so neither takes longer the larger
 * the block. What is being taken is noted in the heap.
 */
#ifndef COHORT_CORE_HEAP_H
#define COHORT_CORE_HEAP_H

#include "core/base/bits.h"
#include "core/memory/alloc.h"
#include "core/memory/arena.h"
#include "core/memory/span.h"
#include "core/memory/intent.h"

#define COHORT__SLAB_WORDS   32u /* of a bitmap: 2048 blocks of 32 bytes */
#define COHORT__BYTE_CLASSES 32
#define COHORT__SMALL_MAX    32768u /* the largest blocks of slabs */
#define COHORT__TINY         1024u  /* up to here classes are told apart by units of 16 bytes */
#define COHORT__UNIT         64u    /* and from there on by these */
#define COHORT__HEAP_GROUPS  65536u

/* What is known of the blocks of a slab. */
typedef struct {
    _Atomic uint64_t used[COHORT__SLAB_WORDS];
    _Atomic uint64_t freed[COHORT__SLAB_WORDS];
    _Alignas(64) _Atomic uint32_t first; /* no free block before this word of `used`; the owner's */
} cohort__slab_t;

typedef struct {
    cohort__guard_t guard;
    _Atomic uint64_t top;                 /* spans ever used */
    _Atomic uint64_t cursor;              /* where the next search begins */
    _Atomic uint64_t ready;               /* about how many free spans keep their memory */
    _Atomic uint64_t busy_at, busy_count; /* free spans, of which some are being taken */
    _Atomic uint64_t ready_top;           /* tables are committed for so many spans */
    uint64_t spans, heads_at, partial_at, meta_at, data_at;
    uint64_t group; /* two to the power of this spans are one */
    /* a bit for each group: slabs of objects, which stay for ever, may be in it */
    _Atomic uint64_t objects[COHORT__HEAP_GROUPS / 64];
} cohort__heap_t;

/* What every call needs, kept by each process: where the tables lie, what is known of each class,
 * and the class for each size in units. */
typedef struct {
    cohort__heap_t *heap;
    _Atomic uint64_t *partial;
    cohort__slab_t *slabs;
    struct {
        uint32_t size, blocks;
        /* the multiplier that stands for a division by the size, exact for what fits into a
         * span */
        uint64_t inverse;
    } classes[COHORT__CLASSES_MAX];
    uint8_t class_of_16[COHORT__TINY / 16 + 1];
    uint8_t class_of_unit[COHORT__SMALL_MAX / COHORT__UNIT + 1];
} cohort__heap_here_t;
extern COHORT__HIDDEN cohort__heap_here_t cohort__here;

static inline cohort__heap_t *cohort__heap(void) { return cohort__here.heap; }
static inline uint64_t cohort__load(_Atomic uint64_t *word) {
    return atomic_load_explicit(word, memory_order_acquire);
}
static inline void cohort__store(_Atomic uint64_t *word, uint64_t value) {
    atomic_store_explicit(word, value, memory_order_release);
}
static inline uint64_t cohort__heap_round(uint64_t value, uint64_t unit) {
    return (value + unit - 1) / unit * unit;
}

/* ---- spans ---------------------------------------------------------------------------------- */

static inline _Atomic uint64_t *cohort__span_place(uint64_t span) {
    return cohort__spans.heads + span;
}
static inline uint64_t cohort__span_word(uint64_t span) {
    return cohort__load(cohort__span_place(span));
}
static inline void cohort__span_become(uint64_t span, uint64_t word) {
    cohort__store(cohort__span_place(span), word);
}
static inline char *cohort__span_data(uint64_t span) {
    return cohort__spans.data + span * COHORT__SPAN;
}
/* The span in which the block lies; false: in none. */
static inline bool cohort__span_at(const void *block, uint64_t *span) {
    cohort__heap_t *h = cohort__heap();
    const char *data = cohort__span_data(0);
    if ((const char *)block < data ||
        (const char *)block >= data + cohort__load(&h->top) * COHORT__SPAN)
        return false;
    *span = (uint64_t)((const char *)block - data) / COHORT__SPAN;
    return true;
}

/* ---- slabs ---------------------------------------------------------------------------------- */

static inline cohort__slab_t *cohort__slab_at(uint64_t span) { return cohort__here.slabs + span; }
/* One bit per span and class, 64 spans' words of all classes side by side: "unowned, and may have
 * room". */
static inline _Atomic uint64_t *cohort__slab_partial(uint64_t span, unsigned class) {
    return cohort__here.partial + span / 64 * COHORT__CLASSES_MAX + class;
}
static inline uint32_t cohort__class_size(unsigned class) {
    return cohort__here.classes[class].size;
}
/* Blocks in a slab of the class. */
static inline uint32_t cohort__class_blocks(unsigned class) {
    return cohort__here.classes[class].blocks;
}
/* Which block of a slab is at this offset, or before it. */
static inline uint32_t cohort__class_index(unsigned class, uint32_t offset) {
    return (uint32_t)(offset * cohort__here.classes[class].inverse >> 32);
}
/* The bits of this word of a bitmap that stand for blocks. */
static inline uint64_t cohort__class_bits(unsigned class, unsigned word) {
    uint32_t blocks = cohort__class_blocks(class), first = word * 64;
    if (first >= blocks) return 0;
    return blocks - first >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << (blocks - first)) - 1;
}

/* Where a small block lies, and which bit of which word of the bitmaps stands for it. */
typedef struct {
    uint64_t span;
    unsigned class, word;
    uint64_t bit;
} cohort__place_t;

/* False when it is no start of a small block. `head`: the span's word. */
static inline bool cohort__place(const void *block, uint64_t head, uint64_t span,
                                 cohort__place_t *p) {
    if (cohort__span_kind(head) != COHORT__HEAP_SLAB) return false;
    unsigned class = cohort__span_class(head);
    uint32_t offset = (uint32_t)((const char *)block - cohort__span_data(span)),
             index = cohort__class_index(class, offset);
    if (index * cohort__class_size(class) != offset || index >= cohort__class_blocks(class))
        return false;
    *p = (cohort__place_t){span, class, index / 64, (uint64_t)1 << index % 64};
    return true;
}

/* Where the thread's record names the slab that it takes blocks of this class from. */
static inline _Atomic uint32_t *cohort__slab_current(cohort__thread_t *me, unsigned class) {
    return &me->slabs[class][me->slab[class]];
}
/* Have the thread's current slab of the class be one with room. */
COHORT__APART apr_status_t cohort__slab_refill(cohort__thread_t *me, unsigned class);
/* The owner takes back what others freed. Also finishes what a dead owner left half collected. True
 * when there is room. */
bool cohort__slab_collect(uint64_t span, unsigned class);
/* Into a vacant place of the record, which names it before it is owned. False: another thread's. */
bool cohort__slab_claim(cohort__thread_t *me, _Atomic uint32_t *vacant, uint64_t span,
                        unsigned class);
/* The owner lets go of the slab in `*mine`; `room`: others should find it. */
void cohort__slab_release(cohort__thread_t *me, _Atomic uint32_t *mine, unsigned class, bool room);
/* The slab has no owner, and may have room. */
void cohort__slab_mark_partial(uint64_t span, unsigned class);
/* No block of it is in use. */
bool cohort__slab_is_empty(uint64_t span);

/* Slabs of objects: this span is one. */
void cohort__objects_note(uint64_t span);
/* The span, or a later one, before which there is none with objects. */
uint64_t cohort__objects_skip(uint64_t span);

/* ---- large blocks and rows of free spans ---------------------------------------------------- */

/* Free spans side by side: one row or some. */
typedef struct {
    uint64_t at, count;
} cohort__run_t;

/* The heap's guard, under which spans are taken and freed. */
void cohort__heap_enter(cohort__thread_t *me);
void cohort__heap_leave(void);
/* Find `count` free spans side by side and make their memory usable. With the guard held. */
apr_status_t cohort__run_find(uint64_t count, cohort__run_t *run);
/* The first spans of a run become what `word` says, the others stay free: for a repairer all at
 * once, with the word of the first. With the guard held. */
void cohort__run_take(const cohort__run_t *run, uint64_t count, uint64_t word);
/* A slab or a large block becomes a free row, by one store. With the guard held. */
void cohort__run_free(uint64_t at, uint64_t count);
/* The status and message of a heap that has no room for so many bytes. */
COHORT__APART apr_status_t cohort__heap_is_full(uint64_t size);

apr_status_t cohort__large_new(cohort__thread_t *me, size_t size, cohort__owner_ptr_t *owner_ptr,
                               void **block);
/* Free a large block that `from` (or the user) owns; `head`: its span's word. */
COHORT__APART apr_status_t cohort__large_drop(cohort__thread_t *me, void *block,
                                              cohort__owner_ptr_t *from, uint64_t span,
                                              uint64_t head);
/* Its word names its mover. The caller, the mover or a repairer, may die anywhere in here. */
void cohort__large_free(cohort__thread_t *me, uint64_t at);

#endif
