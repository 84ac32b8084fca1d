package convert

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"lorac/cmd/lorac/convert/parquet"
	"lorac/compiler/config"
	"lorac/runtime/data/dataset"
)

// Rows makes JSON lines of a Parquet file.
type Rows struct {
	Data string `name:"data_path" required:"" help:"A Parquet file." placeholder:"FILE"`
	Out  string `name:"output_path" short:"o" required:"" help:"The rows, a JSON object a line." placeholder:"FILE.jsonl"`
}

// Run is what lorac finetune does before a run.
func (c *Rows) Run() error {
	if !parquet.Is(c.Data) {
		return fmt.Errorf("%s is not a Parquet file; trainers read JSON, JSONL, CSV and text themselves", c.Data)
	}
	done := writing(c.Out, 0)
	err := parquet.Rows(c.Data, c.Out)
	done()
	if err != nil {
		return err
	}
	fmt.Println("wrote the rows to", c.Out)
	return nil
}

// ReadableRows are the arguments of a trainer with data that it can read itself: where a
// file is Parquet, its rows in the user's cache take its place. cfg may be nil.
func ReadableRows(cfg *config.Config, args []string) ([]string, error) {
	last := func(flag, value string) string {
		for i := 0; i+1 < len(args); i++ {
			if args[i] == "--"+flag {
				value = args[i+1]
			}
		}
		return value
	}
	var train, eval config.Dataset
	doEval := false
	if cfg != nil {
		train, eval, doEval = cfg.Train, cfg.Eval, cfg.DoEval.V
	}
	if last("run_mode", "") == "predict" {
		return args, nil
	}
	trainPath, evalPath := last("train_dataset_dir", train.Dir.V), last("eval_dataset_dir", eval.Dir.V)
	if evalPath == "" && strings.EqualFold(last("do_eval", fmt.Sprint(doEval)), "true") && dataset.EvalSplit(trainPath) {
		evalPath = trainPath // which the trainer would find itself, but for the paths that change
	}
	for _, d := range []struct {
		flag, path string
		set        *config.Dataset
		eval       bool
	}{{"train_dataset_dir", trainPath, &train, false}, {"eval_dataset_dir", evalPath, &eval, true}} {
		if d.path == "" {
			continue
		}
		files, notes, err := dataset.Files(d.path, dataset.Options{Format: "auto", Eval: d.eval, Split: d.set.Split.V,
			Keys: dataset.Keys{Instruction: d.set.InstructionKey.V, Input: d.set.InputKey.V, Output: d.set.OutputKey.V}})
		if err != nil || !slices.ContainsFunc(files, parquet.Is) {
			continue // the trainer says what is wrong, in its words
		}
		for i, f := range files {
			if parquet.Is(f) {
				done := writing("the rows of "+f, 0)
				files[i], err = parquet.Cached(f)
				if done(); err != nil {
					return nil, err
				}
			}
			if strings.Contains(files[i], ",") {
				return nil, fmt.Errorf("%s has a comma in its name, which separates files; give it another name", files[i])
			}
		}
		for _, note := range notes {
			fmt.Fprintln(os.Stderr, "note:", note)
		}
		args = append(slices.Clone(args), "--"+d.flag, strings.Join(files, ","))
	}
	return args, nil
}
