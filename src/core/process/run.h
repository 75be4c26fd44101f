/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Commands: programs and functions that are run to their end (cohort/run.h). */
#ifndef COHORT_CORE_RUN_H
#define COHORT_CORE_RUN_H

#include "core/process/streams.h"

#include <cohort/run.h>

/* ---- run_collect.c: what comes out of a stream ---------------------------------------------- */

typedef struct {
    char *data; /* malloc()ed, with room for a zero behind what is there */
    size_t size, room;
    size_t limit;  /* SIZE_MAX: none */
    size_t looked; /* lines: so much is known to have no newline */
    uint64_t seen;
    cohort_line_t line; /* NULL: it is kept */
    cohort_line_t end;  /* called once without a line when no more come; NULL: not */
    void *user;
    int stream;
    apr_status_t status; /* APR_ENOMEM: not all was kept */
} cohort__collect_t;

apr_status_t cohort__collect_begin(cohort__collect_t *collect, const cohort_command_t *command,
                                   int stream);
/* Where the next bytes are to go. */
void cohort__collect_room(cohort__collect_t *collect, char **bytes, size_t *size);
/* So many have come. False: the user wants no more. */
bool cohort__collect_take(cohort__collect_t *collect, size_t size);
/* What comes from here on is dropped. */
void cohort__collect_drop(cohort__collect_t *collect);
/* No more come. */
void cohort__collect_end(cohort__collect_t *collect);
void cohort__collect_free(cohort__collect_t *collect);

/* ---- run_attempt.c: one attempt at a command ------------------------------------------------ */

typedef struct cohort__station_t cohort__station_t;

/* Its streams are moved by the thread that attends to it, and by no other. */
typedef struct cohort__attempt_t {
    const cohort_command_t *command; /* NULL: it is but the streams of a process (lines.c) */
    cohort__station_t *station;
    struct cohort__attempt_t *next; /* of the same station */
    cohort_process_t *slot;
    _Atomic cohort__pid_t id; /* 0: not known yet */
    cohort__streams_t
        streams; /* those of the start, and this process' ends until they are closed */
    cohort_os_flow_t flows[3];              /* what goes through the latter */
    cohort__collect_t collects[3];          /* the first is not used */
    int64_t begun, deadline, kill, give_up; /* NEVER: not by now */
    bool killed;
    cohort_run_end_t why; /* SUCCEEDED: not ended by this process */
    apr_status_t status;  /* why not all is there */
} cohort__attempt_t;

/* A thread that attends to attempts: what it waits at, and the attempts. */
struct cohort__station_t {
    cohort_os_port_t port;
    cohort__attempt_t *attempts;
    bool patient;      /* it has one attempt, and the thread waits for nothing else */
    bool streams_only; /* no attempt of it has a process to look after */
    cohort__station_t *next;
};

apr_status_t cohort__station_open(cohort__station_t *station, bool patient);
void cohort__station_close(cohort__station_t *station);
/* By the thread of the station: it attends to this one, too. */
void cohort__station_enter(cohort__station_t *station, cohort__attempt_t *attempt);
/* Nothing of the attempt is open any more. */
void cohort__station_leave(cohort__attempt_t *attempt);
/* Until something may have become of one of the attempts, or the station was woken, or the time has
 * come: bytes are moved. */
void cohort__station_wait(cohort__station_t *station, int64_t until);

/* COHORT_EOPTION, APR_EINVAL */
apr_status_t cohort__command_check(const cohort_command_t *command);
/* Start it. On failure nothing is left of it. */
apr_status_t cohort__attempt_start(cohort__attempt_t *attempt, cohort__station_t *station,
                                   const cohort_command_t *command);
/* What is due by now is done. True: it is over, and to be finished. */
bool cohort__attempt_tend(cohort__attempt_t *attempt);
/* Kill it. */
void cohort__attempt_cancel(cohort__attempt_t *attempt);
/* It is over: what became of it. What was collected is the outcome's to free(). */
void cohort__attempt_finish(cohort__attempt_t *attempt, cohort_outcome_t *outcome);

/* ---- run.c: a command, all of its attempts -------------------------------------------------- */

/* Is there to be another attempt after this outcome? */
bool cohort__run_again(const cohort_command_t *command, const cohort_outcome_t *outcome);
/* Nanoseconds until then. */
int64_t cohort__run_pause(const cohort_command_t *command, apr_size_t attempts);
/* The outcome of an attempt that did not begin. */
void cohort__run_unstarted(cohort_outcome_t *outcome, apr_status_t status);
void cohort__outcome_free(cohort_outcome_t *outcome);

/* ---- for the tables of the registry --------------------------------------------------------- */

/* The watcher has recorded the end of a program, or of a function that is a command. */
void cohort__run_ended(cohort__pid_t id, cohort_pool_t *pool);
/* A fork server has recorded the end of one. */
void cohort__runs_tend(void);
void cohort__runs_lock(void);
void cohort__runs_unlock(void);
void cohort__runs_reset(void);
void cohort__runners_end(void);

#define COHORT__TAG_RUN    0x52554e21u /* "RUN!" */
#define COHORT__TAG_RUNNER 0x524e4552u /* "RNER" */
unsigned cohort__run_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough);
bool cohort__run_failed(const cohort__aim_t *aim);
void cohort__run_describe(const cohort__aim_t *aim, char *text, size_t size);
unsigned cohort__runner_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough);
void cohort__runner_describe(const cohort__aim_t *aim, char *text, size_t size);

#endif
