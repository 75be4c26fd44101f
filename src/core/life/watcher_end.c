/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done about the end of one watched process: its exit code is taken, the death is recorded
 * and repaired, its pool is notified, and the processes that it watched are watched from here on.
 */
#include "core/life/watched.h"

#include "core/life/death.h"
#include "core/memory/arena.h"
#include "core/memory/upward.h"

#include <cohort/process.h>

bool cohort__watched_is(cohort_process_t *slot, const cohort__watched_t *w) {
    if (cohort__process_state(slot) == COHORT__SLOT_STARTING)
        return cohort__process_attempt(slot) == w->attempt;
    return slot->os.pid == w->os.pid;
}

int cohort__end_reap(cohort_process_t *slot, cohort_os_id_t child) {
    cohort__thread_t *me;
    int code;
    bool locked = slot && !cohort__enter(&me);
    if (locked) cohort__guard_enter(&slot->guard, me);
    if (cohort_os_reap(child, &code)) code = COHORT_EXIT_UNKNOWN;
    if (locked) cohort__guard_leave(&slot->guard);
    return code;
}

/* The process has completed what its slot says of its tree, if the slot is still its own. */
static void end_watched_tree(cohort__pid_t id, cohort_os_id_t os, cohort_os_tree_t tree) {
    const cohort_process_t *slot = cohort__process_find(id);
    cohort_os_tree_t whole = slot ? slot->tree : tree;
    if (slot && cohort__process_find(id) == slot && whole.token == tree.token) tree = whole;
    (void)cohort_os_tree_end(&tree, os, false, 0, cohort__is_spared);
}

void cohort__end_contained(cohort__pid_t id, cohort_os_id_t os, const cohort_os_tree_t *tree) {
    (void)cohort_os_tree_end(NULL, os, false, 0, NULL);
    if (tree->token) end_watched_tree(id, os, *tree);
    cohort__upward->watch->held_ended(id);
}

static int take_code(cohort_process_t *slot, const cohort__watched_t *w) {
    bool ours = !slot || atomic_load(&slot->reaper) == cohort__self_id() ||
                cohort__process_find(w->id) != slot;
    if (!ours) return COHORT_EXIT_NONE; /* that one will record it */
    if (w->contained) cohort__end_contained(w->id, w->os, &w->tree);
    else if (w->bound) cohort__upward->watch->held_ended(w->id);
    return cohort__end_reap(slot, w->os);
}

/* microseconds for another process to finish the repair that it has begun */
#define SETTLE_TIME 2000000

typedef struct {
    cohort_process_t *slot;
    cohort__pid_t id;
    uint64_t life;
} death_t;

static apr_status_t try_death_settled(void *arg, bool thorough) {
    death_t *death = arg;
    if (thorough) cohort__start_died(death->id, death->life, COHORT_EXIT_NONE);
    bool is_dead = cohort__process_find(death->id) == death->slot &&
                   cohort__process_state(death->slot) == COHORT__SLOT_DEAD;
    return is_dead ? APR_EAGAIN : APR_SUCCESS;
}

/* The same, at one moment of the life that is returned; 0: it is not. */
static uint64_t same_life(cohort_process_t *slot, const cohort__watched_t *w) {
    uint64_t life;
    bool same;
    do {
        life = cohort__process_life(slot);
        same = cohort__watched_is(slot, w);
    } while (cohort__process_life(slot) != life);
    return same ? life : 0;
}

/* Another process may have noticed the death too, and be at its repair. What follows here needs it
 * done. */
static void record(cohort_process_t *slot, cohort__pid_t id, uint64_t life, int code) {
    death_t death = {slot, id, life};
    cohort__start_died(id, life, code);
    if (atomic_load(&slot->reaper) != cohort__self_id()) return;
    (void)cohort__await(&slot->changed, try_death_settled, &death, cohort__deadline(SETTLE_TIME));
}

bool cohort__end_leaves_others(cohort__pid_t id) {
    cohort_process_t *slot = cohort__process_find(id);
    bool has = !slot || slot->role == COHORT__ROLE_SERVER || atomic_load(&slot->watches);
    return has || cohort__process_find(id) != slot; /* else it was about the slot's next process */
}

void cohort__end_of(cohort__watched_t *w) {
    cohort_process_t *slot = cohort__process_find(w->id);
    int code = take_code(slot, w);
    bool watched = cohort__end_leaves_others(w->id);
    uint64_t life = slot ? same_life(slot, w) : 0;
    bool was_server = !slot || slot->role == COHORT__ROLE_SERVER;
    if (life) {
        cohort_pool_t *pool = atomic_load(&slot->pool);
        const cohort__role_ops_t *role = cohort__role_ops(slot);
        record(slot, w->id, life, code);
        if (role->ended) role->ended(w->id, pool); /* the slot may be another process' by now */
    }
    if (watched) cohort__upward->watch->adopt(w->id);
    if (was_server) cohort__watcher_alarm(cohort_os_now()); /* it may have news */
    cohort__watched_forget(w);
}
