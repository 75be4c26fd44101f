/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 18: A supervisor: it starts three services, has those that crash started again after a delay that
 * grows, gives up the one that crashes again and again, and says why; it reloads one when an event
 * is set, and stops all that is left in one grace period. A fourth process is the operator.
 */
#include "check.h"

typedef struct {
    cohort_process_t *mail, *parser;
    cohort_event_t *reload, *stop;
} args_t;

enum { WEB, MAIL, PARSER, SERVICES, RELOAD = SERVICES, STOP, ITEMS };
static const apr_interval_time_t grace = 2 * APR_USEC_PER_SEC;

/* ---- the services, and the operator --------------------------------------------------------- */

static int serve(void *args) {
    (void)args; /* a real one would do something meanwhile */
    return cohort_process_join(cohort_process_parent(), COHORT_FOREVER) != APR_SUCCESS;
}

static int parse(void *args) {
    (void)args;
    return 3; /* it never can */
}

static int operate(void *data) {
    args_t *args = data;
    check(cohort_process_join(args->parser, COHORT_FOREVER), "the parser is given up");
    check(cohort_process_kill(args->mail), "as if it had crashed");
    check(cohort_event_set(args->reload), "reload");
    while (cohort_event_is_set(args->reload)) apr_sleep(1000);
    check(cohort_event_set(args->stop), "stop");
    return 0;
}

/* ---- the supervisor ------------------------------------------------------------------------- */

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
    args_t args;
    check(cohort_initialize(NULL), "cohort_initialize");
    check(cohort_event_create(&args.reload, NULL), "event");
    check(cohort_event_create(&args.stop, NULL), "event");
    cohort_process_t *services[SERVICES] = {start("web", serve), start("mail", serve),
                                            start("parser", parse)};
    cohort_waitable_t items[ITEMS] = {
        [RELOAD] = {.object = args.reload}, [STOP] = {.object = args.stop}};
    for (int i = 0; i < SERVICES; i++) items[i].object = services[i];

    args.mail = services[MAIL];
    args.parser = services[PARSER];
    cohort_process_t *operating;
    check(cohort_process_launch(&operating, operate, &args, sizeof args, NULL, NULL), "operator");

    while (!items[STOP].ready) {
        check(cohort_wait(items, ITEMS, COHORT_WAIT_ANY, COHORT_FOREVER), "wait");
        for (int i = 0; i < SERVICES; i++) {
            if (items[i].object != services[i] || !items[i].ready) continue;
            say_why_it_ended(services[i]);
            items[i] = items[STOP]; /* it is not waited for any more */
        }
        if (!items[RELOAD].ready) continue;
        check(cohort_process_restart(services[WEB], grace), "restart");
        check(cohort_event_clear(args.reload), "clear");
        printf("web is reloaded\n");
    }
    check(cohort_processes_stop(services, SERVICES, grace), "stop");
    for (int i = WEB; i < PARSER; i++) say_why_it_ended(services[i]);
    return 0;
}
