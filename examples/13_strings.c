/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 13: Strings go in, and bytes of any size come out: words in capitals, by a pool of workers.
 *
 *     13_strings [WORD...]
 *
 * A task makes its output itself, in shared memory, and nothing copies it on its way to the caller,
 * which frees it.
 */
#include "check.h"

#include <ctype.h>
#include <stdlib.h>

static apr_status_t capitals(const void *input, void *output) {
    const unsigned char *word = input;
    apr_size_t size = cohort_task_input_size();
    char *made = cohort_task_output(size);
    (void)output;
    if (!made) return APR_ENOMEM;
    for (apr_size_t i = 0; i < size; i++) made[i] = (char)toupper(word[i]);
    return APR_SUCCESS;
}

/* The same as often as the word is long. */
static apr_status_t repeat(const void *input, void *output) {
    const char *word = input;
    apr_size_t length = cohort_task_input_size();
    char *made = cohort_task_output(length * length);
    (void)output;
    if (!made) return APR_ENOMEM;
    for (apr_size_t i = 0; i < length * length; i++) made[i] = word[i % length];
    return APR_SUCCESS;
}

static void show(cohort_pool_t *workers, cohort_task_t task, const char *const *words, int count) {
    cohort_bytes_t *made = calloc((size_t)count, sizeof *made);
    if (!made) check(APR_ENOMEM, "calloc");
    cohort_job_t job = {
        .task = task, COHORT_INPUT_STRINGS(words, (apr_size_t)count), COHORT_OUTPUT_BYTES(made)};
    check(cohort_pool_run(workers, &job), "run");
    for (int i = 0; i < count; i++) {
        printf("%s: %.*s\n", words[i], (int)made[i].size, (const char *)made[i].data);
        check(cohort_free(made[i].data), "free");
    }
    free(made);
}

int main(int argc, char **argv) {
    static const char *const some[] = {"a", "few", "words"};
    const char *const *words = argc > 1 ? (const char *const *)argv + 1 : some;
    int count = argc > 1 ? argc - 1 : 3;
    cohort_pool_t *workers;
    check(cohort_initialize(NULL), "cohort_initialize");
    check(cohort_pool_create(&workers, NULL, NULL), "pool");
    show(workers, capitals, words, count);
    show(workers, repeat, words, count);
    return cohort_pool_destroy(workers);
}
