/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool's workers get from its maker, whenever they are started: environment, directory,
 * umask and standard streams are those that the maker had when it made the pool. They are kept in
 * the maker, since they are its memory and descriptors; so no other process starts workers. What a
 * worker may do, on the other hand, is what the maker's first thread may do when the worker is
 * started.
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
};

static cohort_os_mutex_t settings_mutex;
static cohort__setting_t *settings;

static void close_kept_streams(cohort__setting_t *setting) {
    for (int i = 0; i < 3; i++) cohort_os_close_known(&setting->given.streams[i]);
}

static apr_status_t copy_streams(cohort__setting_t *setting) {
    cohort_os_streams_t copies;
    apr_status_t status = cohort_os_streams_copy(&copies);
    for (int i = 0; i < 3 && !status; i++)
        setting->given.streams[i] = cohort_os_know(copies.handles[i]);
    return status;
}

static void setting_free(cohort__setting_t *setting) {
    close_kept_streams(setting);
    free(setting->given.context);
    free(setting);
}

static void release_locked(cohort__setting_t *setting) {
    if (--setting->users == 0) setting_free(setting);
}

/* Another process may have destroyed the pool. */
static void sweep_locked(void) {
    for (cohort__setting_t **link = &settings; *link;) {
        cohort__setting_t *setting = *link;
        bool stays = cohort__pool_tag(setting->pool) == setting->tag;
        if (!stays) *link = setting->next;
        if (!stays) release_locked(setting);
        else link = &setting->next;
    }
}

apr_status_t cohort__setting_make(const cohort_pool_t *pool, uint64_t tag) {
    static const cohort_os_known_t none = {.handle = COHORT_OS_NONE};
    cohort__setting_t *setting = calloc(1, sizeof *setting);
    cohort_os_state_t state;
    if (!setting) return APR_ENOMEM;
    *setting = (cohort__setting_t){
        .pool = pool, .tag = tag, .users = 1, .given = {.streams = {none, none, none}}};
    apr_status_t status =
        cohort__context_capture(&setting->given.context, &setting->given.size, &state);
    cohort_os_mutex_lock(&settings_mutex);
    if (!status) status = copy_streams(setting);
    if (!status) {
        sweep_locked();
        setting->next = settings;
        settings = setting;
    }
    cohort_os_mutex_unlock(&settings_mutex);
    if (!status) return APR_SUCCESS;
    setting_free(setting);
    return cohort__explain(status, "keep what workers get");
}

void cohort__setting_drop(const cohort_pool_t *pool, uint64_t tag) {
    cohort_os_mutex_lock(&settings_mutex);
    for (cohort__setting_t **link = &settings; *link; link = &(*link)->next) {
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
    cohort__setting_t *setting = settings;
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
    for (cohort__setting_t *setting = settings; setting; setting = setting->next)
        close_kept_streams(setting);
    settings = NULL;
}

const cohort__given_t *cohort__setting_given(const cohort__setting_t *setting) {
    return &setting->given;
}
