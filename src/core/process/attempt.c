/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * An attempt at a start, for whichever kind of process: it is begun, claimed by the child, given
 * up, made again, and its starter waits until the child is RUNNING. Each attempt has a number of
 * its own in the slot's claim, so that a child that comes too late finds the claim closed. The
 * starter may be killed between any two stores: until a child has claimed the slot no process acts
 * in its name, and the repair of the starter takes the start back.
 */
#include "core/process/process.h"

#include "core/memory/park.h"

#include <apr_thread_proc.h>

/* ---- begun and given up --------------------------------------------------------------------- */

static void prepare_attempt(cohort_process_t *slot, bool awaited) {
    cohort__slot_settle(slot);
    atomic_store(&slot->claim, cohort__claim_next(atomic_load(&slot->claim)));
    slot->reason[0] = 0;
    atomic_store(&slot->start_status, APR_SUCCESS);
    atomic_store(&slot->outcome,
                 cohort__outcome(cohort__process_life(slot), false, COHORT_EXIT_NONE));
    atomic_store(&slot->repaired, COHORT__REPAIRED_NOTHING);
    atomic_store(&slot->awaited, awaited);
    atomic_store(&slot->unfit, 0); /* not before the claim is another's */
}

bool cohort__attempt_begin(cohort_process_t *slot, bool awaited) {
    if (!cohort__slot_step(slot, COHORT__SLOT_NEW, COHORT__SLOT_STARTING)) return false;
    prepare_attempt(slot, awaited);
    return true;
}

bool cohort__attempt_claim(cohort_process_t *slot, uint32_t attempt) {
    uint64_t open = cohort__claim_open(attempt);
    cohort_os_id_t os = cohort_os_self();
    if (!atomic_compare_exchange_strong(&slot->claim, &open, cohort__claim_by(open, os.pid)))
        return false;
    slot->os = os;
    return true;
}

/* The next start of this life first: what is late to report the end of the child that has
 * stepped back does not mean this one. */
void cohort__attempt_again(cohort_process_t *slot) {
    /* the server that it was asked of does not wait for it any more */
    atomic_store(&slot->reaper, 0);
    /* nor is the new start taken for the one that has lost its child */
    atomic_store(&slot->claim, cohort__claim_next(atomic_load(&slot->claim)));
    cohort__slot_restart(slot);
    prepare_attempt(slot, true);
}

/* The number of the attempt is given up first, so that no late child takes the next one for it. */
apr_status_t cohort__attempt_failed(cohort_process_t *slot, apr_status_t status) {
    atomic_store(&slot->claim, cohort__claim_next(atomic_load(&slot->claim)));
    if (!cohort__slot_step(slot, COHORT__SLOT_FAILED, COHORT__SLOT_NEW))
        cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_NEW);
    return status;
}

/* ---- the child becomes RUNNING -------------------------------------------------------------- */

typedef struct {
    cohort_process_t *slot;
    const cohort_os_id_t *child;
    int dead_looks;
} startup_t;

/* The slot has not been claimed yet. Can it be still? */
static apr_status_t check_unclaimed(startup_t *t) {
    if (t->child) {
        /* This process' watcher will see its end, and the exit code says why; unless the watcher
         * itself is waiting here, or for the thread that does. */
        if (!cohort_os_alive(*t->child, NULL) && t->dead_looks++ > 0)
            cohort__process_ended(t->slot, COHORT_EXIT_NONE);
        return APR_EAGAIN;
    }
    return cohort__process_alive(atomic_load(&t->slot->reaper), true) ? APR_EAGAIN
                                                                      : COHORT_EWORKERDIED;
}

static apr_status_t try_running(void *arg, bool thorough) {
    startup_t *t = arg;
    if (cohort__process_state(t->slot) != COHORT__SLOT_STARTING) return APR_SUCCESS;
    if (atomic_load(&t->slot->unfit)) return COHORT_EWORKERDIED;
    if (!thorough) return APR_EAGAIN;
    int64_t pid = cohort__claim_pid(atomic_load(&t->slot->claim));
    if (pid == 0) return check_unclaimed(t);
    if (cohort_os_alive((cohort_os_id_t){pid, 0}, NULL)) return APR_EAGAIN;
    cohort__process_ended(t->slot, COHORT_EXIT_NONE); /* this makes the start a failed one */
    return APR_EAGAIN;
}

apr_status_t cohort__await_running(cohort_process_t *slot, const cohort_os_id_t *child) {
    startup_t t = {slot, child, 0};
    apr_status_t status = cohort__await(&slot->changed, try_running, &t, COHORT_OS_NEVER);
    cohort__slot_state_t state = cohort__process_state(slot);
    bool failed = !status && state == COHORT__SLOT_FAILED;
    if (!status && state == COHORT__SLOT_NEW) return COHORT_ESTART; /* withdrawn by a repairer */
    if (failed) status = cohort__slot_refusal(slot);
    /* which may be any, what cohort__await() goes on at too */
    return failed && !status ? COHORT_ESTART : status;
}

/* Its end would not be seen. */
void cohort__attempt_end_child(cohort_os_id_t child) {
    int code;
    (void)cohort_os_signal(child, COHORT_OS_KILL);
    while (APR_STATUS_IS_EAGAIN(cohort_os_reap(child, &code))) apr_thread_yield();
}

apr_status_t cohort__watch_until_running(cohort_process_t *slot, cohort_os_id_t child,
                                         cohort__watched_t *watched) {
    apr_status_t status =
        cohort__watcher_add(watched, slot, cohort__process_attempt(slot), child, true);
    if (!status) return cohort__await_running(slot, &child);
    cohort__attempt_end_child(child);
    cohort__slot_step(slot, COHORT__SLOT_RUNNING, COHORT__SLOT_STARTING);
    cohort__process_ended(slot, COHORT_EXIT_NONE);
    return status;
}
