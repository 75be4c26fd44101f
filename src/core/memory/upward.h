/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the storeys call above themselves. No file names a function of a storey above its own; where
 * the core has to call one, it calls through these tables. They are constants that one file at the
 * top holds (cohort/registry.c), the same in every process, and are handed down before a process is
 * a member.
 */
#ifndef COHORT_CORE_UPWARD_H
#define COHORT_CORE_UPWARD_H

#include "core/memory/alloc.h"
#include "core/memory/member.h"

/* What is known of a kind of objects. */
typedef struct {
    const char *name;
    uint32_t size; /* of its blocks */
    /* The rings in an object that has some, for i = 0, 1, ...; NULL after the last. */
    void *(*ring)(void *object, int i);
} cohort__kind_ops_t;

/* One step of the repair of a dead thread, idempotent. False: the caller is in the middle of
 * something itself, and leaves the dead thread's record to another one. */
typedef struct {
    const char *name;
    bool (*repair)(cohort__thread_t *me, cohort__thread_t *dead);
} cohort__thread_step_t;

/* One step of the repair of a dead process, idempotent, after that of its threads. Not by a thread
 * that is busy. */
typedef struct {
    const char *name;
    bool programs; /* also when the process was another program, which is no member */
    void (*died)(cohort__pid_t dead);
    /* the slot is let go of before its start; NULL: nothing to do */
    void (*never_started)(cohort__pid_t id);
} cohort__death_step_t;

/* What processes of a role do that others do not; NULL: nothing. */
typedef struct {
    const char *name;
    /* the body of a child, instead of the user's function; its exit code */
    int (*run)(cohort_process_t *self);
    /* repaired, and the exit code final; any number of times */
    void (*died)(cohort__pid_t id);
    /* Its watcher has recorded its end. `pool` is what the slot named before that, since it may be
     * another's by now. */
    void (*ended)(cohort__pid_t id, cohort_pool_t *pool);
} cohort__role_ops_t;

/* A part of the library that keeps something of each process, and what it does at some moments;
 * NULL: nothing. */
typedef struct {
    const char *name;
    /* before a fork, in the table's order: nothing changes until it is over */
    void (*fork_begin)(void);
    void (*fork_end)(void); /* after it, in the parent, in the reverse order */
    /* in a copy of the process: what belongs to the original is let go of */
    void (*forked)(void);
    void (*ending)(void); /* this process ends, and its children do next */
} cohort__part_t;

/* What the watcher of a process has done by others. */
typedef struct {
    /* look after what this process keeps going: its pools */
    void (*tend)(void);
    /* a process that should notify this one when to do that cannot */
    bool (*is_cut_off)(void);
    /* the watcher's channel is another one: inform those that write to it */
    void (*introduce)(void);
    /* one of its daemons has ended, before that is announced */
    void (*contained_ended)(cohort__pid_t id);
    /* this process has ended, which watched others: watch those */
    void (*adopt)(cohort__pid_t dead);
    void (*exit)(int code); /* end this process in order; does not return */
} cohort__watch_ops_t;

typedef struct {
    const cohort__kind_ops_t *kinds; /* by cohort__kind_t */
    /* If this process has died, have that recorded and repaired. */
    bool (*check_dead)(cohort__pid_t process);
    const cohort__thread_step_t *thread_steps; /* the last one has no name */
    const cohort__death_step_t *death_steps;   /* the last one has no name */
    const cohort__role_ops_t *roles;           /* by cohort__role_t */
    const cohort__watch_ops_t *watch;
    const cohort__part_t *parts; /* the last one has no name */
} cohort__upward_t;

extern const cohort__upward_t *cohort__upward;

/* Of the process in this slot. */
static inline const cohort__role_ops_t *cohort__role_ops(const cohort_process_t *slot) {
    uint32_t role = slot->role;
    return &cohort__upward->roles[role < COHORT__ROLES ? role : COHORT__ROLE_ROOT];
}

#endif
