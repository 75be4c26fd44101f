/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a new process has as its standard streams: where they go, and a terminal of its own. All but
 * the making of a terminal is async-signal-safe, and done in the new process.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

int cohort__null_open(void) {
    int null;
    COHORT__RETRY(null, open("/dev/null", O_RDWR | O_CLOEXEC));
    return cohort__fd_safe(null);
}

/* Which descriptor the stream is to be one of; -1: it stays what it is; -2, with errno. */
static int source(const cohort_os_handle_t stdio[3], const int *from, int i, int *null) {
    int fd = (int)stdio[i];
    if (fd == COHORT_OS_OUTPUT) fd = from[1] < 0 ? 1 : from[1];
    if (fd == COHORT_OS_NULL && *null < 0 && (*null = cohort__null_open()) < 0) return -2;
    if (fd == COHORT_OS_NULL) fd = *null;
    /* a dup2() of another stream would overwrite it */
    if (fd < 0 || fd > 2 || fd == i) return fd;
    fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return fd < 0 ? -2 : fd;
}

static int connect_stream(int from, int i) {
    int result;
    if (from < 0) fcntl(i, F_SETFD, 0); /* if it is open */
    if (from < 0) return 0;
    COHORT__RETRY(result, from == i ? fcntl(i, F_SETFD, 0) : dup2(from, i));
    return result < 0 ? -1 : 0;
}

int cohort__streams_redirect(const cohort_os_handle_t stdio[3]) {
    int from[3] = {-1, -1, -1}, null = -1;
    for (int i = 0; i < 3; ++i)
        if ((from[i] = source(stdio, from, i, &null)) == -2) return -1;
    for (int i = 0; i < 3; ++i)
        if (connect_stream(from[i], i) != 0) return -1;
    /* a copy goes on with what was opened for this */
    for (int i = 0; i < 3; ++i) {
        bool given = from[i] == (int)stdio[i] || (i == 2 && from[2] == from[1]);
        if (from[i] > 2 && from[i] != null && !given) close(from[i]);
    }
    if (null > 2) close(null);
    return 0;
}

void cohort__streams_null(const cohort_os_handle_t *given) {
    int null;
    COHORT__RETRY(null, open("/dev/null", O_RDWR));
    for (int i = 0; i < 3; ++i) {
        if (i == null || (given && given[i] != COHORT_OS_NONE)) continue;
        if (null < 0 || dup2(null, i) < 0) close(i);
    }
    if (null > 2) close(null);
}

void cohort__detach(bool keep_streams) {
    setsid();
    if (!keep_streams) cohort__streams_null(NULL);
}

/* ---- terminals ------------------------------------------------------------------------------ */

#ifdef __linux__
#define CLOSES O_CLOEXEC
#else
#define CLOSES 0 /* posix_openpt() need not know it */
#endif

apr_status_t cohort__terminal_create(cohort_os_handle_t *ours, cohort_os_handle_t *theirs) {
    char name[128];
    int raw[2] = {posix_openpt(O_RDWR | O_NOCTTY | CLOSES), -1};
    if (raw[0] < 0) return cohort__fail(errno, "making a pseudo-terminal");
    bool ready = grantpt(raw[0]) == 0 && unlockpt(raw[0]) == 0;
#ifdef __linux__
    ready = ready && ptsname_r(raw[0], name, sizeof name) == 0;
#else
    const char *slave = ready ? ptsname(raw[0]) : NULL;
    ready = slave && strlcpy(name, slave, sizeof name) < sizeof name;
#endif
    if (ready) COHORT__RETRY(raw[1], open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (raw[1] >= 0) return cohort__fd_pair(raw, ours, theirs);
    int error = errno;
    close(raw[0]);
    return cohort__fail(error, "opening a pseudo-terminal");
}

/* The terminal is the one of the streams that belongs to no session yet. */
int cohort__terminal_enter(const cohort_os_terminal_t *terminal) {
    struct winsize size = {.ws_col = terminal->columns, .ws_row = terminal->rows};
    int fd = 0;
    if (!terminal->own) return 0;
    while (fd < 3 && (!isatty(fd) || ioctl(fd, TIOCSCTTY, 0) != 0)) ++fd;
    return fd < 3 ? ioctl(fd, TIOCSWINSZ, &size) : -1;
}
