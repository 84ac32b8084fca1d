package comm

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"lorac/runtime/exit"
)

// monitor is the signs of life. Each rank sends one to rank 0 every beat, and rank 0
// one to each: rank 0 watches all, the others watch rank 0. They are messages of one
// goroutine, which neither a step nor a wait holds up.
type monitor struct {
	t        Transport
	o        Options
	groups   int
	waits    atomic.Int64 // goroutines that wait
	waitsFor atomic.Int64 // the rank that the last one began to wait for
	moved    atomic.Int64 // transfers that were done

	mu    sync.Mutex
	hosts []host
	fault error

	peers   []*peer
	leaving chan struct{} // closed by leave
	ended   chan struct{}
	gone    chan struct{} // closed when Abort has returned
	still   time.Time     // since when all ranks have waited and nothing has arrived
	sum     int64         // of what had moved by then
}

type host struct {
	name string
	pid  string
}

// sign is the message. It is small enough to be sent whether or not it is expected.
type sign struct {
	bye      int64 // the last one
	waits    int64
	waitsFor int64
	moved    int64
}

// peer is a rank that is watched.
type peer struct {
	rank    int
	out, in [4]int64
	send    Pending
	recv    Pending
	last    time.Time
	said    sign
	toldBye bool
}

func newMonitor(t Transport, o Options) *monitor {
	m := &monitor{t: t, o: o, leaving: make(chan struct{}), ended: make(chan struct{}), gone: make(chan struct{}), hosts: make([]host, t.Size())}
	for r := range t.Size() {
		if r != t.Rank() && (r == 0 || t.Rank() == 0) {
			m.peers = append(m.peers, &peer{rank: r})
		}
	}
	return m
}

// beat is the time between two signs.
func (m *monitor) beat() time.Duration {
	return min(max(m.o.Timeout/20, 10*time.Millisecond), time.Second)
}

func (m *monitor) start() error {
	now := time.Now()
	for _, p := range m.peers {
		p.last = now
		if err := p.listen(m); err != nil {
			return err
		}
	}
	go m.run()
	return nil
}

func (p *peer) listen(m *monitor) (err error) {
	x := Of(false, p.rank, p.in[:])
	x.Tag, x.Patient = tagBeat, true
	p.recv, err = m.t.Start([]Transfer{x})
	return err
}

func (p *peer) tell(m *monitor, s sign) (err error) {
	p.out = [4]int64{s.bye, s.waits, s.waitsFor, s.moved}
	x := Of(true, p.rank, p.out[:])
	x.Tag, x.Patient = tagBeat, true
	p.send, err = m.t.Start([]Transfer{x})
	return err
}

func (m *monitor) run() {
	defer close(m.ended)
	before, leaving := time.Now(), false
	tick := time.NewTicker(m.beat())
	defer tick.Stop()
	for {
		now := time.Now()
		if late := now.Sub(before) - m.beat(); late > m.o.Timeout/4 {
			// This process was stopped itself. Others may have been well all along.
			for _, p := range m.peers {
				p.last = p.last.Add(late)
			}
			m.still = time.Time{}
		}
		before = now
		done, err := m.round(now, leaving)
		if err != nil {
			m.fail(err)
			return
		}
		switch {
		case done:
			return
		case leaving:
			time.Sleep(time.Millisecond)
		default:
			select {
			case <-tick.C:
			case <-m.leaving:
				leaving = true
			}
		}
	}
}

// round takes the signs that arrived and sends those that are due.
func (m *monitor) round(now time.Time, leaving bool) (done bool, err error) {
	mine := sign{waits: m.waits.Load(), waitsFor: m.waitsFor.Load(), moved: m.moved.Load()}
	if leaving {
		mine.bye = 1
	}
	done = leaving
	for _, p := range m.peers {
		for p.recv != nil {
			arrived, err := p.recv.Wait(0)
			if err != nil {
				return false, m.broken(p, err)
			}
			if !arrived {
				break
			}
			p.last, p.recv = now, nil
			p.said = sign{p.in[0], p.in[1], p.in[2], p.in[3]}
			if p.said.bye == 0 {
				if err := p.listen(m); err != nil {
					return false, m.broken(p, err)
				}
			}
		}
		sent := p.send == nil
		if !sent {
			if sent, err = p.send.Wait(0); err != nil {
				return false, m.broken(p, err)
			}
		}
		if sent && !p.toldBye {
			if err := p.tell(m, mine); err != nil {
				return false, m.broken(p, err)
			}
			p.toldBye, sent = leaving, false
		}
		done = done && sent && p.recv == nil
		if silent := now.Sub(p.last); p.recv != nil && silent > m.patience() {
			return false, exit.Failedf("rank %s gave no sign of life for %.3g s\n= help: it is stopped, out of memory, or cut off; --timeout is how long to wait",
				m.who(p.rank), silent.Seconds())
		}
	}
	return done, m.stalled(now, mine)
}

// patience is the timeout of this rank. That of rank 0 is noticed by all others; rank
// 1 says it, unless it is lost too.
func (m *monitor) patience() time.Duration {
	if m.t.Rank() > 1 {
		return m.o.Timeout + min(m.o.Timeout, 2*time.Second)
	}
	return m.o.Timeout
}

func (m *monitor) broken(p *peer, err error) error {
	return exit.Failedf("rank %s is lost: %w", m.who(p.rank), err)
}

// stalled is the error of a job in which all wait and nothing arrives: a connection is
// lost that no sign takes, or ranks do not do the same.
func (m *monitor) stalled(now time.Time, mine sign) error {
	if m.t.Rank() != 0 || len(m.peers) == 0 {
		return nil
	}
	quiet := mine.waits > 0
	sum := mine.moved
	for _, p := range m.peers {
		quiet = quiet && p.said.waits > 0
		sum += p.said.moved
	}
	if !quiet || sum != m.sum {
		m.sum = sum
		m.still = time.Time{}
		return nil
	}
	if m.still.IsZero() {
		m.still = now
	}
	if now.Sub(m.still) < 2*m.o.Timeout {
		return nil
	}
	text := fmt.Sprintf("rank %s waits for rank %s", m.who(0), m.who(int(mine.waitsFor)))
	for i, p := range m.peers {
		if i == 7 {
			text += fmt.Sprintf("\n  and %d more", len(m.peers)-i)
			break
		}
		text += fmt.Sprintf("\n  rank %s waits for rank %s", m.who(p.rank), m.who(int(p.said.waitsFor)))
	}
	return exit.Failedf("nothing has arrived for %.3g s, and every rank waits:\n  %s\n= help: a connection between two of them is lost, or they do not run the same program", now.Sub(m.still).Seconds(), text)
}

// fail ends the job, once.
func (m *monitor) fail(err error) {
	m.mu.Lock()
	first := m.fault == nil
	if first {
		m.fault = err
	}
	m.mu.Unlock()
	if first {
		m.o.Fault(err)
		m.t.Abort(exit.Code(err))
		close(m.gone)
	}
}

// aborted is the fault, for those that wait. Where Abort ends the process it does not
// return: the fault is said once.
func (m *monitor) aborted() error {
	<-m.gone
	return m.lost()
}

// lost is the fault that was found.
func (m *monitor) lost() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fault
}

// leave ends the signs: each side says that it is its last one.
func (m *monitor) leave() error {
	close(m.leaving)
	<-m.ended
	if m.lost() != nil {
		return m.aborted()
	}
	return nil
}

func (m *monitor) setHosts(all [][]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for r, text := range all {
		name, pid, _ := bytes.Cut(text, []byte{0})
		m.hosts[r] = host{string(name), string(pid)}
	}
}

func (m *monitor) host(rank int) host {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hosts[rank]
}

// who is a rank with its host, where that is known: "3 (node2, process 4711)".
func (m *monitor) who(rank int) string {
	h := m.host(rank)
	if h.pid == "" {
		return strconv.Itoa(rank)
	}
	return fmt.Sprintf("%d (%s, process %s)", rank, h.name, h.pid)
}
