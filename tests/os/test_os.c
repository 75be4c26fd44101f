/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam, tested without a cohort, by what every back end must do. What only one family of
 * systems has is tested in test_os_*.c.
 */
#include "check.h"
#include "seam.h"

#include <apr_thread_proc.h>
#include <cohort/errors.h>

#include <stdlib.h>
#include <string.h>

#define ARENA_SIZE  ((uint64_t)64 << 20)
#define MILLISECOND ((int64_t)1000000)
#define SECOND      (1000 * MILLISECOND)

/* What lies at the beginning of the arena in these tests. */
typedef struct {
    _Atomic uint32_t word, other, done;
    cohort_os_code_t code;
    cohort_os_id_t grandchild;
} shared_t;

static cohort_os_arena_t arena;
static shared_t *shared;

enum {
    ATTACH = 1,
    SLEEP,
    PING,
    EXIT_CODE,
    HANG,
    CALL,
    BOOT_GONE,
    ARM,
    HOLD_LIFELINE,
    PARK_FOR_EVER
};

/* ---- support -------------------------------------------------------------------------------- */

static void setup(void) {
    CHECK_STATUS(APR_SUCCESS, cohort_os_arena_create(ARENA_SIZE, &arena));
    CHECK_STATUS(APR_SUCCESS, cohort_os_arena_pages(&arena, COHORT_OS_PAGES_COMMIT, 0, 65536));
    shared = (shared_t *)(void *)arena.base;
}

cohort_os_start_t seam_reexec(cohort_os_boot_t *boot, uint32_t role, uint64_t argument) {
    *boot = (cohort_os_boot_t){.version = COHORT_OS_BOOT_VERSION,
                               .role = role,
                               .slot = argument,
                               .base = (uint64_t)(uintptr_t)arena.base,
                               .size = arena.size,
                               .arena = arena.base ? arena.handle : COHORT_OS_NONE,
                               .lifeline = COHORT_OS_NONE,
                               .channel = COHORT_OS_NONE};
    return (cohort_os_start_t){.how = COHORT_OS_REEXEC,
                               .boot = boot,
                               .name = "seam-test",
                               .stdio = {COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE},
                               .lifeline = COHORT_OS_NONE};
}

cohort_os_id_t seam_start(uint32_t role, uint64_t argument) {
    cohort_os_boot_t boot;
    cohort_os_start_t start = seam_reexec(&boot, role, argument);
    cohort_os_id_t id = {0, 0};
    bool in_child = true;
    CHECK_STATUS(APR_SUCCESS, cohort_os_start(&start, &id, &in_child));
    CHECK(!in_child);
    CHECK(id.pid > 0 && id.birth != 0);
    return id;
}

void seam_await_end(cohort_os_id_t id, bool child) {
    cohort_os_watch_t *watch;
    cohort_os_watch_room_t room;
    cohort_os_event_t event;
    CHECK_STATUS(APR_SUCCESS, cohort_os_watch_create(&watch));
    CHECK_STATUS(APR_SUCCESS, cohort_os_watch_process(watch, &room, id, child, 77));
    CHECK_STATUS(APR_SUCCESS, cohort_os_watch_wait(watch, COHORT_OS_NEVER, &event));
    CHECK_INT(COHORT_OS_ENDED, event.kind);
    CHECK_INT(77, event.cookie);
    cohort_os_watch_destroy(watch);
    CHECK(!cohort_os_alive(id, NULL));
}

int seam_end_code(cohort_os_id_t id) {
    int code = -1000;
    seam_await_end(id, true);
    CHECK_STATUS(APR_SUCCESS, cohort_os_reap(id, &code));
    return code;
}

static void sleep_until(_Atomic uint32_t *word, uint32_t wanted) {
    for (uint32_t now; (now = atomic_load(word)) != wanted;)
        (void)cohort_os_park(word, now, cohort_os_now() + SECOND);
}

static void change(_Atomic uint32_t *word, uint32_t value) {
    atomic_store(word, value);
    cohort_os_wake(word, INT32_MAX);
}

/* ---- the children --------------------------------------------------------------------------- */

static int answer(void) { return 41; }

static int call_code(void) {
    void *address = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_os_code_at(&shared->code, &address));
    int (*function)(void);
    memcpy(&function, &address, sizeof function);
    return function();
}

static void ping(uint64_t rounds) {
    for (uint32_t i = 0; i < rounds; ++i) {
        sleep_until(&shared->word, 2 * i + 1);
        change(&shared->word, 2 * i + 2);
    }
}

static void hang(void) {
    change(&shared->other, 1);
    for (;;) apr_thread_yield();
}

/* Holds a lifeline that its own child is armed with, and waits to be killed. */
static void hold_lifeline(void) {
    cohort_os_handle_t reader, keeper;
    cohort_os_boot_t boot;
    bool in_child;
    CHECK_STATUS(APR_SUCCESS, cohort_os_pipe_create(COHORT_OS_PIPE_LIFELINE, &reader, &keeper));
    cohort_os_start_t start = seam_reexec(&boot, ARM, 0);
    boot.lifeline = reader;
    CHECK_STATUS(APR_SUCCESS, cohort_os_start(&start, &shared->grandchild, &in_child));
    cohort_os_close(reader);
    sleep_until(&shared->other, 1);
    change(&shared->done, 1);
    for (;;) apr_thread_yield();
}

static int run_role(const cohort_os_boot_t *boot) {
    switch (boot->role) {
    case ATTACH:
        return strcmp(arena.base + 8192, "from the parent") == 0
                   ? strcpy(arena.base + 8192, "from the child") == NULL
                   : 1;
    case SLEEP: sleep_until(&shared->word, (uint32_t)boot->slot); return 0;
    case PING: ping(boot->slot); return 0;
    case EXIT_CODE: return (int)boot->slot;
    case HANG: hang(); return 0;
    case CALL: return call_code();
    case BOOT_GONE: return getenv("COHORT_BOOT") != NULL;
    case ARM:
        CHECK_STATUS(APR_SUCCESS,
                     cohort_os_become(&(cohort_os_become_t){.lifeline = boot->lifeline,
                                                            .hangs = COHORT_OS_LIFELINE_BACKED}));
        hang();
        return 0;
    case HOLD_LIFELINE: hold_lifeline(); return 0;
    case PARK_FOR_EVER:
        change(&shared->other, 1);
        sleep_until(&shared->word, 12345);
        return 0;
    default: return seam_system_role(boot, &arena);
    }
}

void test_reexec(const cohort_os_boot_t *boot) {
    arena = (cohort_os_arena_t){(char *)(uintptr_t)boot->base, boot->size, boot->arena};
    if (boot->base) {
        CHECK_STATUS(APR_SUCCESS, cohort_os_arena_attach(&arena));
        shared = (shared_t *)(void *)arena.base;
    }
    cohort_os_exit(run_role(boot), COHORT_OS_EXIT_FLUSHED);
}

/* ---- arena ---------------------------------------------------------------------------------- */

static void arena_is_one_memory_at_one_address(void) {
    setup();
    strcpy(arena.base + 8192, "from the parent");
    CHECK_INT(0, seam_end_code(seam_start(ATTACH, 0)));
    CHECK_STR("from the child", arena.base + 8192);
    cohort_os_arena_detach(&arena);
}

static void arena_refuses_a_taken_address(void) {
    setup();
    cohort_os_arena_t again = arena;
    CHECK_STATUS(COHORT_EADDRESS, cohort_os_arena_attach(&again));
}

static void arena_commits_what_was_discarded(void) {
    setup();
    for (int i = 0; i < 3; ++i) {
        CHECK_STATUS(APR_SUCCESS,
                     cohort_os_arena_pages(&arena, COHORT_OS_PAGES_COMMIT, 1 << 20, 4 << 20));
        memset(arena.base + (1 << 20), 0x5a, 4 << 20);
        (void)cohort_os_arena_pages(&arena, COHORT_OS_PAGES_DISCARD, 1 << 20, 4 << 20);
    }
    CHECK_STATUS(APR_SUCCESS,
                 cohort_os_arena_pages(&arena, COHORT_OS_PAGES_COMMIT, ARENA_SIZE - 65536, 65536));
    arena.base[ARENA_SIZE - 1] = 1;
    CHECK(cohort_os_arena_pages(&arena, COHORT_OS_PAGES_COMMIT, ARENA_SIZE - 65536, 131072) !=
          APR_SUCCESS);
}

static void arena_default_size_can_be_had(void) {
    uint64_t size = (uint64_t)cohort_os_figure(COHORT_OS_ARENA_SIZE);
    CHECK(size > 0 && size % ((uint64_t)1 << 20) == 0);
    CHECK_STATUS(APR_SUCCESS, cohort_os_arena_create(size, &arena));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_os_arena_pages(&arena, COHORT_OS_PAGES_COMMIT, size - 65536, 65536));
    arena.base[size - 1] = 1;
    cohort_os_arena_detach(&arena);
    CHECK(arena.base == NULL);
}

/* ---- park ----------------------------------------------------------------------------------- */

static void park_returns_when_the_word_differs(void) {
    setup();
    CHECK_STATUS(APR_SUCCESS, cohort_os_park(&shared->word, 1, COHORT_OS_NEVER));
}

static void park_times_out(void) {
    setup();
    int64_t start = cohort_os_now(), deadline = start + 30 * MILLISECOND;
    apr_status_t status = APR_SUCCESS;
    while (status == APR_SUCCESS) status = cohort_os_park(&shared->word, 0, deadline);
    CHECK_STATUS(APR_TIMEUP, status);
    CHECK(cohort_os_now() >= deadline);
    CHECK_STATUS(APR_TIMEUP, cohort_os_park(&shared->word, 0, start));
}

static void wake_counts(void) {
    setup();
    CHECK_INT(0, cohort_os_wake(&shared->word, 1));
}

static void park_wakes(void) {
    setup();
    cohort_os_id_t child = seam_start(PING, 300);
    for (uint32_t i = 0; i < 300; ++i) {
        change(&shared->word, 2 * i + 1);
        sleep_until(&shared->word, 2 * i + 2);
    }
    CHECK_INT(0, seam_end_code(child));
}

static void wake_reaches_all(void) {
    cohort_os_id_t children[8];
    setup();
    for (int i = 0; i < 8; ++i) children[i] = seam_start(SLEEP, 5);
    change(&shared->word, 5);
    for (int i = 0; i < 8; ++i) CHECK_INT(0, seam_end_code(children[i]));
}

static void killed_sleepers_do_no_harm(void) {
    setup();
    for (uint32_t i = 1; i <= 10; ++i) {
        atomic_store(&shared->other, 0);
        cohort_os_id_t unwanted = seam_start(PARK_FOR_EVER, 0), other = seam_start(SLEEP, i);
        sleep_until(&shared->other, 1);
        CHECK_STATUS(APR_SUCCESS, cohort_os_signal(unwanted, COHORT_OS_KILL));
        CHECK(seam_end_code(unwanted) < 0);
        cohort_os_park_forget(unwanted);
        change(&shared->word, i);
        CHECK_INT(0, seam_end_code(other));
    }
}

/* ---- start, process ------------------------------------------------------------------------- */

static void exit_codes(void) {
    static const int codes[] = {0, 1, 7, 255};
    for (int i = 0; i < 4; ++i)
        CHECK_INT(codes[i], seam_end_code(seam_start(EXIT_CODE, (uint64_t)codes[i])));
}

static void boot_block_is_taken(void) {
    cohort_os_boot_t boot;
    CHECK_INT(0, seam_end_code(seam_start(BOOT_GONE, 0)));
    CHECK_STATUS(APR_ENOENT, cohort_os_boot_take(&boot));
}

static void missing_program_is_an_error_of_start(void) {
    const char *const argv[] = {"cohort-no-such-program", NULL};
    cohort_os_start_t start = {.how = COHORT_OS_PROGRAM,
                               .path = argv[0],
                               .argv = argv,
                               .stdio = {COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE},
                               .lifeline = COHORT_OS_NONE};
    cohort_os_id_t id = {0, 0};
    bool in_child;
    CHECK(APR_STATUS_IS_ENOENT(cohort_os_start(&start, &id, &in_child)));
    CHECK_INT(0, id.pid);
}

static void reap_tells_how_it_stands(void) {
    int code = -1000;
    setup();
    cohort_os_id_t child = seam_start(HANG, 0);
    sleep_until(&shared->other, 1);
    CHECK(cohort_os_alive(child, NULL));
    CHECK_STATUS(APR_EAGAIN, cohort_os_reap(child, &code));
    CHECK_STATUS(APR_SUCCESS, cohort_os_signal(child, COHORT_OS_KILL));
    CHECK_INT(-9, seam_end_code(child));
    CHECK_STATUS(APR_ENOENT, cohort_os_reap(child, &code));
    CHECK(cohort_os_signal(child, COHORT_OS_KILL) != APR_SUCCESS);
}

typedef struct {
    cohort_os_watch_t *watch;
    cohort_os_watch_room_t rooms[2];
    cohort_os_borrow_t borrow;
} waiter_t;

/* False where the system has no such way. */
static bool begin_await(waiter_t *w, const cohort_os_id_t children[2]) {
    CHECK_STATUS(APR_SUCCESS, cohort_os_watch_create(&w->watch));
    w->borrow.count = 2;
    for (int i = 0; i < 2; ++i) {
        CHECK_STATUS(APR_SUCCESS, cohort_os_watch_process(w->watch, &w->rooms[i], children[i], true,
                                                          (uint64_t)i));
        w->borrow.rooms[i] = &w->rooms[i];
    }
    return cohort_os_borrow_begin(w->watch, &w->borrow);
}

static void check_report(waiter_t *w, uint64_t cookie) {
    cohort_os_event_t event = {.cookie = 99};
    CHECK_STATUS(APR_SUCCESS, cohort_os_watch_wait(w->watch, COHORT_OS_NEVER, &event));
    CHECK_INT(COHORT_OS_ENDED, event.kind);
    CHECK_INT((long long)cookie, (long long)event.cookie);
}

static void check_no_report(waiter_t *w) {
    cohort_os_event_t event;
    CHECK_STATUS(APR_TIMEUP,
                 cohort_os_watch_wait(w->watch, cohort_os_now() + 20 * MILLISECOND, &event));
}

static void check_reaped(cohort_os_id_t child, int wanted) {
    int code = -1000;
    CHECK_STATUS(APR_SUCCESS, cohort_os_reap(child, &code));
    CHECK_INT(wanted, code);
}

static void waiters_for_children_learn_of_the_first_that_ends(void) {
    static waiter_t w;
    int which = -1, code = -1000;
    setup();
    cohort_os_id_t children[2] = {seam_start(HANG, 0), seam_start(EXIT_CODE, 7)};
    if (begin_await(&w, children)) {
        CHECK_STATUS(APR_SUCCESS, cohort_os_borrow_wait(&w.borrow, COHORT_OS_NEVER, &which, &code));
        CHECK_INT(1, which);
        CHECK_INT(7, code);
        check_no_report(&w);
        cohort_os_borrow_return(w.watch, &w.borrow, 1);
        check_no_report(&w); /* it was told */
    } else {
        check_report(&w, 1);
    }
    check_reaped(children[1], 7);
    CHECK_STATUS(APR_SUCCESS, cohort_os_signal(children[0], COHORT_OS_KILL));
    check_report(&w, 0);
    check_reaped(children[0], -9);
    cohort_os_watch_destroy(w.watch);
}

static void children_not_waited_for_any_more_are_reported(void) {
    static waiter_t w;
    cohort_os_borrow_t again;
    int which = -1, code = -1000;
    setup();
    cohort_os_id_t children[2] = {seam_start(HANG, 0), seam_start(HANG, 0)};
    if (begin_await(&w, children)) {
        CHECK_STATUS(APR_TIMEUP, cohort_os_borrow_wait(
                                     &w.borrow, cohort_os_now() + 20 * MILLISECOND, &which, &code));
        again = w.borrow;
        CHECK(!cohort_os_borrow_begin(w.watch, &again)); /* one at a time */
        CHECK_STATUS(APR_SUCCESS, cohort_os_signal(children[1], COHORT_OS_KILL));
        while (cohort_os_alive(children[1], NULL)) apr_thread_yield();
        check_no_report(&w);
        cohort_os_borrow_return(w.watch, &w.borrow, -1);
    } else {
        CHECK_STATUS(APR_SUCCESS, cohort_os_signal(children[1], COHORT_OS_KILL));
    }
    check_report(&w, 1);
    check_reaped(children[1], -9);
    /* the one is not watched any more, so the other was not lent either */
    CHECK(!cohort_os_borrow_begin(w.watch, &w.borrow));
    CHECK_STATUS(APR_SUCCESS, cohort_os_signal(children[0], COHORT_OS_KILL));
    check_report(&w, 0);
    check_reaped(children[0], -9);
    cohort_os_watch_destroy(w.watch);
}

static void terminate_ends_it(void) {
    setup();
    cohort_os_id_t child = seam_start(HANG, 0);
    sleep_until(&shared->other, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_os_signal(child, COHORT_OS_TERMINATE));
    CHECK_INT(-15, seam_end_code(child));
}

static void another_birth_is_another_process(void) {
    cohort_os_id_t self = cohort_os_self(), impostor = {self.pid, self.birth ^ 5};
    CHECK(cohort_os_alive(self, NULL));
    CHECK(!cohort_os_alive(impostor, NULL));
    CHECK(cohort_os_signal(impostor, COHORT_OS_KILL) != APR_SUCCESS);
    CHECK(!cohort_os_alive((cohort_os_id_t){0, 0}, NULL));
}

/* ---- watch ---------------------------------------------------------------------------------- */

static void watch_sees_every_end(void) {
    enum { N = 40 };
    cohort_os_id_t children[N];
    bool seen[N] = {false};
    cohort_os_watch_room_t rooms[N];
    cohort_os_watch_t *watch;
    cohort_os_event_t event;
    CHECK_STATUS(APR_SUCCESS, cohort_os_watch_create(&watch));
    for (int i = 0; i < N; ++i) {
        children[i] = seam_start(EXIT_CODE, (uint64_t)i);
        CHECK_STATUS(APR_SUCCESS,
                     cohort_os_watch_process(watch, &rooms[i], children[i], true, (uint64_t)i));
    }
    for (int i = 0; i < N; ++i) {
        int code = -1000;
        CHECK_STATUS(APR_SUCCESS, cohort_os_watch_wait(watch, COHORT_OS_NEVER, &event));
        CHECK_INT(COHORT_OS_ENDED, event.kind);
        CHECK(event.cookie < N && !seen[event.cookie]);
        seen[event.cookie] = true;
        CHECK_STATUS(APR_SUCCESS, cohort_os_reap(children[event.cookie], &code));
        CHECK_INT(event.cookie, code);
    }
    CHECK_STATUS(APR_TIMEUP,
                 cohort_os_watch_wait(watch, cohort_os_now() + 20 * MILLISECOND, &event));
    cohort_os_watch_destroy(watch);
}

static void watch_tells_of_one_that_has_ended_already(void) {
    cohort_os_id_t child = seam_start(EXIT_CODE, 0);
    CHECK_INT(0, seam_end_code(child));
    seam_await_end(child, true);
}

static cohort_os_watch_t *busy_watch;

static void post_later(void *arg) {
    static cohort_os_watch_room_t room;
    cohort_os_id_t *child = arg;
    sleep_until(&shared->word, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_os_watch_process(busy_watch, &room, *child, true, 9));
}

static void watch_takes_processes_while_it_waits(void) {
    cohort_os_event_t event;
    setup();
    CHECK_STATUS(APR_SUCCESS, cohort_os_watch_create(&busy_watch));
    cohort_os_id_t child = seam_start(EXIT_CODE, 3);
    CHECK_STATUS(APR_SUCCESS, cohort_os_thread_start(post_later, &child));
    CHECK_STATUS(APR_TIMEUP,
                 cohort_os_watch_wait(busy_watch, cohort_os_now() + 10 * MILLISECOND, &event));
    change(&shared->word, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_os_watch_wait(busy_watch, COHORT_OS_NEVER, &event));
    CHECK_INT(9, event.cookie);
    CHECK_INT(3, seam_end_code(child));
}

static void channel_brings_messages_and_the_end(void) {
    cohort_os_handle_t reader, writer;
    cohort_os_watch_t *watch;
    cohort_os_event_t event;
    CHECK_STATUS(APR_SUCCESS, cohort_os_watch_create(&watch));
    CHECK_STATUS(APR_SUCCESS, cohort_os_pipe_create(COHORT_OS_PIPE_MESSAGES, &reader, &writer));
    CHECK_STATUS(APR_SUCCESS, cohort_os_watch_channel(watch, reader, false));
    CHECK_STATUS(APR_TIMEUP, cohort_os_watch_wait(watch, cohort_os_now(), &event));
    for (uint64_t i = 0; i < 100; ++i)
        CHECK_STATUS(APR_SUCCESS, cohort_os_channel_post(writer, i << 40 | i, NULL));
    for (uint64_t i = 0; i < 100; ++i) {
        CHECK_STATUS(APR_SUCCESS, cohort_os_watch_wait(watch, COHORT_OS_NEVER, &event));
        CHECK_INT(COHORT_OS_MESSAGE, event.kind);
        CHECK(event.value == (i << 40 | i));
    }
    cohort_os_close(writer);
    CHECK_STATUS(APR_SUCCESS, cohort_os_watch_wait(watch, COHORT_OS_NEVER, &event));
    CHECK_INT(COHORT_OS_GONE, event.kind);
    CHECK_STATUS(APR_TIMEUP, cohort_os_watch_wait(watch, cohort_os_now() + MILLISECOND, &event));
    cohort_os_watch_destroy(watch);
}

static void post_to_no_reader_is_an_error(void) {
    cohort_os_handle_t reader, writer;
    CHECK_STATUS(APR_SUCCESS, cohort_os_pipe_create(COHORT_OS_PIPE_MESSAGES, &reader, &writer));
    cohort_os_close(reader);
    CHECK(cohort_os_channel_post(writer, 1, NULL) != APR_SUCCESS);
    cohort_os_close(writer);
}

/* ---- lifeline ------------------------------------------------------------------------------- */

static void lifeline_kills_with_its_keeper(void) {
    setup();
    cohort_os_id_t holder = seam_start(HOLD_LIFELINE, 0);
    sleep_until(&shared->done, 1);
    CHECK(cohort_os_alive(shared->grandchild, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_os_signal(holder, COHORT_OS_KILL));
    CHECK_INT(-9, seam_end_code(holder));
    seam_await_end(shared->grandchild, false);
}

static void lifeline_armed_too_late_kills_too(void) {
    cohort_os_handle_t reader, keeper;
    cohort_os_boot_t boot;
    cohort_os_id_t id;
    bool in_child;
    setup();
    CHECK_STATUS(APR_SUCCESS, cohort_os_pipe_create(COHORT_OS_PIPE_LIFELINE, &reader, &keeper));
    cohort_os_close(keeper);
    cohort_os_start_t start = seam_reexec(&boot, ARM, 0);
    boot.lifeline = reader;
    CHECK_STATUS(APR_SUCCESS, cohort_os_start(&start, &id, &in_child));
    CHECK_INT(-9, seam_end_code(id));
    cohort_os_close(reader);
}

/* ---- machine -------------------------------------------------------------------------------- */

static void code_is_found_in_another_process(void) {
    setup();
    void *address;
    int (*function)(void) = answer;
    memcpy(&address, &function, sizeof address);
    CHECK_STATUS(APR_SUCCESS, cohort_os_code_find(address, &shared->code));
    CHECK_STR("", shared->code.path);
    CHECK_INT(41, seam_end_code(seam_start(CALL, 0)));
}

static void code_of_another_build_is_refused(void) {
    cohort_os_code_t code;
    void *address;
    int (*function)(void) = answer;
    memcpy(&address, &function, sizeof address);
    CHECK_STATUS(APR_SUCCESS, cohort_os_code_find(address, &code));
    code.build[3] ^= 1;
    CHECK_STATUS(COHORT_EBINARY, cohort_os_code_at(&code, &address));
    strcpy(code.path, "/no/such/module.so");
    CHECK_STATUS(COHORT_ETARGET, cohort_os_code_at(&code, &address));
    int data = 0;
    CHECK_STATUS(COHORT_ETARGET, cohort_os_code_find(&data, &code));
}

static void clock_and_cpus(void) {
    int64_t first = cohort_os_now();
    CHECK(cohort_os_now() >= first);
    CHECK(cohort_os_figure(COHORT_OS_CPUS) >= 1);
    cohort_os_state_t one, other;
    CHECK_STATUS(APR_SUCCESS, cohort_os_state_look(COHORT_OS_LOOK_THREAD, &one, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_os_state_look(COHORT_OS_LOOK_THREAD, &other, NULL));
    CHECK(cohort_os_state_same_quick(&one, &other));
    CHECK(cohort_os_state_same(&one, &other));
}

static cohort_os_mutex_t mutex;
static long counter;

static void count(void *done) {
    for (int i = 0; i < 10000; ++i) {
        cohort_os_mutex_lock(&mutex);
        ++counter;
        cohort_os_mutex_unlock(&mutex);
    }
    atomic_fetch_add((_Atomic uint32_t *)done, 1);
    cohort_os_wake(done, 1);
}

static void mutex_excludes(void) {
    setup();
    for (int i = 0; i < 4; ++i)
        CHECK_STATUS(APR_SUCCESS, cohort_os_thread_start(count, &shared->done));
    sleep_until(&shared->done, 4);
    CHECK_INT(40000, counter);
    cohort_os_mutex_lock(&mutex);
    cohort_os_mutex_reset(&mutex);
    cohort_os_mutex_lock(&mutex);
    cohort_os_mutex_unlock(&mutex);
}

static void ignore_fork(void) {}
static void thread_gone(void *mark, bool first) { change(mark, first ? 8 : 7); }
static void mark_and_end(void *mark) { cohort_os_thread_mark(mark); }

static void end_of_a_marked_thread_is_noticed(void) {
    const cohort_os_hooks_t hooks = {.forked = ignore_fork, .thread_exit = thread_gone};
    setup();
    CHECK_STATUS(APR_SUCCESS, cohort_os_hooks(&hooks));
    CHECK_STATUS(APR_SUCCESS, cohort_os_thread_start(mark_and_end, &shared->word));
    sleep_until(&shared->word, 7);
}

const test_case_t os_cases[] = {
    {"Os", "arena_is_one_memory_at_one_address", arena_is_one_memory_at_one_address},
    {"Os", "arena_refuses_a_taken_address", arena_refuses_a_taken_address},
    {"Os", "arena_commits_what_was_discarded", arena_commits_what_was_discarded},
    {"Os", "arena_default_size_can_be_had", arena_default_size_can_be_had},
    {"Os", "park_returns_when_the_word_differs", park_returns_when_the_word_differs},
    {"Os", "park_times_out", park_times_out},
    {"Os", "wake_counts", wake_counts},
    {"Os", "park_wakes", park_wakes},
    {"Os", "wake_reaches_all", wake_reaches_all},
    {"Os", "killed_sleepers_do_no_harm", killed_sleepers_do_no_harm},
    {"Os", "exit_codes", exit_codes},
    {"Os", "boot_block_is_taken", boot_block_is_taken},
    {"Os", "missing_program_is_an_error_of_start", missing_program_is_an_error_of_start},
    {"Os", "reap_tells_how_it_stands", reap_tells_how_it_stands},
    {"Os", "waiters_for_children_learn_of_the_first_that_ends",
     waiters_for_children_learn_of_the_first_that_ends},
    {"Os", "children_not_waited_for_any_more_are_reported",
     children_not_waited_for_any_more_are_reported},
    {"Os", "terminate_ends_it", terminate_ends_it},
    {"Os", "another_birth_is_another_process", another_birth_is_another_process},
    {"Os", "watch_sees_every_end", watch_sees_every_end},
    {"Os", "watch_tells_of_one_that_has_ended_already", watch_tells_of_one_that_has_ended_already},
    {"Os", "watch_takes_processes_while_it_waits", watch_takes_processes_while_it_waits},
    {"Os", "channel_brings_messages_and_the_end", channel_brings_messages_and_the_end},
    {"Os", "post_to_no_reader_is_an_error", post_to_no_reader_is_an_error},
    {"Os", "lifeline_kills_with_its_keeper", lifeline_kills_with_its_keeper},
    {"Os", "lifeline_armed_too_late_kills_too", lifeline_armed_too_late_kills_too},
    {"Os", "code_is_found_in_another_process", code_is_found_in_another_process},
    {"Os", "code_of_another_build_is_refused", code_of_another_build_is_refused},
    {"Os", "clock_and_cpus", clock_and_cpus},
    {"Os", "mutex_excludes", mutex_excludes},
    {"Os", "end_of_a_marked_thread_is_noticed", end_of_a_marked_thread_is_noticed},
    {0},
};
