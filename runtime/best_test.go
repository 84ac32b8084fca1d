package rt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/runtime/exit"
)

// readAll is the text of a file in a run's output.
func readAll(t *testing.T, parts ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A run ends when its evaluations no longer have a lower loss, and one that was
// interrupted ends after the same step with the same bits.
func TestEarlyStopping(t *testing.T) {
	j, model := adaptedJob(t), shapeOf{}
	args := []string{"--eval_step_interval", "2", "--early_stopping_patience", "3", "--early_stopping_threshold", "1000"}
	said := must(t, j, model.body, args...)
	wordsIn(t, said, "stopped early after step 8 of 15: the loss of 3 evaluations in a row was not lower by more than 1000", "evaluation after training: loss")
	metrics := dayOfRun.ReplaceAllString(readAll(t, j.Output, "metrics.jsonl"), "")
	if !strings.Contains(metrics, `{"step":8,"stopped":"early_stopping",`) || !strings.Contains(metrics, `"best_eval_loss":`) || strings.Contains(metrics, `"step":9`) {
		t.Errorf("the metrics are\n%s", metrics)
	}
	if _, err := os.Stat(filepath.Join(j.Output, "adapter", "lorac_unfinished.json")); err == nil || strings.Contains(said, "unfinished") {
		t.Errorf("the adapter counts as unfinished\n%s", said)
	}
	wordsIn(t, must(t, j, model.body, append(args, "--resume_training", "True")...), "the run stopped early after step 8, so there is nothing to do", "a larger --early_stopping_patience")

	again := t.TempDir()
	args = append(args, "--output_dir", again)
	must(t, j, model.body, append(args, "--steps", "5")...)
	wordsIn(t, must(t, j, model.body, append(args, "--resume_training", "True")...), "resumed after step 5", "stopped early after step 8 of 15")
	elapsed := func(s string) string { return s[:strings.LastIndex(s, `"elapsed"`)] }
	if got := dayOfRun.ReplaceAllString(readAll(t, again, "metrics.jsonl"), ""); elapsed(got) != elapsed(metrics) {
		t.Errorf("metrics of a run that was interrupted are\n%s\nand of one that was not\n%s", got, metrics)
	}
	for _, of := range []string{"adapter", "best"} {
		if readAll(t, again, of, "adapter_model.safetensors") != readAll(t, j.Output, of, "adapter_model.safetensors") {
			t.Errorf("%s of a run that was interrupted is another", of)
		}
	}
	wordsIn(t, must(t, j, model.body, append(args, "--resume_training", "True", "--early_stopping_patience", "4")...), "resumed after step 8", "stopped early after step 10 of 15")
}

// The adapter of the lowest loss is what a run leaves, where that is asked for.
func TestLoadBest(t *testing.T) {
	j, model := adaptedJob(t), shapeOf{}
	j.Schedule = Schedule{Type: "constant", LR: 0.5, WarmupRatio: -1, TotalSteps: -1}
	args := []string{"--eval_step_interval", "1", "--load_best_model_at_end", "True"}
	said := must(t, j, model.body, args...)
	wordsIn(t, said, "whose evaluation was the best: loss ")
	best := readAll(t, j.Output, "best", "adapter_model.safetensors")
	if readAll(t, j.Output, "adapter", "adapter_model.safetensors") != best {
		t.Error("the adapter is not the best one")
	}
	last := t.TempDir()
	must(t, j, model.body, "--eval_step_interval", "1", "--output_dir", last)
	if readAll(t, last, "adapter", "adapter_model.safetensors") == best {
		t.Error("the best adapter is the last one: the test shows nothing")
	}
	if _, err := os.Stat(filepath.Join(last, "best")); err == nil {
		t.Error("a run that follows no evaluation leaves best")
	}
	said = must(t, j, model.body, "--run_mode", "eval", "--load_adapter", filepath.Join(j.Output, "best"))
	k, ok := readBest(filepath.Join(j.Output, "best"))
	if !ok || k.Step == 0 || k.Step == 15 {
		t.Errorf("best is of %+v", k)
	}
	wordsIn(t, said, "evaluation: loss")
}

// What is followed must be measured.
func TestBestRefused(t *testing.T) {
	j, model := adaptedJob(t), shapeOf{}
	early := []string{"--early_stopping_patience", "1"}
	refused(t, j, model.body, exit.Input, "early_stopping_patience needs evaluations during training\n", append(early, "--do_eval", "False")...)
	refused(t, j, model.body, exit.Input, "early_stopping_patience needs evaluations during training, of which these 15 steps have none", append(early, "--eval_step_interval", "15")...)
	refused(t, j, shapeOf{norm: true}.body, exit.Input, "this one trains parts of the base", "--load_best_model_at_end", "True")
	must(t, j, shapeOf{norm: true}.body, append(early, "--output_dir", t.TempDir())...)
}
