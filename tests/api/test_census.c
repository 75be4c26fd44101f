/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* cohort_processes(): all processes, as any member sees them. */
#include "processes.h"
#include "programs.h"

#include <cohort/pool.h>

#define ACT(...) ((const char *const[]){TEST_ACTOR, __VA_ARGS__, NULL})

/* What is known of it; NULL: it is not there. */
static cohort_process_info_t *find(const cohort_process_t *process) {
    cohort_process_info_t *list = NULL, *found = NULL;
    apr_size_t n = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_processes(&list, &n, test_pool()));
    for (apr_size_t i = 0; i < n; i++) {
        if (list[i].process == process) found = &list[i];
    }
    return found;
}

static void check_info(const cohort_process_t *process, cohort_process_kind_t kind,
                       cohort_process_state_t state) {
    cohort_process_info_t *info = find(process);
    CHECK(info != NULL);
    CHECK_INT(kind, info->kind);
    CHECK_INT(state, info->state);
    CHECK_INT(cohort_process_pid(process), info->pid);
    CHECK_INT(cohort_process_exit_code(process), info->exit_code);
    CHECK_INT(info->state >= COHORT_PROCESS_RUNNING, info->started != 0);
}

static void the_root(void) {
    cohort_process_t *self = cohort_process_current();
    check_info(self, COHORT_PROCESS_ROOT, COHORT_PROCESS_RUNNING);
    cohort_process_info_t *info = find(self);
    CHECK(info->parent == NULL);
    CHECK(info->started <= apr_time_now());
    CHECK(info->cpu_time >= 0);
    CHECK(info->memory > 0);
}

static void steps_of_a_life(void) {
    cohort_event_t *go = NULL, *there = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&go, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&there, test_pool()));
    args_t args = {.go = go, .there = there};
    cohort_process_options_t options = {.name = "census", .lifetime = COHORT_LIFETIME_DAEMON};
    cohort_process_t *process = make(wait_for_go, &args, sizeof args, &options);
    check_info(process, COHORT_PROCESS_FUNCTION, COHORT_PROCESS_NEW);
    apr_time_t before = apr_time_now();
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    check_info(process, COHORT_PROCESS_FUNCTION, COHORT_PROCESS_RUNNING);
    cohort_process_info_t *info = find(process);
    CHECK_STR("census", info->name);
    CHECK(info->parent == cohort_process_current());
    CHECK_INT(COHORT_LIFETIME_DAEMON, info->lifetime);
    CHECK(info->started >= before - 5000 && info->started <= apr_time_now() + 5000);
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(go));
    party_end(process, 0);
    check_info(process, COHORT_PROCESS_FUNCTION, COHORT_PROCESS_ENDED);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    CHECK(find(process) == NULL);
}

/* One that was killed has ended as soon as it is looked at after that. */
static void programs_and_deaths(void) {
    cohort_program_t program = {.argv = ACT("wait")};
    cohort_process_t *process = start_program(&program, NULL);
    check_info(process, COHORT_PROCESS_PROGRAM, COHORT_PROCESS_RUNNING);
    party_kill(process);
    check_info(process, COHORT_PROCESS_PROGRAM, COHORT_PROCESS_ENDED);
    CHECK_INT(-9, find(process)->exit_code);
}

typedef struct {
    cohort_process_t *sibling;
} look_t;

static int look_at_all(void *args) {
    const look_t *look = args;
    cohort_process_t *self = cohort_process_current(), *parent = cohort_process_parent();
    check_info(self, COHORT_PROCESS_FUNCTION, COHORT_PROCESS_RUNNING);
    check_info(parent, COHORT_PROCESS_ROOT, COHORT_PROCESS_RUNNING);
    check_info(look->sibling, COHORT_PROCESS_FUNCTION, COHORT_PROCESS_RUNNING);
    CHECK(find(look->sibling)->parent == parent);
    return 0;
}

static void any_member_sees_all(void) {
    look_t look = {party_start(stay, NULL, 0)};
    party_finish(party_start(look_at_all, &look, sizeof look));
    party_kill(look.sibling);
}

static void workers(void) {
    cohort_pool_t *pool = NULL;
    cohort_process_info_t *list = NULL;
    apr_size_t n = 0, found = 0;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 2}, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_processes(&list, &n, test_pool()));
    for (apr_size_t i = 0; i < n; i++) found += list[i].kind == COHORT_PROCESS_WORKER;
    CHECK_INT(2, found);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

const test_case_t census_cases[] = {{"Census", "the_root", the_root},
                                    {"Census", "steps_of_a_life", steps_of_a_life},
                                    {"Census", "programs_and_deaths", programs_and_deaths},
                                    {"Census", "any_member_sees_all", any_member_sees_all},
                                    {"Census", "workers", workers},
                                    {0}};
