package comm

import (
	"errors"
	"time"
	"unsafe"
)

// Transport is an engine: transfers between two ranks. Its methods may be called
// from any goroutine.
type Transport interface {
	// Rank is this process's number, from 0 to Size()-1.
	Rank() int
	// Size is the number of processes.
	Size() int
	// Name is the engine with its version, for people: "Open MPI 4.1.4 (libmpi.so.40)".
	Name() string
	// Start begins transfers, in the order of the list. It does not wait.
	Start(list []Transfer) (Pending, error)
	// Abort ends all processes of the job with an exit code, at once. Engines of
	// processes do not return from it.
	Abort(code int)
	// Close leaves in order: all ranks call it, after their last transfer is done.
	Close() error
	// Exit ends this process as the engine needs it: after Close, os.Exit is wrong
	// under some MPI libraries. Engines of processes do not return from it.
	Exit(code int)
}

// Transfer is a message to or from another rank. Messages of one tag between two
// ranks arrive in the order in which they were started. Both sides state the same
// number of bytes, at most MaxBytes.
type Transfer struct {
	Peer    int            // the other rank; never this one
	Send    bool           // else receive
	Patient bool           // nobody waits for it: the engine may look for it 50 times a second
	Tag     int            // of a Transport: 0 to MaxTag. Of Group.Exchange: 0 to 15
	Data    unsafe.Pointer // the caller keeps it alive, and where it is, until the transfer is done
	Bytes   int
}

// MaxBytes is the most bytes of one transfer of a Transport. A Group splits what
// is longer.
const MaxBytes = 1 << 30

// MaxTag is the highest tag of a Transport: what every MPI allows.
const MaxTag = 1<<15 - 1

// Pending is transfers under way.
type Pending interface {
	// Wait returns true when all are done, an error when one failed, and false
	// after d. With d = 0 it polls.
	Wait(d time.Duration) (done bool, err error)
}

// Of is a transfer of a slice of numbers.
func Of[T float32 | float64 | byte | int32 | int64 | uint64](send bool, peer int, x []T) Transfer {
	var one T
	return Transfer{Send: send, Peer: peer, Data: unsafe.Pointer(unsafe.SliceData(x)), Bytes: len(x) * int(unsafe.Sizeof(one))}
}

// Alone is the transport of one process. exit ends the process: os.Exit.
func Alone(exit func(code int)) Transport { return alone{exit} }

type alone struct{ exit func(int) }

func (alone) Rank() int        { return 0 }
func (alone) Size() int        { return 1 }
func (alone) Name() string     { return "one process" }
func (a alone) Abort(code int) { a.exit(code) }
func (alone) Close() error     { return nil }
func (a alone) Exit(code int)  { a.exit(code) }

func (alone) Start(list []Transfer) (Pending, error) {
	if len(list) > 0 {
		return nil, errors.New("BUG: a transfer in a job of one process")
	}
	return nothing{}, nil
}

type nothing struct{}

func (nothing) Wait(time.Duration) (bool, error) { return true, nil }
