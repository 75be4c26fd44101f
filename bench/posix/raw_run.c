/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* A program is started with two pipes, which are read as poll() says, and waited for. */
#include "raw.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

typedef struct {
    char *data;
    size_t size, room;
} collected_t;

/* What is there; 0: the end. */
static ssize_t collect(int fd, collected_t *c) {
    if (c->room - c->size < 65536) {
        c->room = c->room ? c->room * 2 : 131072;
        PEER_MUST((c->data = realloc(c->data, c->room)) != NULL);
    }
    ssize_t got = read(fd, c->data + c->size, c->room - c->size);
    PEER_MUST(got >= 0);
    c->size += (size_t)got;
    return got;
}

static void collect_both(const int fds[2], collected_t *collected) {
    struct pollfd set[2] = {{.fd = fds[0], .events = POLLIN}, {.fd = fds[1], .events = POLLIN}};
    while (set[0].fd >= 0 || set[1].fd >= 0) {
        PEER_MUST(poll(set, 2, -1) > 0);
        for (int i = 0; i < 2; i++)
            if (set[i].fd >= 0 && set[i].revents && collect(fds[i], &collected[i]) == 0)
                set[i].fd = -1;
    }
}

static pid_t start_with(const char *bytes, int fds[2]) {
    char *const argv[] = {"head", "-c", (char *)bytes, "/dev/zero", NULL};
    posix_spawn_file_actions_t actions;
    int out[2], err[2];
    pid_t pid;
    PEER_MUST(pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    PEER_MUST(posix_spawnp(&pid, "head", &actions, NULL, argv, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    close(err[1]);
    fds[0] = out[0];
    fds[1] = err[0];
    return pid;
}

static const char *wanted;

static void run_programs(void *arg, long first, long n) {
    (void)arg, (void)first;
    for (; n > 0; n--) {
        int fds[2];
        collected_t collected[2] = {{NULL, 0, 0}, {NULL, 0, 0}};
        pid_t pid = start_with(wanted, fds);
        collect_both(fds, collected);
        close(fds[0]);
        close(fds[1]);
        peer_join(pid);
        PEER_MUST(collected[0].size == (size_t)atol(wanted));
        free(collected[0].data);
        free(collected[1].data);
    }
}

double raw_run(const char *metric, long count) {
    wanted = strstr(metric, "10MiB") ? "10485760" : "1024";
    return peer_blocks(run_programs, NULL, count);
}
