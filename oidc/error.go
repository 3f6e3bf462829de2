package oidc

import (
	"encoding/json"
	"net/http"
)

// Error codes of RFC 6749 §4.1.2.1 and §5.2, OpenID Connect Core §3.1.2.6 and
// RFC 9126 §2.3.
const (
	InvalidRequest          = "invalid_request"
	InvalidClient           = "invalid_client"
	InvalidGrant            = "invalid_grant"
	UnsupportedResponseType = "unsupported_response_type"
	RequestNotSupported     = "request_not_supported"
	RequestURINotSupported  = "request_uri_not_supported"
	ServerError             = "server_error"
	TemporarilyUnavailable  = "temporarily_unavailable"
)

// Error is a refusal in the RFCs' shape.
//
// Code and Description go on the wire, so the description is fixed text: never
// a value of the request, which an attacker chose. Rule names the rule that
// refused and Cause says with which value; both are for the operator's log.
type Error struct {
	Status      int    // HTTP status of a direct answer; 400 where it is 0
	Code        string // of an RFC
	Description string // fixed words, ASCII without '"' and '\' (RFC 6749 §5.2)
	Rule        string // "redirect_uri.unknown": for the log and the metrics
	Cause       error
}

func (e *Error) Error() string {
	s := e.Code
	if e.Rule != "" {
		s += " (" + e.Rule + ")"
	}
	if e.Cause != nil {
		return s + ": " + e.Cause.Error()
	}
	return s + ": " + e.Description
}

func (e *Error) Unwrap() error { return e.Cause }

// WriteJSON answers a back-channel request (RFC 6749 §5.2).
func (e *Error) WriteJSON(w http.ResponseWriter) {
	body, _ := json.Marshal(struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{e.Code, e.Description})
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Basic realm="onedoor"`)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// Response is the error as an authorization response (RFC 6749 §4.1.2.1). The
// state comes back only where the client sent one, and exactly; iss goes with
// errors too (RFC 9207 §2). Pass "" to leave iss out.
func (e *Error) Response(state string, hasState bool, iss string) Params {
	ps := Params{{"error", e.Code}, {"error_description", e.Description}}
	if hasState {
		ps = append(ps, Param{"state", state})
	}
	if iss != "" {
		ps = append(ps, Param{"iss", iss})
	}
	return ps
}
