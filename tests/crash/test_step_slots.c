/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death in the three places where the record of a process passes from one hand to another, each by
 * itself: its handle is let go of; the start that its dead creator has left is taken back; its exit
 * code is settled. A slot is never lost: while the process' id names it the handle says what it
 * said before, or what it says after; and the next process that does the same finishes it.
 */
#include "check.h"
#include "core/life/slots.h"
#include "core/process/process.h"
#include "step.h"

#include <cohort/cohort.h>
#include <unistd.h>

#define OWN      5 /* the code that a process has stored itself, */
#define REPORTED 7 /* one that its reaper reports, */
#define LATER    8 /* and one that is reported too late */

typedef struct {
    cohort_process_t *process;
    cohort__pid_t id;
    cohort_process_t *dead; /* another that has ended; its handle is held to the end */
    cohort_connection_t *first, *second;
    uint32_t attempt;
    uint64_t life;
    int code; /* that it has, or that the victim reports */
} state_t;

static int be_nothing(void *args) {
    (void)args;
    return 0;
}

static const cohort_process_options_t by_fork = {.method = COHORT_START_FORK};

static cohort_process_t *an_ended(void) {
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, be_nothing, NULL, 0, &by_fork, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    return process;
}

/* One with blocks of its own. */
static state_t *with_new(const cohort_process_options_t *options) {
    static const char args[2000];
    state_t *s = step_new(sizeof *s);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&s->process, be_nothing, args, sizeof args, options, NULL));
    s->id = cohort__process_id(s->process);
    return s;
}

static bool is_there(const state_t *s) { return cohort__process_find(s->id) == s->process; }

static void discard(void *state) {
    state_t *s = state;
    CHECK(!is_there(s));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(s->dead));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

/* ---- a handle is let go of ------------------------------------------------------------------ */

static state_t *held(state_t *s) {
    s->life = cohort__process_life(s->process);
    s->code = cohort_process_exit_code(s->process);
    return s;
}

static void *a_new_one(void) { return held(with_new(&by_fork)); }

static void *one_with_a_pipe(void) {
    cohort_connection_t *first, *second;
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&first, &second, NULL, NULL));
    state_t *s = with_new(&(cohort_process_options_t){
        .connections = (cohort_connection_t *[]){second}, .n_connections = 1});
    s->first = first;
    s->second = second;
    return held(s);
}

static void *one_that_has_ended(void) {
    state_t *s = with_new(&by_fork);
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(s->process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(s->process, COHORT_FOREVER));
    return held(s);
}

static void let_go(void *state) { cohort__slot_let_go(((state_t *)state)->id); }

/* Either it is the survivor's as before, or no process holds it; and then it is free, once the
 * victim's death is repaired. */
static void check_handle(void *state, bool finished) {
    state_t *s = state;
    CHECK(!finished || !is_there(s));
    if (is_there(s)) {
        CHECK_INT(cohort__self_id(), atomic_load(&s->process->creator));
        CHECK_INT(s->life, cohort__process_life(s->process));
        CHECK_INT(s->code, cohort_process_exit_code(s->process));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(s->process));
}

static void check_pipe(void *state, bool finished) {
    state_t *s = state;
    char byte;
    apr_size_t size;
    check_handle(s, finished);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(s->first, "x", 1, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_recv(s->second, &byte, sizeof byte, &size, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(s->second));
    /* the process that was never started holds its end no more */
    CHECK_STATUS(APR_EOF, cohort_connection_recv(s->first, &byte, sizeof byte, &size, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(s->first));
}

/* ---- a start that its dead creator has left ------------------------------------------------- */

static state_t *a_start(void) {
    state_t *s = with_new(&by_fork);
    s->dead = an_ended();
    CHECK(cohort__attempt_begin(s->process, true));
    s->attempt = cohort__process_attempt(s->process);
    atomic_store(&s->process->creator, cohort__process_id(s->dead));
    return s;
}

static void *open_start(void) { return a_start(); }

static void *failed_start(void) {
    state_t *s = a_start();
    CHECK(cohort__slot_step(s->process, COHORT__SLOT_STARTING, COHORT__SLOT_FAILED));
    return s;
}

/* By a child that is dead by now: the process with that pid has ended and left nothing. */
static void *claimed_start(void) {
    state_t *s = a_start();
    uint64_t open = atomic_load(&s->process->claim);
    atomic_store(&s->process->claim, cohort__claim_by(open, s->dead->os.pid));
    atomic_store(&s->process->reaper, cohort__process_id(s->dead));
    return s;
}

static void drop(void *state) {
    cohort__handles_drop(cohort__process_id(((state_t *)state)->dead));
}

/* The next repairer of the creator, and the watcher that has seen its end, bring the start to its
 * own. */
static void check_dropped(void *state, bool finished) {
    state_t *s = state;
    CHECK(!finished || !is_there(s));
    if (is_there(s)) {
        cohort__slot_state_t now = cohort__process_state(s->process);
        CHECK(now == COHORT__SLOT_STARTING || now == COHORT__SLOT_FAILED ||
              now == COHORT__SLOT_DEAD);
        CHECK_INT(cohort__process_id(s->dead), atomic_load(&s->process->creator));
        drop(s);
        cohort__orphans_adopt(cohort__process_id(s->dead));
    }
    while (is_there(s)) apr_sleep(1000);
}

/* And no child that is late takes off. */
static void check_withdrawn(void *state, bool finished) {
    state_t *s = state;
    check_dropped(s, finished);
    CHECK(!cohort__attempt_claim(s->process, s->attempt));
}

/* ---- an exit code is settled ---------------------------------------------------------------- */

/* A process that runs, for all that its slot says, and has ended for the system. */
static state_t *one_found_dead(int own) {
    state_t *s = with_new(&by_fork);
    s->dead = an_ended();
    CHECK(cohort__attempt_begin(s->process, false));
    s->process->os = s->dead->os;
    CHECK(cohort__slot_step(s->process, COHORT__SLOT_STARTING, COHORT__SLOT_RUNNING));
    s->life = cohort__process_life(s->process);
    if (own != COHORT_EXIT_NONE)
        atomic_store(&s->process->outcome, cohort__outcome(s->life, false, own));
    return s;
}

static void *dead_without_code(void) {
    state_t *s = one_found_dead(COHORT_EXIT_NONE);
    s->code = REPORTED;
    return s;
}

static void *dead_with_code(void) {
    state_t *s = one_found_dead(OWN);
    s->code = -9;
    return s;
}

static void be_reaper(void *state) {
    atomic_store(&((state_t *)state)->process->reaper, cohort__self_id());
}

static void report_end(void *state) {
    state_t *s = state;
    cohort__start_died(s->id, s->life, s->code);
}

/* What the reaper was to report is recorded, or what is known without it; and that stays. */
static void check_reported(state_t *s, bool finished, int otherwise) {
    CHECK(is_there(s));
    cohort__start_died(s->id, s->life, COHORT_EXIT_NONE);
    CHECK_INT(COHORT__SLOT_ENDED, cohort__process_state(s->process));
    CHECK(!cohort_process_is_alive(s->process));
    int code = cohort_process_exit_code(s->process);
    CHECK(code == s->code || (!finished && code == otherwise));
    cohort__start_died(s->id, s->life, LATER);
    CHECK_INT(code, cohort_process_exit_code(s->process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(s->process));
}

static void check_reported_or_unknown(void *state, bool finished) {
    check_reported(state, finished, COHORT_EXIT_UNKNOWN);
}

static void check_reported_or_own(void *state, bool finished) {
    check_reported(state, finished, OWN);
}

#define CASE(function, prepare_, warm_, operate_, check_)                                          \
    STEP_CASES(function, .prepare = prepare_, .warm = warm_, .operate = operate_, .check = check_, \
               .discard = discard)

CASE(let_go_new, a_new_one, NULL, let_go, check_handle)
CASE(let_go_pipe, one_with_a_pipe, NULL, let_go, check_pipe)
CASE(let_go_ended, one_that_has_ended, NULL, let_go, check_handle)
CASE(drop_start_open, open_start, NULL, drop, check_withdrawn)
CASE(drop_start_claimed, claimed_start, NULL, drop, check_withdrawn)
CASE(drop_start_failed, failed_start, NULL, drop, check_dropped)
CASE(outcome_unknown, dead_without_code, be_reaper, report_end, check_reported_or_unknown)
CASE(outcome_own, dead_with_code, be_reaper, report_end, check_reported_or_own)

#define ENTRIES(function) \
    {"StepSlots", #function, function}, { "StepSlots", #function "_repair", function##_repair }
const test_case_t step_slots_cases[] = {
    ENTRIES(let_go_new),      ENTRIES(let_go_pipe),        ENTRIES(let_go_ended),
    ENTRIES(drop_start_open), ENTRIES(drop_start_claimed), ENTRIES(drop_start_failed),
    ENTRIES(outcome_unknown), ENTRIES(outcome_own),        {0}};
