package admin

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"onedoor/store"
)

// Token is a token as the API shows it: without its secret.
type Token struct {
	ID        string     `json:"id"`
	Name      string     `json:"name" doc:"What the audit log calls who uses it." example:"back-office"`
	Scopes    []string   `json:"scopes" nullable:"false"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"Left out: never."`
}

// NewToken is a token with the secret that is shown this once.
type NewToken struct {
	Token
	Secret string `json:"secret" doc:"Shown this once: only its hash is kept."`
}

const tagTokens = "tokens"

func (a *API) tokens() {
	register(a, operation{
		id: "list-tokens", method: http.MethodGet, path: "/v1/tokens", tag: tagTokens, scope: TokensRead,
		summary: "List tokens", doc: "Never their secrets. `admin.token` of the configuration is not among them.",
	}, a.listTokens)
	register(a, operation{
		id: "add-token", method: http.MethodPost, path: "/v1/tokens", tag: tagTokens, scope: TokensWrite,
		summary: "Add a token", doc: "The answer has its secret, this once. It can have no scope that the caller has not, and ends no later than the caller's.", bodyLimit: 64 << 10,
		status: http.StatusCreated, problems: bodyProblems(http.StatusConflict),
	}, a.addToken)
	register(a, operation{
		id: "delete-token", method: http.MethodDelete, path: "/v1/tokens/{id}", tag: tagTokens, scope: TokensWrite,
		summary: "Remove a token", doc: "It is none from then on, on every replica.", problems: []int{http.StatusNotFound},
	}, a.deleteToken)
}

func showToken(t store.Token) Token {
	return Token{ID: t.ID, Name: t.Name, Scopes: t.Scopes, CreatedAt: moment(t.CreatedAt), ExpiresAt: since(t.ExpiresAt)}
}

type tokensOut struct {
	Body struct {
		Tokens []Token `json:"tokens" nullable:"false"`
	}
}

func (a *API) listTokens(ctx context.Context, _ *struct{}) (*tokensOut, error) {
	list, err := a.Store.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	var out tokensOut
	out.Body.Tokens = make([]Token, len(list))
	for i, t := range list {
		out.Body.Tokens[i] = showToken(t)
	}
	return &out, nil
}

// TokenBody is what of a token can be chosen.
type TokenBody struct {
	Name      string     `json:"name" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]*$" doc:"No other token's." example:"back-office"`
	Scopes    Wanted     `json:"scopes"`
	ExpiresAt *time.Time `json:"expires_at,omitempty" nullable:"true" doc:"When it ends; left out: never."`
}

// Wanted are the scopes of a token that is to be.
type Wanted []string

// Schema describes them in OpenAPI.
func (Wanted) Schema(huma.Registry) *huma.Schema {
	var names []any
	for _, s := range scopes {
		names = append(names, s.Name)
	}
	return &huma.Schema{
		Type: "array", MinItems: new(1), MaxItems: new(len(names)),
		Items: &huma.Schema{Type: "string", Enum: names},
	}
}

type addTokenIn struct {
	Body TokenBody
}

type newTokenOut struct {
	Location string `header:"Location"`
	Body     NewToken
}

func (a *API) addToken(ctx context.Context, in *addTokenIn) (*newTokenOut, error) {
	caller := callerOf(ctx)
	for _, scope := range in.Body.Scopes {
		if !caller.may(scope) {
			return nil, problem(http.StatusForbidden, "scope_missing", "This token has no scope "+scope+", so it can give it to none.", "leave the scope out, or ask with a token that has it")
		}
	}
	t := store.Token{Name: in.Body.Name, Scopes: slices.Compact(slices.Sorted(slices.Values(in.Body.Scopes)))}
	if in.Body.ExpiresAt != nil {
		t.ExpiresAt = in.Body.ExpiresAt.Unix()
		if t.ExpiresAt <= a.now().Unix() || in.Body.ExpiresAt.Year() > 9999 {
			return nil, invalid([]Mistake{{Location: "body.expires_at", Detail: "is over already: give a moment in the future"}})
		}
	}
	if end := caller.ExpiresAt; end != 0 && (t.ExpiresAt == 0 || t.ExpiresAt > end) {
		// A token that was lent for a day would live on in one that it made.
		return nil, problem(http.StatusForbidden, "token_outlives", "This token ends at "+moment(end).Format(time.RFC3339)+", so none that it adds can end later.", "give expires_at, no later than that, or ask with a token that lives longer")
	}
	if t.Name == configured {
		return nil, invalid([]Mistake{{Location: "body.name", Detail: "is what the audit log calls the token of the configuration: choose another"}})
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails (Go 1.24)
	t.ID = hex.EncodeToString(id[:])
	secret := newSecret()
	t.Hash = hashOf(secret)
	t.CreatedAt = a.now().Unix()
	switch err := a.Store.AddToken(ctx, actor(ctx), t); {
	case errors.Is(err, store.ErrExists):
		return nil, problem(http.StatusConflict, "token_exists", "There is a token "+t.Name+" already.", "choose another name, or remove that one")
	case err != nil:
		return nil, err
	}
	return &newTokenOut{Location: "/v1/tokens/" + t.ID, Body: NewToken{Token: showToken(t), Secret: secret}}, nil
}

type tokenID struct {
	ID string `path:"id" pattern:"^[0-9a-f]{16}$" doc:"The token's id." example:"0123456789abcdef"`
}

func (a *API) deleteToken(ctx context.Context, in *tokenID) (*struct{}, error) {
	err := a.Store.RemoveToken(ctx, actor(ctx), in.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, problem(http.StatusNotFound, "no_such_token", "There is no token of that id.", "GET /v1/tokens lists those that there are")
	}
	return nil, err
}
