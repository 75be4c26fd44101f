/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * All that a process has started, found in /proc: what bears the tree's mark (os_mark_proc.c), and
 * the children of what is found. Each process is stopped as it is found, so it starts no more and
 * its children keep their parent, by which they are found in the same pass or in the next one; but
 * for those in a group of which the leader is none of the tree. When a pass finds nothing new all
 * are killed, children before their parents, since a parent's end would have the system continue
 * its stopped children; and one more pass looks whether that was all. So a tree that has ended
 * already costs one pass.
 *
 * A process is looked at, and stopped, through the directory that it has in /proc, which is never a
 * later process' with the same number. Those that began before the first one are passed over, when
 * that still runs.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_pidfd.h"
#include "os_posix.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEARCH_TIME INT64_C(5000000000)
#define TEXT_FIRST  ((size_t)16 << 10)
#define TEXT_LIMIT  ((size_t)4 << 20) /* no environment is larger */

typedef struct {
    cohort_os_id_t id;
    uint64_t started;
    uint64_t mark; /* its innermost tree; 0 = it has none */
} member_t;

typedef struct {
    const cohort_os_tree_t *tree;
    bool (*spares)(int64_t pid);
    uint64_t since; /* the first was started; 0: not known */
    int64_t deadline, self;
    member_t *members;
    size_t count, room;
    bool has_self, short_of_memory;
    bool gentle; /* nothing is stopped or killed yet */
    char *text;
    size_t text_room;
} search_t;

/* ---- one process ---------------------------------------------------------------------------- */

static int open_process(int64_t pid) {
    char path[32];
    int fd;
    snprintf(path, sizeof path, "/proc/%lld", (long long)pid);
    COHORT__RETRY(fd, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return cohort__fd_safe(fd);
}

static bool look_at_stat(int process, cohort__stat_t *stat) {
    char text[1024];
    int fd;
    COHORT__RETRY(fd, openat(process, "stat", O_RDONLY | O_CLOEXEC));
    if (fd < 0) return false;
    size_t got = cohort__read_all(fd, text, sizeof text - 1);
    close(fd);
    text[got] = 0;
    if (cohort__stat_parse(text, stat) != 1) return false;
    return stat->state != 'X' && (stat->state != 'Z' || stat->threads > 1);
}

static bool has_room(search_t *s, size_t used) {
    if (used < s->text_room) return true;
    size_t room = s->text_room ? s->text_room * 4 : TEXT_FIRST;
    char *text = room <= TEXT_LIMIT ? realloc(s->text, room + 1) : NULL;
    if (!text) return false;
    s->text = text;
    s->text_room = room;
    return true;
}

/* A whole file, or as much as there is room for; its length. */
static size_t read_whole(search_t *s, int process, const char *name) {
    int fd;
    size_t total = 0, got = 1;
    COHORT__RETRY(fd, openat(process, name, O_RDONLY | O_CLOEXEC));
    while (fd >= 0 && got > 0 && has_room(s, total)) {
        got = cohort__read_all(fd, s->text + total, s->text_room - total);
        total += got;
        if (total < s->text_room) break;
    }
    if (fd >= 0) close(fd);
    if (s->text) s->text[total] = 0;
    return total;
}

/* Its characters, up to the first that no list has. */
static void copy_list(const char *from, char list[COHORT__MARK_MAX]) {
    size_t length = strspn(from, "-,0123456789abcdef");
    if (length >= COHORT__MARK_MAX) length = 0;
    memcpy(list, from, length);
    list[length] = 0;
}

static void list_of_environment(search_t *s, int process, char list[COHORT__MARK_MAX]) {
    size_t length = read_whole(s, process, "environ");
    *list = 0;
    for (const char *at = s->text, *end = at + length; at && at < end; at += strlen(at) + 1) {
        if (cohort__mark_is(at)) {
            copy_list(at + sizeof COHORT__MARK_NAME - 1, list);
            return;
        }
    }
}

/* What a copy has in its memory; else the list stays what it is. */
static void list_of_memory(search_t *s, int process, char list[COHORT__MARK_MAX]) {
    size_t length = read_whole(s, process, "maps");
    const char *at = length ? strstr(s->text, "/memfd:" COHORT__MARK_MEMORY) : NULL;
    if (at) copy_list(at + sizeof "/memfd:" COHORT__MARK_MEMORY - 1, list);
}

static bool may_be_copy(const search_t *s, int process) {
    struct stat program;
    return s->tree->file && fstatat(process, "exe", &program, 0) == 0 &&
           (uint64_t)program.st_dev == s->tree->device && (uint64_t)program.st_ino == s->tree->file;
}

/* By its mark, or as the child of a member, unless it is detached in the tree: what a member starts
 * has that one's mark, or none. */
static bool belongs(search_t *s, int process, const member_t *parent, uint64_t *mark) {
    char list[COHORT__MARK_MAX];
    uint64_t token = s->tree->token;
    list_of_environment(s, process, list);
    bool suspect = parent || (token && cohort__mark_has(list, token)) || may_be_copy(s, process);
    if (!suspect) return false;
    list_of_memory(s, process, list);
    *mark = cohort__mark_last(list);
    if (token && cohort__mark_has(list, token)) return true;
    if (!parent || !*list) return parent != NULL;
    return parent->mark ? cohort__mark_has(list, parent->mark) : *list != '-';
}

/* ---- members -------------------------------------------------------------------------------- */

static const member_t *find_member(const search_t *s, int64_t pid) {
    size_t i = s->count;
    while (i > 0 && s->members[i - 1].id.pid != pid) --i;
    return i > 0 ? &s->members[i - 1] : NULL;
}

static bool add_member(search_t *s, member_t member) {
    if (s->count == s->room) {
        size_t room = s->room ? s->room * 2 : 64;
        member_t *more = realloc(s->members, room * sizeof *more);
        if (!more) return false;
        s->members = more;
        s->room = room;
    }
    s->members[s->count++] = member;
    return true;
}

/* A directory of /proc stands for the process as a descriptor of it does. */
static int signal_through(int process, int64_t pid, int signal) {
    cohort__stat_t stat;
    int result = (int)syscall(SYS_pidfd_send_signal, process, signal, NULL, 0);
    if (result == 0 || (errno != ENOSYS && errno != EPERM && errno != EBADF)) return result;
    return look_at_stat(process, &stat) ? kill((pid_t)pid, signal) : -1;
}

/* Not in a group that may have other processes: that group would be hung up on, all of it, if the
 * system found it orphaned with a stopped process in it. */
static bool may_be_stopped(const search_t *s, int64_t pid, const cohort__stat_t *stat) {
    return pid != s->self && (stat->group == pid || find_member(s, stat->group) != NULL);
}

/* The birth is looked at while it is known to be there, as it is after that. */
static apr_status_t take_in(search_t *s, int process, int64_t pid, const cohort__stat_t *stat,
                            uint64_t mark) {
    member_t member = {{pid, 0}, stat->started, mark};
    /* 0: may it be signalled? */
    int signal = !s->gentle && may_be_stopped(s, pid, stat) ? SIGSTOP : 0;
    if (pid == s->self) s->has_self = true;
    (void)cohort__life(pid, &member.id.birth);
    if (signal_through(process, pid, signal) != 0) {
        if (errno == ESRCH) return ESRCH;
        return add_member(s, member) ? errno : APR_ENOMEM;
    }
    if (add_member(s, member)) return APR_SUCCESS;
    s->short_of_memory = true;
    return pid == s->self || s->gentle || signal_through(process, pid, SIGKILL) == 0 ? APR_ENOMEM
                                                                                     : errno;
}

/* True: it was not known before. */
static bool visit(search_t *s, int64_t pid) {
    cohort__stat_t stat;
    uint64_t mark = 0;
    int process = open_process(pid);
    if (process < 0) return false;
    bool found = look_at_stat(process, &stat) && stat.started >= s->since;
    const member_t *known = found ? find_member(s, pid) : NULL;
    if (found && known && known->started == stat.started) found = false;
    if (found) found = belongs(s, process, find_member(s, stat.parent), &mark) && !s->spares(pid);
    if (found) found = take_in(s, process, pid, &stat, mark) != ESRCH;
    close(process);
    return found;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* In the order of their numbers, so as a rule parents before their children. True: there was one
 * that was not known. */
static bool pass_over(search_t *s) {
    bool found = false;
    DIR *directory = opendir("/proc");
    for (struct dirent *entry; directory && (entry = readdir(directory)) != NULL;) {
        char *end;
        long long pid =
            *entry->d_name >= '0' && *entry->d_name <= '9' ? strtoll(entry->d_name, &end, 10) : 0;
        if (pid > 0) found |= visit(s, pid);
    }
    if (directory) closedir(directory);
    return found;
}

static void kill_from(search_t *s, size_t first) {
    for (size_t i = s->count; i > first; --i) {
        const member_t *member = &s->members[i - 1];
        if (member->id.pid != s->self) (void)cohort_os_signal(member->id, COHORT_OS_KILL);
    }
}

/* The first member. */
static apr_status_t begin_with(search_t *s, cohort_os_id_t leader) {
    cohort__stat_t stat;
    char list[COHORT__MARK_MAX];
    int process = open_process(leader.pid);
    if (process < 0) return APR_SUCCESS;
    apr_status_t status = APR_SUCCESS;
    if (look_at_stat(process, &stat) && cohort_os_alive(leader, NULL)) {
        list_of_environment(s, process, list);
        list_of_memory(s, process, list);
        if (!s->since) s->since = stat.started;
        status = take_in(s, process, leader.pid, &stat, cohort__mark_last(list));
    }
    close(process);
    return status == ESRCH || status == APR_ENOMEM ? APR_SUCCESS : status;
}

static apr_status_t end_members(search_t *s) {
    size_t killed = 0;
    for (;;) {
        bool late = cohort_os_now() > s->deadline;
        if (pass_over(s) && !late) continue;
        if (s->count == killed) break;
        kill_from(s, killed);
        killed = s->count;
        if (late) return cohort__fail(APR_TIMEUP, "ending a tree that grows as fast");
    }
    return s->short_of_memory ? cohort__fail(APR_ENOMEM, "noting the processes of a tree")
                              : APR_SUCCESS;
}

/* ---- asked first ---------------------------------------------------------------------------- */

/* Until it has ended, or the time is over. */
static void await_end(cohort_os_id_t id, int64_t until) {
    struct pollfd end = {.fd = cohort__pidfd_open(id.pid), .events = POLLIN};
    while (cohort_os_alive(id, NULL)) {
        int64_t rest = until - cohort_os_now();
        if (rest <= 0) break;
        /* without a descriptor it is looked at again and again */
        int64_t most = end.fd < 0 ? 10 : 3600000, milliseconds = rest / 1000000 + 1;
        (void)poll(&end, end.fd < 0 ? 0 : 1, (int)(milliseconds < most ? milliseconds : most));
    }
    if (end.fd >= 0) close(end.fd);
}

/* Those that are left are stopped, as those are that are found from here on. */
static void keep_living(search_t *s) {
    size_t kept = 0;
    for (size_t i = 0; i < s->count; ++i) {
        member_t member = s->members[i];
        cohort__stat_t stat;
        int process = open_process(member.id.pid);
        bool lives = process >= 0 && look_at_stat(process, &stat) && stat.started == member.started;
        if (lives) s->members[kept++] = member;
        if (lives && may_be_stopped(s, member.id.pid, &stat))
            (void)signal_through(process, member.id.pid, SIGSTOP);
        if (process >= 0) close(process);
    }
    s->count = kept;
}

static void ask_members(search_t *s, int64_t until) {
    while (pass_over(s) && cohort_os_now() < s->deadline) continue;
    for (size_t i = s->count; i > 0; --i) {
        const member_t *member = &s->members[i - 1];
        if (member->id.pid != s->self) (void)cohort_os_signal(member->id, SIGTERM);
    }
    for (size_t i = 0; i < s->count; ++i)
        if (s->members[i].id.pid != s->self) await_end(s->members[i].id, until);
    s->gentle = false;
    s->deadline = cohort_os_now() + SEARCH_TIME;
    keep_living(s);
}

/* Does /proc show the processes that this one knows? */
static apr_status_t check_proc(void) {
    char own[24] = "";
    ssize_t length = readlink("/proc/self", own, sizeof own - 1);
    if (length > 0 && strtoll(own, NULL, 10) == (long long)getpid()) return APR_SUCCESS;
    return cohort__fail(APR_ENOTIMPL, "finding what a process has started, without /proc");
}

apr_status_t cohort_os_tree_end(const cohort_os_tree_t *tree, cohort_os_id_t leader, bool whole,
                                int64_t ask, bool (*spares)(int64_t pid)) {
    static const cohort_os_tree_t no_tree;
    if (!tree && !whole) {
        cohort__group_end(leader);
        return APR_SUCCESS;
    }
    search_t s = {.tree = tree ? tree : &no_tree,
                  .spares = spares,
                  .deadline = cohort_os_now() + SEARCH_TIME,
                  .self = getpid(),
                  .gentle = whole && ask != 0};
    apr_status_t status = check_proc();
    if (status == APR_SUCCESS && whole) status = begin_with(&s, leader);
    if (status == APR_SUCCESS && s.count && s.gentle) ask_members(&s, ask);
    s.gentle = false;
    if (status == APR_SUCCESS && (s.count || s.tree->token)) status = end_members(&s);
    bool has_self = s.has_self;
    free(s.members);
    free(s.text);
    if (has_self) (void)kill(getpid(), SIGKILL);
    return status;
}
