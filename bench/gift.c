/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* A descriptor is handed over to another process, which closes it and says so. */
#include "bench.h"

#include <apr_portable.h>

typedef struct {
    cohort_connection_t *ours, *theirs;
    apr_file_t *file;
} desk_t;

static void take_one(const cohort_parcel_t *parcel, apr_pool_t *pool) {
    apr_os_file_t handle;
    apr_file_t *file = NULL;
    MUST(cohort_parcel_handle(&handle, parcel, COHORT_FOREVER));
    MUST(apr_os_file_put(&file, &handle, APR_FOPEN_READ, pool));
    MUST(apr_file_close(file));
    apr_pool_clear(pool);
}

static int take_all(void *args) {
    cohort_connection_t *connection = *(cohort_connection_t **)args;
    cohort_parcel_t parcel;
    apr_size_t size;
    apr_pool_t *pool;
    MUST(apr_pool_create(&pool, NULL));
    while (!cohort_connection_recv(connection, &parcel, sizeof parcel, &size, COHORT_FOREVER)) {
        if (size != sizeof parcel) break;
        take_one(&parcel, pool);
        MUST(cohort_connection_send(connection, "x", 1, COHORT_FOREVER));
    }
    return 0;
}

static void hand_over(void *arg, int first, int n) {
    const desk_t *desk = arg;
    const cohort_gift_t gift = {.file = desk->file};
    (void)first;
    for (; n > 0; n--) {
        cohort_parcel_t parcel;
        char byte;
        apr_size_t size;
        MUST(cohort_gift_send(&parcel, &gift, COHORT_FOREVER));
        MUST(cohort_connection_send(desk->ours, &parcel, sizeof parcel, COHORT_FOREVER));
        MUST(cohort_connection_recv(desk->ours, &byte, 1, &size, COHORT_FOREVER));
    }
}

static double run(void *arg, int count) { return bench_blocks(hand_over, arg, count); }

/* Nothing is handed over where the system gives descriptors to children alone. */
void bench_section_gift(void) {
    desk_t desk;
    apr_pool_t *pool;
    cohort_parcel_t parcel;
    MUST(apr_pool_create(&pool, NULL));
    MUST(cohort_pipe_create(&desk.ours, &desk.theirs, NULL, pool));
    MUST(apr_file_open(&desk.file, bench_beside("cohort-bench"), APR_FOPEN_READ,
                       APR_FPROT_OS_DEFAULT, pool));
    if (cohort_gift_send(&parcel, &(cohort_gift_t){.file = desk.file}, 1)) {
        bench_comment("gift: no descriptors are sent here");
        return;
    }
    cohort_process_options_t options = {.connections = &desk.theirs, .n_connections = 1};
    cohort_process_t *taker = NULL;
    MUST(cohort_process_launch(&taker, take_all, &desk.theirs, sizeof desk.theirs, &options, pool));
    bench_contestant_t here[] = {{"cohort", run, &desk, NULL}};
    BENCH_CONTEST((&(bench_contest_t){"gift.send", "us", BENCH_US, 100, 200000}), here,
                  "raw:scm_rights");
    MUST(cohort_connection_send(desk.ours, "x", 1, COHORT_FOREVER));
    bench_finish_child(taker);
    apr_pool_destroy(pool);
}
