package rt

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/runtime/exit"
	"lorac/runtime/weights/claims"
)

// TestBaseContradicts: a trainer compares what the files of its base say with what
// it was compiled for, and records with the adapter what it was told to ignore.
func TestBaseContradicts(t *testing.T) {
	j := adaptedJob(t)
	j.Model = Model{Hidden: width, FFN: 8, Layers: 1, Heads: 4, KvHeads: 4, Eps: 1e-5, Theta: 10000, Method: "none", Tied: true}
	config := func(text string) {
		if err := os.WriteFile(filepath.Join(filepath.Dir(j.LoadCheckpoint), "config.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ignored := filepath.Join(j.Output, "adapter", claims.IgnoredName)
	config(`{"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 4}`)
	must(t, j, shapeOf{}.body)
	if _, err := os.Stat(ignored); err == nil {
		t.Error("something is ignored")
	}
	config("{\n\"hidden_size\": 32, \"num_attention_heads\": 8,\n\"rope_theta\": 500000.0}")
	refused(t, j, shapeOf{}.body, exit.Input, "config.json:3 (rope_theta), and 10000 in the trainer")
	refused(t, j, shapeOf{}.body, exit.Input, "num_heads is 8 in ")
	wordsIn(t, must(t, j, shapeOf{}.body, "--base_config", "ignore"), "--base_config ignore: theta is 500000")
	text, err := os.ReadFile(ignored)
	if err != nil || !strings.Contains(string(text), `"says": "500000"`) || !strings.Contains(string(text), `"trained_with": "10000"`) {
		t.Errorf("%v\n%s", err, text)
	}
	adapter := filepath.Join(t.TempDir(), "adapter") // which says so wherever it is used
	if err := os.CopyFS(adapter, os.DirFS(filepath.Join(j.Output, "adapter"))); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"eval", "finetune"} {
		wordsIn(t, must(t, j, shapeOf{}.body, "--run_mode", mode, "--base_config", "ignore", "--load_adapter", adapter),
			"it was trained with --base_config ignore: theta was 10000, though ", "config.json:3 (rope_theta) said 500000")
	}
	if err := os.WriteFile(filepath.Join(adapter, claims.IgnoredName), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	refused(t, j, shapeOf{}.body, exit.Input, "cannot read "+filepath.Join(adapter, claims.IgnoredName), "--base_config", "ignore", "--load_adapter", adapter)
	config(`<html>`)
	refused(t, j, shapeOf{}.body, exit.Input, "is no JSON object")
	config(`{}`)
	must(t, j, shapeOf{}.body)
	if _, err := os.Stat(ignored); err == nil {
		t.Error("what an earlier run ignored is still there")
	}

	// What is not compared and could matter is said; a table of rotary frequencies is
	// compared, in the type that it has.
	config(`{"hidden_size": 32, "trick": 3, "attention_dropout": 0.1, "max_position_embeddings": 2}`)
	wordsIn(t, must(t, j, shapeOf{}.body), "base: ", "config.json:1 (trick): not known to lorac", "(attention_dropout): 0.1 in its training", "(max_position_embeddings) is 2, and `seq_length` is ")
	config(`{}`)
	table := func(dtype string, theta float64) map[string]blob {
		x := tensors()
		b := blob{dtype, []int{4}, nil}
		for i := range 4 {
			bits := math.Float32bits(float32(math.Pow(theta, -float64(i)/4)))
			if dtype == "F32" {
				b.data = binary.LittleEndian.AppendUint32(b.data, bits)
			} else {
				b.data = binary.LittleEndian.AppendUint16(b.data, uint16(bits>>16))
			}
		}
		x["model.layers.0.self_attn.rotary_emb.inv_freq"] = b
		return x
	}
	was := j.LoadCheckpoint
	for _, dtype := range []string{"F32", "BF16"} {
		j.LoadCheckpoint = write(t, filepath.Join(t.TempDir(), "base.safetensors"), table(dtype, 10000))
		must(t, j, shapeOf{}.body)
		j.LoadCheckpoint = write(t, filepath.Join(t.TempDir(), "base.safetensors"), table(dtype, 20000))
		refused(t, j, shapeOf{}.body, exit.Input, "(model.layers.0.self_attn.rotary_emb.inv_freq), and 4 frequencies of theta 10000 in the trainer")
	}
	j.LoadCheckpoint = was

	// A head that is not the embedding, under a trainer that ties them.
	x := tensors()
	x["lm_head.weight"] = x["model.embed_tokens.weight"]
	j.LoadCheckpoint = write(t, filepath.Join(t.TempDir(), "equal.safetensors"), x)
	must(t, j, shapeOf{}.body)
	x["lm_head.weight"] = f32("another", vocab, width)
	j.LoadCheckpoint = write(t, filepath.Join(t.TempDir(), "differs.safetensors"), x)
	refused(t, j, shapeOf{}.body, exit.Input, "tie_word_embeddings is False in ")
	j.Model = Model{} // a program that does not know its model
	refused(t, j, shapeOf{}.body, exit.Input, "lm_head.weight is in the checkpoint")
	must(t, j, shapeOf{}.body, "--base_config", "ignore")
}
