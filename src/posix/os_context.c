/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a child that a server forks takes over from whoever asked for it: head, CPU set, current directory, environment, packed one
 * after the other.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CPU_BYTES 1024 /* 8192 CPUs */

typedef struct {
    uint32_t mode;      /* umask */
    uint32_t variables; /* their number */
    uint32_t cpu_bytes, cwd_bytes, env_bytes;
} head_t;

static size_t environment_size(char **environment, uint32_t *count) {
    size_t bytes = 0;
    *count = 0;
    for (char **variable = environment; variable && *variable; ++variable, ++*count) bytes += strlen(*variable) + 1;
    return bytes;
}

static char *put(char *at, const void *bytes, size_t length) {
    memcpy(at, bytes, length);
    return at + length;
}

apr_status_t cohort_os_context_capture(void *buffer, size_t *length) {
    char cwd[COHORT_OS_PATH_MAX] = "", **environment = *cohort__environment();
    unsigned char cpus[CPU_BYTES];
    head_t head = {.mode = cohort__umask(), .cpu_bytes = (uint32_t)cohort__affinity_get(cpus, sizeof cpus)};
    if (!getcwd(cwd, sizeof cwd)) cwd[0] = 0; /* it may have been removed: then the child stays where the server is */
    head.cwd_bytes = (uint32_t)strlen(cwd) + 1;
    head.env_bytes = (uint32_t)environment_size(environment, &head.variables);
    size_t need = sizeof head + head.cpu_bytes + head.cwd_bytes + head.env_bytes, room = *length;
    *length = need;
    if (need > room) return APR_ENOSPC;
    char *at = put(buffer, &head, sizeof head);
    at = put(at, cpus, head.cpu_bytes);
    at = put(at, cwd, head.cwd_bytes);
    for (uint32_t i = 0; i < head.variables; ++i) at = put(at, environment[i], strlen(environment[i]) + 1);
    return APR_SUCCESS;
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

apr_status_t cohort_os_context_apply(const void *buffer, size_t length) {
    head_t head;
    if (length < sizeof head) return APR_EINVAL;
    memcpy(&head, buffer, sizeof head);
    if (length < sizeof head + head.cpu_bytes + head.cwd_bytes + head.env_bytes) return APR_EINVAL;
    const char *cpus = (const char *)buffer + sizeof head, *cwd = cpus + head.cpu_bytes;
    umask((mode_t)head.mode);
    cohort__affinity_set(cpus, head.cpu_bytes);
    if (*cwd && chdir(cwd) != 0) return errno;
    return replace_environment(cwd + head.cwd_bytes, &head);
}

static uint64_t mix(uint64_t hash, uint64_t value) { return (hash ^ value) * 1099511628211u; }

uint64_t cohort_os_credentials(void) {
    uint64_t hash = 14695981039346656037u;
    hash = mix(mix(hash, getuid()), geteuid());
    hash = mix(mix(hash, getgid()), getegid());
    gid_t groups[256];
    int count = getgroups(256, groups);
    hash = mix(hash, (uint64_t)(int64_t)count);
    for (int i = 0; i < count; ++i) hash = mix(hash, groups[i]);
    return hash;
}
