/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Process pools.
 *
 * Guarantee: whatever process dies at whatever instruction, each item of each job yields exactly
 * one result, the death is charged to the one item that ran, and no thread waits for the dead.
 *
 * A job (the inside of a cohort_result_t) is an index range cut into chunks. What has become of a
 * chunk is in one word, and that is the only truth:
 *
 *     FREE -> RUNNING(worker) -> DONE            the way of most
 *             RUNNING(worker) -> RETRY -> ...    the worker died, or gives way to another job
 *                 (pool_fair.c): the rest goes back, with the offset where it starts
 *             RUNNING(worker) -> WAITING -> ...  its item is run again later, see pool_delay.c
 *     each but DONE -> CANCELLED                 likewise, see pool_cancel.c
 *
 * A worker owns a chunk by a compare-and-swap from FREE or RETRY to RUNNING(me), having noted
 * before which chunk it wants, so its repairer knows it. It says in its record which item is under
 * way, by plain stores. The shared cursor from which workers take batches of chunks is only a hint.
 * When it has run out, workers pass over all words once and take what others have not begun; after
 * such a pass every chunk is RUNNING, WAITING or final, and the job leaves the pool's list of ready
 * jobs. One that is over by then stays on it until it is destroyed, which is mostly soon, or until
 * another is behind it. What makes chunks free again changes the job's round and puts the job back.
 * DONE and CANCELLED are final, so "the first chunks up to here are" can be remembered without care
 * (scanned), and the thread that finds that it is all of them completes the job, by one
 * compare-and-swap of its state.
 *
 * A job on the ready list is found by reading the list's head without a lock. A worker that wants
 * it writes the job into its record and looks at the head again: then the thread that frees the job
 * sees the record (a hazard pointer). Jobs are type-stable, so looking at a stale one does no harm.
 * A job that is destroyed while workers are at it is marked unwanted, and freed by the last thread
 * that leaves it.
 *
 * Everything else (lists, workers, states of the pool) is changed under the pool's guard, with its
 * journal. The block that is being added to or taken from the pool is owned by pool->in_flight
 * meanwhile: the next owner of the guard frees what a dead one left there.
 *
 * That is the local back end, by which the workers are processes of this cohort. The API reaches
 * it through the table of backend.h only, behind which another back end can stand; backend_local.h
 * has what belongs to it alone.
 */
#ifndef COHORT_CORE_POOL_H
#define COHORT_CORE_POOL_H

#include "core/object/object.h"
#include "core/pool/pool_words.h"
#include "core/process/process.h"

#include <cohort/errors.h>
#include <cohort/pool.h>
#include <cohort/imap.h>

#define COHORT__POOL_TAG COHORT__TAG('P', 'O', 'O', 'L')
/* destroyed; freed with its last job */
#define COHORT__POOL_TAG_RETIRED COHORT__TAG('R', 'T', 'R', 'D')
#define COHORT__RESULT_TAG       COHORT__TAG('R', 'S', 'L', 'T')

#define COHORT__WORKERS_MAX   8192
#define COHORT__SEGMENTS      8 /* of places that are added, see pool_resize.c */
#define COHORT__ATTEMPTS_MAX  8000
#define COHORT__POOL_NAME_MAX 51 /* with its zero; "-8192" still fits a process' name */
#define COHORT__ITEMS_MAX     UINT64_C(4294967294)
#define COHORT__INLINE        384 /* bytes of inputs, context, outputs that lie in the job itself */

/* An owner pointer with a word that the guard's journal can change. */
typedef union {
    _Atomic uint64_t word;
    cohort__owner_ptr_t owner_ptr;
} cohort__in_flight_t;

/* A doubly linked ring, changed through the guard only; next is 0 outside of any list. */
typedef struct {
    _Atomic uint64_t next, prev;
} cohort__link_t;

/* The states of a pool, in the order in which they are gone through. */
typedef enum {
    COHORT__POOL_OPEN,
    COHORT__POOL_CLOSED, /* what was submitted is done, then the workers end */
    COHORT__POOL_ENDED   /* terminated */
} cohort__pool_state_t;

typedef enum {
    COHORT__WORKER_STARTING,
    COHORT__WORKER_INITIALISING,
    COHORT__WORKER_FAILED, /* its initializer has, and it has said so */
    COHORT__WORKER_READY   /* set under the guard: before it, the worker touches no job */
} cohort__phase_t;

/* A worker's record. The first half is the worker's own. */
typedef struct {
    _Alignas(64) _Atomic(cohort_result_t *) job; /* which may not be freed */
    _Atomic uint64_t chunk;                      /* that it wants or has */
    /* item << 1 | it is running; items before it are done */
    _Atomic uint64_t progress;
    _Atomic uint32_t phase;
    _Atomic uint32_t visit; /* counts the jobs that workers at this place have come to */
    _Atomic int64_t begun;  /* when its item has, if the job needs that; 0: no item runs */
    _Alignas(64) _Atomic uint64_t process; /* cohort__pid_t; 0 = the place is vacant. Guard. */
    _Atomic uint64_t launcher;             /* tid of the thread that starts it */
    _Atomic int64_t since;                 /* when its start began. Guard. */
    _Atomic uint64_t previous; /* the process before it; its slot is kept until the next death */
    /* this process is to be ended, or 0; and what it is ended for, see pool_cancel.c. Guard. */
    _Atomic uint64_t verdict, condemned;
    /* which item of which visit was seen running, and since when, see pool_activity.c. Guard. */
    _Atomic uint64_t seen, seen_visit;
    _Atomic int64_t seen_since;
    _Atomic uint64_t leaves;   /* it ends when it has left its job, and is not counted. Guard. */
    cohort__owner_ptr_t crash; /* what it says of one, see pool_crash.c; or NULL */
} cohort__worker_t;

struct cohort_pool_t {
    /* parts: workers, initializer's arguments, error record in the making, why the last start
     * failed */
    cohort__object_t object;
    _Alignas(64) _Atomic uint64_t state;
    _Atomic uint64_t staffed; /* its maker has started the workers; replacing them may begin */
    /* jobs with chunks that no worker has begun, or over; idle workers look here all the time, so
     * nothing else is here that is written often */
    cohort__link_t ready;
    /* the imap of which all of these are portions; 0: they are not, of one. Guard. */
    _Atomic uint64_t kin;
    cohort__link_t each;          /* jobs that run once on every worker, see pool_each.c */
    _Atomic uint64_t each_serial; /* how many have come */
    _Alignas(64) cohort__pid_t maker;
    _Atomic uint32_t workers; /* places that there are; they become more, see pool_resize.c */
    uint32_t first;           /* of them are in the first part */
    uint32_t attempts;
    uint32_t hands;           /* workers that can run at the same time */
    _Atomic uint32_t backend; /* cohort__backend_number_t, see backend.h */
    cohort_start_method_t method;
    cohort_signals_t signals;
    cohort_group_t group;
    cohort_containment_t containment;
    cohort__code_t initializer, finalizer;
    uint64_t init_size;
    char name[COHORT__POOL_NAME_MAX];
    /* How long a worker lives, see pool_retire.c; 0, and COHORT_OS_NEVER for times: no limit. */
    uint32_t limited, counts; /* one of the first three is set; see pool_tally.h */
    uint64_t tasks_most, memory_most;
    uint64_t hard_memory, hard_time; /* bytes, CPU seconds: of the system, for messages */
    int64_t age_most, idle_most;
    /* How many workers there are to be: places from `target` on stay vacant, and workers there end;
     * of those before it so many as `demand` says are taken. Guard. */
    _Atomic uint64_t target, demand;
    /* How much is taken in, see pool_room.c; 0: no limit. The numbers are never too low. Guard. */
    uint32_t bounded, reports_crashes;
    uint64_t most_jobs, most_bytes;
    _Atomic uint64_t queued, queued_bytes;
    uint32_t least;                             /* the demand does not fall below this */
    uint32_t on_demand;                         /* it may be less than the target */
    cohort__owner_ptr_t more[COHORT__SEGMENTS]; /* places behind the first ones */
    _Alignas(64) cohort__link_t all;            /* every job that was not freed */
    _Atomic uint32_t swept;   /* the cohort's deaths when orphans were last looked for */
    _Atomic uint32_t timed;   /* jobs that are not over may have times */
    _Atomic int64_t kill;     /* when its workers are to be killed; 0: not yet known */
    _Atomic int64_t vacant;   /* when a place last became vacant */
    _Atomic int64_t tended;   /* when the times of its jobs were last looked at */
    _Atomic int64_t observed; /* until then; see pool_activity.c */
    /* when workers were last looked at for pool_fair.c, and for a portion of which imap. Guard. */
    _Atomic int64_t pressed;
    _Atomic uint64_t pressing;
    /* Starts that fail, see pool_retry.c. Guard. */
    _Atomic uint64_t failures; /* one after the other since a worker last became ready */
    _Atomic int64_t failing;   /* since when they fail while no worker is ready; 0 = they do not */
    _Atomic int64_t failed;    /* when the last one was counted */
    _Atomic int64_t retry;     /* when the next may begin */
    _Atomic uint64_t why;      /* status of the last one */
    /* From here on nothing is ever cleared: it is in order when a pool is freed, and a thread that
     * comes too late for that pool still uses it. */
    _Alignas(64) cohort__eventcount_t work; /* what idle workers sleep on */
    cohort__eventcount_t changed;           /* workers came and went, callbacks returned */
    cohort__guard_t guard;
    cohort__in_flight_t in_flight;
};

/* A call on a pool that users name begins. */
static inline apr_status_t cohort__pool_call(cohort__call_t *use, cohort_pool_t *pool) {
    return cohort__call_begin(use, pool, COHORT__KIND_POOL, COHORT__POOL_TAG);
}

/* What became of a failed item: a chain per chunk or worker, each with one writer at a time. */
typedef struct cohort__failure_t {
    cohort__owner_ptr_t next;
    uint64_t index, count; /* its items: one, or those of a range */
    cohort__pid_t process;
    int64_t pid;
    int32_t status, exit_code;
    uint32_t attempt, length;
    const char *file, *function, *crash; /* behind the message; NULL: not known */
    int32_t line;
    char worker[COHORT__NAME_MAX];
    char message[];
} cohort__failure_t;

/* Which sides of a job have a size each. */
enum {
    COHORT__BYTES_IN = 1,
    COHORT__STRINGS_IN = 2, /* which are bytes, too */
    COHORT__BYTES_OUT = 4
};

struct cohort_result_t {
    /* parts: what was copied (inputs, context), outputs, words, failure that is being freed */
    cohort__object_t object;
    cohort__link_t all, ready;
    _Atomic(cohort_pool_t *) pool;
    cohort__code_t task;
    const char *inputs;
    char *outputs;
    const void *context; /* of its tasks */
    uint64_t n, input_size, output_size;
    uint64_t chunk, chunks;  /* items in one, and their number */
    _Atomic uint64_t *words; /* of the chunks */
    /* heads of chains; as many as chunks or workers, whichever is less, and `failure` */
    cohort__owner_ptr_t *failures;
    /* what its chunks need beyond calls of the task, see backend_local.h. Workers look at it for
     * each item, and, when a job needs nothing, at no later line; little is written near it. */
    _Atomic uint32_t needs;
    _Atomic uint32_t cancelled; /* whether and how, see below */
    void *destination;          /* private memory of the submitter that _get() fills */
    cohort__pid_t submitter;
    /* blocking calls: the thread that will destroy it; its death destroys it too */
    cohort__tid_t waiter;
    /* a portion of an imap: the imap, and which life of it; the end of that destroys it */
    cohort_imap_t *imap;
    uint64_t imap_life;
    uint64_t base; /* the index of its first item there */
    uint64_t held; /* bytes that the pool keeps for it */
    _Atomic int32_t priority;
    uint32_t attempts;   /* of an item, in all */
    int32_t retry_on[4]; /* statuses with which it is run again, see pool_again.c */
    uint32_t retry_any;
    /* how long it waits until then, at first and at most, in ns; 0: not, and no chunk is WAITING */
    int64_t delay, delay_most;
    _Atomic int64_t *due, due_of_one; /* when WAITING chunks may be claimed; of a job with one */
    _Atomic uint64_t delays, settled; /* see pool_delay.c */
    _Atomic int64_t roused;           /* what was due then has been listed. Guard. */
    uint32_t by_chunk;                /* failures are kept by chunk, not by worker */
    uint32_t chains;                  /* of them, when they are kept by worker */
    uint32_t bytes;                   /* the sides that have a size each, see pool_bytes.c */
    _Atomic uint32_t callbacks;       /* there is one to be called */
    int64_t submitted;                /* when it was, if its pool counts */
    /* times, of cohort_os_now(); COHORT_OS_NEVER: none. When waiting items end; when running ones
     * are told, and ended; how long an item may run until it is told, and is ended. */
    int64_t queue_end, tell, end, item_tell, item_end;
    uint32_t timed;            /* one of them is not */
    _Atomic int64_t asked;     /* when a thread that does not wait last looked for deaths */
    cohort__owner_ptr_t marks; /* of cancelled items, or NULL, see pool_cancel.c */
    _Alignas(64) _Atomic uint64_t cursor; /* this line is the workers' */
    _Atomic uint64_t scanned;             /* that many first chunks are done */
    _Atomic uint64_t word;                /* of a job with one chunk */
    _Atomic uint32_t visits;              /* how often a worker has come to it; a hint */
    cohort__owner_ptr_t failure;
    /* why it was ended before it was done, when more is to be said than the status; written
     * before the state */
    cohort__owner_ptr_t reason;
    /* 0: not done; else end << 32 | status; waiting threads look here all the time, and little
     * else is written here */
    _Alignas(64) _Atomic uint64_t state;
    _Atomic uint64_t first_failed; /* (index + 1) << 32 | status; 0 = none */
    _Atomic uint64_t round;        /* changes when chunks are free again; guard */
    _Atomic uint64_t unwanted;     /* to be freed by the last thread that leaves; guard */
    _Atomic uint64_t given;        /* outputs with a size each are the user's; guard */
    _Atomic uint32_t called;       /* the callback has returned */
    /* threads other than workers may look at it, announced in their records; see pool_result.c */
    _Atomic uint32_t looked;
    /* see pool_completed.c; here, where the thread that ends the job looks anyway */
    _Atomic uint64_t followed;
    cohort__eventcount_t
        changed; /* from here on nothing is cleared: a thread may come late to notify it */
    _Atomic uint32_t backend; /* its pool's */
    _Alignas(64) char data[COHORT__INLINE];
};

/* Of which imap a job is a portion, and where it begins there; or what else it is. */
typedef struct {
    cohort__call_t imap;
    uint64_t base;
    bool each; /* it is none, but runs once on every worker */
} cohort__origin_t;

static inline bool cohort__job_is_over(const cohort_result_t *job) {
    return atomic_load_explicit(&job->state, memory_order_acquire) != 0;
}

/* ---- pool_core.c ---------------------------------------------------------------------------- */

/*
 * The guard, and what a dead owner left in in_flight. With it neither check_dead nor anything that
 * waits for another process. A caller that has a job of the pool, or is its worker, may just enter:
 * the pool is there. All others have no more than a handle, perhaps of a pool that was destroyed
 * or is another by now, and may look at the workers only after it has entered with the tag that it
 * knows: COHORT_EHANDLE, and not entered, when that pool is gone. (Blocks of pools stay blocks of
 * pools, so trying is safe.)
 */
void cohort__pool_enter(cohort_pool_t *pool, cohort__thread_t *me);
apr_status_t cohort__pool_enter_live(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag);
void cohort__pool_leave(cohort_pool_t *pool);
/* The tag of a live pool, with its generation; 0: there is none. */
uint64_t cohort__pool_tag(const cohort_pool_t *pool);
static inline cohort__link_t *cohort__link_at(uint64_t address) {
    return (cohort__link_t *)(uintptr_t)address;
}
static inline uint64_t cohort__link_address(cohort__link_t *link) {
    return (uint64_t)(uintptr_t)link;
}
void cohort__list_setup(cohort__link_t *list);
/* Guard: four entries of its journal to link, three to unlink. */
void cohort__link_put(cohort__guard_t *guard, cohort__link_t *list, cohort__link_t *link,
                      bool front);
void cohort__link_take(cohort__guard_t *guard, cohort__link_t *link);
static inline bool cohort__linked(cohort__link_t *link) {
    return atomic_load_explicit(&link->next, memory_order_acquire) != 0;
}
/* A place behind the first part, in a file of its own: pool_resize.c. */
cohort__worker_t *cohort__pool_worker_behind(cohort_pool_t *pool, uint32_t number);
static inline cohort__worker_t *cohort__pool_worker(cohort_pool_t *pool, uint32_t number) {
    if (number >= pool->first) return cohort__pool_worker_behind(pool, number);
    return (cohort__worker_t *)atomic_load_explicit(&pool->object.parts[0], memory_order_acquire) +
           number;
}
/* The guard is left; if the pool is retired and has no job any more, free it. */
void cohort__pool_leave_last(cohort_pool_t *pool, cohort__thread_t *me);
/* Is this process a worker of the pool? */
bool cohort__is_own_worker(const cohort_pool_t *pool);
/* "<pool>-<number>" */
void cohort__worker_name(const cohort_pool_t *pool, uint32_t number, char *name);

/* ---- pool.c --------------------------------------------------------------------------------- */

/* For the table of types. */
void cohort__pool_describe(const cohort__aim_t *aim, char *text, size_t size);
/* This process ends: so do the pools that it made. */
void cohort__pools_end(void);

/* ---- pool_staff.c: workers come and go ------------------------------------------------------ */

/* Start a worker at this place; no harm when it is not vacant (any more), or the pool is gone. */
apr_status_t cohort__worker_start(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag,
                                  uint32_t number);
typedef enum {
    COHORT__STAFF_GONE,   /* the pool is */
    COHORT__STAFF_NONE,   /* every worker has ended, and a closed pool's work is done */
    COHORT__STAFF_VACANT, /* some have */
    COHORT__STAFF_COMPLETE
} cohort__staff_t;
/* Settle workers that have ended; thorough: also those not yet seen to have ended. */
cohort__staff_t cohort__staff_check(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag,
                                    bool thorough);
/* The running process at a place, 0 = none, or no such pool. */
cohort__pid_t cohort__staff_at(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag,
                               uint32_t number);

/* Called when a dead worker is repaired and its exit code final, any number of times, and not by a
 * thread that is busy: charge its item, make the rest free again, wake the waiting threads; and
 * free the pool if its maker is dead and this was the last worker. */
void cohort__pool_worker_died(cohort__pid_t id);
/* Called after a worker's end by a watcher (of a server or of the process that made the pool), and
 * when a pause after a failed start is over: replace what is missing. */
void cohort__pool_tend(cohort_pool_t *pool);
/* The same for all pools that this process has made. */
void cohort__pools_tend(void);

/* No more work; results that are not done end with COHORT_ETERMINATED. Nothing when that pool is
 * gone. */
void cohort__pool_end(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag);
/* Its maker is dead: end it, and free it with its last worker. Nothing while the maker lives, or
 * when it is gone. */
void cohort__pool_abandon(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag);
/* Called by the repair of each death: the process that was to end, to retire or to free a pool may
 * be the dead one. */
void cohort__pools_repair(void);
/* For threads that wait for a pool's work, or ask after it: see to it that dead workers are noticed
 * and, if the thread `waits`, replaced. Not with a guard held. */
void cohort__pool_look(cohort_pool_t *pool, cohort__thread_t *me, bool waits);
/* The pool is joined: free it, or let its last job do that. Nothing when it is gone. */
void cohort__pool_retire(cohort_pool_t *pool, cohort__thread_t *me, uint64_t tag);

/* ---- pool_retry.c: starts that fail. All of it with the guard. ------------------------------ */

/* Not during the pause after a failure. */
bool cohort__start_may_begin(cohort_pool_t *pool);
void cohort__start_begins(cohort_pool_t *pool, cohort__worker_t *worker);
/* Called by the worker: it is ready. */
void cohort__start_succeeded(cohort_pool_t *pool, cohort__worker_t *worker);
/* For this reason: its status and message end all work if no start succeeds for long. */
void cohort__start_failed(cohort_pool_t *pool, cohort__thread_t *me, cohort__worker_t *worker,
                          const cohort__failure_t *what, const char *message, size_t length);
/* The launch of the worker at this place failed with this status. */
void cohort__worker_not_launched(cohort_pool_t *pool, cohort__thread_t *me, uint32_t number,
                                 apr_status_t status);
/* The worker has ended without a word before it was ready; `what` says which worker it was and how
 * it ended. */
void cohort__worker_not_ready(cohort_pool_t *pool, cohort__thread_t *me, uint32_t number,
                              cohort__failure_t *what);
/* Starts have failed for so long that work ends with that: the status, and its sentence becomes
 * that of the caller's failure. */
apr_status_t cohort__start_verdict(cohort_pool_t *pool);
/* When places that are vacant now are to be looked at again. */
int64_t cohort__start_next(cohort_pool_t *pool);

/* ---- pool_resize.c: how many workers there are to be ----------------------------------------- */

/* Guard: the pool is retired, and has no workers. What was added to its places is freed. */
void cohort__places_drop(cohort_pool_t *pool, cohort__thread_t *me);
/* Guard: fewer places are taken than there are to be workers, not counting those that leave. */
bool cohort__staff_is_short(cohort_pool_t *pool);
/* Guard: is this place vacant, and may it be taken? */
static inline bool cohort__place_is_vacant(cohort_pool_t *pool, uint32_t number) {
    return number < atomic_load(&pool->target) &&
           !atomic_load(&cohort__pool_worker(pool, number)->process);
}
/* For workers: is this place one of those that are to be vacant? */
static inline bool cohort__place_is_over(const cohort_pool_t *pool, uint32_t number) {
    return number >= atomic_load_explicit(&((cohort_pool_t *)pool)->target, memory_order_relaxed);
}

/* ---- pool_limit.c: what the options say of the lives of workers ------------------------------ */

/* APR_EINVAL: something that makes no sense. */
apr_status_t cohort__limits_check(const cohort_pool_options_t *options);
/* Of a pool that no other process knows yet. */
apr_status_t cohort__limits_set(cohort_pool_t *pool, const cohort_pool_options_t *options);

/* ---- pool_recruit.c: starting workers on demand ---------------------------------------------- */

/* In the process that has made the pool, from here to its end: start workers as they are wanted,
 * whichever process wants them. */
apr_status_t cohort__recruiter_start(cohort_pool_t *pool, uint64_t tag);
/* This process leaves the cohort, and its pools have ended. */
void cohort__recruiters_end(void);

/* ---- pool_deadline.c ------------------------------------------------------------------------ */

/* Of all pools: what is over its time is dealt with. */
void cohort__deadlines_tend(void);

/* ---- pool_setting.c: what its maker gives to workers ---------------------------------------- */

typedef struct cohort__setting_t cohort__setting_t;
/* In a call of the host's own thread that makes the pool; dropped with the pool. */
apr_status_t cohort__setting_make(const cohort_pool_t *pool, uint64_t tag,
                                  const cohort_pool_options_t *options);
void cohort__setting_drop(const cohort_pool_t *pool, uint64_t tag);
/* NULL when this process is not the pool's maker, or the pool is gone. To be released. */
cohort__setting_t *cohort__setting_use(const cohort_pool_t *pool, uint64_t tag);
void cohort__setting_release(cohort__setting_t *setting);
/* What the process of this slot, which is to be the worker at that place, gets. */
apr_status_t cohort__setting_attach(const cohort__setting_t *setting, cohort_process_t *slot,
                                    uint32_t number);
/* Around a fork, so that the copy never has handles that nothing there knows of. In the copy,
 * reset instead of unlock. */
void cohort__settings_lock(void);
void cohort__settings_unlock(void);
void cohort__settings_reset(void);

/* ---- pool_worker.c -------------------------------------------------------------------------- */

/* The body of a worker; the child's runtime calls it when the slot's role is WORKER. */
int cohort__pool_worker_main(cohort_process_t *self);

#endif
