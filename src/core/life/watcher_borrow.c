/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Children that the watcher lends to a thread that waits for them. While that thread sleeps in the
 * system until one of them ends, the watch does not see them; when it returns they are the
 * watch's again, but for the one, if any, that has ended and that it has dealt with.
 */
#include "core/life/watched.h"

#include "core/life/death.h"
#include "core/memory/upward.h"

/* microseconds until a descriptor is no more trusted, which the program may have closed */
#define BORROW_TIME 1000000

/* The end of a worker, or of a server, is more than its own. */
static bool is_own(cohort_process_t *slot) {
    return (slot->role == COHORT__ROLE_CHILD || slot->role == COHORT__ROLE_PROGRAM) &&
           atomic_load(&slot->reaper) == cohort__self_id() &&
           cohort__process_state(slot) == COHORT__SLOT_RUNNING;
}

typedef struct {
    cohort_os_borrow_t os;
    cohort__pid_t ids[COHORT_OS_BORROW_MAX];
    cohort__watched_t *watched[COHORT_OS_BORROW_MAX]; /* gone when the watch is */
    bool contained[COHORT_OS_BORROW_MAX], bound[COHORT_OS_BORROW_MAX];
    cohort_os_tree_t trees[COHORT_OS_BORROW_MAX];
    unsigned watches_gone;
} borrowing_t;

static bool borrow_children(cohort_process_t *const *slots, int count, borrowing_t *a) {
    bool can = cohort__watching.watch != NULL;
    a->os.count = count;
    a->watches_gone = cohort__watching.gone;
    for (int i = 0; i < count && can; i++) {
        a->ids[i] = cohort__process_id(slots[i]);
        a->watched[i] = cohort__watched_find(a->ids[i]);
        can = a->watched[i] && is_own(slots[i]) &&
              a->watched[i]->attempt == cohort__process_attempt(slots[i]) &&
              cohort__watched_is(slots[i], a->watched[i]);
        if (can) a->os.rooms[i] = &a->watched[i]->room;
        if (can) a->contained[i] = a->watched[i]->contained;
        if (can) a->bound[i] = a->watched[i]->bound;
        if (can) a->trees[i] = a->watched[i]->tree;
    }
    return can && cohort_os_borrow_begin(cohort__watching.watch, &a->os);
}

/* Another process may be at the repair, or this one may not: then the watcher goes on about it. */
static bool is_recorded(cohort__pid_t id) {
    cohort_process_t *slot = cohort__process_find(id);
    return !slot || cohort__process_state(slot) == COHORT__SLOT_ENDED;
}

static void return_children(borrowing_t *a, int reported) {
    cohort_os_mutex_lock(&cohort__watching.mutex);
    bool there = a->watches_gone == cohort__watching.gone;
    if (there) cohort_os_borrow_return(cohort__watching.watch, &a->os, reported);
    if (there && reported >= 0) cohort__watched_forget_locked(a->watched[reported]);
    cohort_os_mutex_unlock(&cohort__watching.mutex);
}

/* All processes may know of the end before what the system keeps of the child is released. */
static void wait_for_borrowed(cohort_process_t *const *slots, int count, int64_t until) {
    borrowing_t a;
    int reported = -1, code;
    cohort_os_mutex_lock(&cohort__watching.mutex);
    bool can = borrow_children(slots, count, &a);
    cohort_os_mutex_unlock(&cohort__watching.mutex);
    if (!can) return;
    if (cohort_os_borrow_wait(&a.os, until, &reported, &code)) reported = -1;
    bool watched = reported >= 0 && cohort__end_leaves_others(a.ids[reported]);
    if (reported >= 0 && a.contained[reported])
        cohort__end_contained(a.ids[reported], a.os.children[reported], &a.trees[reported]);
    else if (reported >= 0 && a.bound[reported]) cohort__upward->watch->held_ended(a.ids[reported]);
    if (reported >= 0) cohort__process_died(a.ids[reported], code);
    const cohort__role_ops_t *role = reported >= 0 ? cohort__role_ops(slots[reported]) : NULL;
    if (role && role->ended) role->ended(a.ids[reported], NULL);
    if (watched) cohort__upward->watch->adopt(a.ids[reported]);
    if (reported >= 0 && !is_recorded(a.ids[reported])) reported = -1;
    return_children(&a, reported);
    if (reported >= 0) (void)cohort__end_reap(slots[reported], a.os.children[reported]);
}

void cohort__watcher_borrow(cohort_process_t *const *slots, int count, int64_t deadline) {
    int64_t until = cohort__deadline(BORROW_TIME);
    if (count > COHORT_OS_BORROW_MAX || deadline == 0) return;
    /* no other thread takes it: one that holds a mutex is not cancelled */
    cohort_os_mutex_t uncancelled = {{0}};
    cohort_os_mutex_lock(&uncancelled);
    wait_for_borrowed(slots, count, until < deadline ? until : deadline);
    cohort_os_mutex_unlock(&uncancelled);
}
