/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Results in the order in which they end.
 *
 * A result that an iterator waits for is *followed*: its word says so before the iterator looks
 * whether it has ended, and the thread that ends it looks at the word after it has ended it, so one
 * of the two sees the other. That thread takes a number from the arena's log of what ended, writes
 * it to the result's word, and then the result's address to the log. Iterators of any process read
 * the log from where they were; each finds its own results there by their addresses, so no waiting
 * thread looks at what has not ended.
 *
 * The log is a hint. Its entries are overwritten after COHORT__ENDED_LOG more; a thread that is
 * killed between its number and its entry leaves a hole; a process that dies over the end of a
 * result may not have written a number. In each of these cases the iterator looks at all that it
 * waits for, and takes what has ended in the order of the numbers; it does so, too, at times while
 * it waits, and after each death. What a dead process has left undone of a result is done then.
 */
#include "core/base/fail.h"
#include "core/pool/backend.h"

#include <apr_hash.h>
#include <cohort/completed.h>
#include <stdlib.h>

#define LOOK_NS INT64_C(250000000) /* from one look at everything to the next while it waits */

/* A word of a result: 0, or FOLLOWED, and its number in the log, from 1 on, when it has ended. */
#define FOLLOWED 1u

typedef struct item_t {
    struct item_t *next, *previous; /* of what is waited for, or (next) of what has ended */
    cohort_result_t *result;
    uint64_t life;
    apr_size_t index;
} item_t;

struct cohort_completed_t {
    apr_pool_t *pool;
    apr_hash_t *by_address; /* of what is waited for */
    item_t waiting;         /* the list of it, a ring */
    apr_size_t count;       /* how many are */
    item_t *ended, **last;  /* to be given */
    item_t *unused;
    apr_size_t added;
    uint64_t at; /* the next number of the log */
    bool behind; /* the log says less than has happened */
    uint32_t deaths;
    int64_t looked; /* when everything was looked at */
    cohort__thread_t *me;
};

/* ---- the log -------------------------------------------------------------------------------- */

/* An entry: the lap that its number is in:24 | the result's address in the arena, in lines:40. */
enum { LAP_BITS = 24, LINE = 64 };
#define LAP_MASK ((1u << LAP_BITS) - 1)

static uint32_t log_lap(uint64_t number) {
    return (uint32_t)(number / COHORT__ENDED_LOG + 1) & LAP_MASK;
}

static _Atomic uint64_t *entry_of(uint64_t number) {
    return &cohort__arena->ended[number % COHORT__ENDED_LOG];
}

static void write_log(uint64_t number, const cohort_result_t *result) {
    uint64_t line = (uint64_t)((const char *)result - (const char *)cohort__arena) / LINE;
    atomic_store(entry_of(number), line << LAP_BITS | log_lap(number));
}

static uint64_t followed_until(uint64_t number) { return (number + 1) << 1 | FOLLOWED; }

void cohort__completed_note(cohort_result_t *result) {
    uint64_t number = atomic_fetch_add(&cohort__arena->ended_next, 1);
    atomic_store(&result->followed, followed_until(number));
    write_log(number, result);
}

void cohort__completed_gone(const cohort_result_t *result) {
    write_log(atomic_fetch_add(&cohort__arena->ended_next, 1), result);
}

typedef enum { READ_ONE, READ_NOTHING, READ_TOO_LATE } read_t;

static read_t read_log(uint64_t number, cohort_result_t **result) {
    uint64_t entry = atomic_load(entry_of(number));
    uint32_t ahead = ((uint32_t)entry - log_lap(number)) & LAP_MASK;
    *result = (cohort_result_t *)((char *)cohort__arena + (entry >> LAP_BITS) * LINE);
    return !ahead ? READ_ONE : ahead < LAP_MASK / 2 ? READ_TOO_LATE : READ_NOTHING;
}

/* ---- items ---------------------------------------------------------------------------------- */

static item_t *new_item(cohort_completed_t *c) {
    item_t *item = c->unused;
    if (!item) return apr_palloc(c->pool, sizeof *item);
    c->unused = item->next;
    return item;
}

static void give_item(cohort_completed_t *c, item_t *item) {
    apr_hash_set(c->by_address, &item->result, sizeof item->result, NULL);
    item->previous->next = item->next;
    item->next->previous = item->previous;
    c->count--;
    item->next = NULL;
    *c->last = item;
    c->last = &item->next;
}

/* It has ended as the life that is meant, or is gone. */
static bool item_has_ended(cohort_completed_t *c, const item_t *item, bool thorough) {
    const cohort__call_t use = {c->me, &item->result->object, item->life};
    return (thorough ? cohort__result_mend(&use) : cohort__result_try(&use, false)) != APR_EAGAIN;
}

/* ---- looking -------------------------------------------------------------------------------- */

/* What is in the log. An entry that is not there yet is waited for, since a notification follows
 * it, unless the thread that has the number does not come to it. */
static void read_on(cohort_completed_t *c, bool thorough) {
    cohort_result_t *result;
    uint64_t next = atomic_load(&cohort__arena->ended_next);
    for (; c->at < next && !c->behind; c->at++) {
        read_t read = read_log(c->at, &result);
        if (read == READ_NOTHING && !thorough) return;
        c->behind = read != READ_ONE;
        if (c->behind) continue;
        item_t *item = apr_hash_get(c->by_address, &result, sizeof result);
        if (item && item_has_ended(c, item, false)) give_item(c, item);
    }
}

#define DESTROYED UINT64_MAX /* what is there is another's number, or none: it comes last */

/* The thread that ended it has not come to its number, or has died before: it is noted here, and is
 * found in the log like what ends now. */
static void note_late(cohort_completed_t *c, const item_t *item) {
    const cohort__call_t use = {c->me, &item->result->object, item->life};
    if (!cohort__result_look(&use)) return;
    if (atomic_load(&item->result->followed) == FOLLOWED) cohort__completed_note(item->result);
    cohort__result_look_end(&use);
}

static uint64_t end_number_of(cohort_completed_t *c, const item_t *item) {
    if (atomic_load(&item->result->followed) == FOLLOWED) note_late(c, item);
    uint64_t number = (atomic_load(&item->result->followed) >> 1) - 1; /* none: of another life */
    return atomic_load(&item->result->object.tag) == item->life ? number : DESTROYED;
}

typedef struct {
    item_t *item;
    uint64_t number;
} found_t;

static int by_number(const void *a, const void *b) {
    const found_t *left = a, *right = b;
    if (left->number != right->number) return left->number < right->number ? -1 : 1;
    return left->item->index < right->item->index ? -1 : left->item->index > right->item->index;
}

/* What ends during the look is left to the log, from c->at on: what ended before it may have been
 * passed by when it had not ended yet. Workers are looked after once for each pool, as far as
 * results of one follow each other. */
static apr_size_t look_for_ended(cohort_completed_t *c, found_t *found) {
    apr_size_t count = 0;
    const cohort_pool_t *before = NULL;
    for (item_t *item = c->waiting.next; item != &c->waiting; item = item->next) {
        const cohort__call_t use = {c->me, &item->result->object, item->life};
        cohort_pool_t *pool = atomic_load(&item->result->pool);
        bool ended = item_has_ended(c, item, true);
        if (!ended && pool != before) ended = cohort__result_try(&use, true) != APR_EAGAIN;
        uint64_t number = ended ? end_number_of(c, item) : c->at;
        if (number < c->at || number == DESTROYED) found[count++] = (found_t){item, number};
        before = pool;
    }
    return count;
}

/* Of what is found the numbers are older than what the log says from here on; what is not found is
 * noted there later. */
static void look_at_list(cohort_completed_t *c) {
    found_t *found = malloc((c->count ? c->count : 1) * sizeof *found);
    if (!found) return; /* it is looked at again */
    c->deaths = atomic_load(&cohort__arena->death);
    c->looked = cohort_os_now();
    c->at = atomic_load(&cohort__arena->ended_next);
    c->behind = false;
    apr_size_t count = look_for_ended(c, found);
    if (count) qsort(found, count, sizeof *found, by_number);
    for (apr_size_t i = 0; i < count; i++) give_item(c, found[i].item);
    free(found);
}

static bool is_list_due(const cohort_completed_t *c) {
    return c->behind || c->deaths != atomic_load(&cohort__arena->death) ||
           cohort_os_now() - c->looked >= LOOK_NS;
}

/* What the look has left to the log may be there already, and nothing else tells of it. */
static void look_anew(cohort_completed_t *c) {
    look_at_list(c);
    if (!c->ended) read_on(c, false);
}

static apr_status_t try_completed(void *arg, bool thorough) {
    cohort_completed_t *c = arg;
    if (!c->ended) read_on(c, thorough);
    if (!c->ended && (c->behind || (thorough && is_list_due(c)))) look_anew(c);
    return c->ended ? APR_SUCCESS : APR_EAGAIN;
}

/* ---- the calls ------------------------------------------------------------------------------ */

/* The life that is waited for; another one at that address has ended. True: it is this one. */
static bool is_waited_for(cohort_completed_t *c, const cohort__call_t *use) {
    cohort_result_t *result = (cohort_result_t *)use->object;
    item_t *item = apr_hash_get(c->by_address, &result, sizeof result);
    if (item && item->life != use->life) give_item(c, item);
    return item && item->life == use->life;
}

static void follow(cohort_completed_t *c, const cohort__call_t *use) {
    item_t *item = new_item(c);
    uint64_t none = 0;
    *item = (item_t){.next = &c->waiting,
                     .previous = c->waiting.previous,
                     .result = (cohort_result_t *)use->object,
                     .life = use->life,
                     .index = c->added++};
    item->previous->next = c->waiting.previous = item;
    apr_hash_set(c->by_address, &item->result, sizeof item->result, item);
    c->count++;
    atomic_compare_exchange_strong(&item->result->followed, &none, FOLLOWED);
    if (item_has_ended(c, item, false)) give_item(c, item);
}

static apr_status_t completed_add(cohort_completed_t *c, cohort_result_t *result) {
    cohort__call_t use;
    apr_status_t status = cohort__result_use(&use, result);
    if (status) return status;
    c->me = use.me;
    if (is_waited_for(c, &use)) return APR_SUCCESS;
    if (!cohort__result_look(&use)) return COHORT_EHANDLE;
    follow(c, &use);
    cohort__result_look_end(&use);
    return APR_SUCCESS;
}

apr_status_t cohort_completed_add(cohort_completed_t *completed, cohort_result_t *result) {
    return COHORT__CALL_ANEW(completed ? completed_add(completed, result)
                                       : cohort__null("completed"));
}

static cohort_completed_t *new_completed(cohort__thread_t *me, apr_pool_t *pool) {
    cohort_completed_t *c = apr_pcalloc(pool, sizeof *c);
    c->pool = pool;
    c->me = me;
    c->by_address = apr_hash_make(pool);
    c->waiting.next = c->waiting.previous = &c->waiting;
    c->last = &c->ended;
    c->at = atomic_load(&cohort__arena->ended_next);
    return c;
}

static apr_status_t completed_create(cohort_completed_t **completed,
                                     cohort_result_t *const *results, apr_size_t n,
                                     apr_pool_t *pool) {
    cohort__thread_t *me;
    if (!completed || !pool) return cohort__null(completed ? "pool" : "completed");
    if (n && !results) return cohort__null("results");
    apr_status_t status = cohort__enter(&me);
    if (status) return status;
    cohort_completed_t *c = new_completed(me, pool);
    for (apr_size_t i = 0; i < n && !status; i++) {
        status = completed_add(c, results[i]);
        if (status) status = cohort__explain(status, "results[%lu]", (unsigned long)i);
    }
    if (!status) *completed = c;
    return status;
}

apr_status_t cohort_completed_create(cohort_completed_t **completed,
                                     cohort_result_t *const *results, apr_size_t n,
                                     apr_pool_t *pool) {
    return COHORT__CALL_ANEW(completed_create(completed, results, n, pool));
}

static item_t *take_ended(cohort_completed_t *c) {
    item_t *item = c->ended;
    c->ended = item->next;
    if (!c->ended) c->last = &c->ended;
    item->next = c->unused;
    c->unused = item;
    return item;
}

static apr_status_t completed_next(cohort_completed_t *c, cohort_result_t **result,
                                   apr_size_t *index, apr_interval_time_t timeout) {
    apr_status_t status = cohort__enter(&c->me);
    if (!status && !c->ended && !c->count) return APR_EOF;
    if (!status)
        status =
            cohort__await(&cohort__arena->completed, try_completed, c, cohort__deadline(timeout));
    if (status) return status;
    const item_t *item = take_ended(c);
    if (result) *result = item->result;
    if (index) *index = item->index;
    return APR_SUCCESS;
}

apr_status_t cohort_completed_next(cohort_completed_t *completed, cohort_result_t **result,
                                   apr_size_t *index, apr_interval_time_t timeout) {
    return COHORT__CALL_ANEW(completed ? completed_next(completed, result, index, timeout)
                                       : cohort__null("completed"));
}
