/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Strings as Windows wants them: UTF-16, one command line instead of an argument vector, one sorted
 * block instead of an environment vector, prefixed long paths; and errors as APR wants them.
 */
#include "core/base/gifts.h"
#include "os_win32.h"

#include <apr_errno.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

static wchar_t *widen(const char *text, DWORD flags) {
    int length = MultiByteToWideChar(CP_UTF8, flags, text, -1, NULL, 0);
    wchar_t *wide = length > 0 ? malloc((size_t)length * sizeof *wide) : NULL;
    if (wide) MultiByteToWideChar(CP_UTF8, flags, text, -1, wide, length);
    return wide;
}

wchar_t *cohort__wide(const char *text) { return widen(text, MB_ERR_INVALID_CHARS); }

wchar_t *cohort__wide_name(const char *name) { return widen(name, 0); }

bool cohort__narrow(const wchar_t *text, char *buffer, size_t size) {
    return WideCharToMultiByte(CP_UTF8, 0, text, -1, buffer,
                               size > INT32_MAX ? INT32_MAX : (int)size, NULL, NULL) > 0;
}

/* ---- text that grows ------------------------------------------------------------------------ */

typedef struct {
    wchar_t *text;
    size_t length, room;
    bool failed;
} line_t;

static void add(line_t *line, const wchar_t *text, size_t length) {
    if (line->room - line->length <= length) {
        size_t room = (line->length + length + 1) * 2;
        wchar_t *grown = realloc(line->text, room * sizeof *grown);
        line->failed |= !grown;
        if (!grown) return;
        line->text = grown;
        line->room = room;
    }
    memcpy(line->text + line->length, text, length * sizeof *text);
    line->length += length;
    line->text[line->length] = 0;
}

static void add_times(line_t *line, wchar_t c, size_t times) {
    while (times--) add(line, &c, 1);
}

static wchar_t *finish(line_t *line) {
    if (!line->failed) return line->text;
    free(line->text);
    return NULL;
}

/* ---- command line --------------------------------------------------------------------------- */

/* Inside quotes backslashes stand for themselves, except before a quote, where each must be
 * doubled. */
static void add_quoted(line_t *line, const wchar_t *argument) {
    add(line, L"\"", 1);
    for (const wchar_t *at = argument;; at++) {
        size_t slashes = wcsspn(at, L"\\");
        at += slashes;
        if (*at == 0) {
            add_times(line, L'\\', slashes * 2);
            break;
        }
        add_times(line, L'\\', *at == L'"' ? slashes * 2 + 1 : slashes);
        add(line, at, 1);
    }
    add(line, L"\"", 1);
}

static void add_argument(line_t *line, const wchar_t *argument) {
    bool plain = *argument && !wcspbrk(argument, L" \t\n\v\"");
    if (plain) add(line, argument, wcslen(argument));
    else add_quoted(line, argument);
}

/* The program's name is taken apart by another rule: quotes end it, and nothing escapes them. */
static bool add_program(line_t *line, const wchar_t *name) {
    if (wcschr(name, L'"')) return false;
    add(line, L"\"", 1);
    add(line, name, wcslen(name));
    add(line, L"\"", 1);
    return true;
}

wchar_t *cohort__command_line(const char *const *argv) {
    line_t line = {0};
    for (size_t i = 0; argv[i]; i++) {
        wchar_t *argument = cohort__wide(argv[i]);
        if (i) add(&line, L" ", 1);
        if (!argument) line.failed = true;
        else if (i) add_argument(&line, argument);
        else line.failed |= !add_program(&line, argument);
        free(argument);
    }
    return finish(&line);
}

/* ---- environment ---------------------------------------------------------------------------- */

typedef struct {
    wchar_t **entries;
    size_t count, room;
    bool failed;
} list_t;

/* Takes the entry. */
static void list_add(list_t *list, wchar_t *entry) {
    if (entry && list->count == list->room) {
        size_t room = list->room * 2 + 64;
        wchar_t **grown = realloc(list->entries, room * sizeof *grown);
        if (grown) {
            list->entries = grown;
            list->room = room;
        }
    }
    if (entry && list->count < list->room) {
        list->entries[list->count++] = entry;
    } else {
        list->failed = true;
        free(entry);
    }
}

/* Length of the name. Windows keeps the current directory of each drive in names that begin with
 * '='. */
static size_t name_length(const wchar_t *entry) {
    const wchar_t *end = wcschr(entry + (*entry ? 1 : 0), L'=');
    return end ? (size_t)(end - entry) : wcslen(entry);
}

static bool is_named(const wchar_t *entry, const wchar_t *name) {
    return CompareStringOrdinal(entry, (int)name_length(entry), name, -1, TRUE) == CSTR_EQUAL;
}

static int by_name(const void *one, const void *two) {
    const wchar_t *a = *(wchar_t *const *)one, *b = *(wchar_t *const *)two;
    return CompareStringOrdinal(a, (int)name_length(a), b, (int)name_length(b), TRUE) - CSTR_EQUAL;
}

static void list_own(list_t *list) {
    wchar_t *block = GetEnvironmentStringsW();
    list->failed |= !block;
    for (const wchar_t *at = block; at && *at; at += wcslen(at) + 1) {
        if (!is_named(at, COHORT__BOOT_VARIABLE)) list_add(list, _wcsdup(at));
    }
    if (block) FreeEnvironmentStringsW(block);
}

/* Much of Windows does not work without SystemRoot, so a child gets it even when the caller's list
 * has it not. */
static void list_given(list_t *list, const char *const *env) {
    bool root = false;
    for (; *env; env++) {
        list_add(list, cohort__wide(*env));
        if (!list->failed) root |= is_named(list->entries[list->count - 1], L"SystemRoot");
    }
    const wchar_t *value = root ? NULL : _wgetenv(L"SystemRoot");
    if (!value) return;
    line_t line = {0};
    add(&line, L"SystemRoot=", 11);
    add(&line, value, wcslen(value));
    list_add(list, finish(&line));
}

/* "NAME=value" takes the place of what there is of that name, "NAME" removes it. */
static void list_change(list_t *list, const char *change) {
    wchar_t *wide = cohort__wide(change), *value = wide ? wcschr(wide, L'=') : NULL;
    size_t kept = 0;
    if (!wide) list->failed = true;
    if (!wide) return;
    if (value) *value = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (is_named(list->entries[i], wide)) free(list->entries[i]);
        else list->entries[kept++] = list->entries[i];
    }
    list->count = kept;
    if (value) *value = L'=';
    if (value) list_add(list, wide);
    else free(wide);
}

wchar_t *cohort__environment(const char *const *env, const cohort_os_settings_t *settings,
                             const wchar_t *extra) {
    list_t list = {0};
    line_t block = {0};
    if (env) list_given(&list, env);
    else list_own(&list);
    const char *change = settings ? cohort_os_settings_part(settings, settings->env) : NULL;
    for (uint32_t i = 0; settings && i < settings->n_env; i++, change += strlen(change) + 1)
        list_change(&list, change);
    list_change(&list, COHORT__GIFTS); /* what this process was given is not its child's */
    if (extra) list_add(&list, _wcsdup(extra));
    if (list.count) qsort(list.entries, list.count, sizeof *list.entries, by_name);
    block.failed = list.failed;
    for (size_t i = 0; i < list.count; i++)
        add(&block, list.entries[i], wcslen(list.entries[i]) + 1);
    if (!list.count) add(&block, L"", 1);
    add(&block, L"", 1);
    for (size_t i = 0; i < list.count; i++) free(list.entries[i]);
    free(list.entries);
    return finish(&block);
}

/* ---- paths ---------------------------------------------------------------------------------- */

wchar_t *cohort__long_path(wchar_t *path) {
    static const wchar_t prefix[] = L"\\\\?\\";
    if (!path || wcslen(path) < MAX_PATH - 12 || !wcsncmp(path, prefix, 4)) return path;
    DWORD size = GetFullPathNameW(path, 0, NULL, NULL);
    wchar_t *full = size ? malloc((size + 8) * sizeof *full) : NULL;
    if (!full) return path;
    bool share = path[0] == L'\\' && path[1] == L'\\';
    size_t head = share ? 8 : 4;
    GetFullPathNameW(path, size, full + head - (share ? 2 : 0), NULL);
    memcpy(full, share ? L"\\\\?\\UNC\\" : prefix, head * sizeof *full);
    free(path);
    return full;
}

wchar_t *cohort__module_path(HMODULE module) {
    wchar_t *path = NULL;
    for (DWORD room = MAX_PATH; room <= 65536; room *= 2) {
        wchar_t *grown = realloc(path, room * sizeof *grown);
        DWORD length = grown ? GetModuleFileNameW(module, grown, room) : 0;
        path = grown ? grown : path;
        if (length && length < room) return path;
        if (!length) break;
    }
    free(path);
    return NULL;
}

/* ---- errors and times ----------------------------------------------------------------------- */

/* APR knows most codes; these it does not, or they have another meaning here than in general. */
apr_status_t cohort__last_error(void) {
    DWORD error = GetLastError();
    switch (error) {
    /* the working directory: no such one */
    case ERROR_DIRECTORY: return APR_FROM_OS_ERROR(ERROR_PATH_NOT_FOUND);
    case ERROR_BAD_EXE_FORMAT:
    /* a file, but no program */
    case ERROR_EXE_MACHINE_TYPE_MISMATCH: return APR_FROM_OS_ERROR(ERROR_ACCESS_DENIED);
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_COMMITMENT_LIMIT: return APR_ENOMEM;
    case 0: return APR_EGENERAL;
    default: return APR_FROM_OS_ERROR((apr_status_t)error);
    }
}

DWORD cohort__milliseconds(int64_t deadline) {
    if (deadline == COHORT_OS_NEVER) return INFINITE;
    int64_t left = deadline - cohort_os_now();
    if (left <= 0) return 0;
    int64_t rounded = (left + 999999) / 1000000;
    return rounded < 0x7FFFFFFF ? (DWORD)rounded : 0x7FFFFFFF;
}
