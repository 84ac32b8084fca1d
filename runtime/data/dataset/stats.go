package dataset

import "strings"

// Stats are counts and findings of reading.
type Stats struct {
	Files      []string
	Format     string // "mixed" if rows differ
	Rows       int
	Tokens     int      // of the rows, after truncation and trimming
	Supervised int      // of Tokens
	Truncated  int      // rows truncated to SeqLength+1
	Empty      int      // rows of MindRecord without a supervised token: kept, as in MindFormers
	InnerPad   int      // rows with PadID before their end, which no other token attends to
	Hidden     int      // tokens of that kind
	Led        int      // conversations that began with an assistant's turn, which was dropped
	Left       int      // rows left out
	Skipped    []Skip   // the first of them
	LeftOut    []Skip   // the first row of each reason; reasons that differ in numbers are one
	Unread     []Column // keys that nothing reads
	Notes      []string // files that were not read, or not as their content suggests
	Spelled    Spelled
	Halves     int    // rows with a half of a pair of surrogates, read as U+FFFD
	FirstHalf  string // where the first of them is
	Transient  int    // bytes that the longest row, or text that cannot be split, took while it was read
	Example    string // the first row as text, the supervised part in ⟦ ⟧, control tokens in ⟨ ⟩
	ExampleIDs string // its first ids
	ExampleCut int    // how many ids it had before it was cut at SeqLength; 0: it was not

	reasons map[string]int // of LeftOut
}

// Skip is a row that cannot be trained on.
type Skip struct {
	File   string
	Row    int // from 1
	Reason string
	Rows   int // left out for this reason
}

// mostReasons bounds the lists of rows and of reasons: all rows of a large file may be
// left out.
const mostReasons = 100

// leave records a row that is left out.
func (s *Stats) leave(k Skip) {
	s.Left++
	if len(s.Skipped) < mostReasons {
		s.Skipped = append(s.Skipped, k)
	}
	kind := withoutNumbers(k.Reason)
	at, ok := s.reasons[kind]
	switch {
	case ok:
		s.LeftOut[at].Rows++
		return
	case len(s.LeftOut) == mostReasons:
		s.LeftOut[mostReasons-1].Rows++
		return
	case s.reasons == nil:
		s.reasons = map[string]int{}
	}
	s.reasons[kind] = len(s.LeftOut)
	s.LeftOut = append(s.LeftOut, k)
}

// withoutNumbers is a text without its digits: what is wrong, wherever it is.
func withoutNumbers(text string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return -1
		}
		return c
	}, text)
}
