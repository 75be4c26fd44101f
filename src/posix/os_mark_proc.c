/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The mark of the trees that a process is in, for systems with a /proc that shows it to a search
 * (os_tree_proc.c). What executes a program hands the variable on, unless it replaces the
 * environment. A copy shows the environment with which its original was executed; so it has a page
 * of its own in memory beside that, the name of which /proc shows, and which copies of it have,
 * too: where there is one, it counts, and not the variable.
 *
 * A detached process has a number of its own, behind a dash, in place of the trees that it has
 * left: so it and what it starts can be told from what belongs to these.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#define PAGE 4096

/* The trees that this process is in, whatever becomes of its environment. */
static char own_list[COHORT__MARK_MAX];
static void *own_page; /* NULL: none */

/* ---- lists ---------------------------------------------------------------------------------- */

uint64_t cohort__mark_fresh(void) {
    static _Atomic uint64_t count;
    uint64_t x =
        (uint64_t)getpid() << 32 ^ (uint64_t)cohort_os_now() ^ atomic_fetch_add(&count, 1) << 56;
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    return x ? x : 1;
}

static void put_number(char *text, uint64_t number) {
    for (int i = COHORT__MARK_DIGITS; i-- > 0; number >>= 4)
        text[i] = "0123456789abcdef"[number & 15];
    text[COHORT__MARK_DIGITS] = 0;
}

/* The numbers are all of one length, so none is found within another. */
bool cohort__mark_has(const char *list, uint64_t token) {
    char digits[COHORT__MARK_DIGITS + 1];
    put_number(digits, token);
    return strstr(list, digits) != NULL;
}

uint64_t cohort__mark_last(const char *list) {
    size_t length = strlen(list);
    return length < COHORT__MARK_DIGITS ? 0
                                        : strtoull(list + length - COHORT__MARK_DIGITS, NULL, 16);
}

/* Of a list that is full the outermost tree goes: those within are searched for by theirs. */
static void append(char list[COHORT__MARK_MAX], uint64_t token) {
    size_t length = strlen(list);
    if (length + COHORT__MARK_DIGITS + 2 > COHORT__MARK_MAX) {
        const char *rest = strchr(list, ',');
        rest = rest ? rest + 1 : list + length;
        memmove(list, rest, strlen(rest) + 1);
        length = strlen(list);
    }
    if (length && list[length - 1] != '-') list[length++] = ',';
    put_number(list + length, token);
}

static void compose(char list[COHORT__MARK_MAX], const cohort_os_tree_t *tree, bool detach) {
    strcpy(list, own_list);
    if (detach && *list) {
        strcpy(list, "-");
        append(list, cohort__mark_fresh());
    }
    if (tree) append(list, tree->token);
}

/* ---- the variable --------------------------------------------------------------------------- */

bool cohort__mark_is(const char *variable) {
    return strncmp(variable, COHORT__MARK_NAME, sizeof COHORT__MARK_NAME - 1) == 0;
}

/* One that is too long is not the library's. */
void cohort__mark_begin(void) {
    for (char **variable = *cohort__environment(); variable && *variable; ++variable) {
        const char *value = *variable + sizeof COHORT__MARK_NAME - 1;
        if (cohort__mark_is(*variable) && strlen(value) < COHORT__MARK_MAX) strcpy(own_list, value);
    }
}

bool cohort__mark_variable(const cohort_os_start_t *start,
                           char text[sizeof COHORT__MARK_NAME + COHORT__MARK_MAX]) {
    if (!start->tree && !*own_list) return false;
    strcpy(text, COHORT__MARK_NAME);
    compose(text + sizeof COHORT__MARK_NAME - 1, start->tree, start->detach);
    return true;
}

/* Without setenv(), the lock of which another thread may have held when this process was
 * copied. */
static apr_status_t set_variable(void) {
    char **from = *cohort__environment();
    size_t count = 0, n = 0, size = sizeof COHORT__MARK_NAME + COHORT__MARK_MAX;
    while (from && from[count]) ++count;
    char **fresh = malloc((count + 2) * sizeof *fresh + size);
    if (!fresh) return cohort__fail(APR_ENOMEM, "marking the environment of a contained process");
    char *text = (char *)(fresh + count + 2);
    strcpy(text, COHORT__MARK_NAME);
    strcat(text, own_list);
    fresh[n++] = text;
    for (size_t i = 0; i < count; ++i)
        if (!cohort__mark_is(from[i])) fresh[n++] = from[i];
    fresh[n] = NULL;
    *cohort__environment() = fresh;
    return APR_SUCCESS;
}

apr_status_t cohort__mark_renew(void) { return *own_list ? set_variable() : APR_SUCCESS; }

/* ---- the page ------------------------------------------------------------------------------- */

static int name_page(void) {
    char name[sizeof COHORT__MARK_MEMORY + COHORT__MARK_MAX] = COHORT__MARK_MEMORY;
    strcat(name, own_list);
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_NOEXEC_SEAL);
    return fd < 0 && errno == EINVAL ? memfd_create(name, MFD_CLOEXEC) : fd;
}

static apr_status_t map_page(void) {
    int fd = cohort__fd_safe(name_page());
    void *page = MAP_FAILED;
    if (own_page) munmap(own_page, PAGE);
    own_page = NULL;
    if (fd >= 0 && ftruncate(fd, PAGE) == 0) page = mmap(NULL, PAGE, PROT_NONE, MAP_SHARED, fd, 0);
    apr_status_t status = page == MAP_FAILED
                              ? cohort__fail(errno, "marking the memory of a contained process")
                              : APR_SUCCESS;
    if (fd >= 0) close(fd);
    if (status == APR_SUCCESS) own_page = page;
    return status;
}

apr_status_t cohort__mark_enter(cohort_os_tree_t *tree, bool detach) {
    char list[COHORT__MARK_MAX];
    struct stat program;
    compose(list, tree, detach);
    if (strcmp(list, own_list) == 0) return APR_SUCCESS;
    strcpy(own_list, list);
    apr_status_t status = set_variable();
    if (status == APR_SUCCESS) status = map_page();
    if (status != APR_SUCCESS || !tree || stat("/proc/self/exe", &program) != 0) return status;
    tree->device = (uint64_t)program.st_dev;
    tree->file = (uint64_t)program.st_ino;
    return APR_SUCCESS;
}
