/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that a new process is given. It has them under the numbers that they have in its
 * starter, but for those that would be in the way there: standard streams, and one that is given
 * twice, so that each can be closed by itself. Their numbers are written where the new process
 * reads them, in the arena, which a vforked child shares.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <fcntl.h>

apr_status_t cohort__gifts_open(const cohort_os_start_t *start) {
    for (uint32_t i = 0; i < start->n_gifts; ++i) {
        const cohort_os_gift_t *gift = &start->gifts[i];
        if (fcntl((int)gift->handle, F_GETFD) >= 0) continue;
        if (gift->numbered)
            return cohort__fail(errno, "descriptor %d of the option files", (int)gift->handle);
        return cohort__fail(errno, "descriptor %d of gift %u%s%s", (int)gift->handle, (unsigned)i,
                            *gift->name ? ", " : "", gift->name);
    }
    return APR_SUCCESS;
}

static bool is_in_the_way(const cohort_os_start_t *start, uint32_t i) {
    const cohort_os_gift_t *gift = &start->gifts[i];
    if (gift->numbered || gift->handle < 3) return !gift->numbered;
    for (uint32_t j = 0; j < start->n_gifts; ++j) {
        const cohort_os_gift_t *other = &start->gifts[j];
        if (other->handle == gift->handle && (j < i || other->numbered)) return true;
    }
    return false;
}

int cohort__gifts_give(const cohort_os_start_t *start) {
    for (uint32_t i = 0; i < start->n_gifts; ++i) {
        cohort_os_gift_t *gift = &start->gifts[i];
        int fd = (int)gift->handle;
        if (is_in_the_way(start, i)) fd = fcntl(fd, F_DUPFD, 3);
        else if (fcntl(fd, F_SETFD, 0) != 0) fd = -1;
        if (fd < 0) return -1;
        atomic_store(&gift->there, fd);
    }
    return 0;
}
