package rt

import (
	"math"

	"lorac/runtime/data/chat"
	"lorac/runtime/data/dataset"
	"lorac/runtime/data/tokenizer"
	"lorac/runtime/job"
	"lorac/runtime/microbatch"
)

// Rows are the training data of a job as its trainer reads them, for display.
type Rows struct {
	Job       *Job // with the arguments
	Set       *dataset.Set
	Tokenizer *tokenizer.Tokenizer // nil where rows are ids
	Prompt    string               // that renders the rows; "" where nothing does
	Template  string               // of the prompt, in Jinja; "": it is none
	Lengths   []int                // ids of each row that is kept, before it is cut
	Steps     int                  // of the run; 0 where there are none
}

// Unconfigured is a job that nothing is known of but its data: rows are as long as they
// are, and control tokens those of the tokenizer.
func Unconfigured() *Job {
	j := job.Default()
	j.Vocab, j.SeqLength, j.PadID = math.MaxInt32, math.MaxInt32, -1
	return j
}

// ReadRows opens the training data of a job as its trainer would under the same
// arguments. What the trainer would say, it says; its errors are the trainer's. The job
// is not changed.
func ReadRows(shared *Job, args []string, say func(string, ...any), use func(*Rows)) error {
	return asTrainer(shared, args, func(j *Job, _ *Options) error {
		rows := &Rows{Job: j}
		in := &inputs{length: func(n int) { rows.Lengths = append(rows.Lengths, n) }}
		defer in.close()
		err := in.openTokenizer(j, heard(j, say))
		if err != nil && in.tokErr == nil {
			return err
		}
		if err != nil {
			say("%v", err)
		}
		if j.Name == "" && in.tok != nil {
			j.BosID, j.EosIDs = int(in.tok.BOS()), []int{int(in.tok.EOS())}
			sayTokens(in.tok, in.tokPath, j, say)
		}
		set, err := in.openData(j, &j.TrainData, "training", "--train_dataset_dir", say)
		if err != nil {
			return err
		}
		in.batches = microbatch.NewBatcher(set, j)
		if err := in.planSteps(j); err != nil && j.Name != "" {
			say("a run is refused: %v", err)
		}
		rows.Set, rows.Tokenizer, rows.Steps = set, in.tok, in.plan.Steps
		rendered := in.renderingOf(j)
		rows.Prompt, rows.Template = rendered.Prompt, rendered.template
		if rows.Template != "" {
			rows.Tokenizer = in.ids
		}
		use(rows)
		return nil
	})
}

// heard leaves out what a tokenizer would be told of a config that is not there.
func heard(j *Job, say func(string, ...any)) func(string, ...any) {
	if j.Name == "" {
		return func(string, ...any) {}
	}
	return say
}

// TakeTemplate gives a job without a config the tokenizer's chat template, as compiling
// one would.
func TakeTemplate(j *Job, text string, render chat.Func) { j.ChatTemplate, j.Chat = text, render }
