package model

import (
	"bufio"
	"fmt"
	"io"
	"testing"

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
