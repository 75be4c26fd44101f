/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 10: parallel_gzip FILE [WORKERS] writes FILE.gz, compressed by a pool of worker processes.
 *
 * Each block of the file becomes a gzip member of its own; members one after another are a gzip
 * file. The blocks under way, four for each worker, lie in memory that all processes share, so
 * nothing is copied between them. When a worker dies, another compresses its block. FILE.gz appears
 * when it is complete.
 */
#include "check.h"

#include <apr_strings.h>
#include <zlib.h>

enum {
    BLOCK = 512 * 1024,
    BOUND = BLOCK + BLOCK / 1000 + 64, /* what deflate() may make of a block */
    BLOCKS_PER_WORKER = 4,
    GZIP = 15 + 16, /* zlib's largest window, and a gzip header around it */
    ATTEMPTS = 5    /* so many workers may die of one block */
};

typedef struct {
    apr_size_t size;
    Bytef data[BOUND];
} block_t;

typedef struct {
    block_t in, out;
    cohort_result_t *result;
} slot_t;

typedef struct {
    apr_file_t *in, *out;
    cohort_pool_t *workers;
    slot_t *slots;
    int n_slots, begun, done;
    double bytes_in, bytes_out;
} gzip_t;

/* Runs in a worker. The stream's state is the worker's own, for all its blocks. */
static apr_status_t compress_block(const void *input, void *output) {
    static z_stream stream;
    const block_t *in = input;
    block_t *out = output;
    int result = stream.state ? deflateReset(&stream)
                              : deflateInit2(&stream, 6, Z_DEFLATED, GZIP, 8, Z_DEFAULT_STRATEGY);
    if (result != Z_OK) return APR_ENOMEM;
    stream.next_in = (Bytef *)in->data;
    stream.avail_in = (uInt)in->size;
    stream.next_out = out->data;
    stream.avail_out = BOUND;
    result = deflate(&stream, Z_FINISH);
    out->size = stream.total_out;
    return result == Z_STREAM_END ? APR_SUCCESS : APR_EGENERAL;
}

/* Read the next block and give it to the workers. Returns 0 at the end of the file. */
static int begin_block(gzip_t *gzip) {
    slot_t *slot = &gzip->slots[gzip->begun++ % gzip->n_slots];
    apr_status_t status = apr_file_read_full(gzip->in, slot->in.data, BLOCK, &slot->in.size);
    int more = !APR_STATUS_IS_EOF(status);
    if (more) check(status, "read");
    cohort_job_t compression = {
        .task = compress_block, COHORT_INPUTS(&slot->in, 1), COHORT_OUTPUTS(&slot->out)};
    check(cohort_pool_submit(&slot->result, gzip->workers, &compression, NULL), "submit");
    return more;
}

/* Wait for the oldest block and write it. */
static void finish_block(gzip_t *gzip) {
    slot_t *slot = &gzip->slots[gzip->done++ % gzip->n_slots];
    check(cohort_result_get(slot->result, NULL, 0, COHORT_FOREVER), "compress");
    check(cohort_result_destroy(slot->result), "destroy");
    check(apr_file_write_full(gzip->out, slot->out.data, slot->out.size, NULL), "write");
    gzip->bytes_in += (double)slot->in.size;
    gzip->bytes_out += (double)slot->out.size;
}

static int stderr_is_terminal(apr_pool_t *pool) {
    apr_file_t *file;
    apr_finfo_t info;
    return apr_file_open_stderr(&file, pool) == APR_SUCCESS &&
           apr_file_info_get(&info, APR_FINFO_TYPE, file) == APR_SUCCESS &&
           info.filetype == APR_CHR;
}

int main(int argc, char **argv) {
    const int writing = APR_FOPEN_WRITE | APR_FOPEN_CREATE | APR_FOPEN_TRUNCATE | APR_FOPEN_BINARY;
    cohort_pool_options_t options = {.name = "gzip", .attempts = ATTEMPTS};
    apr_pool_t *pool;
    gzip_t gzip = {0};
    check(cohort_initialize(NULL), "cohort_initialize");
    options.workers = argc > 2 ? (apr_size_t)apr_atoi64(argv[2]) : cohort_cpu_count();
    if (argc < 2 || options.workers < 1) check(APR_EINVAL, "usage: parallel_gzip FILE [WORKERS]");
    check(apr_pool_create(&pool, NULL), "pool");
    const char *name = apr_pstrcat(pool, argv[1], ".gz", NULL);
    const char *part = apr_pstrcat(pool, name, ".part", NULL);
    apr_time_t start = apr_time_now();
    check(apr_file_open(&gzip.in, argv[1], APR_FOPEN_READ | APR_FOPEN_BINARY, APR_OS_DEFAULT, pool),
          argv[1]);
    check(apr_file_open(&gzip.out, part, writing, APR_OS_DEFAULT, pool), part);
    check(cohort_pool_create(&gzip.workers, &options, NULL), "pool");
    gzip.n_slots = BLOCKS_PER_WORKER * options.workers;
    check(COHORT_ALLOC(&gzip.slots, gzip.n_slots), "alloc");
    int show_progress = stderr_is_terminal(pool), more = 1;
    while (more || gzip.done < gzip.begun) {
        if (more && gzip.begun - gzip.done < gzip.n_slots) more = begin_block(&gzip);
        else finish_block(&gzip);
        if (show_progress) fprintf(stderr, "\r%.1f MB", gzip.bytes_in / 1e6);
    }
    if (show_progress) fprintf(stderr, "\n");

    check(apr_file_close(gzip.out), part);
    check(apr_file_rename(part, name, pool), name);
    double seconds = (double)(apr_time_now() - start) / 1e6;
    printf("%.0f -> %.0f bytes, ratio %.2f, %.2f s, %d workers\n", gzip.bytes_in, gzip.bytes_out,
           gzip.bytes_in / gzip.bytes_out, seconds, (int)options.workers);
    return cohort_pool_destroy(gzip.workers);
}
