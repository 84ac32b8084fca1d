package dataset

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// A digest names the first row that differs, or the rows that share its sum.
func TestDigest(t *testing.T) {
	open := func(rows ...int) *Set {
		t.Helper()
		path := filepath.Join(t.TempDir(), "rows.jsonl")
		text := ""
		for _, r := range rows {
			text += fmt.Sprintf("{\"input_ids\": [1, %d, 2]}\n", r)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, Options{SeqLength: 8, Vocab: 100, PadID: -1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		return s
	}
	rows := []int{10, 11, 12, 13, 14, 15, 16}
	set := open(rows...)
	for _, x := range []struct {
		block int
		now   []int
		want  string
	}{
		{1, rows, ""},
		{3, rows, ""},
		{1, []int{10, 11, 12, 13, 14, 15, 17}, "row 7 (row 7 of "},
		{1, []int{10, 12, 11, 13, 14, 15, 16}, "the same 7 in another order; row 2 (row 2 of "},
		{3, []int{10, 11, 12, 13, 14, 17, 16}, "one of the rows 4 to 6 (from row 4 of "},
		{3, []int{10, 11, 12, 13, 14, 15, 17}, "row 7 (row 7 of "},
		{1, rows[:5], "7 in the checkpoint, 5 now; the first 5 are the same"},
		{1, []int{9, 10, 11, 12, 13, 14, 15, 16}, "7 in the checkpoint, 8 now; row 1 (row 1 of "},
	} {
		text, err := json.Marshal(set.Digest(x.block))
		if err != nil {
			t.Fatal(err)
		}
		var was Digest
		if err := json.Unmarshal(text, &was); err != nil || !reflect.DeepEqual(was, set.Digest(x.block)) {
			t.Fatalf("%s comes back as %+v, %v", text, was, err)
		}
		if got := open(x.now...).Difference(was); (got == "") != (x.want == "") || !strings.HasPrefix(got, x.want) {
			t.Errorf("%v by %d: %q, want %q", x.now, x.block, got, x.want)
		}
	}
	for _, bad := range []string{`{"rows":3,"block":1,"crc32c":"AAAA"}`, `{"rows":1,"block":0,"crc32c":""}`, `{"rows":1,"block":1,"crc32c":"?"}`, `{}`} {
		if err := json.Unmarshal([]byte(bad), &Digest{}); err == nil {
			t.Errorf("%s is read", bad)
		}
	}
}
