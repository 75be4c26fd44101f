/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a child gets: the table of docs/processes.md, a case for each of its rows. The parent has
 * started a child before (so there is a server, where there is such) when it changes the property;
 * then a child and a program look what they have of it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "properties.h"
#include "system.h"

#include <stdio.h>
#include <stdlib.h>

/* The columns of the table. */
enum { BY_FORK, BY_SPAWN, BY_SERVER, BY_EXEC, COLUMNS };

#define SAME     NULL       /* what the parent has now */
#define NO_START "no start" /* nothing can be started any more, and start says so */

typedef struct {
    const char *property;
    const char *gets[COLUMNS]; /* SAME, NO_START, or this text */
} row_t;

static int column(void) {
    if (strcmp(test_method(), "fork") == 0) return BY_FORK;
    return strcmp(test_method(), "spawn") == 0 ? BY_SPAWN : BY_SERVER;
}

typedef struct {
    char property[64];
    char *text; /* in the arena */
} question_t;

static int answer(void *args) {
    const question_t *q = args;
    property_find(q->property)->look(q->text, PROPERTY_TEXT);
    return 0;
}

/* The text, or NO_START. */
static const char *ask_child(const char *property) {
    question_t q = {.text = party_memory(PROPERTY_TEXT)};
    cohort_process_t *process = NULL;
    snprintf(q.property, sizeof q.property, "%s", property);
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, answer, &q, sizeof q, NULL, NULL));
    if (cohort_process_start(process) != APR_SUCCESS) return NO_START;
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    CHECK_INT(0, cohort_process_exit_code(process));
    return q.text;
}

static void ask_program(const char *property, const char *wanted) {
    cohort_program_t program = {.argv =
                                    (const char *const[]){TEST_PROPERTY, property, wanted, NULL}};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create_program(&process, &program, NULL, test_pool()));
    apr_status_t status = cohort_process_start(process);
    if (strcmp(wanted, NO_START) == 0) {
        CHECK(status != APR_SUCCESS);
        return;
    }
    CHECK_STATUS(APR_SUCCESS, status);
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    CHECK_INT(0, cohort_process_exit_code(process));
}

static void check_row(const row_t *row) {
    const property_t *property = property_find(row->property);
    char before[PROPERTY_TEXT] = "", now[PROPERTY_TEXT] = "";
    if (!property) SKIP("this system knows nothing of the kind");
    if (SANITIZED && (!strcmp(row->property, "effective_user") || !strcmp(row->property, "root")))
        SKIP("the leak check wants to read /proc");
    property->look(before, sizeof before);
    (void)ask_child(row->property);
    const char *why_not = property->change();
    if (why_not) SKIP(why_not);
    property->look(now, sizeof now);
    if (!row->gets[BY_FORK]) CHECK(strcmp(before, now) != 0); /* it could not be seen else */
    const char *gets = row->gets[column()], *program_gets = row->gets[BY_EXEC];
    CHECK_STR(gets ? gets : now, ask_child(row->property));
    ask_program(row->property, program_gets ? program_gets : now);
}

/* name of the case, what the children get by fork, spawn, forkserver and as a program */
#define ROWS(X)                                                            \
    X(user, SAME, SAME, SAME, SAME)                                        \
    X(effective_user, SAME, "12345/12345 0/0", "12345/12345 0/0",          \
      SAME) /* else the system would take the child for set-user-id */     \
    X(groups, SAME, SAME, SAME, SAME)                                      \
    X(root, SAME, NO_START, NO_START, NO_START)                            \
    X(capabilities, SAME, SAME, SAME, SAME)                                \
    X(securebits, SAME, SAME, SAME, SAME)                                  \
    X(no_new_privs, SAME, SAME, SAME, SAME)                                \
    X(seccomp, SAME, SAME, SAME, SAME)                                     \
    X(namespaces, SAME, SAME, SAME, SAME)                                  \
    X(dumpable, SAME, "1", "1", "1")                                       \
    X(scheduling, SAME, SAME, SAME, SAME)                                  \
    X(cpus, SAME, SAME, SAME, SAME)                                        \
    X(oom_score, SAME, SAME, SAME, SAME)                                   \
    X(cwd, SAME, SAME, SAME, SAME)                                         \
    X(umask, SAME, SAME, SAME, SAME)                                       \
    X(environment, SAME, SAME, SAME, SAME)                                 \
    X(shown_environment, "(none)", "changed", "(none)", "changed")         \
    X(limits, SAME, SAME, SAME, SAME)                                      \
    X(nice, SAME, SAME, SAME, SAME)                                        \
    X(session, SAME, SAME, SAME, SAME)                                     \
    X(group, SAME, SAME, SAME, SAME)                                       \
    X(signal_mask, "USR1 ", "", "", "")                                    \
    X(ignored_signals, "INT USR2 ", "INT USR2 ", "INT USR2 ", "INT USR2 ") \
    X(handled_signals, "USR1 ", "", "", "")                                \
    X(streams, SAME, SAME, SAME, SAME)                                     \
    X(descriptors, SAME, "", "", "")                                       \
    X(locale, SAME, "C", "C", "C")

#define CASE(name, by_fork, by_spawn, by_server, by_exec)                          \
    static void name##_row(void) {                                                 \
        static const row_t row = {#name, {by_fork, by_spawn, by_server, by_exec}}; \
        check_row(&row);                                                           \
    }
ROWS(CASE)

#define ENTRY(name, by_fork, by_spawn, by_server, by_exec) {"Inherit", #name, name##_row},

/* ---- signals: what can be asked for --------------------------------------------------------- */

/* What a child made with these options, and a program, have of the property. */
static void check_signals(cohort_signals_t signals, const char *property, const char *by_fork,
                          const char *by_others) {
    question_t q = {.text = party_memory(PROPERTY_TEXT)};
    cohort_process_options_t options = {.signals = signals};
    cohort_process_t *process = NULL;
    const char *wanted = column() == BY_FORK ? by_fork : by_others;
    snprintf(q.property, sizeof q.property, "%s", property);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&process, answer, &q, sizeof q, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    party_finish(process);
    CHECK_STR(wanted, q.text);
    cohort_program_t program = {
        .argv = (const char *const[]){TEST_PROPERTY, property, by_others, NULL}};
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create_program(&process, &program, &options, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    party_finish(process);
}

static void caught(int number) { (void)number; }

static void change_all_signals(void) {
    CHECK(property_find("ignored_signals")->change() == NULL);
    CHECK(property_find("signal_mask")->change() == NULL);
    signal(SIGALRM, caught);
}

static void signals_are_as_asked_for(void) {
    (void)ask_child("signal_mask");
    change_all_signals();
    check_signals(COHORT_SIGNALS_NORMAL, "ignored_signals", "INT USR2 ", "INT USR2 ");
    check_signals(COHORT_SIGNALS_NORMAL, "signal_mask", "USR1 ", "");
    check_signals(COHORT_SIGNALS_NORMAL, "handled_signals", "ALRM ", "");
    check_signals(COHORT_SIGNALS_INHERIT, "ignored_signals", "INT TERM USR2 ", "INT TERM USR2 ");
    check_signals(COHORT_SIGNALS_INHERIT, "signal_mask", "TERM USR1 ", "TERM USR1 ");
    check_signals(COHORT_SIGNALS_INHERIT, "handled_signals", "ALRM ", "");
    check_signals(COHORT_SIGNALS_RESET, "ignored_signals", "", "");
    check_signals(COHORT_SIGNALS_RESET, "signal_mask", "", "");
    check_signals(COHORT_SIGNALS_RESET, "handled_signals", "", "");
    signal(SIGINT, SIG_DFL);
    check_signals(COHORT_SIGNALS_DEFAULT, "ignored_signals", "USR2 ", "USR2 ");
    check_signals(COHORT_SIGNALS_NO_INTERRUPT, "ignored_signals", "INT USR2 ", "INT USR2 ");
}

/* What a child that passes interrupts by hands on: not that, but what the host ignores. */
static int pass_on(void *args) {
    const char *wanted = args;
    CHECK_STR(wanted, ask_child("ignored_signals"));
    ask_program("ignored_signals", wanted);
    return 0;
}

static void passing_interrupts_by_is_not_handed_on(void) {
    cohort_process_options_t options = {.signals = COHORT_SIGNALS_NO_INTERRUPT};
    const char *wanted[] = {"", "INT "};
    for (int ignored = 0; ignored < 2; ignored++) {
        cohort_process_t *process = NULL;
        signal(SIGINT, ignored ? SIG_IGN : SIG_DFL);
        CHECK_STATUS(APR_SUCCESS,
                     cohort_process_create(&process, pass_on, wanted[ignored],
                                           strlen(wanted[ignored]) + 1, &options, NULL));
        CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
        party_finish(process);
    }
}

static apr_status_t look_at_signals(const void *input, void *output) {
    (void)input;
    property_find("ignored_signals")->look(output, 64);
    return APR_SUCCESS;
}

static void workers_signals_are_as_asked_for(void) {
    static const struct {
        cohort_signals_t signals;
        const char *ignored;
    } cases[] = {{COHORT_SIGNALS_DEFAULT, "INT USR2 "},
                 {COHORT_SIGNALS_NORMAL, "USR2 "},
                 {COHORT_SIGNALS_INHERIT, "TERM USR2 "},
                 {COHORT_SIGNALS_RESET, ""}};
    (void)ask_child("signal_mask");
    signal(SIGUSR2, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64] = "";
        cohort_pool_t *pool = NULL;
        CHECK_STATUS(
            APR_SUCCESS,
            cohort_pool_create(
                &pool, &(cohort_pool_options_t){.workers = 1, .signals = cases[i].signals}, NULL));
        CHECK_STATUS(APR_SUCCESS,
                     cohort_pool_map(pool, look_at_signals, NULL, 0, 1, text, sizeof text));
        CHECK_STR(cases[i].ignored, text);
        CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    }
}

/* The parent ignores, catches or blocks what terminate() sends. */
static int wait_for_the_end(void *args) {
    (void)args;
    party_wait_for_death();
}

static void check_terminate(void) {
    cohort_program_t program = {.argv = (const char *const[]){"/bin/sleep", "1000", NULL}};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create_program(&process, &program, NULL, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_terminate(process));
    party_end(process, -15);
    process = party_start(wait_for_the_end, NULL, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_process_terminate(process));
    party_end(process, -15);
}

static void terminate_works_whatever_the_parent_does(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    check_terminate();
    signal(SIGTERM, SIG_IGN);
    check_terminate();
    signal(SIGTERM, caught);
    check_terminate();
    sigprocmask(SIG_BLOCK, &set, NULL);
    check_terminate();
}

/* ---- descriptors ---------------------------------------------------------------------------- */

static void move_to(int fd, int number, int flags) {
    if (fd == number) return;
    CHECK_INT(number, dup2(fd, number));
    CHECK_INT(0, fcntl(number, F_SETFD, flags & O_CLOEXEC ? FD_CLOEXEC : 0));
    close(fd);
}

/* A pipe under these numbers, whether or not it closes on exec. */
static void pipe_at(int reader, int writer, int flags) {
    int raw[2];
    CHECK_INT(0, pipe(raw));
    for (int i = 0; i < 2; i++) CHECK_INT(0, fcntl(raw[i], F_SETFD, FD_CLOEXEC));
    move_to(raw[0], reader, flags);
    move_to(raw[1], writer, flags);
}

static int write_to(void *args) {
    const int *numbers = args; /* where to, and what must not be there */
    CHECK_INT(5, write(numbers[0], "child", 5));
    CHECK_INT(column() == BY_FORK ? 0 : -1, fcntl(numbers[1], F_GETFD) < 0 ? -1 : 0);
    return 0;
}

static void read_to_the_end(int fd, const char *wanted) {
    char text[100] = "";
    size_t used = 0;
    ssize_t got;
    while ((got = read(fd, text + used, sizeof text - 1 - used)) > 0) used += (size_t)got;
    CHECK_INT(0, got);
    CHECK_STR(wanted, text);
}

static void check_files(int flags) {
    int numbers[] = {142, 141};
    cohort_process_options_t options = {.files = numbers, .n_files = 1};
    cohort_program_t program = {
        .argv = (const char *const[]){"/bin/sh", "-c",
                                      "printf program >/dev/fd/142; test ! -e /dev/fd/141", NULL}};
    cohort_process_t *process[2] = {NULL};
    pipe_at(141, 142, flags);
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process[0], write_to, numbers, sizeof numbers,
                                                    &options, NULL));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create_program(&process[1], &program, &options, test_pool()));
    numbers[0] = numbers[1] = 9999; /* read already */
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_process_start(process[i]));
        party_finish(process[i]);
    }
    CHECK_INT(flags ? FD_CLOEXEC : 0, fcntl(142, F_GETFD)); /* the caller's own are as they were */
    close(142);
    read_to_the_end(141, "childprogram");
    close(141);
}

static void files_are_kept_under_their_numbers(void) {
    check_files(0);
    check_files(O_CLOEXEC);
}

static int return_at_once(void *args) {
    (void)args;
    return 0;
}

static void files_that_cannot_be_kept(void) {
    static int many[300];
    int closed[] = {140}, stream[] = {2}, negative[] = {-1};
    const cohort_process_options_t bad[] = {{.files = stream, .n_files = 1},
                                            {.files = negative, .n_files = 1},
                                            {.n_files = 1},
                                            {.files = many, .n_files = 300}};
    cohort_process_options_t options = {.files = closed, .n_files = 1};
    cohort_program_t program = {.argv = (const char *const[]){"/bin/true", NULL}};
    cohort_process_t *process[2] = {NULL};
    for (int i = 0; i < 300; i++) many[i] = 3 + i;
    for (int i = 0; i < 4; i++)
        CHECK_STATUS(APR_EINVAL,
                     cohort_process_create(&process[0], return_at_once, NULL, 0, &bad[i], NULL));
    for (int i = 0; i < 4; i++)
        CHECK_STATUS(APR_EINVAL,
                     cohort_process_create_program(&process[0], &program, &bad[i], test_pool()));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&process[0], return_at_once, NULL, 0, &options, NULL));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create_program(&process[1], &program, &options, test_pool()));
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(EBADF, cohort_process_start(process[i]));
        CHECK_STATUS(COHORT_ENOTSTARTED, cohort_process_join(process[i], 0));
    }
    CHECK_INT(140, dup2(2, 140));
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_process_start(process[i]));
        party_finish(process[i]);
    }
    close(140);
}

/* Only the parent, or a child of fork, holds a descriptor of the parent's: neither a server
 * nor what has been started. */
static int wait_for_event(void *args) {
    await_event(*(cohort_event_t **)args);
    return 0;
}

static void what_the_parent_closes_is_closed(void) {
    cohort_program_t program = {.argv = (const char *const[]){"/bin/sleep", "1000", NULL}};
    cohort_event_t *go = new_event();
    cohort_process_t *process = NULL;
    int pipes[2][2];
    char byte;
    CHECK_INT(0, pipe(pipes[0]));
    cohort_process_t *child = party_start(wait_for_event, &go, sizeof go);
    CHECK_INT(0, pipe(pipes[1]));
    CHECK_STATUS(APR_SUCCESS, cohort_process_create_program(&process, &program, NULL, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    cohort_process_t *second =
        column() == BY_FORK ? NULL : party_start(wait_for_event, &go, sizeof go);
    if (column() == BY_FORK) {
        set_event(go);
        party_finish(child);
    }
    for (int i = 0; i < 2; i++) {
        close(pipes[i][1]);
        CHECK_INT(0, read(pipes[i][0], &byte, 1));
        close(pipes[i][0]);
    }
    if (second) {
        set_event(go);
        party_finish(child);
        party_finish(second);
    }
    party_kill(process);
}

/* ---- the end -------------------------------------------------------------------------------- */

static char *note; /* in the arena: what was called, in its order */

static void note_first(void) { strcat(note, "first "); }
static void note_second(void) { strcat(note, "second "); }
static void note_parents(void) {
    if (note) strcat(note, "parent's ");
}

typedef struct {
    char *note;
    int way; /* to end */
} end_t;

enum { RETURN, COHORT_EXIT, EXIT, IMMEDIATE, WAYS };

static int end_by(int way) {
    if (way == COHORT_EXIT) cohort_exit(7);
    if (way == EXIT) exit(7);
    if (way == IMMEDIATE) _exit(7);
    return 7;
}

static int register_and_end(void *args) {
    const end_t *end = args;
    note = end->note;
    CHECK_INT(0, atexit(note_first));
    CHECK_INT(0, atexit(note_second));
    return end_by(end->way);
}

static const char *end_child(cohort_target_t target, int way) {
    end_t end = {party_memory(200), way};
    party_end(party_start(target, &end, sizeof end), 7);
    return end.note;
}

#ifdef COHORT_EXIT_UNTOLD
/* handlers do not learn the code, so exit() by itself runs those of the parent too */
#define EXIT_WAYS EXIT
#else
#define EXIT_WAYS IMMEDIATE
#endif

static void a_childs_handlers_run_at_its_end(void) {
    CHECK_INT(0, atexit(note_parents));
    for (int way = 0; way < EXIT_WAYS; way++)
        CHECK_STR("second first ", end_child(register_and_end, way));
    CHECK_STR("", end_child(register_and_end, IMMEDIATE));
}

/* Of children of children, each has its own. */
static int register_and_start(void *args) {
    end_t end = *(end_t *)args;
    note = end.note;
    CHECK_INT(0, atexit(note_first));
    party_end(party_start(register_and_end, &end, sizeof end), 7);
    strcat(note, "| ");
    return end_by(end.way);
}

static void each_generation_has_its_own_handlers(void) {
    CHECK_INT(0, atexit(note_parents));
    for (int way = 0; way < EXIT_WAYS; way++)
        CHECK_STR("second first | first ", end_child(register_and_start, way));
}

/* A handler may do what the target may. */
static void start_one_more(void) { strcat(note, ask_child("locale")); }

static int register_a_starter(void *args) {
    const end_t *end = args;
    note = end->note;
    CHECK_INT(0, atexit(start_one_more));
    return end_by(end->way);
}

static void handlers_may_use_cohort(void) {
    for (int way = 0; way < EXIT_WAYS; way++) CHECK_STR("C", end_child(register_a_starter, way));
}

/* What the parent has written to stdout and not flushed is written once, and so is the child's. */
static int print_and_end(void *args) {
    const end_t *end = args;
    printf("child's\n");
    return end_by(end->way);
}

static apr_status_t print_in_a_task(const void *input, void *output) {
    (void)input, (void)output;
    printf("task's\n");
    return APR_SUCCESS;
}

static void print_from_all(int way) {
    cohort_pool_t *pool = NULL;
    printf("parent's\n");
    end_child(print_and_end, way);
    printf("parent's\n");
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 1}, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_map(pool, print_in_a_task, NULL, 0, 1, NULL, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_close(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_join(pool, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    fflush(stdout);
}

static int count(const char *text, const char *line) {
    int n = 0;
    for (const char *at = text; (at = strstr(at, line)) != NULL; at++) n++;
    return n;
}

/* In whatever order: only a fork flushes the parent's. */
static void check_lines(int file) {
    char text[256] = "";
    CHECK(pread(file, text, sizeof text - 1, 0) >= 0);
    CHECK_INT(2, count(text, "parent's\n"));
    CHECK_INT(1, count(text, "child's\n"));
    CHECK_INT(1, count(text, "task's\n"));
}

static void output_is_written_once(void) {
    static char buffer[BUFSIZ];
    char path[] = "/tmp/inherit_XXXXXX";
    int file = mkstemp(path), before = dup(1);
    CHECK(file >= 0 && before >= 0);
    unlink(path);
    fcntl(file, F_SETFL, O_APPEND);
    fflush(stdout);
    CHECK_INT(1, dup2(file, 1));
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    for (int way = 0; way < EXIT_WAYS; way++) {
        CHECK_INT(0, ftruncate(file, 0));
        print_from_all(way);
        check_lines(file);
    }
    CHECK_INT(1, dup2(before, 1));
}

/* Copies made by a plain fork() end like the process that they copy, and do nothing in its name. */
static int copy_and_end(void *args) {
    const end_t *end = args;
    note = end->note;
    CHECK_INT(0, atexit(note_first));
    pid_t copy = fork();
    if (copy == 0 && end->way == RETURN) return 9;
    if (copy == 0) exit(9);
    int status = 0;
    CHECK_INT(copy, waitpid(copy, &status, 0));
    CHECK_INT(9, WEXITSTATUS(status));
    strcat(note, "| ");
    return end_by(end->way);
}

static void copies_of_a_child_end_alone(void) {
    CHECK_STR("| first ", end_child(copy_and_end, RETURN));
    if (EXIT_WAYS > EXIT) CHECK_STR("first | first ", end_child(copy_and_end, EXIT));
}

const test_case_t inherit_cases[] = {
    ROWS(ENTRY){"Inherit", "signals_are_as_asked_for", signals_are_as_asked_for},
    {"Inherit", "passing_interrupts_by_is_not_handed_on", passing_interrupts_by_is_not_handed_on},
    {"Inherit", "workers_signals_are_as_asked_for", workers_signals_are_as_asked_for},
    {"Inherit", "terminate_works_whatever_the_parent_does",
     terminate_works_whatever_the_parent_does},
    {"Inherit", "files_are_kept_under_their_numbers", files_are_kept_under_their_numbers},
    {"Inherit", "files_that_cannot_be_kept", files_that_cannot_be_kept},
    {"Inherit", "what_the_parent_closes_is_closed", what_the_parent_closes_is_closed},
    {"Inherit", "a_childs_handlers_run_at_its_end", a_childs_handlers_run_at_its_end},
    {"Inherit", "each_generation_has_its_own_handlers", each_generation_has_its_own_handlers},
    {"Inherit", "handlers_may_use_cohort", handlers_may_use_cohort},
    {"Inherit", "output_is_written_once", output_is_written_once},
    {"Inherit", "copies_of_a_child_end_alone", copies_of_a_child_end_alone},
    {0},
};
