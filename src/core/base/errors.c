/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Statuses in words, and each thread's last error.
 *
 * A thread has two places for words: in one is the last error, in the other what is being said of a
 * failure under way, which becomes the last error when a public call returns its status, by
 * exchanging the two. The sentence is put together when the program asks for it, so a poll that
 * finds nothing costs a few stores. All of it is small and thread-local and never allocated: also a
 * thread that is out of memory, has no record in the arena or lives in a copy of the process is
 * told what went wrong. (Small, because a library that is loaded at run time gets its thread-local
 * memory from a reserve of about 1.5 KB, which all such libraries share.)
 */
#define COHORT__ERRORS
#include "core/base/fail.h"

#include <apr_strings.h>
#include <cohort/errors.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* ---- statuses ------------------------------------------------------------------------------- */

typedef struct {
    apr_status_t status;
    const char *name, *message;
} entry_t;

static const entry_t entries[] = {
#define ENTRY(name, offset, message) {name, #name, message},
    COHORT_ERROR_LIST(ENTRY)
#undef ENTRY
};

static const entry_t *find_entry(apr_status_t status) {
    for (apr_size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        if (entries[i].status == status) return &entries[i];
    }
    return NULL;
}

char *cohort_strerror(apr_status_t status, char *buffer, apr_size_t size) {
    const entry_t *entry = find_entry(status);
    if (!buffer || size == 0) return buffer;
    if (!entry) return apr_strerror(status, buffer, size);
    apr_cpystrn(buffer, entry->message, size);
    return buffer;
}

const char *cohort_error_name(apr_status_t status) {
    const entry_t *entry = find_entry(status);
    return entry ? entry->name : NULL;
}

/* ---- saying --------------------------------------------------------------------------------- */

typedef struct {
    apr_status_t status;
    char text[COHORT__REASON_MAX];
} words_t;

static _Thread_local struct {
    words_t words[2];
    const char *call;   /* that failed last; NULL: none has */
    unsigned char last; /* the place of the last error */
    bool whole;         /* its sentence has been put together */
} thread;

static words_t *under_way(void) { return &thread.words[!thread.last]; }

static void say(apr_status_t status, const char *format, va_list args) {
    char text[COHORT__REASON_MAX];
    words_t *words = under_way();
    vsnprintf(text, sizeof text, format, args);
    words->status = status;
    memcpy(words->text, text, sizeof text);
}

apr_status_t cohort__fail(apr_status_t status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    say(status, format, args);
    va_end(args);
    return status;
}

apr_status_t cohort__explain(apr_status_t status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    if (!*cohort__reason(status)) say(status, format, args);
    va_end(args);
    return status;
}

apr_status_t cohort__null(const char *name) { return cohort__fail(APR_EINVAL, "%s is NULL", name); }

const char *cohort__reason(apr_status_t status) {
    const words_t *words = under_way();
    return words->status == status ? words->text : "";
}

char *cohort__describe(apr_status_t status, char *text, size_t size) {
    char message[160];
    const char *said = cohort__reason(status);
    cohort_strerror(status, message, sizeof message);
    apr_snprintf(text, size, "%s%s%s", said, *said ? ": " : "", message);
    return text;
}

void cohort__forget(void) { under_way()->status = APR_SUCCESS; }

apr_status_t cohort__call_failed(const char *call, apr_status_t status) {
    words_t *words = under_way();
    if (words->status != status) words->text[0] = 0;
    words->status = status;
    thread.last = !thread.last;
    thread.call = call;
    thread.whole = false;
    cohort__forget();
    return status;
}

/* ---- asking --------------------------------------------------------------------------------- */

/* The kind of object that a call is about: the second word of its name. */
static void noun(const char *call, char *text, size_t size) {
    const char *word = strchr(call, '_'), *end = word ? strchr(word + 1, '_') : NULL;
    if (!end) apr_cpystrn(text, "object", size);
    else if (!strncmp(word, "_rlock_", 7)) apr_cpystrn(text, "recursive lock", size);
    else snprintf(text, size, "%.*s", (int)(end - word - 1), word + 1);
}

/* What a status means for a call that has said nothing more of it. */
static void plain(const char *call, apr_status_t status, char *text, size_t size) {
    char object[32];
    noun(call, object, sizeof object);
    if (status == COHORT_EHANDLE)
        snprintf(text, size, "not a live %s (destroyed, or never one)", object);
    else if (status == COHORT_ECLOSED) snprintf(text, size, "the %s is closed", object);
    else if (status == APR_EINVAL) snprintf(text, size, "the %s is NULL", object);
    else if (APR_STATUS_IS_EAGAIN(status)) snprintf(text, size, "the call would have had to wait");
    else if (APR_STATUS_IS_TIMEUP(status)) snprintf(text, size, "the time-out ran out");
    else if (APR_STATUS_IS_EOF(status))
        snprintf(text, size, "the other side is gone, and nothing of it is left to read");
    else cohort_strerror(status, text, size);
}

/* "call: what was said: message". What was said gives way when there is not room for all. */
static void put_together(words_t *words) {
    char said[COHORT__REASON_MAX], message[160];
    memcpy(said, words->text, sizeof said);
    if (*said) cohort_strerror(words->status, message, sizeof message);
    else plain(thread.call, words->status, message, sizeof message);
    int room = (int)(sizeof said - strlen(thread.call) - strlen(message) - sizeof ": ...: ");
    const char *cut = (int)strlen(said) > room ? "..." : "";
    apr_snprintf(words->text, sizeof words->text, "%s: %.*s%s%s%s", thread.call, room, said, cut,
                 *said ? ": " : "", message);
}

const char *cohort_last_error(void) {
    words_t *words = &thread.words[thread.last];
    if (!thread.call) return "";
    if (!thread.whole) put_together(words);
    thread.whole = true;
    return words->text;
}
