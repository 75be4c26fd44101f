/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death around imaps: a reader, in order and not, also while another process feeds that has not
 * seen the death; the process that feeds; a worker after its chunk; one that destroys. Each item is
 * got once at most, what may not be lost is not, and of the dead nothing is left.
 */
#include "check.h"
#include "step.h"

#include "core/pool/pool_imap.h"

#include <cohort/cohort.h>
#include <sched.h>
#include <signal.h>

#define ITEMS 4

typedef struct {
    cohort_pool_t *pool;
    cohort_imap_t *imap;
    step_place_t place;
    _Atomic int armed, open, done, checked;
    int next;                 /* item that is fed */
    cohort_process_t *parent; /* of the reader */
    _Atomic(cohort_process_t *) reader;
    _Atomic int runs[ITEMS];
} state_t;

typedef struct {
    state_t *state;
    int item;
} item_t;

static void discard(void *state) {
    state_t *s = state;
    CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(s->imap));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(s->pool));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

static state_t *with_workers(int workers) {
    state_t *s = step_new(sizeof *s);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&s->pool,
                                    &(cohort_pool_options_t){.workers = workers,
                                                             .method = COHORT_START_FORK,
                                                             .name = "stepped"},
                                    NULL));
    return s;
}

/* The first item stays under way until it is let go; armed, it begins the stepping. */
static apr_status_t run_item(const void *input, void *output) {
    const item_t *item = input;
    state_t *s = item->state;
    atomic_fetch_add(&s->runs[item->item], 1);
    if (item->item == 0 && atomic_exchange(&s->armed, 0)) {
        atomic_store(&s->place.ready, 1);
        while (!atomic_load(&s->place.go)) sched_yield();
        raise(SIGTRAP);
    }
    while (item->item == 0 && !atomic_load(&s->open)) sched_yield();
    if (item->item == ITEMS - 1) atomic_store(&s->place.done, 1);
    *(int *)output = item->item + 1;
    atomic_fetch_add(&s->done, 1);
    return APR_SUCCESS;
}

static void begin_imap(state_t *s, bool unordered) {
    item_t items[ITEMS];
    for (int i = 0; i < ITEMS; i++) items[i] = (item_t){s, i};
    cohort_job_t job = {.task = run_item, COHORT_INPUTS(items, ITEMS), .output_size = sizeof(int)};
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_imap(&s->imap, s->pool, &job,
                                  &(cohort_imap_options_t){.window = ITEMS, .unordered = unordered},
                                  NULL));
}

/* ---- readers -------------------------------------------------------------------------------- */

static void *all_done(void) {
    state_t *s = with_workers(1);
    atomic_store(&s->open, 1);
    begin_imap(s, false);
    while (atomic_load(&s->done) < ITEMS) sched_yield();
    return s;
}

static void *first_under_way(void) {
    state_t *s = with_workers(2);
    begin_imap(s, true);
    while (atomic_load(&s->done) < ITEMS - 1) sched_yield();
    return s;
}

/* Two items, each of which is a portion of its own. A block that a call has given is the caller's,
 * and would stay with it; so here it is copied. */
static void get_two(void *state) {
    state_t *s = state;
    int output;
    cohort_item_t item = {.data = &output, .capacity = sizeof output};
    for (int i = 0; i < 2; i++)
        while (cohort_imap_next(s->imap, &item, 0) == APR_EAGAIN) sched_yield();
}

/* What the victim has not got comes out; returns how many that are. */
static int get_rest(state_t *s, int seen[ITEMS], apr_status_t end) {
    cohort_item_t item = {0};
    apr_status_t status;
    int count = 0;
    for (; !(status = cohort_imap_next(s->imap, &item, COHORT_FOREVER)); count++) {
        CHECK(item.index < ITEMS && !seen[item.index]++);
        CHECK_STATUS(APR_SUCCESS, item.status);
        CHECK_INT(item.index + 1, *(int *)item.data);
    }
    CHECK_STATUS(end, status);
    CHECK_STATUS(APR_SUCCESS, cohort_item_release(&item));
    return count;
}

static void check_rest(void *state, bool finished) {
    state_t *s = state;
    int seen[ITEMS] = {0};
    int count = get_rest(s, seen, APR_EOF);
    CHECK(count <= ITEMS && count >= ITEMS - 2);
    if (finished) CHECK_INT(ITEMS - 2, count);
    for (int i = 0; i < ITEMS; i++) CHECK_INT(i >= ITEMS - count, seen[i]);
}

static void check_rest_unordered(void *state, bool finished) {
    state_t *s = state;
    int seen[ITEMS] = {0};
    atomic_store(&s->open, 1);
    int count = get_rest(s, seen, APR_EOF);
    CHECK(count <= ITEMS && count >= ITEMS - 2);
    if (finished) CHECK_INT(ITEMS - 2, count);
    CHECK_INT(1, seen[0]);
}

/* ---- the end -------------------------------------------------------------------------------- */

static void destroy(void *state) { (void)cohort_imap_destroy(((state_t *)state)->imap); }

static void check_destroyed(void *state, bool finished) {
    state_t *s = state;
    int in = 1, out = 0;
    cohort_item_t item = {0};
    apr_status_t status = cohort_imap_next(s->imap, &item, COHORT_FOREVER);
    CHECK(status == APR_SUCCESS || status == COHORT_EHANDLE);
    if (finished) CHECK_STATUS(COHORT_EHANDLE, status);
    CHECK_STATUS(APR_SUCCESS, cohort_item_release(&item));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_apply(s->pool, step_task, &in, sizeof in, &out, sizeof out));
}

/* ---- the process that feeds ------------------------------------------------------------------ */

static cohort__feed_t *feed;
static cohort__thread_t *me;

static void *a_pool(void) {
    state_t *s = with_workers(1);
    atomic_store(&s->open, 1);
    return s;
}

static apr_status_t next_item(void *arg, void *input) {
    static int next;
    if (next == ITEMS) return APR_EOF;
    *(item_t *)input = (item_t){arg, next++};
    return APR_SUCCESS;
}

static apr_status_t never(void *arg, void *input) {
    (void)arg, (void)input;
    static volatile bool ever = true;
    while (ever) apr_sleep(1000000);
    return APR_EOF;
}

/* The thread that feeds in this process is held up, and this one does what it would do. */
static void make_feed_of(state_t *s, cohort_source_t holding, cohort_source_t source,
                         apr_size_t window) {
    cohort_job_t job = {.task = run_item, .input_size = sizeof(item_t), .output_size = sizeof(int)};
    cohort_imap_options_t options = {.source = holding, .window = window};
    cohort__call_t pool;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_imap(&s->imap, s->pool, &job, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort__pool_call(&pool, s->pool));
    options.source = source;
    options.source_arg = s;
    me = pool.me;
    CHECK_STATUS(APR_SUCCESS, cohort__feed_make(&feed, &pool, &job, &options, options.window));
    cohort__feed_aim(feed, s->imap);
}

static void make_feed(void *state) { make_feed_of(state, never, next_item, (apr_size_t)2 * ITEMS); }

/* One portion of one item, one of two, and the end of the input. */
static void feed_all(void *state) {
    (void)state;
    while (!cohort__feed_once(feed, me)) continue;
}

/* Nor is anything left of the portion that the dead process had submitted and not hung in. */
static void await_no_jobs(const state_t *s) {
    cohort_pool_t *pool = s->pool;
    const uint64_t end = (uint64_t)(uintptr_t)&pool->all;
    while (atomic_load(&pool->all.next) != end) sched_yield();
}

/* What was taken in before the death comes out; the end, if it was seen. */
static void check_fed_or_ended(void *state, bool finished) {
    state_t *s = state;
    if (!finished) {
        cohort_item_t item = {0};
        apr_status_t status;
        apr_size_t count = 0;
        for (; !(status = cohort_imap_next(s->imap, &item, COHORT_FOREVER)); count++)
            CHECK_INT(count, item.index);
        CHECK(status == COHORT_EOWNERDEAD || (status == APR_EOF && count == ITEMS));
        CHECK_STATUS(APR_SUCCESS, cohort_item_release(&item));
        await_no_jobs(s);
        return;
    }
    int seen[ITEMS] = {0};
    CHECK_INT(ITEMS, get_rest(s, seen, APR_EOF));
}

/* ---- a reader that dies unseen, and the process that feeds ----------------------------------- */

#define WINDOW 2

static _Atomic int holding;

static apr_status_t until_let_go(void *arg, void *input) {
    (void)arg, (void)input;
    while (atomic_load(&holding)) apr_sleep(1000);
    return APR_EOF;
}

static apr_status_t next_number(void *arg, void *input) {
    state_t *s = arg;
    if (s->next == ITEMS - 1) return APR_EOF;
    *(item_t *)input = (item_t){s, s->next++};
    return APR_SUCCESS;
}

static int be_the_reader(void *args) {
    state_t *s = *(state_t **)args;
    int output;
    cohort_item_t item = {.data = &output, .capacity = sizeof output};
    cohort__thread_t *own;
    if (cohort__enter(&own)) return 1;
    atomic_store(&s->place.ready, 1);
    while (!atomic_load(&s->place.go)) sched_yield();
    raise(SIGTRAP);
    CHECK_STATUS(APR_SUCCESS, cohort_imap_next(s->imap, &item, COHORT_FOREVER));
    atomic_store(&s->place.done, 1);
    for (;;) apr_sleep(1000000);
}

static int be_the_parent(void *args) {
    state_t *s = *(state_t **)args;
    const cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON,
                                              .method = COHORT_START_FORK};
    cohort_process_t *reader;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&reader, be_the_reader, &s, sizeof s, &options, NULL));
    atomic_store(&s->reader, reader);
    while (!atomic_load(&s->checked)) apr_sleep(1000);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(reader));
    return 0;
}

/* The window is full, of items that are done. */
static void *a_full_window(void) {
    state_t *s = with_workers(1);
    const cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON,
                                              .method = COHORT_START_FORK};
    atomic_store(&s->open, 1);
    atomic_store(&holding, 1);
    make_feed_of(s, until_let_go, next_number, WINDOW);
    for (int i = 0; i < WINDOW; i++) CHECK(!cohort__feed_once(feed, me));
    while (atomic_load(&s->done) < WINDOW) sched_yield();
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&s->parent, be_the_parent, &s, sizeof s, &options, NULL));
    return s;
}

static cohort_process_t *the_reader(void *state, step_place_t **place) {
    state_t *s = state;
    *place = &s->place;
    while (!atomic_load(&s->reader)) sched_yield();
    return atomic_load(&s->reader);
}

static cohort_process_t *the_parent(void *state) { return ((state_t *)state)->parent; }

static void feed_on(void *state) {
    (void)state;
    CHECK(!cohort__feed_once(feed, me));
}

/* No more was taken in than the window holds, and what the dead reader had not got comes out. */
static void check_window(void *state, bool finished) {
    state_t *s = state;
    cohort_item_t item = {0};
    uint64_t first = atomic_load(&s->imap->out), last = atomic_load(&s->imap->in);
    CHECK(last - first <= WINDOW && first <= 1);
    if (finished) CHECK_INT(1, first);
    for (uint64_t i = first; i < last; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_imap_next(s->imap, &item, COHORT_FOREVER));
        CHECK_INT(i, item.index);
        CHECK_INT(i + 1, *(int *)item.data);
    }
    CHECK_STATUS(APR_EAGAIN, cohort_imap_next(s->imap, &item, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_item_release(&item));
}

static void discard_window(void *state) {
    state_t *s = state;
    atomic_store(&holding, 0);
    atomic_store(&s->checked, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(s->parent, COHORT_FOREVER));
    CHECK_INT(0, cohort_process_exit_code(s->parent));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(s->parent));
    cohort__feed_drop(feed);
    discard(s);
}

static const step_scenario_t imap_fed_beside_scenario = {.prepare = a_full_window,
                                                         .victim = the_reader,
                                                         .check = check_window,
                                                         .discard = discard_window};

static void imap_fed_beside(void) {
    step_through_unseen("imap_fed_beside", &imap_fed_beside_scenario,
                        &(step_unseen_t){the_parent, feed_on});
}

/* ---- a worker ------------------------------------------------------------------------------- */

static void *an_imap(void) {
    state_t *s = with_workers(1);
    atomic_store(&s->open, 1);
    atomic_store(&s->armed, 1);
    begin_imap(s, false);
    return s;
}

static cohort_process_t *the_worker(void *state, step_place_t **place) {
    state_t *s = state;
    *place = &s->place;
    return step_worker(s->pool, *place);
}

/* Each item comes once, in order, and ran once at most; one at most is charged with the death. */
static void check_items(void *state, bool finished) {
    state_t *s = state;
    cohort_item_t item = {0};
    int charged = 0;
    (void)finished;
    for (int i = 0; i < ITEMS; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_imap_next(s->imap, &item, COHORT_FOREVER));
        CHECK_INT(i, item.index);
        charged += item.status != APR_SUCCESS;
        if (item.status) CHECK_STATUS(COHORT_EWORKERDIED, item.status);
        else CHECK_INT(i + 1, *(int *)item.data);
        CHECK(atomic_load(&s->runs[i]) == 1 || (item.status && !atomic_load(&s->runs[i])));
    }
    CHECK(charged <= 1);
    CHECK_STATUS(APR_EOF, cohort_imap_next(s->imap, &item, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_item_release(&item));
}

#define CASE(function, prepare_, warm_, operate_, victim_, check_)                \
    STEP_CASES(function, .prepare = prepare_, .warm = warm_, .operate = operate_, \
               .victim = victim_, .check = check_, .discard = discard)

CASE(imap_next, all_done, NULL, get_two, NULL, check_rest)
CASE(imap_next_unordered, first_under_way, NULL, get_two, NULL, check_rest_unordered)
CASE(imap_destroy, all_done, NULL, destroy, NULL, check_destroyed)
CASE(imap_fed, a_pool, make_feed, feed_all, NULL, check_fed_or_ended)
CASE(imap_worker, an_imap, NULL, NULL, the_worker, check_items)

#define ENTRIES(function) \
    {"StepImap", #function, function}, { "StepImap", #function "_repair", function##_repair }
const test_case_t step_imap_cases[] = {ENTRIES(imap_next),
                                       ENTRIES(imap_next_unordered),
                                       ENTRIES(imap_destroy),
                                       ENTRIES(imap_fed),
                                       ENTRIES(imap_worker),
                                       {"StepImap", "imap_fed_beside", imap_fed_beside},
                                       {0}};
