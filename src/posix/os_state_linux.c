/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a thread is, as far as its children inherit it, on Linux, where most of it belongs to each
 * thread.
 *
 * The quick half takes three system calls: users, the bits of the capabilities, and which mount of
 * which directory "/" is (that changes with a root of one's own and with a mount namespace). All
 * else is in /proc, and the child of a server, which is forked meanwhile, compares it with what the
 * server is. Where there is no /proc, system calls tell what they can; a sandbox
 * (seccomp) is then taken to be another one each time.
 *
 * Namespaces for time are not looked at. Neither is Landlock, which nothing shows; a thread that
 * uses it has to set no_new_privs first, as a rule, and that is looked at.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include "core/base/fail.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef PR_GET_SECUREBITS
#define PR_GET_SECUREBITS 27
#endif
#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000U
#endif

enum { USERS, SAVED_USER, BITS, ROOT, ROOT_MOUNT }; /* quick */
enum {                                              /* rest */
       GROUPS,
       SAVED_GROUP,
       MORE_GROUPS,
       INHERITABLE,
       PERMITTED,
       EFFECTIVE,
       BOUNDING,
       AMBIENT,
       SANDBOX,
       SANDBOXED_THREAD,
       SESSION,
       SOURCE,
       NAMESPACES /* six of them */
};
enum { FROM_CALLS = 1, FROM_PROC };

#define OWN        "/proc/thread-self"
#define TEXT_MAX   4096
#define TEXT_LIMIT (1u << 20) /* 65,536 groups fit */

static uint64_t pair(uint32_t high, uint32_t low) { return (uint64_t)high << 32 | low; }
static uint64_t mix(uint64_t hash, uint64_t value) { return (hash ^ value) * 1099511628211u; }
#define HASH_START UINT64_C(14695981039346656037)

/* ---- small files ---------------------------------------------------------------------------- */

#define LAST_OF_STATUS "\nnonvoluntary_ctxt_switches:"
#define LAST_OF_LIMITS "\nMax realtime timeout"

static bool is_whole(const char *text, size_t length, const char *last) {
    return length && text[length - 1] == '\n' && strstr(text, last);
}

/* Its last line says that it is whole, which spares the look for its end; where there is no such
 * line, it is read to its end. */
static ssize_t read_start(int fd, const char *last, char buffer[TEXT_MAX]) {
    size_t total = 0;
    ssize_t got;
    do {
        COHORT__RETRY(got, read(fd, buffer + total, TEXT_MAX - 1 - total));
        if (got < 0) return got;
        total += (size_t)got;
        buffer[total] = 0;
    } while (got > 0 && total < TEXT_MAX - 1 && !is_whole(buffer, total, last));
    return (ssize_t)total;
}

/* *text is the buffer, or one of malloc()'s. */
static apr_status_t read_file(const char *of, const char *name, const char *last,
                              char buffer[TEXT_MAX], char **text) {
    char path[80];
    int fd;
    *text = buffer;
    buffer[0] = 0;
    snprintf(path, sizeof path, "%s/%s", of, name);
    COHORT__RETRY(fd, open(path, O_RDONLY | O_CLOEXEC));
    if (fd < 0) return errno;
    ssize_t got = read_start(fd, last, buffer);
    apr_status_t status = got < 0 ? errno : APR_SUCCESS;
    if (got == TEXT_MAX - 1) {
        *text = malloc(TEXT_LIMIT);
        if (!*text) status = APR_ENOMEM;
        if (*text) memcpy(*text, buffer, (size_t)got);
        if (*text) got += (ssize_t)cohort__read_all(fd, *text + got, TEXT_LIMIT - 1 - (size_t)got);
    }
    close(fd);
    if (status == APR_SUCCESS) (*text)[got] = 0;
    return status;
}

static void drop_text(char *text, const char *buffer) {
    if (text != buffer) free(text);
}

/* What is left of a text of lines "Name:\tvalue". The lines are mostly asked for in their order. */
typedef struct {
    const char *text, *at;
} reader_t;

/* Behind "\nName:\t", or NULL. */
static const char *line(reader_t *reader, const char *name) {
    const char *at = strstr(reader->at, name);
    if (!at && reader->at != reader->text) at = strstr(reader->text, name);
    if (!at) return NULL;
    reader->at = at;
    return at + strlen(name);
}

/* Of any base up to 16, as far as there are digits; *text is behind them. */
static uint64_t digits(const char **text, unsigned base) {
    uint64_t value = 0;
    for (;; ++*text) {
        unsigned c = (unsigned char)**text, digit = c - '0' < 10         ? c - '0'
                                                    : (c | 32) - 'a' < 6 ? (c | 32) - 'a' + 10
                                                                         : 16;
        if (digit >= base) return value;
        value = value * base + digit;
    }
}

static void skip_blanks(const char **text) {
    while (**text == ' ' || **text == '\t') ++*text;
}

static uint64_t number(reader_t *reader, const char *name, unsigned base) {
    const char *at = line(reader, name);
    return at ? digits(&at, base) : 0;
}

/* The last one of a line: what it is in the innermost namespace of processes. */
static uint64_t last_number(reader_t *reader, const char *name) {
    const char *at = line(reader, name);
    uint64_t value = 0;
    while (at && *at && *at != '\n') {
        value = digits(&at, 10);
        skip_blanks(&at);
    }
    return value;
}

static bool three(reader_t *reader, const char *name, uint32_t ids[3]) {
    const char *at = line(reader, name);
    for (int i = 0; at && i < 3; ++i) {
        ids[i] = (uint32_t)digits(&at, 10);
        skip_blanks(&at);
    }
    return at != NULL;
}

/* ---- the quick half ------------------------------------------------------------------------- */

static void set_users(cohort_os_state_t *state, const uint32_t users[3]) {
    state->quick[USERS] = pair(users[0], users[1]);
    state->quick[SAVED_USER] = users[2];
}

/* By a path: "/", or the name of another's. */
static void look_at_root(cohort_os_state_t *state, const char *path) {
    struct statx facts;
    state->quick[ROOT] = state->quick[ROOT_MOUNT] = 0;
    if (syscall(SYS_statx, AT_FDCWD, path, 0, STATX_INO | STATX_MNT_ID, &facts) != 0) return;
    state->quick[ROOT] = facts.stx_ino;
    state->quick[ROOT_MOUNT] =
        mix(mix(HASH_START, makedev(facts.stx_dev_major, facts.stx_dev_minor)), facts.stx_mnt_id);
}

static void look_quickly(cohort_os_state_t *state) {
    uid_t users[3] = {0, 0, 0};
    memset(state->quick, 0, sizeof state->quick);
    getresuid(&users[0], &users[1], &users[2]);
    set_users(state, users);
    state->quick[BITS] = (uint64_t)prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
    look_at_root(state, "/");
}

/* ---- the rest ------------------------------------------------------------------------------- */

static _Thread_local uint64_t thread_number;

/* of the first thread; those that this process began with, which every thread of it has */
static _Atomic uint64_t first_number, first_filters;

static uint64_t own_number(uint64_t tid) {
    static _Atomic uint64_t numbers;
    if (!thread_number) thread_number = atomic_fetch_add(&numbers, 1) + 1;
    if (tid == (uint64_t)getpid()) atomic_store(&first_number, thread_number);
    return thread_number;
}

/* Of filters only the number is shown, and each thread has its own; but they only ever become
 * more, so a thread and a number say which. */
static void set_sandbox(cohort_os_state_t *state, uint64_t no_new_privs, uint64_t mode,
                        uint64_t filters, uint64_t tid, bool is_own) {
    state->rest[SANDBOX] = filters << 16 | mode << 8 | no_new_privs;
    state->rest[SANDBOXED_THREAD] = 0;
    if (filters > atomic_load(&first_filters))
        state->rest[SANDBOXED_THREAD] = is_own ? own_number(tid) : atomic_load(&first_number);
}

static void set_group(cohort_os_state_t *state, const uint32_t groups[3]) {
    state->rest[GROUPS] = pair(groups[0], groups[1]);
    state->rest[SAVED_GROUP] = groups[2];
}

static void set_groups(cohort_os_state_t *state, reader_t *reader) {
    uint32_t groups[3] = {0, 0, 0};
    if (three(reader, "\nGid:\t", groups)) set_group(state, groups);
    const char *at = line(reader, "\nGroups:\t");
    uint64_t hash = HASH_START;
    for (; at && *at && *at != '\n'; ++at) hash = mix(hash, (unsigned char)*at);
    state->rest[MORE_GROUPS] = hash;
}

/* The number in the text of a link such as "net:[4026531840]", 0 where there is none. */
static uint64_t linked_number(const char *path) {
    char text[64];
    ssize_t got = readlink(path, text, sizeof text - 1);
    text[got > 0 ? got : 0] = 0;
    const char *at = strchr(text, '[');
    return at ? (++at, digits(&at, 10)) : 0;
}

static uint64_t inode_number(const char *path) {
    struct stat facts;
    return stat(path, &facts) == 0 ? (uint64_t)facts.st_ino : 0;
}

/* The text of a link costs half of a look at what it leads to. It is believed where this system is
 * seen to write the inode's number there. */
static bool links_tell(void) {
    enum { UNKNOWN, YES, NO };
    static _Atomic int known;
    int answer = atomic_load_explicit(&known, memory_order_relaxed);
    if (answer == UNKNOWN) {
        uint64_t number = linked_number(OWN "/ns/net");
        answer = number != 0 && number == inode_number(OWN "/ns/net") ? YES : NO;
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer == YES;
}

static void set_namespaces(cohort_os_state_t *state, const char *of) {
    static const char *const names[] = {"user", "pid_for_children", "net", "ipc", "uts", "cgroup"};
    char path[96];
    int length = snprintf(path, sizeof path, "%s/ns/", of);
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        strcpy(path + length, names[i]);
        uint64_t number = links_tell() ? linked_number(path) : 0;
        state->rest[NAMESPACES + i] = number ? number : inode_number(path);
    }
}

static uint64_t limit(const char **text) {
    skip_blanks(text);
    if (**text != 'u') return digits(text, 10);
    *text += strlen("unlimited");
    return (uint64_t)RLIM_INFINITY;
}

/* Under a headline a line for each limit, in the order of their numbers: a name of 26
 * characters, the soft one, the hard one. */
static apr_status_t set_limits(cohort_os_state_t *state, const char *of) {
    char buffer[TEXT_MAX], *text;
    apr_status_t status = read_file(of, "limits", LAST_OF_LIMITS, buffer, &text);
    if (status != APR_SUCCESS) return status;
    const char *at = strchr(text, '\n');
    for (int i = 0; i < COHORT__WISH_LIMITS_MAX && at && strnlen(at, 28) == 28;
         ++i, at = strchr(at, '\n')) {
        at += 27;
        state->wishes[COHORT__WISH_LIMITS + 2 * i] = limit(&at);
        state->wishes[COHORT__WISH_LIMITS + 2 * i + 1] = limit(&at);
    }
    drop_text(text, buffer);
    return APR_SUCCESS;
}

/* Without /proc, of filters nothing is shown but that there are some. */
static void set_marks(cohort_os_state_t *state) {
    state->unseen = state->rest[SOURCE] == FROM_CALLS && (state->rest[SANDBOX] >> 8 & 0xff) != 0;
    state->subtle = state->rest[SANDBOXED_THREAD] != 0 || state->unseen;
}

static void set_from_status(cohort_os_state_t *state, reader_t *reader, bool is_own) {
    state->rest[SOURCE] = FROM_PROC;
    state->wishes[COHORT__WISH_PID] = number(reader, "\nTgid:\t", 10);
    state->wishes[COHORT__WISH_TID] = number(reader, "\nPid:\t", 10);
    set_groups(state, reader);
    state->wishes[COHORT__WISH_PROCESS_GROUP] = last_number(reader, "\nNSpgid:\t");
    state->rest[SESSION] = last_number(reader, "\nNSsid:\t");
    state->rest[INHERITABLE] = number(reader, "\nCapInh:\t", 16);
    state->rest[PERMITTED] = number(reader, "\nCapPrm:\t", 16);
    state->rest[EFFECTIVE] = number(reader, "\nCapEff:\t", 16);
    state->rest[BOUNDING] = number(reader, "\nCapBnd:\t", 16);
    state->rest[AMBIENT] = number(reader, "\nCapAmb:\t", 16);
    uint64_t no_new_privs = number(reader, "\nNoNewPrivs:\t", 10),
             mode = number(reader, "\nSeccomp:\t", 10);
    set_sandbox(state, no_new_privs, mode, number(reader, "\nSeccomp_filters:\t", 10),
                state->wishes[COHORT__WISH_TID], is_own);
    set_marks(state);
}

/* ---- without /proc -------------------------------------------------------------------------- */

static apr_status_t more_groups(uint64_t *hash) {
    int count = getgroups(0, NULL);
    gid_t *groups = calloc((size_t)(count > 0 ? count : 0) + 1, sizeof *groups);
    if (!groups) return APR_ENOMEM;
    count = getgroups(count, groups);
    *hash = mix(HASH_START, (uint64_t)(int64_t)count);
    for (int i = 0; i < count; ++i) *hash = mix(*hash, groups[i]);
    free(groups);
    return APR_SUCCESS;
}

static void look_at_capabilities(cohort_os_state_t *state) {
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0, 0, 0}, {0, 0, 0}};
    syscall(SYS_capget, &head, data);
    state->rest[INHERITABLE] = pair(data[1].inheritable, data[0].inheritable);
    state->rest[PERMITTED] = pair(data[1].permitted, data[0].permitted);
    state->rest[EFFECTIVE] = pair(data[1].effective, data[0].effective);
    for (unsigned i = 0; i < 64; ++i) {
        state->rest[BOUNDING] |= (uint64_t)(prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1) << i;
        state->rest[AMBIENT] |=
            (uint64_t)(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1) << i;
    }
}

static apr_status_t look_by_calls(cohort_os_state_t *state) {
    gid_t groups[3] = {0, 0, 0};
    state->rest[SOURCE] = FROM_CALLS;
    getresgid(&groups[0], &groups[1], &groups[2]);
    set_group(state, groups);
    look_at_capabilities(state);
    state->rest[SANDBOX] = (uint64_t)prctl(PR_GET_SECCOMP, 0, 0, 0, 0) << 8 |
                           (uint64_t)prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    set_marks(state);
    state->rest[SESSION] = (uint64_t)getsid(0);
    state->wishes[COHORT__WISH_PID] = (uint64_t)getpid();
    state->wishes[COHORT__WISH_TID] = (uint64_t)syscall(SYS_gettid);
    state->wishes[COHORT__WISH_PROCESS_GROUP] = (uint64_t)getpgrp();
    for (int i = 0; i < COHORT__WISH_LIMITS_MAX; ++i) {
        struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
        syscall(SYS_prlimit64, 0, i, NULL, &limit);
        state->wishes[COHORT__WISH_LIMITS + 2 * i] = (uint64_t)limit.rlim_cur;
        state->wishes[COHORT__WISH_LIMITS + 2 * i + 1] = (uint64_t)limit.rlim_max;
    }
    return more_groups(&state->rest[MORE_GROUPS]);
}

/* ---- looking -------------------------------------------------------------------------------- */

static bool is_absent(apr_status_t status) {
    return status == ENOENT || status == ENOTDIR || status == EACCES || status == EPERM;
}

apr_status_t cohort__state_rest(cohort_os_state_t *state, cohort__status_t *also) {
    char buffer[TEXT_MAX], *text = buffer;
    memset(state->rest, 0, sizeof state->rest);
    memset(state->wishes, 0, sizeof state->wishes);
    apr_status_t status = read_file(OWN, "status", LAST_OF_STATUS, buffer, &text);
    bool whole = status == APR_SUCCESS && strstr(text, "\nSigIgn:") && strstr(text, "\nSeccomp:");
    if (status == APR_SUCCESS && !whole) status = ENOENT; /* another system's, which gives less */
    if (is_absent(status)) {
        mode_t mode = umask(077); /* the moment is kept as short as it can be */
        umask(mode);
        also->mode = (uint32_t)mode;
        cohort__signals_tell(also);
        return look_by_calls(state);
    }
    if (status != APR_SUCCESS) return cohort__fail(status, "read " OWN "/status");
    reader_t reader = {text, text};
    also->mode = (uint32_t)number(&reader, "\nUmask:\t", 8);
    set_from_status(state, &reader, true);
    reader.at = text;
    also->blocked = number(&reader, "\nSigBlk:\t", 16);
    also->ignored = number(&reader, "\nSigIgn:\t", 16);
    drop_text(text, buffer);
    set_namespaces(state, OWN);
    status = set_limits(state, OWN);
    return status == APR_SUCCESS ? status : cohort__fail(status, "read " OWN "/limits");
}

static apr_status_t look_at_own(cohort_os_state_t *state) {
    cohort__status_t also;
    look_quickly(state);
    return cohort__state_rest(state, &also);
}

/* What /proc does not show is that of the calling thread: the bits of the capabilities. */
static apr_status_t look_at_first(int64_t pid, cohort_os_state_t *state) {
    char of[48], root[64], buffer[TEXT_MAX], *text;
    uint32_t users[3];
    snprintf(of, sizeof of, "/proc/%lld/task/%lld", (long long)pid, (long long)pid);
    snprintf(root, sizeof root, "%s/root", of);
    memset(state, 0, sizeof *state);
    apr_status_t status = read_file(of, "status", LAST_OF_STATUS, buffer, &text);
    if (status != APR_SUCCESS)
        return cohort__fail(status, "what the first thread of process %lld may do: read %s/status",
                            (long long)pid, of);
    reader_t reader = {text, text};
    if (!three(&reader, "\nUid:\t", users)) status = ENOENT;
    if (status == APR_SUCCESS) set_users(state, users);
    reader.at = text;
    set_from_status(state, &reader, false);
    drop_text(text, buffer);
    state->quick[BITS] = (uint64_t)prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
    look_at_root(state, root);
    set_namespaces(state, of);
    if (status == APR_SUCCESS) status = set_limits(state, of);
    return status == APR_SUCCESS
               ? status
               : cohort__fail(status, "what the first thread of process %lld may do",
                              (long long)pid);
}

apr_status_t cohort_os_state_look(cohort_os_look_t what, cohort_os_state_t *state,
                                  cohort_os_context_t *context) {
    if (what == COHORT_OS_LOOK_CONTEXT) return cohort__context_look(state, context);
    if (what == COHORT_OS_LOOK_FIRST) return look_at_first((int64_t)getpid(), state);
    if (what == COHORT_OS_LOOK_THREAD) return look_at_own(state);
    look_quickly(state);
    return APR_SUCCESS;
}

/* A container's filter, for one, is there from the beginning. */
void cohort__state_begin(void) {
    cohort_os_state_t state;
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) <= 0 || look_at_own(&state) != APR_SUCCESS) return;
    atomic_store(&first_filters, state.rest[SANDBOX] >> 16);
}
