/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever allocation or system call fails in whatever call of Cohort's: the call says so or copes,
 * it leaves nothing behind, and the same call made again succeeds. A transfer of bytes that ends
 * early is not even told. Each operation below is made with its first failing call, its second, and
 * so on until it gets by without one; in a cohort that is in use, and in one that was just made,
 * where more has to be set up.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "check.h"
#include "faults.h"

#include "core/memory/arena.h"
#include "core/process/process.h"

#include <cohort/cohort.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define POINTS_MAX 3000
#define BIG 100000

typedef struct {
    cohort_queue_t *queue;
    cohort_connection_t *near, *far;
    cohort_process_t *process;
    cohort_pool_t *pool;
    cohort_result_t *result;
    cohort_semaphore_t *semaphore;
    cohort_barrier_t *barrier;
    cohort_lock_t *lock;
    void *object, *block;
    apr_pool_t *memory; /* of one try */
    cohort_program_t program;
} things_t;

typedef struct {
    const char *name;
    void (*prepare)(things_t *t);       /* may be NULL */
    apr_status_t (*act)(things_t *t);   /* the call in question */
    void (*undo)(things_t *t);          /* after it has succeeded; may be NULL */
    void (*discard)(things_t *t);       /* after prepare; may be NULL */
} operation_t;

static char big[BIG];

/* ---- what must be as before ----------------------------------------------------------------- */

static int entries(const char *path) {
    DIR *directory = opendir(path);
    int n = 0;
    CHECK(directory != NULL);
    while (readdir(directory)) n++;
    closedir(directory);
    return n;
}

typedef struct {
    int descriptors, processes;
    cohort_arena_usage_t usage;
} holdings_t;

static int processes(void) {
    int n = 0;
    for (uint32_t i = 0; cohort__arena && i < cohort__process_count(); i++)
        n += cohort__process_state(cohort__process_at(i)) != COHORT__SLOT_FREE;
    return n;
}

static holdings_t hold(void) {
    holdings_t h = {.descriptors = entries("/proc/self/fd"), .processes = processes()};
    if (cohort__arena) CHECK_STATUS(APR_SUCCESS, cohort_arena_usage(&h.usage));
    return h;
}

/* A cohort that is new keeps what it has set up, its watcher and its server. */
static holdings_t hold_in(bool fresh) {
    holdings_t h = hold();
    if (fresh) h.descriptors = h.processes = 0;
    return h;
}

/* Something that was on its way out may have been counted before; blocks only in a new cohort,
 * since its workers have just begun. */
static bool nothing_left(const holdings_t *before, const holdings_t *after) {
    bool fresh = before->descriptors == 0;
    bool same =
        after->usage.blocks == before->usage.blocks && after->usage.used == before->usage.used;
    bool fewer =
        after->usage.blocks <= before->usage.blocks && after->usage.used <= before->usage.used;
    return after->descriptors <= before->descriptors && after->processes <= before->processes &&
           (same || (fresh && fewer));
}

static void list_processes(void) {
    char name[64];
    for (uint32_t i = 0; cohort__arena && i < cohort__process_count(); i++) {
        cohort_process_t *slot = cohort__process_at(i);
        if (cohort__process_state(slot) == COHORT__SLOT_FREE) continue;
        fprintf(stderr, "process %u: %s, role %u, state %d, pid %lld\n", i,
                cohort_process_name(slot, name, sizeof name) ? "?" : name, slot->role,
                (int)cohort__process_state(slot), (long long)slot->os.pid);
    }
}

/* What ends takes its time: a server that nobody needs, and the watcher that sees it. */
static void check_held(const char *name, long n, const holdings_t *before) {
    char why[200];
    bool fresh = before->descriptors == 0;
    holdings_t after = hold_in(fresh);
    for (int i = 0; i < 10000 && !nothing_left(before, &after); i++) {
        usleep(1000);
        after = hold_in(fresh);
    }
    if (!nothing_left(before, &after)) {
        list_processes();
        test_fail(__FILE__, __LINE__,
                  "%s at %ld (%s): %d descriptors, %d processes, %d blocks became %d, %d, %d", name,
                  n, fault_name(), before->descriptors, before->processes,
                  (int)before->usage.blocks, after.descriptors, after.processes,
                  (int)after.usage.blocks);
    }
    if (cohort__arena && !cohort__alloc_sound(why, sizeof why))
        test_fail(__FILE__, __LINE__, "%s at %ld (%s): %s", name, n, fault_name(), why);
}

/* Neither a zombie nor one that runs. */
static void check_childless(const char *name, long n) {
    siginfo_t info;
    int result = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
    for (int i = 0; i < 10000 && result == 0; i++) {
        usleep(1000);
        result = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
    }
    if (result == 0)
        test_fail(__FILE__, __LINE__, "%s at %ld (%s): a child is left", name, n, fault_name());
    CHECK_INT(ECHILD, errno);
}

/* ---- one operation -------------------------------------------------------------------------- */

static cohort_start_method_t method(void) {
    static const char *const names[] = {"", "fork", "spawn", "forkserver"};
    static const cohort_start_method_t methods[] = {COHORT_START_DEFAULT, COHORT_FORK, COHORT_SPAWN,
                                                    COHORT_FORKSERVER};
    for (int i = 0; i < 4; i++)
        if (strcmp(names[i], test_method()) == 0) return methods[i];
    return COHORT_START_DEFAULT;
}

static apr_status_t begin(void) {
    return cohort_initialize(
        NULL, NULL, &(cohort_options_t){.method = method(), .arena_size = (apr_uint64_t)256 << 20});
}

static void prepare(const operation_t *op, things_t *t) {
    *t = (things_t){0};
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&t->memory, NULL));
    if (op->prepare) op->prepare(t);
}

static void discard(const operation_t *op, things_t *t) {
    if (op->discard) op->discard(t);
    apr_pool_destroy(t->memory);
}

/* A status that says something: the system's, APR's, or one of Cohort's that has a name. */
static void check_status_is_clear(const char *name, long n, apr_status_t status) {
    char text[200];
    static const apr_status_t expected[] = {ENOMEM,
                                            APR_ENOMEM,
                                            EMFILE,
                                            EAGAIN,
                                            ENOSPC,
                                            ENOBUFS,
                                            ENOENT,
                                            COHORT_ESTART,
                                            COHORT_EADDRESS,
                                            COHORT_ETARGET,
                                            COHORT_EINITFAILED};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        if (status == expected[i]) return;
    cohort_strerror(status, text, sizeof text);
    test_fail(__FILE__, __LINE__, "%s at %ld (%s): %d, %s", name, n, fault_name(), (int)status,
              text);
}

static bool is_short(fault_kind_t kind) { return kind == FAULT_SHORT || kind == FAULT_DRIP; }

static const char *how(fault_kind_t kind) {
    return kind == FAULT_ONCE     ? "once"
           : kind == FAULT_ONWARD ? "from then on"
           : kind == FAULT_SHORT  ? "one byte"
                                  : "all the time";
}

static apr_status_t act(const operation_t *op, things_t *t, fault_kind_t kind, long n, bool *hit) {
    fault_arm(kind, n);
    apr_status_t status = op->act(t);
    *hit = fault_disarm();
    return status;
}

/* With the n-th call failing; false when there are not that many. */
static bool try_at(const operation_t *op, bool fresh, fault_kind_t kind, long n, int *failures) {
    things_t t;
    bool hit;
    prepare(op, &t);
    holdings_t prepared = hold_in(fresh);
    apr_status_t status = act(op, &t, kind, n, &hit);
    if (getenv("COHORT_FAULT_TRACE"))
        fprintf(stderr, "%s %ld %s: %d\n", op->name, n, fault_name(), (int)status);
    if (status) {
        if (!hit) CHECK_STATUS(APR_SUCCESS, status);
        check_status_is_clear(op->name, n, status);
        if (kind == FAULT_STORM)
            test_fail(__FILE__, __LINE__, "%s: interrupted %s is told", op->name, fault_name());
        if (is_short(kind))
            test_fail(__FILE__, __LINE__, "%s at %ld: %s that ended early is told", op->name, n,
                      fault_name());
        check_held(op->name, n, &prepared);
        (*failures)++;
        status = op->act(&t); /* what failed once goes the second time */
    }
    CHECK_STATUS(APR_SUCCESS, status);
    if (op->undo) op->undo(&t);
    discard(op, &t);
    return hit;
}

static void report(const operation_t *op, const char *where, fault_kind_t kind, long points,
                   int failures) {
    printf("%s %s, %s: %ld points, %d told, the others coped with\n", op->name, where, how(kind),
           points, failures);
}

/* A cohort in use: the operation has been done before. Nothing may be lost from one try to the
 * next. */
static void try_warm(const operation_t *op, fault_kind_t kind) {
    int failures = 0;
    long n = 1;
    CHECK_STATUS(APR_SUCCESS, begin());
    for (int i = 0; i < 2; i++) (void)try_at(op, false, FAULT_ONCE, POINTS_MAX, &failures);
    holdings_t before = hold();
    for (; n < POINTS_MAX && try_at(op, false, kind, n, &failures); n++)
        check_held(op->name, n, &before);
    CHECK(n < POINTS_MAX);
    check_held(op->name, n, &before);
    cohort_finalize();
    check_childless(op->name, n);
    report(op, "in use", kind, n - 1, failures);
}

/* A new cohort for each try. */
static void try_cold(const operation_t *op, fault_kind_t kind) {
    int failures = 0;
    long n = 1;
    holdings_t before = hold();
    for (bool more = true; more && n < POINTS_MAX; n++) {
        CHECK_STATUS(APR_SUCCESS, begin());
        more = try_at(op, true, kind, n, &failures);
        cohort_finalize();
        check_held(op->name, n, &before);
        check_childless(op->name, n);
    }
    CHECK(n < POINTS_MAX);
    report(op, "anew", kind, n - 2, failures);
}

/* Signals all the time are no reason to fail, nor is a system that moves one byte at a time. */
static void try_storm(const operation_t *op, fault_kind_t kind) {
    int failures = 0;
    holdings_t before = hold();
    CHECK_STATUS(APR_SUCCESS, begin());
    (void)try_at(op, true, kind, 0, &failures);
    CHECK_INT(0, failures);
    cohort_finalize();
    check_held(op->name, 0, &before);
    check_childless(op->name, 0);
}

static void try_storms(const operation_t *operation) {
    try_storm(operation, FAULT_STORM);
    try_storm(operation, FAULT_DRIP);
}

static void try_in_use(const operation_t *operation) {
    try_warm(operation, FAULT_ONCE);
    try_warm(operation, FAULT_ONWARD);
    try_warm(operation, FAULT_SHORT);
}

static void try_anew(const operation_t *operation) {
    try_cold(operation, FAULT_ONCE);
    try_cold(operation, FAULT_ONWARD);
    try_cold(operation, FAULT_SHORT);
    try_storms(operation);
}

static void try_all(const operation_t *operations, size_t count) {
    for (size_t i = 0; i < count; i++) {
        try_in_use(&operations[i]);
        try_anew(&operations[i]);
    }
}

#define TRY_ALL(operations) try_all(operations, sizeof(operations) / sizeof *(operations))

/* ---- memory --------------------------------------------------------------------------------- */

static apr_status_t alloc_small(things_t *t) { return cohort_alloc(&t->block, 40); }
static apr_status_t alloc_large(things_t *t) { return cohort_alloc(&t->block, 300000); }
static void free_block(things_t *t) { CHECK_STATUS(APR_SUCCESS, cohort_free(t->block)); }

/* More than one chunk's worth, so that there is something to be fetched each time. */
static apr_status_t alloc_many(things_t *t) {
    for (int i = 0; i < 12; i++) {
        void **link = NULL;
        apr_status_t status = cohort_alloc((void **)&link, 30000);
        if (status) {
            for (void **next; t->block; t->block = next) {
                next = *(void **)t->block;
                CHECK_STATUS(APR_SUCCESS, cohort_free(t->block));
            }
            return status;
        }
        *link = t->block;
        t->block = link;
    }
    return APR_SUCCESS;
}

static void free_many(things_t *t) {
    for (void **next; t->block; t->block = next) {
        next = *(void **)t->block;
        CHECK_STATUS(APR_SUCCESS, cohort_free(t->block));
    }
}

static void memory(void) {
    static const operation_t operations[] = {
        {"alloc_small", NULL, alloc_small, free_block, NULL},
        {"alloc_large", NULL, alloc_large, free_block, NULL},
        {"alloc_many", NULL, alloc_many, free_many, NULL},
    };
    TRY_ALL(operations);
}

/* ---- queues and pipes ----------------------------------------------------------------------- */

static apr_status_t queue_create(things_t *t) {
    return cohort_queue_create(&t->queue, NULL, t->memory);
}
static apr_status_t queue_create_bounded(things_t *t) {
    return cohort_queue_create(&t->queue,
                               &(cohort_queue_options_t){.capacity = 1000, .joinable = 1}, NULL);
}
static void queue_destroy(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(t->queue));
}

static void queue_make(things_t *t) { CHECK_STATUS(APR_SUCCESS, queue_create(t)); }
static void queue_make_joinable(things_t *t) { CHECK_STATUS(APR_SUCCESS, queue_create_bounded(t)); }
static void queue_fill_small(things_t *t) {
    queue_make(t);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_put(t->queue, big, 10, 0));
}
static void queue_fill_large(things_t *t) {
    queue_make(t);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_put(t->queue, big, BIG, 0));
}
static apr_size_t queue_count(things_t *t) {
    apr_size_t n;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_size(t->queue, &n));
    return n;
}

static apr_status_t queue_put_small(things_t *t) { return cohort_queue_put(t->queue, big, 10, 0); }

static apr_status_t queue_put_large(things_t *t) {
    apr_status_t status = cohort_queue_put(t->queue, big, BIG, 0);
    CHECK_INT(status == APR_SUCCESS, queue_count(t));
    return status;
}

/* Through several segments; what was put before the failure is there. */
static apr_status_t queue_put_many(things_t *t) {
    static cohort_message_t messages[1500];
    apr_size_t done = 0, before = queue_count(t);
    for (size_t i = 0; i < 1500; i++) messages[i] = (cohort_message_t){.data = big, .size = 10};
    apr_status_t status = cohort_queue_put_many(t->queue, messages, 1500 - before, &done, 0);
    CHECK_INT(before + done, queue_count(t));
    for (apr_size_t i = 0, size = BIG; status && i < done; i++, size = BIG)
        CHECK_STATUS(APR_SUCCESS, cohort_queue_get(t->queue, big, &size, 0));
    return status;
}

/* A queue that has been long keeps some memory for the next time. */
static void queue_make_used(things_t *t) {
    queue_make(t);
    CHECK_STATUS(APR_SUCCESS, queue_put_many(t));
    for (apr_size_t size = BIG; cohort_queue_get(t->queue, big, &size, 0) == APR_SUCCESS;
         size = BIG)
        continue;
}

static apr_status_t queue_get(things_t *t) {
    apr_size_t size = BIG;
    apr_status_t status = cohort_queue_get(t->queue, big, &size, 0);
    CHECK_INT(status != APR_SUCCESS, queue_count(t));
    return status;
}

static apr_status_t queue_get_block(things_t *t) {
    apr_size_t size;
    apr_status_t status = cohort_queue_get_block(t->queue, &t->block, &size, 0);
    CHECK_INT(status != APR_SUCCESS, queue_count(t));
    return status;
}

static apr_status_t queue_round(things_t *t) {
    apr_size_t size = BIG;
    apr_status_t status = cohort_queue_put(t->queue, big, 10, 0);
    if (!status) {
        status = cohort_queue_get(t->queue, big, &size, 0);
        if (status) {
            fault_disarm();
            CHECK_STATUS(APR_SUCCESS, cohort_queue_get(t->queue, big, &size, 0));
        }
        apr_status_t done = cohort_queue_task_done(t->queue);
        if (!status) status = done;
    }
    return status;
}

static apr_status_t pipe_create(things_t *t) {
    return cohort_pipe_create(&t->near, &t->far, NULL, NULL);
}
static void pipe_close(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(t->near));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(t->far));
}
static void pipe_make(things_t *t) { CHECK_STATUS(APR_SUCCESS, pipe_create(t)); }
static apr_status_t pipe_send(things_t *t) { return cohort_connection_send(t->near, big, BIG, 0); }
static void pipe_fill(things_t *t) {
    pipe_make(t);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(t->near, big, 10, 0));
}
static apr_status_t pipe_recv_block(things_t *t) {
    apr_size_t size;
    return cohort_connection_recv_block(t->far, &t->block, &size, 0);
}

static void messages(void) {
    static const operation_t operations[] = {
        {"queue_create", NULL, queue_create, queue_destroy, NULL},
        {"queue_create_bounded", NULL, queue_create_bounded, queue_destroy, NULL},
        {"queue_put_small", queue_make, queue_put_small, NULL, queue_destroy},
        {"queue_put_large", queue_make, queue_put_large, NULL, queue_destroy},
        {"queue_put_many", queue_make_used, queue_put_many, NULL, queue_destroy},
        {"queue_get_small", queue_fill_small, queue_get, NULL, queue_destroy},
        {"queue_get_large", queue_fill_large, queue_get, NULL, queue_destroy},
        {"queue_get_block", queue_fill_small, queue_get_block, free_block, queue_destroy},
        {"queue_task_done", queue_make_joinable, queue_round, NULL, queue_destroy},
        {"pipe_create", NULL, pipe_create, pipe_close, NULL},
        {"pipe_send", pipe_make, pipe_send, NULL, pipe_close},
        {"pipe_recv_block", pipe_fill, pipe_recv_block, free_block, pipe_close},
    };
    TRY_ALL(operations);
}

/* ---- synchronisers -------------------------------------------------------------------------- */

static apr_status_t lock_create(things_t *t) { return cohort_lock_create(&t->lock, NULL); }
static void lock_destroy(things_t *t) { CHECK_STATUS(APR_SUCCESS, cohort_lock_destroy(t->lock)); }
static void lock_make(things_t *t) { CHECK_STATUS(APR_SUCCESS, lock_create(t)); }
static apr_status_t lock_acquire(things_t *t) { return cohort_lock_acquire(t->lock, 0); }
static void lock_release(things_t *t) { CHECK_STATUS(APR_SUCCESS, cohort_lock_release(t->lock)); }

static apr_status_t rlock_create(things_t *t) {
    return cohort_rlock_create((cohort_rlock_t **)&t->object, NULL);
}
static void rlock_destroy(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_destroy(t->object));
}

static apr_status_t semaphore_create(things_t *t) {
    return cohort_semaphore_create(&t->semaphore, 1, NULL, NULL);
}
static void semaphore_destroy(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_destroy(t->semaphore));
}
static void semaphore_make(things_t *t) { CHECK_STATUS(APR_SUCCESS, semaphore_create(t)); }
static apr_status_t semaphore_acquire(things_t *t) {
    return cohort_semaphore_acquire(t->semaphore, 0);
}
static void semaphore_release(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_release(t->semaphore, 1));
}

static apr_status_t condition_create(things_t *t) {
    return cohort_condition_create((cohort_condition_t **)&t->object, NULL, NULL);
}
static void condition_destroy(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_condition_destroy(t->object));
}

/* In vain, which is what is expected. */
static apr_status_t condition_wait(things_t *t) {
    apr_status_t status = cohort_condition_wait(t->object, 1000);
    return status == APR_TIMEUP ? APR_SUCCESS : status;
}
static void condition_make(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, condition_create(t));
    CHECK_STATUS(APR_SUCCESS, cohort_condition_acquire(t->object, 0));
}

static apr_status_t event_create(things_t *t) {
    return cohort_event_create((cohort_event_t **)&t->object, NULL);
}
static void event_destroy(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(t->object));
}
static void event_make(things_t *t) { CHECK_STATUS(APR_SUCCESS, event_create(t)); }
static apr_status_t event_wait(things_t *t) {
    apr_status_t status = cohort_event_wait(t->object, 1000);
    return status == APR_TIMEUP ? APR_SUCCESS : status;
}

static apr_status_t barrier_create(things_t *t) {
    return cohort_barrier_create(&t->barrier, 1, NULL, NULL);
}
static void barrier_destroy(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_destroy(t->barrier));
}
static void barrier_make(things_t *t) { CHECK_STATUS(APR_SUCCESS, barrier_create(t)); }
static apr_status_t barrier_wait(things_t *t) { return cohort_barrier_wait(t->barrier, NULL, 0); }

static void synchronisers(void) {
    static const operation_t operations[] = {
        {"lock_create", NULL, lock_create, lock_destroy, NULL},
        {"lock_acquire", lock_make, lock_acquire, lock_release, lock_destroy},
        {"rlock_create", NULL, rlock_create, rlock_destroy, NULL},
        {"semaphore_create", NULL, semaphore_create, semaphore_destroy, NULL},
        {"semaphore_acquire", semaphore_make, semaphore_acquire, semaphore_release,
         semaphore_destroy},
        {"condition_create", NULL, condition_create, condition_destroy, NULL},
        {"condition_wait", condition_make, condition_wait, NULL, condition_destroy},
        {"event_create", NULL, event_create, event_destroy, NULL},
        {"event_wait", event_make, event_wait, NULL, event_destroy},
        {"barrier_create", NULL, barrier_create, barrier_destroy, NULL},
        {"barrier_wait", barrier_make, barrier_wait, NULL, barrier_destroy},
    };
    TRY_ALL(operations);
}

/* ---- processes ------------------------------------------------------------------------------ */

static int nothing(void *args) {
    (void)args;
    fault_disarm();
    return 0;
}

static apr_status_t process_create(things_t *t) {
    return cohort_process_create(&t->process, nothing, big, BIG, NULL, NULL);
}
static void process_close(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_process_close(t->process));
}
static void process_make(things_t *t) { CHECK_STATUS(APR_SUCCESS, process_create(t)); }

static int run_object(cohort_process_base_t *self) {
    (void)self;
    return 0;
}
static apr_status_t process_create_object(things_t *t) {
    cohort_process_base_t base = {.size = sizeof base, .run = run_object};
    return cohort_process_create_object(&t->process, &base, NULL, NULL);
}

/* A daemon lives until it is told to end, so that it is held by a keeper in each try. */
static int daemon_until(void *args) {
    cohort_connection_t *end = *(cohort_connection_t **)args;
    char byte;
    apr_size_t size = sizeof byte;
    return cohort_connection_recv(end, &byte, &size, COHORT_FOREVER) != APR_SUCCESS;
}
static void daemon_make(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&t->near, &t->far, 0, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(
                                  &t->process, daemon_until, &t->far, sizeof t->far,
                                  &(cohort_process_options_t){.lifetime = COHORT_DAEMON}, NULL));
}
static void daemon_discard(things_t *t) {
    process_close(t);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(t->near));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(t->far));
}

#define KEPT 130 /* a descriptor that is open meanwhile */

static const int kept[] = {KEPT};

static cohort_process_options_t keeping(void) {
    bool travels = method() == COHORT_FORK || method() == COHORT_SPAWN;
    return (cohort_process_options_t){
        .files = kept, .n_files = travels, .signals = COHORT_SIGNALS_INHERIT};
}

static apr_status_t keeper_create(things_t *t) {
    cohort_process_options_t options = keeping();
    return cohort_process_create(&t->process, nothing, NULL, 0, &options, NULL);
}
static void keeper_make(things_t *t) {
    CHECK_INT(KEPT, dup2(2, KEPT));
    CHECK_STATUS(APR_SUCCESS, keeper_create(t));
}
static void keeper_close(things_t *t) {
    process_close(t);
    close(KEPT);
}

static apr_status_t process_start(things_t *t) { return cohort_process_start(t->process); }

static void join(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(t->process, COHORT_FOREVER));
    CHECK_INT(0, cohort_process_exit_code(t->process));
}

static void daemon_join(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(t->near, "", 1, COHORT_FOREVER));
    join(t);
}

static void process_make_started(things_t *t) {
    process_make(t);
    CHECK_STATUS(APR_SUCCESS, process_start(t));
}
static apr_status_t process_join(things_t *t) {
    return cohort_process_join(t->process, COHORT_FOREVER);
}

static int sleeper(void *args) {
    (void)args;
    return cohort_process_join(cohort_process_parent(), COHORT_FOREVER);
}

static void sleeper_make(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&t->process, sleeper, NULL, 0, NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, process_start(t));
}
static apr_status_t process_kill(things_t *t) { return cohort_process_kill(t->process); }
static void buried(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(t->process, COHORT_FOREVER));
    CHECK_INT(-9, cohort_process_exit_code(t->process));
}

static apr_status_t active_children(things_t *t) {
    cohort_process_t **list;
    int n;
    apr_status_t status = cohort_process_active_children(&list, &n, t->memory);
    CHECK_INT(status == APR_SUCCESS, n > 0);
    return status;
}
static void sleeper_end(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, process_kill(t));
    buried(t);
    process_close(t);
}

static void processes_start(void) {
    static const operation_t operations[] = {
        {"process_create", NULL, process_create, process_close, NULL},
        {"process_create_object", NULL, process_create_object, process_close, NULL},
        {"process_start", process_make, process_start, join, process_close},
    };
    TRY_ALL(operations);
}

static void daemons_start(void) {
    static const operation_t operations[] = {
        {"daemon_start", daemon_make, process_start, daemon_join, daemon_discard},
    };
    TRY_ALL(operations);
}

/* With what the options can ask for. */
static void processes_start_with_options(void) {
    static const operation_t operations[] = {
        {"keeper_create", NULL, keeper_create, process_close, NULL},
        {"keeper_start", keeper_make, process_start, join, keeper_close},
    };
    TRY_ALL(operations);
}

static void processes_end(void) {
    static const operation_t operations[] = {
        {"process_join", process_make_started, process_join, NULL, process_close},
        {"process_kill", sleeper_make, process_kill, buried, process_close},
        {"active_children", sleeper_make, active_children, NULL, sleeper_end},
    };
    TRY_ALL(operations);
}

static void program_make(things_t *t) {
    static const char *const argv[] = {"sh", "-c", "read line; exit 0", NULL};
    t->program = (cohort_program_t){.argv = argv, .cwd = "/"};
    for (int i = 0; i < 3; i++)
        t->program.streams[i].kind = i == 2 ? COHORT_STREAM_NULL : COHORT_STREAM_PIPE;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create_program(
                     &t->process, &t->program,
                     &(cohort_process_options_t){.lifetime = COHORT_DAEMON}, t->memory));
}
/* The program lives until its input ends: one that ended at once might not be held by a keeper, and
 * whether there is a keeper would be left to chance. */
static void program_join(things_t *t) {
    CHECK_STATUS(APR_SUCCESS, apr_file_close(t->program.streams[0].file));
    join(t);
}
static void program_keeper_make(things_t *t) {
    static const char *const argv[] = {"sh", "-c", "test -e /dev/fd/130", NULL};
    cohort_process_options_t options = {.files = kept, .n_files = 1};
    t->program = (cohort_program_t){.argv = argv};
    CHECK_INT(KEPT, dup2(2, KEPT));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create_program(&t->process, &t->program, &options, t->memory));
}
static apr_status_t program_create(things_t *t) {
    static const char *const argv[] = {"sh", NULL};
    t->program = (cohort_program_t){.argv = argv};
    return cohort_process_create_program(&t->process, &t->program, NULL, NULL);
}

static void missing_make(things_t *t) {
    static const char *const argv[] = {"/nowhere/at/all", NULL};
    t->program = (cohort_program_t){.argv = argv};
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create_program(&t->process, &t->program, NULL, t->memory));
}
static apr_status_t missing_start(things_t *t) {
    apr_status_t status = process_start(t);
    return status == ENOENT ? APR_SUCCESS : status ? status : APR_EGENERAL;
}

/* Its pipes belong to the pool that `discard` destroys. */
static void programs(void) {
    static const operation_t operations[] = {
        {"program_create", NULL, program_create, process_close, NULL},
        {"program_start", program_make, process_start, program_join, process_close},
        {"program_keeper_start", program_keeper_make, process_start, join, keeper_close},
        {"program_missing", missing_make, missing_start, NULL, process_close},
    };
    TRY_ALL(operations);
}

/* Why a program does not begin is told through a pipe, by a child that also writes what it has to
 * say in pieces. */
static void report_in_pieces(fault_kind_t kind, long n) {
    things_t t = {0};
    static const operation_t missing = {"program_missing", missing_make, missing_start, NULL,
                                        process_close};
    prepare(&missing, &t);
    fault_arm_children(kind, n);
    fault_arm(kind, n);
    apr_status_t status = missing_start(&t);
    fault_disarm();
    CHECK_STATUS(APR_SUCCESS, status);
    discard(&missing, &t);
}

static void reports(void) {
    CHECK_STATUS(APR_SUCCESS, begin());
    for (long n = 1; n < 10; n++) report_in_pieces(FAULT_SHORT, n);
    report_in_pieces(FAULT_DRIP, 0);
    report_in_pieces(FAULT_STORM, 0);
    cohort_finalize();
    check_childless("program_missing", 0);
}

/* ---- in the processes that are started ------------------------------------------------------ */

typedef struct {
    int *hit; /* in the arena */
} word_t;

static int tell(void *args) {
    word_t *word = args;
    *word->hit = fault_disarm();
    return 0;
}

static apr_status_t start_faulted(cohort_process_t *process, fault_kind_t kind, long n) {
    fault_arm_children(kind, n);
    apr_status_t status = cohort_process_start(process);
    fault_disarm();
    return status;
}

/* The child (and a server that is made for it) meets the fault: then the start fails, or the child
 * copes. The server goes on counting, so a second start may fail too: it gets another one. */
static bool try_child(cohort_lifetime_t lifetime, fault_kind_t kind, long n, int *failures) {
    word_t word;
    cohort_process_t *process;
    CHECK_STATUS(APR_SUCCESS, begin());
    CHECK_STATUS(APR_SUCCESS, cohort_alloc((void **)&word.hit, sizeof *word.hit));
    *word.hit = 1;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&process, tell, &word, sizeof word,
                                       &(cohort_process_options_t){.lifetime = lifetime}, NULL));
    apr_status_t status = start_faulted(process, kind, n);
    if (getenv("COHORT_FAULT_TRACE")) fprintf(stderr, "child %ld: %d\n", n, (int)status);
    if (status) {
        if (is_short(kind) || kind == FAULT_STORM) CHECK_STATUS(APR_SUCCESS, status);
        check_status_is_clear("child", n, status);
        (*failures)++;
        cohort__server_close();
        CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    bool hit = status || *word.hit;
    CHECK_INT(0, cohort_process_exit_code(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_close(process));
    CHECK_STATUS(APR_SUCCESS, cohort_free(word.hit));
    cohort_finalize();
    return hit;
}

static void children_with(cohort_lifetime_t lifetime, fault_kind_t kind) {
    int failures = 0;
    long n = 1;
    holdings_t before = hold();
    for (; n < POINTS_MAX && try_child(lifetime, kind, n, &failures); n++) {
        check_held("child", n, &before);
        check_childless("child", n);
    }
    CHECK(n < POINTS_MAX);
    printf("%s child, %s: %ld points, %d failed starts\n",
           lifetime == COHORT_DAEMON ? "daemon" : "foreground", how(kind), n - 1, failures);
}

static void children_of(cohort_lifetime_t lifetime) {
    int failures = 0;
    children_with(lifetime, FAULT_ONCE);
    children_with(lifetime, FAULT_ONWARD);
    children_with(lifetime, FAULT_SHORT);
    (void)try_child(lifetime, FAULT_DRIP, 0, &failures);
    (void)try_child(lifetime, FAULT_STORM, 0, &failures);
}

static void children(void) {
    children_of(COHORT_FOREGROUND);
    children_of(COHORT_DAEMON);
}

/* ---- pools ---------------------------------------------------------------------------------- */

static apr_status_t square(const void *input, void *output) {
    *(int *)output = *(const int *)input * *(const int *)input;
    return APR_SUCCESS;
}

static apr_status_t pool_create(things_t *t) {
    return cohort_pool_create(&t->pool, &(cohort_pool_options_t){.workers = 2}, NULL);
}
static void pool_destroy(things_t *t) { CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(t->pool)); }
static void pool_make(things_t *t) { CHECK_STATUS(APR_SUCCESS, pool_create(t)); }

static apr_status_t pool_map(things_t *t) {
    int in[100], out[100];
    for (int i = 0; i < 100; i++) in[i] = i;
    apr_status_t status =
        cohort_pool_map(t->pool, square, in, sizeof *in, 100, out, sizeof *out, NULL);
    for (int i = 0; !status && i < 100; i++) CHECK_INT(i * i, out[i]);
    return status;
}

static apr_status_t pool_map_async(things_t *t) {
    int in[4] = {1, 2, 3, 4};
    return cohort_pool_map_async(&t->result, t->pool, square, in, sizeof *in, 4, NULL, sizeof *in,
                                 NULL, NULL);
}
static void result_destroy(things_t *t) {
    int out[4];
    CHECK_STATUS(APR_SUCCESS, cohort_result_get(t->result, out, sizeof out, COHORT_FOREVER));
    CHECK_INT(16, out[3]);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(t->result));
}
static apr_status_t pool_apply(things_t *t) {
    int in = 5, out = 0;
    apr_status_t status = cohort_pool_apply(t->pool, square, &in, sizeof in, &out, sizeof out);
    if (!status) CHECK_INT(25, out);
    return status;
}

/* The longest of all, so they are divided. */
static const operation_t pool_creation = {"pool_create", NULL, pool_create, pool_destroy, NULL};
static void pool_creation_in_use(void) { try_in_use(&pool_creation); }
static void pool_creation_anew_once(void) { try_cold(&pool_creation, FAULT_ONCE); }
static void pool_creation_anew_onward(void) { try_cold(&pool_creation, FAULT_ONWARD); }
static void pool_creation_anew_short(void) { try_cold(&pool_creation, FAULT_SHORT); }
static void pool_creation_storms(void) { try_storms(&pool_creation); }

static const operation_t map = {"pool_map", pool_make, pool_map, NULL, pool_destroy};
static void pool_map_in_use(void) { try_in_use(&map); }
static void pool_map_anew(void) { try_anew(&map); }

static const operation_t map_async = {"pool_map_async", pool_make, pool_map_async, result_destroy,
                                      pool_destroy};
static void pool_map_async_in_use(void) { try_in_use(&map_async); }
static void pool_map_async_anew(void) { try_anew(&map_async); }

static const operation_t apply = {"pool_apply", pool_make, pool_apply, NULL, pool_destroy};
static void pool_apply_in_use(void) { try_in_use(&apply); }
static void pool_apply_anew(void) { try_anew(&apply); }

/* ---- the cohort itself ---------------------------------------------------------------------- */

static void initialize_with(fault_kind_t kind) {
    int failures = 0;
    long n = 1;
    holdings_t before = hold();
    for (bool hit = true; hit && n < POINTS_MAX; n++) {
        fault_arm(kind, n);
        apr_status_t status = begin();
        hit = fault_disarm();
        if (status) {
            CHECK(hit && !is_short(kind));
            check_status_is_clear("initialize", n, status);
            failures++;
            CHECK(cohort__arena == NULL);
            check_held("initialize", n, &before);
            CHECK_STATUS(APR_SUCCESS, begin());
        }
        cohort_finalize();
        check_held("initialize", n, &before);
    }
    CHECK(n < POINTS_MAX);
    printf("initialize, %s: %ld points, %d told\n", how(kind), n - 2, failures);
}

static void initialize(void) {
    initialize_with(FAULT_ONCE);
    initialize_with(FAULT_ONWARD);
    initialize_with(FAULT_SHORT);
}

const test_case_t faults_cases[] = {
    {"Faults", "initialize", initialize},
    {"Faults", "memory", memory},
    {"Faults", "messages", messages},
    {"Faults", "synchronisers", synchronisers},
    {"Faults", "processes_start", processes_start},
    {"Faults", "daemons_start", daemons_start},
    {"Faults", "processes_start_with_options", processes_start_with_options},
    {"Faults", "processes_end", processes_end},
    {"Faults", "programs", programs},
    {"Faults", "reports", reports},
    {"Faults", "children", children},
    {"Faults", "pool_creation_in_use", pool_creation_in_use},
    {"Faults", "pool_creation_anew_once", pool_creation_anew_once},
    {"Faults", "pool_creation_anew_onward", pool_creation_anew_onward},
    {"Faults", "pool_creation_anew_short", pool_creation_anew_short},
    {"Faults", "pool_creation_storms", pool_creation_storms},
    {"Faults", "pool_map_in_use", pool_map_in_use},
    {"Faults", "pool_map_anew", pool_map_anew},
    {"Faults", "pool_map_async_in_use", pool_map_async_in_use},
    {"Faults", "pool_map_async_anew", pool_map_async_anew},
    {"Faults", "pool_apply_in_use", pool_apply_in_use},
    {"Faults", "pool_apply_anew", pool_apply_anew},
    {0},
};
