/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: results in the order in which they end, and callbacks that are added to results. */
#include "pools.h"

enum { FEW = 4 };

/* Results that end when the test likes. */
typedef struct {
    cohort_pool_t *pool;
    gate_t *gates[FEW];
    cohort_result_t *results[FEW];
} scene_t;

static void begin(scene_t *scene) {
    scene->pool = new_pool(FEW);
    for (int i = 0; i < FEW; i++) {
        scene->gates[i] = new_gate();
        SUBMIT(&scene->results[i], scene->pool, NULL, .task = pass_gate,
               COHORT_INPUTS(&scene->gates[i], 1));
        party_await(&scene->gates[i]->begun, 1);
    }
}

static void open_gate(const scene_t *scene, int i) {
    atomic_store(&scene->gates[i]->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(scene->results[i], COHORT_FOREVER));
}

static void end(scene_t *scene) {
    for (int i = 0; i < FEW; i++) {
        atomic_store(&scene->gates[i]->open, 1);
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(scene->results[i]));
    }
    finish_pool(scene->pool);
}

static cohort_completed_t *new_completed(cohort_result_t *const *results, apr_size_t n) {
    cohort_completed_t *completed = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_completed_create(&completed, results, n, test_pool()));
    return completed;
}

static void expect(cohort_completed_t *completed, const scene_t *scene, int i) {
    cohort_result_t *result = NULL;
    apr_size_t index = 99;
    CHECK_STATUS(APR_SUCCESS, cohort_completed_next(completed, &result, &index, COHORT_FOREVER));
    CHECK_INT(i, index);
    CHECK(result == scene->results[i]);
}

static void expect_end(cohort_completed_t *completed) {
    CHECK_STATUS(APR_EOF, cohort_completed_next(completed, NULL, NULL, COHORT_FOREVER));
}

/* ---- in the order in which they end --------------------------------------------------------- */

static void as_they_end(void) {
    scene_t scene;
    begin(&scene);
    cohort_completed_t *completed = new_completed(scene.results, FEW);
    CHECK_STATUS(APR_EAGAIN, cohort_completed_next(completed, NULL, NULL, 0));
    apr_time_t begun = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, cohort_completed_next(completed, NULL, NULL, A_WHILE));
    AT_LEAST(A_WHILE, begun);
    open_gate(&scene, 2);
    expect(completed, &scene, 2);
    open_gate(&scene, 3);
    open_gate(&scene, 0);
    expect(completed, &scene, 3);
    expect(completed, &scene, 0);
    CHECK_STATUS(APR_EAGAIN, cohort_completed_next(completed, NULL, NULL, 0));
    open_gate(&scene, 1);
    expect(completed, &scene, 1);
    expect_end(completed);
    end(&scene);
}

static void while_waiting(void) {
    scene_t scene;
    begin(&scene);
    cohort_completed_t *completed = new_completed(scene.results, FEW);
    for (int i = FEW - 1; i >= 0; i--) {
        atomic_store(&scene.gates[i]->open, 1);
        expect(completed, &scene, i);
    }
    expect_end(completed);
    end(&scene);
}

static void ready_ones_first(void) {
    scene_t scene;
    begin(&scene);
    open_gate(&scene, 3);
    open_gate(&scene, 1);
    cohort_completed_t *completed = new_completed(NULL, 0);
    expect_end(completed);
    for (int i = 0; i < FEW; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_completed_add(completed, scene.results[i]));
    CHECK_STATUS(APR_SUCCESS, cohort_completed_add(completed, scene.results[2]));
    expect(completed, &scene, 1);
    expect(completed, &scene, 3);
    open_gate(&scene, 2);
    expect(completed, &scene, 2);
    open_gate(&scene, 0);
    expect(completed, &scene, 0);
    expect_end(completed);
    end(&scene);
}

/* It has ended by that; and what is made at its address is another result. */
static void destroyed_ones_too(void) {
    scene_t scene;
    cohort_result_t *result, *next;
    apr_size_t index;
    int x = 3;
    begin(&scene);
    cohort_completed_t *completed = new_completed(scene.results, FEW);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(scene.results[1]));
    expect(completed, &scene, 1);
    CHECK_INT(COHORT_RESULT_NONE, cohort_result_state(scene.results[1]));
    atomic_store(&scene.gates[1]->open, 1);
    for (int i = 0; i < FEW; i++) {
        if (i != 1) open_gate(&scene, i);
    }
    SUBMIT(&next, scene.pool, NULL, .task = square, COHORT_INPUTS(&x, 1),
           .output_size = sizeof(int));
    CHECK_STATUS(APR_SUCCESS, cohort_completed_add(completed, next));
    for (int i = 0; i < FEW; i++) {
        CHECK_STATUS(APR_SUCCESS,
                     cohort_completed_next(completed, &result, &index, COHORT_FOREVER));
        CHECK(index != 1);
        if (index == FEW) CHECK(result == next);
    }
    expect_end(completed);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(next));
    CHECK_STATUS(COHORT_EHANDLE, cohort_completed_add(completed, next));
    CHECK_STATUS(COHORT_EHANDLE, cohort_completed_create(&completed, &next, 1, test_pool()));
    CHECK(strstr(cohort_last_error(), "results[0]") != NULL);
    end(&scene);
}

/* ---- many ----------------------------------------------------------------------------------- */

enum { MANY = 3000 }; /* more than the library remembers the ends of */

/* Takes all as they end, which is in the order of `results`. */
static void expect_in_order(cohort_completed_t *completed, cohort_result_t *const *results,
                            apr_interval_time_t timeout) {
    cohort_result_t *result;
    for (int i = 0; i < MANY; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_completed_next(completed, &result, NULL, timeout));
        CHECK(result == results[i]);
    }
    expect_end(completed);
}

/* One worker, so they end as they were submitted. The log is too short for them: what is behind it
 * looks at them all while they end, from the first, or from the last. */
static void many_in_order(void) {
    cohort_pool_t *pool = new_pool(1);
    cohort_result_t *results[MANY], *backwards[MANY];
    for (int round = 0; round < 10; round++) {
        gate_t *gate = new_gate();
        SUBMIT(&results[0], pool, NULL, .task = pass_gate, COHORT_INPUTS(&gate, 1));
        for (int i = 1; i < MANY; i++)
            SUBMIT(&results[i], pool, NULL, .task = square, COHORT_INPUTS(&i, 1),
                   .output_size = sizeof(int));
        for (int i = 0; i < MANY; i++) backwards[i] = results[MANY - 1 - i];
        cohort_completed_t *late = new_completed(results, MANY),
                           *eager = new_completed(round % 2 ? results : backwards, MANY);
        atomic_store(&gate->open, 1);
        CHECK_STATUS(APR_SUCCESS, cohort_result_wait(results[MANY / 2], COHORT_FOREVER));
        expect_in_order(eager, results, COHORT_FOREVER);
        expect_in_order(late, results, 0);
        for (int i = 0; i < MANY; i++) CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(results[i]));
        CHECK_STATUS(APR_SUCCESS, cohort_free(gate));
    }
    finish_pool(pool);
}

/* ---- other processes, and deaths ------------------------------------------------------------ */

typedef struct {
    cohort_result_t *results[FEW];
    _Atomic int seen;
} shared_t;

static int iterate(void *args) {
    shared_t *shared = *(shared_t **)args;
    cohort_completed_t *completed = new_completed(shared->results, FEW);
    cohort_result_t *result;
    for (int i = 0; i < FEW; i++) {
        atomic_fetch_add(&shared->seen, 1);
        CHECK_STATUS(APR_SUCCESS, cohort_completed_next(completed, &result, NULL, COHORT_FOREVER));
        CHECK(result == shared->results[i]);
    }
    expect_end(completed);
    return 0;
}

static void other_processes(void) {
    scene_t scene;
    cohort_process_t *parties[2];
    shared_t *shared = party_memory(sizeof *shared);
    begin(&scene);
    memcpy(shared->results, scene.results, sizeof shared->results);
    parties_start(parties, 2, iterate, &shared, sizeof shared);
    for (int i = 0; i < FEW; i++) {
        party_await(&shared->seen, 2 * (i + 1));
        open_gate(&scene, i);
    }
    parties_finish(parties, 2);
    end(&scene);
}

typedef struct {
    cohort_pool_t *pool;
    gate_t *gate;
    cohort_result_t *result;
    _Atomic int submitted;
} orphan_t;

static void never_called(cohort_result_t *result, void *arg) {
    (void)result, (void)arg;
    test_fail(__FILE__, __LINE__, "a callback of a dead process");
}

static int submit_and_stay(void *args) {
    orphan_t *orphan = *(orphan_t **)args;
    SUBMIT(&orphan->result, orphan->pool, NULL, .task = pass_gate, COHORT_INPUTS(&orphan->gate, 1),
           .on_success = never_called, .on_error = never_called);
    atomic_store(&orphan->submitted, 1);
    party_wait_for_death();
}

/* Its callback is not called any more, and it is ready without. */
static void dead_submitter(void) {
    orphan_t *orphan = party_memory(sizeof *orphan);
    orphan->pool = new_pool(1);
    orphan->gate = new_gate();
    cohort_process_t *party = party_start(submit_and_stay, &orphan, sizeof orphan);
    party_await(&orphan->submitted, 1);
    cohort_completed_t *completed = new_completed(&orphan->result, 1);
    party_kill(party);
    CHECK_STATUS(APR_EAGAIN, cohort_completed_next(completed, NULL, NULL, 0));
    atomic_store(&orphan->gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_completed_next(completed, NULL, NULL, COHORT_FOREVER));
    CHECK_INT(1, cohort_result_is_successful(orphan->result));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(orphan->result));
    finish_pool(orphan->pool);
}

static void terminated_pool(void) {
    scene_t scene;
    begin(&scene);
    cohort_completed_t *completed = new_completed(scene.results, FEW);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_stop(scene.pool, 0));
    for (int i = 0; i < FEW; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_completed_next(completed, NULL, NULL, COHORT_FOREVER));
    expect_end(completed);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(scene.pool));
}

/* ---- callbacks that are added --------------------------------------------------------------- */

typedef struct {
    _Atomic int count;
    int order[16];
    _Atomic int done; /* of the last one */
} heard_t;

typedef struct {
    heard_t *heard;
    int number;
} call_t;

static void hear(cohort_result_t *result, void *arg) {
    const call_t *call = arg;
    CHECK_INT(1, cohort_result_is_ready(result));
    call->heard->order[atomic_fetch_add(&call->heard->count, 1)] = call->number;
}

static void hear_own(cohort_result_t *result, void *arg) { hear(result, arg); }

static void add_callback(cohort_result_t *result, cohort_callback_t callback, void *arg) {
    CHECK_STATUS(APR_SUCCESS, cohort_result_add_callback(result, callback, arg));
}

static void hear_and_add(cohort_result_t *result, void *arg) {
    const call_t *call = arg;
    hear(result, arg);
    add_callback(result, hear, (void *)(call + 1));
}

static void added_callbacks(void) {
    heard_t *heard = party_memory(sizeof *heard);
    cohort_pool_t *pool = new_pool(2);
    gate_t *gate = new_gate();
    cohort_result_t *result;
    call_t calls[6];
    for (int i = 0; i < 6; i++) calls[i] = (call_t){heard, i};
    SUBMIT(&result, pool, NULL, .task = pass_gate, COHORT_INPUTS(&gate, 1), .on_success = hear_own,
           .callback_arg = &calls[0]);
    for (int i = 1; i < 4; i++) add_callback(result, hear, &calls[i]);
    add_callback(result, hear_and_add, &calls[4]);
    CHECK_INT(0, atomic_load(&heard->count));
    atomic_store(&gate->open, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    CHECK(atomic_load(&heard->count) >= 1);
    party_await(&heard->count, 6);
    for (int i = 0; i < 6; i++) CHECK_INT(i, heard->order[i]);
    add_callback(result, hear, &calls[3]); /* to one that is ready */
    party_await(&heard->count, 7);
    CHECK_INT(3, heard->order[6]);
    finish_pool(pool);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    CHECK_STATUS(COHORT_EHANDLE, cohort_result_add_callback(result, hear, &calls[0]));
}

/* Those of a result that is destroyed are not called, and join() does not wait for them. */
static void destroy_cancels_added(void) {
    heard_t *heard = party_memory(sizeof *heard);
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate();
    cohort_result_t *result;
    call_t call = {heard, 0};
    SUBMIT(&result, pool, NULL, .task = pass_gate, COHORT_INPUTS(&gate, 1));
    party_await(&gate->begun, 1);
    for (int i = 0; i < 3; i++) add_callback(result, hear, &call);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    atomic_store(&gate->open, 1);
    finish_pool(pool);
    CHECK_INT(0, atomic_load(&heard->count));
}

/* Of a job that fails, and of one with a pool that is terminated. join() waits for them. */
static void added_to_what_fails(void) {
    heard_t *heard = party_memory(sizeof *heard);
    scene_t scene;
    call_t call = {heard, 0};
    begin(&scene);
    for (int i = 0; i < FEW; i++) add_callback(scene.results[i], hear, &call);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(scene.pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(scene.pool, COHORT_FOREVER));
    CHECK_INT(FEW, atomic_load(&heard->count));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(scene.pool));
}

static int add_elsewhere(void *args) {
    shared_t *shared = *(shared_t **)args;
    heard_t heard = {0};
    call_t calls[FEW];
    for (int i = 0; i < FEW; i++) {
        calls[i] = (call_t){&heard, i};
        add_callback(shared->results[i], hear, &calls[i]);
    }
    atomic_fetch_add(&shared->seen, 1);
    party_await(&heard.count, FEW);
    return 0;
}

static void added_in_another_process(void) {
    scene_t scene;
    shared_t *shared = party_memory(sizeof *shared);
    begin(&scene);
    memcpy(shared->results, scene.results, sizeof shared->results);
    cohort_process_t *party = party_start(add_elsewhere, &shared, sizeof shared);
    party_await(&shared->seen, 1);
    for (int i = 0; i < FEW; i++) open_gate(&scene, i);
    party_finish(party);
    end(&scene);
}

const test_case_t pool_completed_cases[] = {
    {"Pool", "completed_as_they_end", as_they_end},
    {"Pool", "completed_while_waiting", while_waiting},
    {"Pool", "completed_ready_ones_first", ready_ones_first},
    {"Pool", "completed_destroyed_ones_too", destroyed_ones_too},
    {"Pool", "completed_many_in_order", many_in_order},
    {"Pool", "completed_in_other_processes", other_processes},
    {"Pool", "completed_dead_submitter", dead_submitter},
    {"Pool", "completed_terminated_pool", terminated_pool},
    {"Pool", "added_callbacks", added_callbacks},
    {"Pool", "destroy_cancels_added_callbacks", destroy_cancels_added},
    {"Pool", "callbacks_added_to_what_fails", added_to_what_fails},
    {"Pool", "callbacks_added_in_another_process", added_in_another_process},
    {0},
};
