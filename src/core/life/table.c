/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A life is FREE -> NEW -> STARTING -> RUNNING -> DEAD -> ENDED -> FREE (or back from STARTING to NEW when the start failed), each step one
 * compare-and-swap, so any process may take the next one when the one that should have is dead. DEAD means: nobody will do anything in its name any
 * more, and what it was doing is being repaired; ENDED, that all is repaired and the exit code final. For all who ask or wait a process ends when it
 * is ENDED. Its reaper brings that about, and every process that asks for its end: each repairs what is not repaired, and the exit code is the reaper's to
 * tell, for as long as that one lives.
 */
#include "core/life/table.h"

#include "core/memory/arena.h"
#include "core/object/object.h"
#include "core/object/pipe.h"
#include "core/pool/pool.h"
#include "core/process/process.h"

#include <apr_strings.h>
#include <cohort/errors.h>
#include <string.h>

/* A server acts for the process it serves. */
cohort__pid_t cohort__acting_id(void) {
    cohort_process_t *self = cohort__self();
    return self && self->role == COHORT__ROLE_SERVER ? atomic_load(&self->parent) : cohort__self_id();
}

/* ---- slots ------------------------------------------------------------------------------------------------------- */

cohort_process_t *cohort__process_at(uint32_t index) {
    return (cohort_process_t *)((char *)cohort__arena + cohort__arena->process_offset) + index;
}

uint32_t cohort__process_count(void) {
    return atomic_load_explicit(&cohort__arena->processes, memory_order_acquire);
}

/* A life's word: how often it was started, from the bit START on; its generation; its state. */
#define START 48

static uint64_t life_of(const cohort_process_t *slot) {
    return atomic_load_explicit(&((cohort_process_t *)slot)->life, memory_order_acquire);
}

static cohort__slot_state_t state_of(uint64_t life) {
    return (cohort__slot_state_t)(life & 0xff);
}

static uint64_t generation_of(uint64_t life) {
    return (life & (((uint64_t)1 << START) - 1)) >> 8;
}

static uint64_t with_state(uint64_t life, cohort__slot_state_t state) {
    return (life & ~(uint64_t)0xff) | (uint64_t)state;
}

/* The same start of the same process, whatever has become of it. */
static bool is_same_start(uint64_t one, uint64_t other) {
    return one >> 8 == other >> 8;
}

uint64_t cohort__process_life(const cohort_process_t *slot) {
    return life_of(slot);
}

cohort__slot_state_t cohort__process_state(const cohort_process_t *slot) {
    return state_of(life_of(slot));
}

cohort__pid_t cohort__process_id(const cohort_process_t *slot) {
    return generation_of(life_of(slot)) << 16 | (cohort__pid_t)(slot - cohort__process_at(0));
}

cohort_process_t *cohort__process_find(cohort__pid_t id) {
    uint32_t index = (uint32_t)(id & 0xffff);
    if (id == 0 || index >= cohort__process_count()) return NULL;
    cohort_process_t *slot = cohort__process_at(index);
    uint64_t life = life_of(slot);
    return generation_of(life) == id >> 16 && state_of(life) != COHORT__SLOT_FREE ? slot : NULL;
}

apr_status_t cohort__process_check(const cohort_process_t *process) {
    if (!cohort__arena) return COHORT_ENOTINIT;
    if (!process) return APR_EINVAL;
    ptrdiff_t offset = (const char *)process - (const char *)cohort__process_at(0);
    if (offset < 0 || offset % (ptrdiff_t)sizeof *process) return COHORT_EHANDLE;
    if ((uint64_t)offset / sizeof *process >= cohort__process_count()) return COHORT_EHANDLE;
    return cohort__process_state(process) == COHORT__SLOT_FREE ? COHORT_EHANDLE : APR_SUCCESS;
}

bool cohort__slot_step(cohort_process_t *slot, cohort__slot_state_t from, cohort__slot_state_t to) {
    uint64_t life = life_of(slot), next = with_state(life, to);
    if (from == COHORT__SLOT_NEW && to == COHORT__SLOT_STARTING) next += (uint64_t)1 << START;
    return state_of(life) == from && atomic_compare_exchange_strong(&slot->life, &life, next);
}

void cohort__slot_restart(cohort_process_t *slot) {
    uint64_t life = life_of(slot), next;
    do {
        if (state_of(life) != COHORT__SLOT_STARTING && state_of(life) != COHORT__SLOT_FAILED) return;
        next = with_state(life, COHORT__SLOT_STARTING) + ((uint64_t)1 << START);
    } while (!atomic_compare_exchange_weak(&slot->life, &life, next));
}

/* A hint, which a death may make wrong: then the table grows sooner, or is searched in vain once. */
static void one_free_more(void) {
    atomic_fetch_add(&cohort__arena->free_slots, 1);
}
static void one_free_less(void) {
    uint32_t free_slots = atomic_load(&cohort__arena->free_slots);
    while (free_slots && !atomic_compare_exchange_weak(&cohort__arena->free_slots, &free_slots, free_slots - 1)) continue;
}

/* One slot more; it may be somebody else's by now. */
static apr_status_t grow(cohort_process_t **slot) {
    uint32_t count = cohort__process_count();
    if (count >= COHORT__PROCESSES_MAX) return cohort__fail(COHORT_ELIMIT, "%u processes, created and not closed", COHORT__PROCESSES_MAX);
    *slot = cohort__process_at(count);
    apr_status_t status = cohort__arena_commit(*slot, sizeof **slot);
    if (!status) atomic_compare_exchange_strong(&cohort__arena->processes, &count, count + 1);
    return status;
}

/* From before the slot is MAKING until it is NEW the thread's record says so; from then on its creator does. */
static bool claim(cohort_process_t *slot, cohort__thread_t *me) {
    uint64_t life = life_of(slot);
    if (state_of(life) != COHORT__SLOT_FREE) return false;
    uint64_t next = (generation_of(life) + 1) << 8 | COHORT__SLOT_MAKING;
    if (me) cohort__op_begin(me, COHORT__OP_SLOT, slot, next);
    if (atomic_compare_exchange_strong(&slot->life, &life, next)) return true;
    if (me) cohort__op_end(me);
    return false;
}

/* Several may have been after the slot, and only one got it: as long as another one says that it is at it, it is that one's. */
static void slot_undo(cohort_process_t *slot, uint64_t life, const cohort__thread_t *dead) {
    for (uint32_t i = 0, n = cohort__thread_count(); i < n; i++) {
        cohort__thread_t *other = cohort__thread_at(i);
        if (other != dead && atomic_load(&other->op) == COHORT__OP_SLOT && atomic_load(&other->op_object) == slot) return;
    }
    if (atomic_compare_exchange_strong(&slot->life, &life, with_state(life, COHORT__SLOT_FREE))) one_free_more();
}

void cohort__slot_repair(cohort__thread_t *dead) {
    if (atomic_load(&dead->op) == COHORT__OP_SLOT) slot_undo(atomic_load(&dead->op_object), atomic_load(&dead->op_position), dead);
}

static void fresh(cohort_process_t *slot) {
    cohort__pid_t parent = cohort__self() ? cohort__acting_id() : 0;
    atomic_store(&slot->creator, parent);
    atomic_store(&slot->parent, parent);
    atomic_store(&slot->exit_code, COHORT_EXIT_NONE);
    atomic_store(&slot->start_status, APR_SUCCESS);
    atomic_store(&slot->reaper, 0);
    atomic_store(&slot->claim, cohort__claim_next(atomic_load(&slot->claim)));
    atomic_store(&slot->children, 0);
    atomic_store(&slot->left, 0);
    atomic_store(&slot->repaired, COHORT__REPAIRED_NOTHING);
    atomic_store(&slot->reported, 0);
    atomic_store(&slot->watches, 0);
    atomic_store(&slot->pool, NULL);
    atomic_store(&slot->worker, 0);
    slot->os = (cohort_os_id_t){0, 0};
    slot->name[0][0] = slot->name[1][0] = slot->identity[0] = 0;
    slot->program = slot->program_pool = NULL;
    atomic_store(&slot->renamed, 0);
    atomic_store(&slot->awaited, 0);
    slot->run = slot->on_start = slot->on_exit = (cohort__code_t){0, 0, 0};
    slot->subclass = slot->replaces = 0;
    slot->given = NULL;
    slot->args_size = slot->context_size = 0;
    slot->n_files = 0;
    atomic_store(&slot->unfit, 0);
    atomic_store(&slot->context_state, COHORT__CONTEXT_UNDERWAY);
}

/* Not the slot that was freed last: a stale handle should stay recognisable for long. */
static cohort_process_t *take_free(cohort__thread_t *me) {
    uint32_t count = cohort__process_count(), from = atomic_fetch_add(&cohort__arena->next_slot, 1);
    for (uint32_t i = 0; i < count; i++) {
        cohort_process_t *slot = cohort__process_at((from + i) % count);
        if (!claim(slot, me)) continue;
        atomic_store(&cohort__arena->next_slot, (from + i) % count + 1);
        one_free_less();
        return slot;
    }
    atomic_store(&cohort__arena->free_slots, 0);
    return NULL;
}

/* Processes that outlive those who would see their end (background ones, orphans) are looked after when the table has doubled or is full. */
static void bury_unwatched(void) {
    uint32_t count = cohort__process_count(), free_slots = 0;
    for (uint32_t i = 0; i < count; i++) {
        cohort_process_t *slot = cohort__process_at(i);
        uint64_t life = life_of(slot);
        cohort__slot_state_t state = state_of(life);
        free_slots += state == COHORT__SLOT_FREE;
        if (state == COHORT__SLOT_MAKING) slot_undo(slot, life, NULL); /* its maker may have died while another one was after it */
        if (slot == cohort__self() || state < COHORT__SLOT_STARTING || state == COHORT__SLOT_ENDED) continue;
        if (!cohort__process_alive(atomic_load(&slot->reaper), false)) (void)cohort__process_bury(cohort__process_id(slot));
    }
    atomic_store(&cohort__arena->free_slots, free_slots);
}

#define SLOTS_MIN 32 /* before any is used a second time */

static bool has_many_free(uint32_t count) {
    return atomic_load(&cohort__arena->free_slots) >= count / 4;
}

/* If a fourth of the slots is free, a search finds one soon. `full`: the table cannot grow. */
static cohort_process_t *take_old(cohort__thread_t *me, bool full) {
    uint32_t count = cohort__process_count();
    bool doubled = (count & (count - 1)) == 0;
    if (count < SLOTS_MIN) return NULL;
    if (me && (full || (doubled && !has_many_free(count)))) bury_unwatched();
    return full || has_many_free(count) ? take_free(me) : NULL;
}

static apr_status_t take_new(cohort__thread_t *me, cohort_process_t **taken) {
    cohort_process_t *slot = NULL;
    for (;;) {
        apr_status_t status = grow(&slot);
        if (status) return status;
        *taken = slot;
        if (claim(slot, me)) return APR_SUCCESS;
    }
}

apr_status_t cohort__slot_new(cohort_process_t **made) {
    cohort__thread_t *me;
    apr_status_t status = APR_SUCCESS;
    if (cohort__enter(&me)) me = NULL; /* the root has no record yet */
    cohort_process_t *slot = take_old(me, false);
    if (!slot) status = take_new(me, &slot);
    if (status && !(slot = take_old(me, true))) return status;
    fresh(slot);
    cohort__slot_step(slot, COHORT__SLOT_MAKING, COHORT__SLOT_NEW);
    if (me) cohort__op_end(me);
    *made = slot;
    return APR_SUCCESS;
}

static bool is_held(cohort_process_t *slot) {
    cohort__pid_t creator = atomic_load(&slot->creator);
    return creator && cohort__process_alive(creator, false);
}

/* The blocks go first, one after the other; the slot is free by one last step, so whoever dies in here is simply repeated. By now it may be another's. */
static void slot_free(cohort_process_t *slot, cohort__slot_state_t from) {
    cohort__thread_t *me;
    if (cohort__enter(&me)) return;
    cohort__guard_enter(&slot->guard, me);
    if (cohort__process_state(slot) == from && !is_held(slot)) {
        cohort__block_free(me, &slot->args);
        cohort__block_free(me, &slot->context);
        cohort__block_free(me, &slot->files);
        atomic_store(&slot->creator, 0); /* it names nobody while it is free */
        if (cohort__slot_step(slot, from, COHORT__SLOT_FREE)) one_free_more();
    }
    cohort__guard_leave(&slot->guard);
}

/* Another thread may have released the slot meanwhile, and the next process in it is held before it
 * is NEW. So the id, the state and the holder are read in this order, and only that id's pipes are
 * dropped. */
void cohort__slot_release(cohort_process_t *slot) {
    cohort__pid_t id = cohort__process_id(slot);
    cohort__slot_state_t state = cohort__process_state(slot);
    if (is_held(slot)) return;
    switch (state) {
    case COHORT__SLOT_NEW:
        cohort__pipes_drop(id);
        slot_free(slot, COHORT__SLOT_NEW);
        break;
    case COHORT__SLOT_ENDED:
        slot_free(slot, COHORT__SLOT_ENDED);
        break;
    default:
        break;
    }
}

/* Without the help of a library: a forked child does it first thing, and each page that it touches costs. By atomic bytes, since one of both sides may change
 * while it is read; the version tells. */
static void copy_name(void *to, const void *from, size_t size) {
    _Atomic char *target = to, *source = (_Atomic char *)from;
    char byte = 1;
    while (--size && byte) {
        byte = atomic_load_explicit(source++, memory_order_relaxed);
        atomic_store_explicit(target++, byte, memory_order_relaxed);
    }
    atomic_store_explicit(target, 0, memory_order_relaxed);
}

void cohort__process_get_name(const cohort_process_t *process, char *buffer, size_t size) {
    cohort_process_t *slot = (cohort_process_t *)process;
    uint32_t version;
    do {
        version = atomic_load_explicit(&slot->renamed, memory_order_acquire);
        copy_name(buffer, slot->name[version % 2], size < COHORT__NAME_MAX ? size : COHORT__NAME_MAX);
        atomic_thread_fence(memory_order_acquire);
    } while (version != atomic_load_explicit(&slot->renamed, memory_order_relaxed));
}

void cohort__process_put_name(cohort_process_t *slot, const char *name) {
    uint32_t version = atomic_load(&slot->renamed) + 1;
    copy_name(slot->name[version % 2], name, COHORT__NAME_MAX);
    atomic_store(&slot->renamed, version);
}

/* ---- deaths -------------------------------------------------------------------------------------------------------- */

static bool may_act(cohort__slot_state_t state) {
    return state == COHORT__SLOT_STARTING || state == COHORT__SLOT_RUNNING;
}

cohort_os_id_t cohort__process_os(cohort_process_t *slot) {
    if (cohort__process_state(slot) == COHORT__SLOT_STARTING) {
        return (cohort_os_id_t){(int64_t)(atomic_load(&slot->claim) & 0xffffffff), 0};
    }
    return slot->os;
}

bool cohort__process_alive(cohort__pid_t id, bool thorough) {
    cohort_process_t *slot = cohort__process_find(id);
    if (!slot || !may_act(cohort__process_state(slot))) return false;
    if (!thorough || id == cohort__self_id()) return true;
    cohort_os_id_t os = cohort__process_os(slot);
    return (os.pid == 0 || cohort_os_alive(os)) && cohort__process_find(id) == slot;
}

bool cohort__process_bury(cohort__pid_t id) {
    cohort_process_t *slot = cohort__process_find(id);
    uint64_t life = slot ? life_of(slot) : 0;
    if (cohort__process_alive(id, true)) return false;
    if (slot) cohort__start_died(id, life, COHORT_EXIT_NONE);
    return true;
}

bool cohort__process_is_gone(cohort__pid_t id) {
    if (!cohort__process_bury(id)) return false;
    cohort_process_t *slot = cohort__process_find(id);
    return !slot || atomic_load(&slot->repaired) != COHORT__REPAIRED_NOTHING;
}

bool cohort__process_lives_on(cohort__pid_t id) {
    cohort_process_t *slot = cohort__process_find(id);
    if (!slot || cohort__process_state(slot) < COHORT__SLOT_RUNNING) return false;
    if (cohort__process_state(slot) == COHORT__SLOT_ENDED) return false;
    (void)cohort__process_bury(id);
    return cohort__process_find(id) == slot && cohort__process_state(slot) != COHORT__SLOT_ENDED;
}

/* The right to repair: nobody's, ours, or a dead repairer's that we take over, when that one's own death is repaired: it may have been about to free what
 * is to be freed here, and must not do so by its repairer's hand when it is freed already. */
static bool repair_begin(cohort_process_t *slot, cohort__thread_t *me) {
    cohort__tid_t owner = 0, mine = cohort__thread_id(me);
    if (atomic_compare_exchange_strong(&slot->repairer, &owner, mine)) return true;
    if (cohort__thread_alive(owner, true)) return false;
    cohort__pid_t process = cohort__thread_process(owner);
    if (process) (void)cohort__process_bury(process);
    return !cohort__thread_find(owner) && atomic_compare_exchange_strong(&slot->repairer, &owner, mine);
}

void cohort__slot_settle(cohort_process_t *slot) {
    cohort__tid_t owner;
    while ((owner = atomic_load(&slot->repairer)) != 0 && cohort__thread_alive(owner, true)) cohort_os_yield();
}

/* Whoever came here because it had died may have been late: it may have been started again. */
static bool is_over(cohort_process_t *slot) {
    cohort__slot_state_t state = cohort__process_state(slot);
    int64_t pid = (int64_t)(atomic_load(&slot->claim) & 0xffffffff);
    if (state == COHORT__SLOT_STARTING) return pid == 0 || !cohort_os_alive((cohort_os_id_t){pid, 0});
    return state == COHORT__SLOT_DEAD;
}

bool cohort__claim_withdraw(cohort_process_t *slot) {
    uint64_t open = atomic_load(&slot->claim);
    while (!(open & 0xffffffff)) {
        if (atomic_compare_exchange_strong(&slot->claim, &open, cohort__claim_next(open))) return true;
    }
    return false;
}

/* The creator died over the start. What no child has claimed none will claim from here on; what one has claimed is a process like any other. */
static void drop_start(cohort_process_t *slot) {
    if (cohort__process_state(slot) == COHORT__SLOT_STARTING) {
        atomic_store(&slot->awaited, 0);
        if (cohort__claim_withdraw(slot)) cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_NEW);
        else (void)cohort__process_bury(cohort__process_id(slot));
    }
    cohort__slot_step(slot, COHORT__SLOT_FAILED, COHORT__SLOT_NEW);
}

/* What the dead process had made and nobody holds any more; what it had started goes on, its handles are dropped. Whoever was to let go of a slot that
 * nobody holds may be the dead one too, so all are looked at. */
static void drop_handles(cohort__pid_t dead) {
    uint32_t count = cohort__process_count();
    for (uint32_t i = 0; i < count; i++) {
        cohort_process_t *slot = cohort__process_at(i);
        if (atomic_load(&slot->creator) == dead) drop_start(slot);
        cohort__slot_release(slot);
    }
}

/* A thread that is busy cannot announce that it destroys something, so it leaves that to others: to the watcher that sees this end, or to a thread that waits
 * for it. Returns how far the repair is. */
static uint32_t repair_as_far_as_may_be(cohort_process_t *slot, cohort__thread_t *me) {
    cohort__pid_t dead = cohort__process_id(slot);
    bool member = slot->role != COHORT__ROLE_PROGRAM; /* a program has nothing but the ends of pipes that it was given */
    if (member) cohort_os_park_forget(slot->os);
    bool all = !member || cohort__threads_repair(dead);
    if (!all || cohort__thread_is_busy(me)) return COHORT__REPAIRED_THREADS;
    atomic_store(&slot->repaired, COHORT__REPAIRED_THREADS);
    cohort__pipes_repair(dead);
    if (member) drop_handles(dead);
    if (member) cohort__pools_repair();
    return COHORT__REPAIRED_ALL;
}

/* True when this call has brought it further. */
static bool repair(cohort_process_t *slot) {
    cohort__thread_t *me;
    uint32_t before = atomic_load(&slot->repaired), after = before;
    if (before == COHORT__REPAIRED_ALL || cohort__enter(&me) || !repair_begin(slot, me)) return false;
    before = after = atomic_load(&slot->repaired);
    if (before != COHORT__REPAIRED_ALL && is_over(slot)) after = repair_as_far_as_may_be(slot, me);
    if (after != before) atomic_store(&slot->repaired, after);
    atomic_store(&slot->repairer, 0);
    return after != before;
}

static bool is_repaired(cohort_process_t *slot) {
    return atomic_load(&slot->repaired) == COHORT__REPAIRED_ALL;
}

/* The last thing before the end: a worker's pool is told, which needs the final code and frees itself with its last worker when its maker is dead. False: not by a
 * thread that is busy. */
static bool tell_pool(cohort_process_t *slot) {
    cohort__thread_t *me;
    if (slot->role != COHORT__ROLE_WORKER) return true;
    if (cohort__enter(&me) || cohort__thread_is_busy(me)) return false;
    cohort__pool_worker_died(slot);
    return true;
}

/* What has become of a death: who is about to sleep sees the count and looks once more, who sleeps is woken. Only when there is something new to see, since all who
 * wait ask for the dead, and would wake each other for as long as the one who is to go on does not. */
static void tell(void) {
    atomic_fetch_add(&cohort__arena->death, 1);
    cohort__notify_everybody();
}

#define REPORT_TIME INT64_C(1000000000) /* nanoseconds that a reaper is given to tell the code of a process that is found dead */

/* Is there nothing to be learnt from the reaper? It is dead; or it is slow, perhaps stopped, and the process told its code itself. */
static bool is_final(cohort_process_t *slot) {
    if (!cohort__process_alive(atomic_load(&slot->reaper), true)) return true;
    return atomic_load(&slot->left) && atomic_load(&slot->exit_code) != COHORT_EXIT_NONE && cohort_os_now() - atomic_load(&slot->died) > REPORT_TIME;
}

/* A code of its own that the process stored counts only if it also got to the end: a signal may have come in between. So the reaper tells what it saw. */
static void settle_code(cohort_process_t *slot, int code) {
    int32_t none = COHORT_EXIT_NONE;
    if (atomic_load(&slot->reported) || (code == COHORT_EXIT_NONE && !is_final(slot))) return;
    if (code == COHORT_EXIT_NONE) code = COHORT_EXIT_UNKNOWN;
    if (code < 0 && code != COHORT_EXIT_UNKNOWN) atomic_store(&slot->exit_code, code);
    else atomic_compare_exchange_strong(&slot->exit_code, &none, code);
    atomic_store(&slot->reported, 1);
}

/* Why a child did not take off that could not even leave the reason in its slot. */
static apr_status_t guess(cohort_process_t *slot, int code) {
    apr_status_t meant = atomic_load(&slot->claim) & 0xffffffff ? COHORT_ESTART : cohort__exit_meaning(code);
    if (meant == COHORT_EADDRESS) {
        return cohort__fail(meant, "in the child, at %p; something else lies there, or a limit forbids it", (void *)cohort__map.base);
    }
    if (meant != COHORT_ESTART || code == COHORT_EXIT_NONE || code == COHORT_EXIT_UNKNOWN) return meant;
    return cohort__fail(meant, code < 0 ? "a signal ended it, exit code %d" : "exit code %d", code);
}

void cohort__slot_refuse(cohort_process_t *slot, apr_status_t status) {
    int32_t none = APR_SUCCESS;
    if (!atomic_compare_exchange_strong(&slot->start_status, &none, status)) return;
    apr_cpystrn(slot->reason, cohort__reason(status), sizeof slot->reason);
}

apr_status_t cohort__slot_refusal(const cohort_process_t *slot) {
    apr_status_t status = atomic_load(&((cohort_process_t *)slot)->start_status);
    char text[COHORT__REASON_MAX];
    memcpy(text, slot->reason, sizeof text);
    text[sizeof text - 1] = 0;
    return *text ? cohort__fail(status, "%s", text) : status;
}

/* A child that died before it took off is a failed start, and its starter's to tell, after the repair: then it may be started again, so that the last step is
 * one of this very start. */
static bool start_failed(cohort_process_t *slot, uint64_t life, int code) {
    uint64_t now = life_of(slot);
    if (!is_same_start(now, life)) return true;
    if (state_of(now) != COHORT__SLOT_STARTING || !atomic_load(&slot->awaited)) return false;
    if (atomic_load(&slot->unfit)) return true; /* the child has stepped back, and the start goes on without it */
    cohort__slot_refuse(slot, guess(slot, code));
    bool news = repair(slot);
    if (!is_repaired(slot)) return true;
    if (atomic_compare_exchange_strong(&slot->life, &now, with_state(now, COHORT__SLOT_FAILED))) cohort__notify(&slot->changed, COHORT__ALL);
    if (news) tell();
    return true;
}

/* A step of this very start: whoever reports an end may be late, and the slot another's by now, or started again. */
static bool life_step(cohort_process_t *slot, uint64_t life, cohort__slot_state_t from, cohort__slot_state_t to) {
    uint64_t before = with_state(life, from);
    return atomic_compare_exchange_strong(&slot->life, &before, with_state(life, to));
}

/* True for the one who is the first to say so. What is seen in the slot alone is looked at after the count has changed. */
static bool set_dead(cohort_process_t *slot, uint64_t life) {
    if (!may_act(state_of(life))) return false;
    atomic_store(&slot->died, cohort_os_now());
    if (!life_step(slot, life, COHORT__SLOT_STARTING, COHORT__SLOT_DEAD) && !life_step(slot, life, COHORT__SLOT_RUNNING, COHORT__SLOT_DEAD)) return false;
    atomic_fetch_add(&cohort__arena->death, 1);
    return true;
}

void cohort__process_ended(cohort_process_t *slot, int code) {
    cohort__process_died(cohort__process_id(slot), code);
}

void cohort__process_died(cohort__pid_t id, int code) {
    cohort_process_t *slot = cohort__process_find(id);
    if (slot) cohort__start_died(id, life_of(slot), code);
}

void cohort__start_died(cohort__pid_t id, uint64_t life, int code) {
    cohort_process_t *slot = cohort__process_find(id);
    if (!slot || generation_of(life) != id >> 16 || start_failed(slot, life, code)) return;
    if (code == COHORT_EXIT_NONE && cohort__process_alive(id, true)) return; /* it has taken off meanwhile */
    bool news = set_dead(slot, life);
    if (life_of(slot) != with_state(life, COHORT__SLOT_DEAD)) return;
    settle_code(slot, code);
    news = repair(slot) || news;
    if (!is_repaired(slot) || !atomic_load(&slot->reported) || !tell_pool(slot)) {
        if (news) tell();
        return;
    }
    if (!life_step(slot, life, COHORT__SLOT_DEAD, COHORT__SLOT_ENDED)) return;
    cohort__notify(&slot->changed, COHORT__ALL);
    cohort__notify(&cohort__arena->completed, COHORT__ALL);
    tell();
    cohort__slot_release(slot);
}
