/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The process table: a slot per process of the cohort, in the arena. A cohort_process_t is such a
 * slot. What a slot says of a life is in one word, generation and state, so that each step of a
 * life is one compare-and-swap.
 */
#ifndef COHORT_CORE_MEMBER_H
#define COHORT_CORE_MEMBER_H

#include "core/memory/code.h"
#include "core/memory/lock.h"

#include <cohort/process.h>
#include <cohort/types.h>

#define COHORT__PROCESSES_MAX 16384u
#define COHORT__NAME_MAX      (COHORT_NAME_MAX + 1) /* with its zero */
#define COHORT__FILES_MAX     253u /* what one message of a socket can carry, on every system */

typedef enum {
    COHORT__SLOT_FREE,
    COHORT__SLOT_MAKING,   /* being filled in by its creator */
    COHORT__SLOT_NEW,      /* created, not started */
    COHORT__SLOT_STARTING, /* handed to a starter */
    /* the start failed; start_status says why, and its starter makes it NEW again */
    COHORT__SLOT_FAILED,
    COHORT__SLOT_RUNNING,
    COHORT__SLOT_DEAD, /* ended; what it was doing is being repaired */
    /* ended and repaired; exit code final: the one moment at which a process has ended for all
     * callers */
    COHORT__SLOT_ENDED
} cohort__slot_state_t;

typedef enum {
    COHORT__ROLE_ROOT,
    COHORT__ROLE_CHILD,
    COHORT__ROLE_SERVER,
    COHORT__ROLE_PROGRAM,
    COHORT__ROLE_WORKER, /* a child that is a pool's worker */
    COHORT__ROLE_KEEPER,
    COHORT__ROLE_SERVICE, /* no process of the system: a supervised one over its runs */
    COHORT__ROLES
} cohort__role_t;

struct cohort_process_t {
    _Alignas(64) _Atomic uint64_t life; /* starts << 48 | generation << 8 | state; see below */
    _Atomic uint64_t outcome;           /* how it ended, and whether that is final; see below */
    _Atomic int32_t start_status;
    cohort_os_id_t os;            /* written before RUNNING */
    _Atomic int64_t arena;        /* its handle of the arena, likewise */
    cohort__eventcount_t changed; /* any step of the life, and a stored exit code */
    _Atomic cohort__pid_t parent;
    _Atomic cohort__pid_t creator; /* holds the handle; 0 = closed */
    _Atomic cohort__pid_t reaper;  /* the process with the watcher that will see it end */
    /* of the child that is starting: attempt << 32 | pid, 0 = not there yet; see below */
    _Atomic uint64_t claim;
    _Atomic int64_t started;   /* when it became RUNNING, in APR's time; 0: not yet */
    _Atomic uint32_t children; /* for default names */
    _Atomic uint32_t role;     /* others read it while the slot changes hands */
    uint32_t lifetime;
    /* hangs on its parent's lifeline: a daemon, and all that one starts to be joined */
    uint32_t bound;
    uint32_t method;
    uint32_t signals; /* cohort_os_signals_t */
    uint32_t group;   /* cohort_os_group_t */
    /* cohort_containment_t; DEFAULT: nothing is said, and nothing of it ends with it */
    uint32_t containment;
    cohort_os_tree_t tree; /* with COHORT_CONTAIN_TREE */
    /* it came to its end by itself: it returned or called exit(), on which no system's exit code
     * can be relied */
    _Atomic uint32_t left;
    _Atomic(cohort_pool_t *) pool; /* a worker's */
    _Atomic uint32_t worker;       /* and its number there */
    cohort__guard_t guard;     /* the name, freeing and letting go; reaping against signalling */
    _Atomic uint64_t repairer; /* tid of the repairer, 0 = none */
    _Atomic uint32_t repaired; /* how far, see below */
    _Atomic int64_t died;      /* when it was found dead */
    _Atomic uint32_t watches;  /* it has started others, and its watcher sees their ends */
    /* its starter waits until it is RUNNING, and takes a failure back to NEW */
    _Atomic uint32_t awaited;
    _Atomic uint32_t renamed; /* name[renamed % 2] is valid */
    char name[2][COHORT__NAME_MAX];
    char identity[COHORT__NAME_MAX]; /* "1", "1:2": what default names are made of */
    cohort__code_t run, on_start, on_exit;
    uint32_t subclass; /* args are an instance of a class */
    uint64_t args_size, context_size;
    /* of handles that it is given: those that it can take (gift.c), and all */
    uint32_t n_gifts, n_files;
    cohort__owner_ptr_t args, context, files; /* files: cohort_os_gift_t, the former first */
    cohort__owner_ptr_t settings;             /* cohort_os_settings_t, or NULL */
    cohort__owner_ptr_t service;              /* a service's (service.c): what is kept of it */
    cohort__owner_ptr_t kept;                 /* of a service: the context of its runs */
    _Atomic cohort__pid_t serves;             /* of a run of a service: that one; 0: it is none */
    _Atomic cohort__pid_t current;            /* of a service: its present run; 0: there is none */
    _Atomic uint32_t over;  /* of a service: it has ended, and `outcome` says how */
    _Atomic uint32_t tries; /* of a service: starts that have come to an end */
    /* the starter's own pointer: a worker's context and streams are its pool's (cohort__given_t) */
    void *given;
    /* a worker that was there before: in the state of the maker's first thread */
    uint32_t replaces;
    /* what it shall be that no context says; of a server: what its maker was */
    cohort_os_state_t state;
    _Atomic uint32_t unfit; /* the child found that its server cannot make it so */
    /* whether `context` is what it shall be, for a child that a server forks meanwhile */
    _Atomic uint32_t context_state;
    _Atomic cohort__pid_t requester; /* the process that writes it */
    /* the creator's own pointers: a program, or the streams of a function; the pool for its ends of
     * pipes; what was opened for the start that is under way (cohort__streams_t) */
    void *program, *program_pool, *streams;
    cohort_os_terminal_t terminal;
    uint32_t attended; /* it is a command: its creator has a thread that wants to know its end */
    char reason[COHORT__REASON_MAX]; /* of start_status, in words; "": nothing was said */
};

/* What of the dead process is repaired. Only a thread that is busy stops at the first step, and
 * others go on from there; ENDED comes after the second. */
enum {
    COHORT__REPAIRED_NOTHING,
    /* what its threads were doing, but for objects that they were destroying; no thread has to wait
     * for more */
    COHORT__REPAIRED_THREADS,
    COHORT__REPAIRED_START, /* as far as a start that failed needs: it may be started again */
    COHORT__REPAIRED_ALL    /* and what only it would have destroyed, or let go of, is */
};

enum {
    COHORT__CONTEXT_UNDERWAY,
    COHORT__CONTEXT_THERE,
    COHORT__CONTEXT_FAILED /* start_status says why */
};

/* A life's word: how often it was started, from the bit START on; its generation; its state. */
#define COHORT__LIFE_START 48
static inline uint64_t cohort__life_word(uint64_t generation, cohort__slot_state_t state) {
    return generation << 8 | (uint64_t)state;
}
static inline cohort__slot_state_t cohort__life_state(uint64_t life) {
    return (cohort__slot_state_t)(life & 0xff);
}
static inline uint64_t cohort__life_generation(uint64_t life) {
    return (life & (((uint64_t)1 << COHORT__LIFE_START) - 1)) >> 8;
}
static inline uint64_t cohort__life_with(uint64_t life, cohort__slot_state_t state) {
    return (life & ~(uint64_t)0xff) | (uint64_t)state;
}
/* The same life, started once more. */
static inline uint64_t cohort__life_started(uint64_t life) {
    return cohort__life_with(life, COHORT__SLOT_STARTING) + ((uint64_t)1 << COHORT__LIFE_START);
}
/* The same start of the same process, whatever has become of it. */
static inline bool cohort__is_same_start(uint64_t one, uint64_t other) {
    return one >> 8 == other >> 8;
}
static inline uint64_t cohort__process_life(const cohort_process_t *slot) {
    return atomic_load_explicit(&((cohort_process_t *)slot)->life, memory_order_acquire);
}

/*
 * An outcome's word: which start of which life it is of, whether it is final, and the exit code,
 * COHORT_EXIT_NONE until one is known. The teller of an end may be late, and the slot another
 * process' by then: with an exchange of the word of that very start nothing of the next one is
 * changed.
 */
static inline uint64_t cohort__outcome(uint64_t life, bool final, int code) {
    uint64_t start = life >> COHORT__LIFE_START << 15 | (cohort__life_generation(life) & 0x7fff);
    return start << 33 | (uint64_t) final << 32 | (uint32_t)code;
}
static inline bool cohort__outcome_is_of(uint64_t outcome, uint64_t life) {
    return outcome >> 33 == cohort__outcome(life, false, 0) >> 33;
}
static inline bool cohort__outcome_is_final(uint64_t outcome) { return (outcome >> 32 & 1) != 0; }
static inline int cohort__outcome_code(uint64_t outcome) { return (int)(int32_t)(uint32_t)outcome; }
static inline int cohort__exit_code(const cohort_process_t *slot) {
    return cohort__outcome_code(atomic_load(&((cohort_process_t *)slot)->outcome));
}

/*
 * A claim's word: which attempt at a start of the slot is under way, and the pid of the child that
 * has claimed it. Attempts are never numbered twice in a slot, whichever process has it, so a child
 * that comes too late does not claim another's start.
 */
static inline uint32_t cohort__claim_attempt(uint64_t claim) { return (uint32_t)(claim >> 32); }
/* 0: no child has claimed the attempt yet. */
static inline int64_t cohort__claim_pid(uint64_t claim) { return (int64_t)(claim & 0xffffffff); }
/* The attempt, claimed by no child. */
static inline uint64_t cohort__claim_open(uint32_t attempt) { return (uint64_t)attempt << 32; }
/* An open attempt, claimed by this child. */
static inline uint64_t cohort__claim_by(uint64_t open, int64_t pid) { return open | (uint64_t)pid; }
/* The next attempt, open. Its number has 24 bits, which is what a boot block has room for. */
static inline uint64_t cohort__claim_next(uint64_t claim) {
    return cohort__claim_open((cohort__claim_attempt(claim) + 1) & 0xffffff);
}

/* A process in this state may be doing something to the arena. */
static inline bool cohort__may_act(cohort__slot_state_t state) {
    return state == COHORT__SLOT_STARTING || state == COHORT__SLOT_RUNNING;
}

cohort__pid_t cohort__acting_id(void);
/* One of the library's own processes, no child that the user knows of. */
static inline bool cohort__is_helper(const cohort_process_t *slot) {
    return slot->role == COHORT__ROLE_SERVER || slot->role == COHORT__ROLE_KEEPER;
}
/* Is it no member, which could have left something half done in the arena? */
static inline bool cohort__is_no_member(const cohort_process_t *slot) {
    return slot->role == COHORT__ROLE_PROGRAM || slot->role == COHORT__ROLE_SERVICE;
}
/* Does what it leaves behind end with it? */
static inline bool cohort__is_contained(const cohort_process_t *slot) {
    return slot->containment >= COHORT_CONTAIN_GROUP;
}
/* Which start of a slot this is; a start that failed may be followed by another. */
static inline uint32_t cohort__process_attempt(cohort_process_t *slot) {
    return cohort__claim_attempt(atomic_load(&slot->claim));
}
cohort__pid_t cohort__process_id(const cohort_process_t *process);
/* The slot of an id when it still is that process, else NULL. */
cohort_process_t *cohort__process_find(cohort__pid_t id);
cohort__slot_state_t cohort__process_state(const cohort_process_t *process);
/* Not before its start, not after its end. thorough: ask the system too. Changes nothing, so it may
 * be asked with any lock held. */
bool cohort__process_alive(cohort__pid_t id, bool thorough);
/* Does this process of the system go on when those end that have started it? */
bool cohort__is_spared(int64_t pid);
/* Its identity to the system, as far as is known: a child that is starting has left its pid in the
 * claim. */
cohort_os_id_t cohort__process_os(cohort_process_t *process);
/* The process in the slot that this pointer names, which the user gave; 0: it is no slot in use. */
cohort__pid_t cohort__process_named(const cohort_process_t *process);
/* The same, in a status. */
apr_status_t cohort__process_check(const cohort_process_t *process);

/* Iterate over all slots ever used; NULL after the last. */
cohort_process_t *cohort__process_at(uint32_t index);
uint32_t cohort__process_count(void);

#endif
