/* Two runs of one conversation, each a chat or a task: who may be active, and what the turn goes on from.
   There is no unique index here: the conditions of the statements alone have to keep a second run out. */

#ifndef REQUEUES
#define REQUEUES 1
#endif
#ifndef QUESTIONS
#define QUESTIONS 2
#endif

mtype = { nowhere, queued, running, waiting_for_permission, cancelling, ended, refused };

mtype state[2] = nowhere;
bit is_task[2], begun[2];
byte requeues = REQUEUES, questions = QUESTIONS;
byte joined[2], next_place = 1;

/* The conversation's checkpoints: how many there are. A turn goes on from the one that it found. */
byte head;
bit displaced, out_of_order;

/* Whether somebody has begun while a chat waited for a person, and whether it went on all the same. */
bit passed[2], overtaken;

#define OTHER (1 - me)

#ifdef REQUEUED_LETS_GO
#define HOLDS_IN_LINE(r) (state[r] == queued && !is_task[r])
#else
#define HOLDS_IN_LINE(r) (state[r] == queued && (!is_task[r] || begun[r]))
#endif
#ifdef WAITING_TASK_LETS_GO
#define HOLDS_WAITING(r) false
#else
#define HOLDS_WAITING(r) (state[r] == waiting_for_permission && is_task[r])
#endif
#define HOLDS(r) (state[r] == running || state[r] == cancelling || HOLDS_IN_LINE(r) || HOLDS_WAITING(r))
#define WORKS(r) (state[r] == running || state[r] == cancelling)
#define ACTIVE(r) (WORKS(r) || (state[r] == queued && (!is_task[r] || begun[r])) \
    || (state[r] == waiting_for_permission && is_task[r]))
#define OVER(r) (state[r] == ended || state[r] == refused)

/* A chat that waits for a person holds nothing: whoever begins meanwhile, and be it over since, has replaced it. */
#ifdef REPLACED_BY_THE_HOLDER_ALONE
#define REPLACED(r) (!is_task[r] && HOLDS(1 - r))
#else
#define REPLACED(r) (!is_task[r] && (HOLDS(1 - r) || passed[r]))
#endif
#define WAITS(r) (state[r] == waiting_for_permission)

/* What the decision looks at, and that it puts the run back, is one step: the database's unique index makes it so. */
#ifdef REPLACED_GOES_ON
#define MAY_GO_ON(r) WAITS(r)
#else
#define MAY_GO_ON(r) (WAITS(r) && !REPLACED(r))
#endif

inline cancel(r) {
    if
    :: state[r] == queued || state[r] == waiting_for_permission -> state[r] = ended
    :: state[r] == running -> state[r] = cancelling
    :: else
    fi
}

/* A task in line is older than who joined after it; among tasks the older one begins first. */
#ifdef CLAIM_WITHOUT_LOOKING
#define MAY_BEGIN true
#elif defined(CLAIM_OUT_OF_ORDER)
#define MAY_BEGIN (begun[me] || !is_task[me] || !HOLDS(OTHER))
#else
#define MAY_BEGIN (begun[me] || !is_task[me] || (!HOLDS(OTHER) \
    && !(is_task[OTHER] && state[OTHER] == queued && joined[OTHER] < joined[me])))
#endif

proctype Run(byte me) {
    byte base;
    bit interrupted;

    if
    :: atomic { is_task[me] -> state[me] = queued; joined[me] = next_place; next_place++ }
    :: !is_task[me] ->
        do
#ifdef BEGIN_UNLOCKED
        :: !HOLDS(OTHER) -> atomic { state[me] = queued; break }
#else
        :: atomic { !HOLDS(OTHER) -> state[me] = queued; break }
#endif
        :: atomic { HOLDS(OTHER) && !interrupted -> interrupted = 1; cancel(OTHER) }
        :: atomic { HOLDS(OTHER) -> state[me] = refused; goto done }
        od
    fi;
in_line:
    do
#ifdef HEAD_OF_BEFORE
    :: state[me] == queued -> base = head;
        atomic {
            if
            :: state[me] == queued && MAY_BEGIN
            :: OVER(me) -> goto done
            fi;
#else
    :: atomic { state[me] == queued && MAY_BEGIN ->
            base = head;
#endif
            out_of_order = out_of_order || (is_task[me] && !begun[me] && is_task[OTHER] && !begun[OTHER]
                && state[OTHER] == queued && joined[OTHER] < joined[me]);
            passed[OTHER] = passed[OTHER] || (WAITS(OTHER) && !is_task[OTHER] && !begun[me]);
            state[me] = running; begun[me] = 1; goto at_work }
    :: atomic { OVER(me) -> goto done }
    od;
at_work:
    do
    :: atomic { WORKS(me) ->  /* the turn: one checkpoint, then the end */
        displaced = displaced || head != base;
        if :: state[me] == running && head < 8 -> head++; base = head :: else fi;
        goto ending }
    :: atomic { questions > 0 ->
        questions--;
        if :: state[me] == running -> state[me] = waiting_for_permission; goto in_line :: else fi }
    :: atomic { requeues > 0 ->
        requeues--;
        if :: state[me] == running -> state[me] = queued; goto in_line :: else fi }
    od;
ending:
    state[me] = ended;
done:
    skip
}

inline go_on(r) {
    overtaken = overtaken || passed[r];
    state[r] = queued
}

/* A person decides, or the question expires. */
proctype Decider() {
    do
#ifdef DECISION_LOOKS_BEFORE
    :: MAY_GO_ON(0) -> atomic { if :: WAITS(0) -> go_on(0) :: else fi }
    :: MAY_GO_ON(1) -> atomic { if :: WAITS(1) -> go_on(1) :: else fi }
#elif !defined(NOBODY_DECIDES)
    :: atomic { MAY_GO_ON(0) -> go_on(0) }
    :: atomic { MAY_GO_ON(1) -> go_on(1) }
#endif
    :: OVER(0) && OVER(1) -> break
    od
}

/* What was replaced is ended before long. */
proctype Settler() {
    do
#ifndef NOBODY_SETTLES
    :: atomic { WAITS(0) && REPLACED(0) -> state[0] = ended }
    :: atomic { WAITS(1) && REPLACED(1) -> state[1] = ended }
#endif
    :: OVER(0) && OVER(1) -> break
    od
}

init {
    atomic {
        if :: is_task[0] = 1 :: skip fi;
        if :: is_task[1] = 1 :: skip fi;
        run Run(0); run Run(1); run Decider(); run Settler()
    }
}

ltl one_run_of_a_conversation_is_active { [] !(ACTIVE(0) && ACTIVE(1)) }
ltl a_turn_goes_on_from_where_it_found_the_conversation { [] !displaced }
ltl tasks_begin_in_the_order_of_joining { [] !out_of_order }
ltl no_chat_goes_on_that_was_replaced { [] !overtaken }
ltl both_runs_end { <> (OVER(0) && OVER(1)) }
