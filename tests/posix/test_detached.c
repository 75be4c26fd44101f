/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that become daemons of the system, or fork: in the documented order everything works, in
 * another one starts say that they fail; and in none do the processes that come of it execute the
 * program again and again.
 */
#include "system.h"

static int count_lines(const char *text, const char *line) {
    int n = 0;
    for (const char *at = text; (at = strstr(at, line)) != NULL; at += strlen(line)) n++;
    return n;
}

/* Returns when the program and its children have ended: then no process has its standard output. */
static void run_program(void) {
    const char *argv[] = {TEST_DETACHED, NULL};
    cohort_program_t program = {.argv = argv,
                                .streams = {{.kind = COHORT_STREAM_NULL},
                                            {.kind = COHORT_STREAM_PIPE},
                                            {.kind = COHORT_STREAM_NULL}}};
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_BACKGROUND};
    cohort_process_t *process = NULL;
    char byte;
    apr_size_t got = 1;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create_program(&process, &program, &options, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    CHECK_STATUS(APR_EOF, apr_file_read(program.streams[1].file, &byte, &got));
    party_end(process, 0);
}

/* All that the program and what came of it have said. */
static char *run_detached(const char *mode) {
    static char text[65536];
    char path[] = "/tmp/detached_XXXXXX";
    int log = mkstemp(path);
    CHECK(log >= 0);
    CHECK_INT(0, setenv("DETACHED_LOG", path, 1));
    CHECK_INT(0, setenv("DETACHED_MODE", mode, 1));
    CHECK_INT(0, setenv("DETACHED_METHOD", test_method(), 1));
    run_program();
    ssize_t length = pread(log, text, sizeof text - 1, 0);
    CHECK(length >= 0);
    text[length] = 0;
    unlink(path);
    close(log);
    return text;
}

static void check_lines(const char *text, const char *line, int least, int most) {
    int n = count_lines(text, line);
    if (n < least || n > most)
        test_fail(__FILE__, __LINE__, "%d times \"%s\", and not %d to %d, in:\n%s", n, line, least,
                  most, text);
}

/* main() is entered once for the program, and once for each process that executes it: children
 * of spawn, a fork server. */
static void check_works(const char *text) {
    bool spawns = strcmp(test_method(), "spawn") == 0,
         serves = strcmp(test_method(), "forkserver") == 0;
    check_lines(text, "started\n", 2, 2);
    check_lines(text, "\n", 0, spawns ? 5 : serves ? 4 : 3);
}

/* Each start executes the program once, or a fork server as often as that is tried. */
static void check_refused(const char *text) {
    if (strcmp(test_method(), "fork") == 0) {
        check_works(text); /* nothing is executed again */
        return;
    }
    check_lines(text, "refused\n", 2, 2);
    check_lines(text, "main\n", 3, strcmp(test_method(), "spawn") == 0 ? 3 : 1 + 2 * 5);
    check_lines(text, "not initialised\n", 0, 0);
}

static void initialised_before(void) { check_works(run_detached("initialised first")); }

static void finalized_between(void) { check_works(run_detached("finalized")); }

static void daemon_before(void) { check_refused(run_detached("daemon first")); }

static void fork_before(void) { check_refused(run_detached("fork first")); }

const test_case_t detached_cases[] = {{"Detached", "initialised_before", initialised_before},
                                      {"Detached", "finalized_between", finalized_between},
                                      {"Detached", "daemon_before", daemon_before},
                                      {"Detached", "fork_before", fork_before},
                                      {0}};
