package admin

import (
	"net/http"
	"strconv"
	"strings"

	"onedoor/store"
)

// Preconditions are those that a change may be bound to (RFC 9110 §13.1).
type Preconditions struct {
	IfMatch     string `header:"If-Match" doc:"Change it only at one of these ETags; * only where it is there." example:"\"17\""`
	IfNoneMatch string `header:"If-None-Match" doc:"* changes it only where it is not there yet." example:"*"`
}

// etag is the entity tag of a revision.
func etag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// revision is what the store is to hold against what it finds, given what is
// there now; there tells whether anything is.
func (c Preconditions) revision(now store.Tenant, there bool) (int64, *Problem) {
	failed := func(detail string) *Problem {
		return problem(http.StatusPreconditionFailed, "precondition_failed", detail, "read it again, and send the ETag that it has now")
	}
	if c.IfNoneMatch != "" {
		matches, ok := matches(c.IfNoneMatch, now.Revision, there)
		switch {
		case !ok:
			return 0, malformed("If-None-Match")
		case matches:
			return 0, failed("It is there already.")
		case c.IfMatch == "" && strings.TrimSpace(c.IfNoneMatch) == "*":
			return store.MustNotExist, nil
		}
	}
	if c.IfMatch == "" {
		return 0, nil
	}
	matches, ok := matches(c.IfMatch, now.Revision, there)
	switch {
	case !ok:
		return 0, malformed("If-Match")
	case !there:
		return 0, failed("It is not there.")
	case !matches:
		return 0, failed("It was changed since: its ETag is " + etag(now.Revision) + " now.")
	}
	return now.Revision, nil
}

func malformed(field string) *Problem {
	return problem(http.StatusBadRequest, "precondition_malformed", field+" is neither * nor a list of entity tags.", `send the value of an ETag with its quotes: "17"`).at("header." + field)
}

// matches compares a list of entity tags with the revision. A weak tag matches
// none (RFC 9110 §8.8.3.2).
func matches(list string, revision int64, there bool) (match, wellFormed bool) {
	if list = strings.TrimSpace(list); list == "*" {
		return there, true
	}
	for tag := range strings.SplitSeq(list, ",") {
		tag = strings.TrimSpace(tag)
		opaque := strings.TrimPrefix(tag, "W/")
		if len(opaque) < 2 || opaque[0] != '"' || opaque[len(opaque)-1] != '"' || strings.Contains(opaque[1:len(opaque)-1], `"`) {
			return false, false
		}
		match = match || there && tag == etag(revision)
	}
	return match, true
}
