package main

import (
	"path/filepath"
	"strings"
	"testing"

	"lorac/cmd/lorac/mpi"
	"lorac/cmd/test/mpitest"
	"lorac/cmd/test/testkit"
)

// whole is a model that trains whole, with stacks of several blocks, so that they are divided.
var whole = map[string]string{"model.model_config.pet_config.freeze_exclude": "['*']", "model.model_config.hidden_size": "64"}

// Processes that have shares of the optimizer's states come to the bits of one process,
// of adapters and of a whole model, with checkpoints of either form.
func TestSharesSameBits(t *testing.T) {
	testkit.Slow(t, "mpi")
	for name, set := range map[string]map[string]string{
		"adapters": {},
		"model":    whole,
		"adam":     merged(whole, map[string]string{"optimizer.type": "Adam", "runner_wrapper.use_clip_grad": "False"}),
	} {
		t.Run(name, func(t *testing.T) {
			x := wide(t, set)
			meshes := []string{"os=2,pp=2"}
			if name == "model" {
				meshes = []string{"os=2", "os=3", "dp=4,os=2", "os=2,pp=2"}
			}
			mpitest.Each(t, func(t *testing.T, l mpi.Launcher) {
				for _, mesh := range meshes {
					out := filepath.Join(t.TempDir(), "out")
					text, err := under(x.finetune(out, "--mesh", mesh), l).CombinedOutput()
					if err != nil {
						t.Fatalf("%s: %v\n%s", mesh, err, text)
					}
					if !strings.Contains(string(text), "have shares of the optimizer's states") {
						t.Errorf("%s: it does not say so\n%s", mesh, text)
					}
					sameOutcome(t, mesh, x.alone(), outcome(t, out))
				}
			})
		})
	}
}

// A run of shares resumes on one process and on other shares, and one of one process on
// shares: checkpoints hold the states whole.
func TestSharesResume(t *testing.T) {
	testkit.Slow(t, "mpi")
	orders := [][]string{{"--mesh os=2", "", "--mesh os=3"}, {"", "--mesh os=2,pp=2", "--workers 2"}}
	for _, format := range []string{"lorac", "ckpt", "safetensors"} {
		t.Run(format, func(t *testing.T) {
			x := wide(t, whole)
			if format == "lorac" {
				orders = append(orders, []string{"--mesh dp=4,os=2", "--mesh os=2,mp=2", ""})
			} else {
				x.settings["checkpoint_format"] = format
				orders = orders[:1]
			}
			for _, order := range orders {
				out := filepath.Join(t.TempDir(), "out")
				for i, how := range order {
					args := append(strings.Fields(how), "--resume_training", "True")
					if i < 2 {
						args = append(args, "--steps", []string{"5", "11"}[i])
					}
					if text, err := x.finetune(out, args...).CombinedOutput(); err != nil {
						t.Fatalf("%q: %v\n%s", how, err, text)
					}
				}
				if !strings.Contains(strings.Join(order, " "), "mp") { // which rounds otherwise
					sameOutcome(t, strings.Join(order, ", then "), x.alone(), outcome(t, out))
				}
			}
		})
	}
}

// Where they share each layer, too, they come to the same to rounding.
func TestSharesOfParts(t *testing.T) {
	testkit.Slow(t, "mpi")
	x := wide(t, whole)
	for _, mesh := range []string{"os=2,mp=2", "os=2,pp=2,mp=2"} {
		out := filepath.Join(t.TempDir(), "out")
		if text, err := x.finetune(out, "--mesh", mesh).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", mesh, err, text)
		}
		want, got := losses(t, x.alone()), losses(t, outcome(t, out))
		if len(want) != len(got) || len(want) < 6 {
			t.Fatalf("%s: %d steps, not %d", mesh, len(got), len(want))
		}
		for i := range want {
			if d := got[i] - want[i]; d > 1e-5*want[i] || -d > 1e-5*want[i] {
				t.Errorf("%s: step %d: loss %v, not %v", mesh, i+1, got[i], want[i])
			}
		}
	}
}
