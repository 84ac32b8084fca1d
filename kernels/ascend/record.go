package ascend

import (
	"errors"
	"slices"
)

// Recording is launches that can be repeated on any device: what a measurement is made
// of. Addresses in it begin at recordBase.
type Recording struct {
	Bytes    int        `json:"bytes"` // of memory that they use
	Data     []Data     `json:"data"`  // that must be there; the rest is any numbers
	Launches []Recorded `json:"launches"`
}

// Data is bytes at an address.
type Data struct {
	At    uint64 `json:"at"`
	Bytes []byte `json:"bytes"`
}

// Recorded is one launch.
type Recorded struct {
	Kernel string   `json:"kernel"`
	Blocks int      `json:"blocks"`
	Args   []uint64 `json:"args"`
}

// recordBase is where recorded addresses begin: sizes and packed sizes are smaller.
const recordBase = 1 << 62

// Recorder is a Device without one: it notes what a Context launches.
type Recorder struct {
	Recording
	Cubes, Vectors int
}

// Cores, Alloc and the others are a Device's.
func (r *Recorder) Cores() (cubes, vectors int) { return r.Cubes, r.Vectors }

func (r *Recorder) Alloc(n int) (Ptr, error) {
	at := recordBase + Ptr(r.Bytes)
	r.Bytes += (n + align - 1) / align * align
	return at, nil
}

func (r *Recorder) Free(Ptr) error { return nil }

func (r *Recorder) Upload(to Ptr, data []byte) error {
	r.Data = append(r.Data, Data{to, slices.Clone(data)})
	return nil
}

func (r *Recorder) Download([]byte, Ptr) error {
	return errors.New("BUG: ascend: a recorder computes nothing")
}

func (r *Recorder) Launch(_ func() string, kernel string, blocks int, args ...uint64) error {
	r.Launches = append(r.Launches, Recorded{kernel, blocks, slices.Clone(args)})
	return nil
}

func (r *Recorder) Sync() error { return nil }

// Load puts the data of a recording into memory of its size.
func (r *Recording) Load(d Device, memory Ptr) error {
	for _, x := range r.Data {
		if err := d.Upload(memory+x.At-recordBase, x.Bytes); err != nil {
			return err
		}
	}
	return nil
}

// Run queues the recorded launches, on what is loaded.
func (r *Recording) Run(d Device, memory Ptr) error {
	var moved []uint64
	for _, l := range r.Launches {
		moved = moved[:0]
		for _, a := range l.Args {
			if a >= recordBase {
				a += memory - recordBase
			}
			moved = append(moved, a)
		}
		if err := d.Launch(func() string { return "a measurement" }, l.Kernel, l.Blocks, moved...); err != nil {
			return err
		}
	}
	return nil
}
