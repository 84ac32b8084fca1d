package compiler

import (
	"testing"

	"lorac/cmd/test/testkit"
)

// TestModulesToSave: the gradients of embedding, head and norms beside adapters are central
// differences of the graph as it is built.
func TestModulesToSave(t *testing.T) {
	for name, c := range map[string]struct {
		job    meshJob
		trains int // storages: those of the adapters, and the modules
	}{
		"both":    {meshJob{kv: 4, vocab: 24, targets: ".*wq|.*wv", pet: ", modules_to_save: [embed_tokens, lm_head]"}, 6},
		"norms":   {meshJob{kv: 8, vocab: 24, targets: ".*w2", dropout: 0.3, pet: ", modules_to_save: [norm]"}, 5},
		"tied":    {meshJob{kv: 4, vocab: 24, keys: "tie_word_embeddings: True", targets: ".*wq", pet: ", modules_to_save: [lm_head], ensure_weight_tying: True"}, 3},
		"limited": {meshJob{kv: 4, vocab: 24, targets: ".*wq|.*wv", dropout: 0.3, pet: ", use_dora: True, modules_to_save: [tok_embeddings, lm_head, model.norm]"}, 9},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "limited" {
				testkit.Slow(t, "passes")
			}
			if _, trains := checkGradients(t, c.job, name == "limited"); trains != c.trains {
				t.Errorf("%d storages train, not %d", trains, c.trains)
			}
		})
	}
}
