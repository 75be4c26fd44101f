/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Work for a processor and nothing else: a chain of multiplications, each of which needs the one
 * before. The same for all that take part in the contests of efficiency.
 */
#ifndef COHORT_BENCH_BURN_H
#define COHORT_BENCH_BURN_H

#include <stdint.h>

enum { BURN_WORKERS = 2 };

/* A short job beside a long one: tasks, microseconds of each, and how long the long one is at work
 * before. */
enum { SHORT_ITEMS = 100, SHORT_US = 10, LONG_ITEMS = 400, LONG_US = 1000, LONG_BEFORE = 5000 };

static inline uint64_t burn(uint64_t turns) {
    uint64_t x = turns;
    for (uint64_t i = 0; i < turns; i++) x = x * 0xd1342543de82ef95u + 0x9e3779b97f4a7c15u + i;
    return x;
}

/* Microseconds of a task of so many turns, done here alone one after the other: the best of several
 * tries, so that what else the machine does disturbs none of them. */
static inline double burn_alone(double (*now)(void), uint64_t turns) {
    enum { TURNS = 2000000 };
    static volatile uint64_t sum;
    uint64_t tasks = 1 + TURNS / turns;
    double best = 1e9;
    for (int i = 0; i < 5; i++) {
        double begin = now();
        for (uint64_t k = 0; k < tasks; k++) sum = sum + burn(turns);
        double took = (now() - begin) / (double)tasks;
        best = took < best ? took : best;
    }
    return best;
}

/* How many turns take so long. */
static inline uint64_t burn_turns(double (*now)(void), double us) {
    return 1 + (uint64_t)(us / burn_alone(now, 2000000) * 2000000);
}

/* What a metric "pool.eff.10us", or one of its kinds, as "pool.eff.10us.range", says; 0: it is
 * nothing like that. */
static inline double burn_microseconds(const char *metric) {
    static const struct {
        const char *name;
        double us;
    } tasks[] = {{"pool.eff.1us", 1},
                 {"pool.eff.10us", 10},
                 {"pool.eff.100us", 100},
                 {"pool.eff.1ms", 1e3},
                 {"pool.eff.10ms", 1e4}};
    for (int i = 0; i < 5; i++) {
        const char *a = tasks[i].name, *b = metric;
        while (*a && *a == *b) a++, b++;
        if (!*a && (!*b || *b == '.')) return tasks[i].us;
    }
    return 0;
}

#endif
