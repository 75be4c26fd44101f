/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What this process notes of each process that it watches, for the files of the watcher. All of it
 * is changed under one mutex.
 */
#ifndef COHORT_CORE_WATCHED_H
#define COHORT_CORE_WATCHED_H

#include "core/life/watcher.h"

/* One watched process. A slot may have been started again meanwhile, so the record says which start
 * it was. */
struct cohort__watched_t {
    cohort_os_watch_room_t room;
    struct cohort__watched_t *next, **link; /* what points here */
    cohort__pid_t id;
    cohort_os_id_t os;
    uint32_t attempt;
    bool child, contained;
    bool bound;            /* it ends with its parent, so a keeper may hold it */
    cohort_os_tree_t tree; /* as far as its starter knows it */
};

typedef struct {
    cohort_os_mutex_t mutex;
    cohort_os_watch_t *watch; /* NULL: none yet, or no more */
    unsigned gone;            /* so many watches are, with all their records */
} cohort__watching_t;
extern COHORT__HIDDEN cohort__watching_t cohort__watching;

/* ---- records (watched.c) -------------------------------------------------------------------- */

/* NULL: no memory. */
cohort__watched_t *cohort__watched_new(void);
void cohort__watched_free(cohort__watched_t *w);
/* From here on it is found by its id. */
void cohort__watched_remember(cohort__watched_t *w);
void cohort__watched_forget(cohort__watched_t *w);
/* With the mutex held. */
void cohort__watched_forget_locked(cohort__watched_t *w);
/* With the mutex held; NULL: this process does not watch it. */
cohort__watched_t *cohort__watched_find(cohort__pid_t id);
/* Other processes may have been quicker to record the ends of these: what the system keeps of them
 * is released here. */
void cohort__watched_reap_all(void);
/* The watch itself is gone. */
void cohort__watched_forget_all(void);
/* In a forked copy: these were its original's. */
void cohort__watched_set_aside(void);

/* ---- ends (watcher_end.c) ------------------------------------------------------------------- */

/* Is the process in the slot the one of the record, at the same start? */
bool cohort__watched_is(cohort_process_t *slot, const cohort__watched_t *w);
/* Release what the system keeps of a child that has ended, and return its exit code. Under the
 * slot's guard, so that no thread signals the pid over its release. */
int cohort__end_reap(cohort_process_t *slot, cohort_os_id_t child);
/* What is contained in this process, which has ended, is ended, before the end is announced. Its
 * group by this process while it is not reaped; what another one has reaped only the keeper still
 * knows. */
void cohort__end_contained(cohort__pid_t id, cohort_os_id_t os, const cohort_os_tree_t *tree);
/* May there be processes of which it would have seen the ends, and which another process is to
 * watch from here on? Of one that is forgotten already that is not known. */
bool cohort__end_leaves_others(cohort__pid_t id);
/* The watch has reported the end of this process. */
void cohort__end_of(cohort__watched_t *w);

#endif
