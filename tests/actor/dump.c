/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * dump METHOD WAY: a child, started by this method, crashes. In the arena are two blocks that
 * dump_marks.h can tell, the second of which the parent has made after the child was started. WAY
 * "option" asks for dumps by the option.
 */
#include "dump_marks.h"

#include <cohort/cohort.h>

#include <stdlib.h>
#include <string.h>

typedef struct {
    cohort_event_t *begin, *never;
} events_t;

static int crash(void *args) {
    events_t *events = args;
    if (cohort_event_wait(events->begin, COHORT_FOREVER)) return 1;
    if (!APR_STATUS_IS_TIMEUP(cohort_event_wait(events->never, 10000))) return 2; /* it waits */
    abort();
}

/* In a block of its own, far from what was there. */
static int make_block(unsigned number) {
    void *block;
    if (cohort_alloc(&block, DUMP_BLOCK)) return 0;
    dump_mark_write((unsigned char *)block + DUMP_BLOCK / 2, number);
    return 1;
}

int main(int argc, char **argv) {
    events_t events;
    cohort_process_t *process;
    cohort_options_t options = {.dump = argc > 2 && !strcmp(argv[2], "option")};
    if (cohort_initialize(&options) || argc < 3) return 3;
    cohort_start_method_t method = !strcmp(argv[1], "fork")    ? COHORT_START_FORK
                                   : !strcmp(argv[1], "spawn") ? COHORT_START_SPAWN
                                                               : COHORT_START_FORKSERVER;
    if (cohort_event_create(&events.begin, NULL) || cohort_event_create(&events.never, NULL) ||
        !make_block(1))
        return 4;
    if (cohort_process_create(&process, crash, &events, sizeof events,
                              &(cohort_process_options_t){.method = method}, NULL))
        return 5;
    if (cohort_process_start(process) || !make_block(2) || cohort_event_set(events.begin)) return 6;
    if (cohort_process_join(process, COHORT_FOREVER)) return 7;
    return cohort_process_exit_code(process) == -6 ? 0 : 8;
}
