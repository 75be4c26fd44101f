/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleeping on a word with nothing but POSIX threads, for systems without a futex that processes can share.
 *
 * Guarantee: a killed sleeper or waker harms nobody else; at worst one sleeper sleeps until its deadline, which callers keep short.
 *
 * Each sleeping thread owns an entry of a table in the arena: the word it sleeps on, and a robust mutex and a condition that nobody
 * else ever waits for. A waker looks for entries with its word. It first takes the entry's `waker` place, then clears the word by
 * compare-and-swap, and only the one who cleared it signals: so a condition has at most one waiter and one signal per sleep, and none of
 * them can be left in the middle of another's episode. A dead sleeper spoils its own entry only, which is made anew when it is
 * claimed again, and that only while `waker` is free, since remaking a mutex under a waker's feet would corrupt its list of robust mutexes.
 *
 * Killed while it waits, a sleeper leaves its word in the entry: wakers may spend a wake-up on it until cohort_os_park_forget() is
 * called for its process. Cohort's sleepers look again by themselves.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#define ENTRIES 4096u
#define STEAL_NS ((int64_t)2000000) /* a sleeper that does not let go of its mutex for so long is stopped or dead */

typedef struct {
    _Alignas(64) _Atomic uint64_t owner; /* pid << 32 | low half of the birth; 0 = free */
    _Atomic uint64_t word;               /* address slept on; 0 = awake */
    _Atomic uint64_t waker;              /* who is signalling, as owner */
    pthread_mutex_t mutex;
    pthread_cond_t condition;
} entry_t;

typedef struct {
    _Atomic uint32_t used; /* entries ever claimed */
    entry_t entries[ENTRIES];
} table_t;

static table_t *table;
static _Atomic uint64_t my_process;
static _Thread_local entry_t *mine;
static pthread_key_t at_exit;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint64_t compact(cohort_os_id_t id) { return (uint64_t)id.pid << 32 | (uint32_t)id.birth; }

static void let_go(void *entry) {
    atomic_store(&((entry_t *)entry)->owner, 0);
    mine = NULL;
}

static void forked(void) {
    mine = NULL; /* the parent's */
    pthread_setspecific(at_exit, NULL);
    atomic_store(&my_process, 0);
}

static void prepare(void) {
    pthread_key_create(&at_exit, let_go);
    pthread_atfork(NULL, NULL, forked);
}

size_t cohort_os_park_region_size(void) { return sizeof(table_t); }

apr_status_t cohort_os_park_setup(void *region, bool fresh) {
    (void)fresh; /* all zero is a table without entries */
    pthread_once(&once, prepare);
    table = region;
    atomic_store(&my_process, compact(cohort_os_self()));
    return APR_SUCCESS;
}

static uint64_t who(void) {
    uint64_t me = atomic_load(&my_process);
    if (me) return me;
    me = compact(cohort_os_self());
    atomic_store(&my_process, me);
    return me;
}

static bool remake(entry_t *entry) {
    pthread_mutexattr_t mutex;
    pthread_condattr_t condition;
    memset((void *)&entry->mutex, 0, sizeof entry->mutex);
    memset((void *)&entry->condition, 0, sizeof entry->condition);
    pthread_mutexattr_init(&mutex);
    pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&mutex, PTHREAD_MUTEX_ROBUST);
    pthread_condattr_init(&condition);
    pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED);
    pthread_condattr_setclock(&condition, CLOCK_MONOTONIC);
    bool made = pthread_mutex_init(&entry->mutex, &mutex) == 0 && pthread_cond_init(&entry->condition, &condition) == 0;
    pthread_mutexattr_destroy(&mutex);
    pthread_condattr_destroy(&condition);
    return made;
}

static bool claim(entry_t *entry) {
    uint64_t nobody = 0;
    if (!atomic_compare_exchange_strong(&entry->owner, &nobody, who())) return false;
    atomic_store(&entry->word, 0); /* before looking at `waker`: whoever takes that place from now on finds no word to clear */
    if (atomic_load(&entry->waker) == 0 && remake(entry)) return true;
    atomic_store(&entry->owner, 0);
    return false;
}

static void raise_used(uint32_t count) {
    uint32_t used = atomic_load(&table->used);
    while (used < count && !atomic_compare_exchange_weak(&table->used, &used, count)) continue;
}

static entry_t *my_entry(void) {
    for (uint32_t i = 0; !mine && i < ENTRIES; ++i) {
        raise_used(i + 1); /* before the claim, so that no claimed entry is ever out of the wakers' sight */
        if (claim(&table->entries[i])) mine = &table->entries[i];
    }
    if (mine) pthread_setspecific(at_exit, mine);
    return mine;
}

static bool lock_until(entry_t *entry, int64_t deadline) {
    int error;
    while ((error = pthread_mutex_trylock(&entry->mutex)) == EBUSY) {
        if (cohort_os_now() > deadline) return false;
        sched_yield();
    }
    if (error == EOWNERDEAD) error = pthread_mutex_consistent(&entry->mutex);
    return error == 0;
}

/* No entry is free, or ours is spoiled: look again a little later. */
static apr_status_t nap(_Atomic uint32_t *word, uint32_t expected, int64_t deadline) {
    struct timespec pause = {0, 1000000};
    if (cohort_os_now() >= deadline) return APR_TIMEUP;
    if (atomic_load(word) == expected) nanosleep(&pause, NULL);
    return APR_SUCCESS;
}

static int sleep_in(entry_t *entry, int64_t deadline) {
    struct timespec until = cohort__timespec(deadline);
    int error = 0;
    while (error == 0 && atomic_load(&entry->word) != 0)
        error = deadline == COHORT_OS_NEVER ? pthread_cond_wait(&entry->condition, &entry->mutex)
                                            : pthread_cond_timedwait(&entry->condition, &entry->mutex, &until);
    if (error == EOWNERDEAD) error = pthread_mutex_consistent(&entry->mutex); /* the waker died; its signal counts */
    return error;
}

apr_status_t cohort_os_park(_Atomic uint32_t *word, uint32_t expected, int64_t deadline) {
    entry_t *entry = my_entry();
    if (!entry || !lock_until(entry, cohort_os_now() + STEAL_NS)) return nap(word, expected, deadline);
    atomic_store(&entry->word, (uint64_t)(uintptr_t)word);
    int error = atomic_load(word) == expected ? sleep_in(entry, deadline) : 0;
    bool woken = atomic_exchange(&entry->word, 0) == 0;
    pthread_mutex_unlock(&entry->mutex);
    return error == ETIMEDOUT && !woken ? APR_TIMEUP : APR_SUCCESS;
}

static bool take_waker(entry_t *entry, uint64_t address) {
    int64_t deadline = 0;
    for (;;) {
        uint64_t nobody = 0;
        if (atomic_compare_exchange_strong(&entry->waker, &nobody, who())) return true;
        if (atomic_load(&entry->word) != address) return false;
        if (!deadline) deadline = cohort_os_now() + STEAL_NS;
        if (cohort_os_now() > deadline) return false; /* its waker is stopped or dead; the sleeper looks again by itself */
        sched_yield();
    }
}

static bool wake_entry(entry_t *entry, uint64_t address) {
    if (!take_waker(entry, address)) return false;
    bool cleared = atomic_compare_exchange_strong(&entry->word, &(uint64_t){address}, 0);
    if (cleared && lock_until(entry, cohort_os_now() + STEAL_NS)) {
        pthread_cond_signal(&entry->condition);
        pthread_mutex_unlock(&entry->mutex);
    }
    atomic_store(&entry->waker, 0);
    return cleared;
}

int cohort_os_wake(_Atomic uint32_t *word, int count) {
    if (!table) return 0;
    uint64_t address = (uint64_t)(uintptr_t)word;
    uint32_t used = atomic_load(&table->used);
    int woken = 0;
    for (uint32_t i = 0; i < used && woken < count; ++i) {
        entry_t *entry = &table->entries[i];
        if (atomic_load(&entry->word) == address && wake_entry(entry, address)) ++woken;
    }
    return woken;
}

void cohort_os_park_forget(cohort_os_id_t dead) {
    if (!table) return;
    uint64_t corpse = compact(dead);
    uint32_t used = atomic_load(&table->used);
    for (uint32_t i = 0; i < used; ++i) {
        entry_t *entry = &table->entries[i];
        atomic_compare_exchange_strong(&entry->waker, &(uint64_t){corpse}, 0);
        if (atomic_load(&entry->owner) != corpse) continue;
        atomic_store(&entry->word, 0);
        atomic_compare_exchange_strong(&entry->owner, &(uint64_t){corpse}, 0);
    }
}
