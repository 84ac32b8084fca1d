package dataset

import (
	"fmt"
	"strings"
	"testing"
)

// groups shows the rows of a batch: their sequences as ids/labels, x for no label.
func groups(s *Set) string {
	var out []string
	for i := range s.Groups() {
		var parts []string
		for j, to := s.Group(i); j < to; j++ {
			var b strings.Builder
			r := s.Row(j)
			for t := range r.Tokens {
				l := "x"
				if r.Labels[t] != Ignore {
					l = fmt.Sprint(r.Labels[t])
				}
				fmt.Fprintf(&b, " %d/%s", r.Tokens[t], l)
			}
			parts = append(parts, strings.TrimSpace(b.String()))
		}
		out = append(out, strings.Join(parts, " | "))
	}
	return strings.Join(out, "\n")
}

const packRows = `{"input_ids":[1,5,6,2]}
{"input_ids":[1,7,2],"labels":[-100,-100,2]}
{"input_ids":[1,8,9,8,2]}
{"input_ids":[1,3,2]}
`

func TestPack(t *testing.T) {
	for _, c := range []struct {
		pack       string
		limit      int
		take       int
		want       string
		supervised int
	}{
		{"", 7, 0, "1/x 5/5 6/6 2/2\n1/x 7/x 2/2\n1/x 8/8 9/9 8/8 2/2\n1/x 3/3 2/2", 3 + 1 + 4 + 2},
		// 4+3 fit in 7, 5 starts a new row, 3 more are 8.
		{"pack", 7, 0, "1/x 5/5 6/6 2/2 | 1/x 7/x 2/2\n1/x 8/8 9/9 8/8 2/2\n1/x 3/3 2/2", 10},
		{"pack", 8, 0, "1/x 5/5 6/6 2/2 | 1/x 7/x 2/2\n1/x 8/8 9/9 8/8 2/2 | 1/x 3/3 2/2", 10},
		{"pack", 8, 3, "1/x 5/5 6/6 2/2 | 1/x 7/x 2/2\n1/x 8/8 9/9 8/8 2/2", 8},
		// Fifteen tokens in rows of seven: a continuation begins with an unsupervised
		// token.
		{"truncate", 7, 0, "1/x 5/5 6/6 2/2 | 1/x 7/x 2/2\n1/x 8/8 9/9 8/8 2/2 | 1/x 3/3\n2/x", 9},
	} {
		o := Options{SeqLength: c.limit, Vocab: 10, PadID: -1, IgnoreID: -100, Pack: c.pack, Take: c.take}
		s, err := Open(file(t, "rows.jsonl", packRows), o)
		if err != nil {
			t.Fatal(err)
		}
		if got := groups(s); got != c.want || s.Stats.Supervised != c.supervised {
			t.Errorf("pack %q into %d: %d supervised, want %d\n%s\nwant\n%s", c.pack, c.limit, s.Stats.Supervised, c.supervised, got, c.want)
		}
	}
}

// Rows longer than a packed row are skipped and reported.
func TestPackLeavesOut(t *testing.T) {
	o := Options{SeqLength: 4, Vocab: 10, PadID: -1, IgnoreID: -100, Pack: "pack"}
	s, err := Open(file(t, "rows.jsonl", packRows), o)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := groups(s), "1/x 5/5 6/6 2/2\n1/x 7/x 2/2\n1/x 3/3 2/2"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if len(s.Stats.Skipped) != 1 || s.Stats.Skipped[0].Row != 3 {
		t.Errorf("left out: %v", s.Stats.Skipped)
	}
	o.SeqLength = 1
	if _, err := Open(file(t, "rows.jsonl", `{"input_ids":[1,5,6,2]}`), o); err == nil || !strings.Contains(err.Error(), "longer than the packed length") {
		t.Errorf("error %v", err)
	}
}

// eod_reset: the end of a document predicts what follows, but what follows
// does not see the document.
func TestEODReset(t *testing.T) {
	o := Options{SeqLength: 20, Vocab: 10, PadID: -1, IgnoreID: -100, EODReset: true, EOD: 2}
	s, err := Open(file(t, "rows.jsonl", `{"input_ids":[5,6,2,7,8,2,2,9]} {"input_ids":[5,6,2]} {"input_ids":[5,6]}`), o)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := groups(s), "5/x 6/6 2/2 7/7 | 7/x 8/8 2/2 2/2 | 2/x 9/9\n5/x 6/6 2/2\n5/x 6/6"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
