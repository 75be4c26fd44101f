/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress of results and imaps, in the process that watches. Nothing of it is shared: a watch is
 * memory of this process, and what it looks at is the work itself (the table of backend.h, the
 * counts of an imap). One thread looks at all watches ten times a second (progress.c), and has the
 * bars drawn (progress_bar.c), each as a line (progress_line.c).
 */
#ifndef COHORT_CORE_PROGRESS_H
#define COHORT_CORE_PROGRESS_H

#include "core/object/object.h"

#include <cohort/progress.h>

/* A bar: what is to be seen of it, and what was drawn. */
typedef struct cohort__bar_t cohort__bar_t;
struct cohort__bar_t {
    cohort__bar_t *next; /* below it, on any terminal */
    apr_file_t *file;
    cohort_os_handle_t handle;
    const cohort_progress_t *state;
    bool ascii, dumb; /* dumb: the terminal takes no control sequences */
    bool vanish;
    bool ends;    /* it is drawn for the last time */
    size_t shown; /* columns of it that are there; 0: it is not there */
    bool is_there;
};

/* Draw all bars that are on the same terminal as this one. Those that end are left above the others
 * or taken away, and are not there any more. Nothing when it is no terminal. */
void cohort__bars_draw(cohort__bar_t *first, const cohort__bar_t *like);

#endif
