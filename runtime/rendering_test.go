package rt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/runtime/exit"
)

// A prompt is rendered as --prompt says; one that is not rendered as the adapter's
// training rendered it is reported.
func TestPredictRendered(t *testing.T) {
	j := adaptedJob(t)
	spelt(t, j, "")
	j.BosID, j.Predict = 1, Predict{MaxLength: 300, RepetitionPenalty: 1}
	j.SeqLength = 300
	rows := filepath.Join(t.TempDir(), "rows.jsonl")
	if err := os.WriteFile(rows, []byte(`{"prompt":"a","completion":"b"}`+"\n"+`{"prompt":"b","completion":"a"}`+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	var asked []string
	model := shapeOf{look: func(r *Run, _ *adapted) { following(r, map[int32]int32{4: 5, 5: 6}, &asked) }}
	j.Epochs = 1
	must(t, j, model.body, "--train_dataset_dir", rows, "--prompt", "plain")
	adapter := filepath.Join(j.Output, "adapter")
	predict := []string{"--run_mode", "predict", "--save_file=", "--load_adapter", adapter, "--predict_data", "a"}
	wordsIn(t, must(t, j, model.body, predict...), "warning: the adapter was trained on completion rows rendered by the prompt plain", "--prompt plain renders them")
	wordsIn(t, must(t, j, model.body, append(predict, "--prompt", "plain")...), "questions are rendered by the prompt plain")
	wordsIn(t, must(t, j, model.body, append(predict, "--prompt", "alpaca", "--special_tokens", "text")...), "warning: the adapter was trained with the prompt plain, questions are rendered by alpaca",
		"trained with --special_tokens ids")
	if err := os.WriteFile(filepath.Join(adapter, renderingName), []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	refused(t, j, model.body, exit.Input, renderingName, predict...)
}

// What the files beside a tokenizer say is reported, and where the config says otherwise.
func TestTokensBeside(t *testing.T) {
	j := adaptedJob(t)
	j.Tokenizer = spelt(t, j, "")
	j.Epochs = 1
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(filepath.Dir(j.Tokenizer), name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	put("added_tokens.json", `{"<|x|>":9}`)
	put("tokenizer_config.json", `{"eos_token":"<|x|>"}`)
	model := shapeOf{look: func(*Run, *adapted) {}}
	wordsIn(t, must(t, j, model.body), "tokens added by the files beside it, with their ids: <|x|> 9", "its eos_token is <|x|>, id 9; the config's eos_token_id is [2], which is followed")
	put("added_tokens.json", `{"<|x|>":20}`)
	wordsIn(t, must(t, j, model.body, "--output_dir", t.TempDir()), "its last id is 20 (<|x|>), vocab_size is 12")
	put("special_tokens_map.json", `{"eos_token":"<s>"}`)
	refused(t, j, model.body, exit.Input, "special_tokens_map.json names")
}

// add_bos_token of tokenizer_config.json is followed and said; a config that says the
// opposite is an error with both places. Rows end with EOS in any case.
func TestEndsOfTexts(t *testing.T) {
	j := adaptedJob(t)
	j.Tokenizer = spelt(t, j, "")
	j.BosID, j.Epochs = 1, 1
	dir := filepath.Dir(j.Tokenizer)
	rows := filepath.Join(t.TempDir(), "rows.jsonl")
	if err := os.WriteFile(rows, []byte(`{"prompt":"a","completion":"b"}`+"\n"+`{"prompt":"b","completion":"a"}`+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	var asked []string
	model := shapeOf{look: func(r *Run, _ *adapted) { following(r, map[int32]int32{4: 5}, &asked) }}
	put := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "tokenizer_config.json"), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	train := []string{"--train_dataset_dir", rows, "--output_dir", t.TempDir()}
	const note = "add_bos_token is false: rows and prompts begin without 1"
	wordsIn(t, must(t, j, model.body, train...), "its ids: 1 ")
	put(`{"add_bos_token":false,"add_eos_token":false}`)
	said := must(t, j, model.body, train...)
	wordsIn(t, said, note)
	if strings.Contains(said, "add_eos_token") {
		t.Error("what nearly every tokenizer has is said")
	}
	if _, ids, ok := strings.Cut(said, "its ids: "); !ok || strings.HasPrefix(ids, "1 ") || !strings.HasPrefix(strings.SplitN(ids, "\n", 2)[0][len(strings.SplitN(ids, "\n", 2)[0])-2:], " 2") {
		t.Errorf("%s", said)
	}
	asked = nil
	j.Predict = Predict{MaxLength: 4, RepetitionPenalty: 1}
	must(t, j, model.body, "--run_mode", "predict", "--save_file=", "--predict_data", "a")
	if len(asked) == 0 || strings.HasPrefix(asked[0], "[1 ") {
		t.Errorf("the prompt began with BOS: %v", asked)
	}
	j.AddBOS = "True"
	refused(t, j, model.body, exit.Input, "`add_bos_token` is True in the config (processor.tokenizer.add_bos_token of toy.yaml), and false in "+filepath.Join(dir, "tokenizer_config.json"), train...)
	put(`{"add_bos_token":true}`)
	must(t, j, model.body, train...)
	j.AddBOS = "False"
	refused(t, j, model.body, exit.Input, "`add_bos_token` is False in the config", train...)
	put(`{}`)
	wordsIn(t, must(t, j, model.body, train...), note)
	j.AddEOS = "True"
	put(`{"add_eos_token":false}`)
	refused(t, j, model.body, exit.Input, "`add_eos_token` is True in the config", train...)
	j.AddEOS = "False"
	wordsIn(t, must(t, j, model.body, train...), "add_eos_token is False in the config, which counts for prompts; rows of training end with 2 in any case")
}
