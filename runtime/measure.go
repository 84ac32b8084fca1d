package rt

import (
	"time"

	"lorac/runtime/dataset"
)

// Demand is what a run will ask of the memory, as far as data and flags decide it.
type Demand struct {
	Tokens, Rows, Sequences int // of the largest passes: T, S, N
	Data                    int // bytes of the data sets in memory
	Parsed                  int // bytes of a tokenizer of JSON while it is read
	Steps                   int
	Texts                   bool // the run generates some, of up to seq_length ids
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
		p := newPacker(job.MaxRows)
		for i := range r.eval.Len() {
			p.add(r.eval.Row(i), 1, 0)
		}
		see(p.done())
		d.Data += dataBytes(r.eval) + 28*r.eval.Stats.Tokens // the set, and its passes
		defer r.eval.Close()
	}
	if d.Texts = r.generates(); d.Texts {
		d.Tokens = max(d.Tokens, job.SeqLength)
		if r.tok != nil {
			d.Data += 140 * r.tok.Size() // as measured; else it goes before the steps
		}
	}
	return d
}

// dataBytes is what a data set takes: an id and a label a token, and where
// each row ends and comes from.
func dataBytes(s *dataset.Set) int { return 8*s.Stats.Tokens + 32*s.Len() }
