/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Bytes that are found nowhere else. They are made where they shall be, so that no other memory of
 * the process holds them. */
#ifndef COHORT_TESTS_DUMP_MARKS_H
#define COHORT_TESTS_DUMP_MARKS_H

#define DUMP_BLOCK ((unsigned)8 << 20)
#define DUMP_MARK  256

static inline void dump_mark_write(unsigned char *at, unsigned number) {
    unsigned value = 2463534242u + number;
    for (unsigned i = 0; i < DUMP_MARK; i++) {
        value ^= value << 13, value ^= value >> 17, value ^= value << 5;
        at[i] = (unsigned char)(value >> 8);
    }
}

#endif
