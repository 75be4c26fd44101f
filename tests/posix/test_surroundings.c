/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* A program that finds things amiss around it, as tests/actor/surroundings.c: it works, or says
 * what is wrong and what to do. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "system.h"

#include <apr_file_io.h>
#include <apr_strings.h>
#include <errno.h>
#include <grp.h>
#include <sys/resource.h>

#ifdef __linux__
#include <link.h>
#include <sched.h>
#include <sys/mount.h>
#endif

#define WORD_MAX 1000

/* What the child does before it is the program; an exit code of 77: it cannot be done here. */
typedef void (*before_t)(const char *directory);

static char output[WORD_MAX];

static const char *run_in(const char *directory, before_t before, char *const *argv) {
    int ends[2], status;
    size_t used = 0;
    ssize_t got;
    CHECK_INT(0, pipe(ends));
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        if (before) before(directory);
        execv(argv[0], argv);
        _exit(78);
    }
    close(ends[1]);
    while ((got = read(ends[0], output + used, sizeof output - 1 - used)) > 0) used += (size_t)got;
    output[used] = 0;
    close(ends[0]);
    CHECK_INT(pid, waitpid(pid, &status, 0));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) SKIP("not allowed here");
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
        test_fail(__FILE__, __LINE__, "%s ended with %x: %s", argv[0], status, output);
    return output;
}

static char *method(void) { return (char *)test_method(); }

static const char *run(before_t before, const char *act) {
    char *argv[] = {TEST_SURROUNDINGS, method(), (char *)act, NULL};
    return run_in(NULL, before, argv);
}

static void check_fine(const char *said) { CHECK_STR("fine\n", said); }

static void check_says(const char *part, const char *said) {
    if (!strstr(said, part)) test_fail(__FILE__, __LINE__, "\"%s\" wanted, not \"%s\"", part, said);
}

static void undisturbed(void) { check_fine(run(NULL, NULL)); }

/* ---- limits and the environment ------------------------------------------------------------- */

static void limit(int resource, rlim_t most) {
    struct rlimit limits = {most, most};
    if (setrlimit(resource, &limits)) _exit(77);
}

static void small_files(const char *directory) {
    (void)directory;
    limit(RLIMIT_FSIZE, 10 << 20);
}
static void medium_files(const char *directory) {
    (void)directory;
    limit(RLIMIT_FSIZE, 100 << 20);
}
static void small_space(const char *directory) {
    (void)directory;
    limit(RLIMIT_AS, 60 << 20);
}
static void medium_space(const char *directory) {
    (void)directory;
    limit(RLIMIT_AS, 300 << 20);
}

static void limits(void) {
    check_says("ulimit -f allows files of 10 MiB", run(small_files, NULL));
    check_fine(run(medium_files, NULL));
    if (SANITIZED) return;
    check_says("ulimit -v leaves", run(small_space, NULL));
    check_fine(run(medium_space, NULL));
}

static void size_banana(const char *directory) {
    (void)directory;
    setenv("COHORT_ARENA_SIZE", "banana", 1);
}

static void arena_size(void) {
    check_says("cohort_initialize: COHORT_ARENA_SIZE=banana", run(size_banana, NULL));
}

/* ---- locked memory -------------------------------------------------------------------------- */

#ifdef __linux__

#define ENOUGH ((rlim_t)64 << 20) /* for the libraries and the stacks of some threads */

static void as_other_user(const char *directory) {
    struct rlimit limits;
    (void)directory;
    if (getrlimit(RLIMIT_MEMLOCK, &limits)) _exit(77);
    if (limits.rlim_max > ENOUGH) limit(RLIMIT_MEMLOCK, ENOUGH);
    if (geteuid() == 0 && (setgroups(0, NULL) || setgid(65534) || setuid(65534))) _exit(77);
}

/* The address space of the arena is larger than what may be locked in any case. */
static void locked_memory(void) {
    struct rlimit limits;
    if (SANITIZED) SKIP("shadow memory cannot be locked");
    CHECK_INT(0, getrlimit(RLIMIT_MEMLOCK, &limits));
    if (geteuid() == 0) check_fine(run(NULL, "lock"));
    if (limits.rlim_max >= ENOUGH) check_fine(run(as_other_user, "lock"));
    else
        check_says("ulimit -u, -v, and -l",
                   run(as_other_user, "lock")); /* not even the stack of a thread */
}

#endif

/* ---- the program's own file ----------------------------------------------------------------- */

static void copy(const char *from, const char *to) {
    CHECK_STATUS(APR_SUCCESS,
                 apr_file_copy(from, to, APR_FPROT_UREAD | APR_FPROT_UWRITE | APR_FPROT_UEXECUTE,
                               test_pool()));
}

static char *file_of(const char *directory, const char *name) {
    return apr_pstrcat(test_pool(), directory, "/", name, NULL);
}

static char *new_directory(void) {
    char *directory = apr_pstrdup(test_pool(), "surroundings.XXXXXX");
    CHECK(mkdtemp(directory) != NULL);
    char *full = realpath(directory, NULL);
    CHECK(full != NULL);
    directory = apr_pstrdup(test_pool(), full);
    free(full);
    return directory;
}

static void remove_directory(const char *directory, const char *const *names) {
    for (; *names; names++) (void)unlink(file_of(directory, *names));
    CHECK_INT(0, rmdir(directory));
}

static void own_file(void) {
    static const char *const names[] = {"program", "program (deleted)", "other", NULL};
    char *directory = new_directory();
    char *program = file_of(directory, "program"),
         *marked = file_of(directory, "program (deleted)"), *other = file_of(directory, "other");
    copy(TEST_SURROUNDINGS, marked);
    check_fine(run_in(NULL, NULL, (char *[]){marked, method(), NULL}));
    copy(TEST_SURROUNDINGS, program);
    check_fine(run_in(NULL, NULL, (char *[]){program, method(), "remove", NULL}));
    copy(TEST_SURROUNDINGS, program);
    copy("/bin/sh", marked); /* is not to be taken for it */
    check_fine(run_in(NULL, NULL, (char *[]){program, method(), "remove", NULL}));
    copy(TEST_SURROUNDINGS, program);
    copy("/bin/sh", other);
    check_fine(run_in(NULL, NULL, (char *[]){program, method(), "replace", other, NULL}));
    remove_directory(directory, names);
}

#ifdef __linux__

static const char *loader;

static int find_loader(struct dl_phdr_info *info, size_t size, void *arg) {
    (void)size, (void)arg;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_INTERP)
            loader = (const char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    }
    return 1;
}

static void through_loader(void) {
    dl_iterate_phdr(find_loader, NULL);
    if (!loader) SKIP("linked statically");
    check_fine(run_in(NULL, NULL, (char *[]){(char *)loader, TEST_SURROUNDINGS, method(), NULL}));
}

static void hide_proc(const char *directory) {
    if (unshare(CLONE_NEWNS) && unshare(CLONE_NEWUSER | CLONE_NEWNS)) _exit(77);
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("none", "/proc", "tmpfs", 0, NULL))
        _exit(77);
    if (directory && chdir(directory)) _exit(77);
}

static void no_proc(void) {
    if (SANITIZED) SKIP("the sanitizer reads /proc");
    check_fine(run(hide_proc, NULL));
    char *directory = apr_pstrdup(test_pool(), TEST_SURROUNDINGS), *slash = strrchr(directory, '/');
    *slash = 0;
    char *relative = apr_pstrcat(test_pool(), "./", slash + 1, NULL);
    const char *said = run_in(directory, hide_proc, (char *[]){relative, method(), NULL});
    if (strcmp(method(), "fork"))
        check_says("mount /proc, or name the program with cohort_set_start_method()", said);
    else check_fine(said);
}

static void signals_refused(void) { check_fine(run(NULL, "filter")); }

#endif

/* A script with a missing interpreter, against one that is missing itself. */
static void interpreter(void) {
    static const char *const names[] = {"script", NULL};
    char *directory = new_directory(), *script = file_of(directory, "script");
    const char *argv[] = {script, NULL};
    cohort_program_t program = {.argv = argv};
    cohort_process_t *process = NULL;
    FILE *file = fopen(script, "w");
    CHECK(file && fputs("#!/no/such/interpreter\n", file) >= 0);
    CHECK_INT(0, fchmod(fileno(file), 0700));
    CHECK_INT(0, fclose(file));
    CHECK_STATUS(APR_SUCCESS, cohort_process_create_program(&process, &program, NULL, test_pool()));
    CHECK_STATUS(ENOENT, cohort_process_start(process));
    check_says("its interpreter is not", cohort_last_error());
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    remove_directory(directory, names);
}

const test_case_t surroundings_cases[] = {
    {"Surroundings", "undisturbed", undisturbed},
    {"Surroundings", "limits", limits},
    {"Surroundings", "arena_size", arena_size},
    {"Surroundings", "own_file", own_file},
    {"Surroundings", "interpreter", interpreter},
#ifdef __linux__
    {"Surroundings", "locked_memory", locked_memory},
    {"Surroundings", "through_loader", through_loader},
    {"Surroundings", "no_proc", no_proc},
    {"Surroundings", "signals_refused", signals_refused},
#endif
    {0},
};
