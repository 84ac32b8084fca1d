package llama2c

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sharedModel = "../../../../shared/data/models/stories260K/stories260K.bin"

var small = Header{Dim: 8, Hidden: 12, Layers: 2, Heads: 2, KVHeads: 1, Vocab: 5, SeqLen: 3}

// value is element i of a tensor, a number derived from the name.
func value(name string, i int) float32 { return float32(len(name)) + float32(i%17) - 8.25 }

func fill(h Header) func(name string, w io.Writer) error {
	parts, _ := h.walk()
	return func(name string, w io.Writer) error {
		for _, p := range parts {
			if p.name != name {
				continue
			}
			var b []byte
			for i := range p.n {
				b = binary.LittleEndian.AppendUint32(b, math.Float32bits(value(name, i)))
			}
			_, err := w.Write(b)
			return err
		}
		return fmt.Errorf("no %s", name)
	}
}

// TestOrder compares the offsets of chosen elements with hand-computed sums, for
// dim 8, hidden 12, 2 layers, keys of width 4, 5 tokens, head 4, 3 positions.
func TestOrder(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		version int
		shared  bool
		size    int
		places  map[string]int // in elements after the header
	}{
		// embedding 40, attention norms 16, wq 128, wk 64, wv 64, wo 128, ffn
		// norms 16, w1 192, w2 192, w3 192, norm 8, cos 6, sin 6, head 40
		{0, false, 28 + 4*(40+16+128+64+64+128+16+192+192+192+8+6+6+40), map[string]int{
			"tok_embeddings.weight": 0, "layers.1.attention_norm.weight": 48, "layers.0.attention.wq.weight": 56,
			"layers.1.attention.wk.weight": 56 + 128 + 32, "layers.0.ffn_norm.weight": 440, "layers.1.feed_forward.w2.weight": 456 + 192 + 96,
			"norm.weight": 1032, "output.weight": 1052}},
		{0, true, 28 + 4*1052, map[string]int{"norm.weight": 1032}},
		// norms 16, 16, 8, embedding 40, then the matrices
		{1, false, 256 + 4*(40+40+384+576+40), map[string]int{
			"layers.0.attention_norm.weight": 0, "layers.1.ffn_norm.weight": 24, "norm.weight": 32, "tok_embeddings.weight": 40,
			"layers.0.attention.wq.weight": 80, "layers.1.attention.wo.weight": 80 + 128 + 64 + 64 + 64, "output.weight": 80 + 384 + 576}},
		{1, true, 256 + 4*(40+40+384+576), nil},
	} {
		h := small
		h.Version, h.Shared = c.version, c.shared
		path := filepath.Join(dir, "m.bin")
		if err := Write(path, h, fill(h)); err != nil {
			t.Fatal(err)
		}
		data, _ := os.ReadFile(path)
		if len(data) != c.size || !Is(data[:min(len(data), 512)], int64(len(data))) {
			t.Fatalf("version %d: %d bytes, %d are due", c.version, len(data), c.size)
		}
		head := map[bool]int{true: 28, false: 256}[c.version == 0]
		for name, at := range c.places {
			if got := math.Float32frombits(binary.LittleEndian.Uint32(data[head+4*at:])); got != value(name, 0) {
				t.Errorf("version %d: %s begins with %v, want %v", c.version, name, got, value(name, 0))
			}
		}
		f, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		if f.Header != h {
			t.Errorf("header %+v", f.Header)
		}
		for _, n := range f.Names() {
			x, _ := f.Tensor(n)
			var want bytes.Buffer
			fill(h)(n, &want)
			if !bytes.Equal(x.Data, want.Bytes()) {
				t.Errorf("version %d: %s differs", c.version, n)
			}
		}
		if _, ok := f.Shape("output.weight"); ok == c.shared {
			t.Errorf("shared %v, but output.weight: %v", c.shared, ok)
		}
	}
}

// TestBlocks: int8 by hand: 0, 1, -254, 127 with scale 254/127 = 2 become
// 0, 0 (½ to even), -127, 64 (63.5 to even).
func TestBlocks(t *testing.T) {
	var out bytes.Buffer
	s := &sink{w: &out, left: 16, group: 4}
	var b []byte
	for _, x := range []float32{0, 1, -254, 127} {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	s.Write(b[:7])
	s.Write(b[7:])
	if err := s.done(); err != nil {
		t.Fatal(err)
	}
	if want := []byte{0, 0, 0x81, 64, 0, 0, 0, 0x40}; !bytes.Equal(out.Bytes(), want) {
		t.Errorf("% x, want % x", out.Bytes(), want)
	}
	for given, want := range map[int]int{0: 4, 8: 8} { // 64 halved until it divides 8 and 12; groups that cross rows of 12
		readBack(t, given, want)
	}
}

// readBack compares what is read of a file in int8 with what was written.
func readBack(t *testing.T, given, group int) {
	t.Helper()
	h := small
	h.Version, h.Shared, h.Group = 2, true, given
	path := filepath.Join(t.TempDir(), "m.bin")
	if err := Write(path, h, fill(small)); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Group != group {
		t.Errorf("groups of %d", f.Group)
	}
	for _, n := range f.Names() {
		x, _ := f.Tensor(n)
		for i := range len(x.Data) / 4 {
			got, want := math.Float32frombits(binary.LittleEndian.Uint32(x.Data[4*i:])), value(n, i)
			if math.Abs(float64(got-want)) > 40.0/254 { // half a scale of values below 40
				t.Fatalf("%s[%d] is %v, was %v", n, i, got, want)
			}
		}
	}
}

func TestRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.bin")
	if err := Write(path, small, fill(small)); err != nil {
		t.Fatal(err)
	}
	good, _ := os.ReadFile(path)
	with := func(at int, v uint32) []byte {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint32(b[at:], v)
		return b
	}
	for _, c := range []struct {
		data  []byte
		words string
	}{
		{nil, "0 bytes"}, {good[:27], "27 bytes"}, {good[:len(good)-1], "download complete"}, {append(bytes.Clone(good), 0), "download complete"},
		{with(0, 0), "not the sizes"}, {with(0, 1<<31), "not the sizes"}, {with(12, 3), "inconsistent"}, {with(16, 3), "inconsistent"},
		{with(8, 1<<23), "inconsistent"}, {with(24, 1<<24), "download complete"}, {with(20, 1<<24), "download complete"},
		{with(0, magic), "version 12"},
	} {
		if _, err := Parse(c.data); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("error %v, want %q in it", err, c.words)
		}
	}
	if err := Write(path, small, func(string, io.Writer) error { return nil }); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Error(err)
	}
	if now, _ := os.ReadFile(path); !bytes.Equal(now, good) {
		t.Error("a failed write changed the file")
	}
}

// The real file, read and written again, has the same bytes, except in the tables
// of the rotary embedding, where math libraries differ in the last bit.
func TestRealModel(t *testing.T) {
	want, err := os.ReadFile(sharedModel)
	if err != nil {
		t.Skip("the real model is not here:", err)
	}
	f, err := Parse(want)
	if err != nil {
		t.Fatal(err)
	}
	if f.Header != (Header{Dim: 64, Hidden: 172, Layers: 5, Heads: 8, KVHeads: 4, Vocab: 512, SeqLen: 512, Shared: true}) {
		t.Errorf("%+v", f.Header)
	}
	path := filepath.Join(t.TempDir(), "m.bin")
	err = Write(path, f.Header, func(name string, w io.Writer) error {
		x, _ := f.Tensor(name)
		_, err := w.Write(x.Data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(path)
	tables := len(want) - 2*4*512*4 // they end the file: cosines and sines of 4 pairs at 512 positions
	if len(got) != len(want) || !bytes.Equal(got[:tables], want[:tables]) {
		t.Fatal("the weights are written differently")
	}
	for i := tables; i < len(want); i += 4 {
		a, b := math.Float32frombits(binary.LittleEndian.Uint32(got[i:])), math.Float32frombits(binary.LittleEndian.Uint32(want[i:]))
		if math.Abs(float64(a-b)) > 4e-5 { // an angle of up to 512 has an error of up to 512·2^-24
			t.Fatalf("the tables differ: %v, %v", a, b)
		}
	}
}

func FuzzLlama2c(f *testing.F) {
	h := small
	f.Add(h.bytes())
	h.Version, h.Group = 2, 4
	f.Add(h.bytes())
	f.Add([]byte("\x02\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00" + strings.Repeat("\x00", 104)))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data)
		if err != nil {
			return
		}
		for _, n := range file.Names() {
			if x, ok := file.Tensor(n); !ok || len(x.Data) > 4*len(data) {
				t.Fatalf("%s has %d bytes of %d", n, len(x.Data), len(data))
			}
		}
	})
}
