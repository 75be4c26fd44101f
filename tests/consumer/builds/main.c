/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The program: it is linked with pool.c, or opens the library in the variable POOL_LIBRARY, which
 * has pool.c in it. */
#include "pool.h"

#ifdef OPENS_LIBRARY
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    const char *path = getenv("POOL_LIBRARY"); /* the children have it, too */
    void *library = path ? dlopen(path, RTLD_NOW) : NULL;
    if (!library) {
        fprintf(stderr, "main: %s\n", path ? dlerror() : "no library is named");
        return 1;
    }
    int (*run)(void);
    *(void **)&run = dlsym(library, "run_pool");
    return run ? run() : 1;
}
#else
int main(void) { return run_pool(); }
#endif
