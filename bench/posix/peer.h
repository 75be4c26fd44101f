/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs beside cohort-bench have in common. Each is called `cohort-peer-NAME PEER
 * METRIC COUNT`, does the work COUNT times and prints the microseconds that it took (or the figure,
 * where the metric is no time). Exit code 77: no such work here.
 */
#ifndef COHORT_PEER_H
#define COHORT_PEER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const char *peer, *metric; /* the metric begins so */
    double (*run)(const char *metric, long count);
} peer_work_t;

/* What main() returns; the table ends with an entry of NULLs. */
int peer_main(int argc, char **argv, const peer_work_t *table);

double peer_now(void); /* microseconds, the same clock in all processes */
void peer_check(int ok, const char *what);
#define PEER_MUST(condition) peer_check(condition, #condition)

/* Does the work in some hundred blocks and returns the median one's microseconds, for all. Given up
 * after a second. */
double peer_median(double *values, long n); /* sorts them */
double peer_blocks(void (*block)(void *arg, long first, long n), void *arg, long count);

void *peer_shared(size_t size); /* zeroed memory that forks share */
/* Fork a process that runs `work` and ends with success, or ends after two minutes, or with its
 * parent. */
int peer_fork(void (*work)(void *), void *arg);
void peer_join(int pid);
void peer_kill(int pid);

/* The CPU of one of two sides, as the metric's last word says: free, same, split. */
void peer_pin(const char *metric, int side);
/* For the metric's parent: touches 10 MB, or 2 GiB and starts 50 threads. */
void peer_be_large(const char *metric);
/* Bytes in names as "1B", "64KiB", found anywhere in the metric. */
size_t peer_size(const char *metric);

/* ---- producers and consumers at one queue --------------------------------------------------- */

typedef struct {
    void (*create)(size_t size, int producers, int consumers);
    void (*open_producer)(int number, int consumers); /* in its process */
    void (*open_consumer)(int number);
    void (*put)(const void *message, size_t size);
    /* 0: nothing has come for a while, since *since (only where there is no end message) */
    int (*get)(void *message, size_t size, double *since);
    void (*close)(void); /* in each process */
    void (*destroy)(void);
    int counted; /* no common queue, so no end message: it is over when all have been counted */
} peer_queue_t;

double peer_crowd(const peer_queue_t *queue, const char *metric, long count);

#ifdef __cplusplus
}
#endif

#endif
