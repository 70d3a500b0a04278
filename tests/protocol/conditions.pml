/* The conditions that the statements carry. Each alternative is a mutant. */

#ifdef EVENT_UNFENCED
#define MAY_APPEND true
#elif defined(EVENT_BY_STATE)
#define MAY_APPEND HELD
#elif defined(EVENT_BY_ATTEMPT)
#define MAY_APPEND (attempt == mine)
#else
#define MAY_APPEND FENCE
#endif

#ifdef CHECKPOINT_UNFENCED
#define MAY_SAVE true
#elif defined(CHECKPOINT_BY_STATE)
#define MAY_SAVE HELD
#else
#define MAY_SAVE FENCE
#endif

#ifdef FINISH_BY_ID
#define MAY_FINISH true
#elif defined(FINISH_BY_STATE)
#define MAY_FINISH HELD
#elif defined(FINISH_BY_REPLICA)
#define MAY_FINISH (replica == NAME && HELD)
#elif defined(FINISH_BY_ATTEMPT)
#define MAY_FINISH (attempt == mine)
#else
#define MAY_FINISH FENCE
#endif

#ifdef FINISH_OVER_CANCELLING
#define MAY_END_SO true
#else
#define MAY_END_SO (state == running || outcome == cancelled)
#endif

#ifdef BELIEVES_WHAT_FITS
#define LOOKS_LIKE_OURS (last == sequence + 1 + again)
#else
#define LOOKS_LIKE_OURS (last == sequence + 1 + again && by[last] == nth)
#endif

#ifdef REQUEUE_UNFENCED
#define MAY_LEAVE (state == running)
#elif defined(REQUEUE_BY_ATTEMPT)
#define MAY_LEAVE (attempt == mine)
#else
#define MAY_LEAVE (attempt == mine && state == running)
#endif

#ifdef ONE_REPLICA
#define EXECUTED (executing[0] || executing[1])
#else
#define EXECUTED executing[replica]
#endif
#ifdef REAP_WITHOUT_LEASE
#define IS_LOST true
#elif defined(REAP_ONLY_THE_SILENT)
#define IS_LOST (replica == DEAD || silent[replica])
#elif defined(REAP_ONLY_OURS)
#define IS_LOST (replica != DEAD && !EXECUTED)
#else
#define IS_LOST (replica == DEAD || silent[replica] || !EXECUTED)
#endif
#ifdef REAP_ONLY_RUNNING
#define REAPED (state == running)
#else
#define REAPED HELD
#endif

#ifdef SETTLE_SEQUENCE_OF_BEFORE
#define NEXT (eyes + 1)
#else
#define NEXT (last + 1)
#endif

#ifdef REAP_REQUEUES_CANCELLING
#define GOES_BACK (survives && lost + 1 < MOST_LOST)
#else
#define GOES_BACK (state != cancelling && survives && lost + 1 < MOST_LOST)
#endif
