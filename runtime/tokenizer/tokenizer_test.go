package tokenizer

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// shared is where real tokenizers lie beside the project, when they do.
const shared = "../../../shared/data/tokenizer"

func goldens(t *testing.T, model, file string) {
	tok, err := Load(model)
	if os.IsNotExist(err) {
		t.Skip("the real tokenizers are not here:", model)
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<24)
	n := 0
	for sc.Scan() {
		var g struct {
			Text string  `json:"text"`
			IDs  []int32 `json:"ids"`
		}
		if err := json.Unmarshal(sc.Bytes(), &g); err != nil {
			t.Fatal(err)
		}
		if got := tok.Encode(g.Text); !slices.Equal(got, g.IDs) {
			t.Fatalf("%q:\n got %v\nwant %v", g.Text, got, g.IDs)
		}
		n++
	}
	if n == 0 {
		t.Fatal("no goldens in", file)
	}
}

func TestLlama2(t *testing.T) {
	m := filepath.Join(shared, "llama2/tokenizer.model")
	goldens(t, m, filepath.Join(shared, "llama2_goldens/ggml_llama_spm_even.jsonl"))
	goldens(t, m, filepath.Join(shared, "llama2_goldens/sentencepiece_0.1.97_on_shared_text.jsonl"))
}

func TestStories(t *testing.T) {
	goldens(t, filepath.Join(shared, "../models/stories260K/tok512.model"), filepath.Join(shared, "stories260K_tok512_goldens.jsonl"))
}
