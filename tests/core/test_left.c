/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What belonged to processes that died goes, also where the one that would have destroyed it is
 * among the dead, and where no process asks for anything. */
#include "threads.h"

#include "core/object/pipe.h"
#include "core/object/ring.h"
#include "core/process/process.h"
#include "left.h"

#define LARGE 3000

typedef struct {
    _Atomic int ready, go;
    cohort_connection_t *first, *second;
    cohort_pool_t *pool;
    cohort_result_t *result;
} notes_t;

static void check_as_before(const left_t *before) {
    left_t now;
    char text[300];
    if (!left_as_before(before, &now, 0))
        test_fail(__FILE__, __LINE__, "%s", left_describe(before, &now, text, sizeof text));
}

/* ---- a repairer that is in the middle of something ------------------------------------------ */

static _Atomic(cohort__thread_t *) borrowed;

static void *APR_THREAD_FUNC lend_record(apr_thread_t *thread, void *unused) {
    (void)thread, (void)unused;
    atomic_store(&borrowed, enter());
    party_wait_for_death();
}

/* A process that has died and that only this thread will find dead. Its only thread is one of
 * this process, which does nothing. */
static cohort__pid_t dead_process(cohort__thread_t **record) {
    cohort_process_t *slot;
    CHECK_STATUS(APR_SUCCESS, cohort__slot_new(&slot));
    cohort__pid_t id = cohort__process_id(slot);
    slot->role = COHORT__ROLE_CHILD;
    slot->os = (cohort_os_id_t){INT32_MAX, 1};
    atomic_store(&slot->creator, 0);
    CHECK(cohort__slot_step(slot, COHORT__SLOT_NEW, COHORT__SLOT_STARTING));
    CHECK(cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_RUNNING));
    (void)party_thread(lend_record, NULL);
    while (!atomic_load(&borrowed)) apr_sleep(500);
    *record = atomic_load(&borrowed);
    atomic_store(&(*record)->owner, id);
    return id;
}

/* It announces that it looks at this one while it repairs. */
static void end_busily(cohort__pid_t dead) {
    cohort_queue_t *other;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&other, NULL, NULL));
    cohort__op_look(enter(), other);
    CHECK(cohort__process_check_dead(dead));
    CHECK(cohort__process_is_gone(dead));
    CHECK(cohort__process_find(dead));
    CHECK_INT(COHORT__SLOT_DEAD, cohort__process_state(cohort__process_find(dead)));
    cohort__op_end(enter());
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(other));
}

static void a_busy_repairer_leaves_destruction_to_others(void) {
    left_t before = left_now();
    cohort__thread_t *record;
    cohort_queue_t *queue;
    char large[LARGE] = "";
    cohort__pid_t dead = dead_process(&record);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&queue, NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_put(queue, large, sizeof large, 0));
    cohort__op_begin(record, COHORT__OP_DESTROY, queue, 0);
    atomic_store(&((cohort__ring_owner_t *)queue)->destroyer, cohort__thread_id(record));
    end_busily(dead);
    CHECK(cohort__block_is(queue, COHORT__KIND_QUEUE));
    CHECK(cohort__process_check_dead(dead));
    CHECK(!cohort__process_find(dead));
    check_as_before(&before);
}

static void a_busy_repairer_leaves_pipes_to_others(void) {
    left_t before = left_now();
    cohort__thread_t *record;
    cohort_connection_t *first, *second;
    cohort__pid_t dead = dead_process(&record);
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&first, &second, NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort__connection_hold(first, dead));
    CHECK_STATUS(APR_SUCCESS, cohort__connection_hold(second, dead));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(first));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(second));
    end_busily(dead);
    CHECK(cohort__process_check_dead(dead));
    CHECK(!cohort__process_find(dead));
    check_as_before(&before);
}

/* ---- pipes ---------------------------------------------------------------------------------- */

static void what_a_child_was_given_goes_with_its_handle(void) {
    left_t before = left_now();
    cohort_connection_t *ends[2];
    cohort_process_options_t options = {.connections = ends, .n_connections = 2};
    for (int i = 0; i < 2; i++) {
        cohort_process_t *child;
        CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&ends[0], &ends[1], NULL, NULL));
        CHECK_STATUS(APR_SUCCESS, cohort_process_create(&child, nothing, NULL, 0, &options, NULL));
        CHECK_STATUS(APR_SUCCESS, cohort_connection_close(ends[0]));
        if (i == 0) CHECK_STATUS(APR_SUCCESS, cohort_connection_close(ends[1]));
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(child));
        if (i == 0) continue;
        /* no other process ever had the other end */
        CHECK_STATUS(APR_EOF, cohort_connection_poll(ends[1], 0));
        CHECK_STATUS(APR_SUCCESS, cohort_connection_close(ends[1]));
    }
    check_as_before(&before);
}

/* ---- children of the dead ------------------------------------------------------------------- */

static int wait_for_go(void *args) {
    notes_t *n = *(notes_t **)args;
    atomic_fetch_add(&n->ready, 1);
    party_await(&n->go, 1);
    return 0;
}

static int start_another(void *args) {
    notes_t *n = *(notes_t **)args;
    cohort_process_t *child;
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_BACKGROUND};
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&child, wait_for_go, &n, sizeof n, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(child));
    party_wait_for_death();
}

/* The watcher of a process is dead; another process sees the end. */
static void the_ends_of_orphans_are_seen(void) {
    notes_t *n = party_memory(sizeof *n);
    party_finish(party_start(nothing, NULL, 0));
    left_t before = left_now();
    cohort_process_t *parent = party_start(start_another, &n, sizeof n);
    party_await(&n->ready, 1);
    party_kill(parent);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(parent));
    atomic_store(&n->go, 1);
    check_as_before(&before);
    CHECK_STATUS(APR_SUCCESS, cohort_free(n));
}

static apr_status_t be_slow(const void *input, void *output) {
    notes_t *n = *(notes_t *const *)input;
    (void)output;
    atomic_fetch_add(&n->ready, 1);
    party_wait_for_death();
}

static int have_a_pool(void *args) {
    notes_t *n = *(notes_t **)args, *inputs[2] = {n, n};
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&n->pool, &(cohort_pool_options_t){.workers = 2}, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&n->result, n->pool,
                                                 &(cohort_job_t){.task = be_slow,
                                                                 COHORT_INPUTS(inputs, 2),
                                                                 .output_size = LARGE},
                                                 NULL));
    atomic_fetch_add(&n->ready, 1); /* the result is known to the other process, too */
    party_wait_for_death();
}

/* No process waits for its work, and its workers end when their parent has. */
static void the_pool_of_a_killed_daemon_goes(void) {
    notes_t *n = party_memory(sizeof *n);
    party_finish(party_start(nothing, NULL, 0));
    left_t before = left_now();
    cohort_process_t *daemon = party_start(have_a_pool, &n, sizeof n);
    party_await(&n->ready, 3);
    party_kill(daemon);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(daemon));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(n->result)); /* that is a block of the user's */
    check_as_before(&before);
    CHECK_STATUS(APR_SUCCESS, cohort_free(n));
}

/* ---- threads -------------------------------------------------------------------------------- */

#define THREADS 500

static void *APR_THREAD_FUNC use_queue(apr_thread_t *thread, void *data) {
    char message[LARGE] = "";
    apr_size_t size;
    void *block;
    (void)thread;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_put(data, message, sizeof message, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_put(data, message, 10, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_get(data, message, sizeof message, &size, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_get(data, message, sizeof message, &size, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_alloc(&block, LARGE));
    CHECK_STATUS(APR_SUCCESS, cohort_free(block));
    return NULL;
}

/* An empty queue has the segment that is in use and one to spare, however many threads have used
 * it; and those go with the queue. */
static void threads_leave_nothing(void) {
    cohort_queue_t *queue;
    left_t before = left_now();
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&queue, NULL, NULL));
    uint64_t made = left_now().blocks[COHORT__KIND_BYTES];
    uint32_t records = cohort__thread_count();
    for (int i = 0; i < THREADS; i++) party_thread_finish(party_thread(use_queue, queue));
    CHECK(left_now().blocks[COHORT__KIND_BYTES] <= made + 1);
    CHECK(cohort__thread_count() <= records + 2); /* its own may be a moment later */
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(queue));
    check_as_before(&before);
}

const test_case_t left_cases[] = {
    {"Left", "a_busy_repairer_leaves_destruction_to_others",
     a_busy_repairer_leaves_destruction_to_others},
    {"Left", "a_busy_repairer_leaves_pipes_to_others", a_busy_repairer_leaves_pipes_to_others},
    {"Left", "what_a_child_was_given_goes_with_its_handle",
     what_a_child_was_given_goes_with_its_handle},
    {"Left", "the_ends_of_orphans_are_seen", the_ends_of_orphans_are_seen},
    {"Left", "the_pool_of_a_killed_daemon_goes", the_pool_of_a_killed_daemon_goes},
    {"Left", "threads_leave_nothing", threads_leave_nothing},
    {0},
};
