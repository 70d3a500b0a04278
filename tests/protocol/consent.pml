/* One run that asks two questions at once and makes the two calls they are about: what is decided, when it goes on,
   and how often a call is made. An atomic step is one transaction, except that a call is made outside of any. There
   is no trigger and no unique index here. What the log gets, and leases, are in run.pml. */

#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef FAULTS
#define FAULTS 2
#endif
#ifndef FURTHER
#define FURTHER 1
#endif
#define CALLS 2

mtype = { queued, running, waiting, ended };
mtype = { unasked, pending, approved, denied, expired, cancelled };
mtype = { unmade, begun, done };

/* The rows: the run, the newest question about each call, and the journal of calls. `rests` names the question that
   a call was begun by. */
mtype state = queued;
byte attempt;
mtype question[CALLS] = unasked;
byte number[CALLS];
mtype effect[CALLS] = unmade;
byte rests[CALLS];

byte faults = FAULTS, further = FURTHER;
byte holds[WORKERS];
#define mine holds[me]

/* What an observer knows. */
byte decisions[CALLS], approvals[CALLS], made[CALLS];
bit redecided, early, stale_call, stale_stop, left_pending;

#define ANY_PENDING (question[0] == pending || question[1] == pending)
#define OWNED (state == running && attempt == mine)

#ifdef SUSPEND_UNFENCED
#define MAY_STOP (state == running)
#else
#define MAY_STOP OWNED
#endif
#ifdef EFFECT_UNFENCED
#define MAY_BEGIN true
#else
#define MAY_BEGIN OWNED
#endif
#ifdef EFFECT_WITHOUT_PERMISSION
#define PERMITTED(i) true
#else
#define PERMITTED(i) (question[i] == approved)
#endif
#ifdef CUT_IS_BEGUN_AGAIN
#define FREE(i) (effect[i] != done)
#else
#define FREE(i) (effect[i] == unmade || (effect[i] == begun && rests[i] != number[i]))
#endif
#ifdef DECIDE_TWICE
#define MAY_DECIDE(i) (question[i] == pending || question[i] == approved || question[i] == denied)
#else
#define MAY_DECIDE(i) (question[i] == pending)
#endif

inline ask(i) {
    number[i]++;
    question[i] = pending;
    decisions[i] = 0
}

/* Questions that are written stay as they are. */
inline ask_unless_written(i) {
    if
    :: question[i] == unasked -> ask(i)
#ifdef ASKING_AGAIN_FORGETS
    :: question[i] != unasked -> question[i] = pending
#endif
    :: else
    fi
}

inline go_on_if_nothing_is_pending() {
    if
#ifdef RESUME_WHILE_PENDING
    :: state == waiting -> early = early || ANY_PENDING; state = queued
#else
    :: state == waiting && !ANY_PENDING -> state = queued
#endif
    :: else
    fi
}

inline end() {
    state = ended;
#ifndef END_LEAVES_QUESTIONS
    if :: question[0] == pending -> question[0] = cancelled :: else fi;
    if :: question[1] == pending -> question[1] = cancelled :: else fi;
#endif
    left_pending = left_pending || ANY_PENDING
}

proctype Worker(byte me) {
    byte i;

in_line:
    do
    :: atomic { state == queued -> state = running; attempt++; mine = attempt; i = 0; goto at_work }
    :: atomic { state == ended -> goto over }
    od;

at_work:
    if
    :: atomic { question[0] == unasked || question[1] == unasked -> goto asking }
    :: question[0] != unasked && question[1] != unasked -> goto acting
    :: atomic { faults > 0 -> faults--; goto asking }  /* it died before it had taken the decision in */
    fi;

asking:
    atomic {
        if
        :: MAY_STOP ->
            stale_stop = stale_stop || !OWNED;
            state = waiting;
            ask_unless_written(0);
            ask_unless_written(1);
#ifndef SUSPEND_WAITS_FOR_NOTHING
            go_on_if_nothing_is_pending();
#endif
        :: else
        fi;
        mine = 0; i = 0;
        goto in_line
    };

acting:
    do
    :: atomic { (i < CALLS && MAY_BEGIN && PERMITTED(i) && FREE(i)) ->
            stale_call = stale_call || !OWNED;
            effect[i] = begun; rests[i] = number[i] }
        if
        :: made[i]++
        :: atomic { faults > 0 -> faults--; mine = 0; i = 0; goto in_line }  /* it dies before the call */
        fi;
        if
        :: atomic {
            if :: OWNED -> effect[i] = done :: else fi;
            i++ }
        :: atomic { faults > 0 -> faults--; mine = 0; i = 0; goto in_line }  /* and after it */
        fi
    :: atomic { (i < CALLS && OWNED && further > 0 && effect[i] == begun && rests[i] == number[i]) ->
            further--;  /* nobody knows whether it was made: a person is asked again */
            state = waiting;
            ask(i);
            mine = 0; i = 0;
            goto in_line }
    :: i < CALLS -> i++  /* done before, refused, or left */
    :: atomic { i == CALLS ->
            if :: OWNED -> end() :: else fi;
            mine = 0; i = 0;
            goto in_line }
    :: atomic { faults > 0 -> faults--; mine = 0; i = 0; goto in_line }
    od;
over:
    skip
}

/* Nobody executes it, or who does is silent and wakes up later. */
proctype Reaper() {
    do
    :: atomic { (state == running && holds[0] != attempt && holds[1] != attempt) -> state = queued }
    :: atomic { (state == running && faults > 0) -> faults--; state = queued }
    :: atomic { state == ended -> break }
    od
}

inline resolve(i, answer) {
    decisions[i]++;
    redecided = redecided || decisions[i] > 1;
    question[i] = answer;
    if :: answer == approved -> approvals[i]++ :: else fi
}

#ifdef DECIDE_LOCKS_THE_QUESTION
inline decide_having_seen(i, other) {
    if :: resolve(i, approved) :: resolve(i, denied) :: resolve(i, expired) fi;
    if :: state == waiting && other != pending -> state = queued :: else fi
}
#endif

inline decide(i) {
    if :: resolve(i, approved) :: resolve(i, denied) :: resolve(i, expired) fi;
    go_on_if_nothing_is_pending()
}

/* Two persons, or one and the clock. */
proctype Decider() {
#ifdef DECIDE_LOCKS_THE_QUESTION
    mtype other;
#endif
    do
#ifdef DECIDE_LOCKS_THE_QUESTION
    :: atomic { MAY_DECIDE(0) -> other = question[1] }
        atomic { if :: MAY_DECIDE(0) -> decide_having_seen(0, other) :: else fi; other = 0 }
    :: atomic { MAY_DECIDE(1) -> other = question[0] }
        atomic { if :: MAY_DECIDE(1) -> decide_having_seen(1, other) :: else fi; other = 0 }
#else
    :: atomic { MAY_DECIDE(0) -> decide(0) }
    :: atomic { MAY_DECIDE(1) -> decide(1) }
#endif
    :: atomic { state == ended -> break }
    od
}

proctype Canceller() {
    if
    :: skip
    :: atomic { state == queued || state == waiting -> end() }
    fi
}

init {
    byte w;
    atomic {
        for (w : 0 .. WORKERS - 1) { run Worker(w) }
        run Reaper(); run Decider(); run Decider(); run Canceller();
        w = 0
    }
}

ltl a_question_is_decided_once { [] !redecided }
ltl no_run_goes_on_while_a_question_is_pending { [] !early }
ltl no_call_is_made_more_often_than_it_was_approved { [] (made[0] <= approvals[0] && made[1] <= approvals[1]) }
ltl no_stale_attempt_begins_a_call { [] !stale_call }
ltl no_stale_attempt_stops_the_run { [] !stale_stop }
ltl whatever_ends_a_run_takes_its_questions { [] !left_pending }
ltl the_run_that_asks_ends { <> (state == ended) }
