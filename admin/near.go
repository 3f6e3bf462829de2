package admin

import (
	"context"
	"slices"
	"strings"

	"onedoor/store"
	"onedoor/tenant"
)

// labelsNear are labels of tenants that somebody may have meant who wrote
// another one.
func (a *API) labelsNear(ctx context.Context, label string) ([]string, error) {
	if !tenant.ValidLabel(label) {
		return nil, nil
	}
	var near []string
	// Of those that begin alike, and where these are too many, alike to the
	// middle: nobody errs at the start and knows the rest.
	for _, prefix := range []string{label[:1], label[:(len(label)+1)/2]} {
		list, err := a.Store.Tenants(ctx, store.TenantQuery{Prefix: prefix, Limit: MaxRows})
		if err != nil {
			return nil, err
		}
		for _, t := range list {
			if within(label, t.Label, 1+len(label)/6) && !slices.Contains(near, t.Label) {
				near = append(near, t.Label)
			}
		}
		if len(list) < MaxRows {
			break
		}
	}
	slices.SortStableFunc(near, func(x, y string) int { return tenant.Distance(label, x) - tenant.Distance(label, y) })
	return near[:min(len(near), 5)], nil
}

func within(a, b string, most int) bool {
	return max(len(a), len(b))-min(len(a), len(b)) <= most && (strings.ReplaceAll(a, "-", "") == strings.ReplaceAll(b, "-", "") || tenant.Distance(a, b) <= most)
}
