/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Faults in calls for memory, messages and synchronisers. */
#include "operation.h"

static char big[BIG];

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
    n = cohort_queue_size(t->queue);
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
    for (apr_size_t i = 0, size; status && i < done; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_queue_get(t->queue, big, BIG, &size, 0));
    return status;
}

/* A queue that has been long keeps some memory for the next time. */
static void queue_make_used(things_t *t) {
    queue_make(t);
    CHECK_STATUS(APR_SUCCESS, queue_put_many(t));
    apr_size_t size;
    while (cohort_queue_get(t->queue, big, BIG, &size, 0) == APR_SUCCESS) continue;
}

static apr_status_t queue_get(things_t *t) {
    apr_size_t size;
    apr_status_t status = cohort_queue_get(t->queue, big, BIG, &size, 0);
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
    apr_size_t size;
    apr_status_t status = cohort_queue_put(t->queue, big, 10, 0);
    if (!status) {
        status = cohort_queue_get(t->queue, big, BIG, &size, 0);
        if (status) {
            fault_disarm();
            CHECK_STATUS(APR_SUCCESS, cohort_queue_get(t->queue, big, BIG, &size, 0));
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

const test_case_t faults_objects_cases[] = {
    {"Faults", "memory", memory},
    {"Faults", "messages", messages},
    {"Faults", "synchronisers", synchronisers},
    {0},
};
