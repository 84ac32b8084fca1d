package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"lorac/cmd/lorac/cli"
	"lorac/cmd/lorac/convert/mindindex"
	"lorac/cmd/lorac/progress"
	"lorac/runtime/data/dataset"
	"lorac/runtime/data/mindrecord"
	"lorac/runtime/data/tokenizer"
	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/sys/human"
)

// Alpaca makes conversations of alpaca rows.
type Alpaca struct {
	Data string `name:"data_path" required:"" help:"Alpaca rows: a JSON list of instruction, input, output." placeholder:"FILE"`
	Out  string `name:"output_path" short:"o" required:"" help:"JSON of conversations." placeholder:"FILE"`
}

// Run is alpaca_converter.py.
func (c *Alpaca) Run() error {
	f, err := os.Open(c.Data)
	if err != nil {
		return err
	}
	defer f.Close()
	rows, err := dataset.Alpaca(f)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Data, err)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(rows); err != nil {
		return err
	}
	text := bytes.TrimSuffix(b.Bytes(), []byte("\n")) // as Python's json.dump ends
	if err := atomicfile.WriteFile(c.Out, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
		return err
	}
	fmt.Printf("wrote %d conversations to %s\n", len(rows), c.Out)
	return nil
}

// MindRecord makes MindRecord files of conversations or text.
type MindRecord struct {
	Type      string `name:"dataset_type" enum:"qa,wiki,wikipedia" required:"" help:"qa: conversations (lorac convert alpaca makes them); wiki: text."`
	In        string `name:"input_glob" required:"" help:"The data: a JSON of conversations, or text." placeholder:"FILE"`
	Out       string `name:"output_file" short:"o" required:"" help:"The MindRecord file; its index is written next to it." placeholder:"FILE"`
	Model     string `name:"model_file" required:"" help:"tokenizer.model or tokenizer.json." placeholder:"FILE"`
	SeqLength int    `name:"seq_length" default:"2048" help:"Rows have one id more."`
	Shards    int    `name:"file_partition" default:"1" help:"Files to spread the rows over."`
	Repeat    int    `default:"1" help:"How often the text is taken (wiki)."`
	Pad       int32  `name:"pad_token_id" default:"0" help:"What fills a row."`
	Special   string `name:"special_tokens" enum:"ids,text" default:"ids" help:"ids: control tokens that the text spells (<s>, </s>, <unk>) become their ids, as in MindFormers; text: they stay text."`
	Strict    bool   `help:"A row that would be masked completely, or truncated, is an error."`
}

// Run is llama_preprocess.py; what that does to rows without a word is said.
func (c *MindRecord) Run() error {
	tok, err := tokenizer.Load(c.Model)
	if err != nil {
		return fmt.Errorf("cannot load the tokenizer: %w", err)
	}
	if c.Special == "text" || tok.SplitsSpecial() {
		tok = tok.SpecialAsText()
	}
	tok = tok.PrefixEachSection()
	for _, note := range tok.Notes() {
		fmt.Printf("%s: %s\n", c.Model, note)
	}
	if c.SeqLength < 1 || c.Shards < 1 || c.Shards > 1000 || c.Repeat < 1 {
		return cli.Usage("seq_length and repeat are at least 1, file_partition 1 to 1000")
	}
	fields := map[string]mindrecord.Field{"input_ids": {Shape: []int{-1}, Type: "int32"}}
	var rows []mindrecord.Row
	if c.Type == "qa" {
		fields["labels"] = mindrecord.Field{Shape: []int{-1}, Type: "int32"}
		rows, err = c.qa(tok)
	} else {
		rows, err = c.wiki(tok)
	}
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return fmt.Errorf("%s gives no row of %d ids", c.In, c.SeqLength+1)
	}
	paths, err := writeMindRecord(c.Out, c.Type, fields, rows, c.Shards)
	if err != nil {
		return err
	}
	fmt.Printf("wrote %d rows to %v\n", len(rows), paths)
	return nil
}

func (c *MindRecord) qa(tok *tokenizer.Tokenizer) ([]mindrecord.Row, error) {
	f, err := os.Open(c.In)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := dataset.Conversations(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.In, err)
	}
	var rows []mindrecord.Row
	truncated, masked, dropped := 0, map[string]int{}, map[string]int{}
	meter := progress.Things("conversations", len(list))
	defer meter.End()
	for i, conv := range list {
		meter.Add(1)
		p, err := dataset.QA(conv, tok, c.SeqLength, c.Pad)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.In, err)
		}
		if c.Strict && (p.Masked != "" || p.Truncated) {
			why := p.Masked
			if why == "" {
				why = fmt.Sprintf("it is longer than %d ids", c.SeqLength+1)
			}
			return nil, fmt.Errorf("%s, conversation %d: %s\n  = help: mend or remove it, or leave --strict away", c.In, i+1, why)
		}
		if p.Truncated {
			truncated++
		}
		if p.Dropped != "" {
			dropped[p.Dropped]++
		}
		if p.Masked != "" {
			masked[p.Masked]++
		}
		rows = append(rows, mindrecord.Row{"input_ids": p.IDs, "labels": p.Labels})
	}
	if truncated > 0 {
		fmt.Printf("longer than %d ids and truncated: %s\n", c.SeqLength+1, human.Count(truncated, "row"))
	}
	for _, from := range slices.Sorted(maps.Keys(dropped)) {
		fmt.Printf("begun by a turn from %q, which is dropped, as the script does: %s\n", human.Line(from), human.Count(dropped[from], "conversation"))
	}
	for _, why := range slices.Sorted(maps.Keys(masked)) {
		fmt.Printf("masked as a whole, so that nothing trains on it (%s): %s\n", why, human.Count(masked[why], "row"))
	}
	return rows, nil
}

func (c *MindRecord) wiki(tok *tokenizer.Tokenizer) ([]mindrecord.Row, error) {
	text, err := os.ReadFile(c.In)
	if err != nil {
		return nil, err
	}
	meter := (*progress.Meter)(nil)
	list, left := dataset.Wiki(string(text), tok, c.SeqLength, c.Repeat, func(done, all int) {
		if done == 0 {
			meter = progress.Things("paragraphs", all)
		}
		meter.Add(1)
	})
	meter.End()
	if left > 0 {
		fmt.Printf("the last %d ids do not fill a row and are left out\n", left)
	}
	var rows []mindrecord.Row
	for _, ids := range list {
		rows = append(rows, mindrecord.Row{"input_ids": ids})
	}
	return rows, nil
}

// writeMindRecord writes rows one call each, as the script does, with the
// index of every file. Over several files rows are spread at random, always
// alike.
func writeMindRecord(path, desc string, fields map[string]mindrecord.Field, rows []mindrecord.Row, shards int) ([]string, error) {
	paths, names := []string{path}, []string(nil)
	if shards > 1 {
		paths = nil
		width := len(strconv.Itoa(shards - 1))
		for i := range shards {
			paths = append(paths, fmt.Sprintf("%s%0*d", path, width, i))
			names = append(names, filepath.Base(paths[i]))
		}
	}
	for _, p := range paths {
		for _, file := range []string{p, p + ".db"} {
			if _, err := os.Stat(file); err == nil {
				return nil, fmt.Errorf("%s is there already; remove it, or give another name", file)
			}
		}
	}
	if err := mindindex.Available(); err != nil {
		return nil, err
	}
	var writers []*mindrecord.Writer
	for i, p := range paths {
		w, err := mindrecord.Create(p, fields, mindrecord.Options{Desc: desc, Shard: i, Shards: names})
		if err != nil {
			return nil, err
		}
		defer w.Abort()
		writers = append(writers, w)
	}
	rng := rand.New(rand.NewPCG(0, uint64(len(rows))))
	meter := progress.Things("writing "+path+": rows", len(rows))
	defer meter.End()
	for _, r := range rows {
		meter.Add(1)
		if err := writers[rng.IntN(len(writers))].Write(r); err != nil {
			return nil, err
		}
	}
	saved := 0
	for _, w := range writers {
		saved += w.Saved()
	}
	for i, w := range writers {
		if err := w.Close(saved); err != nil {
			return nil, err
		}
		if err := mindindex.Write(paths[i], w.Header(), w.Index, w.Scalars); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// CheckIndexes makes MindSpore's checks of a MindRecord data set, before a run
// reads it. An index that is missing or that nothing here can read is worth a
// note: lorac needs none.
func CheckIndexes(path string) error {
	if !dataset.IsMindRecord(path) {
		return nil
	}
	s, err := mindrecord.Open(path)
	if err != nil {
		return nil // the trainer will say it in its words
	}
	defer s.Close()
	for _, p := range s.Paths() {
		one, err := mindrecord.OpenFiles([]string{p})
		if err != nil {
			return err
		}
		err = mindindex.Check(p, one.Rows)
		one.Close()
		if errors.Is(err, mindindex.ErrNone) || errors.Is(err, mindindex.ErrProgram) {
			fmt.Fprintln(os.Stderr, "note: the index is not checked:", err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}
