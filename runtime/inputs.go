package rt

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/runtime/data/chat"
	"lorac/runtime/data/dataset"
	"lorac/runtime/data/tokenizer"
	"lorac/runtime/exit"
	"lorac/runtime/microbatch"
	"lorac/runtime/sys/human"
	"lorac/runtime/train"
	"lorac/runtime/weights"
)

// inputs are the tokenizer and the data sets of a run.
type inputs struct {
	tok       *tokenizer.Tokenizer // nil: none is found, or tokErr
	ids       *tokenizer.Tokenizer // the same, which reads the control tokens of a chat template
	tokErr    error                // why the one that was found cannot be used
	tokPath   string               // its file
	added     []tokenizer.Added    // by the config
	tokInGGUF map[string]fileSum   // its digest, where it is part of one
	tokBytes  int                  // that reading a tokenizer took, about, as measured; little for a SentencePiece model
	batches   *microbatch.Batcher  // of the training data; nil outside of training
	plan      train.Plan
	eval      *dataset.Set // nil: nothing is evaluated
	length    func(int)    // is told how long rows are before they are cut; may be nil
}

// openInputs opens what a mode reads and says what it found.
func openInputs(j *Job, mode Mode, say func(string, ...any)) (*inputs, error) {
	in := &inputs{}
	err := in.openTokenizer(j, say)
	if err != nil && in.tokErr != nil && mode != Generate {
		say("%v", err)
		say("  rows of ids need none; text is refused")
		err = nil
	}
	if err == nil && mode == Train {
		err = in.openTraining(j, say)
	}
	if err == nil && mode == Train {
		err = findEval(j, say)
	}
	if err == nil && (mode == Eval || mode == Train && j.EvalData.Path != "") {
		in.eval, err = in.openData(j, &j.EvalData, "evaluation", "--eval_dataset_dir", say)
	}
	if err == nil && mode == Train {
		err = in.planSteps(j)
	}
	if err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

// openTokenizer looks where the config says, else beside the checkpoint, else
// in it.
func (in *inputs) openTokenizer(j *Job, say func(string, ...any)) error {
	path, inside := j.Tokenizer, false
	if path == "" && j.LoadCheckpoint != "" {
		path, inside = weights.TokenizerFile(j.LoadCheckpoint)
	} else if file := weights.GGUF(path); path != "" && file != "" { // the tokenizer that a model's file has
		path, inside = file, true
	}
	if path == "" {
		return nil
	}
	load, apart := tokenizer.Load, !inside
	if inside {
		load = weights.Tokenizer
	}
	t, err := load(path)
	if err != nil {
		if j.Tokenizer == "" { // nobody named it
			in.tokErr = err
		}
		return exit.Inputf("cannot load the tokenizer: %w", err)
	}
	if t == nil {
		return nil
	}
	if t.BaseSize() > j.Vocab {
		return exit.Inputf("the tokenizer %s has %d pieces, the model's vocabulary %d%s", path, t.BaseSize(), j.Vocab, growing(j, t.Size()))
	}
	if err := in.addTokens(t, path, j, say); err != nil {
		return err
	}
	sayTokens(t, path, j, say)
	if err := settleEnds(t, path, j, say); err != nil {
		return err
	}
	if t.SplitsSpecial() && j.SpecialTokens == "" {
		j.SpecialTokens = "text"
		say("tokenizer %s: split_special_tokens is true: control tokens in texts are kept as text; set it to false in tokenizer_config.json to have them read as tokens", path)
	}
	in.ids = t
	if j.SpecialTokens == "text" {
		t = t.SpecialAsText()
	}
	in.tok, in.tokPath = t, path
	if !apart {
		in.tokInGGUF = vocabularySum(t)
	}
	if !apart {
		in.tokBytes = 320 * t.Size() // lists of pieces, scores and merges, and what is made of them
	} else if info, err := os.Stat(path); err == nil && (strings.HasSuffix(path, ".json") || !t.FromModel()) {
		in.tokBytes = 5*int(info.Size()) + 190*t.Size()
	} else if info, err := os.Stat(filepath.Join(filepath.Dir(path), "tokenizer.json")); err == nil {
		in.tokBytes = 3 * int(info.Size()) // it is compared with the model
	}
	return nil
}

// addTokens adds the tokens of the config, for which the vocabulary must have places.
func (in *inputs) addTokens(t *tokenizer.Tokenizer, path string, j *Job, say func(string, ...any)) (err error) {
	if len(j.LoRA.Added) == 0 {
		return nil
	}
	if in.added, err = t.Add(j.LoRA.Added); err != nil {
		return exit.Inputf("cannot add tokens to the tokenizer %s: %w", path, err)
	}
	if n := t.Size(); n > j.Vocab {
		return exit.Inputf("added_tokens makes the tokenizer %s one of %d pieces, the model's vocabulary is %d%s", path, n, j.Vocab, growing(j, n))
	}
	for _, a := range in.added {
		say("added token %s: id %d", a.Text, a.ID)
	}
	return nil
}

// growing says how the vocabulary becomes as large as the tokenizer.
func growing(j *Job, n int) string {
	switch {
	case j.LoRA.Rank == 0:
		return ""
	case j.LoRA.Grows():
		return fmt.Sprintf("\n  = help: set vocab_size: %d", n)
	}
	return fmt.Sprintf("\n  = help: with vocab_size: %d, and modules_to_save: [embed_tokens, lm_head] in pet_config, rows are added that train", n)
}

// sayTokens says what the files beside a tokenizer change, and where they differ from
// the config.
func sayTokens(t *tokenizer.Tokenizer, path string, j *Job, say func(string, ...any)) {
	for _, note := range t.Notes() {
		say("tokenizer %s: %s", path, note)
	}
	if n := t.Size(); n > j.Vocab {
		say("  its last id is %d (%s), vocab_size is %d: a text with a token beyond that is refused%s", n-1, t.Token(int32(n-1)), j.Vocab, growing(j, n))
	}
	if id := t.EOS(); id >= 0 && !slices.Contains(j.EosIDs, int(id)) {
		say("  its eos_token is %s, id %d; the config's eos_token_id is %v, which is followed: texts end with %d", t.Token(id), id, j.EosIDs, j.EosIDs[0])
	}
	if id := t.BOS(); id >= 0 && int(id) != j.BosID {
		say("  its bos_token is %s, id %d; the config's bos_token_id is %d, which is followed", t.Token(id), id, j.BosID)
	}
	if id := t.PAD(); id >= 0 && j.PadID >= 0 && int(id) != j.PadID {
		say("  its pad_token is %s, id %d; the config's pad_token_id is %d, which is followed", t.Token(id), id, j.PadID)
	}
}

// settleEnds decides whether texts begin with BOS, from the config and the tokenizer's
// files. Rows end with EOS whatever is said: MindFormers' data sets put it there.
func settleEnds(t *tokenizer.Tokenizer, path string, j *Job, say func(string, ...any)) error {
	file := filepath.Join(filepath.Dir(path), "tokenizer_config.json")
	if _, err := os.Stat(file); err != nil {
		file = path // a GGUF file says it itself
	}
	for _, x := range []struct {
		key   string
		adds  func() (bool, bool)
		ours  *string
		serve func(adds bool)
	}{
		{"add_bos_token", t.AddsBOS, &j.AddBOS, func(adds bool) {
			if !adds {
				j.AddBOS = "False"
			}
		}},
		{"add_eos_token", t.AddsEOS, &j.AddEOS, func(bool) {}},
	} {
		adds, said := x.adds()
		spelled := map[bool]string{true: "True", false: "False"}[adds]
		if said && *x.ours != "" && *x.ours != spelled {
			return exit.Inputf("`%s` is %s in the config (processor.tokenizer.%s of %s), and %v in %s\n  = help: make them the same, or take the key out of the config: then the file is followed", x.key, *x.ours, x.key, j.Source, adds, file)
		}
		if said {
			x.serve(adds)
		}
	}
	if j.AddBOS == "False" {
		say("tokenizer %s: add_bos_token is false: rows and prompts begin without %d", path, j.BosID)
	}
	if j.AddEOS == "False" { // files say so of nearly every tokenizer
		say("add_eos_token is False in the config, which counts for prompts; rows of training end with %d in any case, so that the model learns to end", j.EosIDs[0])
	}
	return nil
}

// tokenizerSums are the digests of the tokenizer's files, nil without one.
func (in *inputs) tokenizerSums() map[string]fileSum {
	if in.tokPath == "" || in.tokInGGUF != nil {
		return in.tokInGGUF
	}
	return tokenizerSums(in.tokPath)
}

// openData opens a data set.
func (in *inputs) openData(j *Job, d *Data, what, flagName string, say func(string, ...any)) (*dataset.Set, error) {
	if d.Path == "" {
		return nil, exit.Inputf("no %s data is given\n  = help: %s FILE, or set dataset_dir in the config", what, flagName)
	}
	length := j.SeqLength
	if d.SeqLength > 0 {
		length = min(length, d.SeqLength)
	}
	template, err := in.templateOf(j, d, say)
	if err != nil {
		return nil, err
	}
	tok, tokens := in.tok, chat.Tokens{}
	if template != nil {
		tok, tokens = in.ids, in.tokens(j, template)
	}
	set, err := dataset.Open(d.Path, dataset.Options{
		Template: template, Tokens: tokens, TrainOn: d.TrainOn,
		Tokenizer: tok, NoTokenizer: in.tokErr, SeqLength: length, Vocab: j.Vocab, Format: d.Format, Prompt: d.Prompt,
		Keys: dataset.Keys{Instruction: d.InstructionKey, Input: d.InputKey, Output: d.OutputKey}, Eval: d == &j.EvalData, Split: d.Split,
		BOS: int32(j.Begin()), EOS: int32(j.EosIDs[0]), PadID: int32(j.PadID), IgnoreID: int32(j.IgnoreID),
		Take: d.Take, Pack: d.Pack, EODReset: d.EodReset, EOD: int32(d.Eod), NoLabels: d.NoLabels,
		Padded: d.Order == "generator", Length: in.length,
		ByTarget: d == &j.EvalData && slices.Contains(j.Metrics, "PerplexityMetric"),
	})
	if err != nil {
		return nil, exit.With(exit.Input, err)
	}
	s := &set.Stats
	say("%s data: %s of %s from %s, %s, %.0f %% supervised", what, human.Count(s.Rows, "row"), s.Format,
		strings.Join(s.Files, ", "), human.Count(s.Tokens, "token"), 100*float64(s.Supervised)/float64(s.Tokens))
	if set.Groups() < set.Len() {
		say("  packed into %s of up to %d tokens", human.Count(set.Groups(), "row"), length)
	}
	if s.Truncated > 0 {
		say("  longer than seq_length %d and cut: %s", length, human.Count(s.Truncated, "row"))
	}
	if s.Empty > 0 {
		say("  without a supervised token: %s; they keep their place in the order and cost nothing", human.Count(s.Empty, "row"))
	}
	if s.InnerPad > 0 {
		say("  with the pad id %d before their end: %s; as in MindFormers, no token attends to those %d", j.PadID, human.Count(s.InnerPad, "row"), s.Hidden)
		if slices.Contains(j.EosIDs, j.PadID) {
			say("  warning: pad_token_id is an end of texts (eos_token_id), so the ends inside rows are among them; set pad_token_id to an id that no text has")
		}
	}
	sayControls(j, s, say)
	if s.Led > 0 {
		say("  an assistant's turn comes first in %s; that turn is dropped, as MindFormers does", human.Count(s.Led, "conversation"))
	}
	if s.Halves > 0 {
		say("  warning: \\ud800 to \\udfff stand alone in %s, the first is %s: each is half a character, read as U+FFFD", human.Count(s.Halves, "row"), s.FirstHalf)
	}
	in.offerTemplate(j, d, s.Format, say)
	for _, note := range s.Notes {
		say("  %s", note)
	}
	if len(s.Unread) > 0 {
		say("  keys of rows that are not read: %s", unread(s.Unread))
	}
	for i, k := range s.LeftOut {
		if i == 5 {
			rest := 0
			for _, k := range s.LeftOut[i:] {
				rest += k.Rows
			}
			say("  … and %d more", rest)
			break
		}
		if k.Rows == 1 {
			say("  row %d of %s is left out: %s", k.Row, k.File, k.Reason)
		} else {
			say("  %d rows are left out, the first is row %d of %s: %s", k.Rows, k.Row, k.File, k.Reason)
		}
	}
	return set, nil
}

// sayControls says where texts spell BOS or EOS besides those that belong around them.
func sayControls(j *Job, s *dataset.Stats, say func(string, ...any)) {
	for _, c := range []struct {
		rows, id int
		name     string
	}{{s.Spelled.BOS, j.BosID, "bos_token_id"}, {s.Spelled.EOS, j.EosIDs[0], "eos_token_id"}} {
		if c.rows > 0 {
			say("  warning: %s %d is once more in %s, besides the one that belongs there; take it out of the texts, or keep it as text with --special_tokens text", c.name, c.id, human.Count(c.rows, "row"))
		}
	}
}

// unread lists keys with the number of rows that have them.
func unread(list []dataset.Column) string {
	var out []string
	for i, c := range list {
		if i == 20 {
			out = append(out, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		out = append(out, fmt.Sprintf("%q (%s)", c.Name, human.Count(c.Rows, "row")))
	}
	return strings.Join(out, ", ")
}

// findEval finds the data of an evaluation during training that is asked for without
// any: those beside the training data, in a directory that has both.
func findEval(j *Job, say func(string, ...any)) error {
	if !j.DoEval || j.EvalData.Path != "" {
		return nil
	}
	if j.TrainData.Path == "" || !dataset.EvalSplit(j.TrainData.Path) {
		return exit.Inputf("do_eval is True, but no evaluation data is given\n  = help: --eval_dataset_dir FILE, or set eval_dataset.data_loader.dataset_dir in the config; --do_eval False trains without")
	}
	shuffle, drop := j.EvalData.Shuffle, j.EvalData.DropRemainder
	j.EvalData = j.TrainData
	j.EvalData.Shuffle, j.EvalData.DropRemainder, j.EvalData.Take, j.EvalData.Samples = shuffle, drop, 0, 0
	j.EvalData.Repeat, j.EvalData.Pack, j.EvalData.Split = 1, "", ""
	say("evaluation data are those beside the training data in %s", j.TrainData.Path)
	return nil
}

// openTraining opens the training data and shows their first row.
func (in *inputs) openTraining(j *Job, say func(string, ...any)) error {
	set, err := in.openData(j, &j.TrainData, "training", "--train_dataset_dir", say)
	if err != nil {
		return err
	}
	if set.Stats.Example != "" {
		cut := ""
		if n := set.Stats.ExampleCut; n > 0 {
			cut = fmt.Sprintf("\n  it is cut at seq_length: the row has %d ids", n)
		}
		say("first row, supervised part in ⟦ ⟧, control tokens in ⟨ ⟩:\n%s\n  its ids: %s%s", indent(clip(set.Stats.Example, 1200)), set.Stats.ExampleIDs, cut)
	}
	in.batches = microbatch.NewBatcher(set, j)
	if j.Devices.Mode != "" {
		say("%s", j.Step())
	}
	return nil
}

// planSteps counts the steps of the training data.
func (in *inputs) planSteps(j *Job) error {
	b := in.batches
	if b.StepsPerEpoch() == 0 {
		return exit.Inputf("%s\n  = help: lower batch_size or gradient_accumulation_steps, or set drop_remainder: False", tooFew(b, j))
	}
	d := b.StepsPerEpoch() * j.TrainData.Repeat
	in.plan = train.NewPlan(d, j.Epochs, j.SinkSize)
	if in.plan.Steps == 0 {
		return exit.Inputf("%d steps of data are fewer than one round of sink_size %d, so nothing would train\n  = help: --sink_mode False", d*j.Epochs, in.plan.Round)
	}
	return nil
}

// tooFew says that the rows do not fill a step.
func tooFew(b *microbatch.Batcher, j *Job) string {
	batch := j.Batch()
	if batch.Lists > 1 {
		return fmt.Sprintf("%d rows a device do not fill one batch of %d, on %d devices", b.Len()/batch.Lists, batch.Take, batch.Lists)
	}
	return fmt.Sprintf("%d rows do not fill one batch of %d × %d", b.Len(), batch.Part, batch.Means())
}

// close gives the data back.
func (in *inputs) close() {
	if in.batches != nil {
		in.batches.Set().Close()
	}
	if in.eval != nil {
		in.eval.Close()
	}
}

func indent(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") }

// clip is the first n characters of a text.
func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + " …"
	}
	return s
}
