package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sort"

	"lorac/runtime/checkpoint"
)

// Entry is a tensor to write; Write must produce exactly the bytes of the shape.
type Entry struct {
	Name  string
	DType string
	Shape []int
	Write func(w io.Writer) error
}

// Write writes a container in one piece or not at all, in the order of the
// reference writer: wider types first, then by name.
func Write(path string, entries []Entry, metadata map[string]string) error {
	entries = append([]Entry(nil), entries...)
	sort.SliceStable(entries, func(i, j int) bool {
		a, b := sizes[entries[i].DType], sizes[entries[j].DType]
		return a > b || a == b && entries[i].Name < entries[j].Name
	})
	header, err := makeHeader(entries, metadata)
	if err != nil {
		return err
	}
	return checkpoint.WriteFile(path, func(w io.Writer) error {
		b := &counted{w: w}
		if _, err := b.Write(header); err != nil {
			return err
		}
		for _, e := range entries {
			want, _ := byteSize(e.Shape, sizes[e.DType])
			start := b.n
			if err := e.Write(b); err != nil {
				return err
			}
			if uint64(b.n-start) != want {
				return fmt.Errorf("BUG: tensor %q gave %d bytes of %d", e.Name, b.n-start, want)
			}
		}
		return nil
	})
}

func makeHeader(entries []Entry, metadata map[string]string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	sep := ""
	if metadata != nil {
		m, err := json.Marshal(metadata)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, `"__metadata__":%s`, m)
		sep = ","
	}
	at := uint64(0)
	for _, e := range entries {
		size, ok := sizes[e.DType]
		if !ok {
			return nil, fmt.Errorf("BUG: no type %q", e.DType)
		}
		n, err := byteSize(e.Shape, size)
		if err != nil {
			return nil, err
		}
		name, _ := json.Marshal(e.Name)
		shape, _ := json.Marshal(append([]int{}, e.Shape...))
		fmt.Fprintf(&b, `%s%s:{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}`, sep, name, e.DType, shape, at, at+n)
		sep = ","
		at += n
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	return append(binary.LittleEndian.AppendUint64(nil, uint64(b.Len())), b.Bytes()...), nil
}

type counted struct {
	w io.Writer
	n int
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += n
	return n, err
}
