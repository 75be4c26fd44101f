/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches of results and imaps. The list of them belongs to this process; a thread looks at all of
 * them ten times a second, while there is one that is not over, and ends then. What it looks at may
 * be destroyed at any time, so each look is a call of its own on the life that is meant.
 *
 * The mutex is held while bars are drawn and callbacks are called: so an update is never seen by
 * two threads, and after a watch has been stopped there is none of it.
 */
#include "core/pool/progress.h"

#include "core/base/reserved.h"
#include "core/pool/pool_imap.h"

#include <apr_env.h>
#include <apr_portable.h>
#include <apr_time.h>
#include <stdlib.h>
#include <string.h>

#define TICK_NS INT64_C(100000000) /* from one update to the next, at least */

struct cohort_progress_watch_t {
    cohort_progress_watch_t *next;
    cohort__call_t use; /* of what is watched; its thread is not used */
    bool is_imap;
    cohort_progress_callback_t callback;
    void *arg;
    apr_pool_t *parent, *own; /* own: of the file, if that is stderr */
    cohort_progress_t state;
    uint64_t from; /* see the table of backend.h */
    uint64_t expected;
    int64_t began, changed; /* when it was made; when it last went on */
    bool draws;
    bool told; /* that it is over; nothing more comes of it */
    cohort__bar_t bar;
    char label[];
};

static cohort_os_mutex_t watches_mutex;
static cohort_progress_watch_t *first_watch;
static _Atomic uint32_t watches; /* a hint: how many there are */
static cohort__bar_t *first_bar;
static bool runs; /* the thread */
static bool ends; /* this process leaves the cohort */
/* the membership that all this belongs to; a forked copy, or a later cohort, starts afresh */
static uint32_t owner;
static _Thread_local bool inside; /* a callback */

static void lock_watches(void) {
    if (owner != cohort__membership()) {
        cohort_os_mutex_reset(&watches_mutex);
        first_watch = NULL;
        first_bar = NULL;
        runs = ends = false;
        atomic_store(&watches, 0);
        owner = cohort__membership();
    }
    cohort_os_mutex_lock(&watches_mutex);
}

static void unlock(void) { cohort_os_mutex_unlock(&watches_mutex); }

/* ---- a look at the work --------------------------------------------------------------------- */

/* What was found; `is_there` false: it was destroyed. */
typedef struct {
    bool is_there, over;
    uint64_t done, total;
    apr_status_t status;
} sight_t;

static sight_t look_at_result(cohort_progress_watch_t *watch, const cohort__call_t *use) {
    cohort_result_t *job = cohort__result_of(use);
    sight_t sight = {.is_there = cohort__result_look(use)};
    if (!sight.is_there) return sight;
    sight.over = cohort__result_is_over(job);
    cohort__found_t found = cohort__result_find(job);
    sight.status = found.status;
    sight.total = found.n;
    sight.done = cohort__backend_of_job(job)->over(job, &watch->from);
    cohort__result_look_end(use);
    return sight;
}

static sight_t look_at_imap(cohort_progress_watch_t *watch, const cohort__call_t *use) {
    cohort_imap_t *imap = (cohort_imap_t *)use->object;
    sight_t sight = {.is_there = cohort__imap_enter(use)};
    if (!sight.is_there) return sight;
    uint64_t in = atomic_load(&imap->in), end = atomic_load(&imap->end);
    sight.done = atomic_load(&imap->out);
    cohort__guard_leave(&imap->guard);
    sight.total = end ? in : watch->expected;
    sight.over = end && sight.done == in;
    sight.status = end ? cohort__imap_end_status(end) : APR_SUCCESS;
    if (APR_STATUS_IS_EOF(sight.status)) sight.status = APR_SUCCESS;
    return sight;
}

/* The rate is that of the last updates in which something was done, the newest counting most. */
static void note_rate(cohort_progress_watch_t *watch, uint64_t before, int64_t now) {
    cohort_progress_t *state = &watch->state;
    if (state->done == before || now <= watch->changed) return;
    double rate = (double)(state->done - before) * 1e9 / (double)(now - watch->changed);
    state->rate = state->rate > 0 ? 0.7 * state->rate + 0.3 * rate : rate;
    watch->changed = now;
}

static void note_end(cohort_progress_watch_t *watch, apr_status_t status, int64_t now) {
    cohort_progress_t *state = &watch->state;
    state->over = 1;
    state->status = status;
    if (now > watch->began) state->rate = (double)state->done * 1e9 / (double)(now - watch->began);
}

static void look_at_watch(cohort_progress_watch_t *watch, cohort__thread_t *me) {
    const cohort__call_t use = {me, watch->use.object, watch->use.life};
    cohort_progress_t *state = &watch->state;
    uint64_t before = state->done;
    int64_t now = cohort_os_now();
    sight_t sight = watch->is_imap ? look_at_imap(watch, &use) : look_at_result(watch, &use);
    if (sight.is_there) {
        if (sight.done > state->done) state->done = sight.done;
        if (sight.total) state->total = sight.total;
    }
    state->elapsed = (now - watch->began) / 1000;
    note_rate(watch, before, now);
    if (!sight.is_there) note_end(watch, COHORT_EHANDLE, now);
    else if (sight.over) note_end(watch, sight.status, now);
    state->remaining = -1;
    if (state->total >= state->done && state->total && (state->rate > 0 || state->over)) {
        double left = state->over ? 0 : (double)(state->total - state->done) / state->rate;
        state->remaining = left < 1e9 ? (apr_interval_time_t)(left * 1e6) : -1;
    }
}

/* ---- updates: with the mutex ---------------------------------------------------------------- */

static void unlist_bar(cohort__bar_t *bar) {
    cohort__bar_t **at = &first_bar;
    while (*at && *at != bar) at = &(*at)->next;
    if (*at) *at = bar->next;
}

static void draw(const cohort__bar_t *like) { cohort__bars_draw(first_bar, like); }

static void call_watch(cohort_progress_watch_t *watch) {
    if (!watch->callback) return;
    inside = true;
    watch->callback(&watch->state, watch->arg);
    inside = false;
    cohort__end_copy(0);
}

/* Each terminal once. */
static void draw_all(void) {
    for (cohort__bar_t *bar = first_bar; bar; bar = bar->next) {
        const cohort__bar_t *before = first_bar;
        while (before != bar && before->handle != bar->handle) before = before->next;
        if (before == bar) draw(bar);
    }
    for (cohort_progress_watch_t *watch = first_watch; watch; watch = watch->next) {
        if (watch->draws && watch->told) {
            watch->draws = false;
            unlist_bar(&watch->bar);
        }
    }
}

static void tell_state(cohort_progress_watch_t *watch) {
    watch->told = watch->bar.ends = watch->state.over != 0;
    call_watch(watch);
}

static void update(cohort__thread_t *me) {
    bool any = false;
    for (cohort_progress_watch_t *watch = first_watch; watch; watch = watch->next) {
        if (watch->told) continue;
        if (!watch->state.over) look_at_watch(watch, me);
        tell_state(watch);
        any = any || watch->draws;
    }
    if (any) draw_all();
}

/* It has been over, or is now. */
static void finish_watch(cohort_progress_watch_t *watch, cohort__thread_t *me) {
    if (watch->told) return;
    if (!watch->state.over) look_at_watch(watch, me);
    if (!watch->state.over) note_end(watch, APR_INCOMPLETE, cohort_os_now());
    tell_state(watch);
    if (watch->draws) draw_all();
}

/* ---- the thread ----------------------------------------------------------------------------- */

/* `mine`: the membership that the thread was started in. */
static bool progress_goes_on(cohort__thread_t *me, uint32_t mine) {
    bool any = false;
    lock_watches();
    bool is_current = owner == mine && !ends;
    if (is_current) update(me);
    for (cohort_progress_watch_t *watch = first_watch; watch && is_current; watch = watch->next)
        any = any || !watch->told;
    if (owner == mine && !any) runs = false;
    unlock();
    return any;
}

/* Nothing has to wake it: what is over in between is seen with the next update, and a watch that is
 * stopped is seen to by the thread that stops it. */
static void watch_all(void *arg) {
    uint32_t mine = (uint32_t)(uintptr_t)arg;
    cohort__thread_t *me;
    if (cohort__enter(&me)) return;
    while (progress_goes_on(me, mine)) apr_sleep(TICK_NS / 1000);
}

/* ---- watches -------------------------------------------------------------------------------- */

static apr_status_t stop(cohort_progress_watch_t *watch) {
    cohort__thread_t *me;
    if (!watch || !cohort__arena) return watch ? COHORT_ENOTINIT : APR_SUCCESS;
    apr_status_t status = cohort__enter(&me);
    if (status) return status;
    lock_watches();
    cohort_progress_watch_t **at = &first_watch;
    while (*at && *at != watch) at = &(*at)->next;
    bool found = *at != NULL;
    if (found) {
        finish_watch(watch, me);
        *at = watch->next;
        atomic_fetch_sub(&watches, 1);
    }
    unlock();
    if (!found) return APR_SUCCESS;
    if (watch->own) apr_pool_destroy(watch->own);
    free(watch);
    return APR_SUCCESS;
}

static apr_status_t stop_with_pool(void *watch) { return stop(watch); }

/* LC_ALL, LC_CTYPE and LANG, the first that is set. */
static bool has_utf8(apr_pool_t *scratch) {
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (int i = 0; i < 3; i++) {
        char *value = NULL;
        if (apr_env_get(&value, names[i], scratch) || !value || !*value) continue;
        return strstr(value, "UTF-8") || strstr(value, "utf8") || strstr(value, "utf-8");
    }
    return false;
}

static bool is_dumb(apr_pool_t *scratch) {
    char *value = NULL;
    return !apr_env_get(&value, "TERM", scratch) && value && !strcmp(value, "dumb");
}

static apr_status_t make_bar(cohort_progress_watch_t *watch,
                             const cohort_progress_options_t *options) {
    apr_os_file_t handle;
    cohort__bar_t *bar = &watch->bar;
    apr_status_t status = apr_pool_create(&watch->own, NULL);
    bar->file = options->file;
    if (!status && !bar->file) status = apr_file_open_stderr(&bar->file, watch->own);
    if (!status) status = apr_os_file_get(&handle, bar->file);
    if (status) return cohort__fail(status, "the file of the bar");
    bar->handle = (cohort_os_handle_t)(intptr_t)handle;
    bar->state = &watch->state;
    bar->vanish = options->vanish != 0;
    bar->ascii = options->ascii || !has_utf8(watch->own);
    bar->dumb = is_dumb(watch->own);
    watch->draws = cohort_os_know(bar->handle).columns > 0;
    return APR_SUCCESS;
}

static apr_status_t make_watch(cohort_progress_watch_t **made, const cohort__call_t *use,
                               bool is_imap, const cohort_progress_options_t *options) {
    const char *label = options->label ? options->label : "";
    size_t length = strlen(label) + 1;
    cohort_progress_watch_t *watch = calloc(1, sizeof *watch + length);
    if (!watch) return cohort__fail(APR_ENOMEM, "a watch");
    memcpy(watch->label, label, length);
    watch->use = *use;
    watch->is_imap = is_imap;
    watch->callback = options->callback;
    watch->arg = options->arg;
    watch->expected = options->total;
    watch->began = watch->changed = cohort_os_now();
    watch->state.label = watch->label;
    watch->state.remaining = -1;
    apr_status_t status = APR_SUCCESS;
    if (options->bar || !options->callback) status = make_bar(watch, options);
    if (!status) {
        *made = watch;
        return APR_SUCCESS;
    }
    if (watch->own) apr_pool_destroy(watch->own);
    free(watch);
    return status;
}

/* At the end of the lists, with a thread that looks at it. */
static apr_status_t enlist_watch(cohort_progress_watch_t *watch) {
    apr_status_t status = APR_SUCCESS;
    lock_watches();
    if (!runs && !ends) {
        status = cohort_os_thread_start(watch_all, (void *)(uintptr_t)owner);
        runs = !status;
    }
    if (!status) {
        cohort_progress_watch_t **at = &first_watch;
        cohort__bar_t **bar = &first_bar;
        while (*at) at = &(*at)->next;
        *at = watch;
        while (*bar) bar = &(*bar)->next;
        if (watch->draws) *bar = &watch->bar;
        atomic_fetch_add(&watches, 1);
    }
    unlock();
    return status;
}

static apr_status_t aim(cohort__call_t *use, void *object, bool *is_imap) {
    if (!object) return cohort__null("object");
    apr_status_t status = cohort__call_begin(use, object, COHORT__KIND_RESULT, COHORT__RESULT_TAG);
    *is_imap = status == COHORT_EHANDLE;
    if (*is_imap) status = cohort__call_begin(use, object, COHORT__KIND_IMAP, COHORT__IMAP_TAG);
    return status;
}

static apr_status_t watch_it(cohort_progress_watch_t **watch, void *object,
                             const cohort_progress_options_t *given, apr_pool_t *parent) {
    const cohort_progress_options_t options = given ? *given : (cohort_progress_options_t){0};
    cohort__call_t use;
    cohort_progress_watch_t *made = NULL;
    bool is_imap = false;
    if (!watch) return cohort__null("watch");
    apr_status_t status = cohort__check_reserved(options.reserved, 8, "options.reserved");
    if (!status) status = aim(&use, object, &is_imap);
    if (!status) status = make_watch(&made, &use, is_imap, &options);
    if (!made) return status;
    status = enlist_watch(made);
    if (status) {
        if (made->own) apr_pool_destroy(made->own);
        free(made);
        return status;
    }
    made->parent = parent;
    if (parent) apr_pool_cleanup_register(parent, made, stop_with_pool, apr_pool_cleanup_null);
    *watch = made;
    return APR_SUCCESS;
}

apr_status_t cohort_progress_watch(cohort_progress_watch_t **watch, void *object,
                                   const cohort_progress_options_t *options, apr_pool_t *parent) {
    return COHORT__CALL_ANEW(watch_it(watch, object, options, parent));
}

/* NULL also when it is no watch any more. */
static apr_pool_t *parent_of(const cohort_progress_watch_t *watch) {
    lock_watches();
    const cohort_progress_watch_t *at = first_watch;
    while (at && at != watch) at = at->next;
    apr_pool_t *parent = at ? at->parent : NULL;
    unlock();
    return parent;
}

static apr_status_t stop_it(cohort_progress_watch_t *watch) {
    if (inside) return COHORT_ENOWAIT;
    apr_pool_t *parent = watch ? parent_of(watch) : NULL;
    if (parent) apr_pool_cleanup_kill(parent, watch, stop_with_pool);
    return stop(watch);
}

apr_status_t cohort_progress_stop(cohort_progress_watch_t *watch) {
    return COHORT__CALL_ANEW(stop_it(watch));
}

/* ---- what ends ------------------------------------------------------------------------------ */

void cohort__progress_last(const cohort__object_t *object) {
    cohort__thread_t *me;
    if (!atomic_load_explicit(&watches, memory_order_relaxed) || inside ||
        owner != cohort__membership() || cohort__enter(&me))
        return;
    lock_watches();
    for (cohort_progress_watch_t *watch = first_watch; watch; watch = watch->next) {
        if (!watch->state.over && watch->use.object == object) look_at_watch(watch, me);
    }
    unlock();
}

void cohort__progress_end(void) {
    cohort__thread_t *me;
    if (owner != cohort__membership() || cohort__enter(&me)) return;
    lock_watches();
    for (cohort_progress_watch_t *watch = first_watch; watch; watch = watch->next)
        finish_watch(watch, me);
    ends = true;
    unlock();
}
