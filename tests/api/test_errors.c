/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* cohort_last_error(): each failing call says which call failed, at what and why; calls that
 * succeed leave it alone. */
#include "parties.h"

#include <apr_file_io.h>
#include <apr_strings.h>

static bool said(const char *part) { return strstr(cohort_last_error(), part) != NULL; }

/* The last error names the call and says this. */
static void check_said(const char *call, const char *part) {
    if (strncmp(cohort_last_error(), call, strlen(call)) != 0 || !said(part))
        test_fail(__FILE__, __LINE__, "%s: %s wanted, not \"%s\"", call, part, cohort_last_error());
}

static void untouched_by_success(void) {
    cohort_queue_t *queue = NULL;
    char byte = 1, before[400];
    apr_size_t size;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&queue, NULL, test_pool()));
    CHECK_STATUS(APR_EAGAIN, cohort_queue_get(queue, &byte, 1, &size, 0));
    check_said("cohort_queue_get: ", "would have had to wait");
    const char *first = cohort_last_error();
    apr_cpystrn(before, first, sizeof before);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_put(queue, &byte, 1, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_get(queue, &byte, 1, &size, 0));
    CHECK(first == cohort_last_error());
    CHECK_STR(before, cohort_last_error());
}

static void *APR_THREAD_FUNC other_thread(apr_thread_t *self, void *arg) {
    char block[8];
    CHECK_STR("", cohort_last_error());
    CHECK_STATUS(COHORT_EFREE, cohort_free(block));
    check_said("cohort_free: ", "not a block");
    CHECK_STR("", arg);
    apr_thread_exit(self, APR_SUCCESS);
    return NULL;
}

static void per_thread(void) {
    char block[8];
    apr_thread_t *thread;
    apr_status_t status;
    CHECK_STR("", cohort_last_error());
    CHECK_STATUS(APR_SUCCESS, apr_thread_create(&thread, NULL, other_thread, "", test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_thread_join(&status, thread));
    CHECK_STR("", cohort_last_error());
    CHECK_STATUS(COHORT_EFREE, cohort_free(block));
    check_said("cohort_free: ", "not a block");
}

/* A directory that is not there, and a program that is not there, both make ENOENT. */
static void program_or_directory(void) {
    static const char *const missing[] = {"/no/such/program", NULL}, *const unheard[] = {
                                                                         "no-such-program-anywhere",
                                                                         NULL};
    cohort_program_t program = {.argv = missing}, searched = {.argv = unheard},
                     directory = {.argv = missing, .cwd = "/no/such/directory"};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create_program(&process, &program, NULL, test_pool()));
    CHECK(cohort_process_start(process) != APR_SUCCESS);
    check_said("cohort_process_start: ", "/no/such/program");
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create_program(&process, &searched, NULL, test_pool()));
    CHECK(cohort_process_start(process) != APR_SUCCESS);
    check_said("cohort_process_start: ", "no-such-program-anywhere");
    CHECK(said("PATH"));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create_program(&process, &directory, NULL, test_pool()));
    CHECK(cohort_process_start(process) != APR_SUCCESS);
    check_said("cohort_process_start: ", "/no/such/directory");
    CHECK(!said("/no/such/program"));
}

/* ---- every call ----------------------------------------------------------------------------- */

static char called[200][48]; /* the calls that were seen to fail */
static int n_called;

static void note(const char *expression, char *call, size_t size) {
    size_t length = strcspn(expression, "(");
    CHECK(length < size);
    memcpy(call, expression, length);
    call[length] = 0;
}

/* The sentence begins with the call that `expression` is, and has this reason. */
static void check_sentence(int line, const char *expression, const char *reason) {
    char call[48], prefix[64];
    note(expression, call, sizeof call);
    apr_snprintf(prefix, sizeof prefix, "%s: ", call);
    if (strncmp(cohort_last_error(), prefix, strlen(prefix)) || !said(reason)) {
        test_fail(__FILE__, line, "%s: \"%s\" wanted, not \"%s\"", expression, reason,
                  cohort_last_error());
    }
    CHECK(n_called < 200);
    strcpy(called[n_called++], call);
}

static void check_fails(int line, const char *expression, apr_status_t expected, const char *reason,
                        apr_status_t status) {
    test_check_status(__FILE__, line, expression, expected, status);
    check_sentence(line, expression, reason);
}

/* The call fails with this status, and the sentence has its name and this reason. */
#define FAILS(status, reason, call) check_fails(__LINE__, #call, status, reason, call)

static void check_answers(int line, const char *expression, bool right, const char *reason) {
    if (!right) test_fail(__FILE__, line, "%s: not that answer", expression);
    check_sentence(line, expression, reason);
}

/* The question has this answer, and the sentence says why it is no real one. */
#define ANSWERS(answer, reason, call) \
    check_answers(__LINE__, #call, (uintptr_t)(call) == (answer), reason)

static void wrong_pointers(void *wrong) {
    char byte = 1;
    apr_size_t size = 1;
    void *out;
    apr_size_t number;
    apr_size_t natural;
    cohort_message_t message = {.data = &byte, .size = 1, .capacity = 1};
    uint64_t outside[16] = {0};
    cohort_outcome_t outcome;
    cohort_command_t command = {.argv = (const char *const[]){"none", NULL}};
    FAILS(COHORT_EHANDLE, "not a live queue", cohort_queue_put(wrong, &byte, 1, 0));
    FAILS(APR_EINVAL, "the queue is NULL", cohort_queue_get(NULL, &byte, 1, &size, 0));
    FAILS(COHORT_EHANDLE, "not a live queue", cohort_queue_get_message(wrong, &message, 0));
    FAILS(COHORT_EHANDLE, "not a live queue",
          cohort_queue_get_copy(wrong, &out, &size, 0, test_pool()));
    FAILS(COHORT_EHANDLE, "not a live queue", cohort_queue_get_block(wrong, &out, &size, 0));
    FAILS(COHORT_EHANDLE, "not a live queue", cohort_queue_put_many(wrong, &message, 1, &size, 0));
    FAILS(COHORT_EHANDLE, "not a live queue", cohort_queue_get_many(wrong, &message, 1, &size, 0));
    FAILS(COHORT_EHANDLE, "not a live queue", cohort_queue_put_block(wrong, &byte, 1, 0));
    ANSWERS(0, "not a live queue", cohort_queue_size(wrong));
    ANSWERS(1, "not a live queue", cohort_queue_is_empty(wrong));
    ANSWERS(0, "not a live queue", cohort_queue_is_full(wrong));
    ANSWERS(1, "not a live queue", cohort_queue_is_closed(wrong));
    FAILS(COHORT_EHANDLE, "not a live queue", cohort_queue_task_done(wrong));
    FAILS(COHORT_EHANDLE, "not a live queue", cohort_queue_join(wrong, 0));
    FAILS(COHORT_EHANDLE, "not a live queue", cohort_queue_close(wrong));
    FAILS(COHORT_EHANDLE, "not a live queue", cohort_queue_discard(wrong));
    FAILS(COHORT_EHANDLE, "not a live queue", cohort_queue_destroy((void *)&outside));
    FAILS(COHORT_EHANDLE, "not a live connection", cohort_connection_send(wrong, &byte, 1, 0));
    FAILS(APR_EINVAL, "the connection is NULL", cohort_connection_recv(NULL, &byte, 1, &size, 0));
    FAILS(COHORT_EHANDLE, "not a live connection",
          cohort_connection_recv_message(wrong, &message, 0));
    FAILS(COHORT_EHANDLE, "not a live connection",
          cohort_connection_recv_copy(wrong, &out, &size, 0, test_pool()));
    FAILS(COHORT_EHANDLE, "not a live connection",
          cohort_connection_recv_block(wrong, &out, &size, 0));
    FAILS(COHORT_EHANDLE, "not a live connection", cohort_connection_poll(wrong, 0));
    FAILS(COHORT_EHANDLE, "not a live connection", cohort_connection_close((void *)&outside));
    FAILS(COHORT_EHANDLE, "not a live lock", cohort_lock_acquire(wrong, 0));
    FAILS(COHORT_EHANDLE, "not a live lock", cohort_lock_release(wrong));
    ANSWERS(0, "not a live lock", cohort_lock_owner(wrong));
    FAILS(COHORT_EHANDLE, "not a live lock", cohort_lock_destroy((void *)&outside));
    FAILS(COHORT_EHANDLE, "not a live recursive lock", cohort_rlock_acquire(wrong, 0));
    FAILS(COHORT_EHANDLE, "not a live recursive lock", cohort_rlock_release(wrong));
    ANSWERS(0, "not a live recursive lock", cohort_rlock_owner(wrong));
    FAILS(COHORT_EHANDLE, "not a live recursive lock", cohort_rlock_destroy((void *)&outside));
    FAILS(COHORT_EHANDLE, "not a live semaphore", cohort_semaphore_acquire(wrong, 0));
    FAILS(COHORT_EHANDLE, "not a live semaphore", cohort_semaphore_release(wrong, 1));
    ANSWERS(0, "not a live semaphore", cohort_semaphore_value(wrong));
    FAILS(COHORT_EHANDLE, "not a live semaphore", cohort_semaphore_destroy((void *)&outside));
    FAILS(COHORT_EHANDLE, "not a live condition", cohort_condition_acquire(wrong, 0));
    FAILS(COHORT_EHANDLE, "not a live condition", cohort_condition_release(wrong));
    FAILS(COHORT_EHANDLE, "not a live condition", cohort_condition_wait(wrong, 0));
    FAILS(APR_EINVAL, "predicate is NULL", cohort_condition_wait_for(wrong, NULL, NULL, 0));
    FAILS(COHORT_EHANDLE, "not a live condition", cohort_condition_notify(wrong, 1));
    FAILS(COHORT_EHANDLE, "not a live condition", cohort_condition_notify_all(wrong));
    FAILS(COHORT_EHANDLE, "not a live condition", cohort_condition_destroy((void *)&outside));
    FAILS(COHORT_EHANDLE, "not a live event", cohort_event_set(wrong));
    FAILS(COHORT_EHANDLE, "not a live event", cohort_event_clear(wrong));
    FAILS(COHORT_EHANDLE, "not a live event", cohort_event_wait(wrong, 0));
    ANSWERS(0, "not a live event", cohort_event_is_set(wrong));
    FAILS(COHORT_EHANDLE, "not a live event", cohort_event_destroy((void *)&outside));
    FAILS(COHORT_EHANDLE, "not a live barrier", cohort_barrier_wait(wrong, &natural, 0));
    FAILS(COHORT_EHANDLE, "not a live barrier", cohort_barrier_abort(wrong));
    FAILS(COHORT_EHANDLE, "not a live barrier", cohort_barrier_reset(wrong));
    ANSWERS(0, "not a live barrier", cohort_barrier_parties(wrong));
    ANSWERS(0, "not a live barrier", cohort_barrier_waiting(wrong));
    ANSWERS(1, "not a live barrier", cohort_barrier_is_broken(wrong));
    FAILS(COHORT_EHANDLE, "not a live barrier", cohort_barrier_destroy((void *)&outside));
    FAILS(COHORT_EHANDLE, "not a live region", cohort_region_alloc(&out, wrong, 1));
    FAILS(COHORT_EHANDLE, "not a live region", cohort_region_clear(wrong));
    FAILS(COHORT_EHANDLE, "not a live region", cohort_region_destroy((void *)&outside));
    FAILS(COHORT_EHANDLE, "not a live process", cohort_process_start(wrong));
    FAILS(APR_EINVAL, "the process is NULL", cohort_process_join(NULL, 0));
    FAILS(COHORT_EHANDLE, "not a live process", cohort_process_name(wrong, &byte, 1));
    FAILS(COHORT_EHANDLE, "not a live process", cohort_process_set_name(wrong, "name"));
    FAILS(COHORT_EHANDLE, "not a live process", cohort_process_terminate(wrong));
    FAILS(COHORT_EHANDLE, "not a live process", cohort_process_kill(wrong));
    FAILS(COHORT_EHANDLE, "not a live process", cohort_process_kill_tree(wrong));
    FAILS(COHORT_EHANDLE, "not a live process", cohort_process_interrupt(wrong));
    FAILS(COHORT_EHANDLE, "not a live process", cohort_process_stop(wrong, 0));
    FAILS(COHORT_EHANDLE, "not a live process", cohort_process_stop_tree(wrong, 0));
    FAILS(COHORT_EHANDLE, "not a live process", cohort_process_restart(wrong, 0));
    FAILS(COHORT_EHANDLE, "not a live process",
          cohort_process_service(wrong, &(cohort_service_info_t){.pid = 0}));
    FAILS(COHORT_EHANDLE, "processes[0]: not a live object",
          cohort_processes_stop(&(cohort_process_t *){wrong}, 1, 0));
    FAILS(COHORT_EHANDLE, "not a live process", cohort_process_signal(wrong, 15));
    FAILS(COHORT_EHANDLE, "not a live runner", cohort_runner_submit(NULL, wrong, &command));
    FAILS(COHORT_EHANDLE, "not a live runner", cohort_runner_next(wrong, (cohort_run_t **)&out, 0));
    FAILS(COHORT_EHANDLE, "not a live runner", cohort_runner_destroy((void *)&outside));
    FAILS(COHORT_EHANDLE, "not a live run", cohort_run_wait(wrong, 0));
    FAILS(COHORT_EHANDLE, "not a live run", cohort_run_cancel(wrong));
    FAILS(COHORT_EHANDLE, "not a live run", cohort_run_destroy((void *)&outside));
    ANSWERS(0, "not a live run", cohort_run_outcome(wrong));
    FAILS(APR_EINVAL, "pool is NULL", cohort_run(&outcome, &command, NULL));
    FAILS(APR_EINVAL, "runner is NULL", cohort_runner_create(NULL, NULL, NULL));
    FAILS(COHORT_EHANDLE, "not a live pool", cohort_pool_close(wrong));
    FAILS(COHORT_EHANDLE, "not a live pool", cohort_pool_terminate(wrong));
    FAILS(COHORT_EHANDLE, "not a live pool", cohort_pool_join(wrong, 0));
    FAILS(COHORT_EHANDLE, "not a live pool", cohort_pool_stop(wrong, 0));
    FAILS(APR_EINVAL, "grace is -1", cohort_pool_stop(wrong, -1));
    FAILS(COHORT_EHANDLE, "not a live pool", cohort_pool_wait_ready(wrong, 0));
    FAILS(COHORT_EHANDLE, "not a live pool", cohort_pool_resize(wrong, 1));
    FAILS(APR_EINVAL, "task is NULL", cohort_pool_run_on_each(wrong, NULL, NULL, 0, NULL, 0, NULL));
    FAILS(APR_EINVAL, "no worker of a pool", cohort_task_set_worker_state(wrong));
    FAILS(COHORT_EHANDLE, "not a live pool", cohort_pool_destroy((void *)&outside));
    FAILS(APR_EINVAL, "parent is NULL",
          cohort_pool_workers(wrong, (cohort_process_t ***)&out, &number, NULL));
    FAILS(APR_EINVAL, "list is NULL", cohort_pool_activity(wrong, NULL, &number, test_pool()));
    FAILS(APR_EINVAL, "parent is NULL",
          cohort_pool_statistics(wrong, (cohort_pool_statistics_t **)&out, NULL));
    FAILS(APR_EINVAL, "statistics is NULL",
          cohort_statistics_table((char **)&out, NULL, test_pool()));
    FAILS(COHORT_EHANDLE, "not a live pool", cohort_pool_print_statistics((void *)&outside, NULL));
    FAILS(APR_EINVAL, "object is NULL", cohort_progress_watch((void *)&outside, NULL, NULL, NULL));
    FAILS(COHORT_EHANDLE, "not a live result", cohort_result_wait(wrong, 0));
    FAILS(APR_EINVAL, "callback is NULL", cohort_result_add_callback(wrong, NULL, NULL));
    FAILS(APR_EINVAL, "pool is NULL",
          cohort_completed_create((cohort_completed_t **)&out, NULL, 0, NULL));
    FAILS(APR_EINVAL, "completed is NULL", cohort_completed_add(NULL, wrong));
    FAILS(APR_EINVAL, "completed is NULL", cohort_completed_next(NULL, NULL, NULL, 0));
    ANSWERS(0, "not a live result", cohort_result_is_successful(wrong));
    FAILS(COHORT_EHANDLE, "not a live result", cohort_result_get(wrong, NULL, 0, 0));
    ANSWERS(0, "not a live result", cohort_result_outputs(wrong));
    FAILS(APR_EINVAL, "error is NULL", cohort_result_error(wrong, NULL));
    FAILS(APR_EINVAL, "n is NULL",
          cohort_result_errors(wrong, (cohort_task_error_t ***)&out, NULL, test_pool()));
    FAILS(APR_EINVAL, "item is NULL", cohort_result_item(wrong, 0, NULL));
    FAILS(COHORT_EHANDLE, "not a live result", cohort_result_cancel(wrong, COHORT_CANCEL_SOFT));
    FAILS(APR_EINVAL, "how is 7", cohort_result_cancel(wrong, (cohort_cancel_t)7));
    FAILS(COHORT_EHANDLE, "not a live result",
          cohort_result_cancel_item(wrong, 0, COHORT_CANCEL_SOFT));
    ANSWERS(COHORT_RESULT_NONE, "not a live result", cohort_result_state(wrong));
    FAILS(APR_EINVAL, "data is NULL", cohort_result_take(wrong, 0, NULL, &size));
    ANSWERS(0, "not that of a task", cohort_task_output(1));
    FAILS(APR_EINVAL, "not that of a task", cohort_task_region((cohort_region_t **)&out));
    FAILS(APR_EINVAL, "region is NULL", cohort_task_region(NULL));
    FAILS(COHORT_EHANDLE, "not a live result", cohort_result_destroy((void *)&outside));
    FAILS(COHORT_EHANDLE, "not a live imap", cohort_imap_next(wrong, &(cohort_item_t){0}, 0));
    FAILS(COHORT_EHANDLE, "not a live imap", cohort_imap_destroy((void *)&outside));
    FAILS(COHORT_EFREE, "not a block", cohort_item_release(&(cohort_item_t){.data = &byte}));
}

static int target(void *args) {
    (void)args;
    return 0;
}

static apr_status_t task(const void *input, void *output) {
    (void)input, (void)output;
    return APR_SUCCESS;
}

static int of_object(cohort_process_base_t *self) {
    (void)self;
    return 0;
}

static apr_status_t no_more(void *arg, void *input) {
    (void)arg, (void)input;
    return APR_EOF;
}

static void done(cohort_result_t *result, void *arg) { (void)result, (void)arg; }

/* What an imap cannot have. */
static void refused_imaps(cohort_pool_t *pool) {
    cohort_imap_t *imap;
    cohort_imap_options_t source = {.source = no_more}, options = {.window = 65537},
                          reserved = {.reserved = {0, 1}};
    char bytes[4] = "";
    cohort_job_t job = {.task = task}, plain = {.task = task, COHORT_INPUTS(bytes, 4)};
    FAILS(APR_EINVAL, "job is NULL", cohort_pool_imap(&imap, pool, NULL, NULL, NULL));
    FAILS(APR_EINVAL, "inputs beside a source",
          cohort_pool_imap(&imap, pool, &plain, &source, NULL));
    FAILS(COHORT_ELIMIT, "65536", cohort_pool_imap(&imap, pool, &job, &options, NULL));
    FAILS(COHORT_EOPTION, "options.reserved[1]",
          cohort_pool_imap(&imap, pool, &job, &reserved, NULL));
    plain.outputs = bytes;
    FAILS(APR_EINVAL, "outputs", cohort_pool_imap(&imap, pool, &plain, NULL, NULL));
    job.on_success = done;
    FAILS(APR_EINVAL, "callback", cohort_pool_imap(&imap, pool, &job, NULL, NULL));
    job = (cohort_job_t){.task = task, .input_size = 4, .n = 1};
    FAILS(APR_EINVAL, "input is NULL", cohort_pool_imap(&imap, pool, &job, NULL, NULL));
    job = (cohort_job_t){.n = 1};
    FAILS(APR_EINVAL, "task is NULL", cohort_pool_imap(&imap, pool, &job, NULL, NULL));
    job = (cohort_job_t){.task = task, .n = 5000000000u};
    FAILS(COHORT_ELIMIT, "4294967294 items", cohort_pool_imap(&imap, pool, &job, NULL, NULL));
}

/* What creating and submitting refuse, by the name of the argument or the limit. */
static void wrong_arguments(void) {
    cohort_process_t *process;
    cohort_queue_t *queue = NULL;
    cohort_connection_t *connection;
    cohort_pool_t *pool = NULL;
    cohort_result_t *result;
    void *block;
    int wrong = 77;
    apr_size_t argument = 0;
    cohort_process_options_t lifetime = {.lifetime = (cohort_lifetime_t)wrong},
                             method = {.method = (cohort_start_method_t)wrong};
    cohort_process_base_t small = {.size = 1, .run = of_object};
    cohort_program_t nothing = {0}, unpiped = {.argv = (const char *const[]){"true", NULL},
                                               .streams = {[1] = {.kind = COHORT_STREAM_PIPE}}};
    cohort_pool_options_t many = {.workers = 10000}, negative = {.workers = (apr_size_t)-1},
                          unnamed = {.name = ""};
    cohort_waitable_t item = {0};
    cohort_waitset_t *wrong_set = (cohort_waitset_t *)&item;
    apr_size_t number;
    FAILS(COHORT_ETWICE, "already initialised", cohort_initialize(NULL));
    FAILS(APR_EINVAL, "method is 77", cohort_set_start_method((cohort_start_method_t)wrong, NULL));
    FAILS(APR_EINVAL, "target is NULL", cohort_process_create(&process, NULL, NULL, 0, NULL, NULL));
    FAILS(APR_EINVAL, "args is NULL", cohort_process_create(&process, target, NULL, 4, NULL, NULL));
    FAILS(APR_EINVAL, "lifetime is 77",
          cohort_process_create(&process, target, NULL, 0, &lifetime, NULL));
    FAILS(APR_EINVAL, "method is 77",
          cohort_process_create(&process, target, NULL, 0, &method, NULL));
    FAILS(APR_EINVAL, "self->size is 1",
          cohort_process_create_object(&process, &small, NULL, NULL));
    FAILS(APR_EINVAL, "program->argv is NULL",
          cohort_process_create_program(&process, &nothing, NULL, NULL));
    FAILS(APR_EINVAL, "pool is NULL",
          cohort_process_create_program(&process, &unpiped, NULL, NULL));
    FAILS(APR_EINVAL, "list is NULL", cohort_process_active_children(NULL, &argument, test_pool()));
    FAILS(APR_EINVAL, "count is NULL",
          cohort_processes(&(cohort_process_info_t *){NULL}, NULL, test_pool()));
    FAILS(APR_EINVAL, "gift is NULL",
          cohort_gift_send(&(cohort_parcel_t){{0}}, NULL, COHORT_FOREVER));
    FAILS(APR_EINVAL, "file is NULL", cohort_parcel_file(NULL, NULL, 0, test_pool()));
    FAILS(APR_EINVAL, "socket is NULL", cohort_parcel_socket(NULL, NULL, 0, test_pool()));
    FAILS(APR_EINVAL, "parcel is NULL", cohort_parcel_handle(&(apr_os_file_t){0}, NULL, 0));
    FAILS(APR_EINVAL, "parcel is NULL", cohort_parcel_discard(NULL));
    FAILS(APR_EINVAL, "file is NULL", cohort_gift_file(NULL, NULL, 0, test_pool()));
    FAILS(APR_EINVAL, "socket is NULL", cohort_gift_socket(NULL, NULL, 0, test_pool()));
    FAILS(APR_NOTFOUND, "no gift 0, but 0",
          cohort_gift_handle(&(apr_os_file_t){0}, NULL, argument));
    FAILS(APR_EINVAL, "file is NULL", cohort_terminal_read(NULL, &argument, 1, &argument));
    FAILS(COHORT_ERUNNING, "still running", cohort_process_destroy(cohort_process_current()));
    FAILS(APR_EINVAL, "queue is NULL", cohort_queue_create(NULL, NULL, NULL));
    FAILS(APR_EINVAL, "region is NULL", cohort_region_create(NULL, NULL, NULL));
    FAILS(APR_EINVAL, "second is NULL", cohort_pipe_create(&connection, NULL, NULL, NULL));
    FAILS(APR_EINVAL, "lock is NULL", cohort_lock_create(NULL, NULL));
    FAILS(APR_EINVAL, "lock is NULL", cohort_rlock_create(NULL, NULL));
    FAILS(APR_EINVAL, "semaphore is NULL", cohort_semaphore_create(NULL, 1, NULL, NULL));
    FAILS(APR_EINVAL, "condition is NULL", cohort_condition_create(NULL, NULL, NULL));
    FAILS(APR_EINVAL, "event is NULL", cohort_event_create(NULL, NULL));
    FAILS(APR_EINVAL, "parties is 0",
          cohort_barrier_create((cohort_barrier_t **)&block, 0, NULL, NULL));
    FAILS(APR_EINVAL, "block is NULL", cohort_alloc(NULL, 1));
    FAILS(APR_EINVAL, "pointer is NULL", cohort_alloc_array(NULL, 1, 1));
    FAILS(APR_EINVAL, "pointer is NULL", cohort_alloc_zeroed(NULL, 1, 1));
    FAILS(APR_EINVAL, "process is NULL", cohort_process_launch(NULL, target, NULL, 0, NULL, NULL));
    FAILS(APR_EINVAL, "process is NULL", cohort_process_launch_object(NULL, NULL, NULL, NULL));
    FAILS(APR_EINVAL, "process is NULL", cohort_process_launch_program(NULL, NULL, NULL, NULL));
    FAILS(APR_ENOMEM, "arena", cohort_alloc(&block, APR_SIZE_MAX / 2));
    FAILS(COHORT_EFREE, "not a block", cohort_free(&argument));
    FAILS(APR_EINVAL, "usage is NULL", cohort_arena_usage(NULL));
    FAILS(APR_EINVAL, "items[0].object is NULL", cohort_wait(&item, 1, COHORT_WAIT_ANY, 0));
    FAILS(APR_EINVAL, "set is NULL", cohort_waitset_create(NULL, NULL));
    FAILS(COHORT_EHANDLE, "not a live wait set", cohort_waitset_add(wrong_set, &item));
    FAILS(APR_EINVAL, "item names 0 things", cohort_waitset_remove(wrong_set, &item));
    FAILS(APR_EINVAL, "most is 0", cohort_waitset_wait(wrong_set, &item, 0, &number, 0));
    FAILS(APR_EINVAL, "descriptor is NULL", cohort_waitset_descriptor(wrong_set, NULL));
    FAILS(APR_EINVAL, "descriptor is NULL", cohort_waitset_of(&wrong_set, NULL, NULL, 0, NULL));
    ANSWERS(0, "not a live wait set", cohort_waitset_ready(wrong_set));
    FAILS(COHORT_EHANDLE, "not a live wait set", cohort_waitset_destroy(wrong_set));
    ANSWERS(0, "not a live wait set", cohort_waitset_count(wrong_set));
    FAILS(COHORT_ELIMIT, "workers is 10000; a pool has at most 8192",
          cohort_pool_create(&pool, &many, NULL));
    FAILS(COHORT_ELIMIT, "a pool has at most 8192", cohort_pool_create(&pool, &negative, NULL));
    FAILS(APR_EINVAL, "name has 0 bytes", cohort_pool_create(&pool, &unnamed, NULL));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 1}, NULL));
    FAILS(APR_EINVAL, "task is NULL", cohort_pool_map(pool, NULL, &argument, 4, 1, NULL, 0));
    FAILS(APR_EINVAL, "range is NULL",
          cohort_pool_map_ranges(pool, NULL, &argument, 4, 1, NULL, 0));
    FAILS(APR_EINVAL, "input is NULL", cohort_pool_apply(pool, task, NULL, 4, NULL, 0));
    FAILS(APR_EINVAL, "job is NULL", cohort_pool_run(pool, NULL));
    FAILS(COHORT_EOPTION, "job.reserved[3] is not 0: an option that this version",
          cohort_pool_run(pool, &(cohort_job_t){.task = task, .reserved = {0, 0, 0, 1}}));
    FAILS(COHORT_ELIMIT, "4294967294 items",
          cohort_pool_submit(&result, pool, &(cohort_job_t){.task = task, .n = 5000000000u}, NULL));
    FAILS(APR_EINVAL, "result is NULL",
          cohort_pool_submit(NULL, pool, &(cohort_job_t){.task = task, .n = 1}, NULL));
    FAILS(APR_EINVAL, "imap is NULL", cohort_pool_imap(NULL, pool, NULL, NULL, NULL));
    refused_imaps(pool);
    FAILS(APR_EINVAL, "neither closed nor terminated", cohort_pool_join(pool, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&queue, NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_put(queue, "four", 4, 0));
    FAILS(COHORT_ETOOSMALL, "the message has 4 bytes, the buffer 1",
          cohort_queue_get(queue, &argument, 1, &(apr_size_t){0}, 0));
    FAILS(APR_EINVAL, "not created joinable", cohort_queue_task_done(queue));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(queue));
    FAILS(COHORT_ECLOSED, "the queue is closed", cohort_queue_put(queue, "four", 4, 0));
    FAILS(APR_EINVAL, "size is NULL", cohort_queue_get(queue, &argument, 1, NULL, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(queue));
}

/* Calls that return no status. */
static bool returns_none(const char *call) {
    static const char *const list[] = {"cohort_strerror",
                                       "cohort_error_name",
                                       "cohort_last_error",
                                       "cohort_version",
                                       "cohort_cpu_count",
                                       "cohort_gift_count",
                                       "cohort_is_shared",
                                       "cohort_start_method",
                                       "cohort_finalize",
                                       "cohort_exit",
                                       "cohort_process_current",
                                       "cohort_process_parent",
                                       "cohort_process_is_alive",
                                       "cohort_process_exit_code",
                                       "cohort_process_pid",
                                       "cohort_process_is_daemon",
                                       "cohort_connection_is_readable",
                                       "cohort_connection_is_writable",
                                       "cohort_result_is_ready",
                                       "cohort_task_fail",
                                       "cohort_task_fail_at", /* fails nothing itself */
                                       "cohort_progress_line",
                                       "cohort_progress_stop",
                                       "cohort_task_index",
                                       "cohort_waitset_interrupt",
                                       "cohort_task_input_size",
                                       "cohort_task_attempt",
                                       "cohort_task_context",
                                       "cohort_task_worker_state",
                                       "cohort_task_should_stop"};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        if (!strcmp(list[i], call)) return true;
    }
    return false;
}

static bool was_called(const char *call) {
    for (int i = 0; i < n_called; i++) {
        if (!strcmp(called[i], call)) return true;
    }
    return false;
}

/* Each exported call that returns a status is in the lists above. */
static void all_calls(void) {
    char line[64];
    apr_file_t *file;
    void *wrong = NULL;
    int n = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_alloc(&wrong, 4096));
    wrong_pointers(wrong);
    wrong_arguments();
    CHECK_STATUS(APR_SUCCESS, cohort_free(wrong));
    CHECK_STATUS(APR_SUCCESS, apr_file_open(&file, TEST_SYMBOLS, APR_FOPEN_READ, 0, test_pool()));
    while (apr_file_gets(line, sizeof line, file) == APR_SUCCESS) {
        line[strcspn(line, "\r\n")] = 0;
        if (!strncmp(line, "COHORT_", 7)) continue; /* the version of those that follow */
        if (!returns_none(line) && !was_called(line))
            test_fail(__FILE__, __LINE__, "%s: no failure of it was looked at", line);
        n++;
    }
    CHECK(n > 100);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(file));
}

/* Success inside which something fails, or finds nothing, says nothing. */
static void silent_successes(void) {
    cohort_process_t *process = NULL;
    cohort_pool_t *pool = NULL;
    cohort_lock_t *lock = NULL;
    CHECK_STR("", cohort_last_error());
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, target, NULL, 0, NULL, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(process)); /* which has ended */
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill_tree(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_stop(process, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 2}, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_apply(pool, task, NULL, 0, NULL, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&lock, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_destroy(lock));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_destroy(lock));
    CHECK_STR("", cohort_last_error());
}

/* A question about nothing has an answer, and the sentence says about what. */
static void questions_of_nothing(void) {
    CHECK(!cohort_process_is_alive(NULL));
    check_said("cohort_process_is_alive: ", "the process is NULL");
    CHECK_INT(COHORT_EXIT_NONE, cohort_process_exit_code(NULL));
    check_said("cohort_process_exit_code: ", "the process is NULL");
    CHECK_INT(0, cohort_process_pid(NULL));
    check_said("cohort_process_pid: ", "the process is NULL");
    CHECK(!cohort_process_is_daemon(NULL));
    check_said("cohort_process_is_daemon: ", "the process is NULL");
    CHECK(!cohort_connection_is_readable(NULL));
    check_said("cohort_connection_is_readable: ", "NULL");
    CHECK(!cohort_connection_is_writable(NULL));
    check_said("cohort_connection_is_writable: ", "NULL");
    CHECK(cohort_result_is_ready(NULL));
    check_said("cohort_result_is_ready: ", "the result is NULL");
}

/* Longer than there is room for: what was said is cut, the call and the message of the status are
 * not. */
static void long_words(void) {
    char path[2000], message[200];
    const char *argv[] = {path, NULL};
    cohort_program_t program = {.argv = argv};
    cohort_process_t *process = NULL;
    memset(path, 'x', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = 0;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create_program(&process, &program, NULL, test_pool()));
    apr_status_t status = cohort_process_start(process);
    CHECK(status != APR_SUCCESS);
    check_said("cohort_process_start: ", "xxx...: ");
    CHECK(said(cohort_strerror(status, message, sizeof message)));
    CHECK(strlen(cohort_last_error()) < 320);
}

/* ---- what fails in other processes ---------------------------------------------------------- */

static apr_status_t picky(const void *input, void *output) {
    (void)output;
    return *(const int *)input == 3 ? cohort_task_fail(APR_EGENERAL, "no more of %d", 3)
                                    : APR_SUCCESS;
}

static void of_a_task(void) {
    static const int inputs[] = {1, 2, 3, 4};
    cohort_pool_t *pool = NULL;
    CHECK_STATUS(
        APR_SUCCESS,
        cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 2, .name = "mill"}, NULL));
    CHECK_STATUS(APR_EGENERAL, cohort_pool_map(pool, picky, inputs, sizeof *inputs, 4, NULL, 0));
    check_said("cohort_pool_map: ", "item 2, run by mill-");
    CHECK(said("no more of 3"));
    CHECK_STATUS(APR_EGENERAL, cohort_pool_apply(pool, picky, &inputs[2], sizeof *inputs, NULL, 0));
    check_said("cohort_pool_apply: ", "item 0, run by mill-");
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

static int refuses(void *args) {
    (void)args;
    return cohort_task_fail(APR_EGENERAL, "no licence");
}

static void of_an_initializer(void) {
    cohort_pool_t *pool = NULL;
    cohort_result_t *result = NULL;
    cohort_task_error_t error;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_create(
                     &pool, &(cohort_pool_options_t){.workers = 2, .initializer = refuses}, NULL));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_submit(&result, pool, &(cohort_job_t){.task = task, .n = 1}, NULL));
    CHECK_STATUS(APR_EGENERAL, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    check_said("cohort_result_get: ", "no licence");
    CHECK_STATUS(APR_SUCCESS, cohort_result_error(result, &error));
    CHECK_STATUS(APR_EGENERAL, error.status);
    CHECK_STR("no licence", error.message);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
}

/* What is executed in this program's place is no program that uses Cohort: it ends before it has
 * started. */
static void of_a_start(void) {
    cohort_process_t *process = NULL;
    if (cohort_start_method() == COHORT_START_FORK) SKIP("executes nothing");
    CHECK_STATUS(APR_SUCCESS, cohort_set_start_method(COHORT_START_DEFAULT, TEST_ACTOR));
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&process, target, NULL, 0, NULL, test_pool()));
    CHECK_STATUS(COHORT_ESTART, cohort_process_start(process));
    check_said("cohort_process_start: ", "exit code");
    CHECK_STATUS(APR_SUCCESS, cohort_set_start_method(COHORT_START_DEFAULT, "/no/such/program"));
    CHECK(cohort_process_start(process) != APR_SUCCESS);
    check_said("cohort_process_start: ", "/no/such/program");
    CHECK_STATUS(APR_SUCCESS, cohort_set_start_method(COHORT_START_DEFAULT, TEST_ITSELF));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    party_finish(process);
}

/* The same for workers: the results tell of their starts. */
static void of_a_worker(void) {
    cohort_pool_t *pool = NULL;
    if (cohort_start_method() == COHORT_START_FORK) SKIP("executes nothing");
    CHECK_STATUS(APR_SUCCESS, cohort_set_start_method(COHORT_START_DEFAULT, "/no/such/program"));
    CHECK(cohort_pool_create(&pool, &(cohort_pool_options_t){.workers = 2}, NULL) != APR_SUCCESS);
    check_said("cohort_pool_create: ", "/no/such/program");
    CHECK_STATUS(APR_SUCCESS, cohort_set_start_method(COHORT_START_DEFAULT, TEST_ITSELF));
}

const test_case_t errors_cases[] = {
    {"Errors", "ERR_untouched_by_success", untouched_by_success},
    {"Errors", "ERR_per_thread", per_thread},
    {"Errors", "ERR_program_or_directory", program_or_directory},
    {"Errors", "ERR_all_calls", all_calls},
    {"Errors", "ERR_silent_successes", silent_successes},
    {"Errors", "ERR_questions_of_nothing", questions_of_nothing},
    {"Errors", "ERR_long_words", long_words},
    {"Errors", "ERR_of_a_task", of_a_task},
    {"Errors", "ERR_of_an_initializer", of_an_initializer},
    {"Errors", "ERR_of_a_start", of_a_start},
    {"Errors", "ERR_of_a_worker", of_a_worker},
    {0},
};
