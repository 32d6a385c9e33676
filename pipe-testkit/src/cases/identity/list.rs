//! The names of the cases.

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
