/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Imaps: made, read, waited for, destroyed. pool_imap.h says how they work. */
#include "core/base/bits.h"
#include "core/pool/pool_imap.h"

#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(cohort_imap_t) <= COHORT__OBJECT_SIZE_MAX, "an imap fits its block");

static apr_status_t imap_use(cohort__call_t *use, cohort_imap_t *imap) {
    return cohort__call_begin(use, imap, COHORT__KIND_IMAP, COHORT__IMAP_TAG);
}

static cohort_imap_t *imap_of(const cohort__call_t *call) { return (cohort_imap_t *)call->object; }

bool cohort__imap_enter(const cohort__call_t *call) {
    cohort_imap_t *imap = imap_of(call);
    cohort__guard_enter(&imap->guard, call->me);
    if (!cohort__call_over(call)) return true;
    cohort__guard_leave(&imap->guard);
    return false;
}

static void leave_imap(const cohort__call_t *call) { cohort__guard_leave(&imap_of(call)->guard); }

/* ---- finding an item ------------------------------------------------------------------------ */

typedef struct {
    uint64_t number; /* of its portion */
    unsigned at;     /* its place there */
    cohort_item_t item;
} found_t;

static bool is_item_over(const cohort_item_t *item) {
    return item->state != COHORT_ITEM_QUEUED && item->state != COHORT_ITEM_RUNNING;
}

/* Guard. Is this item of the portion over? */
static bool look_at_item(cohort_imap_t *imap, uint64_t number, unsigned at, found_t *found) {
    cohort__portion_t *portion = cohort__imap_portion(imap, number);
    cohort_result_t *job = cohort__portion_job(portion);
    if (cohort__backend_of_job(job)->item(job, at, &found->item) || !is_item_over(&found->item))
        return false;
    found->number = number;
    found->at = at;
    found->item.index = (apr_size_t)(cohort__portion_first(portion) + at);
    return true;
}

static unsigned lowest_zero(uint64_t bits) {
    return ~bits ? (unsigned)cohort__lowest_bit(~bits) : COHORT__PORTION_MAX;
}

/* Guard. In an ordered imap the next one; in another any. */
static bool find_item(cohort_imap_t *imap, found_t *found) {
    uint64_t head = atomic_load(&imap->head), tail = atomic_load(&imap->tail);
    for (uint64_t number = head; number != tail; number++) {
        cohort__portion_t *portion = cohort__imap_portion(imap, number);
        uint64_t got = atomic_load(&portion->got);
        unsigned count = cohort__portion_count(portion), at = lowest_zero(got);
        if (!imap->unordered) return look_at_item(imap, number, at, found);
        for (; at < count; at++) {
            if (!(got >> at & 1) && look_at_item(imap, number, at, found)) return true;
        }
    }
    return false;
}

/* Guard. There is no item that is over: is that the end? A status that a reader gets once is the
 * end of the input from then on. */
static apr_status_t find_imap_end(cohort_imap_t *imap) {
    uint64_t end = atomic_load(&imap->end);
    if (!end || atomic_load(&imap->head) != atomic_load(&imap->tail)) return APR_EAGAIN;
    apr_status_t status = cohort__imap_end_status(end);
    if (status == APR_EOF) return cohort__fail(status, "every item of the input was got");
    if (status != COHORT_EOWNERDEAD)
        cohort__guard_set(&imap->guard, &imap->end, cohort__imap_end(APR_EOF));
    return status;
}

/* ---- the portion that left ------------------------------------------------------------------ */

/* Guard. The last portion that left the ring, if its job was not dropped yet. That it was is noted,
 * since its block may be a job again, which workers write to. */
static bool is_leaving(cohort_imap_t *imap, cohort__call_t *portion) {
    uint64_t job = atomic_load(&imap->leaving_job);
    if (!job) return false;
    portion->object = (cohort__object_t *)(uintptr_t)job;
    portion->life = atomic_load(&imap->leaving_life);
    if (!cohort__call_over(portion)) return true;
    atomic_store_explicit(&imap->leaving_job, 0, memory_order_relaxed);
    return false;
}

/* Enter the guard with no portion leaving. */
static bool enter_settled(const cohort__call_t *call) {
    cohort__call_t portion = {.me = call->me};
    while (cohort__imap_enter(call)) {
        if (!is_leaving(imap_of(call), &portion)) return true;
        leave_imap(call);
        (void)cohort__result_drop(&portion);
    }
    return false;
}

/* Guard. All its items were got. In the place of one that is not the first comes the first, so that
 * an item that takes long holds up no place but its own portion's. */
static void take_out_portion(cohort_imap_t *imap, uint64_t number) {
    cohort__guard_t *guard = &imap->guard;
    uint64_t head = atomic_load(&imap->head);
    cohort__portion_t *portion = cohort__imap_portion(imap, number),
                      *first = cohort__imap_portion(imap, head);
    cohort__guard_set(guard, &imap->leaving_job, atomic_load(&portion->job));
    cohort__guard_set(guard, &imap->leaving_life, atomic_load(&portion->life));
    if (atomic_load(&portion->bytes))
        cohort__guard_set(guard, &imap->bytes,
                          atomic_load(&imap->bytes) - atomic_load(&portion->bytes));
    if (portion != first) {
        cohort__guard_set(guard, &portion->job, atomic_load(&first->job));
        cohort__guard_set(guard, &portion->life, atomic_load(&first->life));
        cohort__guard_set(guard, &portion->place, atomic_load(&first->place));
        cohort__guard_set(guard, &portion->got, atomic_load(&first->got));
        cohort__guard_set(guard, &portion->bytes, atomic_load(&first->bytes));
    }
    cohort__guard_set(guard, &imap->head, head + 1);
}

/* Guard. From here on the item is the caller's. True: its portion has left the ring with that. */
static bool mark_got(cohort_imap_t *imap, const found_t *found) {
    cohort__portion_t *portion = cohort__imap_portion(imap, found->number);
    uint64_t got = atomic_load(&portion->got) | (uint64_t)1 << found->at;
    cohort__guard_set(&imap->guard, &portion->got, got);
    cohort__guard_set(&imap->guard, &imap->out, atomic_load(&imap->out) + 1);
    if (lowest_zero(got) != cohort__portion_count(portion)) return false;
    take_out_portion(imap, found->number);
    return true;
}

/* ---- handing it over ------------------------------------------------------------------------ */

/* The block that the item has from the call before, if that will do; else a new one, which the
 * thread's in-flight pointer owns. */
static apr_status_t find_room(cohort__thread_t *me, const cohort_item_t *item, apr_size_t size,
                              void **room) {
    *room = item->data;
    if (item->capacity) {
        if (item->capacity >= size) return APR_SUCCESS;
        return cohort__fail(COHORT_ETOOSMALL, "the item has room for %lu bytes, and %lu are needed",
                            (unsigned long)item->capacity, (unsigned long)size);
    }
    if (item->data && cohort__block_size(item->data) >= size) return APR_SUCCESS;
    cohort__owner_ptr_t *making = &me->in_flight[COHORT__IN_FLIGHT_MESSAGE];
    apr_status_t status = cohort__block_new(me, COHORT__KIND_BYTES, size, making);
    if (!status) *room = atomic_load(making);
    return status;
}

/* Guard. */
static apr_status_t copy_output(cohort__thread_t *me, cohort_item_t *item,
                                const cohort_item_t *found) {
    void *room;
    if (!found->size) return APR_SUCCESS;
    apr_status_t status = find_room(me, item, found->size, &room);
    if (status == COHORT_ETOOSMALL) item->size = found->size;
    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): an output has a size and a place */
    if (!status) memcpy(room, found->data, found->size);
    return status;
}

/* Without the guard: a new block takes the place of the one before. */
static void fill_item(cohort__thread_t *me, cohort_item_t *item, const cohort_item_t *found) {
    cohort__owner_ptr_t *made = &me->in_flight[COHORT__IN_FLIGHT_MESSAGE];
    void *data = item->data;
    apr_size_t capacity = item->capacity;
    if (atomic_load_explicit(made, memory_order_relaxed)) {
        if (data) (void)cohort__block_release(me, data);
        data = cohort__block_give(made);
    }
    *item = *found;
    item->data = data;
    item->capacity = capacity;
}

/* Guard. The sentence for the thread's last error, though a call that gets an item succeeds. */
static COHORT__APART void explain_item(cohort_imap_t *imap, const found_t *found) {
    const cohort_result_t *job = cohort__portion_job(cohort__imap_portion(imap, found->number));
    const cohort__backend_t *backend = cohort__backend_of_job(job);
    const cohort_item_t *item = &found->item;
    cohort__failure_t *at = NULL;
    uint64_t chain = 0;
    while ((at = backend->next_failure(job, at, &chain)) != NULL && at->index != found->at)
        continue;
    if (at)
        (void)cohort__fail(item->status, "item %lu, run by %s: %s", (unsigned long)item->index,
                           at->worker, at->message);
    else (void)cohort__fail(item->status, "item %lu", (unsigned long)item->index);
}

/* ---- next ----------------------------------------------------------------------------------- */

typedef struct {
    cohort__call_t call;
    cohort_item_t *item;
    bool waits;
} next_t;

/* Without the guard. Another reader may wait for what only this change brought: the end. */
static void told_of_item(const cohort__call_t *call, uint64_t under_way, bool last) {
    cohort_imap_t *imap = imap_of(call);
    if (last) cohort__imap_news(imap);
    bool room = imap->window - under_way >= atomic_load(&imap->wanted);
    /* a feeder of an earlier imap at this place may have said what it wants */
    if ((room || !under_way) &&
        (!imap->window_bytes || atomic_load(&imap->bytes) < imap->window_bytes))
        cohort__notify(&cohort__arena->completed, COHORT__ALL);
}

/* Guard. The item is the caller's already, so that another reader, after the death of this one,
 * does not find it without its output; what is not moved then goes with its portion. */
static void move_output(cohort_imap_t *imap, const cohort__call_t *portion, unsigned at) {
    cohort_result_t *job = (cohort_result_t *)portion->object;
    uint64_t size;
    cohort__guard_commit(&imap->guard);
    (void)cohort__backend_of_job(job)->take(atomic_load(&job->pool), portion, at,
                                            &portion->me->in_flight[COHORT__IN_FLIGHT_MESSAGE],
                                            &size);
}

static cohort__call_t portion_of(const cohort__call_t *call, uint64_t number) {
    cohort__portion_t *portion = cohort__imap_portion(imap_of(call), number);
    return (cohort__call_t){call->me, &cohort__portion_job(portion)->object,
                            atomic_load(&portion->life)};
}

static apr_status_t get_item(const next_t *next, const found_t *found) {
    cohort_imap_t *imap = imap_of(&next->call);
    const cohort__call_t portion = portion_of(&next->call, found->number);
    bool moves = imap->gives && !next->item->capacity && found->item.data;
    apr_status_t status = moves ? APR_SUCCESS : copy_output(portion.me, next->item, &found->item);
    if (!status && found->item.status) explain_item(imap, found);
    bool leaves = !status && mark_got(imap, found);
    if (moves) move_output(imap, &portion, found->at);
    uint64_t under_way = atomic_load(&imap->in) - atomic_load(&imap->out);
    bool last = atomic_load(&imap->end) && !under_way;
    if (atomic_load(&imap->barren) != UINT64_MAX) atomic_store(&imap->barren, UINT64_MAX);
    leave_imap(&next->call);
    if (status) return status;
    fill_item(portion.me, next->item, &found->item);
    if (leaves) (void)cohort__result_drop(&portion);
    told_of_item(&next->call, under_way, last);
    return APR_SUCCESS;
}

static apr_status_t take_next(const next_t *next) {
    cohort_imap_t *imap = imap_of(&next->call);
    found_t found;
    if (!enter_settled(&next->call)) return COHORT_EHANDLE;
    if (find_item(imap, &found)) return get_item(next, &found);
    uint64_t news = atomic_load(&imap->news); /* of which workers write the line */
    if (find_item(imap, &found)) return get_item(next, &found);
    apr_status_t status = find_imap_end(imap);
    /* nothing is under way, and this thread is the one that feeds */
    bool stuck = status == APR_EAGAIN && next->waits && cohort__in_callback() &&
                 imap->maker == cohort__self_id() &&
                 atomic_load(&imap->head) == atomic_load(&imap->tail);
    if (status == APR_EAGAIN) atomic_store(&imap->barren, news);
    leave_imap(&next->call);
    return stuck ? COHORT_ENOWAIT : status;
}

/* The process that ended the pool ends its jobs too, unless it dies over that. */
static void end_with_its_pool(const cohort__call_t *call) {
    cohort_imap_t *imap = imap_of(call);
    if (!cohort__imap_enter(call)) return;
    for (uint64_t at = atomic_load(&imap->head); at != atomic_load(&imap->tail); at++) {
        cohort_result_t *job = cohort__portion_job(cohort__imap_portion(imap, at));
        const cohort_pool_t *pool = atomic_load(&job->pool);
        if (!cohort__result_is_over(job) && atomic_load(&pool->state) == COHORT__POOL_ENDED)
            cohort__backend_of_job(job)->abandon(job, COHORT_ETERMINATED);
    }
    leave_imap(call);
}

static void look_around_imap(const cohort__call_t *call) {
    cohort_imap_t *imap = imap_of(call);
    cohort_pool_t *pool = imap->pool;
    const cohort__call_t its_pool = {call->me, &pool->object, imap->pool_tag};
    if (!cohort__process_alive(imap->maker, true) && cohort__imap_finish(call, COHORT_EOWNERDEAD))
        cohort__imap_sweep(&its_pool);
    end_with_its_pool(call);
    /* if that is another pool by now, it is looked after for once */
    cohort__pool_look(pool, call->me, true);
}

static bool is_barren(const cohort__call_t *call) {
    cohort_imap_t *imap = imap_of(call);
    uint64_t barren = atomic_load(&imap->barren);
    return barren != UINT64_MAX && barren == atomic_load(&imap->news);
}

static apr_status_t try_item(void *arg, bool thorough) {
    const next_t *next = arg;
    if (cohort__call_over(&next->call)) return COHORT_EHANDLE;
    if (!thorough && is_barren(&next->call)) return APR_EAGAIN;
    apr_status_t status = take_next(next);
    if (status != APR_EAGAIN || !thorough) return status;
    look_around_imap(&next->call);
    return take_next(next);
}

/* While items are under way the workers need the CPUs. */
static apr_status_t await_next(next_t *next, int64_t deadline) {
    cohort_imap_t *imap = imap_of(&next->call);
    cohort__pace_t pace = cohort__pace_brisk;
    pace.gives = atomic_load(&imap->in) - atomic_load(&imap->out) > 1;
    return cohort__await_paced(&imap->changed, try_item, next, deadline, pace);
}

static apr_status_t check_item(const cohort_item_t *item) {
    if (!item) return cohort__null("item");
    if (item->capacity && !item->data) return cohort__null("item.data");
    if (!item->capacity && item->data && !cohort__block_is(item->data, COHORT__KIND_BYTES))
        return cohort__fail(COHORT_EFREE, "item.data, with a capacity of 0");
    return APR_SUCCESS;
}

static apr_status_t imap_next(cohort_imap_t *imap, cohort_item_t *item,
                              apr_interval_time_t timeout) {
    next_t next = {.item = item, .waits = timeout > 0};
    apr_status_t status = imap_use(&next.call, imap);
    if (!status) status = check_item(item);
    if (status) return status;
    status = try_item(&next, false);
    return status == APR_EAGAIN ? await_next(&next, cohort__deadline(timeout)) : status;
}

apr_status_t cohort_imap_next(cohort_imap_t *imap, cohort_item_t *item,
                              apr_interval_time_t timeout) {
    apr_status_t status = COHORT__CALL_ANEW(imap_next(imap, item, timeout));
    if (!status && item->status) (void)COHORT__CALL(item->status);
    return status;
}

static apr_status_t item_release(cohort_item_t *item) {
    cohort__thread_t *me;
    if (!item) return APR_SUCCESS;
    apr_status_t status = cohort__enter(&me);
    if (!status && !item->capacity && item->data) status = cohort__block_release(me, item->data);
    if (status) return status;
    *item = (cohort_item_t){.data = item->capacity ? item->data : NULL, .capacity = item->capacity};
    return APR_SUCCESS;
}

apr_status_t cohort_item_release(cohort_item_t *item) {
    return COHORT__CALL_ANEW(item_release(item));
}

/* ---- waiting with other things -------------------------------------------------------------- */

/* Is there an item, or the end? */
static bool has_next(const cohort__call_t *call) {
    cohort_imap_t *imap = imap_of(call);
    found_t found;
    if (!cohort__imap_enter(call)) return true;
    uint64_t news = atomic_load(&imap->news);
    bool over = atomic_load(&imap->end) && atomic_load(&imap->head) == atomic_load(&imap->tail);
    bool has = find_item(imap, &found) || over;
    if (!has) atomic_store(&imap->barren, news);
    leave_imap(call);
    return has;
}

unsigned cohort__imap_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough) {
    const cohort__call_t call = {aim->me, aim->handle, aim->life};
    if (cohort__call_over(&call)) return wanted;
    if (!thorough && is_barren(&call)) return 0;
    if (has_next(&call)) return wanted;
    if (!thorough) return 0;
    look_around_imap(&call);
    return has_next(&call) ? wanted : 0;
}

cohort__eventcount_t *cohort__imap_event(const cohort__aim_t *aim, unsigned wanted, int i) {
    (void)wanted;
    return i == 0 ? &((cohort_imap_t *)aim->handle)->changed : NULL;
}

void cohort__imap_describe(const cohort__aim_t *aim, char *text, size_t size) {
    cohort_imap_t *imap = aim->handle;
    uint64_t in = atomic_load(&imap->in), out = atomic_load(&imap->out);
    snprintf(text, size, "an imap with %lu item%s under way", (unsigned long)(in - out),
             in - out == 1 ? "" : "s");
}

/* ---- the end -------------------------------------------------------------------------------- */

bool cohort__imap_finish(const cohort__call_t *call, apr_status_t status) {
    cohort_imap_t *imap = imap_of(call);
    if (!cohort__imap_enter(call)) return false;
    bool first = !atomic_load(&imap->end);
    if (first) cohort__guard_set(&imap->guard, &imap->end, cohort__imap_end(status));
    leave_imap(call);
    cohort__imap_news(imap);
    return first;
}

/* Should this thread die before, an idle worker does it. */
void cohort__imap_sweep(const cohort__call_t *call) {
    cohort_pool_t *pool = (cohort_pool_t *)call->object;
    uint32_t generation = cohort__tag_generation(call->life);
    cohort__pool_enter(pool, call->me);
    uint64_t tag = atomic_load(&pool->object.tag);
    uint32_t type = cohort__tag_type(tag);
    bool there = cohort__tag_generation(tag) == generation &&
                 (type == COHORT__POOL_TAG || type == COHORT__POOL_TAG_RETIRED);
    if (!there) {
        cohort__pool_leave(pool);
        return;
    }
    cohort__backend_of(pool)->lost_makers(pool, call->me);
    cohort__pool_leave_last(pool, call->me);
}

static void end_imap(const cohort__call_t *use) {
    cohort_imap_t *imap = imap_of(use);
    if (!cohort__imap_enter(use)) return;
    const cohort__call_t pool = {use->me, &imap->pool->object, imap->pool_tag};
    bool ended = cohort__object_claim(use->me, imap, COHORT__IMAP_TAG);
    leave_imap(use);
    if (!ended) return;
    cohort__notify(&imap->changed, COHORT__ALL);
    cohort__notify(&cohort__arena->completed, COHORT__ALL);
    cohort__object_free(use->me, imap);
    cohort__imap_sweep(&pool);
}

/* The source may still be under way in an imap that was destroyed before. */
static apr_status_t imap_destroy(cohort_imap_t *imap) {
    cohort__call_t use;
    if (!imap) return APR_SUCCESS;
    apr_status_t status = imap_use(&use, imap);
    if (!status) cohort__progress_last(use.object);
    if (!status) end_imap(&use);
    else if (status != COHORT_EHANDLE || !cohort__object_place(imap, COHORT__KIND_IMAP))
        return status;
    cohort__feed_await_end(imap);
    return APR_SUCCESS;
}

apr_status_t cohort_imap_destroy(cohort_imap_t *imap) {
    return COHORT__CALL_ANEW(imap_destroy(imap));
}
