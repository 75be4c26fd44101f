/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * src/core/memory/park.c and src/core/cohort/wait.c: a thread that waits for several things. Each
 * of two SEVERAL sleeps on the event count of completions, having shared that of each of two
 * things, until one of them has a token; MAKERS make a token each, in the same thing or in
 * different ones, and notify its event count. Each may be killed before any of its steps, KILLS of
 * them; then a living process notices the death and wakes all sleepers. A sleep here has no end of
 * its own.
 *
 * Checked: when nothing moves any more, no live thread sleeps while there is a token. With
 * -DMISTAKE=1 a thread looks before it shares, and not after; with -DMISTAKE=2 deaths are not
 * noticed; with -DMISTAKE=3 it shares before it announces itself where it sleeps. All of these must
 * be found.
 */
#ifndef KILLS
#define KILLS 1
#endif
#ifndef MAKERS
#define MAKERS 2
#endif
#ifndef MISTAKE
#define MISTAKE 0
#endif
#define SEVERAL 2
#define PEOPLE (SEVERAL + MAKERS)
#define SLEEPS 1
#define SHARED 2
#define CHANGE 4

byte thing[2];  /* the event counts of the things; none sleeps on them */
byte tokens[2];
byte completed; /* cohort__arena->completed */
byte deaths;
bool alive[PEOPLE + 1] = true;
bool asleep[SEVERAL], parked[SEVERAL];

#define STEP(what) atomic { if :: alive[me] -> what :: else -> goto dead fi }

/* cohort__notify(&completed, ALL): the word, then the sleepers. */
inline notify_completed() {
    STEP(told = (completed & SLEEPS) != 0;
         if :: told -> completed = (completed & ~SLEEPS) + CHANGE :: else fi);
    if
    :: told -> STEP(asleep[0] = false; asleep[1] = false)
    :: else
    fi
}

proctype several(byte me) {
    byte seen, noted;
again:
    parked[me] = false;
    do
    ::
#if MISTAKE == 3
        STEP(thing[0] = thing[0] | SHARED);
        STEP(thing[1] = thing[1] | SHARED);
#endif
        STEP(completed = completed | SLEEPS; seen = completed);
        STEP(parked[me] = true);
        STEP(noted = deaths);
#if MISTAKE == 1
        STEP(if :: tokens[0] > 0 -> tokens[0]--; goto got :: else fi);
        STEP(if :: tokens[1] > 0 -> tokens[1]--; goto got :: else fi);
#endif
#if MISTAKE != 3
        STEP(thing[0] = thing[0] | SHARED);
        STEP(thing[1] = thing[1] | SHARED);
#endif
#if MISTAKE != 1
        STEP(if :: tokens[0] > 0 -> tokens[0]--; goto got :: else fi);
        STEP(if :: tokens[1] > 0 -> tokens[1]--; goto got :: else fi);
#endif
        atomic {
            if :: !alive[me] -> goto dead :: alive[me] && noted != deaths -> goto awake :: else fi
        };
        STEP(if :: completed == seen -> asleep[me] = true :: else fi);
end_asleep:
        atomic { !asleep[me] || !alive[me] };
awake:  STEP(parked[me] = false)
    od;
got:
    parked[me] = false;
dead:
    skip;
    d_step { asleep[me] = false; seen = 0; noted = 0 }
}

proctype maker(byte me; byte which) {
    byte seen;
    bool told, swapped;
    STEP(tokens[which]++);
    STEP(seen = thing[which]);
    do
    :: seen & SHARED ->
        atomic {
            if
            :: !alive[me] -> goto dead
            :: alive[me] && thing[which] == seen ->
                thing[which] = (seen & ~SHARED) + CHANGE; swapped = true
            :: else -> seen = thing[which]; swapped = false
            fi
        };
        if
        :: swapped -> notify_completed(); break
        :: else
        fi
    :: else -> break
    od;
dead:
    skip;
    d_step { seen = 0; told = false; swapped = false }
}

/* A process kills; one (which is not killed here) notices it, counts the death, and wakes all that
 * are parked. */
proctype fate() {
    byte me = PEOPLE, victim, kills;
    bool told;
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
        if
        :: parked[0] || parked[1] ->
            notify_completed();
            STEP(if :: !told -> asleep[0] = false; asleep[1] = false :: else fi)
        :: else
        fi;
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
    timeout;
    atomic {
        assert(!(alive[0] && asleep[0] && (tokens[0] > 0 || tokens[1] > 0)));
        assert(!(alive[1] && asleep[1] && (tokens[0] > 0 || tokens[1] > 0)))
    }
}

init {
    atomic {
        run several(0);
        run several(1);
        run maker(2, 0);
        if :: run maker(3, 0) :: run maker(3, 1) fi;
        run fate();
        run judge()
    }
}
