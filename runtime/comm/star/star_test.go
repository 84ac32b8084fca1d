package star

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"lorac/runtime/comm"
)

// hub is one for a test, with what it tells.
func hub(t *testing.T, n int) (*Hub, chan string) {
	t.Helper()
	said := make(chan string, 100)
	h, err := NewHub(n, "", "", Events{
		Lost:  func(rank int) { said <- fmt.Sprint("lost ", rank) },
		Abort: func(rank, code int) { said <- fmt.Sprint("abort ", rank, " ", code) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h, said
}

// says waits for what the hub tells.
func says(t *testing.T, said chan string, want string) {
	t.Helper()
	select {
	case got := <-said:
		if got != want {
			t.Errorf("the hub says %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Errorf("the hub does not say %q", want)
	}
}

// ranks connects n and runs f on each.
func ranks(t *testing.T, h *Hub, n int, f func(g *comm.Group) error) {
	t.Helper()
	var wait sync.WaitGroup
	for r := range n {
		wait.Go(func() {
			c, err := Dial(h.Address, h.Token, r, n, 0, func(int) {})
			if err != nil {
				t.Error(err)
				return
			}
			g, err := comm.New(c, comm.Options{})
			if err == nil {
				err = f(g)
			}
			if err == nil {
				err = g.Close()
			}
			if err != nil {
				t.Errorf("rank %d: %v", r, err)
			}
		})
	}
	wait.Wait()
}

// All operations of groups work, and all leave in order.
func TestGroup(t *testing.T) {
	h, said := hub(t, 5)
	ranks(t, h, 5, func(g *comm.Group) error {
		for range 20 {
			all, err := g.Gather([]byte(strings.Repeat("x", g.Rank())))
			if err != nil {
				return err
			}
			for r, x := range all {
				if len(x) != r {
					return fmt.Errorf("rank %d has %q", r, x)
				}
			}
			x, err := g.Broadcast(2, []byte{byte(g.Rank())})
			if err != nil || x[0] != 2 {
				return fmt.Errorf("broadcast gives %v, %v", x, err)
			}
		}
		return g.Barrier()
	})
	for r := range 5 {
		for end := time.Now().Add(20 * time.Second); !h.Left(r); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("rank %d has not left", r)
			}
		}
	}
	if len(said) > 0 {
		t.Errorf("the hub says %q", <-said)
	}
}

// Whoever has no token, or takes another's rank, is turned away.
func TestStrangers(t *testing.T) {
	h, said := hub(t, 2)
	mine, err := Dial(h.Address, h.Token, 0, 2, 0, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); h.Came() < 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a process with the token is not let in")
		}
	}
	for name, try := range map[string]func(c net.Conn){
		"token": func(c net.Conn) { frame{hello, 1, 0, []byte(strings.Repeat("0", len(h.Token)))}.write(c) }, //nolint:errcheck // the answer counts
		"long":  func(c net.Conn) { frame{hello, 1, 0, []byte(h.Token + "0")}.write(c) },                     //nolint:errcheck // as above
		"rank":  func(c net.Conn) { frame{hello, 0, 0, []byte(h.Token)}.write(c) },                           //nolint:errcheck // as above
		"range": func(c net.Conn) { frame{hello, 2, 0, []byte(h.Token)}.write(c) },                           //nolint:errcheck // as above
		"text":  func(c net.Conn) { c.Write([]byte("GET / HTTP/1.1\r\nHost: somewhere\r\n\r\n")) },           //nolint:errcheck // as above
	} {
		c, err := net.Dial(network(h.Address))
		if err != nil {
			t.Fatal(err)
		}
		try(c)
		c.SetReadDeadline(time.Now().Add(20 * time.Second)) //nolint:errcheck // the read fails then
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
		c.Close()
	}
	if h.Came() != 1 || len(said) > 0 {
		t.Errorf("%d came", h.Came())
	}
	mine.Close()
}

// A process that is lost or ends the job is told, and the others end with the code.
func TestEnds(t *testing.T) {
	h, said := hub(t, 3)
	codes := make(chan int, 3)
	var list []comm.Transport
	for r := range 3 {
		c, err := Dial(h.Address, h.Token, r, 3, 0, func(code int) { codes <- code })
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	for end := time.Now().Add(20 * time.Second); h.Came() < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not all came")
		}
	}
	list[1].(*ray).c.Close()
	says(t, said, "lost 1")
	go list[2].Abort(7)
	says(t, said, "abort 2 7")
	h.Abort(7)
	for range 2 {
		select {
		case code := <-codes:
			if code != 7 {
				t.Errorf("code %d", code)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("a process does not end")
		}
	}
}
