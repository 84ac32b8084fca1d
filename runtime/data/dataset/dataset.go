// Package dataset turns files of instructions, conversations or plain text into
// rows of token ids with labels. Rows are never padded. The package must not know
// models, micro-batches or training.
package dataset

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lorac/runtime/data/chat"
	"lorac/runtime/data/tokenizer"
	"lorac/runtime/sys/human"
	"lorac/runtime/sys/offheap"
)

// Ignore is the label of a token that is not supervised.
const Ignore = -100

// Options are the settings of Open.
type Options struct {
	Tokenizer *tokenizer.Tokenizer // may be nil if all rows are token ids

	NoTokenizer error          // why there is none, for rows that need it; may be nil
	SeqLength   int            // a row has at most SeqLength+1 ids
	Vocab       int            // ids are below it; 0 takes the tokenizer's
	Format      string         // one of Formats; "" is auto
	Prompt      string         // one of Prompts; "" is each format's own
	TrainOn     string         // one of TrainOns; "" is turns
	Template    *chat.Template // that Prompt names, where Templated; nil: another way
	Tokens      chat.Tokens    // that it may write
	Keys        Keys           // names of the columns of alpaca rows
	Eval        bool           // of a directory with splits, the one for evaluation: valid, else test
	Split       string         // of a directory with splits: train, valid or test; "": as Eval says
	BOS, EOS    int32          // put before a text and after its supervised part; below 0: none
	PadID       int32          // padding id in files of ids; below 0: none
	IgnoreID    int32          // label of an unsupervised token in files of ids
	Take        int            // maximal number of rows to read; 0: all
	Pack        string         // one of Packs: sequence packing; "": none
	EODReset    bool           // a new sequence begins after every EOD, in the same row
	EOD         int32
	Padded      bool          // rows of ids are masked and kept as those of a MindRecord are, as by CommonDataLoader
	ByTarget    bool          // what padding of a MindRecord predicts counts, as in the PerplexityMetric of MindFormers
	Length      func(ids int) // is told of each row that is kept how long it was before it was cut; may be nil
	NoLabels    bool          // labels of a MindRecord are not read, as where input_columns does not list them
}

// Formats are the row formats. With auto the keys of each row determine it.
//
//	alpaca      {"instruction", "input", "output"}, with or without "input", "system" and
//	            "history" (a list of pairs, question and answer)
//	completion  {"prompt", "completion"} or {"question", "answer"}, with or without "system"
//	sharegpt    {"conversations": [{"from", "value"}, …]}, with or without "system"
//	messages    {"messages": [{"role", "content"}, …]}, with or without "system"
//	text        {"text"}, all of it supervised
//	tokens      {"input_ids"}, with or without "labels", "attention_mask" and "loss_mask"
//
// Turns have either pair of keys under either name. "weight" and "train" (of a row or an
// answer) and "loss_mask" (of a row, an answer, ids, or a list over the turns) switch
// their loss on and off.
var Formats = []string{"auto", "alpaca", "completion", "sharegpt", "messages", "text", "tokens"}

// Prompts are the ways to render a question and its answer.
//
//	vicuna  a conversation as FastChat's template vicuna_v1.1 has it, masked as
//	        MindFormers' llama_preprocess.py does; an alpaca instruction becomes
//	        the Stanford prompt inside it. The default, but for completion.
//	alpaca  the Stanford prompt, immediately followed by the answer
//	plain   the unchanged question followed by the answer; the default of
//	        completion. They are separated by nothing in prompt+completion, by
//	        a line break in all other formats.
//
// Others are chat templates, by which each row is rendered as a conversation, as
// apply_chat_template of transformers does; no other id is added.
//
//	llama2, llama3, chatml  those of chat models
//	tokenizer               the one that the tokenizer brings
var Prompts = []string{"vicuna", "alpaca", "plain", "llama2", "llama3", "chatml", chat.Own}

// Row is one sequence of tokens: the target of position t is Labels[t+1], Ignore if
// it is not supervised. Both have the same length, at least 2 and at most
// SeqLength+1, and end with the last supervised token.
type Row struct {
	Tokens, Labels []int32
	// Hidden is the id whose tokens no other token attends to, which MindFormers'
	// models do with pad_token_id wherever it stands; nil: none.
	Hidden *int32
	// Blind: the last token but one, whose prediction is the only one wanted, does not
	// see itself; in evaluation alone.
	Blind bool
}

// Live reports whether position t is computed: not where it is hidden from all
// others and predicts nothing.
func (r *Row) Live(t int) bool {
	return r.Hidden == nil || r.Tokens[t] != *r.Hidden || r.Labels[t+1] != Ignore
}

// Set is the rows of a data set, in one allocation off the Go heap. A row of a batch
// is a group: one of them, or several that were packed together.
type Set struct {
	tokens, labels []int32
	ends           []int
	groups         []int // where each group ends among the rows; nil: each row is one
	sources        []source
	hidden         *int32 // see Row
	Stats          Stats
}

func newSet(stats Stats) *Set {
	return &Set{tokens: offheap.Ints(), labels: offheap.Ints(), Stats: stats}
}

// Close frees the memory of the rows.
func (s *Set) Close() {
	offheap.Free(s.tokens)
	offheap.Free(s.labels)
	s.tokens, s.labels = nil, nil
}

// source is the origin of a row.
type source struct {
	file int32 // of Stats.Files
	row  int32 // from 1
	seen bool  // an attention_mask lets its tokens be seen, whatever their ids
}

// Open reads all rows of a file, of all data files in a directory tree (in the order
// of their names), or of several paths separated by commas. It returns an error with
// a position for each invalid row, and if no row is left to train on.
func Open(path string, o Options) (*Set, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	files, notes, err := Files(path, o)
	if err != nil {
		return nil, err
	}
	s := newSet(Stats{Files: files, Notes: notes})
	if o.PadID >= 0 {
		s.hidden = &o.PadID
	}
	r := &reader{Set: s, o: &o}
	for i, file := range files {
		if r.full() {
			break
		}
		r.file = i
		if err := r.read(file); err != nil {
			r.problem("", err)
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
	case o.TrainOn != "" && !slices.Contains(TrainOns, o.TrainOn):
		return fmt.Errorf("train_on is %q; known are %s", o.TrainOn, strings.Join(TrainOns, ", "))
	case Templated(o.Prompt) && o.Template == nil && o.Tokenizer != nil:
		return fmt.Errorf("the chat template of the prompt %s is not here", o.Prompt)
	case o.Keys.given() && o.Format != "auto" && o.Format != "alpaca":
		return fmt.Errorf("the handler names columns of alpaca rows, but the data format is %s; leave one of them out", o.Format)
	case o.SeqLength < 1:
		return fmt.Errorf("seq_length is %d; rows need at least 1", o.SeqLength)
	case o.Vocab < 1:
		return errors.New("neither a vocabulary size nor a tokenizer is given; ids cannot be checked")
	}
	return nil
}

// Len is the number of rows.
func (s *Set) Len() int { return len(s.ends) }

// Groups is the number of rows for batching: packed rows count once.
func (s *Set) Groups() int {
	if s.groups == nil {
		return len(s.ends)
	}
	return len(s.groups)
}

// Group is the range of rows of group i, the end exclusive.
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
	r := Row{Tokens: s.tokens[from:to:to], Labels: s.labels[from:to:to]}
	if !s.sources[i].seen {
		r.Hidden = s.hidden
	}
	return r
}

// Source is the file of row i and its number there, from 1. In plain text it is the
// number of the chunk.
func (s *Set) Source(i int) (file string, row int) {
	return s.Stats.Files[s.sources[i].file], int(s.sources[i].row)
}

// nothing is the error of a data set without rows.
func (s *Set) nothing(path string) error {
	msg := fmt.Sprintf("%s has no row to train on", path)
	left := s.Stats.Left
	for i, k := range s.Stats.LeftOut {
		if i == 3 {
			msg += fmt.Sprintf("; and %s", human.Count(left, "more row"))
			break
		}
		msg += fmt.Sprintf("; %s row %d: %s", k.File, k.Row, k.Reason)
		if k.Rows > 1 {
			msg += fmt.Sprintf(" (the same in %s)", human.Count(k.Rows-1, "more row"))
		}
		left -= k.Rows
	}
	return errors.New(msg)
}
