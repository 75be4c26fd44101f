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

/* The kernel notes in each of a pair which process made it. Where a sandbox allows no sockets, the
 * child reads /proc. */
void cohort__witness_create(cohort_os_handle_t witness[2]) {
    int raw[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, raw) != 0) return;
    witness[0] = raw[0];
    witness[1] = raw[1];
    if (raw[0] > 2 && raw[1] > 2) return;
    if (cohort__fd_pair(raw, &witness[0], &witness[1]) != APR_SUCCESS)
        witness[0] = witness[1] = COHORT_OS_NONE;
}

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
