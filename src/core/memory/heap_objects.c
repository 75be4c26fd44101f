/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding objects. Their slabs stay slabs of their kind for ever; the heap has a bit for each group
 * of spans in which there may be one, so that a walk over all objects skips the others.
 */
#include "core/memory/heap.h"

void cohort__objects_note(uint64_t span) {
    uint64_t group = span >> cohort__heap()->group;
    atomic_fetch_or(&cohort__heap()->objects[group / 64], (uint64_t)1 << group % 64);
}

uint64_t cohort__objects_skip(uint64_t span) {
    uint64_t group = span >> cohort__heap()->group,
             marks = cohort__load(&cohort__heap()->objects[group / 64]) >> group % 64;
    if (marks & 1) return span;
    return (marks ? group + (unsigned)cohort__lowest_bit(marks) : (group / 64 + 1) * 64)
           << cohort__heap()->group;
}

/* The first object of the slab at this place or a later one; NULL: none. */
static void *object_from(uint64_t span, unsigned class, uint32_t index) {
    cohort__slab_t *meta = cohort__slab_at(span);
    for (unsigned w = index / 64; w < COHORT__SLAB_WORDS && w * 64 < cohort__class_blocks(class);
         w++) {
        uint64_t objects = cohort__load(&meta->used[w]) & ~cohort__load(&meta->freed[w]);
        if (w == index / 64) objects &= ~(uint64_t)0 << index % 64;
        if (objects)
            return cohort__span_data(span) +
                   (uint64_t)(w * 64 + (unsigned)cohort__lowest_bit(objects)) *
                       cohort__class_size(class);
    }
    return NULL;
}

void *cohort__object_next(cohort__kind_t kind, const void *after) {
    unsigned class = COHORT__OBJECT_CLASS + (unsigned)kind;
    uint64_t top = cohort__load(&cohort__heap()->top), span = 0;
    uint32_t index = 0;
    if (after) {
        span = (uint64_t)((const char *)after - cohort__span_data(0)) / COHORT__SPAN;
        index =
            cohort__class_index(class, (uint32_t)((const char *)after - cohort__span_data(span))) +
            1;
    }
    for (uint64_t from = span; (span = cohort__objects_skip(span)) < top; span++) {
        uint64_t head = cohort__span_word(span);
        if (!cohort__span_is_slab_of(head, class)) continue;
        void *object = object_from(span, class, span == from ? index : 0);
        if (object) return object;
    }
    return NULL;
}
