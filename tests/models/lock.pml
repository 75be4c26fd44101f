/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * src/core/memory/lock.c: the lock that the dead cannot hold, and the guard with its journal.
 * MEMBERS processes enter the guard, change two words that must be equal whenever none is inside,
 * and leave; each may be killed before any of its steps, one that undoes another's changes too. A
 * step is one access to shared memory. How a waiter sleeps is the other model's; here it goes on as
 * soon as its next try would do something.
 *
 * Checked: one live member at a time is inside; a member that gets in finds the words equal, after
 * undoing what a dead owner left; no live member waits for ever (no invalid end state). With
 * -DMISTAKE the word is changed before the journal knows of it, which must be found.
 */
#ifndef MEMBERS
#define MEMBERS 3
#endif
#define KILLS (MEMBERS - 1)
#define NOBODY 0

byte owner = NOBODY; /* lock->owner: a thread's id, never used again */
byte changes;        /* guard->changes */
byte journal_word[2], journal_old[2];
byte word[2];
bool alive[MEMBERS + 1] = true;
byte inside; /* live members that hold it */

#define STEP(what) atomic { if :: alive[me] -> what :: else -> goto dead fi }
#define DEAD(id) ((id) != NOBODY && !alive[id])

/* cohort__guard_set(), store by store. */
inline set(which, value) {
#ifdef MISTAKE
    STEP(old = word[which]);
    STEP(word[which] = value);
    STEP(journal_word[n] = which; journal_old[n] = old);
    STEP(changes = n + 1);
#else
    STEP(journal_word[n] = which);
    STEP(journal_old[n] = word[which]);
    STEP(changes = n + 1);
    STEP(word[which] = value);
#endif
    n++
}

inline roll_back() {
    STEP(n = changes);
    do
    :: n > 0 ->
        n--;
        STEP(word[journal_word[n]] = journal_old[n]);
        STEP(changes = n)
    :: else -> break
    od
}

proctype member(byte me) {
    byte seen, n, old, value;
    bool taken_over;
acquire:
    atomic { /* compare-and-swap from NOBODY to me */
        seen = owner;
        if
        :: !alive[me] -> goto dead
        :: alive[me] && seen == NOBODY -> owner = me; inside++; taken_over = false; goto entered
        :: else
        fi
    };
    atomic { /* nothing to be done before that */
        if :: !alive[me] -> goto dead :: alive[me] && (owner != seen || DEAD(seen)) fi
    };
    if
    :: DEAD(seen) -> /* a thorough try */
        atomic { /* compare-and-swap from the dead to me */
            if
            :: !alive[me] -> goto dead
            :: alive[me] && owner == seen -> owner = me; inside++; taken_over = true; goto entered
            :: else
            fi
        }
    :: else
    fi;
    goto acquire;

entered:
    STEP(assert(inside == 1));
    if
    :: taken_over -> roll_back()
    :: else
    fi;
    STEP(assert(changes == 0 && word[0] == word[1]));
    n = 0;
    STEP(value = word[0] + 1);
    set(0, value);
    set(1, value);
    STEP(changes = 0); /* commit */
    STEP(assert(inside == 1); inside--; owner = NOBODY);
dead:
    skip;
    /* those that are done with all look the same */
    d_step { seen = 0; n = 0; old = 0; value = 0; taken_over = false }
}

/* It kills any members that it likes, when it likes, if at all. */
init {
    byte kills, i;
    atomic {
        for (i : 1 .. MEMBERS) { run member(i) }
    }
    do
    :: kills < KILLS ->
        atomic {
            byte victim;
            select (victim : 1 .. MEMBERS);
            if
            :: alive[victim] ->
                alive[victim] = false;
                kills++;
                if
                :: owner == victim -> inside--
                :: else
                fi
            :: else
            fi
        }
    :: break
    od
}
