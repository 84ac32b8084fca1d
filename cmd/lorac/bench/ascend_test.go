package bench

import (
	"slices"
	"strings"
	"testing"

	"lorac/cmd/lorac/build"
	"lorac/compiler/config"
	"lorac/compiler/cost"
	"lorac/ir"
)

// What is counted is what the trainer launches: a call of every statement of a step, the
// kernels that plan counts, and formulas for all of them.
func TestAscendCalls(t *testing.T) {
	const mc, pet = "model.model_config.", "model.model_config.pet_config."
	for name, set := range map[string]map[string]string{
		"as it is":   {},
		"no dropout": {pet + "lora_dropout": "0.0", pet + "target_modules": ".*wq|.*w2", "optimizer.type": "AdamW"},
		"f16":        {mc + "compute_dtype": "float16", pet + "target_modules": ".*w1|.*w2|.*w3|.*wq|.*wk|.*wv|.*wo", mc + "n_kv_heads": "8"},
	} {
		t.Run(name, func(t *testing.T) {
			var o []config.Override
			for k, v := range set {
				o = append(o, config.Override{Path: k, Value: v, Origin: "test"})
			}
			cfg, list := config.Load("../../../configs/llama2/lora_llama2_7b.yaml", o)
			if list.HasErrors() {
				t.Fatal(list)
			}
			card, err := build.CardOf("910b2")
			if err != nil {
				t.Fatal(err)
			}
			res, err := build.Compile(cfg, build.Target{Ascend: card}, build.Options{})
			if err != nil {
				t.Fatal(err)
			}
			soc, err := build.SpeedOf(card)
			if err != nil {
				t.Fatal(err)
			}
			seen := 0
			cost.EachOn(res.Module, func(f *ir.Func, s *ir.Stmt, _ int) {
				r := record(soc, f, s, benchEnv(100))
				if r == nil {
					t.Errorf("no call of %s", s.Op.Name)
					return
				}
				var got []string
				for _, l := range r.Launches {
					got = append(got, strings.TrimSuffix(strings.TrimSuffix(l.Kernel, "_bf16"), "_f16"))
				}
				if want := cost.Launches(s); !slices.Equal(got, want) {
					t.Errorf("%s launches %v, plan says %v", s.Op.Name, got, want)
				}
				seen++
			})
			report := &AscendReport{soc: soc}
			if err := report.calls(res.Module, ir.Env{"T": 100, "S": 100, "N": 3}); err != nil {
				t.Fatal(err)
			}
			runs, launches := 0, 0
			for _, c := range report.Calls {
				runs += c.Runs
				launches += c.Runs * len(c.recording.Launches)
				if c.In < 0 || c.Out <= 0 || c.Bound.Seconds <= 0 || c.Useful <= 0 || c.Useful > 1 || c.By == "cube" && c.Work.FLOPs == 0 {
					t.Errorf("%+v", c)
				}
			}
			if want := cost.StepOn(res.Module, benchEnv(100), soc).Launches; seen < 50 || launches != want {
				t.Errorf("%d statements, %d launches, plan says %d", seen, launches, want)
			}
		})
	}
}
