/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The table of types: which type and which life a pointer names, and that an entry is all that
 * cohort_wait() has to know of a type. */
#include "threads.h"

#include "core/object/object.h"
#include "core/object/sync.h"
#include "core/pool/pool_result.h"
#include "core/process/process.h"

/* ---- the table ------------------------------------------------------------------------------ */

static void check_entry(const cohort__type_t *type) {
    CHECK(type->name != NULL && type->describe != NULL);
    CHECK_INT(type->ready != NULL, type->conditions != 0);
    CHECK_INT(type->ready != NULL, type->event != NULL);
    CHECK_INT(0, type->usual & ~type->conditions);
    CHECK_INT(type->conditions != 0, type->usual != 0);
}

/* Each object has one entry, by its tag. */
static void entries(void) {
    const cohort__type_t *all[64];
    int n = 0;
    check_entry(cohort__upward->process);
    CHECK_INT(0, cohort__upward->process->tag);
    for (int kind = COHORT__KIND_BYTES + 1; kind < COHORT__KINDS; kind++) {
        for (const cohort__type_t *type = cohort__upward->kinds[kind].types; type->name; type++) {
            check_entry(type);
            CHECK(type->tag != 0);
            for (int i = 0; i < n; i++) CHECK(all[i]->tag != type->tag);
            all[n++] = type;
        }
    }
    CHECK_INT(14, n);
}

/* ---- lives ---------------------------------------------------------------------------------- */

static cohort__aim_t aim_at(void *handle) {
    cohort__aim_t aim = {enter(), handle, 0};
    CHECK(cohort__type_of(handle, &aim.life) != NULL);
    return aim;
}

static unsigned is_ready(const cohort__aim_t *aim, bool thorough) {
    uint64_t life;
    return cohort__type_of(aim->handle, &life)->ready(aim, COHORT_READY_END, thorough);
}

static int live_on(void *args) {
    (void)args;
    party_wait_for_death();
    return 0;
}

static apr_status_t task(const void *input, void *output) {
    (void)input;
    (void)output;
    party_wait_for_death();
    return APR_SUCCESS;
}

static cohort_result_t *new_result(cohort_pool_t *pool) {
    cohort_result_t *result;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_submit(&result, pool, &(cohort_job_t){.task = task, .n = 1}, NULL));
    return result;
}

/* What is at the same place now is not what was meant. */
static void check_used_again(const cohort__aim_t *before, void *now, unsigned ready) {
    cohort__aim_t after = aim_at(now);
    CHECK(before->handle == now);
    CHECK(before->life != after.life);
    for (int thorough = 0; thorough < 2; thorough++) {
        CHECK_INT(COHORT_READY_END, is_ready(before, thorough));
        CHECK_INT(ready, is_ready(&after, thorough));
    }
}

static void place_of_a_result(void) {
    cohort_pool_t *pool;
    cohort_pool_options_t options = {.workers = 1};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&pool, &options, NULL));
    (void)new_result(pool); /* keeps the worker, or there will be one that does */
    cohort__aim_t before = aim_at(new_result(pool));
    CHECK_INT(0, is_ready(&before, false));
    CHECK_INT(0, is_ready(&before, true));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(before.handle));
    cohort_result_t *again = NULL;
    do again = new_result(pool);
    while (again != before.handle);
    check_used_again(&before, again, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static cohort_process_t *new_process(void) {
    cohort_process_t *process;
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON};
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, live_on, NULL, 0, &options, NULL));
    return process;
}

static void place_of_a_process(void) {
    cohort_process_t *process = party_start(live_on, NULL, 0), *again;
    cohort__aim_t before = aim_at(process);
    CHECK_INT(0, is_ready(&before, false));
    CHECK_INT(0, is_ready(&before, true));
    party_kill(process);
    CHECK_INT(COHORT_READY_END, is_ready(&before, false));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    uint64_t life;
    CHECK(cohort__type_of(process, &life) == NULL);
    while ((again = new_process()) != process)
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(again));
    check_used_again(&before, again, COHORT_READY_END); /* not started */
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(again));
    check_used_again(&before, again, 0);
    party_kill(again);
}

/* ---- a type that can be waited for ---------------------------------------------------------- */

/* An entry for events: as a later version might have one. */
static struct {
    cohort__upward_t upward;
    cohort__kind_ops_t kinds[COHORT__KINDS];
    cohort__type_t types[8];
    _Atomic int looks, yes; /* from which look on the answer is yes */
    unsigned answer;
} planted;

static unsigned is_set(const cohort__aim_t *aim, unsigned wanted, bool thorough) {
    (void)thorough;
    return cohort_event_is_set(aim->handle) ? wanted & COHORT_READY_IN : 0;
}

static cohort__eventcount_t *own_event(const cohort__aim_t *aim, unsigned wanted, int i) {
    (void)wanted;
    if (i) return NULL;
    return &((cohort__sync_t *)aim->handle)->changed;
}

static void plant(unsigned (*ready)(const cohort__aim_t *, unsigned, bool)) {
    memcpy(planted.kinds, cohort__upward->kinds, sizeof planted.kinds);
    cohort__kind_ops_t *sync = &planted.kinds[COHORT__KIND_SYNC];
    for (int i = 0; sync->types[i].name; i++) {
        planted.types[i] = sync->types[i];
        if (planted.types[i].tag != COHORT__TAG_EVENT) continue;
        planted.types[i].conditions = COHORT_READY_END | COHORT_READY_IN | COHORT_READY_OUT;
        planted.types[i].usual = COHORT_READY_IN;
        planted.types[i].ready = ready;
        planted.types[i].event = own_event;
    }
    sync->types = planted.types;
    planted.upward = *cohort__upward;
    planted.upward.kinds = planted.kinds;
    cohort__upward = &planted.upward;
}

static cohort_event_t *new_event(void) {
    cohort_event_t *event;
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&event, NULL));
    return event;
}

typedef struct {
    cohort_waitable_t items[2];
    apr_size_t n;
} wait_t;

static void *APR_THREAD_FUNC wait_for_any(apr_thread_t *thread, void *arg) {
    wait_t *wait = arg;
    (void)thread;
    CHECK_STATUS(APR_SUCCESS, cohort_wait(wait->items, wait->n, COHORT_WAIT_ANY, COHORT_FOREVER));
    return NULL;
}

/* Somebody sleeps there. */
static void await_sleeper(cohort__eventcount_t *ec) {
    while (!(atomic_load(&ec->word) & 1)) apr_sleep(500);
}

/* Things of one type are slept for where that type says. */
static void an_entry_is_enough(void) {
    plant(is_set);
    cohort_event_t *event = new_event();
    wait_t wait = {.items = {{.object = event}}, .n = 1};
    CHECK_STATUS(APR_EAGAIN, cohort_wait(wait.items, 1, COHORT_WAIT_ALL, 0));
    apr_thread_t *thread = party_thread(wait_for_any, &wait);
    await_sleeper(&((cohort__sync_t *)(void *)event)->changed);
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(event));
    party_thread_finish(thread);
    CHECK_INT(COHORT_READY_IN, wait.items[0].ready);
    wait.items[0].wanted = COHORT_READY_GONE;
    CHECK_STATUS(APR_ENOTIMPL, cohort_wait(wait.items, 1, COHORT_WAIT_ALL, 0));
    CHECK(strstr(cohort_last_error(), "items[0] is an event that is set: nothing waits for "
                                      "COHORT_READY_GONE of that yet"));
}

/* Things of several types where all of them say what has become of them. */
static void mixed_types(void) {
    plant(is_set);
    wait_t wait = {.items = {{.object = new_event()}, {.object = party_start(live_on, NULL, 0)}},
                   .n = 2};
    apr_thread_t *thread = party_thread(wait_for_any, &wait);
    await_sleeper(&cohort__arena->completed);
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(wait.items[1].object));
    party_thread_finish(thread);
    CHECK_INT(0, wait.items[0].ready);
    CHECK_INT(COHORT_READY_END, wait.items[1].ready);
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(wait.items[0].object));
    CHECK_STATUS(APR_SUCCESS, cohort_wait(wait.items, 2, COHORT_WAIT_ALL, COHORT_FOREVER));
    CHECK_INT(COHORT_READY_IN, wait.items[0].ready);
}

/* ---- a thing that is there twice ------------------------------------------------------------ */

/* It becomes ready from one look to the next, and is not any more at the one after that. */
static unsigned at_one_look(const cohort__aim_t *aim, unsigned wanted, bool thorough) {
    (void)aim;
    (void)thorough;
    return atomic_fetch_add(&planted.looks, 1) == planted.yes ? wanted & planted.answer : 0;
}

static apr_status_t look_at(cohort_waitable_t *items, apr_size_t n, cohort_wait_mode_t mode,
                            int yes, unsigned answer) {
    planted.looks = 0;
    planted.yes = yes;
    planted.answer = answer;
    return cohort_wait(items, n, mode, 0);
}

static void twice_of(apr_size_t n) {
    cohort_waitable_t items[50] = {{0}};
    for (apr_size_t i = 0; i < n; i++) items[i].object = new_event();
    apr_size_t first = 1, last = n - 1;
    items[last].object = items[first].object;
    for (int which = 0; which < 2; which++) {
        int yes = (int)(which ? first : last);
        CHECK_STATUS(APR_SUCCESS, look_at(items, n, COHORT_WAIT_ANY, yes, COHORT_READY_IN));
        for (apr_size_t i = 0; i < n; i++)
            CHECK_INT(i == first || i == last ? COHORT_READY_IN : 0, items[i].ready);
    }
    items[first].wanted = COHORT_READY_OUT;
    items[last].wanted = COHORT_READY_OUT | COHORT_READY_IN;
    CHECK_STATUS(APR_SUCCESS,
                 look_at(items, n, COHORT_WAIT_ANY, (int)last, COHORT_READY_IN | COHORT_READY_OUT));
    CHECK_INT(COHORT_READY_OUT, items[first].ready);
    CHECK_INT(COHORT_READY_IN | COHORT_READY_OUT, items[last].ready);
    CHECK_STATUS(APR_SUCCESS, look_at(items, n, COHORT_WAIT_ANY, (int)last, COHORT_READY_IN));
    CHECK_INT(0, items[first].ready);
}

/* Each of them has ended, though not both had when they were looked at. Any other condition held at
 * one look, and not at the last one. */
static void all_of_one(apr_size_t n) {
    cohort_waitable_t items[50] = {{0}};
    cohort_event_t *event = new_event();
    for (apr_size_t i = 0; i < n; i++) {
        items[i].object = event;
        items[i].wanted = COHORT_READY_END | COHORT_READY_IN;
    }
    CHECK_STATUS(APR_EAGAIN, look_at(items, n, COHORT_WAIT_ALL, 1000, COHORT_READY_END));
    CHECK_STATUS(APR_SUCCESS, look_at(items, n, COHORT_WAIT_ALL, (int)n / 2, COHORT_READY_END));
    for (apr_size_t i = 0; i < n; i++) CHECK_INT(COHORT_READY_END, items[i].ready);
    CHECK_STATUS(APR_EAGAIN, look_at(items, n, COHORT_WAIT_ALL, (int)n / 2, COHORT_READY_IN));
    for (apr_size_t i = 0; i < n; i++) CHECK_INT(0, items[i].ready);
}

static void twice(void) {
    plant(at_one_look);
    twice_of(3);
    twice_of(32);
    twice_of(33);
    twice_of(50);
    all_of_one(2);
    all_of_one(50);
}

const test_case_t types_cases[] = {
    {"CoreTypes", "entries", entries},
    {"CoreTypes", "place_of_a_result", place_of_a_result},
    {"CoreTypes", "place_of_a_process", place_of_a_process},
    {"CoreTypes", "an_entry_is_enough", an_entry_is_enough},
    {"CoreTypes", "mixed_types", mixed_types},
    {"CoreTypes", "twice", twice},
    {0},
};
