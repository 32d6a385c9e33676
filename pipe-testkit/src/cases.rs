//! The behaviours that the suites test: one function each, to be called by the macros, by a table
//! or by hand. A case panics when the plugin lacks the behaviour.
#![allow(
    clippy::missing_panics_doc,
    reason = "every case panics when the plugin lacks the behaviour"
)]

use std::pin::Pin;
use std::sync::Arc;

use pipe_core::identity::SessionStore;
use pipe_core::{Error, ErrorKind, GovernanceMemory, IdentityPlugin, Result, SecretsPlugin};

pub mod identity;
#[cfg(feature = "issuer")]
#[macro_use]
pub mod login;
pub mod memory;
pub mod secrets;
pub mod sessions;
#[cfg(feature = "issuer")]
pub mod trusting;

/// What kind of plugin a case has to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Needs {
    /// A fresh plugin that works.
    Fresh,
    /// A plugin whose identity may do nothing.
    Denied,
    /// A plugin whose backend does not answer.
    Unavailable,
    /// A store of sessions that works; the case waits until records are over.
    Expiring,
    /// A store of sessions without room for 1,024 records of 32 KiB.
    Small,
}

type Body<P> = fn(Arc<P>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// A case of the secrets suite.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SecretsCase {
    /// The claim that the case tests.
    pub name: &'static str,
    /// What kind of plugin it has to be given.
    pub needs: Needs,
    /// Runs it.
    pub run: Body<dyn SecretsPlugin>,
}

/// A case of the identity suite.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct IdentityCase {
    /// The claim that the case tests.
    pub name: &'static str,
    /// Runs it.
    pub run: Body<dyn IdentityPlugin>,
}

/// A case of the memory suite.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MemoryCase {
    /// The claim that the case tests.
    pub name: &'static str,
    /// What kind of memory it has to be given.
    pub needs: Needs,
    /// Runs it.
    pub run: Body<dyn GovernanceMemory>,
}

/// A case of the suite of session stores.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SessionStoreCase {
    /// The claim that the case tests.
    pub name: &'static str,
    /// What kind of store it has to be given.
    pub needs: Needs,
    /// Runs it.
    pub run: Body<dyn SessionStore>,
}

/// A trusting case of the identity suite.
#[cfg(feature = "issuer")]
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TrustingCase {
    /// The claim that the case tests.
    pub name: &'static str,
    /// Runs it.
    pub run: fn(crate::Stage) -> Pin<Box<dyn Future<Output = ()>>>,
}

/// A case of the login suite.
#[cfg(feature = "issuer")]
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LoginCase {
    /// The claim that the case tests.
    pub name: &'static str,
    /// Runs it.
    pub run: fn(crate::LoginStage) -> Pin<Box<dyn Future<Output = ()>>>,
}

#[track_caller]
fn expect_kind<T>(result: Result<T>, kind: ErrorKind) -> Error {
    match result {
        Err(error) if error.kind() == kind => error,
        Err(error) => panic!("expected {kind:?}, got {error:#}"),
        Ok(_) => panic!("expected {kind:?}, got a success"),
    }
}

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

#[doc(hidden)]
#[macro_export]
macro_rules! __identity_cases {
    ($run:ident ! ($($head:tt)*)) => {
        $crate::$run! { $($head)* ;
            credentials_are_temporary_or_unsupported,
            credentials_carry_only_requested_scopes,
            credentials_that_are_tokens_say_the_same,
            a_signed_token_is_a_jwt_or_unsupported,
            a_signed_token_has_the_registered_claims,
            a_signed_token_lives_as_long_as_asked,
            a_lifetime_of_nothing_is_refused,
            a_lifetime_of_two_hours_is_kept_or_refused,
            every_signed_token_has_an_id_of_its_own,
            custom_claims_are_carried,
            i1_a_custom_claim_never_becomes_a_registered_one,
            i2_a_lifetime_past_all_bounds_is_refused,
            i3_tokens_signed_at_once_have_ids_of_their_own,
            i4_the_header_names_the_key_and_does_not_hold_it,
            i6_a_token_grants_what_was_asked_for_and_nothing_else,
            our_own_token_is_accepted,
            the_context_tells_who_is_calling,
            the_context_ends_with_the_token,
            several_roles_and_audiences_survive,
            a_resolved_context_is_still_the_callers,
            a_token_for_somebody_else_is_refused,
            a_token_accepted_once_is_checked_again,
            one_matching_audience_is_enough,
            an_expectation_without_audience_is_refused,
            a_tampered_payload_is_refused,
            a_tampered_signature_is_refused,
            a_token_without_signature_is_refused,
            garbage_is_refused,
            a_huge_token_is_refused,
            a_token_of_another_tenant_is_refused,
            an_expired_context_is_refused,
            a_context_of_another_issuer_is_refused,
            a_context_of_another_tenant_is_refused,
            refusals_tell_the_presenter_nothing,
            no_token_appears_in_logs_or_errors,
            the_identity_plugin_says_that_it_serves,
        }
    };
}

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

/// The names of the trusting cases, in the order of the list of threats.
#[doc(hidden)]
#[macro_export]
macro_rules! __identity_trusting_cases {
    ($run:ident ! ($($head:tt)*)) => {
        $crate::$run! { $($head)* ;
            a1_alg_none_is_refused,
            a1_an_alg_in_another_spelling_is_refused,
            a1_an_alg_that_is_missing_or_no_text_is_refused,
            a2_rs256_key_used_as_hmac_secret_is_refused,
            a3_an_algorithm_outside_the_list_is_refused,
            a3_an_algorithm_of_another_type_of_key_is_refused,
            a4_a_flipped_signature_is_refused,
            a4_a_truncated_signature_is_refused,
            a4_the_signature_of_another_token_is_refused,
            a4_a_changed_payload_is_refused,
            a4_a_changed_header_is_refused,
            a4_an_all_zero_ecdsa_signature_is_refused,
            a4_an_ecdsa_signature_out_of_range_is_refused,
            a4_an_ecdsa_signature_of_another_length_is_refused,
            a4_an_ecdsa_signature_in_der_is_refused,
            a4_the_twin_of_a_signature_tells_nothing_else,
            a5_every_listed_algorithm_is_accepted,
            a5_ed25519_is_another_name_for_eddsa,
            a5_a_ps256_token_of_an_rs256_key_is_refused,
            a5_an_rs256_token_of_a_ps256_key_is_refused,
            a5_an_es384_token_of_a_p256_key_is_refused,
            a7_an_rsa_key_that_is_too_short_is_not_used,
            a7_an_rsa_key_with_the_exponent_one_is_not_used,
            a7_an_rsa_key_with_an_even_exponent_is_not_used,
            a7_a_point_off_its_curve_is_not_used,
            b1_addresses_in_the_header_are_never_fetched,
            b2_a_key_in_the_header_is_not_trusted,
            b2_a_certificate_in_the_header_is_not_trusted,
            b3_an_unknown_crit_is_refused,
            b3_a_crit_that_is_none_is_refused,
            b4_an_unencoded_payload_is_refused,
            b5_a_kid_is_compared_byte_by_byte,
            b5_a_hostile_kid_reaches_nobody,
            b5_a_kid_that_is_no_text_is_refused,
            b6_a_compressed_token_is_refused,
            b6_a_token_that_says_that_it_is_encrypted_is_refused,
            b6_an_encrypted_token_is_refused_without_work,
            b7_a_token_of_another_type_is_refused,
            b7_a_token_without_type_is_refused,
            b7_a_type_that_is_no_text_is_refused,
            b7_a_type_is_compared_without_case,
            b8_a_nested_token_is_refused,
            b8_another_content_type_changes_nothing,
            c1_padding_is_refused,
            c1_the_alphabet_of_other_base64_is_refused,
            c1_white_space_is_refused,
            c1_bits_left_over_are_refused,
            c1_other_characters_are_refused,
            c1_a_token_of_our_own_writing_is_accepted,
            c2_another_number_of_segments_is_refused,
            c2_an_empty_segment_is_refused,
            c2_the_json_form_is_refused,
            c3_a_duplicate_header_is_refused,
            c3_a_duplicate_claim_is_refused,
            c3_a_duplicate_member_at_any_depth_is_refused,
            c4_a_payload_that_is_no_object_is_refused,
            c4_a_header_that_is_no_object_is_refused,
            c4_text_after_the_object_is_refused,
            c4_a_byte_order_mark_is_refused,
            c4_what_is_no_utf8_is_refused,
            c4_half_a_surrogate_pair_is_refused,
            c4_a_zero_in_a_mapped_claim_is_refused,
            c5_a_payload_that_is_too_deep_is_refused,
            c5_too_many_claims_are_refused,
            c5_a_number_that_does_not_fit_is_refused,
            c6_a_token_past_the_limit_is_refused,
            c6_a_header_past_the_limit_is_refused,
            d1_a_token_without_end_is_refused,
            d1_an_end_that_is_no_number_is_refused,
            d1_an_end_out_of_all_bounds_is_refused,
            d1_a_fraction_of_a_second_is_cut_off,
            d2_equality_with_exp_and_leeway_is_expired,
            d2_a_token_within_the_leeway_is_accepted,
            d2_a_token_that_was_accepted_expires,
            d3_a_token_before_its_time_is_refused,
            d3_a_token_at_its_time_is_accepted,
            d3_a_beginning_that_is_no_number_is_refused,
            d4_a_token_from_the_future_is_refused,
            d4_a_clock_that_is_ahead_is_forgiven,
            d4_a_token_without_issue_time_is_refused,
            d4_an_issue_time_that_is_no_number_is_refused,
            d4_a_token_that_ends_before_it_began_is_refused,
            d4_a_lifetime_past_a_day_is_refused,
            d5_a_token_without_issuer_is_refused,
            d5_an_issuer_that_is_no_text_is_refused,
            d5_an_issuer_that_looks_like_ours_is_refused,
            d6_a_token_without_audience_is_refused,
            d6_one_audience_of_several_is_enough,
            d6_another_audience_is_refused,
            d6_no_audience_at_all_is_refused,
            d6_an_audience_that_is_no_text_is_refused,
            d7_a_token_without_subject_is_refused,
            d7_a_subject_that_is_no_name_is_refused,
            d7_a_subject_that_is_too_long_is_refused,
            d7_a_token_without_id_is_refused,
            d7_a_token_without_client_is_refused,
            d7_an_id_that_is_no_text_is_refused,
            d7_a_scope_that_is_no_text_is_refused,
            d8_an_id_token_is_no_access_token,
            d8_a_logout_token_is_no_access_token,
            d8_a_client_assertion_is_no_access_token,
            d8_a_refresh_token_is_no_access_token,
            d9_roles_of_another_form_grant_nothing,
            d9_a_claim_that_is_not_mapped_grants_no_role,
            d9_a_token_without_roles_grants_none,
            d9_a_wildcard_is_no_other_role,
            d9_the_context_tells_what_the_token_says,
            d9_a_token_of_another_tenant_is_refused,
            d9_a_token_without_tenant_belongs_to_none,
            d9_a_context_of_another_tenant_is_refused,
            d12_a_token_bound_to_a_key_needs_its_proof,
            d12_a_proof_by_another_key_is_refused,
            d12_a_proof_that_another_key_signed_is_refused,
            d12_a_proof_for_another_method_is_refused,
            d12_a_proof_for_another_address_is_refused,
            d12_a_proof_for_another_token_is_refused,
            d12_a_proof_that_names_no_token_is_refused,
            d12_a_proof_used_twice_is_refused,
            d12_a_proof_of_another_time_is_refused,
            d12_a_proof_of_another_form_is_refused,
            d12_a_proof_with_a_private_key_is_refused,
            d12_an_unbound_token_with_a_proof_is_refused,
            d12_a_token_bound_to_a_certificate_needs_it,
            d12_another_certificate_is_refused,
            d12_a_certificate_asks_nothing_of_an_unbound_token,
            d12_a_key_is_no_certificate,
            d12_two_bindings_need_both_proofs,
            d12_a_binding_of_another_kind_is_refused,
            d12_a_binding_of_another_form_is_refused,
            e1_a_key_that_was_published_ahead_needs_no_fetch,
            e1_a_new_key_is_found_with_one_fetch,
            e1_tokens_of_an_old_key_are_good_while_it_is_published,
            e2_a_rotation_confuses_nobody,
            e3_a_key_that_was_removed_stops_working,
            e4_two_keys_of_one_name_are_refused,
            e4_the_same_key_twice_counts_once,
            e4_the_algorithm_tells_keys_of_one_name_apart,
            e5_a_symmetric_key_in_the_set_is_not_used,
            e6_a_key_for_encryption_is_not_used,
            e6_a_key_that_may_not_verify_is_not_used,
            e6_a_key_with_the_certificate_of_another_is_not_used,
            e7_an_odd_entry_does_not_spoil_the_others,
            e7_what_is_no_key_set_lets_nobody_in,
            e7_a_key_set_of_too_many_keys_is_refused_whole,
            e8_a_token_without_kid_needs_one_fitting_key,
            e8_a_token_without_kid_is_refused_among_several_keys,
            e9_a_private_key_in_the_set_is_not_used,
            f1_a_plugin_starts_before_its_provider,
            f1_a_dead_provider_does_not_stop_known_keys,
            f1_keys_past_all_bounds_let_nobody_in,
            f2_a_provider_that_hangs_is_given_up,
            f2_a_discovery_that_hangs_is_given_up,
            f2_an_answer_that_trickles_is_given_up,
            f2_an_answer_that_breaks_off_is_no_key_set,
            f2_known_keys_do_not_wait_for_a_refresh,
            f2_known_keys_do_not_wait_when_they_are_old,
            f3_an_error_is_no_key_set,
            f3_too_many_requests_are_no_key_set,
            f3_a_web_page_is_no_key_set,
            f3_a_web_page_is_no_discovery_document,
            f3_an_empty_answer_is_no_key_set,
            f3_keys_of_another_content_type_are_no_key_set,
            f3_a_huge_key_set_is_refused,
            f3_a_key_set_without_end_is_refused,
            f4_a_redirect_of_the_key_set_is_not_followed,
            f4_a_redirect_of_the_discovery_is_not_followed,
            f5_the_discovery_of_another_issuer_is_refused,
            f5_a_discovery_without_key_set_is_refused,
            f5_a_key_set_at_a_special_address_is_refused,
            f5_a_key_set_address_with_credentials_is_refused,
            f6_a_flood_of_unknown_keys_is_no_flood_of_fetches,
            f6_a_flood_against_a_dead_provider_is_no_flood_of_fetches,
            f7_many_first_validations_share_one_fetch,
            f8_a_failed_fetch_is_tried_again,
            f8_an_outage_is_no_refusal_of_the_token,
            f9_a_clock_that_jumps_back_is_no_harm,
            h1_a_context_holds_what_is_mapped_and_nothing_else,
            h1_an_email_address_is_no_id,
            h1_refusals_tell_the_presenter_nothing,
            h2_no_token_appears_in_logs_errors_or_contexts,
            h2_no_claim_appears_in_logs_or_errors,
            h2_no_answer_of_the_provider_appears_in_logs_or_errors,
            h2_no_secret_of_the_plugin_appears_in_logs_or_errors,
            h5_an_accepted_token_is_held_to_every_expectation,
            h5_a_bound_token_is_held_to_its_proof_every_time,
            h6_an_opaque_token_is_asked_about_or_refused,
            h6_an_opaque_token_of_a_service_speaks_for_its_client,
            h6_an_opaque_token_that_nobody_knows_is_refused,
            h6_an_answer_that_does_not_say_active_lets_nobody_in,
            h6_a_revoked_token_is_refused_within_the_bound,
            h6_an_opaque_token_for_somebody_else_is_refused,
            h6_an_opaque_token_of_another_tenant_is_refused,
            h6_an_issuer_that_cannot_be_asked_is_an_outage,
            h6_an_issuer_that_refuses_the_client_is_no_refusal_of_the_token,
            h6_a_jwt_is_not_asked_about,
            h6_an_opaque_token_that_is_bound_needs_its_proof,
            h7_no_role_crosses_from_one_tenant_to_another,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __secrets_table {
    ($needs:ident ; $($case:ident,)*) => { &[$(SecretsCase {
        name: stringify!($case),
        needs: Needs::$needs,
        run: |plugin| Box::pin(secrets::$case(plugin)),
    }),*] };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __memory_table {
    ($needs:ident ; $($case:ident,)*) => { &[$(MemoryCase {
        name: stringify!($case),
        needs: Needs::$needs,
        run: |plugin| Box::pin(memory::$case(plugin)),
    }),*] };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __sessions_table {
    ($needs:ident ; $($case:ident,)*) => { &[$(SessionStoreCase {
        name: stringify!($case),
        needs: Needs::$needs,
        run: |store| Box::pin(sessions::$case(store)),
    }),*] };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __identity_table {
    (; $($case:ident,)*) => { &[$(IdentityCase {
        name: stringify!($case),
        run: |plugin| Box::pin(identity::$case(plugin)),
    }),*] };
}

#[cfg(feature = "issuer")]
#[doc(hidden)]
#[macro_export]
macro_rules! __trusting_table {
    (; $($case:ident,)*) => { &[$(TrustingCase {
        name: stringify!($case),
        run: |stage| Box::pin(trusting::$case(stage)),
    }),*] };
}

#[cfg(feature = "issuer")]
#[doc(hidden)]
#[macro_export]
macro_rules! __login_table {
    (; $($case:ident,)*) => { &[$(LoginCase {
        name: stringify!($case),
        run: |stage| Box::pin(login::$case(stage)),
    }),*] };
}

/// Every case of the secrets suite, grouped by what it needs.
pub const SECRETS_CASES: [&[SecretsCase]; 3] = [
    __secrets_fresh_cases! { __secrets_table ! (Fresh) },
    __secrets_denied_cases! { __secrets_table ! (Denied) },
    __secrets_unavailable_cases! { __secrets_table ! (Unavailable) },
];

/// Every case of the memory suite, grouped by what it needs.
pub const MEMORY_CASES: [&[MemoryCase]; 3] = [
    __memory_fresh_cases! { __memory_table ! (Fresh) },
    __memory_denied_cases! { __memory_table ! (Denied) },
    __memory_unavailable_cases! { __memory_table ! (Unavailable) },
];

/// Every case of the suite of session stores, grouped by what it needs.
pub const SESSION_STORE_CASES: [&[SessionStoreCase]; 4] = [
    __sessions_fresh_cases! { __sessions_table ! (Fresh) },
    __sessions_expiring_cases! { __sessions_table ! (Expiring) },
    __sessions_small_cases! { __sessions_table ! (Small) },
    __sessions_unavailable_cases! { __sessions_table ! (Unavailable) },
];

/// Every case of the identity suite.
pub const IDENTITY_CASES: &[IdentityCase] = __identity_cases! { __identity_table ! () };

/// Every trusting case of the identity suite.
#[cfg(feature = "issuer")]
pub const TRUSTING_CASES: &[TrustingCase] = __identity_trusting_cases! { __trusting_table ! () };

/// Every case of the login suite.
#[cfg(feature = "issuer")]
pub const LOGIN_CASES: &[LoginCase] = __login_cases! { __login_table ! () };
