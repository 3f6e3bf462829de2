package domains_test

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// failure is how a server does not answer.
type failure int

const (
	none failure = iota
	serverFailure
	refused
	silence
)

// zone is a DNS server on the loopback interface, over UDP and TCP.
type zone struct {
	address string

	mu      sync.Mutex
	texts   map[string][]string
	aliases map[string]string
	counts  map[string]int
	failing failure
	first   func() // runs once before the next answer
}

func serveDNS(t *testing.T) *zone {
	t.Helper()
	z := &zone{texts: map[string][]string{}, aliases: map[string]string{}, counts: map[string]int{}}
	tcp, udp := sockets(t)
	z.address = udp.LocalAddr().String()
	var serving sync.WaitGroup
	t.Cleanup(func() {
		_ = udp.Close()
		_ = tcp.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			buf := make([]byte, 4096)
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := z.answer(buf[:n], 1200); answer != nil {
				_, _ = udp.WriteTo(answer, from)
			}
		}
	})
	serving.Go(func() {
		for {
			conn, err := tcp.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { z.serve(conn) })
		}
	})
	return z
}

// sockets are two of one port.
func sockets(t *testing.T) (net.Listener, net.PacketConn) {
	t.Helper()
	for range 20 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			return tcp, udp
		}
		_ = tcp.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

func (z *zone) serve(conn net.Conn) {
	defer conn.Close()
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return
	}
	query := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, query); err != nil {
		return
	}
	answer := z.answer(query, 65535)
	_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
}

func (z *zone) answer(query []byte, limit int) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	name := strings.TrimSuffix(q.Name.String(), ".")
	z.mu.Lock()
	first := z.first
	z.first = nil
	z.mu.Unlock()
	if first != nil {
		first()
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.counts[name]++
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	switch z.failing {
	case silence:
		return nil
	case serverFailure:
		m.RCode = dnsmessage.RCodeServerFailure
	case refused:
		m.RCode = dnsmessage.RCodeRefused
	default:
		z.fill(&m, q, name)
	}
	answer, err := m.Pack()
	if err == nil && len(answer) > limit {
		m.Truncated, m.Answers = true, nil
		answer, err = m.Pack()
	}
	if err != nil {
		return nil
	}
	return answer
}

func (z *zone) fill(m *dnsmessage.Message, q dnsmessage.Question, name string) {
	header := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 60}
	if to, ok := z.aliases[name]; ok {
		header.Type = dnsmessage.TypeCNAME
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(to)}})
		header.Name, name = dnsmessage.MustNewName(to), strings.TrimSuffix(to, ".")
	}
	texts, ok := z.texts[name]
	if !ok {
		m.RCode = dnsmessage.RCodeNameError
		return
	}
	if q.Type != dnsmessage.TypeTXT {
		return
	}
	header.Type = dnsmessage.TypeTXT
	for _, text := range texts {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.TXTResource{TXT: []string{text[:len(text)/2], text[len(text)/2:]}}})
	}
}

func (z *zone) set(name string, texts ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.texts[name] = texts
}

func (z *zone) alias(name, to string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.aliases[name] = to
}

func (z *zone) remove(name string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	delete(z.texts, name)
}

func (z *zone) fail(f failure) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.failing = f
}

func (z *zone) before(f func()) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.first = f
}

func (z *zone) asked(name string) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.counts[name]
}
