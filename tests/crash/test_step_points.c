/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What step_next() says of an instruction, against what the instruction does: after each one the
 * arena is compared with what it was before, and where a byte of it has changed the instruction
 * must have been called a store or a system call.
 */
#include "check.h"
#include "core/memory/arena.h"
#include "core/memory/member.h"
#include "step.h"
#include "step_points.h"

#include <cohort/cohort.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BYTES 4096
#define CALLS 5

typedef struct {
    _Atomic uint64_t words[64];
    _Alignas(64) char bytes[BYTES];
    _Alignas(64) char more[BYTES];
    int pipe[2];
    cohort_queue_t *queue;
    cohort_lock_t *lock;
} state_t;

static void *new_state(void) {
    state_t *s = step_new(sizeof(state_t));
    CHECK_INT(0, pipe(s->pipe));
    CHECK_STATUS(APR_SUCCESS, cohort_queue_create(&s->queue, NULL, NULL));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_create(&s->lock, NULL));
    return s;
}

static void discard(void *state) {
    state_t *s = state;
    close(s->pipe[0]);
    close(s->pipe[1]);
    CHECK_STATUS(APR_SUCCESS, cohort_queue_destroy(s->queue));
    CHECK_STATUS(APR_SUCCESS, cohort_lock_destroy(s->lock));
    CHECK_STATUS(APR_SUCCESS, cohort_free(s));
}

/* ---- the comparison ------------------------------------------------------------------------- */

typedef struct {
    const char *from;
    size_t size;
    char *copy;
} region_t;

static struct {
    region_t regions[5];
    int n;
    step_next_t next; /* what was said of the instruction that has just been executed */
    bool begun;
    long steps, stores, calls, changes;
} seen;

static void watch_region(const void *from, size_t size) {
    char *copy = malloc(size);
    CHECK(copy);
    memcpy(copy, from, size);
    seen.regions[seen.n++] = (region_t){from, size, copy};
}

/* All that is used of the arena: its head, the tables, and the heap. */
static void watch_arena(void) {
    size_t spans = (size_t)atomic_load(cohort__spans.top);
    memset(&seen, 0, sizeof seen);
    watch_region(cohort__arena, sizeof *cohort__arena);
    watch_region(cohort__process_at(0), cohort__process_count() * sizeof(cohort_process_t));
    watch_region(cohort__thread_at(0), cohort__thread_count() * sizeof(cohort__thread_t));
    watch_region(cohort__spans.heads, spans * sizeof *cohort__spans.heads);
    watch_region(cohort__spans.data, spans * COHORT__SPAN);
}

static void unwatch_arena(void) {
    for (int i = 0; i < seen.n; i++) free(seen.regions[i].copy);
}

static void compare(const region_t *r) {
    if (!memcmp(r->copy, r->from, r->size)) return;
    size_t at = 0;
    while (r->copy[at] == r->from[at]) at++;
    if (seen.begun && seen.next.effect == STEP_PRIVATE) {
        /* the stepped process is a fork of this one */
        const unsigned char *code = (const unsigned char *)(uintptr_t)seen.next.at;
        test_fail(__FILE__, __LINE__,
                  "step %ld changed %p, and was not said to: %02x %02x %02x %02x %02x %02x at %p",
                  seen.steps, (const void *)(r->from + at), code[0], code[1], code[2], code[3],
                  code[4], code[5], (const void *)code);
    }
    seen.changes += seen.begun;
    memcpy(r->copy, r->from, r->size);
}

static void look(pid_t pid) {
    if (!seen.n) watch_arena();
    for (int i = 0; i < seen.n; i++) compare(&seen.regions[i]);
    seen.next = step_next(pid);
    seen.begun = true;
    seen.steps++;
    seen.stores += seen.next.effect == STEP_STORES;
    seen.calls += seen.next.effect == STEP_CALLS;
}

/* ---- what is executed ----------------------------------------------------------------------- */

static void store_words(state_t *s) {
    uint64_t expected = 7;
    atomic_store(&s->words[0], 7);
    atomic_store_explicit(&s->words[1], 8, memory_order_relaxed);
    atomic_fetch_add(&s->words[0], 1);
    atomic_compare_exchange_strong(&s->words[0], &expected, 9);
    atomic_compare_exchange_strong(&s->words[0], &expected, 10);
    atomic_exchange(&s->words[2], 11);
    atomic_fetch_or(&s->words[3], 1u << 5);
    atomic_fetch_and(&s->words[1], 15);
    atomic_fetch_xor(&s->words[1], 6);
}

/* By the C library, which chooses by size and machine. */
static void store_bytes(state_t *s) {
    static const size_t sizes[] = {1,  2,  3,   7,   8,   15,   16,   31,   33,
                                   64, 65, 100, 200, 500, 1000, 3000, BYTES};
    void *(*volatile set)(void *, int, size_t) = memset;
    void *(*volatile copy)(void *, const void *, size_t) = memcpy;
    void *(*volatile move)(void *, const void *, size_t) = memmove;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        set(s->bytes, (int)i + 1, sizes[i]);
        copy(s->more, s->bytes, sizes[i]);
        move(s->bytes + 1, s->bytes, sizes[i] - 1);
    }
    snprintf(s->bytes, BYTES, "%s-%d-%f", "text", 4711, 3.25);
}

#ifdef __x86_64__
/* What no compiler has been seen to use here. */
static void store_rarely(state_t *s) {
    void *to = s->bytes, *from = s->more;
    uint64_t count = 20, value = 5, zero = 0, index = 300;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(0x5a) : "memory");
    count = 20;
    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
    __asm__ volatile("movsb\n\tstosq" : "+D"(to), "+S"(from) : "a"(value) : "memory");
    to = s->words + 8;
    __asm__ volatile(
        "movntiq %1, (%0)\n\tlock btsq $3, 8(%0)\n\tbtcq %2, (%0)\n\tbtsq %2, 16(%0)\n\t"
        "btrq %2, 16(%0)\n\t"
        "setne 25(%0)\n\tnotq 32(%0)\n\tnegq 32(%0)\n\txaddq %1, 48(%0)\n\tshldq $3, %1, 56(%0)\n\t"
        "rolw $5, 64(%0)\n\tincl 72(%0)\n\tmovw %%ds, 80(%0)\n\txchgb %b1, 88(%0)\n\t"
        "bswapq %1\n\tadcq $9, 96(%0)\n\t"
        "subb $7, (%0,%2)\n\tfld1\n\tfstpl 112(%0)\n\tstmxcsr 120(%0)"
        : "+r"(to), "+r"(value)
        : "r"(index)
        : "memory", "cc");
    /* below what the compiler may use */
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\tpushq %1\n\tpopq 40(%0)\n\tleaq 128(%%rsp), %%rsp"
                     :
                     : "r"(to), "r"(value)
                     : "memory");
    __asm__ volatile("movq %1, %%xmm0\n\tmovups %%xmm0, 128(%0)\n\tmovq %%xmm0, 150(%0)\n\t"
                     "movhps %%xmm0, 160(%0)\n\tmovntdq %%xmm0, 176(%0)\n\t"
                     "movdqu %%xmm0, 200(%0)\n\tmovss %%xmm0, 220(%0)\n\t"
                     "pcmpeqb %%xmm1, %%xmm1\n\tmovq %0, %%rdi\n\tmaskmovdqu %%xmm1, %%xmm0"
                     :
                     : "r"(to), "r"(value)
                     : "memory", "xmm0", "xmm1", "rdi");
    __asm__ volatile(
        "xorl %%edx, %%edx\n\txorl %%eax, %%eax\n\tlock cmpxchg16b (%0)\n\tlock cmpxchg16b (%0)\n\t"
        "movb 32(%0), %%al\n\tlock cmpxchgb %b1, 32(%0)\n\tlock xaddb %%al, 33(%0)\n\t"
        "shrdw $3, %%ax, 34(%0)\n\tsete 36(%0)"
        :
        : "r"(s->words + 50), "b"(value), "c"(zero)
        : "rax", "rdx", "memory", "cc");
}
#else
static void store_rarely(state_t *s) { (void)s; }
#endif

static void call(state_t *s) {
    char text[100] = "read";
    for (int i = 0; i < CALLS - 2; i++) s->words[5] += (uint64_t)syscall(SYS_getppid);
    if (write(s->pipe[1], text, sizeof text) < 0 || read(s->pipe[0], s->bytes + 7, sizeof text) < 0)
        abort();
}

static void use_library(state_t *s) {
    void *blocks[4];
    char buffer[900] = "message";
    static const apr_size_t sizes[] = {10, 500, 5000, 100000};
    for (int i = 0; i < 4; i++) {
        apr_size_t size;
        (void)!cohort_alloc(&blocks[i], sizes[i]);
        (void)!cohort_queue_put(s->queue, buffer, 200 * (apr_size_t)i + 1, 0);
        (void)!cohort_queue_get(s->queue, buffer, sizeof buffer, &size, 0);
        (void)!cohort_lock_acquire(s->lock, 0);
        (void)cohort_lock_release(s->lock);
    }
    for (int i = 0; i < 4; i++) (void)cohort_free(blocks[i]);
}

static void store_all(void *state) {
    state_t *s = state;
    store_words(s);
    store_bytes(s);
    store_rarely(s);
    call(s);
    use_library(s);
}

static void load(void *state) {
    state_t *s = state;
    const volatile char *bytes = s->bytes;
    uint64_t sum = 0;
    for (int i = 0; i < 64; i++)
        sum += atomic_load(&s->words[i]) + (uint64_t)bytes[i] + (bytes[2 * i] == 5 ? 1 : 0);
    *(volatile uint64_t *)&sum = sum;
}

static void check_seen(void *state, bool finished) {
    (void)state, (void)finished;
    unwatch_arena();
}

static void require_decoder(void) {
#ifndef __x86_64__
    SKIP("each instruction counts on this machine");
#endif
}

static void stores_are_seen(void) {
    static const step_scenario_t scenario = {
        .prepare = new_state, .operate = store_all, .check = check_seen, .discard = discard};
    require_decoder();
    seen.n = 0;
    step_each(&scenario, look);
    printf("%ld steps, %ld of them changed the arena, %ld said to, %ld system calls\n", seen.steps,
           seen.changes, seen.stores, seen.calls);
    CHECK(seen.changes > 500); /* a copy of a block may be one instruction, or thousands */
    CHECK(seen.calls >= CALLS);
}

/* The other way round: it is not that all counts. The last store is that of the end. */
static void loads_are_not(void) {
    static const step_scenario_t scenario = {
        .prepare = new_state, .operate = load, .check = check_seen, .discard = discard};
    require_decoder();
    seen.n = 0;
    step_each(&scenario, look);
    CHECK(seen.steps > 500);
    CHECK(seen.stores <= 2);
}

const test_case_t step_points_cases[] = {{"StepPoints", "stores_are_seen", stores_are_seen},
                                         {"StepPoints", "loads_are_not", loads_are_not},
                                         {0}};
