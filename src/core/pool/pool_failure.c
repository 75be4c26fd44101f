/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of failed items. Each is a block of the arena; a chain of them belongs to a job and has
 * one writer at a time, which appends by moving the finished record from a home of its own: one
 * step, so a dead writer has appended all of it or nothing.
 */
#include "core/pool/pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

COHORT__PER_PROCESS cohort__running_t cohort__running;

static uint64_t item(void) {
    const _Atomic uint64_t *progress = cohort__running.progress;
    return progress ? cohort__progress_item(atomic_load_explicit(progress, memory_order_relaxed))
                    : 0;
}

/* The message of a task, as long as it pleases. It belongs to the item of the task that made it. */
static _Thread_local struct {
    char *text;
    size_t length;
    cohort_result_t *job;
    uint64_t item;
    bool is_new;
} said;

apr_status_t cohort__failure_make(cohort__thread_t *me, cohort__home_t *home,
                                  const cohort__failure_t *what, const char *message,
                                  size_t length) {
    if (length > UINT32_MAX - 1) length = UINT32_MAX - 1;
    apr_status_t status =
        cohort__block_new(me, COHORT__KIND_BYTES, sizeof *what + length + 1, home);
    if (status) return status;
    cohort__failure_t *made = atomic_load(home);
    memcpy(made, what, sizeof *made);
    atomic_store(&made->next, NULL);
    made->length = (uint32_t)length;
    memcpy(made->message, message, length);
    made->message[length] = 0;
    return APR_SUCCESS;
}

cohort__failure_t *cohort__failure_last(cohort__home_t *chain) {
    cohort__failure_t *last = NULL;
    for (cohort__failure_t *at = atomic_load(chain); at; at = atomic_load(&at->next)) last = at;
    return last;
}

apr_status_t cohort_task_fail(apr_status_t status, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    char *text = length < 0 ? NULL : realloc(said.text, (size_t)length + 1);
    if (text) {
        vsnprintf(text, (size_t)length + 1, format, again);
        said.text = text;
        said.length = (size_t)length;
        said.job = cohort__running.job;
        said.item = item();
        said.is_new = true;
    }
    va_end(again);
    va_end(args);
    return status ? status : APR_EGENERAL;
}

void cohort__failure_forget(void) {
    free(said.text);
    said.text = NULL;
    said.length = 0;
}

/* The end of the chain as this process knows it, so that many failures of one job do not mean
 * walking it again and again. */
static cohort__home_t *chain_end(cohort__home_t *chain) {
    static COHORT__PER_PROCESS cohort__home_t *known, *end;
    static COHORT__PER_PROCESS uint64_t visit;
    cohort__failure_t *last;
    if (known != chain || visit != cohort__running.visit) {
        known = end = chain;
        visit = cohort__running.visit;
    }
    while ((last = atomic_load(end)) != NULL) end = &last->next;
    return end;
}

const char *cohort__failure_message(apr_status_t status, uint64_t of, char *text, size_t size,
                                    size_t *length) {
    bool fits = said.text && said.is_new && said.job == cohort__running.job && said.item == of;
    said.is_new = false;
    if (!fits) cohort__describe(status, text, size);
    *length = fits ? said.length : strlen(text);
    return fits ? said.text : text;
}

void cohort__failure_record(cohort__thread_t *me, cohort__home_t *chain, apr_status_t status) {
    const cohort__running_t *running = &cohort__running;
    cohort__failure_t what = {.index = item(), .status = status, .exit_code = COHORT_EXIT_NONE};
    char text[400];
    size_t length;
    const char *message = cohort__failure_message(status, what.index, text, sizeof text, &length);
    what.process = cohort__self_id();
    what.pid = cohort__self()->os.pid;
    what.attempt = (uint32_t)running->attempt;
    snprintf(what.worker, sizeof what.worker, "%s", running->worker);
    if (!cohort__failure_make(me, &me->stage[2], &what, message, length)) {
        cohort__block_move(me, &me->stage[2], chain_end(chain));
    }
}
