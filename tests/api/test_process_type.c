/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Types of processes, and the ways in which a process ends: the rows SUB-* of Python's own
 * tests. */
#include "processes.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    cohort_process_base_t base;
    cohort_connection_t *parent_end, *child_end;
} upper_caser_t;

static int upper_caser_run(cohort_process_base_t *self) {
    cohort_connection_t *end = ((upper_caser_t *)self)->child_end;
    for (;;) {
        char text[32];
        apr_size_t size;
        CHECK_STATUS(APR_SUCCESS,
                     cohort_connection_recv(end, text, sizeof text, &size, COHORT_FOREVER));
        if (size == 0) return 0;
        for (apr_size_t i = 0; i < size; i++) text[i] = (char)(text[i] - 32);
        CHECK_STATUS(APR_SUCCESS, cohort_connection_send(end, text, size, COHORT_FOREVER));
    }
}

static void upper_caser_submit(upper_caser_t *u) {
    char text[32];
    apr_size_t size;
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(u->parent_end, "hello", 5, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_connection_recv(u->parent_end, text, sizeof text, &size, COHORT_FOREVER));
    CHECK_INT(5, size);
    CHECK_MEM("HELLO", text, 5);
}

static void SUB_01_subclassing(void) {
    upper_caser_t u = {.base = {.size = sizeof u, .run = upper_caser_run}};
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&u.parent_end, &u.child_end, NULL, test_pool()));
    cohort_process_options_t options = {
        .lifetime = COHORT_LIFETIME_DAEMON, .connections = &u.child_end, .n_connections = 1};
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

static void hooked_note(hooked_t *h, int what) { h->steps[h->step++] = what; }

static void hooked_start(cohort_process_base_t *self) { hooked_note((hooked_t *)self, 1); }

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
        hooked_t h = {.base = {.size = sizeof h,
                               .run = hooked_run,
                               .on_start = hooked_start,
                               .on_exit = hooked_exit},
                      .steps = party_memory(64),
                      .how = how};
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

/* A: there is no exception with a text that could be cut; what a child leaves in the buffers of its
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

static int exit_c(void *args) { exit(*(int *)args); }

static int exit_hard(void *args) { _Exit(*(int *)args); }

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

static void abort_is_seen(void) { party_end(party_start(abort_itself, NULL, 0), -6); }

const test_case_t process_type_cases[] = {
    {"Process", "SUB_01_subclassing", SUB_01_subclassing},
    {"Process", "SUB_02_stderr_flush", SUB_02_stderr_flush},
    {"Process", "SUB_03_exit", SUB_03_exit},
    {"Process", "hooks_run_in_order", hooks_run_in_order},
    {"Process", "abort_is_seen", abort_is_seen},
    {0},
};
