/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of failed items. Each is a block of the arena; a chain of them belongs to a job and has
 * one writer at a time, which appends by moving the finished record from an owner pointer of its
 * own: one step, so a dead writer has appended all of it or nothing.
 */
#include "core/pool/pool_result.h"

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
    char *file, *function; /* where, or NULL */
    int line;
    uint64_t visit; /* of the worker to a job */
    uint64_t item;
    bool is_new;
} task_message;

static size_t text_size(const char *text) { return text ? strlen(text) + 1 : 0; }

/* To *at, which is moved behind it. */
static const char *put_text(char **at, const char *text) {
    if (!text) return NULL;
    char *put = memcpy(*at, text, text_size(text));
    *at += text_size(text);
    return put;
}

apr_status_t cohort__failure_make(cohort__thread_t *me, cohort__owner_ptr_t *owner_ptr,
                                  const cohort__failure_t *what, const char *message,
                                  size_t length) {
    if (length > UINT32_MAX - 1) length = UINT32_MAX - 1;
    size_t size = sizeof *what + length + 1 + text_size(what->file) + text_size(what->function) +
                  text_size(what->crash);
    apr_status_t status = cohort__block_new(me, COHORT__KIND_BYTES, size, owner_ptr);
    if (status) return status;
    cohort__failure_t *made = atomic_load(owner_ptr);
    memcpy(made, what, sizeof *made);
    atomic_store(&made->next, NULL);
    made->length = (uint32_t)length;
    memcpy(made->message, message, length);
    made->message[length] = 0;
    char *behind = made->message + length + 1;
    made->file = put_text(&behind, what->file);
    made->function = put_text(&behind, what->function);
    made->crash = put_text(&behind, what->crash);
    return APR_SUCCESS;
}

cohort__failure_t *cohort__failure_last(cohort__owner_ptr_t *chain) {
    cohort__failure_t *last = NULL;
    for (cohort__failure_t *at = atomic_load(chain); at; at = atomic_load(&at->next)) last = at;
    return last;
}

static void forget_place(void) {
    free(task_message.file);
    free(task_message.function);
    task_message.file = task_message.function = NULL;
    task_message.line = 0;
}

static char *copy_text(const char *text) {
    char *copy = text ? malloc(text_size(text)) : NULL;
    return copy ? memcpy(copy, text, text_size(text)) : NULL;
}

static void note_place(const char *file, int line, const char *function) {
    forget_place();
    task_message.file = copy_text(file);
    task_message.function = copy_text(function);
    task_message.line = line;
}

static void note_message(const char *format, va_list args) {
    va_list again;
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
}

apr_status_t cohort_task_fail_at(const char *file, int line, const char *function,
                                 apr_status_t status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    note_message(format, args);
    va_end(args);
    note_place(file, line, function);
    return status ? status : APR_EGENERAL;
}

apr_status_t(cohort_task_fail)(apr_status_t status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    note_message(format, args);
    va_end(args);
    forget_place();
    return status ? status : APR_EGENERAL;
}

void cohort__failure_forget(void) {
    free(task_message.text);
    forget_place();
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

const char *cohort__failure_message(cohort__failure_t *what, char *text, size_t size,
                                    size_t *length) {
    bool fits = task_message.text && task_message.is_new &&
                task_message.visit == cohort__running.visit && task_message.item == what->index;
    task_message.is_new = false;
    if (!fits) cohort__describe(what->status, text, size);
    what->file = fits ? task_message.file : NULL;
    what->function = fits ? task_message.function : NULL;
    what->line = fits ? task_message.line : 0;
    *length = fits ? task_message.length : strlen(text);
    return fits ? task_message.text : text;
}

void cohort__failure_record(cohort__thread_t *me, cohort__owner_ptr_t *chain, apr_status_t status) {
    const cohort__running_t *running = &cohort__running;
    cohort__failure_t what = {.index = item(), .status = status, .exit_code = COHORT_EXIT_NONE};
    char text[400];
    size_t length;
    const char *message = cohort__failure_message(&what, text, sizeof text, &length);
    if (!running->skipped) {
        what.process = cohort__self_id();
        what.pid = cohort__self()->os.pid;
        what.attempt = (uint32_t)running->attempt;
    }
    what.count = running->count;
    snprintf(what.worker, sizeof what.worker, "%s", running->skipped ? "" : running->worker);
    if (!cohort__failure_make(me, &me->in_flight[COHORT__IN_FLIGHT_LINK], &what, message, length)) {
        cohort__block_move(me, &me->in_flight[COHORT__IN_FLIGHT_LINK], chain_end(chain));
    }
}
