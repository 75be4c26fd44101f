/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Children that the watcher lends to a thread that waits for them. While that thread sleeps in the
 * system until one of them ends, the watch is told nothing of them; when it returns they are the
 * watch's again, but for the one, if any, that has ended and that it has dealt with.
 */
#include "core/life/watched.h"

#include "core/life/death.h"
#include "core/memory/upward.h"

/* microseconds until a descriptor is no more trusted, which the program may have closed */
#define ASSIST_TIME 1000000

/* The end of a worker, or of a server, is more than its own. */
static bool is_own(cohort_process_t *slot) {
    return (slot->role == COHORT__ROLE_CHILD || slot->role == COHORT__ROLE_PROGRAM) &&
           atomic_load(&slot->reaper) == cohort__self_id() &&
           cohort__process_state(slot) == COHORT__SLOT_RUNNING;
}

typedef struct {
    cohort_os_await_t os;
    cohort__pid_t ids[COHORT_OS_AWAIT_MAX];
    cohort__watched_t *watched[COHORT_OS_AWAIT_MAX]; /* gone when the watch is */
    bool contained[COHORT_OS_AWAIT_MAX];
    unsigned watches_gone;
} assistance_t;

static bool take_over(cohort_process_t *const *slots, int count, assistance_t *a) {
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
    }
    return can && cohort_os_await_begin(cohort__watching.watch, &a->os);
}

/* Another process may be at the repair, or this one may not: then the watcher goes on about it. */
static bool is_told(cohort__pid_t id) {
    cohort_process_t *slot = cohort__process_find(id);
    return !slot || cohort__process_state(slot) == COHORT__SLOT_ENDED;
}

static void hand_back(assistance_t *a, int told) {
    cohort_os_mutex_lock(&cohort__watching.mutex);
    bool there = a->watches_gone == cohort__watching.gone;
    if (there) cohort_os_await_done(cohort__watching.watch, &a->os, told);
    if (there && told >= 0) cohort__watched_forget_locked(a->watched[told]);
    cohort_os_mutex_unlock(&cohort__watching.mutex);
}

/* All processes may know of the end before what the system keeps of the child is released. */
static void assist(cohort_process_t *const *slots, int count, int64_t until) {
    assistance_t a;
    int told = -1, code;
    cohort_os_mutex_lock(&cohort__watching.mutex);
    bool can = take_over(slots, count, &a);
    cohort_os_mutex_unlock(&cohort__watching.mutex);
    if (!can) return;
    if (cohort_os_await_end(&a.os, until, &told, &code)) told = -1;
    bool watched = told >= 0 && cohort__end_leaves_others(a.ids[told]);
    if (told >= 0 && a.contained[told]) cohort__end_contained(a.ids[told], a.os.children[told]);
    if (told >= 0) cohort__process_died(a.ids[told], code);
    if (watched) cohort__upward->watch->adopt(a.ids[told]);
    if (told >= 0 && !is_told(a.ids[told])) told = -1;
    hand_back(&a, told);
    if (told >= 0) (void)cohort__end_reap(slots[told], a.os.children[told]);
}

void cohort__watcher_borrow(cohort_process_t *const *slots, int count, int64_t deadline) {
    int64_t until = cohort__deadline(ASSIST_TIME);
    if (count > COHORT_OS_AWAIT_MAX || deadline == 0) return;
    bool before = cohort_os_allow_cancel(false);
    assist(slots, count, until < deadline ? until : deadline);
    (void)cohort_os_allow_cancel(before);
}
