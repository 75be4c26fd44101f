/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What a process is, as far as its children inherit it, where all its threads are the same:
 * users, groups, root, session; limits, priority, process group. */
#include "os_posix.h"

#include "core/base/fail.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { USERS, GROUPS, ROOT, ROOT_DEVICE }; /* quick */
enum { SESSION, MORE_GROUPS };             /* rest */

static uint64_t mix(uint64_t hash, uint64_t value) { return (hash ^ value) * 1099511628211u; }

void cohort__state_begin(void) {}

static void look_quickly(cohort_os_state_t *state) {
    struct stat root;
    memset(state->quick, 0, sizeof state->quick);
    state->quick[USERS] = (uint64_t)getuid() << 32 | (uint64_t)geteuid();
    state->quick[GROUPS] = (uint64_t)getgid() << 32 | (uint64_t)getegid();
    if (stat("/", &root) != 0) return;
    state->quick[ROOT] = (uint64_t)root.st_ino;
    state->quick[ROOT_DEVICE] = (uint64_t)root.st_dev;
}

static void look_at_groups(cohort_os_state_t *state) {
    gid_t groups[256];
    int count = getgroups(256, groups);
    uint64_t hash = mix(14695981039346656037u, (uint64_t)(int64_t)count);
    for (int i = 0; i < count; ++i) hash = mix(hash, groups[i]);
    state->rest[MORE_GROUPS] = hash;
}

/* The system shows no umask but by setting it. The moment is kept as short as it can
 * be. */
apr_status_t cohort__state_rest(cohort_os_state_t *state, cohort__status_t *also) {
    memset(state->rest, 0, sizeof state->rest);
    memset(state->wishes, 0, sizeof state->wishes);
    state->unseen = state->subtle = false;
    mode_t mode = umask(077);
    umask(mode);
    also->mode = (uint32_t)mode;
    cohort__signals_tell(also);
    look_at_groups(state);
    state->rest[SESSION] = (uint64_t)getsid(0);
    state->wishes[COHORT__WISH_PID] = (uint64_t)getpid();
    state->wishes[COHORT__WISH_PROCESS_GROUP] = (uint64_t)getpgrp();
    state->wishes[COHORT__WISH_NICE] = (uint64_t)(int64_t)getpriority(PRIO_PROCESS, 0);
    for (int i = 0; i < RLIM_NLIMITS; ++i) {
        struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
        getrlimit(i, &limit);
        state->wishes[COHORT__WISH_LIMITS + 2 * i] = (uint64_t)limit.rlim_cur;
        state->wishes[COHORT__WISH_LIMITS + 2 * i + 1] = (uint64_t)limit.rlim_max;
    }
    return APR_SUCCESS;
}

_Static_assert(RLIM_NLIMITS <= COHORT__WISH_LIMITS_MAX, "the limits fit");

/* Each thread of this process is the same. */
apr_status_t cohort_os_state_look(cohort_os_look_t what, cohort_os_state_t *state,
                                  cohort_os_context_t *context) {
    cohort__status_t also;
    if (what == COHORT_OS_LOOK_CONTEXT) return cohort__context_look(state, context);
    look_quickly(state);
    return what == COHORT_OS_LOOK_QUICK ? APR_SUCCESS : cohort__state_rest(state, &also);
}
