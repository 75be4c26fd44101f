/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The peers that need nothing but the system: what the machine takes for the bare work. None of
 * them survives the death of a participant. */
#ifndef COHORT_PEER_RAW_H
#define COHORT_PEER_RAW_H

#include "peer.h"

#include <limits.h>
#include <stdatomic.h>

typedef _Atomic uint32_t word_t;

/* Let the processor's other half work while this one looks again and again. */
static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Sleeping on a word; only where RAW_FUTEX is defined (futex_linux.c). */
void raw_sleep(word_t *word, uint32_t value);
void raw_wake(word_t *word, int n);

double raw_fork(const char *metric, long count);
double raw_vfork(const char *metric, long count);
double raw_posix_spawn(const char *metric, long count);
double raw_run(const char *metric, long count);
double raw_vfork_exec(const char *metric, long count);
double raw_fork_exec(const char *metric, long count);
double raw_commands(const char *metric, long count);
double raw_xargs(const char *metric, long count);

double raw_pingpong_spin(const char *metric, long count);
double raw_pingpong_futex(const char *metric, long count);
double raw_pingpong_pipe(const char *metric, long count);
double raw_pingpong_socketpair(const char *metric, long count);
double raw_oneway_spin(const char *metric, long count);
double raw_oneway_pipe(const char *metric, long count);
double raw_oneway_socketpair(const char *metric, long count);

double raw_queue_pipe(const char *metric, long count);
double raw_queue_mutex(const char *metric, long count);
double raw_queue_mpmc(const char *metric, long count);

double raw_barrier_spin(const char *metric, long count);
double raw_barrier_pthread(const char *metric, long count);
double raw_barrier_futex(const char *metric, long count);

double raw_map(const char *metric, long count);
double raw_work(const char *metric, long count);
double raw_apply_spin(const char *metric, long count);
double raw_apply_futex(const char *metric, long count);

double raw_lock_mutex(const char *metric, long count);
double raw_lock_robust(const char *metric, long count);

double raw_gift(const char *metric, long count);

double raw_epoll(const char *metric, long count);

#endif
