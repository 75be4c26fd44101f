/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "step.h"

#include "check.h"
#include "core/arena.h"
#include "core/process.h"

#include <cohort/cohort.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define POINTS 40           /* per scenario, by default */
#define POINTS_MIN 12
#define STEPS_CHEAP 1500       /* instructions of an operation that gets all of them */
#define STEPS_MAX 4000000   /* an operation of more instructions than that is hanging */

/* What the tracer and a stepped process share; in the arena. The scenario is code and data of this program, so stepped processes are forked. */
typedef struct {
    const step_scenario_t *scenario;
    void *state;
    cohort_process_t *dead; /* for a repairer: whose death to repair */
    step_place_t place;
} step_t;

/* A stepped process, held by the tracer. */
typedef struct {
    cohort_process_t *process;
    step_t *step; /* NULL: the scenario's own */
    step_place_t *place;
    pid_t pid;
    bool ended; /* by itself */
} stepped_t;

static int run_stepped(void *args) {
    step_t *step = *(step_t **)args;
    cohort__thread_t *me;
    if (cohort__enter(&me)) return TEST_EXIT_FAILED;
    if (step->scenario->warm && !step->dead) step->scenario->warm(step->state);
    atomic_store(&step->place.ready, 1);
    while (!atomic_load(&step->place.go)) sched_yield();
    raise(SIGTRAP); /* the tracer steps from here on */
    if (step->dead) cohort__process_ended(step->dead, -SIGKILL);
    else step->scenario->operate(step->state);
    atomic_store(&step->place.done, 1);
    for (;;) pause();
}

static void start_stepped(stepped_t *s, const step_scenario_t *scenario, void *state, cohort_process_t *dead) {
    void *block;
    CHECK_STATUS(APR_SUCCESS, cohort_alloc(&block, sizeof(step_t)));
    s->step = block;
    *s->step = (step_t){.scenario = scenario, .state = state, .dead = dead};
    s->place = &s->step->place;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&s->process, run_stepped, &s->step, sizeof s->step,
                                                    &(cohort_process_options_t){.lifetime = COHORT_DAEMON, .method = COHORT_FORK}, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(s->process));
}

static stepped_t begin(const step_scenario_t *scenario, void *state, cohort_process_t *dead) {
    stepped_t s = {0};
    int status;
    if (scenario->victim && !dead) s.process = scenario->victim(state, &s.place);
    else start_stepped(&s, scenario, state, dead);
    s.pid = (pid_t)cohort_process_pid(s.process);
    while (!atomic_load(&s.place->ready) && cohort_process_is_alive(s.process)) sched_yield();
    CHECK(atomic_load(&s.place->ready));
    CHECK_INT(0, ptrace(PTRACE_SEIZE, s.pid, NULL, NULL));
    atomic_store(&s.place->go, 1);
    CHECK_INT(s.pid, waitpid(s.pid, &status, __WALL));
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
    return s;
}

static bool is_done(const stepped_t *s) {
    return s->ended || atomic_load(&s->place->done);
}

/* False when it has ended by itself; this process' watcher may have taken its code by then. */
static bool step_once(pid_t pid) {
    int status = 0;
    if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0) {
        CHECK_INT(ESRCH, errno);
        return false;
    }
    if (waitpid(pid, &status, __WALL) != pid) {
        CHECK_INT(ECHILD, errno);
        return false;
    }
    CHECK(WIFEXITED(status) || WIFSTOPPED(status));
    return WIFSTOPPED(status);
}

/* Up to `count` instructions; returns how many there were until the operation was done. */
static long advance(stepped_t *s, long count) {
    long n = 0;
    while (n < count && !is_done(s)) {
        s->ended = !step_once(s->pid);
        n++;
    }
    return n;
}

static void end(stepped_t *s) {
    if (!s->ended) CHECK(kill(s->pid, SIGKILL) == 0 || errno == ESRCH);
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(s->process, COHORT_FOREVER));
    if (!s->step) return; /* the scenario sees to the rest */
    int code = cohort_process_exit_code(s->process);
    CHECK(code == STEP_EXIT_CODE || (code == -SIGKILL && !s->ended)); /* it may be past recall, and not ended */
    CHECK_STATUS(APR_SUCCESS, cohort_process_close(s->process));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s->step));
}

static bool is_orphan(cohort_process_t *slot) {
    cohort__slot_state_t state = cohort__process_state(slot);
    return slot != cohort_process_current() && state != COHORT__SLOT_FREE && atomic_load(&slot->parent) != cohort__self_id();
}

void step_bury_orphans(void) {
    for (bool any = true; any;) {
        any = false;
        for (uint32_t i = 0; i < cohort__process_count(); i++) {
            cohort_process_t *slot = cohort__process_at(i);
            if (!is_orphan(slot)) continue;
            (void)cohort__process_bury(cohort__process_id(slot));
            any = any || is_orphan(slot);
        }
        if (any) apr_sleep(500);
    }
}

static uint64_t blocks_in_use(void) {
    cohort_arena_usage_t usage;
    char why[128] = "";
    if (!cohort__alloc_sound(why, sizeof why)) test_fail(__FILE__, __LINE__, "the heap is not sound: %s", why);
    CHECK_STATUS(APR_SUCCESS, cohort_arena_usage(&usage));
    return usage.blocks;
}

/* One death of the victim after n instructions, and if m >= 0, one of its repairer after m. Returns whether the stepped operations had ended by then. */
static bool try_points(const char *name, const step_scenario_t *scenario, long n, long m) {
    uint64_t before = blocks_in_use();
    void *state = scenario->prepare();
    stepped_t victim = begin(scenario, state, NULL);
    advance(&victim, n);
    bool finished = is_done(&victim), repaired = true;
    if (m >= 0) {
        stepped_t repairer = begin(scenario, state, victim.process);
        advance(&repairer, m);
        repaired = is_done(&repairer);
        end(&repairer);
        cohort__process_ended(victim.process, -SIGKILL);
    }
    end(&victim);
    scenario->check(state, finished);
    scenario->discard(state);
    uint64_t after = blocks_in_use();
    if (after != before) {
        test_fail(__FILE__, __LINE__, "%s killed after %ld, %ld instructions: %ld blocks are lost", name, n, m, (long)(after - before));
    }
    return m < 0 ? finished : repaired;
}

static long count_steps(const step_scenario_t *scenario, bool repair) {
    void *state = scenario->prepare();
    stepped_t victim = begin(scenario, state, NULL);
    long n = repair ? 0 : advance(&victim, STEPS_MAX);
    if (repair) {
        stepped_t repairer = begin(scenario, state, victim.process);
        n = advance(&repairer, STEPS_MAX);
        end(&repairer);
    }
    CHECK(n < STEPS_MAX);
    bool finished = is_done(&victim);
    end(&victim);
    scenario->check(state, finished);
    scenario->discard(state);
    return n;
}

/* How far apart the points of death are in so many instructions, when each try costs about `cost` steps. By default there are POINTS of them, and fewer when
 * that would take too long. */
static long stride_for(long steps, long cost) {
    const char *text = getenv("COHORT_CRASH");
    long points = text ? atol(text) : cost <= STEPS_CHEAP ? POINTS : POINTS * STEPS_CHEAP / cost;
    if (text && !strcmp(text, "all")) return 1;
    return points < POINTS_MIN ? steps / POINTS_MIN + 1 : steps > points ? steps / points : 1;
}

/* An operation may turn out longer than it was when it was counted. */
static long next_stride(long stride, long points) {
    return stride > 1 && points > POINTS && points % 8 == 0 ? stride * 2 : stride;
}

static void require_tracing(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    SKIP("single-stepping counts the sanitizer's instructions, not ours");
#endif
    if (getenv("COHORT_UNDER_VALGRIND")) SKIP("no tracing under valgrind");
}

void step_through(const char *name, const step_scenario_t *scenario) {
    require_tracing();
    long steps = count_steps(scenario, false), stride = stride_for(steps, steps), points = 0;
    srand((unsigned)getpid());
    long offset = stride > 1 ? rand() % stride : 0;
    for (long n = offset; !try_points(name, scenario, n, -1); n += stride) stride = next_stride(stride, ++points);
    printf("crash: %s: killed at %ld points of %ld instructions\n", name, points + 1, steps);
}

void step_through_repair(const char *name, const step_scenario_t *scenario) {
    require_tracing();
    long steps = count_steps(scenario, false), repair = count_steps(scenario, true), points = 0;
    long stride = stride_for(repair, repair + steps);
    srand((unsigned)getpid());
    for (long m = rand() % stride; !try_points(name, scenario, rand() % (steps + 1), m); m += stride) {
        stride = next_stride(stride, ++points);
    }
    printf("crash: %s: victim killed in %ld, repairer at %ld points of about %ld instructions\n", name, steps, points + 1, repair);
}
