/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Processes: their life, by the rows PROC-* of Python's own tests. */
#include "facts.h"
#include "processes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_active(cohort_process_t *process) {
    cohort_process_t **list = NULL;
    apr_size_t count = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_process_active_children(&list, &count, test_pool()));
    for (apr_size_t i = 0; i < count; i++) {
        if (list[i] == process) return true;
    }
    return false;
}

/* A: the cohort has no authentication key; its members trust each other. */
static void PROC_01_current(void) {
    cohort_process_t *self = cohort_process_current();
    CHECK(self != NULL);
    CHECK_INT(1, cohort_process_is_alive(self));
    CHECK_INT(0, cohort_process_is_daemon(self));
    CHECK(cohort_process_pid(self) > 0);
    CHECK_INT(COHORT_EXIT_NONE, cohort_process_exit_code(self));
    CHECK(cohort_process_parent() == NULL);
    CHECK_STATUS(COHORT_ENOWAIT, cohort_process_join(self, 0));
    CHECK_STATUS(COHORT_ESTARTED, cohort_process_start(self));
}

static void PROC_02_set_executable(void) {
    /* leaves everything as it is */
    CHECK_STATUS(APR_SUCCESS, cohort_set_start_method(COHORT_START_DEFAULT, NULL));
    party_finish(party_start(nothing, NULL, 0));
    CHECK_STATUS(APR_EINVAL, cohort_set_start_method((cohort_start_method_t)77, NULL));
    if (strcmp(test_method(), "spawn") != 0) return;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_set_start_method(COHORT_START_SPAWN, "there is no such program"));
    cohort_process_t *process = make(nothing, NULL, 0, NULL);
    CHECK(APR_STATUS_IS_ENOENT(cohort_process_start(process)));
    CHECK_INT(COHORT_EXIT_NONE, cohort_process_exit_code(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
}

typedef struct {
    char letter;
    double real;
    apr_int64_t whole;
    char text[24];
} record_t;

static int compare_record(void *data) {
    record_t *r = data;
    CHECK_INT(0, (uintptr_t)data % 16);
    CHECK_INT('x', r->letter);
    CHECK(r->real == 0.5);
    CHECK_INT(-1, r->whole);
    CHECK_STR("some text", r->text);
    return 0;
}

static int compare_bytes(void *data) {
    unsigned char *bytes = data;
    for (int i = 0; i < 1000003; i++) CHECK_INT((unsigned char)(i * 7), bytes[i]);
    return 0;
}

static int no_args(void *data) {
    CHECK(data == NULL);
    return 0;
}

/* A: arguments are bytes, of any size. */
static void PROC_03_args_argument(void) {
    record_t record = {'x', 0.5, -1, "some text"};
    unsigned char *bytes = malloc(1000003);
    for (int i = 0; i < 1000003; i++) bytes[i] = (unsigned char)(i * 7);
    cohort_process_t *first = make(compare_record, &record, sizeof record, NULL);
    cohort_process_t *second = make(compare_bytes, bytes, 1000003, NULL);
    memset(&record, 0, sizeof record);
    free(bytes);
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(first));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(second));
    party_finish(first);
    party_finish(second);
    party_finish(party_start(no_args, NULL, 0));
    party_finish(party_start(no_args, "", 0));
}

static int make_and_tell_daemon(void *data) {
    int flags = 0;
    cohort_process_options_t foreground = {.lifetime = COHORT_LIFETIME_FOREGROUND},
                             daemon = {.lifetime = COHORT_LIFETIME_DAEMON};
    (void)data;
    flags |= cohort_process_is_daemon(make(nothing, NULL, 0, NULL));
    flags |= cohort_process_is_daemon(make(nothing, NULL, 0, &foreground)) << 1;
    flags |= cohort_process_is_daemon(make(nothing, NULL, 0, &daemon)) << 2;
    return flags;
}

static void PROC_04_daemon_argument(void) {
    CHECK_INT(4, make_and_tell_daemon(NULL));
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON};
    for (int daemon = 0; daemon < 2; daemon++) {
        cohort_process_t *process = make(make_and_tell_daemon, NULL, 0, daemon ? &options : NULL);
        CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
        party_end(process, daemon ? 5 : 4);
    }
}

static int compare_parent(void *data) {
    args_t *a = data;
    char name[64];
    cohort_process_t *parent = cohort_process_parent();
    CHECK(parent == a->parent);
    CHECK_INT(a->number, cohort_process_pid(parent));
    CHECK_STATUS(APR_SUCCESS, cohort_process_name(parent, name, sizeof name));
    CHECK_STR("MainProcess", name);
    return 0;
}

static void PROC_05_parent_process_attributes(void) {
    args_t a = {.parent = cohort_process_current(),
                .number = (int)cohort_process_pid(cohort_process_current())};
    CHECK(cohort_process_parent() == NULL);
    party_finish(party_start(compare_parent, &a, sizeof a));
}

static int outlive_parent(void *data) {
    args_t *a = data;
    cohort_process_t *parent = cohort_process_parent();
    CHECK_INT(1, cohort_process_is_alive(parent));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(a->there));
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(parent, COHORT_FOREVER));
    CHECK_INT(0, cohort_process_is_alive(parent));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(a->go));
    return 0;
}

static int start_and_wait(void *data) {
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_start(make(outlive_parent, data, sizeof(args_t), NULL)));
    party_wait_for_death();
}

static void PROC_06_parent_process(void) {
    args_t a = {.go = new_event(), .there = new_event()};
    cohort_process_t *middle = make(start_and_wait, &a, sizeof a, NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(middle));
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(a.there, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_process_terminate(middle));
    party_end(middle, -15);
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(a.go, COHORT_FOREVER));
}

static int tell_all(void *data) {
    args_t *a = data;
    cohort_process_t *self = cohort_process_current();
    *a->pid = cohort_process_pid(self);
    CHECK_STATUS(APR_SUCCESS, cohort_process_name(self, a->text, 64));
    CHECK_INT(1, cohort_process_is_alive(self));
    CHECK_INT(COHORT_EXIT_NONE, cohort_process_exit_code(self));
    return wait_for_go(data);
}

/* A: no authentication key. */
static void PROC_07_life_cycle(void) {
    args_t a = {.go = new_event(), .text = party_memory(64), .pid = party_memory(8)};
    cohort_process_options_t options = {.name = "my name"};
    cohort_process_t *p = make(tell_all, &a, sizeof a, &options);
    CHECK_INT(0, cohort_process_is_alive(p));
    CHECK_INT(COHORT_EXIT_NONE, cohort_process_exit_code(p));
    CHECK_INT(0, cohort_process_pid(p));
    CHECK_STATUS(COHORT_ENOTSTARTED, cohort_process_join(p, COHORT_FOREVER));
    CHECK_STATUS(COHORT_ENOTSTARTED, cohort_process_terminate(p));
    CHECK(!is_active(p));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(p));
    CHECK_INT(1, cohort_process_is_alive(p));
    CHECK(is_active(p));
    CHECK_STATUS(COHORT_ESTARTED, cohort_process_start(p));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(a.go));
    party_end(p, 0);
    CHECK_INT(0, cohort_process_is_alive(p));
    CHECK(!is_active(p));
    CHECK_STR("my name", a.text);
    CHECK_INT(cohort_process_pid(p), *a.pid);
    CHECK(*a.pid != cohort_process_pid(cohort_process_current()));
    CHECK_STATUS(COHORT_ESTARTED, cohort_process_start(p));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(p));
}

static int own_the_lock(void *data) {
    args_t *a = data;
    cohort_process_t *owner = NULL;
    owner = cohort_lock_owner(a->lock);
    CHECK(owner == a->parent);
    CHECK_STATUS(APR_EAGAIN, cohort_lock_acquire(a->lock, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(a->there));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(a->lock, COHORT_FOREVER));
    owner = cohort_lock_owner(a->lock);
    CHECK(owner == cohort_process_current());
    return cohort_lock_release(a->lock) != APR_SUCCESS;
}

/* A: that the child's main thread is another than the parent's shows in the owner of a lock. */
static void PROC_08_mainthread_identity(void) {
    args_t a = {.parent = cohort_process_current(), .there = new_event()};
    CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&a.lock, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(a.lock, COHORT_FOREVER));
    cohort_process_t *process = party_start(own_the_lock, &a, sizeof a);
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(a.there, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_release(a.lock));
    party_finish(process);
}

typedef apr_status_t (*stop_t)(cohort_process_t *process);

static void check_stop(stop_t stop, int code) {
    args_t a = {.go = new_event(), .there = new_event()};
    cohort_process_t *p = make(wait_for_go, &a, sizeof a, NULL);
    CHECK_STATUS(COHORT_ENOTSTARTED, stop(p));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(p));
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(a.there, COHORT_FOREVER));
    CHECK_INT(1, cohort_process_is_alive(p));
    CHECK_INT(COHORT_EXIT_NONE, cohort_process_exit_code(p));
    CHECK_STATUS(APR_EAGAIN, cohort_process_join(p, 0));
    CHECK_STATUS(APR_EAGAIN, cohort_process_join(p, -1));
    CHECK_INT(1, cohort_process_is_alive(p));
    CHECK(is_active(p));
    CHECK_STATUS(APR_SUCCESS, stop(p));
    party_end(p, code);
    CHECK_INT(0, cohort_process_is_alive(p));
    CHECK(!is_active(p));
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(p, 0));
    CHECK_STATUS(APR_SUCCESS, stop(p));
    CHECK_INT(code, cohort_process_exit_code(p));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(p));
}

/* A: what Python makes an exception of (exit code 1) is the signal's default in C; so this is
 * PROC-10 too. */
static void PROC_09_interrupt(void) { check_stop(cohort_process_interrupt, -2); }

static void PROC_10_interrupt_no_handler(void) { check_stop(cohort_process_interrupt, -2); }

static void PROC_11_terminate(void) { check_stop(cohort_process_terminate, -15); }

static void PROC_12_kill(void) { check_stop(cohort_process_kill, -9); }

static apr_status_t send_2(cohort_process_t *process) { return cohort_process_signal(process, 2); }

static apr_status_t send_9(cohort_process_t *process) { return cohort_process_signal(process, 9); }

static apr_status_t send_15(cohort_process_t *process) {
    return cohort_process_signal(process, 15);
}

static void signals_of_every_system(void) {
    check_stop(send_2, -2);
    check_stop(send_9, -9);
    check_stop(send_15, -15);
}

/* Where a system has no more of them, all others are refused, and the process goes on. */
static void signals_of_some_systems(void) {
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON,
                                        .signals = COHORT_SIGNALS_RESET};
    cohort_process_t *process = make(stay, NULL, 0, &options);
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_signal(process, 0));
    CHECK_STATUS(APR_EINVAL, cohort_process_signal(process, -1));
    CHECK_STATUS(APR_EINVAL, cohort_process_signal(process, 12345));
    for (int i = 1; i <= 64 && !system_has_signals(); i++) {
        if (i != 2 && i != 9 && i != 15)
            CHECK_STATUS(APR_ENOTIMPL, cohort_process_signal(process, i));
    }
    CHECK_INT(1, cohort_process_is_alive(process));
    if (!system_has_signals()) party_kill(process);
    else CHECK_STATUS(APR_SUCCESS, cohort_process_signal(process, 1));
    party_end(process, system_has_signals() ? -1 : -9);
}

static apr_status_t stop_at_once(cohort_process_t *process) {
    return cohort_process_stop(process, 0);
}

static apr_status_t stop_gently(cohort_process_t *process) {
    return cohort_process_stop(process, COHORT_FOREVER);
}

static void stop_says_how(void) {
    check_stop(stop_gently, -15);
    args_t a = {.go = new_event()};
    cohort_process_t *p = party_start(wait_for_go, &a, sizeof a);
    CHECK_STATUS(APR_SUCCESS, stop_at_once(p));
    int code = cohort_process_exit_code(p);
    CHECK(code == -9 || code == -15);
    CHECK_STATUS(COHORT_ENOWAIT, cohort_process_stop(cohort_process_current(), 0));
}

static void PROC_13_cpu_count(void) { CHECK(cohort_cpu_count() >= 1); }

static void PROC_14_active_children(void) {
    args_t a = {.go = new_event()};
    cohort_process_t **list = NULL;
    apr_size_t count = -1;
    CHECK_STATUS(APR_SUCCESS, cohort_process_active_children(&list, &count, test_pool()));
    CHECK_INT(0, count);
    cohort_process_t *p = make(wait_for_go, &a, sizeof a, NULL);
    CHECK(!is_active(p));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(p));
    CHECK(is_active(p));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(a.go));
    party_end(p, 0);
    CHECK(!is_active(p));
}

typedef struct {
    cohort_connection_t *out;
    int id[4], depth;
} branch_t;

static int recurse(void *data) {
    branch_t *b = data;
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(b->out, b->id, sizeof b->id, COHORT_FOREVER));
    for (int i = 0; b->depth < 3 && i < 2; i++) {
        branch_t next = *b;
        cohort_process_options_t options = {.connections = &b->out, .n_connections = 1};
        next.id[next.depth++] = i + 1;
        cohort_process_t *process = make(recurse, &next, sizeof next, &options);
        CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
        party_finish(process);
    }
    return 0;
}

static void expect_tree(cohort_connection_t *in, int *id, int depth) {
    int found[4];
    apr_size_t size;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_connection_recv(in, found, sizeof found, &size, COHORT_FOREVER));
    CHECK_MEM(id, found, sizeof found);
    for (int i = 0; depth < 3 && i < 2; i++) {
        id[depth] = i + 1;
        expect_tree(in, id, depth + 1);
        id[depth] = 0;
    }
}

static void PROC_15_recursion(void) {
    cohort_connection_t *in = NULL, *out = NULL;
    cohort_pipe_options_t one_way = {.one_way = 1};
    int id[4] = {0};
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&in, &out, &one_way, test_pool()));
    branch_t branch = {.out = out};
    CHECK_INT(0, recurse(&branch));
    expect_tree(in, id, 0);
    CHECK_STATUS(APR_EAGAIN, cohort_connection_poll(in, 0));
}

/* A: what Python refuses with ValueError is a status. */
static void PROC_17_close(void) {
    args_t a = {.go = new_event()};
    cohort_process_t *p = make(wait_for_go, &a, sizeof a, NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(p));
    CHECK_STATUS(COHORT_ERUNNING, cohort_process_destroy(p));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(a.go));
    party_end(p, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(p));
    CHECK_INT(0, cohort_process_is_alive(p));
    CHECK_STATUS(COHORT_EHANDLE, cohort_process_join(p, 0));
    CHECK_STATUS(COHORT_EHANDLE, cohort_process_terminate(p));
    CHECK_STATUS(COHORT_EHANDLE, cohort_process_start(p));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(p));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(NULL));
    p = make(nothing, NULL, 0, NULL); /* never started */
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(p));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(p));
}

static void PROC_18_many_processes(void) {
    cohort_process_t *list[100];
    int n = strcmp(test_method(), "spawn") ? 100 : 10;
    args_t a = {.go = new_event()};
    parties_start(list, n, nothing, NULL, 0);
    parties_finish(list, n);
    parties_start(list, n, wait_for_go, &a, sizeof a);
    for (int i = 0; i < n; i++) CHECK_STATUS(APR_SUCCESS, cohort_process_terminate(list[i]));
    for (int i = 0; i < n; i++) party_end(list[i], -15);
}

/* A: the argument bytes in the arena are freed as soon as the child has its copy. */
static void PROC_19_lose_target_ref(void) {
    char *bytes = calloc(1, 1 << 20);
    args_t *a = (args_t *)bytes;
    a->go = new_event();
    party_finish(party_start(wait_for_go, &(args_t){.go = a->go, .there = a->go}, sizeof(args_t)));
    CHECK_STATUS(APR_SUCCESS, cohort_event_clear(a->go));
    a->there = new_event();
    apr_uint64_t before = arena_usage().used;
    cohort_process_t *p = make(wait_for_go, bytes, 1 << 20, NULL);
    CHECK(arena_usage().used >= before + (1 << 20));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(p));
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(a->there, COHORT_FOREVER));
    CHECK(arena_usage().used < before + (1 << 20));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(a->go));
    party_finish(p);
    free(bytes);
}

static void *APR_THREAD_FUNC write_after_a_while(apr_thread_t *thread, void *data) {
    (void)thread;
    apr_sleep(100000);
    *((args_t *)data)->pid = 1;
    return NULL;
}

static int join_own_thread(void *data) {
    party_thread_finish(party_thread(write_after_a_while, data));
    return 0;
}

static void *APR_THREAD_FUNC sleep_for_ever(apr_thread_t *thread, void *data) {
    (void)thread;
    (void)data;
    party_wait_for_death();
}

static int leave_own_thread(void *data) {
    (void)party_thread(sleep_for_ever, data);
    return 0;
}

/* A: C knows no daemon threads; a target that wants its threads to finish joins them, others end
 * with the process. */
static void PROC_21_wait_for_threads(void) {
    args_t a = {.pid = party_memory(8)};
    party_finish(party_start(join_own_thread, &a, sizeof a));
    CHECK_INT(1, *a.pid);
    party_finish(party_start(leave_own_thread, &a, sizeof a));
}

static int start_with_streams_closed(void *data) {
    (void)data;
    fclose(stdout);
    fclose(stderr);
    cohort_process_t *process = NULL;
    if (cohort_process_create(&process, nothing, NULL, 0, NULL, NULL) ||
        cohort_process_start(process))
        return 1;
    if (cohort_process_join(process, COHORT_FOREVER)) return 2;
    return cohort_process_exit_code(process);
}

static void PROC_22_stdio_closed_in_parent(void) {
    party_finish(party_start(start_with_streams_closed, NULL, 0));
}

static int close_streams(void *data) {
    (void)data;
    fclose(stdout);
    fclose(stderr);
    fclose(stdin);
    return 0;
}

static void PROC_23_stdio_closed_in_child(void) {
    party_finish(party_start(close_streams, NULL, 0));
}

/* ---- create and start in one call ----------------------------------------------------------- */

static int give_back(void *data) { return *(int *)data; }

typedef struct {
    cohort_process_base_t base;
    int code;
} object_t;

static int run_object(cohort_process_base_t *self) { return ((object_t *)self)->code; }

static void check_ends_with(int code, cohort_process_t *process) {
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    CHECK_INT(code, cohort_process_exit_code(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
}

static void launch(void) {
    const char *const argv[] = {TEST_ACTOR, "exit", "9", NULL};
    int code = 7;
    object_t object = {{.size = sizeof object, .run = run_object}, 8};
    cohort_program_t program = {.argv = argv};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&process, give_back, &code, sizeof code, NULL, NULL));
    CHECK_STATUS(COHORT_ESTARTED, cohort_process_start(process));
    check_ends_with(7, process);
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch_object(&process, &object.base, NULL, NULL));
    check_ends_with(8, process);
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch_program(&process, &program, NULL, NULL));
    check_ends_with(9, process);
}

/* Nothing is left of what is not started, and nothing is written. */
static void launch_that_fails(void) {
    const char *const argv[] = {"/no/such/program", NULL};
    cohort_program_t program = {.argv = argv};
    cohort_process_t *process = NULL;
    object_t object = {{.size = 1, .run = run_object}, 8};
    apr_pool_t *pool;
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, test_pool()));
    apr_uint64_t before = arena_usage().blocks;
    for (int i = 0; i < 5000; i++) { /* more than there may be processes at a time */
        apr_status_t status =
            cohort_process_launch_program(&process, &program, NULL, i % 2 ? pool : NULL);
        CHECK(APR_STATUS_IS_ENOENT(status));
        if (i == 0) CHECK(strstr(cohort_last_error(), "cohort_process_launch_program: "));
        if (i == 0) CHECK(strstr(cohort_last_error(), "/no/such/program"));
    }
    CHECK_STATUS(APR_EINVAL, cohort_process_launch(&process, NULL, NULL, 0, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_launch(NULL, give_back, NULL, 0, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_launch_object(&process, &object.base, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_launch_object(NULL, &object.base, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_launch_program(NULL, &program, NULL, NULL));
    CHECK(process == NULL);
    apr_pool_destroy(pool);
    CHECK_INT(before, arena_usage().blocks);
}

const test_case_t process_cases[] = {
    {"Process", "launch", launch},
    {"Process", "launch_that_fails", launch_that_fails},
    {"Process", "PROC_01_current", PROC_01_current},
    {"Process", "PROC_02_set_executable", PROC_02_set_executable},
    {"Process", "PROC_03_args_argument", PROC_03_args_argument},
    {"Process", "PROC_04_daemon_argument", PROC_04_daemon_argument},
    {"Process", "PROC_05_parent_process_attributes", PROC_05_parent_process_attributes},
    {"Process", "PROC_06_parent_process", PROC_06_parent_process},
    {"Process", "PROC_07_life_cycle", PROC_07_life_cycle},
    {"Process", "PROC_08_mainthread_identity", PROC_08_mainthread_identity},
    {"Process", "PROC_09_interrupt", PROC_09_interrupt},
    {"Process", "PROC_10_interrupt_no_handler", PROC_10_interrupt_no_handler},
    {"Process", "PROC_11_terminate", PROC_11_terminate},
    {"Process", "signals_of_every_system", signals_of_every_system},
    {"Process", "signals_of_some_systems", signals_of_some_systems},
    {"Process", "PROC_12_kill", PROC_12_kill},
    {"Process", "PROC_13_cpu_count", PROC_13_cpu_count},
    {"Process", "PROC_14_active_children", PROC_14_active_children},
    {"Process", "PROC_15_recursion", PROC_15_recursion},
    {"Process", "PROC_17_close", PROC_17_close},
    {"Process", "PROC_18_many_processes", PROC_18_many_processes},
    {"Process", "PROC_19_lose_target_ref", PROC_19_lose_target_ref},
    {"Process", "PROC_21_wait_for_threads", PROC_21_wait_for_threads},
    {"Process", "PROC_22_stdio_closed_in_parent", PROC_22_stdio_closed_in_parent},
    {"Process", "PROC_23_stdio_closed_in_child", PROC_23_stdio_closed_in_child},
    {"Process", "stop_says_how", stop_says_how},
    {0},
};
