/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the parts of the heap lie in the arena, and the classes of blocks. The process that makes
 * the arena lays the heap out; each other one checks that this library would have done the same.
 */
#include "core/memory/heap.h"

#include "core/memory/upward.h"

_Static_assert(sizeof(cohort__heap_t) <= 65536, "it is committed when the arena is made");

_Static_assert(COHORT__BYTE_CLASSES <= COHORT__OBJECT_CLASS,
               "classes of bytes come before those of objects");
_Static_assert((unsigned)COHORT__OBJECT_CLASS + COHORT__KINDS <= COHORT__CLASSES_MAX,
               "each kind of objects has a class");

/* Of the classes of bytes. Those of objects are in the table of kinds (cohort__upward). */
static const uint32_t sizes[COHORT__BYTE_CLASSES] = {
    32,   48,   64,   128,  192,  256,   320,   384,   448,   512,   640,
    768,  896,  1024, 1280, 1536, 1792,  2048,  2560,  3072,  3584,  4096,
    5120, 6144, 7168, 8192, 9344, 10880, 13056, 16384, 21824, 32768,
};

static void lay_out_heap(cohort__heap_t *h) {
    uint64_t at = cohort__heap_round(cohort__arena->heap_offset + sizeof *h, COHORT__SPAN);
    uint64_t each = 8 + sizeof(cohort__slab_t) + COHORT__SPAN + 8 * COHORT__CLASSES_MAX / 64;
    uint64_t spans = (cohort__arena->size - at - 4 * COHORT__SPAN) / each;
    h->spans = spans;
    h->heads_at = at;
    h->partial_at = cohort__heap_round(h->heads_at + spans * 8, COHORT__SPAN);
    h->meta_at = cohort__heap_round(h->partial_at + (spans / 64 + 1) * COHORT__CLASSES_MAX * 8,
                                    COHORT__SPAN);
    h->data_at = cohort__heap_round(h->meta_at + spans * sizeof(cohort__slab_t), COHORT__SPAN);
    while (h->data_at + h->spans * COHORT__SPAN > cohort__arena->size) h->spans--;
    while (h->spans >> h->group >= COHORT__HEAP_GROUPS) h->group++;
}

/* What another process has laid out, as this one would have, and what of it is in use. */
static bool is_laid_out(cohort__heap_t *h) {
    cohort__heap_t ours = {0};
    lay_out_heap(&ours);
    return h->spans == ours.spans && h->heads_at == ours.heads_at &&
           h->partial_at == ours.partial_at && h->meta_at == ours.meta_at &&
           h->data_at == ours.data_at && h->group == ours.group &&
           cohort__load(&h->top) <= h->spans;
}

/* 0: there is no such class. */
static uint32_t size_of_class(unsigned class) {
    unsigned kind = class - COHORT__OBJECT_CLASS;
    if (class < COHORT__BYTE_CLASSES) return sizes[class];
    return class >= COHORT__OBJECT_CLASS && kind < COHORT__KINDS ? cohort__upward->kinds[kind].size
                                                                 : 0;
}

/* The smallest class of blocks of so many bytes, which there is. */
static unsigned class_for(size_t size) {
    unsigned low = 0, high = COHORT__BYTE_CLASSES - 1;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (sizes[middle] < size) low = middle + 1;
        else high = middle;
    }
    return low;
}

bool cohort__alloc_setup(bool fresh) {
    char *base = (char *)cohort__arena;
    cohort__heap_t *h = cohort__here.heap = (cohort__heap_t *)(base + cohort__arena->heap_offset);
    if (fresh) lay_out_heap(h);
    else if (!is_laid_out(h)) return false;
    cohort__spans.heads = (_Atomic uint64_t *)(base + h->heads_at);
    cohort__here.partial = (_Atomic uint64_t *)(base + h->partial_at);
    cohort__here.slabs = (cohort__slab_t *)(base + h->meta_at);
    cohort__spans.data = base + h->data_at;
    cohort__spans.top = &h->top;
    for (unsigned class = 0; class < COHORT__CLASSES_MAX; class ++) {
        uint32_t size = size_of_class(class);
        if (!size) continue;
        cohort__here.classes[class].size = size;
        cohort__here.classes[class].blocks = (uint32_t)(COHORT__SPAN / size);
        cohort__here.classes[class].inverse = (((uint64_t)1 << 32) + size - 1) / size;
    }
    for (unsigned i = 0; i <= COHORT__TINY / 16; i++)
        cohort__here.class_of_16[i] = (uint8_t)class_for((size_t)i * 16);
    for (unsigned i = 0; i <= COHORT__SMALL_MAX / COHORT__UNIT; i++)
        cohort__here.class_of_unit[i] = (uint8_t)class_for((size_t)i * COHORT__UNIT);
    return true;
}

bool cohort__alloc_extent(unsigned i, uint64_t *offset, uint64_t *size) {
    cohort__heap_t *h = cohort__heap();
    uint64_t ready = cohort__load(&h->ready_top);
    const uint64_t parts[][2] = {{cohort__arena->heap_offset, sizeof *h},
                                 {h->heads_at, ready * 8},
                                 {h->partial_at, (ready + 63) / 64 * COHORT__CLASSES_MAX * 8},
                                 {h->meta_at, ready * sizeof(cohort__slab_t)},
                                 {h->data_at, cohort__load(&h->top) * COHORT__SPAN}};
    if (i >= sizeof parts / sizeof *parts) return false;
    *offset = parts[i][0];
    *size = parts[i][1];
    return true;
}
