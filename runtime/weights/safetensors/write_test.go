package safetensors

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// reference is what the reference implementation (safetensors 0.8.0 for
// Python) writes for the tensors of TestSameBytesAsReference.
const reference = "\xa8\x01\x00\x00\x00\x00\x00\x00" +
	`{"__metadata__":{"format":"np"},"é\"<>":{"dtype":"I64","shape":[0,2],"data_offsets":[0,0]},` +
	`"c":{"dtype":"F64","shape":[],"data_offsets":[0,8]},"z":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},` +
	`"i":{"dtype":"I32","shape":[1],"data_offsets":[12,16]},"b":{"dtype":"F16","shape":[3],"data_offsets":[16,22]},` +
	`"h":{"dtype":"I16","shape":[1],"data_offsets":[22,24]},"a":{"dtype":"U8","shape":[1],"data_offsets":[24,25]}}` + "       " +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00"

func TestSameBytesAsReference(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.safetensors")
	zeros := func(n int) func(io.Writer) error { return Bytes(make([]byte, n)) }
	err := Write(path, []Entry{
		{"b", "F16", []int{3}, zeros(6)},
		{"a", "U8", []int{1}, zeros(1)},
		{"c", "F64", nil, zeros(8)},
		{`é"<>`, "I64", []int{0, 2}, zeros(0)},
		{"z", "F32", []int{1}, zeros(4)},
		{"i", "I32", []int{1}, Bytes([]byte{1, 0, 0, 0})},
		{"h", "I16", []int{1}, Bytes([]byte{1, 0})},
	}, map[string]string{"format": "np"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != reference {
		t.Errorf("wrote\n%q\nwant\n%q", got, reference)
	}
}

// Files of the reference writer, read and written again, have the same bytes.
func TestRewriteRealFiles(t *testing.T) {
	for _, name := range []string{"adapters/smollm135m_medical_ckpt1000/adapter_model.safetensors", "models/stories260K/hf/model.safetensors"} {
		path := filepath.Join(sharedData, name)
		want, err := os.ReadFile(path)
		if err != nil {
			t.Skip("the real files are not here:", err)
		}
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var entries []Entry
		for _, n := range f.Names() {
			x, _ := f.Tensor(n)
			entries = append(entries, Entry{n, x.DType, x.Shape, Bytes(x.Data)})
		}
		again := filepath.Join(t.TempDir(), "again.safetensors")
		if err := Write(again, entries, f.Metadata); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(again)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes read, other %d bytes written", name, len(want), len(got))
		}
	}
}

func TestWriteEmpty(t *testing.T) {
	for _, metadata := range []map[string]string{nil, {}, {"k": "v"}} {
		path := filepath.Join(t.TempDir(), "empty.safetensors")
		if err := Write(path, nil, metadata); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Names()) != 0 || len(f.Metadata) != len(metadata) {
			t.Errorf("%v became %v, %v", metadata, f.Names(), f.Metadata)
		}
		f.Close()
	}
}

func TestWriteRefuses(t *testing.T) {
	two := Entry{"w", "U8", []int{2}, Bytes([]byte{1, 2})}
	broken := errors.New("out of tape")
	for name, c := range map[string]struct {
		entries []Entry
		words   string
	}{
		"name twice":    {[]Entry{two, two}, `"w" is reserved or used twice`},
		"reserved name": {[]Entry{{"__metadata__", "U8", nil, Bytes([]byte{1})}}, "reserved"},
		"dtype":         {[]Entry{{"w", "F33", nil, Bytes(nil)}}, `"F33"`},
		"negative":      {[]Entry{{"w", "U8", []int{-1}, Bytes(nil)}}, "negative"},
		"overflow":      {[]Entry{{"w", "F64", []int{1 << 62, 1 << 62}, Bytes(nil)}}, "overflows"},
		"too few":       {[]Entry{{"w", "U8", []int{2}, Bytes([]byte{1})}}, "tensor w: 1 bytes of 2 are missing"},
		"too many":      {[]Entry{{"w", "U8", []int{2}, Bytes([]byte{1, 2, 3})}}, "tensor w: 1 bytes more"},
		"failing":       {[]Entry{two, {"x", "U8", []int{1}, func(io.Writer) error { return broken }}}, "tensor x: out of tape"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "m.safetensors")
		if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		err := Write(path, c.entries, nil)
		if err == nil || !strings.Contains(err.Error(), c.words) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want %q in it", name, err, c.words)
		}
		if left, _ := os.ReadDir(dir); len(left) != 1 {
			t.Errorf("%s: left %v", name, left)
		}
		if old, _ := os.ReadFile(path); string(old) != "old" {
			t.Errorf("%s: the old file is gone", name)
		}
	}
}
