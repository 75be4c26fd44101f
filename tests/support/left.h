/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in use in the arena, for tests that kill processes: afterwards there must be exactly as
 * much of everything as before. White box; the program links the static library.
 */
#ifndef COHORT_TESTS_LEFT_H
#define COHORT_TESTS_LEFT_H

#include "core/memory/alloc.h"

#include <stdbool.h>

typedef struct {
    uint64_t blocks[COHORT__KINDS]; /* in use, of each kind */
    /* slots of the table in use, but those of this process and its fork server */
    uint64_t processes;
    uint64_t records; /* of threads of processes that are not alive */
} left_t;

left_t left_now(void);

/* Is as much in use as before, but for so many blocks of bytes more at most? Those are users': a
 * process that was killed while it was given one. */
bool left_same(const left_t *before, const left_t *now, uint64_t more);

/* Measure until it is the same, and at last after 20 seconds: what processes that are ending still
 * hold goes within that time. Only looks: nothing is repaired or freed by it. `now` receives the
 * last measurement. */
bool left_as_before(const left_t *before, left_t *now, uint64_t more);

/* "blocks of bytes 3 instead of 2, ..." of all that differs; `text` is returned. */
const char *left_describe(const left_t *before, const left_t *now, char *text, size_t size);

#endif
