/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file terminal.h
 * Terminals: what a process says to the one that it was given (COHORT_STREAM_TERMINAL).
 *
 * A program behaves differently when it speaks to a terminal: it writes lines as they come, draws
 * colours and bars, asks for passwords. A process that has a terminal of its own as its streams
 * has all of that, and its parent is the user at the keyboard:
 *
 *     cohort_stream_t streams[3] = {{.kind = COHORT_STREAM_TERMINAL, .columns = 120, .rows = 40},
 *                                   {.kind = COHORT_STREAM_TERMINAL},
 *                                   {.kind = COHORT_STREAM_TERMINAL}};
 *     cohort_process_launch(&shell, serve, NULL, 0,
 *                           &(cohort_process_options_t){.streams = streams}, pool);
 *     apr_file_puts("hello\n", streams[0].file);
 *     while (cohort_terminal_read(streams[0].file, bytes, sizeof bytes, &size) == APR_SUCCESS)
 *         fwrite(bytes, 1, size, stdout);
 *
 * The file is written with apr_file_write_full(), waited for with cohort_wait() and has the
 * time-out that apr_file_pipe_timeout_set() gives it, as the parent's end of a pipe has.
 *
 * Thread safety: as reads of an APR file: no two threads at a time for the same one.
 */
#ifndef COHORT_TERMINAL_H
#define COHORT_TERMINAL_H

#include <cohort/types.h>

#include <apr_file_io.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Read what was written to a terminal, as apr_file_read() does, but that its end is APR_EOF on
 * every system: no process has the terminal open any more. (By itself Linux says EIO then.) Of any
 * other file it is apr_file_read().
 *
 * @param file     the parent's side of the terminal
 * @param buffer   receives the bytes: those that are there, at least one
 * @param capacity how many may come; at least 1
 * @param size     receives how many came, only on success
 * @return
 *  - APR_SUCCESS
 *  - APR_EOF: there will be none any more
 *  - APR_TIMEUP, APR_EAGAIN: none came within the time-out that the file has
 *  - APR_EINVAL: a parameter is NULL, or `capacity` 0
 *  - the system's reasons
 */
COHORT_API apr_status_t cohort_terminal_read(apr_file_t *file, void *buffer, apr_size_t capacity,
                                             apr_size_t *size);

#ifdef __cplusplus
}
#endif

#endif
