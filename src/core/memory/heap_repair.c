/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Repair: what a dead thread had intended to do to a block is finished or undone, as its record
 * (intent.h) and the owner pointers that this names tell.
 */
#include "core/memory/heap.h"

static void repair_small(cohort__thread_t *dead, const cohort__place_t *p) {
    cohort__slab_t *meta = cohort__slab_at(p->span);
    if (!(cohort__load(&meta->used[p->word]) & p->bit)) return;
    if (cohort__span_owner(cohort__span_word(p->span)) == cohort__thread_number(dead)) {
        cohort__store(&meta->used[p->word], cohort__load(&meta->used[p->word]) & ~p->bit);
    } else {
        atomic_fetch_or(&meta->freed[p->word], p->bit);
        if (!cohort__span_owner(cohort__span_word(p->span)))
            cohort__slab_mark_partial(p->span, p->class);
    }
}

/* The block of the intent has no owner: free it if that is not done yet. */
static void repair_block(cohort__thread_t *me, cohort__thread_t *dead, void *block, bool large) {
    uint64_t span;
    cohort__place_t p;
    if (!cohort__span_at(block, &span)) return;
    uint64_t head = cohort__span_word(span);
    if (!large && cohort__place(block, head, span, &p)) repair_small(dead, &p);
    if (large && cohort__span_kind(head) == COHORT__HEAP_LARGE &&
        cohort__span_owner(head) == cohort__thread_number(dead))
        cohort__large_free(me, span);
}

/* The block of the intent belongs to its owner pointer: take the dead one's mark off. */
static void repair_keep(cohort__thread_t *dead, void *block) {
    uint64_t span;
    if (!cohort__span_at(block, &span)) return;
    uint64_t head = cohort__span_word(span);
    if (cohort__span_kind(head) == COHORT__HEAP_LARGE &&
        cohort__span_owner(head) == cohort__thread_number(dead))
        cohort__span_become(span, cohort__large_word(cohort__span_count(head), 0));
}

static bool owns(cohort__owner_ptr_t *owner_ptr, void *block) {
    return owner_ptr && atomic_load_explicit(owner_ptr, memory_order_acquire) == block;
}

void cohort__alloc_repair(cohort__thread_t *dead) {
    cohort__thread_t *me;
    if (cohort__enter(&me)) return;
    void *intended = atomic_load_explicit(&dead->intent_block, memory_order_acquire);
    bool large = cohort__intent_is_large(intended);
    void *block = cohort__intent_block(intended);
    cohort__owner_ptr_t *from = atomic_load_explicit(&dead->intent_from, memory_order_relaxed);
    cohort__owner_ptr_t *to = atomic_load_explicit(&dead->intent_to, memory_order_relaxed);
    switch (atomic_load_explicit(&dead->intent, memory_order_acquire)) {
    case COHORT__INTENT_NEW:
        if (owns(to, block)) repair_keep(dead, block);
        else repair_block(me, dead, block, large);
        break;
    case COHORT__INTENT_FREE:
        if (owns(from, block)) repair_keep(dead, block);
        else repair_block(me, dead, block, large);
        break;
    case COHORT__INTENT_MOVE:
        cohort__owner_ptr_set(to, block);
        cohort__owner_ptr_set(from, NULL);
        break;
    default: return;
    }
    cohort__intent_done(dead);
}
