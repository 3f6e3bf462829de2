package admin

import (
	"net/http"
	"strconv"
	"strings"

	"onedoor/store"
)

// IfMatch binds a change to what was read (RFC 9110 §13.1.1).
type IfMatch struct {
	Tags string `header:"If-Match" minLength:"1" pattern:"^(\\*|(W/)?\"[!#-~]*\"( *, *(W/)?\"[!#-~]*\")*)$" patternDescription:"* or entity tags in quotes" doc:"Change it only at one of these ETags; * only where it is there." example:"\"17\""`
}

// Preconditions are those that a change may be bound to (RFC 9110 §13.1).
type Preconditions struct {
	IfMatch
	IfNoneMatch string `header:"If-None-Match" minLength:"1" pattern:"^(\\*|(W/)?\"[!#-~]*\"( *, *(W/)?\"[!#-~]*\")*)$" patternDescription:"* or entity tags in quotes" doc:"* changes it only where it is not there yet." example:"*"`
}

// etag is the entity tag of a revision.
func etag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// revision is what the store is to hold against what it finds, given what is
// there now; there tells whether anything is.
func (c Preconditions) revision(now store.Tenant, there bool) (int64, *Problem) {
	failed := func(detail string) *Problem {
		return problem(http.StatusPreconditionFailed, "precondition_failed", detail, "read it again, and send the ETag that it has now")
	}
	switch {
	case c.IfNoneMatch != "" && matches(c.IfNoneMatch, now.Revision, there):
		return 0, failed("It is there already.")
	case c.Tags == "" && c.IfNoneMatch == "*":
		return store.MustNotExist, nil
	case c.Tags == "":
		return 0, nil
	case !there:
		return 0, failed("It is not there.")
	case !matches(c.Tags, now.Revision, there):
		return 0, failed("It was changed since: its ETag is " + etag(now.Revision) + " now.")
	}
	return now.Revision, nil
}

// matches compares a list of entity tags with the revision. A weak tag matches
// none (RFC 9110 §8.8.3.2). Their form was checked.
func matches(list string, revision int64, there bool) bool {
	if list == "*" {
		return there
	}
	for tag := range strings.SplitSeq(list, ",") {
		if there && strings.TrimSpace(tag) == etag(revision) {
			return true
		}
	}
	return false
}
