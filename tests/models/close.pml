/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * src/core/object/ring_close.c: a closed ring and the last message. PUTTERS put one message each,
 * GETTERS get until they are told that the queue is closed or do something else after a message, a
 * closer closes it. Each may be killed before any of its steps, KILLS of them; then its repair
 * finishes or undoes what it was doing, and wakes all. The ring is a segment of CELLS that is used
 * for one lap, and its hints are left out (the stepping tests StepRuns have them lag). Event counts
 * are taken to work (park.pml): a change of the count between the look and the sleep keeps a thread
 * awake.
 *
 * Checked: no message is put once a getter has been told that it is over, nor is one in the middle
 * of a get then, and each that was put has been got; and when nothing moves any more in a closed
 * ring, no live getter sleeps. With -DMISTAKE=1 a getter does not seal the ring; with
 * -DMISTAKE=2 it does not look for gets that are in the middle; with -DMISTAKE=3 a get from a
 * closed ring wakes nobody; with -DMISTAKE=4 closing wakes nobody; with -DMISTAKE=5 the look for
 * what is in the middle comes before the seal. All of these must be found.
 */
#ifndef PUTTERS
#define PUTTERS 1
#endif
#ifndef GETTERS
#define GETTERS 2
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef MISTAKE
#define MISTAKE 0
#endif
#define CELLS  (PUTTERS + 1)
#define PEOPLE (GETTERS + PUTTERS + 1)
#define NONE   255

/* The steps of a cell; FREE again after a message, or a dead put, is TAKEN here. */
#define FREE    0
#define WRITING 1
#define FULL    2
#define READING 3
#define TAKEN   4
#define SEALED  5

byte cell[CELLS], owner[CELLS];
bool closed, drained, over; /* over: somebody was told so */
byte count;                 /* ring->items: changes */
bool alive[PEOPLE] = true, asleep[GETTERS];
byte put, got; /* messages that were published, and taken */

#define STEP(what) atomic { if :: alive[me] -> what :: else -> goto dead fi }
#define WAKE_ALL count++; asleep[0] = false; asleep[GETTERS - 1] = false
#define WAKE_ONE \
    count++; \
    if :: asleep[0] -> asleep[0] = false :: else -> asleep[GETTERS - 1] = false fi

proctype putter(byte me) {
    byte p = 0;
    STEP(if :: closed -> goto dead :: else fi);
    do
    :: atomic {
           if
           :: !alive[me] -> goto dead
           :: alive[me] && p == CELLS -> goto dead
           :: alive[me] && p < CELLS && cell[p] == FREE -> cell[p] = WRITING; owner[p] = me; break
           /* looks again, finds it closed */
           :: alive[me] && p < CELLS && cell[p] == SEALED -> goto dead
           :: else -> p++
           fi
       }
    od;
    STEP(assert(!over); cell[p] = FULL; put++);
    STEP(WAKE_ONE);
dead:
    p = 0
}

/* One try of a get: any FULL cell, from the first on. */
inline try_get() {
    p = 0;
    do
    :: p < CELLS ->
        atomic {
            if
            :: !alive[me] -> goto dead
            :: alive[me] && cell[p] == FULL -> cell[p] = READING; owner[p] = me
            :: else -> skip
            fi
        };
        if
        :: cell[p] == READING && owner[p] == me ->
            STEP(cell[p] = TAKEN; got++);
#if MISTAKE != 3
            STEP(if :: closed -> WAKE_ALL :: else fi);
#endif
            if
            :: goto again
            :: goto dead /* does something else */
            fi
        :: else -> p++
        fi
    :: else -> p = 0; break
    od
}

/* Is it drained? */
inline seal() {
    p = 0;
    do
    :: atomic {
           if
           :: !alive[me] -> goto dead
           :: alive[me] && p == CELLS -> break
           :: alive[me] && p < CELLS && cell[p] == FREE -> cell[p] = SEALED; break
           :: alive[me] && p < CELLS && cell[p] == SEALED -> break
           :: else -> p++
           fi
       }
    od
}

inline look_for_busy() {
    p = 0;
    busy = false;
    do
    :: p < CELLS ->
#if MISTAKE == 2
        STEP(busy = busy || cell[p] == WRITING || cell[p] == FULL);
#else
        STEP(busy = busy || cell[p] == WRITING || cell[p] == FULL || cell[p] == READING);
#endif
        p++
    :: else -> break
    od
}

inline try_all() {
    STEP(if :: drained -> goto told :: else fi);
    try_get();
    if
    :: closed ->
#if MISTAKE == 5
        look_for_busy();
        seal();
#else
#if MISTAKE != 1
        seal();
#endif
        look_for_busy();
#endif
        if
        :: !busy -> STEP(drained = true; WAKE_ALL); goto told
        :: else
        fi
    :: else
    fi
}

proctype getter(byte me) {
    byte p, seen;
    bool busy;
again:
    STEP(seen = count);
    try_all();
    STEP(if :: count == seen -> asleep[me] = true :: else fi);
end_asleep:
    atomic { !asleep[me] || !alive[me] };
    goto again;
told:
    atomic {
        over = true;
        p = 0;
        do
        :: p < CELLS -> assert(cell[p] != WRITING && cell[p] != FULL && cell[p] != READING); p++
        :: else -> break
        od
    };
dead:
    skip;
    d_step { asleep[me] = false; p = 0; seen = 0; busy = false }
}

proctype closer(byte me) {
    STEP(closed = true);
#if MISTAKE != 4
    STEP(WAKE_ALL);
#endif
dead:
    skip
}

/* Kills, notices it, repairs. That may take its time. */
proctype fate() {
    byte victim, p, kills;
    do
    :: kills < KILLS ->
        atomic {
            select (victim : 0 .. PEOPLE - 1);
            if
            :: alive[victim] -> alive[victim] = false; kills++
            :: else -> goto next_one
            fi
        };
        p = 0;
        do
        :: p < CELLS ->
            atomic {
                if
                :: owner[p] == victim && cell[p] == WRITING -> cell[p] = TAKEN
                :: owner[p] == victim && cell[p] == READING -> cell[p] = FULL
                :: else -> skip
                fi
            };
            p++
        :: else -> break
        od;
        atomic { WAKE_ALL };
next_one:
        skip
    :: break
    od
}

/* When nothing else can be done any more. */
proctype judge() {
    byte i;
    timeout;
    atomic {
        for (i : 0 .. GETTERS - 1) {
            assert(!(closed && alive[i] && asleep[i]))
        }
        assert(!over || put == got)
    }
}

init {
    byte i;
    atomic {
        for (i : 0 .. CELLS - 1) { owner[i] = NONE }
        for (i : 0 .. GETTERS - 1) { run getter(i) }
        for (i : GETTERS .. GETTERS + PUTTERS - 1) { run putter(i) }
        run closer(PEOPLE - 1);
        run fate();
        run judge()
    }
}
