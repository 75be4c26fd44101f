/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a child can be given from outside: head with what signals do, current directory,
 * environment, packed one after the other.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include "core/base/fail.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    cohort__status_t status;
    uint32_t variables; /* their number */
    uint32_t cwd_bytes, env_bytes;
    uint64_t device, inode; /* of the current directory where it has no path any more */
} head_t;

static size_t environment_size(char **environment, uint32_t *count) {
    size_t bytes = 0;
    *count = 0;
    for (char **variable = environment; variable && *variable; ++variable, ++*count)
        bytes += strlen(*variable) + 1;
    return bytes;
}

static char *put(char *at, const void *bytes, size_t length) {
    memcpy(at, bytes, length);
    return at + length;
}

/* It may have been removed, or lie outside of what this process can see. */
static void look_at_nameless(head_t *head) {
    struct stat facts;
    if (stat(".", &facts) != 0) return;
    head->device = (uint64_t)facts.st_dev;
    head->inode = (uint64_t)facts.st_ino;
}

/* Of a process that has closed all of them: none. */
static apr_status_t copy_streams(cohort_os_streams_t *streams) {
    return streams ? cohort__streams_copy(streams) : APR_SUCCESS;
}

apr_status_t cohort__context_look(cohort_os_state_t *state, cohort_os_context_t *context) {
    char cwd[COHORT_OS_PATH_MAX] = "", **environment = *cohort__environment();
    head_t head = {.variables = 0};
    apr_status_t status = cohort__state_rest(state, &head.status);
    if (status != APR_SUCCESS) return status;
    if (!context->bytes) return copy_streams(context->streams);
    cohort__signals_complete(&head.status);
    if (!getcwd(cwd, sizeof cwd)) {
        cwd[0] = 0;
        look_at_nameless(&head);
    }
    head.cwd_bytes = (uint32_t)strlen(cwd) + 1;
    head.env_bytes = (uint32_t)environment_size(environment, &head.variables);
    size_t need = sizeof head + head.cwd_bytes + head.env_bytes, room = context->size;
    context->size = need;
    if (need > room) return APR_ENOSPC;
    char *at = put(context->bytes, &head, sizeof head);
    at = put(at, cwd, head.cwd_bytes);
    for (uint32_t i = 0; i < head.variables; ++i)
        at = put(at, environment[i], strlen(environment[i]) + 1);
    return copy_streams(context->streams);
}

/* As this process has it: then that stays. A copy would cost each child of a fork server, and so
 * each worker, two pages of its own. Not in a copy of the host, a thread of which may have been
 * changing the environment. */
static bool is_environment(const char *strings, const head_t *head) {
    char **here = *cohort__environment();
    uint32_t i = 0;
    if (!here) return false;
    for (; i < head->variables && here[i] && strcmp(strings, here[i]) == 0; ++i)
        strings += strlen(strings) + 1;
    return i == head->variables && !here[i];
}

/* The strings must stay as long as the process, so they are copied, once. */
static apr_status_t replace_environment(const char *strings, const head_t *head) {
    size_t pointers = (head->variables + (size_t)1) * sizeof(char *);
    char **fresh = malloc(pointers + head->env_bytes + 1);
    if (!fresh) return APR_ENOMEM;
    char *at = (char *)fresh + pointers;
    memcpy(at, strings, head->env_bytes);
    for (uint32_t i = 0; i < head->variables; ++i, at += strlen(at) + 1) fresh[i] = at;
    fresh[head->variables] = NULL;
    *cohort__environment() = fresh;
    return APR_SUCCESS;
}

static bool is_here(const char *cwd, const head_t *head) {
    char here[COHORT_OS_PATH_MAX];
    struct stat facts;
    if (*cwd) return getcwd(here, sizeof here) && strcmp(cwd, here) == 0;
    return head->inode == 0 || (stat(".", &facts) == 0 && (uint64_t)facts.st_dev == head->device &&
                                (uint64_t)facts.st_ino == head->inode);
}

/* One that this process cannot enter may still be where it is. */
static apr_status_t enter(const char *cwd, const head_t *head) {
    if (*cwd && chdir(cwd) == 0) return APR_SUCCESS;
    int error = *cwd ? errno : ENOENT;
    if (is_here(cwd, head)) return APR_SUCCESS;
    return *cwd ? cohort__fail(error, "enter the directory %s", cwd)
                : cohort__fail(error, "enter the current directory, which has no path");
}

apr_status_t cohort__context_apply(const void *buffer, size_t length, bool signals) {
    head_t head;
    if (length < sizeof head) return APR_EINVAL;
    memcpy(&head, buffer, sizeof head);
    if (length < sizeof head + head.cwd_bytes + head.env_bytes) return APR_EINVAL;
    const char *cwd = (const char *)buffer + sizeof head;
    if (signals) cohort__signals_received(&head.status);
    umask((mode_t)head.status.mode);
    apr_status_t status = enter(cwd, &head);
    const char *environment = cwd + head.cwd_bytes;
    if (status != APR_SUCCESS || (signals && is_environment(environment, &head))) return status;
    return replace_environment(environment, &head);
}

apr_status_t cohort__context_environment(const void *buffer, size_t length,
                                         const char ***environment) {
    head_t head;
    if (length < sizeof head) return APR_EINVAL;
    memcpy(&head, buffer, sizeof head);
    if (length < sizeof head + head.cwd_bytes + head.env_bytes) return APR_EINVAL;
    const char **made = calloc(head.variables + (size_t)1, sizeof *made),
               *at = (const char *)buffer + sizeof head + head.cwd_bytes;
    if (!made) return APR_ENOMEM;
    for (uint32_t i = 0; i < head.variables; ++i, at += strlen(at) + 1) made[i] = at;
    *environment = made;
    return APR_SUCCESS;
}
