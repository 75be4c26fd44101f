/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Starting processes, and being one. */
#ifndef COHORT_CORE_PROCESS_H
#define COHORT_CORE_PROCESS_H

#include "core/life/death.h"
#include "core/life/watcher.h"
#include "core/memory/upward.h"

#include <cohort/process.h>

/* ---- process.c: making ---------------------------------------------------------------------- */

/* Make a slot in state NEW, owned by this process' handle. name NULL: a default name. */
apr_status_t cohort__process_make(cohort_process_t **slot, cohort__role_t role, const char *name,
                                  cohort_lifetime_t lifetime, cohort_start_method_t method);
/* What the options say of signals; default: a pool's workers pass interrupts by. APR_EINVAL: there
 * is no such thing. */
apr_status_t cohort__process_signals(cohort_process_t *slot, cohort_signals_t signals);
/* The same of its process group; default: daemons have their own if they have no terminal. */
apr_status_t cohort__process_group(cohort_process_t *slot, cohort_group_t group);
/* For a program of this path, which the options (NULL: the defaults) may call something else. */
apr_status_t cohort__program_make(cohort_process_t **slot, const char *path,
                                  const cohort_process_options_t *options, apr_pool_t *pool);
/* As cohort_process_create(). */
apr_status_t cohort__function_make(cohort_process_t **slot, cohort_target_t target,
                                   const void *args, size_t args_size,
                                   const cohort_process_options_t *options, apr_pool_t *pool);
/* Is there such a thing, and does this system have it? */
apr_status_t cohort__containment_check(cohort_containment_t containment, cohort_group_t group);
/* Then, of what ends with it; default: what is in the group of a daemon. */
apr_status_t cohort__process_contain(cohort_process_t *slot, cohort_containment_t containment,
                                     cohort_group_t group);

/* ---- ask.c: asking, signals, the wait for an end -------------------------------------------- */

/* cohort_process_join() and the calls that signal, for use within the library: of a process by its
 * id, since a slot that is not held for the caller may be another process' by now. APR_SUCCESS: it
 * is gone. */
apr_status_t cohort__process_join(cohort__pid_t id, apr_interval_time_t timeout);
apr_status_t cohort__process_signal(cohort__pid_t id, int signal);
/* COHORT_OS_KILL, and of a process that is contained in a tree that tree first, while it can be
 * found by parents. */
apr_status_t cohort__process_kill(cohort__pid_t id);
/* It and all that it has started; where the system does not tell what that is, it alone. */
apr_status_t cohort__process_kill_all(cohort__pid_t id);
/* For the table of types: a process as something to wait for. COHORT_ENOWAIT: the calling process
 * itself; COHORT_ENOTSTARTED. */
apr_status_t cohort__process_waitable(const cohort__aim_t *aim, unsigned wanted);
bool cohort__process_failed(const cohort__aim_t *aim);
unsigned cohort__process_ready(const cohort__aim_t *aim, unsigned wanted, bool thorough);
void cohort__process_await_any(void *const *processes, int count, int64_t deadline);
void cohort__process_describe(const cohort__aim_t *aim, char *text, size_t size);
/* Its identity to the system; of a service that of its present run. */
cohort_os_id_t cohort__process_seen(const cohort_process_t *process);
/* Has this process created it? Else COHORT_ENOTOWNER. */
apr_status_t cohort__creator_check(cohort_process_t *process);

/* ---- method.c: start methods ---------------------------------------------------------------- */

/* The start method that a NEW slot's start would use; APR_ENOTIMPL where it is not to be had. */
apr_status_t cohort__method_resolve(cohort_start_method_t wanted, cohort_start_method_t *method);
/* cohort_set_start_method() */
apr_status_t cohort__start_by(cohort_start_method_t method, const char *path);
/* Can this program be executed anew? Else COHORT_EPRIVILEGED. */
apr_status_t cohort__reexec_check(void);
/* What is executed then; NULL: the own executable. */
const char *cohort__executable(void);

/* ---- start.c: a start by the slot's method -------------------------------------------------- */

/* Start it, in the context of any process of the cohort: a fork server forks it directly. Returns
 * when the child is RUNNING, or why not. */
apr_status_t cohort__process_launch(cohort_process_t *slot);
/* cohort_process_start() */
apr_status_t cohort__process_start(cohort_process_t *process);

/* ---- attempt.c: an attempt at a start ------------------------------------------------------- */

/* From NEW to STARTING, with a claim that is open under the next number. `awaited`: the starter
 * waits until the child is RUNNING, and a failure is its own to tell. False: it is not NEW. */
bool cohort__attempt_begin(cohort_process_t *slot, bool awaited);
/* The start failed: NEW again. */
/* Kill and reap a child that cannot be watched. */
void cohort__attempt_end_child(cohort_os_id_t child);
apr_status_t cohort__attempt_failed(cohort_process_t *slot, apr_status_t status);
/* In the child, first of all: the slot is this process'. False: the attempt is over, and this
 * process too late. */
bool cohort__attempt_claim(cohort_process_t *slot, uint32_t attempt);
/* The child has stepped back: another attempt, without becoming NEW. */
void cohort__attempt_again(cohort_process_t *slot);
/* Wait until the slot's process runs, or cannot any more. `child`: its identity, when that is
 * known; else COHORT_EWORKERDIED says that the slot's reaper died before a child claimed the
 * slot. */
apr_status_t cohort__await_running(cohort_process_t *slot, const cohort_os_id_t *child);
/* The child exists: have it watched, and wait until it is RUNNING. If it cannot be watched it
 * must not live: its end would not be seen. */
apr_status_t cohort__watch_until_running(cohort_process_t *slot, cohort_os_id_t child,
                                         cohort__watched_t *watched);

/* ---- launch.c: spawn and fork; program.c ---------------------------------------------------- */

/* What the slot says of a start; the rest is for the caller to fill in. */
cohort_os_start_t cohort__start_of(cohort_process_t *slot, cohort_os_how_t how);
/* Start a process of the own executable for the slot, by an attempt that has begun. Its end is this
 * process' to see: `watched` is there for that, and used up by the caller. */
apr_status_t cohort__reexec(cohort_process_t *slot, cohort_os_boot_t *boot,
                            const cohort_os_streams_t *streams, cohort_os_id_t *child,
                            cohort__watched_t **watched);
/* Start the slot's process, by an attempt that has begun, and wait until it is RUNNING.
 * `lifeline`: what it hangs on, or NONE. */
apr_status_t cohort__launch_spawn(cohort_process_t *slot, cohort_os_handle_t lifeline);
apr_status_t cohort__launch_fork(cohort_process_t *slot, cohort_os_handle_t lifeline);
/* In a copy of the process (fork): everything that belongs to the original is let go of. */
void cohort__forked(void);
/* The reserved words of a program and of its streams. */
apr_status_t cohort__program_check(const cohort_program_t *program);
/* From NEW on: start the slot's program. */
apr_status_t cohort__program_launch(cohort_process_t *slot);
/* The same of this one, with streams that are the caller's (as cohort_os_start_t has them). */
apr_status_t cohort__program_run(cohort_process_t *slot, const cohort_program_t *program,
                                 const cohort_os_handle_t child[3]);

/* ---- lifeline.c ----------------------------------------------------------------------------- */

/* This process' lifeline, made at first use: what its daemons die with. In a copy, reset lets go of
 * it. */
apr_status_t cohort__lifeline(cohort_os_handle_t *reader);
void cohort__lifeline_reset(void);
void cohort__lifeline_lock(void);
void cohort__lifeline_unlock(void);
/* No process hangs on it any more. */
void cohort__lifeline_close(void);

/* ---- child.c: being a child ----------------------------------------------------------------- */

/* How the child came into being: what it inherited, and so how it ends. */
typedef enum { COHORT__BORN_FORK, COHORT__BORN_SPAWN, COHORT__BORN_SERVED } cohort__birth_t;
/* In a copy that could not be made as it was wanted: leave the reason in the slot, and end. */
_Noreturn void cohort__child_refuse(cohort_process_t *slot, uint32_t attempt, apr_status_t status);
/* Become the process of this slot, run it, end. `attempt` is the start that this child belongs
 * to. */
_Noreturn void cohort__child_main(cohort_process_t *slot, uint32_t attempt, cohort__birth_t birth,
                                  cohort_os_handle_t lifeline);
/* What boot->role says: the role of the process, and the attempt at its start. */
static inline uint32_t cohort__boot_tag(uint32_t role, uint32_t attempt) {
    return role | attempt << 8;
}
static inline uint32_t cohort__boot_role(const cohort_os_boot_t *boot) { return boot->role & 0xff; }
static inline uint32_t cohort__boot_attempt(const cohort_os_boot_t *boot) {
    return boot->role >> 8;
}
/* The slot of the start that this process, re-executed, was made for. NULL: there is no such start
 * under way, by its parent, whatever the arena says. */
cohort_process_t *cohort__boot_slot(const cohort_os_boot_t *boot);
/* This process is a root now. */
void cohort__children_begin(void);
/* It has made one: there is something to end. */
void cohort__children_made(void);
/* Children joined or ended; the exit code stored. Once per process. */
void cohort__children_end(void);
/* Runs at exit() of any member. */
void cohort__at_exit(void);

/* ---- server_client.c: fork servers of this process ------------------------------------------ */

/* Have a server of this process, started at need, fork the process of the slot, and wait until
 * it is RUNNING. *full is set when another server is needed and there are as many as may be;
 * nothing was begun then. */
apr_status_t cohort__server_launch(cohort_process_t *slot, bool *full);
/* This process' watcher has another channel: tell the servers. */
void cohort__server_introduce(void);
/* A server of this process lives that cannot be reached any more, since this program has
 * closed the channel; it can report nothing either. */
bool cohort__server_is_cut_off(void);
/* All of them. */
void cohort__server_close(void);
/* In a copy of the process: the servers are the original's. */
void cohort__server_reset(void);
/* Around a fork, so that the copy never has handles that nothing there knows of. In the copy, reset
 * instead of unlock. */
void cohort__server_lock(void);
void cohort__server_unlock(void);

/* ---- server.c: being a fork server ---------------------------------------------------------- */

_Noreturn void cohort__server_main(cohort_process_t *slot, const cohort_os_boot_t *boot);
bool cohort__is_server(void);
/* In its child, which knows what it shall be: can this server have such children? */
bool cohort__server_suits(const cohort_process_t *slot);
/* In the server: have its maker look after its pools. */
void cohort__server_tell(void);

/* ---- orphans.c: processes without a watcher ------------------------------------------------- */

/* A process that watched others has ended: they, and others without a living watcher and parent,
 * are watched by this process from here on, so that their ends are seen, what they leave is freed,
 * and pools that died with their makers are, too. */
void cohort__orphans_adopt(cohort__pid_t dead);
/* One of them is watched by this process from here on, if `from` is still its watcher. */
void cohort__orphan_adopt(cohort_process_t *slot, cohort__pid_t from);

/* ---- keeper.c: the process that ends daemons without a parent ------------------------------- */

/* Have this process' keeper, started at need, hold the process of the slot. Does nothing for one
 * that does not end with its parent. Where there can be no keeper, the process hangs on its
 * lifeline alone. */
void cohort__keeper_hold(cohort_process_t *slot);
/* What it holds has ended. */
void cohort__keeper_ended(cohort__pid_t id);
_Noreturn void cohort__keeper_main(cohort_process_t *slot, const cohort_os_boot_t *boot);
/* A keeper has ended: if it was this process', a new one takes its place. */
void cohort__keeper_lost(cohort__pid_t id);
/* No process is left to be held. */
void cohort__keeper_close(void);
/* In a copy of the process: the keeper is the original's. */
void cohort__keeper_reset(void);
/* As with the server. */
void cohort__keeper_lock(void);
void cohort__keeper_unlock(void);

/* ---- gift.c: handles that a process is given ------------------------------------------------ */

/* What the options say of gifts and files. */
apr_status_t cohort__gifts_set(cohort_process_t *slot, const cohort_process_options_t *o);
/* Those of this program, before it begins a cohort of its own. */
apr_status_t cohort__gifts_find(void);
/* Are they what they were then? */
apr_status_t cohort__gifts_check(cohort_process_t *slot);
/* One of them, the i-th that the caller names, and what it becomes where it is taken. */
apr_status_t cohort__gift_note(const cohort_gift_t *gift, unsigned i, cohort_os_gift_t *noted);
apr_status_t cohort__gift_as_file(cohort_os_gift_t *gift, apr_file_t **file, apr_pool_t *pool);
apr_status_t cohort__gift_as_socket(cohort_os_gift_t *gift, apr_socket_t **socket,
                                    apr_pool_t *pool);

/* ---- parcel.c: handles on their way between processes --------------------------------------- */

/* What this process has sent and no process has taken in time is closed. */
void cohort__parcels_tend(void);
void cohort__parcels_repair(cohort__pid_t dead);

/* ---- settings.c: what a process is made different in from its starter ----------------------- */

/* A session of its own is no part of the parent's group. */
apr_status_t cohort__session_check(const cohort_settings_t *settings, cohort_group_t group);
/* Check them, and pack them into a block of malloc()'s; NULL for NULL. */
apr_status_t cohort__settings_pack(const cohort_settings_t *settings,
                                   cohort_os_settings_t **packed);
/* The slot is to be started with a copy of the block; NULL: with none. */
apr_status_t cohort__settings_attach(cohort_process_t *slot, const cohort_os_settings_t *packed);
/* Both. */
apr_status_t cohort__settings_set(cohort_process_t *slot, const cohort_settings_t *settings);

/* ---- service.c: processes that are started again -------------------------------------------- */

typedef enum {
    COHORT__HALT_NOT,
    COHORT__HALT_NO_MORE, /* no run comes after the present one */
    COHORT__HALT_ASK,     /* that is asked to end, as soon as it has begun */
    COHORT__HALT_KILL     /* that is killed */
} cohort__halt_t;

/* What the options say: with a policy for restarts the slot is a service's from here on. */
apr_status_t cohort__service_set(cohort_process_t *slot, const cohort_process_options_t *o);
/* What its runs execute, copied. */
apr_status_t cohort__service_program(cohort_process_t *slot, const cohort_program_t *program);
/* From NEW on: start it, with its first run. */
apr_status_t cohort__service_start(cohort_process_t *slot);
/* It is to end, if it is a service; what it shall do about its present run is done by the caller,
 * or by the thread that is about to start it. */
void cohort__service_halt(cohort__pid_t id, cohort__halt_t halt);
/* What a signal to this process reaches: of a service its present run, 0: there is none. */
cohort__pid_t cohort__service_reach(cohort__pid_t id);
/* The watcher has recorded the end of a process, which may be a service's run. */
void cohort__service_ended(cohort__pid_t run);
/* What a stream of this run is that is a file; APR_EBADF: the supervisor has closed it. */
apr_status_t cohort__service_file(const cohort_process_t *run, int i, cohort_os_handle_t *handle);
/* The watcher looks after the services of this process: what is due is started. */
void cohort__services_tend(void);
/* This process ends: no more runs. */
void cohort__services_end(void);
/* Their supervisor is dead. */
void cohort__services_drop(cohort__pid_t dead);

/* ---- given.c -------------------------------------------------------------------------------- */

/* What a process gets whenever it is started: slot->given. */
typedef struct {
    cohort_os_known_t streams[3];
    bool keeps_streams; /* else it gets those that its starter has then */
    void *context;
    size_t size;
} cohort__given_t;
/* NULL: none are kept. */
const cohort_os_streams_t *cohort__given_streams(const cohort__given_t *given,
                                                 cohort_os_streams_t *streams);
/* The slot is to get it; it stays the caller's, and there for as long as the start takes. */
apr_status_t cohort__given_attach(const cohort__given_t *given, cohort_process_t *slot);
/* The context of this thread, in a block of malloc()'s, and all but the quick part of its state. */
apr_status_t cohort__context_capture(void **context, size_t *size, cohort_os_state_t *state);
/* Copies of this process' standard streams. */
apr_status_t cohort__given_streams_copy(cohort_os_streams_t *streams);
/* The state of this process' first thread. *another: the calling thread is in another one. */
apr_status_t cohort__maker_look(cohort_os_state_t *state, bool *another);

#endif
