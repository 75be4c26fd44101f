/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Processes with a terminal of their own: functions by each start method, in each lifetime, and
 * programs; what is typed reaches them, and their end is that of the terminal. */
#include "system.h"

#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>

#define A_TERMINAL \
    { .kind = COHORT_STREAM_TERMINAL }

/* What has been read so far. */
typedef struct {
    char text[4096];
    apr_size_t size;
} screen_t;

static apr_status_t read_more(apr_file_t *file, screen_t *screen) {
    apr_size_t got = 0;
    apr_status_t status = cohort_terminal_read(file, screen->text + screen->size,
                                               sizeof screen->text - 1 - screen->size, &got);
    screen->size += got;
    screen->text[screen->size] = 0;
    return status;
}

static void await_text(apr_file_t *file, screen_t *screen, const char *text) {
    while (!strstr(screen->text, text)) CHECK_STATUS(APR_SUCCESS, read_more(file, screen));
}

static void await_end(apr_file_t *file, screen_t *screen) {
    apr_status_t status;
    while ((status = read_more(file, screen)) == APR_SUCCESS) continue;
    CHECK_STATUS(APR_EOF, status);
}

/* The number of the first thing that is not as it should be, or 0. */
static int look(void) {
    struct winsize size;
    for (int fd = 0; fd < 3; fd++)
        if (!isatty(fd)) return 10 + fd;
    if (getsid(0) != getpid() || getpgrp() != getpid()) return 20;
    if (tcgetpgrp(0) != getpid()) return 21;
    int own = open("/dev/tty", O_RDWR);
    if (own < 0) return 22;
    close(own);
    if (ioctl(1, TIOCGWINSZ, &size) != 0 || size.ws_col != 100 || size.ws_row != 30) return 23;
    return fcntl(own, F_GETFD) == -1 ? 0 : 24;
}

static int talk(void *args) {
    char line[64] = "";
    int wrong = look();
    (void)args;
    printf("found %d\n", wrong);
    fflush(stdout);
    if (wrong || !fgets(line, sizeof line, stdin)) return wrong ? wrong : 1;
    printf("got %s", line);
    fflush(stdout);
    party_wait_for_death();
}

static cohort_process_t *start_talk(cohort_stream_t streams[3], cohort_lifetime_t lifetime) {
    cohort_process_options_t options = {.streams = streams, .lifetime = lifetime};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_launch(&process, talk, NULL, 0, &options, test_pool()));
    CHECK(streams[0].file && streams[1].file == streams[0].file);
    CHECK(streams[2].file == streams[0].file);
    return process;
}

static void write_to(apr_file_t *file, const char *text) {
    CHECK_STATUS(APR_SUCCESS, apr_file_write_full(file, text, strlen(text), NULL));
}

static void what_is_typed_arrives(void) {
    static const cohort_lifetime_t lifetimes[] = {
        COHORT_LIFETIME_FOREGROUND, COHORT_LIFETIME_DAEMON, COHORT_LIFETIME_BACKGROUND};
    for (size_t i = 0; i < sizeof lifetimes / sizeof *lifetimes; i++) {
        screen_t screen = {.size = 0};
        cohort_stream_t streams[3] = {
            {.kind = COHORT_STREAM_TERMINAL, .columns = 100, .rows = 30}, A_TERMINAL, A_TERMINAL};
        cohort_process_t *process = start_talk(streams, lifetimes[i]);
        await_text(streams[0].file, &screen, "found 0\r\n");
        write_to(streams[0].file, "hello\n");
        await_text(streams[0].file, &screen, "got hello\r\n");
        CHECK(strstr(screen.text, "hello\r\ngot") != NULL); /* the echo */
        write_to(streams[0].file, "\003");
        party_end(process, -SIGINT);
        await_end(streams[0].file, &screen);
        CHECK_STATUS(APR_SUCCESS, apr_file_close(streams[0].file));
    }
}

static void the_end_is_waited_for(void) {
    cohort_stream_t streams[3] = {
        {.kind = COHORT_STREAM_TERMINAL, .columns = 100, .rows = 30}, A_TERMINAL, A_TERMINAL};
    cohort_process_t *process = start_talk(streams, COHORT_LIFETIME_DAEMON);
    screen_t screen = {.size = 0};
    cohort_waitable_t item = {.file = streams[0].file};
    await_text(streams[0].file, &screen, "found 0\r\n");
    CHECK_STATUS(APR_TIMEUP, cohort_wait(&item, 1, COHORT_WAIT_ANY, 1000));
    party_kill(process);
    CHECK_STATUS(APR_SUCCESS, cohort_wait(&item, 1, COHORT_WAIT_ANY, COHORT_FOREVER));
    await_end(streams[0].file, &screen);
}

static void reads_have_time_outs(void) {
    cohort_stream_t streams[3] = {A_TERMINAL, A_TERMINAL, A_TERMINAL};
    cohort_program_t program = {.argv = (const char *const[]){TEST_ACTOR, "wait", NULL}};
    cohort_process_t *process = NULL;
    screen_t screen = {.size = 0};
    memcpy(program.streams, streams, sizeof streams);
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch_program(&process, &program, NULL, test_pool()));
    apr_file_t *file = program.streams[0].file;
    CHECK_STATUS(APR_SUCCESS, apr_file_pipe_timeout_set(file, 1000));
    CHECK_STATUS(APR_TIMEUP, read_more(file, &screen));
    CHECK_STATUS(APR_SUCCESS, apr_file_pipe_timeout_set(file, COHORT_FOREVER));
    write_to(file, "\003");
    party_end(process, -SIGINT);
    await_end(file, &screen);
}

static void programs_hang_up(void) {
    const char *const shell[] = {"/bin/sh", "-c",
                                 "stty size <&1; test -t 0 || echo pipe; exec sleep 1000", NULL};
    cohort_program_t program = {.argv = shell,
                                .streams = {{.kind = COHORT_STREAM_PIPE}, A_TERMINAL, A_TERMINAL}};
    cohort_process_t *process = NULL;
    screen_t screen = {.size = 0};
    CHECK_STATUS(APR_SUCCESS, cohort_process_launch_program(&process, &program, NULL, test_pool()));
    CHECK(program.streams[0].file != program.streams[1].file);
    await_text(program.streams[1].file, &screen, "24 80\r\npipe\r\n");
    CHECK_STATUS(APR_SUCCESS, apr_file_close(program.streams[1].file));
    party_end(process, -SIGHUP);
}

static int is_a_user(void *args) {
    (void)args;
    printf("%d%d%d\n", isatty(0), isatty(1), isatty(2));
    fflush(stdout);
    fputs("to the same\n", stderr);
    return 0;
}

static int count_lines(void *user, int stream, const char *line, apr_size_t length) {
    (void)line, (void)length;
    ((int *)user)[stream]++;
    return 0;
}

static void commands_have_terminals(void) {
    const char *const shell[] = {"/bin/sh", "-c", "test -t 1 && stty size <&1; echo x >&2", NULL};
    cohort_command_t command = {.target = is_a_user,
                                .streams = {A_TERMINAL, A_TERMINAL, A_TERMINAL}};
    cohort_command_t program = {.argv = shell,
                                .streams = {[1] = {COHORT_STREAM_TERMINAL, .columns = 99}}};
    cohort_outcome_t o;
    int counts[3] = {0};
    CHECK_STATUS(APR_SUCCESS, cohort_run(&o, &command, test_pool()));
    CHECK_INT(COHORT_RUN_SUCCEEDED, o.end);
    CHECK_STR("111\r\nto the same\r\n", o.output.data);
    CHECK_STATUS(APR_SUCCESS, o.status);
    CHECK_STATUS(APR_SUCCESS, cohort_run(&o, &program, test_pool()));
    CHECK_STR("24 99\r\n", o.output.data);
    CHECK_STR("x\n", o.error.data);
    command.line = count_lines;
    command.user = counts;
    command.streams[1].kind = COHORT_STREAM_NULL; /* it is standard error then that is read */
    CHECK_STATUS(APR_SUCCESS, cohort_run(&o, &command, test_pool()));
    CHECK(counts[1] == 0 && counts[2] == 1);
    command.input = "typed";
    CHECK_STATUS(APR_EINVAL, cohort_run(&o, &command, test_pool()));
    command.input = NULL;
    command.streams[2].kind = COHORT_STREAM_NULL;
    CHECK_STATUS(APR_EINVAL, cohort_run(&o, &command, test_pool()));
}

static int leads_its_session(void *args) {
    (void)args;
    return getsid(0) != getpid() || open("/dev/tty", O_RDWR) >= 0;
}

/* Whatever group it was to be in: the leader of one could not leave its session. */
static void the_background_is_a_session(void) {
    static const cohort_process_options_t options[] = {
        {.lifetime = COHORT_LIFETIME_BACKGROUND},
        {.lifetime = COHORT_LIFETIME_BACKGROUND, .group = COHORT_GROUP_OWN},
        {.lifetime = COHORT_LIFETIME_BACKGROUND, .containment = COHORT_CONTAIN_GROUP}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        cohort_process_t *process = NULL;
        CHECK_STATUS(APR_SUCCESS, cohort_process_launch(&process, leads_its_session, NULL, 0,
                                                        &options[i], test_pool()));
        party_finish(process);
    }
}

/* A file that is none fails as it does with apr_file_read(). */
static void only_terminals_end_so(void) {
    apr_file_t *file = NULL;
    char byte;
    apr_size_t size = 1;
    if (apr_file_open(&file, "/proc/self/mem", APR_FOPEN_READ, 0, test_pool()))
        SKIP("no file at hand of which a read fails with EIO");
    apr_status_t status = apr_file_read(file, &byte, &size);
    if (status != EIO) SKIP("no file at hand of which a read fails with EIO");
    CHECK_STATUS(EIO, cohort_terminal_read(file, &byte, 1, &size));
    CHECK_STATUS(APR_SUCCESS, apr_file_close(file));
}

const test_case_t own_terminal_cases[] = {
    {"OwnTerminal", "what_is_typed_arrives", what_is_typed_arrives},
    {"OwnTerminal", "the_end_is_waited_for", the_end_is_waited_for},
    {"OwnTerminal", "reads_have_time_outs", reads_have_time_outs},
    {"OwnTerminal", "only_terminals_end_so", only_terminals_end_so},
    {"OwnTerminal", "programs_hang_up", programs_hang_up},
    {"OwnTerminal", "commands_have_terminals", commands_have_terminals},
    {"OwnTerminal", "the_background_is_a_session", the_background_is_a_session},
    {0}};
