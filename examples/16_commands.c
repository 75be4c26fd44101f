/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 16: 500 commands are run, 8 at a time, each with a deadline for itself and all that it starts,
 * and up to three attempts; what fails in the end is told, with what it has said of it.
 *
 * A command is this program, with a number: some fail, one hangs.
 */
#include "check.h"

#include <apr_strings.h>
#include <stdlib.h>

static int work(int number) {
    if (number == 250) apr_sleep(apr_time_from_sec(3600));
    if (number % 100 == 99) return fprintf(stderr, "no luck with %d\n", number), 1;
    return printf("%d squared is %d\n", number, number * number) < 0;
}

int main(int argc, char **argv) {
    apr_pool_t *pool;
    cohort_runner_t *runner;
    cohort_run_t *run;
    int succeeded = 0;
    if (argc > 1) return work(atoi(argv[1]));
    check(cohort_initialize(NULL), "cohort_initialize");
    check(apr_pool_create(&pool, NULL), "pool");
    check(cohort_runner_create(&runner, &(cohort_runner_options_t){.limit = 8, .ordered = 1}, pool),
          "runner");
    for (int i = 0; i < 500; i++) {
        const char *const args[] = {argv[0], apr_itoa(pool, i), NULL};
        cohort_command_t command = {.argv = args,
                                    .timeout = apr_time_from_sec(i == 250 ? 1 : 60),
                                    .attempts = i == 250 ? 1 : 3,
                                    .user = (void *)args[1]};
        check(cohort_runner_submit(NULL, runner, &command), "submit");
    }
    while (cohort_runner_next(runner, &run, COHORT_FOREVER) == APR_SUCCESS) {
        const cohort_outcome_t *o = cohort_run_outcome(run);
        if (o->end == COHORT_RUN_SUCCEEDED) succeeded++;
        else if (o->end == COHORT_RUN_TIMED_OUT) printf("%s: too slow\n", (char *)o->user);
        else printf("%s: %d attempts, %s", (char *)o->user, (int)o->attempts, o->error.data);
    }
    printf("%d of 500 succeeded\n", succeeded);
    apr_pool_destroy(pool);
    return 0;
}
