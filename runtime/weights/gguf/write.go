package gguf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"lorac/runtime/sys/atomicfile"
)

// Entry is a tensor to write.
type Entry struct {
	Name, Type string
	Shape      []int
	Write      func(w io.Writer) error // writes the data, as many bytes as type and shape give
}

// KV is an entry of the metadata: string, bool, uint32, int32, uint64, float32,
// []string, []float32 or []int32.
type KV struct {
	Key   string
	Value any
}

const alignment = 32

// Write writes a file of version 3 atomically, tensors in the given order.
func Write(path string, meta []KV, entries []Entry) error {
	var h bytes.Buffer
	u32 := func(v uint32) { h.Write(binary.LittleEndian.AppendUint32(nil, v)) }
	u64 := func(v uint64) { h.Write(binary.LittleEndian.AppendUint64(nil, v)) }
	str := func(s string) { u64(uint64(len(s))); h.WriteString(s) }
	h.WriteString("GGUF")
	u32(version)
	u64(uint64(len(entries)))
	u64(uint64(len(meta)))
	for _, kv := range meta {
		str(kv.Key)
		b, err := encode(kv.Value)
		if err != nil {
			return fmt.Errorf("cannot write %s: %s: %w", path, kv.Key, err)
		}
		h.Write(b)
	}
	sizes, offset := make([]int, len(entries)), 0
	for i, e := range entries {
		t, ok := TypeOf(e.Type)
		if sizes[i] = t.size(e.Shape); !ok || sizes[i] < 0 || len(e.Shape) == 0 || len(e.Shape) > maxRank || len(e.Name) >= maxName {
			return fmt.Errorf("cannot write %s: tensor %q of shape %v cannot be %s", path, e.Name, e.Shape, e.Type)
		}
		str(e.Name)
		u32(uint32(len(e.Shape)))
		for d := len(e.Shape) - 1; d >= 0; d-- {
			u64(uint64(e.Shape[d]))
		}
		u32(t.Code)
		u64(uint64(offset))
		offset += up(sizes[i])
	}
	h.Write(make([]byte, up(h.Len())-h.Len()))
	return atomicfile.WriteFile(path, func(w io.Writer) error {
		if _, err := w.Write(h.Bytes()); err != nil {
			return err
		}
		for i, e := range entries {
			c := &counter{w: w}
			if err := e.Write(c); err != nil {
				return fmt.Errorf("tensor %s: %w", e.Name, err)
			}
			if c.n != sizes[i] {
				return fmt.Errorf("BUG: gguf: tensor %s has %d bytes, %d were written", e.Name, sizes[i], c.n)
			}
			if _, err := w.Write(make([]byte, up(sizes[i])-sizes[i])); err != nil {
				return err
			}
		}
		return nil
	})
}

func up(n int) int { return (n + alignment - 1) / alignment * alignment }

type counter struct {
	w io.Writer
	n int
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += n
	return n, err
}

// encode writes the type of a value and the value.
func encode(v any) ([]byte, error) {
	le := binary.LittleEndian
	str := func(b []byte, s string) []byte { return append(le.AppendUint64(b, uint64(len(s))), s...) }
	list := func(code uint32, n int) []byte {
		return le.AppendUint64(le.AppendUint32(le.AppendUint32(nil, codeArray), code), uint64(n))
	}
	switch v := v.(type) {
	case uint32:
		return le.AppendUint32(le.AppendUint32(nil, 4), v), nil
	case int32:
		return le.AppendUint32(le.AppendUint32(nil, 5), uint32(v)), nil
	case float32:
		return le.AppendUint32(le.AppendUint32(nil, 6), math.Float32bits(v)), nil
	case bool:
		return append(le.AppendUint32(nil, 7), map[bool]byte{true: 1}[v]), nil
	case string:
		return str(le.AppendUint32(nil, codeString), v), nil
	case uint64:
		return le.AppendUint64(le.AppendUint32(nil, 10), v), nil
	case []string:
		b := list(codeString, len(v))
		for _, s := range v {
			b = str(b, s)
		}
		return b, nil
	case []float32:
		b := list(6, len(v))
		for _, x := range v {
			b = le.AppendUint32(b, math.Float32bits(x))
		}
		return b, nil
	case []int32:
		b := list(5, len(v))
		for _, x := range v {
			b = le.AppendUint32(b, uint32(x))
		}
		return b, nil
	}
	return nil, fmt.Errorf("BUG: gguf: no value type for %T", v)
}
