/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Imaps of data of any size: strings and bytes in, bytes out. */
#include "imaps.h"

#include <stdio.h>

#define BYTES_TO_BYTES .input_size = COHORT_BYTES, .output_size = COHORT_BYTES

/* The input twice; nothing of an empty one. */
static apr_status_t twice(const void *input, void *output) {
    apr_size_t size = cohort_task_input_size();
    char *out = size ? cohort_task_output(2 * size) : NULL;
    (void)output;
    if (size && !out) return APR_ENOMEM;
    for (int i = 0; i < 2 && size; i++) memcpy(out + i * size, input, size);
    return APR_SUCCESS;
}

/* From one byte to many, always in the same memory. */
typedef struct {
    unsigned char block[40000];
    apr_size_t next, n;
    _Atomic int calls;
} sizes_t;

static apr_size_t size_of(apr_size_t i) { return i * i * 37 % 40000; }

static apr_status_t next_size(void *arg, void *input) {
    sizes_t *sizes = arg;
    atomic_fetch_add(&sizes->calls, 1);
    if (sizes->next == sizes->n) return APR_EOF;
    memset(sizes->block, (int)sizes->next, sizeof sizes->block);
    *(cohort_bytes_t *)input = (cohort_bytes_t){sizes->block, size_of(sizes->next++)};
    return APR_SUCCESS;
}

static void check_twice(const cohort_item_t *item, apr_size_t index) {
    const unsigned char *data = item->data;
    CHECK_STATUS(APR_SUCCESS, item->status);
    CHECK_INT(index, item->index);
    CHECK_INT(2 * size_of(index), item->size);
    for (apr_size_t i = 0; i < item->size; i += i + 97 < item->size ? 97 : item->size - i)
        CHECK_INT(index % 256, data[i]);
}

/* Without a copy, or copied; in the end nothing is left. */
static void bytes_of_a_source(void) {
    enum { COUNT = 600 };
    cohort_pool_t *pool = new_pool(2);
    static unsigned char room[80000];
    check_works(pool);
    apr_uint64_t before = blocks_in_use();
    for (int copied = 0; copied < 2; copied++) {
        sizes_t sizes = {.n = COUNT};
        cohort_job_t job = {.task = twice, BYTES_TO_BYTES};
        cohort_item_t item = {.data = copied ? room : NULL, .capacity = copied ? sizeof room : 0};
        cohort_imap_t *imap;
        IMAP(&imap, pool, &job, .source = next_size, .source_arg = &sizes);
        for (apr_size_t i = 0; i < COUNT; i++) {
            CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
            check_twice(&item, i);
            if (!copied && i == 7) {
                CHECK(cohort_is_shared(item.data, item.size));
                CHECK_STATUS(APR_SUCCESS, cohort_free(item.data));
                item.data = NULL;
            }
        }
        check_end(imap, &item, APR_EOF);
    }
    while (blocks_in_use() > before) apr_sleep(1000);
    finish_pool(pool);
}

/* What is under way has no more bytes than the window, but for one item. */
static void bytes_are_bounded(void) {
    cohort_pool_t *pool = new_pool(1);
    sizes_t sizes = {.next = 30, .n = 100};
    apr_size_t sum = 0;
    int within = 0;
    cohort_job_t job = {.task = twice, BYTES_TO_BYTES};
    cohort_item_t item = {0};
    cohort_imap_t *imap;
    while (sum < 100000) sum += size_of(30 + within++);
    IMAP(&imap, pool, &job, .source = next_size, .source_arg = &sizes, .window_bytes = 100000);
    party_await(&sizes.calls, within);
    apr_sleep(A_WHILE);
    CHECK_INT(within, sizes.calls);
    for (apr_size_t i = 0; i < 70; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
        CHECK_INT(i, item.index);
        CHECK_INT(2 * size_of(30 + i), item.size);
    }
    check_end(imap, &item, APR_EOF);
    finish_pool(pool);
}

static apr_status_t measure(const void *input, void *output) {
    *(apr_size_t *)output = strlen(input);
    return strlen(input) == cohort_task_input_size() ? APR_SUCCESS : APR_EGENERAL;
}

static apr_status_t next_text(void *arg, void *input) {
    static char text[300];
    int *left = arg;
    if (!*left) return APR_EOF;
    memset(text, 'x', sizeof text);
    text[--*left] = 0;
    *(const char **)input = text;
    return APR_SUCCESS;
}

static void strings(void) {
    cohort_pool_t *pool = new_pool(2);
    int left = 290;
    cohort_job_t job = {
        .task = measure, .input_size = COHORT_STRINGS, .output_size = sizeof(apr_size_t)};
    cohort_item_t item = {0};
    cohort_imap_t *imap;
    IMAP(&imap, pool, &job, .source = next_text, .source_arg = &left);
    for (int i = 289; i >= 0; i--) {
        CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, item.status);
        CHECK_INT(i, *(apr_size_t *)item.data);
    }
    check_end(imap, &item, APR_EOF);
    finish_pool(pool);
}

/* The array need not stay, nor what it points at. */
static void arrays(void) {
    cohort_pool_t *pool = new_pool(2);
    char words[3][8] = {"a", "bcd", ""};
    const char *list[] = {words[0], words[1], words[2]};
    cohort_bytes_t bytes[] = {{words[0], 1}, {words[1], 3}, {NULL, 0}};
    cohort_item_t item = {0};
    cohort_imap_t *imap;
    cohort_job_t job = {.task = measure, .output_size = sizeof(apr_size_t)};
    job.inputs = list;
    job.input_size = COHORT_STRINGS;
    job.n = 3;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_imap(&imap, pool, &job, NULL, NULL));
    cohort_job_t other = {.task = twice, BYTES_TO_BYTES, .inputs = bytes, .n = 3};
    cohort_imap_t *again;
    CHECK_STATUS(APR_SUCCESS, cohort_pool_imap(&again, pool, &other, NULL, NULL));
    memset(words, 'z', sizeof words);
    memset(list, 0, sizeof list);
    memset(bytes, 0, sizeof bytes);
    for (int i = 0; i < 3; i++) {
        static const apr_size_t lengths[] = {1, 3, 0};
        CHECK_STATUS(APR_SUCCESS, cohort_imap_next(imap, &item, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, item.status);
        CHECK_INT(lengths[i], *(apr_size_t *)item.data);
    }
    check_end(imap, &item, APR_EOF);
    for (int i = 0; i < 3; i++) {
        static const char *const results[] = {"aa", "bcdbcd", ""};
        CHECK_STATUS(APR_SUCCESS, cohort_imap_next(again, &item, COHORT_FOREVER));
        CHECK_STATUS(APR_SUCCESS, item.status);
        CHECK_INT(strlen(results[i]), item.size);
        if (item.size) CHECK_MEM(results[i], item.data, item.size);
    }
    check_end(again, &item, APR_EOF);
    finish_pool(pool);
}

static apr_status_t no_data(void *arg, void *input) {
    (void)arg;
    *(cohort_bytes_t *)input = (cohort_bytes_t){NULL, 5};
    return APR_SUCCESS;
}

static void wrong_data_ends_input(void) {
    cohort_pool_t *pool = new_pool(1);
    cohort_job_t job = {.task = twice, BYTES_TO_BYTES};
    cohort_item_t item = {0};
    cohort_imap_t *imap;
    IMAP(&imap, pool, &job, .source = no_data);
    check_end(imap, &item, APR_EINVAL);
    finish_pool(pool);
}

const test_case_t imap_bytes_cases[] = {
    {"ImapBytes", "bytes_of_a_source", bytes_of_a_source},
    {"ImapBytes", "bytes_are_bounded", bytes_are_bounded},
    {"ImapBytes", "strings", strings},
    {"ImapBytes", "arrays", arrays},
    {"ImapBytes", "wrong_data_ends_input", wrong_data_ends_input},
    {0}};
