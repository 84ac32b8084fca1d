package rt

import (
	"slices"
	"time"

	"lorac/runtime/data/dataset"
)

// Demand is what a run will ask of the memory, as far as data and flags decide it.
type Demand struct {
	Tokens, Rows, Sequences int // of the largest passes: T, S, N
	Data                    int // bytes of the data sets in memory
	Parsed                  int // bytes of a tokenizer of JSON while it is read
	Steps                   int
	Prompt, Text            int  // ids of the longest prompt and of the longest text, without its last; 0 where none is generated
	Whole                   bool // texts are computed anew for each id, without caches
}

// Measure opens the data of a job as its trainer would under the same
// arguments, and finds the largest passes among all steps (and the evaluation).
// Wrong input ends the process, as it would end the trainer.
func Measure(job *Job, args []string) Demand {
	r := &Run{job: job, started: time.Now(), out: newReporter()}
	r.out.quiet = true
	watch()
	defer func() { r.lost(recover()) }()
	opts, err := parseFlags(job, args)
	if err != nil {
		r.fail(2, "%v", err)
	}
	r.opts = opts
	r.openTokenizer()
	d := Demand{Parsed: r.parsed}
	see := func(passes []*Pass) {
		for _, p := range passes {
			d.Tokens, d.Rows, d.Sequences = max(d.Tokens, len(p.Tokens)), max(d.Rows, len(p.Rows)), max(d.Sequences, len(p.Starts))
		}
	}
	if job.RunMode != "eval" && job.RunMode != "predict" {
		r.mode = Train
		r.openTraining()
		for step := range r.total {
			see(r.train.passes(step, job.MaxRows, job.PerTokenLoss))
		}
		d.Data += dataBytes(r.train.set)
		defer r.train.set.Close()
		d.Steps = r.total
	} else if job.RunMode == "eval" {
		r.mode = Eval
		r.eval = r.openData(&job.EvalData, "evaluation", "--eval_dataset_dir")
	}
	if r.eval != nil {
		d.Data += dataBytes(r.eval) + r.losses(see)
		defer r.eval.Close()
	}
	if r.generates() {
		r.texting(&d)
	}
	return d
}

// losses shows the passes of an evaluation, those of a batch or of all rows at
// once, and is how many bytes they take; none where texts are all that is measured.
func (r *Run) losses(see func([]*Pass)) (bytes int) {
	size := r.eval.Len()
	switch {
	case slices.Contains(r.job.Metrics, "PerplexityMetric"):
		size = r.job.BatchSize
	case slices.Contains(r.job.Metrics, "EmF1Metric"):
		return 0
	}
	for from := 0; from < r.eval.Len(); from += size {
		p, tokens := newPacker(r.job.MaxRows), 0
		for i := from; i < min(from+size, r.eval.Len()); i++ {
			p.add(r.eval.Row(i), 1, 0)
			tokens += len(r.eval.Row(i).Tokens)
		}
		see(p.done())
		bytes = max(bytes, 28*tokens)
	}
	return bytes
}

// texting adds what the texts of an evaluation ask for. The tokenizer stays, and
// the numbers an id is picked by (sampler.pick); the collector is a fifth of that
// behind (lean), or what is the least it lets be.
func (r *Run) texting(d *Demand) {
	left := 0
	for _, q := range r.questions() {
		n := len(q.prompt)
		if last := r.longest(n) - 1; n > 0 && n <= last && n < r.job.SeqLength {
			d.Prompt, d.Text = max(d.Prompt, n), max(d.Text, last)
			left += (last - n + 1) * (8*r.job.Vocab + 1<<10) // by each id, about
		}
		d.Data += 48 + 4*len(q.answer)
	}
	stays := 8 * r.job.Vocab
	if r.tok != nil {
		stays += r.tok.Bytes()
	}
	d.Data += stays + max(stays/5, min(left, 1<<20))
	if d.Whole = r.opts.NoPast; d.Whole { // all of a text is a pass
		d.Prompt = d.Text
		d.Tokens = max(d.Tokens, d.Text)
	}
}

// dataBytes is what a data set takes: an id and a label a token, and where
// each row ends and comes from.
func dataBytes(s *dataset.Set) int { return 8*s.Stats.Tokens + 32*s.Len() }
