/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Services: processes that are started again when they end (cohort/supervise.h). */
#ifndef COHORT_CORE_SERVICE_H
#define COHORT_CORE_SERVICE_H

#include "core/process/process.h"

typedef enum {
    COHORT__SERVICE_RESTS,  /* no run: before the first, and between two */
    COHORT__SERVICE_STARTS, /* its supervisor is at a start */
    COHORT__SERVICE_RUNS    /* slot->current names the run */
} cohort__service_phase_t;

/* What is kept of a service, in a block of its own; the guard of the slot protects it from `phase`
 * on, and the block is there as long as the slot is the service's. Each word is written by itself:
 * what its supervisor dies over ends with the service. */
typedef struct {
    uint32_t role; /* of its runs */
    uint32_t when; /* cohort_restart_when_t */
    uint32_t limit, n_connections;
    int64_t period, delay, delay_max; /* ns */
    cohort_connection_t **connections;
    cohort_os_known_t files[3]; /* streams that are files */
    cohort__given_t given;      /* to functions; no streams are kept */
    int64_t *times;             /* when the last `limit` restarts came to be due */
    uint64_t counted;           /* how many did */
    uint32_t phase, halt, end, reload;
    int32_t exit_code, start_status;
    uint64_t runs;                   /* that have begun */
    int64_t begun, pause;            /* the present run; the delay before the next restart */
    int64_t next;                    /* when that is, while it rests */
    int64_t hold;                    /* the least delay after the next start that fails; 0: first */
    char reason[COHORT__REASON_MAX]; /* of start_status */
} cohort__service_t;

/* ---- service.c ------------------------------------------------------------------------------ */

/* With the guard of the slot: what is kept of it; NULL: it is no service (any more). */
cohort__service_t *cohort__service_of(cohort_process_t *slot, cohort__pid_t id);
/* Guard. The service is over, with this exit code; from here on any process may record it. */
void cohort__service_over(cohort_process_t *slot, cohort__service_t *s, cohort_service_end_t end);

/* ---- service_keep.c ------------------------------------------------------------------------- */

/* Of a function: copied. The slot itself is never started, so its place for a context is free. */
apr_status_t cohort__service_keep_streams(cohort_process_t *slot, const cohort_stream_t *streams);
/* By a thread of the host, before the first run: what each run is given. */
apr_status_t cohort__service_keep(cohort_process_t *slot, cohort__service_t *s);

#endif
