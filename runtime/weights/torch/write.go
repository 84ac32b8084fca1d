package torch

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lorac/runtime/sys/atomicfile"
)

// Entry is a tensor to write. Write produces its bytes, exactly as many as type and
// shape require. With SameAs, the name of an earlier entry, nothing is written: both
// names share one tensor.
type Entry struct {
	Name, DType string // DType as safetensors spells it
	Shape       []int
	Write       func(w io.Writer) error
	SameAs      string
}

// alignment is the alignment of records in files of torch.save.
const alignment = 64

// Write writes a dict of tensors as torch.save does, atomically. torch.load reads
// it, also with weights_only.
func Write(path string, entries []Entry) error {
	pickle, sizes, err := pickleOf(entries)
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	root := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	return atomicfile.WriteFile(path, func(w io.Writer) error {
		c := &counter{w: w}
		z := zip.NewWriter(c)
		descriptor := int64(0) // bytes z still writes after the previous record: its checksum and sizes
		add := func(name string, size int, write func(io.Writer) error) error {
			if err := z.Flush(); err != nil {
				return err
			}
			r, err := z.CreateHeader(&zip.FileHeader{Name: root + "/" + name, Method: zip.Store, Modified: time.Time{},
				Extra: padding(c.n + descriptor + 30 + int64(len(root)+1+len(name)))})
			if err != nil {
				return err
			}
			exact := &counter{w: r}
			if err := write(exact); err != nil {
				return err
			}
			if exact.n != int64(size) {
				return fmt.Errorf("BUG: pth: %s takes %d bytes, %d were written", name, size, exact.n)
			}
			if descriptor = 16; exact.n >= math.MaxUint32 {
				descriptor = 24
			}
			return nil
		}
		text := func(name, s string) error {
			return add(name, len(s), func(w io.Writer) error { _, err := io.WriteString(w, s); return err })
		}
		if err := text("data.pkl", string(pickle)); err != nil {
			return err
		}
		if err := text("byteorder", "little"); err != nil {
			return err
		}
		for i, e := range entries {
			if e.SameAs != "" {
				continue
			}
			if err := add("data/"+strconv.Itoa(i), sizes[i], e.Write); err != nil {
				return fmt.Errorf("tensor %s: %w", e.Name, err)
			}
		}
		if err := text("version", "3\n"); err != nil {
			return err
		}
		return z.Close()
	})
}

// padding is an extra field that moves the data after a header, which would begin
// at offset, to the next multiple of the alignment (torch: "FB").
func padding(offset int64) []byte {
	n := (alignment - (offset+4)%alignment) % alignment
	extra := binary.LittleEndian.AppendUint16([]byte("FB"), uint16(n))
	return append(extra, make([]byte, n)...)
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// pickleOf writes data.pkl in protocol 2 and returns the size of each tensor.
func pickleOf(entries []Entry) (out []byte, sizes []int, err error) {
	var b bytes.Buffer
	b.WriteString("\x80\x02}(")
	at := map[string]int{}
	for i, e := range entries {
		if _, twice := at[e.Name]; twice {
			return nil, nil, fmt.Errorf("two tensors are named %q", e.Name)
		}
		key := i
		if e.SameAs != "" {
			first, ok := at[e.SameAs]
			if !ok || fmt.Sprint(entries[first].Shape, entries[first].DType) != fmt.Sprint(e.Shape, e.DType) {
				return nil, nil, fmt.Errorf("%s is declared the same as %s, which does not precede it or differs in type or shape", e.Name, e.SameAs)
			}
			key = first
		}
		at[e.Name] = key
		class, elem := "", 0
		for _, t := range storageTypes {
			if t.dtype == e.DType {
				class, elem = t.class, t.elem
			}
		}
		if class == "" {
			return nil, nil, fmt.Errorf("tensor %s: torch has no storage for %s", e.Name, e.DType)
		}
		n, strides := 1, make([]int, len(e.Shape))
		for d := len(e.Shape) - 1; d >= 0; d-- {
			strides[d] = n
			if e.Shape[d] < 0 || e.Shape[d] > 0 && n > math.MaxInt/16/e.Shape[d] {
				return nil, nil, fmt.Errorf("tensor %s: the shape %v is invalid", e.Name, e.Shape)
			}
			n *= e.Shape[d]
		}
		sizes = append(sizes, n*elem)
		putText(&b, e.Name)
		b.WriteString("ctorch._utils\n_rebuild_tensor_v2\n((")
		putText(&b, "storage")
		b.WriteString("ctorch\n" + class + "\n")
		putText(&b, strconv.Itoa(key))
		putText(&b, "cpu")
		putInts(&b, n)
		b.WriteString("tQK\x00(")
		putInts(&b, e.Shape...)
		b.WriteString("t(")
		putInts(&b, strides...)
		b.WriteString("t\x89ccollections\nOrderedDict\n)RtR")
	}
	b.WriteString("u.")
	return b.Bytes(), sizes, nil
}

func putText(b *bytes.Buffer, s string) {
	b.WriteByte('X')
	b.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(s))))
	b.WriteString(s)
}

func putInts(b *bytes.Buffer, list ...int) {
	for _, n := range list {
		if n <= math.MaxInt32 {
			b.WriteByte('J')
			b.Write(binary.LittleEndian.AppendUint32(nil, uint32(n)))
		} else {
			b.WriteString("\x8a\x08")
			b.Write(binary.LittleEndian.AppendUint64(nil, uint64(n)))
		}
	}
}
