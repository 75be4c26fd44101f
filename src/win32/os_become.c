/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What a process makes of itself. It has inherited all else from its parent, whichever thread
 * started it (nothing that is a thread's is handed on), and was started without a console if it is
 * to have none; there are no servers, since there is no fork(). */
#include "os_win32.h"

#include <stdlib.h>

/* A process has the name of its file for ever; its thread can have another, which debuggers and
 * Process Explorer show. The function came with late versions of Windows 10, so it is looked up at
 * run time. */
static void show_name(const char *name) {
    typedef HRESULT(WINAPI * describe_t)(HANDLE, PCWSTR);
    HMODULE kernel = GetModuleHandleW(L"kernel32.dll");
    describe_t describe =
        kernel ? (describe_t)(void (*)(void))GetProcAddress(kernel, "SetThreadDescription") : NULL;
    wchar_t *wide = describe ? cohort__wide_name(name) : NULL;
    if (wide) describe(GetCurrentThread(), wide);
    free(wide);
}

apr_status_t cohort_os_become(const cohort_os_become_t *what) {
    apr_status_t status =
        what->hangs ? cohort__lifeline_take(what->lifeline, what->hangs) : APR_SUCCESS;
    if (status != APR_SUCCESS) return status;
    if (what->name) show_name(what->name);
    if (what->context_size) return APR_EINVAL;
    if (what->state || what->detach || what->serves) return APR_ENOTIMPL;
    if (what->signals) cohort__signals_begin(*what->signals);
    return what->crash ? cohort__crash_begin(what->crash) : APR_SUCCESS;
}
