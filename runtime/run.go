package rt

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"lorac/kernels"
	"lorac/runtime/exit"
	"lorac/runtime/infer"
	"lorac/runtime/microbatch"
	"lorac/runtime/sys/human"
	"lorac/runtime/sys/limits"
	"lorac/runtime/sys/version"
	"lorac/runtime/train"
)

// Run is one execution of a trainer: its parts put together. Emitted programs
// ask the Loader for the model and the Loop for the steps.
type Run struct {
	*Loader
	*Loop // in training only

	world   *world
	job     *Job
	opts    *Options
	mode    Mode
	data    *inputs
	eval    *infer.Evaluator // nil: nothing is evaluated
	gen     *infer.Generator
	out     *train.Reporter
	k       *kernels.Context
	dev     Device
	stop    *stop
	command string // see process
	restart func() // see process

	in      io.Reader // of requests, where it serves them
	answers io.Writer
}

// start reads the flags, opens the data of the mode and the weights, and says
// what will happen.
func (r *Run) start(args []string) (err error) {
	j := r.job
	if r.opts, err = parseFlags(j, args); err != nil {
		return err
	}
	if err := CheckCPU(); err != nil {
		return err
	}
	r.out.Plain = r.out.Plain || r.opts.NoProgress
	if r.opts.Threads == 0 {
		r.opts.Threads = max(DefaultThreads()/r.world.local, 1)
	}
	if !r.world.alone() { // one more for the thread of the engine and the signs of life
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
	r.k = newKernels(r.opts.Threads)
	if err := r.checkLimit(); err != nil {
		return err
	}
	if r.dev == nil {
		r.dev = &host{r.k}
	}
	on, err := r.dev.Open(j, r.opts)
	if err != nil {
		return err
	}
	if on == "" {
		on = human.Count(r.k.Threads(), "thread")
	}
	slow := SlowPaths(j, r.k.Threads(), r.k)
	if err := refuseSlow(slow, r.opts.AllowSlow); err != nil {
		return err
	}
	if r.mode = modeOf(j.RunMode); r.mode == Train {
		r.stop.listenUsers()
		r.prepareStop()
	}
	r.Loader = newLoader(j, r.k, r.dev, r.out.Say)
	r.Loader.ignoreBase = r.opts.IgnoreBase
	if j.LoadCheckpoint != "" {
		if err := r.Loader.open(r.mode == Train, r.restart); err != nil {
			return err
		}
	}
	r.out.Say("lorac %s", version.String())
	r.out.Say("%s (%s): %s, %s", j.Name, j.Source, r.mode, on)
	r.sayProcesses()
	r.saySlow(slow)
	if r.mode == Eval || r.mode == Train && j.DoEval {
		if err := infer.CheckMetrics(j.Metrics); err != nil {
			return err
		}
	}
	if r.data, err = openInputs(j, r.mode, r.out.Say); err != nil {
		return err
	}
	texts := generates(j, r.mode, r.data) || showsSamples(r.mode, r.opts)
	if !texts {
		r.data.tok, r.data.ids = nil, nil // several MiB that nobody needs any more
	}
	r.Loader.caches = texts
	r.gen = &infer.Generator{Job: j, Tok: r.data.tok, NoCache: r.opts.NoPast, Texts: r.opts.Texts, Spread: r.world.spread(), Mute: !r.world.first()}
	if r.data.eval != nil {
		r.eval = &infer.Evaluator{Job: j, Set: r.data.eval, Gen: r.gen, Say: r.out.Say, Spread: r.world.spread()}
		if n := r.data.eval.Stats.Hidden; j.Device != "" && n > 0 && slices.Contains(j.Metrics, "PerplexityMetric") {
			r.out.Say("note: PerplexityMetric counts what %s inside rows predict; on this device each sees itself, unlike on the CPU", human.Count(n, "padding token"))
		}
	}
	if r.mode == Train {
		r.Loader.rendering, r.Loader.added = r.data.renderingOf(j), added{r.data.tokPath, r.data.tokInGGUF != nil, r.data.added}
		r.gen.Stop = func() bool { return r.world.lead(r.stop.wanted()) }
		if r.eval != nil {
			r.eval.Stop = r.gen.Stop
		}
		r.Loop = newLoop(r)
		if err := r.Loop.checkBest(); err != nil {
			return err
		}
		if showsSamples(r.mode, r.opts) {
			if err := r.prepareSamples(); err != nil {
				return err
			}
		}
	}
	if r.mode == Eval && r.opts.LoadAdapter != "" {
		if err := r.compareEvaluated(); err != nil {
			return err
		}
	}
	if r.mode == Generate && !r.opts.Serve {
		return r.renderPrompts()
	}
	return nil
}

// sayProcesses says who does the work, where that is not one process.
func (r *Run) sayProcesses() {
	w := r.world
	if w.alone() {
		return
	}
	hosts := map[string]bool{}
	for i := range w.size() {
		hosts[w.g.Host(i)] = true
	}
	on := "the result does not depend on their number"
	if w.rounds {
		on = "numbers are rounded as this mesh does"
	}
	r.out.Say("%d processes on %s over %s; %s", w.size(), human.Count(len(hosts), "host"), w.g.Name(), on)
	if w.shape != "" {
		how := ""
		if n := w.size() / w.lanes; n > 1 {
			how = fmt.Sprintf("; %d processes share each row", n)
		}
		if w.shares > 1 {
			how += fmt.Sprintf("; %d have shares of the optimizer's states", w.shares)
		}
		r.out.Say("  mesh dp=%d,%s: %s", w.lanes, w.shape, how[2:])
	}
	if units := microbatch.UnitsOf(&r.job.Devices); r.mode == Train && w.lanes > units {
		r.out.Say("  a step of %s is divided into %s, so %d of the processes compute nothing; --units %d divides it further, which changes roundings, for any number of processes alike",
			human.Count(max(r.job.Devices.Count, 1), "device"), human.Count(units, "unit"), (w.lanes-units)*(w.size()/w.lanes), microbatch.Units(w.lanes))
	}
}

// prepareStop starts the clock of --max_time. A run that trains does not end because
// nobody reads its output: it says so, and continues.
func (r *Run) prepareStop() {
	if r.stop.end != nil {
		ignorePipe()
	}
	r.out.Lost = func(err error) {
		fmt.Fprintf(os.Stderr, "note: standard output is lost (%v); the run continues, its steps are in %s\n", err, filepath.Join(r.job.Output, "metrics.jsonl"))
	}
	if limit := r.opts.MaxTime; limit > 0 {
		r.stop.maxTime = r.opts.MaxTimeText
		age := time.Duration(0)
		if r.stop.end != nil {
			age = processAge()
		}
		time.AfterFunc(max(limit-age, 0), r.stop.expire)
	}
}

// checkLimit refuses a trainer that may take more than --mem_limit.
func (r *Run) checkLimit() error {
	limit, n := r.opts.MemLimit, r.mayTake()
	if limit == 0 || int64(n) <= limit {
		return nil
	}
	return exit.Inputf("this trainer may take %s with %s, more than --mem_limit allows\n  = help: compile it for the limit: lorac compile --mem_limit %s, or lorac finetune with the same flag",
		mib(n), human.Count(r.k.Threads(), "thread"), sizeFlag(limit))
}

// generates reports whether a run makes texts: to predict, or for a metric.
func generates(j *Job, mode Mode, data *inputs) bool {
	return mode == Generate || slices.Contains(j.Metrics, "EmF1Metric") && (mode == Eval || data.eval != nil)
}

// Kernels is the context that the kernels of the run use.
func (r *Run) Kernels() *kernels.Context { return r.k }

// Job is the job, as the flags have it.
func (r *Run) Job() *Job { return r.job }

// Mode is what the run does.
func (r *Run) Mode() Mode { return r.mode }

// Generator gives the functions that texts are generated with: logits computes
// whole sequences; next continues one, whose keys and values are in the caches.
// next may be nil; its products are those of few rows (kernels.Context.Few).
func (r *Run) Generator(logits, next func(*MicroBatch) Mat) {
	if next == nil {
		r.gen.Use(logits, nil)
		return
	}
	r.gen.Use(logits, func(b *MicroBatch) Mat {
		r.k.Few(true)
		defer r.k.Few(false)
		return next(b)
	})
}

// Evaluate reports what is measured over the evaluation set.
func (r *Run) Evaluate(loss func(*MicroBatch) float64) error {
	e, err := r.eval.Evaluate(loss)
	if err != nil {
		return err
	}
	sayEvaluation(r.out, e, false)
	if e.HasLoss {
		return r.checkEvaluated(e.Loss)
	}
	return nil
}

// sayEvaluation says the outcome of an evaluation; in training in the lines of
// MindFormers' log, where that is asked for.
func sayEvaluation(out *train.Reporter, e *infer.Evaluation, training bool) {
	out.Say("evaluation: %s", e.Text())
	m := e.Metrics()
	switch {
	case m == "":
	case training && out.EvalResult(m, e.Took):
	case e.Perplexity != nil:
		out.Say("PerplexityMetric = %s", m)
	default:
		out.Say("EmF1Metric = %s", m)
	}
}

// numbers are what metrics.jsonl has of an evaluation.
func numbers(e *infer.Evaluation) (list []train.Number) {
	add := func(name string, x float64) { list = append(list, train.Number{Name: name, Value: x}) }
	if e.HasLoss {
		add("eval_loss", e.Loss)
		add("eval_perplexity", math.Exp(e.Loss))
	}
	if e.Perplexity != nil {
		add("eval_batch_loss", *e.Perplexity)
		add("eval_batch_perplexity", math.Exp(*e.Perplexity))
	}
	if e.EmF1 != nil {
		f1, em := e.EmF1.Scores()
		add("eval_f1", f1)
		add("eval_em", em)
	}
	return list
}

// Predict continues the prompts and writes the texts.
func (r *Run) Predict() error {
	r.sayGreedy()
	var err error
	if r.opts.Serve {
		err = r.serve(r.in, r.answers)
	} else {
		err = r.gen.Predict(r.out, r.opts.Prompts, r.opts.SaveFile)
	}
	if errors.Is(err, infer.ErrNotFinite) {
		return r.Loader.notFinite(err.Error())
	}
	if err == nil && r.gen.Spread == nil {
		r.out.Say("%s", r.gen.Stats.Text())
	}
	return err
}

// sayGreedy says that flags of sampling do nothing where the likeliest token is taken.
func (r *Run) sayGreedy() {
	if given := r.opts.Sampling; len(given) > 0 && !r.job.Predict.DoSample {
		r.out.Say("note: without --do_sample True the likeliest token is taken each time: no effect of %s", strings.Join(given, ", "))
	}
}

// Unable is the error of a mode the trainer was not compiled for.
func (r *Run) Unable() error {
	return exit.Inputf("this trainer was compiled without anything that trains\n  = help: compile a config whose run_mode is finetune")
}

// Loaded ends the loading: the weights must fit the model, an adapter starts
// where --load_adapter says, and training starts or resumes.
func (r *Run) Loaded() error {
	l := r.Loader
	if err := r.world.together(r.complete()); err != nil {
		return err
	}
	if r.mode == Train {
		if err := r.Loop.loaded(); err != nil {
			return err
		}
		if r.Loop.step > 0 {
			if err := r.world.together(l.checkStart(fmt.Sprintf("the checkpoint of step %d", r.Loop.step))); err != nil {
				return err
			}
		}
		r.stop.training(r.Loop, r.opts)
		r.world.listen(r.Loop)
	} else if r.opts.LoadAdapter == "" && len(l.params) > 0 && r.job.LoRA.Rank > 0 && !l.adapted() {
		r.out.Say("no --load_adapter: the adapter is as before training, so the base model alone answers")
	}
	freeUnused()
	return nil
}

// complete checks what is loaded, and takes the adapter to start from.
func (r *Run) complete() error {
	if err := r.Loader.check(); err != nil {
		return err
	}
	if r.opts.LoadAdapter != "" {
		if err := r.Loader.loadAdapter(r.opts.LoadAdapter); err != nil {
			return err
		}
		if err := r.Loader.checkStart("the adapter " + r.opts.LoadAdapter); err != nil {
			return err
		}
	} else if err := r.Loader.sayAdapted(); err != nil {
		return err
	}
	if r.mode == Train && r.opts.LoadAdapter == "" && r.job.Resume == "" {
		r.Loader.sayGrown()
	}
	if r.mode == Train {
		return r.checkMachine(limits.Here().Memory())
	}
	return r.Loader.startMagnitudes()
}

// close gives back what the run holds.
func (r *Run) close() {
	r.out.Close()
	if r.dev != nil {
		r.dev.Close()
	}
	if r.k != nil {
		r.k.Close()
	}
	if r.Loader != nil {
		r.Loader.close()
	}
	if r.data != nil {
		r.data.close()
	}
}
