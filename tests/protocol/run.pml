/* One run, from the line to its end. Each atomic step is one transaction of the store; between two of them
   anything may happen. There is no trigger, no unique index and no clock here: what the properties ask for, the
   conditions of the statements alone have to give. A lease may end whenever its replica is silent.

   A mutant is a name given with -D: it changes the one place below where it is named. */

#include "row.pml"
#include "conditions.pml"

inline stop() { executing[me] = 0; mine = 0; nth = 0; sequence = 0; saved = 0; again = 0; outcome = 0 }

proctype Worker(byte me) {
    byte mine, nth, sequence;
    bit saved, again;
    mtype outcome;
#ifdef CLAIM_SEQUENCE_OF_BEFORE
    byte eyes;
#endif

in_line:
    do
#ifdef CLAIM_UNLOCKED
    :: state == queued ->
        atomic {
#elif defined(CLAIM_SEQUENCE_OF_BEFORE)
    :: atomic { state == queued -> eyes = last }
        if :: atomic { state != queued -> eyes = 0; goto in_line } :: state == queued fi;
        atomic {
            if :: state != queued -> eyes = 0; goto in_line :: else fi;
#else
    :: atomic { state == queued ->
#endif
            move(running);
#ifndef CLAIM_WITHOUT_ATTEMPT
            attempt++;
#endif
            claims++; mine = attempt; nth = claims; replica = NAME; executing[me] = 1;
#ifdef CLAIM_SEQUENCE_OF_BEFORE
            sequence = eyes; eyes = 0;
#elif defined(CLAIM_FROM_THE_START)
            sequence = 0;
#else
            sequence = last;
#endif
            goto at_work
        }
    :: atomic { silent[NAME] -> silent[NAME] = 0 }
    :: atomic { TERMINAL -> goto done }
    od;

at_work:
    do
    :: atomic { sequence < RECORDS || again ->  /* an append; what nobody knows about is written again */
        if
        :: MAY_APPEND ->
            put(sequence + 1, nth);
            stale_event = stale_event || nth != claims || !HELD;
            if
            :: sequence = sequence + 1; again = 0
            :: !again && faults > 0 -> faults--; again = 1
            fi
        :: !(MAY_APPEND) -> stop(); goto in_line
        fi }
    :: atomic { !again && faults > 0 && sequence < RECORDS -> faults--;  /* an append that did not arrive */
#ifdef FORGETS_WHAT_DID_NOT_ARRIVE
        sequence++ }
#else
        again = 1 }
#endif
    :: atomic { !saved ->
        if
        :: MAY_SAVE -> saved = 1; stale_checkpoint = stale_checkpoint || nth != claims || !HELD
        :: !(MAY_SAVE) -> stop(); goto in_line
        fi }
    :: atomic { deferrals > 0 && survives -> deferrals--;  /* drained, or deferred: nothing is spent */
        if
        :: MAY_LEAVE ->
            stale_requeue = stale_requeue || nth != claims;
            move(queued); replica = NOBODY;
#ifdef DEFERRAL_COUNTS
            lost++;
#endif
        :: else
        fi;
        stop(); goto in_line }
    :: atomic { questions > 0 -> questions--;
        if
        :: MAY_LEAVE ->
            stale_requeue = stale_requeue || nth != claims;
            if :: again -> put(sequence + 1, nth) :: else fi;
            put(sequence + 1 + again, nth);
            move(waiting_for_permission); replica = NOBODY; survives = 1
        :: else
        fi;
        stop(); goto in_line }
    :: outcome = succeeded; goto ending
    :: outcome = failed; goto ending
    :: outcome = expired; goto ending
    :: atomic { state == cancelling && replica == NAME -> outcome = cancelled; goto ending }
    :: atomic { !survives -> outcome = cancelled; goto ending }  /* its caller left */
    :: atomic { faults > 0 -> faults--;  /* the process dies */
        if :: replica == NAME -> replica = DEAD :: else fi;
        stop(); goto in_line }
    :: atomic { faults > 0 -> faults--; stop(); goto in_line }  /* it lives, but its end could not be written */
    :: atomic { faults > 0 && !silent[NAME] -> faults--; silent[NAME] = 1 }  /* paused, or cut off */
    :: atomic { silent[NAME] -> silent[NAME] = 0 }
    od;

ending:
#ifdef END_RECORD_FIRST
    atomic {
        if
        :: FENCE ->
            if :: again -> put(sequence + 1, nth) :: else fi;
            put_end(sequence + 1 + again, nth)
        :: else
        fi };
#endif
    do
    :: atomic {
        if
        :: (MAY_FINISH) && outcome == cancelled && state == running -> move(cancelling)
        :: else
        fi;
        if
        :: (MAY_FINISH) && (MAY_END_SO) ->
            stale_result = stale_result || nth != claims;
            if :: again -> put(sequence + 1, nth) :: else fi;
            put_end(sequence + 1 + again, nth);
            move(outcome);
            if
            :: stop(); goto in_line
            :: faults > 0 -> faults--  /* the answer is lost: it tries again */
            fi
        :: (MAY_FINISH) && !(MAY_END_SO) -> outcome = cancelled  /* asked to end while it was ending */
        :: !(MAY_FINISH) ->
            if  /* by whom? An answer may be lost on its way */
            :: attempt == mine && state == outcome && LOOKS_LIKE_OURS -> deceived = deceived || by[last] != nth
            :: else
            fi;
            stop(); goto in_line
        fi }
    :: atomic { faults > 0 && !silent[NAME] -> faults--; silent[NAME] = 1 }
    :: atomic { faults > 0 -> faults--;
        if :: replica == NAME -> replica = DEAD :: else fi;
        stop(); goto in_line }
    od;
done:
    skip
}

inline reap() {
    robbed = robbed || (replica < WORKERS && !silent[replica] && EXECUTED);
    if
    :: GOES_BACK -> lost++; losses++; move(queued); replica = NOBODY
    :: !(GOES_BACK) && state == cancelling -> settle(cancelled, NEXT)
    :: !(GOES_BACK) && state != cancelling ->
        losses++;
        capped_early = capped_early || (survives && losses < MOST_LOST);
        settle(failed, NEXT)
    fi
}

proctype Reaper() {
#ifdef SETTLE_SEQUENCE_OF_BEFORE
    byte eyes;
#endif
    do
#ifdef REAP_UNLOCKED
    :: HELD && IS_LOST -> atomic { reap() }
#elif defined(SETTLE_SEQUENCE_OF_BEFORE)
    :: atomic { HELD && IS_LOST -> eyes = last };
        atomic {
            if :: HELD -> reap() :: else fi;
            eyes = 0 }
#else
    :: atomic { REAPED && IS_LOST -> reap() }
#endif
    :: TERMINAL -> break
    od
}

/* A person cancels at some moment, or never. */
proctype Canceller() {
    if
    :: skip
#ifdef CANCEL_UNLOCKED
    :: state == queued || state == waiting_for_permission -> atomic { settle(cancelled, last + 1) }
#endif
#ifdef CANCEL_AT_ONCE
    :: atomic { state == running -> settle(cancelled, last + 1) }
#endif
    :: atomic {
        if
        :: state == queued || state == waiting_for_permission -> settle(cancelled, last + 1)
        :: state == running -> move(cancelling)
        :: else
        fi }
    fi
}

/* A person decides, or the question expires: the log says so, and the run goes back to the line. Two questions at
   once, who may decide them, and the calls that they are about, are in consent.pml. */
inline decide() {
#ifdef DECIDE_WITH_AN_OLD_SEQUENCE
    put(eyes + 1, SETTLER);
#else
    put(last + 1, SETTLER);
#endif
    move(queued); replica = NOBODY
}

proctype Decider() {
#ifdef DECIDE_WITH_AN_OLD_SEQUENCE
    byte eyes;
#endif
    do
#ifdef DECIDE_UNLOCKED
    :: state == waiting_for_permission -> atomic { decide() }
#elif defined(DECIDE_WITH_AN_OLD_SEQUENCE)
    :: atomic { last > 0 && state != waiting_for_permission && !TERMINAL -> eyes = last }
        atomic {
            if :: state == waiting_for_permission -> decide() :: else fi;
            eyes = 0 }
#else
    :: atomic { state == waiting_for_permission -> decide() }
#endif
    :: TERMINAL -> break
    od
}

/* Time in line is over for what has never begun: a turn fails, a task expires. */
proctype Clock() {
    if
    :: skip
#ifdef EXPIRY_OF_WHAT_HAS_BEGUN
    :: atomic { state == queued ->
#else
    :: atomic { state == queued && attempt == 0 ->
#endif
        expired_late = expired_late || claims > 0;
        if
        :: is_task -> settle(expired, last + 1)
        :: else -> settle(failed, last + 1)
        fi }
    :: TERMINAL
    fi
}

init {
    byte i;
    atomic {
        if
        :: is_task = 1; survives = 1
        :: survives = 1
        :: skip
        fi;
        last = 1; by[1] = SETTLER;  /* whoever joins writes the first record */
        for (i : 0 .. WORKERS - 1) { run Worker(i) }
        run Reaper(); run Canceller(); run Decider(); run Clock();
        i = 0
    }
}

#include "promises.pml"
