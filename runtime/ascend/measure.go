package ascend

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	k "lorac/kernels/ascend"
	"lorac/runtime/device"
)

// Measured is what MeasureMain answers.
type Measured struct {
	Device  string      `json:"device"`
	Seconds [][]float64 `json:"seconds"` // of each launch of each recording, the median
	Error   string      `json:"error,omitempty"`
}

// MeasureMain is the process of a measurement: measure DEVICE KERNELS reads a list of
// recordings from in and writes one line of Measured to out. ACL may print, so it is marked.
func MeasureMain(args []string, in io.Reader, out io.Writer) {
	answer, err := measure(args, in)
	if err != nil {
		answer.Error = err.Error()
	}
	text, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(out, "\nlorac-measure: %s\n", text)
}

func measure(args []string, in io.Reader) (answer Measured, err error) {
	if len(args) != 2 {
		return answer, fmt.Errorf("BUG: measure DEVICE KERNELS, not %q", args)
	}
	var list []k.Recording
	if err := json.NewDecoder(in).Decode(&list); err != nil {
		return answer, err
	}
	id, err := strconv.Atoi(args[0])
	if err != nil {
		return answer, err
	}
	s, err := openStream(id, args[1])
	if err != nil {
		return answer, err
	}
	d := s.Device
	defer d.Close() //nolint:errcheck // what was measured is not less true
	answer.Device = s.Describe()
	memory, err := noise(s, list)
	if err != nil {
		return answer, err
	}
	for _, r := range list {
		if err := r.Load(s, memory); err != nil {
			return answer, err
		}
		var seconds []float64
		for _, l := range r.Launches {
			one := k.Recording{Launches: []k.Recorded{l}}
			t, err := timed(d, func() error { return one.Run(s, memory) })
			if err != nil {
				return answer, err
			}
			seconds = append(seconds, t)
		}
		answer.Seconds = append(answer.Seconds, seconds)
	}
	return answer, nil
}

// noise is memory for the largest recording, full of numbers that are neither large nor
// equal in any of the types.
func noise(s *stream, list []k.Recording) (k.Ptr, error) {
	size := 0
	for _, r := range list {
		size = max(size, r.Bytes)
	}
	memory, err := s.Alloc(max(size, 1))
	if err != nil {
		return 0, err
	}
	rng, block := rand.New(rand.NewPCG(1, 2)), make([]byte, min(size, 4<<20)&^1)
	for i := 0; i < len(block); i += 2 {
		binary.LittleEndian.PutUint16(block[i:], 0x3c00|uint16(rng.Uint32())&0x81ff)
	}
	for at := 0; at < size; at += len(block) {
		if err := s.Upload(memory+k.Ptr(at), block[:min(len(block), size-at)]); err != nil {
			return 0, err
		}
	}
	return memory, s.Sync()
}

// timed is the median of several samples, each of as many runs as make its clock good.
func timed(d *device.Device, do func() error) (float64, error) {
	const samples, least, most = 5, 2 * time.Millisecond, time.Second
	once, err := d.Time(do) // code comes in
	if err != nil {
		return 0, err
	}
	n, spent := int(min(100, 1+least/max(once, time.Microsecond))), once
	var list []float64
	for len(list) == 0 || len(list) < samples && spent < most {
		t, err := d.Time(func() error {
			for range n {
				if err := do(); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		spent += t
		list = append(list, t.Seconds()/float64(n))
	}
	slices.Sort(list)
	return list[len(list)/2], nil
}
