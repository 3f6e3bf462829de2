package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"onedoor/store"
)

const mergePatch = "application/merge-patch+json"

var typeOfBody = reflect.TypeFor[TenantBody]()

// patchBody describes the patch: a body in which a member of a map may be null
// as well.
func (a *API) patchBody() *huma.RequestBody {
	values := func(of *huma.Schema) *huma.Schema {
		value := *of.AdditionalProperties.(*huma.Schema)
		value.Nullable = true
		of.AdditionalProperties = &value
		return of
	}
	registry := a.huma.OpenAPI().Components.Schemas
	body := registry.SchemaFromRef(registry.Schema(typeOfBody, true, "").Ref)
	patch := *body
	patch.Properties = map[string]*huma.Schema{}
	for name, property := range body.Properties {
		if name != "id" { // nobody's changes
			patch.Properties[name] = property
		}
	}
	patch.Properties["sites"] = values(Sites{}.Schema(registry))
	patch.Properties["parameters"] = values(Parameters{}.Schema(registry))
	patch.PrecomputeMessages()
	for _, name := range []string{"sites", "parameters"} {
		patch.Properties[name].PrecomputeMessages()
		patch.Properties[name].AdditionalProperties.(*huma.Schema).PrecomputeMessages()
	}
	registry.Map()["TenantPatch"] = &patch
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		mergePatch: {Schema: &huma.Schema{Ref: "#/components/schemas/TenantPatch"}},
	}}
}

type patchIn struct {
	Labelled
	Preconditions
	ContentType string `header:"Content-Type" hidden:"true"`
	RawBody     []byte
}

// patchTries bounds how often a patch without If-Match is made anew because
// somebody else was quicker.
const patchTries = 5

func (a *API) patchTenant(ctx context.Context, in *patchIn) (*tenantOut, error) {
	patch, p := a.readPatch(in)
	if p != nil {
		return nil, p
	}
	for try := 1; ; try++ {
		t, there, revision, err := a.there(ctx, in.Label, in.Preconditions)
		switch {
		case err != nil:
			return nil, err
		case !there:
			return nil, refused(store.ErrNotFound, in.Label)
		}
		b, err := patched(t, patch)
		if err != nil {
			return nil, err
		}
		out, err := a.write(ctx, in.Label, b, a.newMistakes(t, b), t.Revision, http.StatusOK)
		var p *Problem
		if errors.As(err, &p) && p.Status == http.StatusPreconditionFailed && revision == 0 && try < patchTries {
			continue
		}
		return out, err
	}
}

func (a *API) readPatch(in *patchIn) (map[string]any, *Problem) {
	switch mediaType(in.ContentType) {
	case mergePatch, "application/json":
	default:
		return nil, problem(http.StatusUnsupportedMediaType, "body_type", "The body is of another media type.", "send "+mergePatch)
	}
	var patch any
	if err := json.Unmarshal(in.RawBody, &patch); err != nil {
		return nil, problem(http.StatusBadRequest, "body_malformed", "The body is not JSON: "+err.Error()+".", "").at("body")
	}
	var said huma.ValidateResult
	registry := a.huma.OpenAPI().Components.Schemas
	path := huma.NewPathBuffer(make([]byte, 0, 64), 0)
	path.Push("body")
	huma.Validate(registry, registry.Map()["TenantPatch"], path, huma.ModeWriteToServer, patch, &said)
	if all := theirs(said); len(all) > 0 {
		return nil, invalid(all)
	}
	return patch.(map[string]any), nil
}

// theirs are the mistakes that huma found.
func theirs(said huma.ValidateResult) []Mistake {
	var all []Mistake
	for _, err := range said.Errors {
		m := Mistake{Location: "body", Detail: err.Error()}
		if d, ok := err.(huma.ErrorDetailer); ok {
			m.Location, m.Detail = d.ErrorDetail().Location, plainly(d.ErrorDetail().Message)
		}
		all = append(all, m)
	}
	return all
}

// patched is the tenant with the patch applied (RFC 7396 §2).
func patched(t store.Tenant, patch map[string]any) (TenantBody, error) {
	b := bodyOf(t)
	text, err := json.Marshal(b)
	if err != nil {
		return b, err
	}
	members := map[string]any{}
	if err := json.Unmarshal(text, &members); err != nil {
		return b, err
	}
	merged := merge(members, patch).(map[string]any)
	for _, name := range []string{"sites", "parameters"} {
		if merged[name] == nil {
			merged[name] = map[string]any{} // taken away; left out it would stay
		}
	}
	if text, err = json.Marshal(merged); err != nil {
		return b, err
	}
	b = TenantBody{}
	return b, json.Unmarshal(text, &b)
}

func merge(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	members, ok := target.(map[string]any)
	if !ok {
		members = map[string]any{}
	}
	for name, value := range changes {
		if value == nil {
			delete(members, name)
			continue
		}
		members[name] = merge(members[name], value)
	}
	return members
}
