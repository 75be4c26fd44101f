/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Messages that can be checked: each has its sender, its number, a size and bytes that follow from
 * both, and a sum over all. And a tally of what arrived. */
#ifndef COHORT_TESTS_TRAFFIC_H
#define COHORT_TESTS_TRAFFIC_H

#include "parties.h"

#include <stddef.h>

#define TRAFFIC_MAX 9000 /* bytes of the largest */

typedef struct {
    int32_t sender, number;
    uint32_t size, sum;
    unsigned char bytes[TRAFFIC_MAX];
} traffic_t;

#define TRAFFIC_HEAD offsetof(traffic_t, bytes)

static inline uint32_t traffic_sum(const traffic_t *m) {
    uint32_t sum = 2166136261u ^ (uint32_t)m->sender * 31 ^ (uint32_t)m->number;
    for (uint32_t i = 0; i < m->size; i++) sum = (sum ^ m->bytes[i]) * 16777619u;
    return sum;
}

/* Most fit the slots, some do not, one in a hundred is large. Returns the message's size. */
static inline apr_size_t traffic_make(traffic_t *m, int sender, int number) {
    m->sender = sender;
    m->number = number;
    m->size = number % 100 == 99 ? TRAFFIC_MAX
              : number % 5 == 4  ? 300 + (uint32_t)number % 200
                                 : (uint32_t)number % 40;
    for (uint32_t i = 0; i < m->size; i++)
        m->bytes[i] = (unsigned char)(sender * 7 + number + (int)i);
    m->sum = traffic_sum(m);
    return TRAFFIC_HEAD + m->size;
}

static inline void traffic_check(const traffic_t *m, apr_size_t size) {
    CHECK(size >= TRAFFIC_HEAD);
    CHECK_INT(TRAFFIC_HEAD + m->size, size);
    CHECK_INT(traffic_sum(m), m->sum);
}

/* How often each message of each sender arrived. In the arena. */
typedef struct {
    int senders, messages;
    _Atomic int got; /* by all */
    _Atomic int times[];
} tally_t;

static inline tally_t *tally_new(int senders, int messages) {
    tally_t *tally =
        party_memory(sizeof(tally_t) + sizeof(_Atomic int) * (size_t)(senders * messages));
    tally->senders = senders;
    tally->messages = messages;
    return tally;
}

static inline void tally_count(tally_t *tally, const traffic_t *m) {
    CHECK(m->sender >= 0 && m->sender < tally->senders && m->number >= 0 &&
          m->number < tally->messages);
    /* never twice */
    CHECK_INT(0, atomic_fetch_add(&tally->times[m->sender * tally->messages + m->number], 1));
    atomic_fetch_add(&tally->got, 1);
}

/* How many of a sender's first `sent` did not arrive. */
static inline int tally_missing(tally_t *tally, int sender, int sent) {
    int missing = 0;
    for (int i = 0; i < sent; i++)
        missing += !atomic_load(&tally->times[sender * tally->messages + i]);
    return missing;
}

#endif
