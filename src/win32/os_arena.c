/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena is a section backed by the paging file, reserved only: address space costs page-table
 * entries, memory is charged when a range is committed, and a commit in one process is a commit in
 * all. It has no name and ends with its last handle and view. Behind the arena lies what os_park.c
 * needs.
 *
 * Windows places what it chooses itself in the low terabyte (randomised) and below 0x7FFF_FFFF_FFFF
 * (images, stacks); 0x2000_0000_0000 lies far from both. A child finds the arena mapped by its
 * parent before its first instruction (see os_start.c), or maps it itself.
 */
#include "os_win32.h"

#include <cohort/errors.h>

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static const uint64_t bases[] = {0x200000000000, 0x180000000000, 0x2000000000};
static uint64_t premapped;

static bool is_base(uint64_t base) {
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
        if (bases[i] == base) return true;
    }
    return false;
}

void cohort__arena_premapped(uint64_t base) { premapped = base; }

static apr_status_t map_at(uint64_t base, uint64_t size, HANDLE section) {
    if (MapViewOfFileEx(section, FILE_MAP_ALL_ACCESS, 0, 0, (SIZE_T)(size + COHORT__PARK_BYTES),
                        (void *)(uintptr_t)base))
        return APR_SUCCESS;
    switch (GetLastError()) {
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_COMMITMENT_LIMIT:
    case ERROR_NO_SYSTEM_RESOURCES: return APR_ENOMEM;
    default: return COHORT_EADDRESS;
    }
}

static apr_status_t map_somewhere(cohort_os_arena_t *arena, uint64_t size, HANDLE section) {
    apr_status_t status = COHORT_EADDRESS;
    for (size_t i = 0; i < sizeof bases / sizeof *bases && status == COHORT_EADDRESS; i++) {
        status = map_at(bases[i], size, section);
        if (status == APR_SUCCESS) {
            *arena =
                (cohort_os_arena_t){(char *)(uintptr_t)bases[i], size, (cohort_os_handle_t)section};
        }
    }
    return status;
}

/* The system's own reports of crashes. Dumps that another process makes hold what that one asks
 * for. A block is as long as 32 bits say. */
#define BLOCK (2 * GIB)

static void each_block(const cohort_os_arena_t *arena, const char *function) {
    typedef HRESULT(WINAPI * exclude_t)(const void *, DWORD);
    HMODULE kernel = GetModuleHandleW(L"kernel32.dll");
    FARPROC found = kernel ? GetProcAddress(kernel, function) : NULL;
    for (uint64_t at = 0; found && at < arena->size; at += BLOCK) {
        uint64_t length = arena->size - at < BLOCK ? arena->size - at : BLOCK;
        /* the inverse takes the address alone */
        (void)((exclude_t)(void (*)(void))found)(arena->base + at, (DWORD)length);
    }
}

static void keep_out_of_dumps(const cohort_os_arena_t *arena) {
    each_block(arena, "WerRegisterExcludedMemoryBlock");
}

/* In a process that has the arena mapped. */
static apr_status_t begin(const cohort_os_arena_t *arena, bool fresh) {
    char *end = arena->base + arena->size;
    apr_status_t status =
        fresh && !VirtualAlloc(end, (SIZE_T)COHORT__PARK_BYTES, MEM_COMMIT, PAGE_READWRITE)
            ? APR_ENOMEM
            : cohort__park_begin(end, fresh);
    if (status == APR_SUCCESS) keep_out_of_dumps(arena);
    else UnmapViewOfFile(arena->base);
    return status;
}

apr_status_t cohort_os_arena_create(uint64_t size, cohort_os_arena_t *arena) {
    cohort_os_arena_t made;
    if (size == 0 || size % MIB != 0) return APR_EINVAL;
    uint64_t all = size + COHORT__PARK_BYTES;
    HANDLE section = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE | SEC_RESERVE,
                                        (DWORD)(all >> 32), (DWORD)all, NULL);
    if (!section) return APR_ENOMEM; /* nothing but a limit can fail it */
    apr_status_t status = map_somewhere(&made, size, section);
    if (status == APR_SUCCESS) status = begin(&made, true);
    if (status == APR_SUCCESS) *arena = made;
    else CloseHandle(section);
    return status;
}

apr_status_t cohort_os_arena_attach(const cohort_os_arena_t *arena) {
    uint64_t base = (uint64_t)(uintptr_t)arena->base;
    if (!is_base(base)) return APR_EINVAL;
    bool mapped = premapped && premapped == base;
    if (mapped) premapped = 0;
    apr_status_t status =
        mapped ? APR_SUCCESS : map_at(base, arena->size, cohort__handle(arena->handle));
    return status == APR_SUCCESS ? begin(arena, false) : status;
}

/* Code can close a handle that is not its own only by guessing. */
apr_status_t cohort_os_arena_reopen(cohort_os_arena_t *arena, int64_t from,
                                    cohort_os_handle_t there) {
    DWORD flags;
    (void)from, (void)there;
    if (GetHandleInformation(cohort__handle(arena->handle), &flags)) return APR_SUCCESS;
    return APR_ENOTIMPL;
}

void cohort_os_arena_detach(cohort_os_arena_t *arena) {
    if (!arena->base) return;
    cohort__park_end(arena->base + arena->size);
    UnmapViewOfFile(arena->base);
    cohort_os_close(arena->handle);
    *arena = (cohort_os_arena_t){NULL, 0, COHORT_OS_NONE};
}

static apr_status_t commit(const cohort_os_arena_t *arena, uint64_t offset, uint64_t length) {
    if (length == 0) return APR_SUCCESS;
    return VirtualAlloc(arena->base + offset, (SIZE_T)length, MEM_COMMIT, PAGE_READWRITE)
               ? APR_SUCCESS
               : APR_ENOMEM;
}

/* A view's pages cannot be uncommitted; MEM_RESET makes them worthless, so that they are dropped
 * instead of paged out. */
static void discard(const cohort_os_arena_t *arena, uint64_t offset, uint64_t length) {
    if (length) VirtualAlloc(arena->base + offset, (SIZE_T)length, MEM_RESET, PAGE_READWRITE);
}

/* All of it: what is not committed is in no dump. */
static void dump(const cohort_os_arena_t *arena) {
    static _Atomic bool done;
    if (!atomic_exchange(&done, true)) each_block(arena, "WerUnregisterExcludedMemoryBlock");
}

apr_status_t cohort_os_arena_pages(const cohort_os_arena_t *arena, cohort_os_pages_t how,
                                   uint64_t offset, uint64_t length) {
    if (offset > arena->size || length > arena->size - offset) return APR_EINVAL;
    if (how == COHORT_OS_PAGES_COMMIT) return commit(arena, offset, length);
    if (how == COHORT_OS_PAGES_DISCARD) discard(arena, offset, length);
    else dump(arena);
    return APR_SUCCESS;
}

/* A reserved section costs eight bytes of page-table prototypes for each page of 4 KiB, so modesty
 * pays here. */
uint64_t cohort__arena_default_size(void) {
    MEMORYSTATUSEX memory = {.dwLength = sizeof memory};
    uint64_t size = GlobalMemoryStatusEx(&memory) ? memory.ullTotalPhys * 2 : 0;
    if (size < 4 * GIB) size = 4 * GIB;
    if (size > 64 * GIB) size = 64 * GIB;
    return size - size % MIB;
}
