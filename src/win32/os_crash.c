/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What this process says of its own crash.
 *
 * Guarantee: it ends with the exit code that it would have had without this, and about as soon. The
 * filter of unhandled exceptions is asked when no handler on the stack, and none that the program
 * has set before this as such a filter, has taken the exception; it says that it has not taken it
 * either. A thread that was started for that ends the process when the filter takes longer than
 * TIME_MOST, with the code of the exception.
 *
 * The stack is unwound by the tables that every module has. DbgHelp, which knows names, is loaded
 * and looks at the modules when the process begins, and is left alone as long as it does; what it
 * knows is asked for after all else of a line is there. It allocates, so it may wait for a lock for
 * ever, until the thread says so.
 */
#include "os_win32.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define TIME_MOST   2000 /* milliseconds */
#define STACK_SPARE ((ULONG)64 * 1024)
#define FRAMES      60

/* Of DbgHelp; not every compiler has its header. */
typedef struct {
    ULONG size, type;
    ULONG64 reserved[2];
    ULONG index, symbol_size;
    ULONG64 module;
    ULONG flags;
    ULONG64 value, address;
    ULONG reg, scope, tag, length, most;
    CHAR name[128];
} symbol_t;
typedef BOOL(WINAPI *find_t)(HANDLE process, DWORD64 address, DWORD64 *offset, symbol_t *symbol);
typedef BOOL(WINAPI *initialize_t)(HANDLE process, const char *path, BOOL invade);

static struct {
    cohort_os_crash_t *to;
    LPTOP_LEVEL_EXCEPTION_FILTER before;
    void (*before_abort)(int);
    _Atomic(find_t) find; /* NULL: there is none, or not yet */
    _Atomic bool writes;
    _Atomic DWORD writer; /* that thread */
    /* the call of the program's filter or handler that is under way */
    struct {
        _Atomic DWORD thread;
        const char *frame;
    } inside;
    _Atomic DWORD code;
    HANDLE begun, ended;
} own;

static const struct {
    int code; /* as cohort__exit_code() has it */
    char name[8];
} names[] = {{-11, "SIGSEGV"}, {-7, "SIGBUS"}, {-8, "SIGFPE"}, {-4, "SIGILL"}, {-5, "SIGTRAP"}};

/* ---- text ----------------------------------------------------------------------------------- */

typedef struct {
    char *at, *end;
} text_t;

static void put(text_t *to, const char *text) {
    for (; *text && to->at < to->end; text++) *to->at++ = *text;
}

static void put_number(text_t *to, uint64_t number, unsigned base) {
    char digits[24];
    size_t at = sizeof digits;
    digits[--at] = 0;
    do digits[--at] = "0123456789abcdef"[number % base];
    while ((number /= base) != 0);
    put(to, digits + at);
}

static void put_hex(text_t *to, uint64_t number) {
    put(to, "0x");
    put_number(to, number, 16);
}

/* ---- what is known -------------------------------------------------------------------------- */

typedef struct {
    uint64_t frames[FRAMES];
    int count;
} trace_t;

static uint64_t counter_of(const CONTEXT *context) {
#if defined _M_ARM64 || defined __aarch64__
    return context->Pc;
#else
    return context->Rip;
#endif
}

/* A function without an entry in the tables calls no other: its return address is on top of the
 * stack, or in the register for that. */
static void leave_leaf(CONTEXT *context) {
#if defined _M_ARM64 || defined __aarch64__
    context->Pc = context->Lr;
#else
    context->Rip = *(const DWORD64 *)context->Rsp;
    context->Rsp += 8;
#endif
}

static void take_trace(trace_t *trace, const CONTEXT *from) {
    CONTEXT context = *from;
    trace->count = 0;
    while (trace->count < FRAMES && counter_of(&context)) {
        DWORD64 base, established;
        void *data;
        trace->frames[trace->count++] = counter_of(&context);
        PRUNTIME_FUNCTION entry = RtlLookupFunctionEntry(counter_of(&context), &base, NULL);
        if (entry)
            RtlVirtualUnwind(UNW_FLAG_NHANDLER, base, counter_of(&context), entry, &context, &data,
                             &established, NULL);
        else if (trace->count == 1) leave_leaf(&context);
        else return;
    }
}

static bool find_name(uint64_t address, symbol_t *symbol, DWORD64 *offset) {
    memset(symbol, 0, sizeof *symbol);
    symbol->size = (ULONG)(offsetof(symbol_t, name) + 4); /* the header's size, rounded up */
    symbol->most = sizeof symbol->name - 1;
    find_t find = atomic_load(&own.find);
    return find && find(GetCurrentProcess(), address, offset, symbol) && symbol->name[0];
}

static void put_module(text_t *to, uint64_t address) {
    HMODULE module;
    char path[MAX_PATH];
    const DWORD how =
        GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
    if (!GetModuleHandleExW(how, (const wchar_t *)(uintptr_t)address, &module)) return;
    DWORD length = GetModuleFileNameA(module, path, sizeof path - 1);
    path[length < sizeof path ? length : 0] = 0;
    const char *slash = strrchr(path, '\\');
    put(to, " (");
    put(to, slash ? slash + 1 : path);
    put(to, "+");
    put_hex(to, address - (uint64_t)(uintptr_t)module);
    put(to, ")");
}

/* As on every system; see cohort_task_error_t. */
static void put_frame(text_t *to, int number, uint64_t address) {
    static symbol_t symbol;
    DWORD64 offset = 0;
    unsigned returns = number > 0;
    put(to, "\n#");
    put_number(to, (uint64_t)number, 10);
    put(to, " ");
    put_hex(to, address);
    if (find_name(address - returns, &symbol, &offset)) {
        put(to, " in ");
        put(to, symbol.name);
        put(to, "+");
        put_hex(to, offset + returns);
    }
    put_module(to, address);
}

static const char *name_of(int code) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == code) return names[i].name;
    return "an exception";
}

static uint64_t address_of(const EXCEPTION_RECORD *record) {
    bool told = record->ExceptionCode == EXCEPTION_ACCESS_VIOLATION ||
                record->ExceptionCode == EXCEPTION_IN_PAGE_ERROR;
    return told && record->NumberParameters >= 2 ? record->ExceptionInformation[1]
                                                 : (uint64_t)(uintptr_t)record->ExceptionAddress;
}

/* Without a record it is abort(). */
static void write_lines(int code, const EXCEPTION_RECORD *record, const CONTEXT *context) {
    static trace_t trace;
    static symbol_t symbol;
    DWORD64 offset;
    text_t to = {own.to->text, own.to->text + sizeof own.to->text - 1};
    memset(own.to->text, 0, sizeof own.to->text);
    atomic_store(&own.to->code, code);
    put(&to, record ? name_of(code) : "SIGABRT");
    if (record) {
        put(&to, " at ");
        put_hex(&to, address_of(record));
    }
    take_trace(&trace, context);
    if (record && trace.count && find_name(trace.frames[0], &symbol, &offset)) {
        put(&to, " in function ");
        put(&to, symbol.name);
    }
    for (int i = 0; i < trace.count; i++) put_frame(&to, i, trace.frames[i]);
    put(&to, "\n");
}

/* Of threads that crash at once the first one writes; the others wait for the end of the process,
 * which is near. */
static void write_in_time(DWORD code, const EXCEPTION_RECORD *record, const CONTEXT *context) {
    if (atomic_exchange(&own.writes, true)) {
        if (atomic_load(&own.writer) != GetCurrentThreadId()) Sleep(TIME_MOST);
        return;
    }
    atomic_store(&own.writer, GetCurrentThreadId());
    atomic_store(&own.code, code);
    SetEvent(own.begun);
    write_lines(cohort__exit_code(code), record, context);
    SetEvent(own.ended);
}

/* ---- handlers ------------------------------------------------------------------------------- */

/* Does the program's filter or handler, from which this is called, hand on to this one? One that
 * was left by a jump does not: its frame was not above this one. */
static bool is_inside(const char *here) {
    return atomic_load(&own.inside.thread) == GetCurrentThreadId() && here < own.inside.frame;
}

static void go_inside(const char *here) {
    own.inside.frame = here;
    atomic_store(&own.inside.thread, GetCurrentThreadId());
}

static LONG WINAPI on_crash(EXCEPTION_POINTERS *what) {
    LONG answer = EXCEPTION_CONTINUE_SEARCH;
    char here = 0;
    if (own.before && !is_inside(&here)) {
        go_inside(&here);
        answer = own.before(what);
        atomic_store(&own.inside.thread, 0);
    }
    if (answer == EXCEPTION_CONTINUE_EXECUTION) return answer;
    write_in_time(what->ExceptionRecord->ExceptionCode, what->ExceptionRecord, what->ContextRecord);
    return answer;
}

static bool is_program_s(void (*handler)(int)) {
    return handler != SIG_DFL && handler != SIG_IGN && handler != SIG_ERR &&
           handler != cohort__aborted;
}

/* The C runtime has restored the default action: unless the library's own handler ends the process
 * as it would have, abort() goes on to end it with this code; a raise() has to be told again. */
static void on_abort(int number) {
    CONTEXT context;
    char here = 0;
    bool ours = own.before_abort == cohort__aborted;
    if (is_program_s(own.before_abort) && !is_inside(&here)) {
        go_inside(&here);
        own.before_abort(number);
        atomic_store(&own.inside.thread, 0);
    }
    RtlCaptureContext(&context);
    write_in_time(ours ? cohort__exit_status(COHORT__SIGABRT) : 3, NULL, &context);
    if (ours) cohort__aborted(number);
#ifndef _UCRT
    raise(number);
#endif
}

static DWORD WINAPI limit_time(void *unused) {
    (void)unused;
    WaitForSingleObject(own.begun, INFINITE);
    if (WaitForSingleObject(own.ended, TIME_MOST) != WAIT_OBJECT_0)
        TerminateProcess(GetCurrentProcess(), atomic_load(&own.code));
    return 0;
}

/* ---- set up --------------------------------------------------------------------------------- */

/* In a thread of its own: with many modules it takes a while, which no task is to wait for. */
static DWORD WINAPI load_names(void *unused) {
    HMODULE help = LoadLibraryExW(L"dbghelp.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    initialize_t initialize =
        help ? (initialize_t)(void (*)(void))GetProcAddress(help, "SymInitialize") : NULL;
    (void)unused;
    if (initialize && initialize(GetCurrentProcess(), NULL, TRUE))
        atomic_store(&own.find, (find_t)(void (*)(void))GetProcAddress(help, "SymFromAddr"));
    return 0;
}

static bool start_thread(LPTHREAD_START_ROUTINE run) {
    HANDLE thread = CreateThread(NULL, 0, run, NULL, 0, NULL);
    if (thread) CloseHandle(thread);
    return thread != NULL;
}

static apr_status_t begin(void) {
    ULONG spare = STACK_SPARE;
    own.begun = CreateEventW(NULL, TRUE, FALSE, NULL);
    own.ended = own.begun ? CreateEventW(NULL, TRUE, FALSE, NULL) : NULL;
    if (!own.ended || !start_thread(limit_time)) return cohort__last_error();
    (void)SetThreadStackGuarantee(&spare);
    (void)start_thread(load_names);
    return APR_SUCCESS;
}

apr_status_t cohort__crash_begin(cohort_os_crash_t *crash) {
    apr_status_t status = own.ended ? APR_SUCCESS : begin();
    if (status) return status;
    own.to = crash;
    LPTOP_LEVEL_EXCEPTION_FILTER before = SetUnhandledExceptionFilter(on_crash);
    if (before != on_crash) own.before = before;
    void (*before_abort)(int) = signal(SIGABRT, on_abort);
    if (before_abort == SIG_IGN) signal(SIGABRT, SIG_IGN);
    else if (before_abort != on_abort && before_abort != SIG_ERR) own.before_abort = before_abort;
    return APR_SUCCESS;
}
