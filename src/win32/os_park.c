/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleeping on a word. WaitOnAddress() does not reach across processes, so each sleeping thread owns
 * an entry of a table behind the arena, which says on which word it sleeps, and an event of the
 * system that belongs to the entry.
 *
 *   sleeper: entry.word = word; if *word still has the expected value, wait for the event;
 *   entry.word = none
 *   waker:   (the word was changed) look through the entries; for each that names the word: take
 *            the name away, set the event
 *
 * Both sides' first store comes before their load in the one total order of sequentially consistent
 * operations, so either the waker sees the sleeper's entry or the sleeper sees the changed word. A
 * waker counts a sleeper only if it took the name away itself, so two wakers never count one
 * sleeper twice. A sleeper that dies keeps its name in the table until cohort_os_park_forget(); a
 * waker that dies between its two steps leaves one sleeper to its next look around, which is at
 * most a second away (core/memory/park.c). An event that is set too late wakes the entry's next
 * sleep for no reason, which is allowed.
 *
 * Events are found by name: a random number of the cohort and the entry's index. Each process opens
 * those that it meets and keeps them; the names go with the last handle. Names and owners lie
 * densely, so that a waker looks at eight sleepers in a cache line.
 */
#include "os_win32.h"

#include <bcrypt.h>
#include <stdio.h>

#define ENTRIES 16384u

typedef struct {
    uint64_t cohort[2];    /* names of events begin with this */
    _Atomic uint32_t used; /* entries that were ever owned */
    uint32_t reserved[11];
    _Atomic uint64_t word[ENTRIES];  /* address slept on, or 0 */
    _Atomic uint64_t owner[ENTRIES]; /* key of the process, or 0 */
} region_t;

static region_t *region;
static uint64_t own_key;
static DWORD slot = FLS_OUT_OF_INDEXES; /* this thread's entry + 1 */
static _Atomic(HANDLE) events[ENTRIES];
/* where the next look through the table begins, so that no waiter is always last */
static _Atomic uint32_t turn;

/* Differs between any two processes that could meet in the table: pid, and the fast half of the
 * time of birth. */
static uint64_t key_of(cohort_os_id_t process) {
    return process.birth << 32 | (uint32_t)process.pid;
}

_Static_assert(sizeof(region_t) <= COHORT__PARK_BYTES, "there is room for it behind the arena");

static void WINAPI thread_gone(void *mark) {
    uint32_t index = (uint32_t)(uintptr_t)mark;
    region_t *table = region;
    if (!index || !table) return;
    atomic_store(&table->word[index - 1], 0);
    atomic_store(&table->owner[index - 1], 0);
}

apr_status_t cohort__park_begin(void *memory, bool fresh) {
    region_t *table = memory;
    if (fresh && BCryptGenRandom(NULL, (PUCHAR)table->cohort, sizeof table->cohort,
                                 BCRYPT_USE_SYSTEM_PREFERRED_RNG) < 0) {
        return APR_EGENERAL;
    }
    if (slot == FLS_OUT_OF_INDEXES) slot = FlsAlloc(thread_gone);
    if (slot == FLS_OUT_OF_INDEXES) return APR_ENOMEM;
    own_key = key_of(cohort_os_self());
    region = table;
    return APR_SUCCESS;
}

void cohort__park_end(const void *memory) {
    if (region != memory) return;
    cohort_os_park_forget(cohort_os_self());
    region = NULL;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        HANDLE event = atomic_exchange(&events[i], NULL);
        if (event) CloseHandle(event);
    }
    FlsFree(slot); /* threads that slept here own no entry of a next arena */
    slot = FLS_OUT_OF_INDEXES;
}

/* The entry's event; made when `make`, else only found. */
static HANDLE event_of(uint32_t index, bool make) {
    wchar_t name[COHORT__EVENT_NAME];
    HANDLE event = atomic_load(&events[index]), none = NULL;
    if (event) return event;
    _snwprintf(name, COHORT__EVENT_NAME, L"Local\\cohort-%016llx%016llx-%u",
               (unsigned long long)region->cohort[0], (unsigned long long)region->cohort[1], index);
    event = make ? CreateEventW(cohort__own_security(), FALSE, FALSE, name)
                 : OpenEventW(EVENT_MODIFY_STATE | SYNCHRONIZE, FALSE, name);
    if (!event) return NULL;
    if (atomic_compare_exchange_strong(&events[index], &none, event)) return event;
    CloseHandle(event);
    return none;
}

static bool claim(uint32_t index) {
    uint64_t nobody = 0;
    if (atomic_load(&region->owner[index]) != 0) return false;
    if (!atomic_compare_exchange_strong(&region->owner[index], &nobody, own_key)) return false;
    uint32_t used = atomic_load(&region->used);
    while (used <= index && !atomic_compare_exchange_weak(&region->used, &used, index + 1))
        continue;
    return true;
}

/* This thread's entry, claimed at its first sleep; false when the table is full. */
static bool own_entry(uint32_t *index) {
    uintptr_t known = (uintptr_t)FlsGetValue(slot);
    for (uint32_t i = 0; !known && i < ENTRIES; i++) {
        if (!claim(i)) continue;
        known = (uintptr_t)i + 1;
        FlsSetValue(slot, (void *)known);
    }
    *index = (uint32_t)(known - 1);
    return known != 0;
}

/* True: the event came; false: the time is over. */
static bool wait_event(HANDLE event, int64_t deadline) {
    for (;;) {
        if (WaitForSingleObject(event, cohort__milliseconds(deadline)) != WAIT_TIMEOUT) return true;
        if (cohort_os_now() >= deadline) return false;
    }
}

apr_status_t cohort_os_park(_Atomic uint32_t *word, uint32_t expected, int64_t deadline) {
    uint32_t index;
    bool woken = true;
    if (!own_entry(&index)) {
        Sleep(1); /* more sleepers than entries: then it is "for no reason" */
        return APR_SUCCESS;
    }
    HANDLE event = event_of(index, true);
    if (!event) return cohort__last_error();
    atomic_store(&region->word[index], (uint64_t)(uintptr_t)word);
    if (atomic_load(word) == expected) woken = wait_event(event, deadline);
    /* a waker has counted this sleeper */
    bool taken = atomic_exchange(&region->word[index], 0) == 0;
    return woken || taken ? APR_SUCCESS : APR_TIMEUP;
}

static bool wake_entry(uint32_t index, uint64_t name) {
    uint64_t expected = name;
    if (atomic_load(&region->word[index]) != name) return false;
    HANDLE event = event_of(index, false);
    if (!event || !atomic_compare_exchange_strong(&region->word[index], &expected, 0)) return false;
    SetEvent(event);
    return true;
}

int cohort_os_wake(_Atomic uint32_t *word, int count) {
    uint32_t used = atomic_load(&region->used);
    uint32_t first = used ? atomic_load_explicit(&turn, memory_order_relaxed) % used : 0;
    int woken = 0;
    for (uint32_t i = 0; i < used && woken < count; i++) {
        uint32_t index = first + i < used ? first + i : first + i - used;
        if (!wake_entry(index, (uint64_t)(uintptr_t)word)) continue;
        woken++;
        atomic_store_explicit(&turn, index + 1, memory_order_relaxed);
    }
    return woken;
}

void cohort_os_park_forget(cohort_os_id_t dead) {
    uint32_t used = region ? atomic_load(&region->used) : 0;
    for (uint32_t i = 0; i < used; i++) {
        if (atomic_load(&region->owner[i]) != key_of(dead)) continue;
        atomic_store(&region->word[i], 0);
        atomic_store(&region->owner[i], 0);
    }
}
