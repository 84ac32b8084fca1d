package mindspore

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"math/bits"
	"path/filepath"
	"unicode/utf8"

	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/sys/protowire"
)

// Entry is a tensor to write. Write produces its bytes, exactly as many as type and
// shape require.
type Entry struct {
	Name, DType string // DType as safetensors spells it: F32, BF16, I32, …
	Shape       []int  // nil for a scalar
	Write       func(w io.Writer) error
	ZeroDim     bool // store a scalar with one dimension of 0, the older encoding
	TextBytes   int  // length of a STR, which has no shape
}

// pieceBytes is the greatest number of bytes of a tensor in one entry (MindSpore:
// 512 MiB, since a protobuf message is limited to 2 GiB).
const pieceBytes = 512 << 20

// Write writes a checkpoint atomically, followed by a checksum if crc is set.
// Scalars have no dimensions, as in MindSpore since 2.0, unless ZeroDim selects
// the older encoding. A path that ends in .safetensors gets that container.
func Write(path string, entries []Entry, crc bool) error {
	if filepath.Ext(path) == Suffix {
		return writeContainer(path, entries, crc)
	}
	return atomicfile.WriteFile(path, func(w io.Writer) error {
		sum := crc32.NewIEEE()
		to := w
		if crc {
			to = io.MultiWriter(w, sum)
		}
		seen := map[string]bool{}
		for _, e := range entries {
			if seen[e.Name] {
				return fmt.Errorf("two tensors are named %q", e.Name)
			}
			seen[e.Name] = true
			if err := e.write(to, pieceBytes); err != nil {
				return fmt.Errorf("tensor %q: %w", e.Name, err)
			}
		}
		if !crc {
			return nil
		}
		tail := append([]byte(crcMark), make([]byte, 10)...)
		binary.BigEndian.PutUint32(tail[13:], sum.Sum32())
		_, err := w.Write(tail)
		return err
	})
}

// size is the number of bytes of the tensor.
func (e *Entry) size() (int, error) {
	_, n, ok := typeName(e.DType)
	if !ok || n == 0 {
		return 0, fmt.Errorf("MindSpore has no type for %s", e.DType)
	}
	if e.DType == "STR" {
		return e.TextBytes, nil
	}
	for _, d := range e.Shape {
		hi, lo := bits.Mul64(uint64(n), uint64(d))
		if d < 0 || hi != 0 || lo > 1<<62 {
			return 0, fmt.Errorf("the shape %v is invalid", e.Shape)
		}
		n = int(lo)
	}
	return n, nil
}

func (e *Entry) write(w io.Writer, piece int) error {
	n, err := e.size()
	if err != nil {
		return err
	}
	p := &pieces{w: w, e: e, piece: piece, left: n}
	if n == 0 {
		if err := p.header(0); err != nil {
			return err
		}
	}
	if err := e.Write(p); err != nil {
		return err
	}
	if p.left > 0 {
		return fmt.Errorf("%d of %d bytes are missing", p.left, n)
	}
	return nil
}

// pieces is a writer that splits the data of a tensor into entries.
type pieces struct {
	w     io.Writer
	e     *Entry
	piece int
	left  int // bytes of the tensor still to come
	space int // bytes the current entry still takes
}

// Write adds bytes of the tensor.
func (p *pieces) Write(b []byte) (int, error) {
	done := 0
	for len(b) > 0 {
		if p.left == 0 {
			return done, fmt.Errorf("more bytes than the shape %v takes", p.e.Shape)
		}
		if p.space == 0 {
			p.space = min(p.piece, p.left)
			if err := p.header(p.space); err != nil {
				return done, err
			}
		}
		n, err := p.w.Write(b[:min(len(b), p.space)])
		done, p.space, p.left, b = done+n, p.space-n, p.left-n, b[n:]
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// header writes the fields of an entry that precede its n bytes of content.
func (p *pieces) header(n int) error {
	name, _, _ := typeName(p.e.DType)
	var tensor []byte
	if len(p.e.Shape) == 0 && (p.e.ZeroDim || p.e.DType == "STR") {
		tensor = protowire.AppendVarint(tensor, 1, 0)
	}
	for _, d := range p.e.Shape {
		tensor = protowire.AppendVarint(tensor, 1, uint64(d))
	}
	tensor = protowire.AppendLen(protowire.AppendBytes(tensor, 2, []byte(name)), 3, n)
	value := protowire.AppendLen(protowire.AppendBytes(nil, 1, []byte(p.e.Name)), 2, len(tensor)+n)
	head := protowire.AppendLen(nil, 1, len(value)+len(tensor)+n)
	_, err := p.w.Write(append(append(head, value...), tensor...))
	return err
}

// Bytes writes a slice.
func Bytes(b []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(b); return err }
}

// Int is a scalar of type Int32, as MindFormers stores its counters.
func Int(name string, n int) Entry {
	return Entry{Name: name, DType: "I32", Write: Bytes(binary.LittleEndian.AppendUint32(nil, uint32(int32(n))))}
}

// Text is an entry of type str: UTF-32, as MindSpore appends strings.
func Text(name, text string) Entry {
	b := utf32(text)
	return Entry{Name: name, DType: "STR", TextBytes: 4 * utf8.RuneCountInString(text), Write: Bytes(b)}
}

// Float is a scalar of type Float32.
func Float(name string, x float32) Entry {
	return Entry{Name: name, DType: "F32", Write: Bytes(binary.LittleEndian.AppendUint32(nil, math.Float32bits(x)))}
}
