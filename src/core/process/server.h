/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said on the channel to a fork server: 64 bits, a request or a message of another kind. A
 * request is the id of the slot, below the bits of the attempt that are sent; the id of a slot is
 * never 0.
 */
#ifndef COHORT_CORE_SERVER_H
#define COHORT_CORE_SERVER_H

#include "core/process/process.h"

#define COHORT__SERVER_ATTEMPT 48 /* from this bit on the attempt, or the kind of message */

typedef enum {
    COHORT__TELL_RETIRE = 1, /* end with the last child, unless another one is asked for before */
    COHORT__TELL_END,        /* end as after the death of the maker */
    COHORT__TELL_MAKER       /* with streams: the first is the channel of the maker's watcher */
} cohort__tell_t;

extern cohort_os_state_t cohort__server_made_for;

/* Of the attempt as many bits as there is room for. */
static inline uint64_t cohort__server_request(uint32_t attempt, cohort__pid_t id) {
    return (uint64_t)attempt << COHORT__SERVER_ATTEMPT | id;
}
static inline uint64_t cohort__server_control(cohort__tell_t what) {
    return (uint64_t)what << COHORT__SERVER_ATTEMPT;
}
/* 0: it is no request. */
static inline cohort__pid_t cohort__server_requested(uint64_t message) {
    return message & (((uint64_t)1 << COHORT__SERVER_ATTEMPT) - 1);
}
static inline cohort__tell_t cohort__server_message(uint64_t message) {
    return (cohort__tell_t)(message >> COHORT__SERVER_ATTEMPT);
}
/* Is this the attempt that the request is about? */
static inline bool cohort__server_is_attempt(uint64_t request, uint32_t attempt) {
    return (attempt & 0xffff) == request >> COHORT__SERVER_ATTEMPT;
}

#endif
