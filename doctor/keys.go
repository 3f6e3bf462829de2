package doctor

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

func thumbprint(k jose.JSONWebKey) string {
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(sum)[:16]
}

// claims are what is looked at of a token. Its signature is not checked: what
// it says about itself is what an app would trip over.
type claims struct {
	KeyID     string
	Algorithm string
	Issuer    string
	Audience  []string
	Party     string // azp, or client_id
	IssuedAt  int64
	Expires   int64
}

// readClaims reads a JWT; false for a token that is none. It keeps nothing about
// the person.
func readClaims(token string) (claims, bool) {
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 || len(token) > 64<<10 {
		return claims{}, false
	}
	var head struct {
		KeyID     string `json:"kid"`
		Algorithm string `json:"alg"`
	}
	var body struct {
		Issuer   string          `json:"iss"`
		Audience json.RawMessage `json:"aud"`
		Party    string          `json:"azp"`
		Client   string          `json:"client_id"`
		IssuedAt json.Number     `json:"iat"`
		Expires  json.Number     `json:"exp"`
	}
	for i, into := range []any{&head, &body} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(text, into) != nil {
			return claims{}, false
		}
	}
	c := claims{KeyID: bounded(oneLine(head.KeyID), 100), Algorithm: bounded(oneLine(head.Algorithm), 20), Issuer: bounded(oneLine(body.Issuer), 300), Party: body.Party}
	if c.Party == "" {
		c.Party = body.Client
	}
	var one string
	if json.Unmarshal(body.Audience, &one) == nil && one != "" {
		c.Audience = []string{one}
	} else {
		_ = json.Unmarshal(body.Audience, &c.Audience) // absent in some access tokens
	}
	c.IssuedAt, c.Expires = seconds(body.IssuedAt), seconds(body.Expires)
	return c, true
}

func seconds(n json.Number) int64 {
	f, err := n.Float64()
	if err != nil {
		return 0
	}
	return int64(f)
}
