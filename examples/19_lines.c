/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 19: three workers print what they do, and this process makes one log of it: each line under its
 * worker's name, never two mixed, errors too.
 */
#include "check.h"

static int work(void *args) {
    int number = *(int *)args;
    for (int i = 1; i <= 2; i++)
        printf("%d squared is %d\n", number + i, (number + i) * (number + i));
    fputs("no more to do", stderr); /* a line without an end is one, too */
    return 0;
}

static int log_line(void *user, int stream, const char *line, apr_size_t length) {
    (void)length;
    if (line) printf("%s%s: %s\n", (const char *)user, stream == 2 ? " (error)" : "", line);
    return 0;
}

int main(void) {
    static char *names[] = {"ann", "bob", "cid"};
    check(cohort_initialize(NULL), "cohort_initialize");
    for (int i = 0; i < 3; i++) {
        cohort_lines_t lines = {.line = log_line, .user = names[i]};
        cohort_stream_t streams[3] = {[1] = {.kind = COHORT_STREAM_LINES, .lines = &lines},
                                      [2] = {.kind = COHORT_STREAM_LINES, .lines = &lines}};
        cohort_process_options_t options = {.name = names[i], .streams = streams};
        cohort_process_t *worker;
        int number = 10 * i;
        check(cohort_process_launch(&worker, work, &number, sizeof number, &options, NULL),
              "launch");
    }
    cohort_finalize(); /* joins the workers, and waits for their last lines */
    puts("all done");
    return 0;
}
