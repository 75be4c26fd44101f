/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "properties.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <locale.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#define OTHER_ID 12345 /* a user and group that no process has */
#define NAME     "COHORT_TEST_PROPERTY"

static const char *done(int result) { return result == 0 ? NULL : strerror(errno); }

#if defined(__linux__)
static bool read_file(const char *path, char *text, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t used = 0;
    ssize_t got = fd < 0 ? 0 : 1;
    while (got > 0 && used < size - 1) {
        got = read(fd, text + used, size - 1 - used);
        if (got > 0) used += (size_t)got;
    }
    if (fd >= 0) close(fd);
    text[used] = 0;
    return used > 0;
}

/* The rest of the line that begins with `name` in what the system says of the calling process. */
static void look_status(const char *name, char *text, size_t size) {
    char all[8192];
    snprintf(text, size, "(not told)");
    if (!read_file("/proc/self/status", all, sizeof all)) return;
    const char *line = strstr(all, name);
    if (line)
        snprintf(text, size, "%.*s", (int)strcspn(line + strlen(name), "\n"), line + strlen(name));
}
#endif

/* ---- rights --------------------------------------------------------------------------------- */

static const char *change_user(void) {
    if (geteuid() != 0) return "only root can become another user";
    return done(setgid(OTHER_ID) || setuid(OTHER_ID));
}

static void look_user(char *text, size_t size) {
    snprintf(text, size, "%d/%d %d/%d", (int)getuid(), (int)geteuid(), (int)getgid(),
             (int)getegid());
}

static const char *change_effective_user(void) {
    if (geteuid() != 0) return "only root can become another user";
    return done(seteuid(OTHER_ID));
}

static const char *change_groups(void) {
    gid_t list[] = {OTHER_ID, OTHER_ID + 1};
    if (geteuid() != 0) return "only root can change its groups";
    return done(setgroups(2, list));
}

static void look_groups(char *text, size_t size) {
    gid_t list[64];
    int count = getgroups(64, list);
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%d ", (int)list[i]);
}

static const char *change_root(void) {
    char path[] = "/tmp/property_XXXXXX";
    int top = open("/", O_RDONLY | O_CLOEXEC);
    if (geteuid() != 0) return "only root can change its root";
    if (top < 0 || !mkdtemp(path)) return strerror(errno);
    const char *why_not = done(chroot(path));
    unlinkat(top, path + 1, AT_REMOVEDIR); /* a process that is in there stays there */
    close(top);
    return why_not;
}

static void look_root(char *text, size_t size) {
    struct stat facts;
    if (stat("/", &facts) != 0) facts.st_ino = 0;
    snprintf(text, size, "%llu", (unsigned long long)facts.st_ino);
}

#ifdef __linux__
static const char *change_capabilities(void) {
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &head, data) != 0) return strerror(errno);
    if (!(data[0].effective & 1u << CAP_SYS_TIME))
        return "this process has no capability to give up";
    data[0].effective &= ~(1u << CAP_SYS_TIME);
    data[0].permitted &= ~(1u << CAP_SYS_TIME);
    data[0].inheritable &= ~(1u << CAP_SYS_TIME);
    /* or exec would give it back to root */
    if (prctl(PR_CAPBSET_DROP, CAP_SYS_TIME, 0, 0, 0) != 0) return strerror(errno);
    return done((int)syscall(SYS_capset, &head, data));
}

static void look_capabilities(char *text, size_t size) {
    char bounds[64], effective[64];
    look_status("\nCapBnd:\t", bounds, sizeof bounds);
    look_status("\nCapEff:\t", effective, sizeof effective);
    snprintf(text, size, "%s of %s", effective, bounds);
}

static const char *change_securebits(void) {
    if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) != 0) return strerror(errno);
    return NULL;
}

static void look_securebits(char *text, size_t size) {
    snprintf(text, size, "%d", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
}

static const char *change_no_new_privs(void) {
    return done(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}
static void look_no_new_privs(char *text, size_t size) {
    snprintf(text, size, "%d", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

/* One more filter, which lets everything through. */
static const char *change_seccomp(void) {
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog filter = {1, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return strerror(errno);
    return done(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
}

static void look_seccomp(char *text, size_t size) {
    look_status("\nSeccomp_filters:\t", text, size);
}

static const char *change_namespace(void) {
    if (geteuid() != 0) return "only root can leave a namespace";
    return done(unshare(CLONE_NEWUTS));
}

static void look_namespace(char *text, size_t size) {
    ssize_t length = readlink("/proc/self/ns/uts", text, size - 1);
    text[length < 0 ? 0 : length] = 0;
}

static const char *change_dumpable(void) { return done(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)); }
static void look_dumpable(char *text, size_t size) {
    snprintf(text, size, "%d", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
}
#endif

/* ---- surroundings --------------------------------------------------------------------------- */

static const char *change_cwd(void) { return done(chdir("/")); }
static void look_cwd(char *text, size_t size) {
    if (!getcwd(text, size)) text[0] = 0;
}

static const char *change_umask(void) {
    umask(037);
    return NULL;
}

static void look_umask(char *text, size_t size) {
    mode_t mode = umask(0);
    umask(mode);
    snprintf(text, size, "%03o", (unsigned)mode);
}

static const char *change_environment(void) { return done(setenv(NAME, "changed", 1)); }
static void look_environment(char *text, size_t size) {
    snprintf(text, size, "%s", getenv(NAME) ? getenv(NAME) : "(none)");
}

/* What others are shown of it. */
static void look_shown_environment(char *text, size_t size) {
    static char all[262144];
    int fd = open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, all, sizeof all - 1);
    if (fd >= 0) close(fd);
    bool found = false;
    for (ssize_t i = 0; i < got && !found; i += (ssize_t)strlen(all + i) + 1)
        found = strcmp(all + i, NAME "=changed") == 0;
    snprintf(text, size, "%s", got < 0 ? "(not told)" : found ? "changed" : "(none)");
}

static const char *change_limits(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return strerror(errno);
    limit.rlim_cur = 333;
    return done(setrlimit(RLIMIT_NOFILE, &limit));
}

static void look_limits(char *text, size_t size) {
    struct rlimit limit = {0, 0};
    getrlimit(RLIMIT_NOFILE, &limit);
    snprintf(text, size, "%llu", (unsigned long long)limit.rlim_cur);
}

static const char *change_nice(void) { return done(setpriority(PRIO_PROCESS, 0, 7)); }
static void look_nice(char *text, size_t size) {
    snprintf(text, size, "%d", getpriority(PRIO_PROCESS, 0));
}

#ifdef __linux__
static const char *change_scheduling(void) {
    struct sched_param parameters = {0};
    return done(sched_setscheduler(0, SCHED_BATCH, &parameters));
}

static void look_scheduling(char *text, size_t size) {
    snprintf(text, size, "%d", sched_getscheduler(0));
}

static const char *change_cpus(void) {
    cpu_set_t set, one;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return strerror(errno);
    if (CPU_COUNT(&set) < 2) return "there is one CPU";
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &set)) CPU_SET(i, &one);
    return done(sched_setaffinity(0, sizeof one, &one));
}

static void look_cpus(char *text, size_t size) {
    look_status("\nCpus_allowed_list:\t", text, size);
}

static const char *change_oom_score(void) {
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return strerror(errno);
    ssize_t put = write(fd, "321", 3);
    close(fd);
    return put == 3 ? NULL : "the score cannot be changed";
}

static void look_oom_score(char *text, size_t size) {
    read_file("/proc/self/oom_score_adj", text, size);
    text[strcspn(text, "\n")] = 0;
}
#endif

static const char *change_session(void) {
    return setsid() < 0 ? "this process leads its group already" : NULL;
}
static void look_session(char *text, size_t size) { snprintf(text, size, "%d", (int)getsid(0)); }

static const char *change_group(void) { return done(setpgid(0, 0)); }
static void look_group(char *text, size_t size) { snprintf(text, size, "%d", (int)getpgrp()); }

/* ---- signals -------------------------------------------------------------------------------- */

static const struct {
    int number;
    const char *name;
} signals[] = {{SIGHUP, "HUP"},   {SIGINT, "INT"},   {SIGQUIT, "QUIT"}, {SIGPIPE, "PIPE"},
               {SIGTERM, "TERM"}, {SIGCHLD, "CHLD"}, {SIGUSR1, "USR1"}, {SIGUSR2, "USR2"},
               {SIGALRM, "ALRM"}, {SIGTSTP, "TSTP"}};

static void list_signals(char *text, size_t size, bool (*is)(int number)) {
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (is(signals[i].number))
            used += (size_t)snprintf(text + used, size - used, "%s ", signals[i].name);
}

static bool is_blocked(int number) {
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    return sigismember(&mask, number) == 1;
}

static bool is_ignored(int number) {
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static bool is_handled(int number) {
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_IGN &&
           action.sa_handler != SIG_DFL;
}

static const char *change_mask(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGTERM);
    return done(sigprocmask(SIG_BLOCK, &set, NULL));
}

static void look_mask(char *text, size_t size) { list_signals(text, size, is_blocked); }

static const char *change_ignored(void) {
    signal(SIGUSR2, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    return NULL;
}

static void look_ignored(char *text, size_t size) { list_signals(text, size, is_ignored); }

static void handler(int number) { (void)number; }

static const char *change_handled(void) {
    signal(SIGUSR1, handler);
    signal(SIGTERM, handler);
    signal(SIGCHLD, handler);
    return NULL;
}

static void look_handled(char *text, size_t size) { list_signals(text, size, is_handled); }

/* ---- files ---------------------------------------------------------------------------------- */

/* Each goes to a file of its own, as after a log was reopened. */
/* As dup3() does it where there is one. */
static int dup_as(int from, int to, int flags) {
    if (dup2(from, to) < 0) return -1;
    return fcntl(to, F_SETFD, flags & O_CLOEXEC ? FD_CLOEXEC : 0);
}

static const char *change_streams(void) {
    for (int fd = 0; fd < 3; fd++) {
        char path[] = "/tmp/property_XXXXXX";
        int file = mkostemp(path, O_CLOEXEC);
        if (file < 0) return strerror(errno);
        unlink(path);
        if (dup_as(file, fd, O_CLOEXEC) < 0) return strerror(errno);
        close(file);
    }
    return NULL;
}

static void look_streams(char *text, size_t size) {
    size_t used = 0;
    for (int fd = 0; fd < 3; fd++) {
        struct stat facts;
        unsigned long long number = fstat(fd, &facts) == 0 ? (unsigned long long)facts.st_ino : 0;
        used += (size_t)snprintf(text + used, size - used, "%llu ", number);
    }
}

/* Of these numbers, with and without close-on-exec. */
enum { FIRST = 150, LAST = 155 };

static const char *change_descriptors(void) {
    for (int fd = FIRST; fd < LAST; fd++)
        if (dup_as(2, fd, fd % 2 ? O_CLOEXEC : 0) < 0) return strerror(errno);
    return NULL;
}

static void look_descriptors(char *text, size_t size) {
    size_t used = 0;
    text[0] = 0;
    for (int fd = FIRST; fd < LAST; fd++)
        if (fcntl(fd, F_GETFD) >= 0) used += (size_t)snprintf(text + used, size - used, "%d ", fd);
}

/* ---- the C library -------------------------------------------------------------------------- */

static const char *change_locale(void) {
    return setlocale(LC_ALL, "C.UTF-8") ? NULL : "there is no such locale";
}
static void look_locale(char *text, size_t size) {
    snprintf(text, size, "%s", setlocale(LC_CTYPE, NULL));
}

/* ---- the table ------------------------------------------------------------------------------ */

static const property_t properties[] = {
    {"user", change_user, look_user},
    {"effective_user", change_effective_user, look_user},
    {"groups", change_groups, look_groups},
    {"root", change_root, look_root},
#ifdef __linux__
    {"capabilities", change_capabilities, look_capabilities},
    {"securebits", change_securebits, look_securebits},
    {"no_new_privs", change_no_new_privs, look_no_new_privs},
    {"seccomp", change_seccomp, look_seccomp},
    {"namespaces", change_namespace, look_namespace},
    {"dumpable", change_dumpable, look_dumpable},
    {"scheduling", change_scheduling, look_scheduling},
    {"cpus", change_cpus, look_cpus},
    {"oom_score", change_oom_score, look_oom_score},
#endif
    {"cwd", change_cwd, look_cwd},
    {"umask", change_umask, look_umask},
    {"environment", change_environment, look_environment},
    {"shown_environment", change_environment, look_shown_environment},
    {"limits", change_limits, look_limits},
    {"nice", change_nice, look_nice},
    {"session", change_session, look_session},
    {"group", change_group, look_group},
    {"signal_mask", change_mask, look_mask},
    {"ignored_signals", change_ignored, look_ignored},
    {"handled_signals", change_handled, look_handled},
    {"streams", change_streams, look_streams},
    {"descriptors", change_descriptors, look_descriptors},
    {"locale", change_locale, look_locale},
};

const property_t *property_find(const char *name) {
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
        if (strcmp(properties[i].name, name) == 0) return &properties[i];
    return NULL;
}
