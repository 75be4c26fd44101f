/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of a process, and what is done to it: whether it lives, its exit code, its name;
 * signals; its end, which others wait for. A slot that is not held for the caller may be another
 * process' by now, so within the library a process is named by its id, and its end is also that the
 * id is found no more.
 */
#include "core/process/process.h"

#include "core/memory/arena.h"
#include "core/memory/park.h"

#include <apr_pools.h>
#include <errno.h>
#include <stdio.h>

apr_status_t cohort__creator_check(cohort_process_t *process) {
    if (atomic_load(&process->creator) == cohort__self_id()) return APR_SUCCESS;
    return cohort__fail(COHORT_ENOTOWNER, "that is for the process which created it");
}

typedef struct {
    cohort_process_t *slot;
    cohort__pid_t id;
} join_t;

static apr_status_t try_join_process(void *arg, bool thorough) {
    join_t *j = arg;
    cohort_process_t *slot = cohort__process_find(j->id);
    if (!slot || cohort__process_state(slot) == COHORT__SLOT_ENDED) return APR_SUCCESS;
    if (thorough) cohort__process_check_dead(j->id);
    slot = cohort__process_find(j->id);
    return !slot || cohort__process_state(slot) == COHORT__SLOT_ENDED ? APR_SUCCESS : APR_EAGAIN;
}

static bool is_started(const cohort_process_t *process) {
    return cohort__process_state(process) >= COHORT__SLOT_RUNNING;
}

/* The parent's record may be another process' by the time a child asks; the child remembers which
 * one it was. */
static bool is_gone_parent(const cohort_process_t *process) {
    cohort_process_t *self = cohort__self();
    if (!self || !process) return false;
    cohort__pid_t parent = atomic_load(&self->parent);
    return parent && process == cohort__process_at(cohort__pid_slot(parent)) &&
           !cohort__process_find(parent);
}

/* The slot was seen before its start: of this process, or of the next one in it. */
static apr_status_t not_started(cohort__pid_t id) {
    return cohort__process_find(id) ? COHORT_ENOTSTARTED : APR_SUCCESS;
}

apr_status_t cohort__process_join(cohort__pid_t id, apr_interval_time_t timeout) {
    cohort_process_t *slot = cohort__process_find(id);
    if (!slot) return APR_SUCCESS;
    if (!cohort__self()) return COHORT_ENOTMEMBER;
    if (slot == cohort__self()) return COHORT_ENOWAIT;
    join_t j = {slot, id};
    if (!is_started(slot)) return not_started(id);
    int64_t deadline = cohort__deadline(timeout);
    cohort__watcher_borrow(&slot, 1, deadline);
    return cohort__await(&slot->changed, try_join_process, &j, deadline);
}

/* ---- among other things to wait for --------------------------------------------------------- */

apr_status_t cohort__process_waitable(const cohort__aim_t *aim, unsigned wanted) {
    (void)wanted;
    if (aim->handle == cohort__self()) return COHORT_ENOWAIT;
    uint64_t life = cohort__process_life(aim->handle);
    if (cohort__life_generation(life) != cohort__pid_generation(aim->life)) return APR_SUCCESS;
    cohort__slot_state_t state = cohort__life_state(life);
    return state == COHORT__SLOT_NEW || state == COHORT__SLOT_MAKING ? COHORT_ENOTSTARTED
                                                                     : APR_SUCCESS;
}

/* A slot that holds another process by now, or one that was not started, held one that has
 * ended. */
unsigned cohort__process_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough) {
    if (thorough) (void)cohort__process_check_dead(aim->life);
    uint64_t life = cohort__process_life(aim->handle);
    if (cohort__life_generation(life) != cohort__pid_generation(aim->life)) return wanted;
    switch (cohort__life_state(life)) {
    case COHORT__SLOT_STARTING:
    case COHORT__SLOT_RUNNING:
    case COHORT__SLOT_DEAD: return 0;
    default: return wanted;
    }
}

/* Of one that has ended. One that is forgotten has not failed, as far as is known. */
bool cohort__process_failed(const cohort__aim_t *aim) {
    int code = cohort__exit_code(aim->handle);
    uint64_t life = cohort__process_life(aim->handle);
    return cohort__life_generation(life) == cohort__pid_generation(aim->life) && code != 0;
}

void cohort__process_await_any(void *const *processes, int count, int64_t deadline) {
    cohort_process_t *slots[COHORT_OS_BORROW_MAX];
    for (int i = 0; i < count; i++) slots[i] = processes[i];
    cohort__watcher_borrow(slots, count, deadline);
}

void cohort__process_describe(const cohort__aim_t *aim, char *text, size_t size) {
    const cohort_process_t *process = aim->handle;
    char name[COHORT__NAME_MAX];
    const char *state;
    switch (cohort__process_state(process)) {
    case COHORT__SLOT_STARTING: state = "is starting"; break;
    case COHORT__SLOT_RUNNING: state = "runs"; break;
    case COHORT__SLOT_DEAD:
    case COHORT__SLOT_ENDED: state = "has ended"; break;
    default: state = "was not started"; break;
    }
    cohort__process_get_name(process, name, sizeof name);
    snprintf(text, size, "the process %s, which %s", name, state);
}

/* ---- asking and signalling ------------------------------------------------------------------ */

/* The id of a process that a caller of the library means; 0: *status says what it is instead. */
static cohort__pid_t id_of(const cohort_process_t *process, apr_status_t *status) {
    *status = APR_SUCCESS;
    if (is_gone_parent(process)) return 0;
    *status = cohort__process_check(process);
    return *status ? 0 : cohort__process_id(process);
}

static apr_status_t process_join(cohort_process_t *process, apr_interval_time_t timeout) {
    apr_status_t status;
    cohort__pid_t id = id_of(process, &status);
    return id ? cohort__process_join(id, timeout) : status;
}

apr_status_t cohort_process_join(cohort_process_t *process, apr_interval_time_t timeout) {
    return COHORT__CALL_ANEW(process_join(process, timeout));
}

/* Is it a live handle? If not, that is what the thread's last error says. */
static bool is_handle(const char *call, const cohort_process_t *process) {
    cohort__forget();
    return cohort__returned(call, cohort__process_check(process)) == APR_SUCCESS;
}

int cohort_process_is_alive(const cohort_process_t *process) {
    if (is_gone_parent(process) || !is_handle(__func__, process)) return 0;
    cohort__slot_state_t state = cohort__process_state(process);
    if (state != COHORT__SLOT_RUNNING && state != COHORT__SLOT_DEAD) return 0;
    return cohort__self() ? cohort__process_lives_on(cohort__process_id(process)) : 1;
}

int cohort_process_exit_code(const cohort_process_t *process) {
    if (is_gone_parent(process)) return COHORT_EXIT_UNKNOWN;
    if (!is_handle(__func__, process)) return COHORT_EXIT_NONE;
    if (cohort__process_state(process) != COHORT__SLOT_ENDED) return COHORT_EXIT_NONE;
    return cohort__exit_code(process);
}

cohort_os_id_t cohort__process_seen(const cohort_process_t *process) {
    static const cohort_os_id_t nobody;
    cohort__pid_t id = cohort__service_reach(cohort__process_id(process));
    cohort_process_t *slot = cohort__process_find(id);
    return slot ? cohort__process_os(slot) : nobody;
}

apr_int64_t cohort_process_pid(const cohort_process_t *process) {
    if (is_gone_parent(process) || !is_handle(__func__, process) || !is_started(process)) return 0;
    return cohort__process_seen(process).pid;
}

static apr_status_t process_name(const cohort_process_t *process, char *buffer, apr_size_t size) {
    apr_status_t status = is_gone_parent(process) ? COHORT_EHANDLE : cohort__process_check(process);
    if (status) return status;
    if (!buffer || size == 0)
        return buffer ? cohort__fail(APR_EINVAL, "size is 0") : cohort__null("buffer");
    cohort__process_get_name(process, buffer, size);
    return APR_SUCCESS;
}

apr_status_t cohort_process_name(const cohort_process_t *process, char *buffer, apr_size_t size) {
    return COHORT__CALL_ANEW(process_name(process, buffer, size));
}

static apr_status_t process_set_name(cohort_process_t *process, const char *name) {
    cohort__thread_t *me;
    apr_status_t status = cohort__process_check(process);
    if (!status && (!name || !*name))
        status = name ? cohort__fail(APR_EINVAL, "name is empty") : cohort__null("name");
    if (!status) status = cohort__enter(&me);
    if (status) return status;
    cohort__guard_enter(&process->guard, me);
    cohort__process_put_name(process, name);
    cohort__guard_leave(&process->guard);
    if (process == cohort__self()) (void)cohort_os_become(&(cohort_os_become_t){.name = name});
    return APR_SUCCESS;
}

apr_status_t cohort_process_set_name(cohort_process_t *process, const char *name) {
    return COHORT__CALL_ANEW(process_set_name(process, name));
}

int cohort_process_is_daemon(const cohort_process_t *process) {
    return is_handle(__func__, process) && process->lifetime == COHORT_LIFETIME_DAEMON;
}

/* Is it a process of the system, and runs? A service is none. */
static bool is_running(const cohort_process_t *slot) {
    return cohort__process_state(slot) == COHORT__SLOT_RUNNING &&
           slot->role != COHORT__ROLE_SERVICE;
}

/* Under the guard that the reaper holds while it releases the pid, so the pid is still this
 * process. */
apr_status_t cohort__process_signal(cohort__pid_t id, int signal) {
    cohort__thread_t *me;
    cohort_process_t *slot = cohort__process_find(id);
    apr_status_t status = cohort__enter(&me);
    if (status || !slot) return status;
    if (!is_started(slot)) return not_started(id);
    cohort__guard_enter(&slot->guard, me);
    bool is_it = cohort__process_find(id) == slot;
    bool runs = is_running(slot);
    if (is_it && runs) status = cohort_os_signal(slot->os, signal);
    cohort__guard_leave(&slot->guard);
    /* ended, and not recorded yet */
    return status == APR_FROM_OS_ERROR(ESRCH) ? APR_SUCCESS : status;
}

/* What is signalled: a process that runs, known to the system by an identity that no later one
 * has. */
typedef struct {
    cohort_os_id_t os;
    cohort_os_tree_t tree;
} target_t;

static apr_status_t find_target(cohort__pid_t id, target_t *target, bool *runs) {
    cohort__thread_t *me;
    cohort_process_t *slot = cohort__process_find(id);
    apr_status_t status = cohort__enter(&me);
    *runs = false;
    if (status || !slot) return status;
    cohort__guard_enter(&slot->guard, me);
    if (cohort__process_find(id) == slot) {
        cohort__slot_state_t state = cohort__process_state(slot);
        if (state < COHORT__SLOT_RUNNING) status = COHORT_ENOTSTARTED;
        *runs = is_running(slot);
        *target = (target_t){slot->os, slot->tree};
    }
    cohort__guard_leave(&slot->guard);
    return status;
}

apr_status_t cohort__process_kill(cohort__pid_t id) {
    target_t target;
    bool runs;
    apr_status_t status = find_target(id, &target, &runs);
    if (!status && runs && target.tree.token)
        (void)cohort_os_tree_end(&target.tree, target.os, true, 0, cohort__is_spared);
    return status ? status : cohort__process_signal(id, COHORT_OS_KILL);
}

/* `ask`: when those are killed that were asked before; 0: at once. */
static apr_status_t end_tree(cohort__pid_t id, int64_t ask) {
    target_t target;
    bool runs;
    apr_status_t status = find_target(id, &target, &runs);
    if (status || !runs) return status;
    return cohort_os_tree_end(&target.tree, target.os, true, ask, cohort__is_spared);
}

apr_status_t cohort__process_kill_all(cohort__pid_t id) {
    apr_status_t status = end_tree(id, 0);
    return status ? cohort__process_kill(id) : APR_SUCCESS;
}

static apr_status_t process_kill(cohort_process_t *process) {
    apr_status_t status;
    cohort__pid_t id = id_of(process, &status);
    return id ? cohort__process_kill(cohort__service_reach(id)) : status;
}

static apr_status_t process_kill_tree(cohort_process_t *process) {
    apr_status_t status;
    cohort__pid_t id = id_of(process, &status);
    return id ? end_tree(cohort__service_reach(id), 0) : status;
}

static apr_status_t process_signal(cohort_process_t *process, int signal) {
    apr_status_t status;
    cohort__pid_t id = id_of(process, &status);
    return id ? cohort__process_signal(cohort__service_reach(id), signal) : status;
}

apr_status_t cohort_process_terminate(cohort_process_t *process) {
    return COHORT__CALL_ANEW(process_signal(process, COHORT_OS_TERMINATE));
}

apr_status_t cohort_process_kill(cohort_process_t *process) {
    return COHORT__CALL_ANEW(process_kill(process));
}

apr_status_t cohort_process_kill_tree(cohort_process_t *process) {
    return COHORT__CALL_ANEW(process_kill_tree(process));
}

apr_status_t cohort_process_interrupt(cohort_process_t *process) {
    return COHORT__CALL_ANEW(process_signal(process, COHORT_OS_INTERRUPT));
}

/* COHORT_ENOWAIT: that is the caller itself, or the service of which it is a run. */
static cohort__pid_t to_be_stopped(cohort_process_t *process, apr_status_t *status) {
    cohort__pid_t id = id_of(process, status);
    if (id && cohort__service_reach(id) != cohort__self_id()) return id;
    if (id) *status = COHORT_ENOWAIT;
    return 0;
}

static apr_status_t process_stop(cohort_process_t *process, apr_interval_time_t grace) {
    apr_status_t status;
    cohort__pid_t id = to_be_stopped(process, &status);
    if (!id) return status;
    cohort__service_halt(id, COHORT__HALT_ASK);
    status = cohort__process_signal(cohort__service_reach(id), COHORT_OS_TERMINATE);
    if (status) return status;
    status = cohort__process_join(id, grace);
    if (!APR_STATUS_IS_EAGAIN(status) && !APR_STATUS_IS_TIMEUP(status)) return status;
    cohort__service_halt(id, COHORT__HALT_KILL);
    status = cohort__process_kill(cohort__service_reach(id));
    return status ? status : cohort__process_join(id, COHORT_FOREVER);
}

apr_status_t cohort_process_stop(cohort_process_t *process, apr_interval_time_t grace) {
    return COHORT__CALL_ANEW(process_stop(process, grace));
}

static apr_status_t process_stop_tree(cohort_process_t *process, apr_interval_time_t grace) {
    apr_status_t status;
    cohort__pid_t id = to_be_stopped(process, &status);
    if (!id) return status;
    int64_t until = cohort__deadline(grace);
    cohort__service_halt(id, COHORT__HALT_KILL);
    status = end_tree(cohort__service_reach(id), until ? until : 1);
    return status ? status : cohort__process_join(id, COHORT_FOREVER);
}

apr_status_t cohort_process_stop_tree(cohort_process_t *process, apr_interval_time_t grace) {
    return COHORT__CALL_ANEW(process_stop_tree(process, grace));
}

apr_status_t cohort_process_signal(cohort_process_t *process, int signal) {
    return COHORT__CALL_ANEW(process_signal(process, signal));
}

cohort_process_t *cohort_process_current(void) { return cohort__self(); }

cohort_process_t *cohort_process_parent(void) {
    cohort_process_t *self = cohort__self();
    cohort__pid_t parent = self ? atomic_load(&self->parent) : 0;
    return parent ? cohort__process_at(cohort__pid_slot(parent)) : NULL;
}

static bool is_active_child(cohort_process_t *slot) {
    return !cohort__is_helper(slot) && !atomic_load(&slot->serves) &&
           atomic_load(&slot->parent) == cohort__self_id() &&
           cohort__process_lives_on(cohort__process_id(slot));
}

static apr_status_t process_active_children(cohort_process_t ***list, apr_size_t *count,
                                            apr_pool_t *pool) {
    if (!list || !count || !pool) return cohort__null(!list ? "list" : !count ? "count" : "pool");
    if (!cohort__arena) return COHORT_ENOTINIT;
    if (!cohort__self()) return COHORT_ENOTMEMBER;
    uint32_t all = cohort__process_count();
    cohort_process_t **found = apr_palloc(pool, all * sizeof(cohort_process_t *));
    apr_size_t n = 0;
    for (uint32_t i = 0; i < all; i++) {
        if (is_active_child(cohort__process_at(i))) found[n++] = cohort__process_at(i);
    }
    *list = found;
    *count = n;
    return APR_SUCCESS;
}

apr_status_t cohort_process_active_children(cohort_process_t ***list, apr_size_t *count,
                                            apr_pool_t *pool) {
    return COHORT__CALL_ANEW(process_active_children(list, count, pool));
}

apr_size_t cohort_cpu_count(void) { return (apr_size_t)cohort_os_figure(COHORT_OS_CPUS); }
