package store

import (
	"fmt"
	"strings"

	"onedoor/tenant"
)

// RowError says what was wrong with one row of a batch.
type RowError struct {
	Index int // in the batch, from 0
	Label string
	Err   error
}

func (e *RowError) Error() string { return fmt.Sprintf("tenant %q: %v", e.Label, e.Err) }
func (e *RowError) Unwrap() error { return e.Err }

// RowErrors are all rows of a batch that were wrong, in their order. Nothing of
// the batch was kept.
type RowErrors []*RowError

func (e RowErrors) Error() string {
	if len(e) == 1 {
		return e[0].Error()
	}
	return fmt.Sprintf("%d rows are wrong; the first, row %d: %v", len(e), e[0].Index, e[0])
}

// Unwrap lets errors.Is and errors.As see each row's error.
func (e RowErrors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, row := range e {
		errs[i] = row
	}
	return errs
}

// checkRows refuses what needs no database to be refused.
func (b *batch) checkRows() {
	labels, ids := map[string]int{}, map[string]int{}
	for i := range b.puts {
		t := &b.puts[i].Tenant
		if err := t.valid(); err != nil {
			b.refuse(i, err)
			continue
		}
		if first, ok := labels[t.Label]; ok {
			b.refuse(i, fmt.Errorf("%w: the label is also in row %d of this batch", ErrInvalid, first))
			continue
		}
		if first, ok := ids[t.ID]; ok && t.ID != "" {
			b.refuse(i, fmt.Errorf("%w: the ID is also in row %d of this batch", ErrInvalid, first))
			continue
		}
		labels[t.Label], ids[t.ID] = i, i
	}
}

// valid says what no row may have. Whether a site is one that an app may have is
// not known here.
func (t *Tenant) valid() error {
	switch {
	case !tenant.ValidLabel(t.Label):
		return fmt.Errorf("%w label: letters, digits and hyphens, lower case, 1 to 63 of them", ErrInvalid)
	case t.Status != "" && t.Status != tenant.Active && t.Status != tenant.Suspended:
		return fmt.Errorf("%w status %q: active or suspended", ErrInvalid, t.Status)
	case t.ID != "" && !ValidTenantID(t.ID):
		return fmt.Errorf("%w ID: t_ and 16 hexadecimal digits", ErrInvalid)
	case len(t.Issuer) > MaxIssuer || !clean(t.Issuer):
		return fmt.Errorf("%w issuer: at most %d octets of text", ErrInvalid, MaxIssuer)
	case len(t.Notes) > MaxNotes || !clean(t.Notes):
		return fmt.Errorf("%w notes: at most %d octets of text", ErrInvalid, MaxNotes)
	case len(t.Parameters) > MaxParameters:
		return fmt.Errorf("%w parameters: at most %d", ErrInvalid, MaxParameters)
	case len(t.Domains) > MaxDomains:
		return fmt.Errorf("%w domains: at most %d", ErrInvalid, MaxDomains)
	}
	for name, value := range t.Parameters {
		if name == "" || !clean(name) || !clean(value) {
			return fmt.Errorf("%w parameter %q: a name and text", ErrInvalid, name)
		}
	}
	if text, err := t.parameters(); err != nil || len(text) > MaxParametersSize {
		return fmt.Errorf("%w parameters: at most %d octets as JSON", ErrInvalid, MaxParametersSize)
	}
	apps := map[string]bool{}
	for _, d := range t.Domains {
		if err := d.valid(); err != nil {
			return err
		}
		if apps[d.App] {
			return fmt.Errorf("%w domains: app %q has two", ErrInvalid, d.App)
		}
		apps[d.App] = true
	}
	return nil
}

func (d Domain) valid() error {
	if d.App == "" || len(d.App) > MaxApp || !clean(d.App) || d.Origin == "" || len(d.Origin) > MaxOrigin || !clean(d.Origin) {
		return fmt.Errorf("%w domain %q of app %q: an app's name, and an origin of at most %d octets", ErrInvalid, d.Origin, d.App, MaxOrigin)
	}
	return nil
}

// clean says whether every database can hold s: PostgreSQL has no NUL in text.
func clean(s string) bool {
	return strings.ToValidUTF8(s, "") == s && !strings.Contains(s, "\x00")
}
