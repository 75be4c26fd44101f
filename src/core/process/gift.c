/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles that a process is given: noted in its slot by the process that makes it, brought into the
 * new process by the back end, which notes what they are there, and taken there by name or index.
 * The option `files` is the same with handles that have the same number there and are taken by
 * that.
 *
 * The notes lie in one block that the slot owns, and which nothing but the new process changes once
 * that runs; it has a word for each gift that says whether it was taken. A program that begins a
 * cohort of its own makes such notes of what its environment says that it was given.
 */
#include "core/process/process.h"

#include "core/base/gifts.h"
#include "core/base/reserved.h"
#include "core/memory/identity.h"

#include <apr_env.h>
#include <apr_strings.h>
#include <cohort/gift.h>
#include <stdlib.h>
#include <string.h>

/* ---- noted ---------------------------------------------------------------------------------- */

static apr_status_t check_files(const cohort_process_options_t *o) {
    if (o->n_files && !cohort_os_facts()->can_keep_files)
        return cohort__fail(APR_ENOTIMPL,
                            "handles of this system have no numbers for a child to know them by; "
                            "use the option gifts");
    for (apr_size_t i = 0; i < o->n_files; i++) {
        if (o->files[i] < 3)
            return cohort__fail(APR_EINVAL,
                                "files[%" APR_SIZE_T_FMT "] is %d; 0 to 2 are the standard streams",
                                i, o->files[i]);
    }
    return APR_SUCCESS;
}

static apr_status_t check_counts(const cohort_process_options_t *o) {
    if (o->n_files && !o->files)
        return cohort__fail(APR_EINVAL, "files is NULL, n_files is %" APR_SIZE_T_FMT, o->n_files);
    if (o->n_gifts && !o->gifts)
        return cohort__fail(APR_EINVAL, "gifts is NULL, n_gifts is %" APR_SIZE_T_FMT, o->n_gifts);
    if (o->n_files > COHORT__FILES_MAX)
        return cohort__fail(APR_EINVAL, "n_files is %" APR_SIZE_T_FMT, o->n_files);
    if (o->n_gifts > COHORT__FILES_MAX - o->n_files)
        return cohort__fail(APR_EINVAL,
                            "n_gifts is %" APR_SIZE_T_FMT ", with %" APR_SIZE_T_FMT " files",
                            o->n_gifts, o->n_files);
    return check_files(o);
}

/* What APR knows of the socket beyond its descriptor, so that the new process can have it known
 * there. One that is bound to nothing yet has an address of its family, too. */
static apr_status_t note_socket(apr_socket_t *socket, cohort_os_gift_t *noted) {
    apr_os_sock_t handle;
    apr_sockaddr_t *address = NULL;
    apr_interval_time_t timeout = -1;
    int type = 0, protocol = 0;
    apr_status_t status = apr_os_sock_get(&handle, socket);
    if (!status) status = apr_socket_addr_get(&address, APR_LOCAL, socket);
    if (!status) status = apr_socket_type_get(socket, &type);
    if (!status) status = apr_socket_protocol_get(socket, &protocol);
    if (!status) status = apr_socket_timeout_get(socket, &timeout);
    if (status) return status;
    noted->handle = (int64_t)(intptr_t)handle;
    noted->is_socket = true;
    noted->family = address->family;
    noted->type = type;
    noted->protocol = protocol;
    noted->timeout = timeout;
    return APR_SUCCESS;
}

static apr_status_t note_file(apr_file_t *file, cohort_os_gift_t *noted) {
    apr_os_file_t handle;
    apr_status_t status = apr_os_file_get(&handle, file);
    if (!status) noted->handle = (int64_t)(intptr_t)handle;
    return status;
}

/* A number that is closed may be another file's when the process is started. */
static apr_status_t know(cohort_os_gift_t *noted) {
    cohort_os_known_t known = cohort_os_know((cohort_os_handle_t)noted->handle);
    if (known.handle == COHORT_OS_NONE) return APR_EBADF;
    noted->device = known.device;
    noted->file = known.file;
    return APR_SUCCESS;
}

apr_status_t cohort__gifts_check(cohort_process_t *slot) {
    const cohort_os_gift_t *gifts = atomic_load(&slot->files);
    /* those of a service that are numbers are known since its start */
    uint32_t n = atomic_load(&slot->serves) ? slot->n_files : slot->n_gifts;
    for (unsigned i = 0; i < n; i++) {
        cohort_os_known_t now = cohort_os_know((cohort_os_handle_t)gifts[i].handle);
        if (now.handle != COHORT_OS_NONE && now.device == gifts[i].device &&
            now.file == gifts[i].file)
            continue;
        if (gifts[i].numbered)
            return cohort__fail(APR_EBADF, "descriptor %d of the option files has been closed",
                                (int)gifts[i].handle);
        return cohort__fail(APR_EBADF, "gift %u%s%s has been closed", i, *gifts[i].name ? ", " : "",
                            gifts[i].name);
    }
    return APR_SUCCESS;
}

apr_status_t cohort__gift_note(const cohort_gift_t *gift, unsigned i, cohort_os_gift_t *noted) {
    size_t length = gift->name ? strlen(gift->name) : 0;
    apr_status_t status = cohort__check_reserved_at(gift->reserved, 4, "gifts", i);
    if (status) return status;
    if (length >= COHORT_OS_GIFT_NAME || (gift->name && !length))
        return cohort__fail(APR_EINVAL, "gifts[%u].name has %u bytes", i, (unsigned)length);
    memset(noted, 0, sizeof *noted);
    memcpy(noted->name, gift->name ? gift->name : "", length);
    atomic_store(&noted->there, COHORT_OS_NONE);
    if (gift->file) status = note_file(gift->file, noted);
    else if (gift->socket) status = note_socket(gift->socket, noted);
    else noted->handle = (int64_t)(intptr_t)gift->handle;
    if (!status) status = know(noted);
    return status ? cohort__explain(status, "gifts[%u]", i) : APR_SUCCESS;
}

_Static_assert(COHORT_GIFT_NAME_SIZE == COHORT_OS_GIFT_NAME, "the same to both sides");

apr_status_t cohort__gifts_set(cohort_process_t *slot, const cohort_process_options_t *o) {
    cohort__thread_t *me;
    size_t n = o->n_gifts + o->n_files;
    apr_status_t status = check_counts(o);
    if (status || !n) return status;
    status = cohort__enter(&me);
    if (!status)
        status =
            cohort__block_new(me, COHORT__KIND_BYTES, n * sizeof(cohort_os_gift_t), &slot->files);
    if (status) return status;
    cohort_os_gift_t *noted = atomic_load(&slot->files);
    for (unsigned i = 0; i < o->n_gifts && !status; i++) {
        status = cohort__gift_note(&o->gifts[i], i, &noted[i]);
        if (!status && slot->role == COHORT__ROLE_PROGRAM && strchr(noted[i].name, ':'))
            status = cohort__fail(APR_EINVAL, "gifts[%u].name of a program has a colon", i);
    }
    for (size_t i = 0; i < o->n_files; i++)
        noted[o->n_gifts + i] = (cohort_os_gift_t){.handle = o->files[i], .numbered = true};
    slot->n_gifts = (uint32_t)o->n_gifts;
    slot->n_files = (uint32_t)n;
    return status;
}

/* ---- found ---------------------------------------------------------------------------------- */

/* Those of this program, since it runs: what was taken of them stays so when it leaves its cohort
 * and begins another one. */
static struct {
    int64_t pid; /* a copy of the process finds none */
    cohort_os_gift_t *gifts;
    uint32_t count;
} inherited;

/* A number that is not open is as good as taken, as is one that an earlier gift has. */
static bool is_free(int64_t number) {
    for (uint32_t i = 0; i < inherited.count; i++) {
        if (atomic_load(&inherited.gifts[i].there) == number) return false;
    }
    return cohort_os_know((cohort_os_handle_t)number).handle != COHORT_OS_NONE;
}

/* ":NUMBER=NAME" */
static bool read_gift(const char **text, cohort_os_gift_t *gift) {
    char *end;
    if (**text != ':') return false;
    int64_t number = apr_strtoi64(*text + 1, &end, 10);
    size_t length = *end == '=' ? strcspn(++end, ":") : COHORT_OS_GIFT_NAME;
    if (number <= 0 || number > INT32_MAX || length >= COHORT_OS_GIFT_NAME) return false;
    memcpy(gift->name, end, length);
    atomic_store(&gift->there, number);
    atomic_store(&gift->taken, !is_free(number));
    *text = end + length;
    return true;
}

/* "PID:NUMBER=NAME...", where 0 stands for any process. */
static apr_status_t read_gifts(const char *text) {
    char *end;
    uint32_t room = 0;
    int64_t pid = apr_strtoi64(text, &end, 10);
    if (end == text || (pid && pid != inherited.pid)) return APR_SUCCESS;
    for (text = end; *text; text++) room += *text == ':';
    if (!room) return APR_SUCCESS;
    inherited.gifts = calloc(room, sizeof *inherited.gifts);
    if (!inherited.gifts) return cohort__fail(APR_ENOMEM, "noting what this program is given");
    for (text = end; read_gift(&text, &inherited.gifts[inherited.count]);) inherited.count++;
    return APR_SUCCESS;
}

/* The variable means nothing to what this process starts, in whichever way. */
apr_status_t cohort__gifts_find(void) {
    char *text = NULL;
    apr_pool_t *pool;
    int64_t pid = cohort_os_self().pid;
    if (inherited.pid == pid || cohort_os_facts()->privileged) return APR_SUCCESS;
    apr_status_t status = apr_pool_create(&pool, NULL);
    if (status) return status;
    free(inherited.gifts);
    memset(&inherited, 0, sizeof inherited);
    inherited.pid = pid;
    if (!apr_env_get(&text, COHORT__GIFTS, pool)) status = read_gifts(text);
    if (status) inherited.pid = 0;
    else (void)apr_env_delete(COHORT__GIFTS, pool);
    apr_pool_destroy(pool);
    return status;
}

/* ---- taken ---------------------------------------------------------------------------------- */

/* The gifts of this process, which keeps them as long as it runs. */
static apr_status_t own_gifts(cohort_os_gift_t **gifts, uint32_t *count) {
    cohort__thread_t *me;
    apr_status_t status = cohort__enter(&me);
    if (status) return status;
    cohort_process_t *self = cohort__self();
    bool is_root = self->role == COHORT__ROLE_ROOT;
    *gifts = is_root ? inherited.gifts : atomic_load(&self->files);
    *count = is_root ? inherited.count : *gifts ? self->n_gifts : 0;
    return APR_SUCCESS;
}

static apr_status_t find(const char *name, apr_size_t index, cohort_os_gift_t **found) {
    cohort_os_gift_t *gifts;
    uint32_t count, i = 0;
    apr_status_t status = own_gifts(&gifts, &count);
    if (status) return status;
    if (name) { /* an empty one is that of gifts without a name */
        while (i < count && strcmp(gifts[i].name, name) != 0) i++;
        index = *name ? i : count;
    }
    if (index < count) {
        *found = &gifts[index];
        return APR_SUCCESS;
    }
    return name ? cohort__fail(APR_NOTFOUND, "this process has no gift \"%s\"", name)
                : cohort__fail(APR_NOTFOUND, "this process has no gift %" APR_SIZE_T_FMT ", but %u",
                               index, count);
}

/* It is the caller's from here on; put_back_gift() takes that back. */
static apr_status_t take_gift(const char *name, apr_size_t index, cohort_os_gift_t **taken) {
    apr_status_t status = find(name, index, taken);
    if (status) return status;
    if (!atomic_exchange(&(*taken)->taken, 1)) return APR_SUCCESS;
    return cohort__fail(APR_NOTFOUND, "this gift was taken before");
}

static apr_status_t put_back_gift(cohort_os_gift_t *gift, apr_status_t status, const char *what) {
    atomic_store(&gift->taken, 0);
    return cohort__explain(status, "%s", what);
}

static apr_status_t close_file(void *file) { return apr_file_close(file); }

/* APR keeps pipes and files apart, and closes no file by itself that it has not opened. */
apr_status_t cohort__gift_as_file(cohort_os_gift_t *gift, apr_file_t **file, apr_pool_t *pool) {
    apr_os_file_t handle = (apr_os_file_t)(intptr_t)atomic_load(&gift->there);
    apr_finfo_t facts;
    apr_file_t *made = NULL;
    if (gift->is_socket) return cohort__fail(APR_EINVAL, "this gift is a socket");
    apr_status_t status = apr_os_file_put(&made, &handle, APR_FOPEN_READ | APR_FOPEN_WRITE, pool);
    if (status) return status;
    status = apr_file_info_get(&facts, APR_FINFO_TYPE, made);
    if ((status == APR_SUCCESS || status == APR_INCOMPLETE) && facts.filetype == APR_PIPE)
        return apr_os_pipe_put_ex(file, &handle, 1, pool);
    apr_pool_cleanup_register(pool, made, close_file, apr_pool_cleanup_null);
    *file = made;
    return APR_SUCCESS;
}

static apr_status_t gift_file(apr_file_t **file, const char *name, apr_size_t index,
                              apr_pool_t *pool) {
    cohort_os_gift_t *gift;
    if (!file || !pool) return cohort__null(file ? "pool" : "file");
    apr_status_t status = take_gift(name, index, &gift);
    if (status) return status;
    status = cohort__gift_as_file(gift, file, pool);
    return status ? put_back_gift(gift, status, "having a gift as a file") : APR_SUCCESS;
}

apr_status_t cohort_gift_file(apr_file_t **file, const char *name, apr_size_t index,
                              apr_pool_t *pool) {
    return COHORT__CALL(gift_file(file, name, index, pool));
}

apr_status_t cohort__gift_as_socket(cohort_os_gift_t *gift, apr_socket_t **socket,
                                    apr_pool_t *pool) {
    apr_os_sock_t handle = (apr_os_sock_t)atomic_load(&gift->there);
    apr_os_sock_info_t info = {.os_sock = &handle,
                               .family = gift->is_socket ? gift->family : APR_INET,
                               .type = gift->is_socket ? gift->type : SOCK_STREAM,
                               .protocol = gift->protocol};
    apr_status_t status = apr_os_sock_make(socket, &info, pool);
    return status || !gift->is_socket ? status : apr_socket_timeout_set(*socket, gift->timeout);
}

static apr_status_t gift_socket(apr_socket_t **socket, const char *name, apr_size_t index,
                                apr_pool_t *pool) {
    cohort_os_gift_t *gift;
    if (!socket || !pool) return cohort__null(socket ? "pool" : "socket");
    apr_status_t status = take_gift(name, index, &gift);
    if (status) return status;
    status = cohort__gift_as_socket(gift, socket, pool);
    return status ? put_back_gift(gift, status, "having a gift as a socket") : APR_SUCCESS;
}

apr_status_t cohort_gift_socket(apr_socket_t **socket, const char *name, apr_size_t index,
                                apr_pool_t *pool) {
    return COHORT__CALL(gift_socket(socket, name, index, pool));
}

static apr_status_t gift_handle(apr_os_file_t *handle, const char *name, apr_size_t index) {
    cohort_os_gift_t *gift;
    if (!handle) return cohort__null("handle");
    apr_status_t status = take_gift(name, index, &gift);
    if (!status) *handle = (apr_os_file_t)(intptr_t)atomic_load(&gift->there);
    return status;
}

apr_status_t cohort_gift_handle(apr_os_file_t *handle, const char *name, apr_size_t index) {
    return COHORT__CALL(gift_handle(handle, name, index));
}

apr_size_t cohort_gift_count(void) {
    cohort_os_gift_t *gifts;
    uint32_t count;
    return own_gifts(&gifts, &count) ? 0 : count;
}
