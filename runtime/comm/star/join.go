package star

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
	"unsafe"

	"lorac/runtime/comm"
	"lorac/runtime/exit"
)

// Family is what package comm calls the launcher of such processes.
const Family = "lorac"

// Join connects this process to the hub of lorac, which started it.
func Join(o comm.Options) (comm.Transport, error) {
	l := comm.Launched()
	address, token := os.Getenv(AddressEnv), os.Getenv(TokenEnv)
	if l.Family != Family || address == "" {
		return comm.Alone(os.Exit), nil
	}
	return Dial(address, token, l.Rank, l.Size, o.Timeout, os.Exit)
}

// Dial connects a rank; exit ends the process.
func Dial(address, token string, rank, size int, timeout time.Duration, end func(code int)) (comm.Transport, error) {
	if timeout <= 0 {
		timeout = comm.DefaultTimeout
	}
	name, at := network(address)
	until := time.Now().Add(timeout)
	c, err := net.DialTimeout(name, at, timeout)
	for err != nil && name == "tcp" && time.Now().Before(until) { // another host may begin later
		time.Sleep(200 * time.Millisecond)
		c, err = net.DialTimeout(name, at, time.Until(until)+time.Millisecond)
	}
	if err != nil {
		return nil, exit.Failedf("process %d of %d cannot reach lorac, which started it: %w", rank, size, err)
	}
	t := &ray{rank: rank, size: size, c: c, out: newOutbox(), queues: map[path]*queue{}, end: end}
	t.moved.L = &t.mu
	go t.out.drain(c)
	t.out.put(frame{hello, uint32(rank), 0, []byte(token)})
	go t.listen()
	return t, nil
}

// path is where messages come from.
type path struct{ peer, tag int }

// queue is what arrived and was not expected, or is expected and did not arrive.
type queue struct {
	arrived [][]byte
	waits   []expected
}

type expected struct {
	comm.Transfer
	p *pending
}

// ray is the transport of one process.
type ray struct {
	rank, size int
	c          net.Conn
	out        *outbox
	end        func(code int)

	mu     sync.Mutex
	moved  sync.Cond
	queues map[path]*queue
	left   bool
	lost   error
}

func (t *ray) Rank() int    { return t.rank }
func (t *ray) Size() int    { return t.size }
func (t *ray) Name() string { return "connections to lorac" }

// listen takes what arrives.
func (t *ray) listen() {
	for {
		f, err := read(t.c, mostText)
		t.mu.Lock()
		switch {
		case err != nil:
			if t.lost = errHub; t.left {
				t.lost = errLeft
			}
			t.moved.Broadcast()
			t.mu.Unlock()
			return
		case f.kind == message:
			t.arrive(path{int(f.peer), int(f.tag)}, f.text)
		case f.kind == abort:
			t.mu.Unlock()
			t.end(int(f.peer)) // who ends the job has said why
			t.mu.Lock()
		}
		t.moved.Broadcast()
		t.mu.Unlock()
	}
}

var (
	errHub  = errors.New("the connection to lorac, which started this process, is lost")
	errLeft = errors.New("the process has left the job")
)

func (t *ray) queue(at path) *queue {
	q := t.queues[at]
	if q == nil {
		q = &queue{}
		t.queues[at] = q
	}
	return q
}

func (t *ray) arrive(at path, text []byte) {
	q := t.queue(at)
	if len(q.waits) == 0 {
		q.arrived = append(q.arrived, text)
		return
	}
	w := q.waits[0]
	q.waits = q.waits[1:]
	w.take(text)
}

// take ends a receive.
func (w expected) take(text []byte) {
	if len(text) != w.Bytes {
		w.p.err = fmt.Errorf("BUG: %d bytes arrive where %d are expected", len(text), w.Bytes)
	} else {
		copy(unsafe.Slice((*byte)(w.Data), w.Bytes), text)
	}
	w.p.left--
}

// Start is comm.Transport's. What is sent is copied at once.
func (t *ray) Start(list []comm.Transfer) (comm.Pending, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lost != nil {
		return nil, t.lost
	}
	p := &pending{t: t}
	for _, x := range list {
		if x.Peer < 0 || x.Peer >= t.size || x.Peer == t.rank || x.Tag < 0 || x.Tag > comm.MaxTag || x.Bytes < 0 || x.Bytes > comm.MaxBytes {
			return nil, fmt.Errorf("BUG: a transfer with rank %d, tag %d, of %d bytes", x.Peer, x.Tag, x.Bytes)
		}
		if x.Send {
			text := append([]byte{}, unsafe.Slice((*byte)(x.Data), x.Bytes)...)
			t.out.put(frame{message, uint32(x.Peer), uint32(x.Tag), text})
			continue
		}
		w := expected{x, p}
		p.left++
		q := t.queue(path{x.Peer, x.Tag})
		if len(q.arrived) == 0 {
			q.waits = append(q.waits, w)
			continue
		}
		text := q.arrived[0]
		q.arrived = q.arrived[1:]
		w.take(text)
	}
	return p, nil
}

type pending struct {
	t    *ray
	left int
	err  error
}

// Wait is comm.Pending's.
func (p *pending) Wait(d time.Duration) (bool, error) {
	t := p.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if d > 0 && p.left > 0 && p.err == nil && t.lost == nil {
		end := time.Now().Add(d)
		timer := time.AfterFunc(d, func() { t.mu.Lock(); t.moved.Broadcast(); t.mu.Unlock() })
		defer timer.Stop()
		for p.left > 0 && p.err == nil && t.lost == nil && time.Now().Before(end) {
			t.moved.Wait()
		}
	}
	switch {
	case p.err != nil:
		return false, p.err
	case p.left == 0:
		return true, nil
	}
	return false, t.lost
}

// flush is how long what was sent may take to be written at the end.
const flush = 5 * time.Second

// Abort is comm.Transport's.
func (t *ray) Abort(code int) {
	t.out.put(frame{kind: abort, peer: uint32(code)})
	t.finish()
	t.end(code)
}

// Close is comm.Transport's.
func (t *ray) Close() error {
	t.mu.Lock()
	before := t.left
	t.left = true
	t.mu.Unlock()
	if before {
		return nil
	}
	t.out.put(frame{kind: bye})
	t.finish()
	return t.c.Close()
}

// finish waits until all is written.
func (t *ray) finish() {
	t.out.close()
	select {
	case <-t.out.idle:
	case <-time.After(flush):
	}
}

// Exit is comm.Transport's.
func (t *ray) Exit(code int) {
	t.Close() //nolint:errcheck // the process ends
	t.end(code)
}
