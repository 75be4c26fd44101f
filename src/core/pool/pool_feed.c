/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Feeding imaps, in the process that made them. One thread does it, the one that calls callbacks:
 * it takes inputs from the source as long as there is room in the window, makes a portion of them,
 * submits that to the pool and hangs it into the imap's ring.
 *
 * Small portions reach idle workers sooner, large ones cost less for each item. So an imap begins
 * with portions of one item, and doubles them as long as the source is quick; a portion for which
 * the source takes long goes out as it is. The next one is fed when there is room for all of it, or
 * for half the window: the workers have the other half meanwhile. Likewise its chunks are of one
 * item until it shows that an item takes little more than a chunk costs.
 */
#include "core/pool/pool_imap.h"

#include <stdlib.h>
#include <string.h>

#define QUICK    INT64_C(50000) /* nanoseconds that a portion may take to fill */
#define LOOK     8              /* items after which the clock is looked at; the first, each */
#define SHORT    INT64_C(5000)  /* nanoseconds: tasks that are shorter go by several */
#define PATIENCE 500000         /* microseconds that the end of a process waits for a source */

struct cohort__feed_t {
    cohort__feed_t *next;
    cohort__call_t imap, pool; /* the thread that feeds is `me` of both while it does */
    cohort_job_t order;        /* of each portion, but for its inputs */
    cohort_source_t source;
    void *arg;
    const char *array;    /* instead of a source */
    uint64_t left;        /* in the array */
    uint64_t index;       /* of the next item */
    uint64_t portion;     /* items in the next portion */
    uint64_t portion_max; /* and in any */
    uint64_t half;        /* of the window; one at least */
    int64_t begun;        /* when the last portion was */
    int64_t pace;         /* nanoseconds that an item takes, about */
    uint64_t last;        /* items in that portion */
    uint64_t at_once;     /* items in a chunk, as the order says; 0: as the pace does */
    void *copies;         /* of what does not lie in the arena */
    void *elements;       /* likewise, of an array of them that have a size each */
    char *data;           /* copies of such inputs that the source has made */
    uint64_t copied;      /* bytes there */
    uint64_t bytes;       /* of such inputs of the portion */
    char *staged;         /* inputs of the portion in the making, aligned to 64 bytes */
    void *room;           /* where they lie */
};

static cohort_os_mutex_t feeds_mutex;
static cohort__feed_t *first_feed;
static cohort__feed_t *due; /* at hand in the thread that feeds */
static bool stopping;
/* the membership that all this belongs to, as that of callbacks */
static _Atomic uint32_t feeds_owner;

static void lock_feeds(void) {
    if (cohort__membership_is_new(&feeds_owner)) {
        cohort_os_mutex_reset(&feeds_mutex);
        first_feed = due = NULL;
        stopping = false;
        atomic_store(&feeds_owner, cohort__membership());
    }
    cohort_os_mutex_lock(&feeds_mutex);
}

static void unlock_feeds(void) { cohort_os_mutex_unlock(&feeds_mutex); }

static cohort_imap_t *imap_fed(const cohort__feed_t *feed) {
    return (cohort_imap_t *)feed->imap.object;
}

static uint64_t aligned_input(uint64_t size) { return (size + 63) & ~(uint64_t)63; }

static bool is_copied(const void *data, uint64_t size) {
    return data && size && !cohort__in_arena(data, (size_t)size);
}

/* ---- inputs that have a size each ------------------------------------------------------------ */

#define LARGE  16384 /* an input of so many bytes is the last of its portion */
#define COPIES 65536 /* bytes of the inputs before it */

static bool has_sizes(const cohort__feed_t *feed) {
    return feed->order.input_size >= COHORT_STRINGS;
}

/* Bytes from one element to the next. */
static uint64_t stride_of(const cohort__feed_t *feed) {
    if (feed->order.input_size == COHORT_BYTES) return sizeof(cohort_bytes_t);
    return has_sizes(feed) ? sizeof(const char *) : feed->order.input_size;
}

/* A string with its zero. */
static cohort_bytes_t data_of(const cohort__feed_t *feed, const char *element) {
    /* NOLINTBEGIN(clang-analyzer-core.NullDereference): there is one where sizes are */
    if (feed->order.input_size == COHORT_BYTES)
        return *(const cohort_bytes_t *)(const void *)element;
    char *text = *(char *const *)(const void *)element;
    /* NOLINTEND(clang-analyzer-core.NullDereference) */
    return (cohort_bytes_t){text, text ? strlen(text) + 1 : 0};
}

static void set_data(const cohort__feed_t *feed, char *element, char *data) {
    if (feed->order.input_size == COHORT_BYTES) ((cohort_bytes_t *)(void *)element)->data = data;
    else *(char **)(void *)element = data;
}

static uint64_t copied_size(const cohort__feed_t *feed, const char *element) {
    const cohort_bytes_t data = data_of(feed, element);
    return is_copied(data.data, data.size) ? data.size : 0;
}

/* An input that the source has just made, which it may overwrite with the next. True: the portion
 * goes out first. */
static bool keep_data(cohort__feed_t *feed, char *element) {
    uint64_t size = copied_size(feed, element);
    feed->bytes += data_of(feed, element).size;
    if (size >= LARGE || size > COPIES - feed->copied) return true;
    if (!size) return false;
    char *to = feed->data + feed->copied;
    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): it has a size */
    memcpy(to, data_of(feed, element).data, (size_t)size);
    set_data(feed, element, to);
    feed->copied += aligned_input(size);
    return feed->copied >= COPIES;
}

/* The elements of an array, and what they point at outside the arena. */
static apr_status_t copy_elements(cohort__feed_t *feed) {
    cohort_job_t *order = &feed->order;
    uint64_t stride = stride_of(feed), size = order->n * stride;
    const char *from = order->inputs;
    for (uint64_t i = 0; i < order->n; i++) size += copied_size(feed, from + i * stride);
    if (!size) return APR_SUCCESS;
    char *copy = feed->elements = malloc((size_t)size), *end = copy + order->n * stride;
    if (!copy) return cohort__fail(APR_ENOMEM, "copying the inputs of an imap");
    memcpy(copy, from, (size_t)(order->n * stride));
    for (uint64_t i = 0; i < order->n; i++) {
        uint64_t copied = copied_size(feed, from + i * stride);
        if (!copied) continue;
        memcpy(end, data_of(feed, from + i * stride).data, (size_t)copied);
        set_data(feed, copy + i * stride, end);
        end += copied;
    }
    order->inputs = copy;
    return APR_SUCCESS;
}

/* ---- making --------------------------------------------------------------------------------- */

static apr_status_t make_feed_room(cohort__feed_t *feed) {
    uint64_t staged = aligned_input(feed->portion_max * stride_of(feed)),
             data = has_sizes(feed) ? COPIES : 0;
    if (!feed->source || !staged) return APR_SUCCESS;
    feed->room = malloc((size_t)(staged + data) + 63);
    if (!feed->room) return cohort__fail(APR_ENOMEM, "room for inputs of an imap");
    feed->staged = (char *)(uintptr_t)aligned_input((uintptr_t)feed->room);
    feed->data = feed->staged + staged;
    return APR_SUCCESS;
}

/* The user need not keep the job: what lies in its own memory is copied. */
static apr_status_t copy_order(cohort__feed_t *feed) {
    cohort_job_t *order = &feed->order;
    uint64_t size = has_sizes(feed) ? 0 : order->n * order->input_size;
    uint64_t inputs = is_copied(order->inputs, size) ? aligned_input(size) : 0;
    uint64_t context = is_copied(order->context, order->context_size) ? order->context_size : 0;
    if (inputs + context && !(feed->copies = malloc((size_t)(inputs + context))))
        return cohort__fail(APR_ENOMEM, "copying the inputs of an imap");
    /* NOLINTBEGIN(clang-analyzer-core.NonNullParamChecker): there is room for what has a size */
    if (inputs) order->inputs = memcpy(feed->copies, order->inputs, (size_t)size);
    if (context)
        order->context = memcpy((char *)feed->copies + inputs, order->context, order->context_size);
    /* NOLINTEND(clang-analyzer-core.NonNullParamChecker) */
    return has_sizes(feed) && !feed->source ? copy_elements(feed) : make_feed_room(feed);
}

static void free_feed(cohort__feed_t *feed) {
    free(feed->copies);
    free(feed->elements);
    free(feed->room);
    free(feed);
}

apr_status_t cohort__feed_make(cohort__feed_t **made, const cohort__call_t *pool,
                               const cohort_job_t *order, const cohort_imap_options_t *options,
                               uint64_t window) {
    cohort__feed_t *feed = calloc(1, sizeof *feed);
    if (!feed) return cohort__fail(APR_ENOMEM, "an imap");
    feed->pool = *pool;
    feed->order = *order;
    feed->source = options->source;
    feed->arg = options->source_arg;
    feed->portion = 1;
    feed->portion_max = window < COHORT__PORTION_MAX ? window : COHORT__PORTION_MAX;
    feed->half = window > 1 ? window / 2 : 1;
    feed->at_once = order->retry_delay && !order->chunk && !order->range ? 1 : order->chunk;
    feed->pace = SHORT;
    apr_status_t status =
        order->n > UINT64_MAX / 4 / (stride_of(feed) ? stride_of(feed) : 1)
            ? cohort__fail(APR_EINVAL, "n times input_size is too large for a size")
            : copy_order(feed);
    feed->array = feed->order.inputs;
    feed->left = order->n;
    if (!status) status = cohort__caller_reserve();
    if (status) free_feed(feed);
    else *made = feed;
    return status;
}

void cohort__feed_drop(cohort__feed_t *feed) {
    if (!feed) return;
    cohort__caller_release();
    free_feed(feed);
}

void cohort__feed_aim(cohort__feed_t *feed, cohort_imap_t *imap) {
    feed->imap.object = &imap->object;
    feed->imap.life = atomic_load(&imap->object.tag);
}

void cohort__feed_begin(cohort__feed_t *feed) {
    lock_feeds();
    feed->next = first_feed;
    first_feed = feed;
    unlock_feeds();
    cohort__caller_release();
}

/* ---- a portion ------------------------------------------------------------------------------ */

static bool is_pool_open(const cohort__feed_t *feed) {
    cohort_pool_t *pool = (cohort_pool_t *)feed->pool.object;
    uint64_t state = atomic_load(&pool->state);
    return !cohort__call_over(&feed->pool) && state == COHORT__POOL_OPEN;
}

/* Without the guard it is a guess: what a reader has got is taken back when that dies before it has
 * left the guard. */
static uint64_t room_of(const cohort__feed_t *feed) {
    cohort_imap_t *imap = imap_fed(feed);
    uint64_t under_way = atomic_load(&imap->in) - atomic_load(&imap->out);
    return under_way < imap->window ? imap->window - under_way : 0;
}

/* It does not become less, since this thread alone takes in. */
static uint64_t room_found(const cohort__feed_t *feed) {
    if (!cohort__imap_enter(&feed->imap)) return 0;
    uint64_t room = room_of(feed);
    cohort__guard_leave(&imap_fed(feed)->guard);
    return room;
}

/* All that may be under way at a time. */
static bool is_enough(const cohort__feed_t *feed) {
    cohort_imap_t *imap = imap_fed(feed);
    return imap->window_bytes && atomic_load(&imap->bytes) + feed->bytes >= imap->window_bytes;
}

/* So many of these, up to `most`, go into a portion; one at least. */
static uint64_t count_sized(cohort__feed_t *feed, const char *element, uint64_t most) {
    uint64_t count = 0;
    while (count < most && !(count && is_enough(feed)))
        feed->bytes += data_of(feed, element + count++ * stride_of(feed)).size;
    return count;
}

static void grow_portion(cohort__feed_t *feed) {
    feed->portion = feed->portion * 2 < feed->portion_max ? feed->portion * 2 : feed->portion_max;
}

/* How long an item takes, in the mean of the last few portions: what is let in has come out as
 * quickly, since so many are under way at all times. */
static void keep_pace(cohort__feed_t *feed) {
    int64_t now = cohort_os_now();
    if (feed->last) feed->pace += ((now - feed->begun) / (int64_t)feed->last - feed->pace) / 4;
    feed->begun = now;
}

static uint64_t portion_chunk(const cohort__feed_t *feed, uint64_t count) {
    uint64_t workers = ((cohort_pool_t *)feed->pool.object)->workers;
    if (feed->at_once || feed->order.range) return feed->at_once;
    if (feed->pace * (int64_t)workers >= SHORT || count < 8 * workers) return 1;
    return count / (4 * workers);
}

/* How many inputs there are now, up to `most`; *end: why there are no more, or APR_SUCCESS. */
static uint64_t take_inputs(cohort__feed_t *feed, uint64_t most, apr_status_t *end) {
    int64_t begin = cohort_os_now();
    uint64_t count = 0, size = stride_of(feed);
    bool quick = true, full = false;
    while (count < most && quick && !full && !*end) {
        *end = feed->source(feed->arg, size ? feed->staged + count * size : NULL);
        cohort__end_copy(0);
        if (feeds_owner != cohort__membership() || cohort__call_over(&feed->imap)) return 0;
        if (!*end && has_sizes(feed))
            full = keep_data(feed, feed->staged + count * size) || is_enough(feed);
        count += !*end;
        if (count < LOOK || count % LOOK == 0) quick = cohort_os_now() - begin < QUICK;
    }
    feed->order.inputs = size ? feed->staged : NULL;
    if (full) feed->portion = count;
    else if (!quick) feed->portion = feed->portion > 1 ? feed->portion / 2 : 1;
    else grow_portion(feed);
    return count;
}

static uint64_t take_from_array(cohort__feed_t *feed, uint64_t most, apr_status_t *end) {
    uint64_t count = most < feed->left ? most : feed->left;
    const char *first = feed->array ? feed->array + feed->index * stride_of(feed) : NULL;
    if (has_sizes(feed)) count = count_sized(feed, first, count);
    feed->order.inputs = first;
    feed->left -= count;
    if (!feed->left) *end = APR_EOF;
    grow_portion(feed);
    return count;
}

/* The place behind the tail is no reader's before the tail is moved. While the imap lives, no
 * thread drops what is listed for it. */
static bool hang_in_portion(cohort__feed_t *feed, cohort_result_t *job, uint64_t count) {
    cohort_imap_t *imap = imap_fed(feed);
    if (!cohort__imap_enter(&feed->imap)) return false;
    uint64_t tail = atomic_load(&imap->tail);
    cohort__portion_t *portion = cohort__imap_portion(imap, tail);
    atomic_store(&portion->job, (uint64_t)(uintptr_t)job);
    atomic_store(&portion->life, atomic_load(&job->object.tag));
    atomic_store(&portion->place, cohort__portion_place(feed->index, count));
    atomic_store(&portion->got, 0);
    atomic_store(&portion->bytes, feed->bytes);
    cohort__guard_set(&imap->guard, &imap->bytes, atomic_load(&imap->bytes) + feed->bytes);
    cohort__guard_set(&imap->guard, &imap->in, atomic_load(&imap->in) + count);
    cohort__guard_set(&imap->guard, &imap->tail, tail + 1);
    cohort__guard_leave(&imap->guard);
    cohort__imap_news(imap);
    return true;
}

static apr_status_t submit_portion(cohort__feed_t *feed, uint64_t count) {
    cohort_result_t *job;
    const cohort__origin_t origin = {.imap = feed->imap, .base = feed->index};
    const cohort__backend_t *backend = cohort__backend_meant(&feed->pool);
    feed->order.n = (apr_size_t)count;
    feed->order.chunk = (apr_size_t)portion_chunk(feed, count);
    feed->last = count;
    if (!backend) return COHORT_ENOTRUNNING;
    apr_status_t status = backend->submit(&job, &feed->pool, &feed->order, false, &origin, NULL);
    if (status) return status == COHORT_EHANDLE ? COHORT_ENOTRUNNING : status;
    if (hang_in_portion(feed, job, count)) feed->index += count;
    else cohort__imap_sweep(&feed->pool);
    return APR_SUCCESS;
}

bool cohort__feed_once(cohort__feed_t *feed, cohort__thread_t *me) {
    apr_status_t end = APR_SUCCESS;
    feed->imap.me = feed->pool.me = me;
    if (cohort__call_over(&feed->imap)) return true;
    if (!is_pool_open(feed)) {
        (void)cohort__imap_finish(&feed->imap, COHORT_ENOTRUNNING);
        return true;
    }
    keep_pace(feed);
    feed->bytes = feed->copied = 0;
    uint64_t room = room_found(feed), most = feed->portion < room ? feed->portion : room;
    uint64_t count =
        feed->source ? take_inputs(feed, most, &end) : take_from_array(feed, most, &end);
    if (count) {
        apr_status_t status = submit_portion(feed, count);
        if (status) end = status;
    }
    if (end) (void)cohort__imap_finish(&feed->imap, end);
    return end != APR_SUCCESS;
}

/* ---- in the thread that calls ---------------------------------------------------------------- */

/* Room for so many items is enough for the next portion. */
static uint64_t room_needed(const cohort__feed_t *feed) {
    uint64_t room = feed->portion < feed->half ? feed->portion : feed->half;
    return !feed->source && feed->left < room ? feed->left : room;
}

static bool feed_has_room(const cohort__feed_t *feed) {
    cohort_imap_t *imap = imap_fed(feed);
    return room_of(feed) >= room_needed(feed) &&
           (!imap->window_bytes || atomic_load(&imap->bytes) < imap->window_bytes);
}

/* If there is no room: there being so much is worth a wake-up. Said before the look. */
static bool is_feed_due(cohort__feed_t *feed) {
    cohort_imap_t *imap = imap_fed(feed);
    if (cohort__call_over(&feed->imap) || !is_pool_open(feed) || stopping) return true;
    if (feed_has_room(feed)) return true;
    atomic_store(&imap->wanted, room_needed(feed));
    return feed_has_room(feed);
}

/* The feeds take turns: the one that was found goes to the end. */
bool cohort__feeds_are_due(void) {
    cohort__feed_t **at, **end;
    lock_feeds();
    for (at = &first_feed; *at && !is_feed_due(*at);) at = &(*at)->next;
    due = *at;
    if (due) {
        *at = due->next;
        for (end = at; *end;) end = &(*end)->next;
        *end = due;
        due->next = NULL;
    }
    unlock_feeds();
    return due != NULL;
}

/* The last that is done with the feed, so that the thread that waits for it may leave the cohort
 * then. */
static void forget_feed(cohort__feed_t *feed) {
    lock_feeds();
    for (cohort__feed_t **at = &first_feed; *at; at = &(*at)->next) {
        if (*at != feed) continue;
        *at = feed->next;
        break;
    }
    due = NULL;
    unlock_feeds();
    free_feed(feed);
}

void cohort__feeds_serve(void) {
    cohort__thread_t *me;
    cohort__feed_t *feed = due;
    uint32_t member = cohort__membership();
    if (cohort__enter(&me)) return;
    bool ended = stopping || cohort__feed_once(feed, me);
    if (member != cohort__membership()) return; /* the process has left the cohort meanwhile */
    if (ended) {
        cohort__notify(&cohort__arena->completed, COHORT__ALL);
        forget_feed(feed);
        return;
    }
    lock_feeds();
    due = NULL;
    unlock_feeds();
}

bool cohort__feeds_any(void) {
    lock_feeds();
    bool any = first_feed != NULL;
    unlock_feeds();
    return any;
}

/* ---- the end -------------------------------------------------------------------------------- */

/* Of all lives of the imap that are over. */
static apr_status_t try_unfed(void *imap, bool thorough) {
    bool fed = false;
    (void)thorough;
    lock_feeds();
    for (const cohort__feed_t *at = first_feed; at; at = at->next)
        fed |= at->imap.object == imap && cohort__call_over(&at->imap);
    unlock_feeds();
    return fed ? APR_EAGAIN : APR_SUCCESS;
}

void cohort__feed_await_end(const cohort_imap_t *imap) {
    if (cohort__in_callback()) return;
    (void)cohort__await_paced(&cohort__arena->completed, try_unfed, (void *)(uintptr_t)imap,
                              COHORT_OS_NEVER, cohort__pace_brisk);
}

static apr_status_t try_none_fed(void *arg, bool thorough) {
    (void)arg, (void)thorough;
    return cohort__feeds_any() ? APR_EAGAIN : APR_SUCCESS;
}

void cohort__feeds_end(void) {
    bool any = cohort__feeds_any();
    lock_feeds();
    stopping = true;
    unlock_feeds();
    if (!any || cohort__in_callback()) return;
    atomic_thread_fence(memory_order_seq_cst);
    cohort__notify(&cohort__arena->completed, COHORT__ALL);
    (void)cohort__await_paced(&cohort__arena->completed, try_none_fed, NULL,
                              cohort__deadline(PATIENCE), cohort__pace_brisk);
}
