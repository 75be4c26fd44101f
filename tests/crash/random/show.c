/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "show.h"

#include "core/memory/arena.h"
#include "core/process/process.h"

#include <inttypes.h>
#include <stdio.h>

void show_process(cohort_process_t *p, uint32_t index) {
    if (cohort__process_state(p) == COHORT__SLOT_FREE) return;
    fprintf(stderr,
            "  process %u: state %d role %u pid %lld reaper %llx repairer %llx repaired %u exit %d "
            "%s\n",
            index, (int)cohort__process_state(p), p->role, (long long)p->os.pid,
            (unsigned long long)p->reaper, (unsigned long long)p->repairer, p->repaired,
            cohort__exit_code(p), p->name[p->renamed % 2]);
}

void show_thread(cohort__thread_t *t, uint32_t index) {
    if (!t->owner) return;
    fprintf(stderr,
            "  thread %u of process %u: op %u on %p at %llu, intent %u on %p from %p to %p, sleeps "
            "on %p (%x)\n",
            index, cohort__pid_slot(t->owner), t->op, t->op_object,
            (unsigned long long)t->op_position, t->intent, t->intent_block, (void *)t->intent_from,
            (void *)t->intent_to, (void *)t->parked, t->parked ? t->parked->word : 0);
}

/* What each block that is in use begins with. */
void show_blocks(void) {
    cohort__usage_t usage;
    uint64_t found = 0;
    cohort__alloc_usage(&usage);
    for (char *at = (char *)cohort__arena + cohort__arena->heap_offset;
         found < usage.blocks && cohort__in_arena(at, 16); at += 16) {
        for (int kind = 0; kind < COHORT__KINDS; kind++) {
            if (!cohort__block_is(at, (cohort__kind_t)kind)) continue;
            const uint64_t *words = (const uint64_t *)(const void *)at;
            fprintf(stderr,
                    "  block %p of kind %d, %zu bytes: %016" PRIx64 " %016" PRIx64 " %016" PRIx64
                    " %016" PRIx64 "\n",
                    (void *)at, kind, cohort__block_size(at), words[0], words[1], words[2],
                    words[3]);
            found++;
        }
    }
}
