/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Processes: the rows PROC-* and SUB-* of Python's own tests, and what a user may do wrong. */
#include "events.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    cohort_process_t *parent, *other;
    cohort_event_t *go, *there;
    cohort_connection_t *in, *out;
    cohort_lock_t *lock;
    char *text;
    int number;
    apr_int64_t *pid;
} args_t;

static cohort_process_t *make(cohort_target_t target, const void *args, apr_size_t size,
                              const cohort_process_options_t *options) {
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, target, args, size, options, NULL));
    return process;
}

static bool is_active(cohort_process_t *process) {
    cohort_process_t **list = NULL;
    int count = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_process_active_children(&list, &count, test_pool()));
    for (int i = 0; i < count; i++) {
        if (list[i] == process) return true;
    }
    return false;
}

static int give_number(void *args) {
    return *(int *)args;
}

static int wait_for_go(void *data) {
    args_t *a = data;
    if (a->there) CHECK_STATUS(APR_SUCCESS, cohort_event_set(a->there));
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(a->go, COHORT_FOREVER));
    return 0;
}

/* ---- life ----------------------------------------------------------------------------------- */

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
    CHECK_STATUS(APR_SUCCESS, cohort_set_start(COHORT_START_DEFAULT, NULL));
    party_finish(party_start(nothing, NULL, 0));
    CHECK_STATUS(APR_EINVAL, cohort_set_start((cohort_start_method_t)77, NULL));
    if (strcmp(test_method(), "spawn") != 0) return;
    CHECK_STATUS(APR_SUCCESS, cohort_set_start(COHORT_SPAWN, "there is no such program"));
    cohort_process_t *process = make(nothing, NULL, 0, NULL);
    CHECK(APR_STATUS_IS_ENOENT(cohort_process_start(process)));
    CHECK_INT(COHORT_EXIT_NONE, cohort_process_exit_code(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_close(process));
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
    cohort_process_options_t foreground = {.lifetime = COHORT_FOREGROUND},
                             daemon = {.lifetime = COHORT_DAEMON};
    (void)data;
    flags |= cohort_process_is_daemon(make(nothing, NULL, 0, NULL));
    flags |= cohort_process_is_daemon(make(nothing, NULL, 0, &foreground)) << 1;
    flags |= cohort_process_is_daemon(make(nothing, NULL, 0, &daemon)) << 2;
    return flags;
}

static void PROC_04_daemon_argument(void) {
    CHECK_INT(4, make_and_tell_daemon(NULL));
    cohort_process_options_t options = {.lifetime = COHORT_DAEMON};
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
    CHECK_STATUS(APR_SUCCESS, cohort_process_close(p));
}

static int own_the_lock(void *data) {
    args_t *a = data;
    cohort_process_t *owner = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_lock_owner(a->lock, &owner));
    CHECK(owner == a->parent);
    CHECK_STATUS(APR_EAGAIN, cohort_lock_acquire(a->lock, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(a->there));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(a->lock, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_owner(a->lock, &owner));
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
    CHECK_STATUS(APR_SUCCESS, cohort_process_close(p));
}

/* A: what Python makes an exception of (exit code 1) is the signal's default in C; so this is
 * PROC-10 too. */
static void PROC_09_interrupt(void) {
    check_stop(cohort_process_interrupt, -2);
}

static void PROC_10_interrupt_no_handler(void) {
    check_stop(cohort_process_interrupt, -2);
}

static void PROC_11_terminate(void) {
    check_stop(cohort_process_terminate, -15);
}

static void PROC_12_kill(void) {
    check_stop(cohort_process_kill, -9);
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

static void PROC_13_cpu_count(void) {
    CHECK(cohort_cpu_count() >= 1);
}

static void PROC_14_active_children(void) {
    args_t a = {.go = new_event()};
    cohort_process_t **list = NULL;
    int count = -1;
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
    apr_size_t size = sizeof found;
    CHECK_STATUS(APR_SUCCESS, cohort_connection_recv(in, found, &size, COHORT_FOREVER));
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
    CHECK_STATUS(COHORT_ERUNNING, cohort_process_close(p));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(a.go));
    party_end(p, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_process_close(p));
    CHECK_INT(0, cohort_process_is_alive(p));
    CHECK_STATUS(COHORT_EHANDLE, cohort_process_join(p, 0));
    CHECK_STATUS(COHORT_EHANDLE, cohort_process_terminate(p));
    CHECK_STATUS(COHORT_EHANDLE, cohort_process_start(p));
    CHECK_STATUS(APR_SUCCESS, cohort_process_close(p));
    CHECK_STATUS(APR_SUCCESS, cohort_process_close(NULL));
    p = make(nothing, NULL, 0, NULL); /* never started */
    CHECK_STATUS(APR_SUCCESS, cohort_process_close(p));
    CHECK_STATUS(APR_SUCCESS, cohort_process_close(p));
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

/* ---- types of processes --------------------------------------------------------------------- */

typedef struct {
    cohort_process_base_t base;
    cohort_connection_t *parent_end, *child_end;
} upper_caser_t;

static int upper_caser_run(cohort_process_base_t *self) {
    cohort_connection_t *end = ((upper_caser_t *)self)->child_end;
    for (;;) {
        char text[32];
        apr_size_t size = sizeof text;
        CHECK_STATUS(APR_SUCCESS, cohort_connection_recv(end, text, &size, COHORT_FOREVER));
        if (size == 0) return 0;
        for (apr_size_t i = 0; i < size; i++) text[i] = (char)(text[i] - 32);
        CHECK_STATUS(APR_SUCCESS, cohort_connection_send(end, text, size, COHORT_FOREVER));
    }
}

static void upper_caser_submit(upper_caser_t *u) {
    char text[32];
    apr_size_t size = sizeof text;
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(u->parent_end, "hello", 5, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_recv(u->parent_end, text, &size, COHORT_FOREVER));
    CHECK_INT(5, size);
    CHECK_MEM("HELLO", text, 5);
}

static void SUB_01_subclassing(void) {
    upper_caser_t u = {.base = {.size = sizeof u, .run = upper_caser_run}};
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&u.parent_end, &u.child_end, NULL, test_pool()));
    cohort_process_options_t options = {
        .lifetime = COHORT_DAEMON, .connections = &u.child_end, .n_connections = 1};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create_object(&process, &u.base, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    upper_caser_submit(&u);
    upper_caser_submit(&u);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(u.parent_end, "", 0, COHORT_FOREVER));
    party_finish(process);
}

typedef struct {
    cohort_process_base_t base;
    int *steps; /* of the arena */
    int step, how;
} hooked_t;

static void hooked_note(hooked_t *h, int what) {
    h->steps[h->step++] = what;
}

static void hooked_start(cohort_process_base_t *self) {
    hooked_note((hooked_t *)self, 1);
}

static int hooked_run(cohort_process_base_t *self) {
    hooked_note((hooked_t *)self, 2);
    if (((hooked_t *)self)->how) cohort_exit(7);
    return 7;
}

static void hooked_exit(cohort_process_base_t *self, int code) {
    hooked_note((hooked_t *)self, 30 + code);
}

static void hooks_run_in_order(void) {
    for (int how = 0; how < 2; how++) {
        hooked_t h = {{sizeof h, hooked_run, hooked_start, hooked_exit}, party_memory(64), 0, how};
        cohort_process_t *process = NULL;
        CHECK_STATUS(APR_SUCCESS, cohort_process_create_object(&process, &h.base, NULL, NULL));
        CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
        party_end(process, 7);
        CHECK_INT(1, h.steps[0]);
        CHECK_INT(2, h.steps[1]);
        CHECK_INT(37, h.steps[2]);
        CHECK_INT(0, h.steps[3]);
        CHECK_INT(0, h.step);
    }
}

static int leave_text_in_buffers(void *data) {
    args_t *a = data;
    CHECK(freopen(a->text, "w", stderr) != NULL);
    setvbuf(stderr, NULL, _IOFBF, 4096);
    fputs("the last words", stderr);
    return 3;
}

/* A: there is no exception whose text could be cut; what a child leaves in the buffers of its
 * standard streams is written. */
static void SUB_02_stderr_flush(void) {
    char path[] = "stderr_flush.XXXXXX", words[32] = "";
    apr_file_t *file = NULL;
    apr_size_t size = sizeof words - 1;
    args_t a = {.text = party_memory(64)};
    CHECK_STATUS(APR_SUCCESS,
                 apr_file_mktemp(&file, path, APR_READ | APR_WRITE | APR_CREATE, test_pool()));
    memcpy(a.text, path, sizeof path);
    party_end(party_start(leave_text_in_buffers, &a, sizeof a), 3);
    CHECK_STATUS(APR_SUCCESS, apr_file_read(file, words, &size));
    CHECK_STR("the last words", words);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(file));
    CHECK_STATUS(APR_SUCCESS, apr_file_remove(path, test_pool()));
}

static int exit_cohort(void *args) {
    cohort_exit(*(int *)args);
    return 99;
}

static int exit_c(void *args) {
    exit(*(int *)args);
}

static int exit_hard(void *args) {
    _Exit(*(int *)args);
}

static int abort_itself(void *args) {
    (void)args;
    abort();
}

/* A: codes are numbers in C, cut to eight bits. */
static void SUB_03_exit(void) {
    static const int codes[][2] = {{0, 0},   {1, 1},    {8, 8},  {255, 255},
                                   {256, 0}, {-1, 255}, {257, 1}};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        party_end(party_start(give_number, &codes[i][0], sizeof(int)), codes[i][1]);
        party_end(party_start(exit_cohort, &codes[i][0], sizeof(int)), codes[i][1]);
        party_end(party_start(exit_hard, &codes[i][0], sizeof(int)), codes[i][1]);
        party_end(party_start(exit_c, &codes[i][0], sizeof(int)), codes[i][1]);
    }
}

static void abort_is_seen(void) {
    party_end(party_start(abort_itself, NULL, 0), -6);
}

/* ---- many at once --------------------------------------------------------------------------- */

static int join_other(void *data) {
    args_t *a = data;
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(a->there));
    party_end(a->other, 5);
    return 0;
}

static int end_with_five(void *data) {
    (void)wait_for_go(data);
    return 5;
}

static void anybody_may_join(void) {
    args_t a = {.go = new_event(), .there = new_event()};
    cohort_process_t *joiners[6];
    a.other = party_start(end_with_five, &a, sizeof a);
    parties_start(joiners, 6, join_other, &a, sizeof a);
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(a.there, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(a.go));
    parties_finish(joiners, 6);
    party_end(a.other, 5);
    CHECK_STATUS(APR_SUCCESS, cohort_process_close(a.other));
}

static int kill_other(void *data) {
    args_t *a = data;
    CHECK_STATUS(COHORT_ESTARTED, cohort_process_start(a->other));
    CHECK_STATUS(COHORT_ENOTOWNER, cohort_process_close(a->other));
    party_kill(a->other);
    return 0;
}

static void anybody_may_kill(void) {
    args_t a = {.go = new_event()};
    a.other = party_start(wait_for_go, &a, sizeof a);
    party_finish(party_start(kill_other, &a, sizeof a));
    party_end(a.other, -9);
}

static int start_foreign(void *data) {
    CHECK_STATUS(COHORT_ENOTOWNER, cohort_process_start(((args_t *)data)->other));
    return 0;
}

static void only_the_maker_starts(void) {
    args_t a = {.other = make(nothing, NULL, 0, NULL)};
    party_finish(party_start(start_foreign, &a, sizeof a));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(a.other));
    party_finish(a.other);
}

static void *APR_THREAD_FUNC start_some(apr_thread_t *thread, void *data) {
    (void)thread;
    for (int i = 0; i < 8; i++)
        party_end(party_start(give_number, data, sizeof(int)), *(int *)data);
    return NULL;
}

static void threads_start_at_once(void) {
    int numbers[4] = {1, 2, 3, 4};
    apr_thread_t *threads[4];
    for (int i = 0; i < 4; i++) threads[i] = party_thread(start_some, &numbers[i]);
    for (int i = 0; i < 4; i++) party_thread_finish(threads[i]);
}

static int start_each_other(void *data) {
    int depth = *(int *)data - 1;
    if (depth >= 0) {
        cohort_process_t *list[2];
        parties_start(list, 2, start_each_other, &depth, sizeof depth);
        parties_finish(list, 2);
    }
    return 0;
}

static void trees_grow_at_once(void) {
    int depth = 2;
    cohort_process_t *list[3];
    parties_start(list, 3, start_each_other, &depth, sizeof depth);
    parties_finish(list, 3);
}

static void every_method_on_demand(void) {
    static const cohort_start_method_t methods[] = {COHORT_FORK, COHORT_SPAWN, COHORT_FORKSERVER};
    int five = 5;
    for (int i = 0; i < 3; i++) {
        cohort_process_options_t options = {.method = methods[i]};
        cohort_process_t *process = NULL;
        apr_status_t status =
            cohort_process_create(&process, give_number, &five, sizeof five, &options, NULL);
        if (status == APR_ENOTIMPL) continue;
        CHECK_STATUS(APR_SUCCESS, status);
        CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
        party_end(process, 5);
    }
}

static int join_within(void *data) {
    args_t *a = data;
    apr_time_t begin = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, cohort_process_join(a->other, 50000));
    AT_LEAST(50000, begin);
    return 0;
}

static void join_runs_out(void) {
    args_t a = {.go = new_event()};
    a.other = party_start(wait_for_go, &a, sizeof a);
    CHECK_INT(0, join_within(&a));
    party_finish(party_start(join_within, &a, sizeof a));
    party_kill(a.other);
}

/* ---- hostile input -------------------------------------------------------------------------- */

static int run_nothing(cohort_process_base_t *self) {
    (void)self;
    return 0;
}

static void nulls_are_refused(void) {
    cohort_process_t *p = NULL;
    cohort_process_t **list = NULL;
    int count;
    char name[8];
    CHECK_STATUS(APR_EINVAL, cohort_process_create(NULL, nothing, NULL, 0, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_create(&p, NULL, NULL, 0, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_create(&p, nothing, NULL, 1, NULL, NULL));
    cohort_process_options_t lifetime = {.lifetime = (cohort_lifetime_t)9},
                             method = {.method = (cohort_start_method_t)9},
                             ends = {.n_connections = 1},
                             signals = {.signals = (cohort_signals_t)9},
                             negative = {.signals = (cohort_signals_t)-1};
    CHECK_STATUS(APR_EINVAL, cohort_process_create(&p, nothing, NULL, 0, &lifetime, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_create(&p, nothing, NULL, 0, &method, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_create(&p, nothing, NULL, 0, &ends, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_create(&p, nothing, NULL, 0, &signals, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_create(&p, nothing, NULL, 0, &negative, NULL));
    cohort_process_base_t base = {sizeof base, NULL, NULL, NULL},
                          small = {1, run_nothing, NULL, NULL};
    CHECK_STATUS(APR_EINVAL, cohort_process_create_object(&p, NULL, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_create_object(&p, &base, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_create_object(&p, &small, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_create_program(&p, NULL, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_start(NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_join(NULL, 0));
    CHECK_STATUS(APR_EINVAL, cohort_process_terminate(NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_kill(NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_interrupt(NULL));
    CHECK_STATUS(APR_EINVAL, cohort_process_stop(NULL, 0));
    CHECK_STATUS(APR_EINVAL, cohort_process_set_name(NULL, "x"));
    CHECK_STATUS(APR_EINVAL, cohort_process_name(NULL, name, sizeof name));
    CHECK_STATUS(APR_EINVAL, cohort_process_name(cohort_process_current(), NULL, 1));
    CHECK_STATUS(APR_EINVAL, cohort_process_name(cohort_process_current(), name, 0));
    CHECK_STATUS(APR_EINVAL, cohort_process_active_children(NULL, &count, test_pool()));
    CHECK_STATUS(APR_EINVAL, cohort_process_active_children(&list, NULL, test_pool()));
    CHECK_STATUS(APR_EINVAL, cohort_process_active_children(&list, &count, NULL));
    CHECK_INT(0, cohort_process_is_alive(NULL));
    CHECK_INT(0, cohort_process_pid(NULL));
    CHECK_INT(0, cohort_process_is_daemon(NULL));
    CHECK_INT(COHORT_EXIT_NONE, cohort_process_exit_code(NULL));
    CHECK(p == NULL);
}

static void strangers_are_refused(void) {
    int on_the_stack = 0;
    void *block = party_memory(4096);
    char *self = (char *)cohort_process_current();
    cohort_process_t *strangers[] = {(cohort_process_t *)&on_the_stack,
                                     block,
                                     (cohort_process_t *)(self + 8),
                                     (cohort_process_t *)(self - 64),
                                     (cohort_process_t *)1,
                                     (cohort_process_t *)~(uintptr_t)0,
                                     (cohort_process_t *)(self + ((apr_size_t)1 << 22))};
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        CHECK_STATUS(COHORT_EHANDLE, cohort_process_join(strangers[i], 0));
        CHECK_STATUS(COHORT_EHANDLE, cohort_process_start(strangers[i]));
        CHECK_STATUS(COHORT_EHANDLE, cohort_process_kill(strangers[i]));
        CHECK_INT(0, cohort_process_is_alive(strangers[i]));
    }
}

static void absurd_sizes_are_refused(void) {
    cohort_process_t *p = NULL;
    char byte = 0;
    apr_uint64_t before = arena_usage().blocks;
    CHECK_STATUS(APR_ENOMEM,
                 cohort_process_create(&p, nothing, &byte, arena_usage().limit + 1, NULL, NULL));
    CHECK_STATUS(APR_ENOMEM, cohort_process_create(&p, nothing, &byte, (apr_size_t)-1, NULL, NULL));
    CHECK_STATUS(APR_ENOMEM,
                 cohort_process_create(&p, nothing, &byte, (apr_size_t)-1 / 2, NULL, NULL));
    CHECK_INT(before, arena_usage().blocks);
    party_finish(party_start(nothing, NULL, 0));
}

static void target_that_is_no_code(void) {
    static int data;
    cohort_process_t *p = NULL;
    void *block = party_memory(64);
    cohort_target_t heap;
    memcpy(&heap, &block, sizeof heap);
    CHECK_STATUS(COHORT_ETARGET, cohort_process_create(&p, heap, &data, sizeof data, NULL, NULL));
}

static void two_thousand_objects(void) {
    enum { N = 2000 };
    cohort_process_t **list = malloc(N * sizeof(cohort_process_t *));
    apr_uint64_t before = arena_usage().blocks;
    int five = 5;
    for (int i = 0; i < N; i++) list[i] = make(give_number, &five, sizeof five, NULL);
    CHECK_INT(before + N, arena_usage().blocks);
    for (int i = 0; i < N; i += 400) {
        CHECK_STATUS(APR_SUCCESS, cohort_process_start(list[i]));
        party_end(list[i], 5);
    }
    for (int i = 0; i < N; i++) CHECK_STATUS(APR_SUCCESS, cohort_process_close(list[i]));
    CHECK_INT(before, arena_usage().blocks);
    free(list);
}

static void pool_closes_the_handle(void) {
    apr_pool_t *pool = NULL;
    cohort_process_t *p = NULL;
    args_t a = {.go = new_event(), .there = new_event()};
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&p, nothing, NULL, 0, NULL, pool));
    apr_pool_clear(pool);
    CHECK_STATUS(COHORT_EHANDLE, cohort_process_start(p));
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&p, wait_for_go, &a, sizeof a, NULL, pool));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(p));
    apr_pool_destroy(pool); /* it goes on, and its record goes away at its end */
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(a.there, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(a.go));
}

static void twice_is_refused(void) {
    CHECK_STATUS(COHORT_ETWICE, cohort_initialize(NULL, NULL, NULL));
    party_finish(party_start(nothing, NULL, 0));
}

static int children_are_members(void *data) {
    (void)data;
    CHECK_STATUS(COHORT_ETWICE, cohort_initialize(NULL, NULL, NULL));
    cohort_finalize();
    cohort_finalize();
    CHECK(cohort_process_current() == NULL);
    CHECK(cohort_process_parent() == NULL);
    void *block = NULL;
    CHECK_STATUS(COHORT_ENOTINIT, cohort_alloc(&block, 1));
    CHECK_STATUS(COHORT_ENOTINIT,
                 cohort_process_create(&(cohort_process_t *){NULL}, nothing, NULL, 0, NULL, NULL));
    return 11;
}

static void finalize_in_a_child(void) {
    party_end(party_start(children_are_members, NULL, 0), 11);
}

const test_case_t process_cases[] = {
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
    {"Process", "SUB_01_subclassing", SUB_01_subclassing},
    {"Process", "SUB_02_stderr_flush", SUB_02_stderr_flush},
    {"Process", "SUB_03_exit", SUB_03_exit},
    {"Process", "hooks_run_in_order", hooks_run_in_order},
    {"Process", "abort_is_seen", abort_is_seen},
    {"Process", "stop_says_how", stop_says_how},
    {"Process", "anybody_may_join", anybody_may_join},
    {"Process", "anybody_may_kill", anybody_may_kill},
    {"Process", "only_the_maker_starts", only_the_maker_starts},
    {"Process", "threads_start_at_once", threads_start_at_once},
    {"Process", "trees_grow_at_once", trees_grow_at_once},
    {"Process", "every_method_on_demand", every_method_on_demand},
    {"Process", "join_runs_out", join_runs_out},
    {"Process", "nulls_are_refused", nulls_are_refused},
    {"Process", "strangers_are_refused", strangers_are_refused},
    {"Process", "absurd_sizes_are_refused", absurd_sizes_are_refused},
    {"Process", "target_that_is_no_code", target_that_is_no_code},
    {"Process", "two_thousand_objects", two_thousand_objects},
    {"Process", "pool_closes_the_handle", pool_closes_the_handle},
    {"Process", "twice_is_refused", twice_is_refused},
    {"Process", "finalize_in_a_child", finalize_in_a_child},
    {0},
};
