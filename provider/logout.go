package provider

import (
	"errors"
	"html/template"
	"net/http"
	"slices"

	"onedoor/oidc"
	"onedoor/page"
	"onedoor/store"
)

// logout is the end_session endpoint (OIDC RP-Initiated Logout §2). It is ours:
// the engine's refuses every hint that has expired, so most real ones, answers
// 500 to an unknown client and re-encodes the client's own query.
func (p *Provider) logout(w http.ResponseWriter, r *http.Request) {
	ps, err := readParams(w, r)
	if err != nil {
		refuseParams(w, r, err)
		return
	}
	ps = slices.DeleteFunc(ps, func(q oidc.Param) bool { return q.Value == "" })
	client, hint, err := p.logoutClient(r, ps)
	target := ps.Get("post_logout_redirect_uri")
	switch {
	case errors.Is(err, errLogout), err == nil && target != "" && !slices.Contains(client.PostLogoutURIs, target):
		page.Refuse(w, r, http.StatusBadRequest, page.Refusal{Key: page.LogoutRefused})
		return
	case err != nil:
		p.storeFailed(w, r, "client was not read", err)
		return
	}
	confirmed := r.Method == http.MethodPost && ps.Get("confirm") != ""
	if confirmed {
		if err := p.origin.Check(r); err != nil {
			page.Refuse(w, r, http.StatusForbidden, page.Refusal{Key: page.Forbidden})
			return
		}
	}
	if r.Method == http.MethodPost && !confirmed {
		// A form from the client's site comes without our SameSite cookie; a GET has it.
		redirect(w, oidc.AppendQuery(p.issuer+pathLogout, ps))
		return
	}
	session, user, ok, err := p.loggedIn(r)
	if err == nil && ok && !confirmed && (hint.Subject != user.ID || (hint.SID != "" && hint.SID != session.SID)) {
		// Nothing shows that the person wants this: any site can link here.
		p.askLogout(w, r, ps)
		return
	}
	if err == nil {
		err = p.logOut(w, r)
	}
	if err != nil {
		p.storeFailed(w, r, "session was not ended", err)
		return
	}
	if target == "" {
		p.showLoggedOut(w, r, ps.Get("ui_locales"))
		return
	}
	var response oidc.Params
	if state, sent := ps.Lookup("state"); sent {
		response = oidc.Params{{Name: "state", Value: state}}
	}
	redirect(w, oidc.AppendQuery(target, response))
}

// errLogout says that a logout request contradicts itself.
var errLogout = errors.New("logout refused")

// logoutClient finds the client that asks, by client_id or by the hint, which
// must agree (OIDC RP-Initiated Logout §2).
func (p *Provider) logoutClient(r *http.Request, ps oidc.Params) (c store.Client, hint idToken, err error) {
	id := ps.Get("client_id")
	if text := ps.Get("id_token_hint"); text != "" {
		if hint, err = p.readHint(text); err != nil {
			return c, hint, errLogout
		}
		switch {
		case id == "" && len(hint.Audience) > 0:
			id = hint.Audience[0]
		case !slices.Contains(hint.Audience, id):
			return c, hint, errLogout
		}
	}
	if id == "" {
		return c, hint, nil
	}
	c, err = p.store.Client(r.Context(), id)
	if errors.Is(err, store.ErrNotFound) {
		err = errLogout
	}
	return c, hint, err
}

type logoutView struct {
	loginView
	Fields oidc.Params
	Action string // without the query that is there: the fields hold it (RFC 6749 §3.2, THREATS T-18)
}

func (p *Provider) askLogout(w http.ResponseWriter, r *http.Request, ps oidc.Params) {
	lang := page.Lang(ps.Get("ui_locales"), r.Header.Get("Accept-Language"))
	view := logoutView{loginView{Lang: lang}, ps.Without("confirm"), p.issuer + pathLogout}
	err := page.Write(w, r, http.StatusOK, page.Page{
		Lang: lang, Title: view.T("logout.title"), Body: logoutBody, Data: view, Forms: page.AnyTarget,
	})
	if err != nil {
		p.log.ErrorContext(r.Context(), "logout page", "error", err)
	}
}

var loggedOutBody = template.Must(template.New("out").Parse(`<p>{{.T "out.what"}}</p>`))

func (p *Provider) showLoggedOut(w http.ResponseWriter, r *http.Request, uiLocales string) {
	view := loginView{Lang: page.Lang(uiLocales, r.Header.Get("Accept-Language"))}
	err := page.Write(w, r, http.StatusOK, page.Page{Lang: view.Lang, Title: view.T("out.title"), Body: loggedOutBody, Data: view})
	if err != nil {
		p.log.ErrorContext(r.Context(), "logout page", "error", err)
	}
}
