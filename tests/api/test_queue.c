/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Queues: what Python's tests ask of Queue, JoinableQueue and SimpleQueue; then sizes, deaths and
 * use after the end. */
#include "traffic.h"

#include <stdlib.h>

typedef struct {
    cohort_queue_t *queue, *other;
    tally_t *tally;
    _Atomic int *ready;
    _Atomic int *sent; /* per sender */
    int sender, messages;
} args_t;

static cohort_queue_t *new_queue(apr_size_t capacity, int joinable) {
    cohort_queue_t *queue = NULL;
    cohort_queue_options_t options = {.capacity = capacity, .joinable = joinable};
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&queue, &options, test_pool()));
    return queue;
}

static apr_status_t put_int(cohort_queue_t *queue, int value, apr_interval_time_t timeout) {
    return cohort_queue_put(queue, &value, sizeof value, timeout);
}

static apr_status_t get_int(cohort_queue_t *queue, int *value, apr_interval_time_t timeout) {
    apr_size_t size = sizeof *value;
    apr_status_t status = cohort_queue_get(queue, value, &size, timeout);
    if (!status) CHECK_INT(sizeof *value, size);
    return status;
}

static void check_get(int expected, cohort_queue_t *queue, apr_interval_time_t timeout) {
    int value = -4711;
    CHECK_STATUS(APR_SUCCESS, get_int(queue, &value, timeout));
    CHECK_INT(expected, value);
}

static void check_state(cohort_queue_t *queue, apr_size_t size, int empty, int full) {
    apr_size_t n = 4711;
    int is = 4711;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_size(queue, &n));
    CHECK_INT(size, n);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_empty(queue, &is));
    CHECK_INT(empty, is);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_full(queue, &is));
    CHECK_INT(full, is);
}

/* ---- rows of the conformance list ----------------------------------------------------------- */

static int drain_six(void *data) {
    args_t *a = data;
    for (int i = 1; i <= 6; i++) check_get(i, a->queue, COHORT_FOREVER);
    return 0;
}

static void Q_01_put(void) {
    args_t a = {.queue = new_queue(6, 0)};
    int value;
    check_state(a.queue, 0, 1, 0);
    for (int i = 1; i <= 6; i++) {
        CHECK_STATUS(APR_SUCCESS, put_int(a.queue, i,
                                          i % 3 == 0   ? COHORT_FOREVER
                                          : i % 3 == 1 ? 0
                                                       : apr_time_from_sec(30)));
    }
    check_state(a.queue, 6, 0, 1);
    CHECK_STATUS(APR_EAGAIN, put_int(a.queue, 7, 0));
    CHECK_STATUS(APR_EAGAIN, put_int(a.queue, 7, -1));
    apr_time_t begin = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, put_int(a.queue, 7, A_WHILE));
    AT_LEAST(A_WHILE, begin);
    party_finish(party_start(drain_six, &a, sizeof a));
    check_state(a.queue, 0, 1, 0);
    CHECK_STATUS(APR_EAGAIN, get_int(a.queue, &value, 0));
}

static int put_in_order(void *data) {
    args_t *a = data;
    for (int i = 0; i < a->messages; i++)
        CHECK_STATUS(APR_SUCCESS, put_int(a->queue, i, COHORT_FOREVER));
    return 0;
}

static void Q_02_get(void) {
    args_t a = {.queue = new_queue(0, 0), .messages = 5};
    int value;
    party_finish(party_start(put_in_order, &a, sizeof a));
    check_get(0, a.queue, 0);
    check_get(1, a.queue, COHORT_FOREVER);
    check_get(2, a.queue, apr_time_from_sec(30));
    check_get(3, a.queue, 1);
    check_get(4, a.queue, -5);
    CHECK_STATUS(APR_EAGAIN, get_int(a.queue, &value, 0));
    CHECK_STATUS(APR_EAGAIN, get_int(a.queue, &value, -1));
    apr_time_t begin = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, get_int(a.queue, &value, A_WHILE));
    AT_LEAST(A_WHILE, begin);
}

static int put_ten_to_nineteen(void *data) {
    args_t *a = data;
    for (int i = 10; i < 20; i++) CHECK_STATUS(APR_SUCCESS, put_int(a->queue, i, COHORT_FOREVER));
    return 0;
}

static void Q_03_used_before_start(void) {
    args_t a = {.queue = new_queue(0, 0)};
    int value;
    for (int i = 0; i < 10; i++) CHECK_STATUS(APR_SUCCESS, put_int(a.queue, i, COHORT_FOREVER));
    party_finish(party_start(put_ten_to_nineteen, &a, sizeof a));
    for (int i = 0; i < 20; i++) check_get(i, a.queue, 0);
    CHECK_STATUS(APR_EAGAIN, get_int(a.queue, &value, 0));
}

static void qsize(apr_size_t capacity) {
    cohort_queue_t *queue = new_queue(capacity, 0);
    check_state(queue, 0, 1, 0);
    CHECK_STATUS(APR_SUCCESS, put_int(queue, 1, 0));
    check_state(queue, 1, 0, 0);
    CHECK_STATUS(APR_SUCCESS, put_int(queue, 2, 0));
    check_state(queue, 2, 0, 0);
    check_get(1, queue, 0);
    check_state(queue, 1, 0, 0);
    check_get(2, queue, 0);
    check_state(queue, 0, 1, 0);
}

static void Q_04_qsize(void) {
    qsize(0);
    qsize(3);
}

static int work_until_told(void *data) {
    args_t *a = data;
    for (;;) {
        int value;
        CHECK_STATUS(APR_SUCCESS, get_int(a->queue, &value, COHORT_FOREVER));
        if (value < 0) return 0;
        apr_sleep(2000);
        atomic_fetch_add(a->ready, 1);
        CHECK_STATUS(APR_SUCCESS, cohort_queue_task_done(a->queue));
    }
}

static void Q_05_task_done(void) {
    cohort_process_t *workers[4];
    args_t a = {.queue = new_queue(0, 1), .ready = party_memory(sizeof(int))};
    parties_start(workers, 4, work_until_told, &a, sizeof a);
    for (int i = 0; i < 10; i++) CHECK_STATUS(APR_SUCCESS, put_int(a.queue, i, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_join(a.queue, COHORT_FOREVER));
    CHECK_INT(10, atomic_load(a.ready));
    for (int i = 0; i < 4; i++) CHECK_STATUS(APR_SUCCESS, put_int(a.queue, -1, COHORT_FOREVER));
    parties_finish(workers, 4);
}

/* What is being taken counts as long as it is not done. */
static void join_waits_for_what_is_being_taken(void) {
    cohort_process_t *workers[3];
    args_t a = {.queue = new_queue(4, 1), .ready = party_memory(sizeof(int))};
    parties_start(workers, 3, work_until_told, &a, sizeof a);
    for (int i = 1; i <= 300; i++) {
        CHECK_STATUS(APR_SUCCESS, put_int(a.queue, i, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_join(a.queue, COHORT_FOREVER));
        CHECK_INT(i, atomic_load(a.ready));
    }
    for (int i = 0; i < 3; i++) CHECK_STATUS(APR_SUCCESS, put_int(a.queue, -1, COHORT_FOREVER));
    parties_finish(workers, 3);
}

static void Q_07_timeout(void) {
    cohort_queue_t *queue = new_queue(0, 0);
    int value;
    apr_time_t begin = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, get_int(queue, &value, 200000));
    AT_LEAST(200000, begin);
}

/* Nothing is serialised in C: what can fail here is the memory for a message that does not exist.
 * It takes no slot, and later ones arrive. */
static void Q_08_failed_put_frees_its_slot(void) {
    cohort_queue_t *queue = new_queue(1, 0);
    int value = 7;
    CHECK_STATUS(APR_ENOMEM, cohort_queue_put(queue, &value, (apr_size_t)1 << 60, COHORT_FOREVER));
    check_state(queue, 0, 1, 0);
    CHECK_STATUS(APR_SUCCESS, put_int(queue, 8, 0));
    check_state(queue, 1, 0, 1);
    check_get(8, queue, 0);
    check_state(queue, 0, 1, 0);
}

/* Python calls a hook for the failing item; here the call itself says so, and the queue stays
 * usable. */
static void Q_09_failed_put_is_told(void) {
    cohort_queue_t *queue = new_queue(0, 0);
    int value = 7;
    CHECK_STATUS(APR_ENOMEM, cohort_queue_put(queue, &value, (apr_size_t)-1, 0));
    CHECK_STATUS(APR_SUCCESS, put_int(queue, 1, 0));
    check_get(1, queue, 0);
}

static void Q_10_closed_queue_empty(void) {
    cohort_queue_t *never_used = new_queue(0, 0), *used = new_queue(0, 0);
    apr_size_t size;
    int is;
    check_state(never_used, 0, 1, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(never_used));
    CHECK_STATUS(APR_SUCCESS, put_int(used, 1, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(used));
    CHECK_STATUS(COHORT_ECLOSED, cohort_queue_empty(used, &is));
    CHECK_STATUS(COHORT_ECLOSED, cohort_queue_full(used, &is));
    CHECK_STATUS(COHORT_ECLOSED, cohort_queue_size(used, &size));
}

static void Q_11_closed_queue_put_get(void) {
    for (int joinable = 0; joinable < 2; joinable++) {
        cohort_queue_t *queue = new_queue(0, joinable);
        int value;
        CHECK_STATUS(APR_SUCCESS, put_int(queue, 1, 0));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_close(queue));
        CHECK_STATUS(COHORT_ECLOSED, put_int(queue, 1, COHORT_FOREVER));
        CHECK_STATUS(COHORT_ECLOSED, get_int(queue, &value, COHORT_FOREVER));
        CHECK_STATUS(COHORT_ECLOSED, get_int(queue, &value, 0));
    }
}

static void SQ_01_empty_of_closed(void) {
    cohort_queue_t *queue = new_queue(0, 0);
    int is;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(queue));
    CHECK_STATUS(COHORT_ECLOSED, cohort_queue_empty(queue, &is));
}

static int put_true_and_false(void *data) {
    args_t *a = data;
    CHECK_STATUS(APR_SUCCESS, put_int(a->queue, 1, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, put_int(a->queue, 0, COHORT_FOREVER));
    return 0;
}

static void SQ_02_empty(void) {
    args_t a = {.queue = new_queue(0, 0)};
    check_state(a.queue, 0, 1, 0);
    party_finish(party_start(put_true_and_false, &a, sizeof a));
    check_state(a.queue, 2, 0, 0);
    check_get(1, a.queue, COHORT_FOREVER);
    check_get(0, a.queue, COHORT_FOREVER);
    check_state(a.queue, 0, 1, 0);
}

static void SQ_03_close_twice(void) {
    cohort_queue_t *queue = new_queue(0, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(queue));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(queue));
}

/* Python's closes both ends of its pipe; here nothing of a closed queue works, in any process. */
static int expect_closed(void *data) {
    args_t *a = data;
    int value;
    CHECK_STATUS(COHORT_ECLOSED, put_int(a->queue, 1, 0));
    CHECK_STATUS(COHORT_ECLOSED, get_int(a->queue, &value, 0));
    return 0;
}

static void SQ_04_closed_for_all(void) {
    args_t a = {.queue = new_queue(0, 0)};
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(a.queue));
    party_finish(party_start(expect_closed, &a, sizeof a));
}

/* ---- messages of all sizes ------------------------------------------------------------------ */

static void any_size(void) {
    static const apr_size_t sizes[] = {0,    1,    40,    64,    103,   104,     105,
                                       4095, 4096, 65535, 65536, 65537, 1 << 20, 16 << 20};
    unsigned char *out = apr_palloc(test_pool(), 16 << 20),
                  *in = apr_palloc(test_pool(), (16 << 20) + 1);
    for (int i = 0; i < 16 << 20; i++) out[i] = (unsigned char)(i * 7 + i / 256);
    for (apr_size_t capacity = 0; capacity < 3; capacity++) {
        cohort_queue_t *queue = new_queue(capacity, 0);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            apr_size_t size = (16 << 20) + 1;
            CHECK_STATUS(APR_SUCCESS, cohort_queue_put(queue, sizes[i] ? out : NULL, sizes[i], 0));
            in[sizes[i]] = 77;
            CHECK_STATUS(APR_SUCCESS, cohort_queue_get(queue, in, &size, 0));
            CHECK_INT(sizes[i], size);
            CHECK(memcmp(out, in, size) == 0);
            CHECK_INT(77, in[size]); /* what lies behind is not touched */
        }
    }
}

static void message_sizes_of_slots(void) {
    static const apr_size_t hints[] = {1, 40, 41, 1000, 65536, 65537, (apr_size_t)-1};
    char out[200] = "a message", in[200];
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++) {
        cohort_queue_t *queue = NULL;
        cohort_queue_options_t options = {.capacity = i % 2 ? 3 : 0, .message_size = hints[i]};
        apr_size_t size = sizeof in;
        CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&queue, &options, test_pool()));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_put(queue, out, sizeof out, 0));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_get(queue, in, &size, 0));
        CHECK_MEM(out, in, sizeof out);
    }
}

static void too_small_keeps_the_message(void) {
    cohort_queue_t *queue = new_queue(0, 0);
    char buffer[1000];
    for (apr_size_t n = 10; n <= 1000; n += 990) {
        apr_size_t size = n - 1;
        memset(buffer, 'x', sizeof buffer);
        CHECK_STATUS(APR_SUCCESS, cohort_queue_put(queue, buffer, n, 0));
        CHECK_STATUS(COHORT_ETOOSMALL, cohort_queue_get(queue, buffer, &size, 0));
        CHECK_INT(n, size);
        size = 0;
        CHECK_STATUS(COHORT_ETOOSMALL, cohort_queue_get(queue, NULL, &size, COHORT_FOREVER));
        check_state(queue, 1, 0, 0);
        size = n;
        CHECK_STATUS(APR_SUCCESS, cohort_queue_get(queue, buffer, &size, 0));
        CHECK_INT(n, size);
    }
}

static void copies_and_blocks(void) {
    cohort_queue_t *queue = new_queue(0, 0);
    apr_uint64_t blocks = blocks_in_use();
    char text[3000];
    void *data = NULL;
    apr_size_t size = 0;
    memset(text, 'y', sizeof text);
    for (apr_size_t n = 0; n <= 3000; n += 1500) {
        CHECK_STATUS(APR_SUCCESS, cohort_queue_put(queue, text, n, 0));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_get_copy(queue, &data, &size, 0, test_pool()));
        CHECK_INT(n, size);
        CHECK(memcmp(text, data, n) == 0);
        CHECK_INT(0, ((char *)data)[n]);
        CHECK_STATUS(APR_SUCCESS, cohort_queue_put(queue, text, n, 0));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_get_block(queue, &data, &size, 0));
        CHECK_INT(n, size);
        CHECK(memcmp(text, data, n) == 0);
        CHECK(cohort_is_shared(data, size));
        CHECK_STATUS(APR_SUCCESS, cohort_free(data));
    }
    CHECK_STATUS(APR_EAGAIN, cohort_queue_get_block(queue, &data, &size, 0));
    CHECK_INT(blocks, blocks_in_use());
}

static void a_block_travels_without_a_copy(void) {
    cohort_queue_t *queue = new_queue(1, 0);
    void *block = party_memory(100000), *got = NULL;
    apr_size_t size = 0;
    memset(block, 'z', 100000);
    CHECK_STATUS(APR_EINVAL, cohort_queue_put_block(queue, block, 1 << 20, 0));
    CHECK_STATUS(COHORT_EFREE, cohort_queue_put_block(queue, (char *)block + 16, 1, 0));
    CHECK_STATUS(COHORT_EFREE, cohort_queue_put_block(queue, &size, sizeof size, 0));
    CHECK_STATUS(COHORT_EFREE, cohort_queue_put_block(queue, queue, 1, 0));
    CHECK_STATUS(APR_SUCCESS, put_int(queue, 1, 0));
    /* full: the block is still ours */
    CHECK_STATUS(APR_EAGAIN, cohort_queue_put_block(queue, block, 100000, 0));
    CHECK_INT('z', *(char *)block);
    check_get(1, queue, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_put_block(queue, block, 99999, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_get_block(queue, &got, &size, 0));
    CHECK(got == block);
    CHECK_INT(99999, size);
    CHECK_STATUS(APR_SUCCESS, cohort_free(got));
}

static void batches(void) {
    cohort_queue_t *queue = new_queue(5, 0);
    int out[8] = {0, 1, 2, 3, 4, 5, 6, 7}, in[8];
    cohort_message_t messages[8];
    apr_size_t done = 4711;
    for (int i = 0; i < 8; i++)
        messages[i] = (cohort_message_t){.data = &out[i], .size = sizeof out[i]};
    CHECK_STATUS(APR_EAGAIN, cohort_queue_put_many(queue, messages, 8, &done, 0));
    CHECK_INT(5, done);
    for (int i = 0; i < 8; i++)
        messages[i] = (cohort_message_t){.data = &in[i], .size = sizeof in[i]};
    CHECK_STATUS(APR_SUCCESS, cohort_queue_get_many(queue, messages, 3, &done, COHORT_FOREVER));
    CHECK_INT(3, done);
    messages[1].size = 1; /* the second does not fit: it is the first of the next call */
    CHECK_STATUS(APR_SUCCESS, cohort_queue_get_many(queue, messages, 8, &done, COHORT_FOREVER));
    CHECK_INT(1, done);
    CHECK_INT(3, in[0]);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_get_many(queue, messages, 8, &done, COHORT_FOREVER));
    CHECK_INT(1, done);
    CHECK_INT(4, in[0]);
    CHECK_STATUS(APR_EAGAIN, cohort_queue_get_many(queue, messages, 8, &done, 0));
    CHECK_INT(0, done);
}

/* Far more than one segment, also while it empties; and the memory comes back. */
static void unbounded_grows_and_shrinks(void) {
    cohort_queue_t *queue = new_queue(0, 0);
    CHECK_STATUS(APR_SUCCESS, put_int(queue, -1, 0));
    check_get(-1, queue, 0);
    apr_uint64_t blocks = blocks_in_use();
    int in = 0, out = 0;
    for (; in < 20000; in++) CHECK_STATUS(APR_SUCCESS, put_int(queue, in, 0));
    check_state(queue, 20000, 0, 0);
    CHECK(blocks_in_use() > blocks + 20);
    for (; out < 19990; out++) check_get(out, queue, 0);
    for (; in < 40000; in++, out++) {
        CHECK_STATUS(APR_SUCCESS, put_int(queue, in, 0));
        check_get(out, queue, 0);
    }
    check_state(queue, 10, 0, 0);
    for (; out < in; out++) check_get(out, queue, 0);
    check_state(queue, 0, 1, 0);
    CHECK(blocks_in_use() <= blocks + 2);
}

static void absurd_options(void) {
    cohort_queue_t *queue = NULL;
    cohort_queue_options_t options = {.capacity = (apr_size_t)-1};
    apr_uint64_t blocks = blocks_in_use();
    CHECK_STATUS(APR_ENOMEM, cohort_queue_create(&queue, &options, test_pool()));
    options.capacity = (apr_size_t)1 << 40;
    CHECK_STATUS(APR_ENOMEM, cohort_queue_create(&queue, &options, test_pool()));
    options.capacity = ((apr_size_t)1 << 39) + 1;
    options.message_size = 60000;
    CHECK_STATUS(APR_ENOMEM, cohort_queue_create(&queue, &options, NULL));
    CHECK(queue == NULL);
    CHECK_STATUS(APR_EINVAL, cohort_queue_create(NULL, NULL, NULL));
    CHECK_INT(blocks, blocks_in_use());
}

static void bad_arguments(void) {
    cohort_queue_t *queue = new_queue(0, 0);
    int value = 0, is;
    void *data;
    apr_size_t size = sizeof value;
    CHECK_STATUS(APR_EINVAL, cohort_queue_put(queue, NULL, 1, 0));
    CHECK_STATUS(APR_EINVAL, cohort_queue_put(NULL, &value, sizeof value, 0));
    CHECK_STATUS(APR_EINVAL, cohort_queue_get(queue, &value, NULL, 0));
    CHECK_STATUS(APR_EINVAL, cohort_queue_get(queue, NULL, &size, 0));
    CHECK_STATUS(APR_EINVAL, cohort_queue_get_copy(queue, &data, &size, 0, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_queue_get_block(queue, NULL, &size, 0));
    CHECK_STATUS(APR_EINVAL, cohort_queue_size(queue, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_queue_empty(queue, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_queue_full(queue, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_queue_task_done(queue)); /* not joinable */
    CHECK_STATUS(APR_EINVAL, cohort_queue_join(queue, 0));
    CHECK_STATUS(APR_EINVAL, cohort_queue_put_block(queue, NULL, 1, 0));
    CHECK_STATUS(APR_EINVAL, cohort_queue_put_many(queue, NULL, 1, &size, 0));
    CHECK_STATUS(COHORT_EHANDLE, cohort_queue_empty((cohort_queue_t *)(void *)&value, &is));
    data = party_memory(1000);
    CHECK_STATUS(COHORT_EHANDLE, cohort_queue_empty(data, &is));
    CHECK_STATUS(COHORT_EHANDLE, cohort_queue_empty((cohort_queue_t *)((char *)queue + 64), &is));
    CHECK_STATUS(COHORT_EHANDLE, cohort_queue_destroy((cohort_queue_t *)(void *)&value));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(NULL));
}

/* ---- many at once --------------------------------------------------------------------------- */

static int send_traffic(void *data) {
    args_t *a = data;
    traffic_t *m = apr_palloc(test_pool(), sizeof *m);
    for (int i = 0; i < a->messages; i++) {
        apr_size_t size = traffic_make(m, a->sender, i);
        CHECK_STATUS(APR_SUCCESS, cohort_queue_put(a->queue, m, size, COHORT_FOREVER));
        atomic_store(&a->sent[a->sender], i + 1);
    }
    return 0;
}

static int send_traffic_and_stay(void *data) {
    (void)send_traffic(data);
    party_wait_for_death();
}

static bool receive_one(args_t *a, traffic_t *m, int *last, apr_interval_time_t timeout) {
    apr_size_t size = sizeof *m;
    apr_status_t status = cohort_queue_get(a->queue, m, &size, timeout);
    if (status == APR_EAGAIN || (!status && size == 0)) return false;
    CHECK_STATUS(APR_SUCCESS, status);
    traffic_check(m, size);
    tally_count(a->tally, m);
    if (last) {
        CHECK(m->number > last[m->sender]); /* what one thread receives of one sender is in order */
        last[m->sender] = m->number;
    }
    return true;
}

static int receive_traffic(void *data) {
    args_t *a = data;
    traffic_t *m = apr_palloc(test_pool(), sizeof *m);
    int last[16];
    for (int i = 0; i < 16; i++) last[i] = -1;
    atomic_fetch_add(a->ready, 1);
    while (receive_one(a, m, last, COHORT_FOREVER)) continue;
    return 0;
}

/* As above, but a message may come back from the dead late. */
static int receive_traffic_in_any_order(void *data) {
    args_t *a = data;
    traffic_t *m = apr_palloc(test_pool(), sizeof *m);
    atomic_fetch_add(a->ready, 1);
    while (receive_one(a, m, NULL, COHORT_FOREVER)) continue;
    return 0;
}

static args_t traffic_args(apr_size_t capacity, int senders, int messages) {
    args_t a = {.queue = new_queue(capacity, 0),
                .tally = tally_new(senders, messages),
                .messages = messages};
    a.ready = party_memory(sizeof(int));
    a.sent = party_memory(sizeof(int) * (apr_size_t)senders);
    return a;
}

static void start_senders(args_t *a, cohort_process_t **senders, int count) {
    for (a->sender = 0; a->sender < count; a->sender++)
        senders[a->sender] = party_start(send_traffic, a, sizeof *a);
}

static void end_receivers(args_t *a, cohort_process_t **receivers, int count) {
    for (int i = 0; i < count; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_queue_put(a->queue, NULL, 0, COHORT_FOREVER));
    parties_finish(receivers, count);
}

static void crowd(apr_size_t capacity) {
    enum { SENDERS = 2, RECEIVERS = 2, MESSAGES = 3000 };
    cohort_process_t *senders[SENDERS], *receivers[RECEIVERS];
    args_t a = traffic_args(capacity, SENDERS, MESSAGES);
    parties_start(receivers, RECEIVERS, receive_traffic, &a, sizeof a);
    start_senders(&a, senders, SENDERS);
    parties_finish(senders, SENDERS);
    end_receivers(&a, receivers, RECEIVERS);
    CHECK_INT(SENDERS * MESSAGES, atomic_load(&a.tally->got));
    for (int i = 0; i < SENDERS; i++) CHECK_INT(0, tally_missing(a.tally, i, MESSAGES));
    check_state(a.queue, 0, 1, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(a.queue));
}

static void many_senders_and_receivers_bounded(void) {
    crowd(1);
    crowd(3);
    crowd(64);
}

static void many_senders_and_receivers_unbounded(void) {
    crowd(0);
}

static void *APR_THREAD_FUNC thread_receives(apr_thread_t *thread, void *data) {
    (void)thread;
    (void)receive_traffic(data);
    return NULL;
}

static void *APR_THREAD_FUNC thread_sends(apr_thread_t *thread, void *data) {
    (void)thread;
    (void)send_traffic(data);
    return NULL;
}

static void threads_of_one_process(void) {
    enum { EACH = 2, MESSAGES = 2000 };
    apr_thread_t *threads[2 * EACH];
    args_t a = traffic_args(4, EACH, MESSAGES), each[EACH];
    for (int i = 0; i < EACH; i++) {
        each[i] = a;
        each[i].sender = i;
        threads[i] = party_thread(thread_sends, &each[i]);
        threads[EACH + i] = party_thread(thread_receives, &each[i]);
    }
    for (int i = 0; i < EACH; i++) party_thread_finish(threads[i]);
    for (int i = 0; i < EACH; i++)
        CHECK_STATUS(APR_SUCCESS, cohort_queue_put(a.queue, NULL, 0, COHORT_FOREVER));
    for (int i = EACH; i < 2 * EACH; i++) party_thread_finish(threads[i]);
    CHECK_INT(EACH * MESSAGES, atomic_load(&a.tally->got));
}

/* ---- deaths --------------------------------------------------------------------------------- */

/* A message is counted after its get, so a receiver that is killed may have one that nobody
 * counted. */
static void killing_receivers(apr_size_t capacity) {
    enum { KILLS = 12, SENDERS = 2, MESSAGES = 4000 };
    cohort_process_t *senders[SENDERS], *receivers[2], *victim;
    args_t a = traffic_args(capacity, SENDERS, MESSAGES);
    start_senders(&a, senders, SENDERS);
    for (int i = 0; i < KILLS; i++) {
        int before = atomic_load(&a.tally->got);
        atomic_store(a.ready, 0);
        victim = party_start(receive_traffic_in_any_order, &a, sizeof a);
        party_await(a.ready, 1);
        while (before < SENDERS * (MESSAGES - 100) && atomic_load(&a.tally->got) < before + 50)
            apr_sleep(100);
        apr_sleep(i * 37 % 300);
        party_kill(victim);
    }
    parties_start(receivers, 2, receive_traffic_in_any_order, &a, sizeof a);
    parties_finish(senders, SENDERS);
    end_receivers(&a, receivers, 2);
    int missing = 0;
    for (int i = 0; i < SENDERS; i++) missing += tally_missing(a.tally, i, MESSAGES);
    CHECK(missing <= KILLS);
    check_state(a.queue, 0, 1, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(a.queue));
}

static void receivers_die(void) {
    killing_receivers(1);
    killing_receivers(16);
}

static void receivers_die_unbounded(void) {
    killing_receivers(0);
}

/* What a dead sender had put, and at most the one that it could not write down any more,
 * arrives. */
static void killing_senders(apr_size_t capacity) {
    enum { SENDERS = 10, MESSAGES = 20000 };
    cohort_process_t *receivers[2], *steady, *victim;
    args_t a = traffic_args(capacity, SENDERS + 1, MESSAGES);
    parties_start(receivers, 2, receive_traffic_in_any_order, &a, sizeof a);
    a.sender = SENDERS;
    a.messages = 3000;
    steady = party_start(send_traffic, &a, sizeof a);
    a.messages = MESSAGES;
    for (a.sender = 0; a.sender < SENDERS; a.sender++) {
        victim = party_start(send_traffic_and_stay, &a, sizeof a);
        party_await(&a.sent[a.sender], 40);
        apr_sleep(a.sender * 41 % 300);
        party_kill(victim);
    }
    party_finish(steady);
    end_receivers(&a, receivers, 2);
    int sent = 3000;
    CHECK_INT(0, tally_missing(a.tally, SENDERS, 3000));
    for (int i = 0; i < SENDERS; i++) {
        sent += atomic_load(&a.sent[i]);
        CHECK_INT(0, tally_missing(a.tally, i, atomic_load(&a.sent[i])));
    }
    CHECK(atomic_load(&a.tally->got) >= sent && atomic_load(&a.tally->got) <= sent + SENDERS);
    check_state(a.queue, 0, 1, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(a.queue));
}

static void senders_die(void) {
    killing_senders(1);
    killing_senders(16);
}

static void senders_die_unbounded(void) {
    killing_senders(0);
}

/* A process that is killed in the middle of traffic leaves no block behind. */
static void deaths_leave_no_memory(void) {
    apr_uint64_t before = 0;
    for (int round = 0; round < 3; round++) {
        killing_receivers(4);
        killing_senders(0);
        if (round == 0) before = blocks_in_use();
    }
    /* The tallies are two blocks and two arrays each round, and nothing else stays. */
    CHECK_INT(before + 2 * 6, blocks_in_use());
}

static int get_and_stay(void *data) {
    args_t *a = data;
    int value;
    CHECK_STATUS(APR_SUCCESS, get_int(a->queue, &value, COHORT_FOREVER));
    atomic_fetch_add(a->ready, 1);
    party_wait_for_death();
}

static void join_does_not_wait_for_the_dead(void) {
    args_t a = {.queue = new_queue(0, 1), .ready = party_memory(sizeof(int))};
    cohort_process_t *workers[3];
    for (int i = 0; i < 4; i++) CHECK_STATUS(APR_SUCCESS, put_int(a.queue, i, 0));
    parties_start(workers, 3, get_and_stay, &a, sizeof a);
    party_await(a.ready, 3);
    CHECK_STATUS(APR_TIMEUP, cohort_queue_join(a.queue, A_WHILE));
    for (int i = 0; i < 3; i++) party_kill(workers[i]);
    CHECK_STATUS(APR_EAGAIN, cohort_queue_join(a.queue, 0)); /* one is still in the queue */
    check_get(3, a.queue, 0);
    CHECK_STATUS(APR_EAGAIN, cohort_queue_join(a.queue, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_task_done(a.queue));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_join(a.queue, COHORT_FOREVER));
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_queue_task_done(a.queue));
}

/* However many they are, one look at them is enough. */
static void join_drops_all_the_dead_at_once(void) {
    enum { MANY = 20 };
    args_t a = {.queue = new_queue(0, 1), .ready = party_memory(sizeof(int))};
    cohort_process_t *workers[MANY];
    for (int i = 0; i < MANY; i++) CHECK_STATUS(APR_SUCCESS, put_int(a.queue, i, 0));
    parties_start(workers, MANY, get_and_stay, &a, sizeof a);
    party_await(a.ready, MANY);
    CHECK_STATUS(APR_EAGAIN, cohort_queue_join(a.queue, 0));
    for (int i = 0; i < MANY; i++) party_kill(workers[i]);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_join(a.queue, 0));
}

#define SLOW_TO_COPY (16 << 20) /* bytes: time enough to be killed in the middle */

static int get_slowly(void *data) {
    args_t *a = data;
    apr_size_t size = SLOW_TO_COPY;
    void *buffer = malloc(SLOW_TO_COPY);
    CHECK(buffer != NULL);
    atomic_store(a->ready, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_get(a->queue, buffer, &size, COHORT_FOREVER));
    party_wait_for_death();
}

/* One child after the other is killed while it gets the message, until one was in the middle of
 * it. */
static void what_came_back_from_the_dead_says_so(void) {
    args_t a = {.queue = new_queue(1, 0), .ready = party_memory(sizeof(int))};
    char *buffer = malloc(SLOW_TO_COPY);
    cohort_message_t message = {.returned = 0};
    CHECK(buffer != NULL);
    memset(buffer, 7, SLOW_TO_COPY);
    while (!message.returned) {
        apr_status_t status = cohort_queue_put(a.queue, buffer, SLOW_TO_COPY, 0);
        /* the last one died too early */
        CHECK(status == APR_SUCCESS || APR_STATUS_IS_EAGAIN(status));
        atomic_store(a.ready, 0);
        cohort_process_t *getter = party_start(get_slowly, &a, sizeof a);
        party_await(a.ready, 1);
        party_kill(getter);
        message = (cohort_message_t){buffer, SLOW_TO_COPY, 4711};
        status = cohort_queue_get_message(a.queue, &message, 0);
        if (APR_STATUS_IS_EAGAIN(status)) message.returned = 0; /* it died too late */
        else CHECK_STATUS(APR_SUCCESS, status);
        CHECK(message.returned == 0 || message.returned == 1);
        CHECK_INT(SLOW_TO_COPY, message.size);
        CHECK(buffer[0] == 7 && buffer[SLOW_TO_COPY - 1] == 7);
    }
    CHECK_STATUS(APR_SUCCESS, put_int(a.queue, 1, 0));
    message.size = SLOW_TO_COPY;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_get_message(a.queue, &message, 0));
    CHECK_INT(0, message.returned);
    CHECK_INT(sizeof(int), message.size);
    CHECK_STATUS(APR_EINVAL, cohort_queue_get_message(a.queue, NULL, 0));
    free(buffer);
}

static int join_it(void *data) {
    args_t *a = data;
    atomic_fetch_add(a->ready, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_join(a->queue, COHORT_FOREVER));
    return 0;
}

static void a_death_ends_a_join_that_waits(void) {
    args_t a = {.queue = new_queue(2, 1), .ready = party_memory(sizeof(int))};
    CHECK_STATUS(APR_SUCCESS, put_int(a.queue, 1, 0));
    cohort_process_t *worker = party_start(get_and_stay, &a, sizeof a);
    party_await(a.ready, 1);
    cohort_process_t *joiner = party_start(join_it, &a, sizeof a);
    party_await(a.ready, 2);
    apr_sleep(A_WHILE);
    CHECK(cohort_process_is_alive(joiner));
    party_kill(worker);
    party_finish(joiner);
}

/* ---- joining -------------------------------------------------------------------------------- */

static void task_done_is_counted(void) {
    cohort_queue_t *queue = new_queue(0, 1);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_join(queue, 0));
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_queue_task_done(queue));
    for (int i = 0; i < 3; i++) CHECK_STATUS(APR_SUCCESS, put_int(queue, i, 0));
    CHECK_STATUS(APR_EAGAIN, cohort_queue_join(queue, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_task_done(queue)); /* before its get, as Python allows */
    check_get(0, queue, 0);
    check_get(1, queue, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_task_done(queue));
    CHECK_STATUS(APR_EAGAIN, cohort_queue_join(queue, 0));
    apr_time_t begin = apr_time_now();
    CHECK_STATUS(APR_TIMEUP, cohort_queue_join(queue, A_WHILE));
    AT_LEAST(A_WHILE, begin);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_task_done(queue));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_join(queue, 0));
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_queue_task_done(queue));
    check_get(2, queue, 0);
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_queue_task_done(queue));
}

static int get_one(void *data) {
    args_t *a = data;
    int value;
    CHECK_STATUS(APR_SUCCESS, get_int(a->queue, &value, COHORT_FOREVER));
    atomic_fetch_add(a->ready, 1);
    CHECK_STATUS(APR_SUCCESS, get_int(a->other, &value, COHORT_FOREVER));
    return 0;
}

/* More getters than the roster has places in the object; and one process says for all that it is
 * done. */
static void many_have_something_outstanding(void) {
    enum { GETTERS = 20 };
    cohort_process_t *getters[GETTERS];
    args_t a = {
        .queue = new_queue(0, 1), .other = new_queue(0, 0), .ready = party_memory(sizeof(int))};
    parties_start(getters, GETTERS, get_one, &a, sizeof a);
    for (int i = 0; i < GETTERS; i++) CHECK_STATUS(APR_SUCCESS, put_int(a.queue, i, 0));
    party_await(a.ready, GETTERS);
    for (int i = 0; i < GETTERS; i++) {
        CHECK_STATUS(APR_EAGAIN, cohort_queue_join(a.queue, 0));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_task_done(a.queue));
    }
    CHECK_STATUS(APR_SUCCESS, cohort_queue_join(a.queue, 0));
    CHECK_STATUS(COHORT_EOVERRELEASE, cohort_queue_task_done(a.queue));
    for (int i = 0; i < GETTERS; i++) CHECK_STATUS(APR_SUCCESS, put_int(a.other, i, 0));
    parties_finish(getters, GETTERS);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_join(a.queue, 0));
}

/* ---- the end -------------------------------------------------------------------------------- */

typedef struct {
    cohort_queue_t *queue;
    _Atomic int *ready;
    apr_status_t expected;
    int puts;
} blocked_t;

static int block(void *data) {
    blocked_t *b = data;
    int value = 1;
    atomic_fetch_add(b->ready, 1);
    CHECK_STATUS(b->expected, b->puts ? put_int(b->queue, 1, COHORT_FOREVER)
                                      : get_int(b->queue, &value, COHORT_FOREVER));
    return 0;
}

static void end_under_the_blocked(apr_status_t (*end)(cohort_queue_t *), apr_status_t expected) {
    cohort_process_t *blocked[4];
    for (int puts = 0; puts < 2; puts++) {
        blocked_t b = {new_queue(1, 0), party_memory(sizeof(int)), expected, puts};
        if (puts) CHECK_STATUS(APR_SUCCESS, put_int(b.queue, 1, 0));
        parties_start(blocked, 4, block, &b, sizeof b);
        party_await(b.ready, 4);
        apr_sleep(A_WHILE / 2);
        for (int i = 0; i < 4; i++) CHECK(cohort_process_is_alive(blocked[i]));
        CHECK_STATUS(APR_SUCCESS, end(b.queue));
        parties_finish(blocked, 4);
    }
}

static void close_wakes_the_blocked(void) {
    end_under_the_blocked(cohort_queue_close, COHORT_ECLOSED);
}

static void destroy_wakes_the_blocked(void) {
    end_under_the_blocked(cohort_queue_destroy, COHORT_EHANDLE);
}

static void use_after_destroy(void) {
    for (int joinable = 0; joinable < 2; joinable++) {
        cohort_queue_t *queue = new_queue(joinable ? 3 : 0, joinable);
        apr_size_t size = 0;
        int value = 0;
        CHECK_STATUS(APR_SUCCESS, put_int(queue, 1, 0));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(queue));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(queue));
        CHECK_STATUS(COHORT_EHANDLE, put_int(queue, 1, 0));
        CHECK_STATUS(COHORT_EHANDLE, get_int(queue, &value, COHORT_FOREVER));
        CHECK_STATUS(COHORT_EHANDLE, cohort_queue_size(queue, &size));
        CHECK_STATUS(COHORT_EHANDLE, cohort_queue_close(queue));
        CHECK_STATUS(COHORT_EHANDLE, cohort_queue_task_done(queue));
        CHECK_STATUS(COHORT_EHANDLE, cohort_queue_join(queue, 0));
    }
}

/* The pool destroys the queue, and with it messages of every kind, in the process that made it. */
static void memory_comes_back(void) {
    char large[5000] = "";
    apr_uint64_t blocks = 0;
    for (int i = 0; i < 20; i++) {
        cohort_queue_t *queue = NULL;
        cohort_queue_options_t options = {.capacity = i % 2 ? 700 : 0};
        apr_pool_t *pool = NULL;
        CHECK_STATUS(APR_SUCCESS, apr_pool_create(&pool, test_pool()));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&queue, &options, pool));
        for (int n = 0; n < 600; n++)
            CHECK_STATUS(APR_SUCCESS, cohort_queue_put(queue, large, n % 3 ? 20 : sizeof large, 0));
        for (int n = 0; n < 300; n++) {
            apr_size_t size = sizeof large;
            CHECK_STATUS(APR_SUCCESS, cohort_queue_get(queue, large, &size, 0));
        }
        apr_pool_destroy(pool);
        CHECK_STATUS(COHORT_EHANDLE, put_int(queue, 1, 0));
        if (i == 0) blocks = blocks_in_use();
    }
    CHECK_INT(blocks, blocks_in_use());
}

static int destroy_it(void *data) {
    args_t *a = data;
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(a->queue));
    return 0;
}

static int hammer(void *data) {
    args_t *a = data;
    int value;
    apr_status_t status = APR_SUCCESS;
    atomic_fetch_add(a->ready, 1);
    while (status == APR_SUCCESS || status == APR_EAGAIN) {
        status = put_int(a->queue, 1, 0);
        if (status == APR_SUCCESS || status == APR_EAGAIN) status = get_int(a->queue, &value, 0);
    }
    CHECK_STATUS(COHORT_EHANDLE, status);
    return 0;
}

/* Others are in the middle of using it. Nothing else is made meanwhile, so what they meet
 * afterwards is no queue. */
static void destroy_under_the_busy(void) {
    for (apr_size_t capacity = 0; capacity < 3; capacity++) {
        cohort_process_t *busy[3];
        args_t a = {.queue = new_queue(capacity, 0), .ready = party_memory(sizeof(int))};
        parties_start(busy, 3, hammer, &a, sizeof a);
        party_await(a.ready, 3);
        apr_sleep(3000);
        party_finish(party_start(destroy_it, &a, sizeof a));
        parties_finish(busy, 3);
    }
}

const test_case_t queue_cases[] = {
    {"Queue", "Q_01_put", Q_01_put},
    {"Queue", "Q_02_get", Q_02_get},
    {"Queue", "Q_03_used_before_start", Q_03_used_before_start},
    {"Queue", "Q_04_qsize", Q_04_qsize},
    {"Queue", "Q_05_task_done", Q_05_task_done},
    {"Queue", "join_waits_for_what_is_being_taken", join_waits_for_what_is_being_taken},
    {"Queue", "Q_07_timeout", Q_07_timeout},
    {"Queue", "Q_08_failed_put_frees_its_slot", Q_08_failed_put_frees_its_slot},
    {"Queue", "Q_09_failed_put_is_told", Q_09_failed_put_is_told},
    {"Queue", "Q_10_closed_queue_empty", Q_10_closed_queue_empty},
    {"Queue", "Q_11_closed_queue_put_get", Q_11_closed_queue_put_get},
    {"Queue", "SQ_01_empty_of_closed", SQ_01_empty_of_closed},
    {"Queue", "SQ_02_empty", SQ_02_empty},
    {"Queue", "SQ_03_close_twice", SQ_03_close_twice},
    {"Queue", "SQ_04_closed_for_all", SQ_04_closed_for_all},
    {"Queue", "any_size", any_size},
    {"Queue", "message_sizes_of_slots", message_sizes_of_slots},
    {"Queue", "too_small_keeps_the_message", too_small_keeps_the_message},
    {"Queue", "copies_and_blocks", copies_and_blocks},
    {"Queue", "a_block_travels_without_a_copy", a_block_travels_without_a_copy},
    {"Queue", "batches", batches},
    {"Queue", "unbounded_grows_and_shrinks", unbounded_grows_and_shrinks},
    {"Queue", "absurd_options", absurd_options},
    {"Queue", "bad_arguments", bad_arguments},
    {"Queue", "many_senders_and_receivers_bounded", many_senders_and_receivers_bounded},
    {"Queue", "many_senders_and_receivers_unbounded", many_senders_and_receivers_unbounded},
    {"Queue", "threads_of_one_process", threads_of_one_process},
    {"Queue", "receivers_die", receivers_die},
    {"Queue", "receivers_die_unbounded", receivers_die_unbounded},
    {"Queue", "senders_die", senders_die},
    {"Queue", "senders_die_unbounded", senders_die_unbounded},
    {"Queue", "deaths_leave_no_memory", deaths_leave_no_memory},
    {"Queue", "join_does_not_wait_for_the_dead", join_does_not_wait_for_the_dead},
    {"Queue", "join_drops_all_the_dead_at_once", join_drops_all_the_dead_at_once},
    {"Queue", "what_came_back_from_the_dead_says_so", what_came_back_from_the_dead_says_so},
    {"Queue", "a_death_ends_a_join_that_waits", a_death_ends_a_join_that_waits},
    {"Queue", "task_done_is_counted", task_done_is_counted},
    {"Queue", "many_have_something_outstanding", many_have_something_outstanding},
    {"Queue", "close_wakes_the_blocked", close_wakes_the_blocked},
    {"Queue", "destroy_wakes_the_blocked", destroy_wakes_the_blocked},
    {"Queue", "use_after_destroy", use_after_destroy},
    {"Queue", "memory_comes_back", memory_comes_back},
    {"Queue", "destroy_under_the_busy", destroy_under_the_busy},
    {0},
};
