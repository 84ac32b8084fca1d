package rt

import (
	"io"

	"lorac/runtime/data/dataset"
	"lorac/runtime/infer"
	"lorac/runtime/microbatch"
	"lorac/runtime/train"
)

// Demand is what a run will need of memory, as far as data and flags decide it.
type Demand struct {
	Tokens, Rows, Sequences int // of the largest micro-batches: T, S, N
	Data                    int // bytes of the data sets in memory
	Parsed                  int // bytes of a tokenizer of JSON, or of the longest text, while it is read
	Steps                   int
	Prompt, Text            int  // ids of the longest prompt, and of the texts generated at once without their last; 0 where none is
	Texts                   int  // that are generated at once
	Whole                   bool // texts are recomputed for each id, without caches
}

// DemandOf opens the data of a job as its trainer would under the same
// arguments, and finds the largest micro-batches among all steps (and the
// evaluation). Its errors are those the trainer would end with. The job is not
// changed.
func DemandOf(shared *Job, args []string) (d Demand, err error) {
	err = reading(shared, args, func(j *Job, opts *Options, in *inputs) { d.read(j, opts, in) })
	return d, err
}

// reading opens the data of a job as its trainer would under the same arguments. The
// job is not changed.
func reading(shared *Job, args []string, use func(j *Job, opts *Options, in *inputs)) error {
	return asTrainer(shared, args, func(j *Job, opts *Options) error {
		in, err := openInputs(j, modeOf(j.RunMode), func(string, ...any) {})
		if err != nil {
			return err
		}
		defer in.close()
		use(j, opts, in)
		return nil
	})
}

// asTrainer prepares a job and this process for reading files as the job's trainer would
// under the same arguments. The job is not changed.
func asTrainer(shared *Job, args []string, read func(j *Job, opts *Options) error) (err error) {
	j := *shared
	r := &Run{out: train.NewReporter(io.Discard)}
	defer func() {
		if e := recover(); e != nil {
			err = r.mapFault(e)
		}
	}()
	prepareProcess()
	defer catchFaults()()
	opts, err := parseFlags(&j, args)
	if err != nil {
		return err
	}
	return read(&j, opts)
}

// read finds the largest micro-batches of a run.
func (d *Demand) read(j *Job, opts *Options, in *inputs) {
	mode := modeOf(j.RunMode)
	d.Parsed = in.tokBytes
	show := func(list []*microbatch.MicroBatch) {
		for _, b := range list {
			d.Tokens, d.Rows, d.Sequences = max(d.Tokens, len(b.Tokens)), max(d.Rows, len(b.Rows)), max(d.Sequences, len(b.Starts))
		}
	}
	if mode == Train {
		d.Steps = in.plan.Steps
		if opts.Steps > 0 {
			d.Steps = min(d.Steps, opts.Steps)
		}
		for step := range d.Steps {
			for _, u := range divide(j, in.batches, step) {
				show(in.batches.Pack(u, j.MaxRows))
			}
		}
		d.Data += dataBytes(in.batches.Set()) + in.batches.Set().DigestBytes()
		d.Parsed = max(d.Parsed, in.batches.Set().Stats.Transient)
	}
	if showsSamples(mode, opts) && in.tok != nil {
		d.addSamples(j, opts, in)
	}
	if in.eval != nil {
		e := &infer.Evaluator{Job: j, Set: in.eval}
		d.Parsed = max(d.Parsed, in.eval.Stats.Transient)
		d.Data += dataBytes(in.eval) + e.Demand(show)
		if generates(j, mode, in) {
			d.addTexts(j, in, e.Questions(), opts.NoPast || j.Device != "") // a device has no caches
		}
	}
}

// addSamples adds what continuing the prompts of a training run needs. What is wrong with
// them, the run says.
func (d *Demand) addSamples(j *Job, opts *Options, in *inputs) {
	prompts, err := infer.ReadPrompts(opts.Prompts)
	if err != nil {
		return
	}
	var list []infer.Question
	for _, p := range prompts {
		ids := make([]int32, len(in.tok.Encode(p))+renderedAround)
		list = append(list, infer.Question{Prompt: ids[:min(len(ids), j.SeqLength-1)]})
	}
	d.addTexts(j, in, list, opts.NoPast || j.Device != "")
}

// renderedAround is more ids than a template adds to a question, short of system messages.
const renderedAround = 64

// addTexts adds what the texts of an evaluation need. The tokenizer stays, and
// the numbers an id is picked by (the sampler's); the collector is a fifth of
// that late (tuneGC), or by the least that it lets be.
func (d *Demand) addTexts(j *Job, in *inputs, questions []infer.Question, whole bool) {
	left, longest := 0, 0
	for _, q := range questions {
		n := len(q.Prompt)
		if last := infer.Longest(j, n) - 1; n > 0 && n <= last && n < j.SeqLength {
			d.Prompt, longest = max(d.Prompt, n), max(longest, last)
			left += (last - n + 1) * (8*j.Vocab + 1<<10) // by each id, about
		}
		d.Data += 48 + 4*len(q.Answer)
	}
	texts := 1
	if !whole && j.Devices.Count <= 1 {
		texts = infer.AtOnce(j, longest+1, len(questions), 0)
	}
	d.Texts, d.Text = max(d.Texts, texts), max(d.Text, longest*texts)
	stays := 8 * j.Vocab
	if in.tok != nil {
		stays += in.tok.Bytes()
	}
	d.Data += stays + max(stays/5, min(left, 1<<20))
	if d.Whole = whole; whole { // all of a text is a micro-batch
		d.Prompt = d.Text
		d.Tokens = max(d.Tokens, d.Text)
	}
}

// dataBytes is what a data set takes: an id and a label a token, and where
// each row ends and comes from.
func dataBytes(s *dataset.Set) int { return 8*s.Stats.Tokens + 32*s.Len() }
