/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool's workers get from its maker, whenever they are started: environment, directory,
 * umask and standard streams are those that the maker had when it made the pool; then the option
 * `settings` changes them, with the CPUs of the worker's place. All this is kept in the maker,
 * since it is its memory and descriptors; so no other process starts workers. What a worker may do
 * otherwise is what the maker's first thread may do when the worker is started.
 */
#include "core/pool/pool.h"

#include "core/base/fail.h"

#include <stdlib.h>
#include <string.h>

struct cohort__setting_t {
    struct cohort__setting_t *next;
    const cohort_pool_t *pool;
    uint64_t tag;
    unsigned users; /* the list is one of them */
    cohort__given_t given;
    /* what workers are made different in: one for all, or one for each set of CPUs */
    cohort_os_settings_t **packed;
    uint32_t n_packed; /* 0: nothing */
};

static cohort_os_mutex_t settings_mutex;
static cohort__setting_t *kept;

static void close_kept_streams(cohort__setting_t *setting) {
    for (int i = 0; i < 3; i++) cohort_os_close_known(&setting->given.streams[i]);
}

static apr_status_t copy_kept_streams(cohort__setting_t *setting) {
    cohort_os_streams_t copies;
    apr_status_t status = cohort__given_streams_copy(&copies);
    for (int i = 0; i < 3 && !status; i++)
        setting->given.streams[i] = cohort_os_know(copies.handles[i]);
    return status;
}

static void setting_free(cohort__setting_t *setting) {
    close_kept_streams(setting);
    for (uint32_t i = 0; i < setting->n_packed; i++) free(setting->packed[i]);
    free((void *)setting->packed);
    free(setting->given.context);
    free(setting);
}

static void release_locked(cohort__setting_t *setting) {
    if (--setting->users == 0) setting_free(setting);
}

/* Another process may have destroyed the pool. */
static void sweep_locked(void) {
    for (cohort__setting_t **link = &kept; *link;) {
        cohort__setting_t *setting = *link;
        bool stays = cohort__pool_tag(setting->pool) == setting->tag;
        if (!stays) *link = setting->next;
        if (!stays) release_locked(setting);
        else link = &setting->next;
    }
}

/* ---- what workers are made different in ----------------------------------------------------- */

static apr_status_t pack_one(cohort__setting_t *setting, const cohort_settings_t *settings) {
    apr_status_t status = cohort__settings_pack(settings, &setting->packed[setting->n_packed]);
    if (!status) setting->n_packed++;
    return status;
}

/* The number of the CPU is that of the worker's place; see cohort__setting_attach(). */
static apr_status_t pack_for_each(cohort__setting_t *setting, cohort_settings_t *settings) {
    static const int first = 0;
    settings->cpus = &first;
    settings->n_cpus = 1;
    apr_status_t status = pack_one(setting, settings);
    if (!status) setting->packed[0]->set |= COHORT_OS_SET_NTH_CPU;
    return status;
}

static apr_status_t pack_settings(cohort__setting_t *setting, const cohort_pool_options_t *o) {
    cohort_settings_t settings = o->settings ? *o->settings : (cohort_settings_t){0};
    apr_size_t n = o->n_cpu_sets ? o->n_cpu_sets : 1;
    apr_status_t status = APR_SUCCESS;
    if (!o->settings && !o->n_cpu_sets && !o->pin) return APR_SUCCESS;
    setting->packed = (cohort_os_settings_t **)calloc(n, sizeof *setting->packed);
    if (!setting->packed) return APR_ENOMEM;
    if (o->pin) return pack_for_each(setting, &settings);
    if (!o->n_cpu_sets) return pack_one(setting, &settings);
    for (apr_size_t i = 0; i < n && !status; i++) {
        settings.cpus = o->cpu_sets[i].cpus;
        settings.n_cpus = o->cpu_sets[i].n;
        status = pack_one(setting, &settings);
    }
    return status;
}

static void choose_cpu(cohort_os_settings_t *settings, uint32_t number) {
    if (settings->set & COHORT_OS_SET_NTH_CPU)
        *(uint32_t *)(void *)((char *)settings + settings->cpus) = number;
}

apr_status_t cohort__setting_attach(const cohort__setting_t *setting, cohort_process_t *slot,
                                    uint32_t number) {
    apr_status_t status = cohort__given_attach(&setting->given, slot);
    if (status || !setting->n_packed) return status;
    status = cohort__settings_attach(slot, setting->packed[number % setting->n_packed]);
    if (!status) choose_cpu(atomic_load(&slot->settings), number);
    return status;
}

/* ---- kept ----------------------------------------------------------------------------------- */

apr_status_t cohort__setting_make(const cohort_pool_t *pool, uint64_t tag,
                                  const cohort_pool_options_t *options) {
    static const cohort_os_known_t none = {.handle = COHORT_OS_NONE};
    cohort__setting_t *setting = calloc(1, sizeof *setting);
    cohort_os_state_t state;
    if (!setting) return APR_ENOMEM;
    *setting = (cohort__setting_t){.pool = pool,
                                   .tag = tag,
                                   .users = 1,
                                   .given = {.streams = {none, none, none}, .keeps_streams = true}};
    apr_status_t status = pack_settings(setting, options);
    if (status) {
        setting_free(setting);
        return status;
    }
    status = cohort__context_capture(&setting->given.context, &setting->given.size, &state);
    cohort_os_mutex_lock(&settings_mutex);
    if (!status) status = copy_kept_streams(setting);
    if (!status) {
        sweep_locked();
        setting->next = kept;
        kept = setting;
    }
    cohort_os_mutex_unlock(&settings_mutex);
    if (!status) return APR_SUCCESS;
    setting_free(setting);
    return cohort__explain(status, "keep what workers get");
}

void cohort__setting_drop(const cohort_pool_t *pool, uint64_t tag) {
    cohort_os_mutex_lock(&settings_mutex);
    for (cohort__setting_t **link = &kept; *link; link = &(*link)->next) {
        cohort__setting_t *setting = *link;
        if (setting->pool != pool || setting->tag != tag) continue;
        *link = setting->next;
        release_locked(setting);
        break;
    }
    cohort_os_mutex_unlock(&settings_mutex);
}

cohort__setting_t *cohort__setting_use(const cohort_pool_t *pool, uint64_t tag) {
    cohort_os_mutex_lock(&settings_mutex);
    cohort__setting_t *setting = kept;
    while (setting && (setting->pool != pool || setting->tag != tag)) setting = setting->next;
    if (setting) setting->users++;
    cohort_os_mutex_unlock(&settings_mutex);
    return setting;
}

void cohort__setting_release(cohort__setting_t *setting) {
    cohort_os_mutex_lock(&settings_mutex);
    release_locked(setting);
    cohort_os_mutex_unlock(&settings_mutex);
}

void cohort__settings_lock(void) { cohort_os_mutex_lock(&settings_mutex); }

void cohort__settings_unlock(void) { cohort_os_mutex_unlock(&settings_mutex); }

/* The descriptors only: to free the memory would copy the pages where it lies. */
void cohort__settings_reset(void) {
    cohort_os_mutex_reset(&settings_mutex);
    for (cohort__setting_t *setting = kept; setting; setting = setting->next)
        close_kept_streams(setting);
    kept = NULL;
}
