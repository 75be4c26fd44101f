/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Programs to start: which file a name means. */
#include "os_win32.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

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

static bool is_absolute(const wchar_t *path) {
    return path[0] == L'\\' || path[0] == L'/' || (path[0] && path[1] == L':');
}

/* The file itself, or with .exe at its end. Takes the path; gives NULL when there is no such
 * file. */
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

/* Relative to the child's directory, as exec() after chdir(). Batch files are no programs: cmd.exe
 * would take their arguments apart by rules of its own. */
wchar_t *cohort__find_program(const cohort_os_start_t *start, const wchar_t *cwd) {
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
