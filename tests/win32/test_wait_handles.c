/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* HANDLEs of every kind among the items of cohort_wait() and of wait sets: none is taken. */
#include "../api/waits.h"

#include <apr_network_io.h>
#include <windows.h>

static apr_status_t wait_for(HANDLE handle, apr_interval_time_t timeout) {
    cohort_waitable_t item = {.descriptor = &handle};
    apr_status_t status = cohort_wait(&item, 1, ANY_OF, timeout);
    CHECK_INT(status ? 0 : GETS, item.ready);
    return status;
}

static void *APR_THREAD_FUNC set_later(apr_thread_t *thread, void *event) {
    (void)thread;
    apr_sleep(A_WHILE / 5);
    CHECK(SetEvent(event));
    return NULL;
}

/* The kind is looked at with the handle signalled and not; afterwards it is as it was. */
static void events(void) {
    for (int manual = 0; manual < 2; manual++) {
        HANDLE event = CreateEventW(NULL, manual, FALSE, NULL);
        CHECK(event != NULL);
        CHECK_STATUS(APR_EAGAIN, wait_for(event, 0));
        CHECK_STATUS(APR_TIMEUP, wait_for(event, A_WHILE));
        for (int i = 0; i < 5; i++) {
            apr_thread_t *thread = party_thread(set_later, event);
            CHECK_STATUS(APR_SUCCESS, wait_for(event, COHORT_FOREVER));
            CHECK_STATUS(APR_SUCCESS, wait_for(event, 0));
            party_thread_finish(thread);
            CHECK_INT(WAIT_OBJECT_0, WaitForSingleObject(event, 0));
            CHECK(ResetEvent(event));
            CHECK_STATUS(APR_EAGAIN, wait_for(event, 0));
        }
        CHECK(CloseHandle(event));
    }
}

static void semaphores(void) {
    HANDLE semaphore = CreateSemaphoreW(NULL, 0, 10, NULL);
    LONG before = -1;
    CHECK_STATUS(APR_TIMEUP, wait_for(semaphore, A_WHILE));
    CHECK(ReleaseSemaphore(semaphore, 2, NULL));
    for (int i = 0; i < 5; i++) CHECK_STATUS(APR_SUCCESS, wait_for(semaphore, COHORT_FOREVER));
    CHECK(ReleaseSemaphore(semaphore, 1, &before));
    CHECK_INT(2, before);
    CHECK(CloseHandle(semaphore));
}

static void *APR_THREAD_FUNC own(apr_thread_t *thread, void *mutex) {
    (void)thread;
    CHECK_INT(WAIT_OBJECT_0, WaitForSingleObject(mutex, 0));
    CHECK_STATUS(APR_EAGAIN, wait_for(mutex, 0));
    CHECK(ReleaseMutex(mutex));
    return NULL;
}

/* It is free, and the wait does not own it. */
static void mutexes_and_timers(void) {
    HANDLE mutex = CreateMutexW(NULL, FALSE, NULL);
    CHECK_STATUS(APR_SUCCESS, wait_for(mutex, COHORT_FOREVER));
    party_thread_finish(party_thread(own, mutex));
    CHECK_STATUS(APR_SUCCESS, wait_for(mutex, COHORT_FOREVER));
    CHECK(CloseHandle(mutex));
    for (int manual = 0; manual < 2; manual++) {
        HANDLE timer = CreateWaitableTimerW(NULL, manual, NULL);
        LARGE_INTEGER due = {.QuadPart = -100000}; /* in units of 100 ns */
        CHECK_STATUS(APR_EAGAIN, wait_for(timer, 0));
        CHECK(SetWaitableTimer(timer, &due, 0, NULL, NULL, FALSE));
        CHECK_STATUS(APR_SUCCESS, wait_for(timer, COHORT_FOREVER));
        CHECK_INT(WAIT_OBJECT_0, WaitForSingleObject(timer, 0));
        CHECK(CloseHandle(timer));
    }
}

/* The handle of a process, and that of a thread. */
static void ends(void) {
    cohort_process_t *process = party_start(stay, NULL, 0);
    HANDLE handle = OpenProcess(SYNCHRONIZE, FALSE, (DWORD)cohort_process_pid(process));
    cohort_waitable_t items[] = {{.descriptor = &handle}, {.object = process}};
    CHECK(handle != NULL);
    CHECK_STATUS(APR_TIMEUP, cohort_wait(items, 2, ANY_OF, A_WHILE));
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(process));
    CHECK_STATUS(APR_SUCCESS, cohort_wait(items, 2, COHORT_WAIT_ALL, COHORT_FOREVER));
    CHECK_INT(GETS, items[0].ready);
    CHECK(CloseHandle(handle));
    party_end(process, -9);
}

static void what_is_always_ready(void) {
    HANDLE null = CreateFileW(L"NUL", GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL);
    wchar_t path[MAX_PATH];
    CHECK(GetModuleFileNameW(NULL, path, MAX_PATH));
    HANDLE disk = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    CHECK_STATUS(APR_SUCCESS, wait_for(null, 0));
    CHECK_STATUS(APR_SUCCESS, wait_for(disk, COHORT_FOREVER));
    CHECK(CloseHandle(null));
    CHECK(CloseHandle(disk));
}

enum { MANY = 300, ROUNDS = 100 };

/* More than WaitForMultipleObjects() takes, beside objects of the cohort. */
static void many(void) {
    HANDLE list[MANY];
    cohort_waitset_t *set;
    cohort_waitable_t got[2], item;
    cohort_queue_t *queue = queue_for(1);
    apr_size_t n;
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_create(&set, test_pool()));
    item = (cohort_waitable_t){.object = queue};
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_add(set, &item));
    for (int i = 0; i < MANY; i++) {
        list[i] = CreateEventW(NULL, TRUE, FALSE, NULL);
        item = (cohort_waitable_t){.descriptor = &list[i]};
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_add(set, &item));
    }
    for (int i = 0; i < ROUNDS; i++) {
        HANDLE event = list[i * 31 % MANY];
        apr_thread_t *thread = party_thread(set_later, event);
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, got, 2, &n, COHORT_FOREVER));
        party_thread_finish(thread);
        CHECK_INT(1, n);
        CHECK(!got[0].object && *got[0].descriptor == event);
        CHECK(ResetEvent(event));
        put(queue);
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, got, 2, &n, COHORT_FOREVER));
        CHECK(n == 1 && got[0].object == queue);
        get(queue);
    }
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_destroy(set));
    for (int i = 0; i < MANY; i++) CHECK(CloseHandle(list[i]));
}

/* A socket by its number: as one of APR's. */
static void sockets_as_handles(void) {
    apr_sockaddr_t *at;
    apr_socket_t *listener, *client;
    apr_os_sock_t number;
    CHECK_STATUS(APR_SUCCESS, apr_sockaddr_info_get(&at, "127.0.0.1", APR_INET, 0, 0, test_pool()));
    CHECK_STATUS(APR_SUCCESS,
                 apr_socket_create(&listener, APR_INET, SOCK_STREAM, APR_PROTO_TCP, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_socket_bind(listener, at));
    CHECK_STATUS(APR_SUCCESS, apr_socket_listen(listener, 1));
    CHECK_STATUS(APR_SUCCESS, apr_socket_addr_get(&at, APR_LOCAL, listener));
    CHECK_STATUS(APR_SUCCESS, apr_os_sock_get(&number, listener));
    HANDLE handle = (HANDLE)number;
    CHECK_STATUS(APR_TIMEUP, wait_for(handle, A_WHILE));
    CHECK_STATUS(APR_SUCCESS,
                 apr_socket_create(&client, APR_INET, SOCK_STREAM, APR_PROTO_TCP, test_pool()));
    CHECK_STATUS(APR_SUCCESS, apr_socket_connect(client, at));
    CHECK_STATUS(APR_SUCCESS, wait_for(handle, COHORT_FOREVER));
    cohort_waitset_t *set;
    cohort_waitable_t item = {.descriptor = &handle}, got;
    apr_size_t n;
    CHECK_STATUS(APR_SUCCESS, cohort_waitset_create(&set, test_pool()));
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_add(set, &item));
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_wait(set, &got, 1, &n, COHORT_FOREVER));
        CHECK(n == 1 && *got.descriptor == handle);
        CHECK_STATUS(APR_SUCCESS, cohort_waitset_remove(set, &item));
    }
}

/* An end that is written tells of the other one's; of room it does not. */
static void pipes(void) {
    HANDLE reader, writer;
    CHECK(CreatePipe(&reader, &writer, NULL, 0));
    cohort_waitable_t item = {.descriptor = &writer, .wanted = PUTS};
    CHECK_STATUS(APR_ENOTIMPL, cohort_wait(&item, 1, ANY_OF, 0));
    item.wanted = LEFT;
    CHECK_STATUS(APR_TIMEUP, cohort_wait(&item, 1, ANY_OF, A_WHILE));
    CHECK(CloseHandle(reader));
    CHECK_STATUS(APR_SUCCESS, cohort_wait(&item, 1, ANY_OF, COHORT_FOREVER));
    CHECK_INT(LEFT, item.ready);
    CHECK(CloseHandle(writer));
}

#define MAY_QUERY 1 /* EVENT_QUERY_STATE */

static void refused(void) {
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL), port;
    cohort_waitable_t item = {.descriptor = &event, .wanted = PUTS};
    CHECK_STATUS(APR_ENOTIMPL, cohort_wait(&item, 1, ANY_OF, 0));
    item.wanted = LEFT;
    CHECK_STATUS(APR_ENOTIMPL, cohort_wait(&item, 1, ANY_OF, 0));
    CHECK(CloseHandle(event));
    item.wanted = 0;
    CHECK(APR_STATUS_IS_EBADF(cohort_wait(&item, 1, ANY_OF, 0)));
    port = CreateEventW(NULL, FALSE, FALSE, NULL);
    CHECK(DuplicateHandle(GetCurrentProcess(), port, GetCurrentProcess(), &event, SYNCHRONIZE,
                          FALSE, DUPLICATE_CLOSE_SOURCE));
    CHECK(APR_STATUS_IS_EACCES(cohort_wait(&item, 1, ANY_OF, 0)));
    CHECK(CloseHandle(event));
    port = CreateEventW(NULL, TRUE, TRUE, NULL);
    CHECK(DuplicateHandle(GetCurrentProcess(), port, GetCurrentProcess(), &event, MAY_QUERY, FALSE,
                          DUPLICATE_CLOSE_SOURCE));
    CHECK(APR_STATUS_IS_EACCES(cohort_wait(&item, 1, ANY_OF, 0)));
    CHECK(CloseHandle(event));
}

/* Nothing is left of waits that timed out, nor of sets that were destroyed. */
static void nothing_is_left(void) {
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    DWORD before = 0, after = 0;
    for (int i = 0; i < 60; i++) {
        if (i == 20) CHECK(GetProcessHandleCount(GetCurrentProcess(), &before));
        CHECK_STATUS(APR_TIMEUP, wait_for(event, 1000));
    }
    CHECK(GetProcessHandleCount(GetCurrentProcess(), &after));
    CHECK(after < before + 20);
    CHECK(CloseHandle(event));
}

const test_case_t wait_handles_cases[] = {{"WaitHandle", "events", events},
                                          {"WaitHandle", "semaphores", semaphores},
                                          {"WaitHandle", "mutexes_and_timers", mutexes_and_timers},
                                          {"WaitHandle", "ends", ends},
                                          {"WaitHandle", "always_ready", what_is_always_ready},
                                          {"WaitHandle", "many", many},
                                          {"WaitHandle", "sockets_as_handles", sockets_as_handles},
                                          {"WaitHandle", "pipes", pipes},
                                          {"WaitHandle", "refused", refused},
                                          {"WaitHandle", "nothing_is_left", nothing_is_left},
                                          {0}};
