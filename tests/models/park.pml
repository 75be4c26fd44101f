/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * src/core/memory/park.c: event counts, by cohort__notify() (how the hand-off waiter of a lock is
 * woken is handoff.pml, how a thread that waits for several things is told of one, several.pml).
 * SLEEPERS wait for NEEDS tokens each, in cohort__await(); WAKERS make one each and notify one
 * sleeper. Each may be killed before any of its steps, KILLS of them; then a living process notices
 * the death and calls cohort__wake_all_sleepers(). A sleep here has no end of its own: what the
 * library's second is for (a stopped process, or a death that is not noticed) must not be needed.
 *
 * Checked: when nothing moves any more, no live sleeper sleeps while there is a token. With
 * -DMISTAKE=1 a sleeper does not look once more after it has announced itself; with -DMISTAKE=2
 * deaths are not noticed; with -DMISTAKE=3 only those are woken after a death that are announced in
 * the word, which the dead one may just have changed. All of these must be found.
 */
#ifndef SLEEPERS
#define SLEEPERS 1
#endif
#ifndef NEEDS
#define NEEDS 2
#endif
#ifndef WAKERS
#define WAKERS 2
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef MISTAKE
#define MISTAKE 0
#endif
#define ALL 255
#define PEOPLE (SLEEPERS + WAKERS)

byte word; /* ec->word: changes * 2 | a thread sleeps; the other bit is in several.pml */
byte tokens;
byte deaths; /* cohort__arena->death */
bool alive[PEOPLE + 1] = true; /* the last: the one that notices deaths */
bool asleep[PEOPLE], parked[PEOPLE];

#define STEP(what) atomic { if :: alive[me] -> what :: else -> goto dead fi }

/* The system's: up to `count` of those that sleep. `woken` says how many. */
inline wake(count, woken) {
    atomic {
        if :: !alive[me] -> goto dead :: else fi;
        woken = 0;
        do
        :: woken < count && asleep[0] -> asleep[0] = false; woken++
#if SLEEPERS > 1
        :: woken < count && asleep[1] -> asleep[1] = false; woken++
        :: woken >= count || !(asleep[0] || asleep[1]) -> break
#else
        :: woken >= count || !asleep[0] -> break
#endif
        od
    }
}

/* cohort__notify() */
inline notify(count) {
    STEP(seen = word);
    do
    :: seen & 1 ->
        next = (count == ALL -> seen + 1 : seen + 2);
        atomic {
            if
            :: !alive[me] -> goto dead
            :: alive[me] && word == seen -> word = next; swapped = true
            :: else -> seen = word; swapped = false
            fi
        };
        if
        :: swapped ->
            wake(count, woken);
            if
            :: woken > 0 || count == ALL -> break
            :: else
            fi;
            atomic {
                if
                :: !alive[me] -> goto dead
                :: alive[me] && word == next -> word = next - 1; swapped = true
                :: else -> swapped = false
                fi
            };
            if
            :: swapped -> wake(ALL, woken)
            :: else
            fi;
            break
        :: else
        fi
    :: else -> break
    od;
    swapped = false
}

/* One try: a token, if there is one. */
#define TRY \
    STEP(if :: tokens > 0 -> tokens--; got++; if :: got == NEEDS -> goto got_all :: else fi; \
               goto again \
            :: else fi)

proctype sleeper(byte me) {
    byte seen, noted, got;
again:
    parked[me] = false;
    do
    :: TRY;
        STEP(word = word | 1; seen = word);
        STEP(parked[me] = true);
        STEP(noted = deaths);
#if MISTAKE != 1
        TRY;
#endif
        atomic {
            if :: !alive[me] -> goto dead :: alive[me] && noted != deaths -> goto awake :: else fi
        };
        STEP(if :: word == seen -> asleep[me] = true :: else fi);
end_asleep:
        atomic { !asleep[me] || !alive[me] };
awake:  STEP(parked[me] = false)
    od;
got_all:
    parked[me] = false;
dead:
    skip;
    /* those that are done with all look the same */
    d_step { asleep[me] = false; seen = 0; noted = 0; got = 0 }
}

proctype waker(byte me) {
    byte seen, next, woken;
    bool swapped;
    STEP(tokens++);
    notify(1);
dead:
    skip;
    d_step { seen = 0; next = 0; woken = 0; swapped = false }
}

/* A process kills; one (which is not killed here) notices it, counts the death, and wakes all
 * that are parked. */
proctype fate() {
    byte me = PEOPLE, victim, seen, next, woken, i, kills;
    bool swapped;
    do
    :: kills < KILLS ->
        atomic {
            select (victim : 0 .. PEOPLE - 1);
            if
            :: alive[victim] -> alive[victim] = false; kills++
            :: else -> goto next_one
            fi
        };
#if MISTAKE != 2
        deaths++;
        i = 0;
        do
        :: i < SLEEPERS ->
            if
            :: parked[i] ->
#if MISTAKE != 3
                if
                :: word & 1 -> notify(ALL)
                :: else -> wake(ALL, woken)
                fi
#else
                notify(ALL)
#endif
            :: else
            fi;
            i++
        :: else -> break
        od;
#endif
next_one:
        skip
    :: break
    od;
dead:
    skip
}

/* When nothing else can be done any more. */
proctype judge() {
    byte i;
    timeout;
    atomic {
        for (i : 0 .. SLEEPERS - 1) {
            assert(!(alive[i] && asleep[i] && tokens > 0))
        }
    }
}

init {
    byte i;
    atomic {
        for (i : 0 .. SLEEPERS - 1) { run sleeper(i) }
        for (i : SLEEPERS .. PEOPLE - 1) { run waker(i) }
        run fate();
        run judge()
    }
}
