/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A program with a cohort of its own, which it leaves and begins again. It writes its second
 * argument to the gift of which the first one is the name, and has a child take the next one by
 * index from it, which it hands on. Without arguments it gives itself what is not to be believed.
 */
#include <apr_env.h>
#include <apr_strings.h>
#include <cohort/cohort.h>
#include <stdlib.h>
#include <string.h>

static void check(int line, apr_status_t status, apr_status_t expected) {
    if (status == expected) return;
    fprintf(stderr, "line %d: %d, %s\n", line, (int)status, cohort_last_error());
    exit(9);
}

#define CHECK(expected, status) check(__LINE__, status, expected)

static int has_one(void *args) {
    apr_os_file_t handle;
    (void)args;
    CHECK(1, (int)cohort_gift_count());
    CHECK(APR_SUCCESS, cohort_gift_handle(&handle, "handed on", 0));
    CHECK(APR_NOTFOUND, cohort_gift_handle(&handle, NULL, 0));
    return 0;
}

static void hand_on(apr_pool_t *pool) {
    cohort_gift_t gift = {.name = "handed on"};
    cohort_process_options_t options = {.gifts = &gift, .n_gifts = 1};
    cohort_process_t *process = NULL;
    CHECK(APR_SUCCESS, cohort_gift_handle(&gift.handle, NULL, 1));
    CHECK(APR_SUCCESS, cohort_process_launch(&process, has_one, NULL, 0, &options, pool));
    CHECK(APR_SUCCESS, cohort_process_join(process, COHORT_FOREVER));
    CHECK(0, cohort_process_exit_code(process));
}

/* One number has one owner, and none is more than a descriptor or handle can be. */
static void read_doubtful(apr_pool_t *pool) {
    apr_file_t *in, *out;
    apr_os_file_t file;
    CHECK(APR_SUCCESS, apr_file_pipe_create(&in, &out, pool));
    CHECK(APR_SUCCESS, apr_os_file_get(&file, out));
    apr_int64_t number = (apr_int64_t)(intptr_t)file;
    const char *text = apr_psprintf(
        pool, "0:%" APR_INT64_T_FMT "=a:%" APR_INT64_T_FMT "=b:%" APR_INT64_T_FMT "=c:0=d", number,
        number, number + ((apr_int64_t)1 << 32));
    CHECK(APR_SUCCESS, apr_env_set("COHORT_GIFTS", text, pool));
    CHECK(APR_SUCCESS, cohort_initialize(NULL));
    CHECK(2, (int)cohort_gift_count());
    CHECK(APR_NOTFOUND, cohort_gift_handle(&file, "b", 0));
    CHECK(APR_NOTFOUND, cohort_gift_handle(&file, "c", 0));
    CHECK(APR_SUCCESS, cohort_gift_handle(&file, "a", 0));
    CHECK(1, (intptr_t)file == (intptr_t)number);
    cohort_finalize();
}

int main(int argc, char **argv) {
    apr_pool_t *pool;
    apr_file_t *file = NULL;
    char *text;
    CHECK(APR_SUCCESS, apr_initialize());
    CHECK(APR_SUCCESS, apr_pool_create(&pool, NULL));
    if (argc == 1) return read_doubtful(pool), 0;
    CHECK(APR_SUCCESS, cohort_initialize(NULL));
    CHECK(3, argc);
    CHECK(2, (int)cohort_gift_count());
    CHECK(APR_ENOENT, apr_env_get(&text, "COHORT_GIFTS", pool));
    CHECK(APR_NOTFOUND, cohort_gift_file(&file, "another", 0, pool));
    CHECK(APR_SUCCESS, cohort_gift_file(&file, argv[1], 0, pool));
    CHECK(APR_SUCCESS, apr_file_write_full(file, argv[2], strlen(argv[2]), NULL));
    apr_pool_destroy(pool);
    cohort_finalize();
    CHECK(APR_SUCCESS, cohort_initialize(NULL));
    CHECK(APR_SUCCESS, apr_pool_create(&pool, NULL));
    CHECK(APR_NOTFOUND, cohort_gift_file(&file, argv[1], 0, pool)); /* it was taken before */
    hand_on(pool);
    apr_pool_destroy(pool);
    cohort_finalize();
    return 0;
}
