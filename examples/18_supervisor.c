/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 18: A supervisor of three services. One that crashes is started again, after a delay that grows;
 * one that crashes again and again is given up; one is reloaded; all are stopped in one grace time.
 */
#include "check.h"

enum { WEB, MAIL, PARSER, SERVICES };

static int serve(void *args) {
    (void)args; /* a real one would do something meanwhile */
    return cohort_process_join(cohort_process_parent(), COHORT_FOREVER) != APR_SUCCESS;
}

static int parse(void *args) {
    (void)args;
    return 3; /* it never can */
}

static cohort_process_t *start(const char *name, cohort_target_t target) {
    cohort_restart_t policy = {.when = COHORT_RESTART_ON_FAILURE, .limit = 3, .delay = 10000};
    cohort_process_options_t options = {
        .name = name, .lifetime = COHORT_LIFETIME_DAEMON, .restart = &policy};
    cohort_process_t *service;
    check(cohort_process_launch(&service, target, NULL, 0, &options, NULL), name);
    return service;
}

static void say_why_it_ended(cohort_process_t *service) {
    cohort_service_info_t info;
    check(cohort_process_service(service, &info), "info");
    printf("%s\n", info.text);
}

int main(void) {
    const apr_interval_time_t grace = 2 * APR_USEC_PER_SEC;
    check(cohort_initialize(NULL), "cohort_initialize");
    cohort_process_t *services[SERVICES] = {start("web", serve), start("mail", serve),
                                            start("parser", parse)};
    check(cohort_process_kill(services[MAIL]), "kill, as if it had crashed");

    cohort_waitable_t items[SERVICES] = {{0}};
    for (int i = 0; i < SERVICES; i++) items[i].object = services[i];
    check(cohort_wait(items, SERVICES, COHORT_WAIT_ANY, COHORT_FOREVER), "wait for the first");
    for (int i = 0; i < SERVICES; i++) {
        if (items[i].ready) say_why_it_ended(services[i]);
    }

    check(cohort_process_restart(services[WEB], grace), "restart");
    printf("web is reloaded\n");
    check(cohort_processes_stop(services, SERVICES, grace), "stop");
    for (int i = WEB; i < PARSER; i++) say_why_it_ended(services[i]);
    return 0;
}
