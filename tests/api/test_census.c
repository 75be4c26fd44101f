/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* cohort_processes(): all processes, as any member sees them. */
#include "facts.h"
#include "processes.h"
#include "programs.h"

#include <cohort/pool.h>
#include <stdlib.h>

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

/* ---- CPU time and memory -------------------------------------------------------------------- */

#define BURNT  (100 * 1000)           /* microseconds of CPU time */
#define FILLED ((apr_size_t)64 << 20) /* bytes that are touched */

typedef struct {
    cohort_process_t *busy, *idle, *busy_program, *idle_program;
    _Atomic int there;
} usage_t;

static int burn_and_fill(void *args) {
    usage_t *usage = *(usage_t **)args;
    char *volatile block = malloc(FILLED);
    CHECK(block != NULL);
    memset(block, 1, FILLED);
    while (!system_is_wine() && find(cohort_process_current())->cpu_time < BURNT)
        apr_pool_clear(test_pool());
    atomic_fetch_add(&usage->there, 1);
    party_wait_for_death();
}

static int be_there(void *args) {
    atomic_fetch_add(&(*(usage_t **)args)->there, 1);
    party_wait_for_death();
}

static void check_more(const cohort_process_t *busy, const cohort_process_t *idle) {
    cohort_process_info_t *more = find(busy), *less = find(idle);
    CHECK(less->cpu_time >= 0 && less->memory > 0);
    CHECK(more->memory > less->memory + (apr_int64_t)FILLED / 2);
    if (system_is_wine()) return;
    CHECK(more->cpu_time >= BURNT);
    CHECK(more->cpu_time > less->cpu_time);
}

static int look_at_usage(void *args) {
    const usage_t *usage = *(usage_t **)args;
    check_more(usage->busy, usage->idle);
    check_more(usage->busy_program, usage->idle_program);
    return 0;
}

/* Of functions and programs, as a sibling sees them. */
static void what_others_use(void) {
    usage_t *usage = party_memory(sizeof *usage);
    cohort_program_t busy = {.argv = ACT("fill", "64", "burn", "150", "say", "x", "flush", "wait"),
                             .streams = {[1] = PIPE}},
                     idle = {.argv = ACT("wait")};
    char line[8];
    usage->busy = party_start(burn_and_fill, &usage, sizeof usage);
    usage->idle = party_start(be_there, &usage, sizeof usage);
    usage->busy_program = start_program(&busy, NULL);
    usage->idle_program = start_program(&idle, NULL);
    CHECK_STATUS(APR_SUCCESS, apr_file_gets(line, sizeof line, busy.streams[1].file));
    party_await(&usage->there, 2);
    party_finish(party_start(look_at_usage, &usage, sizeof usage));
    party_kill(usage->busy_program);
    party_kill(usage->idle_program);
}

/* ---- kinds ---------------------------------------------------------------------------------- */

static apr_size_t count_kind(cohort_process_kind_t kind) {
    cohort_process_info_t *list = NULL;
    apr_size_t n = 0, found = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_processes(&list, &n, test_pool()));
    for (apr_size_t i = 0; i < n; i++) found += list[i].kind == kind;
    return found;
}

static void workers(void) {
    cohort_pool_t *pool = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 2}, test_pool()));
    CHECK_INT(2, count_kind(COHORT_PROCESS_WORKER));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    CHECK_INT(0, count_kind(COHORT_PROCESS_WORKER));
}

/* A service is listed, and its present run by itself. */
static void services(void) {
    cohort_restart_t policy = {.when = COHORT_RESTART_ON_FAILURE};
    cohort_process_options_t options = {
        .name = "census", .lifetime = COHORT_LIFETIME_DAEMON, .restart = &policy};
    cohort_process_t *service = NULL;
    CHECK_INT(0, count_kind(COHORT_PROCESS_SERVICE));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&service, stay, NULL, 0, &options, test_pool()));
    CHECK_INT(1, count_kind(COHORT_PROCESS_SERVICE));
    CHECK_INT(1, count_kind(COHORT_PROCESS_FUNCTION));
    check_info(service, COHORT_PROCESS_SERVICE, COHORT_PROCESS_RUNNING);
    CHECK_STR("census", find(service)->name);
    CHECK_STATUS(APR_SUCCESS, cohort_process_stop(service, COHORT_FOREVER));
    CHECK_INT(COHORT_PROCESS_ENDED, find(service)->state);
    CHECK_INT(0, count_kind(COHORT_PROCESS_FUNCTION));
}

/* The helpers there are and run. */
static apr_size_t count_helpers(void) {
    cohort_process_info_t *list = NULL;
    apr_size_t n = 0, found = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_processes(&list, &n, test_pool()));
    for (apr_size_t i = 0; i < n; i++) {
        if (list[i].kind != COHORT_PROCESS_HELPER || list[i].state != COHORT_PROCESS_RUNNING)
            continue;
        CHECK(system_runs(list[i].pid));
        CHECK(list[i].parent == cohort_process_current());
        found++;
    }
    return found;
}

/* A daemon takes one, a fork server or a keeper, where the system has no jobs; it may begin after
 * the daemon. */
static void helpers(void) {
    CHECK_INT(0, count_kind(COHORT_PROCESS_HELPER));
    cohort_process_t *process = party_start(stay, NULL, 0);
    while (count_helpers() < !system_has_jobs()) apr_sleep(1000);
    CHECK_INT(system_has_jobs() ? 0 : 1, count_kind(COHORT_PROCESS_HELPER));
    party_kill(process);
}

const test_case_t census_cases[] = {{"Census", "the_root", the_root},
                                    {"Census", "steps_of_a_life", steps_of_a_life},
                                    {"Census", "programs_and_deaths", programs_and_deaths},
                                    {"Census", "any_member_sees_all", any_member_sees_all},
                                    {"Census", "what_others_use", what_others_use},
                                    {"Census", "workers", workers},
                                    {"Census", "services", services},
                                    {"Census", "helpers", helpers},
                                    {0}};
