package main

import (
	"os"
	"path/filepath"
	"testing"

	"lorac/cmd/test/testkit"
)

// TestCachedTexts: texts that are generated from caches of keys and values are
// those that are computed from scratch for every id, greedy and sampled.
func TestCachedTexts(t *testing.T) {
	t.Parallel()
	model := needShared(t, "models", "stories260K")
	bin := buildFile(t, root+"/configs/stories260K/lora_stories260K.yaml")
	for name, args := range map[string][]string{
		"greedy":  {"--predict_data", "Once upon", "--predict_data", "The big dog", "--repetition_penalty", "1.1"},
		"sampled": {"--predict_data", "Lily", "--do_sample", "True", "--top_k", "40", "--top_p", "0.95", "--seed", "5"},
	} {
		out := t.TempDir()
		text := func(past string) string {
			all := append([]string{"--run_mode", "predict", "--max_length", "90", "--load_checkpoint", filepath.Join(model, "hf"),
				"--tokenizer", filepath.Join(model, "tok512.model"), "--output_dir", filepath.Join(out, past), "--save_file=", "--use_past", past}, args...)
			if text, err := testkit.Command(t, bin, all...).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			got, err := os.ReadFile(filepath.Join(out, past, "text_generation_result.txt"))
			if err != nil {
				t.Fatal(err)
			}
			return string(got)
		}
		if with, without := text("True"), text("False"); with != without {
			t.Errorf("%s: caches change the text\n%s", name, firstDifference(without, with))
		}
	}
}
