/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Killing a process after its n-th instruction, for every n. A scenario is one operation on shared
 * objects; the victim runs it under single-stepping and is killed after n instructions, for one n
 * after the other until the operation ends; after each kill the survivor checks everything that
 * must hold whatever n was. An instruction that repeats counts once per repetition. Where an
 * operation is longer than 2,000 instructions, n counts those of them that others can notice: it is
 * killed before each store to the arena and before each system call (step_points.h).
 *
 * By default only some n are tried, evenly spread from a random one on. The environment variable
 * COHORT_CRASH chooses how many: a number of points per scenario, or "all".
 */
#ifndef COHORT_TESTS_STEP_H
#define COHORT_TESTS_STEP_H

#include <cohort/types.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct {
    _Atomic int ready, go, done;
} step_place_t;

typedef struct {
    /* In the survivor, before each try: make the objects. Returns what the other functions get; a
     * block or object of the arena, or NULL. */
    void *(*prepare)(void);
    /* In the victim, before the stepping: what must have happened already. May be NULL. */
    void (*warm)(void *state);
    /* In the victim, stepped. Must not wait for the survivor. It may end the process. */
    void (*operate)(void *state);
    /* Instead of those two: a process of the scenario's own, which waits for its place's `go`,
     * raises SIGTRAP, and sets `done` at the end of the operation. */
    cohort_process_t *(*victim)(void *state, step_place_t **place);
    /* In the survivor, after the victim's death: `finished` when operate() had returned. */
    void (*check)(void *state, bool finished);
    /* In the survivor: free all that prepare() made. After it, as soon as processes that end
     * meanwhile have ended, the arena holds as many blocks of each kind, processes and records of
     * dead threads as before prepare(). */
    void (*discard)(void *state);
    /* Instead of warm(), operate() and victim(): a process that, after its place's `go`, starts
     * one. That one is the victim, from its first instruction on until it sets `done`. */
    pid_t (*starter)(void *state, step_place_t **place);
    /* With it the victim's watcher is stepped, and the victim's first thread runs beside it: it
     * calls operate(), if there is one, while the watcher is held, and then this until it is true.
     * It may wait for the watcher. */
    bool (*over)(void *state);
} step_scenario_t;

/* For victim(), of a pool with one worker: that one, when a task of it has set `ready`. */
cohort_process_t *step_worker(cohort_pool_t *pool, step_place_t *place);

/* What an operation ends its process with. */
#define STEP_EXIT_CODE 3

/* For prepare(): a block of zeroes. */
void *step_new(apr_size_t size);
/* An operation that ends its process. */
void step_leave(void *state);
/* A task: an int that is one more. */
apr_status_t step_task(const void *input, void *output);

/* For a check: what the victim had started ends by itself; see that all know. */
void step_end_orphans(void);

/* Run a scenario at its points of death. Prints how many there were. */
void step_through(const char *name, const step_scenario_t *scenario);
/* The same, and the process that repairs the victim's death is itself killed after its m-th
 * instruction, before the survivor repairs both. */
void step_through_repair(const char *name, const step_scenario_t *scenario);

/* For a scenario with victim(). The victim's parent, which would see its end first, is stopped
 * while unseen() runs in the survivor: the victim is dead, and no process knows it. */
typedef struct {
    cohort_process_t *(*parent)(void *state);
    void (*unseen)(void *state);
} step_unseen_t;
void step_through_unseen(const char *name, const step_scenario_t *scenario,
                         const step_unseen_t *unseen);

/* Nothing is killed: the victim is held at a point until meanwhile(), in a thread of the survivor,
 * has ended or waits for the victim, which then goes on to its end. */
void step_beside(const char *name, const step_scenario_t *scenario, void (*meanwhile)(void *state));

/* A scenario of these members, by the name of its case, and the same with a repairer's death. */
#define STEP_CASES(function, ...)                                                 \
    static const step_scenario_t function##_scenario = {__VA_ARGS__};             \
    static void function(void) { step_through(#function, &function##_scenario); } \
    static void function##_repair(void) { step_through_repair(#function, &function##_scenario); }

/* Run a scenario to its end, and look at its process before each instruction and after the last. */
void step_each(const step_scenario_t *scenario, void (*look)(pid_t pid));

#endif
