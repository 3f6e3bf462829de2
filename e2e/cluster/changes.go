//go:build linux

package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// adminToken is what the admin listeners demand.
const adminToken = "a token of the back office"

// office is the product's back office: it changes tenants through whichever
// replica answers, and asks again until it has an acknowledgement. A change is
// the same however often it is asked for (RFC 9110 §9.2.2).
type office struct {
	replicas []*replica
	line     *timeline
	http     http.Client

	mu      sync.Mutex
	next    int
	acked   map[string]int // changes, by what was asked for
	refused map[int]int    // answers that were no acknowledgement, by status; 0: none came
}

func newOffice(replicas []*replica, line *timeline) *office {
	return &office{replicas: replicas, line: line, http: http.Client{Timeout: 10 * time.Second}, acked: map[string]int{}, refused: map[int]int{}}
}

// set makes a tenant active or suspended; it is added where it is not there.
func (o *office) set(ctx context.Context, tenant string, active bool) (*change, error) {
	status := "suspended"
	if active {
		status = "active"
	}
	return o.change(ctx, "PUT "+status, tenant, active, http.MethodPut, fmt.Appendf(nil, `{"status":%q}`, status))
}

func (o *office) remove(ctx context.Context, tenant string) (*change, error) {
	return o.change(ctx, "DELETE", tenant, false, http.MethodDelete, nil)
}

func (o *office) change(ctx context.Context, what, tenant string, active bool, method string, body []byte) (*change, error) {
	c := o.line.begin(tenant, active, time.Now())
	for tries := 1; ; tries++ {
		status, answer := o.ask(ctx, method, "/v1/tenants/"+tenant, body)
		// A removal that was cut off may have happened: then there is no such tenant.
		if status/100 == 2 || (method == http.MethodDelete && tries > 1 && status == http.StatusNotFound) {
			o.line.ack(c, time.Now())
			o.count(what)
			return c, nil
		}
		o.mu.Lock()
		o.refused[status]++
		o.mu.Unlock()
		if status != 0 && status != http.StatusServiceUnavailable {
			return c, fmt.Errorf("%s %s: %d %s", method, tenant, status, answer)
		}
		if pause(ctx, reloadAfter); ctx.Err() != nil {
			return c, ctx.Err()
		}
	}
}

func (o *office) count(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.acked[what]++
}

// ask makes one request of the next replica. 0: there was no answer.
func (o *office) ask(ctx context.Context, method, path string, body []byte) (status int, answer string) {
	o.mu.Lock()
	r := o.replicas[o.next%len(o.replicas)]
	o.next++
	o.mu.Unlock()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+r.admin+path, bytes.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	resp, err := o.http.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, shorten(string(text))
}
