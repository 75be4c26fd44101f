/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the tests of other programs share: starts that go well or fail, and what programs say. */
#ifndef COHORT_TESTS_PROGRAMS_H
#define COHORT_TESTS_PROGRAMS_H

#include "parties.h"

#include <apr_file_io.h>

#define PIPE \
    { .kind = COHORT_STREAM_PIPE }
#define NO_STREAM \
    { .kind = COHORT_STREAM_NULL }

static inline cohort_process_t *start_program(cohort_program_t *program,
                                              const cohort_process_options_t *options) {
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create_program(&process, program, options, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    return process;
}

static inline void run_program(cohort_program_t *program, int code) {
    party_end(start_program(program, NULL), code);
}

static inline apr_status_t start_fails(cohort_program_t *program) {
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create_program(&process, program, NULL, test_pool()));
    apr_status_t status = cohort_process_start(process);
    CHECK_INT(0, cohort_process_is_alive(process));
    CHECK_INT(COHORT_EXIT_NONE, cohort_process_exit_code(process));
    CHECK_STATUS(COHORT_ENOTSTARTED, cohort_process_join(process, 0));
    /* it may be tried again, with the same outcome */
    CHECK_STATUS(status, cohort_process_start(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    return status;
}

/* All that comes out of the parent's end of a pipe. */
static inline char *read_all(apr_file_t *file) {
    static char text[8192];
    apr_size_t used = 0;
    for (;;) {
        apr_size_t size = sizeof text - 1 - used;
        apr_status_t status = apr_file_read(file, text + used, &size);
        if (APR_STATUS_IS_EOF(status)) break;
        CHECK_STATUS(APR_SUCCESS, status);
        used += size;
    }
    text[used] = 0;
    return text;
}

static inline const char *output_of(const char *const *argv, const char *const *env,
                                    const char *cwd) {
    cohort_program_t program = {.argv = argv, .env = env, .cwd = cwd, .streams = {[1] = PIPE}};
    cohort_process_t *process = start_program(&program, NULL);
    const char *text = read_all(program.streams[1].file);
    party_finish(process);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(program.streams[1].file));
    return text;
}

#endif
