/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What a process can hand on to its children: how to change each property in this process, and how
 * to see what it has of it. Shared by the tests and by the program that they start. */
#ifndef COHORT_TESTS_PROPERTIES_H
#define COHORT_TESTS_PROPERTIES_H

#include <stddef.h>

#define PROPERTY_TEXT 4096

typedef struct {
    const char *name;
    const char *(*change)(void);           /* NULL, or why it cannot be done here */
    void (*look)(char *text, size_t size); /* what this process has */
} property_t;

/* NULL: there is none of that name. */
const property_t *property_find(const char *name);

#endif
