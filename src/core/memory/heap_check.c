/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at the whole heap: how much of it is in use, and whether its invariants hold.
 */
#include "core/memory/heap.h"

#include <stdio.h>

static unsigned slab_used(uint64_t span) {
    unsigned count = 0;
    for (unsigned w = 0; w < COHORT__SLAB_WORDS; w++) {
        count += (unsigned)cohort__count_bits(cohort__load(&cohort__slab_at(span)->used[w]) &
                                              ~cohort__load(&cohort__slab_at(span)->freed[w]));
    }
    return count;
}

void cohort__alloc_usage(cohort__usage_t *usage) {
    cohort__usage_t sum = {cohort__heap()->spans * COHORT__SPAN, 0, 0, 0};
    uint64_t top = cohort__load(&cohort__heap()->top), head;
    for (uint64_t span = 0; span < top; span += cohort__span_count(head)) {
        head = cohort__span_word(span);
        if (cohort__span_kind(head) != COHORT__HEAP_FREE &&
            cohort__span_kind(head) != COHORT__HEAP_TAIL)
            sum.committed += cohort__span_count(head) * COHORT__SPAN;
        if (cohort__span_kind(head) == COHORT__HEAP_SLAB) {
            unsigned blocks = slab_used(span);
            sum.blocks += blocks;
            sum.used += (uint64_t)blocks * cohort__class_size(cohort__span_class(head));
        } else if (cohort__span_kind(head) == COHORT__HEAP_LARGE) {
            sum.blocks++;
            sum.used += cohort__span_count(head) * COHORT__SPAN;
        }
    }
    *usage = sum;
}

static const char *slab_fault(uint64_t span, uint64_t head) {
    cohort__slab_t *meta = cohort__slab_at(span);
    for (unsigned w = 0; w < COHORT__SLAB_WORDS; w++) {
        if (cohort__load(&meta->freed[w]) & ~cohort__load(&meta->used[w]))
            return "freed what was not used";
        if (cohort__load(&meta->used[w]) & ~cohort__class_bits(cohort__span_class(head), w))
            return "used beyond the slab";
    }
    if (cohort__span_class(head) >= COHORT__OBJECT_CLASS && cohort__objects_skip(span) != span)
        return "objects where none are looked for";
    return NULL;
}

static const char *fault_of(uint64_t span, uint64_t head, uint64_t top) {
    uint64_t count = cohort__span_count(head);
    if (cohort__span_kind(head) == COHORT__HEAP_SLAB) return slab_fault(span, head);
    if (cohort__span_kind(head) == COHORT__HEAP_TAIL) return "a later span of nothing";
    if (count > top - span) return "more spans than there are";
    for (uint64_t i = 0; i < count; i++) {
        if (i > 0 && cohort__span_kind(cohort__span_word(span + i)) != COHORT__HEAP_TAIL)
            return "a large block or free row with a hole";
        if (!cohort__slab_is_empty(span + i)) return "blocks in use in no slab";
    }
    return NULL;
}

bool cohort__alloc_sound(char *why, size_t size) {
    cohort__thread_t *me;
    if (!cohort__enter(&me)) {
        cohort__heap_enter(me); /* settles a row that a thread died over */
        cohort__heap_leave();
    }
    uint64_t top = cohort__load(&cohort__heap()->top), head;
    for (uint64_t span = 0; span < top; span += cohort__span_count(head)) {
        head = cohort__span_word(span);
        const char *fault = fault_of(span, head, top);
        if (!fault) continue;
        snprintf(why, size, "span %llu: %s", (unsigned long long)span, fault);
        return false;
    }
    return true;
}
