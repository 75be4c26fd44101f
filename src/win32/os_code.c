/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Code addresses as (module, offset). A module is identified by what its linker and its time say of
 * it; the executable has the empty path. */
#include "os_win32.h"

#include <cohort/errors.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

static const IMAGE_NT_HEADERS *headers_of(HMODULE module) {
    const char *base = (const char *)module;
    return (const IMAGE_NT_HEADERS *)(base + ((const IMAGE_DOS_HEADER *)base)->e_lfanew);
}

static uint64_t hash(uint64_t seed, const void *data, size_t size) {
    const unsigned char *at = data;
    for (size_t i = 0; i < size; i++) seed = (seed ^ at[i]) * 0x100000001B3u;
    return seed;
}

/* The linker's unique mark of this build, when there is one: the CodeView record of the debug
 * directory. */
static uint64_t hash_debug(uint64_t seed, const char *base, const IMAGE_NT_HEADERS *headers) {
    const IMAGE_DATA_DIRECTORY *place =
        &headers->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_DEBUG];
    const IMAGE_DEBUG_DIRECTORY *entry =
        (const IMAGE_DEBUG_DIRECTORY *)(base + place->VirtualAddress);
    for (size_t i = 0; place->VirtualAddress && i < place->Size / sizeof *entry; i++) {
        bool marked = entry[i].Type == IMAGE_DEBUG_TYPE_CODEVIEW && entry[i].AddressOfRawData &&
                      entry[i].SizeOfData >= 24;
        if (marked) seed = hash(seed, base + entry[i].AddressOfRawData, 24);
    }
    return seed;
}

/* Time stamp, size, and a hash of what else distinguishes two builds. The base in the header is
 * where the image lies now: left out. */
void cohort__build_of(HMODULE module, uint8_t build[20]) {
    const IMAGE_NT_HEADERS *headers = headers_of(module);
    uint32_t stamp[3] = {headers->FileHeader.TimeDateStamp, headers->OptionalHeader.SizeOfImage,
                         headers->OptionalHeader.CheckSum};
    uint64_t mark =
        hash(0xCBF29CE484222325u, &headers->OptionalHeader.AddressOfEntryPoint, sizeof(DWORD));
    mark = hash(mark, IMAGE_FIRST_SECTION(headers),
                headers->FileHeader.NumberOfSections * sizeof(IMAGE_SECTION_HEADER));
    mark = hash_debug(mark, (const char *)module, headers);
    memcpy(build, stamp, 12);
    memcpy(build + 12, &mark, 8);
}

apr_status_t cohort_os_code_find(const void *address, cohort_os_code_t *code) {
    HMODULE module;
    const DWORD how =
        GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
    cohort_os_code_t found = {.path = ""};
    if (!GetModuleHandleExW(how, (const wchar_t *)address, &module)) return COHORT_ETARGET;
    if (module != GetModuleHandleW(NULL)) {
        wchar_t *path = cohort__module_path(module);
        bool fits = path && cohort__narrow(path, found.path, sizeof found.path);
        free(path);
        if (!fits) return COHORT_ETARGET;
    }
    found.offset = (uint64_t)((const char *)address - (const char *)module);
    cohort__build_of(module, found.build);
    *code = found;
    return APR_SUCCESS;
}

static HMODULE module_at(const char *path) {
    if (!*path) return GetModuleHandleW(NULL);
    wchar_t *wide = cohort__long_path(cohort__wide(path));
    HMODULE module = wide ? LoadLibraryExW(wide, NULL, LOAD_WITH_ALTERED_SEARCH_PATH) : NULL;
    free(wide);
    return module;
}

apr_status_t cohort_os_code_at(const cohort_os_code_t *code, void **address) {
    uint8_t build[20];
    HMODULE module = module_at(code->path);
    if (!module) return COHORT_ETARGET;
    cohort__build_of(module, build);
    if (memcmp(build, code->build, sizeof build) != 0) return COHORT_EBINARY;
    if (code->offset >= headers_of(module)->OptionalHeader.SizeOfImage) return COHORT_ETARGET;
    *address = (char *)module + code->offset;
    return APR_SUCCESS;
}
