/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of watched processes, in lists by id. A forked copy of the process finds the lists
 * whole, and sets them aside: the processes in them are not its children.
 */
#include "core/life/watched.h"

#include <stdlib.h>

cohort__watching_t cohort__watching;

#define LISTS 64 /* by id, since a waiting thread looks for the record */

/* changed under the mutex, and by one store of what a forked copy reads */
static cohort__watched_t *all[LISTS];

/* The first record is no block of the heap: a server that has one child at a time, and that child,
 * leave the pages of the heap alone, so none is copied. */
static cohort__watched_t first_watched;
static _Atomic bool first_used;

/* Those of the process of which this one is a forked copy. They stay as they are until they are
 * needed: to free them would copy all the pages where they lie. */
static cohort__watched_t *spare[LISTS];

static cohort__watched_t *spare_take(void) {
    cohort__watched_t *w = NULL;
    cohort_os_mutex_lock(&cohort__watching.mutex);
    for (unsigned i = 0; i < LISTS && !w; i++) {
        w = spare[i];
        if (w) spare[i] = w->next;
    }
    cohort_os_mutex_unlock(&cohort__watching.mutex);
    return w;
}

cohort__watched_t *cohort__watched_new(void) {
    cohort__watched_t *w = atomic_exchange(&first_used, true) ? spare_take() : &first_watched;
    if (!w) w = malloc(sizeof(cohort__watched_t));
    if (w) *w = (cohort__watched_t){.id = 0};
    return w;
}

void cohort__watched_free(cohort__watched_t *w) {
    if (w == &first_watched) atomic_store(&first_used, false);
    else free(w);
}

static cohort__watched_t **list_of(cohort__pid_t id) { return &all[id % LISTS]; }

void cohort__watched_remember(cohort__watched_t *w) {
    cohort__watched_t **list = list_of(w->id);
    cohort_os_mutex_lock(&cohort__watching.mutex);
    w->next = *list;
    w->link = list;
    if (w->next) w->next->link = &w->next;
    atomic_signal_fence(memory_order_release);
    *list = w;
    cohort_os_mutex_unlock(&cohort__watching.mutex);
}

void cohort__watched_forget_locked(cohort__watched_t *w) {
    *w->link = w->next;
    if (w->next) w->next->link = w->link;
    cohort__watched_free(w);
}

void cohort__watched_forget(cohort__watched_t *w) {
    cohort_os_mutex_lock(&cohort__watching.mutex);
    cohort__watched_forget_locked(w);
    cohort_os_mutex_unlock(&cohort__watching.mutex);
}

static void free_list(cohort__watched_t **list) {
    while (*list) {
        cohort__watched_t *w = *list;
        *list = w->next;
        cohort__watched_free(w);
    }
}

void cohort__watched_forget_all(void) {
    for (unsigned i = 0; i < LISTS; i++) {
        free_list(&all[i]);
        free_list(&spare[i]);
    }
}

/* Only a copy of a copy has any before. */
void cohort__watched_set_aside(void) {
    for (unsigned i = 0; i < LISTS; i++) {
        cohort__watched_t **end = &all[i];
        while (spare[i] && *end) end = &(*end)->next;
        if (spare[i]) *end = spare[i];
        spare[i] = all[i];
        all[i] = NULL;
    }
}

cohort__watched_t *cohort__watched_find(cohort__pid_t id) {
    cohort__watched_t *w = *list_of(id);
    while (w && w->id != id) w = w->next;
    return w;
}

void cohort__watched_reap_all(void) {
    int code;
    for (unsigned i = 0; i < LISTS; i++) {
        for (const cohort__watched_t *w = all[i]; w; w = w->next) {
            if (w->child && w->contained) (void)cohort_os_tree_end(NULL, w->os, false, 0, NULL);
            if (w->child && w->tree.token)
                (void)cohort_os_tree_end(&w->tree, w->os, false, 0, cohort__is_spared);
            if (w->child) (void)cohort_os_reap(w->os, &code);
        }
    }
}
