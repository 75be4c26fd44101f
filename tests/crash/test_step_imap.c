/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death around imaps: a reader, in order and not; the process that feeds; a worker after its chunk;
 * one that destroys. Each item is got once at most, what may not be lost is not, and of the dead
 * nothing is left.
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
    _Atomic int armed, open, done;
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
static void make_feed(void *state) {
    state_t *s = state;
    cohort_job_t job = {.task = run_item, .input_size = sizeof(item_t), .output_size = sizeof(int)};
    cohort_imap_options_t options = {.source = never, .window = 2 * ITEMS};
    cohort__call_t pool;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_imap(&s->imap, s->pool, &job, &options, NULL));
    CHECK_STATUS(APR_SUCCESS,
                 cohort__call_begin(&pool, s->pool, COHORT__KIND_POOL, COHORT__POOL_TAG));
    options.source = next_item;
    options.source_arg = s;
    me = pool.me;
    CHECK_STATUS(APR_SUCCESS, cohort__feed_make(&feed, &pool, &job, &options, options.window));
    cohort__feed_aim(feed, s->imap);
}

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
    cohort_process_t **list;
    apr_size_t n = 0;
    *place = &s->place;
    while (!atomic_load(&s->place.ready)) sched_yield();
    CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(s->pool, &list, &n, test_pool()));
    CHECK_INT(1, n);
    return list[0];
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
const test_case_t step_imap_cases[] = {ENTRIES(imap_next),    ENTRIES(imap_next_unordered),
                                       ENTRIES(imap_destroy), ENTRIES(imap_fed),
                                       ENTRIES(imap_worker),  {0}};
