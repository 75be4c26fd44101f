/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "facts.h"

#include "system.h"

#include <sched.h>
#include <sys/resource.h>

bool system_runs(int64_t pid) { return process_runs(pid); }

bool system_kill(int64_t pid) { return kill((pid_t)pid, SIGKILL) == 0; }

int system_handles(void) { return count_descriptors(getpid()); }

int system_handles_of(int64_t pid) { return count_descriptors(pid); }

bool system_is_wine(void) { return false; }

bool system_has_jobs(void) { return false; }

bool system_has_signals(void) { return true; }

int system_nice(void) { return getpriority(PRIO_PROCESS, 0); }

static bool read_about(int64_t pid, const char *what, char *text, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%lld/%s", (long long)pid, what);
    FILE *file = fopen(path, "r");
    if (!file) return false;
    size_t got = fread(text, 1, size - 1, file);
    fclose(file);
    text[got] = 0;
    return true;
}

bool system_name(int64_t pid, char *name, size_t size) {
    if (!read_about(pid, "comm", name, size)) return false;
    name[strcspn(name, "\n")] = 0;
    return true;
}

bool system_command_line(int64_t pid, char *line, size_t size) {
    return read_about(pid, "cmdline", line, size);
}

#ifdef __linux__
bool system_tells_cpus(void) { return true; }

int system_only_cpu(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) != 1) return -1;
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &set)) return i;
    }
    return -1;
}
#else
bool system_tells_cpus(void) { return false; }
int system_only_cpu(void) { return -1; }
#endif
