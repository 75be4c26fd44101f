/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * All that a process has started. What is contained is in a job, which the process that has started
 * it ends (os_group.c). For any other process, and for any other caller, a process is found by the
 * number of its parent, which it keeps: so as long as each parent on the way is known, which is
 * held open meanwhile, so that no later process has its number.
 */
#include "os_win32.h"

#include <cohort/errors.h>
#include <stdlib.h>
#include <tlhelp32.h>

#define PASSES 50

typedef struct {
    DWORD pid;
    uint64_t birth;
    HANDLE process;
} found_t;

typedef struct {
    found_t *found;
    size_t count, room;
    bool has_self, short_of_memory;
    bool gentle; /* nothing is ended yet */
    bool (*spares)(int64_t pid);
} search_t;

static const found_t *find(const search_t *s, DWORD pid) {
    for (size_t i = 0; i < s->count; i++)
        if (s->found[i].pid == pid) return &s->found[i];
    return NULL;
}

static bool add(search_t *s, HANDLE process, DWORD pid) {
    if (s->count == s->room) {
        size_t room = s->room ? s->room * 2 : 64;
        found_t *more = realloc(s->found, room * sizeof *more);
        if (!more) s->short_of_memory = true;
        if (!more) return false;
        s->found = more;
        s->room = room;
    }
    s->found[s->count++] = (found_t){pid, cohort__birth(process), process};
    return true;
}

static void end_process(search_t *s, HANDLE process, DWORD pid) {
    if (pid == GetCurrentProcessId()) s->has_self = true;
    else if (!s->gentle) TerminateProcess(process, cohort__exit_status(COHORT__SIGKILL));
}

/* True: it was one more. A process that had another parent of that number is older than this
 * one. */
static bool take_in(search_t *s, const PROCESSENTRY32W *entry) {
    const found_t *parent = find(s, entry->th32ParentProcessID);
    if (!parent || find(s, entry->th32ProcessID) || s->spares((int64_t)entry->th32ProcessID))
        return false;
    uint64_t parents_birth = parent->birth;
    HANDLE process =
        OpenProcess(PROCESS_TERMINATE | SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION, FALSE,
                    entry->th32ProcessID);
    if (!process) return false;
    if (cohort__birth(process) < parents_birth || !add(s, process, entry->th32ProcessID)) {
        CloseHandle(process);
        return false;
    }
    end_process(s, process, entry->th32ProcessID);
    return true;
}

static bool pass_over(search_t *s) {
    PROCESSENTRY32W entry = {.dwSize = sizeof entry};
    bool more = false;
    HANDLE all = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
    if (all == INVALID_HANDLE_VALUE) return false;
    for (BOOL next = Process32FirstW(all, &entry); next; next = Process32NextW(all, &entry))
        more |= take_in(s, &entry);
    CloseHandle(all);
    return more;
}

static DWORD rest_of(int64_t until) {
    int64_t rest = until - cohort_os_now();
    if (rest <= 0) return 0;
    return rest > INT64_C(3600000000000) ? 3600000 : (DWORD)((rest + 999999) / 1000000);
}

static void ask_all(search_t *s, int64_t until) {
    for (int i = 0; i < PASSES && pass_over(s); i++) continue;
    for (size_t i = s->count; i > 0; i--) {
        const found_t *f = &s->found[i - 1];
        if (f->pid != GetCurrentProcessId())
            (void)cohort_os_signal((cohort_os_id_t){f->pid, f->birth}, COHORT_OS_TERMINATE);
    }
    for (size_t i = 0; i < s->count; i++)
        if (s->found[i].pid != GetCurrentProcessId())
            (void)WaitForSingleObject(s->found[i].process, rest_of(until));
    s->gentle = false;
    for (size_t i = 0; i < s->count; i++) end_process(s, s->found[i].process, s->found[i].pid);
}

apr_status_t cohort_os_tree_end(const cohort_os_tree_t *tree, cohort_os_id_t leader, bool whole,
                                int64_t ask, bool (*spares)(int64_t pid)) {
    search_t s = {.spares = spares, .gentle = whole && ask != 0};
    apr_status_t status = APR_SUCCESS;
    if (!whole && !tree) cohort__group_end(leader);
    if (!whole) return APR_SUCCESS; /* what is in a tree is in a job */
    HANDLE process = cohort__process_open(leader, PROCESS_TERMINATE);
    if (!process) return GetLastError() == ERROR_ACCESS_DENIED ? cohort__last_error() : APR_SUCCESS;
    if (add(&s, process, (DWORD)leader.pid)) {
        if (s.gentle) ask_all(&s, ask);
        else end_process(&s, process, (DWORD)leader.pid);
        cohort__group_end(leader);
        for (int i = 0; i < PASSES && pass_over(&s); i++) status = i + 1 < PASSES ? 0 : APR_TIMEUP;
    } else {
        CloseHandle(process);
    }
    for (size_t i = 0; i < s.count; i++) CloseHandle(s.found[i].process);
    free(s.found);
    if (s.has_self) TerminateProcess(GetCurrentProcess(), cohort__exit_status(COHORT__SIGKILL));
    return s.short_of_memory ? cohort__fail(APR_ENOMEM, "noting the processes of a tree") : status;
}
