/* What holds in every interleaving. */

ltl a_run_has_at_most_one_terminal_state { [] (ends <= 1) }
ltl a_terminal_state_never_changes { [] !changed }
ltl only_transitions_of_the_table_happen { [] !foreign }
ltl every_end_is_recorded_once_and_last { [] (!unrecorded && !after_end && end_records <= 1) }
ltl the_log_has_no_gap { [] !gap }
ltl no_sequence_is_given_twice { [] !twice }
ltl who_settles_finds_its_sequence_free { [] !collided }
ltl no_event_of_a_stale_attempt_is_accepted { [] !stale_event }
ltl no_checkpoint_of_a_stale_attempt_is_accepted { [] !stale_checkpoint }
ltl no_result_of_a_stale_attempt_is_accepted { [] !stale_result }
ltl no_stale_attempt_puts_the_run_back { [] !stale_requeue }
ltl only_a_silent_or_idle_replica_loses_its_run { [] !robbed }
ltl a_deferral_spends_no_attempt { [] !capped_early }
ltl what_has_begun_does_not_expire_in_line { [] !expired_late }
ltl who_believes_to_have_ended_the_run_has { [] !deceived }
ltl nothing_goes_wrong { [] (ends <= 1 && end_records <= 1
    && !(changed || foreign || gap || twice || collided || after_end || unrecorded || stale_event
        || stale_checkpoint || stale_result || stale_requeue || robbed || capped_early || expired_late || deceived)) }
ltl every_run_ends { <> TERMINAL }
