/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The one place for what compilers spell differently. */
#ifndef COHORT_CORE_BITS_H
#define COHORT_CORE_BITS_H

#include <stdint.h>

/* COHORT__APART: a function that is called less often than what its caller does otherwise, and
 * should be out of the way; COHORT__NOINLINE: one that is to have the registers to itself, and
 * begins with a cache line, so that its loop is as quick wherever it lies.
 * COHORT__UNROLL, before a for loop with a condition: several rounds in a row without a jump back.
 * It is for short loops that call into the program. That is far from a shared library, and a
 * processor is slow to follow a far call, a far return and a jump one right after the other; a
 * fifth quicker without the jump. A hint: some compilers know no such thing.
 * COHORT__HIDDEN, before the declaration of a variable of several files: it is the own one of this
 * library, so that its address is computed and not looked up. */

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#define COHORT__APART    __declspec(noinline)
#define COHORT__NOINLINE __declspec(noinline)
#define COHORT__UNROLL
static inline int cohort__lowest_bit(uint64_t word) {
    unsigned long index;
    _BitScanForward64(&index, word);
    return (int)index;
}
static inline int cohort__highest_bit(uint64_t word) {
    unsigned long index;
    _BitScanReverse64(&index, word);
    return (int)index;
}
static inline int cohort__count_bits(uint64_t word) { return (int)__popcnt64(word); }
static inline void cohort__prefetch(const void *address) { _m_prefetchw((void *)address); }
static inline void cohort__relax(void) { _mm_pause(); }
#else
#define COHORT__APART    __attribute__((noinline, cold))
#define COHORT__NOINLINE __attribute__((noinline, aligned(64)))
#define COHORT__UNROLL   _Pragma("GCC unroll 4")
/* Index of the lowest set bit of a word that is not 0, and of the highest one. */
static inline int cohort__lowest_bit(uint64_t word) { return __builtin_ctzll(word); }
static inline int cohort__highest_bit(uint64_t word) { return 63 - __builtin_clzll(word); }
static inline int cohort__count_bits(uint64_t word) { return __builtin_popcountll(word); }
/* The line at this address will be written soon. A hint: any address will do. The built-in function
 * alone would not do: without -mprfchw it asks for a line to be read, and a function that does
 * nothing else is taken for one without effect. */
static inline void cohort__prefetch(const void *address) {
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)address));
#elif defined(__aarch64__)
    __asm__ volatile("prfm pstl1keep, %a0" : : "p"(address));
#else
    __builtin_prefetch(address, 1);
#endif
}
/* One step of a busy wait. */
static inline void cohort__relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}
#endif

#if defined(__ELF__)
#define COHORT__HIDDEN __attribute__((visibility("hidden")))
#else
#define COHORT__HIDDEN
#endif

#endif
