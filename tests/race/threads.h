/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * For ThreadSanitizer, which sees nothing across processes: the participants are threads over one
 * arena, all at once at the same objects. What they hand to each other is plain memory, so that an
 * order which an object does not establish is a race. This program is linked with a library in
 * which the identity of a process belongs to the thread (COHORT__PER_PROCESS): each participant is
 * a process of the cohort, with a slot and a record of its own, and so are the workers of pools,
 * which are started as threads here. Without the sanitizer these are tests of the same invariants.
 */
#ifndef COHORT_TESTS_THREADS_H
#define COHORT_TESTS_THREADS_H

#include "../api/parties.h"

#include "core/memory/arena.h"

#include <cohort/cohort.h>

#define MOST         16   /* participants */
#define MOST_WORKERS 2000 /* of a pool, one after the other */

/* The process that the others are children of. */
extern cohort_process_t *root;

/* Run this in so many participants, and wait until all are done. */
void together(int n, void (*run)(void *arg, int index), void *arg);
/* So many blocks of the heap are in use, and it is sound. */
void check_heap(apr_uint64_t blocks);
/* A pool of the calling process, and its end, after which so many blocks are in use. */
cohort_pool_t *begin_pool(int workers);
cohort_pool_t *begin_pool_with(const cohort_pool_options_t *options);
void end_pool(cohort_pool_t *pool, apr_uint64_t blocks);

#endif
