/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Bars on a pseudo-terminal: a screen is kept of what a terminal would show, and looked at. */
#include "../api/pools.h"

#include <apr_portable.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { ROWS = 40, WIDTH_MOST = 200 };

/* A terminal: its two ends, and what it shows. It breaks lines that are too long, and knows the
 * control sequences that bars use. */
typedef struct {
    int master, slave;
    apr_file_t *file;
    int columns, row, column, updates;
    char cells[ROWS][WIDTH_MOST + 1];
    char sequence[16];
    size_t length; /* of the sequence under way */
} screen_t;

static void resize(screen_t *s, int columns) {
    struct winsize size = {.ws_row = ROWS, .ws_col = (unsigned short)columns};
    CHECK_INT(0, ioctl(s->master, TIOCSWINSZ, &size));
    s->columns = columns;
}

static void open_screen(screen_t *s, int columns) {
    struct termios raw;
    memset(s, 0, sizeof *s);
    memset(s->cells, ' ', sizeof s->cells);
    s->master = posix_openpt(O_RDWR | O_NOCTTY);
    if (s->master < 0 || grantpt(s->master) != 0 || unlockpt(s->master) != 0)
        SKIP("needs pseudo-terminals");
    s->slave = open(ptsname(s->master), O_RDWR | O_NOCTTY);
    CHECK(s->slave >= 0);
    CHECK_INT(0, tcgetattr(s->slave, &raw)); /* no "\r" is put in front of "\n" */
    cfmakeraw(&raw);
    CHECK_INT(0, tcsetattr(s->slave, TCSANOW, &raw));
    apr_os_file_t handle = s->slave;
    CHECK_STATUS(APR_SUCCESS, apr_os_file_put(&s->file, &handle, APR_FOPEN_WRITE, test_pool()));
    resize(s, columns);
}

static void control(screen_t *s) {
    char last = s->sequence[s->length - 1];
    int n = atoi(s->sequence + 2);
    CHECK(last == 'A' || last == 'J');
    if (last == 'A') s->row -= n;
    CHECK(s->row >= 0);
    for (int row = s->row; last == 'J' && row < ROWS; row++) {
        int from = row == s->row ? s->column : 0;
        memset(s->cells[row] + from, ' ', (size_t)(WIDTH_MOST - from));
    }
    s->length = 0;
}

static void show(screen_t *s, char c) {
    if (s->length || c == '\033') {
        s->sequence[s->length++] = c;
        CHECK(s->length < sizeof s->sequence);
        if (s->length > 2 && c >= 'A') control(s);
        return;
    }
    if (c == '\r') s->column = 0;
    s->updates += c == '\r' && !s->length;
    if (c == '\n') s->row++, s->column = 0; /* what a terminal makes of "\r\n" */
    if (c == '\r' || c == '\n') return;
    if (s->column == s->columns) s->row++, s->column = 0;
    CHECK(s->row < ROWS);
    s->cells[s->row][s->column++] = c;
}

/* All that has been written. */
static void read_on(screen_t *s) {
    struct pollfd ready = {.fd = s->master, .events = POLLIN};
    char text[4096];
    while (poll(&ready, 1, 0) == 1 && ready.revents & POLLIN) {
        ssize_t got = read(s->master, text, sizeof text);
        CHECK(got > 0);
        for (ssize_t i = 0; i < got; i++) show(s, text[i]);
    }
}

static const char *row(screen_t *s, int number) {
    char *line = s->cells[number];
    int end = WIDTH_MOST;
    while (end > 0 && (line[end - 1] == ' ' || !line[end - 1])) end--;
    line[end] = '\0';
    static char copy[WIDTH_MOST + 1];
    strcpy(copy, line);
    line[end] = ' ';
    return copy;
}

static void await_row(screen_t *s, int number, const char *part) {
    for (;;) {
        read_on(s);
        if (strstr(row(s, number), part)) return;
        apr_sleep(1000);
    }
}

static void close_screen(screen_t *s) {
    close(s->slave);
    close(s->master);
}

static cohort_progress_watch_t *draw_bar(screen_t *s, void *object, const char *label, int vanish) {
    cohort_progress_options_t options = {
        .label = label, .file = s->file, .vanish = vanish, .ascii = 1};
    cohort_progress_watch_t *watch = NULL;
    CHECK_STATUS(APR_SUCCESS, cohort_progress_watch(&watch, object, &options, NULL));
    return watch;
}

static apr_status_t take_turn(const void *input, void *output) {
    gate_t *gate = *(gate_t *const *)input;
    (void)output;
    while (atomic_load(&gate->open) <= (int)cohort_task_index()) apr_sleep(500);
    return APR_SUCCESS;
}

static cohort_result_t *submit_turns(cohort_pool_t *pool, gate_t *gate) {
    gate_t *gates[10];
    cohort_result_t *result;
    for (int i = 0; i < 10; i++) gates[i] = gate;
    SUBMIT(&result, pool, NULL, .task = take_turn, COHORT_INPUTS(gates, 10), .chunk = 10);
    return result;
}

static void end_of(screen_t *s, cohort_result_t *result, cohort_pool_t *pool) {
    CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(result));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    close_screen(s);
}

/* One bar from its begin to its end; each update asks for the width. */
static void one_bar(void) {
    screen_t s;
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate();
    open_screen(&s, 80);
    cohort_result_t *result = submit_turns(pool, gate);
    cohort_progress_watch_t *watch = draw_bar(&s, result, "work", 0);
    await_row(&s, 0, "work:   0%|");
    atomic_store(&gate->open, 5);
    await_row(&s, 0, "work:  50%|");
    CHECK(strstr(row(&s, 0), "| 5/10 [00:0") != NULL);
    CHECK_INT(79, strlen(row(&s, 0)));
    resize(&s, 120);
    while (strlen(row(&s, 0)) != 119) read_on(&s);
    atomic_store(&gate->open, 10);
    CHECK_STATUS(APR_SUCCESS, cohort_result_wait(result, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_progress_stop(watch));
    read_on(&s);
    CHECK(strstr(row(&s, 0), "work: 100%|###") != NULL);
    CHECK_STR("", row(&s, 1));
    CHECK_INT(1, s.row);
    CHECK_INT(0, s.column);
    end_of(&s, result, pool);
}

/* Ten updates a second at most: of the first on, until the last. */
static void not_too_often(void) {
    screen_t s;
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate();
    open_screen(&s, 80);
    cohort_result_t *result = submit_turns(pool, gate);
    apr_time_t begin = apr_time_now();
    cohort_progress_watch_t *watch = draw_bar(&s, result, "work", 0);
    while (s.updates < 8) {
        read_on(&s);
        apr_sleep(1000);
    }
    CHECK(apr_time_now() - begin >= 7 * 100000 - 10000);
    CHECK_STATUS(APR_SUCCESS, cohort_progress_stop(watch));
    atomic_store(&gate->open, 10);
    end_of(&s, result, pool);
}

/* Bars under one another; what ends goes above the others, or away. */
static void several_bars(void) {
    screen_t s;
    cohort_pool_t *pool = new_pool(3);
    gate_t *gates[3];
    cohort_result_t *results[3];
    cohort_progress_watch_t *watches[3];
    static const char *const labels[] = {"first", "second", "third"};
    open_screen(&s, 70);
    for (int i = 0; i < 3; i++) {
        gates[i] = new_gate();
        results[i] = submit_turns(pool, gates[i]);
        watches[i] = draw_bar(&s, results[i], labels[i], i == 2);
    }
    for (int i = 0; i < 3; i++) await_row(&s, i, labels[i]);
    CHECK_INT(2, s.row);
    atomic_store(&gates[1]->open, 10); /* over by itself */
    await_row(&s, 0, "second: 100%|");
    await_row(&s, 1, "first:   0%|");
    await_row(&s, 2, "third:   0%|");
    CHECK_INT(2, s.row);
    atomic_store(&gates[2]->open, 10); /* vanishes */
    while (s.row != 1) {
        read_on(&s);
        apr_sleep(1000);
    }
    CHECK(strstr(row(&s, 1), "first:   0%|") != NULL);
    CHECK_STR("", row(&s, 2));
    CHECK_STATUS(APR_SUCCESS, cohort_pool_terminate(pool));
    await_row(&s, 1, ", terminated]");
    CHECK_INT(2, s.row);
    CHECK_INT(0, s.column);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_progress_stop(watches[i]));
        CHECK_STATUS(APR_SUCCESS, cohort_result_destroy(results[i]));
    }
    read_on(&s);
    CHECK_INT(2, s.row);
    CHECK_STATUS(APR_SUCCESS, cohort_pool_destroy(pool));
    close_screen(&s);
}

/* A watch that is stopped, or goes with its APR pool, leaves a line of its own. */
static void stopped(void) {
    screen_t s;
    cohort_pool_t *pool = new_pool(1);
    gate_t *gate = new_gate();
    apr_pool_t *parent;
    cohort_progress_watch_t *watch;
    open_screen(&s, 80);
    CHECK_STATUS(APR_SUCCESS, apr_pool_create(&parent, NULL));
    cohort_result_t *result = submit_turns(pool, gate);
    cohort_progress_options_t options = {.label = "left", .file = s.file};
    CHECK_STATUS(APR_SUCCESS, cohort_progress_watch(&watch, result, &options, parent));
    await_row(&s, 0, "left:   0%|");
    apr_pool_destroy(parent);
    read_on(&s);
    CHECK(strstr(row(&s, 0), ", stopped]") != NULL);
    CHECK_INT(1, s.row);
    CHECK_INT(0, s.column);
    atomic_store(&gate->open, 10);
    end_of(&s, result, pool);
}

const test_case_t bars_cases[] = {{"Bars", "one_bar", one_bar},
                                  {"Bars", "not_too_often", not_too_often},
                                  {"Bars", "several_bars", several_bars},
                                  {"Bars", "stopped", stopped},
                                  {0}};
