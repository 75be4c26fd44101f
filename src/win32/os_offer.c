/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Handles that other processes may have: any of the same user may duplicate one out of the process
 * that has it, so nothing serves them, but sockets (os_sockets.c). */
#include "os_win32.h"

apr_status_t cohort_os_offer_make(cohort_os_handle_t handle, cohort_os_offer_t *offer) {
    HANDLE copy, self = GetCurrentProcess();
    if (cohort__is_socket(cohort__handle(handle)))
        return cohort__socket_offer(cohort__handle(handle), offer);
    if (!DuplicateHandle(self, cohort__handle(handle), self, &copy, 0, FALSE,
                         DUPLICATE_SAME_ACCESS))
        return cohort__fail(cohort__last_error(), "duplicating what is sent");
    *offer = (cohort_os_offer_t){.token = (uint64_t)(uintptr_t)copy};
    return APR_SUCCESS;
}

/* The number may be another handle's by now; then `win` says so, and nothing is done with it. */
static apr_status_t fetch_from(HANDLE owner, const cohort_os_offer_t *offer, bool (*win)(void *arg),
                               void *arg, cohort_os_handle_t *handle) {
    HANDLE theirs = (HANDLE)(uintptr_t)offer->token, copy, self = GetCurrentProcess();
    if (!DuplicateHandle(owner, theirs, self, &copy, 0, FALSE, DUPLICATE_SAME_ACCESS))
        return GetLastError() == ERROR_INVALID_HANDLE ? APR_NOTFOUND : cohort__last_error();
    if (!win(arg)) {
        CloseHandle(copy);
        return APR_NOTFOUND;
    }
    HANDLE again = NULL;
    if (DuplicateHandle(owner, theirs, self, &again, 0, FALSE,
                        DUPLICATE_CLOSE_SOURCE | DUPLICATE_SAME_ACCESS))
        CloseHandle(again);
    *handle = (cohort_os_handle_t)copy;
    return APR_SUCCESS;
}

apr_status_t cohort_os_offer_fetch(const cohort_os_offer_t *offer, cohort_os_id_t owner,
                                   int64_t deadline, bool (*win)(void *arg), void *arg,
                                   cohort_os_handle_t *handle, bool *told) {
    if (offer->address_size)
        return cohort__socket_fetch(offer, owner, deadline, win, arg, handle, told);
    HANDLE process = cohort__process_open(owner, PROCESS_DUP_HANDLE | SYNCHRONIZE |
                                                     PROCESS_QUERY_LIMITED_INFORMATION);
    apr_status_t status = process ? APR_SUCCESS : cohort__last_error();
    *told = true;
    if (!process) return cohort_os_alive(owner, NULL) ? status : APR_EOF;
    status = fetch_from(process, offer, win, arg, handle);
    CloseHandle(process);
    return status != APR_SUCCESS && !cohort_os_alive(owner, NULL) ? APR_EOF : status;
}

/* One that was taken has been closed by its taker, or, if that has died meanwhile, perhaps not:
 * then it stays open as long as this process, since its number may be another handle's. */
void cohort_os_offer_end(const cohort_os_offer_t *offer, bool taken) {
    if (offer->address_size) cohort__socket_drop(offer);
    else if (!taken) CloseHandle((HANDLE)(uintptr_t)offer->token);
}
