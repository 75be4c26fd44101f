/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker says of its own crash: into a block of the arena that its record owns, and that the
 * thread which settles the worker's death reads, as bytes that may be anything, and frees.
 *
 * The block is made by the worker, before its initializer runs, and the crash is written by the
 * seam, which knows its address and looks at nothing else of the arena. It says by which exit code
 * the process ends: if that is not the one that the process has ended with, it was killed before it
 * could, or has survived, and the text is of no death.
 */
#include "core/pool/backend.h"

#include <string.h>

apr_status_t cohort__crash_prepare(const cohort_pool_t *pool, cohort__thread_t *me,
                                   cohort__worker_t *worker) {
    if (!pool->reports_crashes) return APR_SUCCESS;
    cohort_os_crash_t *crash = atomic_load(&worker->crash);
    apr_status_t status = APR_SUCCESS;
    if (!crash) status = cohort__block_new(me, COHORT__KIND_BYTES, sizeof *crash, &worker->crash);
    if (status) return status;
    memset(atomic_load(&worker->crash), 0, sizeof *crash);
    return cohort_os_become(&(cohort_os_become_t){.crash = atomic_load(&worker->crash)});
}

/* Lines of printable characters. */
static char legible(char c) { return (char)(c == '\n' || (c >= ' ' && c <= '~') ? c : '?'); }

const char *cohort__crash_read(cohort__worker_t *worker, int code, cohort__crash_text_t text) {
    cohort_os_crash_t *crash = atomic_load(&worker->crash);
    size_t length = 0;
    if (!crash || !cohort__in_arena(crash, sizeof *crash) || !code ||
        atomic_load(&crash->code) != code)
        return NULL;
    for (; length < COHORT__CRASH_TEXT - 1 && crash->text[length]; length++)
        text[length] = legible(crash->text[length]);
    text[length] = 0;
    return length ? text : NULL;
}

int cohort__crash_first_line(const char *text) {
    const char *end = text ? strchr(text, '\n') : NULL;
    size_t length = end ? (size_t)(end - text) : text ? strlen(text) : 0;
    return (int)(length < COHORT__CRASH_LINE ? length : COHORT__CRASH_LINE);
}

void cohort__crash_drop(cohort__thread_t *me, cohort__worker_t *worker) {
    cohort__block_free(me, &worker->crash);
}
