/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Files of APR and raw descriptors (handles) among the items of cohort_wait() and of wait sets, and
 * the descriptor of a set as such an item. */
#include "waits.h"

typedef struct {
    apr_file_t *reader, *writer;
} ends_t;

static ends_t new_pipe(void) {
    ends_t ends = {NULL, NULL};
    CHECK_STATUS(APR_SUCCESS, apr_file_pipe_create(&ends.reader, &ends.writer, test_pool()));
    return ends;
}

static apr_os_file_t handle_of(apr_file_t *file) {
    apr_os_file_t handle;
    CHECK_STATUS(APR_SUCCESS, apr_os_file_get(&handle, file));
    return handle;
}

static void say(apr_file_t *file) {
    CHECK_STATUS(APR_SUCCESS, apr_file_write_full(file, "x", 1, NULL));
}

static void hear(apr_file_t *file) {
    char byte;
    CHECK_STATUS(APR_SUCCESS, apr_file_read_full(file, &byte, 1, NULL));
}

static cohort_event_t *new_event(void) {
    cohort_event_t *event;
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&event, test_pool()));
    return event;
}

static cohort_waitset_t *new_set(void) {
    cohort_waitset_t *set;
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_create(&set, test_pool()));
    return set;
}

static void *APR_THREAD_FUNC say_later(apr_thread_t *thread, void *file) {
    (void)thread;
    apr_sleep(A_WHILE / 5);
    say(file);
    return NULL;
}

static int set_event(void *args) {
    apr_sleep(A_WHILE / 5);
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(*(cohort_event_t **)args));
    return 0;
}

/* ---- what is told --------------------------------------------------------------------------- */

/* By the file and by its handle, beside an object; what holds is told until it is taken. */
static void of_pipes(void) {
    ends_t ends = new_pipe();
    apr_os_file_t handle = handle_of(ends.reader);
    cohort_event_t *event = new_event();
    for (int by_handle = 0; by_handle < 2; by_handle++) {
        cohort_waitable_t items[] = {{.file = ends.reader}, {.object = event}};
        if (by_handle) items[0] = (cohort_waitable_t){.descriptor = &handle};
        CHECK_STATUS(APR_EAGAIN, cohort_wait(items, 2, ANY_OF, 0));
        CHECK_STATUS(APR_TIMEUP, cohort_wait(items, 2, ANY_OF, A_WHILE));
        for (int i = 0; i < 3; i++) {
            apr_thread_t *thread = party_thread(say_later, ends.writer);
            CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 2, ANY_OF, COHORT_FOREVER));
            CHECK_INT(GETS, items[0].ready);
            CHECK_INT(0, items[1].ready);
            CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 1, COHORT_WAIT_ALL, 0));
            party_thread_finish(thread);
            hear(ends.reader);
            cohort_process_t *other = party_start(set_event, &event, sizeof event);
            CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 2, ANY_OF, COHORT_FOREVER));
            CHECK_INT(0, items[0].ready);
            CHECK_INT(GETS, items[1].ready);
            party_finish(other);
            CHECK_STATUS(APR_SUCCESS, cohort_event_clear(event));
        }
    }
}

/* The same item twice is the same answer, and each says what was wanted of it. */
static void twice(void) {
    ends_t ends = new_pipe();
    cohort_waitset_t *set = new_set();
    cohort_waitable_t got[4], item = {.file = ends.reader};
    apr_size_t n;
    for (int i = 0; i < 3; i++) {
        item.wanted = i == 1 ? GETS | LEFT : i == 2 ? LEFT : 0;
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_add(set, &item));
    }
    CHECK_STATUS(APR_EAGAIN, cohort_waitset_wait(set, got, 4, &n, 0));
    say(ends.writer);
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, got, 4, &n, COHORT_FOREVER));
    CHECK_INT(2, n);
    for (apr_size_t i = 0; i < n; i++) CHECK_INT(GETS, got[i].ready);
    hear(ends.reader);
    CHECK_STATUS(APR_EAGAIN, cohort_waitset_wait(set, got, 4, &n, 0));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(ends.writer));
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, got, 4, &n, COHORT_FOREVER));
    CHECK_INT(3, n);
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_remove(set, &item));
    CHECK_INT(0, cohort_waitset_count(set));
}

/* One that was closed before is refused, by a set and by the flat call. */
static void closed_before(void) {
    ends_t ends = new_pipe();
    cohort_waitset_t *set = new_set();
    apr_os_file_t handle = handle_of(ends.reader), none = handle;
    cohort_waitable_t item = {.descriptor = &none};
    memset(&none, 0xff, sizeof none);
    CHECK(APR_STATUS_IS_EBADF(cohort_waitset_add(set, &item)));
    CHECK(APR_STATUS_IS_EBADF(cohort_wait(&item, 1, ANY_OF, COHORT_FOREVER)));
    CHECK_INT(0, cohort_waitset_count(set));
    item.descriptor = &handle;
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_add(set, &item));
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_remove(set, &item));
    CHECK_STATUS(APR_NOTFOUND, cohort_waitset_remove(set, &item));
}

enum { PIPES = 100, ROUNDS = 60 };

/* More than a system's call waits for at once; whatever is ready is told, and only that. */
static void many(void) {
    ends_t pipes[PIPES];
    cohort_waitset_t *set = new_set();
    cohort_waitable_t got[2];
    apr_size_t n;
    for (int i = 0; i < PIPES; i++) {
        pipes[i] = new_pipe();
        cohort_waitable_t item = {.file = pipes[i].reader, .data = &pipes[i]};
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_add(set, &item));
    }
    for (int i = 0; i < ROUNDS; i++) {
        ends_t *ends = &pipes[i * 37 % PIPES];
        say(ends->writer);
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, got, 2, &n, COHORT_FOREVER));
        CHECK_INT(1, n);
        CHECK(got[0].data == ends);
        hear(ends->reader);
    }
    for (int i = 0; i < PIPES; i++) say(pipes[i].writer);
    int told[PIPES] = {0};
    for (int i = 0; i < 2 * PIPES; i++) { /* each has its turn */
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, got, 1, &n, COHORT_FOREVER));
        told[(ends_t *)got[0].data - pipes]++;
    }
    for (int i = 0; i < PIPES; i++) CHECK(told[i] > 0);
}

/* ---- deaths --------------------------------------------------------------------------------- */

static int hold_end(void *args) {
    apr_file_t *end = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_gift_file(&end, "end", 0, test_pool()));
    say(end);
    put(*(cohort_queue_t **)args);
    party_wait_for_death();
}

/* The process that has the other end dies: the pipe is at its end. */
static void the_writer_dies(void) {
    ends_t ends = new_pipe();
    cohort_queue_t *there = queue_for(1);
    cohort_waitable_t items[] = {{.file = ends.reader, .wanted = GETS | LEFT}, {.object = there}};
    cohort_gift_t gift = {.name = "end", .file = ends.writer};
    cohort_process_options_t options = {
        .lifetime = COHORT_LIFETIME_DAEMON, .gifts = &gift, .n_gifts = 1};
    cohort_process_t *writer = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&writer, hold_end, &there, sizeof there,
                                                    &options, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(writer));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(ends.writer));
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 2, COHORT_WAIT_ALL, COHORT_FOREVER));
    CHECK_INT(GETS, items[0].ready);
    hear(ends.reader);
    CHECK_STATUS(APR_TIMEUP, cohort_wait(items, 1, ANY_OF, A_WHILE));
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(writer));
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 1, ANY_OF, COHORT_FOREVER));
    CHECK_INT(GETS | LEFT, items[0].ready);
    party_end(writer, -9);
}

/* ---- a thing as a descriptor ---------------------------------------------------------------- */

static int put_later(void *args) {
    apr_sleep(A_WHILE / 5);
    put(*(cohort_queue_t **)args);
    return 0;
}

/* A loop of another library would poll it; here another wait does. */
static void one_thing_behind_a_descriptor(void) {
    cohort_queue_t *queue = queue_for(2);
    cohort_waitset_t *set;
    apr_os_file_t descriptor;
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_of(&set, &descriptor, queue, 0, test_pool()));
    CHECK_INT(1, cohort_waitset_count(set));
    cohort_waitable_t item = {.descriptor = &descriptor};
    CHECK_INT(0, cohort_waitset_ready(set));
    CHECK_STATUS(APR_TIMEUP, cohort_wait(&item, 1, ANY_OF, A_WHILE));
    for (int i = 0; i < 5; i++) {
        cohort_process_t *other = party_start(put_later, &queue, sizeof queue);
        CHECK_STATUS(APR_SUCCESS, cohort_wait(&item, 1, ANY_OF, COHORT_FOREVER));
        CHECK_INT(GETS, cohort_waitset_ready(set));
        CHECK_STATUS(APR_SUCCESS, cohort_wait(&item, 1, ANY_OF, 0));
        get(queue);
        CHECK_INT(0, cohort_waitset_ready(set));
        CHECK_STATUS(APR_EAGAIN, cohort_wait(&item, 1, ANY_OF, 0));
        party_finish(other);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(queue));
    CHECK_STATUS(APR_SUCCESS, cohort_wait(&item, 1, ANY_OF, COHORT_FOREVER));
    CHECK_INT(GETS, cohort_waitset_ready(set));
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_destroy(set));
}

/* The end of a process that is killed, and a set that goes with a pool. */
static void a_death_behind_a_descriptor(void) {
    cohort_process_t *process = party_start(stay, NULL, 0);
    cohort_waitset_t *set;
    apr_os_file_t descriptor;
    apr_pool_t *pool;
    cohort_lock_t *lock;
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_of(&set, &descriptor, process, 0, pool));
    cohort_waitable_t item = {.descriptor = &descriptor};
    CHECK_INT(0, cohort_waitset_ready(set));
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(process));
    CHECK_STATUS(APR_SUCCESS, cohort_wait(&item, 1, ANY_OF, COHORT_FOREVER));
    while (cohort_waitset_ready(set) != COHORT_READY_END)
        CHECK_STATUS(APR_SUCCESS, cohort_wait(&item, 1, ANY_OF, COHORT_FOREVER));
    apr_pool_destroy(pool);
    CHECK_STATUS(COHORT_EHANDLE, cohort_waitset_destroy(set));
    party_end(process, -9);
    CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&lock, test_pool()));
    cohort_waitset_t *none = NULL;
    const apr_os_file_t before = descriptor;
    CHECK_STATUS(APR_ENOTIMPL, cohort_waitset_of(&none, &descriptor, lock, 0, NULL));
    CHECK_STATUS(COHORT_EHANDLE, cohort_waitset_of(&none, &descriptor, &item, 0, NULL));
    CHECK(none == NULL && descriptor == before);
}

const test_case_t wait_files_cases[] = {
    {"WaitFile", "of_pipes", of_pipes},
    {"WaitFile", "twice", twice},
    {"WaitFile", "closed_before", closed_before},
    {"WaitFile", "many", many},
    {"WaitFile", "the_writer_dies", the_writer_dies},
    {"WaitFile", "one_thing_behind_a_descriptor", one_thing_behind_a_descriptor},
    {"WaitFile", "a_death_behind_a_descriptor", a_death_behind_a_descriptor},
    {0}};
