// Package model runs a model that answers: a trainer that serves, a process of its own,
// which gets requests on its standard input and answers on its standard output (package
// wire). It must not know who asks. lorac and lorac-serve link it.
package model

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"lorac/runtime/wire"
)

// Model is a running trainer that serves.
type Model struct {
	Ready wire.Ready

	in     io.WriteCloser
	cmd    *exec.Cmd     // nil in tests
	gone   chan struct{} // it has ended
	err    error         // how, once gone is closed
	writes sync.Mutex
	mu     sync.Mutex
	number int
	asked  map[string]*Answer
	ended  bool
}

// Start runs a trainer until it is ready. What it prints goes to standard error.
func Start(bin string, args []string) (*Model, error) {
	cmd := exec.Command(bin, args...)
	cmd.Stderr = os.Stderr
	apart(cmd) // signals of the terminal are ours to answer
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	m, err := Connect(in, out)
	if err != nil {
		in.Close()
		if ended := how(cmd.Wait()); ended != nil {
			return nil, ended
		}
		return nil, err
	}
	m.cmd = cmd
	return m, nil
}

// Ended is the error of a trainer that has ended with a code, and has said why.
type Ended struct{ Code int }

func (e Ended) Error() string { return fmt.Sprintf("exit %d", e.Code) }

// ExitCode is the code of who started it.
func (e Ended) ExitCode() int { return e.Code }

// how is the error of a trainer that has ended.
func how(err error) error {
	var e *exec.ExitError
	if errors.As(err, &e) && e.ExitCode() > 0 {
		return Ended{e.ExitCode()}
	}
	return err
}

// Connect speaks with a model over its input and output.
func Connect(in io.WriteCloser, out io.Reader) (*Model, error) {
	m := &Model{in: in, gone: make(chan struct{}), asked: map[string]*Answer{}}
	lines := bufio.NewScanner(out)
	lines.Buffer(make([]byte, 64<<10), 64<<20)
	if !lines.Scan() {
		return nil, errors.New("the model ended before it was ready")
	}
	if err := json.Unmarshal(lines.Bytes(), &m.Ready); err != nil {
		return nil, fmt.Errorf("the model says %q where it should say that it is ready", lines.Text())
	}
	go m.read(lines)
	return m, nil
}

// ErrGone is the error of a request to a model that has ended.
var ErrGone = errors.New("the model has ended")

func (m *Model) read(lines *bufio.Scanner) {
	for lines.Scan() {
		var s wire.Said
		if json.Unmarshal(lines.Bytes(), &s) != nil {
			continue
		}
		m.mu.Lock()
		a := m.asked[s.ID]
		if s.Done != "" {
			delete(m.asked, s.ID)
		}
		m.mu.Unlock()
		if a != nil {
			a.add(s)
		}
	}
	if m.cmd != nil {
		m.err = how(m.cmd.Wait())
	}
	m.mu.Lock()
	m.ended = true
	left := m.asked
	m.asked = map[string]*Answer{}
	m.mu.Unlock()
	for id, a := range left {
		a.add(wire.Said{ID: id, Done: "error", Fault: "run", Error: ErrGone.Error()})
	}
	close(m.gone)
}

// Gone is closed when the model has ended; Err says how then.
func (m *Model) Gone() <-chan struct{} { return m.gone }

// Err is how the model ended.
func (m *Model) Err() error { return m.err }

// Ask sends a request.
func (m *Model) Ask(q wire.Asked) (*Answer, error) {
	m.mu.Lock()
	m.number++
	q.ID = strconv.Itoa(m.number)
	a := &Answer{m: m, id: q.ID, come: make(chan struct{}, 1)}
	ended := m.ended
	if !ended {
		m.asked[q.ID] = a
	}
	m.mu.Unlock()
	if ended {
		return nil, ErrGone
	}
	if err := m.send(q); err != nil {
		m.mu.Lock()
		delete(m.asked, q.ID)
		m.mu.Unlock()
		return nil, ErrGone
	}
	return a, nil
}

func (m *Model) send(q wire.Asked) error {
	text, err := json.Marshal(q)
	if err != nil {
		return err
	}
	m.writes.Lock()
	defer m.writes.Unlock()
	_, err = m.in.Write(append(text, '\n'))
	return err
}

// Close ends the model: it finishes what it was asked for, for so long, and is killed
// then.
func (m *Model) Close(grace time.Duration) error {
	m.writes.Lock()
	m.in.Close()
	m.writes.Unlock()
	select {
	case <-m.gone:
		return m.err
	case <-time.After(grace):
	}
	if m.cmd != nil {
		m.cmd.Process.Kill() //nolint:errcheck // it may have ended by itself
	}
	return nil
}

// Answer is what comes of a request. Parts wait in it until they are read, so that one
// slow reader does not hold up others.
type Answer struct {
	m     *Model
	id    string
	mu    sync.Mutex
	parts []wire.Said
	come  chan struct{}
}

func (a *Answer) add(s wire.Said) {
	a.mu.Lock()
	a.parts = append(a.parts, s)
	a.mu.Unlock()
	select {
	case a.come <- struct{}{}:
	default:
	}
}

// Next is the next part of the answer; the last one has Done. A context that ends has
// the model give the request up.
func (a *Answer) Next(ctx context.Context) (wire.Said, error) {
	for {
		a.mu.Lock()
		if len(a.parts) > 0 {
			s := a.parts[0]
			a.parts = a.parts[1:]
			a.mu.Unlock()
			return s, nil
		}
		a.mu.Unlock()
		select {
		case <-a.come:
		case <-ctx.Done():
			a.Cancel()
			return wire.Said{}, ctx.Err()
		}
	}
}

// Cancel has the model give the request up.
func (a *Answer) Cancel() {
	a.m.send(wire.Asked{ID: a.id, Cancel: true}) //nolint:errcheck // a model that has ended has given it up
}
