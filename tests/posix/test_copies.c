/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A function of the user's makes a raw copy of the process that runs it, and the copy comes back,
 * too. It must do nothing in the name of the original: it ends with the code that it came back
 * with, without any handler. Copies are made by fork(), and by the bare system call, which runs no
 * fork handler.
 */
#include "system.h"

#if defined(__linux__)
#include <sys/syscall.h>
#endif

enum { ITEMS = 8, FORKS_AT = 2 };

typedef struct {
    _Atomic int ran[ITEMS]; /* how often each item was run */
    _Atomic int handlers;   /* that ran in a copy */
    _Atomic int later;      /* calls of what follows in the life of a process, by any process */
    _Atomic int code;       /* with which the copy ended */
    int bare, status;
    cohort_barrier_t *barrier;
    cohort_condition_t *condition;
    cohort_lock_t *lock;
} board_t;

static board_t *board; /* of a worker or child */
static pid_t original;

static pid_t copy_process(const board_t *b) {
#if defined(__linux__) && defined(COHORT_WIPES_COPIES)
    if (b->bare) return (pid_t)syscall(SYS_clone, (unsigned long)SIGCHLD, 0UL, 0UL, 0UL, 0UL);
#endif
    (void)b;
    return fork();
}

static void handler(void) {
    if (getpid() != original) atomic_fetch_add(&board->handlers, 1);
}

static void know(board_t *b) {
    board = b;
    original = getpid();
    CHECK(atexit(handler) == 0);
}

/* True in the copy. The original returns after the copy has ended. */
static bool in_copy(board_t *b) {
    int status;
    pid_t pid = copy_process(b);
    CHECK(pid >= 0);
    if (pid == 0) return true;
    CHECK_INT(pid, waitpid(pid, &status, 0));
    CHECK(WIFEXITED(status));
    atomic_store(&b->code, WEXITSTATUS(status));
    return false;
}

static board_t *new_board(int bare, int status) {
    board_t *b = party_memory(sizeof *b);
    b->bare = bare;
    b->status = status;
    atomic_store(&b->code, -1);
    return b;
}

static void check_board(board_t *b, int code, int later) {
    CHECK_INT(code, b->code);
    CHECK_INT(0, b->handlers);
    CHECK_INT(later, b->later);
}

#if defined(COHORT_WIPES_COPIES)
enum { WAYS = 2 };
#else
enum { WAYS = 1 };
#endif

/* ---- tasks ---------------------------------------------------------------------------------- */

typedef struct {
    board_t *board;
    int index;
} item_t;

static apr_status_t task(const void *input, void *output) {
    const item_t *item = input;
    if (!board) know(item->board);
    atomic_fetch_add(&board->ran[item->index], 1);
    if (item->index % 4 == FORKS_AT && in_copy(board)) {
        *(int *)output = -1;
        return board->status;
    }
    *(int *)output = item->index * 10;
    return APR_SUCCESS;
}

/* The copy returns in the middle of it. */
static apr_status_t range(const void *inputs, void *outputs, apr_size_t first, apr_size_t last) {
    apr_status_t status = APR_SUCCESS;
    for (apr_size_t i = first; i < last; i++) {
        status = task((const item_t *)inputs + i, (int *)outputs + i);
        if (getpid() != original) break;
    }
    return status;
}

static void run_job(int bare, int status, int code, cohort_job_t job) {
    cohort_pool_t *pool;
    item_t in[ITEMS];
    int out[ITEMS];
    board_t *b = new_board(bare, status);
    for (int i = 0; i < ITEMS; i++) in[i] = (item_t){b, i};
    job.inputs = in;
    job.input_size = sizeof *in;
    job.n = ITEMS;
    job.outputs = out;
    job.output_size = sizeof *out;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 1}, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_run(pool, &job));
    for (int i = 0; i < ITEMS; i++) CHECK_INT(i * 10, out[i]);
    for (int i = 0; i < ITEMS; i++) CHECK_INT(1, b->ran[i]);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    check_board(b, code, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_free(b));
}

static void run_map(int bare, int status, int code, apr_size_t chunk) {
    run_job(bare, status, code, (cohort_job_t){.task = task, .chunk = chunk});
}

static void run_ranges(int bare, int status, int code, apr_size_t chunk) {
    run_job(bare, status, code, (cohort_job_t){.range = range, .chunk = chunk});
}

static void a_copied_task_commits_nothing(void) {
    for (int bare = 0; bare < WAYS; bare++) {
        run_map(bare, APR_SUCCESS, 0, 4);
        run_map(bare, 7, 7, 4);
        run_map(bare, 0x300, 255, 4); /* a failure does not become success by being cut */
        run_map(bare, APR_SUCCESS, 0, 1);
        run_map(bare, 7, 7, 3);
        run_ranges(bare, APR_SUCCESS, 0, 4);
        run_ranges(bare, 7, 7, 3);
    }
}

/* Both have the output that was made before the fork; the copy can neither change its size nor end
 * the item. */
static apr_status_t make_output(const void *input, void *output) {
    const item_t *item = input;
    int *made = cohort_task_output(sizeof *made);
    (void)output;
    if (!made) return APR_ENOMEM;
    if (!board) know(item->board);
    atomic_fetch_add(&board->ran[item->index], 1);
    if (item->index % 4 == FORKS_AT && in_copy(board))
        return cohort_task_output(100000) ? 99 : board->status;
    made = cohort_task_output(100000);
    if (!made) return APR_ENOMEM;
    *made = item->index * 10;
    return APR_SUCCESS;
}

static void run_outputs(int bare, int status, int code) {
    cohort_pool_t *pool;
    item_t in[ITEMS];
    cohort_bytes_t out[ITEMS];
    board_t *b = new_board(bare, status);
    for (int i = 0; i < ITEMS; i++) in[i] = (item_t){b, i};
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 1}, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_run(pool, &(cohort_job_t){.task = make_output,
                                                                    COHORT_INPUTS(in, ITEMS),
                                                                    COHORT_OUTPUT_BYTES(out)}));
    for (int i = 0; i < ITEMS; i++) {
        CHECK_INT(1, b->ran[i]);
        CHECK_INT(100000, out[i].size);
        CHECK_INT(i * 10, *(int *)out[i].data);
        CHECK_STATUS(APR_SUCCESS, cohort_free(out[i].data));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    check_board(b, code, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_free(b));
}

static void a_copied_task_makes_nothing(void) {
    for (int bare = 0; bare < WAYS; bare++) {
        run_outputs(bare, APR_SUCCESS, 0);
        run_outputs(bare, 7, 7);
    }
}

/* The copy comes back with 9 if it is told nothing. */
static apr_status_t ask_in_copy(const void *input, void *output) {
    board_t *b = *(board_t *const *)input;
    (void)output;
    if (in_copy(b))
        return cohort_task_index() || cohort_task_attempt() || cohort_task_context() ||
                       cohort_task_input_size()
                   ? 1
                   : 9;
    return cohort_task_context() == b ? APR_SUCCESS : APR_EGENERAL;
}

static void a_copied_task_is_told_nothing(void) {
    for (int bare = 0; bare < WAYS; bare++) {
        cohort_pool_t *pool;
        board_t *b = new_board(bare, 0), *in[2] = {b, b};
        cohort_job_t job = {.task = ask_in_copy, COHORT_INPUTS(in, 2), .context = b};
        CHECK_STATUS(APR_SUCCESS,
                     cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 1}, NULL));
        CHECK_STATUS(APR_SUCCESS, cohort_pool_run(pool, &job));
        CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
        check_board(b, 9, 0);
        CHECK_STATUS(APR_SUCCESS, cohort_free(b));
    }
}

static apr_status_t initializer(void *args) {
    know(*(board_t **)args);
    return in_copy(board) ? board->status : APR_SUCCESS;
}

static void a_copied_initializer_is_no_worker(void) {
    for (int bare = 0; bare < WAYS; bare++) {
        board_t *b = new_board(bare, 0);
        cohort_pool_t *pool;
        item_t in = {b, 1};
        int out = 0;
        CHECK_STATUS(APR_SUCCESS,
                     cohort_pool_create(&pool,
                                        &(cohort_pool_options_t){.workers = 1,
                                                                 .initializer = initializer,
                                                                 .init_args = &b,
                                                                 .init_size = sizeof b},
                                        NULL));
        CHECK_STATUS(APR_SUCCESS, cohort_pool_apply(pool, task, &in, sizeof in, &out, sizeof out));
        CHECK_INT(10, out);
        CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
        check_board(b, 0, 0);
    }
}

/* ---- targets and hooks ---------------------------------------------------------------------- */

static int target(void *args) {
    know(*(board_t **)args);
    return in_copy(board) ? 5 : 6;
}

static void a_copied_target_ends_with_its_code(void) {
    for (int bare = 0; bare < WAYS; bare++) {
        board_t *b = new_board(bare, 0);
        party_end(party_start(target, &b, sizeof b), 6);
        check_board(b, 5, 0);
    }
}

typedef struct {
    cohort_process_base_t base;
    board_t *board;
    int where; /* 0: on_start, 1: run, 2: on_exit */
} subclass_t;

static void maybe_copy(cohort_process_base_t *self, int where) {
    subclass_t *s = (subclass_t *)self;
    if (where == 0) know(s->board);
    if (s->where == where) (void)in_copy(s->board);
}

static void on_start(cohort_process_base_t *self) { maybe_copy(self, 0); }

static int run(cohort_process_base_t *self) {
    atomic_fetch_add(&board->later, 1);
    maybe_copy(self, 1);
    return 4;
}

static void on_exit_of(cohort_process_base_t *self, int code) {
    CHECK_INT(4, code);
    atomic_fetch_add(&board->later, 1);
    maybe_copy(self, 2);
}

static void copied_hooks_are_followed_by_nothing(void) {
    for (int i = 0; i < 3 * WAYS; i++) {
        cohort_process_t *p;
        board_t *b = new_board(i / 3, 0);
        subclass_t s = {
            {.size = sizeof s, .run = run, .on_start = on_start, .on_exit = on_exit_of}, b, i % 3};
        CHECK_STATUS(APR_SUCCESS, cohort_process_create_object(&p, &s.base, NULL, NULL));
        CHECK_STATUS(APR_SUCCESS, cohort_process_start(p));
        party_end(p, 4);
        check_board(b, i % 3 == 0 ? 0 : 4, 2);
    }
}

/* ---- callbacks, actions, predicates --------------------------------------------------------- */

static void called(cohort_result_t *result, void *arg) {
    board_t *b = arg;
    (void)result;
    atomic_fetch_add(&b->later, 1);
    (void)in_copy(b);
}

static apr_status_t give_status(const void *input, void *output) {
    (void)output;
    return *(const int *)input;
}

static void a_copied_callback_ends(void) {
    cohort_pool_t *pool;
    original = getpid();
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 1}, NULL));
    for (int i = 0; i < 2 * WAYS; i++) {
        cohort_result_t *result;
        board_t *b = new_board(i / 2, 0);
        int status = i % 2 * 9;
        CHECK_STATUS(APR_SUCCESS, cohort_pool_submit(&result, pool,
                                                     &(cohort_job_t){.task = give_status,
                                                                     COHORT_INPUTS(&status, 1),
                                                                     .on_success = called,
                                                                     .on_error = called,
                                                                     .callback_arg = b},
                                                     NULL));
        CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
        check_board(b, 0, 1);
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static apr_status_t source_in_copy(void *arg, void *input) {
    board_t *b = arg;
    *(int *)input = 0;
    if (atomic_fetch_add(&b->later, 1)) return APR_EOF;
    (void)in_copy(b);
    return APR_SUCCESS;
}

static void a_copied_source_ends(void) {
    cohort_pool_t *pool;
    original = getpid();
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 1}, NULL));
    for (int i = 0; i < WAYS; i++) {
        cohort_imap_t *imap;
        cohort_item_t item = {0};
        int status = 0;
        board_t *b = new_board(i, 0);
        cohort_job_t job = {.task = give_status, .input_size = sizeof status};
        CHECK_STATUS(APR_SUCCESS, cohort_pool_imap(&imap, pool, &job,
                                                   &(cohort_imap_options_t){
                                                       .source = source_in_copy, .source_arg = b},
                                                   NULL));
        CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
        CHECK_STATUS(APR_EOF, cohort_imap_next(imap, &item, COHORT_FOREVER));
        check_board(b, 0, 2);
        CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(imap));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static void action(void *arg) {
    board_t *b = arg;
    atomic_fetch_add(&b->later, 1);
    (void)in_copy(b);
}

static int meet(void *args) {
    board_t *b = *(board_t **)args;
    pid_t me = getpid();
    apr_status_t status = cohort_barrier_wait(b->barrier, NULL, COHORT_FOREVER);
    if (getpid() != me) _exit(status == COHORT_ENOTMEMBER ? 33 : 34);
    CHECK_STATUS(APR_SUCCESS, status);
    CHECK_INT(33, b->code); /* no party was let go before the action was over */
    return 0;
}

static void a_copied_action_releases_no_party(void) {
    for (int bare = 0; bare < WAYS; bare++) {
        cohort_process_t *p[2];
        board_t *b = new_board(bare, 0);
        cohort_barrier_options_t options = {.action = action, .action_arg = b};
        CHECK_STATUS(APR_SUCCESS, cohort_barrier_create(&b->barrier, 2, &options, NULL));
        parties_start(p, 2, meet, &b, sizeof b);
        parties_finish(p, 2);
        check_board(b, 33, 1);
        CHECK_STATUS(APR_SUCCESS, cohort_barrier_destroy(b->barrier));
    }
}

static int predicate(void *arg) {
    board_t *b = arg;
    return !in_copy(b);
}

/* In the copy the predicate is false: without care the copy would release the lock and wait. */
static int wait_for(void *args) {
    board_t *b = *(board_t **)args;
    pid_t me = getpid();
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(b->lock, COHORT_FOREVER));
    apr_status_t status = cohort_condition_wait_for(b->condition, predicate, b, COHORT_FOREVER);
    if (getpid() != me) _exit(status == COHORT_ENOTMEMBER ? 33 : 34);
    CHECK_STATUS(APR_SUCCESS, status);
    CHECK_STATUS(APR_SUCCESS, cohort_lock_release(b->lock));
    return 0;
}

static void a_copied_predicate_waits_for_nothing(void) {
    for (int bare = 0; bare < WAYS; bare++) {
        board_t *b = new_board(bare, 0);
        CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&b->lock, NULL));
        CHECK_STATUS(APR_SUCCESS, cohort_condition_create(&b->condition, b->lock, NULL));
        party_finish(party_start(wait_for, &b, sizeof b));
        check_board(b, 33, 0);
    }
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* 0: each call has said that the caller is no member; else the number of the first that has not. */
static int call_everything(cohort_queue_t *queue, cohort_event_t *event, cohort_lock_t *lock,
                           cohort_pool_t *pool, cohort_process_t *child, cohort_connection_t *end) {
    cohort_process_t *process;
    void *block;
    char byte = 0;
    apr_size_t size = 1;
    const apr_status_t said[] = {
        cohort_alloc(&block, 10),
        cohort_queue_put(queue, "x", 1, 0),
        cohort_queue_get(queue, &byte, 1, &size, 0),
        cohort_event_set(event),
        cohort_lock_release(lock),
        cohort_connection_send(end, "x", 1, 0),
        cohort_connection_close(end),
        cohort_pool_apply(pool, give_status, &size, sizeof size, NULL, 0),
        cohort_pool_terminate(pool),
        cohort_process_join(child, 0),
        cohort_process_kill(child),
        cohort_process_create(&process, nothing, NULL, 0, NULL, NULL),
        cohort_event_destroy(event),
    };
    for (int i = 0; i < (int)(sizeof said / sizeof *said); i++) {
        if (said[i] != COHORT_ENOTMEMBER) return i + 1;
    }
    return cohort_process_current() ? 100 : 0;
}

static void a_copy_is_no_member(void) {
    cohort_queue_t *queue;
    cohort_lock_t *lock;
    cohort_pool_t *pool;
    cohort_connection_t *ends[2];
    cohort_event_t *event = new_event();
    cohort_process_t *child = party_start(stay, NULL, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&queue, NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&lock, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&ends[0], &ends[1], NULL, NULL));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 1}, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(lock, COHORT_FOREVER));
    for (int bare = 0; bare < WAYS; bare++) {
        board_t *b = new_board(bare, 0);
        if (in_copy(b)) _exit(call_everything(queue, event, lock, pool, child, ends[0]));
        CHECK_INT(0, b->code);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_lock_release(lock));
    CHECK_INT(1, cohort_process_is_alive(child));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    party_kill(child);
}

/* ---- a copy that begins anew, as programs do that become daemons of the system -------------- */

static apr_status_t square(const void *input, void *output) {
    *(int *)output = *(const int *)input * *(const int *)input;
    return APR_SUCCESS;
}

/* What a root can do, it can do: 0. */
static int be_root(const cohort_options_t *options, apr_pool_t *inherited) {
    cohort_process_t *process = NULL;
    cohort_pool_t *pool = NULL;
    int in = 6, out = 0;
    /* the memory is the original's still */
    if (cohort_initialize(options) != COHORT_ETWICE) return 1;
    cohort_finalize();
    if (cohort_alloc(&(void *){NULL}, 1) != COHORT_ENOTINIT) return 2;
    if (cohort_initialize(options)) return 3;
    if (cohort_process_create(&process, seven, NULL, 0, NULL, NULL) ||
        cohort_process_start(process))
        return 4;
    /* its objects are the original's, though the new cohort may have others in their places */
    apr_pool_destroy(inherited);
    if (cohort_process_join(process, COHORT_FOREVER) || cohort_process_exit_code(process) != 7 ||
        cohort_process_destroy(process))
        return 5;
    if (cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 1}, NULL)) return 6;
    if (cohort_pool_apply(pool, square, &in, sizeof in, &out, sizeof out) || out != 36 ||
        cohort_pool_destroy(pool))
        return 7;
    cohort_finalize();
    return 0;
}

static void a_copy_may_begin_anew(void) {
    cohort_options_t options = {.method = cohort_start_method()};
    for (int bare = 0; bare < WAYS; bare++) {
        apr_pool_t *pool;
        cohort_event_t *event;
        cohort_process_t *child;
        cohort_process_options_t daemon = {.lifetime = COHORT_LIFETIME_DAEMON};
        board_t *b = new_board(bare, 0);
        CHECK(apr_pool_create(&pool, NULL) == APR_SUCCESS);
        CHECK_STATUS(APR_SUCCESS, cohort_event_create(&event, pool));
        CHECK_STATUS(APR_SUCCESS, cohort_process_create(&child, stay, NULL, 0, &daemon, pool));
        CHECK_STATUS(APR_SUCCESS, cohort_process_start(child));
        if (in_copy(b)) _exit(be_root(&options, pool));
        CHECK_INT(0, b->code);
        CHECK_INT(1, cohort_process_is_alive(child));
        set_event(event);
        party_kill(child);
        apr_pool_destroy(pool);
    }
}

/* A handle that was closed by hand is not closed again with the pool, when its place is another
 * process'. */
static void a_pool_closes_its_own_handle_only(void) {
    apr_pool_t *pool;
    cohort_process_t *first, *second;
    CHECK(apr_pool_create(&pool, NULL) == APR_SUCCESS);
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&first, seven, NULL, 0, NULL, pool));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(first));
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&second, seven, NULL, 0, NULL, NULL));
    for (int tries = 0; second != first; tries++) { /* till it gets that place */
        CHECK(tries < 100000);
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(second));
        CHECK_STATUS(APR_SUCCESS, cohort_process_create(&second, seven, NULL, 0, NULL, NULL));
    }
    apr_pool_destroy(pool);
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(second));
    party_end(second, 7);
}

const test_case_t copies_cases[] = {
    {"Copies", "a_copied_task_commits_nothing", a_copied_task_commits_nothing},
    {"Copies", "a_copied_task_makes_nothing", a_copied_task_makes_nothing},
    {"Copies", "a_copied_task_is_told_nothing", a_copied_task_is_told_nothing},
    {"Copies", "a_copied_initializer_is_no_worker", a_copied_initializer_is_no_worker},
    {"Copies", "a_copied_target_ends_with_its_code", a_copied_target_ends_with_its_code},
    {"Copies", "copied_hooks_are_followed_by_nothing", copied_hooks_are_followed_by_nothing},
    {"Copies", "a_copied_callback_ends", a_copied_callback_ends},
    {"Copies", "a_copied_source_ends", a_copied_source_ends},
    {"Copies", "a_copied_action_releases_no_party", a_copied_action_releases_no_party},
    {"Copies", "a_copied_predicate_waits_for_nothing", a_copied_predicate_waits_for_nothing},
    {"Copies", "a_copy_is_no_member", a_copy_is_no_member},
    {"Copies", "a_copy_may_begin_anew", a_copy_may_begin_anew},
    {"Copies", "a_pool_closes_its_own_handle_only", a_pool_closes_its_own_handle_only},
    {0}};
