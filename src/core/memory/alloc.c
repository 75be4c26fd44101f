/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The heap. Guarantee: whatever process dies at whatever instruction, every block is either owned
 * by its one home (or the user) or free, and free blocks are found again.
 *
 * The heap is a row of 64 KiB chunks, each described by one word: a slab of equal blocks, or the
 * first or a later chunk of a large block or of a free row. Small blocks: each thread owns a few
 * slabs per size class and takes blocks from one of them; `used` bits are written by the owner
 * alone, with plain stores, so the fast path has no atomic read-modify-write, and two processes do
 * not meet in it. Everybody else frees by setting a bit in `freed`, which the owner collects when
 * it runs out. When all its slabs are full it lets one go, which is found again through the
 * `partial` bits once something in it was freed.
 *
 * Deaths: a thread notes in its record (the intent) which block it is about to make, free or move,
 * before it does. A repairer finishes or undoes it. That is unambiguous because the block cannot
 * change hands meanwhile: slabs of a dead thread are let go only after its repair, a collector
 * leaves alone what somebody intends to free, and the word of a large block names the thread that
 * is making or freeing it. The chunks of a large block that was not made yet, or is freed already,
 * may serve others before the repair, as a slab even; so the intent says that it is about a large
 * block, and the word must agree. Chunks are taken and freed under a guard. Free ones lie in rows,
 * described by the word of the first as a large block is, so neither takes longer the larger the
 * block. What is being taken is noted in the heap.
 */
#include "core/memory/alloc.h"

#include "core/base/bits.h"
#include "core/memory/arena.h"
#include "core/memory/upward.h"

#include <cohort/errors.h>
#include <stdio.h>
#include <string.h>

#define WORDS 32u /* of a bitmap: 2048 blocks of 32 bytes */
#define CLASSES 32
#define SMALL_SIZE 1024u
#define READY_MAX 512u /* free chunks that keep their memory */
#define GROUPS 65536u

typedef struct {
    _Atomic uint64_t used[WORDS];
    _Atomic uint64_t freed[WORDS];
    _Alignas(64) _Atomic uint32_t first; /* no free block before this word of `used`; the owner's */
} meta_t;

typedef struct {
    cohort__guard_t guard;
    _Atomic uint64_t top;    /* chunks ever used */
    _Atomic uint64_t cursor; /* where the next search begins */
    _Atomic uint64_t ready;  /* about how many free chunks keep their memory */
    _Atomic uint64_t busy_at, busy_count; /* free chunks, of which some are being taken */
    _Atomic uint64_t ready_top; /* tables are committed for so many chunks */
    uint64_t chunks, heads_at, partial_at, meta_at, data_at;
    uint64_t group; /* two to the power of this chunks are one */
    /* a bit for each group: slabs of objects, which stay for ever, may be in it */
    _Atomic uint64_t objects[GROUPS / 64];
} heap_t;

_Static_assert(sizeof(heap_t) <= 65536, "it is committed when the arena is made");

_Static_assert(CLASSES <= COHORT__OBJECT_CLASS, "classes of bytes come before those of objects");
_Static_assert((unsigned)COHORT__OBJECT_CLASS + COHORT__KINDS <= COHORT__CLASSES_MAX,
               "each kind of objects has a class");

/* Of the classes of bytes. Those of objects are in the table of kinds (cohort__upward). */
static const uint32_t sizes[CLASSES] = {
    32,   48,   64,   128,  192,  256,   320,   384,   448,   512,   640,
    768,  896,  1024, 1280, 1536, 1792,  2048,  2560,  3072,  3584,  4096,
    5120, 6144, 7168, 8192, 9344, 10880, 13056, 16384, 21824, 32768,
};

/* What every call needs, kept by each process: where the tables lie, what is known of each class,
 * and the class for each 16 bytes of size. Not static, so that the back end can have it lie apart
 * from what copies write to. */
struct {
    heap_t *heap;
    _Atomic uint64_t *partial;
    meta_t *metas;
    struct {
        uint32_t size, blocks;
        /* the multiplier that stands for a division by the size, exact for what fits into a
         * chunk */
        uint64_t inverse;
    } classes[COHORT__CLASSES_MAX];
    uint8_t class_of_16[SMALL_SIZE / 16 + 1];
} cohort__here;

cohort__chunks_t cohort__chunks;

static heap_t *heap(void) {
    return cohort__here.heap;
}
static _Atomic uint64_t *head_of(uint64_t chunk) {
    return cohort__chunks.heads + chunk;
}
static meta_t *meta_of(uint64_t chunk) {
    return cohort__here.metas + chunk;
}
static char *data_of(uint64_t chunk) {
    return cohort__chunks.data + chunk * COHORT__CHUNK;
}
/* One bit per chunk and class, 64 chunks' words of all classes side by side: "unowned, and may have
 * room". */
static _Atomic uint64_t *partial_of(uint64_t chunk, unsigned class) {
    return cohort__here.partial + chunk / 64 * COHORT__CLASSES_MAX + class;
}

/* Words of chunks: kind in the low byte. */
static unsigned kind_of(uint64_t head) {
    return head & 0xff;
}
static uint64_t slab_head(unsigned class, uint32_t owner) {
    return COHORT__HEAP_SLAB | (uint64_t)class << 8 | (uint64_t)owner << 16;
}
static uint64_t large_head(uint64_t count, uint32_t mover) {
    return COHORT__HEAP_LARGE | (uint64_t)mover << 16 | count << 32;
}
static unsigned class_of(uint64_t head) {
    return head >> 8 & 0xff;
}
static uint32_t owner_of(uint64_t head) {
    return (uint32_t)(head >> 16 & 0xffff);
}
static uint64_t free_head(unsigned kind, uint64_t count) {
    return kind | count << 32;
}
/* Chunks that the word tells of. That of a chunk never used, or of a slab, has no count. */
static uint64_t count_of(uint64_t head) {
    return head >> 32 ? head >> 32 : 1;
}
static bool is_free(uint64_t head) {
    return kind_of(head) <= COHORT__HEAP_READY;
}
static uint32_t number(const cohort__thread_t *thread) {
    return atomic_load_explicit(&((cohort__thread_t *)thread)->index, memory_order_relaxed) + 1;
}
static uint32_t blocks_in(unsigned class) {
    return cohort__here.classes[class].blocks;
}
/* Which block of a chunk is at this offset, or before it. */
static uint32_t index_at(unsigned class, uint32_t offset) {
    return (uint32_t)(offset * cohort__here.classes[class].inverse >> 32);
}
static uint64_t bits_of_word(unsigned class, unsigned word) {
    uint32_t blocks = blocks_in(class), first = word * 64;
    if (first >= blocks) return 0;
    return blocks - first >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << (blocks - first)) - 1;
}
static uint64_t load(_Atomic uint64_t *word) {
    return atomic_load_explicit(word, memory_order_acquire);
}
static void store(_Atomic uint64_t *word, uint64_t value) {
    atomic_store_explicit(word, value, memory_order_release);
}

static uint64_t align_up(uint64_t value, uint64_t unit) {
    return (value + unit - 1) / unit * unit;
}

/* ---- set-up --------------------------------------------------------------------------------- */

static void lay_out(heap_t *h) {
    uint64_t at = align_up(cohort__arena->heap_offset + sizeof *h, COHORT__CHUNK);
    uint64_t each = 8 + sizeof(meta_t) + COHORT__CHUNK + 8 * COHORT__CLASSES_MAX / 64;
    uint64_t chunks = (cohort__arena->size - at - 4 * COHORT__CHUNK) / each;
    h->chunks = chunks;
    h->heads_at = at;
    h->partial_at = align_up(h->heads_at + chunks * 8, COHORT__CHUNK);
    h->meta_at =
        align_up(h->partial_at + (chunks / 64 + 1) * COHORT__CLASSES_MAX * 8, COHORT__CHUNK);
    h->data_at = align_up(h->meta_at + chunks * sizeof(meta_t), COHORT__CHUNK);
    while (h->data_at + h->chunks * COHORT__CHUNK > cohort__arena->size) h->chunks--;
    while (h->chunks >> h->group >= GROUPS) h->group++;
}

/* What another process has laid out, as this one would have, and what of it is in use. */
static bool is_laid_out(heap_t *h) {
    heap_t ours = {0};
    lay_out(&ours);
    return h->chunks == ours.chunks && h->heads_at == ours.heads_at &&
           h->partial_at == ours.partial_at && h->meta_at == ours.meta_at &&
           h->data_at == ours.data_at && h->group == ours.group && load(&h->top) <= h->chunks;
}

/* 0: there is no such class. */
static uint32_t size_of_class(unsigned class) {
    unsigned kind = class - COHORT__OBJECT_CLASS;
    if (class < CLASSES) return sizes[class];
    return class >= COHORT__OBJECT_CLASS && kind < COHORT__KINDS ? cohort__upward->kinds[kind].size
                                                                 : 0;
}

/* The smallest class of such blocks. */
static unsigned search_class(size_t size) {
    unsigned low = 0, high = CLASSES - 1;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (sizes[middle] < size) low = middle + 1;
        else high = middle;
    }
    return low;
}

bool cohort__alloc_setup(bool fresh) {
    char *base = (char *)cohort__arena;
    heap_t *h = cohort__here.heap = (heap_t *)(base + cohort__arena->heap_offset);
    if (fresh) lay_out(h);
    else if (!is_laid_out(h)) return false;
    cohort__chunks.heads = (_Atomic uint64_t *)(base + h->heads_at);
    cohort__here.partial = (_Atomic uint64_t *)(base + h->partial_at);
    cohort__here.metas = (meta_t *)(base + h->meta_at);
    cohort__chunks.data = base + h->data_at;
    cohort__chunks.top = &h->top;
    for (unsigned class = 0; class < COHORT__CLASSES_MAX; class++) {
        uint32_t size = size_of_class(class);
        if (!size) continue;
        cohort__here.classes[class].size = size;
        cohort__here.classes[class].blocks = (uint32_t)(COHORT__CHUNK / size);
        cohort__here.classes[class].inverse = (((uint64_t)1 << 32) + size - 1) / size;
    }
    for (unsigned i = 0; i <= SMALL_SIZE / 16; i++)
        cohort__here.class_of_16[i] = (uint8_t)search_class(i * 16);
    return true;
}

bool cohort__alloc_extent(unsigned i, uint64_t *offset, uint64_t *size) {
    heap_t *h = heap();
    uint64_t ready = load(&h->ready_top);
    const uint64_t parts[][2] = {{cohort__arena->heap_offset, sizeof *h},
                                 {h->heads_at, ready * 8},
                                 {h->partial_at, (ready + 63) / 64 * COHORT__CLASSES_MAX * 8},
                                 {h->meta_at, ready * sizeof(meta_t)},
                                 {h->data_at, load(&h->top) * COHORT__CHUNK}};
    if (i >= sizeof parts / sizeof *parts) return false;
    *offset = parts[i][0];
    *size = parts[i][1];
    return true;
}

/* ---- chunks (under the guard) --------------------------------------------------------------- */

/* The last holder died over these: it has taken what it wanted if the first word says so; else they
 * are one free row. */
static void settle(uint64_t at, uint64_t count) {
    heap_t *h = heap();
    uint64_t ready = 0, top = load(&h->top), head;
    if (is_free(load(head_of(at)))) {
        for (uint64_t i = 1; i < count; i++) store(head_of(at + i), COHORT__HEAP_TAIL);
        store(head_of(at), free_head(COHORT__HEAP_FREE, count));
    }
    for (uint64_t i = 0; i < top; i += count_of(head)) {
        head = load(head_of(i));
        if (kind_of(head) == COHORT__HEAP_READY) ready += count_of(head);
    }
    store(&h->ready, ready);
    store(&h->busy_count, 0);
}

static void heap_enter(cohort__thread_t *me) {
    heap_t *h = heap();
    cohort__guard_enter_unsettled(&h->guard, me);
    uint64_t count = load(&h->busy_count);
    if (count) settle(load(&h->busy_at), count);
}

static void heap_leave(void) {
    cohort__guard_leave(&heap()->guard);
}

static apr_status_t commit_tables(uint64_t chunks) {
    heap_t *h = heap();
    uint64_t from = load(&h->ready_top), to = align_up(chunks, 64);
    if (chunks <= from) return APR_SUCCESS;
    if (to > h->chunks) to = h->chunks;
    apr_status_t status = cohort__arena_commit(head_of(from), (to - from) * 8);
    if (!status)
        status = cohort__arena_commit(partial_of(from, 0),
                                      (to - from + 63) / 64 * COHORT__CLASSES_MAX * 8);
    if (!status) status = cohort__arena_commit(meta_of(from), (to - from) * sizeof(meta_t));
    if (!status) store(&h->ready_top, to);
    return status;
}

/* Free chunks side by side: one row or some. */
typedef struct {
    uint64_t at, count;
} run_t;

/* The first run of so many. When there is none, `run` is the one that ends at `to`, if any. */
static bool search(uint64_t from, uint64_t to, uint64_t count, run_t *run) {
    *run = (run_t){to, 0};
    for (uint64_t at = from, next; at < to; at = next) {
        uint64_t head = load(head_of(at));
        next = at + count_of(head);
        if (!is_free(head)) {
            *run = (run_t){to, 0};
            continue;
        }
        if (run->count == 0) run->at = at;
        run->count += count_of(head);
        if (run->count >= count) return true;
    }
    return false;
}

static apr_status_t commit(uint64_t from, uint64_t to) {
    return from < to ? cohort__arena_commit(data_of(from), (size_t)((to - from) * COHORT__CHUNK))
                     : APR_SUCCESS;
}

/* Make the memory of the first chunks of a run usable, where it is not. */
static apr_status_t make_ready(const run_t *run, uint64_t count) {
    uint64_t end = run->at + count, from = run->at, head;
    apr_status_t status = APR_SUCCESS;
    for (uint64_t at = run->at; at < end && !status; at += count_of(head)) {
        head = load(head_of(at));
        if (kind_of(head) != COHORT__HEAP_READY) continue;
        status = commit(from, at);
        from = at + count_of(head);
    }
    return status ? status : commit(from, end);
}

static COHORT__APART apr_status_t is_full(uint64_t size) {
    return cohort__fail(
        APR_ENOMEM,
        "no room for %lu KiB in the arena of %lu MiB (arena_size in the options of cohort_initialize())",
        (unsigned long)(size >> 10), (unsigned long)(cohort__map.size >> 20));
}

/* Find `count` free chunks side by side and make their memory usable. */
static apr_status_t find_run(uint64_t count, run_t *run) {
    heap_t *h = heap();
    uint64_t top = load(&h->top), cursor = load(&h->cursor);
    if (cursor > top) cursor = 0;
    if (!search(cursor, top, count, run) && !search(0, top, count, run)) {
        if (count > h->chunks || run->at > h->chunks - count) return is_full(count * COHORT__CHUNK);
        apr_status_t status = commit_tables(run->at + count);
        if (status) return status;
        run->count = count;
    }
    apr_status_t status = make_ready(run, count);
    if (status) return status;
    if (run->at + count > top) store(&h->top, run->at + count);
    store(&h->cursor, run->at + count);
    return APR_SUCCESS;
}

/* The first chunks of a run become what `head` says, the others stay free: for a repairer all at
 * once, with the word of the first. */
static void take(const run_t *run, uint64_t count, uint64_t head) {
    heap_t *h = heap();
    uint64_t ready = 0;
    unsigned kind = COHORT__HEAP_FREE; /* of the last row */
    store(&h->busy_at, run->at);
    store(&h->busy_count, run->count);
    for (uint64_t i = 0, n; i < count; i += n) {
        uint64_t row = load(head_of(run->at + i));
        n = count_of(row);
        kind = kind_of(row);
        if (kind == COHORT__HEAP_READY) ready += n < count - i ? n : count - i;
        if (i > 0) store(head_of(run->at + i), COHORT__HEAP_TAIL);
    }
    store(&h->ready, load(&h->ready) > ready ? load(&h->ready) - ready : 0);
    if (run->count > count) store(head_of(run->at + count), free_head(kind, run->count - count));
    store(head_of(run->at), head);
    store(&h->busy_count, 0);
}

/* A slab or a large block becomes a free row, by one store. */
static void set_free(uint64_t at, uint64_t count) {
    heap_t *h = heap();
    bool keep = load(&h->ready) + count <= READY_MAX;
    store(head_of(at), free_head(keep ? COHORT__HEAP_READY : COHORT__HEAP_FREE, count));
    if (keep) store(&h->ready, load(&h->ready) + count);
    else
        cohort_os_arena_discard(&cohort__map, (uint64_t)(data_of(at) - cohort__map.base),
                                count * COHORT__CHUNK);
}

/* ---- intents -------------------------------------------------------------------------------- */

/* No home: the user's. */
static void intend_new(cohort__thread_t *me, void *block, cohort__home_t *home) {
    atomic_store_explicit(&me->intent_block, block, memory_order_relaxed);
    atomic_store_explicit(&me->intent_to, home, memory_order_relaxed);
    atomic_store_explicit(&me->intent, COHORT__INTENT_NEW, memory_order_release);
}

static void intend_free(cohort__thread_t *me, void *block, cohort__home_t *home) {
    atomic_store_explicit(&me->intent_block, block, memory_order_relaxed);
    atomic_store_explicit(&me->intent_from, home, memory_order_relaxed);
    atomic_store_explicit(&me->intent, COHORT__INTENT_FREE, memory_order_release);
}

static void intend_move(cohort__thread_t *me, void *block, cohort__home_t *from,
                        cohort__home_t *to) {
    atomic_store_explicit(&me->intent_block, block, memory_order_relaxed);
    atomic_store_explicit(&me->intent_from, from, memory_order_relaxed);
    atomic_store_explicit(&me->intent_to, to, memory_order_relaxed);
    atomic_store_explicit(&me->intent, COHORT__INTENT_MOVE, memory_order_release);
}

/* Blocks begin at even addresses. */
static void *as_large(void *block) {
    return (char *)block + 1;
}

static bool is_large(const void *intended) {
    return (uintptr_t)intended & 1;
}

static void intent_done(cohort__thread_t *me) {
    atomic_store_explicit(&me->intent, COHORT__INTENT_NONE, memory_order_release);
}

static void put_home(cohort__home_t *home, void *block) {
    if (home) atomic_store_explicit(home, block, memory_order_release);
}

/* ---- small blocks --------------------------------------------------------------------------- */

typedef struct {
    uint64_t chunk;
    unsigned class, word;
    uint64_t bit;
} place_t;

/* Where a block lies: false when it is no start of a small block. */
static inline bool place(const void *block, uint64_t head, uint64_t chunk, place_t *p) {
    if (kind_of(head) != COHORT__HEAP_SLAB) return false;
    unsigned class = class_of(head);
    uint32_t offset = (uint32_t)((const char *)block - data_of(chunk)),
             index = index_at(class, offset);
    if (index * cohort__here.classes[class].size != offset || index >= blocks_in(class))
        return false;
    *p = (place_t){chunk, class, index / 64, (uint64_t)1 << index % 64};
    return true;
}

static bool chunk_at(const void *block, uint64_t *chunk) {
    heap_t *h = heap();
    const char *data = data_of(0);
    if ((const char *)block < data || (const char *)block >= data + load(&h->top) * COHORT__CHUNK)
        return false;
    *chunk = (uint64_t)((const char *)block - data) / COHORT__CHUNK;
    return true;
}

/* Bits of this word that somebody is in the middle of freeing. */
static uint64_t being_freed(uint64_t chunk, unsigned class, unsigned word) {
    uint64_t bits = 0;
    uint32_t count = cohort__thread_count();
    for (uint32_t i = 0; i < count; i++) {
        cohort__thread_t *other = cohort__thread_at(i);
        if (atomic_load_explicit(&other->intent, memory_order_acquire) != COHORT__INTENT_FREE)
            continue;
        char *block = atomic_load_explicit(&other->intent_block, memory_order_relaxed);
        if (is_large(block) || block < data_of(chunk) || block >= data_of(chunk + 1)) continue;
        uint32_t index = index_at(class, (uint32_t)(block - data_of(chunk)));
        if (index / 64 == word) bits |= (uint64_t)1 << (index % 64);
    }
    return bits;
}

/* The owner takes back what others freed. Also finishes what a dead owner left half collected. True
 * when there is room. */
static bool collect(uint64_t chunk, unsigned class) {
    meta_t *meta = meta_of(chunk);
    bool room = false;
    for (unsigned w = 0; w < WORDS && bits_of_word(class, w); w++) {
        uint64_t freed = load(&meta->freed[w]);
        if (freed) freed &= ~being_freed(chunk, class, w);
        if (freed) {
            store(&meta->used[w], load(&meta->used[w]) & ~freed);
            atomic_fetch_and_explicit(&meta->freed[w], ~freed, memory_order_acq_rel);
        }
        if (~load(&meta->used[w]) & ~load(&meta->freed[w]) & bits_of_word(class, w)) {
            if (!room) atomic_store_explicit(&meta->first, w, memory_order_relaxed);
            room = true;
        }
    }
    return room;
}

static bool is_empty(uint64_t chunk) {
    meta_t *meta = meta_of(chunk);
    uint64_t any = 0;
    for (unsigned w = 0; w < WORDS; w++) any |= load(&meta->used[w]) | load(&meta->freed[w]);
    return any == 0;
}

static void mark_partial(uint64_t chunk, unsigned class) {
    _Atomic uint64_t *word = partial_of(chunk, class);
    uint64_t bit = (uint64_t)1 << (chunk % 64);
    if (!(load(word) & bit)) atomic_fetch_or_explicit(word, bit, memory_order_acq_rel);
}

/* The caller owns the slab and it is empty: make the chunk free. */
static void slab_dissolve(cohort__thread_t *me, uint64_t chunk) {
    heap_enter(me);
    set_free(chunk, 1);
    heap_leave();
}

/* Where the thread's record names the slab that it takes blocks of this class from. */
static _Atomic uint32_t *current(cohort__thread_t *me, unsigned class) {
    return &me->slabs[class][me->slab[class]];
}

/* The owner lets go of the slab in `*mine`; `room`: others should find it. */
static void slab_release(cohort__thread_t *me, _Atomic uint32_t *mine, unsigned class, bool room) {
    uint64_t chunk = atomic_load_explicit(mine, memory_order_relaxed) - 1;
    if (class < COHORT__OBJECT_CLASS && room && is_empty(chunk)) {
        slab_dissolve(me, chunk);
        atomic_store_explicit(mine, 0, memory_order_release);
        return;
    }
    store(head_of(chunk), slab_head(class, 0));
    atomic_store_explicit(mine, 0, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    /* Something may have been freed while nobody would have been told. */
    for (unsigned w = 0; !room && w < WORDS; w++) room = load(&meta_of(chunk)->freed[w]) != 0;
    if (room) mark_partial(chunk, class);
}

/* Into a vacant place of the record, which names it before it is owned. */
static bool slab_claim(cohort__thread_t *me, _Atomic uint32_t *vacant, uint64_t chunk,
                       unsigned class) {
    uint64_t unowned = slab_head(class, 0);
    atomic_store_explicit(vacant, (uint32_t)chunk + 1, memory_order_release);
    if (atomic_compare_exchange_strong(head_of(chunk), &unowned, slab_head(class, number(me))))
        return true;
    atomic_store_explicit(vacant, 0, memory_order_release);
    return false;
}

static bool slab_reuse(cohort__thread_t *me, unsigned class) {
    uint64_t words = (load(&heap()->top) + 63) / 64;
    for (uint64_t w = 0; w < words; w++) {
        _Atomic uint64_t *word = partial_of(w * 64, class);
        uint64_t bits;
        while ((bits = load(word)) != 0) {
            uint64_t chunk = w * 64 + (uint64_t)cohort__lowest_bit(bits);
            /* It is in the record before the bit goes, so that a death in between loses neither;
             * the bit of one that is not to be had goes first. */
            bool claimed = slab_claim(me, current(me, class), chunk, class);
            atomic_fetch_and_explicit(word, ~((uint64_t)1 << (chunk % 64)), memory_order_acq_rel);
            if (!claimed && !slab_claim(me, current(me, class), chunk, class)) continue;
            if (collect(chunk, class)) return true;
            slab_release(me, current(me, class), class, false);
            /* somebody is freeing in it right now */
            if (load(word) & ((uint64_t)1 << (chunk % 64))) break;
        }
    }
    return false;
}

/* Last resort before the arena is called full: look at every unowned slab of the class, whatever
 * the hints say. */
static bool slab_sweep(cohort__thread_t *me, unsigned class) {
    uint64_t top = load(&heap()->top);
    for (uint64_t chunk = 0; chunk < top; chunk++) {
        if (load(head_of(chunk)) != slab_head(class, 0) ||
            !slab_claim(me, current(me, class), chunk, class))
            continue;
        if (collect(chunk, class)) return true;
        slab_release(me, current(me, class), class, false);
    }
    return false;
}

static void note_objects(uint64_t chunk) {
    uint64_t group = chunk >> heap()->group;
    atomic_fetch_or(&heap()->objects[group / 64], (uint64_t)1 << group % 64);
}

/* The chunk, or a later one, before which there is none with objects. */
static uint64_t skip_no_objects(uint64_t chunk) {
    uint64_t group = chunk >> heap()->group,
             marks = load(&heap()->objects[group / 64]) >> group % 64;
    if (marks & 1) return chunk;
    return (marks ? group + (unsigned)cohort__lowest_bit(marks) : (group / 64 + 1) * 64)
           << heap()->group;
}

/* For the current place, which is vacant. */
static apr_status_t slab_new(cohort__thread_t *me, unsigned class) {
    run_t run;
    if (slab_reuse(me, class)) return APR_SUCCESS;
    heap_enter(me);
    apr_status_t status = find_run(1, &run);
    if (!status) {
        uint64_t chunk = run.at;
        if (class >= COHORT__OBJECT_CLASS) {
            memset(data_of(chunk), 0, COHORT__CHUNK);
            note_objects(chunk);
        }
        atomic_store_explicit(&meta_of(chunk)->first, 0, memory_order_relaxed);
        atomic_store_explicit(current(me, class), (uint32_t)chunk + 1, memory_order_release);
        take(&run, 1, slab_head(class, number(me)));
    }
    heap_leave();
    if (status && slab_sweep(me, class)) return APR_SUCCESS;
    return status;
}

/* Let `first` name a word with room. */
static bool seek(uint64_t chunk, unsigned class) {
    meta_t *meta = meta_of(chunk);
    for (unsigned w = atomic_load_explicit(&meta->first, memory_order_relaxed); w < WORDS; w++) {
        if (!(~atomic_load_explicit(&meta->used[w], memory_order_relaxed) & bits_of_word(class, w)))
            continue;
        atomic_store_explicit(&meta->first, w, memory_order_relaxed);
        return true;
    }
    atomic_store_explicit(&meta->first, WORDS, memory_order_relaxed);
    return false;
}

/* Turn to another slab of the thread's that has room. If there is none, to a place without a
 * slab. */
static bool turn(cohort__thread_t *me, unsigned class) {
    unsigned before = me->slab[class], vacant = COHORT__SLABS;
    for (unsigned i = 1; i <= COHORT__SLABS; i++) {
        unsigned place = (before + i) % COHORT__SLABS;
        uint32_t slab = atomic_load_explicit(&me->slabs[class][place], memory_order_relaxed);
        if (!slab && vacant == COHORT__SLABS) vacant = place;
        if (!slab || (!seek(slab - 1, class) && !collect(slab - 1, class))) continue;
        me->slab[class] = (uint8_t)place;
        return true;
    }
    me->slab[class] = (uint8_t)(vacant < COHORT__SLABS ? vacant : (before + 1) % COHORT__SLABS);
    if (vacant == COHORT__SLABS) slab_release(me, current(me, class), class, false);
    return false;
}

static COHORT__APART apr_status_t refill(cohort__thread_t *me, unsigned class) {
    uint32_t slab = atomic_load_explicit(current(me, class), memory_order_relaxed);
    return (slab && seek(slab - 1, class)) || turn(me, class) ? APR_SUCCESS : slab_new(me, class);
}

/* Take a block from the word of the thread's current slab where there should be one; NULL: there is
 * none. */
static inline void *small_take(cohort__thread_t *me, unsigned class, cohort__home_t *home) {
    uint32_t slab = atomic_load_explicit(current(me, class), memory_order_relaxed);
    if (!slab) return NULL;
    meta_t *meta = meta_of(slab - 1);
    unsigned word = atomic_load_explicit(&meta->first, memory_order_relaxed);
    if (word >= WORDS) return NULL;
    /* A bit that is free here has no bit in `freed`: blocks are freed once, and collect() clears
     * `freed` before it is looked at again. */
    uint64_t used = atomic_load_explicit(&meta->used[word], memory_order_relaxed);
    if (!~used) return NULL;
    unsigned bit = (unsigned)cohort__lowest_bit(~used), index = word * 64 + bit;
    if (index >= blocks_in(class)) return NULL;
    void *block = data_of(slab - 1) + (uint64_t)index * cohort__here.classes[class].size;
    intend_new(me, block, home);
    store(&meta->used[word], used | (uint64_t)1 << bit);
    put_home(home, block);
    intent_done(me);
    return block;
}

static inline apr_status_t small_new(cohort__thread_t *me, unsigned class, cohort__home_t *home,
                                     void **block) {
    for (;;) {
        void *taken = small_take(me, class, home);
        if (taken) {
            *block = taken;
            return APR_SUCCESS;
        }
        apr_status_t status = refill(me, class);
        if (status) return status;
    }
}

static _Atomic uint32_t *vacant_place(cohort__thread_t *me, unsigned class) {
    for (unsigned i = 0; i < COHORT__SLABS; i++) {
        if (!atomic_load_explicit(&me->slabs[class][i], memory_order_relaxed))
            return &me->slabs[class][i];
    }
    return NULL;
}

/* Of another's slab, or nobody's. */
static COHORT__APART void free_elsewhere(cohort__thread_t *me, place_t p) {
    meta_t *meta = meta_of(p.chunk);
    uint64_t before = atomic_fetch_or(&meta->freed[p.word], p.bit);
    intent_done(me);
    if (owner_of(load(head_of(p.chunk)))) return;
    bool all = ((before | p.bit) & load(&meta->used[p.word])) == load(&meta->used[p.word]);
    _Atomic uint32_t *vacant =
        all && p.class < COHORT__OBJECT_CLASS ? vacant_place(me, p.class) : NULL;
    if (vacant && slab_claim(me, vacant, p.chunk, p.class)) {
        slab_release(me, vacant, p.class, collect(p.chunk, p.class));
        return;
    }
    mark_partial(p.chunk, p.class);
}

/* Of one's own slab. `used`: what the word of its bitmap says. */
static inline void small_put(meta_t *meta, const place_t *p, uint64_t used) {
    store(&meta->used[p->word], used & ~p->bit);
    if (p->word < atomic_load_explicit(&meta->first, memory_order_relaxed)) {
        atomic_store_explicit(&meta->first, p->word, memory_order_relaxed);
    }
}

/* ---- large blocks --------------------------------------------------------------------------- */

static apr_status_t large_new(cohort__thread_t *me, size_t size, cohort__home_t *home,
                              void **block) {
    uint64_t count = align_up(size, COHORT__CHUNK) / COHORT__CHUNK;
    run_t run;
    heap_enter(me);
    apr_status_t status = find_run(count, &run);
    if (!status) {
        intend_new(me, as_large(data_of(run.at)), home);
        take(&run, count, large_head(count, number(me)));
    }
    heap_leave();
    if (status) return status;
    put_home(home, data_of(run.at));
    store(head_of(run.at), large_head(count, 0));
    intent_done(me);
    *block = data_of(run.at);
    return APR_SUCCESS;
}

/* Its word names its mover. The caller, the mover or a repairer, may die anywhere in here. */
static void large_free(cohort__thread_t *me, uint64_t at) {
    heap_t *h = heap();
    heap_enter(me);
    set_free(at, count_of(load(head_of(at))));
    store(&h->cursor, at); /* the next large block: its bytes are still in the caches */
    heap_leave();
}

/* ---- the interface -------------------------------------------------------------------------- */

static COHORT__APART apr_status_t sized_new(cohort__thread_t *me, size_t size, cohort__home_t *home,
                                            void **block) {
    if (size > heap()->chunks * COHORT__CHUNK) return is_full(size);
    if (size <= sizes[CLASSES - 1]) return small_new(me, search_class(size), home, block);
    return large_new(me, size, home, block);
}

static inline apr_status_t bytes_new(cohort__thread_t *me, size_t size, cohort__home_t *home,
                                     void **block) {
    if (size > SMALL_SIZE) return sized_new(me, size, home, block);
    return small_new(me, cohort__here.class_of_16[(size + 15) / 16], home, block);
}

apr_status_t cohort__block_new(cohort__thread_t *me, cohort__kind_t kind, size_t size,
                               cohort__home_t *home) {
    void *block;
    unsigned class = COHORT__OBJECT_CLASS + (unsigned)kind;
    if (kind == COHORT__KIND_BYTES) return bytes_new(me, size, home, &block);
    return size > cohort__here.classes[class].size ? APR_EINVAL
                                                   : small_new(me, class, home, &block);
}

apr_status_t cohort__block_obtain(cohort__thread_t *me, size_t size, void **block) {
    return bytes_new(me, size, NULL, block);
}

static COHORT__APART apr_status_t drop_large(cohort__thread_t *me, void *block,
                                             cohort__home_t *from, uint64_t chunk, uint64_t head) {
    uint64_t settled = large_head(count_of(head), 0);
    if (kind_of(head) != COHORT__HEAP_LARGE || block != data_of(chunk)) return COHORT_EFREE;
    intend_free(me, as_large(block), from);
    if (!atomic_compare_exchange_strong(head_of(chunk), &settled,
                                        large_head(count_of(head), number(me)))) {
        intent_done(me);
        return COHORT_EFREE;
    }
    put_home(from, NULL);
    large_free(me, chunk);
    intent_done(me);
    return APR_SUCCESS;
}

/* Free a block that `from` (or the user) owns. A user's in a slab of one's own is freed by one
 * store, of which nothing can be left to be done. */
static inline apr_status_t block_drop(cohort__thread_t *me, void *block, cohort__home_t *from) {
    uint64_t chunk;
    place_t p;
    if (!chunk_at(block, &chunk)) return COHORT_EFREE;
    uint64_t head = load(head_of(chunk));
    if (!place(block, head, chunk, &p)) return drop_large(me, block, from, chunk, head);
    meta_t *meta = meta_of(chunk);
    if (!from && p.class >= COHORT__OBJECT_CLASS) return COHORT_EFREE; /* never a user's */
    uint64_t used = load(&meta->used[p.word]);
    if (!(used & ~load(&meta->freed[p.word]) & p.bit)) return COHORT_EFREE;
    bool own = owner_of(head) == number(me);
    if (!own || from) intend_free(me, block, from);
    put_home(from, NULL);
    if (!own) {
        free_elsewhere(me, p);
        return APR_SUCCESS;
    }
    small_put(meta, &p, used);
    if (from) intent_done(me);
    return APR_SUCCESS;
}

void cohort__block_free(cohort__thread_t *me, cohort__home_t *home) {
    void *block = atomic_load_explicit(home, memory_order_acquire);
    if (block) (void)block_drop(me, block, home);
}

apr_status_t cohort__block_release(cohort__thread_t *me, void *block) {
    return block_drop(me, block, NULL);
}

void cohort__block_move(cohort__thread_t *me, cohort__home_t *from, cohort__home_t *to) {
    void *block = atomic_load_explicit(from, memory_order_acquire);
    intend_move(me, block, from, to);
    put_home(to, block);
    put_home(from, NULL);
    intent_done(me);
}

void cohort__block_ask_for(const cohort__home_t *home) {
    uint64_t chunk;
    const void *block = atomic_load_explicit(home, memory_order_relaxed);
    if (chunk_at(block, &chunk) && block == data_of(chunk)) cohort__prefetch(head_of(chunk));
}

void *cohort__block_give(cohort__home_t *home) {
    void *block = atomic_load_explicit(home, memory_order_acquire);
    put_home(home, NULL);
    return block;
}

static bool in_use(const void *block, uint64_t *head) {
    uint64_t chunk;
    place_t p;
    if (!chunk_at(block, &chunk)) return false;
    *head = load(head_of(chunk));
    if (kind_of(*head) == COHORT__HEAP_LARGE) return block == data_of(chunk);
    if (!place(block, *head, chunk, &p)) return false;
    meta_t *meta = meta_of(chunk);
    return load(&meta->used[p.word]) & p.bit && !(load(&meta->freed[p.word]) & p.bit);
}

apr_status_t cohort__block_take(cohort__thread_t *me, void *block, cohort__home_t *home) {
    uint64_t head;
    (void)me;
    if (!in_use(block, &head)) return COHORT_EFREE;
    put_home(home, block);
    return APR_SUCCESS;
}

size_t cohort__block_size(const void *block) {
    uint64_t head;
    if (!in_use(block, &head)) return 0;
    return kind_of(head) == COHORT__HEAP_LARGE ? (size_t)(count_of(head) * COHORT__CHUNK)
                                               : cohort__here.classes[class_of(head)].size;
}

bool cohort__in_arena(const void *address, size_t size) {
    const char *at = address, *base = cohort__map.base;
    return cohort__arena && at >= base && at < base + cohort__map.size &&
           size <= (size_t)(base + cohort__map.size - at);
}

bool cohort__block_is(const void *address, cohort__kind_t kind) {
    uint64_t head;
    if (!cohort__arena || !in_use(address, &head)) return false;
    bool object = kind_of(head) == COHORT__HEAP_SLAB && class_of(head) >= COHORT__OBJECT_CLASS;
    return kind == COHORT__KIND_BYTES
               ? !object
               : object && class_of(head) == COHORT__OBJECT_CLASS + (unsigned)kind;
}

/* The first object of the slab at this place or a later one; NULL: none. */
static void *object_from(uint64_t chunk, unsigned class, uint32_t index) {
    meta_t *meta = meta_of(chunk);
    for (unsigned w = index / 64; w < WORDS && w * 64 < blocks_in(class); w++) {
        uint64_t objects = load(&meta->used[w]) & ~load(&meta->freed[w]);
        if (w == index / 64) objects &= ~(uint64_t)0 << index % 64;
        if (objects)
            return data_of(chunk) + (uint64_t)(w * 64 + (unsigned)cohort__lowest_bit(objects)) *
                                        cohort__here.classes[class].size;
    }
    return NULL;
}

void *cohort__object_next(cohort__kind_t kind, const void *after) {
    unsigned class = COHORT__OBJECT_CLASS + (unsigned)kind;
    uint64_t top = load(&heap()->top), chunk = 0;
    uint32_t index = 0;
    if (after) {
        chunk = (uint64_t)((const char *)after - data_of(0)) / COHORT__CHUNK;
        index = index_at(class, (uint32_t)((const char *)after - data_of(chunk))) + 1;
    }
    for (uint64_t from = chunk; (chunk = skip_no_objects(chunk)) < top; chunk++) {
        uint64_t head = load(head_of(chunk));
        if (kind_of(head) != COHORT__HEAP_SLAB || class_of(head) != class) continue;
        void *object = object_from(chunk, class, chunk == from ? index : 0);
        if (object) return object;
    }
    return NULL;
}

/* ---- repair --------------------------------------------------------------------------------- */

static void repair_small(cohort__thread_t *dead, const place_t *p) {
    meta_t *meta = meta_of(p->chunk);
    if (!(load(&meta->used[p->word]) & p->bit)) return;
    if (owner_of(load(head_of(p->chunk))) == number(dead)) {
        store(&meta->used[p->word], load(&meta->used[p->word]) & ~p->bit);
    } else {
        atomic_fetch_or(&meta->freed[p->word], p->bit);
        if (!owner_of(load(head_of(p->chunk)))) mark_partial(p->chunk, p->class);
    }
}

/* The block of the intent belongs to nobody: free it if that is not done yet. */
static void repair_block(cohort__thread_t *me, cohort__thread_t *dead, void *block, bool large) {
    uint64_t chunk;
    place_t p;
    if (!chunk_at(block, &chunk)) return;
    uint64_t head = load(head_of(chunk));
    if (!large && place(block, head, chunk, &p)) repair_small(dead, &p);
    if (large && kind_of(head) == COHORT__HEAP_LARGE && owner_of(head) == number(dead))
        large_free(me, chunk);
}

/* The block of the intent belongs to its home: take the dead one's mark off. */
static void repair_keep(cohort__thread_t *dead, void *block) {
    uint64_t chunk;
    if (!chunk_at(block, &chunk)) return;
    uint64_t head = load(head_of(chunk));
    if (kind_of(head) == COHORT__HEAP_LARGE && owner_of(head) == number(dead))
        store(head_of(chunk), large_head(count_of(head), 0));
}

static bool lives_at(cohort__home_t *home, void *block) {
    return home && atomic_load_explicit(home, memory_order_acquire) == block;
}

void cohort__alloc_repair(cohort__thread_t *dead) {
    cohort__thread_t *me;
    if (cohort__enter(&me)) return;
    char *intended = atomic_load_explicit(&dead->intent_block, memory_order_acquire);
    bool large = is_large(intended);
    void *block = intended - large;
    cohort__home_t *from = atomic_load_explicit(&dead->intent_from, memory_order_relaxed);
    cohort__home_t *to = atomic_load_explicit(&dead->intent_to, memory_order_relaxed);
    switch (atomic_load_explicit(&dead->intent, memory_order_acquire)) {
    case COHORT__INTENT_NEW:
        if (lives_at(to, block)) repair_keep(dead, block);
        else repair_block(me, dead, block, large);
        break;
    case COHORT__INTENT_FREE:
        if (lives_at(from, block)) repair_keep(dead, block);
        else repair_block(me, dead, block, large);
        break;
    case COHORT__INTENT_MOVE:
        put_home(to, block);
        put_home(from, NULL);
        break;
    default:
        return;
    }
    intent_done(dead);
}

void cohort__alloc_retire(cohort__thread_t *thread) {
    for (unsigned i = 0; i < COHORT__CLASSES_MAX * COHORT__SLABS; i++) {
        unsigned class = i / COHORT__SLABS;
        _Atomic uint32_t *place = &thread->slabs[class][i % COHORT__SLABS];
        uint32_t slab = atomic_load_explicit(place, memory_order_acquire);
        if (!slab) continue;
        if (load(head_of(slab - 1)) == slab_head(class, number(thread))) {
            (void)collect(slab - 1, class);
            store(head_of(slab - 1), slab_head(class, 0));
        }
        /* it may have died before it did */
        if (load(head_of(slab - 1)) == slab_head(class, 0)) mark_partial(slab - 1, class);
        atomic_store_explicit(place, 0, memory_order_release);
    }
}

/* ---- looking at the heap -------------------------------------------------------------------- */

static unsigned slab_used(uint64_t chunk) {
    unsigned count = 0;
    for (unsigned w = 0; w < WORDS; w++) {
        count += (unsigned)cohort__count_bits(load(&meta_of(chunk)->used[w]) &
                                              ~load(&meta_of(chunk)->freed[w]));
    }
    return count;
}

void cohort__alloc_usage(cohort__usage_t *usage) {
    cohort__usage_t sum = {heap()->chunks * COHORT__CHUNK, 0, 0, 0};
    uint64_t top = load(&heap()->top), head;
    for (uint64_t chunk = 0; chunk < top; chunk += count_of(head)) {
        head = load(head_of(chunk));
        if (kind_of(head) != COHORT__HEAP_FREE && kind_of(head) != COHORT__HEAP_TAIL)
            sum.committed += count_of(head) * COHORT__CHUNK;
        if (kind_of(head) == COHORT__HEAP_SLAB) {
            unsigned blocks = slab_used(chunk);
            sum.blocks += blocks;
            sum.used += (uint64_t)blocks * cohort__here.classes[class_of(head)].size;
        } else if (kind_of(head) == COHORT__HEAP_LARGE) {
            sum.blocks++;
            sum.used += count_of(head) * COHORT__CHUNK;
        }
    }
    *usage = sum;
}

static const char *slab_fault(uint64_t chunk, uint64_t head) {
    meta_t *meta = meta_of(chunk);
    for (unsigned w = 0; w < WORDS; w++) {
        if (load(&meta->freed[w]) & ~load(&meta->used[w])) return "freed what was not used";
        if (load(&meta->used[w]) & ~bits_of_word(class_of(head), w)) return "used beyond the slab";
    }
    if (class_of(head) >= COHORT__OBJECT_CLASS && skip_no_objects(chunk) != chunk)
        return "objects where none are looked for";
    return NULL;
}

static const char *fault_of(uint64_t chunk, uint64_t head, uint64_t top) {
    uint64_t count = count_of(head);
    if (kind_of(head) == COHORT__HEAP_SLAB) return slab_fault(chunk, head);
    if (kind_of(head) == COHORT__HEAP_TAIL) return "a later chunk of nothing";
    if (count > top - chunk) return "more chunks than there are";
    for (uint64_t i = 0; i < count; i++) {
        if (i > 0 && kind_of(load(head_of(chunk + i))) != COHORT__HEAP_TAIL)
            return "a large block or free row with a hole";
        if (!is_empty(chunk + i)) return "blocks in use in no slab";
    }
    return NULL;
}

bool cohort__alloc_sound(char *why, size_t size) {
    cohort__thread_t *me;
    if (!cohort__enter(&me)) {
        heap_enter(me); /* settles a row that somebody died over */
        heap_leave();
    }
    uint64_t top = load(&heap()->top), head;
    for (uint64_t chunk = 0; chunk < top; chunk += count_of(head)) {
        head = load(head_of(chunk));
        const char *fault = fault_of(chunk, head, top);
        if (!fault) continue;
        snprintf(why, size, "chunk %llu: %s", (unsigned long long)chunk, fault);
        return false;
    }
    return true;
}
