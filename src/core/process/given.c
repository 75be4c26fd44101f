/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process gets that its starter keeps for it: a context, and standard streams. A pool keeps
 * the same for each of its workers, and for those that replace them.
 */
#include "core/process/process.h"

#include "core/memory/alloc.h"

#include <stdlib.h>
#include <string.h>

/* Where this program has closed one that is not its own, its present one takes the place. */
const cohort_os_streams_t *cohort__given_streams(const cohort__given_t *given,
                                                 cohort_os_streams_t *streams) {
    if (!given || !given->keeps_streams) return NULL;
    *streams = cohort_os_facts()->streams;
    for (int i = 0; i < 3; i++) {
        const cohort_os_known_t *kept = &given->streams[i];
        if (kept->handle == COHORT_OS_NONE || cohort_os_is_known(kept))
            streams->handles[i] = kept->handle;
    }
    return streams;
}

apr_status_t cohort__given_attach(const cohort__given_t *given, cohort_process_t *slot) {
    cohort__thread_t *me;
    apr_status_t status = cohort__enter(&me);
    if (!status)
        status = cohort__block_new(me, COHORT__KIND_BYTES, given->size ? given->size : 1,
                                   &slot->context);
    if (status) return status;
    memcpy(atomic_load(&slot->context), given->context, given->size);
    slot->context_size = given->size;
    slot->given = (void *)given;
    return APR_SUCCESS;
}

apr_status_t cohort__given_streams_copy(cohort_os_streams_t *streams) {
    cohort_os_state_t unused;
    return cohort_os_state_look(COHORT_OS_LOOK_CONTEXT, &unused,
                                &(cohort_os_context_t){.streams = streams});
}

apr_status_t cohort__context_capture(void **context, size_t *size, cohort_os_state_t *state) {
    size_t capacity = 16384;
    for (;;) {
        void *buffer = malloc(capacity);
        if (!buffer) return cohort__fail(APR_ENOMEM, "noting the environment for the child");
        cohort_os_context_t found = {.bytes = buffer, .size = capacity};
        apr_status_t status = cohort_os_state_look(COHORT_OS_LOOK_CONTEXT, state, &found);
        if (!status) {
            *context = buffer;
            *size = found.size;
            return APR_SUCCESS;
        }
        free(buffer);
        if (!APR_STATUS_IS_ENOSPC(status)) return status;
        capacity = found.size > capacity ? found.size : capacity * 2;
    }
}

/* The thread that replaces workers may be another one than the first, and be allowed more. It
 * can hand on only what it is itself. */
apr_status_t cohort__maker_look(cohort_os_state_t *state, bool *another) {
    cohort_os_state_t mine;
    apr_status_t status = cohort_os_state_look(COHORT_OS_LOOK_THREAD, &mine, NULL);
    if (!status) status = cohort_os_state_look(COHORT_OS_LOOK_FIRST, state, NULL);
    *another = !status && !cohort_os_state_same(&mine, state);
    return status;
}
