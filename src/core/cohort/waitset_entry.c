/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The entries of a wait set. All that is known of most of them is that they were not ready after
 * their event counts had been shared: whatever changes them since then is in the news (news.h),
 * under a key of the event count, and makes them candidates. A look is at the candidates alone. One
 * that is found ready stays a candidate, since the thread that takes what it has tells nobody of
 * that; one that is not, is shared, looked at again, and is none any more.
 *
 * So a wait costs what became ready since the last one, and not what the set has. All entries are
 * looked at when the reader of the news has lost some, when a process has died and its last news
 * may be missing, and once a second by a thread that is about to sleep.
 */
#include "core/cohort/waitset.h"
#include "core/memory/arena.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_NS INT64_C(1000000000)

/* ---- tables --------------------------------------------------------------------------------- */

static cohort__ear_t **bucket_of(const cohort__ears_t *ears, uint32_t key) {
    return &ears->buckets[(key >> 1) & (ears->room - 1)];
}

static bool grow_ears(cohort__ears_t *ears) {
    cohort__ears_t wide = {.room = ears->room ? ears->room * 2 : 16, .count = ears->count};
    if (ears->count < ears->room) return true;
    wide.buckets = calloc(wide.room, sizeof *wide.buckets);
    if (!wide.buckets) return ears->room > 0; /* longer chains, then */
    for (apr_size_t i = 0; i < ears->room; i++) {
        for (cohort__ear_t *ear = ears->buckets[i], *next; ear; ear = next) {
            next = ear->next;
            cohort__ear_t **bucket = bucket_of(&wide, ear->key);
            ear->next = *bucket;
            *bucket = ear;
        }
    }
    free(ears->buckets);
    *ears = wide;
    return true;
}

static void hang_in_ear(cohort__ears_t *ears, cohort__ear_t *ear, cohort__entry_t *entry,
                        uint32_t key) {
    cohort__ear_t **bucket = bucket_of(ears, key);
    *ear = (cohort__ear_t){*bucket, entry, key};
    *bucket = ear;
    ears->count++;
}

static void take_out_ear(cohort__ears_t *ears, cohort__ear_t *ear) {
    cohort__ear_t **at = bucket_of(ears, ear->key);
    while (*at != ear) at = &(*at)->next;
    *at = ear->next;
    ears->count--;
}

/* ---- candidates ----------------------------------------------------------------------------- */

static void append_entry(cohort_waitset_t *set, cohort__entry_t *entry) {
    cohort__entry_t *head = &set->candidates;
    entry->next = head;
    entry->previous = head->previous;
    head->previous->next = entry;
    head->previous = entry;
}

static void drop_entry(cohort__entry_t *entry) {
    entry->next->previous = entry->previous;
    entry->previous->next = entry->next;
    entry->next = entry->previous = NULL;
}

static void suspect(cohort_waitset_t *set, cohort__entry_t *entry) {
    entry->shared = false;
    if (entry->thing.type && !entry->next) append_entry(set, entry);
}

/* ---- made and freed ------------------------------------------------------------------------- */

static uint32_t name_of(const cohort_waitable_t *item) {
    const void *what = item->object   ? item->object
                       : item->socket ? (void *)item->socket
                       : item->file   ? (void *)item->file
                                      : (void *)(intptr_t)*item->descriptor;
    return cohort__news_key(what);
}

static bool is_same_item(const cohort__entry_t *entry, const cohort_waitable_t *item) {
    if (item->descriptor) return entry->item.descriptor && entry->descriptor == *item->descriptor;
    return !entry->item.descriptor && entry->item.object == item->object &&
           entry->item.socket == item->socket && entry->item.file == item->file;
}

/* Entries with the event count of all completions are in the news by themselves. */
static void listen_to_entry(cohort_waitset_t *set, cohort__entry_t *entry) {
    cohort__eventcount_t *event;
    entry->heard = 0;
    while (entry->heard < COHORT__EARS &&
           (event = cohort__thing_event(&entry->thing, entry->heard)) != NULL) {
        const void *what =
            event == &cohort__arena->completed ? entry->thing.aim.handle : (const void *)event;
        hang_in_ear(&set->by_event, &entry->ears[entry->heard++], entry, cohort__news_key(what));
    }
}

static void enrol(cohort_waitset_t *set, cohort__entry_t *entry) {
    hang_in_ear(&set->by_name, &entry->name, entry, name_of(&entry->item));
    entry->later = set->all;
    entry->link = &set->all;
    if (entry->later) entry->later->link = &entry->later;
    set->all = entry;
    set->count++;
    if (!entry->thing.type) set->polled++;
    else listen_to_entry(set, entry);
    suspect(set, entry);
}

static void strike(cohort_waitset_t *set, cohort__entry_t *entry) {
    take_out_ear(&set->by_name, &entry->name);
    for (int i = 0; i < entry->heard; i++) take_out_ear(&set->by_event, &entry->ears[i]);
    if (entry->next) drop_entry(entry);
    *entry->link = entry->later;
    if (entry->later) entry->later->link = entry->link;
    set->count--;
    if (!entry->thing.type) {
        set->polled--;
        cohort__poll_remove(set, entry);
    }
    free(entry);
}

cohort__entry_t *cohort__entry_same(const cohort_waitset_t *set, const cohort__entry_t *entry,
                                    const cohort__entry_t *after) {
    uint32_t key = name_of(&entry->item);
    cohort__ear_t *ear = after ? after->name.next : *bucket_of(&set->by_name, key);
    while (ear && !(ear->key == key && is_same_item(ear->entry, &entry->item))) ear = ear->next;
    return ear ? ear->entry : NULL;
}

static apr_status_t make_entry(cohort_waitset_t *set, cohort_waitable_t *item, apr_size_t i,
                               cohort__thread_t *me, cohort__entry_t *entry) {
    entry->item = *item;
    if (item->descriptor) entry->descriptor = *item->descriptor;
    apr_status_t status = cohort__thing_aim(&entry->thing, &entry->item, i, me);
    if (status && status != COHORT__POLLED) return status;
    if (item->descriptor) entry->item.descriptor = &entry->descriptor;
    if (!grow_ears(&set->by_event) || !grow_ears(&set->by_name)) return APR_ENOMEM;
    return entry->thing.type ? APR_SUCCESS : cohort__poll_add(set, entry);
}

apr_status_t cohort__entry_add(cohort_waitset_t *set, cohort_waitable_t *item, apr_size_t i,
                               cohort__thread_t *me) {
    cohort__entry_t *entry = calloc(1, sizeof *entry);
    if (!entry) return cohort__fail(APR_ENOMEM, "noting an item");
    cohort_os_mutex_lock(&set->mutex);
    apr_status_t status = make_entry(set, item, i, me, entry);
    if (!status) enrol(set, entry);
    cohort_os_mutex_unlock(&set->mutex);
    if (status) free(entry);
    return status;
}

bool cohort__entry_remove(cohort_waitset_t *set, const cohort_waitable_t *item) {
    uint32_t key = name_of(item);
    bool any = false;
    cohort_os_mutex_lock(&set->mutex);
    for (cohort__ear_t *ear = set->by_name.room ? *bucket_of(&set->by_name, key) : NULL, *next; ear;
         ear = next) {
        next = ear->next;
        if (ear->key != key || !is_same_item(ear->entry, item)) continue;
        strike(set, ear->entry);
        any = true;
    }
    cohort_os_mutex_unlock(&set->mutex);
    return any;
}

void cohort__entries_free(cohort_waitset_t *set) {
    for (cohort__entry_t *entry = set->all, *later; entry; entry = later) {
        later = entry->later;
        strike(set, entry);
    }
    free(set->by_event.buckets);
    free(set->by_name.buckets);
}

/* ---- the look ------------------------------------------------------------------------------- */

static void found(void *arg, uint32_t key) {
    cohort_waitset_t *set = arg;
    if (!set->by_event.room) return;
    for (cohort__ear_t *ear = *bucket_of(&set->by_event, key); ear; ear = ear->next) {
        if (ear->key == key) suspect(set, ear->entry);
    }
}

/* True: it is time to look for deaths, too. */
static bool renew_entries(cohort_waitset_t *set, bool thorough) {
    uint32_t deaths = atomic_load(&cohort__arena->death);
    bool late = thorough && cohort_os_now() - set->looked >= LOOK_NS;
    bool all = late || deaths != set->deaths;
    if (all) set->news = cohort__news_end();
    else all = !cohort__news_read(&set->news, found, set);
    set->deaths = deaths;
    for (cohort__entry_t *m = all ? set->all : NULL; m; m = m->later) suspect(set, m);
    if (late) set->looked = cohort_os_now();
    return late;
}

/* A bit that is there already is as good as one that is set: the notification that takes it away
 * is in the news later than those that were read. */
static void share_entry(cohort__entry_t *entry) {
    cohort__eventcount_t *event;
    for (int i = 0; (event = cohort__thing_event(&entry->thing, i)) != NULL; i++) {
        if (!(atomic_load(&event->word) & COHORT__EVENT_SHARED)) cohort__event_share(event);
    }
    entry->shared = true;
}

/* The last look before it is none of the candidates any more is a thorough one, as the last one
 * before a sleep is: some things come to their end by that. */
static unsigned ready_of(cohort__entry_t *entry, bool thorough) {
    cohort__thing_t *thing = &entry->thing;
    unsigned ready = thing->type->ready(&thing->aim, thing->wanted, thorough);
    if (ready || entry->shared) return ready;
    share_entry(entry);
    return thing->type->ready(&thing->aim, thing->wanted, true);
}

apr_size_t cohort__entries_look(cohort_waitset_t *set, cohort__thread_t *me, bool thorough,
                                cohort_waitable_t *ready, apr_size_t most) {
    thorough = renew_entries(set, thorough);
    cohort__entry_t *last = set->candidates.previous, *entry = set->candidates.next, *next;
    apr_size_t n = 0;
    for (bool more = entry != &set->candidates; more && n < most; entry = next) {
        next = entry->next;
        more = entry != last;
        entry->thing.aim.me = me;
        unsigned holds = ready_of(entry, thorough);
        drop_entry(entry);
        if (!holds) continue;
        append_entry(set, entry); /* the last to be looked at next time */
        if (ready) {
            ready[n] = entry->item;
            ready[n].ready = holds;
        }
        n++;
    }
    return n;
}
