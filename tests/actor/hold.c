/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* A module that is never done being loaded: the thread that loads it keeps the loader's lock. It
 * says so to the descriptor in HOLD_LOADER. */
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void hold(void) {
    const char *text = getenv("HOLD_LOADER");
    if (text && write(atoi(text), "", 1) == 1)
        for (;;) pause();
}
