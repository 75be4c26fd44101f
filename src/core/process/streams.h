/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The standard streams of a process that is started: what its options say, and what is opened. */
#ifndef COHORT_CORE_STREAMS_H
#define COHORT_CORE_STREAMS_H

#include "core/process/process.h"

/* The child's end of each stream, as cohort_os_start_t has it, and this process'; what was opened
 * for the child is closed after the start, whatever came of that. */
typedef struct cohort__streams_t {
    cohort_os_handle_t child[3], parent[3];
    bool opened[3];
    apr_file_t *file[3], *theirs[3]; /* of a pipe that is APR's; of a log, which has no other end */
    apr_pool_t *pool;                /* for logs; NULL: there is none */
    cohort_os_terminal_t terminal;
    int first_terminal;              /* the stream for which it was made; 3: none */
    struct cohort__attempt_t *lines; /* which reads those that are given line by line; or NULL */
    struct cohort__streams_t *next;
} cohort__streams_t;

/* The reserved words of three streams. `name`: of the array. */
apr_status_t cohort__streams_check(const cohort_stream_t streams[3], const char *name);
/* A stream, standard input, output or error by its number, of no known kind, or of one that it
 * cannot be; or a file that is none. `name`: of the struct that it is in. */
apr_status_t cohort__stream_check(const cohort_stream_t *stream, int i, const char *name);
/* Both, when the process is made; its ends of pipes are to be in this pool. */
apr_status_t cohort__streams_check_all(const cohort_stream_t streams[3], const apr_pool_t *pool,
                                       const char *name);

/* None is open, and from here on copies of this process close what will be. Each that was begun is
 * ended, or handed over. */
void cohort__streams_begin(cohort__streams_t *s);
/* A pipe as the i-th stream. */
apr_status_t cohort__stream_pipe(cohort__streams_t *s, int i, cohort_os_pipe_t what);
/* What the i-th stream is to be, but a pipe. `slot`: the process that it is for; NULL: of none that
 * is a service's run. */
apr_status_t cohort__stream_open(cohort__streams_t *s, const cohort_stream_t *stream, int i,
                                 const cohort_process_t *slot);
/* The start is over: what is the child's is closed. */
void cohort__streams_started(cohort__streams_t *s);
/* This end of this process' is closed; for NONE nothing is done. */
void cohort__streams_close_end(cohort__streams_t *s, cohort_os_handle_t end);
/* All is closed. */
void cohort__streams_end(cohort__streams_t *s);
/* Part of the cohort: around a fork, and in a copy, where all that is open for starts of the
 * original is closed; what the copy itself was given it has as its standard streams by then. */
void cohort__streams_lock(void);
void cohort__streams_unlock(void);
void cohort__streams_reset(void);

/* Begin, and open what these say, for the start of the slot's process; on failure, too, to be
 * closed. */
apr_status_t cohort__streams_open(cohort__streams_t *s, const cohort_stream_t streams[3],
                                  cohort_process_t *slot);
/* The start is over: what is the child's is closed; `failed`: all is. */
void cohort__streams_close(cohort__streams_t *s, bool failed);
/* This process' ends become files of the pool that the slot has for them, and the user's. */
apr_status_t cohort__streams_hand_over(cohort__streams_t *s, cohort_stream_t streams[3],
                                       cohort_process_t *slot);

/* What the slot's process is to have: as cohort_os_start_t's stdio; and without what is to be
 * inherited. In the background nothing is. */
void cohort__streams_of(const cohort_process_t *slot, cohort_os_handle_t stdio[3]);
cohort_os_streams_t cohort__streams_whole(const cohort_process_t *slot);

/* ---- lines.c -------------------------------------------------------------------------------- */

/* Of a stream that is given line by line. */
apr_status_t cohort__lines_check(const cohort_lines_t *lines, int i, const char *name);
/* Before the start; on failure, too, to be dropped. Nothing is done where no stream is of that kind
 * in these. */
apr_status_t cohort__lines_begin(cohort__streams_t *s, const cohort_stream_t streams[3]);
/* The start has failed. */
void cohort__lines_drop(cohort__streams_t *s);
/* The start is over: from now on lines are given. This process' ends are the reader's. */
void cohort__lines_give(cohort__streams_t *s);

/* What is in the pipes by now is given, and the ends. */
void cohort__lines_end(void);
/* In a copy of the process: all is the original's. */
void cohort__lines_reset(void);

/* ---- start.c -------------------------------------------------------------------------------- */

/* As cohort__process_launch(), of a command, with streams that the caller has opened. */
apr_status_t cohort__function_run(cohort_process_t *slot, cohort__streams_t *streams);

#endif
