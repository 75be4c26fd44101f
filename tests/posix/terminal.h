/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* A pseudo-terminal for tests: the test is at its other end, a leader of a session has it. */
#ifndef COHORT_TESTS_TERMINAL_H
#define COHORT_TESTS_TERMINAL_H

#include "system.h"

#include <sys/ioctl.h>
#include <termios.h>

typedef struct {
    char name[64];
    int master;
} terminal_t;

/* The master's end. */
static inline int open_terminal(terminal_t *terminal) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) SKIP("needs pseudo-terminals");
    CHECK_INT(0, fcntl(master, F_SETFD, FD_CLOEXEC));
    const char *name = ptsname(master);
    CHECK(name != NULL && strlen(name) < sizeof terminal->name);
    strcpy(terminal->name, name);
    terminal->master = master;
    return master;
}

/* Become the leader of a session with that terminal, and its foreground group. */
static inline void take_terminal(const terminal_t *terminal) {
    if (!strcmp(test_method(), "fork")) close(terminal->master); /* a copy */
    CHECK(setsid() > 0);
    int fd = open(terminal->name, O_RDWR);
    CHECK(fd >= 0);
#ifdef TIOCSCTTY
    CHECK(ioctl(fd, TIOCSCTTY, 0) == 0);
#endif
    for (int i = 0; i < 3; i++) CHECK_INT(i, dup2(fd, i));
    close(fd);
}

/* Start the job in the foreground of the terminal that this process leads, and see it end. */
static inline void lead_job(cohort_target_t target, const void *args, apr_size_t size,
                            cohort_event_t *shown) {
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_FOREGROUND,
                                        .group = COHORT_GROUP_OWN};
    cohort_process_t *job = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_process_create(&job, target, args, size, &options, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(job));
    CHECK_INT(0, tcsetpgrp(0, (pid_t)cohort_process_pid(job)));
    set_event(shown);
    party_end(job, 0);
}

static inline void type(int master, char key) { CHECK_INT(1, write(master, &key, 1)); }

#endif
