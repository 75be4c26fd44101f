/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Core dumps: what the arena holds is in none, unless that is asked for, and then in those of every
 * process, as far as it is used. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "../api/parties.h"
#include "system.h"

#ifndef TEST_DUMP

const test_case_t dump_cases[] = {{0}};

#else

#include "../actor/dump_marks.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[512];

static apr_status_t remove_directory(void *unused) {
    char path[600];
    (void)unused;
    snprintf(path, sizeof path, "%s/core", directory);
    unlink(path);
    return rmdir(directory);
}

/* The system writes a file "core" where the process is, and no more than one. */
static bool dumps_are_files(void) {
    char pattern[128] = "", pid = '1';
    int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC),
        uses = open("/proc/sys/kernel/core_uses_pid", O_RDONLY | O_CLOEXEC);
    bool told = fd >= 0 && uses >= 0 && read(fd, pattern, sizeof pattern - 1) > 0 &&
                read(uses, &pid, 1) == 1;
    close(fd);
    close(uses);
    return told && !strcmp(pattern, "core\n") && pid == '0';
}

static void run(const char *variable, const char *way) {
    const struct rlimit most = {RLIM_INFINITY, RLIM_INFINITY};
    int status;
    const char *temporary = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/cohort-dump-XXXXXX", temporary ? temporary : "/tmp");
    CHECK(mkdtemp(directory) != NULL);
    apr_pool_cleanup_register(test_pool(), NULL, remove_directory, apr_pool_cleanup_null);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        char *const env[] = {(char *)variable, NULL};
        if (chdir(directory) || setrlimit(RLIMIT_CORE, &most)) _exit(30);
        execve(TEST_DUMP, (char *const[]){TEST_DUMP, (char *)test_method(), (char *)way, NULL},
               env);
        _exit(31);
    }
    CHECK_INT(pid, waitpid(pid, &status, 0));
    CHECK(WIFEXITED(status));
    if (WEXITSTATUS(status) == 30) SKIP("this process may not ask for core dumps");
    CHECK_INT(0, WEXITSTATUS(status));
}

static bool core_holds(const unsigned char *core, size_t size, unsigned number) {
    unsigned char mark[DUMP_MARK];
    dump_mark_write(mark, number);
    return memmem(core, size, mark, sizeof mark) != NULL;
}

static void check(const char *variable, const char *way, bool included) {
    char path[600];
    struct stat facts;
    if (!dumps_are_files()) SKIP("this system does something else with core dumps");
    if (SANITIZED) SKIP("a sanitizer keeps its processes from dumping");
    run(variable, way);
    snprintf(path, sizeof path, "%s/core", directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && fstat(fd, &facts) == 0 && facts.st_size > 0);
    size_t size = (size_t)facts.st_size;
    unsigned char *core = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK(core != MAP_FAILED);
    CHECK_INT(included, core_holds(core, size, 1));
    CHECK_INT(included, core_holds(core, size, 2));
    /* nothing was made real to be written */
    CHECK((uint64_t)facts.st_blocks * 512 < (uint64_t)256 << 20);
    munmap(core, size);
    close(fd);
}

static void arena_is_left_out(void) { check("COHORT_DUMP=0", "", false); }
static void variable_takes_it_in(void) { check("COHORT_DUMP=1", "", true); }
static void option_takes_it_in(void) { check("UNRELATED=1", "option", true); }

const test_case_t dump_cases[] = {{"Dump", "arena_is_left_out", arena_is_left_out},
                                  {"Dump", "variable_takes_it_in", variable_takes_it_in},
                                  {"Dump", "option_takes_it_in", option_takes_it_in},
                                  {0}};

#endif
