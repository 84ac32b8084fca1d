package mindrecord

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lorac/runtime/sys/mmap"
)

// TestPackedInts: the layout by hand for a few numbers, and every width back.
func TestPackedInts(t *testing.T) {
	// Five numbers of 1, 2, 4, 8 and 1 bytes: codes 00 01 10 11 | 00.
	x := []int64{-1, 128, 32768, 1 << 40, 5}
	want := "00000005" + "1b" + "00" + "ff" + "8000" + "00800000" + "0000000000010000" + "05"
	if got := hex.EncodeToString(pack(x)); got != want {
		t.Errorf("packed\n%s, want\n%s", got, want)
	}
	for _, x := range [][]int64{{}, {0}, {127, -128, 128, -129, 32767, -32768, 32768, -32769, math.MaxInt32, math.MinInt32, math.MaxInt32 + 1, math.MaxInt64, math.MinInt64}} {
		if got, err := unpack(nil, pack(x)); err != nil || fmt.Sprint(got) != fmt.Sprint(x) {
			t.Errorf("%v came back as %v, %v", x, got, err)
		}
	}
	for _, bad := range []string{"", "000000", "ffffffff", "0000000100", "00000001c0ff", "000000010000ff"} {
		b, _ := hex.DecodeString(bad)
		if x, err := unpack(nil, b); err == nil {
			t.Errorf("%s was read as %v", bad, x)
		}
	}
}

func TestScalarsByHand(t *testing.T) {
	// {"a": -33, "b": "x", "c": 300} as MessagePack.
	m := map[string]any{"a": int64(-33), "b": "x", "c": int64(300)}
	b, err := encodeMap(m)
	if want := "83a161d0dfa162a178a163cd012c"; err != nil || hex.EncodeToString(b) != want {
		t.Errorf("%x, %v; want %s", b, err, want)
	}
	m = map[string]any{"f": 0.1, "i0": int64(0), "i1": int64(127), "i2": int64(128), "i3": int64(65536), "i4": int64(math.MaxInt64), "n1": int64(-32),
		"n2": int64(-129), "n3": int64(-40000), "n4": int64(math.MinInt64), "s": strings.Repeat("é", 70000), "s2": strings.Repeat("x", 40)}
	if b, err = encodeMap(m); err != nil {
		t.Fatal(err)
	}
	if got, err := decodeMap(b); err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("came back as %v, %v", got, err)
	}
	b = append([]byte{0x81, 0xA1, 'f', 0xCA}, binary.BigEndian.AppendUint32(nil, math.Float32bits(1.5))...)
	if got, err := decodeMap(b); err != nil || got["f"] != 1.5 {
		t.Errorf("a short float came back as %v, %v", got, err)
	}
}

var fields = map[string]Field{"input_ids": {Shape: []int{-1}, Type: "int32"}, "labels": {Shape: []int{-1}, Type: "int32"}, "label": {Type: "int64"}}

func someRows(n int) []Row {
	rng := rand.New(rand.NewPCG(1, 2))
	var rows []Row
	for i := range n {
		ids := make([]int32, rng.IntN(900))
		for k := range ids {
			ids[k] = rng.Int32N(32000) - 100
		}
		rows = append(rows, Row{"input_ids": ids, "labels": ids[:len(ids)/2], "label": int64(i * i)})
	}
	return rows
}

// TestPages writes rows in calls of every size, over many small pages, and
// reads them back; the places in the index are those where the rows lie.
func TestPages(t *testing.T) {
	rows := someRows(400)
	for _, call := range []int{1, 2, 7, 50, 399, 400} {
		path := filepath.Join(t.TempDir(), "x.mindrecord")
		w, err := Create(path, fields, Options{HeaderSize: minHeader, PageSize: minPage, Desc: "qa"})
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(rows); at += call {
			if err := w.Write(rows[at:min(at+call, len(rows))]...); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(w.Saved()); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if h := s.Headers()[0]; len(h.Pages) < 10 || h.IndexFields[0].Field != "label" || *h.CompressionSize != w.Saved() {
			t.Errorf("header %+v", h)
		}
		i := 0
		err = s.Each(func(r *Record) error {
			ids, err := r.Ints("input_ids")
			if err != nil {
				return err
			}
			labels, err := r.Ints("labels")
			if err != nil {
				return err
			}
			scalars, err := r.Scalars()
			if err != nil {
				return err
			}
			if fmt.Sprint(ids) != fmt.Sprint(rows[i]["input_ids"]) || fmt.Sprint(labels) != fmt.Sprint(rows[i]["labels"]) || scalars["label"] != rows[i]["label"] {
				return fmt.Errorf("row %d is another", i)
			}
			if r.Place != w.Index[i] || !maps.Equal(scalars, w.Scalars[i]) || r.ID != i {
				return fmt.Errorf("row %d lies at %+v, the index says %+v", i, r.Place, w.Index[i])
			}
			i++
			return nil
		})
		if err != nil || i != len(rows) || s.Rows != i {
			t.Errorf("calls of %d rows: %d of %d rows, %v", call, i, s.Rows, err)
		}
		s.Close()
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.mindrecord")
	make := func() []byte {
		w, err := Create(path, fields, Options{HeaderSize: minHeader, PageSize: minPage})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(someRows(3)...); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(0); err != nil {
			t.Fatal(err)
		}
		b, _ := os.ReadFile(path)
		return b
	}
	good := make()
	change := func(old, new string) []byte {
		if len(old) != len(new) || !bytes.Contains(good, []byte(old)) {
			t.Fatalf("%q cannot become %q", old, new)
		}
		return bytes.Replace(good, []byte(old), []byte(new), 1)
	}
	lying := bytes.Clone(good)
	binary.LittleEndian.PutUint64(lying[minHeader:], 1<<60)
	for _, c := range []struct {
		data []byte
		want string
	}{
		{good[:7], "fewer than 8 bytes"},
		{append(binary.LittleEndian.AppendUint64(nil, 1<<40), good[8:]...), "the header has"},
		{change(`"version":"3.0"`, `"version":"9.0"`), `version "9.0" is not supported`},
		{change(`"header_size":16384`, `"header_size":16000`), "header_size is 16000"},
		{change(`"page_size":32768`, `"page_size":99999`), "it uses"},
		{change(`"end_row_id":3`, `"end_row_id":2`), "bytes after its last row"},
		{change(`"end_row_id":3`, `"end_row_id":4`), "ends before it"},
		{change(`"shape":[-1]`, `"shape":[-9]`), "shape [-9]"},
		{change(`"type":"int32"`, `"type":"int99"`), `its type is "int99"`},
		{change(`"page_type":"RAW_DATA"`, `"page_type":"RAW_DATB"`), "the page type is"},
		{good[:len(good)-1], "it uses"},
		{lying, "bytes are left"},
		{change(`"shard_addresses":["x.mindrecord"]`, `"shard_addresses":["../indrecord"]`), "not a file name"},
	} {
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		if err == nil {
			err = s.Each(func(r *Record) error { return nil })
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v; want %q", err, c.want)
		}
	}
	os.WriteFile(path, good, 0o600)
	other := filepath.Join(dir, "y.mindrecord")
	os.Rename(path, other)
	if _, err := Open(other); err == nil || !strings.Contains(err.Error(), "was renamed") {
		t.Errorf("a renamed file: %v", err)
	}
}

func TestShards(t *testing.T) {
	dir := t.TempDir()
	names := []string{"x.mindrecord0", "x.mindrecord1"}
	rows := someRows(9)
	for i, n := range names {
		w, err := Create(filepath.Join(dir, n), fields, Options{HeaderSize: minHeader, PageSize: minPage, Shard: i, Shards: names})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(rows[i*4 : i*4+4+i]...); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(77); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(filepath.Join(dir, names[1]))
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	s.Each(func(r *Record) error { seen = append(seen, fmt.Sprint(r.Shard, r.ID)); return nil })
	if s.Rows != 9 || strings.Join(seen, ",") != "0 0,0 1,0 2,0 3,1 0,1 1,1 2,1 3,1 4" {
		t.Errorf("%d rows: %v", s.Rows, seen)
	}
	s.Close()
	os.Remove(filepath.Join(dir, names[0]))
	if _, err := Open(filepath.Join(dir, names[1])); err == nil || !strings.Contains(err.Error(), "x.mindrecord0 is missing") {
		t.Errorf("a missing shard: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "x.mindrecord")
	w, err := Create(path, fields, Options{HeaderSize: minHeader, PageSize: minPage})
	if err != nil {
		f.Fatal(err)
	}
	w.Write(someRows(2)...)
	w.Close(0)
	b, _ := os.ReadFile(path)
	f.Add(b)
	f.Fuzz(func(t *testing.T, data []byte) {
		sh, err := newShard(&mmap.File{Data: data})
		if err != nil {
			return
		}
		sh.each(0, func(r *Record) error {
			r.Scalars()
			for name := range sh.Schemas[0].Fields {
				r.Ints(name)
			}
			return nil
		})
	})
}
