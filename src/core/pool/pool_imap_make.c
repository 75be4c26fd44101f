/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Imaps are made. */
#include "core/base/reserved.h"
#include "core/pool/pool_imap.h"

static apr_status_t check_imap_order(const cohort_job_t *order,
                                     const cohort_imap_options_t *options) {
    if (!order) return cohort__null("job");
    apr_status_t status = cohort__check_reserved(order->reserved, 6, "job.reserved");
    if (!status) status = cohort__check_reserved(options->reserved, 8, "options.reserved");
    if (status) return status;
    if (order->outputs) return cohort__fail(APR_EINVAL, "the job of an imap has outputs");
    if (order->on_success || order->on_error)
        return cohort__fail(APR_EINVAL, "the job of an imap has a callback");
    if (options->source && (order->inputs || order->n))
        return cohort__fail(APR_EINVAL, "the job of an imap has inputs beside a source");
    if (!options->source && order->input_size && order->n && !order->inputs)
        return cohort__null("the input");
    if (order->n > COHORT__ITEMS_MAX)
        return cohort__fail(COHORT_ELIMIT, "n is more than the %u items that an array can have",
                            (unsigned)COHORT__ITEMS_MAX);
    if (options->window > COHORT__WINDOW_MAX)
        return cohort__fail(COHORT_ELIMIT, "window is more than %d", COHORT__WINDOW_MAX);
    return APR_SUCCESS;
}

/* All that is wrong with an order the back end knows: a job without items is over at once. */
static apr_status_t try_order(const cohort__call_t *pool, const cohort_job_t *order) {
    cohort_job_t empty = *order;
    cohort__call_t portion = {.me = pool->me};
    cohort_result_t *job;
    const cohort__backend_t *backend = cohort__backend_meant(pool);
    empty.n = 0;
    if (!backend) return COHORT_EHANDLE;
    apr_status_t status = backend->submit(&job, pool, &empty, true, NULL, NULL);
    if (status) return status;
    portion.object = &job->object;
    portion.life = atomic_load(&job->object.tag);
    (void)cohort__result_drop(&portion);
    return APR_SUCCESS;
}

/* A size that is the same for all; 0: each has one of its own. */
static uint64_t fixed(apr_size_t size) { return size < COHORT_STRINGS ? size : 0; }

/* As many items as the options say, as far as it is known of which size they are. */
static uint64_t window_of(const cohort__call_t *pool, const cohort_job_t *order,
                          const cohort_imap_options_t *options) {
    uint64_t workers = ((cohort_pool_t *)pool->object)->workers, window = options->window;
    uint64_t size = fixed(order->input_size) + fixed(order->output_size);
    if (!window) window = 16 * workers < 64 ? 64 : 16 * workers;
    if (window > COHORT__WINDOW_MAX) window = COHORT__WINDOW_MAX;
    if (options->window_bytes && size && order->input_size < COHORT_STRINGS &&
        options->window_bytes / size < window)
        window = options->window_bytes / size;
    return window ? window : 1;
}

static apr_status_t destroy_it(void *object) { return cohort_imap_destroy(object); }

static apr_status_t make_imap(cohort_imap_t **made, const cohort__call_t *pool, uint64_t window) {
    cohort_imap_t *imap;
    apr_status_t status =
        cohort__object_new(pool->me, COHORT__KIND_IMAP, offsetof(cohort_imap_t, news), &imap);
    if (status) return status;
    status = cohort__block_new(pool->me, COHORT__KIND_BYTES, window * sizeof(cohort__portion_t),
                               &imap->object.parts[0]);
    if (status) {
        cohort__object_free(pool->me, imap);
        return status;
    }
    imap->pool = (cohort_pool_t *)pool->object;
    imap->pool_tag = pool->life;
    imap->maker = cohort__self_id();
    imap->window = window;
    atomic_store(&imap->barren, UINT64_MAX);
    *made = imap;
    return APR_SUCCESS;
}

static apr_status_t pool_imap(cohort_imap_t **imap, cohort_pool_t *pool, const cohort_job_t *order,
                              const cohort_imap_options_t *given, apr_pool_t *parent) {
    const cohort_imap_options_t options = given ? *given : (cohort_imap_options_t){0};
    cohort__feed_t *feed = NULL;
    cohort__call_t use;
    cohort_imap_t *made;
    if (!imap) return cohort__null("imap");
    apr_status_t status = cohort__pool_call(&use, pool);
    if (!status) status = check_imap_order(order, &options);
    if (!status) status = try_order(&use, order);
    if (status) return status;
    uint64_t window = window_of(&use, order, &options);
    status = cohort__feed_make(&feed, &use, order, &options, window);
    if (!status) status = make_imap(&made, &use, window);
    if (status) {
        cohort__feed_drop(feed);
        return status;
    }
    made->unordered = options.unordered != 0;
    made->gives = order->output_size == COHORT_BYTES;
    if (order->input_size >= COHORT_STRINGS) made->window_bytes = options.window_bytes;
    cohort__object_publish(use.me, made, COHORT__IMAP_TAG, parent, destroy_it);
    cohort__feed_aim(feed, made);
    cohort__feed_begin(feed);
    *imap = made;
    return APR_SUCCESS;
}

apr_status_t cohort_pool_imap(cohort_imap_t **imap, cohort_pool_t *pool, const cohort_job_t *job,
                              const cohort_imap_options_t *options, apr_pool_t *parent) {
    return COHORT__CALL_ANEW(pool_imap(imap, pool, job, options, parent));
}
