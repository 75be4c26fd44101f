/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of a child: checked and packed into one block without pointers by the process that makes
 * it, so that any process that starts it, and the child, can read them; the back end does what they
 * say. Names of users and groups become numbers here, since a child may look nothing up between
 * fork() and exec().
 */
#include "core/process/process.h"

#include "core/base/reserved.h"
#include "core/memory/alloc.h"

#include <apr_pools.h>
#include <apr_user.h>
#include <cohort/settings.h>
#include <stdlib.h>
#include <string.h>

#define NUMBERS_MAX 4096 /* CPUs, groups */

/* The block as it is made: first counted, then written, by the same steps. */
typedef struct {
    cohort_os_settings_t *made; /* NULL: it is only counted */
    uint32_t size;
    apr_pool_t *pool; /* for names of users */
    bool failed;      /* too large */
} packing_t;

/* ---- numbers and texts ---------------------------------------------------------------------- */

static uint32_t append_bytes(packing_t *p, const void *bytes, size_t size) {
    uint32_t at = p->size;
    if (size > UINT32_MAX / 2 - at) p->failed = true;
    if (p->failed) return 0;
    if (p->made) memcpy((char *)p->made + at, bytes, size);
    p->size += (uint32_t)size;
    return at;
}

static uint32_t append_text(packing_t *p, const char *text) {
    return append_bytes(p, text, strlen(text) + 1);
}

static void align(packing_t *p) {
    static const char zeros[8];
    append_bytes(p, zeros, (8 - p->size % 8) % 8);
}

/* A number in decimal digits. */
static bool read_number(const char *text, uint32_t *number) {
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || value >= UINT32_MAX) return false;
    *number = (uint32_t)value;
    return true;
}

/* APR's ids are numbers on some systems, pointers on others. */
static apr_status_t find_user(packing_t *p, const char *name, bool has_group, uint32_t *user,
                              uint32_t *group) {
    apr_uid_t uid;
    apr_gid_t gid;
    bool numbered = read_number(name, user);
    apr_status_t status = APR_SUCCESS;
    char *known = (char *)(uintptr_t)name;
    if (numbered) status = apr_uid_name_get(&known, (apr_uid_t)(uintptr_t)*user, p->pool);
    if (!status) status = apr_uid_get(&uid, &gid, known, p->pool);
    if (status && numbered && has_group) return APR_SUCCESS;
    if (status)
        return cohort__fail(status, numbered ? "user %s, for its main group" : "user %s", name);
    if (!numbered) *user = (uint32_t)(uintptr_t)uid;
    *group = (uint32_t)(uintptr_t)gid;
    return APR_SUCCESS;
}

static apr_status_t find_group(packing_t *p, const char *name, uint32_t *group) {
    apr_gid_t gid;
    if (read_number(name, group)) return APR_SUCCESS;
    apr_status_t status = apr_gid_get(&gid, name, p->pool);
    if (status) return cohort__fail(status, "group %s", name);
    *group = (uint32_t)(uintptr_t)gid;
    return APR_SUCCESS;
}

/* ---- the parts ------------------------------------------------------------------------------ */

static apr_status_t pack_users(const cohort_settings_t *s, packing_t *p, cohort_os_settings_t *o) {
    apr_status_t status = APR_SUCCESS;
    uint32_t main_group = 0;
    if (s->user) status = find_user(p, s->user, s->group != NULL, &o->user, &main_group);
    o->group = main_group;
    if (!status && s->group) status = find_group(p, s->group, &o->group);
    if (s->user) o->set |= COHORT_OS_SET_USER;
    if (s->user || s->group) o->set |= COHORT_OS_SET_GROUP;
    if (s->user || s->group || s->groups) o->set |= COHORT_OS_SET_GROUPS;
    align(p);
    o->groups = p->size;
    for (; !status && s->groups && s->groups[o->n_groups]; o->n_groups++) {
        uint32_t group;
        if (o->n_groups == NUMBERS_MAX) return cohort__fail(APR_EINVAL, "settings.groups");
        status = find_group(p, s->groups[o->n_groups], &group);
        if (!status) append_bytes(p, &group, sizeof group);
    }
    return status;
}

static apr_status_t pack_cpus(const cohort_settings_t *s, packing_t *p, cohort_os_settings_t *o) {
    if (s->n_cpus && !s->cpus) return cohort__null("settings.cpus");
    if (s->n_cpus > NUMBERS_MAX) return cohort__fail(APR_EINVAL, "settings.n_cpus");
    if (s->n_cpus) o->set |= COHORT_OS_SET_CPUS;
    align(p);
    o->cpus = p->size;
    o->n_cpus = (uint32_t)s->n_cpus;
    for (apr_size_t i = 0; i < s->n_cpus; i++) {
        uint32_t cpu = (uint32_t)s->cpus[i];
        if (s->cpus[i] < 0 || s->cpus[i] >= COHORT_OS_CPUS_MAX)
            return cohort__fail(APR_EINVAL, "CPU %d of the settings", s->cpus[i]);
        append_bytes(p, &cpu, sizeof cpu);
    }
    return APR_SUCCESS;
}

static apr_status_t pack_signals(const cohort_settings_t *s, cohort_os_settings_t *o) {
    if (s->n_ignored && !s->ignored) return cohort__null("settings.ignored");
    for (apr_size_t i = 0; i < s->n_ignored; i++) {
        if (s->ignored[i] < 1 || s->ignored[i] > 64)
            return cohort__fail(APR_EINVAL, "signal %d of the settings", s->ignored[i]);
        o->ignored |= (uint64_t)1 << (s->ignored[i] - 1);
    }
    if (s->n_ignored) o->set |= COHORT_OS_SET_IGNORED;
    return APR_SUCCESS;
}

static apr_status_t pack_environment(const cohort_settings_t *s, packing_t *p,
                                     cohort_os_settings_t *o) {
    o->env = p->size;
    for (; s->env && s->env[o->n_env]; o->n_env++) {
        const char *change = s->env[o->n_env];
        if (!*change || *change == '=')
            return cohort__fail(APR_EINVAL, "settings.env[%u] is \"%s\"", o->n_env, change);
        append_text(p, change);
    }
    return APR_SUCCESS;
}

static void pack_limits(const cohort_limits_t *l, cohort_os_settings_t *o) {
    const apr_uint64_t given[COHORT_OS_LIMITS] = {l->memory, l->cpu_time, l->files, l->processes,
                                                  l->core};
    for (int i = 0; i < COHORT_OS_LIMITS; i++) {
        if (given[i]) o->set |= (uint32_t)COHORT_OS_SET_LIMIT << i;
        o->limits[i] = given[i] == COHORT_LIMIT_ZERO ? 0 : given[i];
    }
}

static apr_status_t pack_parts(const cohort_settings_t *s, packing_t *p, cohort_os_settings_t *o) {
    apr_status_t status = pack_users(s, p, o);
    if (!status) status = pack_cpus(s, p, o);
    if (!status) status = pack_signals(s, o);
    if (!status) status = pack_environment(s, p, o);
    if (s->cwd) o->cwd = append_text(p, s->cwd);
    if (s->umask) o->set |= COHORT_OS_SET_UMASK;
    if (s->session) o->set |= COHORT_OS_SET_SESSION;
    o->mode = s->umask & 0777u;
    o->nice = s->nice;
    pack_limits(&s->limits, o);
    return !status && p->failed ? APR_ENOMEM : status;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static apr_status_t check(const cohort_settings_t *s) {
    static const char *const names[] = {"user",  "group",     "groups", "umask",
                                        "cpus",  "ignored",   "memory", "cpu_time",
                                        "files", "processes", "core",   "session"};
    uint32_t lacks = ~cohort_os_facts()->settings;
    cohort_os_settings_t o = {0};
    apr_status_t status = cohort__check_reserved(s->reserved, 7, "settings.reserved");
    if (!status) status = cohort__check_reserved(s->limits.reserved, 4, "limits.reserved");
    if (status) return status;
    if (s->user) o.set |= COHORT_OS_SET_USER;
    if (s->group) o.set |= COHORT_OS_SET_GROUP;
    if (s->groups) o.set |= COHORT_OS_SET_GROUPS;
    if (s->umask) o.set |= COHORT_OS_SET_UMASK;
    if (s->n_cpus) o.set |= COHORT_OS_SET_CPUS;
    if (s->n_ignored) o.set |= COHORT_OS_SET_IGNORED;
    if (s->session) o.set |= COHORT_OS_SET_SESSION;
    pack_limits(&s->limits, &o);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (o.set & lacks & 1u << i)
            return cohort__fail(APR_ENOTIMPL, "this system has no %s for settings", names[i]);
    }
    if (s->umask && s->umask != COHORT_UMASK(s->umask))
        return cohort__fail(APR_EINVAL, "settings.umask is %#x, no COHORT_UMASK()", s->umask);
    return APR_SUCCESS;
}

apr_status_t cohort__session_check(const cohort_settings_t *settings, cohort_group_t group) {
    if (!settings || !settings->session || group != COHORT_GROUP_PARENT) return APR_SUCCESS;
    return cohort__fail(APR_EINVAL, "settings.session, and a group that is the parent's");
}

static apr_status_t pack(const cohort_settings_t *s, packing_t *p) {
    cohort_os_settings_t counted = {0};
    p->size = (uint32_t)sizeof counted;
    apr_status_t status = pack_parts(s, p, &counted);
    if (!status && !(p->made = calloc(1, p->size))) status = APR_ENOMEM;
    if (status) return status;
    counted.size = p->size;
    counted.n_groups = counted.n_env = 0;
    p->size = (uint32_t)sizeof counted;
    *p->made = counted;
    return pack_parts(s, p, p->made);
}

apr_status_t cohort__settings_pack(const cohort_settings_t *settings,
                                   cohort_os_settings_t **packed) {
    packing_t p = {0};
    *packed = NULL;
    apr_status_t status = settings ? check(settings) : APR_SUCCESS;
    if (status || !settings) return status;
    status = apr_pool_create(&p.pool, NULL);
    if (status) return status;
    status = pack(settings, &p);
    apr_pool_destroy(p.pool);
    if (status) free(p.made);
    else *packed = p.made;
    return status;
}

apr_status_t cohort__settings_attach(cohort_process_t *slot, const cohort_os_settings_t *packed) {
    cohort__thread_t *me;
    if (!packed) return APR_SUCCESS;
    apr_status_t status = cohort__enter(&me);
    if (!status) status = cohort__block_new(me, COHORT__KIND_BYTES, packed->size, &slot->settings);
    if (!status) memcpy(atomic_load(&slot->settings), packed, packed->size);
    return status;
}

apr_status_t cohort__settings_set(cohort_process_t *slot, const cohort_settings_t *settings) {
    cohort_os_settings_t *packed;
    apr_status_t status = cohort__settings_pack(settings, &packed);
    if (!status) status = cohort__settings_attach(slot, packed);
    free(packed);
    return status;
}
