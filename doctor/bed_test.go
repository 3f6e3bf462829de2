package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// fake is a provider of a few lines: its document, keys, and an authorization
// endpoint that knows one client.
type fake struct {
	*httptest.Server
	issuer    string // default: its own address
	endpoints map[string]string
	document  http.HandlerFunc // in place of the document
	accepts   func(clientID, redirectURI string) bool
	asked     atomic.Int64
	keys      string
	headers   map[string]string // of the document
	sets      []*http.Cookie    // at the authorization endpoint
	answers   http.HandlerFunc  // in its place
	pushes    http.HandlerFunc  // where requests are pushed
}

const oneKey = `{"keys":[{"kty":"EC","crv":"P-256","kid":"k1","alg":"ES256","use":"sig","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{keys: oneKey, accepts: func(id, uri string) bool { return id == "app" && uri == "https://acme.example.com/cb" }}
	f.Server = httptest.NewServer(f)
	f.issuer = f.URL
	t.Cleanup(f.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.asked.Add(1)
	switch r.URL.Path {
	case wellKnown:
		for name, value := range f.headers {
			w.Header().Set(name, value)
		}
		if f.document != nil {
			f.document(w, r)
			return
		}
		doc := map[string]string{
			"issuer": f.issuer, "authorization_endpoint": f.issuer + "/authorize", "token_endpoint": f.issuer + "/token", "jwks_uri": f.issuer + "/jwks",
		}
		for name, at := range f.endpoints {
			doc[name] = at
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(doc)
	case "/jwks":
		fmt.Fprint(w, f.keys)
	case "/token":
		w.WriteHeader(http.StatusBadRequest)
	case "/authorize":
		if f.answers != nil {
			f.answers(w, r)
			return
		}
		f.authorize(w, r)
	case "/par":
		f.pushes(w, r)
	case "/onedoor/health/live":
		fmt.Fprint(w, `{"status":"live"}`)
	default:
		http.NotFound(w, r)
	}
}

func (f *fake) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	for _, c := range f.sets {
		http.SetCookie(w, c)
	}
	switch id, uri := q.Get("client_id"), q.Get("redirect_uri"); {
	case id != "app":
		http.Error(w, "Client not found.", http.StatusBadRequest)
	case !f.accepts(id, uri):
		http.Error(w, "Invalid parameter: redirect_uri", http.StatusBadRequest)
	default:
		join := "?"
		if strings.Contains(uri, "?") {
			join = "&"
		}
		http.Redirect(w, r, uri+join+"error=login_required&state="+q.Get("state"), http.StatusFound)
	}
}

// examine runs an examination and returns its report.
func examine(t *testing.T, s Subject, vantages ...Vantage) *Report {
	t.Helper()
	r, err := Examine(context.Background(), s, Options{Vantages: vantages, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wantFirst demands that the report names this cause first, and no other.
func wantFirst(t *testing.T, r *Report, cause Cause) Finding {
	t.Helper()
	if len(r.Findings) == 0 {
		t.Fatalf("nothing was found, want %s: %+v", cause, r.Checks)
	}
	var all []string
	for _, f := range r.Findings {
		all = append(all, fmt.Sprintf("%s (%s)", f.Cause, f.Check.Said))
	}
	if r.Findings[0].Cause != cause || len(r.Findings) > 1 {
		t.Fatalf("found %s, want %s alone", strings.Join(all, ", "), cause)
	}
	return r.Findings[0]
}

func (r *Report) check(id string) Check {
	i := slices.IndexFunc(r.Checks, func(c Check) bool { return c.ID == id })
	if i < 0 {
		return Check{}
	}
	return r.Checks[i]
}

// pretend is a vantage that saw what see makes of an honest look from here.
func pretend(name string, see func(*Sight)) Vantage {
	return Vantage{Name: name, Look: func(ctx context.Context, p Plan) (Sight, error) {
		s := Look(ctx, p, time.Now)
		see(&s)
		return s, nil
	}}
}

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }
