/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The heap from the inside: every block has one owner, whichever process dies when, and nothing is
 * lost. */
#include "threads.h"

#include <stdlib.h>

static cohort__usage_t usage(void) {
    cohort__usage_t now;
    cohort__alloc_usage(&now);
    return now;
}

static void check_sound(void) {
    char why[200] = "";
    if (!cohort__alloc_sound(why, sizeof why))
        test_fail(__FILE__, __LINE__, "the heap is broken: %s", why);
}

static cohort__owner_ptr_t *new_owner_ptrs(int n) {
    return party_memory((apr_size_t)n * sizeof(cohort__owner_ptr_t));
}

static void owner_pointers_own_blocks(void) {
    cohort__thread_t *me = enter();
    cohort__owner_ptr_t *owner_ptrs = new_owner_ptrs(3);
    uint64_t before = usage().blocks;
    CHECK_STATUS(APR_SUCCESS, cohort__block_new(me, COHORT__KIND_BYTES, 100, &owner_ptrs[0]));
    void *block = owner_ptrs[0];
    CHECK(cohort__block_is(block, COHORT__KIND_BYTES));
    CHECK(cohort__block_size(block) >= 100);
    CHECK_INT(0, cohort__block_size((char *)block + 1));
    cohort__block_move(me, &owner_ptrs[0], &owner_ptrs[1]);
    CHECK(owner_ptrs[0] == NULL);
    CHECK(owner_ptrs[1] == block);
    CHECK(cohort__block_give(&owner_ptrs[1]) == block);
    CHECK(owner_ptrs[1] == NULL);
    CHECK_INT(before + 1, usage().blocks);
    CHECK_STATUS(APR_SUCCESS, cohort__block_take(me, block, &owner_ptrs[2]));
    cohort__block_free(me, &owner_ptrs[2]);
    CHECK(owner_ptrs[2] == NULL);
    cohort__block_free(me, &owner_ptrs[2]);
    CHECK_STATUS(COHORT_EFREE, cohort__block_take(me, block, &owner_ptrs[2]));
    CHECK_STATUS(COHORT_EFREE, cohort__block_release(me, block));
    CHECK(!cohort__block_is(block, COHORT__KIND_BYTES));
    CHECK_INT(before, usage().blocks);
    check_sound();
}

/* What once was an object of a kind is never anything else. */
static void kinds_keep_to_themselves(void) {
    enum { N = 300 };
    cohort__thread_t *me = enter();
    cohort__owner_ptr_t *owner_ptrs = new_owner_ptrs(N), *others = new_owner_ptrs(N);
    void *was[N];
    for (int i = 0; i < N; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort__block_new(me, COHORT__KIND_SYNC, 700, &owner_ptrs[i]));
        was[i] = owner_ptrs[i];
        CHECK(cohort__object_place(was[i], COHORT__KIND_SYNC));
    }
    for (int i = 0; i < N; i++) cohort__block_free(me, &owner_ptrs[i]);
    for (int i = 0; i < N; i++) {
        CHECK_STATUS(APR_SUCCESS,
                     cohort__block_new(me, i % 2 ? COHORT__KIND_BYTES : COHORT__KIND_BARRIER, 700,
                                       &others[i]));
        for (int k = 0; k < N; k++) CHECK(others[i] != was[k]);
    }
    for (int i = 0; i < N; i++) {
        cohort__block_free(me, &others[i]);
        CHECK(cohort__object_place(was[i], COHORT__KIND_SYNC));
        CHECK(!cohort__object_place((char *)was[i] + 8, COHORT__KIND_SYNC));
    }
    CHECK_STATUS(APR_EINVAL, cohort__block_new(me, COHORT__KIND_SYNC, 5000, &owner_ptrs[0]));
    check_sound();
}

static void freed_memory_goes_back(void) {
    enum { N = 1200 };
    cohort__thread_t *me = enter();
    cohort__owner_ptr_t *owner_ptrs = new_owner_ptrs(N);
    uint64_t before = usage().committed;
    for (int i = 0; i < N; i++)
        CHECK_STATUS(APR_SUCCESS, cohort__block_new(me, COHORT__KIND_BYTES, 65536, &owner_ptrs[i]));
    CHECK(usage().committed >= before + N * 65536ull);
    for (int i = 0; i < N; i++) cohort__block_free(me, &owner_ptrs[i]);
    CHECK(usage().committed <= before + 600 * 65536ull); /* some is kept at hand */
    check_sound();
}

/* Rows of every length, freed in another order, are found again: the heap does not grow for
 * ever. */
static void large_blocks_are_reused(void) {
    enum { N = 40 };
    cohort__thread_t *me = enter();
    cohort__owner_ptr_t *owner_ptrs = new_owner_ptrs(N);
    char *highest = NULL, *first_round = NULL;
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < N; i++) {
            CHECK_STATUS(APR_SUCCESS, cohort__block_new(me, COHORT__KIND_BYTES,
                                                        (size_t)(1 + (i * 7 + round) % 9) * 60000,
                                                        &owner_ptrs[i]));
            char *end = (char *)owner_ptrs[i] + cohort__block_size(owner_ptrs[i]);
            if (end > highest) highest = end;
        }
        for (int i = 0; i < N; i++) {
            cohort__block_free(me, &owner_ptrs[(i * 17 + round) % N]);
            check_sound();
        }
        if (round == 2) first_round = highest;
    }
    CHECK(highest <= first_round + (32 << 20));
}

/* Rows side by side make one block, and what is left of a row is one; also of rows that keep their
 * memory beside others that do not. */
static void free_rows_are_joined_and_cut(void) {
    enum { N = 30 };
    const size_t span = (size_t)COHORT__SPAN;
    cohort__thread_t *me = enter();
    cohort__owner_ptr_t *owner_ptrs = new_owner_ptrs(N + 1);
    uint64_t committed = usage().committed;
    for (int i = 0; i < N; i++)
        CHECK_STATUS(APR_SUCCESS,
                     cohort__block_new(me, COHORT__KIND_BYTES, (size_t)(1 + i % 4) * 10 * span,
                                       &owner_ptrs[i]));
    char *first = owner_ptrs[0],
         *end = (char *)owner_ptrs[N - 1] + cohort__block_size(owner_ptrs[N - 1]);
    if ((size_t)(end - first) != (size_t)(N / 4 * 10 + 3) * 10 * span)
        SKIP("the blocks do not lie side by side");
    uint64_t before = usage().blocks;
    for (int i = 0; i < N; i++) cohort__block_free(me, &owner_ptrs[i * 7 % N]);
    check_sound();
    /* nor is any of it a block */
    CHECK_STATUS(COHORT_EFREE, cohort__block_release(me, first + span));
    for (size_t size = (size_t)(end - first); size >= span; size = size * 2 / 3 - 1) {
        CHECK_STATUS(APR_SUCCESS, cohort__block_new(me, COHORT__KIND_BYTES, size, &owner_ptrs[N]));
        check_sound();
        CHECK(owner_ptrs[N] == first || size < (size_t)(end - first));
        CHECK_INT((size + span - 1) / span * span, cohort__block_size(owner_ptrs[N]));
        cohort__block_free(me, &owner_ptrs[N]);
        check_sound();
        CHECK(usage().committed <= committed + 520 * span);
    }
    CHECK_INT(before - N, usage().blocks);
}

/* ---- with others, which may die ------------------------------------------------------------- */

enum { OWNER_PTRS = 96 };

typedef struct {
    cohort__owner_ptr_t owner_ptrs[OWNER_PTRS];
    _Atomic int steps;
} yard_t;

typedef struct {
    yard_t *yards[4];
    int self, steps; /* 0: until killed */
} player_t;

static unsigned next_random(unsigned *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

static size_t random_size(unsigned r) {
    switch (r % 8) {
    case 0: return r / 8 % 300000;
    case 1: return r / 8 % 40000;
    default: return r / 8 % 1500;
    }
}

/* Each has a yard of its own to make, move and free blocks in, and frees in its neighbour's upper
 * half what that one puts there. */
static int play(void *data) {
    player_t *p = data;
    cohort__thread_t *me = enter();
    yard_t *own = p->yards[p->self];
    unsigned state = (unsigned)apr_time_now() * 7919u + (unsigned)p->self * 104729u + 1;
    for (int i = 0; !p->steps || i < p->steps; i++) {
        unsigned r = next_random(&state), a = r % (OWNER_PTRS / 2),
                 b = r / OWNER_PTRS % (OWNER_PTRS / 2);
        cohort__owner_ptr_t *owner_ptr = &own->owner_ptrs[a];
        if (!*owner_ptr)
            CHECK_STATUS(APR_SUCCESS,
                         cohort__block_new(me, COHORT__KIND_BYTES, random_size(next_random(&state)),
                                           owner_ptr));
        else if (r & 1 << 20) cohort__block_free(me, owner_ptr);
        else if (a != b && !own->owner_ptrs[b])
            cohort__block_move(me, owner_ptr, &own->owner_ptrs[b]);
        atomic_fetch_add(&own->steps, 1);
    }
    return 0;
}

/* Blocks that one process makes, another one frees: a pair of owner pointers per block, written by
 * one side each. */
static int free_foreign(void *data) {
    player_t *p = data;
    cohort__thread_t *me = enter();
    yard_t *yard = p->yards[p->self ^ 1];
    for (unsigned i = 0;; i++) {
        cohort__owner_ptr_t *owner_ptr = &yard->owner_ptrs[OWNER_PTRS / 2 + i % (OWNER_PTRS / 2)];
        if (*owner_ptr) cohort__block_free(me, owner_ptr);
        else atomic_fetch_add(&yard->steps, 1);
    }
    return 0;
}

static int make_for_others(void *data) {
    player_t *p = data;
    cohort__thread_t *me = enter();
    yard_t *own = p->yards[p->self];
    unsigned state = (unsigned)p->self + 77;
    for (unsigned i = 0;; i++) {
        cohort__owner_ptr_t *owner_ptr = &own->owner_ptrs[OWNER_PTRS / 2 + i % (OWNER_PTRS / 2)];
        if (!*owner_ptr)
            CHECK_STATUS(APR_SUCCESS,
                         cohort__block_new(me, COHORT__KIND_BYTES, random_size(next_random(&state)),
                                           owner_ptr));
    }
    return 0;
}

/* As many blocks are in use as owner pointers name, each named once, each in use. */
static void check_owned(yard_t **yards, int n, uint64_t before) {
    uint64_t owned = 0;
    for (int y = 0; y < n; y++) {
        for (int i = 0; i < OWNER_PTRS; i++) {
            void *block = yards[y]->owner_ptrs[i];
            if (!block) continue;
            owned++;
            CHECK(cohort__block_is(block, COHORT__KIND_BYTES));
            for (int z = y; z < n; z++) {
                for (int k = z == y ? i + 1 : 0; k < OWNER_PTRS; k++)
                    CHECK(yards[z]->owner_ptrs[k] != block);
            }
        }
    }
    CHECK_INT(before + owned, usage().blocks);
    check_sound();
}

static void wait_for_steps(yard_t *yard, int more) {
    party_await(&yard->steps, atomic_load(&yard->steps) + more);
}

static void kill_players(cohort_target_t first, cohort_target_t second, int rounds) {
    player_t p = {.steps = 0};
    for (int i = 0; i < 4; i++) p.yards[i] = party_memory(sizeof(yard_t));
    uint64_t before = usage().blocks;
    unsigned state = 4711;
    for (int round = 0; round < rounds; round++) {
        cohort_process_t *players[4];
        for (p.self = 0; p.self < 4; p.self++)
            players[p.self] = party_start(p.self % 2 ? second : first, &p, sizeof p);
        for (int i = 0; i < 4; i++) {
            wait_for_steps(p.yards[first == play ? i : 0], (int)(next_random(&state) % 500));
            party_kill(players[i]);
            CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(players[i]));
        }
        check_owned(p.yards, 4, before);
    }
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < OWNER_PTRS; k++)
            cohort__block_free(enter(), &p.yards[i]->owner_ptrs[k]);
    }
    CHECK_INT(before, usage().blocks);
    check_sound();
}

static void deaths_lose_nothing(void) { kill_players(play, play, 25); }

static void players_finish_too(void) {
    player_t p = {.steps = 4000};
    cohort_process_t *players[4];
    for (int i = 0; i < 4; i++) p.yards[i] = party_memory(sizeof(yard_t));
    uint64_t before = usage().blocks;
    for (p.self = 0; p.self < 4; p.self++) players[p.self] = party_start(play, &p, sizeof p);
    parties_finish(players, 4);
    check_owned(p.yards, 4, before);
}

/* An owner pointer that one side fills and the other empties belongs to the side that may act on it
 * by its contents. */
static void foreign_frees_and_deaths(void) {
    player_t p = {.steps = 0};
    for (int i = 0; i < 4; i++) p.yards[i] = party_memory(sizeof(yard_t));
    uint64_t before = usage().blocks;
    unsigned state = 99;
    for (int round = 0; round < 25; round++) {
        p.self = 0;
        cohort_process_t *maker = party_start(make_for_others, &p, sizeof p);
        p.self = 1;
        cohort_process_t *freer = party_start(free_foreign, &p, sizeof p);
        wait_for_steps(p.yards[0], 1 + (int)(next_random(&state) % 300));
        party_kill(round % 2 ? maker : freer);
        party_kill(round % 2 ? freer : maker);
        check_owned(p.yards, 2, before);
    }
}

typedef struct {
    void *_Atomic row;
    _Atomic int ready;
    uint32_t kind;
} late_t;

/* As if it had died between the last step of making or freeing a large block and the end of that
 * intent. */
static int die_over_a_row(void *data) {
    late_t *late = *(late_t **)data;
    cohort__thread_t *me = enter();
    atomic_store(&me->intent_from, NULL);
    atomic_store(&me->intent_to, NULL);
    atomic_store(&me->intent_block, (char *)late->row + 1);
    atomic_store(&me->intent, late->kind);
    atomic_store(&late->ready, 1);
    party_wait_for_death();
}

/* Its spans may be another thread's slab by the time of the repair. */
static void late_repairs_leave_others_alone(void) {
    static const uint32_t kinds[] = {COHORT__INTENT_NEW, COHORT__INTENT_FREE};
    for (int i = 0; i < 2; i++) {
        enum { N = 20000 };
        cohort__thread_t *me = enter();
        late_t *late = party_memory(sizeof *late);
        cohort__owner_ptr_t *owner_ptrs = new_owner_ptrs(N);
        CHECK_STATUS(APR_SUCCESS,
                     cohort__block_new(me, COHORT__KIND_BYTES, 100000, &owner_ptrs[0]));
        late->row = owner_ptrs[0];
        late->kind = kinds[i];
        cohort__block_free(me, &owner_ptrs[0]);
        cohort_process_t *process = party_start(die_over_a_row, &late, sizeof late);
        party_await(&late->ready, 1);
        int n = 0;
        bool reused = false;
        while (n < N && !reused) {
            CHECK_STATUS(APR_SUCCESS,
                         cohort__block_new(me, COHORT__KIND_BYTES, 1500, &owner_ptrs[n]));
            reused = owner_ptrs[n++] == late->row;
        }
        CHECK(reused);
        party_kill(process);
        CHECK(cohort__block_is(late->row, COHORT__KIND_BYTES));
        while (n > 0) cohort__block_free(me, &owner_ptrs[--n]);
        check_sound();
    }
}

static void *APR_THREAD_FUNC make_and_leave(apr_thread_t *thread, void *data) {
    cohort__owner_ptr_t *owner_ptrs = data;
    (void)thread;
    for (int i = 0; i < 50; i++)
        CHECK_STATUS(APR_SUCCESS, cohort__block_new(enter(), COHORT__KIND_BYTES, (size_t)i * 40,
                                                    &owner_ptrs[i]));
    return NULL;
}

/* The slabs of a thread that ended serve others. */
static void slabs_of_ended_threads_are_used(void) {
    cohort__owner_ptr_t *owner_ptrs = new_owner_ptrs(50);
    uint64_t committed = 0;
    for (int round = 0; round < 60; round++) {
        party_thread_finish(party_thread(make_and_leave, owner_ptrs));
        for (int i = 0; i < 50; i++) cohort__block_free(enter(), &owner_ptrs[i]);
        if (round == 10) committed = usage().committed;
    }
    CHECK(usage().committed <= committed + 8 * 65536);
    check_sound();
}

/* How often the walk comes to each of these owner pointers' blocks, and how many others it
 * finds. */
static int walk(cohort__kind_t kind, cohort__owner_ptr_t *owner_ptrs, int n, int *found) {
    int others = 0;
    memset(found, 0, (size_t)n * sizeof *found);
    for (void *object = NULL; (object = cohort__object_next(kind, object)) != NULL;) {
        int i = 0;
        CHECK(cohort__object_place(object, kind));
        while (i < n && owner_ptrs[i] != object) i++;
        if (i < n) found[i]++;
        else others++;
    }
    return others;
}

static void *APR_THREAD_FUNC free_each_third(apr_thread_t *thread, void *data) {
    cohort__owner_ptr_t *owner_ptrs = data;
    (void)thread;
    for (int i = 0; owner_ptrs[i]; i += 3) cohort__block_free(enter(), &owner_ptrs[i]);
    return NULL;
}

/* Wherever they lie, and no place that was given back, by its owner or another: neither that nor
 * what comes between is looked at. */
static void find_objects(cohort__kind_t kind) {
    enum { N = 150, EACH = 50, LARGE = 600 * 65536 };
    cohort__thread_t *me = enter();
    cohort__owner_ptr_t *owner_ptrs = new_owner_ptrs(N + 1), *large = new_owner_ptrs(N / EACH);
    int found[N], others = walk(kind, owner_ptrs, N, found);
    for (int i = 0; i < N; i++) {
        if (i % EACH == 0)
            CHECK_STATUS(APR_SUCCESS,
                         cohort__block_new(me, COHORT__KIND_BYTES, LARGE, &large[i / EACH]));
        CHECK_STATUS(APR_SUCCESS, cohort__block_new(me, kind, 1, &owner_ptrs[i]));
    }
    CHECK_INT(others, walk(kind, owner_ptrs, N, found));
    for (int i = 0; i < N; i++) CHECK_INT(1, found[i]);
    party_thread_finish(party_thread(free_each_third, owner_ptrs));
    for (int i = 1; i < N; i += 3) cohort__block_free(me, &owner_ptrs[i]);
    CHECK_INT(others, walk(kind, owner_ptrs, N, found));
    for (int i = 0; i < N; i++) CHECK_INT(i % 3 == 2, found[i]);
    for (int i = 2; i < N; i += 3) cohort__block_free(me, &owner_ptrs[i]);
    CHECK_INT(others, walk(kind, owner_ptrs, N, found));
    for (int i = 0; i < N / EACH; i++) cohort__block_free(me, &large[i]);
    check_sound();
}

static void every_object_is_found(void) {
    find_objects(COHORT__KIND_PIPE);
    find_objects(COHORT__KIND_BARRIER); /* more than a word of them in a slab */
}

const test_case_t alloc_cases[] = {
    {"Alloc", "owner_pointers_own_blocks", owner_pointers_own_blocks},
    {"Alloc", "kinds_keep_to_themselves", kinds_keep_to_themselves},
    {"Alloc", "every_object_is_found", every_object_is_found},
    {"Alloc", "freed_memory_goes_back", freed_memory_goes_back},
    {"Alloc", "large_blocks_are_reused", large_blocks_are_reused},
    {"Alloc", "free_rows_are_joined_and_cut", free_rows_are_joined_and_cut},
    {"Alloc", "deaths_lose_nothing", deaths_lose_nothing},
    {"Alloc", "players_finish_too", players_finish_too},
    {"Alloc", "foreign_frees_and_deaths", foreign_frees_and_deaths},
    {"Alloc", "late_repairs_leave_others_alone", late_repairs_leave_others_alone},
    {"Alloc", "slabs_of_ended_threads_are_used", slabs_of_ended_threads_are_used},
    {0},
};
