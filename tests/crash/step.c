/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "step.h"

#include "check.h"
#include "core/memory/arena.h"
#include "core/process/process.h"
#include "left.h"
#include "step_trace.h"

#include <apr_thread_proc.h>
#include <cohort/cohort.h>
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define POINTS      40 /* per scenario, by default */
#define POINTS_MIN  12
#define STEPS_DEAR  20000 /* instructions of one that is tried at so few points only: */
#define POINTS_DEAR 4
#define STEPS_CHEAP 1500 /* instructions of an operation that gets so many points by default */
/* and of one that may be killed after each of them, not only where others can notice */
#define STEPS_ALL 2000
#define REPAIRS   6       /* deaths with a measured repair, and one */
#define HELD      5       /* ms for which a victim is held while another thread may wait for it */
#define STEPS_MAX 4000000 /* an operation of more instructions than that is hanging */

/* What the tracer and a stepped process share; in the arena. The scenario is code and data of this
 * program, so stepped processes are forked. */
typedef struct {
    const step_scenario_t *scenario;
    void *state;
    cohort_process_t *dead; /* for a repairer: the process that it repairs */
    step_place_t place;
    pid_t watcher;      /* its thread, where that is stepped */
    _Atomic int staged; /* operate() has returned meanwhile */
} step_t;

/* A stepped process, held by the tracer. */
typedef struct {
    cohort_process_t *process; /* NULL: another process' child */
    step_t *step;              /* NULL: the scenario's own */
    step_place_t *place;
    traced_t traced;
    bool killed;
    bool is_thread; /* not the first one */
} stepped_t;

/* How long an operation is, in instructions and in those of them that are points. */
typedef struct {
    long steps, points;
} length_t;

/* Where to kill: after so many instructions, or points. */
typedef struct {
    long count;
    bool points;
} death_t;

/* ---- a process that is stepped -------------------------------------------------------------- */

typedef struct {
    pid_t ids[16];
    int n;
} threads_t;

static threads_t own_threads(void) {
    threads_t threads = {.n = 0};
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; tasks && (task = readdir(tasks)) != NULL;) {
        pid_t id = (pid_t)atol(task->d_name);
        if (id && threads.n < (int)(sizeof threads.ids / sizeof *threads.ids))
            threads.ids[threads.n++] = id;
    }
    if (tasks) closedir(tasks);
    return threads;
}

/* The thread that is there afterwards, and was not before. */
static pid_t begin_watcher(void) {
    threads_t before = own_threads();
    if (cohort__watcher_begin()) return 0;
    threads_t now = own_threads();
    for (int i = 0; i < now.n; i++) {
        bool is_new = true;
        for (int k = 0; k < before.n; k++) is_new = is_new && now.ids[i] != before.ids[k];
        if (is_new) return now.ids[i];
    }
    return 0;
}

/* At last the watcher is woken, to be seen to be stepped. */
static void run_beside_watcher(step_t *step) {
    if (step->scenario->operate) step->scenario->operate(step->state);
    atomic_store(&step->staged, 1);
    while (!step->scenario->over(step->state)) sched_yield();
    atomic_store(&step->place.done, 1);
    cohort__watcher_alarm(cohort_os_now());
}

static void run_operation(step_t *step) {
    raise(SIGTRAP); /* the tracer steps from here on */
    if (step->dead) cohort__process_ended(step->dead, -SIGKILL);
    else step->scenario->operate(step->state);
    atomic_store(&step->place.done, 1);
}

static int run_stepped(void *args) {
    step_t *step = *(step_t **)args;
    cohort__thread_t *me;
    bool steps_watcher = step->scenario->over && !step->dead;
    if (cohort__enter(&me)) return TEST_EXIT_FAILED;
    if (steps_watcher && !(step->watcher = begin_watcher())) return TEST_EXIT_FAILED;
    if (step->scenario->warm && !step->dead) step->scenario->warm(step->state);
    atomic_store(&step->place.ready, 1);
    while (!atomic_load(&step->place.go)) sched_yield();
    if (steps_watcher) run_beside_watcher(step);
    else run_operation(step);
    for (;;) pause();
}

/* ---- from its tracer's side ----------------------------------------------------------------- */

static void start_stepped(stepped_t *s, const step_scenario_t *scenario, void *state,
                          cohort_process_t *dead) {
    void *block;
    CHECK_STATUS(APR_SUCCESS, cohort_alloc(&block, sizeof(step_t)));
    s->step = block;
    *s->step = (step_t){.scenario = scenario, .state = state, .dead = dead};
    s->place = &s->step->place;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(
                                  &s->process, run_stepped, &s->step, sizeof s->step,
                                  &(cohort_process_options_t){.lifetime = COHORT_LIFETIME_DAEMON,
                                                              .method = COHORT_START_FORK},
                                  NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(s->process));
}

static void hold_watcher(stepped_t *s) {
    trace_seize(s->step->watcher, false);
    s->traced = trace_interrupted(s->step->watcher);
    atomic_store(&s->place->go, 1);
    while (!atomic_load(&s->step->staged) && cohort_process_is_alive(s->process)) sched_yield();
    CHECK(atomic_load(&s->step->staged));
}

static stepped_t begin(const step_scenario_t *scenario, void *state, cohort_process_t *dead) {
    stepped_t s = {0};
    if (scenario->victim && !dead) s.process = scenario->victim(state, &s.place);
    else start_stepped(&s, scenario, state, dead);
    pid_t pid = (pid_t)cohort_process_pid(s.process);
    while (!atomic_load(&s.place->ready) && cohort_process_is_alive(s.process)) sched_yield();
    CHECK(atomic_load(&s.place->ready));
    s.is_thread = scenario->over && !dead;
    if (s.is_thread) {
        hold_watcher(&s);
        return s;
    }
    trace_seize(pid, false);
    atomic_store(&s.place->go, 1);
    s.traced = trace_trapped(pid);
    return s;
}

static stepped_t begin_victim(const step_scenario_t *scenario, void *state) {
    stepped_t s = {0};
    if (!scenario->starter) return begin(scenario, state, NULL);
    pid_t pid = scenario->starter(state, &s.place);
    trace_seize(pid, true);
    atomic_store(&s.place->go, 1);
    s.traced = trace_child(pid);
    return s;
}

static bool is_done(const stepped_t *s) { return s->traced.ended || atomic_load(&s->place->done); }

static void advance(stepped_t *s, death_t death) {
    for (long n = 0; !is_done(s); trace_move(&s->traced)) {
        if (death.points && !trace_at_point(&s->traced)) continue;
        if (n++ == death.count) return;
    }
}

static length_t advance_to_end(stepped_t *s) {
    length_t length = {0, 0};
    for (; !is_done(s); length.steps++) {
        CHECK(length.steps < STEPS_MAX);
        length.points += trace_at_point(&s->traced);
        trace_move(&s->traced);
    }
    return length;
}

/* Threads of it that run: 0 when all are stopped, the stepped one by its tracer. */
static int running_threads(pid_t pid) {
    char path[64], line[512];
    int n = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    for (struct dirent *task; tasks && (task = readdir(tasks)) != NULL;) {
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/stat", (int)pid, task->d_name);
        FILE *file = task->d_name[0] == '.' ? NULL : fopen(path, "r");
        const char *state = file && fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
        if (file) fclose(file);
        n += state && state[1] && !strchr("TtZX", state[2]);
    }
    if (tasks) closedir(tasks);
    return n;
}

/* Before its death is repaired: what is repaired does nothing any more, and its other threads are
 * not traced. */
static void freeze(stepped_t *s) {
    if (s->traced.ended || !running_threads(s->traced.pid)) return;
    CHECK(kill(s->traced.pid, SIGSTOP) == 0 || errno == ESRCH);
    while (running_threads(s->traced.pid)) sched_yield();
}

static void kill_stepped(stepped_t *s) {
    if (s->killed || s->traced.ended) return;
    CHECK(kill(s->traced.pid, SIGKILL) == 0 || errno == ESRCH);
    s->killed = true;
    if (s->is_thread) trace_reap(&s->traced); /* its process has not ended before */
}

/* What the scenario does between the victim's death and the moment when another process sees it. */
static void run_unseen(const step_unseen_t *unseen, void *state, stepped_t *victim) {
    pid_t parent = (pid_t)cohort_process_pid(unseen->parent(state));
    CHECK_INT(0, kill(parent, SIGSTOP));
    while (running_threads(parent)) sched_yield();
    trace_kill(&victim->traced);
    unseen->unseen(state);
    CHECK_INT(0, kill(parent, SIGCONT));
}

static void end(stepped_t *s) {
    if (!s->process) {
        trace_kill(&s->traced);
        return;
    }
    kill_stepped(s);
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(s->process, COHORT_FOREVER));
    if (!s->step) return; /* the scenario sees to the rest */
    int code = cohort_process_exit_code(s->process);
    /* it may be past recall, and not ended */
    CHECK(code == STEP_EXIT_CODE || (code == -SIGKILL && !s->traced.ended));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(s->process));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s->step));
}

static bool is_orphan(cohort_process_t *slot) {
    cohort__slot_state_t state = cohort__process_state(slot);
    return slot != cohort_process_current() && state != COHORT__SLOT_FREE &&
           atomic_load(&slot->parent) != cohort__self_id();
}

void *step_new(apr_size_t size) {
    void *block = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_alloc(&block, size));
    return memset(block, 0, size);
}

cohort_process_t *step_worker(cohort_pool_t *pool, step_place_t *place) {
    cohort_process_t **list;
    apr_size_t n = 0;
    while (!atomic_load(&place->ready)) sched_yield();
    CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(pool, &list, &n, test_pool()));
    CHECK_INT(1, n);
    return list[0];
}

void step_leave(void *state) {
    (void)state;
    cohort_exit(STEP_EXIT_CODE);
}

apr_status_t step_task(const void *input, void *output) {
    *(int *)output = *(const int *)input + 1;
    return APR_SUCCESS;
}

void step_end_orphans(void) {
    for (bool any = true; any;) {
        any = false;
        for (uint32_t i = 0; i < cohort__process_count(); i++) {
            cohort_process_t *slot = cohort__process_at(i);
            if (!is_orphan(slot)) continue;
            (void)cohort__process_check_dead(cohort__process_id(slot));
            any = any || is_orphan(slot);
        }
        if (any) apr_sleep(500);
    }
}

static void check_sound(void) {
    char why[128] = "";
    if (!cohort__alloc_sound(why, sizeof why))
        test_fail(__FILE__, __LINE__, "the heap is not sound: %s", why);
}

static void check_left(const char *name, const left_t *before, death_t victim,
                       const death_t *repairer) {
    left_t now;
    char text[300];
    check_sound();
    if (left_as_before(before, &now, 0)) return;
    test_fail(__FILE__, __LINE__, "%s killed after %ld, %ld %s: %s", name, victim.count,
              repairer ? repairer->count : -1, victim.points ? "points" : "instructions",
              left_describe(before, &now, text, sizeof text));
}

/* One death of the victim, and with `repairer` one of its repairer. Returns whether the last
 * stepped operation had ended by then. */
static bool try_deaths(const char *name, const step_scenario_t *scenario, death_t death,
                       const death_t *repairer, const step_unseen_t *unseen) {
    left_t before = left_now();
    void *state = scenario->prepare();
    stepped_t victim = begin_victim(scenario, state);
    advance(&victim, death);
    bool finished = is_done(&victim), repaired = finished;
    if (unseen) run_unseen(unseen, state, &victim);
    if (repairer) {
        freeze(&victim);
        stepped_t s = begin(scenario, state, victim.process);
        advance(&s, *repairer);
        repaired = is_done(&s);
        /* stopped and alive, it would be waited for, by the process that is to see the repairer's
         * end, too */
        kill_stepped(&victim);
        end(&s);
        cohort__process_ended(victim.process, -SIGKILL);
    }
    end(&victim);
    scenario->check(state, finished);
    scenario->discard(state);
    check_left(name, &before, death, repairer);
    return repaired;
}

static length_t measure_once(const char *name, const step_scenario_t *scenario) {
    left_t before = left_now();
    void *state = scenario->prepare();
    stepped_t victim = begin_victim(scenario, state);
    length_t length = advance_to_end(&victim);
    end(&victim);
    scenario->check(state, true);
    scenario->discard(state);
    check_left(name, &before, (death_t){length.steps, false}, NULL);
    return length;
}

/* At first it is not known what spinning is worth, and there is much of it. */
static length_t measure(const char *name, const step_scenario_t *scenario) {
    length_t first = measure_once(name, scenario);
    if (first.steps > STEPS_DEAR) return first;
    length_t second = measure_once(name, scenario);
    return first.steps < second.steps ? first : second;
}

static length_t measure_repair(const char *name, const step_scenario_t *scenario, death_t death) {
    left_t before = left_now();
    void *state = scenario->prepare();
    stepped_t victim = begin(scenario, state, NULL);
    advance(&victim, death);
    bool finished = is_done(&victim);
    freeze(&victim);
    stepped_t repairer = begin(scenario, state, victim.process);
    length_t length = advance_to_end(&repairer);
    end(&repairer);
    end(&victim);
    scenario->check(state, finished);
    scenario->discard(state);
    check_left(name, &before, death, NULL);
    return length;
}

static bool by_points(length_t length) {
    return length.steps > STEPS_ALL && length.points < length.steps;
}

static long places(length_t length) { return by_points(length) ? length.points : length.steps; }

/* How much there is to repair depends on where the victim died; the longest of a few. */
static length_t measure_repairs(const char *name, const step_scenario_t *scenario,
                                length_t victim) {
    length_t longest = {0, 0};
    long tries = victim.steps <= STEPS_DEAR ? REPAIRS : 2;
    for (long i = 1; i < tries; i++) {
        length_t length = measure_repair(name, scenario,
                                         (death_t){places(victim) * i / tries, by_points(victim)});
        if (length.steps > longest.steps) longest = length;
    }
    return longest;
}

static bool wants_all(void) {
    const char *text = getenv("COHORT_CRASH");
    return text && !strcmp(text, "all");
}

/* How many deaths, when each try costs about `cost` steps. By default there are POINTS of them, and
 * fewer when that would take too long. */
static long deaths_wanted(long cost) {
    const char *text = getenv("COHORT_CRASH");
    if (wants_all()) return STEPS_ALL;
    long deaths = text ? atol(text) : cost <= STEPS_CHEAP ? POINTS : POINTS * STEPS_CHEAP / cost;
    long least = cost <= STEPS_DEAR ? POINTS_MIN : POINTS_DEAR;
    if (text && cost > STEPS_DEAR && deaths <= POINTS_MIN) deaths = least;
    return deaths < least ? least : deaths;
}

static long stride_for(long count, long deaths) {
    return wants_all() || count <= deaths ? 1 : (count + deaths - 1) / deaths;
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

/* Of what the deaths were among, as tools/run.sh reads it. */
static const char *among(length_t length) {
    static char text[120];
    snprintf(text, sizeof text, "%ld instructions", length.steps);
    if (by_points(length)) {
        snprintf(text, sizeof text, "%ld instructions (%ld stores to the arena and system calls)",
                 length.steps, length.points);
    }
    return text;
}

void step_through_unseen(const char *name, const step_scenario_t *scenario,
                         const step_unseen_t *unseen) {
    require_tracing();
    length_t length = measure(name, scenario);
    long stride = stride_for(places(length), deaths_wanted(length.steps)), points = 0;
    srand((unsigned)getpid());
    death_t death = {rand() % stride, by_points(length)};
    for (; !try_deaths(name, scenario, death, NULL, unseen); death.count += stride)
        stride = next_stride(stride, ++points);
    printf("crash: %s: killed at %ld points of %s\n", name, points + 1, among(length));
}

void step_through(const char *name, const step_scenario_t *scenario) {
    step_through_unseen(name, scenario, NULL);
}

typedef struct {
    void (*meanwhile)(void *state);
    void *state;
    _Atomic int over;
} beside_t;

static void *APR_THREAD_FUNC run_beside(apr_thread_t *thread, void *arg) {
    beside_t *beside = arg;
    (void)thread;
    beside->meanwhile(beside->state);
    atomic_store(&beside->over, 1);
    return NULL;
}

/* What runs beside it may have to wait until the victim moves. */
static void let_run_beside(stepped_t *victim, beside_t *beside) {
    apr_thread_t *thread;
    apr_status_t status;
    CHECK_STATUS(APR_SUCCESS, apr_thread_create(&thread, NULL, run_beside, beside, test_pool()));
    for (int i = 0; i < HELD && !atomic_load(&beside->over); i++) apr_sleep(1000);
    trace_let_go(&victim->traced);
    while (!is_done(victim) && cohort_process_is_alive(victim->process)) sched_yield();
    CHECK(is_done(victim));
    CHECK_STATUS(APR_SUCCESS, apr_thread_join(&status, thread));
}

static bool try_beside(const char *name, const step_scenario_t *scenario, death_t held,
                       void (*meanwhile)(void *state)) {
    left_t before = left_now();
    void *state = scenario->prepare();
    stepped_t victim = begin_victim(scenario, state);
    advance(&victim, held);
    bool finished = is_done(&victim);
    beside_t beside = {.meanwhile = meanwhile, .state = state};
    let_run_beside(&victim, &beside);
    end(&victim);
    scenario->check(state, true);
    scenario->discard(state);
    check_left(name, &before, held, NULL);
    return finished;
}

void step_beside(const char *name, const step_scenario_t *scenario,
                 void (*meanwhile)(void *state)) {
    require_tracing();
    length_t length = measure(name, scenario);
    long stride = stride_for(places(length), deaths_wanted(length.steps)), points = 0;
    srand((unsigned)getpid());
    death_t held = {rand() % stride, by_points(length)};
    for (; !try_beside(name, scenario, held, meanwhile); held.count += stride)
        stride = next_stride(stride, ++points);
    printf("crash: %s: held at %ld points of %s\n", name, points + 1, among(length));
}

/* Repairers, at all their places; each of a victim that died somewhere. Returns how many. */
static long try_repairs(const char *name, const step_scenario_t *scenario, length_t length,
                        length_t repair, long stride) {
    long points = 0;
    death_t death = {rand() % (places(length) + 1), by_points(length)},
            again = {rand() % stride, by_points(repair)};
    while (!try_deaths(name, scenario, death, &again, NULL) || again.count < places(repair)) {
        stride = next_stride(stride, ++points);
        again.count += stride;
        death.count = rand() % (places(length) + 1);
    }
    return points + 1;
}

/* Where places of the repairer's are few, they are tried with several of the victim's. */
void step_through_repair(const char *name, const step_scenario_t *scenario) {
    require_tracing();
    length_t length = measure(name, scenario), repair = measure_repairs(name, scenario, length);
    long deaths = deaths_wanted(repair.steps + length.steps), points = 0;
    srand((unsigned)getpid());
    do points += try_repairs(name, scenario, length, repair, stride_for(places(repair), deaths));
    while (points + places(repair) <= deaths);
    printf("crash: %s: victim killed in %ld, repairer at %ld points of about %s\n", name,
           length.steps, points, among(repair));
}

/* A keeper begins beside the first daemon. */
static void await_helpers(void) {
    for (uint32_t i = 0; i < cohort__process_count(); i++) {
        cohort_process_t *slot = cohort__process_at(i);
        while (cohort__is_helper(slot) && cohort__process_state(slot) == COHORT__SLOT_STARTING)
            sched_yield();
    }
}

/* No other process may change the arena meanwhile. */
void step_each(const step_scenario_t *scenario, void (*look)(pid_t pid)) {
    require_tracing();
    void *state = scenario->prepare();
    stepped_t victim = begin_victim(scenario, state);
    await_helpers();
    for (; !is_done(&victim); trace_move(&victim.traced)) look(victim.traced.pid);
    look(victim.traced.pid);
    end(&victim);
    scenario->check(state, true);
    scenario->discard(state);
}
