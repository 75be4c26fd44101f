/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at the whole heap: how much of it is in use, and whether its invariants hold.
 */
#include "core/memory/heap.h"

#include <stdio.h>

static unsigned slab_used(uint64_t chunk) {
    unsigned count = 0;
    for (unsigned w = 0; w < COHORT__SLAB_WORDS; w++) {
        count += (unsigned)cohort__count_bits(cohort__load(&cohort__slab_at(chunk)->used[w]) &
                                              ~cohort__load(&cohort__slab_at(chunk)->freed[w]));
    }
    return count;
}

void cohort__alloc_usage(cohort__usage_t *usage) {
    cohort__usage_t sum = {cohort__heap()->chunks * COHORT__CHUNK, 0, 0, 0};
    uint64_t top = cohort__load(&cohort__heap()->top), head;
    for (uint64_t chunk = 0; chunk < top; chunk += cohort__chunk_count(head)) {
        head = cohort__chunk_word(chunk);
        if (cohort__chunk_kind(head) != COHORT__HEAP_FREE &&
            cohort__chunk_kind(head) != COHORT__HEAP_TAIL)
            sum.committed += cohort__chunk_count(head) * COHORT__CHUNK;
        if (cohort__chunk_kind(head) == COHORT__HEAP_SLAB) {
            unsigned blocks = slab_used(chunk);
            sum.blocks += blocks;
            sum.used += (uint64_t)blocks * cohort__class_size(cohort__chunk_class(head));
        } else if (cohort__chunk_kind(head) == COHORT__HEAP_LARGE) {
            sum.blocks++;
            sum.used += cohort__chunk_count(head) * COHORT__CHUNK;
        }
    }
    *usage = sum;
}

static const char *slab_fault(uint64_t chunk, uint64_t head) {
    cohort__slab_t *meta = cohort__slab_at(chunk);
    for (unsigned w = 0; w < COHORT__SLAB_WORDS; w++) {
        if (cohort__load(&meta->freed[w]) & ~cohort__load(&meta->used[w]))
            return "freed what was not used";
        if (cohort__load(&meta->used[w]) & ~cohort__class_bits(cohort__chunk_class(head), w))
            return "used beyond the slab";
    }
    if (cohort__chunk_class(head) >= COHORT__OBJECT_CLASS && cohort__objects_skip(chunk) != chunk)
        return "objects where none are looked for";
    return NULL;
}

static const char *fault_of(uint64_t chunk, uint64_t head, uint64_t top) {
    uint64_t count = cohort__chunk_count(head);
    if (cohort__chunk_kind(head) == COHORT__HEAP_SLAB) return slab_fault(chunk, head);
    if (cohort__chunk_kind(head) == COHORT__HEAP_TAIL) return "a later chunk of nothing";
    if (count > top - chunk) return "more chunks than there are";
    for (uint64_t i = 0; i < count; i++) {
        if (i > 0 && cohort__chunk_kind(cohort__chunk_word(chunk + i)) != COHORT__HEAP_TAIL)
            return "a large block or free row with a hole";
        if (!cohort__slab_is_empty(chunk + i)) return "blocks in use in no slab";
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
    for (uint64_t chunk = 0; chunk < top; chunk += cohort__chunk_count(head)) {
        head = cohort__chunk_word(chunk);
        const char *fault = fault_of(chunk, head, top);
        if (!fault) continue;
        snprintf(why, size, "chunk %llu: %s", (unsigned long long)chunk, fault);
        return false;
    }
    return true;
}
