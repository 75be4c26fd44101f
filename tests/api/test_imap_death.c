/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Imaps with several readers, and what is left when workers, readers and makers are killed: each
 * item is got once at most, and what may not be lost is not. */
#include "imaps.h"

#include <stdlib.h>

enum { N = 20000 };

/* What readers have got. */
typedef struct {
    cohort_imap_t *imap;
    _Atomic int got[N], count, ends;
} log_t;

static void note_item(log_t *log, const cohort_item_t *item) {
    CHECK(item->index < N);
    CHECK_STATUS(APR_SUCCESS, item->status);
    CHECK_INT((int)(item->index * item->index), *(int *)item->data);
    CHECK_INT(0, atomic_fetch_add(&log->got[item->index], 1));
    atomic_fetch_add(&log->count, 1);
}

static int read_all(void *args) {
    log_t *log = *(log_t **)args;
    cohort_item_t item = {0};
    apr_status_t status;
    while (!(status = cohort_imap_next(log->imap, &item, COHORT_FOREVER))) note_item(log, &item);
    CHECK_STATUS(APR_EOF, status);
    atomic_fetch_add(&log->ends, 1);
    return 0;
}

/* ---- readers -------------------------------------------------------------------------------- */

static void several_readers(void) {
    cohort_pool_t *pool = new_pool(2);
    cohort_process_t *readers[3];
    for (int unordered = 0; unordered < 2; unordered++) {
        log_t *log = party_memory(sizeof *log);
        counter_t counter = {.n = N};
        IMAP(&log->imap, pool, &squares, .source = count_up, .source_arg = &counter,
             .unordered = unordered);
        parties_start(readers, 3, read_all, &log, sizeof log);
        CHECK_INT(0, read_all(&log));
        parties_finish(readers, 3);
        CHECK_INT(N, log->count);
        CHECK_INT(4, log->ends);
        CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(log->imap));
        CHECK_STATUS(APR_SUCCESS, cohort_free(log));
    }
    finish_pool(pool);
}

/* Each reader that is killed has lost one item at most: what it had got and not noted. */
static void readers_killed(void) {
    enum { KILLS = 12 };
    cohort_pool_t *pool = new_pool(2);
    for (int unordered = 0; unordered < 2; unordered++) {
        log_t *log = party_memory(sizeof *log);
        counter_t counter = {.n = N};
        int kills = 0;
        IMAP(&log->imap, pool, &squares, .source = count_up, .source_arg = &counter,
             .unordered = unordered);
        while (kills < KILLS && !atomic_load(&log->ends)) {
            cohort_process_t *reader = party_start(read_all, &log, sizeof log);
            party_await(&log->count, kills * (N / KILLS / 2));
            apr_sleep(rand() % 3000);
            CHECK_STATUS(APR_SUCCESS, cohort_process_kill(reader));
            CHECK_STATUS(APR_SUCCESS, cohort_process_join(reader, COHORT_FOREVER));
            CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(reader));
            kills++;
        }
        CHECK_INT(0, read_all(&log));
        CHECK(log->count >= N - kills && log->count <= N);
        CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(log->imap));
        CHECK_STATUS(APR_SUCCESS, cohort_free(log));
    }
    finish_pool(pool);
}

static apr_status_t read_in_task(const void *input, void *output) {
    log_t *log = *(log_t *const *)input;
    (void)output;
    return read_all(&log) ? APR_EGENERAL : APR_SUCCESS;
}

/* By a task of another worker of the same pool. */
static void worker_reads(void) {
    cohort_pool_t *pool = new_pool(2);
    log_t *log = party_memory(sizeof *log);
    counter_t counter = {.n = N};
    IMAP(&log->imap, pool, &squares, .source = count_up, .source_arg = &counter);
    RUN(pool, .task = read_in_task, COHORT_INPUTS(&log, 1));
    CHECK_INT(N, log->count);
    CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(log->imap));
    CHECK_STATUS(APR_SUCCESS, cohort_free(log));
    finish_pool(pool);
}

/* ---- workers -------------------------------------------------------------------------------- */

typedef struct {
    int number;
    _Atomic int *runs;
} mortal_t;

typedef struct {
    int next;
    _Atomic int *runs;
} mortals_t;

enum { MORTALS = 100 };

static apr_status_t next_mortal(void *arg, void *input) {
    mortals_t *mortals = arg;
    if (mortals->next == MORTALS) return APR_EOF;
    *(mortal_t *)input = (mortal_t){mortals->next, &mortals->runs[mortals->next]};
    mortals->next++;
    return APR_SUCCESS;
}

/* Every 20th dies in its first run. */
static apr_status_t maybe_die(const void *input, void *output) {
    const mortal_t *mortal = input;
    if (atomic_fetch_add(mortal->runs, 1) == 0 && mortal->number % 20 == 7) {
        (void)cohort_process_kill(cohort_process_current());
        party_wait_for_death();
    }
    *(int *)output = mortal->number;
    return APR_SUCCESS;
}

/* The item of a worker that died says so, or is run again. */
static void workers_die(void) {
    cohort_pool_t *pool = new_pool(2);
    for (int attempts = 1; attempts <= 2; attempts++) {
        mortals_t mortals = {0, party_memory(MORTALS * sizeof *mortals.runs)};
        cohort_job_t job = {.task = maybe_die,
                            .input_size = sizeof(mortal_t),
                            .output_size = sizeof(int),
                            .attempts = attempts};
        cohort_imap_t *imap;
        cohort_item_t item = {0};
        IMAP(&imap, pool, &job, .source = next_mortal, .source_arg = &mortals);
        for (int i = 0; i < MORTALS; i++) {
            bool dies = i % 20 == 7;
            CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
            CHECK_INT(i, item.index);
            CHECK_STATUS(dies && attempts == 1 ? COHORT_EWORKERDIED : APR_SUCCESS, item.status);
            CHECK_INT(dies && attempts == 2 ? 2 : 1, mortals.runs[i]);
        }
        check_end(imap, &item, APR_EOF);
        CHECK_STATUS(APR_SUCCESS, cohort_free((void *)mortals.runs));
    }
    finish_pool(pool);
}

/* ---- makers --------------------------------------------------------------------------------- */

typedef struct {
    cohort_pool_t *pool;
    cohort_imap_t *_Atomic imap;
    int unordered;
    gate_t *gate;
    _Atomic int asked; /* for inputs, of late_after_the_makers_death() */
} made_t;

static int make_and_stay(void *args) {
    made_t *made = *(made_t **)args;
    static counter_t counter = {.n = N};
    cohort_imap_t *imap;
    IMAP(&imap, made->pool, &squares, .source = count_up, .source_arg = &counter,
         .unordered = made->unordered);
    atomic_store(&made->imap, imap);
    party_wait_for_death();
}

/* What the dead maker had taken in comes out, each item once, and from the first without a gap. */
static void maker_killed(void) {
    cohort_pool_t *pool = new_pool(2);
    for (int i = 0; i < 12; i++) {
        made_t *made = party_memory(sizeof *made);
        log_t *log = party_memory(sizeof *log);
        *made = (made_t){.pool = pool, .unordered = i % 2};
        cohort_process_t *maker = party_start(make_and_stay, &made, sizeof made);
        cohort_item_t item = {0};
        apr_status_t status;
        while (!(log->imap = atomic_load(&made->imap))) apr_sleep(500);
        for (int n = rand() % (N / 2); n > 0; n--) {
            CHECK_STATUS(APR_SUCCESS, cohort_imap_next(log->imap, &item, COHORT_FOREVER));
            note_item(log, &item);
        }
        CHECK_STATUS(APR_SUCCESS, cohort_process_kill(maker));
        while (!(status = cohort_imap_next(log->imap, &item, COHORT_FOREVER)))
            note_item(log, &item);
        CHECK_STATUS(COHORT_EOWNERDEAD, status);
        CHECK_STATUS(COHORT_EOWNERDEAD, cohort_imap_next(log->imap, &item, 0));
        for (int n = 0; n < N; n++) CHECK_INT(n < log->count, log->got[n]);
        CHECK_STATUS(APR_SUCCESS, cohort_item_release(&item));
        CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(log->imap));
        CHECK_STATUS(APR_SUCCESS, cohort_process_join(maker, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(maker));
        CHECK_STATUS(APR_SUCCESS, cohort_free(log));
        CHECK_STATUS(APR_SUCCESS, cohort_free(made));
    }
    check_works(pool);
    finish_pool(pool);
}

/* One item; then that is in, and the source is under way for ever. */
static apr_status_t one_gate_only(void *arg, void *input) {
    made_t *made = arg;
    if (atomic_fetch_add(&made->asked, 1)) party_wait_for_death();
    *(gate_t **)input = made->gate;
    return APR_SUCCESS;
}

static int make_what_is_late(void *args) {
    made_t *made = *(made_t **)args;
    cohort_job_t job = {
        .task = pass_gate, .input_size = sizeof(gate_t *), .task_timeout = 4 * A_WHILE};
    cohort_imap_t *imap;
    IMAP(&imap, made->pool, &job, .source = one_gate_only, .source_arg = made);
    atomic_store(&made->imap, imap);
    party_wait_for_death();
}

/* The time of an item that never ends is kept by the reader when the maker is dead. */
static void late_after_the_makers_death(void) {
    cohort_pool_t *pool = new_pool(1);
    made_t *made = party_memory(sizeof *made);
    *made = (made_t){.pool = pool, .gate = new_gate()};
    cohort_process_t *maker = party_start(make_what_is_late, &made, sizeof made);
    cohort_item_t item = {0};
    party_await(&made->gate->begun, 1);
    party_await(&made->asked, 2);
    while (!atomic_load(&made->imap)) apr_sleep(500);
    CHECK_STATUS(APR_SUCCESS, cohort_process_kill(maker));
    CHECK_STATUS(APR_SUCCESS, cohort_process_join(maker, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_imap_next(made->imap, &item, COHORT_FOREVER));
    CHECK_STATUS(COHORT_EDEADLINE, item.status);
    CHECK_INT(1, made->gate->begun);
    CHECK_STATUS(COHORT_EOWNERDEAD, cohort_imap_next(made->imap, &item, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_item_release(&item));
    CHECK_STATUS(APR_SUCCESS, cohort_imap_destroy(made->imap));
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(maker));
    CHECK_STATUS(APR_SUCCESS, cohort_free(made->gate));
    CHECK_STATUS(APR_SUCCESS, cohort_free(made));
    check_works(pool);
    finish_pool(pool);
}

const test_case_t imap_death_cases[] = {
    {"ImapDeath", "several_readers", several_readers},
    {"ImapDeath", "readers_killed", readers_killed},
    {"ImapDeath", "worker_reads", worker_reads},
    {"ImapDeath", "workers_die", workers_die},
    {"ImapDeath", "maker_killed", maker_killed},
    {"ImapDeath", "late_after_the_makers_death", late_after_the_makers_death},
    {0}};
