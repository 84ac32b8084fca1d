package mindindex

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the driver, to read what the program wrote

	"lorac/runtime/data/mindrecord"
)

// contents is all of a database: its tables' definitions and rows.
func contents(t *testing.T, path string) string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro&immutable=1")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var b strings.Builder
	for _, q := range []string{"SELECT sql FROM sqlite_master WHERE type='table' ORDER BY name", "SELECT * FROM SHARD_NAME", "SELECT * FROM INDEXES ORDER BY ROW_ID"} {
		rows, err := db.Query(q)
		if err != nil {
			t.Fatal(err)
		}
		names, _ := rows.Columns()
		for rows.Next() {
			vals, ptrs := make([]any, len(names)), make([]any, len(names))
			for i := range vals {
				ptrs[i] = &vals[i]
			}
			if err := rows.Scan(ptrs...); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&b, vals...)
		}
		rows.Close()
	}
	return b.String()
}

// TestRealIndex makes the index of a file that MindSpore wrote again: the same
// tables with the same rows.
func TestRealIndex(t *testing.T) {
	file := "../../../../../shared/data/mindrecord/testGraphData/testdata"
	s, err := mindrecord.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the real files are not here:", file)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var places []mindrecord.Place
	var scalars []map[string]any
	err = s.Each(func(r *mindrecord.Record) error {
		m, err := r.Scalars()
		places, scalars = append(places, r.Place), append(scalars, m)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "testdata")
	if err := Write(out, s.Headers()[0], places, scalars); err != nil {
		t.Fatal(err)
	}
	// The sample was indexed before float columns became REAL.
	want := strings.Replace(contents(t, file+".db"), "weight_0 NUMERIC", "weight_0 REAL", 1)
	if got := contents(t, out+".db"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := Check(file, s.Rows); err != nil {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.mindrecord")
	w, err := mindrecord.Create(file, map[string]mindrecord.Field{"input_ids": {Shape: []int{-1}, Type: "int32"}}, mindrecord.Options{HeaderSize: 1 << 14, PageSize: 1 << 15})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := w.Write(mindrecord.Row{"input_ids": []int32{int32(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(0); err != nil {
		t.Fatal(err)
	}
	if err := Check(file, 3); !errors.Is(err, ErrNone) {
		t.Errorf("without an index: %v", err)
	}
	if err := Write(file, w.Header(), w.Index, w.Scalars); err != nil {
		t.Fatal(err)
	}
	if err := Check(file, 3); err != nil {
		t.Error(err)
	}
	if !strings.Contains(contents(t, file+".db"), "PRIMARY KEY(ROW_ID))") {
		t.Error("the key of an index without columns is another")
	}
	if err := Check(file, 4); err == nil || !strings.Contains(err.Error(), "do not belong together") {
		t.Errorf("another number of rows: %v", err)
	}
	other := filepath.Join(dir, "b.mindrecord")
	os.Rename(file+".db", other+".db")
	if err := Check(other, 3); err == nil || !strings.Contains(err.Error(), "is the index of a.mindrecord") {
		t.Errorf("a renamed file: %v", err)
	}
	os.WriteFile(file+".db", []byte("no database"), 0o600)
	if err := Check(file, 3); err == nil || !strings.Contains(err.Error(), "is no index") {
		t.Errorf("no database: %v", err)
	}
}
