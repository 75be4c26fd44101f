/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Services: processes that are started again when they end.
 *
 * A service has a slot of the process table, which is what its handle points at, but no process of
 * the system: to all that ask for its end it is alive for as long as its supervisor, the process
 * that has started it, is and does not say that it is over. Each run is a process with a slot of
 * its own, made from what the service's slot says. So nothing of a life, a death or its repair is
 * different from that of other processes, and no id is given twice.
 *
 * Runs are started by the supervisor alone: the first by the thread that starts the service, all
 * others by its watcher, which is told of the end of a run as it is told of that of a pool's
 * worker, and of the end of a delay by its alarm. Any process may say that a service is to halt. If
 * the supervisor dies the service is over: whichever process comes across it next records that.
 */
#include "core/process/service.h"

#include "core/base/reserved.h"
#include "core/memory/arena.h"
#include "core/object/pipe.h"

#include <apr_strings.h>
#include <string.h>

#define NEVER       COHORT_OS_NEVER
#define MICROSECOND INT64_C(1000)
#define SECOND      INT64_C(1000000000)
#define LIMIT       5
#define LIMIT_MAX   10000
#define LOOK_AGAIN  (SECOND / 20)  /* for the end of a run that is being recorded */
#define HOLD        (SECOND / 100) /* the least delay after a start that failed; it doubles */

/* ---- the policy ----------------------------------------------------------------------------- */

static int64_t span_or(apr_interval_time_t time, int64_t usual) {
    if (time == 0) return usual;
    if (time < 0) return 0;
    return time > NEVER / 4 / MICROSECOND ? NEVER / 4 : time * MICROSECOND;
}

static apr_status_t check_policy(const cohort_restart_t *restart) {
    apr_status_t status = cohort__check_reserved(restart->reserved, 4, "restart->reserved");
    if (status) return status;
    if (restart->when < COHORT_RESTART_NEVER || restart->when > COHORT_RESTART_ALWAYS)
        return cohort__fail(APR_EINVAL, "restart->when is %d", (int)restart->when);
    if (restart->limit > LIMIT_MAX && restart->limit != COHORT_RESTART_UNLIMITED)
        return cohort__fail(APR_EINVAL, "restart->limit is %u", restart->limit);
    if (restart->period < 0 || restart->delay_max < 0 || restart->delay < COHORT_RESTART_AT_ONCE)
        return cohort__fail(APR_EINVAL, "a time of the restart policy is negative");
    return APR_SUCCESS;
}

static void set_policy(cohort__service_t *s, const cohort_restart_t *restart) {
    s->when = restart->when;
    s->period = span_or(restart->period, 60 * SECOND);
    s->delay = span_or(restart->delay, SECOND / 10);
    s->delay_max = span_or(restart->delay_max, 30 * SECOND);
    if (s->delay_max < s->delay) s->delay_max = s->delay;
    s->pause = s->delay;
}

/* One block: what is kept, the ends of pipes, the times of restarts. */
static apr_status_t make_block(cohort_process_t *slot, const cohort_process_options_t *o) {
    cohort__thread_t *me;
    size_t limit = o->restart->limit ? o->restart->limit : LIMIT, n = o->n_connections;
    size_t times = limit == COHORT_RESTART_UNLIMITED ? 0 : limit;
    size_t ends_at = sizeof(cohort__service_t), times_at = ends_at + n * sizeof(void *);
    size_t size = times_at + times * sizeof(int64_t);
    apr_status_t status = cohort__enter(&me);
    if (!status) status = cohort__block_new(me, COHORT__KIND_BYTES, size, &slot->service);
    if (status) return status;
    cohort__service_t *s = atomic_load(&slot->service);
    memset(s, 0, size);
    s->connections = (cohort_connection_t **)(void *)((char *)s + ends_at);
    s->times = (int64_t *)(void *)((char *)s + times_at);
    for (size_t i = 0; i < n; i++) s->connections[i] = o->connections[i];
    s->n_connections = (uint32_t)n;
    s->limit = (uint32_t)limit;
    s->exit_code = COHORT_EXIT_NONE;
    return APR_SUCCESS;
}

/* ---- what the options say -------------------------------------------------------------------- */

apr_status_t cohort__service_set(cohort_process_t *slot, const cohort_process_options_t *o) {
    if (!o->restart) return APR_SUCCESS;
    apr_status_t status = check_policy(o->restart);
    if (status || o->restart->when == COHORT_RESTART_NEVER) return status;
    status = make_block(slot, o);
    if (!status && o->streams) status = cohort__service_keep_streams(slot, o->streams);
    if (status) return status;
    cohort__service_t *s = atomic_load(&slot->service);
    set_policy(s, o->restart);
    s->role = slot->role;
    slot->role = COHORT__ROLE_SERVICE;
    return APR_SUCCESS;
}

/* ---- a run ---------------------------------------------------------------------------------- */

static apr_status_t copy_block(cohort__owner_ptr_t *from, uint64_t size, cohort__owner_ptr_t *to) {
    cohort__thread_t *me;
    const void *bytes = atomic_load(from);
    if (!bytes) return APR_SUCCESS;
    apr_status_t status = cohort__enter(&me);
    if (!status) status = cohort__block_new(me, COHORT__KIND_BYTES, (size_t)size, to);
    if (!status) memcpy(atomic_load(to), bytes, (size_t)size);
    return status;
}

/* What its settings, its group and the like are. */
static apr_status_t dress(cohort_process_t *run, cohort_process_t *service) {
    apr_status_t status =
        cohort__process_contain(run, (cohort_containment_t)service->containment, COHORT_GROUP_OWN);
    if (!status) status = cohort__settings_attach(run, atomic_load(&service->settings));
    if (!status)
        status =
            copy_block(&service->files, service->n_files * sizeof(cohort_os_gift_t), &run->files);
    run->n_files = service->n_files;
    run->n_gifts = service->n_gifts;
    run->signals = service->signals;
    run->group = service->group;
    return status;
}

static apr_status_t hold_ends(cohort_process_t *run, const cohort__service_t *s) {
    apr_status_t status = APR_SUCCESS;
    for (uint32_t i = 0; i < s->n_connections && !status; i++)
        status = cohort__connection_hold(s->connections[i], cohort__process_id(run));
    return status;
}

static apr_status_t fit_out(cohort_process_t *run, cohort_process_t *service,
                            const cohort__service_t *s) {
    apr_status_t status = dress(run, service);
    run->run = service->run;
    run->on_start = service->on_start;
    run->on_exit = service->on_exit;
    run->subclass = service->subclass;
    bool program = s->role == COHORT__ROLE_PROGRAM;
    run->program = atomic_load(program ? &service->args : &service->context);
    if (!program && !status) status = copy_block(&service->args, service->args_size, &run->args);
    if (!program) run->args_size = service->args_size;
    if (!program && !status) status = cohort__given_attach(&s->given, run);
    return status ? status : hold_ends(run, s);
}

/* `again`: by the watcher, which may be allowed other things than the first thread is. The block is
 * there meanwhile, since the service ends by the hand of this very thread alone. */
static apr_status_t start_run(cohort_process_t *service, cohort__pid_t id,
                              const cohort__service_t *s, bool again, cohort__pid_t *started) {
    char name[COHORT__NAME_MAX];
    cohort_process_t *run = NULL;
    cohort__process_get_name(service, name, sizeof name);
    apr_status_t status = cohort__process_make(&run, (cohort__role_t)s->role, name,
                                               (cohort_lifetime_t)service->lifetime,
                                               (cohort_start_method_t)service->method);
    if (status) return status;
    *started = cohort__process_id(run);
    atomic_store(&run->serves, id);
    run->replaces = again;
    status = fit_out(run, service, s);
    /* from its first instruction on it is reached by what is sent to the service */
    if (!status) atomic_store(&service->current, *started);
    if (!status) status = cohort__process_start(run);
    run->given = NULL;
    if (!status) return APR_SUCCESS;
    atomic_store(&service->current, 0);
    cohort__slot_let_go(*started);
    return status;
}

/* ---- from one run to the next --------------------------------------------------------------- */

cohort__service_t *cohort__service_of(cohort_process_t *slot, cohort__pid_t id) {
    bool is_it = slot->role == COHORT__ROLE_SERVICE && cohort__process_find(id) == slot;
    return is_it ? atomic_load(&slot->service) : NULL;
}

void cohort__service_over(cohort_process_t *slot, cohort__service_t *s, cohort_service_end_t end) {
    int code = s->exit_code == COHORT_EXIT_NONE ? COHORT_EXIT_UNKNOWN : s->exit_code;
    uint64_t life = cohort__process_life(slot),
             none = cohort__outcome(life, false, COHORT_EXIT_NONE);
    s->end = end;
    atomic_compare_exchange_strong(&slot->outcome, &none, cohort__outcome(life, false, code));
    atomic_store(&slot->over, 1);
}

static bool allows_one_more(cohort__service_t *s, int64_t now) {
    if (s->limit == COHORT_RESTART_UNLIMITED) return true;
    int64_t *oldest = &s->times[s->counted % s->limit];
    if (s->counted >= s->limit && now - *oldest < s->period) return false;
    *oldest = now;
    s->counted++;
    return true;
}

/* A run has ended, or its start failed. */
static void decide(cohort_process_t *slot, cohort__service_t *s, bool failed, int64_t now) {
    s->phase = COHORT__SERVICE_RESTS;
    s->next = now;
    if (s->halt) cohort__service_over(slot, s, COHORT_SERVICE_STOPPED);
    else if (s->reload) return;
    else if (!failed && s->when == COHORT_RESTART_ON_FAILURE)
        cohort__service_over(slot, s, COHORT_SERVICE_DONE);
    else if (!allows_one_more(s, now)) cohort__service_over(slot, s, COHORT_SERVICE_GIVEN_UP);
    else {
        s->next = now + s->pause;
        s->pause = s->pause < s->delay_max / 2 ? 2 * s->pause : s->delay_max;
        if (s->delay == 0) s->pause = 0;
    }
}

/* Guard. What cannot be started now may be later: it is not tried without a pause, which would cost
 * all of a CPU. */
static void hold_back(cohort__service_t *s, int64_t now) {
    int64_t hold = s->hold ? s->hold : HOLD;
    s->hold = hold < SECOND / 2 ? 2 * hold : SECOND;
    if (s->next < now + hold) s->next = now + hold;
}

typedef struct {
    bool start;
    cohort__pid_t gone; /* a run that has ended: its record goes */
    int64_t next;       /* when to look again */
} look_t;

/* Guard. */
static void look_at_run(cohort_process_t *slot, cohort__service_t *s, look_t *look) {
    cohort__pid_t id = atomic_load(&slot->current);
    cohort_process_t *run = cohort__process_find(id);
    cohort__slot_state_t state = run ? cohort__process_state(run) : COHORT__SLOT_ENDED;
    int64_t now = cohort_os_now();
    if (state == COHORT__SLOT_DEAD) look->next = now + LOOK_AGAIN;
    if (state != COHORT__SLOT_ENDED) return;
    s->exit_code = run ? cohort__exit_code(run) : COHORT_EXIT_UNKNOWN;
    look->gone = id;
    atomic_store(&slot->current, 0);
    if (now - s->begun >= s->period) s->pause = s->delay;
    decide(slot, s, s->exit_code != 0, now);
}

/* Guard. */
static void look_at_rest(cohort_process_t *slot, cohort__service_t *s, look_t *look) {
    if (s->halt) cohort__service_over(slot, s, COHORT_SERVICE_STOPPED);
    if (atomic_load(&slot->over)) return;
    look->start = s->next <= cohort_os_now();
    if (look->start) s->phase = COHORT__SERVICE_STARTS;
    else look->next = s->next;
}

static look_t look_at_service(cohort_process_t *slot, cohort__pid_t id, cohort__thread_t *me) {
    look_t look = {.next = NEVER};
    cohort__guard_enter(&slot->guard, me);
    cohort__service_t *s = cohort__service_of(slot, id);
    if (s && cohort__process_state(slot) == COHORT__SLOT_RUNNING) {
        if (s->phase == COHORT__SERVICE_RUNS) look_at_run(slot, s, &look);
        if (s->phase == COHORT__SERVICE_RESTS) look_at_rest(slot, s, &look);
    }
    cohort__guard_leave(&slot->guard);
    return look;
}

static void note_start(cohort__service_t *s, apr_status_t status) {
    s->start_status = status;
    apr_cpystrn(s->reason, status ? cohort__reason(status) : "", sizeof s->reason);
    s->reload = 0;
    if (status) return;
    s->phase = COHORT__SERVICE_RUNS;
    s->begun = cohort_os_now();
    s->hold = 0;
    s->runs++;
}

/* Has the process said so meanwhile, the run is told, which it did not see. */
static void pass_on_stop(cohort__pid_t run, uint32_t halt) {
    if (halt == COHORT__HALT_ASK) (void)cohort__process_signal(run, COHORT_OS_TERMINATE);
    if (halt == COHORT__HALT_KILL) (void)cohort__process_kill(run);
}

static void start_next(cohort_process_t *slot, cohort__pid_t id, cohort__thread_t *me) {
    cohort__pid_t started = 0;
    cohort__service_t *s = atomic_load(&slot->service);
    apr_status_t status = start_run(slot, id, s, true, &started);
    cohort__guard_enter(&slot->guard, me);
    note_start(s, status);
    if (status) {
        decide(slot, s, true, s->begun = cohort_os_now());
        hold_back(s, s->begun);
    }
    uint32_t halt = s->halt;
    atomic_fetch_add(&slot->tries, 1);
    cohort__guard_leave(&slot->guard);
    cohort__notify(&slot->changed, COHORT__ALL);
    if (!status) pass_on_stop(started, halt);
}

/* One start at most: the watcher sees the ends of other processes between two. When to look
 * again. */
static int64_t tend_service(cohort_process_t *slot, cohort__pid_t id, cohort__thread_t *me) {
    look_t look = look_at_service(slot, id, me);
    if (look.gone) cohort__slot_let_go(look.gone);
    if (look.start) start_next(slot, id, me);
    return look.gone || look.start ? cohort_os_now() : look.next;
}

/* ---- those of this process ------------------------------------------------------------------ */

/* Since when this process has any; the number names its membership. */
static _Atomic uint32_t has_services;

static bool has_any(void) { return atomic_load(&has_services) == cohort__membership() + 1; }

static cohort__pid_t service_at(uint32_t i, cohort__pid_t supervisor) {
    cohort_process_t *slot = cohort__process_at(i);
    cohort__pid_t id = cohort__process_id(slot);
    cohort__slot_state_t state = cohort__process_state(slot);
    bool is_it = slot->role == COHORT__ROLE_SERVICE && atomic_load(&slot->parent) == supervisor;
    bool runs = state == COHORT__SLOT_RUNNING || state == COHORT__SLOT_DEAD;
    return is_it && runs && cohort__process_find(id) == slot ? id : 0;
}

#define EACH_SERVICE(id, supervisor)                                   \
    for (uint32_t i_ = 0, n_ = cohort__process_count(); i_ < n_; i_++) \
        for (cohort__pid_t id = service_at(i_, (supervisor)); id; id = 0)

void cohort__services_tend(void) {
    cohort__thread_t *me;
    int64_t next = NEVER;
    if (!has_any() || cohort__enter(&me)) return;
    EACH_SERVICE(id, cohort__self_id()) {
        int64_t its = tend_service(cohort__process_at(i_), id, me);
        if (its < next) next = its;
        (void)cohort__process_check_dead(id); /* it may be over */
    }
    if (next != NEVER) cohort__watcher_alarm(next);
}

void cohort__service_ended(cohort__pid_t run) {
    cohort_process_t *slot = cohort__process_find(run);
    if (!slot || !atomic_load(&slot->serves)) return;
    if (cohort__is_server()) cohort__server_tell();
    else cohort__watcher_alarm(cohort_os_now());
}

void cohort__services_end(void) {
    if (!has_any()) return;
    /* a daemon that is being started is not among the children that are ended next */
    EACH_SERVICE(id, cohort__self_id()) {
        bool daemon = cohort__process_at(i_)->lifetime == COHORT_LIFETIME_DAEMON;
        cohort__service_halt(id, daemon ? COHORT__HALT_KILL : COHORT__HALT_NO_MORE);
    }
}

void cohort__services_drop(cohort__pid_t dead) {
    EACH_SERVICE(id, dead)(void) cohort__process_check_dead(id);
}

/* ---- its beginning and its end -------------------------------------------------------------- */

static apr_status_t start_first(cohort_process_t *slot, cohort__thread_t *me) {
    cohort__pid_t id = cohort__process_id(slot), started = 0;
    cohort__service_t *s = atomic_load(&slot->service);
    apr_status_t status = start_run(slot, id, s, false, &started);
    if (status) return status;
    cohort__guard_enter(&slot->guard, me);
    note_start(s, status);
    cohort__slot_step(slot, COHORT__SLOT_STARTING, COHORT__SLOT_RUNNING);
    cohort__guard_leave(&slot->guard);
    /* its watcher could not see this run's end as long as the service was not RUNNING */
    const cohort_process_t *run = cohort__process_find(started);
    if (!run || cohort__process_state(run) != COHORT__SLOT_RUNNING)
        cohort__watcher_alarm(cohort_os_now());
    return APR_SUCCESS;
}

apr_status_t cohort__service_start(cohort_process_t *slot) {
    cohort__thread_t *me;
    apr_status_t status = cohort__enter(&me);
    if (status) return status;
    if (!cohort__attempt_begin(slot, false)) return COHORT_ESTARTED;
    atomic_store(&has_services, cohort__membership() + 1);
    status = cohort__service_keep(slot, atomic_load(&slot->service));
    if (!status) status = start_first(slot, me);
    return status ? cohort__attempt_failed(slot, status) : APR_SUCCESS;
}

void cohort__service_halt(cohort__pid_t id, cohort__halt_t halt) {
    cohort__thread_t *me;
    cohort_process_t *slot = cohort__process_find(id);
    if (!slot || slot->role != COHORT__ROLE_SERVICE || cohort__enter(&me)) return;
    cohort__guard_enter(&slot->guard, me);
    cohort__service_t *s = cohort__service_of(slot, id);
    bool over = s && cohort__process_state(slot) == COHORT__SLOT_RUNNING;
    if (over && s->halt < (uint32_t)halt) s->halt = halt;
    over = over && s->phase == COHORT__SERVICE_RESTS;
    if (over && !atomic_load(&slot->over)) cohort__service_over(slot, s, COHORT_SERVICE_STOPPED);
    cohort__guard_leave(&slot->guard);
    if (over) (void)cohort__process_check_dead(id);
}

cohort__pid_t cohort__service_reach(cohort__pid_t id) {
    cohort_process_t *slot = cohort__process_find(id);
    if (!slot || slot->role != COHORT__ROLE_SERVICE) return id;
    if (cohort__process_state(slot) < COHORT__SLOT_RUNNING) return id;
    cohort__pid_t run = atomic_load(&slot->current);
    slot = cohort__process_find(run);
    return slot && cohort__process_state(slot) >= COHORT__SLOT_RUNNING ? run : 0;
}
