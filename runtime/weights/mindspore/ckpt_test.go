package mindspore

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// One entry by hand: Value{tag "w", TensorProto{dims 2, dims 3, "Int16", 12 bytes}}.
const handMade = "0a1f" + "0a0177" + "121a" + "0802" + "0803" + "1205" + "496e743136" + "1a0c" + "010002000300040005000600"

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHandMade(t *testing.T) {
	raw := unhex(t, handMade)
	raw[1] = byte(len(raw) - 2)
	raw[6] = byte(len(raw) - 7)
	f, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	w, ok := f.Tensor("w")
	if !ok || w.DType != "I16" || len(w.Shape) != 2 || w.Shape[0] != 2 || w.Shape[1] != 3 || len(w.Data) != 12 || w.Data[10] != 6 {
		t.Errorf("read %+v", w)
	}
	path := filepath.Join(t.TempDir(), "w.ckpt")
	if err := Write(path, []Entry{{Name: "w", DType: "I16", Shape: []int{2, 3}, Write: Bytes(w.Data)}}, false); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, raw) {
		t.Errorf("written\n%x\nwant\n%x", got, raw)
	}
}

// entriesOf copies a checkpoint's tensors for writing.
func entriesOf(f *File) []Entry {
	var out []Entry
	for _, n := range f.Names() {
		t, _ := f.Tensor(n)
		h, _ := f.Header(n)
		e := Entry{Name: n, DType: t.DType, Shape: t.Shape, Write: Bytes(t.Data), ZeroDim: h.ZeroDim}
		if t.DType == "STR" {
			e.TextBytes = len(t.Data)
		}
		out = append(out, e)
	}
	return out
}

// TestRealFiles reads checkpoints that MindSpore wrote and writes them again: the
// bytes are the same, including scalars in the older encoding.
func TestRealFiles(t *testing.T) {
	for name, want := range map[string]struct{ tensors, scalars int }{"mindcv_network_2.ckpt": {4, 0}, "serving_lenet_v111.ckpt": {21, 5}} {
		path := filepath.Join("../../../../shared/data/ckpt", name)
		raw, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			t.Skip("the real files are not here:", path)
		}
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		scalars := 0
		for _, n := range f.Names() {
			if x, _ := f.Tensor(n); len(x.Shape) == 0 {
				scalars++
			}
		}
		if len(f.Names()) != want.tensors || scalars != want.scalars {
			t.Errorf("%s: %d tensors, %d of them scalars", name, len(f.Names()), scalars)
		}
		out := filepath.Join(t.TempDir(), name)
		if err := Write(out, entriesOf(f), f.HasCRC); err != nil {
			t.Fatal(err)
		}
		got, _ := os.ReadFile(out)
		if !bytes.Equal(got, raw) {
			t.Errorf("%s: written again it has %d bytes, it had %d", name, len(got), len(raw))
		}
	}
}

func TestPieces(t *testing.T) {
	var b bytes.Buffer
	data := []byte("abcdefghijkl")
	e := Entry{Name: "x", DType: "F32", Shape: []int{3}, Write: func(w io.Writer) error {
		for _, c := range data { // in any split of the writes
			if _, err := w.Write([]byte{c}); err != nil {
				return err
			}
		}
		return nil
	}}
	if err := e.write(&b, 8); err != nil {
		t.Fatal(err)
	}
	f, err := Parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if x, _ := f.Tensor("x"); string(x.Data) != string(data) || len(f.entries) != 1 || len(f.entries[0].pieces) != 2 {
		t.Errorf("%q in %d pieces", x.Data, len(f.entries[0].pieces))
	}
}

func TestChecksum(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.ckpt")
	if err := Write(path, []Entry{{Name: "x", DType: "F32", Shape: []int{2}, Write: Bytes([]byte("12345678"))}, Int("step_num", -3)}, true); err != nil {
		t.Fatal(err)
	}
	raw, _ := os.ReadFile(path)
	check := func(raw []byte) error {
		t.Helper()
		f, err := Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := f.Scalar("step_num"); !f.HasCRC || err != nil || n != -3 {
			t.Errorf("checksum %v, step_num %v, %v", f.HasCRC, n, err)
		}
		return f.Verify()
	}
	if err := check(raw); err != nil {
		t.Error(err)
	}
	bad := bytes.Clone(raw)
	bad[bytes.Index(bad, []byte("1234"))] ^= 1
	if err := check(bad); err == nil || !strings.Contains(err.Error(), "is corrupt") {
		t.Errorf("a changed bit gives %v", err)
	}
}

func TestOldScalars(t *testing.T) {
	// dims=[0] with one element, as MindSpore before 2.0 wrote them, and text.
	f, err := Parse(unhex(t, "0a17"+"0a0473746570"+"120f"+"0800"+"1205496e743332"+"1a0407000000"+
		"0a19"+"0a046e616d65"+"1211"+"0800"+"1203737472"+"1a08"+"6100000062000000"))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.Scalar("step"); n != 7 || err != nil {
		t.Errorf("step is %v, %v", n, err)
	}
	if s, ok := f.Text("name"); s != "ab" || !ok {
		t.Errorf("name is %q", s)
	}
	if _, err := f.Scalar("name"); err == nil {
		t.Error("text is taken for a number")
	}
}

func TestRefused(t *testing.T) {
	good := unhex(t, handMade)
	good[1], good[6] = byte(len(good)-2), byte(len(good)-7)
	change := func(at int, b byte) []byte { c := bytes.Clone(good); c[at] = b; return c }
	for _, c := range []struct {
		data []byte
		want string
	}{
		{nil, "it is empty"},
		{[]byte{0xD8, 0x5E, 0x3A, 0x7F, 0, 0}, "it is encrypted (AES-GCM)"},
		{[]byte{0xD9, 0x5E, 0x3A, 0x7F, 0, 0}, "it is encrypted (AES-CBC)"},
		{[]byte{0xDA, 0x5E, 0x3A, 0x7F, 0, 0}, "it is encrypted (SM4-CBC)"},
		{[]byte("PK\x03\x04..."), "PyTorch"},
		{[]byte("\x80\x02}q"), "PyTorch"},
		{[]byte("GGUF...."), "GGUF"},
		{[]byte("\x1c\x00\x00\x00MSL2\x00\x00"), "MindSpore Lite"},
		{[]byte("\n\x050.1.0\x12\x09MindSpore\x1a\x032.3"), "MindIR"},
		{[]byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"), "safetensors"},
		{[]byte("\x89HDF\r\n"), "HDF5"},
		{[]byte{8, 1}, "strategy file"},
		{[]byte("hello"), "begins with the byte 0x68"},
		{good[:len(good)-1], "cut short"},
		{change(1, 0xFF), "cut short"},
		{change(8, 5), "takes 30 bytes, the file has 12"},
		{change(14, 'x'), "unknown type"},
		{append(bytes.Clone(good), change(8, 1)...), "two tensors are named"},
		{unhex(t, "0a05 0a017a 1a00"), "hash-map"},
		{unhex(t, "0a03 0a017a"), "has no tensor"},
		// 2^62 × 2^62 elements in a few bytes.
		{unhex(t, "0a21"+"0a0177"+"121c"+"08808080808080808040"+"08808080808080808040"+"1204496e7438"+"1a00"), "is invalid"},
		{unhex(t, "0a10"+"0a0177"+"120b"+"0801"+"1204496e7434"+"1a0100"), "Int4"},
	} {
		f, err := Parse(c.data)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%x: %v, %v; want %q", c.data, f, err, c.want)
		}
	}
	if err := Write(filepath.Join(t.TempDir(), "x"), []Entry{{Name: "x", DType: "F32", Shape: []int{2}, Write: Bytes(nil)}}, false); err == nil {
		t.Error("a tensor without its bytes was written")
	}
	if err := Write(filepath.Join(t.TempDir(), "x"), []Entry{{Name: "x", DType: "F32", Shape: nil, Write: Bytes(make([]byte, 5))}}, false); err == nil {
		t.Error("a tensor with too many bytes was written")
	}
	if err := Write(filepath.Join(t.TempDir(), "x"), []Entry{{Name: "x", DType: "F8_E4M3", Shape: nil, Write: Bytes(nil)}}, false); err == nil {
		t.Error("a type MindSpore does not have was written")
	}
}

func FuzzParse(f *testing.F) {
	raw, _ := hex.DecodeString(handMade)
	raw[1], raw[6] = byte(len(raw)-2), byte(len(raw)-7)
	f.Add(raw)
	f.Add([]byte("\n\x03\n\x01xcrc_num\x00\x00\x00\x00\x00\x00\x01\x02\x03\x04"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data)
		if err != nil {
			return
		}
		total := 0
		for _, n := range c.Names() {
			x, ok := c.Tensor(n)
			if !ok {
				t.Fatalf("%q is listed and not there", n)
			}
			total += len(x.Data)
			c.Scalar(n)
			c.Text(n)
		}
		if total > len(data) {
			t.Fatalf("%d bytes of tensors in a file of %d", total, len(data))
		}
		path := filepath.Join(t.TempDir(), "again.ckpt")
		if err := Write(path, entriesOf(c), c.HasCRC); err != nil {
			t.Fatal(err)
		}
		again, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		for _, n := range c.Names() {
			a, _ := c.Tensor(n)
			b, ok := again.Tensor(n)
			if !ok || a.DType != b.DType || !bytes.Equal(a.Data, b.Data) {
				t.Fatalf("%q comes back as another", n)
			}
		}
	})
}
