/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "left.h"

#include "core/memory/arena.h"
#include "core/process/process.h"

#include <apr_time.h>
#include <stdio.h>
#include <string.h>

#define LOOKS 40000
#define PAUSE 500 /* microseconds */

static bool is_own(cohort_process_t *slot) {
    bool helper = cohort__is_helper(slot) && atomic_load(&slot->parent) == cohort__self_id();
    return slot == cohort__self() || helper;
}

left_t left_now(void) {
    left_t left = {0};
    cohort__usage_t usage;
    cohort__alloc_usage(&usage);
    left.blocks[COHORT__KIND_BYTES] = usage.blocks;
    for (int kind = COHORT__KIND_BYTES + 1; kind < COHORT__KINDS; kind++) {
        for (void *o = NULL; (o = cohort__object_next((cohort__kind_t)kind, o)) != NULL;) {
            left.blocks[kind]++;
            left.blocks[COHORT__KIND_BYTES]--;
        }
    }
    for (uint32_t i = 0; i < cohort__process_count(); i++) {
        cohort_process_t *slot = cohort__process_at(i);
        left.processes += cohort__process_state(slot) != COHORT__SLOT_FREE && !is_own(slot);
    }
    for (uint32_t i = 0; i < cohort__thread_count(); i++) {
        cohort__pid_t owner = atomic_load(&cohort__thread_at(i)->owner);
        left.records += owner && !cohort__process_alive(owner, false);
    }
    return left;
}

bool left_same(const left_t *before, const left_t *now, uint64_t more) {
    left_t same = *now;
    uint64_t least = before->blocks[COHORT__KIND_BYTES], bytes = same.blocks[COHORT__KIND_BYTES];
    same.blocks[COHORT__KIND_BYTES] = least;
    return memcmp(&same, before, sizeof same) == 0 && bytes >= least && bytes - least <= more;
}

bool left_as_before(const left_t *before, left_t *now, uint64_t more) {
    *now = left_now();
    for (int i = 0; i < LOOKS && !left_same(before, now, more); i++) {
        apr_sleep(PAUSE);
        *now = left_now();
    }
    return left_same(before, now, more);
}

static void add(char *text, size_t size, const char *what, uint64_t before, uint64_t now) {
    size_t length = strlen(text);
    if (before == now) return;
    snprintf(text + length, size - length, "%s%s: %llu instead of %llu", length ? ", " : "", what,
             (unsigned long long)now, (unsigned long long)before);
}

const char *left_describe(const left_t *before, const left_t *now, char *text, size_t size) {
    static const char *const kinds[COHORT__KINDS] = {
        "blocks of bytes", "queues", "pipes", "synchronisers", "barriers", "pools", "results"};
    *text = 0;
    for (int kind = 0; kind < COHORT__KINDS; kind++)
        add(text, size, kinds[kind], before->blocks[kind], now->blocks[kind]);
    add(text, size, "processes", before->processes, now->processes);
    add(text, size, "records of dead threads", before->records, now->records);
    return text;
}
