/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process starts, or has started, when it is not what it was any more: a pool's replacement
 * workers, which are started by a thread of the library; processes that it may not end; starts that
 * the system refuses by then. And what the library does not make of its host.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "properties.h"
#include "system.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#ifdef __linux__
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#define NOBODY 12345
#define DEATHS 30

extern char **environ;

/* ---- workers that replace others ------------------------------------------------------------ */

static apr_status_t look(const void *input, void *output) {
    property_find(input)->look(output, PROPERTY_TEXT);
    return APR_SUCCESS;
}

static apr_status_t die(const void *input, void *output) {
    (void)input, (void)output;
    raise(SIGKILL);
    return APR_SUCCESS;
}

static cohort_pool_t *one_worker(void) {
    cohort_pool_t *pool = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 1}, NULL));
    return pool;
}

static void check_worker(cohort_pool_t *pool, const char *property, const char *expected) {
    char name[64], text[PROPERTY_TEXT] = "";
    snprintf(name, sizeof name, "%s", property);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply(pool, look, name, sizeof name, text, sizeof text));
    CHECK_STR(expected, text);
}

/* Those that the pool was made with, and those that its maker has now. */
static const char *const captured[] = {"cwd", "umask", "environment", "streams"};
static const char *const current[] = {"limits", "nice"};
enum { CAPTURED = 4, CURRENT = 2 };

static void change(const char *property) {
    const char *why_not = property_find(property)->change();
    if (why_not) test_fail(__FILE__, __LINE__, "%s: %s", property, why_not);
}

static int change_and_replace(void *args) {
    static char before[CAPTURED][PROPERTY_TEXT], now[CURRENT][PROPERTY_TEXT];
    (void)args;
    for (int i = 0; i < CAPTURED; i++)
        property_find(captured[i])->look(before[i], sizeof before[i]);
    cohort_pool_t *pool = one_worker();
    for (int i = 0; i < CAPTURED; i++) change(captured[i]);
    for (int i = 0; i < CURRENT; i++) {
        change(current[i]);
        property_find(current[i])->look(now[i], sizeof now[i]);
    }
    CHECK_STATUS(COHORT_EWORKERDIED, cohort_pool_apply(pool, die, NULL, 0, NULL, 0));
    for (int i = 0; i < CAPTURED; i++) check_worker(pool, captured[i], before[i]);
    for (int i = 0; i < CURRENT; i++) check_worker(pool, current[i], now[i]);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    return 0;
}

static void replacements_begin_where_the_pool_was_made(void) {
    party_finish(party_start(change_and_replace, NULL, 0));
}

/* No thread of the library's may read the environment, which a thread of the host may be changing:
 * here there is none that could be read. */
static int replace_without_environment(void *args) {
    char **own = environ;
    (void)args;
    cohort_pool_t *pool = one_worker();
    environ = (char **)(uintptr_t)16;
    for (int i = 0; i < DEATHS; i++)
        CHECK_STATUS(COHORT_EWORKERDIED, cohort_pool_apply(pool, die, NULL, 0, NULL, 0));
    environ = own;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    return 0;
}

static void replacements_read_no_environment(void) {
    if (SANITIZED) SKIP("a sanitizer reads it");
    party_finish(party_start(replace_without_environment, NULL, 0));
}

/* ---- what may not be ended any more --------------------------------------------------------- */

typedef struct {
    _Atomic int64_t worker;
    _Atomic int user; /* of the worker */
} board_t;

static apr_status_t stay_long(const void *input, void *output) {
    board_t *board = *(board_t *const *)input;
    (void)output;
    atomic_store(&board->user, (int)getuid());
    atomic_store(&board->worker, getpid());
    for (;;) pause();
    return APR_SUCCESS;
}

static void check_refused(apr_status_t status) { CHECK_INT(EPERM, APR_TO_OS_ERROR(status)); }

/* The worker is in a task that never ends. */
static cohort_result_t *with_long_task(cohort_pool_t *pool, board_t *board) {
    cohort_result_t *result = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_submit(&result, pool,
                                    &(cohort_job_t){.task = stay_long, COHORT_INPUTS(&board, 1)},
                                    NULL));
    while (!atomic_load(&board->worker)) apr_sleep(1000);
    return result;
}

static void become_nobody(void) {
    CHECK_INT(0, setgroups(0, NULL));
    CHECK_INT(0, setgid(NOBODY));
    CHECK_INT(0, setuid(NOBODY));
}

static int end_a_pool_of_others(void *args) {
    board_t *board = *(board_t **)args;
    cohort_pool_t *pool = one_worker();
    cohort_result_t *result = with_long_task(pool, board);
    become_nobody();
    check_refused(cohort_pool_terminate(pool));
    CHECK_STATUS(COHORT_ETERMINATED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    check_refused(cohort_pool_join(pool, COHORT_FOREVER));
    check_refused(cohort_pool_destroy(pool));
    CHECK(process_runs(atomic_load(&board->worker)));
    return 0; /* its end does not wait for the worker either, */
}

/* which ends with it. */
static void pools_of_others_say_so(void) {
    if (geteuid() != 0) SKIP("only root can become somebody else");
    if (SANITIZED) SKIP("the leak check needs the privileges");
    board_t *board = party_memory(sizeof *board);
    party_finish(party_start(end_a_pool_of_others, &board, sizeof board));
    await_gone(atomic_load(&board->worker));
}

/* Workers of another user, which the host may end as long as it is root: each way to end the pool
 * says that it may not, whatever grace it has, and waits no longer than that. */
static int stop_a_pool_of_another_user(void *args) {
    board_t *board = *(board_t **)args;
    const cohort_settings_t other = {.user = "23456", .group = "23456"};
    cohort_pool_t *pool = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(
                     &pool, &(cohort_pool_options_t){.workers = 1, .settings = &other}, NULL));
    cohort_result_t *result = with_long_task(pool, board);
    become_nobody();
    check_refused(cohort_pool_stop(pool, COHORT_FOREVER));
    CHECK_STATUS(COHORT_ETERMINATED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    check_refused(cohort_pool_stop(pool, 1000));
    check_refused(cohort_pool_stop(pool, 0));
    check_refused(cohort_pool_terminate(pool));
    check_refused(cohort_pool_join(pool, COHORT_FOREVER));
    check_refused(cohort_pool_destroy(pool));
    CHECK(process_runs(atomic_load(&board->worker)));
    return 0;
}

static void pools_of_another_user_say_so(void) {
    if (geteuid() != 0) SKIP("only root can become somebody else");
    if (SANITIZED) SKIP("the leak check needs the privileges");
    board_t *board = party_memory(sizeof *board);
    party_finish(party_start(stop_a_pool_of_another_user, &board, sizeof board));
    CHECK_INT(23456, atomic_load(&board->user));
    await_gone(atomic_load(&board->worker));
}

/* ---- a sandbox without execve --------------------------------------------------------------- */

#ifdef __linux__

#define REFUSE(number)                                             \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(number), 0, 1), \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)EPERM)

static void forbid_execve(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)), REFUSE(SYS_execve),
        REFUSE(SYS_execveat), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog filter = {sizeof code / sizeof *code, code};
    CHECK_INT(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    CHECK_INT(0, prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
}

/* A server is there, and a child of it, which is not touched. */
static int start_without_execve(void *args) {
    cohort_process_t *after = NULL, *before = party_start(stay, NULL, 0);
    bool by_fork = strcmp(test_method(), "fork") == 0;
    (void)args;
    forbid_execve();
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&after, nothing, NULL, 0, NULL, NULL));
    apr_status_t status = cohort_process_start(after);
    if (by_fork) {
        CHECK_STATUS(APR_SUCCESS, status);
        party_end(after, 0);
    } else {
        CHECK_INT(EPERM, APR_TO_OS_ERROR(status));
        CHECK(strstr(cohort_last_error(), "exec") != NULL);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(after));
    CHECK(cohort_process_is_alive(before));
    party_kill(before);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(before));
    return 0;
}

static void starts_without_execve_say_so(void) {
    if (SANITIZED) SKIP("the leak check executes itself");
    party_finish(party_start(start_without_execve, NULL, 0));
}

/* ---- the host ------------------------------------------------------------------------------- */

static int look_at_host(void *args) {
    int subreaper = 1;
    (void)args;
    cohort_pool_t *pool = one_worker();
    cohort_process_t *child = party_start(stay, NULL, 0);
    cohort_program_t program = {.argv = (const char *const[]){"sleep", "1000", NULL}};
    cohort_process_t *other = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create_program(
                     &other, &program,
                     &(cohort_process_options_t){.lifetime = COHORT_LIFETIME_DAEMON}, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(other));
    CHECK_INT(0, prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0));
    CHECK_INT(0, subreaper);
    party_kill(other);
    party_kill(child);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    return 0;
}

static void the_host_is_no_subreaper(void) { party_finish(party_start(look_at_host, NULL, 0)); }

#endif

const test_case_t states_cases[] = {
    {"States", "replacements_begin_where_the_pool_was_made",
     replacements_begin_where_the_pool_was_made},
    {"States", "replacements_read_no_environment", replacements_read_no_environment},
    {"States", "pools_of_others_say_so", pools_of_others_say_so},
    {"States", "pools_of_another_user_say_so", pools_of_another_user_say_so},
#ifdef __linux__
    {"States", "starts_without_execve_say_so", starts_without_execve_say_so},
    {"States", "the_host_is_no_subreaper", the_host_is_no_subreaper},
#endif
    {0},
};
