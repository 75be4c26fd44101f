/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Data of any size, for the files of the local back end: inputs with a size each, and outputs that
 * the tasks allocate. pool_bytes.c says which thread owns what.
 */
#ifndef COHORT_CORE_POOL_BYTES_H
#define COHORT_CORE_POOL_BYTES_H

#include "core/pool/pool_run.h"

/* Bytes of the inputs' copies, with an array of cohort_bytes_t before them; 0: nothing need be
 * copied, not even the array. APR_EINVAL. */
apr_status_t cohort__inputs_measure(const cohort_job_t *order, uint64_t *size);
/* Copy them to a room of that size, which begins at a multiple of 64. */
apr_status_t cohort__inputs_pack(const cohort_job_t *order, char *room, uint64_t size);

/* In the worker, in the thread of the task: make or resize the output of the item. */
apr_status_t cohort__job_output(cohort_result_t *job, cohort__thread_t *me, uint64_t index,
                                uint64_t size, void **data);
/* An attempt at the item has ended without success: its block, if any, is freed. The status is what
 * the item has failed with; APR_SUCCESS: it is run again, or not known to have failed. */
void cohort__output_drop(cohort__thread_t *me, cohort_result_t *job, uint64_t index,
                         apr_status_t status);
/* What an item that is over has failed with, as far as the record of its output says so. */
apr_status_t cohort__output_status(const cohort_result_t *job, uint64_t index);
/* Of an item that is done: what of its output is still the job's. */
void cohort__output_look(const cohort_result_t *job, uint64_t index, cohort_bytes_t *output);
/* The job is freed. May be begun again after a death. */
void cohort__outputs_free(cohort__thread_t *me, cohort_result_t *job);

/* Around a turn of a job that needs COHORT__NEEDS_BYTES. */
void cohort__bytes_begin(const cohort_result_t *job, cohort__turn_t *turn);
void cohort__bytes_end(const cohort__worker_self_t *w, const cohort__turn_t *turn,
                       apr_status_t status);

/* Of the table of backend.h: outputs become the user's. */
apr_status_t cohort__job_give(cohort_pool_t *pool, const cohort__call_t *use,
                              cohort_bytes_t *outputs);
apr_status_t cohort__job_take(cohort_pool_t *pool, const cohort__call_t *use, uint64_t index,
                              cohort__owner_ptr_t *to, uint64_t *size);

#endif
