// Package mindspore reads and writes MindSpore checkpoints: a .ckpt, a sequence of
// protobuf messages, one per tensor, or the same tensors in a safetensors
// container, alone or as the several files of a directory. Files are mapped; a tensor is a view of the
// file unless it was stored in chunks. The package must not know what tensors
// mean, nor how they are sharded over devices.
//
// Format: MindSpore ccsrc/utils/checkpoint.proto and
// python/mindspore/train/serialization.py.
package mindspore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"path/filepath"

	"lorac/runtime/sys/mmap"
	"lorac/runtime/sys/protowire"
	"lorac/runtime/weights/safetensors"
)

// File is an open checkpoint.
type File struct {
	Path   string
	HasCRC bool // the file ends with a checksum; see Verify

	data     []byte // without the checksum
	sum      uint32
	checksum func() uint32 // of a container; nil for a .ckpt
	verify   func() error  // of several files
	entries  []*entry
	byName   map[string]*entry
	close    func() error
}

// entry is a tensor as it is stored.
type entry struct {
	name, dtype string
	shape       []int // nil for a scalar
	zeroDim     bool  // a scalar as older writers store it
	pieces      [][]byte
	bytes       int
	joined      []byte
}

// Open maps a checkpoint and validates everything but the data and the checksum:
// every tensor must have as many bytes as its shape and type require. A file that
// ends in .safetensors is one in that container; a directory is one of
// FindDirectory.
func Open(path string) (*File, error) {
	if d, err := FindDirectory(path); err != nil {
		return nil, err
	} else if d != nil {
		return d.Open()
	}
	if filepath.Ext(path) == Suffix {
		return openContainer(path)
	}
	return mmap.Parse(path, func(m *mmap.File) (*File, error) {
		f, err := Parse(m.Data)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s as a MindSpore checkpoint: %w", path, err)
		}
		mmap.Release(m.Data) // reading the headers faulted their pages and the neighbouring ones in
		f.Path, f.close = path, m.Close
		return f, nil
	})
}

// Parse reads a checkpoint in memory; its tensors share that memory.
func Parse(data []byte) (*File, error) {
	if err := foreign(data); err != nil {
		return nil, err
	}
	f := &File{data: data, byName: map[string]*entry{}}
	f.cutCRC()
	for at := 0; at < len(f.data); {
		field, _, value, n := protowire.Field(f.data[at:])
		if n == 0 || value == nil && field == 1 {
			return nil, fmt.Errorf("byte %d: %w", at, protowire.ErrCut)
		}
		if field == 1 {
			if err := f.value(value); err != nil {
				return nil, fmt.Errorf("byte %d: %w", at, err)
			}
		}
		at += n
	}
	for _, e := range f.entries {
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", e.name, err)
		}
	}
	return f, nil
}

// encrypted are the first words of files saved with enc_key, by enc_mode
// (crypto.cc of MindSpore).
var encrypted = map[uint32]string{0x7F3A5ED8: "AES-GCM", 0x7F3A5ED9: "AES-CBC", 0x7F3A5EDA: "SM4-CBC"}

// foreign recognises other formats that are often given by mistake.
func foreign(data []byte) error {
	switch {
	case len(data) == 0:
		return errors.New("it is empty")
	case len(data) >= 4 && encrypted[binary.LittleEndian.Uint32(data)] != "":
		return fmt.Errorf("it is encrypted (%s); save it again in MindSpore without enc_key", encrypted[binary.LittleEndian.Uint32(data)])
	case bytes.HasPrefix(data, []byte("PK\x03\x04")) || data[0] == 0x80:
		return errors.New("it is a PyTorch file, or another archive")
	case len(data) >= 8 && (string(data[4:8]) == "MSL1" || string(data[4:8]) == "MSL2"):
		return errors.New("it is a MindSpore Lite model (.ms), which is for inference; give the checkpoint it was converted from")
	case isMindIR(data):
		return errors.New("it is a MindIR graph, as export writes; give the checkpoint it was made from")
	case bytes.HasPrefix(data, []byte("\x89HDF")):
		return errors.New("it is an HDF5 file")
	case len(data) > 8 && data[8] == '{' && bytes.Equal(data[4:8], make([]byte, 4)):
		return errors.New("it is a safetensors file; rename it to end in .safetensors")
	case bytes.HasPrefix(data, []byte("GGUF")):
		return errors.New("it is a GGUF file")
	case data[0] == 0x08:
		return errors.New("it is a strategy file, which describes how a checkpoint is sharded; give the checkpoint itself")
	case data[0] != 0x0A:
		return fmt.Errorf("it begins with the byte %#02x, a checkpoint with 0x0a", data[0])
	}
	return nil
}

// isMindIR reports whether data is a graph: a version, then a producer name.
func isMindIR(data []byte) bool {
	_, _, _, n := protowire.Field(data)
	field, _, producer, _ := protowire.Field(data[n:])
	return n > 0 && field == 2 && bytes.HasPrefix(producer, []byte("MindSpore"))
}

// The checksum: a tag and ten bytes, big-endian, of the CRC-32 of all bytes before.
const crcMark, crcSize = "crc_num", 17

func (f *File) cutCRC() {
	n := len(f.data) - crcSize
	if n < 0 || string(f.data[n:n+len(crcMark)]) != crcMark {
		return
	}
	f.sum = binary.BigEndian.Uint32(f.data[n+13:])
	f.data, f.HasCRC = f.data[:n], true
}

// Verify reads the whole file and compares its checksum, if it has one. It releases
// the pages it reads.
func (f *File) Verify() error {
	if f.verify != nil {
		return f.verify()
	}
	if !f.HasCRC {
		return nil
	}
	sum := uint32(0)
	if f.checksum != nil {
		sum = f.checksum()
	}
	const step = 4 << 20
	for at := 0; at < len(f.data); at += step {
		to := min(at+step, len(f.data))
		sum = crc32.Update(sum, crc32.IEEETable, f.data[at:to])
		mmap.Release(f.data[max(at-step, 0):to]) // including the page that two steps share
	}
	if sum != f.sum {
		return fmt.Errorf("%s is corrupt: the checksum does not match the tensors; download or write it again", f.Path)
	}
	return nil
}

// maxPieces bounds the entries of one tensor: 2 TiB in pieces of 512 MiB.
const maxPieces = 4096

// value reads one Value{tag=1, tensor=2, maptensor=3}.
func (f *File) value(message []byte) error {
	var name string
	var tensor []byte
	err := protowire.Each(message, func(field int, _ uint64, data []byte) error {
		switch field {
		case 1:
			name = string(data)
		case 2:
			tensor = data
		case 3:
			return errors.New("it holds a hash-map parameter, which no Llama has")
		}
		return nil
	})
	if err != nil {
		return err
	}
	if tensor == nil {
		return fmt.Errorf("the entry %q has no tensor", name)
	}
	return f.tensor(name, tensor)
}

// tensor reads one TensorProto{dims=1, tensor_type=2, tensor_content=3}. Further
// chunks of a tensor repeat its name.
func (f *File) tensor(name string, message []byte) error {
	e := &entry{name: name}
	var kind string
	var content []byte
	err := protowire.Each(message, func(field int, v uint64, data []byte) error {
		switch {
		case field == 1 && data != nil: // packed
			for len(data) > 0 {
				d, n := binary.Uvarint(data)
				if n <= 0 {
					return protowire.ErrCut
				}
				data = data[n:]
				e.shape = append(e.shape, int(d))
			}
		case field == 1:
			e.shape = append(e.shape, int(v))
		case field == 2:
			kind = string(data)
		case field == 3:
			content = data
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("the entry %q: %w", name, err)
	}
	var ok bool
	if e.dtype, _, ok = typeOf(kind); !ok {
		return fmt.Errorf("the entry %q has the unknown type %q", name, kind)
	}
	if len(e.shape) == 1 && e.shape[0] == 0 {
		e.shape, e.zeroDim = nil, true // the older encoding of a scalar
	}
	first := f.byName[name]
	if first == nil {
		f.entries, f.byName[name] = append(f.entries, e), e
		first = e
	} else if first.dtype != e.dtype || fmt.Sprint(first.shape) != fmt.Sprint(e.shape) {
		return fmt.Errorf("two tensors are named %q, %s %v and %s %v", name, first.dtype, first.shape, e.dtype, e.shape)
	}
	if len(first.pieces) == maxPieces {
		return fmt.Errorf("the tensor %q is in more than %d pieces", name, maxPieces)
	}
	first.pieces = append(first.pieces, content)
	first.bytes += len(content)
	return nil
}

// check compares the bytes of a tensor with its shape.
func (e *entry) check() error {
	_, size, _ := typeName(e.dtype)
	switch {
	case e.dtype == "I4":
		return errors.New("the type Int4 is not supported; give the weights before quantisation")
	case e.dtype == "STR":
		if e.bytes%4 != 0 {
			return fmt.Errorf("the text has %d bytes", e.bytes)
		}
		return nil
	}
	n := uint64(size)
	for _, d := range e.shape {
		hi, lo := bits.Mul64(n, uint64(d))
		if d < 0 || d > 1<<48 || hi != 0 || lo > 1<<62 {
			return fmt.Errorf("the shape %v is invalid", e.shape)
		}
		n = lo
	}
	if n != uint64(e.bytes) {
		return fmt.Errorf("shape %v of %s takes %d bytes, the file has %d", e.shape, e.dtype, n, e.bytes)
	}
	return nil
}

// Names lists the tensors in the order of the file.
func (f *File) Names() []string {
	names := make([]string, len(f.entries))
	for i, e := range f.entries {
		names[i] = e.name
	}
	return names
}

// Header describes a stored tensor. Its bytes are the concatenation of Chunks.
type Header struct {
	DType   string
	Shape   []int // nil for a scalar
	ZeroDim bool  // a scalar that is stored with one dimension of 0
	Chunks  [][]byte
}

// Header describes a tensor without concatenating its chunks.
func (f *File) Header(name string) (Header, bool) {
	e := f.byName[name]
	if e == nil {
		return Header{}, false
	}
	return Header{e.dtype, e.shape, e.zeroDim, e.pieces}, true
}

// Tensor returns a tensor by name. A tensor in several chunks is concatenated into
// new memory on the first call.
func (f *File) Tensor(name string) (safetensors.Tensor, bool) {
	e := f.byName[name]
	if e == nil {
		return safetensors.Tensor{}, false
	}
	data := e.pieces[0]
	if len(e.pieces) > 1 {
		if e.joined == nil {
			e.joined = bytes.Join(e.pieces, nil)
		}
		data = e.joined
	}
	return safetensors.Tensor{Name: name, DType: e.dtype, Shape: e.shape, Data: data}, true
}

// Close unmaps the file. No tensor may be used afterwards.
func (f *File) Close() {
	if f.close != nil {
		f.close() // an munmap error is not actionable
	}
	f.data, f.entries, f.byName, f.close = nil, nil, nil, nil
}

// Bytes is the size of the tensor in its file.
func (h Header) Bytes() (n int) {
	for _, c := range h.Chunks {
		n += len(c)
	}
	return n
}
