/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The cases of tests/posix that have no counterpart on Windows, by name and reason, so that they are counted. */
#include "check.h"

#define NO_FORK   "there is no fork()"
#define NO_SERVER "there is no fork server"

#define ABSENT(suite, name, reason)   \
    static void absent_##name(void) { \
        SKIP(reason);                 \
    }
#define LIST(X)                                                                                                      \
    X(Lifetime, daemons_end_with_a_parent_that_becomes_another_program, "there is no exec() that keeps the process") \
    X(Lifetime, a_daemon_that_closes_everything_dies_too, "a job, not a handle of the daemon's, ends it")            \
    X(Lifetime, PROC_24_forkserver_sigint, NO_SERVER)                                                                \
    X(Lifetime, PROC_24_forkserver_sigkill, NO_SERVER)                                                               \
    X(Lifetime, child_killed_after_its_server, NO_SERVER)                                                            \
    X(Lifetime, servers_are_killed_all_the_time, NO_SERVER)                                                          \
    X(Lifetime, parent_and_server_die_at_once, NO_SERVER)                                                            \
    X(Lifetime, children_get_no_privileges_that_were_given_up, "a process keeps its token for life")                 \
    X(Lifetime, host_that_ignores_its_children, "there is no SIGCHLD")                                               \
    X(Lifetime, host_that_reaps_everything, "there are no zombies to reap")                                          \
    X(Lifetime, host_that_closes_everything, "handles have no small numbers to close them by")                       \
    X(Lifetime, raw_copies_are_no_members, NO_FORK)                                                                  \
    X(Lifetime, raw_copies_keep_nothing_alive, NO_FORK)                                                              \
    X(Lifetime, limits_of_the_system_are_kept, "there is no ulimit")                                                 \
    X(Lifetime, newborns_may_be_killed, "the system does not tell of new processes")                                 \
    X(Program, any_bytes_arrive, "strings are UTF-8")                                                                \
    X(Program, killed_by_itself, "no program sends itself signals")                                                  \
    X(Program, signal_state_is_clean, "there is no signal mask to inherit")

LIST(ABSENT)

#define ROW(suite, name, reason) {#suite, #name, absent_##name},
const test_case_t absent_cases[] = {LIST(ROW){0}};
