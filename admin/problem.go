package admin

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
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
