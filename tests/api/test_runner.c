/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Commands by a runner: so many at once, as they end or in order, waited for, cancelled, lost. */
#include "facts.h"
#include "programs.h"

#include <apr_strings.h>
#include <stdlib.h>

#define ACT(...) ((const char *const[]){TEST_ACTOR, __VA_ARGS__, NULL})

static cohort_runner_t *new_runner(apr_size_t limit, int ordered) {
    cohort_runner_options_t options = {.limit = limit, .ordered = ordered};
    cohort_runner_t *runner = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_runner_create(&runner, &options, test_pool()));
    return runner;
}

static cohort_run_t *submit(cohort_runner_t *runner, const cohort_command_t *command) {
    cohort_run_t *run = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_runner_submit(&run, runner, command));
    return run;
}

static const cohort_outcome_t *next(cohort_runner_t *runner) {
    cohort_run_t *run = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_runner_next(runner, &run, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_run_wait(run, 0));
    return cohort_run_outcome(run);
}

static void end_runner(cohort_runner_t *runner) {
    CHECK_STATUS(APR_SUCCESS, cohort_runner_destroy(runner));
    CHECK_STATUS(APR_SUCCESS, cohort_runner_destroy(runner));
}

static void in_order(void) {
    enum { N = 20 };
    cohort_runner_t *runner = new_runner(4, 1);
    for (int i = 0; i < N; i++) {
        char *text = apr_itoa(test_pool(), i), **argv = apr_palloc(test_pool(), 4 * sizeof *argv);
        argv[0] = apr_pstrdup(test_pool(), TEST_ACTOR);
        argv[1] = apr_pstrdup(test_pool(), "say");
        argv[2] = text;
        argv[3] = NULL;
        cohort_command_t command = {.argv = (const char *const *)argv, .user = &argv[2]};
        submit(runner, &command);
        *argv[1] = *text = 0; /* it has a copy */
    }
    for (int i = 0; i < N; i++) {
        const cohort_outcome_t *o = next(runner);
        CHECK_INT(COHORT_RUN_SUCCEEDED, o->end);
        CHECK_STR(apr_psprintf(test_pool(), "%d\n", i), o->output.data);
    }
    cohort_run_t *run;
    CHECK_STATUS(APR_EOF, cohort_runner_next(runner, &run, COHORT_FOREVER));
    end_runner(runner);
}

/* The first one ends when it is told to; the others go past it. */
static void as_they_end(void) {
    cohort_runner_t *runner = new_runner(2, 0);
    cohort_run_t *run, *slow = submit(runner, &(cohort_command_t){.argv = ACT("wait")});
    for (int i = 0; i < 5; i++)
        submit(runner, &(cohort_command_t){.argv = ACT("exit", "0"), .user = runner});
    for (int i = 0; i < 5; i++) CHECK(next(runner)->user == runner);
    CHECK_STATUS(APR_EAGAIN, cohort_runner_next(runner, &run, 0));
    CHECK_STATUS(APR_TIMEUP, cohort_runner_next(runner, &run, A_WHILE));
    CHECK_STATUS(APR_EAGAIN, cohort_run_wait(slow, 0));
    CHECK(cohort_run_outcome(slow) == NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_run_cancel(slow));
    const cohort_outcome_t *o = next(runner);
    CHECK_INT(COHORT_RUN_CANCELLED, o->end);
    CHECK(o == cohort_run_outcome(slow));
    CHECK_STATUS(APR_SUCCESS, cohort_run_cancel(slow));
    end_runner(runner);
    CHECK(cohort_run_outcome(slow) == NULL);
    CHECK_STATUS(COHORT_EHANDLE, cohort_run_wait(slow, 0));
}

static void no_more_than_the_limit(void) {
    cohort_runner_t *runner = new_runner(1, 0);
    cohort_run_t *first = submit(runner, &(cohort_command_t){.argv = ACT("wait")}),
                 *second = submit(runner, &(cohort_command_t){.argv = ACT("exit", "0")}),
                 *third = submit(runner, &(cohort_command_t){.argv = ACT("exit", "0")});
    CHECK_STATUS(APR_TIMEUP, cohort_run_wait(second, A_WHILE));
    /* it does not wait for its turn */
    CHECK_STATUS(APR_SUCCESS, cohort_run_cancel(third));
    CHECK_STATUS(APR_SUCCESS, cohort_run_wait(third, COHORT_FOREVER));
    CHECK_INT(COHORT_RUN_CANCELLED, cohort_run_outcome(third)->end);
    CHECK_INT(0, cohort_run_outcome(third)->attempts);
    CHECK_STATUS(APR_SUCCESS, cohort_run_destroy(first));
    CHECK_STATUS(APR_SUCCESS, cohort_run_destroy(first));
    CHECK_STATUS(APR_SUCCESS, cohort_run_wait(second, COHORT_FOREVER));
    CHECK_INT(COHORT_RUN_SUCCEEDED, cohort_run_outcome(second)->end);
    end_runner(runner);
}

static void failures_and_attempts(void) {
    cohort_runner_t *runner = new_runner(3, 1);
    submit(runner, &(cohort_command_t){.argv = ACT("exit", "5"), .attempts = 3, .pause = 1000});
    submit(runner, &(cohort_command_t){.argv = (const char *const[]){"/nonexistent/program", NULL},
                                       .attempts = 2});
    submit(runner, &(cohort_command_t){.argv = ACT("wait"), .timeout = A_WHILE});
    const cohort_outcome_t *o = next(runner);
    CHECK_INT(COHORT_RUN_FAILED, o->end);
    CHECK_INT(5, o->exit_code);
    CHECK_INT(3, o->attempts);
    o = next(runner);
    CHECK_INT(COHORT_RUN_UNSTARTED, o->end);
    CHECK(APR_STATUS_IS_ENOENT(o->status));
    CHECK(strstr(o->message, "/nonexistent/program") != NULL);
    CHECK_INT(2, o->attempts);
    CHECK_INT(COHORT_EXIT_NONE, o->exit_code);
    CHECK_STR("", o->output.data);
    o = next(runner);
    CHECK_INT(COHORT_RUN_TIMED_OUT, o->end);
    end_runner(runner);
}

static void among_other_things(void) {
    cohort_runner_t *runner = new_runner(2, 0);
    cohort_waitable_t items[3] = {{.object = runner}};
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 1, COHORT_WAIT_ANY, 0)); /* the end is known */
    items[1].object = submit(runner, &(cohort_command_t){.argv = ACT("wait")});
    CHECK_STATUS(APR_EAGAIN, cohort_wait(items, 2, COHORT_WAIT_ANY, 0));
    items[2].object = submit(runner, &(cohort_command_t){.argv = ACT("exit", "1")});
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 3, COHORT_WAIT_FAILURE, COHORT_FOREVER));
    CHECK_INT(COHORT_READY_END, items[2].ready);
    CHECK_INT(0, items[1].ready);
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 1, COHORT_WAIT_ANY, COHORT_FOREVER));
    CHECK_INT(COHORT_READY_IN, items[0].ready);
    (void)next(runner);
    CHECK_STATUS(APR_TIMEUP, cohort_wait(items, 2, COHORT_WAIT_ANY, A_WHILE));
    CHECK_STATUS(APR_SUCCESS, cohort_run_cancel(items[1].object));
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 2, COHORT_WAIT_ALL, COHORT_FOREVER));
    end_runner(runner);
}

static int wait_for_run(void *args) {
    cohort_run_t *run = *(cohort_run_t **)args;
    CHECK_STATUS(APR_SUCCESS, cohort_run_wait(run, COHORT_FOREVER));
    CHECK_STATUS(COHORT_ENOTOWNER, cohort_run_cancel(run));
    CHECK(cohort_run_outcome(run) == NULL);
    CHECK_STATUS(COHORT_ENOTOWNER, cohort_run_destroy(run));
    return 0;
}

static void others_may_wait(void) {
    cohort_runner_t *runner = new_runner(2, 0);
    cohort_run_t *run = submit(runner, &(cohort_command_t){.argv = ACT("wait")});
    cohort_process_t *other = party_start(wait_for_run, &run, sizeof run);
    CHECK_STATUS(APR_SUCCESS, cohort_run_cancel(run));
    party_finish(other);
    end_runner(runner);
}

static int run_for_ever(void *args) {
    cohort_run_t **shared = *(cohort_run_t ***)args;
    cohort_runner_t *runner = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_runner_create(&runner, NULL, NULL));
    *(cohort_run_t *volatile *)shared = submit(runner, &(cohort_command_t){.argv = ACT("wait")});
    *(cohort_runner_t *volatile *)(shared + 2) = runner;
    *(cohort_run_t *volatile *)(shared + 3) =
        submit(runner, &(cohort_command_t){.argv = ACT("wait")});
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(*(cohort_event_t **)(shared + 1)));
    cohort_run_t *run;
    return (int)cohort_runner_next(runner, &run, COHORT_FOREVER);
}

static void its_process_dies(void) {
    void **shared = party_memory(4 * sizeof *shared);
    cohort_event_t *there;
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&there, test_pool()));
    shared[1] = there;
    apr_uint64_t blocks = blocks_in_use();
    cohort_process_t *process = party_start(run_for_ever, &shared, sizeof shared);
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(there, COHORT_FOREVER));
    cohort_run_t *run = shared[0];
    CHECK_STATUS(APR_EAGAIN, cohort_run_wait(run, 0));
    party_kill(process);
    CHECK_STATUS(APR_SUCCESS, cohort_run_wait(run, COHORT_FOREVER));
    cohort_waitable_t item = {.object = run};
    CHECK_STATUS(APR_SUCCESS, cohort_wait(&item, 1, COHORT_WAIT_FAILURE, COHORT_FOREVER));
    /* nobody else can destroy them now */
    CHECK_STATUS(COHORT_ENOTOWNER, cohort_run_cancel(run));
    CHECK_STATUS(APR_SUCCESS, cohort_run_destroy(run));
    CHECK_STATUS(COHORT_EHANDLE, cohort_run_wait(run, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_runner_destroy(shared[2]));
    CHECK_STATUS(APR_SUCCESS, cohort_runner_destroy(shared[2]));
    CHECK_STATUS(COHORT_EHANDLE, cohort_run_wait(shared[3], 0));
    CHECK_INT(blocks, blocks_in_use());
}

static void ended_with_its_pool(void) {
    apr_pool_t *pool;
    cohort_runner_t *runner;
    cohort_run_t *run = NULL;
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_runner_create(&runner, NULL, pool));
    for (int i = 0; i < 10; i++) run = submit(runner, &(cohort_command_t){.argv = ACT("wait")});
    apr_pool_destroy(pool);
    CHECK_STATUS(COHORT_EHANDLE, cohort_runner_next(runner, &run, 0));
    CHECK_STATUS(COHORT_EHANDLE, cohort_run_cancel(run));
    cohort_process_t **list;
    apr_size_t count;
    CHECK_STATUS(APR_SUCCESS, cohort_process_active_children(&list, &count, test_pool()));
    CHECK_INT(0, count);
}

static int stop_at_once(void *user, int stream, const char *line, apr_size_t length) {
    (void)stream, (void)line, (void)length;
    CHECK_STATUS(COHORT_ENOWAIT, cohort_runner_destroy(*(cohort_runner_t **)user));
    return 1;
}

static void lines_by_its_thread(void) {
    cohort_runner_t *runner = new_runner(2, 0);
    submit(runner, &(cohort_command_t){.argv = ACT("say", "x", "flush", "wait"),
                                       .line = stop_at_once,
                                       .user = &runner});
    CHECK_INT(COHORT_RUN_CANCELLED, next(runner)->end);
    end_runner(runner);
}

static void wrong_pointers(void) {
    cohort_runner_t *runner = new_runner(1, 0);
    cohort_run_t *run;
    cohort_command_t command = {.argv = ACT("exit", "0")};
    CHECK_STATUS(APR_EINVAL, cohort_runner_create(NULL, NULL, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_runner_submit(&run, NULL, &command));
    CHECK_STATUS(APR_EINVAL, cohort_runner_submit(&run, runner, NULL));
    CHECK_STATUS(COHORT_EHANDLE, cohort_runner_submit(&run, (void *)&runner, &command));
    CHECK_STATUS(APR_EINVAL, cohort_runner_next(runner, NULL, 0));
    CHECK_STATUS(APR_EINVAL, cohort_runner_next(NULL, &run, 0));
    CHECK_STATUS(COHORT_EHANDLE, cohort_run_wait((void *)runner, 0));
    CHECK_STATUS(COHORT_EHANDLE, cohort_run_cancel((void *)runner));
    CHECK_STATUS(APR_SUCCESS, cohort_run_destroy(NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_runner_destroy(NULL));
    end_runner(runner);
}

const test_case_t runner_cases[] = {
    {"Runner", "in_order", in_order},
    {"Runner", "as_they_end", as_they_end},
    {"Runner", "no_more_than_the_limit", no_more_than_the_limit},
    {"Runner", "failures_and_attempts", failures_and_attempts},
    {"Runner", "among_other_things", among_other_things},
    {"Runner", "others_may_wait", others_may_wait},
    {"Runner", "its_process_dies", its_process_dies},
    {"Runner", "ended_with_its_pool", ended_with_its_pool},
    {"Runner", "lines_by_its_thread", lines_by_its_thread},
    {"Runner", "wrong_pointers", wrong_pointers},
    {0},
};
