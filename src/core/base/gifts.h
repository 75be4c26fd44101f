/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The variable of the environment by which a program finds what it is given (gift.h has its form):
 * written by the back ends, read by the core of a program that has this library, too.
 */
#ifndef COHORT_CORE_GIFTS_H
#define COHORT_CORE_GIFTS_H

#include "core/base/os.h"

#include <string.h>

#define COHORT__GIFTS        "COHORT_GIFTS"
#define COHORT__GIFTS_DIGITS 20 /* of a number, at most */

/* Has a start something to say by it? What is numbered needs no name. */
static inline bool cohort__gifts_any(const cohort_os_start_t *start) {
    bool any = false;
    for (uint32_t i = 0; i < start->n_gifts; i++) any = any || !start->gifts[i].numbered;
    return any && start->how == COHORT_OS_PROGRAM;
}

/* The bytes that cohort__gifts_write() takes at most. */
static inline size_t cohort__gifts_room(const cohort_os_start_t *start) {
    size_t each = 2 + COHORT__GIFTS_DIGITS + COHORT_OS_GIFT_NAME;
    return sizeof COHORT__GIFTS + 1 + COHORT__GIFTS_DIGITS + start->n_gifts * each;
}

static inline char *cohort__gifts_put(char *at, uint64_t number) {
    char digits[COHORT__GIFTS_DIGITS];
    int count = 0;
    do digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    while (count) *at++ = digits[--count];
    return at;
}

/* "COHORT_GIFTS=...", once it is known what they are in the program. Async-signal-safe. */
static inline void cohort__gifts_write(char *text, const cohort_os_start_t *start, int64_t pid) {
    char *at = text + sizeof COHORT__GIFTS;
    memcpy(text, COHORT__GIFTS "=", sizeof COHORT__GIFTS);
    at = cohort__gifts_put(at, (uint64_t)pid);
    for (uint32_t i = 0; i < start->n_gifts; i++) {
        const cohort_os_gift_t *gift = &start->gifts[i];
        size_t length = strlen(gift->name);
        if (gift->numbered) continue;
        *at++ = ':';
        at = cohort__gifts_put(at, (uint64_t)atomic_load(&gift->there));
        *at++ = '=';
        memcpy(at, gift->name, length);
        at += length;
    }
    *at = 0;
}

#endif
