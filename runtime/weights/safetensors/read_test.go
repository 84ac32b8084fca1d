package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// sharedData is the directory of real files next to the repository, if present.
const sharedData = "../../../../shared/data"

// container makes the bytes of a file from a header and data.
func container(header, data string) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header+data...)
}

func write(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpen(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "m.safetensors"), container(
		`{"__metadata__":{"format":"pt"},"b":{"dtype":"I32","shape":[2,2],"data_offsets":[4,20]},`+
			`"a":{"shape":[],"data_offsets":[0,4],"dtype":"F32","later":[{}]},"none":{"dtype":"U8","shape":[0,7],"data_offsets":[20,20]}}`+"  \n\t",
		"\x00\x00\x80\x3f"+"\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00"))
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := strings.Join(f.Names(), " "); got != "a b none" {
		t.Errorf("names %q", got)
	}
	if f.Metadata["format"] != "pt" {
		t.Errorf("metadata %v", f.Metadata)
	}
	a, _ := f.Tensor("a")
	b, _ := f.Tensor("b")
	none, ok := f.Tensor("none")
	if a.DType != "F32" || len(a.Shape) != 0 || string(a.Data) != "\x00\x00\x80\x3f" {
		t.Errorf("a is %v", a)
	}
	if b.DType != "I32" || len(b.Shape) != 2 || b.Shape[0] != 2 || b.Shape[1] != 2 || binary.LittleEndian.Uint32(b.Data[12:]) != 4 {
		t.Errorf("b is %v", b)
	}
	if !ok || len(none.Data) != 0 {
		t.Errorf("none is %v", none)
	}
	if _, ok := f.Tensor("c"); ok {
		t.Error("a tensor that is not there is found")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error("second Close:", err)
	}
}

// refused are headers and data areas that must be rejected, with a part of the
// error. Unless marked, the reference reader (0.8.0) rejects them, too.
var refused = []struct{ header, data, words string }{
	{`{`, "", "JSON"},
	{``, "", "not a JSON object"},
	{`[]`, "", "not a JSON object"},
	{`null`, "", "not a JSON object"},
	{" \v{}", "", "not a JSON object"},
	{"{}\x00\x00", "", "after its JSON"},
	{`{}{}`, "", "after its JSON"},
	{`{}`, "x", "after the last tensor"},
	{`{"a":1}`, "", "object"},
	{`{"a":null}`, "", "object"},
	{"{\"\xff\":{}}", "", "UTF-8"},
	{`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, "x", "duplicated"}, // the reference reader takes the last
	{`{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, "x", "duplicated"},
	{`{"__metadata__":{"a":1}}`, "", "__metadata__"},
	{`{"__metadata__":[]}`, "", "__metadata__"},
	{`{"__metadata__":{},"__metadata__":{}}`, "", "duplicated"},
	{`{"a":{"shape":[1],"data_offsets":[0,1]}}`, "x", "dtype is missing"},
	{`{"a":{"DType":"U8","shape":[1],"data_offsets":[0,1]}}`, "x", "dtype is missing"},
	{`{"a":{"dtype":"U8","data_offsets":[0,1]}}`, "x", "shape is missing"},
	{`{"a":{"dtype":"U8","shape":[1]}}`, "x", "data_offsets is missing"},
	{`{"a":{"dtype":3,"shape":[1],"data_offsets":[0,1]}}`, "x", "dtype"},
	{`{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,1]}}`, "x", `"F33"`},
	{`{"a":{"dtype":"u8","shape":[1],"data_offsets":[0,1]}}`, "x", `"u8"`},
	{`{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}`, "x", "not a non-negative integer"},
	{`{"a":{"dtype":"U8","shape":[1e0],"data_offsets":[0,1]}}`, "x", "not a non-negative integer"},
	{`{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}`, "x", "not a non-negative integer"},
	{`{"a":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}}`, "x", "not a non-negative integer"},
	{`{"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}}`, "x", "list"},
	{`{"a":{"dtype":"U8","shape":null,"data_offsets":[0,1]}}`, "x", "list"},
	{`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}`, "x", "not 2"},
	{`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1]}}`, "x", "not 2"},
	{`{"a":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,1]}}`, "x", "not a non-negative integer"},
	{`{"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,1]}}`, "x", "too large"},
	{`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, "", "overflows"},
	{`{"a":{"dtype":"F32","shape":[9223372036854775807,9223372036854775807,0],"data_offsets":[0,0]}}`, "", "overflows"},
	{`{"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}}`, "", "overflows"},
	{`{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}`, "x", "whole number of bytes"},
	{`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, "xx", "before tensor \"a\" belong to no tensor"},
	{`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}`, "xxx", "belong to no tensor"},
	{`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, "xxx", "inside"},
	{`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, "x", "inside"},
	{`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}`, "x", "before it begins"},
	{`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,1]}}`, "x", "takes 2 bytes"},
	{`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}`, "x", "truncated"},
	{`{"a":{"dtype":"U8","shape":[2000000000000000000],"data_offsets":[0,2000000000000000000]}}`, "x", "truncated"},
}

func TestRefused(t *testing.T) {
	for _, c := range refused {
		_, err := Parse(container(c.header, c.data))
		if err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s + %q: error %v, want %q in it", c.header, c.data, err, c.words)
		}
	}
}

// The specification forbids white space before the header, the reference reader
// takes it.
func TestSpaceBeforeHeader(t *testing.T) {
	f, err := Parse(container(" \r\n\t{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}} ", "\x00\x00\x80\x3f"))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := f.Tensor("a"); !ok {
		t.Error("its tensor is not found")
	}
}

func TestLengthFieldLies(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"empty":     {},
		"short":     []byte("1234567"),
		"zero":      make([]byte, 8),
		"over-cap":  append(binary.LittleEndian.AppendUint64(nil, maxHeader+1), '{', '}'),
		"over-file": append(binary.LittleEndian.AppendUint64(nil, 3), '{', '}'),
		"negative":  append(binary.LittleEndian.AppendUint64(nil, 1<<63), '{', '}'),
	} {
		path := write(t, filepath.Join(dir, name), data)
		if f, err := Open(path); err == nil {
			f.Close()
			t.Errorf("%s is accepted", name)
		} else if !strings.Contains(err.Error(), path) {
			t.Errorf("%s: the error does not name the file: %v", name, err)
		}
	}
	if _, err := Open(dir); err == nil {
		t.Error("a directory is accepted as a file")
	}
	if _, err := Open(filepath.Join(dir, "missing")); !os.IsNotExist(err) {
		t.Error("missing file:", err)
	}
}

// A header of a few bytes must not make the reader allocate what it claims.
func TestClaimsReserveNothing(t *testing.T) {
	var before, after runtime.MemStats
	data := container(`{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}`, "")
	runtime.ReadMemStats(&before)
	for range 100 {
		Parse(data)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
		t.Errorf("%d bytes were allocated in 100 reads", grown)
	}
}

func TestConformance(t *testing.T) {
	dir := filepath.Join(sharedData, "goldens/safetensors_conformance")
	text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Skip("the conformance files are not here:", err)
	}
	var cases []struct{ File, Expect string }
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) == 0 {
		t.Fatal("no cases:", err)
	}
	for _, c := range cases {
		f, err := Open(filepath.Join(dir, c.File))
		if accept := strings.HasPrefix(c.Expect, "accept"); accept != (err == nil) {
			t.Errorf("%s: %v, expected: %s", c.File, err, c.Expect)
		}
		if err == nil {
			f.Close()
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(container(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}} `, "xx"))
	f.Add(container(`{"__metadata__":{"format":"pt"},"b":{"dtype":"F4","shape":[2,1],"data_offsets":[0,1]},"c":{"dtype":"F32","shape":[0],"data_offsets":[1,1]}}`, "x"))
	for _, c := range refused {
		if len(c.header) < 100 {
			f.Add(container(c.header, c.data))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data)
		if err != nil {
			return
		}
		// An accepted container covers the data area exactly, and can be written and
		// read again.
		var entries []Entry
		total := 0
		for _, name := range file.Names() {
			x, _ := file.Tensor(name)
			total += len(x.Data)
			entries = append(entries, Entry{name, x.DType, x.Shape, Bytes(x.Data)})
		}
		n := int(binary.LittleEndian.Uint64(data))
		if total != len(data)-8-n {
			t.Fatalf("tensors have %d bytes of %d", total, len(data)-8-n)
		}
		header, sizes, err := makeHeader(entries, file.Metadata)
		if err != nil {
			t.Fatal("what was read cannot be written:", err)
		}
		for i, e := range entries {
			if x, _ := file.Tensor(e.Name); uint64(len(x.Data)) != sizes[i] {
				t.Fatalf("%s has %d bytes, would be written as %d", e.Name, len(x.Data), sizes[i])
			}
		}
		if again, err := Parse(append(header, make([]byte, total)...)); err != nil || len(again.Names()) != len(entries) {
			t.Fatal("what was written cannot be read:", err)
		}
	})
}
