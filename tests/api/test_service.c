/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Services: processes that are started again when they end. */
#include "facts.h"
#include "processes.h"
#include "programs.h"

#include <apr_env.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define QUICK 1000 /* microseconds of a delay */

/* What the runs of a service and the test tell each other; in the arena. */
typedef struct {
    cohort_event_t *go;
    _Atomic int runs;
    int fail; /* so many runs fail, then they return 0 */
} board_t;

static board_t *new_board(int fail) {
    board_t *board = party_memory(sizeof *board);
    board->go = new_event();
    atomic_store(&board->runs, 0);
    board->fail = fail;
    return board;
}

static void free_board(board_t *board) {
    CHECK_STATUS(APR_SUCCESS, cohort_event_destroy(board->go));
    CHECK_STATUS(APR_SUCCESS, cohort_free(board));
}

static int fail_some_times(void *args) {
    board_t *board = *(board_t **)args;
    return atomic_fetch_add(&board->runs, 1) < board->fail ? 3 : 0;
}

static int run_until_go(void *args) {
    board_t *board = *(board_t **)args;
    atomic_fetch_add(&board->runs, 1);
    await_event(board->go);
    return 0;
}

static cohort_process_t *launch(cohort_target_t target, board_t *board,
                                const cohort_restart_t *policy) {
    cohort_process_options_t options = {
        .name = "service", .restart = policy, .lifetime = COHORT_LIFETIME_DAEMON};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&process, target, &board, sizeof board, &options, NULL));
    return process;
}

static cohort_service_info_t info_of(cohort_process_t *process) {
    cohort_service_info_t info;
    CHECK_STATUS(APR_SUCCESS, cohort_process_service(process, &info));
    return info;
}

static void await_end(cohort_process_t *process, cohort_service_end_t end, int code, int restarts) {
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    cohort_service_info_t info = info_of(process);
    CHECK_INT(end, info.end);
    CHECK_INT(code, info.exit_code);
    CHECK_INT(restarts, info.restarts);
    CHECK_INT(code, cohort_process_exit_code(process));
    CHECK_INT(0, info.pid);
    CHECK_INT(0, cohort_process_is_alive(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
}

static void until_it_succeeds(void) {
    board_t *board = new_board(3);
    cohort_restart_t policy = {.when = COHORT_RESTART_ON_FAILURE, .delay = QUICK};
    cohort_process_t *process = launch(fail_some_times, board, &policy);
    cohort_waitable_t items[] = {{.object = process}};
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 1, COHORT_WAIT_ALL, COHORT_FOREVER));
    CHECK_STR("service: done after 3 restarts, the last run ended with exit code 0",
              info_of(process).text);
    await_end(process, COHORT_SERVICE_DONE, 0, 3);
    CHECK_INT(4, board->runs);
    free_board(board);
}

static void given_up(void) {
    board_t *board = new_board(1000);
    cohort_restart_t policy = {.when = COHORT_RESTART_ALWAYS,
                               .delay = COHORT_RESTART_AT_ONCE,
                               .limit = 2,
                               .period = apr_time_from_sec(600)};
    cohort_process_t *process = launch(fail_some_times, board, &policy);
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    CHECK_STR("service: given up after 2 restarts in 600 s, the last run ended with exit code 3",
              info_of(process).text);
    await_end(process, COHORT_SERVICE_GIVEN_UP, 3, 2);
    CHECK_INT(3, board->runs);
    free_board(board);
}

/* The handle names the service over all runs, by whatever process they are killed. */
static void one_handle_for_all_runs(void) {
    board_t *board = new_board(0);
    cohort_restart_t policy = {.when = COHORT_RESTART_ON_FAILURE, .delay = QUICK};
    cohort_process_t *process = launch(run_until_go, board, &policy);
    CHECK_STATUS(APR_EAGAIN, cohort_process_join(process, 0));
    for (int i = 1; i < 4; i++) {
        party_await(&board->runs, i);
        CHECK_INT(1, cohort_process_is_alive(process));
        CHECK_INT(COHORT_EXIT_NONE, cohort_process_exit_code(process));
        CHECK_STATUS(COHORT_ERUNNING, cohort_process_destroy(process));
        CHECK_STATUS(APR_SUCCESS, cohort_process_kill(process));
    }
    party_await(&board->runs, 4);
    check_name("service", process);
    set_event(board->go);
    await_end(process, COHORT_SERVICE_DONE, 0, 3);
    free_board(board);
}

static void programs(void) {
    const char *const argv[] = {TEST_ACTOR, "exit", "4", NULL};
    cohort_program_t program = {.argv = argv, .streams = {[0] = NO_STREAM}};
    cohort_restart_t policy = {
        .when = COHORT_RESTART_ON_FAILURE, .delay = COHORT_RESTART_AT_ONCE, .limit = 2};
    cohort_process_options_t options = {.restart = &policy};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch_program(&process, &program, &options, NULL));
    memset(&program, 0, sizeof program); /* it has been copied */
    await_end(process, COHORT_SERVICE_GIVEN_UP, 4, 2);
    program = (cohort_program_t){.argv = argv, .streams = {[1] = PIPE}};
    CHECK_STATUS(APR_EINVAL,
                 cohort_process_create_program(&process, &program, &options, test_pool()));
    CHECK(strstr(cohort_last_error(), "is a pipe") != NULL);
}

/* What it is given: an argument, ends of pipes, gifts, settings. */
static int say_what_there_is(void *args) {
    cohort_connection_t *out = *(cohort_connection_t **)args;
    apr_file_t *file = NULL;
    const char *word = getenv("COHORT_TEST_WORD");
    CHECK_STATUS(APR_SUCCESS, cohort_gift_file(&file, "null", 0, test_pool()));
    CHECK(word && strcmp(word, "given") == 0);
    puts("a run");
    CHECK_STATUS(APR_SUCCESS, cohort_connection_send(out, "here", 5, COHORT_FOREVER));
    return 1;
}

static void each_run_is_given_the_same(void) {
    cohort_connection_t *in = NULL, *out = NULL;
    apr_file_t *file = NULL;
    apr_size_t size;
    char text[8];
    CHECK_STATUS(APR_SUCCESS, cohort_pipe_create(&in, &out, NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, apr_file_open_stdin(&file, test_pool()));
    cohort_gift_t gift = {.name = "null", .file = file};
    /* cases under other start methods run at the same time */
    const char *path = apr_psprintf(test_pool(), "cohort-test-service-%" APR_INT64_T_FMT ".log",
                                    cohort_process_pid(cohort_process_current()));
    cohort_stream_t streams[3] = {[1] = {.kind = COHORT_STREAM_LOG, .path = path}};
    (void)apr_file_remove(path, test_pool());
    cohort_settings_t settings = {.env = (const char *const[]){"COHORT_TEST_WORD=given", NULL}};
    cohort_restart_t policy = {
        .when = COHORT_RESTART_ALWAYS, .delay = COHORT_RESTART_AT_ONCE, .limit = 2};
    cohort_process_options_t options = {.connections = &out,
                                        .n_connections = 1,
                                        .gifts = &gift,
                                        .n_gifts = 1,
                                        .settings = &settings,
                                        .streams = streams,
                                        .restart = &policy};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch(&process, say_what_there_is, &out, sizeof out,
                                                    &options, NULL));
    memset(streams, 0xff, sizeof streams); /* they have been copied */
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(out));
    for (int i = 0; i < 3; i++)
        CHECK_STATUS(APR_SUCCESS,
                     cohort_connection_recv(in, text, sizeof text, &size, COHORT_FOREVER));
    /* no process has the other end any more */
    CHECK_STATUS(APR_EOF, cohort_connection_recv(in, text, sizeof text, &size, COHORT_FOREVER));
    await_end(process, COHORT_SERVICE_GIVEN_UP, 1, 2);
    CHECK_STATUS(APR_SUCCESS, cohort_connection_close(in));
    CHECK_STATUS(APR_SUCCESS, apr_file_open(&file, path, APR_FOPEN_READ, 0, test_pool()));
    const char *line = read_all(file);
    for (int i = 0; i < 3; i++) {
        CHECK(strncmp(line, "a run", 5) == 0);
        line = strchr(line, '\n') + 1;
    }
    CHECK_STR("", line);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(file));
    CHECK_STATUS(APR_SUCCESS, apr_file_remove(path, test_pool()));
}

/* What the supervisor changes later is not seen by the runs, which its watcher starts. */
static int look_at_word(void *args) {
    board_t *board = *(board_t **)args;
    await_event(board->go);
    const char *word = getenv("COHORT_TEST_CAPTURED");
    return word && strcmp(word, "first") == 0 ? 3 : 4;
}

/* Where there is no fork, a child has what its starter has then. */
static bool has_forks(void) {
    cohort_process_options_t options = {.method = COHORT_START_FORK};
    cohort_process_t *process = NULL;
    apr_status_t status = cohort_process_create(&process, look_at_word, NULL, 0, &options, NULL);
    if (!status) CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    return status != APR_ENOTIMPL;
}

static void each_run_has_the_first_environment(void) {
    if (!has_forks()) SKIP("a run has the environment that its supervisor has then");
    board_t *board = new_board(0);
    cohort_restart_t policy = {
        .when = COHORT_RESTART_ALWAYS, .delay = COHORT_RESTART_AT_ONCE, .limit = 1};
    CHECK_STATUS(APR_SUCCESS, apr_env_set("COHORT_TEST_CAPTURED", "first", test_pool()));
    cohort_process_t *process = launch(look_at_word, board, &policy);
    CHECK_STATUS(APR_SUCCESS, apr_env_set("COHORT_TEST_CAPTURED", "second", test_pool()));
    set_event(board->go);
    await_end(process, COHORT_SERVICE_GIVEN_UP, 3, 1);
    CHECK_STATUS(APR_SUCCESS, apr_env_delete("COHORT_TEST_CAPTURED", test_pool()));
    free_board(board);
}

static const char *name_of_mine(const char *what) {
    return apr_psprintf(test_pool(), "cohort-test-service-%s-%" APR_INT64_T_FMT, what,
                        cohort_process_pid(cohort_process_current()));
}

static apr_file_t *open_mine(const char *what, apr_pool_t *pool) {
    apr_file_t *file = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 apr_file_open(&file, name_of_mine(what), APR_FOPEN_WRITE | APR_FOPEN_CREATE,
                               APR_FPROT_OS_DEFAULT, pool));
    return file;
}

/* Of a file that is a stream its handle is kept, and another file by that number is none. The first
 * file is there until the end, so that the second is not given its place on the disk. */
static void file_that_is_closed(void) {
    board_t *board = new_board(0);
    apr_pool_t *pool = NULL;
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, test_pool()));
    cohort_stream_t streams[3] = {
        [1] = {.kind = COHORT_STREAM_FILE, .file = open_mine("mine", pool)}};
    cohort_restart_t policy = {.when = COHORT_RESTART_ALWAYS, .delay = apr_time_from_sec(600)};
    cohort_process_options_t options = {.restart = &policy, .streams = streams};
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch(&process, run_until_go, &board, sizeof board,
                                                    &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_restart(process, COHORT_FOREVER));
    apr_pool_destroy(pool);
    apr_file_t *other = open_mine("other", test_pool());
    apr_status_t status = cohort_process_restart(process, COHORT_FOREVER);
    bool has_words = strstr(cohort_last_error(), "stream 1 of a service is closed") != NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_stop(process, 0));
    await_end(process, COHORT_SERVICE_STOPPED, -15, 1);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(other));
    CHECK_STATUS(APR_SUCCESS, apr_file_remove(name_of_mine("other"), test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_file_remove(name_of_mine("mine"), test_pool()));
    CHECK_STATUS(APR_EBADF, status);
    CHECK(has_words);
    free_board(board);
}

static void reload(void) {
    board_t *board = new_board(0);
    cohort_restart_t policy = {.when = COHORT_RESTART_ON_FAILURE, .delay = apr_time_from_sec(600)};
    cohort_process_t *process = launch(run_until_go, board, &policy);
    for (int i = 0; i < 7; i++) { /* none of them counts */
        party_await(&board->runs, i + 1);
        apr_int64_t before = cohort_process_pid(process);
        CHECK_STATUS(APR_SUCCESS, cohort_process_restart(process, COHORT_FOREVER));
        CHECK(before != cohort_process_pid(process));
        CHECK(cohort_process_pid(process) != 0);
    }
    /* between two runs */
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(process));
    while (cohort_process_pid(process)) apr_sleep(500);
    cohort_service_info_t info = info_of(process);
    CHECK(info.wait > apr_time_from_sec(500));
    CHECK(strstr(info.text, "service: is started again in ") != NULL);
    CHECK(strstr(info.text, ", the last run was ended by signal 9") != NULL);
    CHECK_INT(1, cohort_process_is_alive(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_restart(process, COHORT_FOREVER));
    set_event(board->go);
    await_end(process, COHORT_SERVICE_DONE, 0, 8);
    free_board(board);
}

/* While it runs, and while it waits for its next run. */
static void stopped(void) {
    board_t *board = new_board(0);
    cohort_restart_t policy = {.when = COHORT_RESTART_ALWAYS, .delay = apr_time_from_sec(600)};
    cohort_process_t *process = launch(run_until_go, board, &policy);
    CHECK_STATUS(APR_SUCCESS, cohort_process_stop(process, COHORT_FOREVER));
    await_end(process, COHORT_SERVICE_STOPPED, -15, 0);
    process = launch(run_until_go, board, &policy);
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(process));
    while (cohort_process_pid(process)) apr_sleep(500);
    CHECK_STATUS(APR_SUCCESS, cohort_process_stop(process, 0));
    CHECK_STATUS(COHORT_ECLOSED, cohort_process_restart(process, 0));
    await_end(process, COHORT_SERVICE_STOPPED, -9, 0);
    free_board(board);
}

static int stop_other(void *args) {
    CHECK_STATUS(COHORT_ENOTOWNER, cohort_process_restart(*(cohort_process_t **)args, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_process_stop(*(cohort_process_t **)args, COHORT_FOREVER));
    return 0;
}

static void stopped_by_another_process(void) {
    board_t *board = new_board(0);
    cohort_restart_t policy = {.when = COHORT_RESTART_ALWAYS, .delay = apr_time_from_sec(600)};
    for (int i = 0; i < 2; i++) {
        cohort_process_t *process = launch(run_until_go, board, &policy);
        if (i) CHECK_STATUS(APR_SUCCESS, cohort_process_kill(process));
        while (i && cohort_process_pid(process)) apr_sleep(500);
        party_finish(party_start(stop_other, &process, sizeof process));
        await_end(process, COHORT_SERVICE_STOPPED, i ? -9 : -15, 0);
    }
    free_board(board);
}

/* A start that fails counts as a run that failed. */
static void start_that_fails(void) {
    apr_uint64_t blocks = blocks_in_use();
    cohort_restart_t policy = {
        .when = COHORT_RESTART_ALWAYS, .delay = COHORT_RESTART_AT_ONCE, .limit = 3};
    cohort_process_options_t options = {.restart = &policy, .name = "gone"};
    const char *path = apr_psprintf(test_pool(), "cohort-test-service-%" APR_INT64_T_FMT,
                                    cohort_process_pid(cohort_process_current()));
    CHECK_STATUS(APR_SUCCESS, apr_dir_make(path, APR_OS_DEFAULT, test_pool()));
    cohort_settings_t settings = {.cwd = path};
    const char *const argv[] = {TEST_ACTOR, "exit", "4", NULL};
    cohort_program_t program = {.argv = argv};
    cohort_process_t *process = NULL;
    options.settings = &settings;
    policy.delay = apr_time_from_sec(600);
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch_program(&process, &program, &options, NULL));
    while (cohort_process_pid(process)) apr_sleep(500);
    while (apr_dir_remove(path, test_pool())) apr_sleep(500); /* a run may be in it still */
    apr_status_t status = cohort_process_restart(process, 0);
    CHECK(status != APR_SUCCESS);
    CHECK(strstr(cohort_last_error(), path) != NULL);
    CHECK(strstr(info_of(process).text, "gone: is started again in ") != NULL);
    CHECK(strstr(info_of(process).text, ", its start failed: ") != NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_process_stop(process, 0));
    await_end(process, COHORT_SERVICE_STOPPED, 4, 0);
    settings.cwd = "/no/such/directory";
    CHECK(cohort_process_launch_program(&process, &program, &options, NULL) != APR_SUCCESS);
    CHECK_INT(blocks, blocks_in_use());
}

/* One that can never be started again, without a limit or a delay, keeps the supervisor from
 * nothing. */
static void start_that_fails_for_ever(void) {
    cohort_restart_t policy = {.when = COHORT_RESTART_ALWAYS,
                               .delay = COHORT_RESTART_AT_ONCE,
                               .limit = COHORT_RESTART_UNLIMITED};
    const char *path = apr_psprintf(test_pool(), "cohort-test-service-for-ever-%" APR_INT64_T_FMT,
                                    cohort_process_pid(cohort_process_current()));
    CHECK_STATUS(APR_SUCCESS, apr_dir_make(path, APR_OS_DEFAULT, test_pool()));
    cohort_settings_t settings = {.cwd = path};
    cohort_process_options_t options = {.restart = &policy, .settings = &settings};
    const char *const argv[] = {TEST_ACTOR, "exit", "4", NULL};
    cohort_program_t program = {.argv = argv, .streams = {[0] = NO_STREAM}};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch_program(&process, &program, &options, NULL));
    while (apr_dir_remove(path, test_pool())) apr_sleep(500); /* a run may be in it still */
    while (!info_of(process).start_status) apr_sleep(500);
    for (int i = 0; i < 3; i++) {
        cohort_process_t *other = party_start(seven, NULL, 0);
        party_end(other, 7);
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(other));
    }
    while (!info_of(process).wait) apr_sleep(500);
    CHECK(info_of(process).start_status != APR_SUCCESS);
    CHECK_STATUS(APR_SUCCESS, cohort_process_stop(process, 0));
    CHECK_INT(COHORT_SERVICE_STOPPED, info_of(process).end);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
}

/* ---- its supervisor ends --------------------------------------------------------------------- */

typedef struct {
    board_t *board;
    cohort_process_t *_Atomic service;
    bool waits;
} home_t;

static int supervise(void *args) {
    home_t *home = *(home_t **)args;
    cohort_restart_t policy = {.when = COHORT_RESTART_ALWAYS, .delay = COHORT_RESTART_AT_ONCE};
    atomic_store(&home->service, launch(run_until_go, home->board, &policy));
    if (home->waits) party_wait_for_death();
    party_await(&home->board->runs, 1);
    return 0;
}

static home_t *new_home(bool waits, cohort_process_t **supervisor) {
    home_t *home = party_memory(sizeof *home);
    home->board = new_board(0);
    home->waits = waits;
    *supervisor = party_start(supervise, &home, sizeof home);
    party_await(&home->board->runs, 1);
    while (!atomic_load(&home->service)) apr_sleep(500);
    return home;
}

/* Nothing uses what they have from the test any more. */
static void await_no_runs(void) {
    cohort_process_info_t *list = NULL;
    apr_size_t n = 0, left = 1;
    while (left) {
        left = 0;
        CHECK_STATUS(APR_SUCCESS, cohort_processes(&list, &n, test_pool()));
        for (apr_size_t i = 0; i < n; i++) left += strcmp(list[i].name, "service") == 0;
    }
}

static void free_home(home_t *home) {
    free_board(home->board);
    CHECK_STATUS(APR_SUCCESS, cohort_free(home));
}

static void supervisor_is_killed(void) {
    apr_uint64_t blocks = blocks_in_use();
    cohort_process_t *supervisor;
    home_t *home = new_home(true, &supervisor);
    cohort_process_t *service = atomic_load(&home->service);
    apr_int64_t pid = cohort_process_pid(service);
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(supervisor));
    apr_status_t status = cohort_process_join(service, COHORT_FOREVER);
    CHECK(status == APR_SUCCESS || status == COHORT_EHANDLE);
    party_end(supervisor, -9);
    while (system_runs(pid)) apr_sleep(1000);
    CHECK_STATUS(COHORT_EHANDLE, cohort_process_join(service, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(supervisor));
    await_no_runs();
    free_home(home);
    CHECK_INT(blocks, blocks_in_use());
}

static int crash(void *args) {
    board_t *board = *(board_t **)args;
    return atomic_fetch_add(&board->runs, 1) % 2;
}

static int supervise_crashes(void *args) {
    home_t *home = *(home_t **)args;
    cohort_restart_t policy = {.when = COHORT_RESTART_ALWAYS,
                               .delay = COHORT_RESTART_AT_ONCE,
                               .limit = COHORT_RESTART_UNLIMITED};
    atomic_store(&home->service, launch(crash, home->board, &policy));
    party_wait_for_death();
}

/* While runs come and go. */
static void supervisor_is_killed_at_any_moment(void) {
    apr_uint64_t blocks = blocks_in_use();
    for (int i = 0; i < 6; i++) {
        home_t *home = party_memory(sizeof *home);
        home->board = new_board(0);
        cohort_process_t *supervisor = party_start(supervise_crashes, &home, sizeof home);
        party_await(&home->board->runs, 1);
        for (int turns = 0; turns < 1 << (2 * i); turns++) apr_thread_yield();
        CHECK_STATUS(APR_SUCCESS, cohort_process_kill(supervisor));
        party_end(supervisor, -9);
        cohort_process_t *service = atomic_load(&home->service);
        apr_status_t status = service ? cohort_process_join(service, COHORT_FOREVER) : APR_SUCCESS;
        CHECK(status == APR_SUCCESS || status == COHORT_EHANDLE);
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(supervisor));
        await_no_runs();
        free_home(home);
    }
    CHECK_INT(blocks, blocks_in_use());
}

static void supervisor_ends_in_order(void) {
    cohort_process_t *supervisor;
    home_t *home = new_home(false, &supervisor);
    party_end(supervisor, 0);
    CHECK_STATUS(COHORT_EHANDLE, cohort_process_join(atomic_load(&home->service), 0));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(supervisor));
    free_home(home);
}

/* ---- many at once ---------------------------------------------------------------------------- */

static int refuse(void *args) {
    board_t *board = *(board_t **)args;
    signal(SIGTERM, SIG_IGN);
    atomic_fetch_add(&board->runs, 1);
    party_wait_for_death();
}

/* All are killed after one grace. */
static void many_that_refuse(void) {
    board_t *board = new_board(0);
    cohort_restart_t policy = {.when = COHORT_RESTART_ALWAYS, .delay = COHORT_RESTART_AT_ONCE};
    cohort_process_t *list[4];
    for (int i = 0; i < 4; i++) list[i] = launch(refuse, board, &policy);
    party_await(&board->runs, 4);
    apr_time_t begin = apr_time_now();
    CHECK_STATUS(APR_SUCCESS, cohort_processes_stop(list, 4, A_WHILE));
    AT_LEAST(A_WHILE, begin);
    for (int i = 0; i < 4; i++) await_end(list[i], COHORT_SERVICE_STOPPED, -9, 0);
    free_board(board);
}

static void many_stopped_at_once(void) {
    board_t *board = new_board(0);
    cohort_restart_t policy = {.when = COHORT_RESTART_ALWAYS, .delay = COHORT_RESTART_AT_ONCE};
    cohort_process_t *list[5];
    for (int i = 0; i < 2; i++) list[i] = launch(run_until_go, board, &policy);
    list[2] = party_start(stay, NULL, 0);
    list[3] = party_start(seven, NULL, 0);
    list[4] = make(nothing, NULL, 0, NULL);
    party_await(&board->runs, 2);
    party_end(list[3], 7);
    CHECK_STATUS(COHORT_ENOTSTARTED, cohort_processes_stop(list, 5, COHORT_FOREVER));
    await_end(list[0], COHORT_SERVICE_STOPPED, -15, 0);
    await_end(list[1], COHORT_SERVICE_STOPPED, -15, 0);
    party_end(list[2], -15);
    CHECK_STATUS(APR_SUCCESS, cohort_processes_stop(list + 2, 2, 0));
    for (int i = 2; i < 5; i++) CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(list[i]));
    free_board(board);
}

const test_case_t service_cases[] = {
    {"Service", "until_it_succeeds", until_it_succeeds},
    {"Service", "given_up", given_up},
    {"Service", "one_handle_for_all_runs", one_handle_for_all_runs},
    {"Service", "programs", programs},
    {"Service", "each_run_is_given_the_same", each_run_is_given_the_same},
    {"Service", "each_run_has_the_first_environment", each_run_has_the_first_environment},
    {"Service", "file_that_is_closed", file_that_is_closed},
    {"Service", "reload", reload},
    {"Service", "stopped", stopped},
    {"Service", "stopped_by_another_process", stopped_by_another_process},
    {"Service", "start_that_fails", start_that_fails},
    {"Service", "start_that_fails_for_ever", start_that_fails_for_ever},
    {"Service", "supervisor_is_killed", supervisor_is_killed},
    {"Service", "supervisor_is_killed_at_any_moment", supervisor_is_killed_at_any_moment},
    {"Service", "supervisor_ends_in_order", supervisor_ends_in_order},
    {"Service", "many_that_refuse", many_that_refuse},
    {"Service", "many_stopped_at_once", many_stopped_at_once},
    {0}};
