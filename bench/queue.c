/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Producers and consumers, processes all, at one queue. Each message carries its number at the
 * front and a check of it at the end; what all consumers got must add up. The clock runs from the
 * first producer's first message to the last consumer's last one.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTIES = 64, BATCH = 32, WORDS = 128 };
static const apr_uint64_t END = ~(apr_uint64_t)0;

typedef struct {
    double time; /* a producer's begin, a consumer's end */
    apr_uint64_t number, sum;
    char apart[104]; /* no other process' line */
} score_t;

typedef struct {
    cohort_queue_t *queue;
    cohort_barrier_t *barrier;
    score_t *scores; /* producers', then consumers' */
    apr_size_t size;
    apr_uint64_t first, messages; /* a producer's */
    int batch, number;
} share_t;

static void write_message(apr_uint64_t *message, apr_size_t size, apr_uint64_t value) {
    message[0] = value;
    message[size / 8 - 1] = ~value;
}

static int read_message(const apr_uint64_t *message, apr_size_t size, score_t *score) {
    score->sum += message[0];
    score->number++;
    return message[size / 8 - 1] == ~message[0];
}

/* ---- one by one ----------------------------------------------------------------------------- */

static int produce(share_t *s) {
    apr_uint64_t message[WORDS] = {0};
    for (apr_uint64_t i = 0; i < s->messages; i++) {
        write_message(message, s->size, s->first + i);
        if (cohort_queue_put(s->queue, message, s->size, COHORT_FOREVER)) return 1;
    }
    return 0;
}

static int consume(share_t *s, score_t *score) {
    apr_uint64_t message[WORDS];
    for (;;) {
        apr_size_t size;
        if (cohort_queue_get(s->queue, message, sizeof message, &size, COHORT_FOREVER) ||
            size != s->size)
            return 1;
        if (message[0] == END) return 0;
        if (!read_message(message, size, score)) return 1;
    }
}

/* ---- in batches ----------------------------------------------------------------------------- */

static int produce_batches(share_t *s) {
    apr_uint64_t text[BATCH][8] = {{0}};
    cohort_message_t messages[BATCH];
    apr_size_t done;
    for (int k = 0; k < BATCH; k++)
        messages[k] = (cohort_message_t){.data = text[k], .size = s->size};
    for (apr_uint64_t i = 0; i < s->messages; i += BATCH) {
        for (apr_uint64_t k = 0; k < BATCH; k++) write_message(text[k], s->size, s->first + i + k);
        if (cohort_queue_put_many(s->queue, messages, BATCH, &done, COHORT_FOREVER) ||
            done != BATCH)
            return 1;
    }
    return 0;
}

/* How many of a batch were messages before the end; -1: something is wrong. */
static int read_batch(share_t *s, apr_uint64_t (*text)[8], const cohort_message_t *messages, int n,
                      score_t *score) {
    for (int k = 0; k < n; k++) {
        if (messages[k].size != s->size) return -1;
        if (text[k][0] == END) return k;
        if (!read_message(text[k], s->size, score)) return -1;
    }
    return n;
}

static int consume_batches(share_t *s, score_t *score) {
    apr_uint64_t text[BATCH][8];
    cohort_message_t messages[BATCH];
    for (int k = 0; k < BATCH; k++)
        messages[k] = (cohort_message_t){.data = text[k], .capacity = sizeof text[k]};
    for (;;) {
        apr_size_t done;
        if (cohort_queue_get_many(s->queue, messages, BATCH, &done, COHORT_FOREVER)) return 1;
        int read = read_batch(s, text, messages, (int)done, score);
        if (read < 0) return 1;
        if (read == (int)done) continue;
        for (int k = read + 1; k < (int)done; k++) { /* the ends of the others */
            if (text[k][0] != END || cohort_queue_put(s->queue, text[k], s->size, COHORT_FOREVER))
                return 1;
        }
        return 0;
    }
}

/* ---- the crowd ------------------------------------------------------------------------------ */

static int producer(void *args) {
    share_t *s = args;
    if (cohort_barrier_wait(s->barrier, NULL, COHORT_FOREVER)) return 1;
    s->scores[s->number].time = bench_now();
    return s->batch ? produce_batches(s) : produce(s);
}

static int consumer(void *args) {
    share_t *s = args;
    score_t score = {0};
    if (cohort_barrier_wait(s->barrier, NULL, COHORT_FOREVER)) return 1;
    int result = s->batch ? consume_batches(s, &score) : consume(s, &score);
    score.time = bench_now();
    s->scores[s->number] = score;
    return result;
}

typedef struct {
    apr_size_t size;
    int producers, consumers, batch;
} crowd_t;

static void end_consumers(share_t *s, int consumers) {
    apr_uint64_t message[WORDS];
    memset(message, 0xff, sizeof message);
    for (int i = 0; i < consumers; i++)
        MUST(cohort_queue_put(s->queue, message, s->size, COHORT_FOREVER));
}

static double add_up(const crowd_t *crowd, const share_t *s, apr_uint64_t all) {
    apr_uint64_t number = 0, sum = 0;
    double begin = s->scores[0].time, end = 0;
    for (int i = 0; i < crowd->producers + crowd->consumers; i++) {
        const score_t *score = &s->scores[i];
        if (i < crowd->producers && score->time < begin) begin = score->time;
        if (i >= crowd->producers && score->time > end) end = score->time;
        number += score->number;
        sum += score->sum;
    }
    bench_check(number == all, "number of messages");
    bench_check(sum == all * (all - 1) / 2, "checksum of messages");
    return end - begin;
}

static double run_crowd(void *arg, int count) {
    const crowd_t *crowd = arg;
    cohort_process_t *p[2 * PARTIES];
    cohort_queue_options_t options = {.capacity = 1024, .message_size = crowd->size};
    int unit = crowd->producers * (crowd->batch ? BATCH : 1),
        parties = crowd->producers + crowd->consumers;
    share_t s = {.size = crowd->size,
                 .batch = crowd->batch,
                 .messages = (apr_uint64_t)((count + unit - 1) / unit)};
    s.messages *= crowd->batch ? BATCH : 1;
    apr_uint64_t all = s.messages * (apr_uint64_t)crowd->producers;
    MUST(cohort_alloc((void **)&s.scores, (apr_size_t)parties * sizeof *s.scores));
    memset(s.scores, 0, (apr_size_t)parties * sizeof *s.scores);
    MUST(cohort_queue_create(&s.queue, &options, NULL));
    MUST(cohort_barrier_create(&s.barrier, (unsigned)parties, NULL, NULL));
    for (s.number = 0; s.number < parties; s.number++) {
        p[s.number] =
            bench_start_child(s.number < crowd->producers ? producer : consumer, &s, sizeof s);
        s.first += s.messages;
    }
    for (int i = 0; i < crowd->producers; i++) bench_finish_child(p[i]);
    end_consumers(&s, crowd->consumers);
    for (int i = crowd->producers; i < parties; i++) bench_finish_child(p[i]);
    double took = add_up(crowd, &s, all);
    MUST(cohort_queue_destroy(s.queue));
    MUST(cohort_barrier_destroy(s.barrier));
    MUST(cohort_free(s.scores));
    return took * count / (double)all;
}

static void contest(const char *kind, apr_size_t size, int producers, int consumers,
                    const char *programs) {
    char metric[40];
    crowd_t crowd = {size, producers, consumers, !strcmp(kind, "batch")};
    bench_contestant_t cohort[] = {{"cohort", run_crowd, &crowd, NULL}};
    snprintf(metric, sizeof metric, "%s.%s.%dto%d", kind, size == 64 ? "64B" : "1KiB", producers,
             consumers);
    BENCH_CONTEST((&(bench_contest_t){metric, "/s", BENCH_PER_S, 2000, 8000000}), cohort, programs);
}

void bench_section_queue(void) {
    static const int crowds[][2] = {{1, 1}, {4, 1}, {1, 4}, {4, 4}};
    for (int i = 0; i < 4; i++)
        contest(
            "queue", 64, crowds[i][0], crowds[i][1],
            "raw:mpmc-spin raw:pipe raw:mutex+cond boost:message_queue zmq:push-pull python:Queue");
    for (int i = 0; i < 4; i++)
        contest(
            "queue", 1024, crowds[i][0], crowds[i][1],
            "raw:mpmc-spin raw:pipe raw:mutex+cond boost:message_queue zmq:push-pull python:Queue");
    for (int i = 0; i < 4; i++) contest("batch", 64, crowds[i][0], crowds[i][1], "raw:mpmc-spin");
}

double bench_queue_run(int producers, int count) {
    crowd_t crowd = {64, producers, 1, 0};
    return run_crowd(&crowd, count);
}
