/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Death in the heap and in locks. The blocks that the victim had made and not yet given away
 * must come back by themselves. */
#include "check.h"
#include "core/memory/arena.h"
#include "step.h"

#include <cohort/cohort.h>

#define KEPT       8
#define JOINED     3 /* free rows side by side */
#define HELD       9 /* blocks of `wide`, two to a slab: more slabs than a thread keeps */
#define OWNER_PTRS 12

typedef struct {
    size_t size;
    void *kept[KEPT];         /* the survivor's, and one of them for the victim to free */
    _Atomic(void *) received; /* by the victim */
    _Atomic uint64_t a, b;    /* always equal for the guard's owner */
    cohort__guard_t guard;
    cohort__owner_ptr_t owner_ptrs[OWNER_PTRS]; /* of the victim's blocks */
} state_t;

static state_t *new_state(size_t size) {
    state_t *s = step_new(sizeof(state_t));
    s->size = size;
    for (int i = 0; i < KEPT; i++) {
        CHECK_STATUS(APR_SUCCESS, cohort_alloc(&s->kept[i], size));
        memset(s->kept[i], i, size);
    }
    return s;
}

static void *small(void) { return new_state(100); }
static void *medium(void) { return new_state(5000); }
static void *wide(void) { return new_state(30000); }
static void *large(void) { return new_state(200000); }

static void check_kept(state_t *s, int from) {
    for (int i = from; i < KEPT; i++) {
        CHECK_INT(i, *(char *)s->kept[i]);
        CHECK_INT(i, ((char *)s->kept[i])[s->size - 1]);
    }
}

static void discard(void *state) {
    state_t *s = state;
    for (int i = 0; i < KEPT; i++) CHECK_STATUS(APR_SUCCESS, cohort_free(s->kept[i]));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

/* The heap's own blocks: made with an owner pointer, as all of Cohort's are, so that none can be
 * lost; the user's are the user's from the return on. */
static void make(void *state) {
    state_t *s = state;
    cohort__thread_t *me;
    if (cohort__enter(&me)) return;
    (void)cohort__block_new(me, COHORT__KIND_BYTES, s->size, &s->received);
}

static void check_make(void *state, bool finished) {
    state_t *s = state;
    cohort__thread_t *me;
    CHECK_STATUS(APR_SUCCESS, cohort__enter(&me));
    CHECK(!finished || atomic_load(&s->received));
    check_kept(s, 0);
    cohort__block_free(me, &s->received);
}

static void release(void *state) { (void)cohort_free(((state_t *)state)->kept[0]); }

static void check_release(void *state, bool finished) {
    state_t *s = state;
    apr_status_t status = cohort_free(s->kept[0]);
    /* else it may have been freed already, by the victim or by the repair */
    CHECK(!finished || status == COHORT_EFREE);
    CHECK(status == APR_SUCCESS || status == COHORT_EFREE);
    CHECK_STATUS(APR_SUCCESS, cohort_alloc(&s->kept[0], s->size));
    check_kept(s, 1);
}

/* A block that the victim has made for itself, which the survivor tries to free, too. */
static void obtain(void *state) {
    state_t *s = state;
    void *block = NULL;
    if (!cohort_alloc(&block, s->size)) atomic_store(&s->received, block);
}

static void release_own(void *state) {
    (void)cohort_free(atomic_load(&((state_t *)state)->received));
}

static void check_release_own(void *state, bool finished) {
    state_t *s = state;
    apr_status_t status = cohort_free(atomic_load(&s->received));
    CHECK(!finished || status == COHORT_EFREE);
    CHECK(status == APR_SUCCESS || status == COHORT_EFREE);
    check_kept(s, 0);
}

static void own_slab(void *state) {
    void *block;
    if (!cohort_alloc(&block, ((state_t *)state)->size)) cohort_free(block);
}

/* All places for slabs are taken, one slab was let go, and another one has room. */
static void hold_many(void *state) {
    state_t *s = state;
    cohort__thread_t *me;
    if (cohort__enter(&me)) return;
    for (int i = 0; i < HELD; i++)
        (void)cohort__block_new(me, COHORT__KIND_BYTES, s->size, &s->owner_ptrs[i]);
    cohort__block_free(me, &s->owner_ptrs[HELD / 2]);
}

static void make_more(void *state) {
    state_t *s = state;
    cohort__thread_t *me;
    if (cohort__enter(&me)) return;
    for (int i = HELD; i < OWNER_PTRS; i++)
        (void)cohort__block_new(me, COHORT__KIND_BYTES, s->size, &s->owner_ptrs[i]);
}

static void check_more(void *state, bool finished) {
    state_t *s = state;
    cohort__thread_t *me;
    CHECK_STATUS(APR_SUCCESS, cohort__enter(&me));
    for (int i = 0; i < OWNER_PTRS; i++) {
        CHECK((i >= HELD && !finished) || !atomic_load(&s->owner_ptrs[i]) == (i == HELD / 2));
        cohort__block_free(me, &s->owner_ptrs[i]);
    }
    check_kept(s, 0);
}

/* Free rows side by side, where the next search begins. */
static void leave_rows(void *state) {
    state_t *s = state;
    cohort__thread_t *me;
    if (cohort__enter(&me)) return;
    for (int i = 0; i <= JOINED; i++)
        (void)cohort__block_new(me, COHORT__KIND_BYTES, s->size, &s->owner_ptrs[i]);
    for (int i = JOINED; i-- > 0;) cohort__block_free(me, &s->owner_ptrs[i]);
}

/* Of all these rows, but for a part of the last. */
static void make_of_rows(void *state) {
    state_t *s = state;
    cohort__thread_t *me;
    if (cohort__enter(&me)) return;
    (void)cohort__block_new(me, COHORT__KIND_BYTES, JOINED * s->size, &s->received);
}

static void check_rows(void *state, bool finished) {
    state_t *s = state;
    cohort__thread_t *me;
    CHECK_STATUS(APR_SUCCESS, cohort__enter(&me));
    cohort__block_free(me, &s->owner_ptrs[JOINED]);
    check_make(state, finished);
}

static void change(void *state) {
    state_t *s = state;
    cohort__thread_t *me;
    if (cohort__enter(&me)) return;
    cohort__guard_enter(&s->guard, me);
    cohort__guard_set(&s->guard, &s->a, atomic_load(&s->a) + 1);
    cohort__guard_set(&s->guard, &s->b, atomic_load(&s->b) + 1);
    cohort__guard_leave(&s->guard);
}

static void check_change(void *state, bool finished) {
    state_t *s = state;
    cohort__thread_t *me;
    CHECK_STATUS(APR_SUCCESS, cohort__enter(&me));
    cohort__guard_enter(&s->guard, me);
    CHECK_INT(atomic_load(&s->a), atomic_load(&s->b));
    CHECK(!finished || atomic_load(&s->a) == 1);
    cohort__guard_leave(&s->guard);
}

#define CASE(function, prepare_, warm_, operate_, check_)                                          \
    STEP_CASES(function, .prepare = prepare_, .warm = warm_, .operate = operate_, .check = check_, \
               .discard = discard)

CASE(make_small, small, own_slab, make, check_make)
CASE(make_first_small, small, NULL, make, check_make)
CASE(make_medium, medium, NULL, make, check_make)
CASE(make_large, large, NULL, make, check_make)
CASE(make_of_free_rows, large, leave_rows, make_of_rows, check_rows)
CASE(make_turning, wide, hold_many, make_more, check_more)
CASE(free_small, small, NULL, release, check_release)
CASE(free_medium, medium, own_slab, release, check_release)
CASE(free_large, large, NULL, release, check_release)
CASE(free_own_small, small, obtain, release_own, check_release_own)
CASE(free_own_large, large, obtain, release_own, check_release_own)
CASE(guarded_change, small, NULL, change, check_change)

#define ENTRIES(function) \
    {"StepMemory", #function, function}, { "StepMemory", #function "_repair", function##_repair }
const test_case_t step_memory_cases[] = {ENTRIES(make_small),
                                         ENTRIES(make_first_small),
                                         ENTRIES(make_medium),
                                         ENTRIES(make_large),
                                         ENTRIES(make_of_free_rows),
                                         ENTRIES(make_turning),
                                         ENTRIES(free_small),
                                         ENTRIES(free_medium),
                                         ENTRIES(free_large),
                                         ENTRIES(free_own_small),
                                         ENTRIES(free_own_large),
                                         ENTRIES(guarded_change),
                                         {0}};
