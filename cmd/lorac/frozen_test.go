package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
)

// Emitted trainers of random freeze patterns against float64 training: what
// compiles for a subset of what trains must also compute it.
func TestFrozenTrainers(t *testing.T) {
	testkit.Slow(t, "programs")
	const pet = "model.model_config.pet_config."
	rng := rand.New(rand.NewPCG(1, 2))
	linears := strings.Fields("wq wk wv wo w1 w2 w3")
	for i := range 10 {
		pattern := func() string {
			leaf := linears[rng.IntN(len(linears))]
			return fmt.Sprintf("'*%s%s%s'", []string{"", ".0.*", ".2.*"}[rng.IntN(3)], leaf, []string{"*", "*", "*_lora_a", ".weight", "*_lora_*"}[rng.IntN(5)])
		}
		list := func(n int) string {
			var out []string
			for range n {
				out = append(out, pattern())
			}
			return "[" + strings.Join(out, ", ") + "]"
		}
		set := map[string]string{
			pet + "target_modules": strings.Join(linears, "|"), pet + "freeze_include": list(1 + rng.IntN(4)), pet + "freeze_exclude": list(rng.IntN(3)),
			pet + "lora_dropout": []string{"0.0", "0.3"}[rng.IntN(2)], "model.model_config.n_kv_heads": "2",
		}
		t.Run(fmt.Sprint(i, set[pet+"freeze_include"], set[pet+"freeze_exclude"]), func(t *testing.T) {
			x := newTiny(t, set)
			out := filepath.Join(x.dir, "out")
			x.run(out, "--epochs", "2", "--threads", "2")
			x.agrees(metricsOf(t, out))
		})
	}
}
