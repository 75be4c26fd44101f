/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory in the arena. A block always has one owner: an owner pointer (a word of the arena that
 * points at it) or, after cohort__block_give() and from cohort__block_obtain(), the user. Making,
 * moving and freeing a block are recorded in the thread's record first, so that a death in between
 * leaves it owned by exactly one of the two sides, never lost, never twice.
 */
#ifndef COHORT_CORE_ALLOC_H
#define COHORT_CORE_ALLOC_H

#include "core/memory/span.h"
#include "core/memory/thread.h"

/* Object kinds have blocks of their own, which are never reused for anything else: a stale pointer
 * to an object always meets an object header. What is known of each kind is in the table of
 * cohort/registry.c. */
typedef enum {
    COHORT__KIND_BYTES,
    COHORT__KIND_QUEUE = 1,
    COHORT__KIND_PIPE,
    COHORT__KIND_SYNC, /* lock, rlock, semaphore, condition, event */
    COHORT__KIND_BARRIER,
    COHORT__KIND_POOL,
    COHORT__KIND_RESULT,
    COHORT__KIND_IMAP,
    COHORT__KINDS
} cohort__kind_t;
#define COHORT__OBJECT_SIZE_MAX 1024 /* of a KIND_* object header block */

/* Make a block of at least `size` bytes and store it into *owner_ptr (which is NULL). Contents:
 * undefined for BYTES; for objects, what the last owner left (zero at first). Aligned to 16 bytes,
 * from 64 bytes on to 64. APR_ENOMEM: the arena is full. */
apr_status_t cohort__block_new(cohort__thread_t *me, cohort__kind_t kind, size_t size,
                               cohort__owner_ptr_t *owner_ptr);
/* Make a block of bytes that is the user's from the return on. */
apr_status_t cohort__block_obtain(cohort__thread_t *me, size_t size, void **block);
/* Free *owner_ptr's block and set it to NULL; nothing to do when it is NULL. */
void cohort__block_free(cohort__thread_t *me, cohort__owner_ptr_t *owner_ptr);
/* Move a block from one owner pointer to another (which is NULL). */
void cohort__block_move(cohort__thread_t *me, cohort__owner_ptr_t *from, cohort__owner_ptr_t *to);
/* A hint: the block here, if there is one, will soon be moved. */
void cohort__block_prefetch(const cohort__owner_ptr_t *owner_ptr);
/* Hand *owner_ptr's block to the user: *owner_ptr becomes NULL. */
void *cohort__block_give(cohort__owner_ptr_t *owner_ptr);
/* Take a user's block back into an owner pointer. COHORT_EFREE when it is no block in use. */
apr_status_t cohort__block_take(cohort__thread_t *me, void *block, cohort__owner_ptr_t *owner_ptr);
/* Free a user's block. COHORT_EFREE when it is no block in use. */
apr_status_t cohort__block_release(cohort__thread_t *me, void *block);
/* Usable bytes of a block. */
size_t cohort__block_size(const void *block);
/* Does the address lie in the arena? */
bool cohort__in_arena(const void *address, size_t size);
/* Is it the start of a block in use, of this kind? For checking users' pointers; never faults. */
bool cohort__block_is(const void *address, cohort__kind_t kind);

#define COHORT__OBJECT_CLASS 32 /* + kind: the size class of objects; up to COHORT__CLASSES_MAX */

/* Where this process sees the spans: their words, how many there are, and the first. */
typedef struct {
    _Atomic uint64_t *heads, *top;
    char *data;
} cohort__spans_t;
extern COHORT__HIDDEN cohort__spans_t cohort__spans;

/* The head of the span that an object at this address would lie in; false: none can lie there. */
static inline bool cohort__object_span(const void *address, uint64_t *head) {
    uint64_t offset = (uint64_t)((uintptr_t)address - (uintptr_t)cohort__spans.data);
    if (offset % 16 ||
        offset >= atomic_load_explicit(cohort__spans.top, memory_order_acquire) * COHORT__SPAN)
        return false;
    *head = atomic_load_explicit(&cohort__spans.heads[offset / COHORT__SPAN], memory_order_acquire);
    return true;
}
/* Does the address lie where objects of this kind do? Quicker than block_is, and enough beside the
 * object's own tag. */
static inline bool cohort__object_place(const void *address, cohort__kind_t kind) {
    uint64_t head;
    return cohort__object_span(address, &head) &&
           cohort__span_is_slab_of(head, COHORT__OBJECT_CLASS + (unsigned)kind);
}
/* The kind of the objects that lie where the address is; BYTES: none do. */
static inline cohort__kind_t cohort__object_kind(const void *address) {
    uint64_t head;
    return cohort__object_span(address, &head) && cohort__span_kind(head) == COHORT__HEAP_SLAB &&
                   cohort__span_class(head) >= COHORT__OBJECT_CLASS
               ? (cohort__kind_t)(cohort__span_class(head) - COHORT__OBJECT_CLASS)
               : COHORT__KIND_BYTES;
}
/* All blocks of objects of this kind that are in use, published or not (the object's own tag says):
 * the first after `after` (NULL: the very first), NULL after the last. One that is made or freed
 * meanwhile may come or not. */
void *cohort__object_next(cohort__kind_t kind, const void *after);

/* Where the heap's parts lie, and how far each is in use: for i = 0, 1, ...; false: there are no
 * more. */
bool cohort__alloc_extent(unsigned i, uint64_t *offset, uint64_t *size);
/* false: what is there has not been laid out by this library */
bool cohort__alloc_setup(bool fresh);
void cohort__alloc_repair(cohort__thread_t *dead);
/* A thread ends: its spans may be used by others. */
void cohort__alloc_retire(cohort__thread_t *thread);

typedef struct {
    uint64_t limit, committed, used, blocks;
} cohort__usage_t;
void cohort__alloc_usage(cohort__usage_t *usage);
/* Check every invariant of the heap (tests). Returns false and a reason. */
bool cohort__alloc_sound(char *why, size_t size);

#endif
