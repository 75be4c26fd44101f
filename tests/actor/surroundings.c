/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * An ordinary program to be run where something is amiss: surroundings METHOD [ACT]. It
 * initialises, starts a child by this method, which ends with 7, and prints one line: "fine", or
 * the last error. What it does before is the act:
 *   lock         lock all memory, also that which is to come
 *   remove       remove its own file
 *   replace FILE move FILE to its own place
 *   filter       have pidfd_send_signal() refused, and terminate a child that waits
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <cohort/cohort.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static int refuse_signals(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 424 /* pidfd_send_signal */, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1 /* EPERM */),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}
#else
static int refuse_signals(void) { return -1; }
#endif

static int seven(void *args) {
    (void)args;
    return 7;
}

static _Noreturn int waits(void *args) {
    (void)args;
    for (;;) pause();
}

static int report(const char *what) {
    printf("%s: %s\n", what, cohort_last_error());
    return 1;
}

static long shared_kib(void) {
    char line[200];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file)) {
        if (!strncmp(line, "RssShmem:", 9)) kib = atol(line + 9);
    }
    if (file) fclose(file);
    return kib;
}

static int prepare(int argc, char **argv) {
    const char *act = argc > 2 ? argv[2] : "";
    if (!strcmp(act, "lock")) return mlockall(MCL_CURRENT | MCL_FUTURE);
    if (!strcmp(act, "remove")) return unlink(argv[0]);
    if (!strcmp(act, "replace")) return rename(argv[3], argv[0]);
    return strcmp(act, "filter") ? 0 : refuse_signals();
}

int main(int argc, char **argv) {
    static const char *const names[] = {"", "fork", "spawn", "forkserver"};
    cohort_options_t options = {.method = COHORT_START_DEFAULT};
    cohort_process_t *process;
    bool filter = argc > 2 && !strcmp(argv[2], "filter");
    for (int i = 1; i < 4; i++) {
        if (argc > 1 && !strcmp(argv[1], names[i])) options.method = (cohort_start_method_t)i;
    }
    if (argc > 1 && prepare(argc, argv)) {
        perror("surroundings");
        return 3;
    }
    if (cohort_initialize(&options)) return report("initialize");
    if (cohort_process_create(&process, filter ? waits : seven, NULL, 0, NULL, NULL))
        return report("create");
    if (cohort_process_start(process)) return report("start");
    if (filter && cohort_process_terminate(process)) return report("terminate");
    if (cohort_process_join(process, COHORT_FOREVER)) return report("join");
    if (cohort_process_exit_code(process) != (filter ? -15 : 7)) return report("wrong exit code");
    if (shared_kib() > 64 << 10) return report("memory that is not used");
    puts("fine");
    return 0;
}
