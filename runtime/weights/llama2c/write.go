package llama2c

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"lorac/runtime/sys/atomicfile"
)

// Write writes a file atomically. tensor writes the parameter of a Meta name as
// F32, little-endian, in row-major order; it is called once for each, in the
// order of the file.
func Write(path string, h Header, tensor func(name string, w io.Writer) error) error {
	if h.Version == 2 && h.Group == 0 {
		for h.Group = 64; h.Group > 1 && (h.Dim%h.Group != 0 || h.Hidden%h.Group != 0); h.Group /= 2 {
		}
	}
	if err := h.check(); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	parts, _ := h.walk()
	return atomicfile.WriteFile(path, func(w io.Writer) error {
		if _, err := w.Write(h.bytes()); err != nil {
			return err
		}
		sine := false
		for _, p := range parts {
			if p.name == "" {
				if err := h.rotary(w, sine); err != nil {
					return err
				}
				sine = true
				continue
			}
			to := &sink{w: w, left: 4 * p.n}
			if h.Version == 2 && !p.exact {
				to.group = h.Group
			}
			err := tensor(p.name, to)
			if err == nil {
				err = to.done()
			}
			if err != nil {
				return fmt.Errorf("tensor %s: %w", p.name, err)
			}
		}
		return nil
	})
}

func (h Header) bytes() []byte {
	var b []byte
	num := func(list ...int) {
		for _, n := range list {
			b = binary.LittleEndian.AppendUint32(b, uint32(int32(n)))
		}
	}
	vocab := h.Vocab
	if h.Version > 0 {
		num(magic, h.Version)
	} else if !h.Shared {
		vocab = -vocab
	}
	num(h.Dim, h.Hidden, h.Layers, h.Heads, h.KVHeads, vocab, h.SeqLen)
	if h.Version == 0 {
		return b
	}
	b = append(b, map[bool]byte{true: 1}[h.Shared])
	if h.Version == 2 {
		num(h.Group)
	}
	return append(b, make([]byte, headerSize-len(b))...)
}

// rotary writes the table of cosines or sines that the legacy format contains
// and run.c skips (llama2.c model.py, precompute_freqs_cis).
func (h Header) rotary(w io.Writer, sine bool) error {
	half := h.HeadDim() / 2
	for pos := range h.SeqLen {
		var b []byte
		for j := range half {
			freq := 1 / float32(math.Pow(10000, float64(float32(2*j)/float32(h.HeadDim()))))
			angle := float64(float32(pos) * freq)
			x := math.Cos(angle)
			if sine {
				x = math.Sin(angle)
			}
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(x)))
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// sink takes the F32 bytes of one tensor and writes them unchanged, or as int8
// groups followed by the scales of all groups.
type sink struct {
	w      io.Writer
	left   int // bytes still to come
	group  int // 0 to write f32
	rest   []byte
	scales []byte
}

func (s *sink) Write(b []byte) (int, error) {
	if len(b) > s.left {
		return 0, fmt.Errorf("%d bytes more than the shape takes", len(b)-s.left)
	}
	s.left -= len(b)
	if s.group == 0 {
		return s.w.Write(b)
	}
	s.rest = append(s.rest, b...)
	at := 0
	var out []byte
	for ; len(s.rest)-at >= 4*s.group; at += 4 * s.group {
		out = s.quantise(out, s.rest[at:at+4*s.group])
	}
	s.rest = append(s.rest[:0], s.rest[at:]...)
	if _, err := s.w.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// quantise is llama2.c's quantize_q80: the scale is the greatest magnitude divided
// by 127, elements are rounded to nearest, ties to even.
func (s *sink) quantise(out, group []byte) []byte {
	at := func(i int) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(group[4*i:])) }
	most := float32(0)
	for i := range s.group {
		most = max(most, float32(math.Abs(float64(at(i)))))
	}
	scale := most / 127
	for i := range s.group {
		q := 0.0
		if scale > 0 {
			q = math.RoundToEven(float64(at(i) / scale))
		}
		out = append(out, byte(int8(q)))
	}
	s.scales = binary.LittleEndian.AppendUint32(s.scales, math.Float32bits(scale))
	return out
}

func (s *sink) done() error {
	if s.left > 0 || len(s.rest) > 0 {
		return fmt.Errorf("%d bytes are missing", s.left+len(s.rest))
	}
	_, err := s.w.Write(s.scales)
	return err
}
