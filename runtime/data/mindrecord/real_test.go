package mindrecord

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

const realDir = "../../../../shared/data/mindrecord"

// rowsOf reads a whole set into rows that can be written again.
func rowsOf(t *testing.T, s *Set) []Row {
	t.Helper()
	var out []Row
	err := s.Each(func(r *Record) error {
		row, err := r.Scalars()
		if err != nil {
			return err
		}
		delete(row, "id")
		for name, f := range s.Schema().Fields {
			if !f.Blob() {
				continue
			}
			switch f.Type {
			case "int32", "int64":
				x, err := r.Ints(name)
				if err != nil {
					return err
				}
				if f.Type == "int64" {
					row[name] = x
					continue
				}
				var y []int32
				for _, v := range x {
					y = append(y, int32(v))
				}
				row[name] = y
			default:
				b, err := r.Bytes(name)
				if err != nil {
					return err
				}
				row[name] = b
			}
		}
		out = append(out, row)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRealV3: a file that MindSpore wrote is read and written again: the same bytes.
func TestRealV3(t *testing.T) {
	path := filepath.Join(realDir, "testGraphData", "testdata")
	want, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the real files are not here:", path)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Rows != 60 {
		t.Errorf("%d rows, 60 are there", s.Rows)
	}
	h := s.Headers()[0]
	out := filepath.Join(t.TempDir(), "testdata")
	w, err := Create(out, s.Schema().Fields, Options{HeaderSize: h.HeaderSize, PageSize: h.PageSize, Desc: s.Schema().Desc})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(rowsOf(t, s)...); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(w.Saved()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		i := 0
		for i < len(got) && i < len(want) && got[i] == want[i] {
			i++
		}
		t.Errorf("%d bytes, want %d; the first that differs is %d:\n%.300q\n%.300q", len(got), len(want), i, got[max(0, i-40):], want[max(0, i-40):])
	}
}

func TestRealV2(t *testing.T) {
	path := filepath.Join(realDir, "testOldVersion", "aclImdb.mindrecord1")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		t.Skip("the real files are not here:", path)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows := rowsOf(t, s)
	for i, r := range rows {
		if r["label"] != int64(i) {
			t.Errorf("row %d has the label %v", i, r["label"])
		}
	}
	t.Log(len(rows), rows[0])
}
