/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* A command, all of its attempts, by the calling thread; and what a runner shares with that. */
#include "core/process/run.h"

#include "core/memory/park.h"

#include <apr_strings.h>
#include <apr_time.h>
#include <stdlib.h>
#include <string.h>

bool cohort__run_again(const cohort_command_t *command, const cohort_outcome_t *outcome) {
    return outcome->end != COHORT_RUN_SUCCEEDED && outcome->end != COHORT_RUN_CANCELLED &&
           outcome->attempts < command->attempts;
}

/* An hour at most, since it is doubled each time. */
int64_t cohort__run_pause(const cohort_command_t *command, apr_size_t attempts) {
    apr_interval_time_t pause = command->pause, most = apr_time_from_sec(3600);
    for (apr_size_t i = 1; i < attempts && pause < most; i++) pause *= 2;
    if (pause > most && pause > command->pause)
        pause = most > command->pause ? most : command->pause;
    return pause > 0 && pause < INT64_MAX / 2000 ? pause * 1000 : 0;
}

void cohort__run_unstarted(cohort_outcome_t *outcome, apr_status_t status) {
    static char nothing[1];
    outcome->end = COHORT_RUN_UNSTARTED;
    outcome->status = status;
    outcome->exit_code = COHORT_EXIT_NONE;
    outcome->output = outcome->error = (cohort_collected_t){nothing, 0, 0};
}

void cohort__outcome_free(cohort_outcome_t *outcome) {
    if (outcome->output.size) free(outcome->output.data);
    if (outcome->error.size) free(outcome->error.data);
}

/* ---- by the calling thread ------------------------------------------------------------------ */

static apr_status_t run_once(cohort__station_t *station, const cohort_command_t *command,
                             cohort_outcome_t *outcome) {
    cohort__attempt_t attempt;
    apr_status_t status = cohort__attempt_start(&attempt, station, command);
    if (status) {
        cohort__run_unstarted(outcome, status);
        return status;
    }
    while (!cohort__attempt_tend(&attempt)) cohort__station_wait(station, COHORT_OS_NEVER);
    cohort__attempt_finish(&attempt, outcome);
    return APR_SUCCESS;
}

static void rest_station(cohort__station_t *station, int64_t pause) {
    int64_t until = cohort_os_now() + pause;
    while (pause && cohort_os_now() < until)
        (void)cohort_os_port_wait(&station->port, NULL, 0, until);
}

static apr_status_t run_all(cohort__station_t *station, const cohort_command_t *command,
                            cohort_outcome_t *outcome) {
    apr_status_t status;
    for (apr_size_t n = 1;; n++) {
        *outcome = (cohort_outcome_t){.attempts = n, .user = command->user};
        status = run_once(station, command, outcome);
        if (!cohort__run_again(command, outcome)) return status;
        cohort__outcome_free(outcome);
        rest_station(station, cohort__run_pause(command, n));
    }
}

static apr_status_t free_data(void *data) {
    free(data);
    return APR_SUCCESS;
}

static void keep(const cohort_collected_t *collected, apr_pool_t *pool) {
    if (collected->size)
        apr_pool_cleanup_register(pool, collected->data, free_data, apr_pool_cleanup_null);
}

static apr_status_t run(cohort_outcome_t *outcome, const cohort_command_t *command,
                        apr_pool_t *pool) {
    cohort__thread_t *me;
    cohort__station_t station;
    cohort_outcome_t made;
    char text[COHORT__REASON_MAX];
    apr_status_t status = cohort__enter(&me);
    if (!status) status = cohort__command_check(command);
    if (!status && (!outcome || !pool)) status = cohort__null(outcome ? "pool" : "outcome");
    if (!status) status = cohort__station_open(&station, true);
    if (status) return status;
    status = run_all(&station, command, &made);
    cohort__station_close(&station);
    if (status) return status;
    keep(&made.output, pool);
    keep(&made.error, pool);
    if (made.status)
        made.message = apr_pstrdup(pool, cohort__describe(made.status, text, sizeof text));
    *outcome = made;
    return APR_SUCCESS;
}

apr_status_t cohort_run(cohort_outcome_t *outcome, const cohort_command_t *command,
                        apr_pool_t *pool) {
    return COHORT__CALL_ANEW(run(outcome, command, pool));
}
