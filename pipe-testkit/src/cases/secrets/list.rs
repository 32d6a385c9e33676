//! The names of the cases.

/// The names of the cases, once; `$run` is called with all of them.
#[doc(hidden)]
#[macro_export]
macro_rules! __secrets_fresh_cases {
    ($run:ident ! ($($head:tt)*)) => {
        $crate::$run! { $($head)* ;
            get_of_a_missing_secret_is_none,
            get_of_a_folder_is_none,
            get_below_a_secret_is_none,
            a_name_with_segments_is_supported_or_refused,
            a_stored_secret_is_read_back,
            an_empty_value_is_not_absent,
            a_secret_without_keys_is_kept_or_refused,
            utf8_text_round_trips,
            binary_values_round_trip_or_are_refused,
            text_with_nul_round_trips_or_is_refused,
            whitespace_at_the_edges_round_trips,
            line_breaks_round_trip,
            text_that_looks_like_something_else_round_trips,
            large_numbers_round_trip_as_text,
            many_keys_round_trip,
            more_keys_than_declared_are_refused,
            a_secret_at_the_declared_limit_round_trips,
            a_secret_past_the_declared_limit_is_refused,
            odd_keys_round_trip_or_are_refused,
            similar_keys_stay_apart,
            odd_names_round_trip_or_are_refused,
            similar_names_stay_apart,
            long_names_stay_apart,
            a_write_is_supported_or_refused,
            the_first_write_is_reported_as_created,
            another_value_is_reported_as_updated,
            an_update_replaces_all_keys,
            a_write_that_only_drops_a_key_is_an_update,
            a_read_after_a_change_is_never_stale,
            the_same_write_twice_is_unchanged,
            the_same_write_at_once_is_a_success_for_all,
            versions_grow_with_every_change,
            an_unchanged_write_keeps_the_version,
            a_read_tells_the_version_that_was_written,
            old_versions_are_readable_or_unsupported,
            a_version_that_never_was_is_none,
            an_old_version_cannot_be_written_or_deleted,
            the_time_of_a_write_is_about_now,
            delete_is_supported_or_refused,
            delete_removes_the_secret,
            delete_of_a_missing_secret_is_false,
            delete_twice_is_false_the_second_time,
            a_write_after_a_delete_is_created,
            delete_leaves_neighbours,
            list_is_supported_or_refused,
            list_is_sorted_and_complete,
            list_prefix_ends_at_a_segment_border,
            list_of_an_empty_folder_is_empty,
            list_past_the_limit_is_an_error,
            a_deleted_secret_is_not_listed,
            listed_secrets_can_be_read,
            a_list_is_of_its_namespace,
            namespaces_are_isolated_or_unsupported,
            a_watch_is_supported_or_refused,
            a_watch_shows_the_state_and_then_the_change,
            a_watch_shows_a_delete,
            a_watch_begins_with_the_current_state,
            a_watch_tells_the_version_that_was_written,
            a_watch_goes_on_after_a_delete,
            a_watch_is_of_its_namespace,
            readers_never_see_half_a_write,
            writers_of_different_secrets_do_not_mix,
            the_last_of_many_writers_wins_as_a_whole,
            a_dropped_read_leaves_the_plugin_usable,
            a_dropped_write_happened_or_did_not,
            the_name_is_stable,
            capabilities_are_constant,
            a_working_plugin_says_that_it_serves,
            closing_twice_is_harmless,
            environment_variables_name_the_secret_and_no_value,
            mounts_name_the_secret_and_no_value,
            a_mount_is_what_was_asked_for,
            manifests_have_legal_names,
            bad_environment_variables_are_refused,
            no_value_appears_in_logs_errors_or_manifests,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __secrets_denied_cases {
    ($run:ident ! ($($head:tt)*)) => {
        $crate::$run! { $($head)* ;
            a_denied_read_is_not_absence,
            a_denied_write_is_an_error,
            a_denied_delete_is_an_error,
            a_denied_list_is_an_error,
            a_denied_watch_is_an_error,
            a_denied_call_is_not_retryable,
            a_denied_call_says_where_and_what_to_change,
            a_denied_call_shows_no_value,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __secrets_unavailable_cases {
    ($run:ident ! ($($head:tt)*)) => {
        $crate::$run! { $($head)* ;
            an_unavailable_backend_is_not_absence,
            an_unavailable_backend_is_retryable,
            an_unavailable_call_says_where,
            an_unavailable_backend_is_told_by_health,
            an_unavailable_backend_does_not_stop_close,
            an_unavailable_backend_holds_up_nobody,
            bad_input_is_refused_without_asking_the_backend,
            an_unavailable_backend_shows_no_value,
        }
    };
}
