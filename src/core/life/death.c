/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A life is FREE -> NEW -> STARTING -> RUNNING -> DEAD -> ENDED -> FREE (or back from STARTING to
 * NEW when the start failed), each step one compare-and-swap, so any process may take the next one
 * when the one that should have is dead. DEAD means: no thread will do anything in its name any
 * more, and what it was doing is being repaired; ENDED, that all is repaired and the exit code
 * final. For all callers that ask or wait a process ends when it is ENDED. Its reaper brings that
 * about, and every process that asks for its end: each repairs what is not repaired, and the exit
 * code is the reaper's to record, for as long as that one lives.
 */
#include "core/life/death.h"

#include "core/memory/arena.h"
#include "core/memory/upward.h"

#include <apr_thread_proc.h>
#include <cohort/errors.h>

/* ---- what became of a start ----------------------------------------------------------------- */

static const struct {
    apr_status_t status;
    int code;
} boot_failures[] = {{COHORT_EBINARY, 249},
                     {COHORT_EUNTRUSTED, 250},
                     {COHORT_EADDRESS, 251},
                     {COHORT_EVERSION, 252},
                     {COHORT_EPRIVILEGED, 253}};

#define BOOT_FAILURES (sizeof boot_failures / sizeof *boot_failures)

int cohort__exit_for(apr_status_t status) {
    for (size_t i = 0; i < BOOT_FAILURES; i++) {
        if (boot_failures[i].status == status) return boot_failures[i].code;
    }
    return 0;
}

apr_status_t cohort__exit_meaning(int code) {
    for (size_t i = 0; i < BOOT_FAILURES; i++) {
        if (boot_failures[i].code == code) return boot_failures[i].status;
    }
    return COHORT_ESTART;
}

/* ---- threads -------------------------------------------------------------------------------- */

/* Blocks on the move are settled already. False: another thread has to do it. */
static bool repair_thread(cohort__thread_t *me, cohort__thread_t *dead) {
    for (const cohort__thread_step_t *step = cohort__upward->thread_steps; step->name; step++) {
        if (!step->repair(me, dead)) return false;
    }
    cohort__thread_release(dead);
    return true;
}

/* Of all threads of the process first: guards wait until the block is settled, and destroyers until
 * no look is under way, of which another repairer may be one that this one waits for in turn. */
static void settle_thread(cohort__thread_t *dead) {
    cohort__alloc_repair(dead);
    if (atomic_load_explicit(&dead->op, memory_order_acquire) == COHORT__OP_LOOK)
        cohort__op_end(dead);
}

bool cohort__threads_repair(cohort__pid_t dead) {
    cohort__thread_t *me;
    bool all = true;
    if (cohort__enter(&me)) return false;
    uint32_t count = cohort__thread_count();
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < count; i++) {
            cohort__thread_t *thread = cohort__thread_at(i);
            if (atomic_load_explicit(&thread->owner, memory_order_acquire) != dead) continue;
            if (pass == 0) settle_thread(thread);
            else all = repair_thread(me, thread) && all;
        }
    }
    return all;
}

/* ---- deaths --------------------------------------------------------------------------------- */

bool cohort__process_check_dead(cohort__pid_t id) {
    cohort_process_t *slot = cohort__process_find(id);
    uint64_t life = slot ? cohort__process_life(slot) : 0;
    if (cohort__process_alive(id, true)) return false;
    if (slot) cohort__start_died(id, life, COHORT_EXIT_NONE);
    return true;
}

bool cohort__process_is_gone(cohort__pid_t id) {
    if (!cohort__process_check_dead(id)) return false;
    cohort_process_t *slot = cohort__process_find(id);
    return !slot || atomic_load(&slot->repaired) != COHORT__REPAIRED_NOTHING;
}

bool cohort__process_lives_on(cohort__pid_t id) {
    cohort_process_t *slot = cohort__process_find(id);
    if (!slot || cohort__process_state(slot) < COHORT__SLOT_RUNNING) return false;
    if (cohort__process_state(slot) == COHORT__SLOT_ENDED) return false;
    (void)cohort__process_check_dead(id);
    return cohort__process_find(id) == slot && cohort__process_state(slot) != COHORT__SLOT_ENDED;
}

/* The right to repair: free, ours, or a dead repairer's that we take over, when that one's own
 * death is repaired: it may have been about to free what is to be freed here, and must not do so by
 * its repairer's hand when it is freed already. */
static bool repair_begin(cohort_process_t *slot, cohort__thread_t *me) {
    cohort__tid_t owner = 0, mine = cohort__thread_id(me);
    if (atomic_compare_exchange_strong(&slot->repairer, &owner, mine)) return true;
    if (cohort__thread_alive(owner, true)) return false;
    cohort__pid_t process = cohort__thread_process(owner);
    if (process) (void)cohort__process_check_dead(process);
    return !cohort__thread_find(owner) &&
           atomic_compare_exchange_strong(&slot->repairer, &owner, mine);
}

void cohort__slot_settle(cohort_process_t *slot) {
    cohort__tid_t owner;
    while ((owner = atomic_load(&slot->repairer)) != 0 && cohort__thread_alive(owner, true))
        apr_thread_yield();
}

/* The repairer may have come late: the process may have been started again, or the slot be another
 * one's. From here on neither happens before the repair is over. */
static bool is_life_over(cohort_process_t *slot, uint64_t life) {
    uint64_t now = cohort__process_life(slot);
    cohort__slot_state_t state = cohort__life_state(now);
    if (!cohort__is_same_start(now, life)) return false;
    int64_t pid = cohort__claim_pid(atomic_load(&slot->claim));
    if (state == COHORT__SLOT_STARTING)
        return pid == 0 || !cohort_os_alive((cohort_os_id_t){pid, 0}, NULL);
    return state == COHORT__SLOT_DEAD;
}

/* The creator died over the start. What no child has claimed none will claim from here on; what one
 * has claimed is a process like any other. */
static void drop_start(cohort_process_t *slot, cohort__pid_t dead, cohort__thread_t *me) {
    cohort__pid_t id = cohort__process_id(slot);
    bool claimed = false;
    cohort__guard_enter(&slot->guard, me); /* no slot is freed meanwhile, for the next process */
    if (atomic_load(&slot->creator) == dead && cohort__process_find(id) == slot) {
        if (cohort__process_state(slot) == COHORT__SLOT_STARTING) {
            atomic_store(&slot->awaited, 0);
            if (cohort__claim_withdraw(slot))
                cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_NEW);
            else claimed = true;
        }
        cohort__slot_step(slot, COHORT__SLOT_FAILED, COHORT__SLOT_NEW);
    }
    cohort__guard_leave(&slot->guard);
    if (claimed) (void)cohort__process_check_dead(id);
}

/* What the dead process had made and no process holds any more; what it had started goes on, its
 * handles are dropped. The process that was to let go of a slot that no process holds may be the
 * dead one too, so all are looked at. */
void cohort__handles_drop(cohort__pid_t dead) {
    cohort__thread_t *me;
    uint32_t count = cohort__process_count();
    if (cohort__enter(&me)) return;
    for (uint32_t i = 0; i < count; i++) {
        cohort_process_t *slot = cohort__process_at(i);
        if (atomic_load(&slot->creator) == dead) drop_start(slot, dead, me);
        cohort__slot_release(slot);
    }
}

/* A process of which a start has failed keeps what goes with it until its end. */
static uint32_t repair_needed(const cohort_process_t *slot) {
    return cohort__process_state(slot) < COHORT__SLOT_RUNNING ? COHORT__REPAIRED_START
                                                              : COHORT__REPAIRED_ALL;
}

/* A thread that is busy cannot announce that it destroys something, so it leaves that to others: to
 * the watcher that sees this end, or to a thread that waits for it. Returns how far the repair
 * is. */
static uint32_t repair_as_far_as_may_be(cohort_process_t *slot, cohort__thread_t *me) {
    cohort__pid_t dead = cohort__process_id(slot);
    /* others have nothing but the ends of pipes that they were given */
    bool member = !cohort__is_no_member(slot);
    if (member) cohort_os_park_forget(slot->os);
    bool all = !member || cohort__threads_repair(dead);
    if (!all || cohort__thread_is_busy(me)) return COHORT__REPAIRED_THREADS;
    atomic_store(&slot->repaired, COHORT__REPAIRED_THREADS);
    uint32_t needed = repair_needed(slot); /* before the steps: it may become DEAD meanwhile */
    for (const cohort__death_step_t *step = cohort__upward->death_steps; step->name; step++) {
        if (member || step->programs) step->died(dead);
    }
    return needed;
}

static bool is_repaired(cohort_process_t *slot) {
    return atomic_load(&slot->repaired) >= repair_needed(slot);
}

/* True when this call has brought it further. */
static bool repair(cohort_process_t *slot, uint64_t life) {
    cohort__thread_t *me;
    if (is_repaired(slot) || cohort__enter(&me) || !repair_begin(slot, me)) return false;
    uint32_t before = atomic_load(&slot->repaired), after = before;
    if (!is_repaired(slot) && is_life_over(slot, life)) after = repair_as_far_as_may_be(slot, me);
    if (after != before) atomic_store(&slot->repaired, after);
    atomic_store(&slot->repairer, 0);
    return after != before;
}

/* The last thing before the end: what depends on a process of this role is notified (a worker's
 * pool, which needs the final code and frees itself with its last worker when its maker is dead).
 * False: not by a thread that is busy. */
static bool tell_role(cohort_process_t *slot, cohort__pid_t id) {
    cohort__thread_t *me;
    const cohort__role_ops_t *role = cohort__role_ops(slot);
    if (!role->died) return true;
    if (cohort__enter(&me) || cohort__thread_is_busy(me)) return false;
    role->died(id);
    return true;
}

/* What has become of a death: a thread that is about to sleep sees the count and looks once more,
 * one that sleeps is woken. Only when there is something new to see, since all waiting threads ask
 * for the dead, and would wake each other for as long as the one that is to go on does not. */
static void announce_death(void) {
    atomic_fetch_add(&cohort__arena->death, 1);
    cohort__wake_all_sleepers();
}

/* nanoseconds that a reaper is given to record the code of a process that is found dead */
#define REPORT_TIME INT64_C(1000000000)

/* Is there nothing to be learnt from the reaper? It is dead; or it is slow, perhaps stopped, and
 * the process stored its code itself. */
static bool is_code_final(cohort_process_t *slot) {
    if (!cohort__process_alive(atomic_load(&slot->reaper), true)) return true;
    return atomic_load(&slot->left) && cohort__exit_code(slot) != COHORT_EXIT_NONE &&
           cohort_os_now() - atomic_load(&slot->died) > REPORT_TIME;
}

/* A code of its own that the process stored counts only if it also got to the end: a signal may
 * have come in between. So the reaper records what it saw. The life is looked at after the word: a
 * word that is exchanged is of this start, or of the one before, in a slot that lost its starter
 * since. True: the code is final. */
static bool settle_code(cohort_process_t *slot, uint64_t life, int code) {
    uint64_t before = atomic_load(&slot->outcome), after;
    do {
        bool own = cohort__outcome_is_of(before, life);
        int stored = own ? cohort__outcome_code(before) : COHORT_EXIT_NONE;
        if (!cohort__is_same_start(cohort__process_life(slot), life)) return false;
        if (own && cohort__outcome_is_final(before)) return true;
        if (code == COHORT_EXIT_NONE && !is_code_final(slot)) return false;
        bool by_signal = code < 0 && code != COHORT_EXIT_NONE && code != COHORT_EXIT_UNKNOWN;
        int final = by_signal || stored == COHORT_EXIT_NONE ? code : stored;
        if (final == COHORT_EXIT_NONE) final = COHORT_EXIT_UNKNOWN;
        after = cohort__outcome(life, true, final);
    } while (!atomic_compare_exchange_weak(&slot->outcome, &before, after));
    return true;
}

/* Why a child did not become RUNNING that could not even leave the reason in its slot. */
static apr_status_t guess(cohort_process_t *slot, int code) {
    bool claimed = cohort__claim_pid(atomic_load(&slot->claim)) != 0;
    apr_status_t meant = claimed ? COHORT_ESTART : cohort__exit_meaning(code);
    if (meant == COHORT_EADDRESS) {
        return cohort__fail(meant,
                            "in the child, at %p; something else lies there, or a limit forbids it",
                            (void *)cohort__map.base);
    }
    if (meant != COHORT_ESTART || code == COHORT_EXIT_NONE || code == COHORT_EXIT_UNKNOWN)
        return meant;
    if (code == 0)
        return cohort__fail(
            meant,
            "exit code 0; main() must not fork, daemonize or end before cohort_initialize()");
    return cohort__fail(meant, code < 0 ? "a signal ended it, exit code %d" : "exit code %d", code);
}

/* A child that died before it was RUNNING is a failed start, and its starter reports it, after the
 * repair: then it may be started again, so that the last step is one of this very start. */
static bool end_failed_start(cohort_process_t *slot, uint64_t life, int code) {
    uint64_t now = cohort__process_life(slot);
    if (!cohort__is_same_start(now, life)) return true;
    if (cohort__life_state(now) != COHORT__SLOT_STARTING || !atomic_load(&slot->awaited))
        return false;
    /* the child has stepped back, and the start goes on without it */
    if (atomic_load(&slot->unfit)) return true;
    cohort__slot_refuse(slot, guess(slot, code));
    bool news = repair(slot, now);
    if (!is_repaired(slot)) return true;
    if (atomic_compare_exchange_strong(&slot->life, &now,
                                       cohort__life_with(now, COHORT__SLOT_FAILED)))
        cohort__notify(&slot->changed, COHORT__ALL);
    if (news) announce_death();
    return true;
}

/* True for the caller that is the first to say so. What is seen in the slot alone is looked at
 * after the count has changed. */
static bool set_dead(cohort_process_t *slot, uint64_t life) {
    if (!cohort__may_act(cohort__life_state(life))) return false;
    atomic_store(&slot->died, cohort_os_now());
    if (!cohort__slot_step_of(slot, life, COHORT__SLOT_STARTING, COHORT__SLOT_DEAD) &&
        !cohort__slot_step_of(slot, life, COHORT__SLOT_RUNNING, COHORT__SLOT_DEAD))
        return false;
    atomic_fetch_add(&cohort__arena->death, 1);
    return true;
}

void cohort__process_ended(cohort_process_t *slot, int code) {
    cohort__process_died(cohort__process_id(slot), code);
}

void cohort__process_died(cohort__pid_t id, int code) {
    cohort_process_t *slot = cohort__process_find(id);
    if (slot) cohort__start_died(id, cohort__process_life(slot), code);
}

void cohort__start_died(cohort__pid_t id, uint64_t life, int code) {
    cohort_process_t *slot = cohort__process_find(id);
    if (!slot || cohort__life_generation(life) != cohort__pid_generation(id)) return;
    if (end_failed_start(slot, life, code)) return;
    /* it has become RUNNING meanwhile */
    if (code == COHORT_EXIT_NONE && cohort__process_alive(id, true)) return;
    bool news = set_dead(slot, life);
    if (cohort__process_life(slot) != cohort__life_with(life, COHORT__SLOT_DEAD)) return;
    bool final = settle_code(slot, life, code);
    news = repair(slot, life) || news;
    final = final || settle_code(slot, life, code); /* the reaper may have recorded it meanwhile */
    if (!is_repaired(slot) || !final || !tell_role(slot, id)) {
        if (news) announce_death();
        return;
    }
    if (!cohort__slot_step_of(slot, life, COHORT__SLOT_DEAD, COHORT__SLOT_ENDED)) return;
    cohort__notify(&slot->changed, COHORT__ALL);
    cohort__notify_completed(slot);
    announce_death();
    cohort__slot_release(slot);
}
