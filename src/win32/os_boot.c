/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The boot page: what gives a re-executed child its identity. The environment carries the number of
 * the child's handle to a small nameless section, and any process can write there. Guarantee: a
 * process takes a page only if the page names this process, and the process that the system calls
 * its parent, that parent runs as this process' user (or as SYSTEM) and has no less rights, and
 * runs the same build of the same program. A process that finds a page which it may not take must
 * not go on as if there were none: it has been started as a child, perhaps by itself.
 *
 * Executing a program gives it no rights here that its parent's token does not have, so the
 * children of a privileged process are not privileged themselves: they have their parent's token.
 * What is privileged is a process that was started with another one.
 */
#include "os_win32.h"

#include <cohort/errors.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- identities ----------------------------------------------------------------------------- */

typedef struct {
    union {
        TOKEN_USER user;
        char room[sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE];
    };
    DWORD integrity; /* low, medium, high: a number that grows with the rights */
} token_t;

static bool read_integrity(HANDLE token, DWORD *integrity) {
    union {
        TOKEN_MANDATORY_LABEL label;
        char room[sizeof(TOKEN_MANDATORY_LABEL) + SECURITY_MAX_SID_SIZE];
    } read;
    DWORD size;
    if (!GetTokenInformation(token, TokenIntegrityLevel, &read, sizeof read, &size)) return false;
    DWORD parts = *GetSidSubAuthorityCount(read.label.Label.Sid);
    if (parts) *integrity = *GetSidSubAuthority(read.label.Label.Sid, parts - 1);
    return parts != 0;
}

static bool read_token(HANDLE process, token_t *read) {
    HANDLE token;
    DWORD size;
    if (!OpenProcessToken(process, TOKEN_QUERY, &token)) return false;
    bool known = GetTokenInformation(token, TokenUser, read, sizeof *read, &size) &&
                 read_integrity(token, &read->integrity);
    CloseHandle(token);
    return known;
}

typedef LONG(WINAPI *query_t)(HANDLE, int, void *, ULONG, ULONG *);

/* 0 when it is not known. */
static DWORD parent_pid(void) {
    ULONG_PTR facts[6] = {0}; /* PROCESS_BASIC_INFORMATION, the last of which has several names */
    HMODULE ntdll = GetModuleHandleW(L"ntdll.dll");
    query_t query =
        ntdll ? (query_t)(void (*)(void))GetProcAddress(ntdll, "NtQueryInformationProcess") : NULL;
    if (!query || query(GetCurrentProcess(), 0, facts, sizeof facts, NULL) < 0) return 0;
    return (DWORD)facts[5];
}

/* The number may have been given to a later process by now, which is none of ours. */
static HANDLE open_parent(DWORD pid) {
    HANDLE parent = pid ? OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, pid) : NULL;
    if (!parent || cohort__birth(parent) <= cohort__birth(GetCurrentProcess())) return parent;
    CloseHandle(parent);
    return NULL;
}

typedef enum { UNKNOWN, TRUSTED, LESSER } parent_t;

/* What the parent is to this process; UNKNOWN also when it is gone. */
static parent_t judge_parent(DWORD pid) {
    token_t own, other;
    HANDLE parent = open_parent(pid);
    bool known = parent && read_token(parent, &other) && read_token(GetCurrentProcess(), &own);
    if (parent) CloseHandle(parent);
    if (!known) return UNKNOWN;
    if (IsWellKnownSid(other.user.User.Sid, WinLocalSystemSid)) return TRUSTED;
    return EqualSid(own.user.User.Sid, other.user.User.Sid) && other.integrity >= own.integrity
               ? TRUSTED
               : LESSER;
}

bool cohort__is_privileged(void) { return judge_parent(parent_pid()) == LESSER; }

/* ---- what others may do to objects with names ----------------------------------------------- */

SECURITY_ATTRIBUTES *cohort__own_security(void) {
    static SRWLOCK lock = SRWLOCK_INIT;
    static SECURITY_DESCRIPTOR descriptor;
    static SECURITY_ATTRIBUTES attributes;
    static union {
        ACL acl;
        char room[sizeof(ACL) + 2 * (sizeof(ACCESS_ALLOWED_ACE) + SECURITY_MAX_SID_SIZE)];
    } list;
    char system[SECURITY_MAX_SID_SIZE];
    DWORD size = sizeof system;
    token_t own;
    AcquireSRWLockExclusive(&lock);
    if (!attributes.nLength && read_token(GetCurrentProcess(), &own) &&
        CreateWellKnownSid(WinLocalSystemSid, NULL, system, &size) &&
        InitializeAcl(&list.acl, sizeof list, ACL_REVISION) &&
        AddAccessAllowedAce(&list.acl, ACL_REVISION, GENERIC_ALL, own.user.User.Sid) &&
        AddAccessAllowedAce(&list.acl, ACL_REVISION, GENERIC_ALL, system) &&
        InitializeSecurityDescriptor(&descriptor, SECURITY_DESCRIPTOR_REVISION) &&
        SetSecurityDescriptorDacl(&descriptor, TRUE, &list.acl, FALSE)) {
        attributes = (SECURITY_ATTRIBUTES){sizeof attributes, &descriptor, FALSE};
    }
    bool made = attributes.nLength != 0;
    ReleaseSRWLockExclusive(&lock);
    return made ? &attributes : NULL;
}

/* ---- writing -------------------------------------------------------------------------------- */

void cohort__page_write(cohort__page_t *page, const cohort_os_boot_t *boot, cohort_os_id_t child) {
    page->boot = *boot;
    page->boot.version = COHORT_OS_BOOT_VERSION;
    page->boot.lifeline = COHORT_OS_NONE; /* the job does its work */
    page->boot.parent = (int64_t)GetCurrentProcessId();
    page->pid = (uint64_t)child.pid;
    cohort__build_of(GetModuleHandleW(NULL), page->build);
    page->magic = COHORT__PAGE_MAGIC;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* abort() ends with code 3 here; say what it was. Nothing of a crash may wait for a user to press
 * a button. */
void cohort__aborted(int number) {
    (void)number;
    TerminateProcess(GetCurrentProcess(), cohort__exit_status(COHORT__SIGABRT));
}

static void fail_silently(void) {
    SetErrorMode(GetErrorMode() | SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX);
    void (*before)(int) = signal(SIGABRT, cohort__aborted);
    if (before != SIG_DFL && before != SIG_ERR) signal(SIGABRT, before);
}

/* Copies the page when it is one and ours. */
static bool read_page(HANDLE section, cohort__page_t *page) {
    const cohort__page_t *view = MapViewOfFile(section, FILE_MAP_READ, 0, 0, sizeof *page);
    if (!view) return false;
    *page = *view;
    UnmapViewOfFile(view);
    if (page->magic != COHORT__PAGE_MAGIC || page->pid != GetCurrentProcessId()) return false;
    CloseHandle(section);
    return true;
}

static bool is_our_program(const cohort__page_t *page) {
    uint8_t build[20];
    cohort__build_of(GetModuleHandleW(NULL), build);
    return memcmp(build, page->build, sizeof build) == 0;
}

/* An ordinary program run may be told to terminate too, by its children. */
static apr_status_t listen_as_root(void) {
    HANDLE events[COHORT__OWN_SIGNALS];
    apr_status_t status = cohort__events_make(cohort_os_self(), events);
    if (status == APR_SUCCESS) status = cohort__events_obey(events);
    return status == APR_SUCCESS ? APR_ENOENT : status;
}

static apr_status_t judge(const wchar_t *text, cohort__page_t *page) {
    unsigned version = 0;
    unsigned long long section = 0;
    DWORD parent = parent_pid();
    if (cohort_os_facts()->privileged)
        return cohort__fail(
            COHORT_EPRIVILEGED,
            "this program is privileged, and so takes nothing from its environment");
    if (swscanf(text, L"%u:%llx", &version, &section) != 2)
        return cohort__fail(COHORT_EUNTRUSTED, "it is not one");
    if (version != COHORT_OS_BOOT_VERSION)
        return cohort__fail(COHORT_EVERSION, "it comes from another version of Cohort");
    if (!read_page((HANDLE)(uintptr_t)section, page))
        return cohort__fail(COHORT_EUNTRUSTED, "it is another process'");
    if (page->boot.version != COHORT_OS_BOOT_VERSION)
        return cohort__fail(COHORT_EVERSION, "it comes from another version of Cohort");
    if (page->boot.parent != (int64_t)parent || judge_parent(parent) != TRUSTED)
        return cohort__fail(
            COHORT_EUNTRUSTED,
            "it does not come from this process' parent, or that is another user's");
    return is_our_program(page)
               ? APR_SUCCESS
               : cohort__fail(COHORT_EBINARY,
                              "this is another program than its parent, or another build of it");
}

static apr_status_t accept_page(cohort__page_t *page, cohort_os_boot_t *boot) {
    fail_silently();
    if (page->premapped) cohort__arena_premapped(page->boot.base);
    /* what the parent does about Ctrl-C was inherited */
    if (page->interrupts_off) SetConsoleCtrlHandler(NULL, FALSE);
    *boot = page->boot;
    return cohort__events_obey(page->events);
}

apr_status_t cohort_os_boot_take(cohort_os_boot_t *boot) {
    wchar_t text[64];
    cohort__page_t page;
    DWORD length = GetEnvironmentVariableW(COHORT__BOOT_VARIABLE, text, 64);
    if (!length) return listen_as_root();
    if (length >= 64) text[0] = 0;
    _wputenv(COHORT__BOOT_VARIABLE L"="); /* the C runtime's copy, and the system's */
    SetEnvironmentVariableW(COHORT__BOOT_VARIABLE, NULL);
    apr_status_t status = judge(text, &page);
    return status == APR_SUCCESS ? accept_page(&page, boot) : status;
}
