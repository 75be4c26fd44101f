/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles that go from one process to any other while both run. The sender keeps a copy, which the
 * back end lets other processes fetch, and notes it in a table of the arena; what travels in the
 * user's messages is a few words that name the entry. So a message needs to know nothing of what it
 * carries, and it arrives also when the sender has ended and the handle with it.
 *
 * Guarantee: a parcel is taken once, and what is not taken is closed: when it is discarded, when
 * its time is over, or with its sender. How: one word of the entry says which parcel it is, by a
 * number that the next one there does not have, which process sends it, and how far it is; each
 * step is one compare-and-swap of that word, so it has been done or not when a process dies. A
 * taker has its own copy first and then steps from OFFERED to TAKEN, which one taker does, and none
 * after a discard; the others close theirs. The winner has the sender's copy closed, and frees the
 * entry. If it dies before, the sender does that when it looks; the entries of a dead sender are
 * freed by the repair of its death.
 */
#include "core/process/parcel.h"

#include "core/process/process.h"

#include "core/memory/park.h"

#include <cohort/gift.h>
#include <string.h>

#define PARCELS_MAX COHORT__PARCELS_MAX
#define TEND_EVERY  64 /* parcels: a look for those that were taken by processes that have died */

/* The number has 28 bits, the sender 34: the low ones of its id, by which it differs from each
 * process of a million before and after it in its slot. */
#define STATE_BITS  2
#define SLOT_BITS   14
#define SENDER_BITS 34
_Static_assert(COHORT__PROCESSES_MAX <= 1u << SLOT_BITS, "the number of a slot has room");

static uint64_t tag_of(cohort__pid_t sender) {
    uint64_t tag = cohort__pid_generation(sender) << SLOT_BITS | cohort__pid_slot(sender);
    return tag & (((uint64_t)1 << SENDER_BITS) - 1);
}
static uint64_t word_of(uint64_t number, uint64_t tag, unsigned state) {
    return number << (SENDER_BITS + STATE_BITS) | tag << STATE_BITS | state;
}
static uint64_t number_of(uint64_t word) { return word >> (SENDER_BITS + STATE_BITS); }
static bool is_sent_by(uint64_t word, cohort__pid_t sender) {
    uint64_t tag = word >> STATE_BITS & (((uint64_t)1 << SENDER_BITS) - 1);
    return cohort__parcel_state(word) != COHORT__PARCEL_ABSENT && tag == tag_of(sender);
}
/* The same parcel, that far. */
static uint64_t word_with(uint64_t word, unsigned state) { return (word & ~(uint64_t)3) | state; }

/* ---- an entry goes -------------------------------------------------------------------------- */

static bool free_parcel(cohort__parcel_t *parcel, uint64_t word) {
    uint64_t free = word_of(number_of(word), 0, COHORT__PARCEL_ABSENT);
    return atomic_compare_exchange_strong(&parcel->word, &word, free);
}

/* By the sender: no process takes it any more. The offer is read first, while it is there. */
static bool withdraw(cohort__parcel_t *parcel, uint64_t word) {
    cohort_os_offer_t offer = parcel->offer;
    if (!free_parcel(parcel, word)) return false;
    cohort_os_offer_end(&offer, cohort__parcel_state(word) == COHORT__PARCEL_TAKEN);
    return true;
}

void cohort__parcels_tend(void) {
    int64_t now = cohort_os_now(), next = COHORT_OS_NEVER;
    uint32_t count = cohort__arena ? atomic_load(&cohort__arena->parcels) : 0;
    for (uint32_t i = 0; i < count; i++) {
        cohort__parcel_t *parcel = cohort__parcel_at(i);
        uint64_t word = atomic_load(&parcel->word);
        unsigned state = cohort__parcel_state(word);
        if (!is_sent_by(word, cohort__self_id()) || state == COHORT__PARCEL_MADE) continue;
        int64_t expires = atomic_load(&parcel->expires);
        if (expires <= now || state == COHORT__PARCEL_TAKEN) (void)withdraw(parcel, word);
        else if (expires < next) next = expires;
    }
    if (next != COHORT_OS_NEVER) cohort__watcher_alarm(next);
}

void cohort__parcels_repair(cohort__pid_t dead) {
    uint32_t count = atomic_load(&cohort__arena->parcels);
    for (uint32_t i = 0; i < count; i++) {
        cohort__parcel_t *parcel = cohort__parcel_at(i);
        uint64_t word = atomic_load(&parcel->word);
        while (is_sent_by(word, dead) && !free_parcel(parcel, word))
            word = atomic_load(&parcel->word);
    }
}

/* ---- sending -------------------------------------------------------------------------------- */

/* The table is made usable when the first parcel is sent. */
static apr_status_t have_table(void) {
    if (atomic_load(&cohort__arena->parcels)) return APR_SUCCESS;
    apr_status_t status =
        cohort__arena_commit(cohort__parcel_at(0), (size_t)PARCELS_MAX * COHORT__PARCEL_SIZE);
    if (!status) atomic_store(&cohort__arena->parcels, PARCELS_MAX);
    return status;
}

/* One that is free, under its next number. */
static apr_status_t claim_parcel(uint64_t *index, uint64_t *word) {
    uint32_t from = atomic_fetch_add(&cohort__arena->next_parcel, 1);
    for (uint32_t i = 0; i < PARCELS_MAX; i++) {
        *index = (from + i) % PARCELS_MAX;
        cohort__parcel_t *parcel = cohort__parcel_at(*index);
        uint64_t free = atomic_load(&parcel->word);
        *word = word_of(number_of(free) + 1, tag_of(cohort__self_id()), COHORT__PARCEL_MADE);
        if (cohort__parcel_state(free) == COHORT__PARCEL_ABSENT &&
            atomic_compare_exchange_strong(&parcel->word, &free, *word))
            return APR_SUCCESS;
    }
    return cohort__fail(COHORT_ELIMIT, "%u parcels are on their way", PARCELS_MAX);
}

static apr_status_t offer(const cohort_gift_t *gift, int64_t expires, cohort_parcel_t *sent) {
    uint64_t index, word;
    cohort_os_gift_t noted;
    apr_status_t status = cohort__gift_note(gift, 0, &noted);
    if (!status) status = have_table();
    if (!status) status = claim_parcel(&index, &word);
    if (status) return status;
    if (index % TEND_EVERY == 0) cohort__parcels_tend();
    cohort__parcel_t *parcel = cohort__parcel_at(index);
    status = cohort_os_offer_make((cohort_os_handle_t)noted.handle, &parcel->offer);
    if (status) {
        (void)free_parcel(parcel, word);
        return status;
    }
    parcel->gift = noted;
    atomic_store(&parcel->expires, expires);
    word = word_with(word, COHORT__PARCEL_OFFERED);
    atomic_store(&parcel->word, word);
    *sent = (cohort_parcel_t){{index, word, cohort__self_id(), 0}};
    return APR_SUCCESS;
}

static apr_status_t gift_send(cohort_parcel_t *parcel, const cohort_gift_t *gift,
                              apr_interval_time_t lifetime) {
    cohort__thread_t *me;
    int64_t expires = lifetime < 0 ? COHORT_OS_NEVER : cohort__deadline(lifetime);
    if (!parcel || !gift) return cohort__null(parcel ? "gift" : "parcel");
    apr_status_t status = cohort__enter(&me);
    if (!status && expires != COHORT_OS_NEVER) status = cohort__watcher_begin();
    if (!status) status = offer(gift, expires, parcel);
    if (!status && expires != COHORT_OS_NEVER) cohort__watcher_alarm(expires);
    return status;
}

apr_status_t cohort_gift_send(cohort_parcel_t *parcel, const cohort_gift_t *gift,
                              apr_interval_time_t lifetime) {
    return COHORT__CALL(gift_send(parcel, gift, lifetime));
}

/* ---- taking --------------------------------------------------------------------------------- */

typedef struct {
    cohort__parcel_t *parcel;
    uint64_t word; /* as long as it may be taken */
    cohort__pid_t sender;
} aim_t;

static apr_status_t aim_at(const cohort_parcel_t *parcel, aim_t *aim) {
    cohort__thread_t *me;
    if (!parcel) return cohort__null("parcel");
    apr_status_t status = cohort__enter(&me);
    if (status) return status;
    if (parcel->word[0] >= atomic_load(&cohort__arena->parcels) || parcel->word[3])
        return cohort__fail(COHORT_EHANDLE, "this is no parcel");
    aim->parcel = cohort__parcel_at(parcel->word[0]);
    aim->word = word_with(parcel->word[1], COHORT__PARCEL_OFFERED);
    aim->sender = parcel->word[2];
    return APR_SUCCESS;
}

static apr_status_t parcel_lost(const aim_t *aim) {
    if (!cohort__process_alive(aim->sender, true))
        return cohort__fail(COHORT_EOWNERDEAD, "the sender of this parcel has ended");
    return cohort__fail(APR_NOTFOUND, "this parcel has been taken or discarded, or is too old");
}

static bool win(void *arg) {
    aim_t *aim = arg;
    uint64_t word = aim->word;
    return atomic_compare_exchange_strong(&aim->parcel->word, &word,
                                          word_with(word, COHORT__PARCEL_TAKEN));
}

/* What is read of the entry is of this parcel if the parcel is there still after that. */
static apr_status_t take_parcel(const cohort_parcel_t *parcel, apr_interval_time_t timeout,
                                cohort_os_gift_t *taken) {
    aim_t aim = {0};
    cohort_os_handle_t handle;
    bool told = false;
    apr_status_t status = aim_at(parcel, &aim);
    if (!aim.parcel) return status;
    cohort_os_offer_t offered = aim.parcel->offer;
    *taken = aim.parcel->gift;
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load(&aim.parcel->word) != aim.word ||
        atomic_load(&aim.parcel->expires) <= cohort_os_now())
        return parcel_lost(&aim);
    cohort_process_t *sender = cohort__process_find(aim.sender);
    if (!sender) return parcel_lost(&aim);
    status = cohort_os_offer_fetch(&offered, cohort__process_os(sender), cohort__deadline(timeout),
                                   win, &aim, &handle, &told);
    if (APR_STATUS_IS_EOF(status) || status == APR_NOTFOUND) return parcel_lost(&aim);
    if (status) return cohort__explain(status, "taking a parcel from its sender");
    /* else the sender finds it, and closes what it has kept */
    if (told) (void)free_parcel(aim.parcel, word_with(aim.word, COHORT__PARCEL_TAKEN));
    atomic_store(&taken->there, (int64_t)handle);
    return APR_SUCCESS;
}

/* It has been taken, so it is gone where it is no file or socket to APR. */
static apr_status_t kept_if(cohort_os_gift_t *gift, apr_status_t status) {
    if (status) cohort_os_close((cohort_os_handle_t)atomic_load(&gift->there));
    return status;
}

apr_status_t cohort_parcel_file(apr_file_t **file, const cohort_parcel_t *parcel,
                                apr_interval_time_t timeout, apr_pool_t *pool) {
    cohort_os_gift_t gift;
    if (!file || !pool) return COHORT__CALL(cohort__null(file ? "pool" : "file"));
    apr_status_t status = take_parcel(parcel, timeout, &gift);
    if (!status) status = kept_if(&gift, cohort__gift_as_file(&gift, file, pool));
    return COHORT__CALL(status);
}

apr_status_t cohort_parcel_socket(apr_socket_t **socket, const cohort_parcel_t *parcel,
                                  apr_interval_time_t timeout, apr_pool_t *pool) {
    cohort_os_gift_t gift;
    if (!socket || !pool) return COHORT__CALL(cohort__null(socket ? "pool" : "socket"));
    apr_status_t status = take_parcel(parcel, timeout, &gift);
    if (!status) status = kept_if(&gift, cohort__gift_as_socket(&gift, socket, pool));
    return COHORT__CALL(status);
}

apr_status_t cohort_parcel_handle(apr_os_file_t *handle, const cohort_parcel_t *parcel,
                                  apr_interval_time_t timeout) {
    cohort_os_gift_t gift;
    if (!handle) return COHORT__CALL(cohort__null("handle"));
    apr_status_t status = take_parcel(parcel, timeout, &gift);
    if (!status) *handle = (apr_os_file_t)(intptr_t)atomic_load(&gift.there);
    return COHORT__CALL(status);
}

/* What the sender has kept can be closed there alone. */
static apr_status_t parcel_discard(const cohort_parcel_t *parcel) {
    aim_t aim = {0};
    apr_status_t status = aim_at(parcel, &aim);
    if (!aim.parcel) return status;
    if (aim.sender != cohort__self_id())
        return cohort__fail(COHORT_ENOTOWNER, "this parcel was sent by another process");
    return withdraw(aim.parcel, aim.word) ? APR_SUCCESS : parcel_lost(&aim);
}

apr_status_t cohort_parcel_discard(const cohort_parcel_t *parcel) {
    return COHORT__CALL(parcel_discard(parcel));
}
