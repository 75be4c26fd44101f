/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of standard output and error, given to a callback of the process that starts the child. One
 * thread reads all such streams of this process, at a station as a runner's thread does, from the
 * first start with one on until the process leaves the cohort; so no two callbacks run at once. A
 * start makes an attempt that has nothing but these streams, and hands it to the thread when it is
 * over. The thread has no use for the child's slot, which may be destroyed meanwhile: the attempt
 * is over when all its pipes are at their ends.
 *
 * A copy of the process has neither the thread nor the pipes, which are closed in it as all of
 * streams.c and of the stations are. When the process dies, the child finds its pipes without a
 * reader.
 */
#include "core/base/reserved.h"
#include "core/memory/arena.h"
#include "core/memory/park.h"
#include "core/process/run.h"

#include <apr_thread_proc.h>
#include <stdlib.h>

/* At the end what is in the pipes is read, but not for ever what others go on writing: so often a
 * read of what is there. */
#define LAST_LOOKS 32

typedef struct {
    cohort__station_t station;
    cohort__attempt_t *come; /* started since the thread has looked; with the mutex held */
    _Atomic bool stop, gone, left;
} reader_t;

static reader_t *reader; /* of this process; with the mutex of the stations held */
static _Thread_local const reader_t *reading;

apr_status_t cohort__lines_check(const cohort_lines_t *lines, int i, const char *name) {
    if (!lines || !lines->line)
        return cohort__fail(APR_EINVAL, "%s->streams[%d].lines%s is NULL", name, i,
                            lines ? "->line" : "");
    return cohort__check_reserved(lines->reserved, 4, "lines->reserved");
}

/* ---- the thread ----------------------------------------------------------------------------- */

static void take_come(reader_t *r) {
    cohort__runs_lock();
    cohort__attempt_t *come = r->come;
    r->come = NULL;
    cohort__runs_unlock();
    while (come) {
        cohort__attempt_t *next = come->next;
        cohort__station_enter(&r->station, come);
        come = next;
    }
}

/* Those at their ends; `all`: the others, too. */
static void end_lines(reader_t *r, bool all) {
    cohort__attempt_t *next;
    for (cohort__attempt_t *a = r->station.attempts; a; a = next) {
        next = a->next;
        int open = 0;
        for (int i = 1; i < 3; i++) {
            if (!all && a->flows[i].handle != COHORT_OS_NONE) {
                open++;
                continue;
            }
            cohort__collect_end(&a->collects[i]);
            cohort__collect_free(&a->collects[i]);
        }
        if (open) continue;
        cohort__station_leave(a);
        free(a);
    }
}

static void close_reader(reader_t *r) {
    cohort__station_close(&r->station);
    free(r);
}

/* Nothing of the arena is touched any more when `left` is set, nor of the reader. */
static void leave_reader(reader_t *r) {
    cohort__thread_t *me;
    atomic_store(&r->gone, true);
    cohort__notify(&cohort__arena->completed, COHORT__ALL);
    if (!cohort__enter(&me)) cohort__thread_exit(me);
    atomic_store(&r->left, true);
}

static void read_lines(void *arg) {
    reader_t *r = arg;
    reading = r;
    for (int looks = 0; looks < LAST_LOOKS;) {
        bool stop = atomic_load(&r->stop);
        take_come(r);
        cohort__station_wait(&r->station, stop ? 0 : COHORT_OS_NEVER);
        end_lines(r, false);
        if (stop) looks = r->station.attempts ? looks + 1 : LAST_LOOKS;
    }
    end_lines(r, true);
    leave_reader(r);
}

static apr_status_t open_reader(void) {
    cohort__runs_lock();
    bool there = reader != NULL;
    cohort__runs_unlock();
    if (there) return APR_SUCCESS;
    reader_t *made = calloc(1, sizeof *made);
    apr_status_t status = made ? cohort__station_open(&made->station, false) : APR_ENOMEM;
    if (status) {
        free(made);
        return status;
    }
    made->station.streams_only = true;
    cohort__runs_lock();
    bool first = !reader;
    if (first) status = cohort_os_thread_start(read_lines, made);
    if (first && !status) reader = made;
    cohort__runs_unlock();
    if (!first || status) close_reader(made);
    return status;
}

static apr_status_t try_gone_reader(void *arg, bool thorough) {
    reader_t *r = arg;
    (void)thorough; /* it is a thread of this process */
    return atomic_load(&r->gone) ? APR_SUCCESS : APR_EAGAIN;
}

void cohort__lines_end(void) {
    cohort__runs_lock();
    reader_t *r = reader;
    reader = NULL;
    if (r) atomic_store(&r->stop, true);
    if (r) cohort_os_port_wake(&r->station.port);
    cohort__runs_unlock();
    if (!r || r == reading) return; /* a callback exits */
    (void)cohort__await(&cohort__arena->completed, try_gone_reader, r, COHORT_OS_NEVER);
    while (!atomic_load(&r->left)) apr_thread_yield();
    close_reader(r);
}

void cohort__lines_reset(void) {
    reader = NULL;
    reading = NULL;
}

/* ---- around a start ------------------------------------------------------------------------- */

static apr_status_t begin_collects(cohort__attempt_t *attempt, const cohort_stream_t streams[3]) {
    apr_status_t status = APR_SUCCESS;
    for (int i = 1; i < 3 && !status; i++) {
        if (streams[i].kind != COHORT_STREAM_LINES) continue;
        status = cohort__lines_check(streams[i].lines, i, "process");
        if (status) return status;
        cohort_command_t command = {.line = streams[i].lines->line, .user = streams[i].lines->user};
        status = cohort__collect_begin(&attempt->collects[i], &command, i);
        attempt->collects[i].end = command.line;
    }
    return status;
}

apr_status_t cohort__lines_begin(cohort__streams_t *s, const cohort_stream_t streams[3]) {
    if (streams[1].kind != COHORT_STREAM_LINES && streams[2].kind != COHORT_STREAM_LINES)
        return APR_SUCCESS;
    cohort__attempt_t *attempt = calloc(1, sizeof *attempt);
    if (!attempt) return APR_ENOMEM;
    attempt->deadline = attempt->kill = attempt->give_up = COHORT_OS_NEVER;
    for (int i = 0; i < 3; i++) attempt->flows[i].handle = COHORT_OS_NONE;
    cohort__streams_begin(&attempt->streams);
    s->lines = attempt;
    apr_status_t status = begin_collects(attempt, streams);
    return status ? status : open_reader();
}

void cohort__lines_drop(cohort__streams_t *s) {
    cohort__attempt_t *attempt = s->lines;
    if (!attempt) return;
    for (int i = 1; i < 3; i++) cohort__collect_free(&attempt->collects[i]);
    cohort__streams_end(&attempt->streams);
    free(attempt);
    s->lines = NULL;
}

void cohort__lines_give(cohort__streams_t *s) {
    cohort__attempt_t *attempt = s->lines;
    if (!attempt) return;
    cohort__streams_lock();
    for (int i = 1; i < 3; i++) {
        if (!attempt->collects[i].data) continue;
        attempt->flows[i].handle = attempt->streams.parent[i] = s->parent[i];
        s->parent[i] = COHORT_OS_NONE;
    }
    cohort__streams_unlock();
    cohort__runs_lock();
    reader_t *r = reader;
    if (r) {
        attempt->next = r->come;
        r->come = attempt;
        s->lines = NULL;
        cohort_os_port_wake(&r->station.port);
    }
    cohort__runs_unlock();
    cohort__lines_drop(s);
}
