/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include <cohort/errors.h>

#include <apr_strings.h>

typedef struct {
    apr_status_t status;
    const char *name, *message;
} entry_t;

static const entry_t entries[] = {
#define ENTRY(name, offset, message) {name, #name, message},
    COHORT_ERROR_LIST(ENTRY)
#undef ENTRY
};

static const entry_t *find(apr_status_t status) {
    for (apr_size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        if (entries[i].status == status) return &entries[i];
    }
    return NULL;
}

char *cohort_strerror(apr_status_t status, char *buffer, apr_size_t size) {
    const entry_t *entry = find(status);
    if (!buffer || size == 0) return buffer;
    if (!entry) return apr_strerror(status, buffer, size);
    apr_cpystrn(buffer, entry->message, size);
    return buffer;
}

const char *cohort_error_name(apr_status_t status) {
    const entry_t *entry = find(status);
    return entry ? entry->name : NULL;
}
