/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Pools: inputs and outputs with a size each. */
#include "pools.h"

#include <stdlib.h>

enum { KIB = 1024, MIB = 1024 * KIB };

static const apr_size_t sizes[] = {0, 1, 15, 63, 64, 65, 4 * KIB, 0, 70000, MIB, 3, 100};
enum { SIZES = sizeof sizes / sizeof *sizes };

static char byte_at(apr_size_t index, apr_size_t at) { return (char)(index * 31 + at * 7 + 1); }

static void fill_data(void *data, apr_size_t index, apr_size_t size) {
    for (apr_size_t i = 0; i < size; i++) ((char *)data)[i] = byte_at(index, i);
}

static int is_data(const void *data, apr_size_t index, apr_size_t size) {
    for (apr_size_t i = 0; i < size; i++) {
        if (((const char *)data)[i] != byte_at(index, i)) return 0;
    }
    return 1;
}

/* Room for data in the arena or outside of it. */
static void *new_data(apr_size_t index, apr_size_t size, int shared) {
    void *data = shared ? party_memory(size) : malloc(size + 1);
    fill_data(data, index, size);
    return data;
}

static void check_output(const cohort_bytes_t *output, apr_size_t index, apr_size_t size) {
    CHECK_INT(size, output->size);
    CHECK(output->data != NULL);
    CHECK(cohort_is_shared(output->data, size));
    CHECK(is_data(output->data, index, size));
}

/* The pool is finished, and nothing is left of it, nor of what it was given. */
static void finish_clean(cohort_pool_t *pool, apr_uint64_t before) {
    finish_pool(pool);
    CHECK_INT(before, blocks_in_use());
}

static void free_outputs(const cohort_bytes_t *outputs, int n) {
    for (int i = 0; i < n; i++) CHECK_STATUS(APR_SUCCESS, cohort_free(outputs[i].data));
}

/* ---- what goes in and comes out ------------------------------------------------------------- */

static int is_aligned(const void *data, apr_size_t size) {
    return (uintptr_t)data % (size < 64 ? 16 : 64) == 0;
}

/* The output is the input, which must be that of this item. */
static apr_status_t copy_bytes(const void *input, void *output) {
    const apr_size_t size = cohort_task_input_size(), index = cohort_task_index();
    if (output || !input != !size || !is_aligned(input, size) || !is_data(input, index, size))
        return cohort_task_fail(APR_EINVAL, "item %d", (int)index);
    void *data = cohort_task_output(size);
    if (!data || !is_aligned(data, size)) return APR_ENOMEM;
    if (size) memcpy(data, input, size);
    return APR_SUCCESS;
}

/* Inputs lie outside the arena, in it, or half of them there, the array here or there; the outputs
 * are the caller's alone. */
static void in_and_out(void) {
    enum { N = 3 * SIZES };
    apr_uint64_t before = blocks_in_use();
    cohort_pool_t *pool = new_pool(3);
    cohort_bytes_t *shared = party_memory(N * sizeof *shared),
                   *private = malloc(sizeof *private * N);
    for (int mix = 0; mix < 8; mix++) {
        cohort_bytes_t *in = mix & 4 ? shared : private, out[N];
        for (int i = 0; i < N; i++) {
            apr_size_t size = sizes[i % SIZES];
            int inside = (mix & 3) == 1 || ((mix & 3) == 2 && i % 2) || ((mix & 3) == 3 && i == 5);
            in[i] = (cohort_bytes_t){size ? new_data(i, size, inside) : NULL, size};
        }
        CHECK_STATUS(APR_SUCCESS,
                     cohort_pool_run(pool, &(cohort_job_t){.task = copy_bytes,
                                                           COHORT_INPUT_BYTES(in, N),
                                                           COHORT_OUTPUT_BYTES(out),
                                                           .chunk = (apr_size_t)mix + 1}));
        for (int i = 0; i < N; i++) {
            check_output(&out[i], i, sizes[i % SIZES]);
            if (cohort_is_shared(in[i].data, 0)) CHECK_STATUS(APR_SUCCESS, cohort_free(in[i].data));
            else free(in[i].data);
        }
        free_outputs(out, N);
    }
    free(private);
    CHECK_STATUS(APR_SUCCESS, cohort_free(shared));
    finish_clean(pool, before);
}

/* The address of what lies in the arena. */
static apr_status_t tell_address(const void *input, void *output) {
    memcpy(output, &input, sizeof input);
    return APR_SUCCESS;
}

static void arena_is_not_copied(void) {
    enum { N = 5 };
    cohort_pool_t *pool = new_pool(2);
    cohort_bytes_t in[N];
    const char *strings[N];
    void *out[N];
    for (int i = 0; i < N; i++) {
        char *data = party_memory(100);
        strcpy(data, "in the arena");
        strings[i] = data;
        in[i] = (cohort_bytes_t){data, (apr_size_t)i + 1};
    }
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_map(pool, tell_address, in, COHORT_BYTES, N, out, sizeof *out));
    for (int i = 0; i < N; i++) CHECK(out[i] == in[i].data);
    memset(out, 0, sizeof out);
    CHECK_STATUS(APR_SUCCESS,
                 cohort_pool_map(pool, tell_address, strings, COHORT_STRINGS, N, out, sizeof *out));
    for (int i = 0; i < N; i++) CHECK(out[i] == in[i].data);
    finish_pool(pool);
}

static apr_status_t measure(const void *input, void *output) {
    apr_size_t length = strlen(input);
    if (length != cohort_task_input_size()) return APR_EINVAL;
    *(apr_size_t *)output = length;
    return APR_SUCCESS;
}

static void strings(void) {
    static char long_one[200000];
    memset(long_one, 'x', sizeof long_one - 1);
    const char *words[] = {"one", "", "three", long_one, "a word of some length", ""};
    enum { N = sizeof words / sizeof *words };
    cohort_pool_t *pool = new_pool(2);
    apr_size_t out[N];
    RUN(pool, .task = measure, COHORT_INPUT_STRINGS(words, N), COHORT_OUTPUTS(out));
    for (int i = 0; i < N; i++) CHECK_INT(strlen(words[i]), out[i]);
    words[4] = NULL;
    CHECK_STATUS(APR_EINVAL,
                 cohort_pool_map(pool, measure, words, COHORT_STRINGS, N, out, sizeof *out));
    CHECK_STR("cohort_pool_map: inputs[4] is NULL: Invalid argument", cohort_last_error());
    finish_pool(pool);
}

/* Sizes of their own on one side only. */
static apr_status_t repeat(const void *input, void *output) {
    int n = *(const int *)input;
    (void)output;
    if (cohort_task_input_size() != sizeof(int)) return APR_EINVAL;
    void *data = cohort_task_output(n);
    if (!data) return APR_ENOMEM;
    fill_data(data, n, n);
    return APR_SUCCESS;
}

static apr_status_t add_up(const void *input, void *output) {
    int sum = 0;
    for (apr_size_t i = 0; i < cohort_task_input_size(); i++) sum += ((const char *)input)[i];
    *(int *)output = sum + *(const int *)cohort_task_context();
    return APR_SUCCESS;
}

static void one_side(void) {
    enum { N = 300 };
    apr_uint64_t before = blocks_in_use();
    cohort_pool_t *pool = new_pool(3);
    cohort_bytes_t out[N];
    int in[N], sums[N], context = 1000;
    fill(in, N);
    RUN(pool, .task = repeat, COHORT_INPUTS(in, N), COHORT_OUTPUT_BYTES(out));
    for (int i = 0; i < N; i++) check_output(&out[i], i, i);
    RUN(pool, .task = add_up, COHORT_INPUT_BYTES(out, N), COHORT_OUTPUTS(sums), .context = &context,
        .context_size = sizeof context);
    for (int i = 0; i < N; i++) {
        int sum = context;
        for (int k = 0; k < i; k++) sum += byte_at(i, k);
        CHECK_INT(sum, sums[i]);
    }
    free_outputs(out, N);
    RUN(pool, .task = repeat, COHORT_INPUTS(in, N), .output_size = COHORT_BYTES); /* dropped */
    RUN(pool, .task = repeat, .input_size = COHORT_BYTES, .output_size = COHORT_BYTES);
    finish_clean(pool, before);
}

/* A range gets the elements. */
static apr_status_t measure_range(const void *inputs, void *outputs, apr_size_t first,
                                  apr_size_t last) {
    const cohort_bytes_t *in = inputs;
    if (cohort_task_input_size() != 0 || cohort_task_output(1)) return APR_EGENERAL;
    for (apr_size_t i = first; i < last; i++) {
        if (strlen(in[i].data) != in[i].size) return APR_EINVAL;
        ((apr_size_t *)outputs)[i] = in[i].size;
    }
    return APR_SUCCESS;
}

static void ranges(void) {
    enum { N = 200 };
    cohort_pool_t *pool = new_pool(2);
    char words[N][20];
    const char *in[N];
    apr_size_t out[N];
    for (int i = 0; i < N; i++) {
        memset(words[i], 'a', 20);
        words[i][i % 20] = 0;
        in[i] = words[i];
    }
    RUN(pool, .range = measure_range, COHORT_INPUT_STRINGS(in, N), COHORT_OUTPUTS(out));
    for (int i = 0; i < N; i++) CHECK_INT(i % 20, out[i]);
    CHECK_STATUS(APR_EINVAL, cohort_pool_run(pool, &(cohort_job_t){.range = measure_range,
                                                                   .n = N,
                                                                   .output_size = COHORT_BYTES}));
    CHECK(strstr(cohort_last_error(), "output_size is COHORT_BYTES") != NULL);
    finish_pool(pool);
}

/* ---- what a task can do with its output ----------------------------------------------------- */

static int fails_as(const char *sentence) {
    return cohort_task_output(1) == NULL && strstr(cohort_last_error(), sentence) != NULL;
}

static void *from_a_thread(apr_thread_t *thread, void *arg) {
    *(int *)arg = fails_as("this thread is not that of a task");
    (void)thread;
    return NULL;
}

static int in_a_process(void *args) {
    (void)args;
    return !fails_as("this thread is not that of a task");
}

/* Larger and smaller, small and large; what was written stays. */
static apr_status_t resize(const void *input, void *output) {
    static const apr_size_t steps[] = {10, 100, 5000, 4000, 300000, 299999, 20, 0, 17, 2 * MIB, 33};
    apr_size_t kept = 0;
    (void)input, (void)output;
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        char *data = cohort_task_output(steps[i]);
        if (kept > steps[i]) kept = steps[i];
        if (!data || !is_data(data, i - 1, kept)) return cohort_task_fail(APR_EINVAL, "step %u", i);
        fill_data(data, i, steps[i]);
        kept = steps[i];
    }
    if (cohort_task_output((apr_size_t)1 << 50)) return APR_EGENERAL;
    char *data = cohort_task_output(33); /* it is as it was */
    return is_data(data, sizeof steps / sizeof *steps - 1, 33) ? APR_SUCCESS : APR_EGENERAL;
}

static void resized(void) {
    apr_uint64_t before = blocks_in_use();
    cohort_pool_t *pool = new_pool(2);
    cohort_bytes_t out[8];
    RUN(pool, .task = resize, .n = 8, COHORT_OUTPUT_BYTES(out));
    for (int i = 0; i < 8; i++) check_output(&out[i], 10, 33);
    free_outputs(out, 8);
    finish_clean(pool, before);
}

static apr_status_t call_elsewhere(const void *input, void *output) {
    apr_pool_t *pool = NULL;
    apr_thread_t *thread = NULL;
    apr_status_t joined;
    int refused = 0;
    (void)input, (void)output;
    if (apr_pool_create(&pool, NULL) ||
        apr_thread_create(&thread, NULL, from_a_thread, &refused, pool))
        return APR_EGENERAL;
    (void)apr_thread_join(&joined, thread);
    apr_pool_destroy(pool);
    party_finish(party_start(in_a_process, NULL, 0));
    return refused && cohort_task_output(3) ? APR_SUCCESS : APR_EINVAL;
}

static apr_status_t fixed(const void *input, void *output) {
    (void)input;
    *(int *)output = fails_as("the job's output_size is not COHORT_BYTES");
    return APR_SUCCESS;
}

static void only_in_its_task(void) {
    cohort_pool_t *pool = new_pool(1);
    cohort_bytes_t out;
    int refused = 0;
    CHECK(fails_as("this thread is not that of a task"));
    CHECK_INT(0, cohort_task_input_size());
    RUN(pool, .task = call_elsewhere, .n = 1, COHORT_OUTPUT_BYTES(&out));
    CHECK_INT(3, out.size);
    free_outputs(&out, 1);
    RUN(pool, .task = fixed, .n = 1, COHORT_OUTPUTS(&refused));
    CHECK_INT(1, refused);
    finish_pool(pool);
}

/* A task that makes an output and fails, one that makes none, and others. */
static apr_status_t some_fail(const void *input, void *output) {
    int i = *(const int *)input;
    if (i % 3 == 2) return APR_SUCCESS;
    if (repeat(input, output)) return APR_ENOMEM;
    return i % 3 == 1 ? APR_ENOTIMPL : APR_SUCCESS;
}

static void failures_keep_nothing(void) {
    enum { N = 60 };
    apr_uint64_t before = blocks_in_use();
    cohort_pool_t *pool = new_pool(3);
    cohort_bytes_t out[N];
    cohort_result_t *result;
    int in[N];
    fill(in, N);
    CHECK_STATUS(APR_ENOTIMPL, cohort_pool_run(pool, &(cohort_job_t){.task = some_fail,
                                                                     COHORT_INPUTS(in, N),
                                                                     COHORT_OUTPUT_BYTES(out)}));
    for (int i = 0; i < N; i++) {
        if (i % 3 == 0) check_output(&out[i], i, i);
        else CHECK(!out[i].data && !out[i].size);
    }
    free_outputs(out, N);
    SUBMIT(&result, pool, NULL, .task = some_fail, COHORT_INPUTS(in, N),
           .output_size = COHORT_BYTES);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    finish_clean(pool, before);
}

/* The arena is full for one task; it fails, and the others go on. */
static apr_status_t want(const void *input, void *output) {
    int i = *(const int *)input;
    (void)output;
    if (i != 3) return repeat(input, output);
    if (!cohort_task_output(10)) return APR_EGENERAL;
    return cohort_task_output((apr_size_t)1 << 45) ? APR_SUCCESS : APR_ENOMEM;
}

static void arena_is_full(void) {
    enum { N = 8 };
    apr_uint64_t before = blocks_in_use();
    cohort_pool_t *pool = new_pool(2);
    cohort_result_t *result;
    cohort_bytes_t out[N];
    cohort_item_t item;
    int in[N];
    fill(in, N);
    SUBMIT(&result, pool, NULL, .task = want, COHORT_INPUTS(in, N), COHORT_OUTPUT_BYTES(out));
    CHECK_STATUS(APR_ENOMEM, cohort_result_get(result, NULL, 0, COHORT_FOREVER));
    for (int i = 0; i < N; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_result_item(result, i, &item));
        CHECK_STATUS(i == 3 ? APR_ENOMEM : APR_SUCCESS, item.status);
        CHECK(!out[i].data == (i == 3));
    }
    free_outputs(out, N);
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    finish_clean(pool, before);
}

/* ---- orders that are refused ---------------------------------------------------------------- */

static void check_refused(cohort_pool_t *pool, const cohort_job_t *job, const char *sentence) {
    CHECK_STATUS(APR_EINVAL, cohort_pool_run(pool, job));
    CHECK(strstr(cohort_last_error(), sentence) != NULL);
}

static void refused(void) {
    apr_uint64_t before = blocks_in_use();
    cohort_pool_t *pool = new_pool(1);
    char byte = 0;
    cohort_bytes_t null[] = {{&byte, 1}, {NULL, 0}, {NULL, 1}};
    cohort_bytes_t large[] = {{&byte, 1}, {&byte, APR_SIZE_MAX / 8}, {&byte, APR_SIZE_MAX / 4}};
    cohort_bytes_t absurd[] = {{&byte, APR_SIZE_MAX}};
    cohort_job_t job = {
        .task = copy_bytes, COHORT_INPUT_BYTES(null, 3), .output_size = COHORT_BYTES};
    check_refused(pool, &job, "inputs[2].data is NULL, and its size is 1");
    job.inputs = large;
    check_refused(pool, &job, "the inputs up to inputs[2] are too large");
    job.inputs = absurd;
    job.n = 1;
    check_refused(pool, &job, "the inputs up to inputs[0] are too large");
    job.inputs = NULL;
    check_refused(pool, &job, "the input is NULL");
    job.inputs = null;
    job.output_size = COHORT_STRINGS;
    check_refused(pool, &job, "output_size is COHORT_STRINGS");
    finish_clean(pool, before);
}

/* ---- a task with work of its own ------------------------------------------------------------ */

static apr_status_t shout(const void *input, void *output) {
    (void)output;
    char *data = cohort_task_output(cohort_task_input_size());
    if (!data) return APR_ENOMEM;
    for (apr_size_t i = 0; i < cohort_task_input_size(); i++)
        data[i] = ((const char *)input)[i] - 32;
    return APR_SUCCESS;
}

/* It has begun its own output before, and goes on with that. */
static apr_status_t shout_by_others(const void *input, void *output) {
    const char *words[] = {input, input};
    cohort_pool_t *pool = *(cohort_pool_t *const *)cohort_task_context();
    apr_size_t length = cohort_task_input_size();
    cohort_bytes_t loud[2];
    (void)output;
    if (!cohort_task_output(2)) return APR_ENOMEM;
    apr_status_t status = cohort_pool_run(
        pool,
        &(cohort_job_t){.task = shout, COHORT_INPUT_STRINGS(words, 2), COHORT_OUTPUT_BYTES(loud)});
    if (status) return status;
    char *both = cohort_task_output(2 * length);
    if (!both || length != cohort_task_input_size()) return APR_EGENERAL;
    for (int i = 0; i < 2; i++) memcpy(both + i * length, loud[i].data, length);
    free_outputs(loud, 2);
    return APR_SUCCESS;
}

static void nested(void) {
    const char *words[] = {"ab", "", "some longer word"};
    apr_uint64_t before = blocks_in_use();
    cohort_pool_t *pool = new_pool(4);
    cohort_bytes_t out[3];
    RUN(pool, .task = shout_by_others, COHORT_INPUT_STRINGS(words, 3), COHORT_OUTPUT_BYTES(out),
        .context = &pool, .context_size = sizeof pool, .chunk = 1);
    CHECK_MEM("ABAB", out[0].data, 4);
    CHECK_INT(0, out[1].size);
    CHECK_INT(2 * strlen(words[2]), out[2].size);
    free_outputs(out, 3);
    finish_clean(pool, before);
}

const test_case_t pool_bytes_cases[] = {
    {"PoolBytes", "in_and_out", in_and_out},
    {"PoolBytes", "arena_is_not_copied", arena_is_not_copied},
    {"PoolBytes", "strings", strings},
    {"PoolBytes", "one_side", one_side},
    {"PoolBytes", "ranges", ranges},
    {"PoolBytes", "resized", resized},
    {"PoolBytes", "only_in_its_task", only_in_its_task},
    {"PoolBytes", "failures_keep_nothing", failures_keep_nothing},
    {"PoolBytes", "arena_is_full", arena_is_full},
    {"PoolBytes", "refused", refused},
    {"PoolBytes", "nested", nested},
    {0},
};
