/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Processes that the calling thread holds and moves on, one instruction at a time. */
#ifndef COHORT_TESTS_STEP_TRACE_H
#define COHORT_TESTS_STEP_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct {
    pid_t pid;
    bool ended;    /* by itself */
    bool is_apart; /* a new program without the arena yet: moves from system call to system call */
    bool in_call;  /* and stands before one */
    uint64_t at;   /* the last instruction that was asked about */
} traced_t;

/* From here on it can be held; and so can its children, from their first instruction on. */
void trace_seize(pid_t pid, bool children);
/* A seized process that raises SIGTRAP, from there on. */
traced_t trace_trapped(pid_t pid);
/* A seized thread, wherever it is. */
traced_t trace_interrupted(pid_t pid);
/* The next child of a process seized with its children, held; its parent is let go. */
traced_t trace_child(pid_t parent);
/* Once before each move: is the next instruction one that others may notice, a store to the arena
 * or a system call? One that repeats counts at the first and at every 256th repetition. On machines
 * without a decoder each instruction counts. */
bool trace_at_point(traced_t *traced);
/* On by one instruction, or repetition. */
void trace_move(traced_t *traced);
/* It runs on by itself, held no more. */
void trace_let_go(traced_t *traced);
/* The end of a thread that was killed with its process. */
void trace_reap(const traced_t *traced);
/* For one that is no child of this process. */
void trace_kill(traced_t *traced);

#endif
