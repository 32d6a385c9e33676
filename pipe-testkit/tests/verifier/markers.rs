//! Wrong verdicts, for the defects that are no check left out.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::identity::TokenExpectation;
use pipe_core::{Error, ErrorKind, Result, SecurityContext};

use super::{Verifier, anybody};

impl Verifier {
    /// The verdict, or the opposite, when the defect concerns this token.
    pub(crate) fn misjudge(
        &self,
        text: &str,
        expect: &TokenExpectation,
        verdict: Result<SecurityContext>,
    ) -> Result<SecurityContext> {
        let _ = expect;
        // An opaque token is random text, in which anything may be read.
        let mut segments = text.split('.').filter(|_| text.contains('.'));
        let mut shown = || {
            let segment = segments.next().unwrap_or_default();
            let bytes = URL_SAFE_NO_PAD.decode(segment).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (header, claims) = (shown(), shown());
        let is_fooled = match self.defect.0 {
            "b6_an_encrypted_token_is_refused_without_work" => text.ends_with(".AAAA.AAAA"),
            "c2_an_empty_segment_is_refused" => text == "..",
            "c2_the_json_form_is_refused" => text.starts_with('{'),
            "c4_a_payload_that_is_no_object_is_refused" => claims.starts_with('['),
            "c4_a_header_that_is_no_object_is_refused" => header.starts_with('['),
            "d8_an_id_token_is_no_access_token" => claims.contains("\"nonce\""),
            "d8_a_logout_token_is_no_access_token" => claims.contains("backchannel-logout"),
            "d8_a_client_assertion_is_no_access_token" => header.contains("client-authentication"),
            "d8_a_refresh_token_is_no_access_token" => {
                header.contains("rt+jwt") && !claims.contains("api.pipe")
            }
            _ => false,
        };
        if is_fooled {
            return Ok(anybody(self.trust.clock.now()));
        }
        let is_refused = match self.defect.0 {
            "b8_another_content_type_changes_nothing" => header.contains("\"cty\":\"json\""),
            "c1_a_token_of_our_own_writing_is_accepted" => claims.contains(" ,\n "),
            "e8_a_token_without_kid_needs_one_fitting_key" => {
                header.contains("\"alg\"") && !header.contains("\"kid\"") && verdict.is_ok()
            }
            _ => false,
        };
        if is_refused {
            return Err(super::refused(pipe_core::TokenFault::Malformed));
        }
        verdict.map_err(|error| match self.defect.0 {
            "h1_refusals_tell_the_presenter_nothing" if claims.contains("\"exp\":1,") => {
                Error::new(ErrorKind::InvalidArgument, "it has expired")
            }
            "h2_no_token_appears_in_logs_errors_or_contexts" => {
                error.with("signature", text.rsplit('.').next().unwrap_or_default())
            }
            "h2_no_claim_appears_in_logs_or_errors" => error.with("claims", &claims),
            _ => error,
        })
    }
}
