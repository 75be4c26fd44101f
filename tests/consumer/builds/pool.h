/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef BUILDS_POOL_H
#define BUILDS_POOL_H

/* Run 100 tasks; 0 when every result is right. The first thing in main(). */
#if defined __GNUC__
__attribute__((visibility("default")))
#endif
int run_pool(void);

#endif
