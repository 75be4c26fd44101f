/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* An operation that is made to fail: what it works with, and the tries of it, with each of its
 * calls failing in turn, in a cohort that is in use and in one that was just made. */
#ifndef COHORT_TESTS_OPERATION_H
#define COHORT_TESTS_OPERATION_H

#include "check.h"
#include "faults.h"

#include <cohort/cohort.h>

#define POINTS_MAX 3000   /* no operation has so many */
#define BIG        100000 /* bytes of a large message */

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
    void (*prepare)(things_t *t);     /* may be NULL */
    apr_status_t (*act)(things_t *t); /* the call in question */
    void (*undo)(things_t *t);        /* after it has succeeded; may be NULL */
    void (*discard)(things_t *t);     /* after prepare; may be NULL */
} operation_t;

/* Every way of failing, in a cohort that is in use. */
void try_in_use(const operation_t *operation);
/* And in a new cohort for each try. */
void try_anew(const operation_t *operation);
/* One way of these, where all would take too long. */
void try_cold(const operation_t *op, fault_kind_t kind);
/* Signals all the time are no reason to fail, nor is a system that moves one byte at a time. */
void try_storms(const operation_t *operation);
void try_all(const operation_t *operations, size_t count);
#define TRY_ALL(operations) try_all(operations, sizeof(operations) / sizeof *(operations))

/* ---- for tries that are made otherwise ------------------------------------------------------ */

cohort_start_method_t start_method(void);
apr_status_t begin_cohort(void);
void prepare(const operation_t *op, things_t *t);
void discard(const operation_t *op, things_t *t);
bool is_short(fault_kind_t kind);
const char *kind_name(fault_kind_t kind);
/* A status that says something: the system's, APR's, or one of Cohort's that has a name. */
void check_status_is_clear(const char *name, long n, apr_status_t status);

/* What must be as before. */
typedef struct {
    int descriptors, processes;
    cohort_arena_usage_t usage;
} holdings_t;

holdings_t holdings_now(void);
/* What ends takes its time: a server that is not needed, and the watcher that sees it. */
void check_held(const char *name, long n, holdings_t *before);
/* Neither a zombie nor one that runs. */
void check_childless(const char *name, long n);

#endif
