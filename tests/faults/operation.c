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
#include "operation.h"

#include "core/memory/arena.h"
#include "core/process/process.h"
#include "posix/os_posix.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what must be as before ----------------------------------------------------------------- */

static int entries(const char *path) {
    DIR *directory = opendir(path);
    int n = 0;
    CHECK(directory != NULL);
    while (readdir(directory)) n++;
    closedir(directory);
    return n;
}

static int processes(void) {
    int n = 0;
    for (uint32_t i = 0; cohort__arena && i < cohort__process_count(); i++)
        n += cohort__process_state(cohort__process_at(i)) != COHORT__SLOT_FREE;
    return n;
}

/* One descriptor that a process keeps from its first start on. */
static void have_witness(void) {
    bool own;
    cohort_os_handle_t witness = cohort__witness_take(&own);
    if (own) cohort_os_close(witness);
}

holdings_t holdings_now(void) {
    have_witness();
    holdings_t h = {.descriptors = entries("/proc/self/fd"), .processes = processes()};
    if (cohort__arena) CHECK_STATUS(APR_SUCCESS, cohort_arena_usage(&h.usage));
    return h;
}

/* A cohort that is new keeps what it has set up, its watcher and its server. */
static holdings_t hold_in(bool fresh) {
    holdings_t h = holdings_now();
    if (fresh) h.descriptors = h.processes = 0;
    return h;
}

static bool nothing_left(const holdings_t *before, const holdings_t *after) {
    return after->descriptors <= before->descriptors && after->processes <= before->processes &&
           after->usage.blocks <= before->usage.blocks && after->usage.used <= before->usage.used;
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

/* What ends takes its time: a server that is not needed, and the watcher that sees it; a job that a
 * worker still looks at. What was on its way out has been counted before: then so much less is what
 * the next tries go by. */
void check_held(const char *name, long n, holdings_t *before) {
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
    before->usage = after.usage;
    if (cohort__arena && !cohort__alloc_sound(why, sizeof why))
        test_fail(__FILE__, __LINE__, "%s at %ld (%s): %s", name, n, fault_name(), why);
}

/* Neither a zombie nor one that runs. */
void check_childless(const char *name, long n) {
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

cohort_start_method_t start_method(void) {
    static const char *const names[] = {"", "fork", "spawn", "forkserver"};
    static const cohort_start_method_t methods[] = {COHORT_START_DEFAULT, COHORT_START_FORK,
                                                    COHORT_START_SPAWN, COHORT_START_FORKSERVER};
    for (int i = 0; i < 4; i++)
        if (strcmp(names[i], test_method()) == 0) return methods[i];
    return COHORT_START_DEFAULT;
}

apr_status_t begin_cohort(void) {
    return cohort_initialize(
        &(cohort_options_t){.method = start_method(), .arena_size = (apr_uint64_t)256 << 20});
}

void prepare(const operation_t *op, things_t *t) {
    *t = (things_t){0};
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&t->memory, NULL));
    if (op->prepare) op->prepare(t);
}

void discard(const operation_t *op, things_t *t) {
    if (op->discard) op->discard(t);
    apr_pool_destroy(t->memory);
}

/* A status that says something: the system's, APR's, or one of Cohort's that has a name. */
void check_status_is_clear(const char *name, long n, apr_status_t status) {
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

bool is_short(fault_kind_t kind) { return kind == FAULT_SHORT || kind == FAULT_DRIP; }

const char *kind_name(fault_kind_t kind) {
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
    printf("%s %s, %s: %ld points, %d told, the others coped with\n", op->name, where,
           kind_name(kind), points, failures);
}

/* A cohort in use: the operation has been done before. Nothing may be lost from one try to the
 * next. */
static void try_warm(const operation_t *op, fault_kind_t kind) {
    int failures = 0;
    long n = 1;
    CHECK_STATUS(APR_SUCCESS, begin_cohort());
    for (int i = 0; i < 2; i++) (void)try_at(op, false, FAULT_ONCE, POINTS_MAX, &failures);
    holdings_t before = holdings_now();
    for (; n < POINTS_MAX && try_at(op, false, kind, n, &failures); n++)
        check_held(op->name, n, &before);
    CHECK(n < POINTS_MAX);
    check_held(op->name, n, &before);
    cohort_finalize();
    check_childless(op->name, n);
    report(op, "in use", kind, n - 1, failures);
}

/* A new cohort for each try. */
void try_cold(const operation_t *op, fault_kind_t kind) {
    int failures = 0;
    long n = 1;
    holdings_t before = holdings_now();
    for (bool more = true; more && n < POINTS_MAX; n++) {
        CHECK_STATUS(APR_SUCCESS, begin_cohort());
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
    holdings_t before = holdings_now();
    CHECK_STATUS(APR_SUCCESS, begin_cohort());
    (void)try_at(op, true, kind, 0, &failures);
    CHECK_INT(0, failures);
    cohort_finalize();
    check_held(op->name, 0, &before);
    check_childless(op->name, 0);
}

void try_storms(const operation_t *operation) {
    try_storm(operation, FAULT_STORM);
    try_storm(operation, FAULT_DRIP);
}

void try_in_use(const operation_t *operation) {
    try_warm(operation, FAULT_ONCE);
    try_warm(operation, FAULT_ONWARD);
    try_warm(operation, FAULT_SHORT);
}

void try_anew(const operation_t *operation) {
    try_cold(operation, FAULT_ONCE);
    try_cold(operation, FAULT_ONWARD);
    try_cold(operation, FAULT_SHORT);
    try_storms(operation);
}

void try_all(const operation_t *operations, size_t count) {
    for (size_t i = 0; i < count; i++) {
        try_in_use(&operations[i]);
        try_anew(&operations[i]);
    }
}
