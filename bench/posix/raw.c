/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* cohort-peer-raw: which work there is. */
#include "raw.h"

static const peer_work_t table[] = {
    {"fork", "start.fn", raw_fork},
    {"vfork", "start.fn", raw_vfork},
    {"posix_spawn", "start.program", raw_posix_spawn},
    {"vfork+exec", "start.program", raw_vfork_exec},
    {"fork+exec", "start.program", raw_fork_exec},
    {"posix_spawn", "run.collect", raw_run},
    {"posix_spawn", "commands.true", raw_commands},
    {"xargs", "commands.true", raw_xargs},
    {"spin", "pingpong", raw_pingpong_spin},
    {"pipe", "pingpong", raw_pingpong_pipe},
    {"socketpair", "pingpong", raw_pingpong_socketpair},
    {"spin", "oneway", raw_oneway_spin},
    {"pipe", "oneway", raw_oneway_pipe},
    {"socketpair", "oneway", raw_oneway_socketpair},
    {"mpmc-spin", "queue", raw_queue_mpmc},
    {"mpmc-spin", "batch", raw_queue_mpmc},
    {"pipe", "queue", raw_queue_pipe},
    {"mutex+cond", "queue", raw_queue_mutex},
    {"spin", "barrier", raw_barrier_spin},
    {"pthread", "barrier", raw_barrier_pthread},
    {"fetch_add", "pool.map", raw_map},
    {"fetch_add", "pool.eff", raw_work},
    {"spin-worker", "pool.apply", raw_apply_spin},
    {"scm_rights", "gift", raw_gift},
    {"mutex", "lock", raw_lock_mutex},
    {"robust", "lock", raw_lock_robust},
#ifdef RAW_FUTEX
    {"epoll", "waitset", raw_epoll},
    {"futex", "pingpong", raw_pingpong_futex},
    {"futex", "barrier", raw_barrier_futex},
    {"futex-worker", "pool.apply", raw_apply_futex},
#endif
    {NULL, NULL, NULL},
};

int main(int argc, char **argv) { return peer_main(argc, argv, table); }
