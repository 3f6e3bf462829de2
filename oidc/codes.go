package oidc

// OtherCode stands for an error code that no specification has: a provider's
// own, or something else altogether.
const OtherCode = "other"

// codes are the error codes of RFC 6749 §4.1.2.1 and §5.2, OIDC Core §3.1.2.6,
// RFC 6750 §3.1, RFC 7591 §3.2.2, RFC 8628 §3.5, RFC 8707 §2, RFC 9396 §14.6,
// RFC 9449 §12.2, RFC 9470 §3 and of the OpenID specifications beside them.
var codes = set(
	"invalid_request", "unauthorized_client", "access_denied", "unsupported_response_type", "invalid_scope", "server_error",
	"temporarily_unavailable", "invalid_client", "invalid_grant", "unsupported_grant_type",
	"interaction_required", "login_required", "account_selection_required", "consent_required", "invalid_request_uri",
	"invalid_request_object", "request_not_supported", "request_uri_not_supported", "registration_not_supported",
	"invalid_token", "insufficient_scope", "invalid_redirect_uri", "invalid_client_metadata",
	"authorization_pending", "slow_down", "expired_token", "invalid_target", "invalid_authorization_details",
	"invalid_dpop_proof", "use_dpop_nonce", "insufficient_user_authentication", "unmet_authentication_requirements",
	"unsupported_token_type",
)

// KnownCode is the code where a specification has it, "" for none, and
// OtherCode for any other: what somebody else sent can then stand in a log, and
// a count of codes stays small whoever sends them.
func KnownCode(code string) string {
	if code == "" || codes[code] {
		return code
	}
	return OtherCode
}
