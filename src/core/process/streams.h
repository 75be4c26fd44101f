/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The standard streams of a process that is started: what its options say, and what is opened. */
#ifndef COHORT_CORE_STREAMS_H
#define COHORT_CORE_STREAMS_H

#include "core/process/process.h"

/* The child's end of each stream, as cohort_os_start_t has it; what was opened for it is closed
 * after the start, whatever came of that. */
typedef struct {
    cohort_os_handle_t child[3], parent[3];
    bool opened[3];
    apr_file_t *file[3], *theirs[3]; /* of a pipe that is APR's; of a log, which has no other end */
    apr_pool_t *pool;                /* for logs; NULL: there is none */
    cohort_os_terminal_t terminal;
    int first_terminal; /* the stream for which it was made; 3: none */
} cohort__streams_t;

/* The reserved words of three streams. `name`: of the array. */
apr_status_t cohort__streams_check(const cohort_stream_t streams[3], const char *name);
/* A stream, standard input, output or error by its number, of no known kind, or of one that it
 * cannot be; or a file that is none. `name`: of the struct that it is in. */
apr_status_t cohort__stream_check(const cohort_stream_t *stream, int i, const char *name);
/* Both, when the process is made; its ends of pipes are to be in this pool. */
apr_status_t cohort__streams_check_all(const cohort_stream_t streams[3], const apr_pool_t *pool,
                                       const char *name);
/* A log of this stream's path, which `pool` closes. */
apr_status_t cohort__log_open(const cohort_stream_t *stream, apr_file_t **file, apr_pool_t *pool);
/* How large a terminal this stream is. */
cohort_os_terminal_t cohort__terminal_of(const cohort_stream_t *stream);

/* Open what these say, for the start of the slot's process; on failure, too, to be closed. */
apr_status_t cohort__streams_open(cohort__streams_t *s, const cohort_stream_t streams[3],
                                  cohort_process_t *slot);
/* The start is over: what is the child's is closed; `failed`: this process' ends, too. */
void cohort__streams_close(cohort__streams_t *s, bool failed);
/* This process' ends become files of the pool that the slot has for them. */
apr_status_t cohort__streams_hand_over(cohort__streams_t *s, cohort_stream_t streams[3],
                                       cohort_process_t *slot);
/* In a copy of this process, which is the child: it has its streams, and no more of this. */
void cohort__streams_forked(cohort__streams_t *s);

/* What the slot's process is to have: as cohort_os_start_t's stdio; and without what is to be
 * inherited. In the background nothing is. */
void cohort__streams_of(const cohort_process_t *slot, cohort_os_handle_t stdio[3]);
cohort_os_streams_t cohort__streams_whole(const cohort_process_t *slot);

#endif
