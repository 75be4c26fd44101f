/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Users and rights on Linux: whether executing this program gave it rights, as which user its
 * parent runs, and how the child of a vfork becomes another user. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* By the kernel's word at exec: set-user-id, set-group-id, capabilities of the file, or what a
 * security module calls so. */
bool cohort__is_privileged(void) { return getauxval(AT_SECURE) != 0; }

/* The C library would ask all other threads to do the same, which the child of a vfork shares with
 * its parent. */
int cohort__change_user(uid_t user) { return (int)syscall(SYS_setresuid, user, user, user); }
int cohort__change_group(gid_t group) { return (int)syscall(SYS_setresgid, group, group, group); }

/* ---- the witness ---------------------------------------------------------------------------- */

/* The kernel notes in each of a pair which process made it, and as which user; that the other one
 * is closed changes nothing. Where a sandbox allows no sockets, the child reads /proc. */
static cohort_os_handle_t make_witness(void) {
    int raw[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, raw) != 0) return COHORT_OS_NONE;
    int first = raw[0] > 2 ? raw[0] : cohort__fd_safe(raw[0]);
    close(raw[1]);
    return first < 0 ? COHORT_OS_NONE : first;
}

/* A pair costs as much as twenty other calls, so the first one is kept, and is right as long as the
 * process is the same user. It is not closed while the process lives: a start in another thread may
 * be about to hand it on. */
static struct {
    cohort_os_mutex_t mutex;
    cohort_os_known_t end;
    pid_t pid;
    uid_t user;
} kept;

/* Mutex. In a copy of the process that made it, no thread has handed it on. */
static void renew(uid_t user) {
    cohort_os_close_known(&kept.end);
    kept.end = cohort_os_know(make_witness());
    kept.user = user;
    kept.pid = getpid();
}

cohort_os_handle_t cohort__witness_take(bool *own) {
    uid_t user = geteuid();
    cohort_os_mutex_lock(&kept.mutex);
    if (kept.pid != getpid() || !cohort_os_is_known(&kept.end)) renew(user);
    cohort_os_handle_t end = kept.user == user ? kept.end.handle : COHORT_OS_NONE;
    cohort_os_mutex_unlock(&kept.mutex);
    *own = end == COHORT_OS_NONE;
    return *own ? make_witness() : end;
}

void cohort__witness_forked(void) { cohort_os_mutex_reset(&kept.mutex); }

static bool user_from_proc(int64_t pid, uid_t *user) {
    char path[40], text[4096];
    unsigned effective;
    snprintf(path, sizeof path, "/proc/%lld/status", (long long)pid);
    if (cohort__read_text(path, text, sizeof text) <= 0) return false;
    const char *line = strstr(text, "\nUid:");
    if (!line || sscanf(line + 5, "%*u %u", &effective) != 1) return false;
    *user = effective;
    return true;
}

bool cohort__parent_user(int witness, int64_t parent, uid_t *user) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (witness < 0) return user_from_proc(parent, user);
    if (getsockopt(witness, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || size != sizeof peer ||
        peer.pid != parent)
        return false;
    *user = peer.uid;
    return true;
}
