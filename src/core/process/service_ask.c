/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What is asked of services: how they are, the next run now; and processes that are stopped
 * together. */
#include "core/process/service.h"

#include "core/memory/arena.h"
#include "core/memory/park.h"

#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MICROSECOND INT64_C(1000)

/* ---- how a service is ----------------------------------------------------------------------- */

static apr_status_t no_service(const cohort_process_t *process) {
    char name[COHORT__NAME_MAX];
    cohort__process_get_name(process, name, sizeof name);
    return cohort__fail(APR_EINVAL, "%s was made without the option restart", name);
}

/* A copy of what is kept of it, at one moment. */
typedef struct {
    cohort__service_t s;
    int64_t pid;
    bool has_ended, is_new;
} view_t;

static apr_status_t view(cohort_process_t *process, cohort__pid_t id, view_t *v) {
    cohort__thread_t *me;
    apr_status_t status = cohort__enter(&me);
    if (status) return status;
    cohort__guard_enter(&process->guard, me);
    const cohort__service_t *s = cohort__service_of(process, id);
    cohort__slot_state_t state = cohort__process_state(process);
    if (s) v->s = *s;
    v->pid = cohort__process_seen(process).pid;
    v->has_ended = state == COHORT__SLOT_ENDED || atomic_load(&process->over);
    v->is_new = state < COHORT__SLOT_RUNNING;
    cohort__guard_leave(&process->guard);
    return s ? APR_SUCCESS : no_service(process);
}

static const char *describe_end(int code, char *text, size_t size) {
    if (code == COHORT_EXIT_NONE) return "has not ended";
    if (code == COHORT_EXIT_UNKNOWN) return "ended, and it is not known how";
    if (code < 0) snprintf(text, size, "was ended by signal %d", -code);
    else snprintf(text, size, "ended with exit code %d", code);
    return text;
}

static cohort_service_end_t service_end_of(const view_t *v) {
    if (v->s.end != COHORT_SERVICE_GOES_ON) return (cohort_service_end_t)v->s.end;
    if (v->s.halt) return COHORT_SERVICE_STOPPED;
    return v->has_ended ? COHORT_SERVICE_ORPHANED : COHORT_SERVICE_GOES_ON;
}

static void describe_state(const view_t *v, const cohort_service_info_t *info, char *text,
                           size_t size) {
    unsigned long long n = info->restarts;
    const char *many = n == 1 ? "" : "s";
    double seconds = (double)v->s.period / 1e9;
    if (v->is_new) snprintf(text, size, "not started");
    else if (info->end == COHORT_SERVICE_GIVEN_UP)
        snprintf(text, size, "given up after %u restart%s in %g s", v->s.limit,
                 v->s.limit == 1 ? "" : "s", seconds);
    else if (info->end == COHORT_SERVICE_DONE)
        snprintf(text, size, "done after %llu restart%s", n, many);
    else if (info->end == COHORT_SERVICE_ORPHANED)
        snprintf(text, size, "without a supervisor after %llu restart%s", n, many);
    else if (info->end == COHORT_SERVICE_STOPPED)
        snprintf(text, size, "stopped after %llu restart%s", n, many);
    else if (info->pid)
        snprintf(text, size, "runs as %lld after %llu restart%s", (long long)info->pid, n, many);
    else snprintf(text, size, "is started again in %g s", (double)info->wait / 1e6);
}

static void describe_service(const char *name, const view_t *v, cohort_service_info_t *info) {
    char state[96], code[64];
    const char *last = describe_end(info->exit_code, code, sizeof code);
    describe_state(v, info, state, sizeof state);
    if (info->start_status)
        snprintf(info->text, sizeof info->text, "%s: %s, its start failed: %.60s", name, state,
                 *v->s.reason ? v->s.reason
                              : cohort_strerror(info->start_status, code, sizeof code));
    else if (info->exit_code == COHORT_EXIT_NONE)
        snprintf(info->text, sizeof info->text, "%s: %s", name, state);
    else snprintf(info->text, sizeof info->text, "%s: %s, the last run %s", name, state, last);
}

static apr_status_t process_service(cohort_process_t *process, cohort_service_info_t *info) {
    view_t v = {.pid = 0};
    char name[COHORT__NAME_MAX];
    apr_status_t status = cohort__process_check(process);
    if (!status && !info) status = cohort__null("info");
    if (status) return status;
    status = view(process, cohort__process_id(process), &v);
    if (status) return status;
    int64_t until = v.s.next - cohort_os_now();
    bool rests = !v.is_new && !v.has_ended && v.s.phase == COHORT__SERVICE_RESTS;
    memset(info, 0, sizeof *info);
    info->end = service_end_of(&v);
    info->exit_code = v.s.exit_code;
    info->start_status = v.s.start_status;
    info->restarts = v.s.runs ? v.s.runs - 1 : 0;
    info->pid = v.pid;
    info->wait = rests && until > 0 ? until / MICROSECOND : 0;
    cohort__process_get_name(process, name, sizeof name);
    describe_service(name, &v, info);
    return APR_SUCCESS;
}

apr_status_t cohort_process_service(cohort_process_t *process, cohort_service_info_t *info) {
    return COHORT__CALL_ANEW(process_service(process, info));
}

/* ---- the next run now ----------------------------------------------------------------------- */

typedef struct {
    cohort_process_t *slot;
    cohort__pid_t id, run;
    uint32_t tries;
    bool halts, rests;
} reload_t;

/* From here on the end of the present run, or the alarm, has the next one started at once. */
static apr_status_t ask_for_next(reload_t *r, cohort__thread_t *me) {
    apr_status_t status = APR_SUCCESS;
    cohort__guard_enter(&r->slot->guard, me);
    cohort__service_t *s = cohort__service_of(r->slot, r->id);
    if (s) {
        bool runs = s->phase == COHORT__SERVICE_RUNS;
        r->run = runs ? atomic_load(&r->slot->current) : 0;
        r->tries = atomic_load(&r->slot->tries);
        r->halts = s->halt || atomic_load(&r->slot->over);
        r->rests = s->phase == COHORT__SERVICE_RESTS;
        if (!r->halts && s->phase != COHORT__SERVICE_STARTS) s->reload = 1;
        if (!r->halts && r->rests) s->next = cohort_os_now();
        s->pause = s->delay;
    }
    cohort__guard_leave(&r->slot->guard);
    if (!s) status = no_service(r->slot);
    return status;
}

static apr_status_t end_service_run(cohort__pid_t run, apr_interval_time_t grace) {
    apr_status_t status = cohort__process_signal(run, COHORT_OS_TERMINATE);
    if (!status) status = cohort__process_join(run, grace);
    if (!APR_STATUS_IS_EAGAIN(status) && !APR_STATUS_IS_TIMEUP(status)) return status;
    return cohort__process_kill(run);
}

/* The run could not be ended. False: it has ended meanwhile, so the next one comes. */
static bool take_back_reload(const reload_t *r, cohort__thread_t *me) {
    cohort__guard_enter(&r->slot->guard, me);
    cohort__service_t *s = cohort__service_of(r->slot, r->id);
    bool still = s && atomic_load(&r->slot->current) == r->run;
    if (still) s->reload = 0;
    cohort__guard_leave(&r->slot->guard);
    return still;
}

static apr_status_t try_run(void *arg, bool thorough) {
    reload_t *r = arg;
    if (thorough) (void)cohort__process_check_dead(r->id);
    bool there = cohort__process_find(r->id) == r->slot &&
                 cohort__process_state(r->slot) == COHORT__SLOT_RUNNING;
    return !there || atomic_load(&r->slot->tries) != r->tries ? APR_SUCCESS : APR_EAGAIN;
}

static apr_status_t reload_outcome(const reload_t *r) {
    view_t v = {.pid = 0};
    apr_status_t status = view(r->slot, r->id, &v);
    if (status) return COHORT_ECLOSED;
    if (v.s.start_status && *v.s.reason) return cohort__fail(v.s.start_status, "%s", v.s.reason);
    return v.s.start_status ? v.s.start_status : v.has_ended ? COHORT_ECLOSED : APR_SUCCESS;
}

static apr_status_t process_restart(cohort_process_t *process, apr_interval_time_t grace) {
    cohort__thread_t *me;
    apr_status_t status = cohort__process_check(process);
    if (!status) status = cohort__enter(&me);
    if (status) return status;
    reload_t r = {.slot = process, .id = cohort__process_id(process)};
    if (process->role != COHORT__ROLE_SERVICE) return no_service(process);
    if (atomic_load(&process->parent) != cohort__self_id())
        return cohort__fail(COHORT_ENOTOWNER, "that is for the process which supervises it");
    if (cohort__process_state(process) < COHORT__SLOT_RUNNING) return COHORT_ENOTSTARTED;
    status = ask_for_next(&r, me);
    if (status || r.halts) return status ? status : COHORT_ECLOSED;
    if (r.run) status = end_service_run(r.run, grace);
    else if (r.rests) cohort__watcher_alarm(cohort_os_now());
    if (status && !take_back_reload(&r, me)) status = APR_SUCCESS;
    if (!status) status = cohort__await(&process->changed, try_run, &r, COHORT_OS_NEVER);
    return status ? status : reload_outcome(&r);
}

apr_status_t cohort_process_restart(cohort_process_t *process, apr_interval_time_t grace) {
    return COHORT__CALL_ANEW(process_restart(process, grace));
}

/* ---- many at once --------------------------------------------------------------------------- */

/* Ids, since a record may go while the others are waited for; 0: nothing is to be waited for. */
static apr_status_t name_all(cohort_process_t *const *processes, apr_size_t n, cohort__pid_t *ids) {
    for (apr_size_t i = 0; i < n; i++) {
        apr_status_t status = cohort__process_check(processes[i]);
        if (!status) {
            ids[i] = cohort__process_id(processes[i]);
            if (cohort__service_reach(ids[i]) == cohort__self_id()) status = COHORT_ENOWAIT;
        }
        if (status) return cohort__explain(status, "processes[%u]", (unsigned)i);
    }
    return APR_SUCCESS;
}

static void note(apr_status_t *first, apr_status_t status, cohort__pid_t *id) {
    if (!status) return;
    if (!*first) *first = status;
    *id = 0;
}

static bool is_run_over(cohort__pid_t id) {
    const cohort_process_t *slot = cohort__process_find(id);
    return !slot || cohort__process_state(slot) == COHORT__SLOT_ENDED;
}

static void join_all(const cohort__pid_t *ids, apr_size_t n, int64_t until) {
    for (apr_size_t i = 0; i < n; i++) {
        int64_t left = until == COHORT_OS_NEVER ? 0 : (until - cohort_os_now()) / MICROSECOND;
        if (ids[i])
            (void)cohort__process_join(ids[i], until == COHORT_OS_NEVER ? COHORT_FOREVER : left);
    }
}

static apr_status_t stop_all(cohort__pid_t *ids, apr_size_t n, apr_interval_time_t grace) {
    apr_status_t first = APR_SUCCESS;
    int64_t until = cohort__deadline(grace);
    for (apr_size_t i = 0; i < n; i++) {
        cohort__service_halt(ids[i], COHORT__HALT_ASK);
        note(&first, cohort__process_signal(cohort__service_reach(ids[i]), COHORT_OS_TERMINATE),
             &ids[i]);
    }
    join_all(ids, n, until);
    for (apr_size_t i = 0; i < n; i++) {
        if (!ids[i] || is_run_over(ids[i])) continue;
        cohort__service_halt(ids[i], COHORT__HALT_KILL);
        note(&first, cohort__process_kill(cohort__service_reach(ids[i])), &ids[i]);
    }
    join_all(ids, n, COHORT_OS_NEVER);
    return first;
}

static apr_status_t processes_stop(cohort_process_t *const *processes, apr_size_t n,
                                   apr_interval_time_t grace) {
    cohort__thread_t *me;
    if (n && !processes) return cohort__null("processes");
    apr_status_t status = cohort__enter(&me);
    if (status || n == 0) return status;
    cohort__pid_t *ids = calloc(n, sizeof *ids);
    if (!ids) return cohort__fail(APR_ENOMEM, "noting the processes to be stopped");
    status = name_all(processes, n, ids);
    if (!status) status = stop_all(ids, n, grace);
    free(ids);
    return status;
}

apr_status_t cohort_processes_stop(cohort_process_t *const *processes, apr_size_t n,
                                   apr_interval_time_t grace) {
    return COHORT__CALL_ANEW(processes_stop(processes, n, grace));
}
