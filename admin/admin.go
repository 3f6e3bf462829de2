// Package admin is the API for operators and for a product's back office:
// tenants, their sites, tokens, and who changed what, over HTTP and JSON.
//
// It opens no socket and knows nothing of logins. Every operation is declared
// once, by a Go type for what comes in and one for what goes out, and the
// OpenAPI document at /v1/openapi.json is made from those declarations. Reading
// starts at New; guard.go is what stands before every request, auth.go who may
// do what, tenants.go the first of the operations.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"golang.org/x/time/rate"

	"onedoor/domains"
	"onedoor/store"
	"onedoor/tenant"
)

// Options are what an API is made of.
type Options struct {
	// Store is the registry. Required.
	Store *store.DB

	// Rules are the apps of the configuration of this moment, and what else a
	// tenant must fit. Required.
	Rules func() *tenant.Directory

	// Domains looks for the proofs of sites. Required.
	Domains *domains.Checker

	// Token is the token of the configuration of this moment, which may do
	// everything; "" or nil for none.
	Token func() string

	// KeyTimes are how long sealing keys are needed, by the configuration of this
	// moment. Required.
	KeyTimes func() KeyTimes

	// Hosts are the names under which the API may be asked, besides those of
	// the loopback interface and the address that a request came in at.
	Hosts []string

	// Rate is how many requests a token may make in a second. Default 100.
	Rate float64

	// Metrics is served at /metrics; nil for none. OpenMetrics serves it without
	// a token: it holds no tenant, and must be there when the database, which
	// knows the tokens, is not.
	Metrics     http.Handler
	OpenMetrics bool

	// Version is the program's, for the OpenAPI document.
	Version string

	Log *slog.Logger     // default: none
	Now func() time.Time // default time.Now
}

// API is the handler of the admin listener.
type API struct {
	Options
	now        func() time.Time
	mux        *http.ServeMux
	huma       huma.API
	document   []byte // OpenAPI
	perToken   *limits
	perAddress *limits
}

const (
	// maxBody bounds a request: a thousand tenants of four thousand octets.
	maxBody = 4 << 20
	// bodyTime and answerTime end a connection whose other side is slow.
	bodyTime   = 30 * time.Second
	answerTime = 60 * time.Second

	defaultRate = 100
)

// strictOnce makes huma compare the names of JSON members as they are. It would
// take "Label" for "label", unseen by the checks of "label"; and it knows this
// setting for the whole process only.
var strictOnce sync.Once

// New makes the API.
func New(o Options) *API {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rate == 0 {
		o.Rate = defaultRate
	}
	a := &API{
		Options: o, now: o.Now, mux: http.NewServeMux(),
		perToken:   newLimits(rate.Limit(o.Rate), max(1, int(o.Rate*tokenBurst))),
		perAddress: newLimits(rate.Every(addressEvery), addressBurst),
	}
	strictOnce.Do(func() { huma.ValidateStrictCasing = true })
	a.huma = humago.New(a.mux, huma.Config{
		OpenAPI:                      describe(o.Version),
		Formats:                      map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{ours},
	})
	a.tenants()
	a.imports()
	a.sites()
	a.verifications()
	a.audit()
	a.tokens()
	a.keys()
	a.traces()
	a.publish()
	return a
}

// describe is the frame of the OpenAPI document.
func describe(version string) *huma.OpenAPI {
	text := "Tenants, their sites, tokens, the audit log and what happened to logins of a onedoor. Every error is a problem (RFC 9457).\n\nA token has scopes:\n\n"
	for _, s := range scopes {
		text += "- `" + s.Name + "`: " + s.Allows + "\n"
	}
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: "onedoor", Version: version, Description: text},
		Components: &huma.Components{
			Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"token": {Type: "http", Scheme: "bearer", Description: "A token of `onedoor token add`, or `admin.token` of the configuration."},
			},
		},
	}
}

// publish adds what is no operation of huma's: the document, and the metrics.
func (a *API) publish() {
	api := a.huma.OpenAPI()
	// huma registers its own error type; ours goes out in its place.
	delete(api.Components.Schemas.Map(), "ErrorModel")
	delete(api.Components.Schemas.Map(), "ErrorDetail")
	a.document, _ = json.Marshal(api) // of our own types
	a.mux.HandleFunc("GET /v1/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json; version=3.1")
		_, _ = w.Write(a.document)
	})
	if a.Metrics != nil {
		a.mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
			if !a.OpenMetrics {
				if _, p := a.authorize(r, MetricsRead); p != nil {
					p.write(w)
					return
				}
			}
			a.Metrics.ServeHTTP(w, r)
		})
	}
}

// operation is what is said of one in the document, besides its types.
type operation struct {
	id, method, path  string
	tag, summary, doc string
	scope             string
	status            int   // of success; 0: 200 with a body, 204 without
	problems          []int // besides those of every operation
	bodyLimit         int64
	body              *huma.RequestBody
	responses         map[string]*huma.Response // of success, where no type says it
}

// everywhere are the problems that any operation may have.
var everywhere = map[int]string{
	http.StatusUnauthorized:        "No token, or one that is none.",
	http.StatusForbidden:           "The token lacks the scope.",
	http.StatusMisdirectedRequest:  "The Host is none that this API answers to.",
	http.StatusUnprocessableEntity: "A parameter or the body is not as it has to be; errors says where.",
	http.StatusTooManyRequests:     "Too many requests; Retry-After says for how long.",
	http.StatusInternalServerError: "A mistake of the door.",
	http.StatusServiceUnavailable:  "The database does not answer; Retry-After says when to try again.",
}

var elsewhere = map[int]string{
	http.StatusBadRequest:            "The body is not JSON.",
	http.StatusNotFound:              "There is no such thing.",
	http.StatusConflict:              "What is there stands against it.",
	http.StatusPreconditionFailed:    "If-Match or If-None-Match does not hold.",
	http.StatusRequestEntityTooLarge: "The body is too large.",
	http.StatusUnsupportedMediaType:  "The body is of another media type.",
	http.StatusRequestTimeout:        "The body did not come in time.",
}

// register adds an operation. Its handler runs for callers that have the scope.
func register[I, O any](a *API, op operation, handler func(context.Context, *I) (*O, error)) {
	schema := a.huma.OpenAPI().Components.Schemas.Schema(typeOfProblem, true, "")
	responses := map[string]*huma.Response{}
	add := func(status int, description string) {
		responses[strconv.Itoa(status)] = &huma.Response{
			Description: description,
			Content:     map[string]*huma.MediaType{problemType: {Schema: schema}},
		}
	}
	for status, description := range everywhere {
		add(status, description)
	}
	for _, status := range op.problems {
		add(status, elsewhere[status])
	}
	for status, r := range op.responses {
		responses[status] = r
	}
	var content map[string]*huma.MediaType
	if op.body != nil {
		// huma calls a body that it does not read itself "binary".
		content = maps.Clone(op.body.Content)
		defer func() { op.body.Content = content }()
	}
	huma.Register(a.huma, huma.Operation{
		OperationID: op.id, Method: op.method, Path: op.path,
		Tags: []string{op.tag}, Summary: op.summary, Description: op.doc,
		DefaultStatus: op.status, Responses: responses, RequestBody: op.body,
		MaxBodyBytes: op.bodyLimit, BodyReadTimeout: bodyTime, SkipValidateBody: op.body != nil,
		// OpenAPI 3.1 §4.8.30: for a bearer token these are the roles it needs.
		Security: []map[string][]string{{"token": {op.scope}}},
		Middlewares: huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
			r, w := humago.Unwrap(ctx)
			caller, p := a.authorize(r, op.scope)
			if p != nil {
				p.write(w)
				return
			}
			if p := badParameters(r); p != nil {
				p.write(w)
				return
			}
			next(huma.WithContext(ctx, As(ctx.Context(), caller)))
		}},
	}, func(ctx context.Context, in *I) (*O, error) {
		out, err := handler(ctx, in)
		if err != nil {
			return nil, a.explain(ctx, err)
		}
		return out, nil
	})
}

// bodyProblems are those of operations that read a body.
func bodyProblems(more ...int) []int {
	return slices.Concat([]int{
		http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
	}, more)
}

// explain makes a problem of an error that a handler did not expect.
func (a *API) explain(ctx context.Context, err error) error {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return a.unavailable(ctx, err)
}
