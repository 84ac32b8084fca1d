package start

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lorac/ir/diag"
)

// Whole modules and added tokens of other programs are those of pet_config; the vocabulary
// has places for the tokens.
func TestModules(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		modules []string
		tokens  int
		vocab   int
		failed  []string
	}{
		"peft":        {`{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["v_proj"], "modules_to_save": ["embed_tokens", "lm_head"]}`, []string{"embed_tokens", "lm_head"}, 0, 512, nil},
		"peft, score": {`{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["v_proj"], "modules_to_save": ["score"], "trainable_token_indices": [3]}`, nil, 0, 512, []string{"modules_to_save", "trainable_token_indices"}},
		"llamafactory": {"model_name_or_path: x\nstage: sft\nfinetuning_type: lora\nlora_target: q_proj\nnew_special_tokens: <a>,<b>,<s>\n",
			[]string{"embed_tokens", "lm_head"}, 3, 514, nil},
		"llamafactory, resized": {"model_name_or_path: x\nstage: sft\nfinetuning_type: lora\nlora_target: q_proj\nresize_vocab: true\nadditional_target: embed_tokens,lm_head,norm\n",
			[]string{"embed_tokens", "lm_head", "norm"}, 0, 512, nil},
		"axolotl":        {"base_model: x\nadapter: lora\nlora_target_modules: [q_proj]\nlora_modules_to_save: [embed_tokens, lm_head]\ntokens: ['<a>']\n", []string{"embed_tokens", "lm_head"}, 1, 513, nil},
		"axolotl, qlora": {"base_model: x\nadapter: qlora\nlora_target_modules: [q_proj]\nlora_modules_to_save: [embed_tokens, lm_head]\n", nil, 0, 512, []string{"lora_modules_to_save"}},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			path := filepath.Join(t.TempDir(), "theirs.yaml")
			vocab := []string{}
			for i := range 509 {
				vocab = append(vocab, `"p`+strings.Repeat("x", i+1)+`": `+strconv.Itoa(i+3))
			}
			text := `{"model": {"type": "BPE", "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, ` + strings.Join(vocab, ", ") + `}, "merges": []},
 "added_tokens": [{"id": 0, "content": "<unk>", "special": true}, {"id": 1, "content": "<s>", "special": true}, {"id": 2, "content": "</s>", "special": true}]}`
			for file, text := range map[string]string{path: c.text, filepath.Join(base, "tokenizer.json"): text} {
				if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			model := strings.Replace(smallModel, `"tie_word_embeddings": true`, `"tie_word_embeddings": false`, 1)
			m, err := Migrate(path, base, nil, func(base string) (*Draft, diag.List) { return FromBase(base, said(t, model), nil) })
			if err != nil {
				t.Fatal(err)
			}
			if failed := m.Failed(); !slices.Equal(failed, c.failed) {
				t.Errorf("refused: %v\n%v", failed, m.Rows)
			}
			got := taken(t, m)
			if !slices.Equal(got.LoRA.ModulesToSave.V, c.modules) || len(got.LoRA.AddedTokens.V) != c.tokens || got.Model.Vocab.V != c.vocab {
				t.Errorf("%v, %v, a vocabulary of %d", got.LoRA.ModulesToSave.V, got.LoRA.AddedTokens.V, got.Model.Vocab.V)
			}
		})
	}
	// An embedding that is the head trains as one.
	m := migrated(t, `{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["v_proj"], "modules_to_save": ["embed_tokens"], "ensure_weight_tying": true}`)
	if c := taken(t, m); !c.LoRA.Tying.V || len(m.Failed()) > 0 {
		t.Errorf("%+v, %v", c.LoRA, m.Rows)
	}
}
