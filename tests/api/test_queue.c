/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Queues: what Python's tests ask of Queue and SimpleQueue; messages of all sizes, and what a user
 * may do wrong. */
#include "queues.h"

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
    check_state(never_used, 0, 1, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(never_used));
    CHECK_STATUS(APR_SUCCESS, put_int(used, 1, 0));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(used));
    CHECK_INT(1, cohort_queue_is_closed(used));
    check_state(used, 1, 0, 0);
    check_get(1, used, 0);
    check_state(used, 0, 1, 0);
    CHECK_INT(1, cohort_queue_is_closed(used));
}

/* Python's refuses a get, too; here what is in it comes out. */
static void Q_11_closed_queue_put_get(void) {
    for (int joinable = 0; joinable < 2; joinable++) {
        cohort_queue_t *queue = new_queue(0, joinable);
        int value;
        CHECK_STATUS(APR_SUCCESS, put_int(queue, 1, 0));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_close(queue));
        CHECK_STATUS(COHORT_ECLOSED, put_int(queue, 1, COHORT_FOREVER));
        check_get(1, queue, COHORT_FOREVER);
        CHECK_STATUS(COHORT_ECLOSED, get_int(queue, &value, COHORT_FOREVER));
        CHECK_STATUS(COHORT_ECLOSED, get_int(queue, &value, 0));
    }
}

static void SQ_01_empty_of_closed(void) {
    cohort_queue_t *queue = new_queue(0, 0);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_close(queue));
    CHECK_INT(1, cohort_queue_is_empty(queue));
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

/* Python's closes both ends of its pipe; here it is closed in all processes. */
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
            apr_size_t size;
            CHECK_STATUS(APR_SUCCESS, cohort_queue_put(queue, sizes[i] ? out : NULL, sizes[i], 0));
            in[sizes[i]] = 77;
            CHECK_STATUS(APR_SUCCESS, cohort_queue_get(queue, in, (16 << 20) + 1, &size, 0));
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
        apr_size_t size;
        CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&queue, &options, test_pool()));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_put(queue, out, sizeof out, 0));
        CHECK_STATUS(APR_SUCCESS, cohort_queue_get(queue, in, sizeof in, &size, 0));
        CHECK_MEM(out, in, sizeof out);
    }
}

static void too_small_keeps_the_message(void) {
    cohort_queue_t *queue = new_queue(0, 0);
    char buffer[1000];
    for (apr_size_t n = 10; n <= 1000; n += 990) {
        apr_size_t size = 0;
        memset(buffer, 'x', sizeof buffer);
        CHECK_STATUS(APR_SUCCESS, cohort_queue_put(queue, buffer, n, 0));
        CHECK_STATUS(COHORT_ETOOSMALL, cohort_queue_get(queue, buffer, n - 1, &size, 0));
        CHECK_INT(n, size);
        size = 0;
        CHECK_STATUS(COHORT_ETOOSMALL, cohort_queue_get(queue, NULL, 0, &size, COHORT_FOREVER));
        CHECK_INT(n, size);
        check_state(queue, 1, 0, 0);
        CHECK_STATUS(APR_SUCCESS, cohort_queue_get(queue, buffer, n, &size, 0));
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
        messages[i] = (cohort_message_t){.data = &in[i], .capacity = sizeof in[i]};
    CHECK_STATUS(APR_SUCCESS, cohort_queue_get_many(queue, messages, 3, &done, COHORT_FOREVER));
    CHECK_INT(3, done);
    messages[1].capacity = 1; /* the second does not fit: it is the first of the next call */
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
    int value = 0;
    void *data;
    apr_size_t size = 4711;
    CHECK_STATUS(APR_EINVAL, cohort_queue_put(queue, NULL, 1, 0));
    CHECK_STATUS(APR_EINVAL, cohort_queue_put(NULL, &value, sizeof value, 0));
    CHECK_STATUS(APR_EINVAL, cohort_queue_get(queue, &value, sizeof value, NULL, 0));
    CHECK_STATUS(APR_EINVAL, cohort_queue_get(queue, NULL, 1, &size, 0));
    CHECK_STATUS(APR_EAGAIN, cohort_queue_get(queue, &value, sizeof value, &size, 0));
    CHECK_INT(4711, size);
    CHECK_STATUS(APR_EINVAL, cohort_queue_get_copy(queue, &data, &size, 0, NULL));
    CHECK_STATUS(APR_EINVAL, cohort_queue_get_block(queue, NULL, &size, 0));
    CHECK_STATUS(APR_EINVAL, cohort_queue_task_done(queue)); /* not joinable */
    CHECK_STATUS(APR_EINVAL, cohort_queue_join(queue, 0));
    CHECK_STATUS(APR_EINVAL, cohort_queue_put_block(queue, NULL, 1, 0));
    CHECK_STATUS(APR_EINVAL, cohort_queue_put_many(queue, NULL, 1, &size, 0));
    CHECK_STATUS(COHORT_EHANDLE, cohort_queue_close((cohort_queue_t *)(void *)&value));
    data = party_memory(1000);
    CHECK_STATUS(COHORT_EHANDLE, cohort_queue_close(data));
    CHECK_STATUS(COHORT_EHANDLE, cohort_queue_close((cohort_queue_t *)((char *)queue + 64)));
    CHECK_STATUS(COHORT_EHANDLE, cohort_queue_destroy((cohort_queue_t *)(void *)&value));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(NULL));
}

const test_case_t queue_cases[] = {
    {"Queue", "Q_01_put", Q_01_put},
    {"Queue", "Q_02_get", Q_02_get},
    {"Queue", "Q_03_used_before_start", Q_03_used_before_start},
    {"Queue", "Q_04_qsize", Q_04_qsize},
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
    {0},
};
