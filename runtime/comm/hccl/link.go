package hccl

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"lorac/runtime/comm"
	"lorac/runtime/exit"
)

// Stream queues work on the stream of a device: what it is, for messages, and what
// queues it. It is called from the goroutine that drives the device.
type Stream func(what string, f func(stream uintptr) error) error

// Link is the transport between the devices of a job's processes. It connects when the
// processes have their devices; until then nothing may be sent.
type Link struct {
	rank, size int
	lib        *library
	comm       uintptr
	stream     Stream
}

// New makes the link of the processes that t joins.
func New(t comm.Transport) *Link { return &Link{rank: t.Rank(), size: t.Size()} }

// TableEnv names the rank table, where an administrator has made one: it says the
// addresses of the devices. Without it HCCL finds them.
const TableEnv = "RANK_TABLE_FILE"

// Connect makes the communicator. All processes call it, on the goroutine that drives
// the device; g carries what rank 0 tells the others.
func (l *Link) Connect(g *comm.Group, s Stream) error {
	lib, err := open()
	if err != nil {
		return err
	}
	l.lib, l.stream = lib, s
	if table := os.Getenv(TableEnv); table != "" {
		err = l.call("HcclCommInitClusterInfo", func() int32 { return lib.initCluster(table, uint32(l.rank), &l.comm) })
	} else {
		err = l.byRoot(g)
	}
	if err != nil {
		return err
	}
	var n uint32
	if err := l.call("HcclGetRankSize", func() int32 { return lib.rankSize(l.comm, &n) }); err != nil {
		return err
	}
	if int(n) != l.size {
		return exit.Inputf("%d processes run the job, but HCCL counts %d\n  = help: %s names a table of another number of ranks", l.size, n, TableEnv)
	}
	return nil
}

// byRoot is Connect with the information that rank 0 makes and all are told.
func (l *Link) byRoot(g *comm.Group) error {
	root := make([]byte, rootBytes)
	var own error
	if l.rank == 0 {
		own = l.call("HcclGetRootInfo", func() int32 { return l.lib.getRoot(unsafe.Pointer(&root[0])) })
		if own != nil {
			root = nil // the others learn that there is none
		}
	}
	root, err := g.Broadcast(0, root)
	switch {
	case own != nil:
		return own
	case err != nil:
		return err
	case len(root) != rootBytes:
		return comm.Quiet{Code: exit.Failed}
	}
	return l.call("HcclCommInitRootInfo", func() int32 {
		return l.lib.initRoot(uint32(l.size), unsafe.Pointer(&root[0]), uint32(l.rank), &l.comm)
	})
}

func (l *Link) call(what string, f func() int32) error { return l.lib.fault(what, f()) }

func (l *Link) Rank() int { return l.rank }
func (l *Link) Size() int { return l.size }

func (l *Link) Name() string {
	if l.lib == nil {
		return "HCCL"
	}
	return l.lib.String()
}

// Start is comm.Transport's: it queues transfers of device memory. It must be called
// from the goroutine that drives the device, by all ranks in one order.
func (l *Link) Start(list []comm.Transfer) (comm.Pending, error) {
	if l.comm == 0 {
		return nil, errors.New("BUG: HCCL is not connected")
	}
	for _, x := range schedule(list, l.rank, l.size) {
		if x.Bytes == 0 {
			continue
		}
		count, dtype := uint64(x.Bytes), int32(typeUint8)
		if x.Bytes%4 == 0 {
			count, dtype = count/4, typeFP32
		}
		f, what := l.lib.recv, fmt.Sprintf("HcclRecv of %d bytes from rank %d", x.Bytes, x.Peer)
		if x.Send {
			f, what = l.lib.send, fmt.Sprintf("HcclSend of %d bytes to rank %d", x.Bytes, x.Peer)
		}
		err := l.stream(what, func(stream uintptr) error {
			return l.lib.fault(what, f(x.Data, count, dtype, uint32(x.Peer), l.comm, stream))
		})
		if err != nil {
			return nil, err
		}
	}
	return queued{}, nil
}

// queued is transfers on the stream.
type queued struct{}

func (queued) Wait(time.Duration) (bool, error) { return true, nil }

// Close ends the communicator, once what is queued is done.
func (l *Link) Close() error {
	if l.comm == 0 {
		return nil
	}
	comm := l.comm
	l.comm = 0
	return l.call("HcclCommDestroy", func() int32 { return l.lib.destroy(comm) })
}

// Abort and Exit are the work of the transport that the processes meet over.
func (l *Link) Abort(int) {}
func (l *Link) Exit(int)  {}
