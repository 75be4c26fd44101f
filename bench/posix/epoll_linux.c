/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the system itself takes to tell which one of many is ready. */
#include "raw.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

typedef struct {
    int set, n;
    int *events;
} crowd_t;

static void turns(void *arg, long first, long n) {
    const crowd_t *crowd = arg;
    uint64_t one = 1;
    for (long i = first; i < first + n; i++) {
        struct epoll_event ready[16];
        int event = crowd->events[(unsigned long)i * 7919 % (unsigned long)crowd->n];
        PEER_MUST(write(event, &one, sizeof one) == sizeof one);
        PEER_MUST(epoll_wait(crowd->set, ready, 16, -1) == 1 && ready[0].data.fd == event);
        PEER_MUST(read(event, &one, sizeof one) == sizeof one);
    }
}

double raw_epoll(const char *metric, long count) {
    crowd_t crowd = {.set = epoll_create1(EPOLL_CLOEXEC), .n = atoi(strchr(metric, '.') + 1)};
    struct rlimit files;
    crowd.events = calloc((size_t)crowd.n, sizeof *crowd.events);
    PEER_MUST(crowd.set >= 0 && crowd.events && getrlimit(RLIMIT_NOFILE, &files) == 0);
    files.rlim_cur = files.rlim_max;
    PEER_MUST(setrlimit(RLIMIT_NOFILE, &files) == 0);
    for (int i = 0; i < crowd.n; i++) {
        crowd.events[i] = eventfd(0, EFD_CLOEXEC);
        struct epoll_event wanted = {.events = EPOLLIN, .data.fd = crowd.events[i]};
        PEER_MUST(crowd.events[i] >= 0);
        PEER_MUST(epoll_ctl(crowd.set, EPOLL_CTL_ADD, crowd.events[i], &wanted) == 0);
    }
    return peer_blocks(turns, &crowd, count);
}
