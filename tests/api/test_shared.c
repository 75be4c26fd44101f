/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Shared memory: blocks, pointers between them, limits, misuse, and deaths of processes that use
 * it. */
#include "parties.h"

#include <stdlib.h>

static void blocks_of_all_sizes(void) {
    static const apr_size_t sizes[] = {0,     1,     15,    16,    17,    31,    32,      33,
                                       63,    64,    65,    127,   1000,  4095,  4096,    4097,
                                       32767, 32768, 32769, 65535, 65536, 65537, 1 << 20, 5000011};
    enum { N = sizeof sizes / sizeof *sizes };
    unsigned char *blocks[N];
    apr_uint64_t before = arena_usage().blocks, used = arena_usage().used;
    for (int i = 0; i < N; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_alloc((void **)&blocks[i], sizes[i]));
        CHECK_INT(0, (uintptr_t)blocks[i] % (sizes[i] >= 64 ? 64 : 16));
        CHECK(cohort_is_shared(blocks[i], sizes[i]));
        memset(blocks[i], i + 1, sizes[i]);
    }
    CHECK_INT(before + N, arena_usage().blocks);
    for (int i = 0; i < N; i++) {
        for (apr_size_t k = 0; k < sizes[i]; k++) CHECK_INT(i + 1, blocks[i][k]);
        CHECK_STATUS(APR_SUCCESS, cohort_free(blocks[i]));
    }
    CHECK_INT(before, arena_usage().blocks);
    CHECK_INT(used, arena_usage().used);
}

static void usage_is_reported(void) {
    void *block = NULL;
    cohort_arena_usage_t before = arena_usage(), now;
    CHECK(before.limit >= before.committed);
    CHECK(before.committed >= before.used);
    CHECK_STATUS(APR_SUCCESS, cohort_alloc(&block, 1000000));
    now = arena_usage();
    CHECK(now.used >= before.used + 1000000);
    CHECK_INT(before.blocks + 1, now.blocks);
    CHECK_INT(before.limit, now.limit);
    CHECK_STATUS(APR_SUCCESS, cohort_free(block));
    CHECK_INT(before.used, arena_usage().used);
    CHECK_STATUS(APR_EINVAL, cohort_arena_usage(NULL));
}

static void misuse_is_a_status(void) {
    int on_the_stack;
    char *block = NULL, *large = NULL;
    cohort_event_t *event = NULL;
    CHECK_STATUS(APR_EINVAL, cohort_alloc(NULL, 1));
    CHECK_STATUS(APR_SUCCESS, cohort_free(NULL));
    CHECK_STATUS(COHORT_EFREE, cohort_free(&on_the_stack));
    CHECK_STATUS(COHORT_EFREE, cohort_free((void *)1));
    CHECK_STATUS(COHORT_EFREE, cohort_free((void *)~(uintptr_t)0));
    CHECK_STATUS(COHORT_EFREE, cohort_free(cohort_process_current()));
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&event, test_pool()));
    CHECK_STATUS(COHORT_EFREE, cohort_free(event));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(event));
    CHECK_STATUS(APR_SUCCESS, cohort_alloc((void **)&block, 100));
    CHECK_STATUS(APR_SUCCESS, cohort_alloc((void **)&large, 1000000));
    CHECK_STATUS(COHORT_EFREE, cohort_free(block + 1));
    CHECK_STATUS(COHORT_EFREE, cohort_free(block + 64));
    CHECK_STATUS(COHORT_EFREE, cohort_free(large + 65536));
    CHECK_STATUS(COHORT_EFREE, cohort_free(large + 1));
    CHECK_STATUS(APR_SUCCESS, cohort_free(block));
    CHECK_STATUS(COHORT_EFREE, cohort_free(block));
    CHECK_STATUS(APR_SUCCESS, cohort_free(large));
    CHECK_STATUS(COHORT_EFREE, cohort_free(large));
}

static void what_is_shared(void) {
    int on_the_stack;
    char *block = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_alloc((void **)&block, 4096));
    CHECK_INT(1, cohort_is_shared(block, 4096));
    CHECK_INT(1, cohort_is_shared(block, 0));
    CHECK_INT(0, cohort_is_shared(block, (apr_size_t)-1));
    CHECK_INT(0, cohort_is_shared(block, arena_usage().limit * 2));
    CHECK_INT(0, cohort_is_shared(&on_the_stack, 1));
    CHECK_INT(0, cohort_is_shared(NULL, 1));
    CHECK_STATUS(APR_SUCCESS, cohort_free(block));
}

static void absurd_sizes(void) {
    void *block = NULL;
    cohort_arena_usage_t before = arena_usage();
    CHECK_STATUS(APR_ENOMEM, cohort_alloc(&block, (apr_size_t)-1));
    CHECK_STATUS(APR_ENOMEM, cohort_alloc(&block, (apr_size_t)-1 - 65535));
    CHECK_STATUS(APR_ENOMEM, cohort_alloc(&block, ((apr_size_t)-1) / 2));
    CHECK_STATUS(APR_ENOMEM, cohort_alloc(&block, before.limit + 1));
    CHECK(block == NULL);
    CHECK_INT(before.blocks, arena_usage().blocks);
    CHECK_INT(before.used, arena_usage().used);
}

/* ---- between processes ---------------------------------------------------------------------- */

typedef struct node_t {
    struct node_t *next;
    int process, number;
    struct node_t *self;
} node_t;

typedef struct {
    cohort_lock_t *lock;
    node_t *first;
    int count;
} list_t;

typedef struct {
    list_t *list;
    int process, n;
} member_t;

static int prepend(void *data) {
    member_t *m = data;
    for (int i = 0; i < m->n; i++) {
        node_t *node = NULL;
        CHECK_STATUS(APR_SUCCESS, cohort_alloc((void **)&node, sizeof *node));
        *node = (node_t){NULL, m->process, i, node};
        CHECK_STATUS(APR_SUCCESS, cohort_lock_acquire(m->list->lock, COHORT_FOREVER));
        node->next = m->list->first;
        m->list->first = node;
        m->list->count++;
        CHECK_STATUS(APR_SUCCESS, cohort_lock_release(m->list->lock));
    }
    return 0;
}

static int check_list(void *data) {
    member_t *m = data;
    int seen[8] = {0}, count = 0;
    for (node_t *node = m->list->first; node; node = node->next, count++) {
        CHECK(node->self == node);
        seen[node->process]++;
    }
    CHECK_INT(m->list->count, count);
    for (int i = 0; i < m->process; i++) CHECK_INT(m->n, seen[i]);
    return 0;
}

static void list_of_several_processes(void) {
    enum { N = 5 };
    cohort_process_t *processes[N];
    apr_uint64_t before = arena_usage().blocks;
    member_t m = {.list = party_memory(sizeof(list_t)), .n = 400};
    CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&m.list->lock, test_pool()));
    for (m.process = 0; m.process < N; m.process++)
        processes[m.process] = party_start(prepend, &m, sizeof m);
    parties_finish(processes, N);
    CHECK_INT(N * m.n, m.list->count);
    party_finish(party_start(check_list, &m, sizeof m));
    for (node_t *node = m.list->first, *next; node; node = next) {
        next = node->next;
        CHECK_STATUS(APR_SUCCESS, cohort_free(node));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_lock_destroy(m.list->lock));
    CHECK_STATUS(APR_SUCCESS, cohort_free(m.list));
    CHECK_INT(before, arena_usage().blocks);
}

typedef struct {
    void **blocks;
    int n;
    _Atomic int *ready;
} heap_t;

static int allocate_all(void *data) {
    heap_t *h = data;
    for (int i = 0; i < h->n; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_alloc(&h->blocks[i], (apr_size_t)(i * 37 % 3000)));
    return 0;
}

static int free_all(void *data) {
    heap_t *h = data;
    for (int i = 0; i < h->n; i++) CHECK_STATUS(APR_SUCCESS, cohort_free(h->blocks[i]));
    return 0;
}

static void blocks_outlive_their_maker(void) {
    apr_uint64_t before = arena_usage().blocks;
    heap_t h = {.n = 1000};
    h.blocks = party_memory((apr_size_t)h.n * sizeof(void *));
    party_finish(party_start(allocate_all, &h, sizeof h));
    CHECK_INT(before + 1001, arena_usage().blocks);
    for (int i = 0; i < h.n; i++) memset(h.blocks[i], i, (size_t)(i * 37 % 3000));
    party_finish(party_start(free_all, &h, sizeof h));
    CHECK_STATUS(APR_SUCCESS, cohort_free(h.blocks));
    CHECK_INT(before, arena_usage().blocks);
}

static int churn(void *data) {
    heap_t *h = data;
    void *mine[64] = {0};
    atomic_fetch_add(h->ready, 1);
    for (unsigned i = 0, at = 1;; i++) {
        at = at * 1103515245u + 12345u;
        void **slot = &mine[at / 65536 % 64];
        if (*slot) CHECK_STATUS(APR_SUCCESS, cohort_free(*slot));
        *slot = NULL;
        if (at / 64 % 3)
            CHECK_STATUS(APR_SUCCESS, cohort_alloc(slot, at / 1024 % (i % 64 ? 2000 : 200000)));
    }
    return 0;
}

/* What the dead owned belongs to no process that knows it; but no more than that is lost, and the
 * heap goes on. */
static void users_may_die(void) {
    heap_t h = {.ready = party_memory(sizeof(int))};
    for (int round = 0; round < 12; round++) {
        cohort_process_t *processes[3];
        apr_uint64_t before = arena_usage().blocks;
        atomic_store(h.ready, 0);
        parties_start(processes, 3, churn, &h, sizeof h);
        party_await(h.ready, 3);
        for (int i = 0; i < 3; i++) {
            party_kill(processes[i]);
            CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(processes[i]));
        }
        CHECK(arena_usage().blocks <= before + 3 * 65);
    }
    blocks_of_all_sizes();
}

static void *APR_THREAD_FUNC churn_thread(apr_thread_t *thread, void *data) {
    void *mine[32] = {0};
    (void)thread;
    for (unsigned i = 0, at = (unsigned)(uintptr_t)data; i < 20000; i++) {
        at = at * 1103515245u + 12345u;
        void **slot = &mine[at / 65536 % 32];
        if (*slot) CHECK_STATUS(APR_SUCCESS, cohort_free(*slot));
        CHECK_STATUS(APR_SUCCESS, cohort_alloc(slot, at / 1024 % 1000));
        *(unsigned char *)*slot = 1;
    }
    for (int i = 0; i < 32; i++) CHECK_STATUS(APR_SUCCESS, cohort_free(mine[i]));
    return NULL;
}

static void threads_share_it_too(void) {
    apr_uint64_t before = arena_usage().blocks;
    apr_thread_t *threads[4];
    for (int i = 0; i < 4; i++) threads[i] = party_thread(churn_thread, (void *)(uintptr_t)(i + 1));
    for (int i = 0; i < 4; i++) party_thread_finish(threads[i]);
    CHECK_INT(before, arena_usage().blocks);
}

/* ---- a small arena -------------------------------------------------------------------------- */

static int run_out(void *data) {
    enum { SIZE = 100000, MOST = 4000 };
    void **blocks = calloc(MOST, sizeof(void *));
    int n = 0;
    (void)data;
    while (n < MOST && cohort_alloc(&blocks[n], SIZE) == APR_SUCCESS) memset(blocks[n++], 1, SIZE);
    CHECK(n > 50 && n < MOST);
    void *block = NULL;
    CHECK_STATUS(APR_ENOMEM, cohort_alloc(&block, SIZE));
    int small = 0;
    void **more = calloc(1 << 20, sizeof(void *));
    while (small < 1 << 20 && cohort_alloc(&more[small], 32) == APR_SUCCESS) small++;
    CHECK_STATUS(APR_ENOMEM, cohort_alloc(&block, 32));
    cohort_queue_t *queue = NULL;
    apr_status_t status = cohort_queue_create(&queue, NULL, NULL);
    if (status) CHECK_STATUS(APR_ENOMEM, status);
    else CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(queue));
    CHECK_STATUS(APR_SUCCESS, cohort_free(blocks[--n]));
    CHECK_STATUS(APR_SUCCESS, cohort_alloc(&blocks[n++], SIZE));
    while (n > 0) CHECK_STATUS(APR_SUCCESS, cohort_free(blocks[--n]));
    while (small > 0) CHECK_STATUS(APR_SUCCESS, cohort_free(more[--small]));
    CHECK_STATUS(APR_SUCCESS, cohort_alloc(&block, SIZE));
    CHECK_STATUS(APR_SUCCESS, cohort_free(block));
    free(blocks);
    free(more);
    return 0;
}

/* A process that leaves its cohort may be the root of another one, here of a very small one. */
static int with_a_small_arena(void *data) {
    cohort_options_t options = {.arena_size = (apr_uint64_t)64 << 20},
                     too_small = {.arena_size = 1 << 20};
    cohort_finalize();
    CHECK_STATUS(APR_EINVAL, cohort_initialize(&too_small));
    CHECK_STATUS(APR_SUCCESS, cohort_initialize(&options));
    CHECK(arena_usage().limit <= options.arena_size);
    CHECK_INT(0, run_out(data));
    apr_uint64_t before = arena_usage().blocks;
    party_finish(party_start(run_out, NULL, 0)); /* and a child of it */
    CHECK_INT(before, arena_usage().blocks);
    cohort_finalize();
    return 0;
}

static void a_small_arena_runs_out(void) { party_finish(party_start(with_a_small_arena, NULL, 0)); }

/* ---- typed ---------------------------------------------------------------------------------- */

typedef struct {
    double weight;
    char text[100];
} typed_t;

static void blocks_of_a_type(void) {
    typed_t *some = NULL, *none = NULL;
    void *used;
    /* so that there is a block which is not zero by itself */
    CHECK_STATUS(APR_SUCCESS, cohort_alloc(&used, 10 * sizeof(typed_t)));
    memset(used, 0xff, 10 * sizeof(typed_t));
    CHECK_STATUS(APR_SUCCESS, cohort_free(used));
    CHECK_STATUS(APR_SUCCESS, COHORT_ALLOC_ZEROED(&some, 10));
    CHECK(cohort_is_shared(some, 10 * sizeof(typed_t)));
    for (size_t i = 0; i < 10 * sizeof(typed_t); i++) CHECK_INT(0, ((char *)some)[i]);
    CHECK_STATUS(APR_SUCCESS, cohort_free(some));
    CHECK_STATUS(APR_SUCCESS, COHORT_ALLOC(&some, 3));
    some[2].weight = 1.5;
    CHECK(cohort_is_shared(some, 3 * sizeof(typed_t)));
    CHECK_STATUS(APR_SUCCESS, cohort_free(some));
    CHECK_STATUS(APR_SUCCESS, COHORT_ALLOC(&none, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_free(none));
    none = NULL;
    CHECK_STATUS(APR_ENOMEM, COHORT_ALLOC(&none, APR_SIZE_MAX / 50)); /* the product overflows */
    CHECK(strstr(cohort_last_error(), "cohort_alloc_array: ") == cohort_last_error());
    CHECK_STATUS(APR_ENOMEM, COHORT_ALLOC_ZEROED(&none, APR_SIZE_MAX / 50));
    CHECK_STATUS(APR_EINVAL, cohort_alloc_array(NULL, 1, 1));
    CHECK_STATUS(APR_EINVAL, cohort_alloc_zeroed(NULL, 1, 1));
    CHECK(none == NULL);
}

const test_case_t shared_cases[] = {
    {"Shared", "blocks_of_a_type", blocks_of_a_type},
    {"Shared", "blocks_of_all_sizes", blocks_of_all_sizes},
    {"Shared", "usage_is_reported", usage_is_reported},
    {"Shared", "misuse_is_a_status", misuse_is_a_status},
    {"Shared", "what_is_shared", what_is_shared},
    {"Shared", "absurd_sizes", absurd_sizes},
    {"Shared", "list_of_several_processes", list_of_several_processes},
    {"Shared", "blocks_outlive_their_maker", blocks_outlive_their_maker},
    {"Shared", "users_may_die", users_may_die},
    {"Shared", "threads_share_it_too", threads_share_it_too},
    {"Shared", "a_small_arena_runs_out", a_small_arena_runs_out},
    {0},
};
