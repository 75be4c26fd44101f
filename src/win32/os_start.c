/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting. A child is created suspended and runs its first instruction only when everything is in place: it is in the job that ends with whoever it
 * depends on, the arena is mapped at its address, its handles are its own, and its boot page is complete.
 *
 * The boot page is a small nameless section. The environment carries the number of the child's handle to it, the page carries the child's pid, so
 * whoever finds the variable in its environment by accident (a program that a child starts before it took the page) is no child and cannot become one.
 *
 * Handles: an explicit list says what is inherited, copies made for the purpose only (the standard streams and the boot page), so nothing else of
 * the host's ever is. All others are put into the suspended child by DuplicateHandle().
 *
 * If this process is killed half way, the child must not stay suspended for ever: until it is let go it lies in a job that ends with us.
 */
#include "os_win32.h"

#include <cohort/errors.h>
#include <io.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define PAGE_MAGIC 0x746f6f62u
#define ATTEMPTS 4 /* when something lies at the arena's address in a new process: the next one looks different */

typedef struct {
    uint32_t magic;
    bool premapped, interrupts_off;
    uint64_t pid;
    HANDLE events[COHORT__OWN_SIGNALS];
    cohort_os_boot_t boot;
} page_t;

typedef struct {
    const cohort_os_start_t *start;
    wchar_t *path, *line, *environment, *cwd;
    HANDLE page; /* inheritable, as are the streams */
    page_t *view;
    HANDLE stdio[3];
    HANDLE job;      /* whose end is the child's: the lifeline's, or our own until the child is let go */
    bool job_is_ours;
    LPPROC_THREAD_ATTRIBUTE_LIST attributes;
    HANDLE inherited[4];
    PROCESS_INFORMATION process;
} launch_t;

/* ---- what to run ---------------------------------------------------------------------------------------------------- */

static bool is_file(const wchar_t *path) {
    DWORD facts = GetFileAttributesW(path);
    return facts != INVALID_FILE_ATTRIBUTES && !(facts & FILE_ATTRIBUTE_DIRECTORY);
}

static wchar_t *joined(const wchar_t *one, const wchar_t *between, const wchar_t *two) {
    size_t size = wcslen(one) + wcslen(between) + wcslen(two) + 1;
    wchar_t *text = malloc(size * sizeof *text);
    if (text) _snwprintf(text, size, L"%ls%ls%ls", one, between, two);
    return text;
}

static bool is_absolute(const wchar_t *path) { return path[0] == L'\\' || path[0] == L'/' || (path[0] && path[1] == L':'); }

/* The file itself, or with .exe at its end. Takes the path; gives NULL when there is no such file. */
static wchar_t *with_suffix(wchar_t *path) {
    path = cohort__long_path(path);
    if (!path || is_file(path)) return path;
    wchar_t *longer = cohort__long_path(joined(path, L"", L".exe"));
    free(path);
    if (longer && is_file(longer)) return longer;
    free(longer);
    SetLastError(ERROR_FILE_NOT_FOUND);
    return NULL;
}

/* PATH of the environment that the child gets. */
static wchar_t *search_list(const char *const *env) {
    const wchar_t *own = _wgetenv(L"PATH");
    for (; env && *env; env++) {
        if (!_strnicmp(*env, "PATH=", 5)) return cohort__wide(*env + 5);
    }
    return _wcsdup(own ? own : L"");
}

/* The directories of PATH alone: not the current one, nor the system's own, unless PATH says so. */
static wchar_t *on_path(const wchar_t *name, const char *const *env) {
    wchar_t *copy = search_list(env), *found = NULL;
    for (wchar_t *directory = copy; directory && !found;) {
        wchar_t *end = wcschr(directory, L';');
        if (end) *end = 0;
        if (*directory) found = with_suffix(joined(directory, L"\\", name));
        directory = end ? end + 1 : NULL;
    }
    free(copy);
    if (!found) SetLastError(ERROR_FILE_NOT_FOUND);
    return found;
}

/* Relative to the child's directory, as exec() after chdir(). Batch files are no programs: cmd.exe would take their arguments apart by rules of its own. */
static wchar_t *find_program(const cohort_os_start_t *start, const wchar_t *cwd) {
    wchar_t *wide = cohort__wide(start->path), *found = NULL;
    if (!wide) return NULL;
    if (!wcspbrk(wide, L"/\\:")) found = on_path(wide, start->env);
    else if (cwd && !is_absolute(wide)) found = with_suffix(joined(cwd, L"\\", wide));
    else found = with_suffix(_wcsdup(wide));
    free(wide);
    const wchar_t *suffix = found ? wcsrchr(found, L'.') : NULL;
    if (suffix && (!_wcsicmp(suffix, L".bat") || !_wcsicmp(suffix, L".cmd"))) {
        free(found);
        SetLastError(ERROR_BAD_EXE_FORMAT);
        return NULL;
    }
    return found;
}

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

static apr_status_t describe(launch_t *launch) {
    const cohort_os_start_t *start = launch->start;
    bool program = start->how == COHORT_OS_PROGRAM;
    const char *only[] = {start->path, NULL};
    wchar_t variable[64];
    SetLastError(ERROR_INVALID_PARAMETER);
    if (start->cwd && !(launch->cwd = cohort__wide(start->cwd))) return cohort__last_error();
    if (program && !start->path) return APR_EINVAL;
    launch->path = start->path ? find_program(start, launch->cwd) : cohort__module_path(NULL);
    if (!launch->path) return cohort__last_error();
    if (program) launch->line = cohort__command_line(start->argv && start->argv[0] ? start->argv : only);
    else launch->line = own_line(launch->path, start->name);
    _snwprintf(variable, 64, COHORT__BOOT_VARIABLE L"=%u:%llx", COHORT_OS_BOOT_VERSION,
               (unsigned long long)(uintptr_t)launch->page);
    launch->environment = cohort__environment(start->env, launch->page ? variable : NULL);
    return launch->line && launch->environment ? APR_SUCCESS : APR_EINVAL;
}

/* ---- what it gets ------------------------------------------------------------------------------------------------------- */

static HANDLE inheritable(HANDLE handle) {
    HANDLE copy = NULL, self = GetCurrentProcess();
    if (!handle || handle == INVALID_HANDLE_VALUE) return NULL;
    return DuplicateHandle(self, handle, self, &copy, 0, TRUE, DUPLICATE_SAME_ACCESS) ? copy : NULL;
}

static apr_status_t open_page(launch_t *launch) {
    HANDLE section = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, sizeof(page_t), NULL);
    if (!section) return cohort__last_error();
    launch->view = MapViewOfFile(section, FILE_MAP_ALL_ACCESS, 0, 0, 0);
    launch->page = inheritable(section);
    CloseHandle(section);
    return launch->view && launch->page ? APR_SUCCESS : APR_ENOMEM;
}

/* A stream that this process does not have is none in the child either. */
static apr_status_t open_streams(launch_t *launch) {
    static const DWORD own[] = {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
    cohort_os_handle_t null;
    for (int i = 0; i < 3; i++) {
        cohort_os_handle_t given = launch->start->stdio[i];
        if (given != COHORT_OS_NONE) {
            launch->stdio[i] = inheritable(cohort__handle(given));
            if (!launch->stdio[i]) return cohort__last_error();
        } else if (i == 0 && launch->start->detach) {
            if (cohort_os_null_open(&null) != APR_SUCCESS) continue;
            launch->stdio[i] = inheritable(cohort__handle(null));
            cohort_os_close(null);
        } else {
            launch->stdio[i] = inheritable(GetStdHandle(own[i]));
        }
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
    cohort_os_handle_t lifeline = start->how == COHORT_OS_PROGRAM ? start->lifeline : start->boot->lifeline;
    launch->job_is_ours = lifeline == COHORT_OS_NONE;
    if (!launch->job_is_ours) {
        launch->job = cohort__handle(lifeline);
        return APR_SUCCESS;
    }
    launch->job = CreateJobObjectW(NULL, NULL);
    if (!launch->job) return cohort__last_error();
    if (job_limits(launch->job, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_BREAKAWAY_OK)) return APR_SUCCESS;
    return cohort__last_error();
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
    bool done = UpdateProcThreadAttribute(list, 0, PROC_THREAD_ATTRIBUTE_JOB_LIST, &launch->job, sizeof launch->job, NULL, NULL);
    if (done && count) {
        done = UpdateProcThreadAttribute(list, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, launch->inherited,
                                         count * sizeof(HANDLE), NULL, NULL);
    }
    return done ? APR_SUCCESS : cohort__last_error();
}

/* ---- create --------------------------------------------------------------------------------------------------------------- */

/* A process without a console (background, a service) must not make one pop up for each of its children. Ours have none either, since each console is a
 * process more; a program gets one that does not show, for itself and what it starts. */
static DWORD creation_flags(const launch_t *launch) {
    DWORD flags = CREATE_SUSPENDED | CREATE_UNICODE_ENVIRONMENT | EXTENDED_STARTUPINFO_PRESENT;
    if (launch->start->detach) flags |= DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP | CREATE_BREAKAWAY_FROM_JOB;
    else if (GetConsoleCP() == 0) flags |= launch->start->how == COHORT_OS_REEXEC ? DETACHED_PROCESS : CREATE_NO_WINDOW;
    return flags;
}

static bool create(launch_t *launch, DWORD flags) {
    STARTUPINFOEXW info = {.lpAttributeList = launch->attributes};
    info.StartupInfo.cb = sizeof info;
    info.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
    info.StartupInfo.hStdInput = launch->stdio[0];
    info.StartupInfo.hStdOutput = launch->stdio[1];
    info.StartupInfo.hStdError = launch->stdio[2];
    return CreateProcessW(launch->path, launch->line, NULL, NULL, launch->inherited[0] != NULL, flags, launch->environment,
                          launch->cwd, &info.StartupInfo, &launch->process);
}

/* A host's own job may forbid to leave it; then the child stays there. */
static apr_status_t create_suspended(launch_t *launch) {
    DWORD flags = creation_flags(launch);
    bool made = create(launch, flags);
    if (!made && GetLastError() == ERROR_ACCESS_DENIED && (flags & CREATE_BREAKAWAY_FROM_JOB)) {
        made = create(launch, flags & ~(DWORD)CREATE_BREAKAWAY_FROM_JOB);
    }
    return made ? APR_SUCCESS : cohort__last_error();
}

static void destroy_suspended(launch_t *launch) {
    TerminateProcess(launch->process.hProcess, cohort__exit_status(COHORT__SIGKILL));
    CloseHandle(launch->process.hThread);
    CloseHandle(launch->process.hProcess);
}

/* ---- furnish the suspended child ------------------------------------------------------------------------------------------- */

static apr_status_t hand_over(launch_t *launch, cohort_os_handle_t *handle) {
    HANDLE theirs;
    if (*handle == COHORT_OS_NONE) return APR_SUCCESS;
    if (!DuplicateHandle(GetCurrentProcess(), cohort__handle(*handle), launch->process.hProcess, &theirs, 0, FALSE,
                         DUPLICATE_SAME_ACCESS)) {
        return cohort__last_error();
    }
    *handle = (cohort_os_handle_t)theirs;
    return APR_SUCCESS;
}

typedef PVOID(WINAPI *map_view_t)(HANDLE, HANDLE, PVOID, ULONG64, SIZE_T, ULONG, ULONG, void *, ULONG);

/* MapViewOfFile3() came with Windows 10 1803; without it the child maps the arena itself. */
static apr_status_t map_in_child(launch_t *launch) {
    const cohort_os_boot_t *boot = launch->start->boot;
    HMODULE base = GetModuleHandleW(L"kernelbase.dll");
    map_view_t map_view = base ? (map_view_t)(void (*)(void))GetProcAddress(base, "MapViewOfFile3") : NULL;
    launch->view->premapped = false;
    if (boot->arena == COHORT_OS_NONE || !map_view) return APR_SUCCESS;
    if (!map_view(cohort__handle(boot->arena), launch->process.hProcess, (void *)(uintptr_t)boot->base, 0, (SIZE_T)boot->size, 0,
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

/* The job has done the lifeline's work, so the child gets none. */
static apr_status_t furnish(launch_t *launch, cohort_os_id_t id) {
    page_t *page = launch->view;
    apr_status_t status = map_in_child(launch);
    if (status != APR_SUCCESS) return status;
    page->boot = *launch->start->boot;
    page->boot.version = COHORT_OS_BOOT_VERSION;
    page->boot.lifeline = COHORT_OS_NONE;
    page->interrupts_off = cohort__interrupts_off();
    page->pid = (uint64_t)id.pid;
    page->magic = PAGE_MAGIC;
    status = hand_over(launch, &page->boot.arena);
    if (status == APR_SUCCESS) status = hand_over(launch, &page->boot.channel);
    return status == APR_SUCCESS ? make_events(launch, id) : status;
}

/* ---- the whole ----------------------------------------------------------------------------------------------------------------- */

/* Somebody may kill the child before it runs; nothing can be done to it then, though it may not count as ended yet. Nobody else refuses access to a child of ours. */
static bool is_killed(launch_t *launch, apr_status_t status) {
    return WaitForSingleObject(launch->process.hProcess, APR_STATUS_IS_EACCES(status) ? 1000 : 0) == WAIT_OBJECT_0;
}

static apr_status_t launch_once(launch_t *launch, cohort_os_id_t *child) {
    apr_status_t status = create_suspended(launch);
    if (status != APR_SUCCESS) return status;
    cohort_os_id_t id = {(int64_t)launch->process.dwProcessId, cohort__birth(launch->process.hProcess)};
    if (launch->page) status = furnish(launch, id);
    if (status != APR_SUCCESS && is_killed(launch, status)) status = APR_SUCCESS; /* it was started, and has ended */
    if (status == APR_SUCCESS) status = cohort__child_add(id, launch->process.hProcess, launch->page != NULL);
    if (status != APR_SUCCESS) {
        destroy_suspended(launch);
        return status;
    }
    ResumeThread(launch->process.hThread);
    if (launch->job_is_ours) job_limits(launch->job, JOB_OBJECT_LIMIT_BREAKAWAY_OK);
    else cohort__job_check((cohort_os_handle_t)launch->job);
    CloseHandle(launch->process.hThread);
    *child = id;
    return APR_SUCCESS;
}

static apr_status_t prepare(launch_t *launch) {
    apr_status_t status = launch->start->how == COHORT_OS_REEXEC ? open_page(launch) : APR_SUCCESS;
    if (status == APR_SUCCESS) status = describe(launch);
    if (status == APR_SUCCESS) status = open_streams(launch);
    if (status == APR_SUCCESS) status = open_job(launch);
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
    if (launch->job && launch->job_is_ours) CloseHandle(launch->job);
    if (launch->view) UnmapViewOfFile(launch->view);
    if (launch->page) CloseHandle(launch->page);
    free(launch->path);
    free(launch->line);
    free(launch->environment);
    free(launch->cwd);
}

apr_status_t cohort_os_start(const cohort_os_start_t *start, cohort_os_id_t *child, bool *in_child) {
    launch_t launch = {.start = start};
    if (start->how == COHORT_OS_FORK) return APR_ENOTIMPL;
    if (start->how == COHORT_OS_REEXEC && !start->boot) return APR_EINVAL;
    apr_status_t status = prepare(&launch);
    if (status == APR_SUCCESS) {
        status = COHORT_EADDRESS;
        for (int i = 0; i < ATTEMPTS && status == COHORT_EADDRESS; i++) status = launch_once(&launch, child);
    }
    clean_up(&launch);
    if (status == APR_SUCCESS && in_child) *in_child = false;
    return status;
}

/* ---- in the child ----------------------------------------------------------------------------------------------------------------- */

/* abort() ends with code 3 here; say what it was. Nothing of a crash may wait for somebody to press a button. */
static void aborted(int number) {
    (void)number;
    TerminateProcess(GetCurrentProcess(), cohort__exit_status(COHORT__SIGABRT));
}

static void fail_silently(void) {
    SetErrorMode(GetErrorMode() | SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX);
    void (*before)(int) = signal(SIGABRT, aborted);
    if (before != SIG_DFL && before != SIG_ERR) signal(SIGABRT, before);
}

/* Copies the page when it is one and ours. */
static apr_status_t read_page(HANDLE section, page_t *page) {
    const page_t *view = MapViewOfFile(section, FILE_MAP_READ, 0, 0, sizeof *page);
    if (!view) return APR_ENOENT;
    *page = *view;
    UnmapViewOfFile(view);
    if (page->magic != PAGE_MAGIC || page->pid != GetCurrentProcessId()) return APR_ENOENT;
    CloseHandle(section);
    return APR_SUCCESS;
}

/* An ordinary program run may be told to terminate too, by its children. */
static apr_status_t listen_as_root(void) {
    HANDLE events[COHORT__OWN_SIGNALS];
    apr_status_t status = cohort__events_make(cohort_os_self(), events);
    if (status == APR_SUCCESS) status = cohort__events_obey(events);
    return status == APR_SUCCESS ? APR_ENOENT : status;
}

static apr_status_t accept_page(page_t *page, cohort_os_boot_t *boot) {
    fail_silently();
    if (page->boot.version != COHORT_OS_BOOT_VERSION) return COHORT_EVERSION;
    if (page->premapped) cohort__arena_premapped(page->boot.base);
    if (page->interrupts_off) SetConsoleCtrlHandler(NULL, FALSE); /* what the parent does about Ctrl-C was inherited */
    *boot = page->boot;
    return cohort__events_obey(page->events);
}

apr_status_t cohort_os_boot_take(cohort_os_boot_t *boot) {
    wchar_t text[64];
    unsigned version = 0;
    unsigned long long section = 0;
    page_t page;
    DWORD length = GetEnvironmentVariableW(COHORT__BOOT_VARIABLE, text, 64);
    if (!length || length >= 64) return listen_as_root();
    _wputenv(COHORT__BOOT_VARIABLE L"="); /* the C runtime's copy, and the system's */
    SetEnvironmentVariableW(COHORT__BOOT_VARIABLE, NULL);
    if (swscanf(text, L"%u:%llx", &version, &section) != 2) return listen_as_root();
    if (version != COHORT_OS_BOOT_VERSION) return COHORT_EVERSION;
    if (read_page((HANDLE)(uintptr_t)section, &page) != APR_SUCCESS) return listen_as_root();
    return accept_page(&page, boot);
}

/* There is no server that would start children for somebody else: a child inherits all this from its parent. */
apr_status_t cohort_os_context_capture(void *buffer, size_t *length) {
    (void)buffer;
    *length = 0;
    return APR_SUCCESS;
}

apr_status_t cohort_os_context_apply(const void *buffer, size_t length) {
    (void)buffer;
    return length ? APR_EINVAL : APR_SUCCESS;
}

uint64_t cohort_os_credentials(void) { return 1; } /* a process keeps its token for life */

bool cohort_os_can_fork(void) { return false; }

void cohort_os_detach(void) {
    int null = _open("NUL", _O_RDWR);
    FreeConsole();
    if (null < 0) return;
    _dup2(null, 0);
    if (null > 2) _close(null);
    SetStdHandle(STD_INPUT_HANDLE, (HANDLE)_get_osfhandle(0));
}

/* ExitProcess() runs the ends of libraries while other threads hang where they were, their locks held; this does not. */
_Noreturn void cohort_os_exit(int code, bool flush) {
    if (flush) {
        fflush(stdout);
        fflush(stderr);
    }
    TerminateProcess(GetCurrentProcess(), (UINT)code);
    for (;;) Sleep(INFINITE);
}
