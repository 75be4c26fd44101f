/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Slabs: which ones a thread owns, how it comes by one that has room, and how it lets go of one.
 * None of this is on the fast path, which takes blocks from the current slab until that has none
 * (alloc.c).
 */
#include "core/memory/heap.h"

#include <string.h>

/* Bits of this word that a thread is in the middle of freeing. */
static uint64_t being_freed(uint64_t span, unsigned class, unsigned word) {
    uint64_t bits = 0;
    uint32_t count = cohort__thread_count();
    for (uint32_t i = 0; i < count; i++) {
        cohort__thread_t *other = cohort__thread_at(i);
        if (atomic_load_explicit(&other->intent, memory_order_acquire) != COHORT__INTENT_FREE)
            continue;
        char *block = atomic_load_explicit(&other->intent_block, memory_order_relaxed);
        if (cohort__intent_is_large(block) || block < cohort__span_data(span) ||
            block >= cohort__span_data(span + 1))
            continue;
        uint32_t index = cohort__class_index(class, (uint32_t)(block - cohort__span_data(span)));
        if (index / 64 == word) bits |= (uint64_t)1 << (index % 64);
    }
    return bits;
}

bool cohort__slab_collect(uint64_t span, unsigned class) {
    cohort__slab_t *meta = cohort__slab_at(span);
    bool room = false;
    for (unsigned w = 0; w < COHORT__SLAB_WORDS && cohort__class_bits(class, w); w++) {
        uint64_t freed = cohort__load(&meta->freed[w]);
        if (freed) freed &= ~being_freed(span, class, w);
        if (freed) {
            cohort__store(&meta->used[w], cohort__load(&meta->used[w]) & ~freed);
            atomic_fetch_and_explicit(&meta->freed[w], ~freed, memory_order_acq_rel);
        }
        if (~cohort__load(&meta->used[w]) & ~cohort__load(&meta->freed[w]) &
            cohort__class_bits(class, w)) {
            if (!room) atomic_store_explicit(&meta->first, w, memory_order_relaxed);
            room = true;
        }
    }
    return room;
}

bool cohort__slab_is_empty(uint64_t span) {
    cohort__slab_t *meta = cohort__slab_at(span);
    uint64_t any = 0;
    for (unsigned w = 0; w < COHORT__SLAB_WORDS; w++)
        any |= cohort__load(&meta->used[w]) | cohort__load(&meta->freed[w]);
    return any == 0;
}

void cohort__slab_mark_partial(uint64_t span, unsigned class) {
    _Atomic uint64_t *word = cohort__slab_partial(span, class);
    uint64_t bit = (uint64_t)1 << (span % 64);
    if (!(cohort__load(word) & bit)) atomic_fetch_or_explicit(word, bit, memory_order_acq_rel);
}

/* The caller owns the slab and it is empty: make the span free. */
static void slab_dissolve(cohort__thread_t *me, uint64_t span) {
    cohort__heap_enter(me);
    cohort__run_free(span, 1);
    cohort__heap_leave();
}

void cohort__slab_release(cohort__thread_t *me, _Atomic uint32_t *mine, unsigned class, bool room) {
    uint64_t span = atomic_load_explicit(mine, memory_order_relaxed) - 1;
    if (class < COHORT__OBJECT_CLASS && room && cohort__slab_is_empty(span)) {
        slab_dissolve(me, span);
        atomic_store_explicit(mine, 0, memory_order_release);
        return;
    }
    cohort__span_become(span, cohort__slab_word(class, 0));
    atomic_store_explicit(mine, 0, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    /* Something may have been freed while no thread would have noticed. */
    for (unsigned w = 0; !room && w < COHORT__SLAB_WORDS; w++)
        room = cohort__load(&cohort__slab_at(span)->freed[w]) != 0;
    if (room) cohort__slab_mark_partial(span, class);
}

bool cohort__slab_claim(cohort__thread_t *me, _Atomic uint32_t *vacant, uint64_t span,
                        unsigned class) {
    uint64_t unowned = cohort__slab_word(class, 0);
    atomic_store_explicit(vacant, (uint32_t)span + 1, memory_order_release);
    if (atomic_compare_exchange_strong(cohort__span_place(span), &unowned,
                                       cohort__slab_word(class, cohort__thread_number(me))))
        return true;
    atomic_store_explicit(vacant, 0, memory_order_release);
    return false;
}

static bool slab_reuse(cohort__thread_t *me, unsigned class) {
    uint64_t words = (cohort__load(&cohort__heap()->top) + 63) / 64;
    for (uint64_t w = 0; w < words; w++) {
        _Atomic uint64_t *word = cohort__slab_partial(w * 64, class);
        uint64_t bits;
        while ((bits = cohort__load(word)) != 0) {
            uint64_t span = w * 64 + (uint64_t)cohort__lowest_bit(bits);
            /* It is in the record before the bit goes, so that a death in between loses neither;
             * the bit of one that is not to be had goes first. */
            bool claimed = cohort__slab_claim(me, cohort__slab_current(me, class), span, class);
            atomic_fetch_and_explicit(word, ~((uint64_t)1 << (span % 64)), memory_order_acq_rel);
            if (!claimed && !cohort__slab_claim(me, cohort__slab_current(me, class), span, class))
                continue;
            if (cohort__slab_collect(span, class)) return true;
            cohort__slab_release(me, cohort__slab_current(me, class), class, false);
            /* a thread is freeing in it right now */
            if (cohort__load(word) & ((uint64_t)1 << (span % 64))) break;
        }
    }
    return false;
}

/* Last resort before the arena is called full: look at every unowned slab of the class, whatever
 * the hints say. */
static bool slab_sweep(cohort__thread_t *me, unsigned class) {
    uint64_t top = cohort__load(&cohort__heap()->top);
    for (uint64_t span = 0; span < top; span++) {
        if (cohort__span_word(span) != cohort__slab_word(class, 0) ||
            !cohort__slab_claim(me, cohort__slab_current(me, class), span, class))
            continue;
        if (cohort__slab_collect(span, class)) return true;
        cohort__slab_release(me, cohort__slab_current(me, class), class, false);
    }
    return false;
}

/* For the current place, which is vacant. */
static apr_status_t slab_new(cohort__thread_t *me, unsigned class) {
    cohort__run_t run;
    if (slab_reuse(me, class)) return APR_SUCCESS;
    cohort__heap_enter(me);
    apr_status_t status = cohort__run_find(1, &run);
    if (!status) {
        uint64_t span = run.at;
        if (class >= COHORT__OBJECT_CLASS) {
            memset(cohort__span_data(span), 0, COHORT__SPAN);
            cohort__objects_note(span);
        }
        atomic_store_explicit(&cohort__slab_at(span)->first, 0, memory_order_relaxed);
        atomic_store_explicit(cohort__slab_current(me, class), (uint32_t)span + 1,
                              memory_order_release);
        cohort__run_take(&run, 1, cohort__slab_word(class, cohort__thread_number(me)));
    }
    cohort__heap_leave();
    if (status && slab_sweep(me, class)) return APR_SUCCESS;
    return status;
}

/* Let `first` name a word with room. */
static bool seek(uint64_t span, unsigned class) {
    cohort__slab_t *meta = cohort__slab_at(span);
    for (unsigned w = atomic_load_explicit(&meta->first, memory_order_relaxed);
         w < COHORT__SLAB_WORDS; w++) {
        if (!(~atomic_load_explicit(&meta->used[w], memory_order_relaxed) &
              cohort__class_bits(class, w)))
            continue;
        atomic_store_explicit(&meta->first, w, memory_order_relaxed);
        return true;
    }
    atomic_store_explicit(&meta->first, COHORT__SLAB_WORDS, memory_order_relaxed);
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
        if (!slab || (!seek(slab - 1, class) && !cohort__slab_collect(slab - 1, class))) continue;
        me->slab[class] = (uint8_t)place;
        return true;
    }
    me->slab[class] = (uint8_t)(vacant < COHORT__SLABS ? vacant : (before + 1) % COHORT__SLABS);
    if (vacant == COHORT__SLABS)
        cohort__slab_release(me, cohort__slab_current(me, class), class, false);
    return false;
}

apr_status_t cohort__slab_refill(cohort__thread_t *me, unsigned class) {
    uint32_t slab = atomic_load_explicit(cohort__slab_current(me, class), memory_order_relaxed);
    return (slab && seek(slab - 1, class)) || turn(me, class) ? APR_SUCCESS : slab_new(me, class);
}

void cohort__alloc_retire(cohort__thread_t *thread) {
    for (unsigned i = 0; i < COHORT__CLASSES_MAX * COHORT__SLABS; i++) {
        unsigned class = i / COHORT__SLABS;
        _Atomic uint32_t *place = &thread->slabs[class][i % COHORT__SLABS];
        uint32_t slab = atomic_load_explicit(place, memory_order_acquire);
        if (!slab) continue;
        if (cohort__span_word(slab - 1) ==
            cohort__slab_word(class, cohort__thread_number(thread))) {
            (void)cohort__slab_collect(slab - 1, class);
            cohort__span_become(slab - 1, cohort__slab_word(class, 0));
        }
        /* it may have died before it did */
        if (cohort__span_word(slab - 1) == cohort__slab_word(class, 0))
            cohort__slab_mark_partial(slab - 1, class);
        atomic_store_explicit(place, 0, memory_order_release);
    }
}
