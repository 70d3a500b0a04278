/* The row of a run, its log, and what an observer sees go wrong in them. */

#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef FAULTS
#define FAULTS 2
#endif
#ifndef DEFERRALS
#define DEFERRALS 1
#endif
#ifndef QUESTIONS
#define QUESTIONS 1
#endif
#ifndef RECORDS
#define RECORDS 2
#endif
#define MOST_LOST 2
#define MOST_RECORDS 12

mtype = { queued, running, waiting_for_permission, cancelling, succeeded, failed, cancelled, expired };

/* As in the migration that makes run_transitions: a test compares the two. */
#define IN_TABLE(from, to) ( \
    (from == queued && to == running) || \
    (from == queued && to == cancelled) || \
    (from == queued && to == expired) || \
    (from == queued && to == failed) || \
    (from == running && to == succeeded) || \
    (from == running && to == failed) || \
    (from == running && to == expired) || \
    (from == running && to == waiting_for_permission) || \
    (from == running && to == cancelling) || \
    (from == running && to == queued) || \
    (from == waiting_for_permission && to == queued) || \
    (from == waiting_for_permission && to == cancelled) || \
    (from == cancelling && to == cancelled) )

#define TERMINAL (state == succeeded || state == failed || state == cancelled || state == expired)
#define HELD (state == running || state == cancelling)
#define FENCE (attempt == mine && HELD)

#define NOBODY 254
#define DEAD 255

/* The row, and the log that belongs to it. `by` tells which attempt wrote a record, SETTLER for nobody's. */
mtype state = queued;
byte attempt, replica = NOBODY, lost;
bit survives, is_task;
byte last, by[MOST_RECORDS];
#define SETTLER 15

/* The processes: whether a replica beats, and whether a worker has an execution. */
bit silent[WORKERS], executing[WORKERS];
byte faults = FAULTS, deferrals = DEFERRALS, questions = QUESTIONS;

/* What an observer knows: how often the run was claimed and lost, and what went wrong. */
byte claims, losses, ends, end_records;
bit changed, foreign, gap, twice, collided, after_end, unrecorded;
bit stale_event, stale_checkpoint, stale_result, stale_requeue, robbed, capped_early, expired_late, deceived;

#ifdef ONE_REPLICA
#define NAME 0
#else
#define NAME me
#endif

c_decl {
    static int from_state;
    static char seen[16][16];
    static void note(int to)
    {   if (from_state != to && !seen[from_state][to]) {
            seen[from_state][to] = 1;
            printf("transition %d %d\n", from_state, to);
    }   }
};

inline move(to) {
    changed = changed || TERMINAL;
    foreign = foreign || !IN_TABLE(state, to);
    c_code { from_state = now.state; };
    state = to;
    c_code { note(now.state); };
    if :: TERMINAL -> ends++ :: else fi
}

/* INSERT ... ON CONFLICT DO NOTHING. */
inline put(sequence, author) {
    if
    :: sequence <= last -> twice = twice || by[sequence] != author
    :: else ->
        gap = gap || sequence != last + 1;
        after_end = after_end || end_records > 0;
        last = sequence;
        by[sequence] = author
    fi
}

inline put_end(sequence, author) {
    if
    :: sequence <= last -> skip
    :: else -> end_records++
    fi;
    if
    :: sequence > last && end_records > 1 -> after_end = 1
    :: else
    fi;
    if
    :: sequence <= last -> twice = twice || by[sequence] != author
    :: else -> gap = gap || sequence != last + 1; last = sequence; by[sequence] = author
    fi;
    unrecorded = unrecorded || end_records == 0
}

/* Whoever settles has locked the row. A sequence that is taken is an error there, and nothing is written. */
inline settle(to, sequence) {
    if
    :: sequence <= last -> collided = 1
    :: else ->
        move(to);
#ifndef SETTLE_WITHOUT_RECORD
        put_end(sequence, SETTLER);
#endif
        unrecorded = unrecorded || end_records == 0
    fi
}
