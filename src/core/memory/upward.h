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

/* What a caller's pointer names, in the life that was current when the call began. Whatever is at
 * that place by now, nothing is said of another life. */
typedef struct {
    cohort__thread_t *me; /* the caller */
    void *handle;         /* the pointer that the caller was given when it was made */
    uint64_t life;        /* an object's tag, or a process' id */
} cohort__aim_t;

/*
 * What is known of a type: of what users point at, as they know it. A thread can wait for things of
 * a type if its entry has `conditions`, `usual`, `ready` and `event`; cohort_wait() needs no more
 * to know of another one. NULL: there is nothing.
 */
typedef struct {
    const char *name; /* "queue" */
    uint32_t tag;     /* of its objects; 0: it is no object, but a process */
    /* COHORT_READY_...: those that `ready` can tell, and those that are meant where none is
     * named. */
    unsigned conditions, usual;
    /* Can the calling thread wait for these conditions of it? Else why not. */
    apr_status_t (*check)(const cohort__aim_t *aim, unsigned wanted);
    /* Which of these conditions hold? All of them when that life is over. `thorough`: the thread
     * is about to sleep, so look for deaths that matter; not with a guard held. */
    unsigned (*ready)(const cohort__aim_t *aim, unsigned wanted, bool thorough);
    /* The event counts that are notified when one of these conditions may have come, for i = 0, 1;
     * NULL after the last, of which there is at least one. A thread that waits for things with
     * different ones shares them all, and sleeps on cohort__arena->completed. */
    cohort__eventcount_t *(*event)(const cohort__aim_t *aim, unsigned wanted, int i);
    /* Of what is ready: has it failed? NULL: such things do not fail. */
    bool (*failed)(const cohort__aim_t *aim);
    /* How often a thread that waits for it looks around by itself; NULL: as most do. */
    const cohort__pace_t *pace;
    /* A better way to wait for any of a few, up to COHORT_OS_BORROW_MAX, than to sleep on the event
     * count. Returns when it is over, or when it is time to look. */
    void (*await_any)(void *const *handles, int count, int64_t deadline);
    /* One line for people, to be put behind "is": "an open queue with 5 messages". */
    void (*describe)(const cohort__aim_t *aim, char *text, size_t size);
} cohort__type_t;

/* What is known of a kind of objects. */
typedef struct {
    const char *name;
    uint32_t size;               /* of its blocks */
    const cohort__type_t *types; /* of its objects; the last one has no name */
    /* The object in which this handle lies, or NULL; where handles are not the objects'
     * addresses. */
    void *(*object)(const void *handle);
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
    /* a child that a keeper may hold has ended, before that is announced */
    void (*held_ended)(cohort__pid_t id);
    /* this process has ended, which watched others: watch those */
    void (*adopt)(cohort__pid_t dead);
    void (*exit)(int code); /* end this process in order; does not return */
} cohort__watch_ops_t;

typedef struct {
    const cohort__kind_ops_t *kinds; /* by cohort__kind_t */
    const cohort__type_t *process;
    /* If this process has died, have that recorded and repaired. */
    bool (*check_dead)(cohort__pid_t process);
    const cohort__thread_step_t *thread_steps; /* the last one has no name */
    const cohort__death_step_t *death_steps;   /* the last one has no name */
    const cohort__role_ops_t *roles;           /* by cohort__role_t */
    const cohort__watch_ops_t *watch;
    const cohort__part_t *parts; /* the last one has no name */
} cohort__upward_t;

extern COHORT__HIDDEN const cohort__upward_t *cohort__upward;

/* Of the process in this slot. */
static inline const cohort__role_ops_t *cohort__role_ops(const cohort_process_t *slot) {
    uint32_t role = slot->role;
    return &cohort__upward->roles[role < COHORT__ROLES ? role : COHORT__ROLE_ROOT];
}

#endif
