/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for ends of processes by process descriptors in an epoll set, in which the channel is
 * too.
 *
 * A process that has ended before it could be watched, and one for which no descriptor could be
 * had, are kept on the list without one: the former is reported at once (an eventfd wakes the
 * waiter), the latter is asked for every few milliseconds.
 *
 * A program may close descriptors that are not its own (closefrom), and open its own under their
 * numbers. So no sleep is longer than a second, and before each it is looked whether the channel is
 * the one that was given, and the epoll set the one that has it. When they are not, the set is made
 * again, with new descriptors, and what has the old numbers is left alone; the channel cannot be
 * made here, and is reported as gone.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#define ASK_EVERY_NS ((int64_t)10000000)
#define LONGEST_NS   ((int64_t)1000000000)
#define REAPING_MS   100

typedef struct entry_t {
    struct entry_t *next, **link; /* link: NULL while it is on no list */
    cohort_os_id_t process;
    uint64_t cookie;
    int pidfd; /* -1: to be asked for */
    bool child;
    bool borrowed; /* to a thread that waits for it itself: not in the epoll set */
} entry_t;

_Static_assert(sizeof(entry_t) <= sizeof(cohort_os_watch_room_t), "an entry fits its room");

struct cohort_os_watch_t {
    cohort_os_mutex_t mutex; /* of the list */
    entry_t *entries;
    int asked;           /* entries without a descriptor */
    unsigned borrowings; /* so far */
    int epoll, nudge, channel;
    cohort_os_known_t known; /* the channel */
    bool alone;              /* no code here closes descriptors that are not its own */
};

/* A process has one watch as a rule. It is no block of the heap: then a forked copy that lets go of
 * it need not copy a page of that. */
static cohort_os_watch_t first;
static _Atomic bool first_used;

static cohort_os_watch_t *watch_new(void) {
    if (atomic_exchange(&first_used, true)) return calloc(1, sizeof(cohort_os_watch_t));
    memset(&first, 0, sizeof first);
    return &first;
}

static void watch_free(cohort_os_watch_t *watch) {
    if (watch == &first) atomic_store(&first_used, false);
    else free(watch);
}

/* struct pidfd_info of Linux 6.13 and its ioctl; the exit code is in it since 6.15, also when the
 * child is reaped already. */
struct exit_info {
    uint64_t mask, cgroup;
    uint32_t pid, tgid, ppid, ids[8];
    int32_t exit_code;
};
#define GET_EXIT_INFO _IOWR(0xFF, 11, struct exit_info)
#define WITH_EXIT     ((uint64_t)1 << 3)

static int add(cohort_os_watch_t *watch, int fd, void *what) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    return epoll_ctl(watch->epoll, EPOLL_CTL_ADD, fd, &event);
}

/* No other epoll set has our channel. */
static bool is_ours(const cohort_os_watch_t *watch) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = (void *)&watch->channel};
    if (watch->channel < 0 || watch->alone) return true;
    if (!cohort_os_is_known(&watch->known)) return false;
    return epoll_ctl(watch->epoll, EPOLL_CTL_MOD, watch->channel, &event) == 0 ||
           (errno != EBADF && errno != ENOENT && errno != EINVAL && errno != EPERM);
}

/* Make the epoll set, with the eventfd in it. */
static apr_status_t make_set(cohort_os_watch_t *watch) {
    watch->nudge = -1;
    watch->epoll = cohort__fd_safe(epoll_create1(EPOLL_CLOEXEC));
    if (watch->epoll >= 0) watch->nudge = cohort__fd_safe(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    return watch->nudge >= 0 && add(watch, watch->nudge, &watch->nudge) == 0 ? APR_SUCCESS : errno;
}

apr_status_t cohort_os_watch_create(cohort_os_watch_t **result) {
    cohort_os_watch_t *watch = watch_new();
    if (!watch) return APR_ENOMEM;
    watch->channel = -1;
    apr_status_t status = make_set(watch);
    if (status == APR_SUCCESS) *result = watch;
    else cohort_os_watch_destroy(watch);
    return status;
}

static void release(int fd) {
    if (fd >= 0) close(fd);
}

/* Descriptors one after the other, as those of children that were started one after the other
 * are. */
typedef struct {
    int low, high;
} run_t;

static void release_run(run_t run) {
    if (run.high < 0 || (run.high > run.low && syscall(SYS_close_range, run.low, run.high, 0) == 0))
        return;
    for (int fd = run.low; fd <= run.high; fd++) close(fd);
}

static bool extend(run_t *run, int fd) {
    if (run->high < 0 || (fd != run->low - 1 && fd != run->high + 1)) return false;
    if (fd < run->low) run->low = fd;
    else run->high = fd;
    return true;
}

/* A copy that is forked beside thousands of children lets go of all their descriptors, in few
 * calls. */
static void release_entries(cohort_os_watch_t *watch) {
    run_t run = {.low = -1, .high = -1};
    for (const entry_t *entry = watch->entries; entry; entry = entry->next) {
        if (entry->pidfd < 0 || extend(&run, entry->pidfd)) continue;
        release_run(run);
        run = (run_t){.low = entry->pidfd, .high = entry->pidfd};
    }
    release_run(run);
    watch->entries = NULL;
}

/* Takes nothing out of the epoll set: in a forked copy that set is still the parent's. */
void cohort_os_watch_destroy(cohort_os_watch_t *watch) {
    if (!watch) return;
    if (is_ours(watch)) {
        release_entries(watch);
        release(watch->epoll);
        release(watch->nudge);
        release(watch->channel);
    }
    watch_free(watch);
}

static void link_entry(cohort_os_watch_t *watch, entry_t *entry) {
    entry->next = watch->entries;
    entry->link = &watch->entries;
    if (entry->next) entry->next->link = &entry->next;
    watch->entries = entry;
    watch->asked += entry->pidfd < 0;
}

static void unlink_entry(cohort_os_watch_t *watch, entry_t *entry) {
    *entry->link = entry->next;
    if (entry->next) entry->next->link = entry->link;
    entry->link = NULL;
    watch->asked -= entry->pidfd < 0;
}

/* A descriptor of exactly this process, or -1. */
static int descriptor(cohort_os_id_t process) {
    int kept = cohort__child_descriptor(process);
    if (kept >= 0) return kept;
    int fd = cohort__pidfd_open(process.pid);
    if (fd >= 0 && fd <= 2) fd = cohort__fd_safe(fd);
    if (fd < 0) return -1;
    uint64_t birth = 0;
    cohort__life_t life = cohort__life(process.pid, &birth);
    if (life != COHORT__GONE && (birth == process.birth || process.birth == 0)) return fd;
    close(fd);
    return -1;
}

static void nudge(cohort_os_watch_t *watch) {
    uint64_t one = 1;
    ssize_t result;
    COHORT__RETRY(result, write(watch->nudge, &one, sizeof one));
}

/* False: other code has closed our descriptors. Then this number may name something of that code by
 * now, and is forgotten, not closed. */
static bool enter_set(cohort_os_watch_t *watch, entry_t *entry) {
    if (entry->pidfd < 0 || add(watch, entry->pidfd, entry) == 0) return true;
    bool ours = errno == ENOSPC || errno == ENOMEM;
    if (ours) close(entry->pidfd);
    entry->pidfd = -1;
    return ours;
}

apr_status_t cohort_os_watch_process(cohort_os_watch_t *watch, cohort_os_watch_room_t *room,
                                     cohort_os_id_t process, bool child, uint64_t cookie) {
    entry_t *entry = (void *)room;
    int pidfd = descriptor(process);
    cohort_os_mutex_lock(&watch->mutex);
    *entry = (entry_t){.process = process, .cookie = cookie, .pidfd = pidfd, .child = child};
    bool there = enter_set(watch, entry);
    link_entry(watch, entry);
    if (there && entry->pidfd < 0) nudge(watch); /* else the waiter finds out within a second */
    cohort_os_mutex_unlock(&watch->mutex);       /* from here on the entry may be gone */
    return APR_SUCCESS;
}

apr_status_t cohort_os_watch_channel(cohort_os_watch_t *watch, cohort_os_handle_t reader,
                                     bool alone) {
    if (watch->channel >= 0) return APR_EINVAL;
    if (add(watch, (int)reader, &watch->channel) != 0) return errno;
    watch->channel = (int)reader;
    watch->alone = alone;
    watch->known = cohort_os_know(reader);
    return APR_SUCCESS;
}

/* It is no child of ours to be reaped any more: another waiter is at it, or the system itself. The
 * descriptor gives the code from the moment on when that is done, which it shows by a hang-up where
 * it can give codes at all. */
static void await_reaping(int pidfd) {
    struct pollfd look = {.fd = pidfd};
    int result;
    COHORT__RETRY(result, poll(&look, 1, REAPING_MS));
}

/* See to it that cohort_os_reap() will know the code, even if other code reaps the child. */
static void note_code(const entry_t *entry) {
    int code;
    if (cohort__code_peek(entry->pidfd, entry->process.pid, &code)) {
        cohort__code_remember(entry->process, code);
        return;
    }
    struct exit_info info = {.mask = WITH_EXIT};
    if (entry->pidfd < 0) return;
    await_reaping(entry->pidfd);
    if (ioctl(entry->pidfd, GET_EXIT_INFO, &info) != 0 || !(info.mask & WITH_EXIT)) return;
    int signal = info.exit_code & 0x7f;
    cohort__code_remember(entry->process, signal ? -signal : (info.exit_code >> 8) & 0xff);
}

static void report_end(cohort_os_watch_t *watch, entry_t *entry, cohort_os_event_t *event) {
    if (entry->child) note_code(entry);
    *event = (cohort_os_event_t){.kind = COHORT_OS_ENDED, .cookie = entry->cookie};
    unlink_entry(watch, entry);
    if (entry->pidfd >= 0) {
        /* a forked copy may keep it open */
        epoll_ctl(watch->epoll, EPOLL_CTL_DEL, entry->pidfd, NULL);
        /* the thread that reaps it need not ask which process that is */
        if (entry->child) cohort__child_keep(entry->process, entry->pidfd);
        else close(entry->pidfd);
    }
}

/* A child can be asked for even when no descriptor at all is to be had. */
static bool has_ended(const entry_t *entry) {
    int code;
    return (entry->child && cohort__code_peek(-1, entry->process.pid, &code)) ||
           !cohort_os_alive(entry->process, NULL);
}

static bool ask(cohort_os_watch_t *watch, cohort_os_event_t *event) {
    bool found = false;
    cohort_os_mutex_lock(&watch->mutex);
    for (entry_t *entry = watch->asked ? watch->entries : NULL; entry && !found;
         entry = entry->next) {
        if (entry->pidfd >= 0 || entry->borrowed || !has_ended(entry)) continue;
        report_end(watch, entry, event);
        found = true;
        break;
    }
    cohort_os_mutex_unlock(&watch->mutex);
    return found;
}

static bool take_message(cohort_os_watch_t *watch, cohort_os_event_t *event) {
    int got = cohort__channel_take(watch->channel, event);
    if (got < 0) return false;
    if (got == 0) {
        epoll_ctl(watch->epoll, EPOLL_CTL_DEL, watch->channel, NULL);
        close(watch->channel);
        watch->channel = -1;
    }
    return true;
}

/* What the epoll set reported may have been lent since, and be gone, or be there again for another
 * process: so it is looked for on the list. */
static bool is_still_so(const cohort_os_watch_t *watch, const void *what) {
    const entry_t *entry = watch->entries;
    while (entry && entry != what) entry = entry->next;
    struct pollfd look = {.fd = entry && !entry->borrowed ? entry->pidfd : -1, .events = POLLIN};
    return look.fd >= 0 && poll(&look, 1, 0) == 1 && look.revents & POLLIN;
}

/* False when there is nothing to report. */
static bool translate(cohort_os_watch_t *watch, void *what, unsigned borrowings,
                      cohort_os_event_t *event) {
    uint64_t count;
    if (what == &watch->channel) return take_message(watch, event);
    if (what == &watch->nudge) {
        /* another thread may have taken it */
        return (void)!read(watch->nudge, &count, sizeof count), false;
    }
    cohort_os_mutex_lock(&watch->mutex);
    bool ended = watch->borrowings == borrowings || is_still_so(watch, what);
    if (ended) report_end(watch, what, event);
    cohort_os_mutex_unlock(&watch->mutex);
    return ended;
}

static int patience(cohort_os_watch_t *watch, int64_t deadline, unsigned *borrowings) {
    cohort_os_mutex_lock(&watch->mutex);
    bool asking = watch->asked > 0;
    *borrowings = watch->borrowings;
    cohort_os_mutex_unlock(&watch->mutex);
    int64_t bound = cohort_os_now() + (asking ? ASK_EVERY_NS : LONGEST_NS);
    return cohort__milliseconds(bound < deadline ? bound : deadline);
}

/* The program has closed our descriptors, and may have others there by now: they are forgotten, not
 * closed. */
static void make_again(cohort_os_watch_t *watch) {
    cohort_os_mutex_lock(&watch->mutex);
    bool made = make_set(watch) == APR_SUCCESS;
    watch->asked = 0;
    for (entry_t *entry = watch->entries; entry; entry = entry->next) {
        entry->pidfd = made ? descriptor(entry->process) : -1;
        if (!entry->borrowed) (void)enter_set(watch, entry);
        watch->asked += entry->pidfd < 0;
    }
    cohort_os_mutex_unlock(&watch->mutex);
    struct timespec pause = cohort__timespec(ASK_EVERY_NS);
    /* no descriptors to be had: everything is asked for meanwhile */
    if (!made) nanosleep(&pause, NULL);
}

static apr_status_t recover(cohort_os_watch_t *watch, int error, cohort_os_event_t *event) {
    if (error == EINTR) return APR_EAGAIN;
    if (error != EBADF && error != EINVAL) return error;
    make_again(watch);
    if (watch->channel < 0) return APR_EAGAIN;
    watch->channel = -1;
    *event = (cohort_os_event_t){.kind = COHORT_OS_GONE};
    return APR_SUCCESS;
}

static int lost(void) {
    errno = EBADF;
    return -1;
}

apr_status_t cohort_os_watch_wait(cohort_os_watch_t *watch, int64_t deadline,
                                  cohort_os_event_t *event) {
    for (;;) {
        struct epoll_event found;
        unsigned borrowings;
        if (ask(watch, event)) return APR_SUCCESS;
        int milliseconds = patience(watch, deadline, &borrowings);
        int n = is_ours(watch) ? epoll_wait(watch->epoll, &found, 1, milliseconds) : lost();
        apr_status_t status = n < 0 ? recover(watch, errno, event) : APR_EAGAIN;
        if (status != APR_EAGAIN) return status;
        if (n == 1 && translate(watch, found.data.ptr, borrowings, event)) return APR_SUCCESS;
        if (deadline != COHORT_OS_NEVER && cohort_os_now() >= deadline) return APR_TIMEUP;
    }
}

/* ---- a thread that waits for a few children itself ------------------------------------------ */

static bool lend_entry(cohort_os_watch_t *watch, entry_t *entry) {
    if (!entry->link || !entry->child || entry->pidfd < 0 || entry->borrowed) return false;
    entry->borrowed = epoll_ctl(watch->epoll, EPOLL_CTL_DEL, entry->pidfd, NULL) == 0;
    return entry->borrowed;
}

/* While it was not in the set, nothing showed that the program had closed it and has another file
 * by this number now. */
static bool is_foreign(int fd) {
    siginfo_t info;
    return cohort__wait_exact(fd, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == EBADF;
}

/* What has had no descriptor any more since the set was made again is asked for already. */
static void return_entry(cohort_os_watch_t *watch, entry_t *entry) {
    bool had = entry->pidfd >= 0;
    entry->borrowed = false;
    if (had && is_foreign(entry->pidfd)) entry->pidfd = -1;
    else (void)enter_set(watch, entry);
    if (!had || entry->pidfd >= 0) return;
    watch->asked++;
    nudge(watch);
}

bool cohort_os_borrow_begin(cohort_os_watch_t *watch, cohort_os_borrow_t *borrow) {
    int borrowed = 0;
    cohort_os_mutex_lock(&watch->mutex);
    for (bool can = true; can && borrowed < borrow->count;) {
        entry_t *entry = (void *)borrow->rooms[borrowed];
        can = lend_entry(watch, entry);
        borrow->children[borrowed] = entry->process;
        borrow->handles[borrowed] = entry->pidfd;
        borrowed += can;
    }
    bool all = borrowed == borrow->count;
    watch->borrowings += (unsigned)borrowed;
    while (!all && borrowed > 0) return_entry(watch, (void *)borrow->rooms[--borrowed]);
    cohort_os_mutex_unlock(&watch->mutex);
    return all;
}

static apr_status_t first_ended(const struct pollfd *looks, const cohort_os_borrow_t *borrow,
                                int *which, int *code) {
    for (int i = 0; i < borrow->count; ++i) {
        if (!looks[i].revents) continue;
        if (!cohort__code_peek(looks[i].fd, borrow->children[i].pid, code)) return APR_ENOENT;
        *which = i;
        return APR_SUCCESS;
    }
    return APR_TIMEUP;
}

apr_status_t cohort_os_borrow_wait(const cohort_os_borrow_t *borrow, int64_t deadline, int *which,
                                   int *code) {
    struct pollfd looks[COHORT_OS_BORROW_MAX];
    int ready;
    for (int i = 0; i < borrow->count; ++i)
        looks[i] = (struct pollfd){.fd = (int)borrow->handles[i], .events = POLLIN};
    do {
        /* rounded down: the rest is the caller's */
        int64_t left =
            deadline == COHORT_OS_NEVER ? deadline : (deadline - cohort_os_now()) / 1000000;
        ready = poll(looks, (nfds_t)borrow->count,
                     left < 0           ? 0
                     : left < INT32_MAX ? (int)left
                                        : INT32_MAX);
    } while (ready < 0 && errno == EINTR);
    return ready < 0 ? errno : first_ended(looks, borrow, which, code);
}

void cohort_os_borrow_return(cohort_os_watch_t *watch, const cohort_os_borrow_t *borrow,
                             int reported) {
    cohort_os_mutex_lock(&watch->mutex);
    for (int i = 0; i < borrow->count; ++i) {
        entry_t *entry = (void *)borrow->rooms[i];
        if (i != reported) return_entry(watch, entry);
        if (i == reported) unlink_entry(watch, entry);
        if (i == reported && entry->pidfd >= 0) cohort__child_keep(entry->process, entry->pidfd);
    }
    cohort_os_mutex_unlock(&watch->mutex);
}
