/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * src/core/pool/pool_cancel.c: a job that is cancelled while workers are at it, with HARD such that
 * those that run its items are ended. Chunk 0 is the job's, of one item; chunk 1 is that of another
 * job, which no thread cancels. An item of the cancelled job may run for ever. Each
 * worker, and the thread that cancels, may be killed before any of its steps, KILLS of them; the
 * repairer settles what a dead worker had, and another worker comes in its place.
 *
 * Checked: no chunk ends twice, and in the end each has ended; once the cancellation has returned,
 * the job's chunk waits for no worker any more, its item does not begin, and with HARD does not run
 * for ever; the item of the other job ends by itself or by the death of its worker, never as one
 * that was cancelled. With -DMISTAKE=1 the job's word says so after the words of the chunks were
 * looked at; with -DMISTAKE=2 the repairer does not look whether the job is cancelled after it has
 * made a chunk free; with -DMISTAKE=3 a verdict is for whatever the worker is at when it dies; with
 * -DMISTAKE=4 a worker is condemned without a look at what it has. All of these must be found.
 */
#ifndef HARD
#define HARD 1
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef MISTAKE
#define MISTAKE 0
#endif
#define WORKERS   2
#define CHUNKS    2
#define OTHER     1       /* the chunk of the other job */
#define CANCELLER WORKERS /* the workers' numbers are those before it */
#define REPAIRER  254

mtype = { FREE, RETRY, RUNNING, DONE, CANCELLED };
mtype word[CHUNKS] = FREE; /* of chunks; and which worker it says */
byte owner[CHUNKS];
bool cancelled, needs; /* of the job: its word, and that its workers look at it */
bool returned;         /* the cancellation has */
byte ends[CHUNKS];     /* how often it has ended */

/* Records of workers. Progress: 0, the item does not run; 1, it does; 2, it is done. */
byte at[WORKERS], progress[WORKERS], visit[WORKERS], verdict[WORKERS], life[WORKERS];
bool alive[WORKERS + 1] = true;
bool stuck[WORKERS], gone[WORKERS]; /* its item runs for ever; it moves no more */
byte guard = 255;

#define STEP(what)    atomic { if :: alive[me] -> what :: else -> goto dead fi }
#define CLAIMABLE(c)  (word[c] == FREE || word[c] == RETRY)
#define FINAL(c)      (word[c] == DONE || word[c] == CANCELLED)
#define END(c, state) word[c] = state; ends[c]++; assert(ends[c] == 1)

/* cohort__run_next() and run_apart(): one chunk after the other is claimed and run. */
proctype worker(byte me) {
    byte c;
    bool look, told;
again:
    c = 0;
    do
    :: atomic { c < CHUNKS && !CLAIMABLE(c) -> c++ }
    :: atomic { c < CHUNKS && CLAIMABLE(c) -> skip };
        STEP(visit[me] = visit[me] % 7 + 1; at[me] = c);
        STEP(progress[me] = 0);
        STEP(if :: CLAIMABLE(c) -> word[c] = RUNNING; owner[c] = me \
                :: else -> c++; goto next \
             fi);
        STEP(look = needs && c != OTHER; assert(look || c == OTHER || !returned));
        if
        :: look ->
            STEP(told = verdict[me] != 0);
            if :: told -> goto ended :: else fi;
            STEP(if :: cancelled -> progress[me] = 0 :: else -> goto runs fi);
            STEP(END(c, CANCELLED));
            c++;
            goto next
        :: else
        fi;
runs:   STEP(progress[me] = 1);
        if
        :: c != OTHER -> stuck[me] = true
        :: true
        fi;
end_stuck:
        atomic { !stuck[me] || !alive[me] };
        STEP(progress[me] = 2);
        STEP(END(c, DONE));
        c++;
next:   skip
    :: c == CHUNKS -> break
    od;
    /* what another worker has may be free again */
end_passed:
    atomic {
        !alive[me] || CLAIMABLE(0) || CLAIMABLE(OTHER);
        if :: alive[me] -> goto again :: else -> goto dead fi
    }
ended:
    alive[me] = false;
dead:
    atomic { stuck[me] = false; look = false; told = false; c = 0; gone[me] = true };
end_dead:
    atomic { !gone[me] -> goto again }
}

/* cohort__job_cancel_chunk() */
#define CANCEL_CHUNK(c) \
    atomic { if :: cancelled && c != OTHER && CLAIMABLE(c) -> END(c, CANCELLED) :: else fi }

/* local_lost_worker(), under the pool's guard; it is not killed itself. */
proctype repairer() {
    byte w, c, before;
    bool why;
end_waits:
    do
    :: atomic { gone[0] -> w = 0 };
        goto settle
    :: atomic { gone[1] -> w = 1 };
settle:
        atomic { guard == 255 || (guard == CANCELLER && !alive[CANCELLER]) -> guard = REPAIRER };
        c = at[w];
        before = progress[w];
        if
        :: c < CHUNKS && word[c] == RUNNING && owner[c] == w ->
#if MISTAKE == 3
            why = verdict[w] != 0;
#else
            why = verdict[w] == visit[w] && verdict[w] != 0;
#endif
            assert(!(why && c == OTHER && before == 1));
            if
            :: before == 0 || (before == 1 && !why && verdict[w] != 0) -> word[c] = RETRY
            :: else -> atomic { END(c, DONE) }
            fi;
#if MISTAKE != 2
            CANCEL_CHUNK(c)
#endif
        :: else
        fi;
        verdict[w] = 0;
        atomic {
            assert(!returned || !CLAIMABLE(0));
            guard = 255; at[w] = CHUNKS; progress[w] = 0; life[w]++;
            alive[w] = true; gone[w] = false
        }
    od
}

/* cohort__worker_condemn(), and the kill */
inline end_worker(w) {
    STEP(guard == 255 -> guard = CANCELLER);
    STEP(c = at[w]);
    STEP(seen = visit[w]; which = life[w]);
#if MISTAKE == 4
    STEP(good = alive[w]);
#else
    STEP(good = c < CHUNKS && c != OTHER && alive[w] && word[c] == RUNNING && owner[c] == w);
#endif
    STEP(good = good && at[w] == c);
    if :: good && verdict[w] != seen -> STEP(verdict[w] = seen) :: else fi;
    STEP(guard = 255);
    /* it is killed by its id */
    if
    :: good -> STEP(if :: life[w] == which -> alive[w] = false :: else fi)
    :: else
    fi;
    c = 0; seen = 0; which = 0; good = false
}

/* cohort__job_cancel() */
proctype canceller() {
    byte c, seen, which, me = CANCELLER;
    bool good;
#if MISTAKE != 1
    STEP(cancelled = true);
#endif
    STEP(needs = true);
    STEP(if :: CLAIMABLE(0) -> END(0, CANCELLED) :: else fi);
#if MISTAKE == 1
    STEP(cancelled = true);
#endif
#if HARD
    end_worker(0);
    end_worker(1);
#endif
    STEP(returned = true; assert(!CLAIMABLE(0) || guard == REPAIRER));
dead:
    skip
}

/* Whatever may be killed is, at any time. */
proctype killer() {
    byte left = KILLS;
end_kills:
    do
    :: left > 0 ->
        atomic {
            if
            :: alive[0] -> alive[0] = false
            :: alive[1] -> alive[1] = false
            :: alive[CANCELLER] && !returned -> alive[CANCELLER] = false
            :: true
            fi;
            left--
        }
    :: else -> break
    od
}

init {
    atomic {
        run worker(0);
        run worker(1);
        run repairer();
        run canceller();
        run killer()
    }
    /* nothing moves any more: what is open then is held by an item that runs, and may */
    timeout;
    assert(alive[CANCELLER] == returned);
    assert(FINAL(0) || (!(HARD && returned) && word[0] == RUNNING && stuck[owner[0]]));
    assert(FINAL(OTHER) || (stuck[0] && stuck[1]))
}
