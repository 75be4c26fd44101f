/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The cases of tests/posix that have no counterpart on Windows, by name and reason, so that they
 * are counted. */
#include "check.h"

#define NO_FORK     "there is no fork()"
#define NO_SERVER   "there is no fork server"
#define NO_TERMINAL "no pseudo-terminals are made"
#define NO_SUCH     "there is no such property"

#define ABSENT(suite, name, reason) \
    static void absent_##name(void) { SKIP(reason); }
#define LIST(X)                                                                                \
    X(Lifetime, daemons_end_with_a_parent_that_becomes_another_program,                        \
      "there is no exec() that keeps the process")                                             \
    X(Lifetime, a_daemon_that_closes_everything_dies_too,                                      \
      "a job, not a handle of the daemon's, ends it")                                          \
    X(Lifetime, PROC_24_forkserver_sigint, NO_SERVER)                                          \
    X(Lifetime, PROC_24_forkserver_sigkill, NO_SERVER)                                         \
    X(Lifetime, child_killed_after_its_server, NO_SERVER)                                      \
    X(Lifetime, servers_are_killed_all_the_time, NO_SERVER)                                    \
    X(Lifetime, parent_and_server_die_at_once, NO_SERVER)                                      \
    X(Lifetime, children_get_no_privileges_that_were_given_up,                                 \
      "a process keeps its token for life")                                                    \
    X(Lifetime, host_that_ignores_its_children, "there is no SIGCHLD")                         \
    X(Lifetime, host_that_reaps_everything, "there are no zombies to reap")                    \
    X(Lifetime, host_that_closes_everything, "handles have no small numbers to close them by") \
    X(Lifetime, raw_copies_are_no_members, NO_FORK)                                            \
    X(Lifetime, raw_copies_keep_nothing_alive, NO_FORK)                                        \
    X(Lifetime, limits_of_the_system_are_kept, "there is no ulimit")                           \
    X(Lifetime, newborns_may_be_killed, "the system does not tell of new processes")           \
    X(Inherit, user, NO_SUCH)                                                                  \
    X(Inherit, effective_user, NO_SUCH)                                                        \
    X(Inherit, groups, NO_SUCH)                                                                \
    X(Inherit, root, NO_SUCH)                                                                  \
    X(Inherit, capabilities, NO_SUCH)                                                          \
    X(Inherit, securebits, NO_SUCH)                                                            \
    X(Inherit, no_new_privs, NO_SUCH)                                                          \
    X(Inherit, seccomp, NO_SUCH)                                                               \
    X(Inherit, namespaces, NO_SUCH)                                                            \
    X(Inherit, dumpable, NO_SUCH)                                                              \
    X(Inherit, scheduling, NO_SUCH)                                                            \
    X(Inherit, oom_score, NO_SUCH)                                                             \
    X(Inherit, umask, NO_SUCH)                                                                 \
    X(Inherit, limits, NO_SUCH)                                                                \
    X(Inherit, nice, NO_SUCH)                                                                  \
    X(Inherit, session, NO_SUCH)                                                               \
    X(Inherit, group, NO_SUCH)                                                                 \
    X(Inherit, signal_mask, "there is no signal mask to inherit")                              \
    X(Inherit, ignored_signals, "nothing but Ctrl-C can be ignored by inheritance")            \
    X(Inherit, handled_signals, "handlers are no part of what is inherited")                   \
    X(Inherit, shown_environment, "the system shows no environment")                           \
    X(Inherit, descriptors, "handles have no small numbers to look for them by")               \
    X(Inherit, files_are_kept_under_their_numbers, "handles have no numbers to keep")          \
    X(Inherit, copies_of_a_child_end_alone, "there is no fork()")                              \
    X(Inherit, terminate_works_whatever_the_parent_does,                                       \
      "a request to terminate is an event, which no process inherits")                         \
    X(OwnTerminal, what_is_typed_arrives, NO_TERMINAL)                                         \
    X(OwnTerminal, the_end_is_waited_for, NO_TERMINAL)                                         \
    X(OwnTerminal, reads_have_time_outs, NO_TERMINAL)                                          \
    X(LeftOpen, gifts, "handles are counted by nothing_is_left alone")                         \
    X(LeftOpen, pipes, "handles are counted by nothing_is_left alone")                         \
    X(LeftOpen, logs, "handles are counted by nothing_is_left alone")                          \
    X(LeftOpen, terminals, "handles are counted by nothing_is_left alone")                     \
    X(LeftOpen, daemons, "handles are counted by nothing_is_left alone")                       \
    X(LeftOpen, programs, "handles are counted by nothing_is_left alone")                      \
    X(LeftOpen, failures, "handles are counted by nothing_is_left alone")                      \
    X(LeftOpen, runs, "handles are counted by nothing_is_left alone")                          \
    X(LeftOpen, parcels, "handles are counted by nothing_is_left alone")                       \
    X(OwnTerminal, commands_have_terminals, NO_TERMINAL)                                       \
    X(OwnTerminal, programs_hang_up, NO_TERMINAL)                                              \
    X(OwnTerminal, the_background_is_a_session, "there are no sessions")                       \
    X(Program, any_bytes_arrive, "strings are UTF-8")                                          \
    X(Program, killed_by_itself, "no program sends itself signals")                            \
    X(Program, signal_state_is_clean, "there is no signal mask to inherit")

LIST(ABSENT)

#define ROW(suite, name, reason) {#suite, #name, absent_##name},
const test_case_t absent_cases[] = {LIST(ROW){0}};
