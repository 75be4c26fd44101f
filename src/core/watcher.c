/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The watcher sees the ends of the processes that this process started (a thread, begun with the first of them) or, in the fork
 * server, that the server forked (its main thread). It takes the exit code, has the death repaired, and lets pools replace their workers; so all that
 * goes on whether or not anybody is inside a call.
 */
#include "core/process.h"

#include "core/arena.h"
#include "core/pool.h"

#include <stdlib.h>

/* One watched process. A slot may have been started again meanwhile, so the record says which start it was. */
struct cohort__watched_t {
    cohort_os_watch_room_t room;
    struct cohort__watched_t *next, **link; /* what points here */
    cohort__pid_t id;
    cohort_os_id_t os;
    uint32_t attempt;
    bool child;
};

static cohort_os_mutex_t mutex;
static cohort_os_watch_t *watch;
static unsigned watches_gone; /* so many, with all their records */
static _Atomic cohort_os_handle_t stopper = COHORT_OS_NONE; /* a message there ends the thread */
static _Atomic bool running, begun; /* the thread: from its start, and from its first own instruction */

#define LISTS 64 /* by id, since whoever waits looks for the record */

static cohort__watched_t *all[LISTS]; /* changed under the mutex, and by one store of what a forked copy reads */

/* The first record is no block of the heap: a server that has one child at a time, and that child, leave the pages of the heap alone, so none is copied. */
static cohort__watched_t first;
static _Atomic bool first_used;

/* Those of the process of which this one is a forked copy. They stay as they are until they are needed: to free them would copy all the pages where they lie. */
static cohort__watched_t *spare[LISTS];

static cohort__watched_t *spare_take(void) {
    cohort__watched_t *w = NULL;
    cohort_os_mutex_lock(&mutex);
    for (unsigned i = 0; i < LISTS && !w; i++) {
        w = spare[i];
        if (w) spare[i] = w->next;
    }
    cohort_os_mutex_unlock(&mutex);
    return w;
}

static cohort__watched_t *record_new(void) {
    cohort__watched_t *w = atomic_exchange(&first_used, true) ? spare_take() : &first;
    if (!w) w = malloc(sizeof(cohort__watched_t));
    if (w) *w = (cohort__watched_t){.id = 0};
    return w;
}

static void record_free(cohort__watched_t *w) {
    if (w == &first) atomic_store(&first_used, false);
    else free(w);
}

static cohort__watched_t **list_of(cohort__pid_t id) { return &all[id % LISTS]; }

static void remember(cohort__watched_t *w) {
    cohort__watched_t **list = list_of(w->id);
    cohort_os_mutex_lock(&mutex);
    w->next = *list;
    w->link = list;
    if (w->next) w->next->link = &w->next;
    atomic_signal_fence(memory_order_release);
    *list = w;
    cohort_os_mutex_unlock(&mutex);
}

static void forget_locked(cohort__watched_t *w) {
    *w->link = w->next;
    if (w->next) w->next->link = w->link;
    record_free(w);
}

static void forget(cohort__watched_t *w) {
    cohort_os_mutex_lock(&mutex);
    forget_locked(w);
    cohort_os_mutex_unlock(&mutex);
}

static void free_list(cohort__watched_t **list) {
    while (*list) {
        cohort__watched_t *w = *list;
        *list = w->next;
        record_free(w);
    }
}

/* The watch itself is gone. */
static void forget_all(void) {
    for (unsigned i = 0; i < LISTS; i++) {
        free_list(&all[i]);
        free_list(&spare[i]);
    }
}

/* In a forked copy. Only one that is a copy of a copy has any before. */
static void set_all_aside(void) {
    for (unsigned i = 0; i < LISTS; i++) {
        cohort__watched_t **end = &all[i];
        while (spare[i] && *end) end = &(*end)->next;
        if (spare[i]) *end = spare[i];
        spare[i] = all[i];
        all[i] = NULL;
    }
}

static bool is_same(cohort_process_t *slot, const cohort__watched_t *w) {
    if (cohort__process_state(slot) == COHORT__SLOT_STARTING) return cohort__process_attempt(slot) == w->attempt;
    return slot->os.pid == w->os.pid;
}

/* Under the slot's guard, so that nobody signals the pid over its release. */
static int reap(cohort_process_t *slot, cohort_os_id_t child) {
    cohort__thread_t *me;
    int code;
    bool locked = slot && !cohort__enter(&me);
    if (locked) cohort__guard_enter(&slot->guard, me);
    if (cohort_os_reap(child, &code)) code = COHORT_EXIT_UNKNOWN;
    if (locked) cohort__guard_leave(&slot->guard);
    return code;
}

static int take_code(cohort_process_t *slot, const cohort__watched_t *w) {
    bool ours = !slot || atomic_load(&slot->reaper) == cohort__self_id() || cohort__process_find(w->id) != slot;
    if (!ours) return COHORT_EXIT_NONE; /* that one will tell */
    return w->child ? reap(slot, w->os) : COHORT_EXIT_UNKNOWN;
}

#define SETTLE_TIME 2000000 /* microseconds for another process to finish the repair that it has begun */

static apr_status_t try_settled(void *arg, bool thorough) {
    cohort_process_t *slot = arg;
    if (thorough) cohort__process_ended(slot, COHORT_EXIT_NONE);
    return cohort__process_state(slot) == COHORT__SLOT_DEAD ? APR_EAGAIN : APR_SUCCESS;
}

/* Another process may have noticed the death too, and be at its repair. What follows here needs it done. */
static void record(cohort_process_t *slot, cohort__pid_t id, int code) {
    cohort__process_died(id, code);
    if (atomic_load(&slot->reaper) != cohort__self_id()) return;
    (void)cohort__await(&slot->changed, try_settled, slot, cohort__deadline(SETTLE_TIME));
}

static void ended(cohort__watched_t *w) {
    cohort_process_t *slot = cohort__process_find(w->id);
    int code = take_code(slot, w);
    if (slot && is_same(slot, w)) {
        cohort_pool_t *pool = atomic_load(&slot->pool);
        uint32_t role = slot->role;
        record(slot, w->id, code);
        if (role == COHORT__ROLE_WORKER && pool) cohort__pool_tend(pool);
        if (role == COHORT__ROLE_SERVER) cohort__server_lost(slot);
    }
    forget(w);
}

void cohort__watcher_once(int64_t deadline) {
    cohort_os_event_t event;
    if (!cohort_os_watch_wait(watch, deadline, &event) && event.kind == COHORT_OS_ENDED) {
        ended((cohort__watched_t *)(uintptr_t)event.cookie);
    }
}

void cohort__watcher_loop(bool (*other)(const cohort_os_event_t *event)) {
    cohort_os_event_t event;
    for (;;) {
        if (cohort_os_watch_wait(watch, COHORT_OS_NEVER, &event)) continue;
        if (event.kind == COHORT_OS_ENDED) ended((cohort__watched_t *)(uintptr_t)event.cookie);
        else if (!other(&event)) return;
    }
}

/* Gone: somebody has closed descriptors that are not his, and the channel was among them. */
static bool goes_on(const cohort_os_event_t *event) {
    if (event->kind == COHORT_OS_GONE) atomic_store(&stopper, COHORT_OS_NONE);
    return event->kind == COHORT_OS_GONE;
}

static void run(void *arg) {
    cohort__thread_t *me;
    (void)arg;
    atomic_store(&begun, true);
    cohort__watcher_loop(goes_on);
    if (!cohort__enter(&me)) cohort__thread_exit(me);
    atomic_store(&running, false);
}

static apr_status_t begin(void) {
    if (watch) return APR_SUCCESS;
    cohort_os_watch_t *made;
    cohort_os_handle_t reader, writer;
    apr_status_t status = cohort_os_watch_create(&made);
    if (status) return status;
    status = cohort_os_channel_create(&reader, &writer);
    if (status) goto no_channel;
    status = cohort_os_watch_channel(made, reader);
    if (status) cohort_os_close(reader);
    watch = made;
    atomic_store(&stopper, writer);
    atomic_store(&begun, false);
    atomic_store(&running, true);
    if (!status) status = cohort_os_thread_start(run, NULL);
    if (!status) return APR_SUCCESS;
    atomic_store(&running, false);
    atomic_store(&stopper, COHORT_OS_NONE);
    watch = NULL;
    cohort_os_close(writer);
no_channel:
    cohort_os_watch_destroy(made);
    return status;
}

/* Nobody will see the ends of our children: joiners find out themselves. */
static void disown(void) {
    uint32_t count = cohort__process_count();
    for (uint32_t i = 0; i < count; i++) {
        cohort__pid_t reaper = cohort__self_id();
        atomic_compare_exchange_strong(&cohort__process_at(i)->reaper, &reaper, 0);
    }
}

/* Somebody else may have been quicker to record the ends of these: what the system keeps of them is released here. */
static void reap_all(void) {
    int code;
    for (unsigned i = 0; i < LISTS; i++) {
        for (const cohort__watched_t *w = all[i]; w; w = w->next) {
            if (w->child) (void)cohort_os_reap(w->os, &code);
        }
    }
}

/* The thread does its last work as the one who tells, so that it reaps what it has heard of. */
static bool stop_thread(void) {
    cohort_os_handle_t writer = atomic_exchange(&stopper, COHORT_OS_NONE);
    if (!watch) return true;
    if (writer == COHORT_OS_NONE || cohort_os_channel_post(writer, 0)) return false;
    while (atomic_load(&running)) cohort_os_yield();
    cohort_os_close(writer);
    cohort_os_mutex_lock(&mutex); /* somebody may wait for a child of his, and come back */
    cohort_os_watch_destroy(watch);
    watch = NULL;
    watches_gone++;
    cohort_os_mutex_unlock(&mutex);
    return true;
}

bool cohort__watcher_stop(void) {
    bool stopped = stop_thread();
    disown();
    if (!stopped) return false;
    reap_all();
    forget_all();
    return true;
}

apr_status_t cohort__watcher_own(cohort_os_handle_t channel) {
    apr_status_t status = cohort_os_watch_create(&watch);
    return status ? status : cohort_os_watch_channel(watch, channel);
}

apr_status_t cohort__watcher_reserve(cohort__watched_t **watched) {
    cohort__watched_t *w = record_new();
    if (!w) return APR_ENOMEM;
    cohort_os_mutex_lock(&mutex);
    apr_status_t status = begin();
    cohort_os_mutex_unlock(&mutex);
    if (status) record_free(w);
    else *watched = w;
    return status;
}

void cohort__watcher_await_begun(void) {
    while (atomic_load(&running) && !atomic_load(&begun)) cohort_os_yield();
}

void cohort__watcher_unreserve(cohort__watched_t *watched) {
    record_free(watched);
}

apr_status_t cohort__watcher_add(cohort__watched_t *w, cohort_process_t *slot, cohort_os_id_t os, bool child) {
    w->id = cohort__process_id(slot);
    w->os = os;
    w->attempt = cohort__process_attempt(slot);
    w->child = child;
    remember(w);
    apr_status_t status = cohort_os_watch_process(watch, &w->room, os, child, (uint64_t)(uintptr_t)w);
    if (status) forget(w);
    return status;
}

void cohort__watcher_adopt(cohort_process_t *slot) {
    cohort__pid_t me = cohort__self_id();
    cohort__watched_t *w;
    apr_status_t status = cohort__watcher_reserve(&w);
    if (!status) status = cohort__watcher_add(w, slot, slot->os, false);
    if (status) atomic_compare_exchange_strong(&slot->reaper, &me, 0);
}

#define ASSIST_TIME 1000000 /* microseconds until a descriptor is no more trusted, which somebody may have closed */

/* The end of a worker, or of a server, is more than its own. */
static bool is_own(cohort_process_t *slot) {
    return (slot->role == COHORT__ROLE_CHILD || slot->role == COHORT__ROLE_PROGRAM) && atomic_load(&slot->reaper) == cohort__self_id() &&
           cohort__process_state(slot) == COHORT__SLOT_RUNNING;
}

static cohort__watched_t *watched_as(cohort__pid_t id) {
    cohort__watched_t *w = *list_of(id);
    while (w && w->id != id) w = w->next;
    return w;
}

typedef struct {
    cohort_os_await_t os;
    cohort__pid_t ids[COHORT_OS_AWAIT_MAX];
    cohort__watched_t *watched[COHORT_OS_AWAIT_MAX]; /* gone when the watch is */
    unsigned watches_gone;
} assistance_t;

static bool take_over(cohort_process_t *const *slots, int count, assistance_t *a) {
    bool can = watch != NULL;
    a->os.count = count;
    a->watches_gone = watches_gone;
    for (int i = 0; i < count && can; i++) {
        a->ids[i] = cohort__process_id(slots[i]);
        a->watched[i] = watched_as(a->ids[i]);
        can = a->watched[i] && is_own(slots[i]) && a->watched[i]->attempt == cohort__process_attempt(slots[i]) && is_same(slots[i], a->watched[i]);
        if (can) a->os.rooms[i] = &a->watched[i]->room;
    }
    return can && cohort_os_await_begin(watch, &a->os);
}

/* Another process may be at the repair, or this one may not: then the watcher goes on about it. */
static bool is_told(cohort__pid_t id) {
    cohort_process_t *slot = cohort__process_find(id);
    return !slot || cohort__process_state(slot) == COHORT__SLOT_ENDED;
}

static void hand_back(assistance_t *a, int told) {
    cohort_os_mutex_lock(&mutex);
    bool there = a->watches_gone == watches_gone;
    if (there) cohort_os_await_done(watch, &a->os, told);
    if (there && told >= 0) forget_locked(a->watched[told]);
    cohort_os_mutex_unlock(&mutex);
}

/* Everybody may know of the end before the system's remains of the child are gone. */
static void assist(cohort_process_t *const *slots, int count, int64_t until) {
    assistance_t a;
    int told = -1, code;
    cohort_os_mutex_lock(&mutex);
    bool can = take_over(slots, count, &a);
    cohort_os_mutex_unlock(&mutex);
    if (!can) return;
    if (cohort_os_await_end(&a.os, until, &told, &code)) told = -1;
    if (told >= 0) cohort__process_died(a.ids[told], code);
    if (told >= 0 && !is_told(a.ids[told])) told = -1;
    hand_back(&a, told);
    if (told >= 0) (void)reap(slots[told], a.os.children[told]);
}

void cohort__watcher_assist(cohort_process_t *const *slots, int count, int64_t deadline) {
    int64_t until = cohort__deadline(ASSIST_TIME);
    if (count > COHORT_OS_AWAIT_MAX || deadline == 0) return;
    bool before = cohort_os_forbid_cancel();
    assist(slots, count, until < deadline ? until : deadline);
    cohort_os_allow_cancel(before);
}

void cohort__watcher_reset(void) {
    cohort_os_mutex_reset(&mutex);
    if (watch) cohort_os_watch_destroy(watch); /* the copy's handles only */
    cohort_os_close(atomic_exchange(&stopper, COHORT_OS_NONE));
    atomic_store(&running, false);
    watch = NULL;
    set_all_aside();
}
