/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 08: Two processes meet at a barrier and print the same instant; two others do not meet, and print
 * different ones.
 *
 * The two of each pair have different amounts of work to do first. When the last party has arrived
 * at the barrier, and before any goes on, the barrier calls its action: it takes the time for both.
 */
#include "check.h"

typedef struct {
    cohort_barrier_t *barrier; /* NULL: no other to meet */
    apr_time_t *meeting;       /* in shared memory */
    apr_time_t *instant;       /* in shared memory, for the parent */
    apr_interval_time_t work;
} party_t;

static void take_time(void *meeting) { *(apr_time_t *)meeting = apr_time_now(); }

static int attend(void *args) {
    party_t *party = args;
    char name[64];
    apr_sleep(party->work);
    if (party->barrier) check(cohort_barrier_wait(party->barrier, NULL, COHORT_FOREVER), "barrier");
    *party->instant = party->barrier ? *party->meeting : apr_time_now();
    check(cohort_process_name(cohort_process_current(), name, sizeof name), "name");
    printf("%s: %lld\n", name, (long long)*party->instant);
    return 0;
}

int main(void) {
    static const char *const names[4] = {"met-1", "met-2", "alone-1", "alone-2"};
    cohort_process_t *processes[4];
    cohort_barrier_t *barrier;
    apr_time_t *times;
    check(cohort_initialize(NULL), "cohort_initialize");
    check(COHORT_ALLOC(&times, 5), "alloc");
    cohort_barrier_options_t with_action = {.action = take_time, .action_arg = &times[4]};
    check(cohort_barrier_create(&barrier, 2, &with_action, NULL), "barrier");

    for (int i = 0; i < 4; i++) {
        party_t party = {i < 2 ? barrier : NULL, &times[4], &times[i],
                         apr_time_from_msec(100 * (i % 2))};
        cohort_process_options_t options = {.name = names[i]};
        check(cohort_process_launch(&processes[i], attend, &party, sizeof party, &options, NULL),
              "launch");
    }
    for (int i = 0; i < 4; i++) check(cohort_process_join(processes[i], COHORT_FOREVER), "join");
    printf("met-1 and met-2 %s\n", times[0] == times[1] ? "at the same instant" : "apart");
    printf("alone-1 and alone-2 %s\n", times[2] == times[3] ? "at the same instant" : "apart");
    return 0;
}
