//! The names of the cases.

#[doc(hidden)]
#[macro_export]
macro_rules! __sessions_fresh_cases {
    ($run:ident ! ($($head:tt)*)) => {
        $crate::$run! { $($head)* ;
            what_was_inserted_is_read_back,
            what_was_never_kept_is_absent,
            a_second_insert_changes_nothing,
            one_of_many_inserts_at_once_succeeds,
            a_record_is_taken_once,
            one_of_many_takes_at_once_succeeds,
            a_key_may_be_used_again,
            kinds_with_equal_digests_are_apart,
            binary_data_comes_back_byte_for_byte,
            empty_data_is_not_absent,
            a_dropped_call_leaves_the_store_usable,
            replace_puts_the_new_record_in_place,
            replace_of_another_version_changes_nothing,
            one_of_many_replaces_at_once_succeeds,
            replace_never_brings_back_what_is_gone,
            a_version_does_not_fit_a_later_record,
            every_state_has_a_version_of_its_own,
            all_with_a_tag_are_removed,
            those_without_the_tag_stay,
            replace_changes_the_tags,
            a_tag_that_stays_still_leads_there,
            a_tag_ends_with_its_record,
            a_tag_given_twice_counts_once,
            a_record_at_the_limits_is_kept,
            a_record_that_is_too_long_is_refused,
            a_record_with_too_many_tags_is_refused,
            a_record_without_time_is_gone_at_once,
            a_time_beyond_all_bounds_is_kept,
            no_data_appears_in_logs_or_errors,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __sessions_expiring_cases {
    ($run:ident ! ($($head:tt)*)) => {
        $crate::$run! { $($head)* ;
            an_expired_record_is_not_read,
            an_expired_record_is_not_taken,
            an_expired_record_is_not_replaced,
            an_expired_record_is_not_counted_by_its_tag,
            an_expired_key_may_be_used_again,
            replace_may_lengthen_the_time,
            replace_may_shorten_the_time,
            a_tag_lasts_as_long_as_its_last_record,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __sessions_small_cases {
    ($run:ident ! ($($head:tt)*)) => {
        $crate::$run! { $($head)* ;
            a_full_store_refuses_sessions,
            a_full_store_refuses_marks,
            a_full_store_has_room_for_what_was_taken,
            a_flood_of_logins_ends_no_session,
            the_newest_login_is_kept,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __sessions_unavailable_cases {
    ($run:ident ! ($($head:tt)*)) => {
        $crate::$run! { $($head)* ;
            an_unavailable_store_is_an_error,
            an_unavailable_store_is_retryable,
            an_unavailable_store_says_where,
            a_bad_record_is_refused_without_asking,
        }
    };
}
