/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Code pointers that mean the same in every process of the cohort: (module number, offset). */
#ifndef COHORT_CORE_CODE_H
#define COHORT_CORE_CODE_H

#include <apr_errno.h>
#include <stdint.h>

typedef struct {
    uint32_t module; /* 0 = no code */
    uint32_t reserved;
    uint64_t offset;
} cohort__code_t;

typedef void (*cohort__function_t)(void);

/* NULL gives the empty code. COHORT_ETARGET: not in any module. COHORT_ELIMIT: too many modules. */
apr_status_t cohort__code_find(cohort__function_t function, cohort__code_t *code);
/* COHORT_ETARGET, COHORT_EBINARY. The empty code gives NULL. */
apr_status_t cohort__code_at(const cohort__code_t *code, cohort__function_t *function);
/* In a process that is about to fork another one which will ask for this: know already. */
void cohort__code_warm(const cohort__code_t *code);
/* This process has left its cohort: the numbers mean nothing any more. */
void cohort__code_forget(void);

#endif
