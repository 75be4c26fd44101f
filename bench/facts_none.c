/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Nothing is known of the system; see bench.h. */
#include "bench.h"

double bench_now(void) { return (double)apr_time_now(); }

int bench_pin(int cpu) { return cpu < 0; }

double bench_cpu_seconds(apr_int64_t pid) {
    (void)pid;
    return -1;
}

double bench_private_dirty_kib(apr_int64_t pid) {
    (void)pid;
    return -1;
}

const char *bench_libc(void) { return "libc"; }
