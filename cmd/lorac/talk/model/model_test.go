package model

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"lorac/runtime/exit"
	"lorac/runtime/wire"
)

// A model that ends ends what it was asked for.
func TestModelEnds(t *testing.T) {
	in, asks := io.Pipe()
	says, out := io.Pipe()
	go func() {
		fmt.Fprintln(out, `{"name":"x"}`)
		bufio.NewScanner(in).Scan()
		out.Close()
	}()
	m, err := Connect(asks, says)
	if err != nil {
		t.Fatal(err)
	}
	a, err := m.Ask(wire.Asked{})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := a.Next(t.Context()); err != nil || s.Done != "error" || s.Fault != "run" {
		t.Errorf("%+v, %v", s, err)
	}
	<-m.Gone()
	in.Close()
	if _, err := m.Ask(wire.Asked{}); err != ErrGone {
		t.Errorf("%v", err)
	}
}

// An address that cannot be listened at is a wrong use, with the way out that helps.
func TestListen(t *testing.T) {
	l, err := Server{Host: "127.0.0.1"}.Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, taken := Server{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}.Listen()
	_, wrong := Server{Host: "1.2.3.4.5:6"}.Listen()
	for want, err := range map[string]error{"--port takes another one": taken, "--host is an address": wrong} {
		if exit.Code(err) != exit.Usage || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
