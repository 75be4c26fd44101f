/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes out of a stream of a command: kept up to a limit, or given line by line. Reads go
 * straight into the memory that is handed out in the end, of which there is always room for another
 * one: what comes behind the limit is read over and over into the same room.
 */
#include "core/process/run.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM ((size_t)65536 + 1)
#define LEAST_ROOM ((size_t)16384) /* for a read */

apr_status_t cohort__collect_begin(cohort__collect_t *collect, const cohort_command_t *command,
                                   int stream) {
    size_t limit = stream == 1 ? command->output_limit : command->error_limit;
    *collect = (cohort__collect_t){.limit = limit ? limit : SIZE_MAX,
                                   .line = command->line,
                                   .user = command->user,
                                   .stream = stream};
    collect->room = command->line ? COHORT_LINE_MAX + 1 : FIRST_ROOM;
    collect->data = malloc(collect->room);
    return collect->data ? APR_SUCCESS : APR_ENOMEM;
}

/* Where there is no memory, what is there is kept but for the last bytes, which make the room. */
static void grow_collected(cohort__collect_t *collect) {
    size_t room = collect->room <= SIZE_MAX / 4 ? collect->room * 2 : 0;
    char *more = room ? realloc(collect->data, room) : NULL;
    if (more) {
        collect->data = more;
        collect->room = room;
        return;
    }
    collect->status = APR_ENOMEM;
    collect->limit = collect->size = collect->room - 1 - LEAST_ROOM;
}

void cohort__collect_room(cohort__collect_t *collect, char **bytes, size_t *size) {
    if (!collect->line && collect->room - 1 - collect->size < LEAST_ROOM) grow_collected(collect);
    *bytes = collect->data + collect->size;
    *size = collect->room - 1 - collect->size;
}

/* ---- lines ---------------------------------------------------------------------------------- */

static bool give_line(cohort__collect_t *collect, char *line, size_t length) {
    line[length] = 0;
    int said = collect->line(collect->user, collect->stream, line, length);
    if (collect->end) cohort__end_copy(0);
    return said == 0;
}

/* The lines that are complete; what is behind them goes to the beginning. */
static bool give_lines(cohort__collect_t *collect) {
    char *line = collect->data, *end = line + collect->size, *at = line + collect->looked;
    bool more = true;
    for (char *newline; more && (newline = memchr(at, '\n', (size_t)(end - at))) != NULL;) {
        size_t length = (size_t)(newline - line);
        if (length && newline[-1] == '\r') length--;
        more = give_line(collect, line, length);
        line = at = newline + 1;
    }
    collect->size = (size_t)(end - line);
    if (more && collect->size == COHORT_LINE_MAX) {
        more = give_line(collect, line, collect->size);
        collect->size = 0;
    }
    memmove(collect->data, line, collect->size);
    collect->looked = collect->size;
    return more;
}

/* ---- all of it ------------------------------------------------------------------------------ */

bool cohort__collect_take(cohort__collect_t *collect, size_t size) {
    collect->seen += size;
    collect->size += size;
    if (collect->line) return give_lines(collect);
    if (collect->size > collect->limit) collect->size = collect->limit;
    return true;
}

void cohort__collect_drop(cohort__collect_t *collect) {
    collect->line = NULL;
    collect->limit = collect->size = 0;
}

void cohort__collect_end(cohort__collect_t *collect) {
    if (!collect->data) return;
    if (collect->line && collect->size) (void)give_line(collect, collect->data, collect->size);
    if (collect->line) collect->size = 0;
    collect->data[collect->size] = 0;
    if (collect->end) (void)collect->end(collect->user, collect->stream, NULL, 0);
    if (collect->end) cohort__end_copy(0);
    /* what is large is as large as the next one will be: given back in part, it is made anew */
    if (collect->size >= collect->room / 4) return;
    char *fitting = realloc(collect->data, collect->size + 1);
    if (fitting) collect->data = fitting;
}

void cohort__collect_free(cohort__collect_t *collect) {
    free(collect->data);
    collect->data = NULL;
}
