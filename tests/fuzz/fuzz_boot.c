/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole decision of a process that finds a boot block: the block, which any process may have
 * put into its environment, and then the words of the arena that it names. The first line of the
 * input is the block, with '@' for this process' pid, P for its parent's, A, L, C for descriptors
 * of an arena, a lifeline and a channel as a block writes them, B for this program's build, S and M
 * for the arena's size and base. Each eleven bytes after that change a word of the arena: one of
 * where, two of which, eight of what to.
 *
 * Whatever it is, nothing is read outside of the arena, and what is taken is what the system
 * confirms.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "fuzz.h"

#include "core/cohort/layout.h"
#include "core/process/process.h"
#include "posix/os_posix.h"

#include <cohort/errors.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE    ((uint64_t)64 << 20)
#define SLOT    ((cohort__pid_t)1 << 16 | 1) /* of the first generation, in the second place */
#define CHANGES 64

static cohort_os_arena_t arena; /* not mapped but while an input is tried */
static cohort_os_handle_t lifeline[2], channel[2];
static uint64_t header_at, slots_at, heap_at;

/* Where this process' start is under way. */
static void write_slots(void) {
    cohort_process_t *starter = cohort__process_at(0), *own = cohort__process_at(1);
    if (cohort__arena_commit(starter, 2 * sizeof *starter)) abort();
    atomic_store(&cohort__arena->processes, 2);
    atomic_store(&starter->life, cohort__life_word(1, COHORT__SLOT_RUNNING));
    starter->os.pid = getppid();
    atomic_store(&own->life, cohort__life_word(1, COHORT__SLOT_STARTING));
    own->role = COHORT__ROLE_CHILD;
    atomic_store(&own->reaper, cohort__process_id(starter));
    if (cohort__process_id(own) != SLOT) abort();
}

static void begin(void) {
    if (cohort__arena_create(SIZE, false)) abort();
    write_slots();
    slots_at = cohort__arena->process_offset;
    heap_at = cohort__arena->heap_offset;
    arena = cohort__map;
    arena.handle = fcntl((int)cohort__map.handle, F_DUPFD_CLOEXEC, 100);
    cohort__arena_detach();
    if (cohort_os_pipe_create(COHORT_OS_PIPE_LIFELINE, &lifeline[0], &lifeline[1]) ||
        cohort_os_pipe_create(COHORT_OS_PIPE_MESSAGES, &channel[0], &channel[1]))
        abort();
}

/* ---- the block ------------------------------------------------------------------------------ */

static size_t put(char *to, size_t room, char what) {
    uint8_t build[20] = {0};
    size_t at = 0;
    switch (what) {
    case '@': return (size_t)snprintf(to, room, "%020ld", (long)getpid());
    case 'P': return (size_t)snprintf(to, room, "%ld", (long)getppid());
    case 'A': return (size_t)snprintf(to, room, "%ld", (long)arena.handle + 1);
    case 'L': return (size_t)snprintf(to, room, "%ld", (long)lifeline[0] + 1);
    case 'C': return (size_t)snprintf(to, room, "%ld", (long)channel[0] + 1);
    case 'S': return (size_t)snprintf(to, room, "%llu", (unsigned long long)SIZE);
    case 'M': return (size_t)snprintf(to, room, "%llu", (unsigned long long)(uintptr_t)arena.base);
    case 'B': cohort__own_build(build); break;
    default: *to = what; return 1;
    }
    for (int i = 0; i < 20; i++) at += (size_t)snprintf(to + at, room - at, "%02x", build[i]);
    return at;
}

static void make_block(char *block, size_t room, const char *from, size_t size) {
    size_t at = 0;
    for (size_t i = 0; i < size && at + 48 < room && from[i]; i++)
        at += put(block + at, room - at, from[i]);
    block[at] = 0;
}

/* What was taken is what there is. */
static void check_boot(const cohort_os_boot_t *boot) {
    struct stat named, ours;
    if (boot->version != COHORT_OS_BOOT_VERSION || boot->parent != getppid()) abort();
    if (boot->arena == COHORT_OS_NONE) return;
    if (fstat((int)boot->arena, &named) || fstat((int)arena.handle, &ours) ||
        named.st_ino != ours.st_ino || boot->size != SIZE)
        abort();
}

/* ---- the arena ------------------------------------------------------------------------------ */

typedef struct {
    off_t at;
    uint64_t before;
} change_t;

static void change(const uint8_t *how, change_t *done) {
    const uint64_t bases[] = {header_at, slots_at, slots_at + sizeof(cohort_process_t), heap_at};
    const uint64_t lengths[] = {sizeof(cohort__arena_t), sizeof(cohort_process_t),
                                sizeof(cohort_process_t), 4096};
    uint64_t value, which = (uint64_t)how[1] << 8 | how[2];
    memcpy(&value, how + 3, sizeof value);
    done->at = (off_t)(bases[how[0] % 4] + which % (lengths[how[0] % 4] / 8) * 8);
    if (pread((int)arena.handle, &done->before, 8, done->at) != 8 ||
        pwrite((int)arena.handle, &value, 8, done->at) != 8)
        abort();
}

static void attach(const cohort_os_boot_t *boot) {
    cohort_os_arena_t map = {(char *)(uintptr_t)boot->base, boot->size,
                             fcntl((int)arena.handle, F_DUPFD_CLOEXEC, 3)};
    apr_status_t status = cohort__arena_attach(&map);
    if (status) {
        close((int)map.handle); /* unless that has been done */
        return;
    }
    cohort_process_t *slot = cohort__boot_slot(boot);
    if (slot && (slot < cohort__process_at(0) || slot >= cohort__process_at(COHORT__PROCESSES_MAX)))
        abort();
    if (slot && cohort__process_state(slot) != COHORT__SLOT_STARTING) abort();
    cohort__arena_detach();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *line = size ? memchr(data, '\n', size) : NULL, *end = data + size,
                  *at = line ? line + 1 : end;
    static char variable[1024] = "COHORT_BOOT="; /* what setenv() has copied is never freed */
    cohort_os_boot_t boot;
    change_t changes[CHANGES];
    int count = 0;
    if (!arena.base) begin();
    make_block(variable + 12, sizeof variable - 12, (const char *)data,
               line ? (size_t)(line - data) : size);
    if (putenv(variable)) abort();
    apr_status_t status = cohort_os_boot_take(&boot);
    if (getenv("COHORT_BOOT")) abort(); /* a child of this process must not see it */
    if (status && status != COHORT_EUNTRUSTED && status != COHORT_EVERSION &&
        status != COHORT_EBINARY)
        abort();
    if (status) return 0;
    check_boot(&boot);
    for (; end - at >= 11 && count < CHANGES; at += 11) change(at, &changes[count++]);
    attach(&boot);
    while (count-- > 0) {
        if (pwrite((int)arena.handle, &changes[count].before, 8, changes[count].at) != 8) abort();
    }
    return 0;
}
