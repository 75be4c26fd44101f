/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/**
 * @file progress.h
 * How far work is: a callback with rate and remaining time, and a bar on the terminal.
 *
 *     cohort_progress_watch_t *watch;
 *     cohort_progress_watch(&watch, result, &(cohort_progress_options_t){.label = "pages"}, pool);
 *     status = cohort_result_get(result, NULL, 0, COHORT_FOREVER);
 *     cohort_progress_stop(watch);
 *
 *     pages:  45%|#########4          | 450/1000 [00:03<00:04, 150.2it/s]
 *
 * What a user can rely on:
 *  - Results and imaps can be watched, several at once, by any process of the cohort. The work is
 *    not slowed down by it: nothing is counted for it, what is there anyway is looked at.
 *  - A bar is drawn only where its file is a terminal; elsewhere not a byte is written.
 *  - There are at most ten updates a second, and one more when a watch is stopped. Each asks the
 *    terminal for its width, so a window that is made larger or smaller has the right bar with the
 *    next one. Bars on the same terminal stand under one another.
 *  - However the watching ends, the cursor is at the beginning of a line of its own then: the work
 *    is done, has failed or was cancelled, its pool was terminated, the watch was stopped, the APR
 *    pool that it was made in was destroyed, or the process has left the cohort.
 *
 * As tqdm's and mpire's users know it. What else is written to the terminal meanwhile goes where
 * the cursor is, which is in the bar; a callback can draw what it likes.
 *
 * One thread of the process watches, for as long as there is something to be watched.
 *
 * Thread safety: every function of this header may be called by any thread, but no two at a time
 * for the same watch. None may be called from a signal handler.
 */
#ifndef COHORT_PROGRESS_H
#define COHORT_PROGRESS_H

#include <apr_file_io.h>
#include <cohort/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How far the work is. */
typedef struct cohort_progress_t {
    const char *label;  /**< of the options; "" if there is none */
    apr_uint64_t done;  /**< items that are over; of an imap those that were got. Never fewer than
                             in the call before */
    apr_uint64_t total; /**< of how many; 0: not known, as of an imap with a source before its end,
                             unless the options say it */
    double rate;        /**< items in a second, lately; at the end of all the time; 0: not known */
    apr_interval_time_t elapsed;   /**< microseconds since the watch was made */
    apr_interval_time_t remaining; /**< microseconds, at this rate; -1: not known */
    int over; /**< not 0: this is the last call for the watch; how it ended is `status` */
    apr_status_t status; /**< that of the result; of an imap APR_SUCCESS or why its input ended;
                              COHORT_EHANDLE: it was destroyed before it was over; APR_INCOMPLETE:
                              the watch was stopped before that */
    apr_uint64_t reserved[4]; /**< written 0 */
} cohort_progress_t;

/**
 * Called in the library's watching thread, ten times a second at most, and once at the end: then in
 * the thread that stops the watch, if that is the end. Never in two threads at a time for the
 * watches of a process. It can stop no watch, and must not wait for a thread that may start or stop
 * one, or destroy what is watched.
 *
 * @param progress how far it is; the struct is valid until the call returns
 * @param arg      what the options have as `arg`
 */
typedef void (*cohort_progress_callback_t)(const cohort_progress_t *progress, void *arg);

/** How to watch. Zero means the default everywhere. */
typedef struct cohort_progress_options_t {
    const char *label;                   /**< in front of the bar; copied */
    cohort_progress_callback_t callback; /**< NULL: none, and a bar is drawn */
    void *arg;                           /**< passed to the callback; stays the caller's */
    int bar;                             /**< not 0: a bar beside the callback */
    apr_file_t *file;                    /**< the terminal; NULL: stderr. Stays the caller's, and
                                              open until the watch has been stopped */
    apr_uint64_t total;                  /**< how many items an imap will have; 0: not known */
    int vanish;                          /**< not 0: the bar is taken away in the end */
    int ascii; /**< not 0: nothing but ASCII; default: as the locale of the environment says
                    (LC_ALL, LC_CTYPE, LANG; on Windows: ASCII) */
    apr_uint64_t reserved[8]; /**< all 0; else COHORT_EOPTION */
} cohort_progress_options_t;

/** Something that is watched, in this process only. */
typedef struct cohort_progress_watch_t cohort_progress_watch_t;

/**
 * Watch a result or an imap.
 *
 * When the work is over the watch says so once, and then does nothing more; it is stopped all the
 * same. If what it watches is destroyed in this process, it has the last state of that.
 *
 * @param watch   receives the watch, only on success
 * @param object  a cohort_result_t or cohort_imap_t
 * @param options NULL for the defaults: a bar on stderr
 * @param parent  the watch is stopped with this APR pool; NULL: it lives until
 *                cohort_progress_stop()
 * @return
 *  - APR_SUCCESS
 *  - APR_EINVAL: NULL for `watch` or `object`
 *  - COHORT_EHANDLE: no live result, and no live imap
 *  - COHORT_EOPTION: a reserved word of the options is not 0
 *  - APR_ENOMEM: no memory
 *  - the system's reason why there is no thread to watch, or no stderr
 *  - COHORT_ENOTINIT, COHORT_ENOTMEMBER, COHORT_ELIMIT: as in pool.h
 */
COHORT_NODISCARD COHORT_API apr_status_t
cohort_progress_watch(cohort_progress_watch_t **watch, void *object,
                      const cohort_progress_options_t *options, apr_pool_t *parent);

/**
 * Stop watching, and free the watch: its last state is drawn and told to the callback, unless that
 * has been done, and the bar is left as it is or taken away. Afterwards the callback is not called
 * any more.
 *
 * @param watch the watch; NULL is fine, and so is one that an APR pool has stopped
 * @return APR_SUCCESS; COHORT_ENOWAIT: called in a callback; or COHORT_ENOTINIT, COHORT_ENOTMEMBER,
 *         COHORT_ELIMIT as in pool.h
 */
COHORT_API apr_status_t cohort_progress_stop(cohort_progress_watch_t *watch);

/**
 * The line of a bar, for a program that shows it elsewhere.
 *
 * @param line     receives the line with a zero, without an end of line
 * @param size     bytes at `line`; four for each column and one more are always enough
 * @param progress of a callback
 * @param columns  how wide it is at most; what does not fit is left out: first the bar, then the
 *                 end of the line
 * @param ascii    not 0: no characters but ASCII
 * @return bytes written, without the zero; 0 when an argument is NULL or `size` is 0
 */
COHORT_API apr_size_t cohort_progress_line(char *line, apr_size_t size,
                                           const cohort_progress_t *progress, apr_size_t columns,
                                           int ascii);

#ifdef __cplusplus
}
#endif

#endif
