package star

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Hub is the middle of the star. It passes messages on between its processes, which may
// come in any order; what is for one that is not there yet waits.
type Hub struct {
	Address string // what the processes are told
	Token   string

	events Events
	l      net.Listener
	dir    string
	boxes  []*outbox

	mu    sync.Mutex
	conns []net.Conn
	left  []bool // has said bye
	over  []bool // nothing more comes
	ended bool
}

// Events are what a hub tells of its processes, from goroutines of its own.
type Events struct {
	Lost  func(rank int)       // its connection ended before it left
	Abort func(rank, code int) // it ends the job
}

// NewHub listens for a number of processes: on an address of this machine that only its
// user may open, where address is "", else on host:port.
func NewHub(size int, address, token string, e Events) (h *Hub, err error) {
	if token == "" {
		var random [24]byte
		if _, err := rand.Read(random[:]); err != nil {
			return nil, err
		}
		token = hex.EncodeToString(random[:])
	}
	h = &Hub{Token: token, events: e, conns: make([]net.Conn, size), left: make([]bool, size), over: make([]bool, size)}
	for range size {
		h.boxes = append(h.boxes, newOutbox())
	}
	if address != "" {
		if h.l, err = net.Listen("tcp", address); err != nil {
			return nil, err
		}
		h.Address = "tcp:" + h.l.Addr().String()
	} else {
		if h.dir, err = os.MkdirTemp("", "lorac-hub-"); err != nil { // 0700
			return nil, err
		}
		at := filepath.Join(h.dir, "hub")
		if h.l, err = net.Listen("unix", at); err != nil {
			os.RemoveAll(h.dir)
			return nil, err
		}
		h.Address = "unix:" + at
	}
	go h.accept()
	return h, nil
}

func (h *Hub) accept() {
	for {
		c, err := h.l.Accept()
		if err != nil {
			return
		}
		go h.serve(c)
	}
}

// greeting is how long a connection may take to say who it is.
const greeting = 10 * time.Second

// serve is one connection.
func (h *Hub) serve(c net.Conn) {
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(greeting)) //nolint:errcheck // then the read waits
	f, err := read(c, uint64(len(h.Token)))
	if err != nil || f.kind != hello || subtle.ConstantTimeCompare(f.text, []byte(h.Token)) != 1 || !h.take(int(f.peer), c) {
		return
	}
	c.SetReadDeadline(time.Time{}) //nolint:errcheck // as above
	rank := int(f.peer)
	go h.boxes[rank].drain(c)
	for {
		f, err := read(c, mostText)
		if err != nil {
			h.lost(rank)
			h.settle(rank)
			return
		}
		switch f.kind {
		case message:
			if int(f.peer) < len(h.boxes) {
				h.boxes[f.peer].put(frame{message, uint32(rank), f.tag, f.text})
			}
		case abort:
			h.events.Abort(rank, int(f.peer))
		case bye:
			h.mu.Lock()
			h.left[rank] = true
			h.mu.Unlock()
			h.settle(rank)
			io.Copy(io.Discard, c) //nolint:errcheck // until it closes
			return
		}
	}
}

// take gives a rank its connection, once.
func (h *Hub) take(rank int, c net.Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if rank >= len(h.conns) || h.conns[rank] != nil || h.ended {
		return false
	}
	h.conns[rank] = c
	return true
}

func (h *Hub) lost(rank int) {
	h.mu.Lock()
	over := h.ended
	h.mu.Unlock()
	if !over {
		h.events.Lost(rank)
	}
}

func (h *Hub) settle(rank int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over[rank] = true
}

// Settle waits, a second at most, for what a process that has ended said before.
func (h *Hub) Settle(rank int) {
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		h.mu.Lock()
		over := h.over[rank]
		h.mu.Unlock()
		if over {
			return
		}
	}
}

// Left reports whether a process has left in order.
func (h *Hub) Left(rank int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.left[rank]
}

// Came is how many processes have connected.
func (h *Hub) Came() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		if c != nil {
			n++
		}
	}
	return n
}

// Abort has all processes that are there end at once, with an exit code.
func (h *Hub) Abort(code int) {
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	for _, b := range h.boxes {
		b.put(frame{kind: abort, peer: uint32(code)})
	}
}

// Close ends the hub.
func (h *Hub) Close() {
	h.mu.Lock()
	h.ended = true
	conns := h.conns
	h.mu.Unlock()
	h.l.Close()
	for i, c := range conns {
		h.boxes[i].close()
		if c != nil {
			c.Close()
		}
	}
	if h.dir != "" {
		os.RemoveAll(h.dir)
	}
}
