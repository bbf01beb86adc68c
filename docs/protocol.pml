/*
 * The protocol between watcher, masters, workers and storage, for one task of one chunk, as spin explores it whole:
 *
 *     spin -a docs/protocol.pml && gcc -O2 -w -DSAFETY -DBFS -o pan pan.c && ./pan -m10000
 *
 * What may happen is here, not when: leases lapse while their nodes go on, orders stay in the broker for as long as
 * they like, nodes die, the client deletes and the operator tries again. The watcher's side is that of
 * tests/unit/farm_model.py in small; the nodes have steps of their own here, which is what that one leaves out.
 * tests/unit/test_protocol.py says what it found.
 *
 * -DHANG    a node may hang between the question whether its work is wanted and the act, and never ask again
 * -DBLIND   nodes look only whether their chunk is there
 */

/* Attempts are numbers in one row: each change of hands has the next. What is beyond the last is not looked at. */
#define CUTS 3
#define CHUNKS 2
#define PURGES 2
#ifdef HANG
#define GAP } atomic {
#else
#define GAP
#endif
#ifdef BLIND
#define SEES false
#else
#define SEES true
#endif

#define COPY 0                  /* the ways in which a source is cut */
#define CONFORM 1
#define NOTHING 0

mtype:task = { LIVE, FAILED, FINISHED, DELETED, FORGOTTEN };
mtype:job = { ABSENT, WAITING, QUEUED, RUNNING, DONE, ENDED };

/* The rows */
mtype:task task = LIVE;
bit way = COPY;
mtype:job cut = WAITING, chunk = ABSENT, purge = ABSENT;
byte cutAttempt, chunkAttempt, purgeAttempt;
bit purgeAll;                   /* also what is published */
bit spent;                      /* more attempts than this model counts */

/* The broker: sets of attempts */
byte cutOrders, chunkOrders, purgeOrders;
byte cutConforms, chunkConforms, purgesAll;         /* what these orders say */
byte cutDone, chunkDone, purgeDone, cutStopped, chunkStopped;

/* The storage */
bit packets[2];                 /* chunk objects, by way */
byte segment = NOTHING;         /* 1 + the way of the chunk that it was made of */
byte sheet = NOTHING;           /* task.json, written last: 1 + the way of its film */

byte busy;                      /* nodes that have an order */
bit litter;                     /* a node died: what it had stored is left to scrub */

#define HAS(set, n) ((set >> n) & 1)
#define PUT(set, n) set = set | (1 << n)
#define DROP(set, n) set = set & ~(1 << n)
#define OPEN(state) (state == QUEUED || state == RUNNING)
#define QUIET (busy == 0 && !cutOrders && !chunkOrders && !purgeOrders && !cutDone && !chunkDone && !purgeDone \
               && !cutStopped && !chunkStopped)

inline next(attempt, most) {
    if :: attempt + 1 < most -> attempt++ :: else -> spent = 1 fi
}

/* A lapse, a lost order, a stop, a failure that may pass */
inline back(state, attempt, most) {
    if :: task == LIVE -> state = WAITING :: else -> state = ENDED fi;
    next(attempt, most)
}

/* A late report of an end: its node may have stored something since the purge */
inline late() {
    if
    :: task == FORGOTTEN -> task = DELETED; purge = WAITING; purgeAll = 1; next(purgeAttempt, PURGES)
    :: task != LIVE && task != FORGOTTEN && (OPEN(purge) || purge == DONE) ->
        purge = WAITING; next(purgeAttempt, PURGES)
    :: else
    fi
}

inline hear_done(state, attempt, done, n) {
    DROP(done, n);
    if :: OPEN(state) && attempt == n -> state = (task == LIVE -> DONE : ENDED) :: else -> late() fi
}

inline hear_stopped(state, attempt, most, stopped, n) {
    DROP(stopped, n);
    if :: OPEN(state) && attempt == n -> back(state, attempt, most) :: else -> late() fi
}

#define HEAR(n) \
    :: atomic { !spent && HAS(cutDone, n) -> hear_done(cut, cutAttempt, cutDone, n) } \
    :: atomic { !spent && HAS(chunkDone, n) -> hear_done(chunk, chunkAttempt, chunkDone, n) } \
    :: atomic { !spent && HAS(cutStopped, n) -> hear_stopped(cut, cutAttempt, CUTS, cutStopped, n) } \
    :: atomic { !spent && HAS(chunkStopped, n) -> hear_stopped(chunk, chunkAttempt, CHUNKS, chunkStopped, n) } \
    :: atomic { !spent && HAS(purgeDone, n) -> DROP(purgeDone, n); \
        if :: purge == RUNNING && purgeAttempt == n -> purge = DONE :: else fi }

inline stop_waiting() {
    if :: cut == WAITING -> cut = ENDED :: else fi;
    if :: chunk == WAITING -> chunk = ENDED :: else fi
}

inline order_purge() {
    purge = QUEUED; PUT(purgeOrders, purgeAttempt);
    if :: purgeAll -> PUT(purgesAll, purgeAttempt) :: else fi
}

active proctype watcher() {
end:
    do
    /* The client deletes the row */
    :: atomic { !spent && (task == LIVE || task == FAILED || task == FINISHED) -> task = DELETED; stop_waiting();
        if :: purge != ABSENT && !purgeAll -> purge = ABSENT; next(purgeAttempt, PURGES) :: else fi }
    /* The operator tries again: from what is there, or from the source */
    :: atomic { !spent && task == FAILED && (purge == ABSENT || purge == WAITING && purgeAttempt == 0) ->
        task = LIVE; purge = ABSENT;
        if :: cut == ENDED -> cut = WAITING; next(cutAttempt, CUTS) :: else fi;
        if :: chunk == ENDED -> chunk = WAITING; next(chunkAttempt, CHUNKS) :: else fi }
    :: atomic { !spent && task == FAILED && purge == DONE ->
        task = LIVE; way = COPY; purge = ABSENT; next(purgeAttempt, PURGES);
        cut = WAITING; next(cutAttempt, CUTS); chunk = ABSENT; next(chunkAttempt, CHUNKS) }

    /* Orders */
    :: atomic { !spent && task == LIVE && cut == WAITING -> cut = QUEUED; PUT(cutOrders, cutAttempt);
        if :: way == CONFORM -> PUT(cutConforms, cutAttempt) :: else fi }
    :: atomic { !spent && task == LIVE && cut == DONE && (chunk == ABSENT || chunk == WAITING) ->
        chunk = QUEUED; PUT(chunkOrders, chunkAttempt);
        if :: way == CONFORM -> PUT(chunkConforms, chunkAttempt) :: else fi }
    :: atomic { !spent && OPEN(cut) -> back(cut, cutAttempt, CUTS) }
    :: atomic { !spent && OPEN(chunk) -> back(chunk, chunkAttempt, CHUNKS) }
    /* The chunk is unusable: its source is cut anew */
    :: atomic { !spent && task == LIVE && way == COPY && cut == DONE && chunk == RUNNING ->
        way = CONFORM; chunk = ABSENT; next(chunkAttempt, CHUNKS); cut = WAITING; next(cutAttempt, CUTS) }

    /* Ends */
    :: atomic { !spent && task == LIVE && !OPEN(cut) && !OPEN(chunk) && chunk != DONE -> task = FAILED; stop_waiting() }
    :: atomic { !spent && task == LIVE && chunk == DONE -> assert(segment == 1 + way); task = FINISHED; sheet = 1 + way }
    :: atomic { !spent && task == FINISHED && purge == ABSENT -> purgeAll = 0; order_purge() }
    :: atomic { !spent && (task == FAILED || task == DELETED) && purge == ABSENT && !OPEN(cut) && !OPEN(chunk) ->
        purgeAll = 1; order_purge() }
    :: atomic { !spent && purge == WAITING && task != LIVE -> order_purge() }
    :: atomic { !spent && OPEN(purge) -> purge = WAITING; next(purgeAttempt, PURGES) }
    :: atomic { !spent && task == DELETED && purge == DONE && purgeAll -> task = FORGOTTEN; purge = ABSENT }

    HEAR(0)
    HEAR(1)
    HEAR(2)

    /* What must hold: a film that is out stays whole, and of one that is forgotten nothing is left */
    :: atomic { !spent && task == FINISHED -> assert(segment == 1 + way) }
    :: atomic { !spent && task == FORGOTTEN && QUIET && !litter ->
        assert(segment == NOTHING && !packets[COPY] && !packets[CONFORM]) }
    od
}

/* Any order that is there, however old */
inline take(orders, n) {
    if :: HAS(orders, 0) -> n = 0 :: HAS(orders, 1) -> n = 1 :: HAS(orders, 2) -> n = 2 fi;
    busy++;
    DROP(orders, n)
}

/* Started is heard at once, or never: the lapse is the same */
inline begun(state, attempt, n) {
    if :: state == QUEUED && attempt == n -> state = RUNNING :: else fi
}

active proctype cutter() {
    byte n; bit conform;
end:
    do
    :: atomic { !spent && cutOrders -> take(cutOrders, n); conform = HAS(cutConforms, n);
        begun(cut, cutAttempt, n) };
       if
       :: atomic { if :: SEES && sheet == 1 + CONFORM -> conform = CONFORM :: else fi; GAP
            if :: conform == CONFORM -> packets[COPY] = 0 :: else fi; packets[conform] = 1 };
          if
          :: atomic { PUT(cutDone, n); busy--; n = 0; conform = 0 }
          :: atomic { litter = 1; busy--; n = 0; conform = 0 }
          fi
       :: atomic { PUT(cutStopped, n); busy--; n = 0; conform = 0 }
       fi
    od
}

active [2] proctype encoder() {
    byte n; bit conform;
end:
    do
    :: atomic { !spent && chunkOrders -> take(chunkOrders, n); conform = HAS(chunkConforms, n);
        begun(chunk, chunkAttempt, n) };
       if
       :: atomic { packets[conform] && (conform == CONFORM || !packets[CONFORM] || !SEES) -> GAP
            segment = 1 + conform };
          if
          :: atomic { PUT(chunkDone, n); busy--; n = 0; conform = 0 }
          :: atomic { litter = 1; busy--; n = 0; conform = 0 }
          fi
       :: atomic { PUT(chunkStopped, n); busy--; n = 0; conform = 0 }
       fi
    od
}

/* Asks, and removes at the watcher's word */
active [2] proctype purger() {
    byte n;
end:
    do
    :: atomic { !spent && purgeOrders -> take(purgeOrders, n) };
       if
       :: atomic { OPEN(purge) && purgeAttempt == n -> purge = RUNNING; GAP
            packets[COPY] = 0; packets[CONFORM] = 0;
            if :: HAS(purgesAll, n) -> segment = NOTHING; sheet = NOTHING :: else fi };
          atomic { PUT(purgeDone, n); busy--; n = 0 }
       :: atomic { busy--; n = 0 }
       fi
    od
}
