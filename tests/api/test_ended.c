/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A process ends at one moment for all callers: from the first answer that says so, every other
 * question says so too, in every process. All ways to ask are in a table; processes that end in
 * different ways are asked in all orders, by their parent and by other processes at once.
 */
#include "parties.h"

#include <stdlib.h>

enum { RETURNS, EXITS, IS_KILLED, LEAVES, RUNS_PROGRAM, WAYS };

static int end_somehow(void *args) {
    int way = *(int *)args;
    apr_sleep(1000);
    if (way == EXITS) cohort_exit(3);
    if (way == IS_KILLED) (void)cohort_process_kill(cohort_process_current());
    if (way == LEAVES) _Exit(3);
    return 5;
}

static cohort_process_t *start(int way) {
    if (way != RUNS_PROGRAM) return party_start(end_somehow, &way, sizeof way);
    static const char *argv[] = {TEST_ACTOR, "exit", "5", NULL};
    cohort_program_t program = {.argv = argv};
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON};
    cohort_process_t *process;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create_program(&process, &program, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    return process;
}

/* ---- questions: has it ended? --------------------------------------------------------------- */

static bool by_is_alive(cohort_process_t *p) { return !cohort_process_is_alive(p); }

static bool by_exit_code(cohort_process_t *p) {
    return cohort_process_exit_code(p) != COHORT_EXIT_NONE;
}

static bool by_status(apr_status_t status) {
    CHECK(status == APR_SUCCESS || APR_STATUS_IS_EAGAIN(status));
    return status == APR_SUCCESS;
}

static bool by_join(cohort_process_t *p) { return by_status(cohort_process_join(p, 0)); }

static bool by_wait(cohort_process_t *p) {
    cohort_waitable_t item = {.object = p};
    bool ended = by_status(cohort_wait(&item, 1, COHORT_WAIT_ALL, 0));
    CHECK_INT(ended, item.ready);
    return ended;
}

static bool by_list(cohort_process_t *p) {
    cohort_process_t **list;
    apr_size_t count;
    bool listed = false;
    apr_pool_t *pool;
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_active_children(&list, &count, pool));
    for (apr_size_t i = 0; i < count; i++) listed = listed || list[i] == p;
    apr_pool_destroy(pool);
    return !listed;
}

static bool by_close(cohort_process_t *p) {
    apr_status_t status = cohort_process_destroy(p);
    CHECK(status == APR_SUCCESS || status == COHORT_ERUNNING);
    return status == APR_SUCCESS;
}

typedef struct {
    const char *name;
    bool (*ask)(cohort_process_t *p);
} question_t;

/* The first four may be asked by any process. */
static const question_t questions[] = {{"is_alive", by_is_alive},
                                       {"exit_code", by_exit_code},
                                       {"join", by_join},
                                       {"wait", by_wait},
                                       {"list", by_list}};
enum { OF_ALL = 4, OF_PARENT = 5 };

/* Ask until it has ended, `first` first; what one answer says the next must say too. */
static void ask_until_ended(cohort_process_t *p, int first, int n) {
    const char *said = NULL;
    for (int k = first, after = 0; after < n; k++) {
        const question_t *q = &questions[k % n];
        bool ended = q->ask(p);
        if (said && !ended)
            test_fail(__FILE__, __LINE__, "%s says that it has ended, and then %s that it has not",
                      said, q->name);
        if (ended) said = said ? said : q->name;
        if (said) after++;
    }
}

/* ---- askers --------------------------------------------------------------------------------- */

static void check_code(cohort_process_t *p, int way) {
    static const int codes[WAYS] = {5, 3, -9, 3, 5};
    CHECK_INT(codes[way], cohort_process_exit_code(p));
}

enum { ROUNDS = 40 };

static void for_the_parent(void) {
    for (int i = 0; i < ROUNDS; i++) {
        cohort_process_t *p = start(i % WAYS);
        ask_until_ended(p, i / WAYS, OF_PARENT);
        check_code(p, i % WAYS);
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(p));
    }
}

/* From the very first answer on the handle can be closed. */
static void and_may_be_closed(void) {
    for (int i = 0; i < ROUNDS; i++) {
        cohort_process_t *p = start(i % WAYS);
        while (!questions[i / WAYS % OF_PARENT].ask(p)) continue;
        CHECK(by_close(p));
    }
}

typedef struct {
    _Atomic(cohort_process_t *) process;
    _Atomic int turn, done;
} shown_t;

static int ask_too(void *args) {
    shown_t *s = *(shown_t **)args;
    for (int turn = 1; turn <= ROUNDS; turn++) {
        party_await(&s->turn, turn);
        ask_until_ended(atomic_load(&s->process), turn, OF_ALL);
        atomic_fetch_add(&s->done, 1);
    }
    return 0;
}

static void for_several_at_once(void) {
    shown_t *s = party_memory(sizeof *s);
    cohort_process_t *others[2];
    parties_start(others, 2, ask_too, &s, sizeof s);
    for (int i = 0; i < ROUNDS; i++) {
        cohort_process_t *p = start(i % WAYS);
        atomic_store(&s->process, p);
        atomic_store(&s->turn, i + 1);
        ask_until_ended(p, i / WAYS, OF_PARENT);
        check_code(p, i % WAYS);
        party_await(&s->done, 2 * (i + 1));
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(p));
    }
    parties_finish(others, 2);
}

/* Not started, and closed: no process is alive that has no life. */
static void before_and_after(void) {
    cohort_process_t *p;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&p, nothing, NULL, 0, NULL, NULL));
    CHECK_INT(0, cohort_process_is_alive(p));
    CHECK_INT(COHORT_EXIT_NONE, cohort_process_exit_code(p));
    CHECK_STATUS(COHORT_ENOTSTARTED, cohort_process_join(p, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(p));
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(p, COHORT_FOREVER));
    CHECK_INT(0, cohort_process_is_alive(p));
    CHECK_INT(0, cohort_process_exit_code(p));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(p));
    CHECK_INT(0, cohort_process_is_alive(p));
}

const test_case_t ended_cases[] = {
    {"Ended", "for_the_parent", for_the_parent},
    {"Ended", "and_may_be_closed", and_may_be_closed},
    {"Ended", "for_several_at_once", for_several_at_once},
    {"Ended", "before_and_after", before_and_after},
    {0},
};
