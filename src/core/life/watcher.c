/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The watcher sees the ends of the processes that this process started (a thread, begun with the
 * first of them) or, in the fork server, that the server forked (its main thread). It takes the
 * exit code, has the death repaired, and lets pools replace their workers; so all that goes on
 * whether or not anybody is inside a call.
 */
#include "core/life/watcher.h"

#include "core/life/death.h"
#include "core/memory/arena.h"
#include "core/memory/upward.h"

#include <cohort/process.h>

#include <stdlib.h>

/* One watched process. A slot may have been started again meanwhile, so the record says which start
 * it was. */
struct cohort__watched_t {
    cohort_os_watch_room_t room;
    struct cohort__watched_t *next, **link; /* what points here */
    cohort__pid_t id;
    cohort_os_id_t os;
    uint32_t attempt;
    bool child, contained;
};

static cohort_os_mutex_t mutex;
static cohort_os_watch_t *watch;
static unsigned watches_gone; /* so many, with all their records */
static cohort_os_known_t channel; /* to the thread. Mutex. */
/* the thread: from its start, and from its first own instruction */
static _Atomic bool running, begun;
static _Atomic bool first_thread_ended;
/* when the pools of this process are to be looked after */
static _Atomic int64_t alarm_time = COHORT_OS_NEVER;
static _Thread_local bool is_watching; /* the calling thread runs the loop */

#define LISTS 64 /* by id, since a waiting thread looks for the record */

/* changed under the mutex, and by one store of what a forked copy reads */
static cohort__watched_t *all[LISTS];

/* The first record is no block of the heap: a server that has one child at a time, and that child,
 * leave the pages of the heap alone, so none is copied. */
static cohort__watched_t first;
static _Atomic bool first_used;

/* Those of the process of which this one is a forked copy. They stay as they are until they are
 * needed: to free them would copy all the pages where they lie. */
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
    if (cohort__process_state(slot) == COHORT__SLOT_STARTING)
        return cohort__process_attempt(slot) == w->attempt;
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

/* Before anybody is told of its end. By this process while it is not reaped; what somebody else
 * has reaped only the keeper still knows. */
static void contained_ended(cohort__pid_t id, cohort_os_id_t os) {
    cohort_os_group_end(os);
    cohort__upward->watch->contained_ended(id);
}

static int take_code(cohort_process_t *slot, const cohort__watched_t *w) {
    bool ours = !slot || atomic_load(&slot->reaper) == cohort__self_id() ||
                cohort__process_find(w->id) != slot;
    if (!ours) return COHORT_EXIT_NONE; /* that one will tell */
    if (w->contained) contained_ended(w->id, w->os);
    return reap(slot, w->os);
}

/* microseconds for another process to finish the repair that it has begun */
#define SETTLE_TIME 2000000

typedef struct {
    cohort_process_t *slot;
    cohort__pid_t id;
    uint64_t life;
} death_t;

static apr_status_t try_settled(void *arg, bool thorough) {
    death_t *death = arg;
    if (thorough) cohort__start_died(death->id, death->life, COHORT_EXIT_NONE);
    bool is_dead = cohort__process_find(death->id) == death->slot &&
                   cohort__process_state(death->slot) == COHORT__SLOT_DEAD;
    return is_dead ? APR_EAGAIN : APR_SUCCESS;
}

/* The same, at one moment of the life that is returned; 0: it is not. */
static uint64_t same_life(cohort_process_t *slot, const cohort__watched_t *w) {
    uint64_t life;
    bool same;
    do {
        life = cohort__process_life(slot);
        same = is_same(slot, w);
    } while (cohort__process_life(slot) != life);
    return same ? life : 0;
}

/* Another process may have noticed the death too, and be at its repair. What follows here needs it
 * done. */
static void record(cohort_process_t *slot, cohort__pid_t id, uint64_t life, int code) {
    death_t death = {slot, id, life};
    cohort__start_died(id, life, code);
    if (atomic_load(&slot->reaper) != cohort__self_id()) return;
    (void)cohort__await(&slot->changed, try_settled, &death, cohort__deadline(SETTLE_TIME));
}

/* May there be processes of which it would have seen the ends, and which are to be watched by
 * somebody else from here on? Of one that is forgotten already that is not known. */
static bool has_watched(cohort__pid_t id) {
    cohort_process_t *slot = cohort__process_find(id);
    bool has = !slot || slot->role == COHORT__ROLE_SERVER || atomic_load(&slot->watches);
    return has || cohort__process_find(id) != slot; /* else it was about the slot's next process */
}

static void ended(cohort__watched_t *w) {
    cohort_process_t *slot = cohort__process_find(w->id);
    int code = take_code(slot, w);
    bool watched = has_watched(w->id);
    uint64_t life = slot ? same_life(slot, w) : 0;
    bool was_server = !slot || slot->role == COHORT__ROLE_SERVER;
    if (life) {
        cohort_pool_t *pool = atomic_load(&slot->pool);
        const cohort__role_ops_t *role = cohort__role_ops(slot);
        record(slot, w->id, life, code);
        if (role->ended) role->ended(slot, pool);
    }
    if (watched) cohort__upward->watch->adopt(w->id);
    if (was_server) cohort__watcher_alarm(cohort_os_now()); /* it may have had something to tell */
    forget(w);
}

void cohort__watcher_once(int64_t deadline) {
    cohort_os_event_t event;
    if (!cohort_os_watch_wait(watch, deadline, &event) && event.kind == COHORT_OS_ENDED) {
        ended((cohort__watched_t *)(uintptr_t)event.cookie);
    }
}

/* ---- the end of the first thread ------------------------------------------------------------ */

/*
 * Where main() has ended by pthread_exit(), a process ends with its last thread. The watcher's
 * thread never ends, and must not keep the process; so from then on it looks whether it is alone,
 * and has the process end in order if so. No system tells the end of a thread that has not asked
 * for it.
 */
#define ALONE_LOOK INT64_C(100000000)

void cohort__watcher_thread_ended(void) {
    if (!cohort_os_is_first_thread()) return;
    atomic_store(&first_thread_ended, true);
    cohort__watcher_alarm(cohort_os_now());
}

/* In a thread of its own, since the watcher's is needed until the end. */
static void end_process(void *arg) {
    (void)arg;
    cohort__upward->watch->exit(0);
}

static void look_alone(void) {
    bool alone = cohort_os_thread_count() == 1;
    if (alone && !cohort_os_thread_start(end_process, NULL))
        atomic_store(&first_thread_ended, false);
    else cohort__watcher_alarm(cohort_os_now() + ALONE_LOOK);
}

/* ---- the loop ------------------------------------------------------------------------------- */

#define CUT_OFF_LOOK INT64_C(100000000)

/* What the pools want next they say while they are looked after. */
static void ring(void) {
    int64_t when = atomic_load(&alarm_time);
    if (when > cohort_os_now() ||
        !atomic_compare_exchange_strong(&alarm_time, &when, COHORT_OS_NEVER))
        return;
    cohort__upward->watch->tend();
    if (cohort__upward->watch->is_cut_off()) cohort__watcher_alarm(cohort_os_now() + CUT_OFF_LOOK);
    if (atomic_load(&first_thread_ended)) look_alone();
}

void cohort__watcher_loop(bool (*other)(cohort_os_event_t *event)) {
    cohort_os_event_t event;
    is_watching = true;
    for (;;) {
        ring();
        if (cohort_os_watch_wait(watch, atomic_load(&alarm_time), &event)) continue;
        if (event.kind == COHORT_OS_ENDED) ended((cohort__watched_t *)(uintptr_t)event.cookie);
        if (!other(&event)) return;
    }
}

/* Mutex: nobody closes the channel meanwhile. */
static bool post(uint64_t value) {
    return cohort_os_is_known(&channel) && !cohort_os_channel_post(channel.handle, value, NULL);
}

void cohort__watcher_alarm(int64_t when) {
    int64_t set = atomic_load(&alarm_time);
    do {
        if (set <= when) return;
    } while (!atomic_compare_exchange_weak(&alarm_time, &set, when));
    if (is_watching) return;
    cohort_os_mutex_lock(&mutex);
    (void)post(COHORT__WATCHER_ALARM);
    cohort_os_mutex_unlock(&mutex);
}

/* Mutex. */
static apr_status_t make_channel(cohort_os_watch_t *of) {
    cohort_os_handle_t reader, writer;
    apr_status_t status = cohort_os_channel_create(&reader, &writer);
    if (status) return status;
    status = cohort_os_watch_channel(of, reader, false);
    if (status) cohort_os_close(reader);
    if (status) cohort_os_close(writer);
    else channel = cohort_os_know(writer);
    return status;
}

/* Gone: this program has closed descriptors that are not its own, and the channel was among
 * them. */
static void renew_channel(void) {
    cohort_os_mutex_lock(&mutex);
    cohort_os_close_known(&channel);
    (void)make_channel(watch);
    cohort_os_mutex_unlock(&mutex);
    cohort__upward->watch->introduce();
    cohort__watcher_alarm(cohort_os_now()); /* what a server could not tell meanwhile */
}

static bool goes_on(cohort_os_event_t *event) {
    if (event->kind == COHORT_OS_GONE) renew_channel();
    if (event->kind != COHORT_OS_MESSAGE) return true;
    if (event->value == COHORT__WATCHER_TEND) cohort__upward->watch->tend();
    return event->value != COHORT__WATCHER_STOP;
}

cohort_os_handle_t cohort__watcher_channel(void) {
    cohort_os_mutex_lock(&mutex);
    cohort_os_handle_t writer = cohort_os_is_known(&channel) ? channel.handle : COHORT_OS_NONE;
    cohort_os_mutex_unlock(&mutex);
    return writer;
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
    apr_status_t status = cohort_os_watch_create(&made);
    if (status) return status;
    status = make_channel(made);
    if (status) goto no_channel;
    watch = made;
    atomic_store(&begun, false);
    atomic_store(&running, true);
    status = cohort_os_thread_start(run, NULL);
    if (!status) return APR_SUCCESS;
    atomic_store(&running, false);
    watch = NULL;
    cohort_os_close_known(&channel);
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

/* Somebody else may have been quicker to record the ends of these: what the system keeps of them is
 * released here. */
static void reap_all(void) {
    int code;
    for (unsigned i = 0; i < LISTS; i++) {
        for (const cohort__watched_t *w = all[i]; w; w = w->next) {
            if (w->child && w->contained) cohort_os_group_end(w->os);
            if (w->child) (void)cohort_os_reap(w->os, &code);
        }
    }
}

/* microseconds within which the thread finds that its channel was closed, and makes another */
#define RENEWAL_TIME 3000000

static apr_status_t try_tell(void *arg, bool thorough) {
    (void)arg, (void)thorough;
    cohort_os_mutex_lock(&mutex);
    bool told = post(COHORT__WATCHER_STOP);
    cohort_os_mutex_unlock(&mutex);
    return told ? APR_SUCCESS : APR_EAGAIN;
}

/* The watching thread does its last work as the caller, so that it reaps what it has heard of. */
static bool stop_thread(void) {
    cohort__ec_t nobody_notifies = {0};
    if (!watch) return true;
    if (cohort__await(&nobody_notifies, try_tell, NULL, cohort__deadline(RENEWAL_TIME)))
        return false;
    while (atomic_load(&running)) cohort_os_yield();
    cohort_os_mutex_lock(&mutex); /* a thread may wait for a child itself, and come back */
    cohort_os_close_known(&channel);
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
    return status ? status : cohort_os_watch_channel(watch, channel, true);
}

apr_status_t cohort__watcher_reserve(cohort__watched_t **watched) {
    cohort__watched_t *w = record_new();
    if (!w) return cohort__fail(APR_ENOMEM, "noting a child to be watched");
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

apr_status_t cohort__watcher_add(cohort__watched_t *w, cohort_process_t *slot, uint32_t attempt,
                                 cohort_os_id_t os, bool child) {
    w->id = cohort__process_id(slot);
    w->os = os;
    w->attempt = attempt;
    w->child = child;
    w->contained = cohort__is_contained(slot);
    remember(w);
    apr_status_t status =
        cohort_os_watch_process(watch, &w->room, os, child, (uint64_t)(uintptr_t)w);
    if (status) forget(w);
    return status;
}

void cohort__watcher_adopt(cohort_process_t *slot) {
    cohort__pid_t me = cohort__self_id();
    cohort__watched_t *w;
    apr_status_t status = cohort__watcher_reserve(&w);
    if (!status)
        status = cohort__watcher_add(w, slot, cohort__process_attempt(slot),
                                     cohort__process_os(slot), false);
    if (status) atomic_compare_exchange_strong(&slot->reaper, &me, 0);
}

/* microseconds until a descriptor is no more trusted, which somebody may have closed */
#define ASSIST_TIME 1000000

/* The end of a worker, or of a server, is more than its own. */
static bool is_own(cohort_process_t *slot) {
    return (slot->role == COHORT__ROLE_CHILD || slot->role == COHORT__ROLE_PROGRAM) &&
           atomic_load(&slot->reaper) == cohort__self_id() &&
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
    bool contained[COHORT_OS_AWAIT_MAX];
    unsigned watches_gone;
} assistance_t;

static bool take_over(cohort_process_t *const *slots, int count, assistance_t *a) {
    bool can = watch != NULL;
    a->os.count = count;
    a->watches_gone = watches_gone;
    for (int i = 0; i < count && can; i++) {
        a->ids[i] = cohort__process_id(slots[i]);
        a->watched[i] = watched_as(a->ids[i]);
        can = a->watched[i] && is_own(slots[i]) &&
              a->watched[i]->attempt == cohort__process_attempt(slots[i]) &&
              is_same(slots[i], a->watched[i]);
        if (can) a->os.rooms[i] = &a->watched[i]->room;
        if (can) a->contained[i] = a->watched[i]->contained;
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
    bool watched = told >= 0 && has_watched(a.ids[told]);
    if (told >= 0 && a.contained[told]) contained_ended(a.ids[told], a.os.children[told]);
    if (told >= 0) cohort__process_died(a.ids[told], code);
    if (watched) cohort__upward->watch->adopt(a.ids[told]);
    if (told >= 0 && !is_told(a.ids[told])) told = -1;
    hand_back(&a, told);
    if (told >= 0) (void)reap(slots[told], a.os.children[told]);
}

void cohort__watcher_assist(cohort_process_t *const *slots, int count, int64_t deadline) {
    int64_t until = cohort__deadline(ASSIST_TIME);
    if (count > COHORT_OS_AWAIT_MAX || deadline == 0) return;
    bool before = cohort_os_allow_cancel(false);
    assist(slots, count, until < deadline ? until : deadline);
    (void)cohort_os_allow_cancel(before);
}

void cohort__watcher_reset(void) {
    cohort_os_mutex_reset(&mutex);
    if (watch) cohort_os_watch_destroy(watch); /* the copy's handles only */
    cohort_os_close_known(&channel);
    atomic_store(&first_thread_ended, false);
    atomic_store(&running, false);
    if (atomic_load(&alarm_time) != COHORT_OS_NEVER) atomic_store(&alarm_time, COHORT_OS_NEVER);
    is_watching = false;
    watch = NULL;
    set_all_aside();
}
