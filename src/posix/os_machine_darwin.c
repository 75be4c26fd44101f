/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What is particular to macOS and small: CPUs, the name of a thread, the size of the descriptor
 * table, the streams of the C library. */
#include "os_posix.h"

#include <libproc.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

size_t cohort__affinity_get(int64_t tid, void *set, size_t size) {
    (void)tid, (void)set, (void)size;
    return 0;
}

int cohort__affinity_set(const void *set, size_t size) {
    (void)set, (void)size;
    errno = ENOTSUP;
    return -1;
}

const int cohort__memory_limit = -1;

int cohort__affinity_count(void) { return 0; }

bool cohort__cpu_is_idle(void) { return false; }

int cohort__cpu_quota(void) { return 0; }

void cohort__thread_title(const char *name) {
    if (pthread_main_np()) pthread_setname_np(name);
}

/* The kernel answers with the size of the table, and some. */
int cohort__files_bound(void) {
    int bytes = proc_pidinfo(getpid(), PROC_PIDLISTFDS, 0, NULL, 0);
    return bytes > 0 ? bytes / (int)PROC_PIDLISTFD_SIZE : 10240;
}

void cohort__streams_purge(void) {
    fpurge(stdout);
    fpurge(stderr);
}

void cohort__input_purge(void) {
    fpurge(stdin);
    clearerr(stdin);
}
