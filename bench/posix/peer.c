/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CANNOT = 77, LIMIT = 120 };

int peer_main(int argc, char **argv, const peer_work_t *table) {
    if (argc != 4) return 2;
    for (; table->peer; table++) {
        if (strcmp(table->peer, argv[1]) || strncmp(table->metric, argv[2], strlen(table->metric)))
            continue;
        alarm(LIMIT);
        printf("%.9g\n", table->run(argv[2], atol(argv[3])));
        return 0;
    }
    return CANNOT;
}

double peer_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

void peer_check(int ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "a peer failed: %s\n", what);
    _exit(1);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double peer_median(double *values, long n) {
    qsort(values, (size_t)n, sizeof *values, compare);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

double peer_blocks(void (*block)(void *arg, long first, long n), void *arg, long count) {
    enum { BLOCKS = 500 };
    static const double limit = 1e6;
    static double took[2 * BLOCKS + 1];
    long size = count / BLOCKS + 1, blocks = 0;
    double all = 0;
    for (long i = 0; i < count && all < limit; i += size) {
        long n = count - i < size ? count - i : size;
        double begin = peer_now();
        block(arg, i, n);
        double each = peer_now() - begin;
        all += each;
        took[blocks++] = each / (double)n;
    }
    return peer_median(took, blocks) * (double)count;
}

void *peer_shared(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    PEER_MUST(memory != MAP_FAILED);
    memset(memory, 0, size); /* all pages are there before the clock runs */
    return memory;
}

int peer_fork(void (*work)(void *), void *arg) {
    pid_t pid = fork();
    PEER_MUST(pid >= 0);
    if (pid > 0) return pid;
    alarm(LIMIT);
    work(arg);
    _exit(0);
}

void peer_join(int pid) {
    int status;
    PEER_MUST(waitpid(pid, &status, 0) == pid && status == 0);
}

void peer_kill(int pid) {
    int status;
    PEER_MUST(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
}

#ifdef __linux__
void peer_pin(const char *metric, int side) {
    const char *where = strrchr(metric, '.') + 1;
    cpu_set_t all, one;
    int want = strcmp(where, "split") ? 0 : side;
    if (strcmp(where, "split") && strcmp(where, "same")) return;
    PEER_MUST(sched_getaffinity(0, sizeof all, &all) == 0);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &all) || want-- > 0) continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        PEER_MUST(sched_setaffinity(0, sizeof one, &one) == 0);
        return;
    }
}
#else
void peer_pin(const char *metric, int side) { (void)metric, (void)side; }
#endif

static void *idle(void *arg) {
    for (;;) pause();
    return arg;
}

void peer_be_large(const char *metric) {
    int large = strstr(metric, "2GiB") != NULL;
    size_t size = large ? (size_t)2 << 30 : (size_t)10 << 20;
    volatile char *memory = malloc(size);
    pthread_t thread;
    PEER_MUST(memory != NULL);
    for (size_t i = 0; i < size; i += 4096) memory[i] = 1;
    for (int i = 0; large && i < 50; i++) PEER_MUST(pthread_create(&thread, NULL, idle, NULL) == 0);
}

size_t peer_size(const char *metric) {
    static const struct {
        const char *name;
        size_t size;
    } sizes[] = {
        {".1MiB", 1 << 20}, {".64KiB", 1 << 16}, {".1KiB", 1 << 10}, {".64B", 64}, {".1B", 1}};
    for (int i = 0; i < 5; i++) {
        if (strstr(metric, sizes[i].name)) return sizes[i].size;
    }
    peer_check(0, metric);
    return 0;
}
