/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Guarantee: no store to the arena is missed, however it is encoded. The other way round it may
 * err: what cannot be told, counts.
 *
 * The tables name the opcodes of x86-64 that have no memory operand or surely only read it. With
 * every other one the operand's address is computed from the registers, and it counts when that
 * lies in the arena or near it; an opcode that is unknown here counts wherever its operand is. The
 * stack is taken to be elsewhere, so pushes and calls are not looked at. test_step_points.c
 * compares the predictions with what became of the arena's bytes.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "step_points.h"

#if !defined(__x86_64__)

step_next_t step_next(pid_t pid) {
    (void)pid;
    return (step_next_t){.effect = STEP_STORES};
}

#else

#include "core/memory/arena.h"

#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#define CODE_MAX 15 /* bytes of an instruction */
/* more than an operand is long, and more than the errors in its address: the length of the
 * instruction, a factor of 64 in one byte */
#define NEAR     16384
#define NOWHERE  0

typedef struct {
    struct user_regs_struct regs;
    uint8_t bytes[CODE_MAX + 17]; /* zeros at the end */
    /* in them: the next one to look at; at last the byte after the opcode */
    int at;
    uint64_t segment;
    bool repeats, is_vector;
    uint8_t rex; /* 4: of the register, 2: of the index, 1: of the base */
    int map;     /* of opcodes; 0: one byte, 1: after 0f, 2: after 0f 38, 3: after 0f 3a, ... */
    uint8_t opcode;
} instruction_t;

/*
 * .  no memory operand, or one that is not written         S  an operand that may be written
 * c  compares with /7, else S      t  written with /2, /3      i  written with /0, /1      b  read
 *    with /4, else S
 * D  written where rdi points      B  written by bit number, so anywhere      ?  unknown
 */
static const char *const one_byte[16] = {
    /* add or, adc sbb, and sub, xor cmp */
    "SS....??SS....??", "SS....??SS....??", "SS....??SS....??", "SS....??......??",
    /* rex, push pop, movsxd push imul, jcc */
    "????????????????", "................", "???.????....????", "................",
    /* test xchg mov lea, nop, movs stos, mov */
    "cc?c..SSSS..S..S", "..........?.....", "..??DD....DD....", "................",
    /* shifts ret mov, x87, loop call jmp, */
    "SS..??SS....????", "SSSS???.SSSSSSSS", "....????..?.????", "?????.tt......ii"};
static const char *const two_byte[16] = {
    /* hints, movups, movaps, rdtsc */
    "SS..??.?..???.??", ".S.S...S........", "????????.S.S....", "....????????????",
    /* cmov, arithmetic, packed, movd movq */
    "................", "................", "................", "........SSSS..SS",
    /* jcc, setcc, bts shrd, cmpxchg btr */
    "................", "SSSSSSSSSSSSSSSS", "....SS??..?BSSS.", "SS.B.....?bB....",
    /* xadd movnti cmpxchg16b, movq, movntq */
    "SS.S...S........", "......S.........", ".......S........", ".......D.......?"};

static bool fetch(pid_t pid, instruction_t *i) {
    if (ptrace(PTRACE_GETREGS, pid, NULL, &i->regs) != 0) return false;
    uint64_t page_left = 4096 - i->regs.rip % 4096;
    /* the next page may not be there */
    size_t first = page_left < CODE_MAX ? (size_t)page_left : CODE_MAX;
    struct iovec to = {i->bytes, CODE_MAX};
    struct iovec from[2] = {{(void *)i->regs.rip, first},
                            {(void *)(i->regs.rip + first), CODE_MAX - first}};
    return process_vm_readv(pid, &to, 1, from, 2, 0) > 0;
}

static void read_prefixes(instruction_t *i) {
    for (; i->at < CODE_MAX; i->at++) {
        switch (i->bytes[i->at]) {
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
        case 0x66:
        case 0x67:
        case 0xf0: break;
        case 0x64: i->segment = i->regs.fs_base; break;
        case 0x65: i->segment = i->regs.gs_base; break;
        case 0xf2:
        case 0xf3: i->repeats = true; break;
        default: return;
        }
    }
}

/* The prefixes of vector instructions hold the map and, inverted, the bits of rex. */
static void read_vector_prefix(instruction_t *i) {
    const uint8_t *b = i->bytes + i->at;
    i->is_vector = true;
    i->map = b[0] == 0xc5 ? 1 : b[0] == 0xc4 ? b[1] & 31 : b[1] & 7;
    i->rex = b[0] == 0xc5 ? 0 : ~b[1] >> 5 & 7;
    i->at += b[0] == 0xc5 ? 2 : b[0] == 0xc4 ? 3 : 4;
}

static void read_opcode(instruction_t *i) {
    read_prefixes(i);
    if ((i->bytes[i->at] & 0xf0) == 0x40) i->rex = i->bytes[i->at++] & 7;
    switch (i->bytes[i->at]) {
    case 0xc4:
    case 0xc5:
    case 0x62: read_vector_prefix(i); break;
    case 0x0f:
        i->map = i->bytes[++i->at] == 0x38 ? 2 : i->bytes[i->at] == 0x3a ? 3 : 1;
        i->at += i->map > 1;
        break;
    default: break;
    }
    i->opcode = i->bytes[i->at++];
}

static uint64_t reg(const instruction_t *i, int number) {
    const struct user_regs_struct *r = &i->regs;
    const uint64_t values[16] = {r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi,
                                 r->r8,  r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15};
    return values[number];
}

static uint64_t displacement(const uint8_t *bytes, int size) {
    int32_t value = size == 1 ? (int8_t)*bytes : 0;
    if (size == 4) memcpy(&value, bytes, sizeof value);
    return (uint64_t)(int64_t)value;
}

static uint64_t operand(const instruction_t *i) {
    const uint8_t *b = i->bytes + i->at;
    int mod = *b >> 6, base = *b & 7;
    bool scaled = base == 4;
    uint64_t address = i->segment;
    if (mod == 3) return NOWHERE;
    b++;
    if (scaled) {
        int index = (*b >> 3 & 7) | (i->rex & 2) << 2;
        if (index != 4) address += reg(i, index) << (*b >> 6);
        base = *b++ & 7;
    }
    if (mod == 0 && base == 5) return address + displacement(b, 4) + (scaled ? 0 : i->regs.rip);
    return address + reg(i, base | (i->rex & 1) << 3) + displacement(b, mod == 2 ? 4 : mod);
}

static bool in_arena(uint64_t address) {
    uint64_t base = (uint64_t)(uintptr_t)cohort__map.base;
    return address + NEAR >= base && address < base + cohort__map.size + NEAR;
}

static bool scatters(const instruction_t *i) {
    return i->map == 2 &&
           (i->is_vector ? i->opcode >> 4 == 0xa || i->opcode >> 4 == 0xc : i->opcode == 0xf8);
}

static char kind(const instruction_t *i) {
    if (i->map > 1) return scatters(i) ? '?' : 'S';
    return (i->map ? two_byte : one_byte)[i->opcode >> 4][i->opcode & 15];
}

static bool may_store(const instruction_t *i) {
    int extension = i->bytes[i->at] >> 3 & 7;
    switch (kind(i)) {
    case '.': return false;
    case 'S': return in_arena(operand(i));
    case 'c': return extension != 7 && in_arena(operand(i));
    case 't': return (extension == 2 || extension == 3) && in_arena(operand(i));
    case 'i': return extension <= 1 && in_arena(operand(i));
    case 'b': return extension != 4 && in_arena(operand(i));
    case 'D': return in_arena(i->regs.rdi) || in_arena(i->regs.rdi + i->segment);
    case 'B': return operand(i) != NOWHERE;
    default: return true;
    }
}

static bool is_string_operation(const instruction_t *i) {
    return i->map == 0 && i->opcode >= 0xa4 && i->opcode <= 0xaf &&
           (i->opcode < 0xa8 || i->opcode > 0xa9);
}

step_next_t step_next(pid_t pid) {
    instruction_t i = {.at = 0};
    if (!fetch(pid, &i)) return (step_next_t){.effect = STEP_STORES};
    read_opcode(&i);
    step_next_t next = {.effect = may_store(&i) ? STEP_STORES : STEP_PRIVATE, .at = i.regs.rip};
    if (i.map == 1 && !i.is_vector && i.opcode == 0x05) next.effect = STEP_CALLS;
    if (i.repeats && is_string_operation(&i)) next.left = i.regs.rcx;
    return next;
}

#endif
