/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The roles of the children that only POSIX systems have. */
#ifdef _WIN32

#include "seam.h"

int seam_system_role(const cohort_os_boot_t *boot, const cohort_os_arena_t *arena) {
    (void)arena;
    return (int)boot->role;
}

#else

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "seam_posix.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static bool shows(const char *file, const char *text) {
    char path[64], line[512] = "";
    snprintf(path, sizeof path, "/proc/self/%s", file);
    FILE *stream = fopen(path, "r");
    bool found =
        stream && fgets(line, sizeof line, stream) && strncmp(line, text, strlen(text)) == 0;
    if (!found) fprintf(stderr, "%s is \"%s\"\n", path, line);
    if (stream) fclose(stream);
    return found;
}

static void become_named(const char *name) {
    CHECK_STATUS(APR_SUCCESS, cohort_os_become(&(cohort_os_become_t){.name = name}));
}

static int check_title(void) {
    if (!shows("comm", "seam-test") || !shows("cmdline", "seam-test")) return 1;
    become_named("another name, and a long one");
    if (!shows("comm", "another name, a\n") || !shows("cmdline", "another name, and a long one"))
        return 2;
    become_named("x");
    return shows("comm", "x\n") && shows("cmdline", "x") ? 0 : 3;
}

/* Only what the boot block gives may be open. */
static int check_descriptors(const cohort_os_boot_t *boot) {
    int extra = 0;
    for (int fd = 3; fd < 1024; ++fd)
        if (fd != boot->arena && fcntl(fd, F_GETFD) != -1) extra = fd;
    return extra;
}

static int check_mask(void) {
    sigset_t mask;
    struct sigaction action;
    char byte;
    if (read(0, &byte, 1) != 0) return 100;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    for (int number = 1; number < 32; ++number)
        if (sigismember(&mask, number)) return number;
    sigaction(SIGCHLD, NULL, &action);
    if (action.sa_handler != SIG_DFL) return 101;
    sigaction(SIGPIPE, NULL, &action);
    return action.sa_handler == SIG_IGN ? 0 : 102;
}

static _Noreturn void arm_and_close_all(const cohort_os_boot_t *boot) {
    CHECK_STATUS(APR_SUCCESS,
                 cohort_os_become(&(cohort_os_become_t){.lifeline = boot->lifeline,
                                                        .hangs = COHORT_OS_LIFELINE_LASTING}));
    poll(NULL, 0, 100); /* a variant with a thread: that sleeps by now */
    close_all();
    CHECK_INT(1, write(1, "x", 1));
    for (;;) pause();
}

int seam_system_role(const cohort_os_boot_t *boot, const cohort_os_arena_t *arena) {
    (void)arena;
    switch (boot->role) {
    case TITLE: return check_title();
    case DESCRIPTORS: return check_descriptors(boot);
    case MASK: return check_mask();
    case ARM_AND_CLOSE_ALL: arm_and_close_all(boot);
    case SESSION: return getsid(0) == getpid() ? 0 : 1;
    default: return 200;
    }
}

#endif
