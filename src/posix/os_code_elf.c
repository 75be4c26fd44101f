/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Code addresses as (module, offset) for ELF. A module is identified by its GNU build id; one that
 * was linked without is identified by the size and time of its file. The executable has the empty
 * path, so that it is found again under any name.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void cohort__modules_walk(int (*visit)(struct dl_phdr_info *, size_t, void *), void *arg) {
    cohort__modules_lock();
    dl_iterate_phdr(visit, arg);
    cohort__modules_unlock();
}

typedef struct {
    const char *path; /* wanted, or NULL: the module that holds `address` */
    uintptr_t address;
    int index; /* modules seen so far; the first is the executable */
    bool found;
    uintptr_t base;
    char name[512];
    uint8_t build[20];
    bool has_build;
    bool executable_code; /* `address` lies in a segment that may be executed */
} search_t;

static bool holds(const struct dl_phdr_info *info, uintptr_t address, bool *code) {
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type != PT_LOAD || address < start || address - start >= segment->p_memsz)
            continue;
        *code = (segment->p_flags & PF_X) != 0;
        return true;
    }
    return false;
}

/* The build id in one PT_NOTE segment. */
static bool find_build(const char *at, size_t size, uint8_t build[20]) {
    while (size >= sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *note = (const void *)at;
        size_t name = (note->n_namesz + 3u) & ~(size_t)3, text = (note->n_descsz + 3u) & ~(size_t)3;
        size_t whole = sizeof *note + name + text;
        if (whole > size) return false;
        if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
            memcmp(note + 1, "GNU", 4) == 0) {
            memcpy(build, (const char *)(note + 1) + name,
                   note->n_descsz < 20 ? note->n_descsz : 20);
            return true;
        }
        at += whole;
        size -= whole;
    }
    return false;
}

static void describe(search_t *search, const struct dl_phdr_info *info) {
    memset(search->build, 0, sizeof search->build);
    search->has_build = false;
    for (int i = 0; i < info->dlpi_phnum && !search->has_build; ++i) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        /* 8: properties, laid out otherwise */
        if (segment->p_type != PT_NOTE || segment->p_align > 4) continue;
        search->has_build = find_build((const char *)(info->dlpi_addr + segment->p_vaddr),
                                       segment->p_memsz, search->build);
    }
}

/* The same name for one file, whichever way it was loaded. */
static bool full_path(const char *name, char path[512]) {
    char *real = realpath(name, NULL);
    bool fits = strlen(real ? real : name) < 512;
    if (fits) strcpy(path, real ? real : name);
    free(real);
    return fits;
}

static int visit(struct dl_phdr_info *info, size_t size, void *given) {
    search_t *search = given;
    (void)size;
    bool executable = search->index++ == 0;
    search->name[0] = 0;
    if (!search->path && !holds(info, search->address, &search->executable_code)) return 0;
    if (!executable && !full_path(info->dlpi_name, search->name)) return 0;
    if (search->path && strcmp(search->name, search->path) != 0) return 0;
    search->base = info->dlpi_addr;
    if (search->path && !holds(info, search->base + search->address, &search->executable_code))
        search->executable_code = false;
    describe(search, info);
    search->found = true;
    return 1;
}

static void identify_by_file(search_t *search) {
    struct stat facts;
    char own[COHORT_OS_PATH_MAX];
    if (search->has_build ||
        (!search->name[0] && cohort__own_executable(own, sizeof own) != APR_SUCCESS))
        return;
    if (stat(search->name[0] ? search->name : own, &facts) != 0) return;
    uint64_t parts[2] = {(uint64_t)facts.st_size, (uint64_t)facts.st_mtim.tv_sec * 1000000000u +
                                                      (uint64_t)facts.st_mtim.tv_nsec};
    memcpy(search->build, "file", 4);
    memcpy(search->build + 4, parts, sizeof parts);
}

void cohort__own_build(uint8_t build[20]) {
    search_t search = {.path = ""};
    cohort__modules_walk(visit, &search);
    identify_by_file(&search);
    memcpy(build, search.build, sizeof search.build);
}

apr_status_t cohort_os_code_find(const void *address, cohort_os_code_t *code) {
    search_t search = {.address = (uintptr_t)address};
    cohort__modules_walk(visit, &search);
    if (!search.found || !search.executable_code) return COHORT_ETARGET;
    identify_by_file(&search);
    memset(code, 0, sizeof *code);
    strcpy(code->path, search.name);
    code->offset = (uintptr_t)address - search.base;
    memcpy(code->build, search.build, sizeof code->build);
    return APR_SUCCESS;
}

static apr_status_t unloaded(const cohort_os_code_t *code) {
    const char *why = dlerror();
    return cohort__fail(COHORT_ETARGET, "dlopen %s: %s", code->path, why ? why : "no reason given");
}

apr_status_t cohort_os_code_at(const cohort_os_code_t *code, void **address) {
    search_t search = {.path = code->path, .address = (uintptr_t)code->offset};
    cohort__modules_walk(visit, &search);
    if (!search.found) {
        if (!code->path[0]) return COHORT_ETARGET;
        /* stays loaded for good */
        if (!dlopen(code->path, RTLD_NOW | RTLD_LOCAL)) return unloaded(code);
        search = (search_t){.path = code->path, .address = (uintptr_t)code->offset};
        cohort__modules_walk(visit, &search);
        if (!search.found) return COHORT_ETARGET;
    }
    identify_by_file(&search);
    if (memcmp(search.build, code->build, sizeof code->build) != 0) return COHORT_EBINARY;
    if (!search.executable_code) return COHORT_ETARGET;
    *address = (void *)(search.base + (uintptr_t)code->offset);
    return APR_SUCCESS;
}
