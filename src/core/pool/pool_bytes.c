/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Data of any size as inputs and outputs of jobs of the local back end.
 *
 * Inputs lie in the arena as an array of cohort_bytes_t, whatever the order has; what does not lie
 * there already is copied behind the array, in one block.
 *
 * Each item has an output record, of which the block has one owner at each instruction: the
 * record, from its allocation in the task on, or an in-flight pointer of the thread that makes it
 * larger or takes it, or the user. A block in the record of an item that is not over is that of the
 * attempt which is under way, and is freed when this fails, by its worker, or ends by a death, by
 * the thread that settles the worker. The rest is freed with the job. All blocks are handed over to
 * the user by one store (given), one block by a move; both with the guard of the pool.
 */
#include "core/pool/pool_bytes.h"

#include <string.h>

/* ---- inputs --------------------------------------------------------------------------------- */

#define INPUTS_MAX (UINT64_MAX >> 2) /* bytes that are copied for one job */

static uint64_t aligned(uint64_t value, uint64_t unit) { return (value + unit - 1) & ~(unit - 1); }

/* One element of the inputs as the order has it. */
static apr_status_t element_of(const cohort_job_t *order, uint64_t i, cohort_bytes_t *element) {
    if (order->input_size == COHORT_BYTES) {
        *element = ((const cohort_bytes_t *)order->inputs)[i];
        if (element->data || !element->size) return APR_SUCCESS;
        return cohort__fail(APR_EINVAL, "inputs[%llu].data is NULL, and its size is %llu",
                            (unsigned long long)i, (unsigned long long)element->size);
    }
    element->data = (void *)(uintptr_t)((const char *const *)order->inputs)[i];
    if (!element->data)
        return cohort__fail(APR_EINVAL, "inputs[%llu] is NULL", (unsigned long long)i);
    element->size = strlen(element->data);
    return APR_SUCCESS;
}

/* Where the copy of an element begins if it may begin at `at`, and its bytes; 0: it needs none. */
static uint64_t copy_of(const cohort_job_t *order, const cohort_bytes_t *element, uint64_t *at) {
    bool string = order->input_size == COHORT_STRINGS;
    uint64_t size = (uint64_t)element->size + string;
    if (!size || cohort__in_arena(element->data, (size_t)size)) return 0;
    if (!string) *at = aligned(*at, size < 64 ? 16 : 64);
    return size;
}

apr_status_t cohort__inputs_measure(const cohort_job_t *order, uint64_t *size) {
    const uint64_t array = order->n * sizeof(cohort_bytes_t);
    uint64_t end = array;
    for (uint64_t i = 0; i < order->n; i++) {
        cohort_bytes_t element = {0};
        apr_status_t status = element_of(order, i, &element);
        if (status) return status;
        uint64_t copied = copy_of(order, &element, &end);
        if (copied > INPUTS_MAX - end)
            return cohort__fail(APR_EINVAL,
                                "the inputs up to inputs[%llu] are too large for a size",
                                (unsigned long long)i);
        end += copied;
    }
    bool stays = end == array && order->input_size == COHORT_BYTES &&
                 cohort__in_arena(order->inputs, (size_t)array);
    *size = stays ? 0 : aligned(end, 16);
    return APR_SUCCESS;
}

/* The elements are looked at anew: should another thread change them meanwhile, against what is
 * asked of it, nothing is written behind the room. */
apr_status_t cohort__inputs_pack(const cohort_job_t *order, char *room, uint64_t size) {
    cohort_bytes_t *array = (cohort_bytes_t *)(void *)room;
    uint64_t at = order->n * sizeof *array;
    for (uint64_t i = 0; i < order->n; i++) {
        cohort_bytes_t element = {0};
        apr_status_t status = element_of(order, i, &element);
        if (status) return status;
        uint64_t copied = copy_of(order, &element, &at);
        if (copied > size || at > size - copied)
            return cohort__fail(APR_EINVAL, "inputs[%llu] is not what it was a moment ago",
                                (unsigned long long)i);
        if (copied) element.data = memcpy(room + at, element.data, (size_t)copied);
        at += copied;
        array[i] = element;
    }
    return APR_SUCCESS;
}

/* ---- outputs -------------------------------------------------------------------------------- */

/* What the note of an output record says beside a size. */
#define NOTE_MADE   ((uint64_t)1 << 63) /* the task has made an output, of this size */
#define NOTE_FAILED ((uint64_t)1 << 62) /* the item has failed, with this status */

typedef struct {
    cohort__owner_ptr_t block;
    _Atomic uint64_t note;
} record_t;

_Static_assert(sizeof(record_t) == sizeof(cohort_bytes_t), "as pool_job.c makes room for them");

static record_t *record_of(const cohort_result_t *job, uint64_t index) {
    return (record_t *)(void *)job->outputs + index;
}

static bool has_records(const cohort_result_t *job) {
    return job->bytes & COHORT__BYTES_OUT && job->outputs;
}

/* The task goes on with this block, of which `kept` bytes are its own so far. A death leaves the
 * old one to the item, or the new one, which goes with the thread. */
static apr_status_t replace(cohort__thread_t *me, record_t *record, uint64_t size, uint64_t kept) {
    cohort__owner_ptr_t *fresh = &me->in_flight[COHORT__IN_FLIGHT_LINK];
    apr_status_t status = cohort__block_new(me, COHORT__KIND_BYTES, (size_t)size, fresh);
    if (status) return status;
    memcpy(atomic_load(fresh), atomic_load(&record->block), (size_t)(kept < size ? kept : size));
    cohort__block_free(me, &record->block);
    cohort__block_move(me, fresh, &record->block);
    return APR_SUCCESS;
}

/* A block stays when it is large enough; unless most of it would be held for nothing. */
static bool is_wasteful(uint64_t have, uint64_t size) { return have > 4096 && size < have / 2; }

static apr_status_t resize(cohort__thread_t *me, record_t *record, uint64_t size) {
    const uint64_t have = cohort__block_size(atomic_load(&record->block)),
                   kept = atomic_load(&record->note) & ~NOTE_MADE;
    if (size > have) return replace(me, record, size, kept);
    if (is_wasteful(have, size) && replace(me, record, size, kept)) cohort__forget();
    return APR_SUCCESS;
}

apr_status_t cohort__job_output(cohort_result_t *job, cohort__thread_t *me, uint64_t index,
                                uint64_t size, void **data) {
    apr_status_t status;
    if (!has_records(job))
        return cohort__fail(APR_EINVAL, "the job's output_size is not COHORT_BYTES");
    record_t *record = record_of(job, index);
    if (atomic_load(&record->block)) status = resize(me, record, size);
    else status = cohort__block_new(me, COHORT__KIND_BYTES, (size_t)size, &record->block);
    if (status) return status;
    atomic_store(&record->note, NOTE_MADE | size);
    *data = atomic_load(&record->block);
    return APR_SUCCESS;
}

void cohort__output_drop(cohort__thread_t *me, cohort_result_t *job, uint64_t index,
                         apr_status_t status) {
    if (!has_records(job)) return;
    record_t *record = record_of(job, index);
    cohort__block_free(me, &record->block);
    atomic_store(&record->note, status ? NOTE_FAILED | (uint32_t)status : 0);
}

apr_status_t cohort__output_status(const cohort_result_t *job, uint64_t index) {
    uint64_t note = has_records(job) ? atomic_load(&record_of(job, index)->note) : 0;
    return note & NOTE_FAILED ? (apr_status_t)(uint32_t)note : APR_SUCCESS;
}

void cohort__output_look(const cohort_result_t *job, uint64_t index, cohort_bytes_t *output) {
    record_t *record = record_of(job, index);
    void *block = atomic_load(&record->block);
    uint64_t note = atomic_load(&record->note);
    bool here = block && !atomic_load(&((cohort_result_t *)job)->given);
    *output = (cohort_bytes_t){here ? block : NULL, here ? (size_t)(note & ~NOTE_MADE) : 0};
}

void cohort__outputs_free(cohort__thread_t *me, cohort_result_t *job) {
    if (!has_records(job) || atomic_load(&job->given)) return;
    for (uint64_t i = 0; i < job->n; i++) cohort__block_free(me, &record_of(job, i)->block);
}

/* ---- a task's input and output, in the worker ----------------------------------------------- */

void cohort__bytes_begin(const cohort_result_t *job, cohort__turn_t *turn) {
    bool element_wise = job->bytes & COHORT__BYTES_IN && !(turn->needs & COHORT__NEEDS_RANGE);
    const cohort_bytes_t *element = element_wise ? turn->input : NULL;
    apr_size_t size = element ? element->size : 0;
    if (job->bytes & COHORT__BYTES_OUT) turn->output = NULL;
    atomic_store_explicit(&cohort__running.input_size, size, memory_order_relaxed);
    if (!element) return;
    bool any = element->size || job->bytes & COHORT__STRINGS_IN;
    turn->input = any ? element->data : NULL;
}

void cohort__bytes_end(const cohort__worker_self_t *w, const cohort__turn_t *turn,
                       apr_status_t status) {
    if (!status) return;
    for (uint64_t i = turn->first; i < turn->last; i++)
        cohort__output_drop(w->me, w->job, i, status);
}

/* ---- outputs become the user's -------------------------------------------------------------- */

static cohort_result_t *job_meant(const cohort_pool_t *pool, const cohort__call_t *use) {
    cohort_result_t *job = (cohort_result_t *)use->object;
    return cohort__job_is_of(job, pool) && !cohort__call_over(use) ? job : NULL;
}

apr_status_t cohort__job_give(cohort_pool_t *pool, const cohort__call_t *use,
                              cohort_bytes_t *outputs) {
    cohort_result_t *job = job_meant(pool, use);
    if (!job) return COHORT_EHANDLE;
    uint64_t state = atomic_load(&job->state);
    if (!has_records(job) || cohort__job_state_end(state) != COHORT__JOB_DONE) return APR_SUCCESS;
    for (uint64_t i = 0; i < job->n; i++) cohort__output_look(job, i, &outputs[i]);
    atomic_store(&job->given, 1);
    return APR_SUCCESS;
}

static apr_status_t check_taken(const cohort_result_t *job, uint64_t index) {
    const record_t *record = record_of(job, index);
    cohort_item_t item;
    apr_status_t status = cohort__job_item(job, index, &item);
    if (status) return status;
    if (item.state == COHORT_ITEM_QUEUED || item.state == COHORT_ITEM_RUNNING) return APR_EAGAIN;
    if (item.status) return item.status;
    if (item.data || !(atomic_load(&((record_t *)record)->note) & NOTE_MADE)) return APR_SUCCESS;
    return cohort__fail(COHORT_ENOTOWNER, "the output of item %llu was taken before",
                        (unsigned long long)index);
}

apr_status_t cohort__job_take(cohort_pool_t *pool, const cohort__call_t *use, uint64_t index,
                              cohort__owner_ptr_t *to, uint64_t *size) {
    cohort_result_t *job = job_meant(pool, use);
    if (!job) return COHORT_EHANDLE;
    if (!(job->bytes & COHORT__BYTES_OUT))
        return cohort__fail(APR_EINVAL, "the job's output_size is not COHORT_BYTES");
    apr_status_t status = check_taken(job, index);
    if (status) return status;
    record_t *record = record_of(job, index);
    *size = atomic_load(&record->note) & ~NOTE_MADE;
    if (atomic_load(&record->block)) cohort__block_move(use->me, &record->block, to);
    return APR_SUCCESS;
}
