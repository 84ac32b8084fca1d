package torch

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func floats(x ...float32) []byte {
	var b []byte
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func put(b []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(b); return err }
}

// pack makes an archive of a pickle and storages.
func pack(t testing.TB, method uint16, pickle string, storages map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	add := func(name string, data []byte) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: "archive/" + name, Method: method})
		if err != nil {
			t.Fatal(err)
		}
		w.Write(data)
	}
	add("data.pkl", []byte(pickle))
	for key, data := range storages {
		add("data/"+key, data)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The data.pkl that torch 1.13.1 writes for
// {"w": torch.arange(6.).reshape(2, 3).t()}: the tensor is a transposed view.
const torchPickle = "\x80\x02}q\x00X\x01\x00\x00\x00wq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00\x00\x00storageq\x03" +
	"ctorch\nFloatStorage\nq\x04X\x01\x00\x00\x000q\x05X\x03\x00\x00\x00cpuq\x06K\x06tq\x07QK\x00K\x03K\x02\x86q\x08K\x01K\x03\x86q\x09" +
	"\x89ccollections\nOrderedDict\nq\x0a)Rq\x0btq\x0cRq\x0ds."

func TestReadsTorch(t *testing.T) {
	f, err := Parse(pack(t, zip.Store, torchPickle, map[string][]byte{"0": floats(0, 1, 2, 3, 4, 5)}))
	if err != nil {
		t.Fatal(err)
	}
	w, ok := f.Tensor("w")
	if !ok || w.DType != "F32" || !slices.Equal(w.Shape, []int{3, 2}) || !bytes.Equal(w.Data, floats(0, 3, 1, 4, 2, 5)) {
		t.Errorf("%+v", w)
	}
}

func TestWriteRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "consolidated.00.pth")
	a := floats(1, 2, 3, 4, 5, 6)
	entries := []Entry{
		{Name: "a", DType: "F32", Shape: []int{2, 3}, Write: put(a)},
		{Name: "b", DType: "BF16", Shape: []int{1}, Write: put([]byte{0x80, 0x3F})},
		{Name: "tied", DType: "F32", Shape: []int{2, 3}, SameAs: "a"},
		{Name: "none", DType: "I64", Shape: []int{0, 4}, Write: put(nil)},
		{Name: "scalar", DType: "F64", Write: put(make([]byte, 8))},
	}
	if err := Write(path, entries); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !slices.Equal(f.Names(), []string{"a", "b", "tied", "none", "scalar"}) || !f.Same("a", "tied") || f.Same("a", "b") {
		t.Errorf("%v", f.Names())
	}
	for _, e := range entries {
		got, ok := f.Tensor(e.Name)
		var want bytes.Buffer
		if e.Write != nil {
			e.Write(&want)
		} else {
			want.Write(a)
		}
		if !ok || got.DType != e.DType || !slices.Equal(got.Shape, e.Shape) || !bytes.Equal(got.Data, want.Bytes()) {
			t.Errorf("%s: %+v", e.Name, got)
		}
	}
	// Records are aligned as torch's, so that they can be mapped.
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, r := range z.File {
		if at, _ := r.DataOffset(); at%64 != 0 {
			t.Errorf("%s begins at %d", r.Name, at)
		}
	}
	if err := Write(path, []Entry{entries[0], entries[0]}); err == nil || !strings.Contains(err.Error(), `named "a"`) {
		t.Error(err)
	}
}

func TestStateDictInside(t *testing.T) {
	inner := torchPickle[2 : len(torchPickle)-1]
	pickle := "\x80\x02}(X\x05\x00\x00\x00epochK\x07X\x05\x00\x00\x00model" + inner + "u."
	f, err := Parse(pack(t, zip.Store, pickle, map[string][]byte{"0": floats(0, 1, 2, 3, 4, 5)}))
	if err != nil || !slices.Equal(f.Names(), []string{"w"}) {
		t.Errorf("%v", err)
	}
}

func TestRefuses(t *testing.T) {
	six := map[string][]byte{"0": floats(0, 1, 2, 3, 4, 5)}
	change := func(old, new string) string {
		if strings.Count(torchPickle, old) != 1 {
			t.Fatalf("%q is not there once", old)
		}
		return strings.Replace(torchPickle, old, new, 1)
	}
	for _, c := range []struct{ what, pickle, words string }{
		{"code", "\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.", `imports "os.system"`},
		{"code by names on the stack", "\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.", `imports "builtins.eval"`},
		{"object by class", "\x80\x02}(X\x01\x00\x00\x00accollections\nOrderedDict\n)\x81u.", "0x81"},
		{"attributes of a tensor", change("Rq\x0ds.", "R}bs."), "attributes of"},
		{"more elements than stored", change("K\x06tq\x07Q", "K\x07tq\x07Q"), "has 24 bytes"},
		{"tensor beyond its storage", change("K\x03K\x02\x86", "K\x03K\x03\x86"), "exceeds its storage"},
		{"gigabytes by strides of zero", change("K\x03K\x02\x86q\x08K\x01K\x03\x86", "J\xff\xff\xff\x0fK\x02\x86q\x08K\x00K\x03\x86"), "repeats"},
		{"negative stride", change("K\x01K\x03\x86", "J\xff\xff\xff\xffK\x03\x86"), "unknown description"},
		{"offset", change("QK\x00", "QK\x01"), "exceeds its storage"},
		{"another storage", change("X\x01\x00\x00\x000q", "X\x01\x00\x00\x001q"), `"archive/data/1" is missing`},
		{"path in a key", change("X\x01\x00\x00\x000q", "X\x01\x00\x00\x00/q"), "unknown description"},
		{"quantised storage", change("FloatStorage", "QInt8Storage"), "QInt8Storage"},
		{"nothing on the stack", "\x80\x02R.", "stack underflow"},
		{"over a mark", "\x80\x02N(0.", "stack underflow"},
		{"never kept", "\x80\x02h\x05.", "does not exist"},
		{"text longer than the pickle", "\x80\x02X\xff\xff\xff\xffabc.", "exceeds the pickle"},
		{"long text of 64 bits", "\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc.", "exceeds the pickle"},
		{"cut", "\x80\x02}(", "ends early"},
		{"protocol", "\x80\x09}.", "protocol 9"},
		{"a tensor alone", "\x80\x02" + torchPickle[strings.Index(torchPickle, "ctorch._utils"):len(torchPickle)-2] + ".", "a single tensor"},
		{"no tensors", "\x80\x02}.", "no tensors"},
		{"itself in itself", "\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s.", "no tensors"},
		{"a dict as a key", "\x80\x02}}Ns.", "for a key"},
		{"a key twice", "\x80\x02}(X\x01\x00\x00\x00aNX\x01\x00\x00\x00aNu.", "twice"},
		{"marks without end", "\x80\x02" + strings.Repeat("(", maxStack+1), "marks"},
		{"values without end", "\x80\x02" + strings.Repeat("N", maxStack+1), "stack exceeds"},
		{"one list, many dicts", "\x80\x02](" + strings.Repeat("K\x01N\x86", 1000) + "eq\x000" +
			strings.Repeat("ccollections\nOrderedDict\nh\x00\x85R", 1100) + ".", "twice"},
		{"one empty list, many dicts", "\x80\x02](" + strings.Repeat("]", 1000) + "eq\x000ccollections\nOrderedDict\nh\x00\x85R.", "not pairs"},
	} {
		_, err := Parse(pack(t, zip.Store, c.pickle, six))
		if err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: error %v, want %q in it", c.what, err, c.words)
		}
	}
	good := pack(t, zip.Store, torchPickle, six)
	for _, c := range []struct {
		what  string
		data  []byte
		words string
	}{
		{"empty", nil, "archive"},
		{"old torch", []byte("\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."), "before 1.6"},
		{"bare pickle", []byte("\x80\x04}."), "bare pickle"},
		{"compressed", pack(t, zip.Deflate, torchPickle, six), "compressed"},
		{"cut", good[:len(good)-30], "download complete"},
		{"another archive", func() []byte {
			var b bytes.Buffer
			z := zip.NewWriter(&b)
			z.Create("word/document.xml")
			z.Close()
			return b.Bytes()
		}(), "without data.pkl"},
	} {
		if _, err := Parse(c.data); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: error %v, want %q in it", c.what, err, c.words)
		}
	}
}

// A record that claims more than the file has is rejected, in any of its headers.
func TestLyingLengths(t *testing.T) {
	good := pack(t, zip.Store, torchPickle, map[string][]byte{"0": floats(0, 1, 2, 3, 4, 5)})
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 0xFF
		f, err := Parse(bad)
		if err != nil {
			continue
		}
		for _, n := range f.Names() {
			if w, _ := f.Tensor(n); len(w.Data) > len(good) {
				t.Fatalf("byte %d: a tensor of %d bytes", i, len(w.Data))
			}
		}
	}
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pth")
	if err := os.WriteFile(path, pack(t, zip.Store, "\x80\x02cos\nsystem\n.", nil), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "no code was executed") {
		t.Error(err)
	}
}

func FuzzPickle(f *testing.F) {
	f.Add([]byte(torchPickle))
	f.Add([]byte("\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94K\x01u."))
	f.Add([]byte("\x80\x02](K\x01N\x86eccollections\nOrderedDict\n\x86R."))
	f.Fuzz(func(t *testing.T, pickle []byte) {
		data := pack(t, zip.Store, string(pickle), map[string][]byte{"0": floats(0, 1, 2, 3, 4, 5)})
		file, err := Parse(data)
		if err != nil {
			return
		}
		for _, n := range file.Names() {
			if w, ok := file.Tensor(n); !ok || len(w.Data) > 24 {
				t.Fatalf("%s has %d bytes of a storage of 24", n, len(w.Data))
			}
		}
	})
}

func FuzzArchive(f *testing.F) {
	f.Add(pack(f, zip.Store, "\x80\x02}.", map[string][]byte{"0": {1}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data)
		if err != nil {
			return
		}
		for _, n := range file.Names() {
			if w, _ := file.Tensor(n); len(w.Data) > len(data) {
				t.Fatalf("%s has %d bytes of %d", n, len(w.Data), len(data))
			}
		}
	})
}
