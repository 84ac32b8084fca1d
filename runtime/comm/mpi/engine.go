package mpi

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"lorac/runtime/comm"
	"lorac/runtime/sys/dl"
)

// engine is the one thread that calls the library.
type engine struct {
	*library
	r, n     int
	commands chan func()
	active   []*item // somebody waits for them
	patient  []*item
	flag     *int32
	args     []uintptr
	over     bool // after MPI_Finalize
	timeout  time.Duration
}

// item is a transfer under way.
type item struct {
	request uintptr
	comm.Transfer
	p *pending
}

// pending is the transfers of one Start.
type pending struct {
	left int // of the engine's thread
	err  error
	over atomic.Bool
	once sync.Once
	done chan struct{}
}

func (p *pending) finish(err error) {
	p.once.Do(func() {
		p.err = err
		p.over.Store(true)
		close(p.done)
	})
}

// Wait is comm.Pending's.
func (p *pending) Wait(d time.Duration) (bool, error) {
	if !p.over.Load() {
		if d <= 0 {
			return false, nil
		}
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-p.done:
		case <-t.C:
			return false, nil
		}
	}
	return p.err == nil, p.err
}

func (e *engine) Rank() int    { return e.r }
func (e *engine) Size() int    { return e.n }
func (e *engine) Name() string { return e.String() }

// Start is comm.Transport's.
func (e *engine) Start(list []comm.Transfer) (comm.Pending, error) {
	for _, x := range list {
		if x.Peer < 0 || x.Peer >= e.n || x.Peer == e.r || x.Tag < 0 || x.Tag > comm.MaxTag || x.Bytes < 0 || x.Bytes > comm.MaxBytes {
			return nil, fmt.Errorf("BUG: a transfer with rank %d, tag %d, of %d bytes", x.Peer, x.Tag, x.Bytes)
		}
	}
	p := &pending{left: len(list), done: make(chan struct{})}
	if len(list) == 0 {
		p.finish(nil)
		return p, nil
	}
	items := make([]*item, len(list))
	for i, x := range list {
		items[i] = &item{Transfer: x, p: p}
	}
	e.commands <- func() { e.begin(items) }
	return p, nil
}

var errOver = errors.New("the process has left the job")

// begin starts transfers, on the engine's thread.
func (e *engine) begin(items []*item) {
	for _, it := range items {
		if e.over {
			it.p.finish(errOver)
			return
		}
		f, what := e.irecv, "MPI_Irecv"
		if it.Send {
			f, what = e.isend, "MPI_Isend"
		}
		code := e.call(f, uintptr(it.Data), uintptr(it.Bytes), e.bytes, uintptr(it.Peer), uintptr(it.Tag), e.world, uintptr(unsafe.Pointer(&it.request)))
		if err := e.check(what, code); err != nil {
			it.p.finish(err)
			continue
		}
		if it.Patient {
			e.patient = append(e.patient, it)
		} else {
			e.active = append(e.active, it)
		}
	}
}

// call calls without an allocation: a poll happens a million times a second.
func (e *engine) call(f uintptr, args ...uintptr) uintptr {
	n := copy(e.args, args)
	return dl.Invoke(f, e.args[:n]...)
}

// poll tests transfers and keeps those that are not done.
func (e *engine) poll(list []*item) (rest []*item, moved bool) {
	rest = list[:0]
	for _, it := range list {
		err := e.check("MPI_Test", e.call(e.test, uintptr(unsafe.Pointer(&it.request)), uintptr(unsafe.Pointer(e.flag)), e.statusIgnore))
		if err == nil && *e.flag == 0 {
			rest = append(rest, it)
			continue
		}
		moved = true
		if it.p.left--; err != nil || it.p.left == 0 {
			it.p.finish(err)
		}
	}
	clear(list[len(rest):])
	return rest, moved
}

const (
	attentive = 300 * time.Microsecond // of polling after a start
	busy      = 5 * time.Millisecond   // of polling after something arrived
	shortNap  = 50 * time.Microsecond
	longNap   = 500 * time.Microsecond
	forward   = 300 * time.Millisecond // of the launcher for the last output
	hang      = 5 * time.Second        // after which the library does not abort or exit
	glance    = 20 * time.Millisecond  // between two looks for what nobody waits for
)

// loop runs commands and polls, until the process ends.
func (e *engine) loop() {
	timer := time.NewTimer(0)
	var until, looked time.Time
	nap := shortNap
	for {
		for more := true; more; {
			select {
			case f := <-e.commands:
				before := len(e.active)
				f()
				if len(e.active) > before {
					until, nap = later(until, time.Now().Add(attentive)), shortNap
				}
			default:
				more = false
			}
		}
		now := time.Now()
		if now.Sub(looked) >= glance {
			looked = now
			e.patient, _ = e.poll(e.patient)
		}
		var moved bool
		if e.active, moved = e.poll(e.active); moved {
			until, nap = now.Add(busy), shortNap
			continue
		}
		pause := nap
		switch {
		case len(e.active) == 0:
			pause = glance
		case now.Before(until):
			e.call(e.yield) // another rank may have this core
			continue
		default:
			nap = min(2*nap, longNap)
		}
		timer.Reset(pause)
		select {
		case f := <-e.commands:
			before := len(e.active)
			f()
			if len(e.active) > before {
				until, nap = time.Now().Add(attentive), shortNap
			}
		case <-timer.C:
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// do runs f on the engine's thread and waits. It is false where f has not returned in time.
func (e *engine) do(limit time.Duration, f func()) bool {
	done := make(chan struct{})
	late := time.After(limit)
	select {
	case e.commands <- func() { f(); close(done) }:
	case <-late:
		return false
	}
	select {
	case <-done:
		return true
	case <-late:
		return false
	}
}

// Abort is comm.Transport's. It does not return. What this process has printed is given
// time to pass the launcher, which drops what arrives with the abort.
func (e *engine) Abort(code int) {
	time.Sleep(forward)
	e.do(hang, func() {
		if e.over {
			e.call(e.exit, uintptr(code))
		}
		e.call(e.abort, e.world, uintptr(code))
	})
	os.Exit(code) // the library hangs
}

// Close is comm.Transport's.
func (e *engine) Close() (err error) {
	ok := e.do(e.timeout, func() {
		if !e.over {
			e.over = true
			err = e.check("MPI_Finalize", e.call(e.finalize))
		}
	})
	if !ok {
		return fmt.Errorf("MPI_Finalize did not return within %v", e.timeout)
	}
	return err
}

// Exit is comm.Transport's. It ends the process by the C library's exit: MPICH from 4.3
// on takes leave of its launcher in a handler of it, and without that the launcher ends
// the ranks that are not done yet.
func (e *engine) Exit(code int) {
	if e.Close() == nil {
		e.do(hang, func() { e.call(e.exit, uintptr(code)) })
	}
	os.Exit(code)
}

// newEngine starts the thread and initialises the library in it.
func newEngine(lib *library, timeout time.Duration) (*engine, error) {
	e := &engine{library: lib, commands: make(chan func(), 64), flag: new(int32), args: make([]uintptr, 8), timeout: timeout}
	go func() {
		runtime.LockOSThread() // never unlocked: MPI_THREAD_FUNNELED means the thread of MPI_Init
		e.loop()
	}()
	var err error
	ok := e.do(timeout, func() { err = e.init() })
	if !ok {
		return nil, fmt.Errorf("MPI_Init did not return within %v", timeout)
	}
	return e, err
}

func (e *engine) init() error {
	v := &e.out.n
	if err := e.check("MPI_Init_thread", e.call(e.initThread, 0, 0, e.funneled, uintptr(unsafe.Pointer(&v[0])))); err != nil {
		return err
	}
	if v[0] < int32(e.funneled) {
		return errors.New("the library does not allow calls in a program of several threads (MPI_THREAD_FUNNELED)")
	}
	err := e.check("MPI_Comm_set_errhandler", e.call(e.setErrhandler, e.world, e.errorsReturn))
	if err == nil {
		err = e.check("MPI_Comm_rank", e.call(e.rank, e.world, uintptr(unsafe.Pointer(&v[1]))))
	}
	if err == nil {
		err = e.check("MPI_Comm_size", e.call(e.size, e.world, uintptr(unsafe.Pointer(&v[2]))))
	}
	e.r, e.n = int(v[1]), int(v[2])
	return err
}
