/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Names of functions: the loader knows all that there are. */
#include "os_posix.h"

void cohort__symbol_begin(void) {}

const char *cohort__symbol_file(const char *name, uintptr_t base) {
    (void)base;
    return name;
}

uintptr_t cohort__symbol(const char *file, uintptr_t base, uintptr_t address,
                         cohort__text_t *name) {
    (void)file;
    (void)base;
    (void)address;
    (void)name;
    return 0;
}
