/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Which boot block is believed, on POSIX systems. Each case changes one thing in a block that is
 * good, and the process that it is for must see what is wrong. */
#ifdef _WIN32

#include "check.h"

const test_case_t os_boot_cases[] = {{0}};

#else

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "check.h"

#include "posix/os_posix.h"

#include <apr_thread_proc.h>
#include <cohort/errors.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE    ((uint64_t)64 << 20)
#define NOBODY  65534
#define NOT_ONE "not one"
#define DAMAGED "damaged"
#define PARENT  "parent"
#define ARENA   "arena"
#define KIND    "kind"
#define PROGRAM "another program"

enum {
    VERSION,
    PID,
    STARTER,
    ROLE,
    SLOT,
    BASE,
    LENGTH,
    OBJECT,
    LIFELINE,
    CHANNEL,
    WITNESS,
    BUILD,
    FIELDS
};

static cohort_os_arena_t arena;
static cohort_os_handle_t lifeline[2], channel[2], witness = COHORT_OS_NONE;
static bool own_witness;
static char text[COHORT__BOOT_MAX], *pid_at;

/* What a starter writes. */
static void prepare(void) {
    cohort_os_boot_t boot = {.role = 1, .slot = 65537};
    CHECK_STATUS(APR_SUCCESS, cohort_os_arena_create(SIZE, &arena));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_os_pipe_create(COHORT_OS_PIPE_LIFELINE, &lifeline[0], &lifeline[1]));
    CHECK_STATUS(APR_SUCCESS,
                 cohort_os_pipe_create(COHORT_OS_PIPE_MESSAGES, &channel[0], &channel[1]));
    witness = cohort__witness_take(&own_witness);
    boot.base = (uint64_t)(uintptr_t)arena.base;
    boot.size = arena.size;
    boot.arena = arena.handle;
    boot.lifeline = lifeline[0];
    boot.channel = channel[0];
    pid_at = cohort__boot_write(text, &boot, witness);
}

static bool fork_child(cohort_os_id_t *id) {
    cohort_os_start_t start = {.how = COHORT_OS_FORK,
                               .stdio = {COHORT_OS_NONE, COHORT_OS_NONE, COHORT_OS_NONE},
                               .lifeline = COHORT_OS_NONE};
    bool in_child;
    CHECK_STATUS(APR_SUCCESS, cohort_os_start(&start, id, &in_child));
    return in_child;
}

/* The block's text with another value in this field, "%d" in which is `number`. */
static void put_variable(int field, const char *value, int number) {
    char block[COHORT__BOOT_MAX * 2] = "", other[COHORT__BOOT_MAX], *rest = strchr(text, '=') + 1;
    snprintf(other, sizeof other, value ? value : "", number);
    for (int i = 0; i < FIELDS; i++) {
        char *one = strtok_r(rest, " ", &rest);
        strcat(block, i ? " " : "");
        strcat(block, i == field && value ? other : one);
    }
    if (field == FIELDS) strcpy(block, other); /* all of it */
    setenv("COHORT_BOOT", block, 1);
}

/* In the process that the block is for: is it taken as it should be, for the reason given? */
static _Noreturn void take(apr_status_t expected, const char *reason) {
    cohort_os_boot_t boot;
    apr_status_t status = cohort_os_boot_take(&boot);
    const char *why = cohort__reason(status);
    bool right = status == expected && (status == APR_SUCCESS || strstr(why, reason)) &&
                 !getenv("COHORT_BOOT");
    if (status == APR_SUCCESS)
        right = right && boot.parent == getppid() && boot.slot == 65537 &&
                boot.arena == arena.handle && boot.lifeline == lifeline[0];
    if (!right) fprintf(stderr, "status %d, expected %d: %s\n", (int)status, (int)expected, why);
    cohort_os_exit(right ? 0 : 1, COHORT_OS_EXIT_FLUSHED);
}

static void borrow(cohort_os_id_t id) {
    int code = -1000;
    while (APR_STATUS_IS_EAGAIN(cohort_os_reap(id, &code))) apr_thread_yield();
    CHECK_INT(0, code);
}

/* A child finds the block with this change. */
static void offer(int field, const char *value, int number, apr_status_t expected,
                  const char *reason) {
    cohort_os_id_t id;
    if (fork_child(&id)) {
        cohort__boot_write_pid(pid_at);
        put_variable(field, value, number);
        take(expected, reason);
    }
    borrow(id);
}

/* ---- cases ---------------------------------------------------------------------------------- */

static void block_is_taken(void) {
    prepare();
    offer(-1, NULL, 0, APR_SUCCESS, "");
}

static void text_is_read_strictly(void) {
    static const char *const numbers[] = {
        "", "-1", "+1", "1x", "0x1", "18446744073709551616", "99999999999999999999999999", " "};
    prepare();
    static const char *const absurd[] = {
        "", "nonsense", " ", "3", "-3 1", "3 1 2 3 4 5 6 7 8 9", "4294967296 1", "%d"};
    for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++)
        offer(FIELDS, absurd[i], 3, COHORT_EUNTRUSTED, i == 3 || i == 5 ? "" : NOT_ONE);
    for (int field = STARTER; field < BUILD; field++) {
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
            offer(field, numbers[i], 0, COHORT_EUNTRUSTED, DAMAGED);
    }
    for (int field = OBJECT; field <= WITNESS; field++) {
        for (int stream = 0; stream < 3; stream++)
            offer(field, "%d", stream + 1, COHORT_EUNTRUSTED, DAMAGED);
        offer(field, "2147483648", 0, COHORT_EUNTRUSTED, DAMAGED);
    }
    offer(BUILD, "00", 0, COHORT_EUNTRUSTED, DAMAGED);
    offer(BUILD, "000000000000000000000000000000000000000G", 0, COHORT_EUNTRUSTED, DAMAGED);
    offer(BUILD, "0000000000000000000000000000000000000000 1", 0, COHORT_EUNTRUSTED, DAMAGED);
}

static void block_of_another_version(void) {
    prepare();
    offer(VERSION, "2", 0, COHORT_EVERSION, "version");
    offer(VERSION, "4294967295", 0, COHORT_EVERSION, "version");
}

static void block_of_another_process(void) {
    prepare();
    offer(PID, "%d", (int)getpid(), COHORT_EUNTRUSTED, "another process");
    offer(PID, "%d", 1, COHORT_EUNTRUSTED, "another process");
    offer(STARTER, "%d", 1, COHORT_EUNTRUSTED, PARENT);
    offer(STARTER, "%d", 0, COHORT_EUNTRUSTED, PARENT);
    offer(STARTER, "%d", (int)getppid(), COHORT_EUNTRUSTED, PARENT);
}

/* Between the starter and the process that finds the block there is one more, as after daemon(). */
static void block_of_a_grandparent(void) {
    cohort_os_id_t middle, id;
    prepare();
    if (fork_child(&middle)) {
        if (fork_child(&id)) {
            cohort__boot_write_pid(pid_at);
            put_variable(-1, NULL, 0);
            take(COHORT_EUNTRUSTED, PARENT);
        }
        borrow(id);
        cohort_os_exit(0, COHORT_OS_EXIT_NOW);
    }
    borrow(middle);
}

/* No process waits for one without its starter: it has nothing to complain of. */
static void block_of_a_parent_that_has_ended(void) {
    cohort_os_id_t middle, id;
    int ends[2];
    char answer = 0;
    CHECK_INT(0, pipe(ends));
    if (fork_child(&middle)) {
        prepare();
        char known = witness == COHORT_OS_NONE ? 'n' : 'y';
        pid_t starter = getpid();
        if (fork_child(&id)) {
            cohort_os_boot_t boot;
            while (getppid() == starter) apr_thread_yield();
            cohort__boot_write_pid(pid_at);
            put_variable(-1, NULL, 0);
            if (!APR_STATUS_IS_EOF(cohort_os_boot_take(&boot)) || getenv("COHORT_BOOT"))
                known = known == 'y' ? 'w' : known;
            cohort_os_exit(write(ends[1], &known, 1) != 1, COHORT_OS_EXIT_FLUSHED);
        }
        cohort_os_exit(0, COHORT_OS_EXIT_NOW);
    }
    borrow(middle);
    close(ends[1]);
    CHECK_INT(1, read(ends[0], &answer, 1));
    close(ends[0]);
    if (answer == 'n') SKIP("the system tells of parents without a witness");
    CHECK_INT('y', answer);
}

/* The kernel's word for its maker; without one, what /proc says. */
static void witness_must_be_the_parents(void) {
    cohort_os_id_t id;
    int pair[2];
    prepare();
    if (witness == COHORT_OS_NONE) SKIP("the system tells of parents without it");
    offer(WITNESS, "%d", (int)lifeline[0] + 1, COHORT_EUNTRUSTED, PARENT);
    offer(WITNESS, "%d", (int)arena.handle + 1, COHORT_EUNTRUSTED, PARENT);
    offer(WITNESS, "%d", 1 << 20, COHORT_EUNTRUSTED, PARENT);
    if (fork_child(&id)) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) _exit(9);
        cohort__boot_write_pid(pid_at);
        put_variable(WITNESS, "%d", pair[0] + 1);
        take(COHORT_EUNTRUSTED, PARENT);
    }
    borrow(id);
    if (access("/proc/self/status", R_OK) == 0) offer(WITNESS, "0", 0, APR_SUCCESS, "");
}

static bool is_of_this_process(cohort_os_handle_t end) {
    uid_t user;
    return cohort__parent_user((int)end, (int64_t)getpid(), &user) && user == geteuid();
}

/* Made once in each process, and for another user each time. */
static void witness_is_kept_while_it_is_right(void) {
    bool own;
    cohort_os_id_t copy;
    cohort_os_handle_t first = cohort__witness_take(&own);
    if (first == COHORT_OS_NONE) SKIP("the system tells of parents without it");
    CHECK(!own && is_of_this_process(first));
    CHECK(cohort__witness_take(&own) == first && !own);
    if (fork_child(&copy)) {
        cohort_os_handle_t another = cohort__witness_take(&own);
        cohort_os_exit(!own && is_of_this_process(another) ? 0 : 1, COHORT_OS_EXIT_NOW);
    }
    borrow(copy);
    close((int)first); /* by a program that closes everything */
    CHECK_INT(first, open("/dev/null", O_RDONLY));
    CHECK(is_of_this_process(cohort__witness_take(&own)) && !own);
    CHECK(fcntl((int)first, F_GETFD) >= 0);
    if (geteuid() != 0) return;
    CHECK_INT(0, seteuid(NOBODY));
    cohort_os_handle_t other = cohort__witness_take(&own);
    CHECK(own && is_of_this_process(other));
    CHECK_INT(0, seteuid(0));
    cohort_os_close(other);
}

static int sized_file(int fd) {
    CHECK(fd > 2);
    CHECK_INT(0, ftruncate(fd, (off_t)SIZE));
    return fd;
}

static void arena_must_be_one(void) {
    char path[] = "/tmp/cohort-test-XXXXXX";
    prepare();
    offer(OBJECT, "0", 0, COHORT_EUNTRUSTED, ARENA);
    offer(OBJECT, "%d", (int)lifeline[0] + 1, COHORT_EUNTRUSTED, ARENA);
    offer(OBJECT, "%d", (int)channel[0] + 1, COHORT_EUNTRUSTED, ARENA);
    offer(OBJECT, "%d", 1 << 20, COHORT_EUNTRUSTED, ARENA);
    offer(LENGTH, "0", 0, COHORT_EUNTRUSTED, ARENA);
    offer(LENGTH, "%d", (int)SIZE / 2, COHORT_EUNTRUSTED, ARENA);
    offer(LENGTH, "%d", (int)SIZE * 2, COHORT_EUNTRUSTED, ARENA);
    offer(LENGTH, "18446744073709551615", 0, COHORT_EUNTRUSTED, ARENA);
    offer(LENGTH, "9223372036854775808", 0, COHORT_EUNTRUSTED, ARENA);
    /* its owner can shrink it, and so kill the processes that map it */
    int named = sized_file(mkstemp(path));
    offer(OBJECT, "%d", named + 1, COHORT_EUNTRUSTED, ARENA);
    CHECK_INT(0, unlink(path));
#ifdef MFD_CLOEXEC
    int unsealed = sized_file(memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    offer(OBJECT, "%d", unsealed + 1, COHORT_EUNTRUSTED, ARENA);
    char again[64];
    snprintf(again, sizeof again, "/proc/self/fd/%d", (int)arena.handle);
    int readable = open(again, O_RDONLY | O_CLOEXEC);
    if (readable > 2) offer(OBJECT, "%d", readable + 1, COHORT_EUNTRUSTED, ARENA);
#endif
}

static void arena_lies_where_arenas_do(void) {
    static const uint64_t elsewhere[] = {0,
                                         1,
                                         4096,
                                         0x10000,
                                         0x2000000001,
                                         0x2000100000,
                                         0x7ffffffff000,
                                         UINT64_MAX,
                                         UINT64_MAX - 4095};
    cohort_os_arena_t map;
    prepare();
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
        map = (cohort_os_arena_t){(char *)(uintptr_t)elsewhere[i], SIZE, arena.handle};
        CHECK_STATUS(APR_EINVAL, cohort_os_arena_attach(&map));
    }
    map = (cohort_os_arena_t){arena.base, SIZE * 2, arena.handle};
    CHECK_STATUS(APR_EINVAL, cohort_os_arena_attach(&map));
    map = (cohort_os_arena_t){arena.base, UINT64_MAX - 0xfffff, arena.handle};
    CHECK_STATUS(APR_EINVAL, cohort_os_arena_attach(&map));
}

static void descriptors_must_be_of_their_kind(void) {
    prepare();
    int null = open("/dev/null", O_RDWR);
    CHECK(null > 2);
    offer(LIFELINE, "%d", (int)arena.handle + 1, COHORT_EUNTRUSTED, KIND);
    offer(LIFELINE, "%d", null + 1, COHORT_EUNTRUSTED, KIND);
    offer(LIFELINE, "%d", 1 << 20, COHORT_EUNTRUSTED, KIND);
    offer(CHANNEL, "%d", (int)arena.handle + 1, COHORT_EUNTRUSTED, KIND);
    offer(CHANNEL, "%d", null + 1, COHORT_EUNTRUSTED, KIND);
    if (witness != COHORT_OS_NONE) offer(LIFELINE, "%d", (int)witness + 1, COHORT_EUNTRUSTED, KIND);
}

static void block_for_another_program(void) {
    prepare();
    offer(BUILD, "0000000000000000000000000000000000000000", 0, COHORT_EBINARY, PROGRAM);
}

/* ---- other users ---------------------------------------------------------------------------- */

/* not every system lets all three be set; what is tested is the same everywhere */
#if !defined(__linux__)
static int setresgid(gid_t real, gid_t effective, gid_t saved) {
    return real == saved ? setregid(real, effective) : -1;
}
static int setresuid(uid_t real, uid_t effective, uid_t saved) {
    return real == saved ? setreuid(real, effective) : -1;
}
#define THREE_USERS 0
#else
#define THREE_USERS 1
#endif

static int as(uid_t real, uid_t effective, uid_t saved) {
    return setresgid(NOBODY, NOBODY, NOBODY) || setresuid(real, effective, saved);
}

/* A process of this user makes everything and starts another one, which is of that user when it
 * finds the block. */
static void offer_between(uid_t starter, uid_t finder, apr_status_t expected, const char *reason) {
    cohort_os_id_t middle, id;
    if (!THREE_USERS) SKIP("no call here sets the saved user");
    if (fork_child(&middle)) {
        if (as(starter, starter, 0)) cohort_os_exit(9, COHORT_OS_EXIT_NOW);
        prepare();
        if (fork_child(&id)) {
            if (setresuid(0, 0, 0) || as(finder, finder, finder))
                cohort_os_exit(9, COHORT_OS_EXIT_NOW);
            cohort__boot_write_pid(pid_at);
            put_variable(-1, NULL, 0);
            take(expected, reason);
        }
        borrow(id);
        cohort_os_exit(0, COHORT_OS_EXIT_FLUSHED);
    }
    borrow(middle);
}

static void parent_must_be_of_the_same_user_or_root(void) {
    if (geteuid() != 0) SKIP("only root can be several users");
    offer_between(NOBODY, NOBODY, APR_SUCCESS, "");
    offer_between(0, NOBODY, APR_SUCCESS, "");
    offer_between(NOBODY, 0, COHORT_EUNTRUSTED, PARENT);
    offer_between(NOBODY, NOBODY - 1, COHORT_EUNTRUSTED, PARENT);
}

/* The parent is root's, what it hands on is not. */
static void arena_must_be_of_the_same_user_or_root(void) {
    static const uid_t owners[] = {NOBODY, NOBODY - 1};
    if (geteuid() != 0) SKIP("only root can be several users");
    for (int i = 0; i < 2; i++) {
        cohort_os_id_t middle, id;
        if (fork_child(&middle)) {
            if (seteuid(owners[i])) cohort_os_exit(9, COHORT_OS_EXIT_NOW);
            prepare();
            if (seteuid(0)) cohort_os_exit(9, COHORT_OS_EXIT_NOW);
            witness = cohort__witness_take(&own_witness);
            cohort_os_boot_t boot = {.role = 1,
                                     .slot = 65537,
                                     .base = (uint64_t)(uintptr_t)arena.base,
                                     .size = SIZE,
                                     .arena = arena.handle,
                                     .lifeline = lifeline[0],
                                     .channel = channel[0]};
            pid_at = cohort__boot_write(text, &boot, witness);
            if (fork_child(&id)) {
                if (i && as(NOBODY, NOBODY, NOBODY)) cohort_os_exit(9, COHORT_OS_EXIT_NOW);
                cohort__boot_write_pid(pid_at);
                put_variable(-1, NULL, 0);
                take(COHORT_EUNTRUSTED, ARENA);
            }
            borrow(id);
            cohort_os_exit(0, COHORT_OS_EXIT_FLUSHED);
        }
        borrow(middle);
    }
}

const test_case_t os_boot_cases[] = {
    {"OsBoot", "block_is_taken", block_is_taken},
    {"OsBoot", "text_is_read_strictly", text_is_read_strictly},
    {"OsBoot", "block_of_another_version", block_of_another_version},
    {"OsBoot", "block_of_another_process", block_of_another_process},
    {"OsBoot", "block_of_a_grandparent", block_of_a_grandparent},
    {"OsBoot", "block_of_a_parent_that_has_ended", block_of_a_parent_that_has_ended},
    {"OsBoot", "witness_must_be_the_parents", witness_must_be_the_parents},
    {"OsBoot", "witness_is_kept_while_it_is_right", witness_is_kept_while_it_is_right},
    {"OsBoot", "arena_must_be_one", arena_must_be_one},
    {"OsBoot", "arena_lies_where_arenas_do", arena_lies_where_arenas_do},
    {"OsBoot", "descriptors_must_be_of_their_kind", descriptors_must_be_of_their_kind},
    {"OsBoot", "block_for_another_program", block_for_another_program},
    {"OsBoot", "parent_must_be_of_the_same_user_or_root", parent_must_be_of_the_same_user_or_root},
    {"OsBoot", "arena_must_be_of_the_same_user_or_root", arena_must_be_of_the_same_user_or_root},
    {0}};

#endif
