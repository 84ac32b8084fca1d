package dataset

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lorac/runtime/sys/human"
)

// reader fills a set.
type reader struct {
	*Set
	o        *Options
	file     int // of Stats.Files
	problems []*problem
	alike    map[string]*problem // by what is wrong, without numbers
	more     int                 // rows with problems that are not recorded

	keepEmpty bool // keep rows without a supervised token
	seen      bool // the current row has an attention_mask

	rowTokens, rowLabels []int32 // of the current row
	fields, turn         fields  // of the current row and turn
	rec                  record  // of the current row
	w                    writer  // of the current row

	columns   map[string]int // of Stats.Unread
	columnRow []int          // the last row that was counted for a column
}

// addRow adds a row of keys and values.
func (r *reader) addRow(row int, fs fields) error {
	format, err := r.o.format(fs)
	if err != nil {
		return err
	}
	r.note(format)
	rec := &r.rec
	err = r.decode(row, format, fs, rec)
	if errors.As(err, new(skipped)) { // not all of its keys were looked at
		r.skip(row, err.Error())
		return nil
	}
	r.unread(row, "", fs)
	if err != nil {
		return err
	}
	if format == "tokens" {
		return r.addTokens(row, rec)
	}
	if err := r.needTokenizer(); err != nil {
		return err
	}
	w := &r.w
	*w = writer{o: r.o, tokens: w.tokens[:0], labels: w.labels[:0]}
	if err := w.place(format, rec); err != nil {
		return err
	}
	if reason := w.write(format, rec); reason != "" {
		r.skip(row, reason)
		return nil
	}
	if r.o.Template == nil && (format == "sharegpt" || format == "messages") && leads(rec.Turns) {
		r.Stats.Led++
	}
	if err := r.inVocab(w.tokens); err != nil {
		return err
	}
	if r.o.Template == nil { // a template may put them anywhere
		r.Stats.Spelled.add(w.tokens, r.o.BOS, r.o.EOS, w.rounds)
	}
	r.add(row, w.tokens, w.labels)
	return nil
}

// full reports whether Options.Take rows were read.
func (r *reader) full() bool {
	return r.o.Take > 0 && r.Len()+r.Stats.Left >= r.o.Take
}

// enough is the number of problems that are reported individually.
const enough = 8

// problem is what is wrong with one row or with several.
type problem struct {
	where string // of the first; "": err says it
	err   error
	rows  int
}

// problem records an invalid row. Reading continues, so that all are reported together,
// rows of which the same is wrong as one.
func (r *reader) problem(where string, err error) {
	kind := withoutNumbers(err.Error())
	switch p := r.alike[kind]; {
	case p != nil:
		p.rows++
	case len(r.problems) == enough:
		r.more++
	default:
		if r.alike == nil {
			r.alike = map[string]*problem{}
		}
		p = &problem{where, err, 1}
		r.alike[kind], r.problems = p, append(r.problems, p)
	}
}

func (r *reader) report() error {
	var list []error
	for _, p := range r.problems {
		text, help, _ := strings.Cut(p.err.Error(), "\n")
		if p.where != "" {
			text = p.where + ": " + text
		}
		if p.rows > 1 {
			text += fmt.Sprintf(" (the same in %s)", human.Count(p.rows-1, "more row"))
		}
		if help != "" {
			text += "\n" + help
		}
		list = append(list, errors.New(text))
	}
	if r.more > 0 {
		list = append(list, fmt.Errorf("and %s", human.Count(r.more, "more row")))
	}
	return errors.Join(list...)
}

// skip records a row that cannot be trained on.
func (r *reader) skip(row int, reason string) {
	r.Stats.leave(Skip{r.Stats.Files[r.file], row, reason, 1})
}

// add appends a row, truncated to the sequence length and to its last supervised
// token: tokens after it, such as padding, do not influence the loss.
func (r *reader) add(row int, tokens, labels []int32) {
	if r.full() {
		return
	}
	limit, whole := r.o.SeqLength+1, len(tokens)
	if whole > longRow {
		r.Stats.Transient = max(r.Stats.Transient, longRowToken*whole)
	}
	if whole > limit {
		tokens, labels = tokens[:limit], labels[:limit]
	}
	supervised, last := 0, 0
	for i := 1; i < len(labels); i++ {
		if labels[i] != Ignore {
			supervised, last = supervised+1, i
		}
	}
	if supervised == 0 && r.keepEmpty && whole > 0 {
		r.Stats.Empty++
	} else if supervised == 0 {
		reason := "no token is supervised"
		if whole < 2 {
			reason = "it has fewer than 2 tokens"
		} else if whole > limit {
			reason = fmt.Sprintf("every supervised token is after seq_length %d (the row has %d tokens)", r.o.SeqLength, whole)
		}
		r.skip(row, reason)
		return
	}
	if whole > limit {
		r.Stats.Truncated++
	}
	if r.o.Length != nil {
		r.o.Length(whole)
	}
	tokens, labels = tokens[:last+1], labels[:last+1]
	if r.o.PadID >= 0 && !r.seen && slices.Contains(tokens[:last], r.o.PadID) {
		r.Stats.InnerPad++
		for _, id := range tokens[:last] {
			if id == r.o.PadID {
				r.Stats.Hidden++
			}
		}
	}
	if r.Len() == 0 && r.o.Tokenizer != nil {
		r.Stats.Example, r.Stats.ExampleIDs = render(Row{Tokens: tokens, Labels: labels}, r.o.Tokenizer)
		if whole > limit {
			r.Stats.ExampleCut = whole
		}
	}
	r.tokens = append(r.tokens, tokens...)
	r.labels = append(r.labels, labels...)
	r.labels[len(r.tokens)-len(tokens)] = Ignore // nothing comes before the first token
	r.ends = append(r.ends, len(r.tokens))
	r.sources = append(r.sources, source{int32(r.file), int32(row), r.seen})
	r.Stats.Rows++
	r.Stats.Tokens += len(tokens)
	r.Stats.Supervised += supervised
}

// Rows of more tokens than longRow count in the memory that reading takes: a token
// takes about longRowToken bytes, as JSON, as text and as ids, with what grew on the way.
const (
	longRow      = 1 << 13
	longRowToken = 48
)

// note records the format of a row.
func (r *reader) note(format string) {
	switch r.Stats.Format {
	case "", format:
		r.Stats.Format = format
	default:
		r.Stats.Format = "mixed"
	}
}

// needTokenizer is the error of text without a tokenizer.
func (r *reader) needTokenizer() error {
	if r.o.Tokenizer == nil && r.o.NoTokenizer != nil {
		return fmt.Errorf("text needs a tokenizer: %w", r.o.NoTokenizer)
	}
	if r.o.Tokenizer == nil {
		return errors.New("text needs a tokenizer; give --tokenizer tokenizer.model, or set processor.tokenizer.vocab_file")
	}
	return nil
}

// inVocab checks the ids of the tokenizer against the model's vocabulary.
func (r *reader) inVocab(tokens []int32) error {
	for _, id := range tokens {
		if id < 0 || int(id) >= r.o.Vocab {
			if t := r.o.Tokenizer; t != nil && t.Special(id) {
				return fmt.Errorf("the tokenizer returns the id %d (%s), but the model's vocab_size is %d; give the tokenizer of the model, or keep such tokens as text with --special_tokens text", id, t.Token(id), r.o.Vocab)
			}
			return fmt.Errorf("the tokenizer returns the id %d, but the model's vocab_size is %d; give the tokenizer of the model", id, r.o.Vocab)
		}
	}
	return nil
}
