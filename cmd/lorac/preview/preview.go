// Package preview shows training data as a trainer reads them. It must not know configs
// nor how rows are read.
package preview

import (
	"hash/maphash"
	"slices"

	rt "lorac/runtime"
	"lorac/runtime/data/dataset"
	"lorac/runtime/microbatch"
)

// Preview is what is said of a data set.
type Preview struct {
	Files      []string `json:"files"`
	Format     string   `json:"format"`
	Prompt     string   `json:"prompt,omitempty"`
	Template   string   `json:"template,omitempty"` // of the prompt, in Jinja
	SeqLength  int      `json:"seq_length,omitempty"`
	Rows       int      `json:"rows"`
	Tokens     int      `json:"tokens"`
	Supervised int      `json:"supervised"`
	Share      float64  `json:"supervised_share"`
	Truncated  int      `json:"truncated"`
	Empty      int      `json:"empty"` // without a supervised token, and kept
	Lengths    Lengths  `json:"lengths"`
	Duplicates Repeats  `json:"duplicates"`
	LeftOut    int      `json:"left_out"` // rows that cannot train
	Reasons    []Reason `json:"reasons,omitempty"`
	Left       []Reason `json:"left_out_rows,omitempty"` // the first 100
	Unread     []Unread `json:"unread_keys,omitempty"`
	Steps      int      `json:"steps,omitempty"`
	Said       []string `json:"said"` // by the trainer
	Shown      []Row    `json:"shown"`
}

// Lengths are those of rows in ids before they are cut.
type Lengths struct {
	Least   int   `json:"least"`
	Median  int   `json:"median"`
	Most95  int   `json:"percentile_95"`
	Most    int   `json:"most"`
	Classes []Bin `json:"histogram"`
}

// Bin counts the rows of From to To ids.
type Bin struct {
	From int `json:"from"`
	To   int `json:"to"`
	Rows int `json:"rows"`
}

// Repeats are rows with the ids and labels of an earlier one.
type Repeats struct {
	Rows  int      `json:"rows"`
	First []Repeat `json:"first,omitempty"`
}

// Repeat is such a row.
type Repeat struct {
	Place
	Of Place `json:"of"`
}

// Place is where a row is, from 1.
type Place struct {
	File string `json:"file"`
	Row  int    `json:"row"`
}

// Reason is why rows cannot train: the first of them.
type Reason struct {
	Place
	Reason string `json:"reason"`
	Rows   int    `json:"rows"`
}

// Unread is a key of rows that nothing reads.
type Unread struct {
	Key  string `json:"key"`
	Rows int    `json:"rows"`
}

// Row is a row as it trains.
type Row struct {
	Place
	IDs        []int32 `json:"ids"`
	Labels     []int32 `json:"labels"`
	Supervised int     `json:"supervised"`
	Text       string  `json:"text,omitempty"` // the supervised part in ⟦ ⟧

	parts []dataset.Part
}

// listed is how many rows that repeat others are named.
const listed = 20

// Of previews rows; some are shown, from one on.
func Of(r *rt.Rows, said []string, from, rows int) *Preview {
	s := &r.Set.Stats
	p := &Preview{Files: s.Files, Format: s.Format, Prompt: r.Prompt, Template: r.Template, Rows: r.Set.Len(), Tokens: s.Tokens, Supervised: s.Supervised,
		Truncated: s.Truncated, Empty: s.Empty, LeftOut: s.Left, Steps: r.Steps, Said: said, Shown: []Row{}}
	if r.Job.Name != "" || r.Job.SeqLength < 1<<30 {
		p.SeqLength = r.Job.SeqLength
		if n := r.Job.TrainData.SeqLength; n > 0 {
			p.SeqLength = min(p.SeqLength, n)
		}
	}
	p.Share = float64(p.Supervised) / float64(max(p.Tokens, 1))
	p.Lengths = lengthsOf(r.Lengths)
	p.Duplicates = repeatsOf(r.Set)
	p.Reasons, p.Left = reasons(s.LeftOut), reasons(s.Skipped)
	for _, c := range s.Unread {
		p.Unread = append(p.Unread, Unread{c.Name, c.Rows})
	}
	for i := from - 1; i < min(from-1+rows, r.Set.Len()); i++ {
		x := r.Set.Row(i)
		shown := Row{Place: place(r.Set, i), IDs: x.Tokens, Labels: x.Labels, Supervised: microbatch.Supervised(x)}
		if r.Tokenizer != nil {
			shown.parts = dataset.Parts(x, r.Tokenizer)
			shown.Text = dataset.Spell(shown.parts)
		}
		p.Shown = append(p.Shown, shown)
	}
	return p
}

func place(s *dataset.Set, i int) Place {
	file, row := s.Source(i)
	return Place{file, row}
}

func reasons(list []dataset.Skip) (out []Reason) {
	for _, k := range list {
		out = append(out, Reason{Place{k.File, k.Row}, k.Reason, k.Rows})
	}
	return out
}

// bins is how many classes of lengths there are at most.
const bins = 16

func lengthsOf(list []int) (l Lengths) {
	l.Classes = []Bin{}
	if len(list) == 0 {
		return l
	}
	list = slices.Clone(list)
	slices.Sort(list)
	at := func(percent int) int { return list[(len(list)*percent+99)/100-1] }
	l.Least, l.Median, l.Most95, l.Most = list[0], at(50), at(95), list[len(list)-1]
	wide := widthOf(l.Most-l.Least+1, bins)
	for from := l.Least / wide * wide; from <= l.Most; from += wide {
		l.Classes = append(l.Classes, Bin{From: from, To: from + wide - 1})
	}
	for _, n := range list {
		l.Classes[n/wide-l.Least/wide].Rows++
	}
	return l
}

// widthOf is the least of 1, 2, 5, 10, … of which so many reach over a span.
func widthOf(span, count int) int {
	for unit := 1; ; unit *= 10 {
		for _, n := range []int{1, 2, 5} {
			if n*unit*(count-1) >= span {
				return n * unit
			}
		}
	}
}

// repeatsOf finds rows with the ids and labels of an earlier one. Sums that are the same
// are followed by a comparison.
func repeatsOf(s *dataset.Set) (out Repeats) {
	seed, seen := maphash.MakeSeed(), map[uint64][]int{}
	for i := range s.Len() {
		x := s.Row(i)
		var h maphash.Hash
		h.SetSeed(seed)
		for t, id := range x.Tokens {
			l := x.Labels[t]
			h.Write([]byte{byte(id), byte(id >> 8), byte(id >> 16), byte(id >> 24), byte(l), byte(l >> 8), byte(l >> 16), byte(l >> 24)})
		}
		sum, first := h.Sum64(), -1
		for _, k := range seen[sum] {
			if y := s.Row(k); slices.Equal(x.Tokens, y.Tokens) && slices.Equal(x.Labels, y.Labels) {
				first = k
				break
			}
		}
		if first < 0 {
			seen[sum] = append(seen[sum], i)
			continue
		}
		if out.Rows++; len(out.First) < listed {
			out.First = append(out.First, Repeat{place(s, i), place(s, first)})
		}
	}
	return out
}
