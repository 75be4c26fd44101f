/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting. A child is created suspended and runs its first instruction only when everything is in
 * place: it is in the job that ends with the process it depends on, the arena is mapped at its
 * address, its handles are its own, and its boot page is complete.
 *
 * The boot page, which says all this to the child, is a small nameless section; when a child
 * believes it is os_boot.c's.
 *
 * Handles: an explicit list says what is inherited, copies made for the purpose only (the standard
 * streams and the boot page), so nothing else of the host's ever is. All others are put into the
 * suspended child by DuplicateHandle().
 *
 * If this process is killed half way, the child must not stay suspended for ever: until it is let
 * go it lies in a job that ends with us.
 */
#include "core/base/gifts.h"
#include "os_win32.h"

#include <cohort/errors.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* when something lies at the arena's address in a new process: the next one looks different */
#define ATTEMPTS 4

typedef struct {
    const cohort_os_start_t *start;
    wchar_t *path, *line, *environment, *cwd;
    HANDLE page; /* inheritable, as are the streams */
    cohort__page_t *view;
    HANDLE stdio[3];
    /* its end is the child's: the lifeline's, or our own until the child is let go */
    HANDLE job;
    bool job_is_ours;
    HANDLE contained; /* the job of what the child starts, or NULL */
    HANDLE limited;   /* the job with its limits, or NULL */
    HANDLE jobs[3];
    LPPROC_THREAD_ATTRIBUTE_LIST attributes;
    HANDLE *inherited; /* 4 and one for each gift */
    HANDLE *gifts;     /* of a program: inheritable copies */
    PROCESS_INFORMATION process;
} launch_t;

/* ---- what to run ---------------------------------------------------------------------------- */

/* The path of the executable, then the name: what process lists show. */
static wchar_t *own_line(const wchar_t *path, const char *name) {
    char program[COHORT_OS_PATH_MAX], shown[256] = "";
    wchar_t *wide = cohort__wide_name(name ? name : "");
    if (!cohort__narrow(path, program, sizeof program)) strcpy(program, "cohort");
    if (wide && !cohort__narrow(wide, shown, sizeof shown)) shown[0] = 0;
    free(wide);
    const char *argv[] = {program, shown, NULL};
    return cohort__command_line(argv);
}

static apr_status_t unfound(const cohort_os_start_t *start) {
    apr_status_t status = cohort__last_error();
    if (!start->path) return cohort__fail(status, "finding this program's file");
    return cohort__fail(status, strpbrk(start->path, "/\\:") ? "finding %s" : "finding %s on PATH",
                        start->path);
}

static bool is_directory(const wchar_t *path) {
    DWORD attributes = GetFileAttributesW(path);
    return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY);
}

static const char *cwd_of(const cohort_os_start_t *start) {
    if (start->cwd || !start->settings || !start->settings->cwd) return start->cwd;
    return cohort_os_settings_part(start->settings, start->settings->cwd);
}

static apr_status_t lost_directory(const cohort_os_start_t *start) {
    return cohort__fail(APR_FROM_OS_ERROR(ERROR_PATH_NOT_FOUND), "chdir %s", cwd_of(start));
}

/* By what a program finds them; the number of the process is known when it is too late for it. */
static wchar_t *told_gifts(const cohort_os_start_t *start) {
    char *text = malloc(cohort__gifts_room(start));
    if (text) cohort__gifts_write(text, start, 0);
    wchar_t *wide = text ? cohort__wide(text) : NULL;
    free(text);
    return wide;
}

static apr_status_t describe(launch_t *launch) {
    const cohort_os_start_t *start = launch->start;
    bool program = start->how == COHORT_OS_PROGRAM;
    const char *only[] = {start->path, NULL};
    wchar_t boot[64], *given = NULL;
    SetLastError(ERROR_INVALID_PARAMETER);
    if (cwd_of(start) && !(launch->cwd = cohort__wide(cwd_of(start))))
        return cohort__fail(cohort__last_error(), "reading cwd as UTF-8");
    if (program && !start->path) return APR_EINVAL;
    /* before a file is looked for in it */
    if (launch->cwd && !is_directory(launch->cwd)) return lost_directory(start);
    launch->path =
        start->path ? cohort__find_program(start, launch->cwd) : cohort__module_path(NULL);
    if (!launch->path) return unfound(start);
    if (program)
        launch->line = cohort__command_line(start->argv && start->argv[0] ? start->argv : only);
    else launch->line = own_line(launch->path, start->name);
    _snwprintf(boot, 64, COHORT__BOOT_VARIABLE L"=%u:%llx", COHORT_OS_BOOT_VERSION,
               (unsigned long long)(uintptr_t)launch->page);
    if (cohort__gifts_any(start) && !(given = told_gifts(start)))
        return cohort__fail(cohort__last_error(), "reading the names of gifts as UTF-8");
    launch->environment =
        cohort__environment(start->env, start->settings, launch->page ? boot : given);
    free(given);
    return launch->line && launch->environment ? APR_SUCCESS : APR_EINVAL;
}

/* ---- what it gets --------------------------------------------------------------------------- */

static HANDLE inheritable(HANDLE handle) {
    HANDLE copy = NULL, self = GetCurrentProcess();
    if (!handle || handle == INVALID_HANDLE_VALUE) return NULL;
    return DuplicateHandle(self, handle, self, &copy, 0, TRUE, DUPLICATE_SAME_ACCESS) ? copy : NULL;
}

static apr_status_t ungiven(const cohort_os_start_t *start, uint32_t i) {
    apr_status_t status = cohort__last_error();
    return cohort__fail(status, "duplicating gift %u%s%s", (unsigned)i,
                        *start->gifts[i].name ? ", " : "", start->gifts[i].name);
}

static apr_status_t open_page(launch_t *launch) {
    HANDLE section = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0,
                                        sizeof(cohort__page_t), NULL);
    if (!section) return cohort__last_error();
    launch->view = MapViewOfFile(section, FILE_MAP_ALL_ACCESS, 0, 0, 0);
    launch->page = inheritable(section);
    CloseHandle(section);
    return launch->view && launch->page ? APR_SUCCESS : APR_ENOMEM;
}

static HANDLE inheritable_null(void) {
    SECURITY_ATTRIBUTES inherit = {.nLength = sizeof inherit, .bInheritHandle = TRUE};
    HANDLE null = CreateFileW(L"NUL", GENERIC_READ | GENERIC_WRITE,
                              FILE_SHARE_READ | FILE_SHARE_WRITE, &inherit, OPEN_EXISTING, 0, NULL);
    return null == INVALID_HANDLE_VALUE ? NULL : null;
}

/* A stream that this process does not have is none in the child either. In the background it has
 * none of ours; where there is no null device, none is as good. */
static apr_status_t open_streams(launch_t *launch) {
    static const DWORD own[] = {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
    for (int i = 0; i < 3; i++) {
        cohort_os_handle_t given = launch->start->stdio[i];
        bool null = given == COHORT_OS_NULL || (given == COHORT_OS_NONE && launch->start->detach);
        if (given == COHORT_OS_OUTPUT) {
            launch->stdio[i] = inheritable(launch->stdio[1]);
            continue;
        }
        launch->stdio[i] = null                      ? inheritable_null()
                           : given == COHORT_OS_NONE ? inheritable(GetStdHandle(own[i]))
                                                     : inheritable(cohort__handle(given));
        if (!launch->stdio[i] && given != COHORT_OS_NONE) return cohort__last_error();
    }
    return APR_SUCCESS;
}

/* What a program is given it inherits, so that it can be told what the handles are; another process
 * of ours gets its own copies (furnish()). */
static apr_status_t open_gifts(launch_t *launch) {
    const cohort_os_start_t *start = launch->start;
    launch->inherited = calloc(4 + (size_t)start->n_gifts, sizeof *launch->inherited);
    launch->gifts = calloc(1 + (size_t)start->n_gifts, sizeof *launch->gifts);
    if (!launch->inherited || !launch->gifts) return APR_ENOMEM;
    for (uint32_t i = 0; i < start->n_gifts; i++) {
        cohort_os_gift_t *gift = &start->gifts[i];
        if (gift->numbered) return APR_ENOTIMPL;
        if (start->how != COHORT_OS_PROGRAM) continue;
        launch->gifts[i] = inheritable(cohort__handle((cohort_os_handle_t)gift->handle));
        if (!launch->gifts[i]) return ungiven(start, i);
        atomic_store(&gift->there, (int64_t)(intptr_t)launch->gifts[i]);
    }
    return APR_SUCCESS;
}

static bool job_limits(HANDLE job, DWORD flags) {
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    limits.BasicLimitInformation.LimitFlags = flags;
    return SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits);
}

static apr_status_t open_job(launch_t *launch) {
    const cohort_os_start_t *start = launch->start;
    cohort_os_handle_t lifeline =
        start->how == COHORT_OS_PROGRAM ? start->lifeline : start->boot->lifeline;
    launch->job_is_ours = lifeline == COHORT_OS_NONE;
    if (!launch->job_is_ours) {
        launch->job = cohort__handle(lifeline);
        return APR_SUCCESS;
    }
    launch->job = CreateJobObjectW(NULL, NULL);
    if (!launch->job) return cohort__last_error();
    if (job_limits(launch->job, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_BREAKAWAY_OK))
        return APR_SUCCESS;
    return cohort__last_error();
}

/* One that ends with its parent alone is in a job by itself, in place of the lifeline's: what it
 * starts is in neither. */
static bool is_by_itself(const launch_t *launch) {
    return launch->start->alone && !launch->job_is_ours;
}

static apr_status_t open_contained(launch_t *launch) {
    DWORD flags = JOB_OBJECT_LIMIT_BREAKAWAY_OK;
    if (!launch->start->contained && !is_by_itself(launch)) return APR_SUCCESS;
    if (!launch->job_is_ours) flags |= JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    if (is_by_itself(launch)) flags |= JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK;
    launch->contained = CreateJobObjectW(NULL, NULL);
    if (!launch->contained) return cohort__last_error();
    return job_limits(launch->contained, flags) ? APR_SUCCESS : cohort__last_error();
}

/* A job for the limits alone: it ends nothing, and stays as long as a process is in it. What the
 * child starts is in it too only where it counts processes. */
static apr_status_t open_limits(launch_t *launch) {
    const cohort_os_settings_t *s = launch->start->settings;
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    uint32_t set = s ? s->set : 0;
    DWORD flags = JOB_OBJECT_LIMIT_BREAKAWAY_OK;
    if (!(set & COHORT__LIMITS_HERE)) return APR_SUCCESS;
    if (set & COHORT_OS_SET_LIMIT) flags |= JOB_OBJECT_LIMIT_PROCESS_MEMORY;
    if (set & COHORT_OS_SET_LIMIT << 1) flags |= JOB_OBJECT_LIMIT_PROCESS_TIME;
    if (set & COHORT_OS_SET_LIMIT << 3) flags |= JOB_OBJECT_LIMIT_ACTIVE_PROCESS;
    else flags |= JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK;
    limits.ProcessMemoryLimit = (SIZE_T)s->limits[0];
    limits.BasicLimitInformation.PerProcessUserTimeLimit.QuadPart =
        (LONGLONG)(s->limits[1] < 900000000000 ? s->limits[1] * 10000000 : INT64_MAX);
    limits.BasicLimitInformation.ActiveProcessLimit =
        s->limits[3] < MAXDWORD ? (DWORD)s->limits[3] : MAXDWORD;
    limits.BasicLimitInformation.LimitFlags = flags;
    launch->limited = CreateJobObjectW(NULL, NULL);
    if (launch->limited &&
        SetInformationJobObject(launch->limited, JobObjectExtendedLimitInformation, &limits,
                                sizeof limits))
        return APR_SUCCESS;
    return cohort__fail(cohort__last_error(), "making a job with the limits");
}

static apr_status_t list_attributes(launch_t *launch) {
    SIZE_T size = 0, count = 0;
    InitializeProcThreadAttributeList(NULL, 2, 0, &size);
    LPPROC_THREAD_ATTRIBUTE_LIST list = malloc(size);
    if (!list) return APR_ENOMEM;
    if (!InitializeProcThreadAttributeList(list, 2, 0, &size)) {
        free(list);
        return cohort__last_error();
    }
    launch->attributes = list;
    for (int i = 0; i < 3; i++) {
        if (launch->stdio[i]) launch->inherited[count++] = launch->stdio[i];
    }
    if (launch->page) launch->inherited[count++] = launch->page;
    for (uint32_t i = 0; i < launch->start->n_gifts; i++) {
        if (launch->gifts[i]) launch->inherited[count++] = launch->gifts[i];
    }
    int jobs_count = 0;
    if (!is_by_itself(launch)) launch->jobs[jobs_count++] = launch->job; /* the outer one first */
    if (launch->contained) launch->jobs[jobs_count++] = launch->contained;
    if (launch->limited) launch->jobs[jobs_count++] = launch->limited;
    SIZE_T jobs = (SIZE_T)jobs_count * sizeof(HANDLE);
    bool done = UpdateProcThreadAttribute(list, 0, PROC_THREAD_ATTRIBUTE_JOB_LIST, launch->jobs,
                                          jobs, NULL, NULL);
    if (done && count) {
        done = UpdateProcThreadAttribute(list, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST,
                                         launch->inherited, count * sizeof(HANDLE), NULL, NULL);
    }
    return done ? APR_SUCCESS : cohort__last_error();
}

/* ---- create --------------------------------------------------------------------------------- */

/* A process without a console (background, a service) must not make one pop up for each of its
 * children. Ours have none either, since each console is a process more; a program gets one that
 * does not show, for itself and what it starts. */
static DWORD priority_class(const launch_t *launch) {
    int nice = launch->start->settings ? launch->start->settings->nice : 0;
    return nice >= 10    ? IDLE_PRIORITY_CLASS
           : nice > 0    ? BELOW_NORMAL_PRIORITY_CLASS
           : nice == 0   ? 0
           : nice <= -10 ? HIGH_PRIORITY_CLASS
                         : ABOVE_NORMAL_PRIORITY_CLASS;
}

static DWORD creation_flags(const launch_t *launch) {
    DWORD flags = priority_class(launch) | CREATE_SUSPENDED | CREATE_UNICODE_ENVIRONMENT |
                  EXTENDED_STARTUPINFO_PRESENT;
    if (launch->start->group == COHORT_OS_GROUP_OWN) flags |= CREATE_NEW_PROCESS_GROUP;
    if (launch->start->detach)
        flags |= DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP | CREATE_BREAKAWAY_FROM_JOB;
    else if (launch->start->how == COHORT_OS_PROGRAM &&
             launch->start->signals == COHORT_OS_SIGNALS_NO_INTERRUPT)
        flags |= CREATE_NEW_PROCESS_GROUP; /* which ignores Ctrl-C */
    else if (GetConsoleCP() == 0)
        flags |= launch->start->how == COHORT_OS_REEXEC ? DETACHED_PROCESS : CREATE_NO_WINDOW;
    return flags;
}

static bool create(launch_t *launch, DWORD flags) {
    STARTUPINFOEXW info = {.lpAttributeList = launch->attributes};
    info.StartupInfo.cb = sizeof info;
    info.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
    info.StartupInfo.hStdInput = launch->stdio[0];
    info.StartupInfo.hStdOutput = launch->stdio[1];
    info.StartupInfo.hStdError = launch->stdio[2];
    return CreateProcessW(launch->path, launch->line, NULL, NULL, launch->inherited[0] != NULL,
                          flags, launch->environment, launch->cwd, &info.StartupInfo,
                          &launch->process);
}

static apr_status_t uncreated(const launch_t *launch) {
    apr_status_t status = cohort__last_error();
    const cohort_os_start_t *start = launch->start;
    /* it went meanwhile */
    if (launch->cwd && !is_directory(launch->cwd)) return lost_directory(start);
    return cohort__fail(status, "CreateProcess %s", start->path ? start->path : "of this program");
}

/* A host's own job may forbid to leave it; then the child stays there. */
static apr_status_t create_suspended(launch_t *launch) {
    DWORD flags = creation_flags(launch);
    bool made = create(launch, flags);
    if (!made && GetLastError() == ERROR_ACCESS_DENIED && (flags & CREATE_BREAKAWAY_FROM_JOB)) {
        made = create(launch, flags & ~(DWORD)CREATE_BREAKAWAY_FROM_JOB);
    }
    return made ? APR_SUCCESS : uncreated(launch);
}

static void destroy_suspended(launch_t *launch) {
    TerminateProcess(launch->process.hProcess, cohort__exit_status(COHORT__SIGKILL));
    CloseHandle(launch->process.hThread);
    CloseHandle(launch->process.hProcess);
}

/* ---- furnish the suspended child ------------------------------------------------------------ */

static apr_status_t hand_over(launch_t *launch, cohort_os_handle_t *handle) {
    HANDLE theirs;
    if (*handle == COHORT_OS_NONE) return APR_SUCCESS;
    if (!DuplicateHandle(GetCurrentProcess(), cohort__handle(*handle), launch->process.hProcess,
                         &theirs, 0, FALSE, DUPLICATE_SAME_ACCESS)) {
        return cohort__last_error();
    }
    *handle = (cohort_os_handle_t)theirs;
    return APR_SUCCESS;
}

typedef PVOID(WINAPI *map_view_t)(HANDLE, HANDLE, PVOID, ULONG64, SIZE_T, ULONG, ULONG, void *,
                                  ULONG);

/* MapViewOfFile3() came with Windows 10 1803; without it the child maps the arena itself. */
static apr_status_t map_in_child(launch_t *launch) {
    const cohort_os_boot_t *boot = launch->start->boot;
    HMODULE base = GetModuleHandleW(L"kernelbase.dll");
    map_view_t map_view =
        base ? (map_view_t)(void (*)(void))GetProcAddress(base, "MapViewOfFile3") : NULL;
    launch->view->premapped = false;
    if (boot->arena == COHORT_OS_NONE || !map_view) return APR_SUCCESS;
    if (!map_view(cohort__handle(boot->arena), launch->process.hProcess,
                  (void *)(uintptr_t)boot->base, 0, (SIZE_T)(boot->size + COHORT__PARK_BYTES), 0,
                  PAGE_READWRITE, NULL, 0)) {
        return COHORT_EADDRESS;
    }
    launch->view->premapped = true;
    return APR_SUCCESS;
}

static apr_status_t make_events(launch_t *launch, cohort_os_id_t id) {
    HANDLE events[COHORT__OWN_SIGNALS];
    apr_status_t status = cohort__events_make(id, events);
    for (int i = 0; status == APR_SUCCESS && i < COHORT__OWN_SIGNALS; i++) {
        cohort_os_handle_t event = (cohort_os_handle_t)events[i];
        apr_status_t given = hand_over(launch, &event);
        launch->view->events[i] = cohort__handle(event);
        CloseHandle(events[i]);
        if (given != APR_SUCCESS) status = given;
    }
    return status;
}

static apr_status_t hand_over_gifts(launch_t *launch) {
    const cohort_os_start_t *start = launch->start;
    for (uint32_t i = 0; i < start->n_gifts; i++) {
        cohort_os_handle_t handle = (cohort_os_handle_t)start->gifts[i].handle;
        if (hand_over(launch, &handle) != APR_SUCCESS) return ungiven(start, i);
        atomic_store(&start->gifts[i].there, (int64_t)handle);
    }
    return APR_SUCCESS;
}

static apr_status_t furnish(launch_t *launch, cohort_os_id_t id) {
    cohort__page_t *page = launch->view;
    apr_status_t status = map_in_child(launch);
    if (status != APR_SUCCESS) return status;
    cohort__page_write(page, launch->start->boot, id);
    page->interrupts_off =
        cohort__interrupts_off() && launch->start->signals != COHORT_OS_SIGNALS_INHERIT;
    status = hand_over(launch, &page->boot.arena);
    if (status == APR_SUCCESS) status = hand_over(launch, &page->boot.channel);
    if (status == APR_SUCCESS) status = hand_over_gifts(launch);
    return status == APR_SUCCESS ? make_events(launch, id) : status;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* The child may be killed before it runs; nothing can be done to it then, though it may not
 * count as ended yet. Nothing else refuses access to a child of ours. */
static bool is_killed(launch_t *launch, apr_status_t status) {
    return WaitForSingleObject(launch->process.hProcess, APR_STATUS_IS_EACCES(status) ? 1000 : 0) ==
           WAIT_OBJECT_0;
}

static apr_status_t launch_once(launch_t *launch, cohort_os_id_t *child) {
    apr_status_t status = create_suspended(launch);
    if (status != APR_SUCCESS) return status;
    cohort_os_id_t id = {(int64_t)launch->process.dwProcessId,
                         cohort__birth(launch->process.hProcess)};
    if (launch->page) status = furnish(launch, id);
    if (status == APR_SUCCESS)
        status = cohort__set_cpus(launch->process.hProcess, launch->start->settings);
    /* it was started, and has ended */
    if (status != APR_SUCCESS && is_killed(launch, status)) status = APR_SUCCESS;
    if (status == APR_SUCCESS)
        status = cohort__child_add(id, launch->process.hProcess, launch->contained,
                                   launch->page != NULL);
    if (status != APR_SUCCESS) {
        destroy_suspended(launch);
        return status;
    }
    launch->contained = NULL; /* it is the child's by now */
    ResumeThread(launch->process.hThread);
    if (launch->job_is_ours) job_limits(launch->job, JOB_OBJECT_LIMIT_BREAKAWAY_OK);
    else cohort__job_check((cohort_os_handle_t)launch->job);
    CloseHandle(launch->process.hThread);
    *child = id;
    return APR_SUCCESS;
}

static apr_status_t prepare(launch_t *launch) {
    apr_status_t status = launch->start->how == COHORT_OS_REEXEC ? open_page(launch) : APR_SUCCESS;
    if (status == APR_SUCCESS) status = open_gifts(launch);
    if (status == APR_SUCCESS) status = describe(launch);
    if (status == APR_SUCCESS) status = open_streams(launch);
    if (status == APR_SUCCESS) status = open_job(launch);
    if (status == APR_SUCCESS) status = open_contained(launch);
    if (status == APR_SUCCESS) status = open_limits(launch);
    if (status == APR_SUCCESS) status = list_attributes(launch);
    return status;
}

static void clean_up(launch_t *launch) {
    if (launch->attributes) {
        DeleteProcThreadAttributeList(launch->attributes);
        free(launch->attributes);
    }
    for (int i = 0; i < 3; i++) {
        if (launch->stdio[i]) CloseHandle(launch->stdio[i]);
    }
    for (uint32_t i = 0; launch->gifts && i < launch->start->n_gifts; i++) {
        if (launch->gifts[i]) CloseHandle(launch->gifts[i]);
    }
    free(launch->gifts);
    free(launch->inherited);
    if (launch->job && launch->job_is_ours) CloseHandle(launch->job);
    if (launch->contained) CloseHandle(launch->contained);
    if (launch->limited) CloseHandle(launch->limited);
    if (launch->view) UnmapViewOfFile(launch->view);
    if (launch->page) CloseHandle(launch->page);
    free(launch->path);
    free(launch->line);
    free(launch->environment);
    free(launch->cwd);
}

apr_status_t cohort_os_start(const cohort_os_start_t *start, cohort_os_id_t *child,
                             bool *in_child) {
    launch_t launch = {.start = start};
    if (start->how == COHORT_OS_FORK) return APR_ENOTIMPL;
    if (start->how == COHORT_OS_REEXEC && !start->boot) return APR_EINVAL;
    apr_status_t status = prepare(&launch);
    if (status == APR_SUCCESS) {
        status = COHORT_EADDRESS;
        for (int i = 0; i < ATTEMPTS && status == COHORT_EADDRESS; i++)
            status = launch_once(&launch, child);
    }
    clean_up(&launch);
    if (status == APR_SUCCESS && in_child) *in_child = false;
    return status;
}
