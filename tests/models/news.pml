/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * src/core/memory/news.c and src/core/cohort/waitset_entry.c: a wait set. One READER sleeps on the
 * event count of completions until one of two things has a token; it looks at those alone that the
 * news name, in a ring of one entry, and at all of them when news are lost or a process has died.
 * MAKERS make a token each and notify; each may be killed before any of its steps, KILLS of them;
 * then a living process notices the death and wakes the sleeper. The reader takes GOALS tokens. A
 * sleep here has no end of its own.
 *
 * Checked: when nothing moves any more, the reader does not sleep while there is a token. With
 * -DMISTAKE=1 a maker wakes the sleepers before it writes the news; with -DMISTAKE=2 the reader
 * does not look at all after a death; with -DMISTAKE=3 it passes over an entry that is missing;
 * with -DMISTAKE=4 it does not look at all when it has lost some; with -DMISTAKE=5 it does not look
 * again after it has shared. All of these must be found.
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
#define GOALS MAKERS
#define READER MAKERS
#define SLEEPS 1
#define SHARED 2
#define CHANGE 4
#define RING 1

byte thing[2], tokens[2];
byte completed, deaths;
byte count;       /* positions taken in the news */
byte lap[RING];   /* position + 1 of the entry that is there; 0: none */
bit key[RING];
bool alive[MAKERS + 1] = true;
bool asleep, parked;

#define STEP(what) atomic { if :: alive[me] -> what :: else -> goto dead fi }

inline notify_completed() {
    STEP(told = (completed & SLEEPS) != 0;
         if :: told -> completed = (completed & ~SLEEPS) + CHANGE :: else fi);
    if
    :: told -> STEP(asleep = false)
    :: else
    fi
}

/* cohort__news_add(): an entry of a later lap stays. */
inline write_news() {
    STEP(position = count; count++);
    STEP(if
         :: lap[position % RING] < position + 1 ->
            lap[position % RING] = position + 1; key[position % RING] = which
         :: else
         fi)
}

proctype maker(byte me; bit which) {
    byte seen, position;
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
        :: swapped ->
#if MISTAKE == 1
            notify_completed();
            write_news();
#else
            write_news();
            notify_completed();
#endif
            break
        :: else
        fi
    :: else -> break
    od;
dead:
    skip;
    d_step { seen = 0; told = false; swapped = false; position = 0 }
}

/* Which are to be looked at: from the news, or all of them. */
inline renew() {
    now = deaths;
    end = count;
    at = cursor;
    next = end;
    lost = end - cursor > RING;
    do
    :: !lost && at != end ->
        if
        :: lap[at % RING] == at + 1 -> candidate[key[at % RING]] = true
        :: lap[at % RING] > at + 1 -> lost = true
        :: else ->
#if MISTAKE != 3
            if :: next == end -> next = at :: else fi
#else
            skip
#endif
        fi;
        at++
    :: else -> break
    od;
    if
    :: lost || now != looked ->
#if MISTAKE == 2
        if :: now != looked && !lost -> cursor = next :: else -> cursor = end fi;
        if :: lost -> candidate[0] = true; candidate[1] = true :: else fi;
#elif MISTAKE == 4
        cursor = end;
        if :: !lost -> candidate[0] = true; candidate[1] = true :: else fi;
#else
        cursor = end;
        candidate[0] = true; candidate[1] = true;
#endif
    :: else -> cursor = next
    fi;
    looked = now;
    lost = false; at = 0; next = 0; end = 0; now = 0
}

/* A candidate that is not ready is shared, looked at again, and none any more. */
inline look_at(i) {
    if
    :: candidate[i] ->
        atomic { if :: tokens[i] > 0 -> tokens[i]--; got++; goto again :: else fi };
        thing[i] = thing[i] | SHARED;
#if MISTAKE != 5
        atomic { if :: tokens[i] > 0 -> tokens[i]--; got++; goto again :: else fi };
#endif
        candidate[i] = false
    :: else
    fi
}

proctype reader() {
    byte seen, noted, cursor, looked, got, now, end, at, next;
    bool lost;
    bool candidate[2] = true;
again:
    parked = false;
    do
    :: got == GOALS -> break
    :: else ->
        atomic { completed = completed | SLEEPS; seen = completed };
        parked = true;
        noted = deaths;
        d_step { renew() };
        look_at(0);
        look_at(1);
        if
        :: noted != deaths
        :: else ->
            atomic { if :: completed == seen -> asleep = true :: else fi };
end_asleep:
            !asleep
        fi;
        parked = false
    od
}

proctype fate() {
    byte me = READER, victim, kills;
    bool told;
    do
    :: kills < KILLS ->
        atomic {
            select (victim : 0 .. MAKERS - 1);
            if
            :: alive[victim] -> alive[victim] = false; kills++
            :: else -> goto next_one
            fi
        };
        deaths++;
        if
        :: parked ->
            notify_completed();
            STEP(if :: !told -> asleep = false :: else fi)
        :: else
        fi;
next_one:
        skip
    :: break
    od;
dead:
    skip
}

proctype judge() {
    timeout;
    assert(!(asleep && (tokens[0] > 0 || tokens[1] > 0)))
}

init {
    byte i;
    atomic {
        run reader();
        for (i : 0 .. MAKERS - 1) {
            if :: run maker(i, 0) :: run maker(i, 1) fi
        };
        run fate();
        run judge()
    }
}
