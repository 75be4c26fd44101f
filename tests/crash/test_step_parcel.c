/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Death of a process that sends a descriptor, discards it, or takes one that the survivor has sent.
 * After it no entry of the table stays in use, what the survivor had sent is either there still or
 * was taken, once, and no process has it open any more. The same when the sender dies, too, before
 * it has seen that its descriptor was copied straight out of it.
 */
#include "check.h"
#include "step.h"

#include "core/process/parcel.h"
#include "core/process/process.h"
#include "posix/os_pidfd.h"

#include <apr_file_io.h>
#include <apr_portable.h>
#include <cohort/cohort.h>
#include <errno.h>
#include <signal.h>
#include <unistd.h>

typedef struct {
    cohort_parcel_t parcel;
    apr_os_file_t taken;
    cohort_process_t *sender;
    _Atomic int sent;
} state_t;

static apr_file_t *reader, *writer; /* of each process its own */

static int in_use(void) {
    int n = 0;
    for (uint32_t i = 0; i < atomic_load(&cohort__arena->parcels); i++)
        n += cohort__parcel_state(atomic_load(&cohort__parcel_at(i)->word)) != 0;
    return n;
}

static void open_pipe(void) {
    if (!reader) CHECK_STATUS(APR_SUCCESS, apr_file_pipe_create(&reader, &writer, test_pool()));
}

static void send_one(state_t *s) {
    const cohort_gift_t gift = {.file = writer};
    CHECK_STATUS(APR_SUCCESS, cohort_gift_send(&s->parcel, &gift, COHORT_FOREVER));
}

static void close_taken(state_t *s) {
    apr_file_t *file = NULL;
    CHECK_STATUS(APR_SUCCESS, apr_os_file_put(&file, &s->taken, APR_FOPEN_WRITE, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(file));
}

static apr_status_t take_one(state_t *s) {
    return cohort_parcel_handle(&s->taken, &s->parcel, COHORT_FOREVER);
}

/* With the thread that serves it, and the table. */
static void warm(void *state) {
    (void)state;
    state_t other;
    open_pipe();
    send_one(&other);
    CHECK_STATUS(APR_SUCCESS, cohort_parcel_discard(&other.parcel));
}

static void *prepare(void) {
    warm(NULL);
    return step_new(sizeof(state_t));
}

static void discard(void *state) { CHECK_STATUS(APR_SUCCESS, cohort_free(state)); }

/* ---- sending and discarding ----------------------------------------------------------------- */

static void send_and_discard(void *state) {
    state_t *s = state;
    send_one(s);
    (void)cohort_parcel_discard(&s->parcel);
}

static void send_only(void *state) { send_one(state); }

static void check_gone(void *state, bool finished) {
    state_t *s = state;
    apr_status_t status = take_one(s);
    CHECK(status == COHORT_EOWNERDEAD || (status == APR_NOTFOUND && !finished));
    CHECK_INT(0, in_use());
}

STEP_CASES(parcel_send, .prepare = prepare, .warm = warm, .operate = send_only, .check = check_gone,
           .discard = discard)
STEP_CASES(parcel_discard, .prepare = prepare, .warm = warm, .operate = send_and_discard,
           .check = check_gone, .discard = discard)

/* ---- taking --------------------------------------------------------------------------------- */

static void *prepare_sent(void) {
    state_t *s = prepare();
    CHECK_STATUS(APR_SUCCESS, apr_file_close(reader));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(writer));
    reader = NULL;
    open_pipe();
    send_one(s);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(writer));
    return s;
}

static void take(void *state) { (void)take_one(state); }

/* What was won and not freed yet the sender frees when it looks. */
static void check_taken(void *state, bool finished) {
    state_t *s = state;
    char byte;
    apr_size_t size = 1;
    apr_status_t status = take_one(s);
    CHECK(status == APR_NOTFOUND || (status == APR_SUCCESS && !finished));
    if (!status) close_taken(s);
    cohort__parcels_tend();
    CHECK_INT(0, in_use());
    CHECK_STATUS(APR_EOF, apr_file_read(reader, &byte, &size));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(reader));
    reader = NULL;
}

STEP_CASES(parcel_take, .prepare = prepare_sent, .operate = take, .check = check_taken,
           .discard = discard)

/* ---- taking, out of a process that does nothing, and dies ------------------------------------ */

static int be_the_sender(void *args) {
    state_t *s = *(state_t **)args;
    send_one(s);
    CHECK_STATUS(APR_SUCCESS, apr_file_close(writer));
    atomic_store(&s->sent, 1);
    while (pause()) continue;
    return 0;
}

/* What the kernel lets a debugger do. */
static bool is_copied_out(pid_t pid) {
    int process = (int)syscall(SYS_pidfd_open, pid, 0);
    int fd = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, 0, 0);
    bool can = fd >= 0 || errno == EBADF;
    if (fd >= 0) close(fd);
    if (process >= 0) close(process);
    return can;
}

/* Stopped, so that it sees no notice. */
static void *prepare_still(void) {
    state_t *s = prepare();
    const cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON,
                                              .method = COHORT_START_FORK};
    CHECK_STATUS(APR_SUCCESS, apr_file_close(reader));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(writer));
    reader = NULL;
    open_pipe();
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&s->sender, be_the_sender, &s, sizeof s, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(writer));
    while (!atomic_load(&s->sent)) apr_sleep(1000);
    pid_t pid = (pid_t)cohort_process_pid(s->sender);
    if (!is_copied_out(pid)) SKIP("nothing may be copied out of another process");
    CHECK_INT(0, kill(pid, SIGSTOP));
    return s;
}

static void check_both_dead(void *state, bool finished) {
    state_t *s = state;
    char byte;
    apr_size_t size = 1;
    (void)finished;
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(s->sender));
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(s->sender, COHORT_FOREVER));
    CHECK_STATUS(COHORT_EOWNERDEAD, take_one(s));
    CHECK_INT(0, in_use());
    CHECK_STATUS(APR_EOF, apr_file_read(reader, &byte, &size));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(reader));
    reader = NULL;
}

static void discard_still(void *state) {
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(((state_t *)state)->sender));
    discard(state);
}

static const step_scenario_t parcel_take_still_scenario = {
    .prepare = prepare_still, .operate = take, .check = check_both_dead, .discard = discard_still};

static void parcel_take_still(void) {
    step_through("parcel_take_still", &parcel_take_still_scenario);
}

const test_case_t step_parcel_cases[] = {{"StepParcel", "send", parcel_send},
                                         {"StepParcel", "send_repair", parcel_send_repair},
                                         {"StepParcel", "discard", parcel_discard},
                                         {"StepParcel", "discard_repair", parcel_discard_repair},
                                         {"StepParcel", "take", parcel_take},
                                         {"StepParcel", "take_repair", parcel_take_repair},
                                         {"StepParcel", "take_still", parcel_take_still},
                                         {0}};
