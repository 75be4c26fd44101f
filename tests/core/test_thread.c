/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Thread records: one per thread, never mistaken for an earlier one, reused after the end or the
 * repair. */
#include "threads.h"

#include "core/object/holders.h"

typedef struct {
    _Atomic uint64_t ids[8];
    _Atomic int ready;
    cohort__owner_ptr_t owner_ptr;
    cohort_event_t *go;
} notes_t;

static notes_t *new_notes(void) {
    notes_t *notes = party_memory(sizeof *notes);
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&notes->go, test_pool()));
    return notes;
}

static void a_thread_has_one_record(void) {
    cohort__thread_t *me = enter();
    CHECK(me == enter());
    cohort__tid_t id = cohort__thread_id(me);
    CHECK(cohort__thread_find(id) == me);
    CHECK(cohort__thread_alive(id, false));
    CHECK(cohort__thread_alive(id, true));
    CHECK_INT(cohort__self_id(), cohort__thread_process(id));
}

static void nonsense_is_no_process(void) {
    cohort__tid_t id = cohort__thread_id(enter());
    cohort__tid_t ids[] = {0,          id + (1 << 16), id + 5000,
                           UINT64_MAX, 0xffff,         id & ~(cohort__tid_t)0xffff};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        CHECK(cohort__thread_find(ids[i]) == NULL);
        CHECK(!cohort__thread_alive(ids[i], true));
        CHECK_INT(0, cohort__thread_process(ids[i]));
    }
}

static void *APR_THREAD_FUNC note_id(apr_thread_t *thread, void *data) {
    notes_t *n = data;
    (void)thread;
    atomic_store(&n->ids[atomic_fetch_add(&n->ready, 1) % 8], cohort__thread_id(enter()));
    return NULL;
}

static void ended_threads_are_gone_and_their_records_used(void) {
    notes_t *n = new_notes();
    party_thread_finish(party_thread(note_id, n));
    CHECK(!cohort__thread_alive(n->ids[0], true));
    CHECK(cohort__thread_find(n->ids[0]) == NULL);
    uint32_t count = cohort__thread_count();
    for (int i = 0; i < 200; i++) {
        cohort__tid_t last = n->ids[(n->ready - 1) % 8];
        party_thread_finish(party_thread(note_id, n));
        CHECK(n->ids[(n->ready - 1) % 8] != last);
    }
    CHECK_INT(count, cohort__thread_count());
}

static int note_own(void *data) {
    notes_t *n = *(notes_t **)data;
    cohort__thread_t *me = enter();
    atomic_store(&n->ids[0], cohort__thread_id(me));
    atomic_store(&n->ids[1], cohort__self_id());
    CHECK_STATUS(APR_SUCCESS, cohort__block_new(me, COHORT__KIND_BYTES, 1000,
                                                &me->in_flight[COHORT__IN_FLIGHT_MESSAGE]));
    CHECK_STATUS(APR_SUCCESS, cohort__block_new(me, COHORT__KIND_BYTES, 100000,
                                                &me->in_flight[COHORT__IN_FLIGHT_LINK]));
    atomic_store(&n->ready, 1);
    party_wait_for_death();
}

/* What a call had in flight when its process died is freed, and the id names no thread. */
static void records_of_the_dead_are_repaired(void) {
    notes_t *n = new_notes();
    cohort__usage_t before, after;
    cohort__alloc_usage(&before);
    for (int i = 0; i < 5; i++) {
        atomic_store(&n->ready, 0);
        cohort_process_t *process = party_start(note_own, &n, sizeof n);
        party_await(&n->ready, 1);
        CHECK(cohort__thread_alive(n->ids[0], true));
        CHECK_INT(n->ids[1], cohort__thread_process(n->ids[0]));
        CHECK_INT(n->ids[1], cohort__process_id(process));
        party_kill(process);
        CHECK(!cohort__thread_alive(n->ids[0], false));
        CHECK(cohort__thread_find(n->ids[0]) == NULL);
        CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
    }
    cohort__alloc_usage(&after);
    CHECK_INT(before.blocks, after.blocks);
}

/* A thread that waits until an owner pointer is settled waits for a death. So what a living thread
 * said of it long ago must not count. */
static void only_the_owner_pointers_of_an_intent_are_unsettled(void) {
    enum { AS_FROM = 1, AS_TO = 2 };
    static const int counts[] = {[COHORT__INTENT_NONE] = 0,
                                 [COHORT__INTENT_NEW] = AS_TO,
                                 [COHORT__INTENT_FREE] = AS_FROM,
                                 [COHORT__INTENT_MOVE] = AS_FROM | AS_TO};
    static cohort__owner_ptr_t owner_ptrs[2], other;
    cohort__thread_t *me = enter();
    for (uint32_t intent = COHORT__INTENT_NONE; intent <= COHORT__INTENT_MOVE; intent++) {
        for (int said = 0; said < 4; said++) {
            atomic_store(&me->intent_from, said & AS_FROM ? &owner_ptrs[1] : &other);
            atomic_store(&me->intent_to, said & AS_TO ? &owner_ptrs[0] : NULL);
            atomic_store(&me->intent, intent);
            cohort__pid_t waited_for = cohort__owner_ptrs_unsettled(NULL, owner_ptrs, 2),
                          mine = cohort__owner_ptrs_unsettled(me, owner_ptrs, 2);
            atomic_store(&me->intent, COHORT__INTENT_NONE);
            CHECK_INT(said & counts[intent] ? cohort__self_id() : 0, waited_for);
            CHECK_INT(0, mine);
        }
    }
}

const test_case_t thread_cases[] = {
    {"CoreThread", "a_thread_has_one_record", a_thread_has_one_record},
    {"CoreThread", "nonsense_is_no_process", nonsense_is_no_process},
    {"CoreThread", "ended_threads_are_gone_and_their_records_used",
     ended_threads_are_gone_and_their_records_used},
    {"CoreThread", "records_of_the_dead_are_repaired", records_of_the_dead_are_repaired},
    {"CoreThread", "only_the_owner_pointers_of_an_intent_are_unsettled",
     only_the_owner_pointers_of_an_intent_are_unsettled},
    {0},
};
