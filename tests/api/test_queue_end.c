/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Queues: close and destroy, under processes that wait or are busy, and what they give back. */
#include "queues.h"

typedef struct {
    cohort_queue_t *queue;
    _Atomic int *ready;
    apr_status_t expected;
    int puts;
} blocked_t;

static int block(void *data) {
    blocked_t *b = data;
    int value = 1;
    atomic_fetch_add(b->ready, 1);
    CHECK_STATUS(b->expected, b->puts ? put_int(b->queue, 1, COHORT_FOREVER)
                                      : get_int(b->queue, &value, COHORT_FOREVER));
    return 0;
}

/* Also the puts that wait for room. */
static void end_under_the_blocked(apr_status_t (*end)(cohort_queue_t *), apr_status_t expected) {
    cohort_process_t *blocked[4];
    for (int puts = 0; puts < 2; puts++) {
        blocked_t b = {new_queue(1, 0), party_memory(sizeof(int)), expected, puts};
        if (puts) CHECK_STATUS(APR_SUCCESS, put_int(b.queue, 1, 0));
        parties_start(blocked, 4, block, &b, sizeof b);
        party_await(b.ready, 4);
        apr_sleep(A_WHILE / 2);
        for (int i = 0; i < 4; i++) CHECK(cohort_process_is_alive(blocked[i]));
        CHECK_STATUS(APR_SUCCESS, end(b.queue));
        parties_finish(blocked, 4);
    }
}

static void close_wakes_the_blocked(void) {
    end_under_the_blocked(cohort_queue_close, COHORT_ECLOSED);
}

static void discard_wakes_the_blocked(void) {
    end_under_the_blocked(cohort_queue_discard, COHORT_ECLOSED);
}

static void destroy_wakes_the_blocked(void) {
    end_under_the_blocked(cohort_queue_destroy, COHORT_EHANDLE);
}

static void use_after_destroy(void) {
    for (int joinable = 0; joinable < 2; joinable++) {
        cohort_queue_t *queue = new_queue(joinable ? 3 : 0, joinable);
        int value = 0;
        CHECK_STATUS(APR_SUCCESS, put_int(queue, 1, 0));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(queue));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(queue));
        CHECK_STATUS(COHORT_EHANDLE, put_int(queue, 1, 0));
        CHECK_STATUS(COHORT_EHANDLE, get_int(queue, &value, COHORT_FOREVER));
        CHECK_INT(0, cohort_queue_size(queue));
        CHECK_INT(1, cohort_queue_is_empty(queue));
        CHECK_INT(1, cohort_queue_is_closed(queue));
        CHECK_STATUS(COHORT_EHANDLE, cohort_queue_close(queue));
        CHECK_STATUS(COHORT_EHANDLE, cohort_queue_discard(queue));
        CHECK_STATUS(COHORT_EHANDLE, cohort_queue_task_done(queue));
        CHECK_STATUS(COHORT_EHANDLE, cohort_queue_join(queue, 0));
    }
}

/* The pool destroys the queue, and with it messages of every kind, in the process that made it. */
static void memory_comes_back(void) {
    char large[5000] = "";
    apr_uint64_t blocks = 0;
    for (int i = 0; i < 20; i++) {
        cohort_queue_t *queue = NULL;
        cohort_queue_options_t options = {.capacity = i % 2 ? 700 : 0};
        apr_pool_t *pool = NULL;
        CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, test_pool()));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&queue, &options, pool));
        for (int n = 0; n < 600; n++)
            CHECK_STATUS(APR_SUCCESS, cohort_queue_put(queue, large, n % 3 ? 20 : sizeof large, 0));
        for (int n = 0; n < 300; n++) {
            apr_size_t size;
            CHECK_STATUS(APR_SUCCESS, cohort_queue_get(queue, large, sizeof large, &size, 0));
        }
        apr_pool_destroy(pool);
        CHECK_STATUS(COHORT_EHANDLE, put_int(queue, 1, 0));
        if (i == 0) blocks = blocks_in_use();
    }
    CHECK_INT(blocks, blocks_in_use());
}

static int destroy_it(void *data) {
    args_t *a = data;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(a->queue));
    return 0;
}

static int hammer(void *data) {
    args_t *a = data;
    int value;
    apr_status_t status = APR_SUCCESS;
    atomic_fetch_add(a->ready, 1);
    while (status == APR_SUCCESS || status == APR_EAGAIN) {
        status = put_int(a->queue, 1, 0);
        if (status == APR_SUCCESS || status == APR_EAGAIN) status = get_int(a->queue, &value, 0);
    }
    CHECK_STATUS(COHORT_EHANDLE, status);
    return 0;
}

/* Others are in the middle of using it. Nothing else is made meanwhile, so what they meet
 * afterwards is no queue. */
static void destroy_under_the_busy(void) {
    for (apr_size_t capacity = 0; capacity < 3; capacity++) {
        cohort_process_t *busy[3];
        args_t a = {.queue = new_queue(capacity, 0), .ready = party_memory(sizeof(int))};
        parties_start(busy, 3, hammer, &a, sizeof a);
        party_await(a.ready, 3);
        apr_sleep(3000);
        party_finish(party_start(destroy_it, &a, sizeof a));
        parties_finish(busy, 3);
    }
}

const test_case_t queue_end_cases[] = {
    {"Queue", "close_wakes_the_blocked", close_wakes_the_blocked},
    {"Queue", "discard_wakes_the_blocked", discard_wakes_the_blocked},
    {"Queue", "destroy_wakes_the_blocked", destroy_wakes_the_blocked},
    {"Queue", "use_after_destroy", use_after_destroy},
    {"Queue", "memory_comes_back", memory_comes_back},
    {"Queue", "destroy_under_the_busy", destroy_under_the_busy},
    {0},
};
