/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that are copied straight out of the process which keeps them (Linux 5.6), where the
 * kernel lets this one do so: it asks what it asks of a debugger, so not everywhere. The process is
 * held by a descriptor of its own, so that its number cannot have become another's, and what comes
 * is looked at, since the descriptor's number may have. That process then learns by a datagram that
 * it need not keep its copy any more.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_pidfd.h"
#include "os_posix.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The process that something was taken from last. */
static struct {
    cohort_os_mutex_t mutex;
    cohort_os_id_t owner;
    cohort_os_known_t process, notices;
    bool refused; /* the kernel does not let this process do it */
} direct = {.process = {.handle = COHORT_OS_NONE}, .notices = {.handle = COHORT_OS_NONE}};

static _Atomic bool used; /* so that a copy of a process that takes nothing writes nothing here */

static bool is_same(cohort_os_id_t owner) {
    return owner.pid == direct.owner.pid && owner.birth == direct.owner.birth;
}

/* Mutex. */
static void turn_to(cohort_os_id_t owner) {
    cohort_os_close_known(&direct.process);
    int fd = cohort__fd_safe((int)syscall(SYS_pidfd_open, (pid_t)owner.pid, 0));
    direct.owner = owner;
    direct.refused = fd < 0;
    if (fd < 0) return;
    direct.process = cohort_os_know(fd);
    if (!cohort_os_alive(owner, NULL)) direct.refused = true;
}

/* Mutex. */
static int copy(int64_t number) {
    if (direct.refused) return -1;
    int fd = (int)syscall(SYS_pidfd_getfd, (int)direct.process.handle, (int)number, 0);
    if (fd < 0 && (errno == EPERM || errno == ENOSYS)) direct.refused = true;
    return fd;
}

/* This program may have closed what is not its own. */
static int copy_out(int64_t number, cohort_os_id_t owner) {
    cohort_os_mutex_lock(&direct.mutex);
    bool same = is_same(owner);
    if (!same) turn_to(owner);
    int fd = copy(number);
    if (fd < 0 && same && !direct.refused && !cohort_os_is_known(&direct.process)) {
        turn_to(owner);
        fd = copy(number);
    }
    cohort_os_mutex_unlock(&direct.mutex);
    return fd >= 0 && fd <= 2 ? cohort__fd_safe(fd) : fd; /* it closes on exec */
}

int cohort__direct_fetch(const cohort_os_offer_t *offer, cohort_os_id_t owner) {
    atomic_store(&used, true);
    int fd = copy_out(offer->kept, owner);
    cohort_os_known_t known = cohort_os_know(fd < 0 ? COHORT_OS_NONE : fd);
    if (fd < 0 || (known.device == offer->device && known.file == offer->file)) return fd;
    close(fd);
    return -1;
}

/* Mutex. */
static int notices(void) {
    if (cohort_os_is_known(&direct.notices)) return (int)direct.notices.handle;
    int fd = cohort__fd_safe(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    direct.notices = cohort_os_know(fd < 0 ? COHORT_OS_NONE : fd);
    return fd;
}

bool cohort__direct_taken(const cohort_os_offer_t *offer) {
    struct sockaddr_un name;
    ssize_t sent = -1;
    memset(&name, 0, sizeof name);
    memcpy(&name, offer->notice, sizeof offer->notice);
    cohort_os_mutex_lock(&direct.mutex);
    int fd = notices();
    if (fd >= 0)
        COHORT__RETRY(sent,
                      sendto(fd, &offer->token, sizeof offer->token, MSG_NOSIGNAL | MSG_DONTWAIT,
                             (struct sockaddr *)&name, (socklen_t)offer->notice_size));
    cohort_os_mutex_unlock(&direct.mutex);
    return sent > 0;
}

void cohort__direct_forked(void) {
    if (!atomic_load(&used)) return;
    cohort_os_mutex_reset(&direct.mutex);
    cohort_os_close_known(&direct.process);
    cohort_os_close_known(&direct.notices);
    direct.refused = false;
    direct.owner = (cohort_os_id_t){0, 0};
}
