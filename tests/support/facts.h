/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* What the system says, for tests that do not want to take Cohort's word for it. By
 * tests/posix/facts.c and tests/win32/facts.c. */
#ifndef COHORT_TESTS_FACTS_H
#define COHORT_TESTS_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Does this process exist and run? One that has ended and is only kept for its parent does not. */
bool system_runs(int64_t pid);
/* End this process at once; false: that could not be done. */
bool system_kill(int64_t pid);
/* Open descriptors or handles of this process, -1 when the system does not tell. */
int system_handles(void);
/* Those of another one. */
int system_handles_of(int64_t pid);
/* Is Wine what stands for Windows here? It tells no CPU time of other processes, sets no priority
 * class, keeps no limits of jobs, and sends nothing by a socket that was duplicated. */
bool system_is_wine(void);
/* Does it end what belongs to a process by itself, without a process that sees to that? */
bool system_has_jobs(void);
/* Has it signals of more numbers than 2, 9 and 15? */
bool system_has_signals(void);
/* The least `nice` of settings by which this process could have got its priority, of one with 0. */
int system_nice(void);
/* The name under which the system shows this process, which may be cut off; false when it shows
 * none. Its thread's, where only threads have one. */
bool system_name(int64_t pid, char *name, size_t size);
/* The command line that it shows; false when that has nothing to do with names. */
bool system_command_line(int64_t pid, char *line, size_t size);
/* Does it say which CPUs a process may use? */
bool system_tells_cpus(void);
/* The only one that this process may use, by its number from 0; -1: there are several. */
int system_only_cpu(void);

#endif
