package mindspore

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"unicode/utf8"

	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights/safetensors"
)

// A checkpoint that MindSpore saves with format="safetensors" is one safetensors
// container with MindSpore's parameter names (python/mindspore/train/
// serialization.py, _exec_save). It has the same tensors as a .ckpt; scalars have
// no dimensions, and there is no text.

// Suffix is the extension of a checkpoint in a safetensors container.
const Suffix = ".safetensors"

// IsCheckpoint reports whether a file name has the extension of a MindSpore
// checkpoint of either form.
func IsCheckpoint(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".ckpt" || ext == Suffix
}

// Aside is what a .ckpt holds and a safetensors container has no place for. It is
// kept in the container's metadata, so that converting back gives the same bytes.
type Aside struct {
	Order   []string          `json:"order,omitempty"`
	ZeroDim []string          `json:"zero_dim,omitempty"`
	Text    map[string]string `json:"text,omitempty"`
	CRC     bool              `json:"crc,omitempty"`
}

// AsideKey is the key of Aside in the metadata. crcKey is that of MindSpore's
// checksum, a decimal number.
const AsideKey, crcKey = "mindspore_ckpt", "crc_num"

// AsideOf reads what an earlier conversion kept in the metadata.
func AsideOf(metadata map[string]string) (a Aside) {
	if json.Unmarshal([]byte(metadata[AsideKey]), &a) != nil {
		return Aside{}
	}
	return a
}

// openContainer maps a checkpoint in a safetensors container.
func openContainer(path string) (*File, error) {
	c, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	f, err := fromContainer(c)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("cannot read %s as a MindSpore checkpoint: %w", path, err)
	}
	f.Path, f.close = path, c.Close
	return f, nil
}

// fromContainer shows the tensors of a container in the order its Aside gives,
// otherwise by name.
func fromContainer(c *safetensors.File) (*File, error) {
	f := &File{byName: map[string]*entry{}}
	a := AsideOf(c.Metadata)
	place := map[string]int{}
	for i, name := range a.Order {
		place[name] = i + 1
	}
	names := append(c.Names(), slices.Sorted(maps.Keys(a.Text))...)
	slices.SortStableFunc(names, func(x, y string) int { return place[x] - place[y] })
	for _, name := range names {
		e := &entry{name: name, zeroDim: slices.Contains(a.ZeroDim, name)}
		if t, ok := c.Tensor(name); ok {
			if c.Metadata[name] != "" { // MindSpore notes the type Int4 so, whose bytes are stored as I8
				return nil, fmt.Errorf("%s is of the type %s, which is not supported; give the weights before quantisation", name, c.Metadata[name])
			}
			if _, known := ElemSize(t.DType); !known {
				return nil, fmt.Errorf("%s is stored as %s, which MindSpore does not have", name, t.DType)
			}
			e.dtype, e.pieces, e.bytes = t.DType, [][]byte{t.Data}, len(t.Data)
			if len(t.Shape) > 0 {
				e.shape = t.Shape
			}
		} else {
			text := utf32(a.Text[name])
			e.dtype, e.pieces, e.bytes = "STR", [][]byte{text}, len(text)
		}
		if f.byName[name] != nil {
			return nil, fmt.Errorf("%s is both a tensor and a text", name)
		}
		f.entries, f.byName[name] = append(f.entries, e), e
	}
	text, ok := c.Metadata[crcKey]
	if !ok {
		return f, nil
	}
	sum, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("its checksum is %q, not a number of 32 bits", text)
	}
	f.HasCRC, f.sum = true, uint32(sum)
	f.checksum = func() uint32 {
		h := crc32.NewIEEE()
		for _, name := range c.Names() {
			t, _ := c.Tensor(name)
			sumTensor(h, name, t.DType, t.Shape, func(w io.Writer) error { return writeReleased(w, t.Data) })
		}
		return h.Sum32()
	}
	return f, nil
}

// writeReleased writes mapped bytes and releases their pages.
func writeReleased(w io.Writer, data []byte) error {
	_, err := w.Write(data)
	mmap.Release(data)
	return err
}

// sumTensor adds a tensor to MindSpore's checksum: its name and its bytes. Of a
// scalar of whole numbers Python's bytes(n) is n zero bytes.
func sumTensor(h hash.Hash32, name, dtype string, shape []int, write func(io.Writer) error) error {
	io.WriteString(h, name)
	switch {
	case len(shape) > 0:
	case dtype == "BOOL" || dtype == "F16" || dtype == "BF16" || dtype == "F32" || dtype == "F64":
	default:
		n := &scalarBytes{}
		if err := write(n); err != nil {
			return err
		}
		zero := make([]byte, 1<<12)
		for left := n.value(dtype); left > 0; left -= int64(len(zero)) {
			h.Write(zero[:min(left, int64(len(zero)))])
		}
		return nil
	}
	return write(h)
}

// scalarBytes collects the bytes of a scalar.
type scalarBytes struct{ b []byte }

func (s *scalarBytes) Write(p []byte) (int, error) { s.b = append(s.b, p...); return len(p), nil }

// value is the number, bounded so that a checksum cannot take forever.
func (s *scalarBytes) value(dtype string) int64 {
	var wide [8]byte
	n := copy(wide[:], s.b)
	v := int64(binary.LittleEndian.Uint64(wide[:]))
	if dtype[0] == 'I' && n > 0 && n < 8 {
		v = v << (64 - 8*n) >> (64 - 8*n)
	}
	return max(0, min(v, 1<<32))
}

// writeContainer writes a checkpoint in a safetensors container. Text goes to the
// metadata. With crc each tensor is produced twice, since the checksum precedes
// the data.
func writeContainer(path string, entries []Entry, crc bool) error {
	var a Aside
	var out []safetensors.Entry
	names := map[string]bool{}
	for _, e := range entries {
		if names[e.Name] {
			return fmt.Errorf("cannot write %s: two tensors are named %q", path, e.Name)
		}
		names[e.Name] = true
		if e.DType != "STR" {
			if e.Shape == nil {
				e.Shape = []int{}
			}
			out = append(out, safetensors.Entry{Name: e.Name, DType: e.DType, Shape: e.Shape, Write: e.Write})
			continue
		}
		b := &scalarBytes{}
		if err := e.Write(b); err != nil {
			return fmt.Errorf("cannot write %s: %s: %w", path, e.Name, err)
		}
		if a.Text == nil {
			a.Text = map[string]string{}
		}
		a.Text[e.Name] = fromUTF32(b.b)
	}
	metadata := map[string]string{"format": "ms"}
	if len(a.Text) > 0 {
		b, err := json.Marshal(a)
		if err != nil {
			return err
		}
		metadata[AsideKey] = string(b)
	}
	if crc {
		sorted := slices.Clone(out)
		slices.SortFunc(sorted, func(x, y safetensors.Entry) int {
			if x.Name < y.Name {
				return -1
			}
			return 1
		})
		h := crc32.NewIEEE()
		for _, e := range sorted {
			if err := sumTensor(h, e.Name, e.DType, e.Shape, e.Write); err != nil {
				return fmt.Errorf("cannot write %s: %s: %w", path, e.Name, err)
			}
		}
		metadata[crcKey] = strconv.FormatUint(uint64(h.Sum32()), 10)
	}
	return safetensors.Write(path, out, metadata)
}

// utf32 is a text as MindSpore stores it.
func utf32(text string) []byte {
	var b []byte
	for _, r := range text {
		b = binary.LittleEndian.AppendUint32(b, uint32(r))
	}
	return b
}

func fromUTF32(b []byte) string {
	var out []byte
	for i := 0; i+4 <= len(b); i += 4 {
		out = utf8.AppendRune(out, rune(binary.LittleEndian.Uint32(b[i:])))
	}
	return string(out)
}

// Join shows several files as one checkpoint, and further scalars that stand in no
// file. A tensor may be in one file only; a scalar may be in several, where the
// first counts. Closing the result closes the files.
func Join(path string, files []*File, more []Entry) (*File, error) {
	f := &File{Path: path, byName: map[string]*entry{}}
	from := map[string]string{}
	for _, part := range files {
		f.HasCRC = f.HasCRC || part.HasCRC
		for _, e := range part.entries {
			if old := f.byName[e.name]; old != nil {
				if len(e.shape) > 0 && !(len(e.shape) == 1 && e.shape[0] == 1) {
					return nil, fmt.Errorf("%s is in both %s and %s", e.name, from[e.name], part.Path)
				}
				continue
			}
			f.entries, f.byName[e.name], from[e.name] = append(f.entries, e), e, part.Path
		}
	}
	for _, m := range more {
		if f.byName[m.Name] != nil {
			continue
		}
		b := &scalarBytes{}
		if err := m.Write(b); err != nil {
			return nil, err
		}
		e := &entry{name: m.Name, dtype: m.DType, shape: m.Shape, pieces: [][]byte{b.b}, bytes: len(b.b)}
		f.entries, f.byName[m.Name] = append(f.entries, e), e
	}
	f.verify = func() error {
		for _, part := range files {
			if err := part.Verify(); err != nil {
				return err
			}
		}
		return nil
	}
	f.close = func() error {
		var errs []error
		for _, part := range files {
			if part.close != nil {
				errs = append(errs, part.close())
			}
		}
		return errors.Join(errs...)
	}
	return f, nil
}
