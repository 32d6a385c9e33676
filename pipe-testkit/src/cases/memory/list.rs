//! The names of the cases.

#[doc(hidden)]
#[macro_export]
macro_rules! __memory_fresh_cases {
    ($run:ident ! ($($head:tt)*)) => {
        $crate::$run! { $($head)* ;
            the_name_is_stable,
            a_working_memory_says_that_it_serves,
            closing_twice_is_harmless,
            nothing_added_is_a_success,
            what_was_added_is_counted,
            what_was_added_is_found,
            a_data_point_comes_back_as_it_was_added,
            odd_text_comes_back_as_it_was_added,
            adding_twice_is_one,
            a_later_data_point_replaces_an_earlier,
            the_same_key_twice_in_one_call_is_one,
            a_relation_to_what_is_known_is_stored,
            a_relation_to_nothing_is_skipped_and_counted,
            too_much_is_refused_as_a_whole,
            writers_at_once_lose_nothing,
            a_dropped_call_leaves_the_memory_usable,
            the_closest_comes_first,
            a_limit_is_kept,
            a_search_for_nothing_is_refused,
            a_search_by_kind_finds_no_other,
            a_search_by_domain_finds_no_other,
            a_search_by_outcome_finds_no_other,
            a_domain_that_nobody_knows_has_no_hits,
            similarities_are_ordered_and_bounded,
            every_answer_says_where_it_comes_from,
            no_evidence_is_no_suggestion,
            what_has_not_ended_is_no_evidence,
            the_path_that_succeeded_comes_first,
            a_suggestion_names_its_evidence,
            a_suggestion_follows_an_outcome,
            the_hub_rule_refuses_the_direct_path,
            the_hub_rule_of_others_refuses_nothing,
            the_numbers_are_those_of_the_shared_arithmetic,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __memory_denied_cases {
    ($run:ident ! ($($head:tt)*)) => {
        $crate::$run! { $($head)* ;
            a_denied_search_is_not_empty,
            a_denied_suggestion_is_not_none,
            a_denied_add_is_an_error,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __memory_unavailable_cases {
    ($run:ident ! ($($head:tt)*)) => {
        $crate::$run! { $($head)* ;
            an_outage_is_an_error,
            an_outage_is_retryable,
            an_outage_says_where,
            an_outage_is_told_by_health,
            bad_input_is_refused_without_asking,
        }
    };
}
