package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"onedoor/domains"
	"onedoor/store"
)

// Problem is an error as programs and people read it (RFC 9457).
type Problem struct {
	Type   string    `json:"type" doc:"Always about:blank: the status says what kind of problem it is, and code which." example:"about:blank"`
	Title  string    `json:"title" doc:"The status in words." example:"Conflict"`
	Status int       `json:"status" doc:"The status again." example:"409"`
	Code   string    `json:"code" doc:"Which problem it is, for programs: docs/admin-api.md lists them." example:"label_resting"`
	Detail string    `json:"detail" doc:"What was wrong."`
	Hint   string    `json:"hint,omitempty" doc:"What to do about it."`
	Errors []Mistake `json:"errors,omitempty" doc:"Every single mistake, where there may be several."`

	header http.Header
}

// Mistake is one of several.
type Mistake struct {
	Location string `json:"location" doc:"Where: body.status, body[17].label, path.label, query.limit, header.If-Match." example:"body[17].label"`
	Line     int    `json:"line,omitempty" doc:"The line of a body of JSON lines." example:"18"`
	Detail   string `json:"detail" doc:"What was wrong, and what would be right."`
}

// problem makes a Problem. hint may be "".
func problem(status int, code, detail, hint string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail, Hint: hint}
}

// with adds a header field.
func (p *Problem) with(name, value string) *Problem {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(name, value)
	return p
}

// at names the one place of it.
func (p *Problem) at(location string) *Problem {
	p.Errors = []Mistake{{Location: location, Detail: p.Detail}}
	return p
}

// after says when to try again.
func (p *Problem) after(d time.Duration) *Problem {
	return p.with("Retry-After", strconv.Itoa(max(1, int((d+time.Second-1)/time.Second))))
}

func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus and ContentType are what huma asks of an error, GetHeaders what it
// asks of one with header fields.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is the media type of problem details.
func (p *Problem) ContentType(string) string { return problemType }

// GetHeaders returns the header fields that go with it.
func (p *Problem) GetHeaders() http.Header { return p.header }

const problemType = "application/problem+json"

// write answers with it where huma is not in between.
func (p *Problem) write(w http.ResponseWriter) {
	for name, values := range p.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // whoever asked is gone
}

// refusedAt is refused for a change that was bound to a revision: somebody
// changed the tenant after it was looked at.
func refusedAt(err error, label string, revision int64) error {
	if revision != 0 && (errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrExists)) {
		return problem(http.StatusPreconditionFailed, "precondition_failed", "It was changed by another a moment ago.", "read it again, and send the ETag that it has now")
	}
	return refused(err, label)
}

// refused makes a problem of what the store refuses. Any other error stays what
// it is: the database's.
func refused(err error, label string) error {
	var row *store.RowError
	if errors.As(err, &row) {
		err = row.Err
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return problem(http.StatusNotFound, "no_such_tenant", "There is no tenant "+label+".", "GET /v1/tenants lists those that there are")
	case errors.Is(err, store.ErrExists):
		return problem(http.StatusConflict, "tenant_exists", "There is a tenant "+label+" already.", "change it with PUT or PATCH, without If-None-Match")
	case errors.Is(err, store.ErrResting):
		return problem(http.StatusConflict, "label_resting", sentence(err), "choose another label, or send the removed tenant's id to have that tenant back")
	case errors.Is(err, store.ErrConflict):
		return problem(http.StatusConflict, "conflict", sentence(err), "read the tenant again")
	case errors.Is(err, store.ErrTooMany):
		return problem(http.StatusConflict, "too_many", sentence(err), "remove some, or raise the limit")
	case errors.Is(err, domains.ErrTaken):
		return problem(http.StatusConflict, "site_taken", sentence(err), "have its owner take the other tenant's text out of the DNS; it lapses after domains.grace")
	case errors.Is(err, store.ErrInvalid):
		return invalid([]Mistake{{Location: "body", Detail: err.Error()}})
	}
	return err
}

// sentence makes an error's text one.
func sentence(err error) string {
	text := []byte(err.Error())
	if c := text[0]; c >= 'a' && c <= 'z' {
		text[0] = c - 'a' + 'A'
	}
	return string(text) + "."
}
