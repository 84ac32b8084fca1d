package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"lorac/runtime/sys/atomicfile"
)

// Entry is a tensor to write.
type Entry struct {
	Name  string
	DType string
	Shape []int
	// Write produces the bytes, exactly as many as dtype and shape give. It is
	// called once, in the order of the file, so that only one tensor at a time
	// must be in memory.
	Write func(w io.Writer) error
}

// Bytes is the Write function of a tensor in memory.
func Bytes(data []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(data); return err }
}

// Write writes a container atomically. The bytes are those of the reference
// writer: wider types first, then by name, the header padded with spaces to a
// multiple of 8. Metadata is sorted by key, and omitted if nil.
func Write(path string, entries []Entry, metadata map[string]string) error {
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b Entry) int {
		if c := dtypeRank(b.DType) - dtypeRank(a.DType); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	header, sizes, err := makeHeader(entries, metadata)
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return atomicfile.WriteFile(path, func(w io.Writer) error {
		if _, err := w.Write(header); err != nil {
			return err
		}
		for i, e := range entries {
			exact := &exactWriter{w: w, left: sizes[i]}
			err := e.Write(exact)
			if err == nil && exact.left > 0 {
				err = fmt.Errorf("%d bytes of %d are missing", exact.left, sizes[i])
			}
			if err != nil {
				return fmt.Errorf("tensor %s: %w", e.Name, err)
			}
		}
		return nil
	})
}

// makeHeader writes the header of entries in the order of the file, and returns
// the number of bytes each must have.
func makeHeader(entries []Entry, metadata map[string]string) (header []byte, sizes []uint64, err error) {
	var b bytes.Buffer
	b.Write(make([]byte, 8))
	separator := "{"
	if metadata != nil {
		b.WriteString(`{"__metadata__":{`)
		for i, key := range slices.Sorted(maps.Keys(metadata)) {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(quote(key) + ":" + quote(metadata[key]))
		}
		b.WriteByte('}')
		separator = ","
	}
	seen := map[string]bool{"__metadata__": true}
	at := uint64(0)
	for _, e := range entries {
		if seen[e.Name] {
			return nil, nil, fmt.Errorf("the name %q is reserved or used twice", e.Name)
		}
		seen[e.Name] = true
		size, err := byteSize(e.DType, e.Shape)
		if err != nil {
			return nil, nil, fmt.Errorf("tensor %s: %w", e.Name, err)
		}
		if at+size < at {
			return nil, nil, errors.New("the sizes of the tensors overflow")
		}
		shape := strings.ReplaceAll(fmt.Sprint(e.Shape), " ", ",")
		fmt.Fprintf(&b, `%s%s:{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}`, separator, quote(e.Name), e.DType, shape, at, at+size)
		separator = ","
		sizes = append(sizes, size)
		at += size
	}
	if separator == "{" {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	if b.Len()-8 > maxHeader {
		return nil, nil, fmt.Errorf("the header would take %d bytes, at most %d are allowed", b.Len()-8, maxHeader)
	}
	header = b.Bytes()
	binary.LittleEndian.PutUint64(header, uint64(len(header)-8))
	return header, sizes, nil
}

// quote writes a string as JSON, without the escapes for HTML.
func quote(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic("BUG: safetensors: text that is no JSON: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// exactWriter forwards a given number of bytes and rejects more.
type exactWriter struct {
	w    io.Writer
	left uint64
}

func (e *exactWriter) Write(p []byte) (int, error) {
	if uint64(len(p)) > e.left {
		return 0, fmt.Errorf("%d bytes more than the shape takes", uint64(len(p))-e.left)
	}
	n, err := e.w.Write(p)
	e.left -= uint64(n)
	return n, err
}
