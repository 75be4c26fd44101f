/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The boot block: what gives a re-executed child its identity. It travels in the environment, where
 * any program can write, and names descriptors, which any can hand on. Guarantee: a process takes a
 * block only if all of this holds, and nothing that the block names is used before.
 *
 *  - The process is not privileged: what it may do, the process that started it may do, too.
 *  - The block names this process, and the process that the kernel calls its parent.
 *  - That parent runs as this process' user or as root. The kernel says so by the credentials of a
 *    socket pair, the witness, which the parent makes for each start; where no socket is to be had,
 *    /proc says it.
 *  - The arena is shared memory of that user or of root, of exactly the size given, which no
 *    process can shrink.
 *  - This process runs the program, in the build, that the parent runs.
 *
 * A process that finds a block which it may not take must not go on as if there were none: it has
 * been started as a child, perhaps by itself, and would start its own children in turn.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOOT_NAME   "COHORT_BOOT"
#define BUILD_BYTES 20
#define PID_DIGITS  20

typedef struct {
    cohort_os_boot_t boot;
    int64_t pid;
    cohort_os_handle_t witness;
    uint8_t build[BUILD_BYTES];
} block_t;

/* ---- the user of a re-executed process ------------------------------------------------------ */

/* To the system, a program that is executed with an effective user or group which is not the real
 * one has gained rights. This one has not, but may have lost some: so those that the process acts
 * with are all that the child gets. */
int cohort__boot_settle_user(void) {
    uid_t user = geteuid();
    gid_t group = getegid();
    if (getgid() != group && cohort__change_group(group) != 0) return -1;
    return getuid() != user ? cohort__change_user(user) : 0;
}

/* ---- writing -------------------------------------------------------------------------------- */

static unsigned long long number_of(cohort_os_handle_t handle) {
    return handle == COHORT_OS_NONE ? 0 : (unsigned long long)handle + 1;
}

/* The pid is the child's to fill in, the only process that knows it before it runs the program. */
char *cohort__boot_write(char text[COHORT__BOOT_MAX], const cohort_os_boot_t *b,
                         cohort_os_handle_t witness) {
    uint8_t build[BUILD_BYTES] = {0};
    int at = snprintf(text, COHORT__BOOT_MAX, BOOT_NAME "=%u ", COHORT_OS_BOOT_VERSION);
    char *pid = text + at;
    at += snprintf(pid, (size_t)(COHORT__BOOT_MAX - at),
                   "%0*d %lld %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %llu %llu %llu %llu ",
                   PID_DIGITS, 0, (long long)getpid(), b->role, b->slot, b->base, b->size,
                   number_of(b->arena), number_of(b->lifeline), number_of(b->channel),
                   number_of(witness));
    cohort__own_build(build);
    for (int i = 0; i < BUILD_BYTES; ++i) {
        text[at++] = "0123456789abcdef"[build[i] >> 4];
        text[at++] = "0123456789abcdef"[build[i] & 15];
    }
    text[at] = 0;
    return pid;
}

void cohort__boot_write_pid(char *digits) {
    int64_t pid = getpid();
    for (int i = PID_DIGITS; i-- > 0; pid /= 10) digits[i] = (char)('0' + pid % 10);
}

bool cohort__boot_is(const char *variable) {
    return strncmp(variable, BOOT_NAME "=", sizeof BOOT_NAME) == 0;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Decimal digits, then a space or the end. */
static bool take_number(const char **text, uint64_t most, uint64_t *value) {
    const char *at = *text;
    uint64_t number = 0;
    if (*at < '0' || *at > '9') return false;
    for (; *at >= '0' && *at <= '9'; ++at) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (number > (most - digit) / 10) return false;
        number = number * 10 + digit;
    }
    if (*at && *at++ != ' ') return false;
    *text = at;
    *value = number;
    return true;
}

/* The three standard streams are never the library's. */
static bool take_handle(const char **text, cohort_os_handle_t *handle) {
    uint64_t number;
    if (!take_number(text, INT_MAX, &number) || (number > 0 && number < 4)) return false;
    *handle = number ? (cohort_os_handle_t)(number - 1) : COHORT_OS_NONE;
    return true;
}

static int digit_of(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_build(const char **text, uint8_t build[BUILD_BYTES]) {
    for (int i = 0; i < BUILD_BYTES; ++i) {
        int high = digit_of((*text)[0]), low = high < 0 ? -1 : digit_of((*text)[1]);
        if (low < 0) return false;
        build[i] = (uint8_t)(high << 4 | low);
        *text += 2;
    }
    return true;
}

/* Version and pid have this place in every version. */
static bool read_head(const char **text, block_t *block) {
    uint64_t version, pid;
    if (!take_number(text, UINT32_MAX, &version) || !take_number(text, INT32_MAX, &pid))
        return false;
    block->boot.version = (uint32_t)version;
    block->pid = (int64_t)pid;
    return true;
}

static bool read_rest(const char *text, block_t *block) {
    cohort_os_boot_t *b = &block->boot;
    uint64_t parent, role;
    if (!take_number(&text, INT32_MAX, &parent) || !take_number(&text, UINT32_MAX, &role) ||
        !take_number(&text, UINT64_MAX, &b->slot))
        return false;
    if (!take_number(&text, UINT64_MAX, &b->base) || !take_number(&text, UINT64_MAX, &b->size))
        return false;
    if (!take_handle(&text, &b->arena) || !take_handle(&text, &b->lifeline) ||
        !take_handle(&text, &b->channel))
        return false;
    if (!take_handle(&text, &block->witness) || !take_build(&text, block->build) || *text)
        return false;
    b->parent = (int64_t)parent;
    b->role = (uint32_t)role;
    return true;
}

/* ---- judging -------------------------------------------------------------------------------- */

static bool is_trusted(uid_t user) { return user == 0 || user == geteuid(); }

static bool is_our_parent(const block_t *block) {
    uid_t user;
    return block->boot.parent == (int64_t)getppid() &&
           cohort__parent_user((int)block->witness, block->boot.parent, &user) && is_trusted(user);
}

/* The block is from the process that had this one made, as the kernel says, and that one is
 * gone. */
static bool parent_has_ended(const block_t *block) {
    uid_t user;
    if (block->witness == COHORT_OS_NONE ||
        cohort_os_alive((cohort_os_id_t){block->boot.parent, 0}, NULL))
        return false;
    return cohort__parent_user((int)block->witness, block->boot.parent, &user) && is_trusted(user);
}

static bool is_our_arena(const cohort_os_boot_t *boot) {
    struct stat facts;
    int fd = (int)boot->arena;
    if (boot->arena == COHORT_OS_NONE) return boot->base == 0 && boot->size == 0;
    if (fstat(fd, &facts) != 0 || facts.st_size < 0 || (uint64_t)facts.st_size != boot->size ||
        !is_trusted(facts.st_uid))
        return false;
    int mode = fcntl(fd, F_GETFL);
    return mode != -1 && (mode & O_ACCMODE) == O_RDWR && cohort__arena_object_is(fd, &facts);
}

/* A pipe for the lifeline, a pipe or a socket for the channel. */
static bool is_pipe(cohort_os_handle_t handle, bool or_socket) {
    struct stat facts;
    if (handle == COHORT_OS_NONE) return true;
    return fstat((int)handle, &facts) == 0 &&
           (S_ISFIFO(facts.st_mode) || (or_socket && S_ISSOCK(facts.st_mode)));
}

static bool is_our_program(const block_t *block) {
    uint8_t build[BUILD_BYTES] = {0};
    cohort__own_build(build);
    return memcmp(build, block->build, sizeof build) == 0;
}

static apr_status_t judge(const char *text, block_t *block) {
    if (cohort_os_facts()->privileged)
        return cohort__fail(
            COHORT_EPRIVILEGED,
            "this program is privileged, and so takes nothing from its environment");
    if (!read_head(&text, block)) return cohort__fail(COHORT_EUNTRUSTED, "it is not one");
    if (block->pid != (int64_t)getpid())
        return cohort__fail(
            COHORT_EUNTRUSTED,
            "it is another process'; main() must not fork or daemonize before cohort_initialize()");
    if (block->boot.version != COHORT_OS_BOOT_VERSION)
        return cohort__fail(COHORT_EVERSION, "it comes from another version of Cohort");
    if (!read_rest(text, block)) return cohort__fail(COHORT_EUNTRUSTED, "it is damaged");
    if (!is_our_parent(block)) {
        if (parent_has_ended(block)) return APR_EOF;
        return cohort__fail(
            COHORT_EUNTRUSTED,
            "it does not come from this process' parent, or that is another user's");
    }
    if (!is_our_arena(&block->boot))
        return cohort__fail(COHORT_EUNTRUSTED, "it names an arena that is none, or another user's");
    if (!is_pipe(block->boot.lifeline, false) || !is_pipe(block->boot.channel, true))
        return cohort__fail(COHORT_EUNTRUSTED, "it names descriptors of the wrong kind");
    return is_our_program(block)
               ? APR_SUCCESS
               : cohort__fail(COHORT_EBINARY,
                              "this is another program than its parent, or another build of it");
}

static void keep(cohort_os_handle_t handle) {
    if (handle != COHORT_OS_NONE) fcntl((int)handle, F_SETFD, FD_CLOEXEC);
}

apr_status_t cohort_os_boot_take(cohort_os_boot_t *boot) {
    block_t block = {.witness = COHORT_OS_NONE};
    const char *text = getenv(BOOT_NAME);
    if (!text) return APR_ENOENT;
    apr_status_t status = judge(text, &block);
    unsetenv(BOOT_NAME);
    if (status != APR_SUCCESS) return status;
    cohort_os_close(block.witness);
    *boot = block.boot;
    keep(boot->arena);
    keep(boot->lifeline);
    keep(boot->channel);
    cohort__title_take();
    return APR_SUCCESS;
}
