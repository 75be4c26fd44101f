/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes, each distinguished from a later one with its pid by its birth. Guarantees: no signal
 * ever reaches a later process with the same pid where the system has process descriptors; nothing
 * here waits for, or reaps, a child that is not named.
 *
 * The host may reap everything, or ignore SIGCHLD. So a watcher looks at the code of an ended child
 * at once, before the end is announced, and leaves it here for cohort_os_reap() in case another
 * waiter takes the child meanwhile. There is room for it whatever memory is left.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEEN 8u

/* Codes on their way from a watch to the reaping. The next thing that a thread does which has heard
 * of an end is to reap, so there are no more of them than watches that wait at one time. What is
 * left there has not been asked for, and is overwritten. */
static struct {
    cohort_os_mutex_t mutex;
    unsigned next;
    struct {
        cohort_os_id_t process;
        int code;
    } codes[SEEN];
} seen;

void cohort__code_remember(cohort_os_id_t process, int code) {
    cohort_os_mutex_lock(&seen.mutex);
    unsigned i = seen.next++ % SEEN;
    seen.codes[i].process = process;
    seen.codes[i].code = code;
    cohort_os_mutex_unlock(&seen.mutex);
}

static bool recall(cohort_os_id_t process, int *code) {
    bool found = false;
    cohort_os_mutex_lock(&seen.mutex);
    for (unsigned i = 0; i < SEEN && !found; ++i) {
        if (seen.codes[i].process.pid != process.pid ||
            seen.codes[i].process.birth != process.birth)
            continue;
        *code = seen.codes[i].code;
        seen.codes[i].process.pid = 0;
        found = true;
    }
    cohort_os_mutex_unlock(&seen.mutex);
    return found;
}

/* ---- new children --------------------------------------------------------------------------- */

#define FRESH 16u

/* Descriptors of children on their way: from the start to the watcher, and from the watcher, which
 * has seen the end, to the reaping. The next thing that the same thread does takes them out again,
 * so the table is as good as empty; what is forgotten there is overwritten. */
static struct {
    cohort_os_mutex_t mutex;
    unsigned next;
    struct {
        cohort_os_id_t child;
        int fd; /* + 1; 0 = unused */
    } entries[FRESH];
} fresh;

void cohort__child_keep(cohort_os_id_t child, int fd) {
    cohort_os_mutex_lock(&fresh.mutex);
    unsigned i = fresh.next++ % FRESH;
    int old = fresh.entries[i].fd - 1;
    fresh.entries[i].child = child;
    fresh.entries[i].fd = fd + 1;
    cohort_os_mutex_unlock(&fresh.mutex);
    if (old >= 0) close(old);
}

void cohort__child_identify(pid_t pid, cohort_os_id_t *id) {
    cohort_os_id_t child = {(int64_t)pid, 0};
    int fd = cohort__life_open(pid, &child.birth);
    if (fd >= 0) cohort__child_keep(child, fd);
    else if (cohort__life(pid, &child.birth) == COHORT__GONE)
        child.birth = COHORT__BIRTH_GONE; /* it has been reaped already */
    *id = child;
}

int cohort__child_descriptor(cohort_os_id_t child) {
    int fd = -1;
    cohort_os_mutex_lock(&fresh.mutex);
    for (unsigned i = 0; i < FRESH && fd < 0; ++i) {
        if (fresh.entries[i].child.pid != child.pid || fresh.entries[i].child.birth != child.birth)
            continue;
        fd = fresh.entries[i].fd - 1;
        fresh.entries[i].fd = 0;
        fresh.entries[i].child.pid = 0;
    }
    cohort_os_mutex_unlock(&fresh.mutex);
    return fd;
}

static _Atomic uint64_t known_birth;
static _Atomic int64_t known_pid;

/* ---- this process --------------------------------------------------------------------------- */

static void drop_descriptors(void) {
    cohort_os_mutex_reset(&fresh.mutex);
    for (unsigned i = 0; i < FRESH; ++i) {
        if (fresh.entries[i].fd) close(fresh.entries[i].fd - 1);
        fresh.entries[i].fd = 0;
        fresh.entries[i].child.pid = 0;
    }
}

void cohort__process_forked(void) {
    cohort__mutexes_forked();
    cohort__modules_forked();
    cohort__witness_forked();
    cohort__offers_forked();
    cohort_os_mutex_reset(&seen.mutex);
    drop_descriptors();
    atomic_store(&known_pid, 0); /* a copy may have the pid of a dead ancestor, but not its birth */
}

cohort_os_id_t cohort_os_self(void) {
    cohort_os_id_t self = {(int64_t)getpid(), 0};
    if (atomic_load(&known_pid) == self.pid) {
        self.birth = atomic_load(&known_birth);
        return self;
    }
    int fd = cohort__life_open(self.pid, &self.birth);
    if (fd >= 0) close(fd);
    else cohort__life(self.pid, &self.birth);
    atomic_store(&known_pid, 0); /* so that no other thread pairs the new birth with an old pid */
    atomic_store(&known_birth, self.birth);
    atomic_store(&known_pid, self.pid);
    return self;
}

/* Births of different kinds cannot be compared; then the pid alone must do. */
static bool same_birth(uint64_t known, uint64_t found) {
    if (known == 0 || found == 0) return true;
    if (known != COHORT__BIRTH_GONE && ((known ^ found) & COHORT__BIRTH_INODE) != 0) return true;
    return known == found;
}

static bool is_alive(cohort_os_id_t process) {
    uint64_t birth = 0;
    int code;
    if (process.pid <= 0 || process.birth == COHORT__BIRTH_GONE) return false;
    cohort__life_t life = cohort__life(process.pid, &birth);
    if (life == COHORT__UNKNOWN)
        return !cohort__code_peek(-1, process.pid, &code) &&
               (kill((pid_t)process.pid, 0) == 0 || errno != ESRCH);
    return life == COHORT__RUNS && same_birth(process.birth, birth);
}

/* The usage first: another process may have had the number until now. */
bool cohort_os_alive(cohort_os_id_t process, cohort_os_usage_t *usage) {
    cohort_os_usage_t found = {-1, -1};
    if (usage) found = cohort__usage(process.pid);
    bool alive = is_alive(process);
    if (usage && alive) *usage = found;
    return alive;
}

_Static_assert(COHORT_OS_INTERRUPT == SIGINT && COHORT_OS_KILL == SIGKILL &&
                   COHORT_OS_TERMINATE == SIGTERM,
               "their numbers");

apr_status_t cohort_os_signal(cohort_os_id_t process, int signal) {
    if (process.pid <= 0) return ESRCH;
    if (cohort__signal_exact(process, signal) == 0) return APR_SUCCESS;
    /* a filter of system calls may refuse what kill() is allowed */
    if (errno != ENOSYS && errno != EPERM && errno != EACCES) return errno;
    if (!cohort_os_alive(process, NULL)) return ESRCH;
    return kill((pid_t)process.pid, signal) == 0 ? APR_SUCCESS : errno;
}

static int exit_code(const siginfo_t *info) {
    return info->si_code == CLD_EXITED ? info->si_status : -info->si_status;
}

/* A tracer's wait also reports stops, whatever it asks for; those are its own to take. */
static bool is_end(const siginfo_t *info) {
    return info->si_code == CLD_EXITED || info->si_code == CLD_KILLED ||
           info->si_code == CLD_DUMPED;
}

/* For exactly the child of the descriptor, if there is one, else for whatever child has the pid. */
static int wait_for(int fd, int64_t pid, siginfo_t *info, int options) {
    int result;
    info->si_pid = 0;
    COHORT__RETRY(result, fd >= 0 ? cohort__wait_exact(fd, info, options)
                                  : waitid(P_PID, (id_t)pid, info, options));
    return result;
}

/* 1 and the code, which stays there for reaping; 0 when the child runs, -1 when it is none of ours,
 * or the descriptor is another's. */
static int peek(int fd, int64_t pid, int *code) {
    siginfo_t info;
    if (wait_for(fd, pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        (info.si_pid != 0 && info.si_pid != (pid_t)pid))
        return -1;
    if (info.si_pid == 0 || !is_end(&info)) return 0;
    *code = exit_code(&info);
    return 1;
}

/* The same, and takes it. */
static int take(int fd, int64_t pid, int *code) {
    siginfo_t info;
    int result = peek(fd, pid, code);
    if (result != 1) return result;
    return wait_for(fd, pid, &info, WEXITED | WNOHANG) == 0 && info.si_pid != 0 ? 1 : -1;
}

static int take_by_pid(cohort_os_id_t child, int *code) {
    uint64_t birth = 0;
    cohort__life_t life = cohort__life(child.pid, &birth);
    bool ours =
        life != COHORT__GONE && child.birth != COHORT__BIRTH_GONE && same_birth(child.birth, birth);
    return ours ? take(-1, child.pid, code) : -1;
}

bool cohort__is_unreaped(int fd, cohort_os_id_t child) {
    uint64_t birth = 0;
    int code, result = fd >= 0 ? peek(fd, child.pid, &code) : -1;
    if (fd >= 0 && (result >= 0 || errno != EINVAL)) return result == 1;
    cohort__life_t life = cohort__life(child.pid, &birth);
    bool ours =
        life != COHORT__GONE && child.birth != COHORT__BIRTH_GONE && same_birth(child.birth, birth);
    return ours && peek(-1, child.pid, &code) == 1;
}

bool cohort__code_peek(int fd, int64_t pid, int *code) {
    return peek(fd, pid, code) == 1 || (fd >= 0 && errno == EINVAL && peek(-1, pid, code) == 1);
}

/* Where there is a descriptor of the child and its end is known already, all that is left to do is
 * to release it. */
apr_status_t cohort_os_reap(cohort_os_id_t child, int *code) {
    siginfo_t info;
    if (child.pid <= 0) return APR_ENOENT;
    int fd = cohort__child_descriptor(child), found;
    bool known = fd >= 0 && recall(child, code);
    int result = known     ? wait_for(fd, child.pid, &info, WEXITED | WNOHANG)
                 : fd >= 0 ? take(fd, child.pid, &found)
                           : -1;
    if (fd < 0 || (result < 0 && errno == EINVAL)) result = take_by_pid(child, &found);
    cohort_os_close(fd);
    if (known) return APR_SUCCESS;
    if (result == 0) return APR_EAGAIN;
    if (result < 0) return recall(child, code) ? APR_SUCCESS : APR_ENOENT;
    recall(child, &(int){0}); /* the same, reported twice */
    *code = found;
    return APR_SUCCESS;
}
