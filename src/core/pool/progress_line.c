/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The line of a bar, as tqdm has it:
 * "label:  45%|####5     | 450/1000 [00:03<00:04, 150.2it/s]". */
#include "core/base/fail.h"

#include <cohort/errors.h>
#include <cohort/progress.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { PART = 160, BAR_LEAST = 4, CELL = 24 };

static const char *show_time(char *cell, apr_interval_time_t time) {
    long long seconds = time / 1000000, hours = seconds / 3600;
    int minutes = (int)(seconds / 60 % 60), rest = (int)(seconds % 60);
    if (time < 0) return "?";
    if (hours) snprintf(cell, CELL, "%lld:%02d:%02d", hours, minutes, rest);
    else snprintf(cell, CELL, "%02d:%02d", minutes, rest);
    return cell;
}

static const char *show_rate(char *cell, double rate) {
    if (rate <= 0) return "?it/s";
    if (rate < 1) snprintf(cell, CELL, "%.2fs/it", 1 / rate);
    else if (rate < 1e5) snprintf(cell, CELL, "%.*fit/s", rate < 1000 ? 1 : 0, rate);
    else
        snprintf(cell, CELL, "%.2f%sit/s", rate / (rate < 1e6 ? 1e3 : 1e6), rate < 1e6 ? "k" : "M");
    return cell;
}

static const char *show_end(const cohort_progress_t *p) {
    if (!p->over || !p->status) return "";
    if (p->status == COHORT_ETERMINATED) return ", terminated";
    if (p->status == COHORT_ECANCELLED) return ", cancelled";
    if (p->status == COHORT_EDEADLINE) return ", out of time";
    if (p->status == APR_INCOMPLETE || p->status == COHORT_EHANDLE) return ", stopped";
    return ", failed";
}

/* Columns of a text: each character has one. */
static size_t columns_of(const char *text) {
    size_t columns = 0;
    for (; *text; text++) columns += (*text & 0xc0) != 0x80;
    return columns;
}

/* As much of it as there is room for, with whole characters; control characters are left out. */
static void append_piece(char *line, size_t size, size_t *used, size_t *columns, const char *text) {
    while (*text && *columns) {
        size_t length = 1;
        while ((text[length] & 0xc0) == 0x80) length++;
        if (*used + length >= size) break;
        if ((unsigned char)*text >= 0x20 && *text != 0x7f) {
            memcpy(line + *used, text, length);
            *used += length;
            --*columns;
        }
        text += length;
    }
    line[*used] = '\0';
}

/* In eighths of a column, or tenths in ASCII. */
static void append_bar(char *line, size_t size, size_t *used, size_t *columns, double part,
                       size_t width, bool ascii) {
    static const char *const eighths[] = {" ",
                                          "\xe2\x96\x8f",
                                          "\xe2\x96\x8e",
                                          "\xe2\x96\x8d",
                                          "\xe2\x96\x8c",
                                          "\xe2\x96\x8b",
                                          "\xe2\x96\x8a",
                                          "\xe2\x96\x89",
                                          "\xe2\x96\x88"};
    static const char *const tenths[] = {" ", "1", "2", "3", "4", "5", "6", "7", "8", "9", "#"};
    const char *const *steps = ascii ? tenths : eighths;
    size_t most = ascii ? 10 : 8, left = (size_t)(part * (double)(width * most));
    for (size_t i = 0; i < width; i++) {
        size_t step = left < most ? left : most;
        append_piece(line, size, used, columns, steps[step]);
        left -= step;
    }
}

typedef struct {
    char head[PART], tail[PART];
    double part;
    bool is_known;
} parts_t;

static void make_parts(const cohort_progress_t *p, parts_t *parts) {
    char elapsed[CELL], remaining[CELL], rate[CELL];
    unsigned long long done = p->done, total = p->total;
    parts->is_known = total != 0 && done <= total;
    parts->part = parts->is_known ? (double)done / (double)total : 0;
    if (parts->is_known) {
        snprintf(parts->head, PART, "%3d%%", (int)(parts->part * 100));
        snprintf(parts->tail, PART, " %llu/%llu [%s<%s, %s%s]", done, total,
                 show_time(elapsed, p->elapsed), show_time(remaining, p->remaining),
                 show_rate(rate, p->rate), show_end(p));
    } else {
        parts->head[0] = '\0';
        snprintf(parts->tail, PART, "%lluit [%s, %s%s]", done, show_time(elapsed, p->elapsed),
                 show_rate(rate, p->rate), show_end(p));
    }
}

apr_size_t cohort_progress_line(char *line, apr_size_t size, const cohort_progress_t *progress,
                                apr_size_t columns, int ascii) {
    parts_t parts;
    size_t used = 0, left = columns;
    if (!line || !size || !progress) return 0;
    line[0] = '\0';
    make_parts(progress, &parts);
    bool is_labelled = progress->label && progress->label[0];
    size_t others = (is_labelled ? columns_of(progress->label) + 2 : 0) + columns_of(parts.head) +
                    columns_of(parts.tail) + 2;
    if (is_labelled) append_piece(line, size, &used, &left, progress->label);
    if (is_labelled) append_piece(line, size, &used, &left, ": ");
    append_piece(line, size, &used, &left, parts.head);
    if (parts.is_known && others + BAR_LEAST <= columns) {
        append_piece(line, size, &used, &left, "|");
        append_bar(line, size, &used, &left, parts.part, columns - others, ascii != 0);
        append_piece(line, size, &used, &left, "|");
    }
    append_piece(line, size, &used, &left, parts.tail);
    return used;
}
