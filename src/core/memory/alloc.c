/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks: made, freed, moved, checked. What most calls do is in this one file, so that compilers
 * can merge it: a small block is taken from the current slab of the thread, or freed. How the heap
 * is built, and why it survives deaths, is described in heap.h.
 */
#include "core/memory/heap.h"

#include <cohort/errors.h>

/* Not static, so that the back end can have them lie apart from what copies write to. */
cohort__heap_here_t cohort__here;
cohort__spans_t cohort__spans;

/* ---- small blocks --------------------------------------------------------------------------- */

/* Take a block from the word of the thread's current slab where there should be one; NULL: there is
 * none. */
static inline void *small_take(cohort__thread_t *me, unsigned class,
                               cohort__owner_ptr_t *owner_ptr) {
    uint32_t slab = atomic_load_explicit(cohort__slab_current(me, class), memory_order_relaxed);
    if (!slab) return NULL;
    cohort__slab_t *meta = cohort__slab_at(slab - 1);
    unsigned word = atomic_load_explicit(&meta->first, memory_order_relaxed);
    if (word >= COHORT__SLAB_WORDS) return NULL;
    /* A bit that is free here has no bit in `freed`: blocks are freed once, and the owner clears
     * `freed` when it collects, before `used` is looked at again. */
    uint64_t used = atomic_load_explicit(&meta->used[word], memory_order_relaxed);
    if (!~used) return NULL;
    unsigned bit = (unsigned)cohort__lowest_bit(~used), index = word * 64 + bit;
    if (index >= cohort__class_blocks(class)) return NULL;
    void *block = cohort__span_data(slab - 1) + (uint64_t)index * cohort__class_size(class);
    cohort__intend_new(me, block, owner_ptr);
    cohort__store(&meta->used[word], used | (uint64_t)1 << bit);
    cohort__owner_ptr_set(owner_ptr, block);
    cohort__intent_done(me);
    return block;
}

static inline apr_status_t small_new(cohort__thread_t *me, unsigned class,
                                     cohort__owner_ptr_t *owner_ptr, void **block) {
    for (;;) {
        void *taken = small_take(me, class, owner_ptr);
        if (taken) {
            *block = taken;
            return APR_SUCCESS;
        }
        apr_status_t status = cohort__slab_refill(me, class);
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

/* Of another thread's slab, or one without an owner. */
static COHORT__APART void free_elsewhere(cohort__thread_t *me, cohort__place_t p) {
    cohort__slab_t *meta = cohort__slab_at(p.span);
    uint64_t before = atomic_fetch_or(&meta->freed[p.word], p.bit);
    cohort__intent_done(me);
    if (cohort__span_owner(cohort__span_word(p.span))) return;
    bool all =
        ((before | p.bit) & cohort__load(&meta->used[p.word])) == cohort__load(&meta->used[p.word]);
    _Atomic uint32_t *vacant =
        all && p.class < COHORT__OBJECT_CLASS ? vacant_place(me, p.class) : NULL;
    if (vacant && cohort__slab_claim(me, vacant, p.span, p.class)) {
        cohort__slab_release(me, vacant, p.class, cohort__slab_collect(p.span, p.class));
        return;
    }
    cohort__slab_mark_partial(p.span, p.class);
}

/* Of one's own slab. `used`: what the word of its bitmap says. */
static inline void small_put(cohort__slab_t *meta, const cohort__place_t *p, uint64_t used) {
    cohort__store(&meta->used[p->word], used & ~p->bit);
    if (p->word < atomic_load_explicit(&meta->first, memory_order_relaxed)) {
        atomic_store_explicit(&meta->first, p->word, memory_order_relaxed);
    }
}

/* ---- the interface -------------------------------------------------------------------------- */

static COHORT__APART apr_status_t sized_new(cohort__thread_t *me, size_t size,
                                            cohort__owner_ptr_t *owner_ptr, void **block) {
    if (size <= COHORT__SMALL_MAX) {
        size_t units = (size + COHORT__UNIT - 1) / COHORT__UNIT;
        return small_new(me, cohort__here.class_of_unit[units], owner_ptr, block);
    }
    if (size > cohort__heap()->spans * COHORT__SPAN) return cohort__heap_is_full(size);
    return cohort__large_new(me, size, owner_ptr, block);
}

static inline apr_status_t bytes_new(cohort__thread_t *me, size_t size,
                                     cohort__owner_ptr_t *owner_ptr, void **block) {
    if (size > COHORT__TINY) return sized_new(me, size, owner_ptr, block);
    return small_new(me, cohort__here.class_of_16[(size + 15) / 16], owner_ptr, block);
}

apr_status_t cohort__block_new(cohort__thread_t *me, cohort__kind_t kind, size_t size,
                               cohort__owner_ptr_t *owner_ptr) {
    void *block;
    unsigned class = COHORT__OBJECT_CLASS + (unsigned)kind;
    if (kind == COHORT__KIND_BYTES) return bytes_new(me, size, owner_ptr, &block);
    return size > cohort__class_size(class) ? APR_EINVAL : small_new(me, class, owner_ptr, &block);
}

apr_status_t cohort__block_obtain(cohort__thread_t *me, size_t size, void **block) {
    return bytes_new(me, size, NULL, block);
}

/* Free a block that `from` (or the user) owns. A user's in a slab of one's own is freed by one
 * store, of which nothing can be left to be done. */
static inline apr_status_t block_drop(cohort__thread_t *me, void *block,
                                      cohort__owner_ptr_t *from) {
    uint64_t span;
    cohort__place_t p;
    if (!cohort__span_at(block, &span)) return COHORT_EFREE;
    uint64_t head = cohort__span_word(span);
    if (!cohort__place(block, head, span, &p))
        return cohort__large_drop(me, block, from, span, head);
    cohort__slab_t *meta = cohort__slab_at(span);
    if (!from && p.class >= COHORT__OBJECT_CLASS) return COHORT_EFREE; /* never a user's */
    uint64_t used = cohort__load(&meta->used[p.word]);
    if (!(used & ~cohort__load(&meta->freed[p.word]) & p.bit)) return COHORT_EFREE;
    bool own = cohort__span_owner(head) == cohort__thread_number(me);
    if (!own || from) cohort__intend_free(me, block, from);
    cohort__owner_ptr_set(from, NULL);
    if (!own) {
        free_elsewhere(me, p);
        return APR_SUCCESS;
    }
    small_put(meta, &p, used);
    if (from) cohort__intent_done(me);
    return APR_SUCCESS;
}

void cohort__block_free(cohort__thread_t *me, cohort__owner_ptr_t *owner_ptr) {
    void *block = atomic_load_explicit(owner_ptr, memory_order_acquire);
    if (block) (void)block_drop(me, block, owner_ptr);
}

apr_status_t cohort__block_release(cohort__thread_t *me, void *block) {
    return block_drop(me, block, NULL);
}

void cohort__block_move(cohort__thread_t *me, cohort__owner_ptr_t *from, cohort__owner_ptr_t *to) {
    void *block = atomic_load_explicit(from, memory_order_acquire);
    cohort__intend_move(me, block, from, to);
    cohort__owner_ptr_set(to, block);
    cohort__owner_ptr_set(from, NULL);
    cohort__intent_done(me);
}

void cohort__block_prefetch(const cohort__owner_ptr_t *owner_ptr) {
    uint64_t span;
    const void *block = atomic_load_explicit(owner_ptr, memory_order_relaxed);
    if (cohort__span_at(block, &span) && block == cohort__span_data(span))
        cohort__prefetch(cohort__span_place(span));
}

void *cohort__block_give(cohort__owner_ptr_t *owner_ptr) {
    void *block = atomic_load_explicit(owner_ptr, memory_order_acquire);
    cohort__owner_ptr_set(owner_ptr, NULL);
    return block;
}

static bool in_use(const void *block, uint64_t *head) {
    uint64_t span;
    cohort__place_t p;
    if (!cohort__span_at(block, &span)) return false;
    *head = cohort__span_word(span);
    if (cohort__span_kind(*head) == COHORT__HEAP_LARGE) return block == cohort__span_data(span);
    if (!cohort__place(block, *head, span, &p)) return false;
    cohort__slab_t *meta = cohort__slab_at(span);
    return cohort__load(&meta->used[p.word]) & p.bit &&
           !(cohort__load(&meta->freed[p.word]) & p.bit);
}

apr_status_t cohort__block_take(cohort__thread_t *me, void *block, cohort__owner_ptr_t *owner_ptr) {
    uint64_t head;
    (void)me;
    if (!in_use(block, &head)) return COHORT_EFREE;
    cohort__owner_ptr_set(owner_ptr, block);
    return APR_SUCCESS;
}

size_t cohort__block_size(const void *block) {
    uint64_t head;
    if (!in_use(block, &head)) return 0;
    return cohort__span_kind(head) == COHORT__HEAP_LARGE
               ? (size_t)(cohort__span_count(head) * COHORT__SPAN)
               : cohort__class_size(cohort__span_class(head));
}

bool cohort__in_arena(const void *address, size_t size) {
    const char *at = address, *base = cohort__map.base;
    return cohort__arena && at >= base && at < base + cohort__map.size &&
           size <= (size_t)(base + cohort__map.size - at);
}

bool cohort__block_is(const void *address, cohort__kind_t kind) {
    uint64_t head;
    if (!cohort__arena || !in_use(address, &head)) return false;
    bool object = cohort__span_kind(head) == COHORT__HEAP_SLAB &&
                  cohort__span_class(head) >= COHORT__OBJECT_CLASS;
    return kind == COHORT__KIND_BYTES
               ? !object
               : object && cohort__span_class(head) == COHORT__OBJECT_CLASS + (unsigned)kind;
}
