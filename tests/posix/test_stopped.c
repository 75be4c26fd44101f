/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Members that are stopped by the system in the middle of what they do, for longer than any thread
 * spins, and continued. A stopped process is alive: others wait for it, and nothing is lost,
 * doubled or taken from it. In each case some members work on an object until they are told to end,
 * each is stopped again and again meanwhile, and in the end the accounts are exact.
 */
#include "system.h"

enum { MEMBERS = 4, STOPS = 60, NUMBERS = 1 << 16 };

typedef struct {
    cohort_queue_t *queue;
    cohort_connection_t *ends[2];
    cohort_lock_t *lock;
    cohort_rlock_t *rlock;
    cohort_semaphore_t *semaphore;
    cohort_condition_t *condition;
    cohort_event_t *events[2];
    cohort_barrier_t *barrier;
    cohort_pool_t *pool;
    cohort_result_t *result;
    _Atomic int end, inside, most, put, got, tokens, steps;
    unsigned plain; /* what a lock protects */
    _Atomic unsigned char seen[NUMBERS];
} scene_t;

typedef struct {
    scene_t *scene;
    int number;
} member_t;

static cohort_process_t *start_member(cohort_target_t target, scene_t *scene, int number) {
    member_t member = {scene, number};
    return party_start(target, &member, sizeof member);
}

static void await_state(apr_int64_t pid, bool stopped) {
    int parent;
    char state = process_state(pid, &parent);
    while (state && (state == 'T') != stopped) {
        apr_sleep(200);
        state = process_state(pid, &parent);
    }
}

/* SIGTSTP stops as SIGSTOP does, but for a group of processes that all have parents outside the
 * session, where the system ignores it. */
static void stop(apr_int64_t pid) {
    CHECK_INT(0, kill((pid_t)pid, SIGSTOP));
    if (!access("/proc/self/stat", R_OK)) await_state(pid, true);
}

static void go_on(apr_int64_t pid) { CHECK_INT(0, kill((pid_t)pid, SIGCONT)); }

/* One of them after the other; sometimes two at once. */
static void stop_and_continue(cohort_process_t **members, int n) {
    for (int i = 0; i < STOPS; i++) {
        apr_int64_t one = cohort_process_pid(members[i % n]),
                    two = cohort_process_pid(members[(i + 1) % n]);
        for (volatile int spin = rand() % 100000; spin > 0; spin--) continue;
        stop(one);
        if (i % 3 == 0 && two != one) stop(two);
        apr_sleep(rand() % 10 * 1000);
        go_on(one);
        if (i % 3 == 0 && two != one) go_on(two);
        if (i % 8 == 7) CHECK_INT(0, kill((pid_t)one, SIGTSTP));
        if (i % 8 == 7) go_on(one);
    }
}

static void work_and_stop(scene_t *scene, cohort_target_t target) {
    cohort_process_t *members[MEMBERS];
    for (int i = 0; i < MEMBERS; i++) members[i] = start_member(target, scene, i);
    stop_and_continue(members, MEMBERS);
    atomic_store(&scene->end, 1);
    parties_finish(members, MEMBERS);
}

/* ---- queues and pipes ----------------------------------------------------------------------- */

static void get_numbers(scene_t *s) {
    int number;
    cohort_message_t message = {.data = &number, .capacity = sizeof number};
    while (!atomic_load(&s->end) || atomic_load(&s->got) < atomic_load(&s->put)) {
        apr_status_t status = cohort_queue_get_message(s->queue, &message, 2000);
        if (APR_STATUS_IS_TIMEUP(status)) continue;
        CHECK_STATUS(APR_SUCCESS, status);
        CHECK_INT(0, message.returned);
        CHECK_INT(0, atomic_fetch_add(&s->seen[number], 1));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_task_done(s->queue));
        atomic_fetch_add(&s->got, 1);
    }
}

/* Each number is put once, and never far ahead of those that get them, so that there is
 * something to put until the end. */
static void put_numbers(scene_t *s) {
    while (!atomic_load(&s->end)) {
        bool enough = atomic_load(&s->put) - atomic_load(&s->got) > 1000 ||
                      atomic_load(&s->steps) >= NUMBERS - MEMBERS;
        if (enough) {
            apr_sleep(500);
            continue;
        }
        int number = atomic_fetch_add(&s->steps, 1);
        CHECK_STATUS(APR_SUCCESS,
                     cohort_queue_put(s->queue, &number, sizeof number, COHORT_FOREVER));
        atomic_fetch_add(&s->put, 1);
    }
}

static int exchange_numbers(void *args) {
    member_t *m = args;
    if (m->number % 2) put_numbers(m->scene);
    else get_numbers(m->scene);
    return 0;
}

static void exchange(apr_size_t capacity) {
    scene_t *s = party_memory(sizeof *s);
    cohort_queue_options_t options = {.capacity = capacity, .joinable = 1};
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&s->queue, &options, NULL));
    work_and_stop(s, exchange_numbers);
    get_numbers(s);
    CHECK_INT(atomic_load(&s->put), atomic_load(&s->got));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_join(s->queue, COHORT_FOREVER));
    for (int i = 0, all = 0; i < NUMBERS; i++) {
        all += atomic_load(&s->seen[i]);
        if (i == NUMBERS - 1) CHECK_INT(atomic_load(&s->put), all);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(s->queue));
}

static void bounded_queue(void) { exchange(4); }
static void unbounded_queue(void) { exchange(0); }

static int echo(void *args) {
    scene_t *s = ((member_t *)args)->scene;
    char bytes[600];
    apr_size_t size;
    while (!cohort_connection_recv(s->ends[0], bytes, sizeof bytes, &size, COHORT_FOREVER))
        CHECK_STATUS(APR_SUCCESS, cohort_connection_send(s->ends[0], bytes, size, COHORT_FOREVER));
    return 0;
}

static int ask_for_echoes(void *args) {
    scene_t *s = ((member_t *)args)->scene;
    unsigned numbers[150] = {0}, back[150];
    for (unsigned n = 1; !atomic_load(&s->end); n++) {
        apr_size_t size;
        numbers[0] = n;
        CHECK_STATUS(APR_SUCCESS, cohort_connection_send(s->ends[1], numbers,
                                                         n % 2 ? sizeof numbers : sizeof *numbers,
                                                         COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS,
                     cohort_connection_recv(s->ends[1], back, sizeof back, &size, COHORT_FOREVER));
        CHECK_INT(n, back[0]);
        CHECK_INT(n % 2 ? sizeof numbers : sizeof *numbers, size);
    }
    return 0;
}

static void pipe_ends(void) {
    scene_t *s = party_memory(sizeof *s);
    cohort_process_t *members[2];
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&s->ends[0], &s->ends[1], NULL, NULL));
    members[0] = start_member(echo, s, 0);
    members[1] = start_member(ask_for_echoes, s, 1);
    stop_and_continue(members, 2);
    atomic_store(&s->end, 1);
    party_finish(members[1]);
    for (int i = 0; i < 2; i++) CHECK_STATUS(APR_SUCCESS, cohort_connection_close(s->ends[i]));
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(members[0]));
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(members[0], COHORT_FOREVER));
}

/* ---- synchronisers -------------------------------------------------------------------------- */

static void enter(scene_t *s, int most) {
    int inside = atomic_fetch_add(&s->inside, 1) + 1;
    CHECK(inside <= most);
    s->plain += most == 1;
    atomic_fetch_add(&s->steps, 1);
    atomic_fetch_sub(&s->inside, 1);
}

static int use_locks(void *args) {
    scene_t *s = ((member_t *)args)->scene;
    while (!atomic_load(&s->end)) {
        CHECK_STATUS(APR_SUCCESS, s->lock ? cohort_lock_acquire(s->lock, COHORT_FOREVER)
                                          : cohort_rlock_acquire(s->rlock, COHORT_FOREVER));
        enter(s, 1);
        CHECK_STATUS(APR_SUCCESS,
                     s->lock ? cohort_lock_release(s->lock) : cohort_rlock_release(s->rlock));
    }
    return 0;
}

static void lock(void) {
    scene_t *s = party_memory(sizeof *s);
    CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&s->lock, NULL));
    work_and_stop(s, use_locks);
    CHECK_INT(atomic_load(&s->steps), s->plain);
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(s->lock, 0));
}

static void recursive_lock(void) {
    scene_t *s = party_memory(sizeof *s);
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_create(&s->rlock, NULL));
    work_and_stop(s, use_locks);
    CHECK_INT(atomic_load(&s->steps), s->plain);
    CHECK_STATUS(APR_SUCCESS, cohort_rlock_acquire(s->rlock, 0));
}

static int use_semaphore(void *args) {
    scene_t *s = ((member_t *)args)->scene;
    while (!atomic_load(&s->end)) {
        CHECK_STATUS(APR_SUCCESS, cohort_semaphore_acquire(s->semaphore, COHORT_FOREVER));
        enter(s, 2);
        CHECK_STATUS(APR_SUCCESS, cohort_semaphore_release(s->semaphore, 1));
    }
    return 0;
}

static void semaphore(void) {
    scene_t *s = party_memory(sizeof *s);
    cohort_semaphore_options_t options = {.bounded = 1};
    unsigned value;
    CHECK_STATUS(APR_SUCCESS, cohort_semaphore_create(&s->semaphore, 2, &options, NULL));
    work_and_stop(s, use_semaphore);
    value = cohort_semaphore_value(s->semaphore);
    CHECK_INT(2, value);
}

/* Each token that is made is taken once, each by one notification. */
static int use_condition(void *args) {
    member_t *m = args;
    scene_t *s = m->scene;
    for (bool goes_on = true; goes_on;) {
        CHECK_STATUS(APR_SUCCESS, cohort_condition_acquire(s->condition, COHORT_FOREVER));
        if (m->number % 2) {
            atomic_fetch_add(&s->tokens, 1);
            atomic_fetch_add(&s->put, 1);
            CHECK_STATUS(APR_SUCCESS, cohort_condition_notify(s->condition, 1));
            goes_on = !atomic_load(&s->end);
        } else {
            while (!atomic_load(&s->tokens) && !atomic_load(&s->end)) {
                apr_status_t status = cohort_condition_wait(s->condition, 50000);
                CHECK(status == APR_SUCCESS || APR_STATUS_IS_TIMEUP(status));
            }
            goes_on = atomic_load(&s->tokens) > 0;
            if (goes_on) atomic_fetch_sub(&s->tokens, 1);
            if (goes_on) atomic_fetch_add(&s->got, 1);
        }
        CHECK_STATUS(APR_SUCCESS, cohort_condition_release(s->condition));
    }
    return 0;
}

static void condition(void) {
    scene_t *s = party_memory(sizeof *s);
    CHECK_STATUS(APR_SUCCESS, cohort_condition_create(&s->condition, NULL, NULL));
    work_and_stop(s, use_condition);
    CHECK_INT(atomic_load(&s->put), atomic_load(&s->got) + atomic_load(&s->tokens));
}

/* In turn, each waking the other. */
static int take_turns(void *args) {
    member_t *m = args;
    scene_t *s = m->scene;
    for (;;) {
        CHECK_STATUS(APR_SUCCESS, cohort_event_wait(s->events[m->number], COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, cohort_event_clear(s->events[m->number]));
        CHECK_INT(m->number, atomic_fetch_add(&s->steps, 1) % 2);
        bool over = atomic_load(&s->end);
        CHECK_STATUS(APR_SUCCESS, cohort_event_set(s->events[!m->number]));
        if (over) return 0;
    }
}

static void event(void) {
    scene_t *s = party_memory(sizeof *s);
    cohort_process_t *members[2];
    for (int i = 0; i < 2; i++) s->events[i] = new_event();
    for (int i = 0; i < 2; i++) members[i] = start_member(take_turns, s, i);
    set_event(s->events[0]);
    stop_and_continue(members, 2);
    atomic_store(&s->end, 1);
    parties_finish(members, 2);
    CHECK(atomic_load(&s->steps) >= 2);
}

/* All leave after the same meeting. */
static int meet(void *args) {
    scene_t *s = ((member_t *)args)->scene;
    apr_size_t index;
    for (int leaves = 0; !leaves;) {
        CHECK_STATUS(APR_SUCCESS, cohort_barrier_wait(s->barrier, &index, COHORT_FOREVER));
        if (index == 0) atomic_store(&s->most, atomic_load(&s->end));
        atomic_fetch_add(&s->steps, 1);
        CHECK_STATUS(APR_SUCCESS, cohort_barrier_wait(s->barrier, &index, COHORT_FOREVER));
        CHECK_INT(0, atomic_load(&s->steps) % MEMBERS);
        leaves = atomic_load(&s->most);
        CHECK_STATUS(APR_SUCCESS, cohort_barrier_wait(s->barrier, &index, COHORT_FOREVER));
    }
    return 0;
}

static void barrier(void) {
    scene_t *s = party_memory(sizeof *s);
    int broken;
    CHECK_STATUS(APR_SUCCESS, cohort_barrier_create(&s->barrier, MEMBERS, NULL, NULL));
    work_and_stop(s, meet);
    broken = cohort_barrier_is_broken(s->barrier);
    CHECK_INT(0, broken);
}

/* ---- pools ---------------------------------------------------------------------------------- */

enum { ITEMS = 3000 };

static apr_status_t square(const void *input, void *output) {
    unsigned n = *(const unsigned *)input;
    for (volatile int spin = 2000; spin > 0; spin--) continue;
    *(unsigned *)output = n * n;
    return APR_SUCCESS;
}

static void map_squares(cohort_pool_t *pool) {
    unsigned inputs[ITEMS], outputs[ITEMS] = {0};
    for (unsigned i = 0; i < ITEMS; i++) inputs[i] = i;
    CHECK_STATUS(APR_SUCCESS, COHORT_MAP(pool, square, inputs, ITEMS, outputs));
    for (unsigned i = 0; i < ITEMS; i++) CHECK_INT(i * i, outputs[i]);
}

static int submit(void *args) {
    scene_t *s = ((member_t *)args)->scene;
    while (!atomic_load(&s->end)) {
        map_squares(s->pool);
        atomic_fetch_add(&s->steps, 1);
    }
    return 0;
}

/* Workers and submitters. */
static void pool(void) {
    scene_t *s = party_memory(sizeof *s);
    cohort_process_t *members[5], **workers;
    cohort_pool_options_t options = {.workers = 3};
    apr_size_t n;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&s->pool, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(s->pool, &workers, &n, test_pool()));
    CHECK_INT(3, n);
    memcpy(members, workers, 3 * sizeof *members);
    for (int i = 3; i < 5; i++) members[i] = start_member(submit, s, i);
    stop_and_continue(members, 5);
    atomic_store(&s->end, 1);
    parties_finish(members + 3, 2);
    CHECK(atomic_load(&s->steps) >= 2);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(s->pool));
}

static apr_status_t wait_for_go(const void *input, void *output) {
    scene_t *s = *(scene_t *const *)input;
    *(int *)output = atomic_fetch_add(&s->inside, 1);
    while (!atomic_load(&s->end)) apr_sleep(500);
    return APR_SUCCESS;
}

/* One worker is stopped in its item while another one is killed in its, and replaced: the
 * stopped one's item is not charged with that. */
static void pool_beside_a_death(void) {
    scene_t *s = party_memory(sizeof *s), *inputs[2] = {s, s};
    cohort_process_t **workers;
    cohort_pool_options_t options = {.workers = 2};
    cohort_result_t *result;
    cohort_task_error_t **errors;
    apr_size_t count;
    int outputs[2];
    apr_size_t n;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&s->pool, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(s->pool, &workers, &n, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, s->pool,
                                                 &(cohort_job_t){.task = wait_for_go,
                                                                 COHORT_INPUTS(inputs, 2),
                                                                 COHORT_OUTPUTS(outputs),
                                                                 .chunk = 1},
                                                 NULL));
    party_await(&s->inside, 2);
    apr_int64_t pid = cohort_process_pid(workers[0]);
    stop(pid);
    party_kill(workers[1]);
    for (apr_size_t there = 0; there < 2;) {
        cohort_process_t **now;
        CHECK_STATUS(APR_SUCCESS, cohort_pool_workers(s->pool, &now, &there, test_pool()));
        apr_sleep(1000);
    }
    CHECK_STATUS(APR_EAGAIN, cohort_result_wait(result, 0));
    atomic_store(&s->end, 1);
    map_squares(s->pool);
    CHECK_STATUS(APR_EAGAIN, cohort_result_wait(result, 0));
    CHECK_INT(1, cohort_process_is_alive(workers[0]));
    go_on(pid);
    CHECK_STATUS(COHORT_EWORKERDIED, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &errors, &count, test_pool()));
    CHECK_INT(1, count);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(s->pool));
}

static apr_status_t stop_oneself(const void *input, void *output) {
    scene_t *s = *(scene_t *const *)input;
    (void)output;
    if (atomic_fetch_add(&s->inside, 1) == 0) CHECK_INT(0, raise(SIGSTOP));
    return APR_SUCCESS;
}

/* A worker that is stopped in its item is late, and ended; the others are not. */
static void late_worker(void) {
    scene_t *s = party_memory(sizeof *s), *inputs[20];
    cohort_pool_options_t options = {.workers = 2};
    cohort_result_t *result;
    cohort_task_error_t **errors;
    apr_size_t count;
    for (int i = 0; i < 20; i++) inputs[i] = s;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&s->pool, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, s->pool,
                                                 &(cohort_job_t){.task = stop_oneself,
                                                                 COHORT_INPUTS(inputs, 20),
                                                                 .chunk = 4,
                                                                 .task_timeout = A_WHILE},
                                                 NULL));
    CHECK_STATUS(COHORT_EDEADLINE, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_errors(result, &errors, &count, test_pool()));
    CHECK_INT(1, count);
    CHECK_INT(20, atomic_load(&s->inside));
    map_squares(s->pool);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(s->pool));
}

static int keep_the_time(void *args) {
    scene_t *s = ((member_t *)args)->scene;
    cohort_pool_options_t options = {.workers = 1};
    scene_t *inputs[2] = {s, s};
    CHECK_STATUS(APR_SUCCESS, cohort_pool_create(&s->pool, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&s->result, s->pool,
                                                 &(cohort_job_t){.task = wait_for_go,
                                                                 COHORT_INPUTS(inputs, 2),
                                                                 .output_size = sizeof(int),
                                                                 .chunk = 2,
                                                                 .task_timeout = 2 * A_WHILE},
                                                 NULL));
    atomic_store(&s->steps, 1);
    while (!atomic_load(&s->end)) apr_sleep(500);
    return 0;
}

/* Asking for a state looks after nothing. While the process that keeps the time is stopped, nothing
 * is ended; what is late by then is when it goes on, though no thread waits. */
static void late_keeper(void) {
    scene_t *s = party_memory(sizeof *s);
    cohort_process_t *member = start_member(keep_the_time, s, 0);
    party_await(&s->steps, 1);
    party_await(&s->inside, 1);
    stop(cohort_process_pid(member));
    for (int i = 0; i < 4; i++) {
        apr_sleep(A_WHILE);
        CHECK_INT(COHORT_RESULT_RUNNING, cohort_result_state(s->result));
    }
    go_on(cohort_process_pid(member));
    while (cohort_result_state(s->result) == COHORT_RESULT_RUNNING) apr_sleep(1000);
    CHECK_STATUS(COHORT_EDEADLINE, cohort_result_get(s->result, NULL, 0, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(s->result));
    atomic_store(&s->end, 1);
    party_finish(member);
}

/* ---- starts, and the ends of processes ------------------------------------------------------ */

static int return_number(void *args) { return *(int *)args; }

typedef struct {
    cohort_event_t *event;
    int number;
} later_t;

static int return_later(void *args) {
    later_t *later = args;
    await_event(later->event);
    return later->number;
}

static int start_children(void *args) {
    scene_t *s = ((member_t *)args)->scene;
    for (int i = 0; !atomic_load(&s->end); i = (i + 1) % 100) {
        party_end(party_start(return_number, &i, sizeof i), i);
        atomic_fetch_add(&s->steps, 1);
    }
    return 0;
}

static int tell_parent(void *args) {
    int parent = 0;
    (void)process_state(getpid(), &parent);
    atomic_store(*(_Atomic int **)args, parent);
    return 0;
}

/* The process that starts children, and what forks for it. */
static void starter(void) {
    scene_t *s = party_memory(sizeof *s);
    cohort_process_t *member = start_member(start_children, s, 0);
    stop_and_continue(&member, 1);
    atomic_store(&s->end, 1);
    party_finish(member);
    CHECK(atomic_load(&s->steps) > 0);
}

static apr_int64_t find_server(void) {
    _Atomic int *parent = party_memory(sizeof *parent);
    party_finish(party_start(tell_parent, &parent, sizeof parent));
    if (strcmp(test_method(), "forkserver")) SKIP("only a fork server reaps for others");
    if (atomic_load(parent) == 0) SKIP("/proc is needed to find the fork server");
    CHECK(atomic_load(parent) != getpid());
    return atomic_load(parent);
}

static void *APR_THREAD_FUNC start_here(apr_thread_t *thread, void *given) {
    member_t member = {given, 0};
    (void)thread;
    start_children(&member);
    return NULL;
}

static void fork_server(void) {
    scene_t *s = party_memory(sizeof *s);
    apr_int64_t server = find_server();
    apr_thread_t *thread = party_thread(start_here, s);
    for (int i = 0; i < STOPS; i++) {
        int steps = atomic_load(&s->steps);
        while (atomic_load(&s->steps) == steps) apr_sleep(200);
        stop(server);
        apr_sleep(rand() % 10 * 1000);
        go_on(server);
    }
    atomic_store(&s->end, 1);
    party_thread_finish(thread);
}

static int sleep_long(void *args) {
    (void)args;
    party_wait_for_death();
}

/* Its end is known to the system, and not told: for Cohort it goes on, in whatever way a process
 * asks. */
static void check_goes_on(cohort_process_t *p) {
    cohort_waitable_t item = {.object = p};
    cohort_process_t **list;
    apr_size_t count;
    await_state(cohort_process_pid(p), false);
    while (process_runs(cohort_process_pid(p))) apr_sleep(200);
    for (int i = 0; i < 20; i++) {
        CHECK_INT(1, cohort_process_is_alive(p));
        CHECK_INT(COHORT_EXIT_NONE, cohort_process_exit_code(p));
        CHECK_STATUS(APR_EAGAIN, cohort_process_join(p, 0));
        CHECK_STATUS(APR_EAGAIN, cohort_wait(&item, 1, COHORT_WAIT_ALL, 0));
        CHECK_STATUS(COHORT_ERUNNING, cohort_process_destroy(p));
        CHECK_STATUS(APR_SUCCESS, cohort_process_active_children(&list, &count, test_pool()));
        CHECK_INT(1, count);
        apr_sleep(1000);
    }
}

static void poll_until_ended(cohort_process_t *p, int code) {
    while (cohort_process_is_alive(p)) apr_sleep(1000);
    CHECK_INT(code, cohort_process_exit_code(p));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(p));
}

static void slow_reaper(void) {
    apr_int64_t server = find_server();
    cohort_process_t *p = party_start(sleep_long, NULL, 0);
    stop(server);
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(p));
    check_goes_on(p);
    go_on(server);
    poll_until_ended(p, -9);
}

static void reaper_that_dies(void) {
    apr_int64_t server = find_server();
    cohort_process_t *p = party_start(sleep_long, NULL, 0);
    stop(server);
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(p));
    check_goes_on(p);
    CHECK_INT(0, kill((pid_t)server, SIGKILL));
    poll_until_ended(p, COHORT_EXIT_UNKNOWN);
}

/* What told its code itself comes to its end although its reaper does not go on. */
static void reaper_that_never_comes(void) {
    apr_int64_t server = find_server();
    later_t later = {new_event(), 42};
    cohort_process_t *p = party_start(return_later, &later, sizeof later);
    stop(server);
    set_event(later.event);
    poll_until_ended(p, 42);
    go_on(server);
}

#define PARCELS 40 /* more than wait to be told to a process that is stopped */

typedef struct {
    cohort_queue_t *parcels;
    cohort_event_t *sent;
} sender_t;

static int send_and_wait(void *args) {
    const sender_t *s = args;
    apr_file_t *reader, *writer;
    cohort_parcel_t parcel;
    char byte;
    CHECK_STATUS(APR_SUCCESS, apr_file_pipe_create(&reader, &writer, test_pool()));
    const cohort_gift_t gift = {.file = writer};
    for (int i = 0; i < PARCELS; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_gift_send(&parcel, &gift, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS,
                     cohort_queue_put(s->parcels, &parcel, sizeof parcel, COHORT_FOREVER));
    }
    CHECK_STATUS(APR_SUCCESS, apr_file_close(writer));
    CHECK_STATUS(APR_SUCCESS, apr_file_pipe_timeout_set(reader, 1000));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(s->sent));
    /* a sender sees what has been taken; until there is no writer left */
    for (;;) {
        apr_size_t size = 1;
        apr_status_t status = apr_file_read(reader, &byte, &size);
        if (APR_STATUS_IS_EOF(status)) return 0;
        CHECK(APR_STATUS_IS_TIMEUP(status));
        const cohort_gift_t any = {.file = reader};
        CHECK_STATUS(APR_SUCCESS, cohort_gift_send(&parcel, &any, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, cohort_parcel_discard(&parcel));
    }
}

static void a_sender_that_is_stopped(void) {
    sender_t s = {NULL, new_event()};
    cohort_parcel_t parcel, probe;
    apr_os_file_t handle;
    apr_size_t size;
    apr_file_t *null;
    CHECK_STATUS(APR_SUCCESS, apr_file_open(&null, "/dev/null", APR_FOPEN_READ,
                                            APR_FPROT_OS_DEFAULT, test_pool()));
    const cohort_gift_t gift = {.file = null};
    if (APR_STATUS_IS_ENOTIMPL(cohort_gift_send(&probe, &gift, COHORT_FOREVER)))
        SKIP("this system hands descriptors on to children alone");
    CHECK_STATUS(APR_SUCCESS, cohort_parcel_discard(&probe));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&s.parcels, NULL, test_pool()));
    cohort_process_t *sender = party_start(send_and_wait, &s, sizeof s);
    await_event(s.sent);
    stop(cohort_process_pid(sender));
    for (int i = 0; i < PARCELS; i++) {
        CHECK_STATUS(APR_SUCCESS,
                     cohort_queue_get(s.parcels, &parcel, sizeof parcel, &size, COHORT_FOREVER));
        apr_status_t status = cohort_parcel_handle(&handle, &parcel, 0);
        if (APR_STATUS_IS_TIMEUP(status)) { /* it has to be asked */
            party_kill(sender);
            return;
        }
        CHECK_STATUS(APR_SUCCESS, status);
        close(handle);
    }
    go_on(cohort_process_pid(sender));
    party_finish(sender);
}

const test_case_t stopped_cases[] = {
    {"Stopped", "bounded_queue", bounded_queue},
    {"Stopped", "unbounded_queue", unbounded_queue},
    {"Stopped", "pipe", pipe_ends},
    {"Stopped", "lock", lock},
    {"Stopped", "recursive_lock", recursive_lock},
    {"Stopped", "semaphore", semaphore},
    {"Stopped", "condition", condition},
    {"Stopped", "event", event},
    {"Stopped", "barrier", barrier},
    {"Stopped", "pool", pool},
    {"Stopped", "pool_beside_a_death", pool_beside_a_death},
    {"Stopped", "a_sender_that_is_stopped", a_sender_that_is_stopped},
    {"Stopped", "late_worker", late_worker},
    {"Stopped", "late_keeper", late_keeper},
    {"Stopped", "starter", starter},
    {"Stopped", "fork_server", fork_server},
    {"Stopped", "slow_reaper", slow_reaper},
    {"Stopped", "reaper_that_dies", reaper_that_dies},
    {"Stopped", "reaper_that_never_comes", reaper_that_never_comes},
    {0},
};
