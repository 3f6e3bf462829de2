package gateway

import "net/http"

// cors lets the scripts of registered sites read the answers of an endpoint
// that browser apps call (Fetch §3.2): the provider cannot know these origins,
// since it knows one redirect URI. It says whether it has answered the request,
// which was a preflight then.
//
// Other origins get what the provider itself says; it may have other clients.
// Credentials are never allowed: these endpoints take no cookies.
func (g *Gateway) cors(w http.ResponseWriter, r *request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || !g.Directory.Site(r.Context(), origin) {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "DPoP-Nonce, WWW-Authenticate")
	h.Add("Vary", "Origin")
	r.ownCORS = true
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		r.Header.Del("Origin") // judged; to the provider it would be a stranger's
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP")
	h.Set("Access-Control-Max-Age", "600") // seconds
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return true
}
