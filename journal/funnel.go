package journal

import (
	"context"
	"log/slog"
	"slices"

	"onedoor/store"
)

// Funnel is how many logins of a tenant and an app came how far.
type Funnel struct {
	Tenant   string `json:"tenant" doc:"Its label; empty where no login came far enough to know it."`
	App      string `json:"app"`
	Asked    int64  `json:"asked" doc:"Authorization requests."`
	Sent     int64  `json:"sent" doc:"Of those, sent on to the provider."`
	CameBack int64  `json:"came_back" doc:"Brought back by the provider."`
	Returned int64  `json:"returned" doc:"Sent on to the app with a code."`
	Tried    int64  `json:"tried" doc:"The app wanted to redeem the code."`
	Redeemed int64  `json:"redeemed" doc:"And has."`
	Failed   int64  `json:"failed" doc:"Failed at any stage, and did not get through after all."`
	// Lost says that people come back and nobody redeems.
	Lost bool `json:"lost,omitempty" doc:"Some came back, and not one code was redeemed."`
}

// Funnels counts logins by tenant and app, or by app. Those come first of which
// most went lost between callback and token.
func (r Records) Funnels(ctx context.Context, q store.FunnelQuery) ([]Funnel, error) {
	list, err := r.Store.Funnels(ctx, q)
	out := make([]Funnel, len(list))
	for i, f := range list {
		out[i] = funnel(f)
	}
	return out, err
}

// someLost is from how many on nobody's redeeming is no chance.
const someLost = 3

func funnel(f store.Funnel) Funnel {
	return Funnel{
		Tenant: f.Tenant, App: f.App, Asked: f.Asked, Sent: f.Sent, CameBack: f.CameBack, Returned: f.Returned, Tried: f.Tried,
		Redeemed: f.Redeemed, Failed: f.Failed, Lost: f.Returned >= someLost && f.Redeemed == 0,
	}
}

// watch warns of tenants whose people come back from the provider and whose app
// redeems none of their codes: they see an error of the app's, or nothing at
// all, and the door has refused nobody.
func (j *Journal) watch(ctx context.Context) {
	if j.Window <= 0 || j.Unredeemed <= 0 {
		return
	}
	now := j.Now()
	// Whoever came back in this moment may be about to redeem.
	until := now.Add(-j.Window / 10)
	list, err := j.lost(ctx, store.FunnelQuery{Since: until.Add(-j.Window).UnixMilli(), Until: until.UnixMilli(), Limit: maxWatched})
	if err != nil {
		if ctx.Err() == nil {
			j.Log.Warn("the funnel of logins was not looked at", slog.String("error", err.Error()))
		}
		return
	}
	window := now.Truncate(j.Window).UnixMilli()
	for _, f := range list {
		first, err := j.Store.Warn(ctx, f.Tenant, f.App, window)
		if err != nil || !first {
			continue // another replica has said it
		}
		see := "onedoor trace find --failed --app " + f.App
		if f.Tenant != "" {
			see += " --tenant " + f.Tenant
		}
		j.Log.Warn("people come back from the provider, and no app redeems their codes",
			slog.String("app", f.App), slog.String("tenant", f.Tenant), slog.Int64("returned", f.Returned), slog.Int64("tried", f.Tried),
			slog.String("within", j.Window.String()), slog.String("see", see))
	}
}

// maxWatched is how many pairs of tenant and app are looked at, those that lose
// most first.
const maxWatched = 1000

// lost are the apps of which nobody redeems, and the tenants of the others. A
// tenant is not named where its whole app is, unless it is the only one.
func (j *Journal) lost(ctx context.Context, q store.FunnelQuery) (out []store.Funnel, err error) {
	enough := func(f store.Funnel) bool { return f.Returned >= int64(j.Unredeemed) && f.Redeemed == 0 }
	tenants, err := j.Store.Funnels(ctx, q)
	if err != nil {
		return nil, err
	}
	q.ByApp = true
	apps, err := j.Store.Funnels(ctx, q)
	if err != nil {
		return nil, err
	}
	whole := map[string]bool{}
	for _, app := range apps {
		one := slices.ContainsFunc(tenants, func(f store.Funnel) bool { return f.App == app.App && f.Returned == app.Returned })
		if enough(app) && !one {
			whole[app.App] = true
			out = append(out, app)
		}
	}
	for _, f := range tenants {
		if enough(f) && !whole[f.App] {
			out = append(out, f)
		}
	}
	return out, nil
}
