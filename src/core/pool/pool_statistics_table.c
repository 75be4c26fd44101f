/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What a pool has counted, as a table for people. */
#include "core/base/fail.h"
#include "core/pool/pool_tally.h"

#include <cohort/statistics.h>

#include <apr_strings.h>
#include <string.h>

/* ---- cells ---------------------------------------------------------------------------------- */

/* A number with one digit behind the point while it is less than 100. */
static const char *scaled(uint64_t number, uint64_t unit, const char *name, apr_pool_t *pool) {
    uint64_t tenths = number / unit * 10 + number % unit * 10 / unit;
    if (tenths >= 1000)
        return apr_psprintf(pool, "%" APR_UINT64_T_FMT "%s", (apr_uint64_t)(number / unit), name);
    return apr_psprintf(pool, "%u.%u%s", (unsigned)(tenths / 10), (unsigned)(tenths % 10), name);
}

static const char *number(uint64_t value, apr_pool_t *pool) {
    return apr_psprintf(pool, "%" APR_UINT64_T_FMT, (apr_uint64_t)value);
}

static const char *duration(uint64_t ns, apr_pool_t *pool) {
    if (ns < 1000) return apr_psprintf(pool, "%uns", (unsigned)ns);
    if (ns < 1000000) return scaled(ns, 1000, "us", pool);
    if (ns < 1000000000) return scaled(ns, 1000000, "ms", pool);
    return scaled(ns, 1000000000, "s", pool);
}

static const char *bytes(apr_int64_t size, apr_pool_t *pool) {
    if (size < 0) return "-";
    if (size < 1 << 20) return scaled((uint64_t)size, 1 << 10, "K", pool);
    if (size < 1 << 30) return scaled((uint64_t)size, 1 << 20, "M", pool);
    return scaled((uint64_t)size, 1 << 30, "G", pool);
}

/* ---- lines ---------------------------------------------------------------------------------- */

enum { COLUMNS = 17, COUNTED_FIRST = 1, COUNTED_END = 9 };

typedef struct {
    const char *cells[COLUMNS];
} line_t;

static const line_t head = {{"worker", "done", "failed", "cancelled", "retried", "starts", "deaths",
                             "busy", "idle", "memory", "most", "run: p50", "p99", "max",
                             "wait: p50", "p99", "max"}};

static void fill_spread(const char **cells, const cohort_spread_t *spread, apr_pool_t *pool) {
    cells[0] = spread->count ? duration(spread->p50, pool) : "-";
    cells[1] = spread->count ? duration(spread->p99, pool) : "-";
    cells[2] = spread->count ? duration(spread->max, pool) : "-";
}

static line_t line_of(const char *name, const cohort_counts_t *c, int counted, apr_pool_t *pool) {
    line_t line = {{name, number(c->done, pool), number(c->failed, pool),
                    number(c->cancelled, pool), number(c->retried, pool), number(c->starts, pool),
                    number(c->deaths, pool), duration((uint64_t)c->busy * 1000, pool),
                    duration((uint64_t)c->idle * 1000, pool), bytes(c->memory, pool),
                    bytes(c->memory_most, pool)}};
    for (int i = COUNTED_FIRST; !counted && i < COUNTED_END; i++) line.cells[i] = "-";
    fill_spread(&line.cells[11], &c->run, pool);
    fill_spread(&line.cells[14], &c->wait, pool);
    return line;
}

static const char *title(const cohort_pool_statistics_t *s, apr_pool_t *pool) {
    if (!s->counted)
        return apr_psprintf(pool, "%s: jobs not done: %s, with %s items; not counted\n", s->name,
                            number(s->jobs, pool), number(s->items, pool));
    return apr_psprintf(
        pool, "%s: jobs not done: %s, at most %s, with %s items, at most %s; submitted: %s; %s\n",
        s->name, number(s->jobs, pool), number(s->jobs_most, pool), number(s->items, pool),
        number(s->items_most, pool), number(s->submitted, pool),
        duration((uint64_t)s->elapsed * 1000, pool));
}

/* ---- the table ------------------------------------------------------------------------------ */

typedef struct {
    char *at;
    int widths[COLUMNS];
} table_t;

static void measure(table_t *table, const line_t *line) {
    for (int i = 0; i < COLUMNS; i++) {
        int width = (int)strlen(line->cells[i]);
        if (width > table->widths[i]) table->widths[i] = width;
    }
}

/* The first column to the left, the others to the right. */
static void put_line(table_t *table, const line_t *line) {
    for (int i = 0; i < COLUMNS; i++) {
        size_t length = strlen(line->cells[i]), pad = (size_t)table->widths[i] - length;
        size_t before = i ? pad + 2 : 0, after = i ? 0 : pad;
        memset(table->at, ' ', before);
        memcpy(table->at + before, line->cells[i], length);
        memset(table->at + before + length, ' ', after);
        table->at += before + length + after;
    }
    *table->at++ = '\n';
}

static size_t size_of_line(const table_t *table) {
    size_t size = 1;
    for (int i = 0; i < COLUMNS; i++) size += (size_t)table->widths[i] + 2;
    return size;
}

apr_status_t cohort__statistics_table(char **text, const cohort_pool_statistics_t *s,
                                      apr_pool_t *pool) {
    table_t table = {0};
    if (!text || !s || !pool) return cohort__null(!text ? "table" : !s ? "statistics" : "parent");
    size_t lines = s->n + 2;
    line_t *all = apr_palloc(pool, lines * sizeof *all);
    all[0] = head;
    for (apr_size_t i = 0; i < s->n; i++)
        all[i + 1] = line_of(s->workers[i]->name, &s->workers[i]->counts, s->counted, pool);
    all[s->n + 1] = line_of("all", &s->counts, s->counted, pool);
    for (size_t i = 0; i < lines; i++) measure(&table, &all[i]);
    const char *first = title(s, pool);
    size_t length = strlen(first);
    char *made = apr_palloc(pool, length + lines * size_of_line(&table) + 1);
    memcpy(made, first, length);
    table.at = made + length;
    for (size_t i = 0; i < lines; i++) put_line(&table, &all[i]);
    *table.at = 0;
    *text = made;
    return APR_SUCCESS;
}

apr_status_t cohort_statistics_table(char **table, const cohort_pool_statistics_t *statistics,
                                     apr_pool_t *parent) {
    return COHORT__CALL(cohort__statistics_table(table, statistics, parent));
}
