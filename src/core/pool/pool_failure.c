/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of failed items. Each is a block of the arena; a chain of them belongs to a job and has
 * one writer at a time, which appends by moving the finished record from an owner pointer of its
 * own: one step, so a dead writer has appended all of it or nothing.
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
    uint64_t visit; /* of the worker to a job */
    uint64_t item;
    bool is_new;
} task_message;

apr_status_t cohort__failure_make(cohort__thread_t *me, cohort__owner_ptr_t *owner_ptr,
                                  const cohort__failure_t *what, const char *message,
                                  size_t length) {
    if (length > UINT32_MAX - 1) length = UINT32_MAX - 1;
    apr_status_t status =
        cohort__block_new(me, COHORT__KIND_BYTES, sizeof *what + length + 1, owner_ptr);
    if (status) return status;
    cohort__failure_t *made = atomic_load(owner_ptr);
    memcpy(made, what, sizeof *made);
    atomic_store(&made->next, NULL);
    made->length = (uint32_t)length;
    memcpy(made->message, message, length);
    made->message[length] = 0;
    return APR_SUCCESS;
}

cohort__failure_t *cohort__failure_last(cohort__owner_ptr_t *chain) {
    cohort__failure_t *last = NULL;
    for (cohort__failure_t *at = atomic_load(chain); at; at = atomic_load(&at->next)) last = at;
    return last;
}

apr_status_t cohort_task_fail(apr_status_t status, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    char *text = length < 0 ? NULL : realloc(task_message.text, (size_t)length + 1);
    if (text) {
        vsnprintf(text, (size_t)length + 1, format, again);
        task_message.text = text;
        task_message.length = (size_t)length;
        task_message.visit = cohort__running.visit;
        task_message.item = item();
        task_message.is_new = true;
    }
    va_end(again);
    va_end(args);
    return status ? status : APR_EGENERAL;
}

void cohort__failure_forget(void) {
    free(task_message.text);
    task_message.text = NULL;
    task_message.length = 0;
}

/* The end of the chain as this process knows it, so that many failures of one job do not mean
 * walking it again and again. */
static cohort__owner_ptr_t *chain_end(cohort__owner_ptr_t *chain) {
    static COHORT__PER_PROCESS cohort__owner_ptr_t *known, *end;
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
    bool fits = task_message.text && task_message.is_new &&
                task_message.visit == cohort__running.visit && task_message.item == of;
    task_message.is_new = false;
    if (!fits) cohort__describe(status, text, size);
    *length = fits ? task_message.length : strlen(text);
    return fits ? task_message.text : text;
}

void cohort__failure_record(cohort__thread_t *me, cohort__owner_ptr_t *chain, apr_status_t status) {
    const cohort__running_t *running = &cohort__running;
    cohort__failure_t what = {.index = item(), .status = status, .exit_code = COHORT_EXIT_NONE};
    char text[400];
    size_t length;
    const char *message = cohort__failure_message(status, what.index, text, sizeof text, &length);
    what.process = cohort__self_id();
    what.pid = cohort__self()->os.pid;
    what.attempt = (uint32_t)running->attempt;
    snprintf(what.worker, sizeof what.worker, "%s", running->worker);
    if (!cohort__failure_make(me, &me->in_flight[COHORT__IN_FLIGHT_LINK], &what, message, length)) {
        cohort__block_move(me, &me->in_flight[COHORT__IN_FLIGHT_LINK], chain_end(chain));
    }
}
