/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 10: parallel_gzip FILE [WORKERS] writes FILE.gz, compressed by a pool of worker processes.
 *
 * Each block of the file becomes a gzip member of its own; members one after another are a gzip
 * file. An imap reads blocks while earlier ones are compressed, a window of them at most, and gives
 * what comes of them in the order of the file. When a worker dies, another compresses its block.
 * FILE.gz appears when it is complete.
 */
#include "check.h"

#include <apr_strings.h>
#ifdef HAVE_LIBDEFLATE
#include <libdeflate.h>
#else
#include <zlib.h>
#endif

enum { BLOCK = 640 * 1024, LEVEL = 6 };
enum { BOUND = BLOCK + BLOCK / 1000 + 64 }; /* what a block may become */

#ifdef HAVE_LIBDEFLATE
/* The compressor is the worker's own, for all its blocks. 0: it failed. */
static apr_size_t compress_into(void *out, const void *in, apr_size_t size) {
    static struct libdeflate_compressor *compressor;
    if (!compressor) compressor = libdeflate_alloc_compressor(LEVEL);
    return compressor ? libdeflate_gzip_compress(compressor, in, size, out, BOUND) : 0;
}
#else
static apr_size_t compress_into(void *out, const void *in, apr_size_t size) {
    static z_stream stream;
    const int gzip = MAX_WBITS + 16; /* zlib's largest window, and a gzip header around it */
    int result = stream.state
                     ? deflateReset(&stream)
                     : deflateInit2(&stream, LEVEL, Z_DEFLATED, gzip, 8, Z_DEFAULT_STRATEGY);
    stream.next_in = (Bytef *)in;
    stream.avail_in = (uInt)size;
    stream.next_out = out;
    stream.avail_out = BOUND;
    if (result == Z_OK) result = deflate(&stream, Z_FINISH);
    return result == Z_STREAM_END ? stream.total_out : 0;
}
#endif

/* Runs in a worker: what comes of the block is as large as it is. */
static apr_status_t gzip_block(const void *block, void *unused) {
    void *out = cohort_task_output(BOUND);
    (void)unused;
    apr_size_t size = out ? compress_into(out, block, cohort_task_input_size()) : 0;
    return size && cohort_task_output(size) ? APR_SUCCESS : APR_ENOMEM;
}

typedef struct {
    apr_file_t *file;
    double bytes;
    int blocks;
} source_t;

/* The next block of the file; an empty file has one, too. */
static apr_status_t next_block(void *arg, void *input) {
    static char block[BLOCK];
    source_t *source = arg;
    cohort_bytes_t *bytes = input;
    bytes->data = block;
    apr_status_t status = apr_file_read_full(source->file, block, BLOCK, &bytes->size);
    if (status && !(APR_STATUS_IS_EOF(status) && (bytes->size || !source->blocks))) return status;
    source->bytes += (double)bytes->size;
    source->blocks++;
    return APR_SUCCESS;
}

int main(int argc, char **argv) {
    const int reading = APR_FOPEN_READ | APR_FOPEN_BINARY;
    const int writing = APR_FOPEN_WRITE | APR_FOPEN_CREATE | APR_FOPEN_TRUNCATE | APR_FOPEN_BINARY;
    cohort_pool_options_t options = {.name = "gzip", .attempts = 5};
    cohort_job_t job = {
        .task = gzip_block, .input_size = COHORT_BYTES, .output_size = COHORT_BYTES};
    source_t source = {0};
    cohort_imap_options_t how = {.source = next_block, .source_arg = &source};
    cohort_item_t item = {0};
    cohort_pool_t *workers;
    cohort_imap_t *imap;
    cohort_progress_watch_t *watch;
    apr_file_t *out;
    apr_finfo_t info;
    apr_pool_t *pool;
    apr_status_t status;
    double bytes = 0;
    check(cohort_initialize(NULL), "cohort_initialize");
    options.workers = argc > 2 ? (apr_size_t)apr_atoi64(argv[2]) : (apr_size_t)cohort_cpu_count();
    if (argc < 2 || options.workers < 1) check(APR_EINVAL, "usage: parallel_gzip FILE [WORKERS]");
    check(apr_pool_create(&pool, NULL), "pool");
    const char *name = apr_pstrcat(pool, argv[1], ".gz", NULL);
    const char *part = apr_pstrcat(pool, name, ".part", NULL);
    apr_time_t start = apr_time_now();
    check(apr_file_open(&source.file, argv[1], reading, APR_OS_DEFAULT, pool), argv[1]);
    check(apr_file_open(&out, part, writing, APR_OS_DEFAULT, pool), part);
    check(cohort_pool_create(&workers, &options, NULL), "pool");
    how.window = 4 * options.workers;
    check(cohort_pool_imap(&imap, workers, &job, &how, NULL), "imap");
    check(apr_file_info_get(&info, APR_FINFO_SIZE, source.file), argv[1]);
    cohort_progress_options_t bar = {.label = "compressed",
                                     .total = (apr_uint64_t)(info.size + BLOCK - 1) / BLOCK};
    check(cohort_progress_watch(&watch, imap, &bar, pool), "watch"); /* if stderr is a terminal */
    while (!(status = cohort_imap_next(imap, &item, COHORT_FOREVER))) {
        check(item.status, "compress");
        check(apr_file_write_full(out, item.data, item.size, NULL), "write");
        bytes += (double)item.size;
    }
    if (!APR_STATUS_IS_EOF(status)) check(status, "read");
    check(cohort_progress_stop(watch), "stop");
    check(apr_file_close(out), part);
    check(apr_file_rename(part, name, pool), name);
    printf("%.0f -> %.0f bytes, ratio %.2f, %.2f s, %d workers\n", source.bytes, bytes,
           source.bytes / bytes, (double)(apr_time_now() - start) / 1e6, (int)options.workers);
    check(cohort_item_release(&item), "release");
    check(cohort_imap_destroy(imap), "destroy");
    return cohort_pool_destroy(workers);
}
