package dataset

import (
	"fmt"
	"slices"
)

// Packs are the strategies of PackingHandler (MindFormers r1.5
// dataset/handler/packing_handler.py): pack joins whole rows up to the sequence
// length, truncate splits a row where the sequence is full. Packed rows share a row
// of the batch, but do not attend to each other.
var Packs = []string{"pack", "truncate"}

// pack groups the sequences of the set into rows of at most limit tokens.
func (s *Set) pack(how string, limit int) error {
	switch how {
	case "":
		return nil
	case "pack":
		return s.packWhole(limit)
	case "truncate":
		s.packCut(limit)
		return nil
	}
	return fmt.Errorf("the packing strategy %q is unknown; known are %v", how, Packs)
}

// packWhole skips rows longer than limit, as the handler does.
func (s *Set) packWhole(limit int) error {
	old := s.reset()
	defer old.Close()
	filled := 0
	for i := range len(old.ends) {
		r := old.Row(i)
		n := len(r.Tokens)
		if n > limit {
			file, row := old.Source(i)
			s.Stats.leave(Skip{file, row, fmt.Sprintf("it has %d tokens, packed rows hold %d", n, limit), 1})
			continue
		}
		if filled+n > limit {
			s.groups, filled = append(s.groups, len(s.ends)), 0
		}
		s.push(r.Tokens, r.Labels, old.sources[i])
		filled += n
	}
	if len(s.ends) == 0 {
		return fmt.Errorf("every row is longer than the packed length, %d tokens", limit)
	}
	s.groups = append(s.groups, len(s.ends))
	return nil
}

// packCut concatenates all tokens. The rest of a row that continues in the next
// group begins there at position 0.
func (s *Set) packCut(limit int) {
	old := s.reset()
	defer old.Close()
	filled := 0
	for i := range len(old.ends) {
		for r := old.Row(i); len(r.Tokens) > 0; {
			n := min(len(r.Tokens), limit-filled)
			s.push(r.Tokens[:n], r.Labels[:n], old.sources[i])
			r.Tokens, r.Labels = r.Tokens[n:], r.Labels[n:]
			if filled += n; filled == limit {
				s.groups, filled = append(s.groups, len(s.ends)), 0
			}
		}
	}
	if filled > 0 {
		s.groups = append(s.groups, len(s.ends))
	}
}

// resetAt begins a new sequence after every token id, in the same row of the batch
// (eod_reset, MindFormers r1.3 dataset/causal_language_model_dataset.py). The id
// itself still predicts the next token.
func (s *Set) resetAt(id int32) {
	old := s.reset()
	defer old.Close()
	for i := range old.Groups() {
		from, to := old.Group(i)
		for j := from; j < to; j++ {
			r := old.Row(j)
			for {
				at := slices.Index(r.Tokens, id) + 1
				if at < 1 || at >= len(r.Tokens) {
					break
				}
				s.push(r.Tokens[:at+1], r.Labels[:at+1], old.sources[j])
				r.Tokens, r.Labels = r.Tokens[at:], r.Labels[at:]
			}
			if len(r.Tokens) > 1 {
				s.push(r.Tokens, r.Labels, old.sources[j])
			}
		}
		s.groups = append(s.groups, len(s.ends))
	}
}

// reset removes all rows from the set, keeping its files, and returns the former set.
func (s *Set) reset() *Set {
	old := *s
	*s = *newSet(s.Stats)
	s.hidden = old.hidden
	s.Stats.Tokens, s.Stats.Supervised = 0, 0
	return &old
}

// push appends a sequence whose first token is not supervised.
func (s *Set) push(tokens, labels []int32, from source) {
	at := len(s.tokens)
	s.tokens = append(s.tokens, tokens...)
	s.labels = append(s.labels, labels...)
	s.labels[at] = Ignore
	s.ends = append(s.ends, len(s.tokens))
	s.sources = append(s.sources, from)
	s.Stats.Tokens += len(tokens)
	for _, l := range s.labels[at:] {
		if l != Ignore {
			s.Stats.Supervised++
		}
	}
}
