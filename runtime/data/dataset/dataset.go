// Package dataset turns files of instructions, conversations or plain text into
// rows of token ids in which the supervised part is marked. Rows are never
// padded. It must not know models, batches or training.
package dataset

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lorac/runtime/data/tokenizer"
	"lorac/runtime/sys/offheap"
)

// Ignore marks, in Labels, a token that is not supervised.
const Ignore = -100

// Options say how to read.
type Options struct {
	Tokenizer *tokenizer.Tokenizer // may be nil if all rows are ids
	SeqLength int                  // a row has at most SeqLength+1 ids
	Vocab     int                  // ids are below it; 0 takes the tokenizer's
	Format    string               // one of Formats; "" is auto
	Prompt    string               // one of Prompts; "" is each format's own
	BOS, EOS  int32                // put before a text and after what is supervised; below 0 for none
	PadID     int32                // what other programs fill rows with; below 0 for none
	IgnoreID  int32                // what marks ids as not supervised in the labels of a file
	Take      int                  // rows to read at most; 0 for all
	Pack      string               // one of Packs: rows are put together; "" for none
	EODReset  bool                 // a new sequence begins after every EOD, inside its row
	EOD       int32
}

// Formats are the kinds of rows. With auto each row tells by its keys.
//
//	alpaca      {"instruction", "input" (may be missing), "output"}
//	completion  {"prompt", "completion"} or {"question", "answer"}
//	sharegpt    {"conversations": [{"from", "value"}, …], "system" (may be missing)}
//	messages    {"messages": [{"role", "content"}, …]}
//	text        {"text"}, all of it supervised
//	tokens      {"input_ids", "labels" (may be missing), "attention_mask" (may be missing)}
var Formats = []string{"auto", "alpaca", "completion", "sharegpt", "messages", "text", "tokens"}

// Prompts are the ways to render a question and its answer.
//
//	vicuna  a conversation as FastChat's template vicuna_v1.1 has it, masked as
//	        MindFormers' llama_preprocess.py does; an alpaca instruction becomes
//	        the Stanford prompt inside it. The default, but for completion.
//	alpaca  the Stanford prompt, the answer right after it
//	plain   the question as it is, the answer after it; the default of
//	        completion. Between the two stands what the row has there: nothing
//	        in prompt+completion, a line break in all else.
var Prompts = []string{"vicuna", "alpaca", "plain"}

// Row is one sequence of tokens: the target of position t is Labels[t+1], Ignore where
// nothing is asked. Both have the same length, at least 2 and at most
// SeqLength+1, and end with the last supervised token.
type Row struct {
	Tokens, Labels []int32
}

// Set is the rows of a data set, in one piece of memory beside the collector's. A row of a batch is
// one of them, or several that were packed together: a group.
type Set struct {
	tokens, labels []int32
	ends           []int
	groups         []int // where each group ends among the rows; nil: each row is one
	sources        []source
	Stats          Stats
}

func newSet(stats Stats) *Set {
	return &Set{tokens: offheap.Ints(), labels: offheap.Ints(), Stats: stats}
}

// Close gives the memory of the rows back.
func (s *Set) Close() {
	offheap.Free(s.tokens)
	offheap.Free(s.labels)
	s.tokens, s.labels = nil, nil
}

// source is where a row comes from.
type source struct {
	file int32 // of Stats.Files
	row  int32 // from 1
}

// Stats is what reading met.
type Stats struct {
	Files      []string
	Format     string // "mixed" if rows differ
	Rows       int
	Tokens     int // of the rows, what was cut or trimmed not counted
	Supervised int // of Tokens
	Truncated  int // rows that were cut to SeqLength+1
	Empty      int // rows of MindRecord in which no token is supervised: they keep their place, as in MindFormers
	InnerPad   int // rows with PadID before their end: MindFormers would hide those tokens from attention, lorac does not
	Skipped    []Skip
	Example    string // the first row as text, the supervised part in ⟦ ⟧
}

// Skip is a row that cannot be trained on.
type Skip struct {
	File   string
	Row    int // from 1
	Reason string
}

// Open reads all rows of a file, of all data files of a directory and below it
// (in the order of their names), or of several paths with commas between. It
// fails, with a place for each, if there are rows it cannot make sense of, and
// if no row is left to train on.
func Open(path string, o Options) (*Set, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	files, err := find(path)
	if err != nil {
		return nil, err
	}
	s := newSet(Stats{Files: files})
	r := &reader{Set: s, o: &o}
	for i, file := range files {
		if r.full() {
			break
		}
		r.file = i
		if err := r.read(file); err != nil {
			r.problems = append(r.problems, err)
		}
	}
	if len(r.problems) > 0 {
		return nil, r.report()
	}
	if s.Stats.Supervised == 0 {
		return nil, s.nothing(path)
	}
	if err := s.pack(o.Pack, o.SeqLength); err != nil {
		return nil, err
	}
	if o.EODReset {
		s.resetAt(o.EOD)
	}
	return s, nil
}

func (o *Options) check() error {
	if o.Format == "" {
		o.Format = "auto"
	}
	if o.Vocab == 0 && o.Tokenizer != nil {
		o.Vocab = o.Tokenizer.Size()
	}
	switch {
	case !slices.Contains(Formats, o.Format):
		return fmt.Errorf("the data format %q is unknown; known are %s", o.Format, strings.Join(Formats, ", "))
	case o.Prompt != "" && !slices.Contains(Prompts, o.Prompt):
		return fmt.Errorf("the prompt %q is unknown; known are %s", o.Prompt, strings.Join(Prompts, ", "))
	case o.SeqLength < 1:
		return fmt.Errorf("seq_length is %d; rows need at least 1", o.SeqLength)
	case o.Vocab < 1:
		return errors.New("neither a vocabulary size nor a tokenizer is given, so ids cannot be checked")
	}
	return nil
}

// Len is the number of rows.
func (s *Set) Len() int { return len(s.ends) }

// Groups is the number of rows a batch counts: packed rows count once.
func (s *Set) Groups() int {
	if s.groups == nil {
		return len(s.ends)
	}
	return len(s.groups)
}

// Group says which rows group i has: those from a number to one before another.
func (s *Set) Group(i int) (from, to int) {
	switch {
	case s.groups == nil:
		return i, i + 1
	case i == 0:
		return 0, s.groups[0]
	}
	return s.groups[i-1], s.groups[i]
}

// Row is row i. It shares memory with the set and must not be changed.
func (s *Set) Row(i int) Row {
	from, to := 0, s.ends[i]
	if i > 0 {
		from = s.ends[i-1]
	}
	return Row{s.tokens[from:to:to], s.labels[from:to:to]}
}

// Source is the file that row i comes from and its number there, from 1. Of
// plain text it is the number of the piece.
func (s *Set) Source(i int) (file string, row int) {
	return s.Stats.Files[s.sources[i].file], int(s.sources[i].row)
}

// nothing is the error of a data set without rows.
func (s *Set) nothing(path string) error {
	msg := fmt.Sprintf("%s has no row to train on", path)
	for i, k := range s.Stats.Skipped {
		if i == 3 {
			msg += fmt.Sprintf("; and %d more like that", len(s.Stats.Skipped)-i)
			break
		}
		msg += fmt.Sprintf("; %s row %d: %s", k.File, k.Row, k.Reason)
	}
	return errors.New(msg)
}
