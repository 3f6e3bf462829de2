package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"onedoor/seal"
	"onedoor/store"
)

// Key is a sealing key as the API shows it: never the key itself.
type Key struct {
	ID        int        `json:"id" minimum:"0" maximum:"255" doc:"Its number. It is another key's two days after this one has gone, at the earliest."`
	State     string     `json:"state" enum:"waits,seals,opens" doc:"waits: new, and seals when every door can know it; seals: what begins now is sealed with it; opens: what it sealed still opens."`
	CreatedAt time.Time  `json:"created_at"`
	SealsFrom time.Time  `json:"seals_from" doc:"When doors that run began, or will begin, to seal with it."`
	RetiresAt *time.Time `json:"retires_at,omitempty" doc:"When nothing that it sealed is left, and it is removed; left out for the newest."`
}

// KeyTimes are how long keys are needed, by the configuration of the moment.
type KeyTimes struct {
	Notice time.Duration // after which a new key seals
	Kept   time.Duration // after its successor was made
}

const tagKeys = "keys"

func (a *API) keys() {
	register(a, operation{
		id: "list-keys", method: http.MethodGet, path: "/v1/keys", tag: tagKeys, scope: KeysRead,
		summary: "List sealing keys, the newest first", doc: "Logins in progress are sealed with them, on every replica. The keys themselves are shown to nobody.",
	}, a.listKeys)
	register(a, operation{
		id: "rotate-keys", method: http.MethodPost, path: "/v1/keys", tag: tagKeys, scope: KeysWrite,
		summary: "Make a new sealing key", doc: "No login is lost: it opens at once, seals when every replica can know it, and the ones before it open until nothing that they sealed is left.",
		status: http.StatusCreated, problems: []int{http.StatusConflict},
	}, a.rotateKeys)
	register(a, operation{
		id: "revoke-key", method: http.MethodDelete, path: "/v1/keys/{id}", tag: tagKeys, scope: KeysWrite,
		summary: "Revoke a sealing key", doc: "What it sealed opens nowhere any more: those logins have to begin again. Where it is the newest one, another is made first.",
		problems: []int{http.StatusNotFound, http.StatusConflict},
	}, a.revokeKey)
}

// showKeys tells of each key what it does at this moment.
func (a *API) showKeys(keys []store.SealKey) []Key {
	times, now := a.KeyTimes(), a.now()
	shown, sealing := make([]Key, len(keys)), false
	for i, k := range keys {
		s := Key{ID: int(k.ID), State: "opens", CreatedAt: moment(k.CreatedAt), SealsFrom: moment(k.CreatedAt).Add(times.Notice)}
		switch {
		case sealing:
		case i < len(keys)-1 && now.Before(s.SealsFrom):
			s.State = "waits"
		default:
			s.State, sealing = "seals", true
		}
		if i > 0 {
			s.RetiresAt = new(moment(keys[i-1].CreatedAt).Add(times.Kept))
		}
		shown[i] = s
	}
	return shown
}

// aboutKeys makes a problem of what stands against a change of the keys.
func aboutKeys(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return problem(http.StatusNotFound, "no_such_key", "There is no key of that number.", "GET /v1/keys lists those that there are")
	case errors.Is(err, store.ErrTooMany):
		return problem(http.StatusConflict, "too_many", "All 256 numbers of keys were used within two days.", "a number is free again two days after its key has gone; keys can still be revoked, but for the only one")
	case errors.Is(err, seal.ErrOtherKey):
		return problem(http.StatusInternalServerError, "key_unreadable", sentence(err), "give that key too, behind the one that is to be used from now on: encryption_key")
	case errors.Is(err, seal.ErrDamaged):
		return problem(http.StatusInternalServerError, "key_unreadable", sentence(err), "restore that row from a backup, or delete it from the table: what it sealed or signed is lost then")
	}
	return err
}

type keysOut struct {
	Body struct {
		Keys []Key `json:"keys" nullable:"false"`
	}
}

func (a *API) listKeys(ctx context.Context, _ *struct{}) (*keysOut, error) {
	keys, err := a.Store.SealKeys(ctx)
	if err != nil {
		return nil, aboutKeys(err)
	}
	var out keysOut
	out.Body.Keys = a.showKeys(keys)
	return &out, nil
}

type keyOut struct {
	Body Key
}

func (a *API) rotateKeys(ctx context.Context, _ *struct{}) (*keyOut, error) {
	if _, err := a.Store.SealKeys(ctx); err != nil { // makes the first where there is none
		return nil, aboutKeys(err)
	}
	made, err := a.Store.AddSealKey(ctx, actor(ctx))
	if err != nil {
		return nil, aboutKeys(err)
	}
	keys, err := a.Store.SealKeys(ctx)
	if err != nil {
		return nil, aboutKeys(err)
	}
	for _, k := range a.showKeys(keys) {
		if k.ID == int(made.ID) {
			return &keyOut{k}, nil
		}
	}
	return nil, fmt.Errorf("key %d was made and taken away again", made.ID)
}

type keyID struct {
	ID int `path:"id" minimum:"0" maximum:"255" doc:"The key's number." example:"1"`
}

type revokedOut struct {
	Body struct {
		Revoked int  `json:"revoked" doc:"The key's number."`
		Made    *int `json:"made,omitempty" doc:"The number of the key that was made in its place; left out where it was not the newest."`
	}
}

func (a *API) revokeKey(ctx context.Context, in *keyID) (*revokedOut, error) {
	next, err := a.Store.RevokeSealKey(ctx, actor(ctx), byte(in.ID))
	if err != nil {
		return nil, aboutKeys(err)
	}
	var out revokedOut
	out.Body.Revoked = in.ID
	if next != nil {
		out.Body.Made = new(int(next.ID))
	}
	return &out, nil
}
