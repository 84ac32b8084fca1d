// Package dataset turns files of conversations, instructions or plain text
// into rows of token ids with the part that is supervised marked. Rows are
// never padded. It knows nothing of models or training.
package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"lorac/runtime/tokenizer"
)

// Options say how to read.
type Options struct {
	Tokenizer *tokenizer.Tokenizer // may be nil for rows of ids
	SeqLength int                  // a row has at most SeqLength+1 ids
	Vocab     int
	Format    string // auto, alpaca, completion, sharegpt, messages, tokens or text
	Prompt    string // vicuna or alpaca: how instructions are rendered
	BOS, EOS  int32
	PadID     int32
	IgnoreID  int32
}

// Ignore marks a token that is not supervised.
const Ignore = -100

// Row is one sequence: the target of position t is Labels[t+1], Ignore where
// nothing is asked.
type Row struct {
	Tokens, Labels []int32
}

// Set is the rows of a data set, in one piece of memory.
type Set struct {
	tokens, labels []int32
	ends           []int
	Stats          Stats
}

// Stats is what reading met.
type Stats struct {
	Files      []string
	Format     string
	Rows       int
	Tokens     int
	Supervised int
	Truncated  int
	Skipped    []Skip
	Example    string // the first row as text, the supervised part in ⟦ ⟧
}

// Skip is a row that cannot be trained on.
type Skip struct {
	File   string
	Row    int // from 1
	Reason string
}

// Len is the number of rows.
func (s *Set) Len() int { return len(s.ends) }

// Row is row i, sharing memory.
func (s *Set) Row(i int) Row {
	from := 0
	if i > 0 {
		from = s.ends[i-1]
	}
	to := s.ends[i]
	return Row{s.tokens[from:to:to], s.labels[from:to:to]}
}

// Open reads all rows of a file, of the data files of a directory, or of
// several paths with commas between.
func Open(path string, o Options) (*Set, error) {
	files, err := list(path)
	if err != nil {
		return nil, err
	}
	s := &Set{}
	s.Stats.Files = files
	for _, f := range files {
		if err := s.read(f, &o); err != nil {
			return nil, err
		}
	}
	if s.Len() == 0 {
		msg := fmt.Sprintf("%s has no row to train on", path)
		for i, k := range s.Stats.Skipped[:min(3, len(s.Stats.Skipped))] {
			msg += fmt.Sprintf("%s row %d: %s", []string{"; ", ", "}[min(i, 1)], k.Row, k.Reason)
		}
		return nil, errors.New(msg)
	}
	return s, nil
}

func list(path string) ([]string, error) {
	var out []string
	for _, p := range strings.Split(path, ",") {
		info, err := os.Stat(p)
		if err != nil {
			return nil, fmt.Errorf("cannot read the data set: %w", err)
		}
		if !info.IsDir() {
			out = append(out, p)
			continue
		}
		var found []string
		err = filepath.WalkDir(p, func(q string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				switch filepath.Ext(q) {
				case ".json", ".jsonl", ".txt":
					found = append(found, q)
				}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("the directory %s holds no .json, .jsonl or .txt file", p)
		}
		sort.Strings(found)
		out = append(out, found...)
	}
	return out, nil
}

func (s *Set) read(file string, o *Options) error {
	switch ext := filepath.Ext(file); {
	case ext == ".txt":
		return s.readText(file, o)
	case strings.Contains(filepath.Base(file), "mindrecord"):
		return fmt.Errorf("%s: MindRecord is not read yet; give the JSON it was made from", file)
	case ext == ".json" || ext == ".jsonl":
		return s.readJSON(file, o)
	}
	return fmt.Errorf("%s: unknown kind of data set; known are .json, .jsonl and .txt", file)
}

// add appends a row, cut to the sequence length.
func (s *Set) add(file string, row int, tokens, labels []int32, o *Options) {
	if n := o.SeqLength + 1; len(tokens) > n {
		tokens, labels = tokens[:n], labels[:n]
		s.Stats.Truncated++
	}
	// What follows the last supervised token cannot influence the loss, padding included.
	supervised, last := 0, 0
	for i := 1; i < len(labels); i++ {
		if labels[i] != Ignore {
			supervised++
			last = i
		}
	}
	if supervised == 0 {
		s.skip(file, row, "no supervised token is left")
		return
	}
	tokens, labels = tokens[:last+1], labels[:last+1]
	if s.Len() == 0 && o.Tokenizer != nil {
		s.Stats.Example = render(tokens, labels, o.Tokenizer)
	}
	s.tokens, s.labels = append(s.tokens, tokens...), append(s.labels, labels...)
	s.ends = append(s.ends, len(s.tokens))
	s.Stats.Rows++
	s.Stats.Tokens += len(tokens)
	s.Stats.Supervised += supervised
}

func (s *Set) skip(file string, row int, reason string) {
	s.Stats.Skipped = append(s.Stats.Skipped, Skip{file, row, reason})
}

// render shows a row as text.
func render(tokens, labels []int32, t *tokenizer.Tokenizer) string {
	var b strings.Builder
	for i := 0; i < len(tokens); {
		j := i
		for j < len(tokens) && (labels[j] == Ignore) == (labels[i] == Ignore) {
			j++
		}
		var part strings.Builder
		for _, id := range tokens[i:j] {
			switch id {
			case t.BOS():
				part.WriteString("<s>")
			case t.EOS():
				part.WriteString("</s>")
			default:
				part.WriteString(t.Piece(id))
			}
		}
		if labels[i] != Ignore {
			b.WriteString("⟦" + part.String() + "⟧")
		} else {
			b.WriteString(part.String())
		}
		i = j
	}
	return b.String()
}
