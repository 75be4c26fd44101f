/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that knows nothing of Cohort and does what its arguments say, one after the other;
 * output is UTF-8, lines end with LF on every system:
 *  - say TEXT, cry TEXT: write it to stdout, to stderr; add TEXT: to stdout, without an end of the
 *    line; flood BYTES: so many to both, by turns; flush: stdout; variable NAME: write its value,
 *    or (none); cwd: write the working directory
 *  - cat: copy stdin to stdout; line: read one line, end with 1 when there was none; no-line: end
 *    with 1 when there is one
 *  - burn MILLISECONDS: of CPU time; fill MEGABYTES: have so much memory, and touch it
 *  - leave: start another one that waits for some seconds with the same streams
 *  - session: leave the group and the session (POSIX), write the pid, wait for ever
 *  - wait: for ever; close: all descriptors, or handles of files, that it has
 *  - give NAME: write its name to the gift that has it; end with 1 when there is none
 *  - exit CODE: end; crash: end by a bad address; arguments: write the rest of them as <one><two>,
 *    and end
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef _WIN32
#include <direct.h>
#include <fcntl.h>
#include <io.h>
#include <windows.h>

#include <shellapi.h>

static char *utf8(const wchar_t *wide) {
    int size = wide ? WideCharToMultiByte(CP_UTF8, 0, wide, -1, NULL, 0, NULL, NULL) : 0;
    char *text = size ? malloc((size_t)size) : NULL;
    if (text) WideCharToMultiByte(CP_UTF8, 0, wide, -1, text, size, NULL, NULL);
    return text;
}

static void begin(int *argc, char ***argv) {
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), argc);
    char **list = calloc((size_t)*argc + 1, sizeof *list);
    if (!wide || !list) exit(120);
    for (int i = 0; i < *argc; i++) list[i] = utf8(wide[i]);
    *argv = list;
    for (int fd = 0; fd < 3; fd++) _setmode(fd, _O_BINARY);
    SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX);
}

static char *variable(const char *name) {
    wchar_t wide[64];
    return MultiByteToWideChar(CP_UTF8, 0, name, -1, wide, 64) ? utf8(_wgetenv(wide)) : NULL;
}

static char *directory(void) { return utf8(_wgetcwd(NULL, 0)); }

static void close_all(void) {
    for (int fd = 0; fd < 3; fd++) _close(fd);
}

static void wait_for_death(void) { Sleep(INFINITE); }

static int is_own_pid(unsigned long long pid) { return pid == 0 || pid == GetCurrentProcessId(); }

static int write_to(unsigned long long number, const char *text) {
    DWORD size = (DWORD)strlen(text), written = 0;
    HANDLE handle = (HANDLE)(uintptr_t)number;
    return WriteFile(handle, text, size, &written, NULL) && written == size;
}

static void wait_for_seconds(void) { Sleep(3000); }

static void be_session(void) { exit(122); }

/* It has the streams, which it inherits. */
static void leave(const char *self) {
    wchar_t path[1024], line[] = L"actor linger";
    STARTUPINFOW info = {.cb = sizeof info};
    PROCESS_INFORMATION process;
    (void)self;
    info.dwFlags = STARTF_USESTDHANDLES;
    info.hStdInput = GetStdHandle(STD_INPUT_HANDLE);
    info.hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE);
    info.hStdError = GetStdHandle(STD_ERROR_HANDLE);
    GetModuleFileNameW(NULL, path, 1024);
    if (!CreateProcessW(path, line, NULL, NULL, TRUE, CREATE_BREAKAWAY_FROM_JOB, NULL, NULL, &info,
                        &process))
        exit(122);
}

static void crash(void) {
    volatile int *volatile nowhere = (volatile int *)16;
    *nowhere = 1;
}
#else
#include <unistd.h>

static void begin(int *argc, char ***argv) { (void)argc, (void)argv; }

static char *variable(const char *name) { return getenv(name); }

static char *directory(void) {
    static char text[4096];
    return getcwd(text, sizeof text);
}

static void close_all(void) {
    for (int fd = 0; fd < 1024; fd++) close(fd);
}

static void wait_for_death(void) {
    for (;;) pause();
}

static int is_own_pid(unsigned long long pid) {
    return pid == 0 || pid == (unsigned long long)getpid();
}

static int write_to(unsigned long long number, const char *text) {
    size_t size = strlen(text);
    return write((int)number, text, size) == (ssize_t)size;
}

static void wait_for_seconds(void) { sleep(3); }

static void be_session(void) {
    setsid();
    printf("%ld\n", (long)getpid());
    fflush(stdout);
    wait_for_death();
}

static void leave(const char *self) {
    if (fork() != 0) return;
    setsid();
    execl(self, self, "linger", (char *)NULL);
    _exit(122);
}

/* A sanitizer would take the fault for itself. */
static void crash(void) {
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}
#endif

static void copy(void) {
    for (int c; (c = getchar()) != EOF;) putchar(c);
}

static void flood(int bytes) {
    char out[1000], err[1000];
    memset(out, 'o', sizeof out);
    memset(err, 'e', sizeof err);
    for (int n; bytes > 0; bytes -= n) {
        n = bytes < 1000 ? bytes : 1000;
        fwrite(out, 1, (size_t)n, stdout);
        fwrite(err, 1, (size_t)n, stderr);
    }
}

static void burn(int milliseconds) {
    clock_t begin = clock();
    while ((double)(clock() - begin) * 1000 / CLOCKS_PER_SEC < milliseconds) continue;
}

static void fill(int megabytes) {
    static void *volatile filled;
    filled = malloc((size_t)megabytes << 20);
    if (!filled) exit(123);
    memset(filled, 1, (size_t)megabytes << 20);
}

/* As gift.h says. */
static int give(const char *name) {
    const char *gifts = variable("COHORT_GIFTS");
    char *at;
    if (!gifts || !is_own_pid(strtoull(gifts, &at, 10))) return 0;
    while (*at == ':') {
        unsigned long long number = strtoull(at + 1, &at, 10);
        size_t length = strcspn(++at, ":");
        if (length == strlen(name) && !strncmp(at, name, length)) return write_to(number, name);
        at += length;
    }
    return 0;
}

static int has_line(void) {
    char text[256];
    return fgets(text, sizeof text, stdin) != NULL;
}

static void write_rest(char **argv) {
    for (; *argv; argv++) printf("<%s>", *argv);
}

int main(int argc, char **argv) {
    begin(&argc, &argv);
    for (char **at = argv + 1; *at; at++) {
        const char *what = *at, *text = at[1] ? at[1] : "";
        if (!strcmp(what, "say")) printf("%s\n", text), at++;
        else if (!strcmp(what, "cry")) fprintf(stderr, "%s\n", text), at++;
        else if (!strcmp(what, "add")) printf("%s", text), at++;
        else if (!strcmp(what, "flood")) flood(atoi(text)), at++;
        else if (!strcmp(what, "flush")) fflush(stdout);
        else if (!strcmp(what, "burn")) burn(atoi(text)), at++;
        else if (!strcmp(what, "fill")) fill(atoi(text)), at++;
        else if (!strcmp(what, "leave")) leave(argv[0]);
        else if (!strcmp(what, "session")) be_session();
        else if (!strcmp(what, "linger")) wait_for_seconds();
        else if (!strcmp(what, "variable"))
            printf("%s\n", variable(text) ? variable(text) : "(none)"), at++;
        else if (!strcmp(what, "cwd")) printf("%s\n", directory());
        else if (!strcmp(what, "cat")) copy();
        else if (!strcmp(what, "line")) {
            if (!has_line()) return 1;
        } else if (!strcmp(what, "no-line")) {
            if (has_line()) return 1;
        } else if (!strcmp(what, "give")) {
            if (!give(text)) return 1;
            at++;
        } else if (!strcmp(what, "wait")) wait_for_death();
        else if (!strcmp(what, "close")) close_all();
        else if (!strcmp(what, "exit")) return atoi(text);
        else if (!strcmp(what, "crash")) crash();
        else if (!strcmp(what, "arguments")) return write_rest(at + 1), 0;
        else return 121;
    }
    return 0;
}
