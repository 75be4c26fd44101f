/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of functions that the loader does not know, since they are not exported, as most tasks: in
 * the symbol table of the module's file, for as long as that was not stripped. Read by system calls
 * alone, into memory that is there; what the file says is not believed further than that.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>

static uintptr_t own_base; /* of the executable */

/* External, so that they come behind what copies of a process write to (CMakeLists.txt). */
char cohort__symbol_own_path[COHORT_OS_PATH_MAX];
ElfW(Sym) cohort__symbols[512];

static int note_first(struct dl_phdr_info *module, size_t size, void *unused) {
    Dl_info info;
    (void)size;
    (void)unused;
    if (dladdr((const void *)module->dlpi_phdr, &info)) own_base = (uintptr_t)info.dli_fbase;
    return 1;
}

/* The loader has the executable under the name that it was called by. */
void cohort__symbol_begin(void) {
    cohort__modules_walk(note_first, NULL);
    if (cohort__own_executable(cohort__symbol_own_path, sizeof cohort__symbol_own_path) !=
        APR_SUCCESS)
        cohort__symbol_own_path[0] = 0;
}

static bool read_at(int file, void *to, size_t size, uint64_t offset) {
    ssize_t got;
    COHORT__RETRY(got, pread(file, to, size, (off_t)offset));
    return got == (ssize_t)size;
}

/* What is added to the addresses in the file. */
static bool find_slide(int file, const ElfW(Ehdr) * head, uintptr_t base, uintptr_t *slide) {
    for (size_t i = 0; i < head->e_phnum; i++) {
        ElfW(Phdr) segment;
        if (!read_at(file, &segment, sizeof segment, head->e_phoff + i * sizeof segment))
            return false;
        if (segment.p_type != PT_LOAD) continue;
        uintptr_t page = segment.p_align ? segment.p_align : 1;
        *slide = base - (segment.p_vaddr & ~(page - 1));
        return true; /* they are in order */
    }
    return false;
}

static bool find_table(int file, const ElfW(Ehdr) * head, ElfW(Shdr) * table,
                       ElfW(Shdr) * strings) {
    for (size_t i = 0; i < head->e_shnum; i++) {
        if (!read_at(file, table, sizeof *table, head->e_shoff + i * sizeof *table)) return false;
        if (table->sh_type != SHT_SYMTAB) continue;
        return table->sh_link < head->e_shnum &&
               read_at(file, strings, sizeof *strings,
                       head->e_shoff + table->sh_link * sizeof *strings);
    }
    return false;
}

static bool has(const ElfW(Sym) * symbol, uintptr_t address) {
    return (symbol->st_info & 15) == STT_FUNC && symbol->st_value && address >= symbol->st_value &&
           address - symbol->st_value < (symbol->st_size ? symbol->st_size : 1);
}

static bool find_symbol(int file, const ElfW(Shdr) * table, uintptr_t address, ElfW(Sym) * found) {
    const size_t room = sizeof cohort__symbols / sizeof *cohort__symbols;
    for (size_t left = table->sh_size / sizeof *cohort__symbols, at = 0, n; left;
         left -= n, at += n) {
        n = left < room ? left : room;
        if (!read_at(file, cohort__symbols, n * sizeof *cohort__symbols,
                     table->sh_offset + at * sizeof *cohort__symbols))
            return false;
        for (size_t i = 0; i < n; i++) {
            if (!has(&cohort__symbols[i], address)) continue;
            *found = cohort__symbols[i];
            return true;
        }
    }
    return false;
}

static uintptr_t look_up(int file, uintptr_t base, uintptr_t address, cohort__text_t *name) {
    ElfW(Ehdr) head;
    ElfW(Shdr) table, strings;
    ElfW(Sym) symbol;
    uintptr_t slide;
    char text[128];
    if (!read_at(file, &head, sizeof head, 0) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_shentsize != sizeof table || head.e_phentsize != sizeof(ElfW(Phdr)) ||
        !find_slide(file, &head, base, &slide) || !find_table(file, &head, &table, &strings) ||
        !find_symbol(file, &table, address - slide, &symbol))
        return 0;
    ssize_t got = pread(file, text, sizeof text - 1, (off_t)(strings.sh_offset + symbol.st_name));
    if (got <= 0) return 0;
    text[got] = 0;
    cohort__text_put(name, text);
    return symbol.st_value + slide;
}

const char *cohort__symbol_file(const char *name, uintptr_t base) {
    return base == own_base && cohort__symbol_own_path[0] ? cohort__symbol_own_path : name;
}

uintptr_t cohort__symbol(const char *file, uintptr_t base, uintptr_t address,
                         cohort__text_t *name) {
    int opened = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (opened < 0) return 0;
    uintptr_t start = look_up(opened, base, address, name);
    close(opened);
    return start;
}
