package star

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Variables that the launcher gives its processes, beside those that package comm reads.
const (
	AddressEnv = "LORAC_HUB"       // unix:PATH or tcp:HOST:PORT
	TokenEnv   = "LORAC_HUB_TOKEN" // what a connection begins with
	rankEnv    = "LORAC_RANK"
	sizeEnv    = "LORAC_RANKS"
	localEnv   = "LORAC_LOCAL_RANKS"
	hereEnv    = "LORAC_LOCAL_RANK"
)

// Env is the environment of one of the processes, the here-th of local ones on its host.
func Env(address, token string, rank, size, here, local int) []string {
	return []string{AddressEnv + "=" + address, TokenEnv + "=" + token,
		rankEnv + "=" + strconv.Itoa(rank), sizeEnv + "=" + strconv.Itoa(size), localEnv + "=" + strconv.Itoa(local), hereEnv + "=" + strconv.Itoa(here)}
}

// Ours reports whether an environment variable is one of Env.
func Ours(name string) bool {
	return slices.Contains([]string{AddressEnv, TokenEnv, rankEnv, sizeEnv, localEnv, hereEnv}, name)
}

// network is an address as package net takes it.
func network(address string) (name, at string) {
	name, at, _ = strings.Cut(address, ":")
	return name, at
}

// kind is what a frame is.
type kind uint32

const (
	hello   kind = iota + 1 // the first of a process; peer is its rank, the text its token
	message                 // peer is the other rank
	abort                   // peer is the exit code
	bye                     // the last of a process
)

// frame is a message between a process and the hub.
type frame struct {
	kind kind
	peer uint32
	tag  uint32
	text []byte
}

// mostText is the most bytes of a frame that is taken: no message of a job is larger.
const mostText = 1 << 30

const headerBytes = 20

// write writes a frame.
func (f frame) write(w io.Writer) error {
	head := binary.LittleEndian.AppendUint32(nil, uint32(f.kind))
	head = binary.LittleEndian.AppendUint32(head, f.peer)
	head = binary.LittleEndian.AppendUint32(head, f.tag)
	head = binary.LittleEndian.AppendUint64(head, uint64(len(f.text)))
	_, err := w.Write(append(head, f.text...))
	return err
}

var errFrame = errors.New("what arrives is no message of lorac")

// read reads a frame of at most so many bytes.
func read(r io.Reader, most uint64) (f frame, err error) {
	var head [headerBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return f, err
	}
	f.kind = kind(binary.LittleEndian.Uint32(head[0:]))
	f.peer, f.tag = binary.LittleEndian.Uint32(head[4:]), binary.LittleEndian.Uint32(head[8:])
	n := binary.LittleEndian.Uint64(head[12:])
	if f.kind < hello || f.kind > bye || n > most {
		return f, errFrame
	}
	f.text = make([]byte, n)
	_, err = io.ReadFull(r, f.text)
	return f, err
}

// outbox is frames that wait to be written. Whoever puts one in does not wait.
type outbox struct {
	mu     sync.Mutex
	more   sync.Cond
	list   []frame
	closed bool
	idle   chan struct{} // closed when all is written and no more comes
}

func newOutbox() *outbox {
	o := &outbox{idle: make(chan struct{})}
	o.more.L = &o.mu
	return o
}

func (o *outbox) put(f frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.list = append(o.list, f)
	}
	o.more.Signal()
}

// close ends the box once what is in it is written.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.more.Signal()
}

// drain writes frames to a connection until the box is closed or an error comes.
func (o *outbox) drain(c net.Conn) {
	defer close(o.idle)
	for {
		o.mu.Lock()
		for len(o.list) == 0 && !o.closed {
			o.more.Wait()
		}
		list := o.list
		o.list = nil
		o.mu.Unlock()
		for _, f := range list {
			if f.write(c) != nil { // the reader of the connection tells
				return
			}
		}
		if len(list) == 0 {
			return
		}
	}
}
