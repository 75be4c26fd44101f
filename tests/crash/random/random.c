/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Random kills over a mixed load.
 *
 *     crash_random [--seed N] [--seconds N | --deaths N] [--method fork|spawn|forkserver]
 *
 * Producers, consumers, a barrier's parties, lockers, users of a condition, submitters to a pool
 * and its workers, allocators, processes that start others, and that send parcels (load.h) run.
 * This process, the root, kills them, fork servers and pool workers among them: which, how many at
 * a time, how and after which pause follows from the seed; where the system can, some are stopped
 * for longer than any thread spins, and then go on or are killed. Those that die are replaced. The
 * root's own jobs are also cancelled or late (limits.h), and the pool changes its size. Afterwards
 * all are told to end, and it is checked that
 *   - every message that was put is got exactly once, whole, in order unless it came back from the
 *     dead; at most one is missing per consumer that was killed inside a get,
 *   - every item of a map has one outcome, and ran once; the pool goes on,
 *   - an item that is cancelled or late is so for a reason, and each other one of its job is there;
 *   - locks, permits, meetings add up; a parcel is taken once at most,
 *   - nothing is left: blocks of each kind (but for at most one of bytes per process that was
 *     killed while it was given one, or gave one back), processes, threads' records, descriptors;
 *     the heap is sound.
 * No process may hang: when one makes no progress for COHORT_TEST_TIMEOUT seconds (180), all that
 * is known is printed, and the program aborts. The seed is printed; the same seed gives the same
 * schedule of kills.
 */
#include "left.h"
#include "imaps.h"
#include "limits.h"
#include "show.h"

#include "core/memory/arena.h"
#include "core/pool/pool_result.h"
#include "core/process/process.h"

#include <apr_thread_proc.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef _WIN32
#include <dirent.h>
#include <signal.h>
#endif

static const kind_t plan[PLACES] = {PRODUCER, PRODUCER, PRODUCER, CONSUMER,  CONSUMER,  CONSUMER,
                                    PARTY,    PARTY,    PARTY,    LOCKER,    LOCKER,    LOCKER,
                                    WAITER,   WAITER,   NOTIFIER, SUBMITTER, SUBMITTER, ALLOCATOR,
                                    STARTER,  STARTER,  MAILER,   MAILER};
static const char *const kind_names[KINDS] = {"producer", "consumer", "party",     "locker",
                                              "waiter",   "notifier", "submitter", "allocator",
                                              "starter",  "mailer"};

static board_t *board;
static dice_t dice;
static account_t *accounts;
static uint32_t accounts_made;

static struct {
    uint64_t kills, stops, servers, workers, together, lives, jobs, charged;
    apr_time_t longest;
    const char *longest_what;
    uint64_t lost_allowed[LANES], lost[LANES], got, blocks_allowed;
} tally;

static imap_tally_t imaps;
static limits_tally_t limits;

/* ---- the watchdog: reads memory only -------------------------------------------------------- */

static _Atomic uint64_t beat; /* of this process' own loop */
static _Atomic int over;
static const char *volatile phase = "start";

#ifdef _WIN32
static void raw_signal(cohort_process_t *process, int what) {
    if (what >= 0) (void)cohort_process_kill(process);
}
enum { STOP = -1, GO_ON = -2, DIE = 9 };
#else
enum { STOP = SIGSTOP, GO_ON = SIGCONT, DIE = SIGKILL };
/* Not reaped before the root does it, so the pid is this process still; a fork server's children
 * are no other process' either. */
static void raw_signal(cohort_process_t *process, int what) {
    pid_t pid = (pid_t)cohort_process_pid(process);
    if (pid > 1 && cohort_process_is_alive(process)) (void)kill(pid, what);
}
#endif

/* The process that is stopped now, one at a time, and for how long. */
static struct {
    _Atomic(cohort_process_t *) process;
    _Atomic int64_t until; /* 0: no process */
} stopped;

static void let_go_on(void) {
    int64_t until = atomic_load(&stopped.until);
    if (!until || cohort_os_now() < until) return;
    raw_signal(atomic_load(&stopped.process), GO_ON);
    atomic_store(&stopped.until, 0);
}

static int patience(void) {
    const char *text = getenv("COHORT_TEST_TIMEOUT");
    return text && atoi(text) > 0 ? atoi(text) : 180;
}

static void print_all(void) {
    fprintf(stderr, "  in: %s\n", phase);
    for (int i = 0; i < PLACES; i++) {
        place_t *p = &board->places[i];
        fprintf(stderr, "  place %d: %s, progress %llu, process %u\n", i, kind_names[p->kind],
                (unsigned long long)p->progress,
                p->process ? (unsigned)(p->process - cohort__process_at(0)) : 0);
    }
    for (uint32_t i = 0; i < cohort__process_count(); i++) show_process(cohort__process_at(i), i);
    for (uint32_t i = 0; i < cohort__thread_count(); i++) show_thread(cohort__thread_at(i), i);
}

static uint64_t progress_of(int place) {
    return place < PLACES ? atomic_load(&board->places[place].progress) + board->places[place].lives
                          : atomic_load(&beat);
}

static void *APR_THREAD_FUNC watch(apr_thread_t *thread, void *unused) {
    uint64_t last[PLACES + 1] = {0};
    int still[PLACES + 1] = {0};
    (void)thread, (void)unused;
    while (!atomic_load(&over)) {
        for (int n = 0; n < 20; n++, apr_sleep(5000)) let_go_on();
        for (int i = 0; i <= PLACES; i++) {
            uint64_t now = progress_of(i);
            bool ended = i < PLACES && atomic_load(&board->stop) && !board->places[i].process;
            still[i] = now == last[i] && !ended ? still[i] + 1 : 0;
            last[i] = now;
            if (still[i] < patience() * 10) continue;
            fprintf(stderr, "HANG: %s makes no progress\n",
                    i < PLACES ? kind_names[board->places[i].kind] : "the root");
            print_all();
            if (getenv("COHORT_CRASH_HOLD")) apr_sleep(apr_time_from_sec(100000));
            abort();
        }
    }
    return NULL;
}

/* What the root does while it kills depends on the dead and the running alone: how long did it take
 * at worst, and what? */
static void lap(const char *what) {
    static apr_time_t begin;
    apr_time_t now = apr_time_now(), took = now - begin;
    begin = now;
    phase = what ? what : "kills";
    if (!what || took <= tally.longest) return;
    tally.longest = took;
    tally.longest_what = what;
}

/* ---- places --------------------------------------------------------------------------------- */

static void *memory(size_t size) {
    void *block;
    if (cohort_alloc(&block, size)) {
        fprintf(stderr, "no memory\n");
        exit(2);
    }
    return memset(block, 0, size);
}

static account_t *new_account(void) {
    account_t *account = memory(sizeof *account);
    account->number = ++accounts_made;
    account->next = accounts;
    return accounts = account;
}

static void fill_place(uint32_t i) {
    place_t *place = &board->places[i];
    orders_t orders = {board, i, roll(&dice)};
    cohort_process_options_t options = {.lifetime = COHORT_LIFETIME_DAEMON,
                                        .name = kind_names[place->kind]};
    if (place->kind == PRODUCER) place->account = new_account();
    apr_status_t status =
        cohort_process_create(&place->process, load_run, &orders, sizeof orders, &options, NULL);
    if (!status) status = cohort_process_start(place->process);
    MUST(board, !status, "the start of a %s gave status %d: %s", kind_names[place->kind], status,
         status ? cohort_last_error() : "");
    if (status) exit(1);
    place->lives++;
    tally.lives++;
}

/* What a dead process was inside of excuses one message or block. */
static void account_for_death(place_t *place) {
    int code = cohort_process_exit_code(place->process);
    MUST(board, code == 0 || code == -9 || code == COHORT_EXIT_UNKNOWN, "a %s ended with %d",
         kind_names[place->kind], code);
    if (atomic_load(&place->open) & OPEN_MESSAGE)
        tally.lost_allowed[atomic_load(&place->open_lane)]++;
    if (atomic_load(&place->open) & OPEN_BLOCK) tally.blocks_allowed++;
    atomic_store(&place->open, SHUT);
    apr_status_t status = cohort_process_destroy(place->process);
    MUST(board, !status, "the close of a process gave status %d", status);
    place->process = NULL;
}

static void replace_the_dead(void) {
    for (uint32_t i = 0; i < PLACES; i++) {
        place_t *place = &board->places[i];
        if (cohort_process_is_alive(place->process)) continue;
        lap(NULL);
        apr_status_t status = cohort_process_join(place->process, COHORT_FOREVER);
        MUST(board, !status, "a join gave status %d", status);
        lap("a join");
        account_for_death(place);
        fill_place(i);
        lap("a start");
    }
}

static void mend_barrier(void) {
    int broken = 0;
    broken = cohort_barrier_is_broken(board->barrier);
    if (!broken) return;
    apr_status_t status = cohort_barrier_reset(board->barrier);
    MUST(board, !status, "the reset of the barrier gave status %d", status);
    atomic_fetch_add(&board->barrier_round, 1);
}

static void count_meeting(void *arg) { atomic_fetch_add(&((board_t *)arg)->meetings, 1); }

/* ---- killing -------------------------------------------------------------------------------- */

static void kill_it(cohort_process_t *process, uint64_t how) {
    if (how % 2) (void)cohort_process_kill(process);
    else raw_signal(process, DIE);
    tally.kills++;
}

static void kill_some(uint64_t n) {
    while (n-- > 0) {
        place_t *place = &board->places[roll_below(&dice, PLACES)];
        kill_it(place->process, roll(&dice));
    }
}

static void kill_worker(void) {
    cohort_process_t **list;
    apr_pool_t *pool;
    apr_size_t n = 0;
    uint64_t which = roll(&dice), how = roll(&dice);
    apr_pool_create(&pool, NULL);
    if (!cohort_pool_workers(board->pool, &list, &n, pool) && n > 0) {
        kill_it(list[which % (uint64_t)n], how);
        tally.workers++;
    }
    apr_pool_destroy(pool);
}

/* Any process' fork server, not the root's alone. */
static void kill_server(void) {
    uint32_t count = cohort__process_count(), from = (uint32_t)roll_below(&dice, count);
    for (uint32_t i = 0; i < count; i++) {
        cohort_process_t *slot = cohort__process_at((from + i) % count);
        if (!cohort__is_helper(slot) || cohort__process_state(slot) != COHORT__SLOT_RUNNING)
            continue;
        (void)cohort_process_kill(slot);
        tally.servers++;
        tally.kills++;
        return;
    }
}

/* The stopped process may be inside a lock that the root needs next, so the watchdog lets it go
 * on. */
static void stop_one(void) {
    place_t *place = &board->places[roll_below(&dice, PLACES)];
    int64_t until = cohort_os_now() + (int64_t)roll_below(&dice, 200) * 1000000;
    if (atomic_load(&stopped.until)) return;
    atomic_store(&stopped.process, place->process);
    atomic_store(&stopped.until, until);
    raw_signal(place->process, STOP);
    tally.stops++;
}

static void strike(void) {
    uint64_t what = roll_below(&dice, 100);
    if (what < 60) {
        kill_some(1);
    } else if (what < 70) {
        kill_some(2 + roll_below(&dice, 4));
        tally.together++;
    } else if (what < 82) {
        kill_worker();
    } else if (what < 96) {
        stop_one();
    } else {
        kill_server();
    }
}

/* ---- the root's own jobs -------------------------------------------------------------------- */

#define ITEMS 300

static struct {
    cohort_result_t *result;
    _Atomic uint32_t *runs;
    uint32_t n;
    bool bytes; /* its outputs have a size each */
} job;

static void begin_job(void) {
    job_t items[ITEMS];
    cohort_bytes_t inputs[ITEMS];
    job.n = 1 + (uint32_t)roll_below(&dice, ITEMS);
    memset((void *)job.runs, 0, ITEMS * sizeof *job.runs);
    for (uint32_t i = 0; i < job.n; i++) items[i] = (job_t){job.runs, i};
    uint64_t kind = roll_below(&dice, 3);
    job.bytes = kind == LOAD_BYTES;
    cohort_job_t order = load_order((load_kind_t)kind, items, inputs, job.n);
    order.chunk = (apr_size_t)roll_below(&dice, 5);
    apr_status_t status = cohort_pool_submit(&job.result, board->pool, &order, NULL);
    MUST(board, !status, "a submission gave status %d", status);
    if (status) job.result = NULL;
}

static void check_error(const cohort_task_error_t *e, uint32_t *outputs, bool *failed) {
    bool right = e->status == COHORT_EWORKERDIED;
    for (apr_size_t i = e->index; i < e->index + e->count; i++) {
        MUST(board, i < job.n && !failed[i], "item %zu has two outcomes", (size_t)i);
        if (i >= job.n) return;
        right = right || (e->status == TASK_FAILS && i % 97 == 96);
        failed[i] = true;
        outputs[i] = (uint32_t)i + 1;
    }
    MUST(board, right, "item %zu failed with %d", (size_t)e->index, e->status);
    tally.charged += e->status == COHORT_EWORKERDIED;
    MUST(board,
         e->status == TASK_FAILS || (e->exit_code == -9 && e->pid > 0) ||
             e->exit_code == COHORT_EXIT_UNKNOWN,
         "a dead worker's exit code is %d", e->exit_code);
}

static void check_job(void) {
    uint32_t outputs[ITEMS] = {0};
    bool failed[ITEMS] = {false};
    cohort_task_error_t **errors = NULL;
    apr_size_t n = 0;
    apr_pool_t *pool;
    apr_pool_create(&pool, NULL);
    apr_status_t status = job.bytes ? load_get_bytes(board, job.result, outputs, job.n)
                                    : cohort_result_get(job.result, outputs, sizeof outputs, 0),
                 listed = cohort_result_errors(job.result, &errors, &n, pool);
    MUST(board, !listed && (!status || status == COHORT_EWORKERDIED || status == TASK_FAILS),
         "a result gave status %d", status);
    for (apr_size_t i = 0; i < n; i++) check_error(errors[i], outputs, failed);
    MUST(board, !status == !n, "a result with status %d has %zu errors", status, (size_t)n);
    for (uint32_t i = 0; i < job.n; i++) {
        uint32_t runs = atomic_load(&job.runs[i]);
        MUST(board, outputs[i] == i + 1, "item %u gave %u", i, outputs[i]);
        MUST(board, runs == 1 || (runs == 0 && failed[i]) || limits_excuse(&limits, runs),
             "item %u ran %u times", i, runs);
        MUST(board, failed[i] || i % 97 != 96, "item %u should have failed", i);
    }
    apr_pool_destroy(pool);
    status = cohort_result_destroy(job.result);
    MUST(board, !status, "the end of a result gave status %d", status);
    job.result = NULL;
    tally.jobs++;
}

static void go_on_with_jobs(void) {
    imaps_go_on(board, &dice, &imaps);
    limits_go_on(board, &dice, &limits);
    if (job.result && cohort_result_is_ready(job.result)) check_job();
    if (!job.result) begin_job();
}

/* ---- a run ---------------------------------------------------------------------------------- */

typedef struct {
    left_t arena;
    uint32_t threads; /* records of all processes but the root and its fork server */
    int descriptors;
} all_left_t;

static int descriptors(void) {
    int n = 0;
#ifdef __linux__
    DIR *directory = opendir("/proc/self/fd");
    while (directory && readdir(directory)) n++;
    if (directory) closedir(directory);
#endif
    return n;
}

/* What the root keeps for itself as long as it lives: its own record, and its fork server. */
static bool is_roots(cohort_process_t *slot) {
    cohort_process_t *root = cohort_process_current();
    return slot == root ||
           (cohort__is_helper(slot) && atomic_load(&slot->parent) == cohort__process_id(root));
}

static all_left_t measure(void) {
    all_left_t left = {.arena = left_now()};
    char why[128] = "";
    MUST(board, cohort__alloc_sound(why, sizeof why), "the heap is not sound: %s", why);
    for (uint32_t i = 0; i < cohort__thread_count(); i++) {
        cohort__pid_t owner = atomic_load(&cohort__thread_at(i)->owner);
        cohort_process_t *process = cohort__process_find(owner);
        left.threads += owner && (!process || !is_roots(process));
    }
    left.descriptors = descriptors();
    return left;
}

static void create(void) {
    const cohort_queue_options_t options[PIPE_LANE] = {
        {.capacity = 8}, {.message_size = 200}, {.capacity = 20, .joinable = 1}};
    apr_status_t status = APR_SUCCESS;
    for (int i = 0; i < PIPE_LANE; i++)
        status |= cohort_queue_create(&board->queues[i], &options[i], NULL);
    status |= cohort_pipe_create(&board->receiver, &board->sender,
                                 &(cohort_pipe_options_t){.one_way = 1}, NULL);
    status |= cohort_barrier_create(
        &board->barrier, PARTIES,
        &(cohort_barrier_options_t){.action = count_meeting, .action_arg = board}, NULL);
    status |= cohort_lock_create(&board->lock, NULL);
    status |= cohort_rlock_create(&board->rlock, NULL);
    status |= cohort_semaphore_create(&board->semaphore, PERMITS,
                                      &(cohort_semaphore_options_t){.bounded = 1}, NULL);
    status |= cohort_condition_create(&board->condition, NULL, NULL);
    status |= cohort_event_create(&board->event, NULL);
    status |= cohort_queue_create(&board->mail, &(cohort_queue_options_t){.capacity = 6}, NULL);
    status |= cohort_pool_create(&board->pool,
                                 &(cohort_pool_options_t){.workers = 3, .name = "load"}, NULL);
    if (status) exit(2);
    job.runs = memory(ITEMS * sizeof *job.runs);
    for (uint32_t i = 0; i < PLACES; i++) board->places[i].kind = plan[i];
    for (uint32_t i = 0; i < PLACES; i++) fill_place(i);
}

static void rage(apr_time_t until, uint64_t deaths) {
    while (deaths ? tally.kills < deaths : apr_time_now() < until) {
        atomic_fetch_add(&beat, 1);
        apr_sleep((apr_interval_time_t)(roll_below(&dice, 10) ? roll_below(&dice, 6000)
                                                              : roll_below(&dice, 40000)));
        lap(NULL);
        strike();
        lap("a kill");
        replace_the_dead();
        mend_barrier();
        lap("the barrier's reset");
        go_on_with_jobs();
        lap("a job");
        if (atomic_load(&board->failed)) break;
    }
}

static void end_load(void) {
    phase = "end of the load";
    atomic_store(&board->stop, 1);
    for (int i = 0; i < PIPE_LANE; i++) {
        apr_status_t status = cohort_queue_close(board->queues[i]);
        MUST(board, !status, "closing a queue gave status %d", status);
    }
    (void)cohort_barrier_abort(board->barrier);
    for (uint32_t i = 0; i < PLACES; i++) {
        apr_status_t status = APR_TIMEUP;
        while (APR_STATUS_IS_TIMEUP(status)) {
            (void)cohort_barrier_abort(board->barrier);
            status = cohort_process_join(board->places[i].process, 200000);
        }
        MUST(board, !status, "a join gave status %d", status);
        account_for_death(&board->places[i]);
        atomic_fetch_add(&beat, 1);
    }
    phase = "the last job";
    if (job.result) {
        (void)cohort_result_wait(job.result, COHORT_FOREVER);
        check_job();
    }
    phase = "the last imap";
    imaps_end(board, &imaps);
    phase = "the last limited job";
    limits_end(board, &limits);
}

/* The queues say by themselves when it is over. */
static void drain(void) {
    phase = "what is left in the lanes";
    for (uint32_t lane = 0; lane < LANES; lane++) {
        apr_interval_time_t timeout = lane == PIPE_LANE ? 0 : COHORT_FOREVER;
        while (load_take(board, NULL, lane, &dice, timeout)) atomic_fetch_add(&beat, 1);
    }
    phase = "the join of the queue";
    apr_status_t status = cohort_queue_join(board->queues[JOINABLE_LANE], COHORT_FOREVER);
    MUST(board, !status, "the join of a queue gave status %d", status);
}

static void check_lane(const account_t *account, uint32_t lane) {
    uint32_t done = atomic_load(&account->lane[lane].done);
    for (uint32_t i = 0; i < done; i++) {
        uint8_t got = atomic_load(&account->lane[lane].got[i]);
        tally.got += got;
        tally.lost[lane] += got == 0;
    }
}

static void check_messages(void) {
    for (account_t *account = accounts; account; account = account->next) {
        for (uint32_t lane = 0; lane < LANES; lane++) check_lane(account, lane);
    }
    for (uint32_t lane = 0; lane < LANES; lane++) {
        MUST(board, tally.lost[lane] <= tally.lost_allowed[lane],
             "lane %u: %" PRIu64 " messages are lost, %" PRIu64 " at most may be", lane,
             tally.lost[lane], tally.lost_allowed[lane]);
    }
}

static void check_sync(void) {
    uint64_t met = atomic_load(&board->met), meetings = atomic_load(&board->meetings);
    apr_size_t value = cohort_semaphore_value(board->semaphore);
    MUST(board, value == PERMITS, "%u of %u permits are left", (unsigned)value, (unsigned)PERMITS);
    MUST(board, met <= PARTIES * meetings, "%" PRIu64 " took part in %" PRIu64 " meetings", met,
         meetings);
    MUST(board, met + tally.kills * 2 + PARTIES >= PARTIES * meetings,
         "only %" PRIu64 " took part in %" PRIu64 " meetings", met, meetings);
}

static void destroy(void) {
    apr_status_t status = APR_SUCCESS;
    phase = "the end of the objects";
    status |= cohort_pool_destroy(board->pool);
    for (int i = 0; i < PIPE_LANE; i++) status |= cohort_queue_destroy(board->queues[i]);
    status |= cohort_connection_close(board->receiver);
    status |= cohort_connection_close(board->sender);
    status |= cohort_barrier_destroy(board->barrier);
    status |= cohort_lock_destroy(board->lock);
    status |= cohort_rlock_destroy(board->rlock);
    status |= cohort_semaphore_destroy(board->semaphore);
    status |= cohort_condition_destroy(board->condition);
    status |= cohort_event_destroy(board->event);
    status |= cohort_queue_destroy(board->mail);
    MUST(board, !status, "the end of the objects gave status %d", status);
    for (int i = 0; i < PLACES; i++) {
        for (int k = 0; k < LEDGER; k++)
            status |= cohort_free(atomic_load(&board->places[i].ledger[k]));
    }
    MUST(board, !status, "the release of the allocators' blocks gave status %d", status);
    (void)cohort_free((void *)job.runs);
    while (accounts) {
        account_t *account = accounts;
        accounts = account->next;
        (void)cohort_free(account);
    }
}

/* Orphans end by themselves, and a process has to look. */
static void end_all(void) {
    phase = "the end of orphans";
    for (uint32_t i = 0; i < cohort__process_count(); i++) {
        cohort_process_t *slot = cohort__process_at(i);
        if (cohort__process_state(slot) != COHORT__SLOT_FREE && !is_roots(slot))
            (void)cohort__process_check_dead(cohort__process_id(slot));
    }
}

static void check_left(const all_left_t *before) {
    char text[300];
    all_left_t now = measure();
    for (int i = 0;
         i < 100 && (!left_same(&before->arena, &now.arena, 0) || now.threads > before->threads);
         i++) {
        end_all();
        apr_sleep(20000);
        now = measure();
    }
    bool same = left_same(&before->arena, &now.arena, tally.blocks_allowed);
    if (!same || now.threads > before->threads) print_all();
    if (!same) show_blocks();
    MUST(board, same, "%s; %" PRIu64 " blocks of bytes more may be",
         left_describe(&before->arena, &now.arena, text, sizeof text), tally.blocks_allowed);
    MUST(board, now.threads <= before->threads, "%u threads instead of %u", now.threads,
         before->threads);
    MUST(board, now.descriptors <= before->descriptors + 8, "%d descriptors instead of %d",
         now.descriptors, before->descriptors);
}

static void report(uint64_t seed) {
    printf("crash: random: seed %" PRIu64 ": %" PRIu64 " killed (%" PRIu64 " fork servers, %" PRIu64
           " workers, %" PRIu64 " times several), %" PRIu64 " stopped, %" PRIu64
           " processes, %" PRIu64 " messages, %" PRIu64 " meetings, %" PRIu64 " jobs with %" PRIu64
           " items charged, %" PRIu64 " imaps, %" PRIu64 " limited jobs (%" PRIu64
           " items cancelled, %" PRIu64 " late), %" PRIu64 " sizes, %" PRIu64
           " parcels, %lld ms at worst (%s): %s\n",
           seed, tally.kills, tally.servers, tally.workers, tally.together, tally.stops,
           tally.lives, tally.got, (uint64_t)atomic_load(&board->meetings), tally.jobs,
           tally.charged + imaps.charged, imaps.imaps, limits.jobs, limits.cancelled, limits.late,
           limits.resized, (uint64_t)atomic_load(&board->mailed), (long long)tally.longest / 1000,
           tally.longest_what ? tally.longest_what : "nothing",
           atomic_load(&board->failed) ? "FAILED" : "ok");
}

/* With the table of all parcels, and the thread that hands them out. */
static void send_first_parcel(void) {
    apr_pool_t *pool;
    apr_file_t *reader, *writer;
    cohort_parcel_t parcel;
    apr_pool_create(&pool, NULL);
    apr_status_t status = apr_file_pipe_create(&reader, &writer, pool);
    const cohort_gift_t gift = {.file = writer};
    if (!status) status = cohort_gift_send(&parcel, &gift, COHORT_FOREVER);
    if (!status) status = cohort_parcel_discard(&parcel);
    if (status && !APR_STATUS_IS_ENOTIMPL(status)) exit(2);
    apr_pool_destroy(pool);
}

/* The first child brings what stays: the watcher, the fork server, their descriptors. */
static void warm_up(void) {
    cohort_process_t *child;
    orders_t unused = {board, 0, 0};
    board->places[0].kind = PRODUCER;
    board->places[0].account = NULL;
    atomic_store(&board->stop, 1);
    if (cohort_process_create(&child, load_run, &unused, sizeof unused, NULL, NULL) ||
        cohort_process_start(child) || cohort_process_join(child, COHORT_FOREVER) ||
        cohort_process_destroy(child))
        exit(2);
    atomic_store(&board->stop, 0);
    send_first_parcel();
}

static int run(uint64_t seed, int seconds, uint64_t deaths) {
    apr_pool_t *pool;
    apr_thread_t *dog;
    apr_status_t unused;
    apr_pool_create(&pool, NULL);
    board = memory(sizeof *board);
    dice.state = seed;
    warm_up();
    all_left_t before = measure();
    apr_thread_create(&dog, NULL, watch, NULL, pool);
    create();
    rage(apr_time_now() + apr_time_from_sec(seconds), deaths);
    end_load();
    drain();
    check_messages();
    check_sync();
    destroy();
    check_left(&before);
    atomic_store(&over, 1);
    apr_thread_join(&unused, dog);
    report(seed);
    return atomic_load(&board->failed) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static cohort_start_method_t method_of(const char *name) {
    return !strcmp(name, "fork")    ? COHORT_START_FORK
           : !strcmp(name, "spawn") ? COHORT_START_SPAWN
                                    : COHORT_START_FORKSERVER;
}

static int usage(void) {
    fprintf(
        stderr,
        "crash_random [--seed N] [--seconds N | --deaths N] [--method fork|spawn|forkserver]\n");
    return 2;
}

int main(int argc, char **argv) {
    uint64_t seed = (uint64_t)time(NULL) * 1000003u, deaths = 0;
    int seconds = 10;
    cohort_options_t options = {0};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--seed")) seed = strtoull(argv[i + 1], NULL, 10);
        else if (!strcmp(argv[i], "--seconds")) seconds = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--deaths")) deaths = strtoull(argv[i + 1], NULL, 10);
        else if (!strcmp(argv[i], "--method")) options.method = method_of(argv[i + 1]);
        else return usage();
    }
    if (cohort_initialize(&options)) return 2;
    printf("crash: random: seed %" PRIu64 "\n", seed);
    fflush(stdout);
    return run(seed, seconds, deaths);
}
