// Package local is a transport between goroutines of one process, for tests. It
// counts bytes and can lose ranks.
package local

import (
	"errors"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"lorac/runtime/comm"
)

// World is the ranks.
type World struct {
	mu      sync.Mutex
	moved   sync.Cond
	queues  map[path]*queue
	sent    []int64
	frozen  []bool
	aborted bool
	code    int
}

type path struct{ from, to, tag int }

// queue is what waits for its other side: only sends or only receives.
type queue struct{ list []*item }

type item struct {
	comm.Transfer
	p    *pending
	rank int // that started it
}

// New makes n ranks.
func New(n int) (*World, []comm.Transport) {
	w := &World{queues: map[path]*queue{}, sent: make([]int64, n), frozen: make([]bool, n)}
	w.moved.L = &w.mu
	list := make([]comm.Transport, n)
	for r := range list {
		list[r] = &rank{w, r}
	}
	return w, list
}

// Sent is the bytes that a rank has sent, signs of life (Patient) not counted.
func (w *World) Sent(rank int) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent[rank]
}

// Freeze stops a rank as SIGSTOP would, or lets it run again: its calls do not return.
func (w *World) Freeze(rank int, frozen bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frozen[rank] = frozen
	w.moved.Broadcast()
}

// Aborted is the code of the first Abort.
func (w *World) Aborted() (code int, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.code, w.aborted
}

// thaw waits until a rank is not frozen.
func (w *World) thaw(rank int) {
	for w.frozen[rank] && !w.aborted {
		w.moved.Wait()
	}
}

type rank struct {
	w *World
	r int
}

func (r *rank) Rank() int    { return r.r }
func (r *rank) Size() int    { return len(r.w.sent) }
func (r *rank) Name() string { return "goroutines" }
func (r *rank) Close() error { return nil }

// Exit does nothing: ranks are goroutines.
func (r *rank) Exit(int) {}

// Abort makes all transfers fail.
func (r *rank) Abort(code int) {
	w := r.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.aborted {
		w.aborted, w.code = true, code
	}
	w.moved.Broadcast()
}

func (r *rank) Start(list []comm.Transfer) (comm.Pending, error) {
	w := r.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.thaw(r.r)
	if w.aborted {
		return nil, errAborted
	}
	p := &pending{w: w, rank: r.r, left: len(list)}
	for _, x := range list {
		if x.Peer < 0 || x.Peer >= len(w.sent) || x.Peer == r.r || x.Tag < 0 || x.Tag > comm.MaxTag || x.Bytes < 0 || x.Bytes > comm.MaxBytes {
			return nil, fmt.Errorf("BUG: rank %d starts %+v", r.r, x)
		}
		at := path{x.Peer, r.r, x.Tag}
		if x.Send {
			at = path{r.r, x.Peer, x.Tag}
			if !x.Patient {
				w.sent[r.r] += int64(x.Bytes)
			}
		}
		q := w.queues[at]
		if q == nil {
			q = &queue{}
			w.queues[at] = q
		}
		mine := &item{x, p, r.r}
		if len(q.list) == 0 || q.list[0].Send == x.Send {
			q.list = append(q.list, mine)
			continue
		}
		other := q.list[0]
		q.list = q.list[1:]
		from, to := mine, other
		if other.Send {
			from, to = other, mine
		}
		if from.Bytes != to.Bytes {
			err := fmt.Errorf("BUG: rank %d sends %d bytes where rank %d takes %d", from.rank, from.Bytes, to.rank, to.Bytes)
			from.p.err, to.p.err = err, err
		}
		copy(unsafe.Slice((*byte)(to.Data), to.Bytes), unsafe.Slice((*byte)(from.Data), from.Bytes))
		from.p.left--
		to.p.left--
	}
	w.moved.Broadcast()
	return p, nil
}

var errAborted = errors.New("the job was aborted")

type pending struct {
	w    *World
	rank int
	left int
	err  error
}

func (p *pending) Wait(d time.Duration) (bool, error) {
	w := p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.thaw(p.rank)
	if d > 0 && p.left > 0 && p.err == nil && !w.aborted {
		end := time.Now().Add(d)
		t := time.AfterFunc(d, func() { w.mu.Lock(); w.moved.Broadcast(); w.mu.Unlock() })
		defer t.Stop()
		for p.left > 0 && p.err == nil && !w.aborted && time.Now().Before(end) {
			w.moved.Wait()
		}
	}
	switch {
	case p.err != nil:
		return false, p.err
	case p.left == 0:
		return true, nil
	case w.aborted:
		return false, errAborted
	}
	return false, nil
}

// Run runs f on n ranks and joins their errors.
func Run(n int, f func(comm.Transport) error) (*World, error) {
	w, list := New(n)
	errs := make([]error, n)
	var wait sync.WaitGroup
	for r, t := range list {
		wait.Go(func() { errs[r] = f(t) })
	}
	wait.Wait()
	return w, errors.Join(errs...)
}
