/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock, the CPUs, names, modules, and the threads of this process. Functions that came with
 * late versions of Windows 10 are looked up at run time, so that their absence costs a name in a
 * debugger and not the start of the program.
 */
#include "os_win32.h"

#include <cohort/errors.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define SECOND 1000000000

int64_t cohort_os_now(void) {
    static _Atomic int64_t frequency;
    LARGE_INTEGER ticks, fetched;
    int64_t per_second = atomic_load_explicit(&frequency, memory_order_relaxed);
    if (!per_second) {
        QueryPerformanceFrequency(&fetched);
        per_second = fetched.QuadPart;
        atomic_store_explicit(&frequency, per_second, memory_order_relaxed);
    }
    QueryPerformanceCounter(&ticks);
    return ticks.QuadPart / per_second * SECOND + ticks.QuadPart % per_second * SECOND / per_second;
}

static int count_bits(uint64_t mask) {
    int count = 0;
    for (; mask; mask &= mask - 1) count++;
    return count;
}

/* A process that may use all of its group of 64 may use the other groups' CPUs too. */
static int affinity_count(void) {
    DWORD_PTR own = 0, all = 0;
    int everywhere = (int)GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
    /* threads in several groups */
    if (!GetProcessAffinityMask(GetCurrentProcess(), &own, &all) || own == 0) return everywhere;
    return own == all && GetActiveProcessorGroupCount() > 1 ? everywhere : count_bits(own);
}

/* The share of all CPUs that the job we are in may use, in 1/100 of a percent (containers). */
static int job_share(void) {
    JOBOBJECT_CPU_RATE_CONTROL_INFORMATION rate = {0};
    const DWORD hard = JOB_OBJECT_CPU_RATE_CONTROL_ENABLE | JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP;
    if (!QueryInformationJobObject(NULL, JobObjectCpuRateControlInformation, &rate, sizeof rate,
                                   NULL))
        return 10000;
    return (rate.ControlFlags & hard) == hard && rate.CpuRate ? (int)rate.CpuRate : 10000;
}

int cohort_os_cpu_count(void) {
    int allowed = affinity_count();
    int share =
        (int)(((int64_t)GetActiveProcessorCount(ALL_PROCESSOR_GROUPS) * job_share() + 9999) /
              10000);
    if (share > 0 && share < allowed) allowed = share;
    return allowed > 0 ? allowed : 1;
}

bool cohort_os_cpu_is_idle(void) { return false; }

int cohort_os_cpu(void) {
    PROCESSOR_NUMBER number;
    GetCurrentProcessorNumberEx(&number);
    return number.Group * 64 + number.Number;
}

bool cohort_os_fork_is_default(void) { return false; }

void cohort_os_relax(void) { YieldProcessor(); }

void cohort_os_yield(void) { SwitchToThread(); }

/* A process has the name of its file for ever; its thread can have another, which debuggers and
 * Process Explorer show. */
void cohort_os_set_name(const char *name) {
    typedef HRESULT(WINAPI * describe_t)(HANDLE, PCWSTR);
    HMODULE kernel = GetModuleHandleW(L"kernel32.dll");
    describe_t describe =
        kernel ? (describe_t)(void (*)(void))GetProcAddress(kernel, "SetThreadDescription") : NULL;
    wchar_t *wide = describe ? cohort__wide_name(name) : NULL;
    if (wide) describe(GetCurrentThread(), wide);
    free(wide);
}

/* ---- modules -------------------------------------------------------------------------------- */

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

/* Time stamp, size, and a hash of what else tells two builds apart. The base in the header is where
 * the image lies now: left out. */
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

/* ---- threads -------------------------------------------------------------------------------- */

static void (*on_thread_exit)(void *mark);
static DWORD mark_slot = FLS_OUT_OF_INDEXES;
static _Atomic bool exiting;

/* At the end of the process nobody needs to be told, and what the hook would use may be gone. */
static void process_exits(void) { atomic_store(&exiting, true); }

static void WINAPI thread_exits(void *mark) {
    if (mark && !atomic_load(&exiting)) on_thread_exit(mark);
}

/* There are no copies. */
apr_status_t cohort_os_clear_in_copies(void *pages, size_t size) {
    (void)pages, (void)size;
    return APR_ENOTIMPL;
}

/* There is no fork() here, so `forked` is never called. The module must stay, since the system
 * would call into it. */
apr_status_t cohort_os_hooks(void (*forked)(void), void (*thread_exit)(void *mark)) {
    HMODULE self;
    const DWORD how = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN;
    (void)forked;
    on_thread_exit = thread_exit;
    if (mark_slot != FLS_OUT_OF_INDEXES) return APR_SUCCESS;
    GetModuleHandleExW(how, (const wchar_t *)(void *)&mark_slot, &self);
    mark_slot = FlsAlloc(thread_exits);
    if (mark_slot == FLS_OUT_OF_INDEXES) return APR_ENOMEM;
    return cohort_os_at_exit(process_exits);
}

void cohort_os_thread_mark(void *mark) { FlsSetValue(mark_slot, mark); }

/*
 * atexit() of a DLL runs when the DLL is taken down, and by then all other threads have been ended
 * wherever they were. The C runtime has a list for the whole process too, which exit() runs first;
 * the program's own atexit() adds to it.
 */
#if defined(_UCRT) || defined(_MSC_VER)
int __cdecl _crt_atexit(void(__cdecl *run)(void));

apr_status_t cohort_os_at_exit(void (*run)(void)) {
    return _crt_atexit(run) == 0 ? APR_SUCCESS : APR_ENOMEM;
}
#else
apr_status_t cohort_os_at_exit(void (*run)(void)) {
    typedef int (*exit_t)(void);
    typedef exit_t (*onexit_t)(exit_t);
    HMODULE runtime = GetModuleHandleW(L"msvcrt.dll");
    onexit_t add = runtime ? (onexit_t)(void (*)(void))GetProcAddress(runtime, "_onexit") : NULL;
    if (!add) return atexit(run) == 0 ? APR_SUCCESS : APR_ENOMEM;
    /* what `run` leaves as its result is not looked at */
    return add((exit_t)run) ? APR_SUCCESS : APR_ENOMEM;
}
#endif

typedef struct {
    void (*run)(void *arg);
    void *arg;
} thread_t;

static DWORD WINAPI thread_main(void *arg) {
    thread_t thread = *(thread_t *)arg;
    free(arg);
    thread.run(thread.arg);
    return 0;
}

/* A thread that ends is not told from others there; main() itself ends the process when it
 * returns. */
bool cohort_os_is_first_thread(void) { return false; }

int cohort_os_thread_count(void) { return 0; }

apr_status_t cohort_os_thread_start(void (*run)(void *arg), void *arg) {
    thread_t *thread = malloc(sizeof *thread);
    if (!thread) return APR_ENOMEM;
    *thread = (thread_t){run, arg};
    HANDLE handle = CreateThread(NULL, 0, thread_main, thread, 0, NULL);
    if (handle) {
        CloseHandle(handle);
        return APR_SUCCESS;
    }
    apr_status_t status = cohort__last_error();
    free(thread);
    return status;
}

_Static_assert(sizeof(SRWLOCK) <= sizeof(cohort_os_mutex_t),
               "the seam's mutex has room for the system's");

static SRWLOCK *lock_of(cohort_os_mutex_t *mutex) { return (SRWLOCK *)(void *)mutex->opaque; }

void cohort_os_mutex_lock(cohort_os_mutex_t *mutex) { AcquireSRWLockExclusive(lock_of(mutex)); }

void cohort_os_mutex_unlock(cohort_os_mutex_t *mutex) { ReleaseSRWLockExclusive(lock_of(mutex)); }

void cohort_os_mutex_reset(cohort_os_mutex_t *mutex) { InitializeSRWLock(lock_of(mutex)); }

/* Threads are not cancelled there. */
bool cohort_os_forbid_cancel(void) { return false; }

void cohort_os_allow_cancel(bool forbidden) { (void)forbidden; }
