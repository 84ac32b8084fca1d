package gguf

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func write(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.gguf")
	raw := func(b ...byte) func(io.Writer) error {
		return func(w io.Writer) error { _, err := w.Write(b); return err }
	}
	err := Write(path, []KV{{"general.architecture", "llama"}, {"llama.block_count", uint32(2)}, {"llama.rope.freq_base", float32(500000)},
		{"tokenizer.ggml.tokens", []string{"<s>", "a"}}, {"tokenizer.ggml.scores", []float32{0, -1}}, {"tokenizer.ggml.token_type", []int32{3, 1}}, {"x.y", true}},
		[]Entry{
			{"a", "F32", []int{3}, raw(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)},
			{"b", "Q4_0", []int{2, 32}, raw(make([]byte, 36)...)},
			{"c", "F16", []int{2, 1}, raw(1, 2, 3, 4)},
		})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// The bytes of a small file, written by hand after docs/gguf.md.
func TestLayout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.gguf")
	if err := Write(path, []KV{{"k", uint32(7)}}, []Entry{{"t", "F16", []int{3, 2}, func(w io.Writer) error { _, err := w.Write([]byte("abcdefghijkl")); return err }}}); err != nil {
		t.Fatal(err)
	}
	want := "GGUF\x03\x00\x00\x00" + "\x01\x00\x00\x00\x00\x00\x00\x00" + "\x01\x00\x00\x00\x00\x00\x00\x00" +
		"\x01\x00\x00\x00\x00\x00\x00\x00k\x04\x00\x00\x00\x07\x00\x00\x00" +
		"\x01\x00\x00\x00\x00\x00\x00\x00t\x02\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00" + strings.Repeat("\x00", 8)
	want += strings.Repeat("\x00", 96-len(want)) + "abcdefghijkl" + strings.Repeat("\x00", 20)
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%v\n%q\nwant\n%q", err, got, want)
	}
}

func TestRoundTrip(t *testing.T) {
	f, err := Open(write(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := map[string]any{"general.architecture": "llama", "llama.block_count": uint64(2), "llama.rope.freq_base": 500000.0,
		"tokenizer.ggml.tokens": []string{"<s>", "a"}, "tokenizer.ggml.scores": []any{0.0, -1.0}, "tokenizer.ggml.token_type": []any{int64(3), int64(1)}, "x.y": true}
	if !reflect.DeepEqual(f.Meta, want) {
		t.Errorf("metadata %v", f.Meta)
	}
	a, _ := f.Tensor("a")
	b, _ := f.Tensor("b")
	c, _ := f.Tensor("c")
	if a.Data[11] != 12 || !reflect.DeepEqual(b.Shape, []int{2, 32}) || len(b.Data) != 36 || b.Type != "Q4_0" || !bytes.Equal(c.Data, []byte{1, 2, 3, 4}) {
		t.Errorf("tensors %v %v %v", a, b, c)
	}
	if n, ok := f.Int("llama.block_count"); n != 2 || !ok {
		t.Error("block_count", n, ok)
	}
	if _, ok := f.Tensor("d"); ok {
		t.Error("there is a d")
	}
}

func TestRefuses(t *testing.T) {
	good, err := os.ReadFile(write(t))
	if err != nil {
		t.Fatal(err)
	}
	tensor := bytes.Index(good, []byte("\x01\x00\x00\x00\x00\x00\x00\x00b\x02"))
	for _, c := range []struct {
		what  string
		at    int
		bytes string
		words string
	}{
		{"magic", 0, "GGML", "does not begin with GGUF"},
		{"version", 4, "\x01", "version 1"},
		{"big-endian", 4, "\x00\x00\x00\x03", "big-endian"},
		{"tensors", 8, "\xff\xff\xff\xff", "claims"},
		{"keys", 16, "\xff\xff\xff\xff", "claims"},
		{"length of a key", 24, "\xff\xff\xff\xff\xff\xff\xff\xff", "ends before"},
		{"rank", tensor + 9, "\x05", "5 dimensions"},
		{"dimension", tensor + 13, "\xff\xff\xff\xff", "dimension"},
		{"row", tensor + 13, "\x21", "cannot have the shape"},
		{"size", tensor + 21, "\xff\xff\xff\x0f", "download complete"},
		{"type", tensor + 29, "\x63", "type 99"},
		{"offset", tensor + 33, "\x01", "bytes at data offset 1"},
		{"overlap", tensor + 33, "\x00", "overlap"},
		{"name", tensor + 8, "a", "duplicated"},
	} {
		bad := bytes.Clone(good)
		copy(bad[c.at:], c.bytes)
		if _, err := Parse(bad); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: error %v, want %q in it", c.what, err, c.words)
		}
	}
	for n := range len(good) - 32 {
		if _, err := Parse(good[:n]); err == nil {
			t.Errorf("the first %d bytes are accepted", n)
		}
	}
}

// The vocabulary file of llama.cpp's tests: metadata alone.
func TestRealFile(t *testing.T) {
	f, err := Open("../../../../shared/data/tokenizer/llama2/ggml-vocab-llama-spm.gguf")
	if err != nil {
		t.Skip("no sample:", err)
	}
	defer f.Close()
	tokens, _ := f.Meta["tokenizer.ggml.tokens"].([]string)
	if len(tokens) != 32000 || tokens[1] != "<s>" || len(f.Tensors) != 0 {
		t.Errorf("%d tokens, %d tensors", len(tokens), len(f.Tensors))
	}
}

func FuzzParse(f *testing.F) {
	good, err := os.ReadFile(write(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, data []byte) {
		if file, err := Parse(data); err == nil {
			for _, x := range file.Tensors {
				if got, ok := file.Tensor(x.Name); !ok || len(got.Data) != len(x.Data) {
					t.Errorf("%q is not found", x.Name)
				}
			}
		}
	})
}
