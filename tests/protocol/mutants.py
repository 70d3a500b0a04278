"""Changes of the models, each with a property that it must break."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Mutant:
    """`name` is a define of the model. `beside`: what else has to be defined for the defect to show."""

    model: str
    name: str
    breaks: str
    beside: dict[str, int] = field(default_factory=dict)


MUTANTS = [
    Mutant("run", "FINISH_BY_ID", "a_run_has_at_most_one_terminal_state"),
    Mutant("run", "FINISH_BY_ATTEMPT", "a_terminal_state_never_changes"),
    Mutant("run", "FINISH_BY_STATE", "no_result_of_a_stale_attempt_is_accepted"),
    Mutant("run", "FINISH_BY_REPLICA", "no_result_of_a_stale_attempt_is_accepted", {"ONE_REPLICA": 1}),
    Mutant("run", "FINISH_OVER_CANCELLING", "only_transitions_of_the_table_happen"),
    Mutant("run", "END_RECORD_FIRST", "every_end_is_recorded_once_and_last"),
    Mutant("run", "EVENT_UNFENCED", "every_end_is_recorded_once_and_last"),
    Mutant("run", "EVENT_BY_STATE", "no_event_of_a_stale_attempt_is_accepted"),
    Mutant("run", "EVENT_BY_ATTEMPT", "no_sequence_is_given_twice"),
    Mutant("run", "FORGETS_WHAT_DID_NOT_ARRIVE", "the_log_has_no_gap"),
    Mutant("run", "CHECKPOINT_UNFENCED", "no_checkpoint_of_a_stale_attempt_is_accepted"),
    Mutant("run", "CHECKPOINT_BY_STATE", "no_checkpoint_of_a_stale_attempt_is_accepted"),
    Mutant("run", "REQUEUE_UNFENCED", "no_stale_attempt_puts_the_run_back"),
    Mutant("run", "REQUEUE_BY_ATTEMPT", "a_terminal_state_never_changes"),
    Mutant("run", "CLAIM_WITHOUT_ATTEMPT", "no_result_of_a_stale_attempt_is_accepted"),
    Mutant("run", "CLAIM_UNLOCKED", "a_terminal_state_never_changes"),
    Mutant("run", "CLAIM_FROM_THE_START", "no_sequence_is_given_twice"),
    Mutant("run", "SETTLE_WITHOUT_RECORD", "every_end_is_recorded_once_and_last"),
    Mutant("run", "REAP_WITHOUT_LEASE", "only_a_silent_or_idle_replica_loses_its_run"),
    Mutant("run", "REAP_UNLOCKED", "a_terminal_state_never_changes"),
    Mutant("run", "REAP_REQUEUES_CANCELLING", "only_transitions_of_the_table_happen"),
    Mutant("run", "REAP_ONLY_RUNNING", "every_run_ends"),
    Mutant("run", "REAP_ONLY_THE_SILENT", "every_run_ends"),
    Mutant("run", "REAP_ONLY_OURS", "every_run_ends"),
    Mutant("run", "CANCEL_UNLOCKED", "a_terminal_state_never_changes"),
    Mutant("run", "CANCEL_AT_ONCE", "only_transitions_of_the_table_happen"),
    Mutant("run", "DECIDE_UNLOCKED", "only_transitions_of_the_table_happen"),
    Mutant("run", "DECIDE_WITH_AN_OLD_SEQUENCE", "no_sequence_is_given_twice"),
    Mutant("run", "EXPIRY_OF_WHAT_HAS_BEGUN", "what_has_begun_does_not_expire_in_line"),
    Mutant("run", "DEFERRAL_COUNTS", "a_deferral_spends_no_attempt"),
    Mutant("conversation", "REQUEUED_LETS_GO", "one_run_of_a_conversation_is_active"),
    Mutant("conversation", "WAITING_TASK_LETS_GO", "one_run_of_a_conversation_is_active"),
    Mutant("conversation", "REPLACED_GOES_ON", "one_run_of_a_conversation_is_active"),
    Mutant("conversation", "REPLACED_BY_THE_HOLDER_ALONE", "no_chat_goes_on_that_was_replaced"),
    Mutant("conversation", "DECISION_LOOKS_BEFORE", "one_run_of_a_conversation_is_active"),
    Mutant("conversation", "NOBODY_SETTLES", "both_runs_end"),
    Mutant("conversation", "BEGIN_UNLOCKED", "one_run_of_a_conversation_is_active"),
    Mutant("conversation", "CLAIM_OUT_OF_ORDER", "tasks_begin_in_the_order_of_joining"),
    Mutant("conversation", "HEAD_OF_BEFORE", "a_turn_goes_on_from_where_it_found_the_conversation"),
    Mutant("conversation", "NOBODY_DECIDES", "both_runs_end"),
    Mutant("run", "SETTLE_SEQUENCE_OF_BEFORE", "who_settles_finds_its_sequence_free"),
    Mutant("run", "CLAIM_SEQUENCE_OF_BEFORE", "every_end_is_recorded_once_and_last"),
    Mutant("run", "BELIEVES_WHAT_FITS", "who_believes_to_have_ended_the_run_has"),
    Mutant("conversation", "CLAIM_WITHOUT_LOOKING", "one_run_of_a_conversation_is_active"),
    Mutant("consent", "DECIDE_TWICE", "a_question_is_decided_once"),
    Mutant("consent", "ASKING_AGAIN_FORGETS", "a_question_is_decided_once"),
    Mutant("consent", "RESUME_WHILE_PENDING", "no_run_goes_on_while_a_question_is_pending"),
    Mutant("consent", "DECIDE_LOCKS_THE_QUESTION", "the_run_that_asks_ends"),
    Mutant("consent", "SUSPEND_WAITS_FOR_NOTHING", "the_run_that_asks_ends"),
    Mutant("consent", "EFFECT_WITHOUT_PERMISSION", "no_call_is_made_more_often_than_it_was_approved"),
    Mutant("consent", "CUT_IS_BEGUN_AGAIN", "no_call_is_made_more_often_than_it_was_approved"),
    Mutant("consent", "EFFECT_UNFENCED", "no_stale_attempt_begins_a_call"),
    Mutant("consent", "SUSPEND_UNFENCED", "no_stale_attempt_stops_the_run"),
    Mutant("consent", "END_LEAVES_QUESTIONS", "whatever_ends_a_run_takes_its_questions"),
]

AS_THE_CODE_IS: list[Mutant] = []
"""Where the code still differs from the model, and what it costs: docs/protocol.md, "Where the code differs".

What mends the code moves its line up, to the mutants.
"""

SIZES = frozenset({"FURTHER", "WORKERS", "FAULTS", "DEFERRALS", "QUESTIONS", "RECORDS", "REQUEUES"})
FRAMES = frozenset({"ONE_REPLICA"})
"""Defines that are no defects."""
