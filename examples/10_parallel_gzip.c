/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* 10: parallel_gzip FILE [WORKERS]: write FILE.gz, compressed by a pool of worker processes. Each
 * block becomes a gzip member of its own; members one after another are a gzip file. Only the
 * blocks under way are in memory, shared by all processes: four for each worker. If one dies,
 * another does its block again. FILE.gz appears when complete. */
#include "check.h"
#include <apr_strings.h>
#include <zlib.h>

enum {
    BLOCK = 512 * 1024,
    BOUND = BLOCK + BLOCK / 1000 + 64,
    READ = APR_FOPEN_READ | APR_FOPEN_BINARY
};
enum { WRITE = APR_FOPEN_WRITE | APR_FOPEN_CREATE | APR_FOPEN_TRUNCATE | APR_FOPEN_BINARY };
typedef struct { apr_size_t size; Bytef data[BOUND]; } block_t;
typedef struct { block_t in, out; cohort_result_t *result; } slot_t;

static apr_status_t compress_block(const void *input, void *output) { /* in a worker */
    static z_stream z; /* its own, for all blocks; 15 + 16 below: as gzip */
    const block_t *in = input;
    block_t *out = output;
    if (z.state ? deflateReset(&z)
                : deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY))
        return APR_ENOMEM;
    z.next_in = (Bytef *)in->data, z.avail_in = (uInt)in->size, z.next_out = out->data,
    z.avail_out = BOUND;
    int status = deflate(&z, Z_FINISH);
    return out->size = z.total_out, status == Z_STREAM_END ? APR_SUCCESS : APR_EGENERAL;
}

int main(int argc, char **argv) {
    apr_pool_t *pool = NULL;
    apr_file_t *file, *gz, *terminal;
    apr_finfo_t info = {0};
    cohort_pool_t *gzips;
    slot_t *slots;
    check(cohort_initialize(&argc, &argv, NULL), "cohort_initialize");
    int workers = argc > 2 ? (int)apr_atoi64(argv[2]) : cohort_cpu_count(), window = 4 * workers,
        begun = 0, done = 0;
    check(argc < 2 || workers < 1 ? APR_EINVAL : apr_pool_create(&pool, NULL),
          "usage: parallel_gzip FILE [WORKERS]");
    double in = 0, out = 0, t0 = 1e-6 * (double)apr_time_now();
    check(apr_file_open(&file, argv[1], READ, APR_OS_DEFAULT, pool), argv[1]);
    const char *name = apr_pstrcat(pool, argv[1], ".gz", NULL),
               *part = apr_pstrcat(pool, name, ".part", NULL);
    check(apr_file_open(&gz, part, WRITE, APR_OS_DEFAULT, pool), part);
    if (!apr_file_open_stderr(&terminal, pool))
        (void)apr_file_info_get(&info, APR_FINFO_TYPE, terminal);
    check(cohort_pool_create(
              &gzips, &(cohort_pool_options_t){workers, .name = "gzip", .attempts = 5}, NULL),
          "pool");
    check(cohort_alloc((void **)&slots, (apr_size_t)window * sizeof *slots), "alloc");
    for (int more = 1; more || done < begun;) {
        /* there is a free slot: give the next block to the workers */
        if (more && begun - done < window) {
            slot_t *slot = &slots[begun++ % window];
            apr_status_t status = apr_file_read_full(file, slot->in.data, BLOCK, &slot->in.size);
            check((more = !APR_STATUS_IS_EOF(status)) ? status : APR_SUCCESS, argv[1]);
            check(cohort_pool_apply_async(&slot->result, gzips, compress_block, &slot->in,
                                          sizeof slot->in, &slot->out, sizeof slot->out, NULL,
                                          NULL),
                  "apply_async");
        } else { /* write the oldest block */
            slot_t *slot = &slots[done++ % window];
            check(cohort_result_get(slot->result, NULL, 0, COHORT_FOREVER), "compress");
            (void)cohort_result_destroy(slot->result);
            check(apr_file_write_full(gz, slot->out.data, slot->out.size, NULL), "write");
            in += (double)slot->in.size, out += (double)slot->out.size;
            if (info.filetype == APR_CHR)
                fprintf(stderr, "\r%.1f MB%s", in / 1e6, more || done < begun ? "" : "\n");
        }
    }
    check(apr_file_close(gz), part), check(apr_file_rename(part, name, pool), name);
    double s = 1e-6 * (double)apr_time_now() - t0;
    printf("%.0f -> %.0f bytes, ratio %.2f, %.2f s, %d workers\n", in, out, in / out, s, workers);
    return cohort_pool_destroy(gzips);
}
