package provider

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"onedoor/store"
	"onedoor/tenant"
)

// Type is the kind of a client.
type Type string

// Types of clients (RFC 6749 §2.1, RFC 8252).
const (
	Confidential Type = "confidential" // has a secret
	Public       Type = "public"       // runs in a browser; PKCE demanded
	Native       Type = "native"       // runs on a device; PKCE demanded, loopback on any port
)

// Client is what the commands see of a client.
type Client struct {
	ID             string   `json:"client_id"` // default: random
	Name           string   `json:"name,omitempty"`
	Type           Type     `json:"type"` // default: confidential
	RedirectURIs   []string `json:"redirect_uris"`
	PostLogoutURIs []string `json:"post_logout_redirect_uris,omitempty"`
	// IDTokenAlg is the algorithm of the client's ID tokens, RS256 or ES256.
	// Default: RS256, as OIDC Registration §2 has it and as many libraries demand
	// without looking at the provider's metadata.
	IDTokenAlg string `json:"id_token_signed_response_alg"`
	// RequirePushedRequests refuses authorization requests that were not pushed.
	RequirePushedRequests bool      `json:"require_pushed_authorization_requests"`
	CreatedAt             time.Time `json:"created_at"`
}

// minSecret is how short a secret may be that somebody brings along: it is kept
// as a plain hash, which is only safe for what cannot be guessed.
const minSecret = 24

// AddClient adds a client and returns it and its secret, which is kept as a hash
// only; c.CreatedAt is given by it. An empty secret is replaced by a random one,
// and a client that is not confidential has none. insecure allows http redirect
// URIs beyond this machine.
func AddClient(ctx context.Context, db *store.DB, c Client, secret string, insecure bool) (Client, string, error) {
	if c.ID == "" {
		c.ID = strings.ToLower(rand.Text())
	}
	if c.Type == "" {
		c.Type = Confidential
	}
	if c.IDTokenAlg == "" {
		c.IDTokenAlg = string(jose.RS256)
	}
	if err := checkClient(c, insecure); err != nil {
		return Client{}, "", fmt.Errorf("client %q: %w", c.ID, err)
	}
	switch {
	case c.Type != Confidential && secret != "":
		return Client{}, "", fmt.Errorf("client %q: a %s client keeps no secret", c.ID, c.Type)
	case c.Type == Confidential && secret == "":
		secret = newSecret()
	case c.Type == Confidential && len(secret) < minSecret:
		return Client{}, "", fmt.Errorf("client %q: a secret has at least %d characters", c.ID, minSecret)
	}
	now := time.Now().Unix()
	row := c.row()
	row.CreatedAt, row.UpdatedAt = now, now
	if secret != "" {
		row.SecretHash = digest(secret)
	}
	if err := db.AddClient(ctx, row); err != nil {
		return Client{}, "", fmt.Errorf("client %q: %w", c.ID, err)
	}
	return shownClient(row), secret, nil
}

func checkClient(c Client, insecure bool) error {
	var errs []error
	if i := strings.IndexFunc(c.ID, func(r rune) bool { return r <= ' ' || r > '~' }); i >= 0 || c.ID == "" || len(c.ID) > 200 {
		errs = append(errs, errors.New("a client_id is ASCII without spaces"))
	}
	if c.Type != Confidential && c.Type != Public && c.Type != Native {
		errs = append(errs, fmt.Errorf("type %q: say confidential, public or native", c.Type))
	}
	if c.IDTokenAlg != string(jose.RS256) && c.IDTokenAlg != string(jose.ES256) {
		errs = append(errs, fmt.Errorf("id_token_signed_response_alg %q: say RS256 or ES256", c.IDTokenAlg))
	}
	if len(c.RedirectURIs) == 0 {
		errs = append(errs, errors.New("no redirect URI: it could not log anybody in"))
	}
	env := tenant.Environment{Insecure: insecure, Native: c.Type == Native}
	for _, uri := range slices.Concat(c.RedirectURIs, c.PostLogoutURIs) {
		t, err := tenant.ParseTemplate(uri, env)
		if err == nil && t.HasTenant() {
			err = errors.New("{tenant} is the door's; the provider knows exact URIs only (RFC 9700 §2.1)")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("redirect URI %q: %w", uri, err))
		}
	}
	return errors.Join(errs...)
}

// Clients lists every client, by ID.
func Clients(ctx context.Context, db *store.DB) ([]Client, error) {
	rows, err := db.Clients(ctx)
	clients := make([]Client, len(rows))
	for i, row := range rows {
		clients[i] = shownClient(row)
	}
	return clients, err
}

// ClientChange says what of a client changes; nil leaves it as it is.
type ClientChange struct {
	Name, IDTokenAlg             *string
	RedirectURIs, PostLogoutURIs []string
	RequirePushedRequests        *bool
	NewSecret                    bool // replace the secret by a random one
}

// SetClient changes a client. The secret is returned where it is a new one.
func SetClient(ctx context.Context, db *store.DB, id string, change ClientChange, insecure bool) (Client, string, error) {
	row, err := db.Client(ctx, id)
	if err != nil {
		return Client{}, "", fmt.Errorf("client %q: %w", id, err)
	}
	if change.Name != nil {
		row.Name = *change.Name
	}
	if change.IDTokenAlg != nil {
		row.IDTokenAlg = *change.IDTokenAlg
	}
	if change.RedirectURIs != nil {
		row.RedirectURIs = change.RedirectURIs
	}
	if change.PostLogoutURIs != nil {
		row.PostLogoutURIs = change.PostLogoutURIs
	}
	if change.RequirePushedRequests != nil {
		row.RequirePushedRequests = *change.RequirePushedRequests
	}
	secret := ""
	if change.NewSecret {
		if row.Type != string(Confidential) {
			return Client{}, "", fmt.Errorf("client %q: a %s client keeps no secret", id, row.Type)
		}
		secret = newSecret()
		row.SecretHash = digest(secret)
	}
	c := shownClient(row)
	kept := change.RedirectURIs == nil && change.PostLogoutURIs == nil // they were judged when they came
	if err := checkClient(c, insecure || kept); err != nil {
		return Client{}, "", fmt.Errorf("client %q: %w", id, err)
	}
	row.UpdatedAt = time.Now().Unix()
	if err := db.SetClient(ctx, row); err != nil {
		return Client{}, "", fmt.Errorf("client %q: %w", id, err)
	}
	return c, secret, nil
}

// RemoveClient removes a client and every grant that it holds.
func RemoveClient(ctx context.Context, db *store.DB, id string) error {
	if err := db.RemoveClient(ctx, id); err != nil {
		return fmt.Errorf("client %q: %w", id, err)
	}
	return nil
}

func (c Client) row() store.Client {
	return store.Client{
		ID: c.ID, Name: c.Name, Type: string(c.Type), RedirectURIs: c.RedirectURIs, PostLogoutURIs: c.PostLogoutURIs,
		IDTokenAlg: c.IDTokenAlg, RequirePushedRequests: c.RequirePushedRequests,
	}
}

func shownClient(row store.Client) Client {
	return Client{
		ID: row.ID, Name: row.Name, Type: Type(row.Type), RedirectURIs: row.RedirectURIs, PostLogoutURIs: row.PostLogoutURIs,
		IDTokenAlg: row.IDTokenAlg, RequirePushedRequests: row.RequirePushedRequests, CreatedAt: time.Unix(row.CreatedAt, 0).UTC(),
	}
}
