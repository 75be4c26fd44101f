/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * How the threads that wait for a lock are woken: src/core/memory/park.c's cohort__await_handoff(),
 * cohort__notify_handoff(), cohort__handoff_came(), cohort__wake_all_sleepers(), and their use by
 * src/core/memory/lock.c. CONTENDERS want the lock once each, and MORE of them (whichever they are)
 * once again. Each may be killed before any of its steps, KILLS of them: asleep, woken and on its
 * way, holding the lock, letting go of it. A step is one access to shared memory. What the dead one
 * was doing to a block may have to be settled before its guard changes hands. One notices each
 * death, counts it, repairs what the dead left, counts once more and calls
 * cohort__wake_all_sleepers(), as src/core/life/death.c does; a waiting contender may be faster at
 * the repair.
 *
 * A sleep here has no end of its own: what the library's second is for must not be needed. But a
 * waiting contender may run out of time, whenever it looks at the clock.
 *
 * Checked, in every state in which nothing moves (but for a time that may run out, or another
 * kill): no live contender sleeps while the lock is free, or while its owner is dead. And one live
 * contender at a time has it.
 *
 * -DMISTAKE=1: a contender that gives up does not pass the inheritance on. 2: one that slept does
 * not set the bit again. 3: only those are woken after a death that are announced in the word. 4:
 * deaths are not noticed. 5: a sleeper that was elsewhere when a death was announced sleeps on. 6:
 * a sleeper does not look once more after it has announced itself. 7: a death is counted before its
 * repair, but not after it. All of these must be found.
 */
#ifndef CONTENDERS
#define CONTENDERS 3
#endif
#ifndef MORE
#define MORE 1
#endif
#ifndef MISTAKE
#define MISTAKE 0
#endif
#ifndef KILLS
#if MISTAKE == 1 || MISTAKE == 2 /* which need no death */
#define KILLS 0
#else
#define KILLS 2
#endif
#endif
#define NOBODY 0
#define NOTICER (CONTENDERS + 1)

byte owner = NOBODY; /* lock->owner */
byte word;           /* lock->freed: changes * 2 | a thread sleeps */
byte deaths;         /* cohort__arena->death */
bool parked[CONTENDERS + 1], asleep[CONTENDERS + 1];
bool dead[CONTENDERS + 1], unsettled[CONTENDERS + 1], noticed[CONTENDERS + 2];
byte repairer[CONTENDERS + 1]; /* which one is at the repair of this one */

byte more = MORE, kills = KILLS;
byte inside;                 /* live contenders that have the lock */
byte moving = CONTENDERS;    /* live contenders that neither sleep nor are done, */
byte unnoticed; /* deaths that have not been noticed yet, repairs that have not been announced, */
bool noticing;  /* and whether a process is at it: what there is to come */

#if MISTAKE == 7
#define COUNT_AFTER skip
#else
#define COUNT_AFTER deaths++
#endif

/* All that the system takes from it at once. Until it is noticed it looks like one that has not
 * come to its next step. */
inline die() {
    kills--;
    unnoticed++;
    moving = (asleep[me] -> moving : moving - 1);
    asleep[me] = false;
    parked[me] = false;
    dead[me] = true;
    if
    :: owner == me -> inside--; if :: unsettled[me] = true :: skip fi
    :: else
    fi
}

#define STEP(what) atomic { if :: what :: kills > 0 -> die(); goto killed fi }

#define ROUSE(id) asleep[id] = false; moving++

inline wake_one() {
    if
    :: asleep[1] -> ROUSE(1)
    :: asleep[2] -> ROUSE(2)
    :: asleep[3] -> ROUSE(3)
#if CONTENDERS > 3
    :: asleep[4] -> ROUSE(4)
#endif
    :: else
    fi
}

/* try_acquire(), quickly: compare-and-swap from NOBODY to me. */
#define TRY STEP(if :: owner == NOBODY -> owner = me; inside++; goto got :: else fi)

/* The same, thoroughly. A contender that finds the dead owner's block not settled repairs it, if
 * no other does. Meanwhile it is elsewhere, so it is not found here. After the repair it tells
 * all, if it gets as far: when that comes to an end is left open here. */
inline look(parks) {
    STEP(if :: owner == NOBODY -> owner = me; inside++; goto got :: else -> holder = owner fi);
    STEP(settled = dead[holder] && !unsettled[holder]; elsewhere = unsettled[holder]);
    if
    :: settled ->
        STEP(settled = false; if :: owner == holder -> owner = me; inside++; goto got :: else fi)
    :: elsewhere ->
        STEP(if :: repairer[holder] == NOBODY || noticed[repairer[holder]] -> repairer[holder] = me
                :: else -> elsewhere = false fi);
        if
        :: elsewhere ->
            STEP(elsewhere = false; parked[me] = false);
            if
            :: unsettled[holder] ->
                STEP(unsettled[holder] = false; repairer[holder] = NOBODY);
                STEP(COUNT_AFTER; unnoticed++)
            :: else -> STEP(repairer[holder] = NOBODY)
            fi;
            STEP(parked[me] = parks)
        :: else
        fi
    :: else
    fi;
    holder = NOBODY
}

proctype contender(byte me) {
    byte seen, noted, holder;
    bool slept, settled, elsewhere;
begin:
    TRY; /* a contender that spins may as well come later */
again:
    STEP(if :: word = word | 1; seen = word; slept = true :: goto late fi);
    STEP(parked[me] = true);
    STEP(noted = deaths);
#if MISTAKE != 6
    look(true);
#endif
#if MISTAKE != 5
    STEP(if :: noted != deaths -> noted = 0; seen = 0; goto awake :: else -> noted = 0 fi);
#endif
    STEP(if :: word == seen -> asleep[me] = true; moving-- :: else fi; seen = 0; noted = 0);
end_asleep:
    STEP(!asleep[me]);
awake:
    STEP(parked[me] = false);
    TRY;
    goto again;

got:
    seen = 0; noted = 0; holder = NOBODY; settled = false; elsewhere = false;
    if
    :: parked[me] -> STEP(parked[me] = false)
    :: else
    fi;
#if MISTAKE != 2
    if
    :: slept -> STEP(word = word | 1)
    :: else
    fi;
#endif
    STEP(assert(inside == 1 && owner == me); owner = NOBODY; inside--);
    goto notify;

late:
    look(false);
    if
    :: !slept -> goto done
    :: else
    fi;
#if MISTAKE != 2
    STEP(word = word | 1);
#endif
#if MISTAKE == 1
    goto done;
#endif
    STEP(if :: owner != NOBODY -> goto done :: else fi);

notify: /* cohort__notify_handoff(): its compare-and-swap is made until it succeeds or the bit is
         * clear */
    STEP(if :: word & 1 -> word = word + 1 :: else -> goto done fi);
    STEP(wake_one());

done:
    atomic {
        seen = 0;
        slept = false;
        if
        :: more > 0 -> more--; goto begin
        :: moving--
        fi
    };
killed:
    /* those that are done with all look the same */
    atomic {
        seen = 0; noted = 0; holder = NOBODY; slept = false; settled = false; elsewhere = false
    }
}

/* The noticer is not killed here. The one word is notified once, if a thread is parked on it. */
proctype noticer() {
    byte seen, i;
end_idle:
    do
    :: unnoticed > 0 ->
        atomic {
            unnoticed--;
            noticing = true;
            i = 1;
            do
            :: i <= CONTENDERS && !(dead[i] && !noticed[i]) -> i++
            :: else -> break
            od
        };
#if MISTAKE != 4
        if
        :: i <= CONTENDERS ->
            atomic { deaths++; noticed[i] = true };
            if
            :: unsettled[i] ->
                atomic {
                    if
                    :: repairer[i] == NOBODY || noticed[repairer[i]] -> repairer[i] = NOTICER
                    :: else -> goto repaired
                    fi
                };
                unsettled[i] = false;
                repairer[i] = NOBODY
            :: else
            fi;
repaired:
            COUNT_AFTER
        :: else
        fi;
        i = 1;
        do
        :: i <= CONTENDERS && !parked[i] -> i++
        :: i <= CONTENDERS && parked[i] -> break
        :: i > CONTENDERS -> goto all_notified
        od;
        seen = word;
        do
        :: seen & 1 ->
            atomic {
                if
                :: word == seen -> word = word + 1; break
                :: else -> seen = word; if :: seen & 1 :: else -> goto all_notified fi
                fi
            }
        :: else ->
#if MISTAKE == 3
            goto all_notified
#else
            break
#endif
        od;
        atomic {
            for (i : 1 .. CONTENDERS) {
                if
                :: asleep[i] -> ROUSE(i)
                :: else
                fi
            }
        };
#endif
all_notified:
        atomic { seen = 0; i = 0; noticing = false }
    od
}

#define STUCK(id) (asleep[id] && (owner == NOBODY || dead[owner]))

proctype judge() {
end_still:
    do
    :: d_step {
        moving == 0 && unnoticed == 0 && !noticing ->
        assert(!STUCK(1) && !STUCK(2) && !STUCK(3));
#if CONTENDERS > 3
        assert(!STUCK(4))
#endif
    }
    od
}

init {
    byte i;
    atomic {
        for (i : 1 .. CONTENDERS) { run contender(i) };
        run noticer();
        run judge()
    }
}
