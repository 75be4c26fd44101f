/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The process table: slots come and go, ids are never mistaken, and a process that dies over a step
 * of a life leaves nothing behind. */
#include "../api/parties.h"

#include "core/memory/arena.h"
#include "core/memory/upward.h"
#include "core/process/process.h"

#include <apr_thread_proc.h>
#include <stdlib.h>

typedef struct {
    cohort_process_t *_Atomic slot;
    _Atomic uint64_t id;
    _Atomic int ready;
    int step;
} notes_t;

static notes_t *new_notes(void) { return party_memory(sizeof(notes_t)); }

static cohort_process_t *make(cohort_target_t target) {
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, target, "args", 5, NULL, NULL));
    return process;
}

static void stale_ids_name_no_process(void) {
    cohort_process_t *process = make(nothing);
    cohort__pid_t id = cohort__process_id(process);
    CHECK(cohort__process_find(id) == process);
    CHECK(!cohort__process_alive(id, true)); /* not started */
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    party_end(process, 0);
    CHECK(cohort__process_find(id) == process);
    CHECK(!cohort__process_alive(id, true));
    CHECK(cohort__process_check_dead(id));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    CHECK(cohort__process_find(id) == NULL);
    CHECK(cohort__process_check_dead(id));
    cohort__pid_t ids[] = {0, id + (1 << 16), id + 9999, UINT64_MAX, 0xffff};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        CHECK(cohort__process_find(ids[i]) == NULL);
        CHECK(!cohort__process_alive(ids[i], true));
    }
}

static void ten_thousand_slots(void) {
    cohort__usage_t before, after;
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(make(nothing)));
    cohort__alloc_usage(&before);
    cohort__pid_t last = 0;
    for (int i = 0; i < 10000; i++) {
        cohort_process_t *process = make(nothing);
        CHECK(cohort__process_id(process) != last);
        last = cohort__process_id(process);
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    }
    cohort__alloc_usage(&after);
    CHECK(cohort__process_count() <= 40);
    CHECK_INT(before.blocks, after.blocks);
    CHECK_INT(before.used, after.used);
}

static void lives_leave_nothing(void) {
    cohort__usage_t before, after;
    int rounds = strcmp(test_method(), "spawn") ? 150 : 30;
    party_finish(party_start(nothing, "args", 5));
    cohort__alloc_usage(&before);
    uint32_t threads = cohort__thread_count();
    for (int i = 0; i < rounds; i++) {
        cohort_process_t *process = party_start(i % 2 ? stay : nothing, "args", 5);
        if (i % 2) party_kill(process);
        else party_end(process, 0);
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    }
    cohort__alloc_usage(&after);
    CHECK(cohort__process_count() <= 40);
    CHECK(cohort__thread_count() <= threads + 2);
    CHECK_INT(before.blocks, after.blocks);
    CHECK_INT(before.used, after.used);
}

static void await_slot(notes_t *n, cohort__slot_state_t state) {
    while (cohort__process_state(n->slot) != state) apr_thread_yield();
}

/* Up to a step of a life, and then it is killed. */
static int make_up_to(void *data) {
    notes_t *n = *(notes_t **)data;
    cohort_process_t *process = make(nothing);
    n->slot = process;
    n->id = cohort__process_id(process);
    if (n->step >= 1) CHECK(cohort__slot_step(process, COHORT__SLOT_NEW, COHORT__SLOT_STARTING));
    if (n->step >= 1) atomic_store(&process->awaited, 1);
    if (n->step >= 2) atomic_store(&process->reaper, cohort__self_id());
    if (n->step >= 3) CHECK(cohort__slot_step(process, COHORT__SLOT_STARTING, COHORT__SLOT_FAILED));
    atomic_store(&n->ready, 1);
    party_wait_for_death();
}

static void makers_may_die_at_any_step(void) {
    cohort__usage_t before, after;
    notes_t *n = new_notes();
    cohort__alloc_usage(&before);
    for (n->step = 0; n->step < 4; n->step++) {
        atomic_store(&n->ready, 0);
        cohort_process_t *maker = party_start(make_up_to, &n, sizeof n);
        party_await(&n->ready, 1);
        party_kill(maker);
        await_slot(n, COHORT__SLOT_FREE);
        CHECK(cohort__process_find(n->id) == NULL);
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(maker));
    }
    cohort__alloc_usage(&after);
    CHECK_INT(before.blocks, after.blocks);
}

static cohort_process_t *next_in_slot(const cohort_process_t *slot) {
    for (;;) {
        cohort_process_t *process = make(nothing);
        if (process == slot) return process;
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    }
}

/* The watcher tells the end of a process when the slot is another process' already. That
 * one's handle stays held. */
static void a_late_end_is_not_the_next_process(void) {
    static const cohort__role_t roles[] = {COHORT__ROLE_KEEPER, COHORT__ROLE_SERVER};
    for (int i = 0; i < 2; i++) {
        cohort_process_t *process = make(nothing);
        cohort__pid_t id = cohort__process_id(process);
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
        process = next_in_slot(process);
        process->role = roles[i];
        cohort__role_ops(process)->ended(id, NULL);
        cohort__slot_let_go(id);
        process->role = COHORT__ROLE_CHILD;
        CHECK_INT((long long)cohort__self_id(), (long long)atomic_load(&process->creator));
        CHECK_INT(COHORT__SLOT_NEW, cohort__process_state(process));
        cohort__slot_let_go(cohort__process_id(process));
        CHECK_INT(COHORT__SLOT_FREE, cohort__process_state(process));
    }
}

/* As the thread's record and the slot look when a process dies before its new slot has a
 * creator. */
static int die_while_making(void *data) {
    notes_t *n = *(notes_t **)data;
    cohort__thread_t *me = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort__enter(&me));
    cohort_process_t *process = make(nothing);
    uint64_t generation = cohort__pid_generation(cohort__process_id(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    uint64_t life = cohort__life_word(generation + 1, COHORT__SLOT_MAKING);
    if (n->step) cohort__op_begin(me, COHORT__OP_SLOT, process, life);
    atomic_store(&process->life, life);
    n->slot = process;
    atomic_store(&n->ready, 1);
    party_wait_for_death();
}

static void a_slot_in_the_making_is_found(void) {
    notes_t *n = new_notes();
    n->step = 1;
    cohort_process_t *maker = party_start(die_while_making, &n, sizeof n);
    party_await(&n->ready, 1);
    CHECK_INT(COHORT__SLOT_MAKING, cohort__process_state(n->slot));
    party_kill(maker);
    CHECK_INT(COHORT__SLOT_FREE, cohort__process_state(n->slot));
}

/* Make processes until there is no slot for more; was this one among them? */
static bool is_found(const cohort_process_t *slot) {
    cohort_process_t **all = malloc(COHORT__PROCESSES_MAX * sizeof *all);
    bool found = false;
    unsigned n = 0;
    CHECK(all != NULL);
    while (n < COHORT__PROCESSES_MAX &&
           cohort_process_create(&all[n], nothing, NULL, 0, NULL, NULL) == APR_SUCCESS) {
        found = found || all[n] == slot;
        n++;
    }
    CHECK(n > 1000);
    while (n > 0) CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(all[--n]));
    free(all);
    return found;
}

/* Another thread is at the same slot: it is that one's, whatever else died over it. And no thread
 * knows of it when that one has given up: it is found when slots run out. */
static void a_slot_in_the_making_by_two_is_left(void) {
    notes_t *n = new_notes();
    cohort__thread_t *me = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort__enter(&me));
    n->step = 1;
    cohort_process_t *maker = party_start(die_while_making, &n, sizeof n);
    party_await(&n->ready, 1);
    cohort__op_begin(me, COHORT__OP_SLOT, n->slot, atomic_load(&n->slot->life));
    party_kill(maker);
    CHECK_INT(COHORT__SLOT_MAKING, cohort__process_state(n->slot));
    cohort__op_end(me);
    CHECK_INT(COHORT__SLOT_MAKING, cohort__process_state(n->slot));
    CHECK(is_found(n->slot));
}

/* The end of an earlier life is nothing to the process that has the slot now. */
static void a_late_report_is_of_its_own_life(void) {
    cohort_process_t *process = make(nothing);
    cohort__pid_t earlier = cohort__process_id(process) - (1 << 16);
    CHECK(cohort__slot_step(process, COHORT__SLOT_NEW, COHORT__SLOT_STARTING));
    CHECK(cohort__slot_step(process, COHORT__SLOT_STARTING, COHORT__SLOT_RUNNING));
    cohort__process_died(earlier, -9);
    CHECK_INT(COHORT__SLOT_RUNNING, cohort__process_state(process));
    CHECK_INT(COHORT_EXIT_NONE, cohort__exit_code(process));
    cohort__process_died(cohort__process_id(process), -9);
    CHECK_INT(COHORT__SLOT_ENDED, cohort__process_state(process));
    CHECK_INT(-9, cohort__exit_code(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
}

/* A word of an outcome tells starts and lives apart, whatever the code. */
static void outcomes_are_of_one_start(void) {
    static const int codes[] = {0, 255, -9, COHORT_EXIT_NONE, COHORT_EXIT_UNKNOWN};
    uint64_t life = cohort__life_word(7, COHORT__SLOT_RUNNING), again = cohort__life_started(life),
             next = cohort__life_word(8, COHORT__SLOT_RUNNING);
    for (int i = 0; i < 5; i++) {
        for (int final = 0; final < 2; final++) {
            uint64_t word = cohort__outcome(life, final, codes[i]);
            CHECK_INT(codes[i], cohort__outcome_code(word));
            CHECK_INT(final, cohort__outcome_is_final(word));
            CHECK(word != cohort__outcome(again, final, codes[i]));
            CHECK(word != cohort__outcome(next, final, codes[i]));
        }
    }
}

#define SLOTS_TRIED 100000

/* The next process in that slot. */
static cohort_process_t *make_in(cohort_process_t *slot) {
    for (int i = 0; i < SLOTS_TRIED; i++) {
        cohort_process_t *process = make(stay);
        if (process == slot) return process;
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    }
    test_fail(__FILE__, __LINE__, "a slot is not used again");
}

/* Calls of the library's own name a process, not its slot, which may be the next one's. */
static void a_late_signal_is_of_its_own_life(void) {
    cohort_process_t *first = party_start(nothing, NULL, 0);
    cohort__pid_t earlier = cohort__process_id(first);
    party_finish(first);
    cohort_process_t *second = make_in(first);
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(second));
    CHECK_STATUS(APR_SUCCESS, cohort__process_signal(earlier, COHORT_OS_KILL));
    CHECK_STATUS(APR_SUCCESS, cohort__process_join(earlier, COHORT_FOREVER));
    CHECK_STATUS(APR_TIMEUP, cohort__process_join(cohort__process_id(second), 100000));
    CHECK(cohort_process_is_alive(second));
    party_kill(second);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(second));
}

static int start_and_leave_behind(void *data) {
    notes_t *n = *(notes_t **)data;
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_BACKGROUND,
                                        .method = COHORT_START_SPAWN};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, stay, NULL, 0, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    n->slot = process;
    n->id = cohort__process_id(process);
    /* so that its own watcher does not look for orphans, unless it is late and does not know
     * which process has ended */
    atomic_store(&cohort__self()->watches, 0);
    return 0;
}

/* The process that would see its end is dead, and no other does: each that asks finds out, and so
 * does one that needs its slot. */
static void orphans_are_found_dead(void) {
    notes_t *n = new_notes();
    for (int asked = 0; asked < 2; asked++) {
        party_finish(party_start(start_and_leave_behind, &n, sizeof n));
        CHECK(cohort__process_alive(n->id, true));
        cohort_os_id_t os = n->slot->os;
        CHECK_STATUS(APR_SUCCESS, cohort_os_signal(os, COHORT_OS_KILL));
        while (cohort_os_alive(os, NULL)) apr_thread_yield();
        if (asked) CHECK(cohort__process_check_dead(n->id));
        for (int i = 0; i < 40 && !asked; i++) (void)make(nothing); /* until the table is full */
        while (cohort__process_find(n->id)) apr_sleep(500);
    }
}

static int end_with_three(void *args) {
    (void)args;
    return 3;
}

/* Deaths are reported by several at once; the first good code stays, and a report that comes too
 * late changes nothing. */
static void late_reports_change_nothing(void) {
    cohort_process_t *process = party_start(end_with_three, NULL, 0);
    party_end(process, 3);
    cohort__process_ended(process, COHORT_EXIT_NONE);
    cohort__process_ended(process, COHORT_EXIT_UNKNOWN);
    cohort__process_ended(process, -9);
    party_end(process, 3);
    cohort_process_t *alive = party_start(stay, NULL, 0);
    cohort__process_ended(alive, COHORT_EXIT_NONE); /* found dead by mistake */
    CHECK_INT(1, cohort_process_is_alive(alive));
    party_kill(alive);
}

/* All threads that wait for a process find it dead, again and again, while its reaper has not told
 * its code yet: that is news once, or none of them would ever sleep. */
static void a_death_is_announced_when_something_is_new(void) {
    cohort_process_t *before = party_start(nothing, NULL, 0), *process = make(nothing);
    party_end(before, 0);
    process->os = before->os;
    atomic_store(&process->reaper, cohort__self_id());
    CHECK(cohort__slot_step(process, COHORT__SLOT_NEW, COHORT__SLOT_STARTING));
    CHECK(cohort__slot_step(process, COHORT__SLOT_STARTING, COHORT__SLOT_RUNNING));
    uint32_t deaths = atomic_load(&cohort__arena->death);
    CHECK(cohort__process_check_dead(cohort__process_id(process)));
    CHECK_INT(COHORT__SLOT_DEAD, cohort__process_state(process));
    CHECK(atomic_load(&cohort__arena->death) != deaths);
    deaths = atomic_load(&cohort__arena->death);
    for (int i = 0; i < 10; i++) CHECK(cohort__process_check_dead(cohort__process_id(process)));
    CHECK_INT(deaths, atomic_load(&cohort__arena->death));
    cohort__process_ended(process, 3);
    CHECK(atomic_load(&cohort__arena->death) != deaths);
    party_end(process, 3);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(before));
}

static void a_failed_start_is_a_death_too(void) {
    cohort_process_t *process = make(nothing);
    uint32_t deaths = atomic_load(&cohort__arena->death);
    CHECK(cohort__slot_step(process, COHORT__SLOT_NEW, COHORT__SLOT_STARTING));
    atomic_store(&process->awaited, 1);
    cohort__process_ended(process, COHORT_EXIT_UNKNOWN);
    CHECK_INT(COHORT__SLOT_FAILED, cohort__process_state(process));
    CHECK(atomic_load(&cohort__arena->death) != deaths);
    CHECK(cohort__slot_step(process, COHORT__SLOT_FAILED, COHORT__SLOT_NEW));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
}

const test_case_t table_cases[] = {
    {"CoreTable", "stale_ids_name_no_process", stale_ids_name_no_process},
    {"CoreTable", "ten_thousand_slots", ten_thousand_slots},
    {"CoreTable", "lives_leave_nothing", lives_leave_nothing},
    {"CoreTable", "a_late_end_is_not_the_next_process", a_late_end_is_not_the_next_process},
    {"CoreTable", "makers_may_die_at_any_step", makers_may_die_at_any_step},
    {"CoreTable", "a_slot_in_the_making_is_found", a_slot_in_the_making_is_found},
    {"CoreTable", "a_slot_in_the_making_by_two_is_left", a_slot_in_the_making_by_two_is_left},
    {"CoreTable", "outcomes_are_of_one_start", outcomes_are_of_one_start},
    {"CoreTable", "a_late_report_is_of_its_own_life", a_late_report_is_of_its_own_life},
    {"CoreTable", "a_late_signal_is_of_its_own_life", a_late_signal_is_of_its_own_life},
    {"CoreTable", "orphans_are_found_dead", orphans_are_found_dead},
    {"CoreTable", "late_reports_change_nothing", late_reports_change_nothing},
    {"CoreTable", "a_death_is_announced_when_something_is_new",
     a_death_is_announced_when_something_is_new},
    {"CoreTable", "a_failed_start_is_a_death_too", a_failed_start_is_a_death_too},
    {0},
};
