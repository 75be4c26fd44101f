/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Threads of this process, and what is called at the end of one, and at its end. */
#include "os_win32.h"

#include <stdlib.h>

static void (*on_thread_exit)(void *mark, bool first);
static DWORD mark_slot = FLS_OUT_OF_INDEXES;
static _Atomic bool exiting;

/* At the end of the process nothing needs to be noted, and what the hook would use may be gone. */
static void process_exits(void) { atomic_store(&exiting, true); }

/* main() itself ends the process when it returns, so no thread that ends is told to be the
 * first. */
static void WINAPI thread_exits(void *mark) {
    if (mark && !atomic_load(&exiting)) on_thread_exit(mark, false);
}

/*
 * atexit() of a DLL runs when the DLL is taken down, and by then all other threads have been ended
 * wherever they were. The C runtime has a list for the whole process too, which exit() runs first;
 * the program's own atexit() adds to it.
 */
#if defined(_UCRT) || defined(_MSC_VER)
int __cdecl _crt_atexit(void(__cdecl *run)(void));

static apr_status_t call_at_exit(void (*run)(void)) {
    return _crt_atexit(run) == 0 ? APR_SUCCESS : APR_ENOMEM;
}
#else
static apr_status_t call_at_exit(void (*run)(void)) {
    typedef int (*exit_t)(void);
    typedef exit_t (*onexit_t)(exit_t);
    HMODULE runtime = GetModuleHandleW(L"msvcrt.dll");
    onexit_t add = runtime ? (onexit_t)(void (*)(void))GetProcAddress(runtime, "_onexit") : NULL;
    if (!add) return atexit(run) == 0 ? APR_SUCCESS : APR_ENOMEM;
    /* what `run` leaves as its result is not looked at */
    return add((exit_t)run) ? APR_SUCCESS : APR_ENOMEM;
}
#endif

/* The module must stay, since the system would call into it. */
static apr_status_t install_hooks(void) {
    HMODULE self;
    const DWORD how = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN;
    GetModuleHandleExW(how, (const wchar_t *)(void *)&mark_slot, &self);
    mark_slot = FlsAlloc(thread_exits);
    return mark_slot == FLS_OUT_OF_INDEXES ? APR_ENOMEM : call_at_exit(process_exits);
}

/* There is no fork() here, so `forked` is never called, and there are no copies. */
apr_status_t cohort_os_hooks(const cohort_os_hooks_t *hooks) {
    on_thread_exit = hooks->thread_exit;
    apr_status_t status = mark_slot == FLS_OUT_OF_INDEXES ? install_hooks() : APR_SUCCESS;
    return status == APR_SUCCESS && hooks->at_exit ? call_at_exit(hooks->at_exit) : status;
}

void cohort_os_thread_mark(void *mark) { FlsSetValue(mark_slot, mark); }

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
