/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Copies in one block of what points at texts and lists: the same steps measure first, with no
 * block, and then write. */
#ifndef COHORT_CORE_PACKING_H
#define COHORT_CORE_PACKING_H

#include <stddef.h>
#include <string.h>

typedef struct {
    char *at; /* NULL: it is only measured */
    size_t size;
} cohort__packing_t;

/* A copy of so many bytes, aligned for pointers and 64 bits; NULL while it is measured. */
static inline void *cohort__pack(cohort__packing_t *p, const void *bytes, size_t size) {
    void *copy = p->at ? p->at + p->size : NULL;
    if (copy && size) memcpy(copy, bytes, size);
    p->size += (size + 7) / 8 * 8;
    return copy;
}

static inline const char *cohort__pack_text(cohort__packing_t *p, const char *text) {
    return text ? cohort__pack(p, text, strlen(text) + 1) : NULL;
}

/* Of texts, with a NULL at its end. */
static inline const char *const *cohort__pack_list(cohort__packing_t *p, const char *const *list) {
    size_t count = 0;
    if (!list) return NULL;
    while (list[count]) count++;
    const char **copy = cohort__pack(p, list, (count + 1) * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        const char *text = cohort__pack_text(p, list[i]);
        if (copy) copy[i] = text;
    }
    return copy;
}

#endif
