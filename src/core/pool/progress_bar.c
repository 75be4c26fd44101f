/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Bars on a terminal. The bars of one terminal are a block of lines; the cursor is in the last one.
 * An update goes up to the first line and writes all of them again, in one write: those that end
 * first, which leaves them above the block. Each asks how wide the terminal is. One that has become
 * narrower has broken the lines that were there into several, which count when the cursor goes up.
 * The last column is left free, where terminals differ in what they do with the cursor.
 */
#include "core/pool/progress.h"

#include <stdio.h>
#include <string.h>

enum { COLUMNS_MOST = 512, LINE = 4 * COLUMNS_MOST + 32, ROOM = 16384 };

/* What is to be written at once. */
typedef struct {
    char text[ROOM];
    size_t length, columns; /* columns: of the terminal */
    const cohort__bar_t *like;
    bool moves; /* it takes control sequences */
} page_t;

static void put(page_t *page, const char *text) {
    size_t length = strlen(text);
    if (page->length + length > sizeof page->text) return;
    memcpy(page->text + page->length, text, length);
    page->length += length;
}

static bool is_on(const cohort__bar_t *bar, const page_t *page) {
    return bar->handle == page->like->handle;
}

/* Lines of the terminal that the bars take there now. */
static size_t lines_there(const cohort__bar_t *first, const page_t *page) {
    size_t lines = 0;
    for (const cohort__bar_t *bar = first; bar; bar = bar->next) {
        if (!is_on(bar, page) || !bar->is_there) continue;
        lines += bar->shown > page->columns ? (bar->shown + page->columns - 1) / page->columns : 1;
    }
    return lines;
}

/* To the beginning of the first line, with all behind it cleared. */
static void go_up(const cohort__bar_t *first, page_t *page) {
    char text[32];
    size_t lines = lines_there(first, page);
    put(page, "\r");
    if (!page->moves) return;
    if (lines > 1) {
        snprintf(text, sizeof text, "\033[%uA", (unsigned)lines - 1);
        put(page, text);
    }
    put(page, "\033[J");
}

/* Where nothing can be cleared, what was longer is written over. */
static void write_bar(cohort__bar_t *bar, page_t *page) {
    char line[LINE];
    size_t width = page->columns > COLUMNS_MOST ? COLUMNS_MOST : page->columns;
    size_t shown = 0, before = bar->shown;
    bool empty = bar->ends && bar->vanish;
    line[0] = '\0';
    if (!empty && width > 1)
        (void)cohort_progress_line(line, sizeof line - COLUMNS_MOST, bar->state, width - 1,
                                   bar->ascii);
    for (const char *at = line; *at; at++) shown += (*at & 0xc0) != 0x80;
    put(page, line);
    for (size_t i = shown; !page->moves && i < before && i + 1 < width; i++) put(page, " ");
    if (!page->moves && empty) put(page, "\r");
    bar->shown = shown;
    bar->is_there = !bar->ends;
    if (bar->ends && !empty) put(page, "\n");
}

/* Those that end, then the others. A terminal without control sequences shows the first only. */
static void write_bars(cohort__bar_t *first, page_t *page) {
    bool any = false;
    for (cohort__bar_t *bar = first; bar; bar = bar->next) {
        if (is_on(bar, page) && bar->ends) write_bar(bar, page);
    }
    for (cohort__bar_t *bar = first; bar; bar = bar->next) {
        if (!is_on(bar, page) || bar->ends) continue;
        if (any && !page->moves) {
            bar->is_there = false;
            continue;
        }
        if (any) put(page, "\n");
        write_bar(bar, page);
        any = true;
    }
}

void cohort__bars_draw(cohort__bar_t *first, const cohort__bar_t *like) {
    page_t page = {.like = like};
    cohort_os_known_t known = cohort_os_know(like->handle);
    if (known.columns <= 0) return;
    page.columns = (size_t)known.columns;
    page.moves = known.has_moves && !like->dumb;
    go_up(first, &page);
    write_bars(first, &page);
    (void)apr_file_write_full(like->file, page.text, page.length, NULL);
}
