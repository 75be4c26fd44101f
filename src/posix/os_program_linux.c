/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The program that this process runs, on Linux: where it is found to be executed again, and where
 * its environment lies. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <elf.h>
#include <inttypes.h>
#include <link.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

/* The first thread has no file any more when it has ended before others. */
static const char own[] = "/proc/self/exe", own_of_thread[] = "/proc/thread-self/exe";

static const char *own_link(void) {
    char byte;
    return readlink(own, &byte, 1) < 0 ? own_of_thread : own;
}

static bool is_same_file(const char *one, const char *other) {
    struct stat a, b;
    return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* What there is to be known of the program from its own image: which loader it asks for, and an
 * address in it. */
typedef struct {
    const char *loader;
    uintptr_t address;
} image_t;

static int look_at_image(struct dl_phdr_info *info, size_t size, void *given) {
    image_t *image = given;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type == PT_INTERP)
            image->loader = (const char *)(info->dlpi_addr + segment->p_vaddr);
        if (segment->p_type == PT_LOAD && !image->address)
            image->address = info->dlpi_addr + segment->p_vaddr;
    }
    return 1; /* the program is the first */
}

/* The file that is mapped at this address. */
static bool file_at(uintptr_t address, char *path, size_t size) {
    char line[COHORT_OS_PATH_MAX + 128];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && !found && fgets(line, sizeof line, maps)) {
        uintptr_t from, to;
        int name = 0;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %*s %n", &from, &to, &name) < 2 ||
            !name)
            continue;
        line[strcspn(line, "\n")] = 0;
        found = address >= from && address < to && line[name] == '/' && strlen(line + name) < size;
        if (found) strcpy(path, line + name);
    }
    if (maps) fclose(maps);
    return found;
}

/* Run as "ld.so program", the kernel takes the loader for the executable. The program itself says
 * what it is: executed again, it is loaded by the loader that it asks for. */
static apr_status_t behind_loader(char *path, size_t size) {
    static _Atomic bool direct; /* as has been seen; that does not change */
    image_t image = {NULL, 0};
    if (atomic_load(&direct)) return APR_SUCCESS;
    cohort__modules_walk(look_at_image, &image);
    if (!image.loader || !is_same_file(own_link(), image.loader)) {
        atomic_store(&direct, true);
        return APR_SUCCESS;
    }
    if (file_at(image.address, path, size) && access(path, X_OK) == 0) return APR_SUCCESS;
    return cohort__fail(
        ENOENT, "finding the program that %s has loaded; name it with cohort_set_start_method()",
        image.loader);
}

/* Without /proc: by what the kernel has been given to execute, when that does not depend on where
 * the process was then. */
static apr_status_t by_name(char *path, size_t size) {
    int error = errno;
    const char *name = (const char *)(uintptr_t)getauxval(AT_EXECFN);
    if (!name || name[0] != '/' || strlen(name) >= size || access(name, X_OK) != 0) {
        return cohort__fail(
            error,
            "reading %s, so that this program can be executed again; mount /proc, or name the "
            "program with cohort_set_start_method()",
            own_link());
    }
    strcpy(path, name);
    return APR_SUCCESS;
}

/* Of a file that was removed or replaced, and of one that is really called so; the link itself
 * leads to the right one. (Tools that run a program within their own, as valgrind, give the right
 * name, and a link to themselves.) */
static bool is_marked(const char *path) {
    static const char mark[] = " (deleted)";
    size_t length = strlen(path);
    return length >= sizeof mark - 1 && strcmp(path + length - (sizeof mark - 1), mark) == 0;
}

/* The name of the file is nicer to see in process lists than "exe". */
apr_status_t cohort__own_executable(char *path, size_t size) {
    struct stat facts;
    const char *link = own;
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) {
        link = own_of_thread;
        length = readlink(link, path, size - 1);
    }
    if (length < 0) return by_name(path, size);
    path[length] = 0;
    if (is_marked(path) ? !is_same_file(path, link) : stat(path, &facts) != 0) strcpy(path, link);
    return behind_loader(path, size);
}

char ***cohort__environment(void) {
    extern char **environ;
    return &environ;
}

bool cohort__fork_is_default(void) { return true; }
