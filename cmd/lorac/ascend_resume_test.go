package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestNPUCores: bits do not depend on how many cores a card has.
func TestNPUCores(t *testing.T) {
	x := newNPU(t, nil)
	want := ""
	for _, cores := range []string{"20 40", "24 48", "3 6"} {
		out := filepath.Join(x.dir, "cores"+cores[:2])
		cubes, vectors, _ := strings.Cut(cores, " ")
		if text, err := x.pretending([]string{"STANDIN_CUBES=" + cubes, "STANDIN_VECTORS=" + vectors}, out).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if got := outcome(t, out); want == "" {
			want = got
		} else {
			sameOutcome(t, cores, want, got)
		}
	}
}

// TestNPUKilled: a run that is killed again and again leaves the bits of one that was
// not, with checkpoints of either format.
func TestNPUKilled(t *testing.T) {
	for _, format := range []string{"safetensors", "ckpt"} {
		t.Run(format, func(t *testing.T) {
			x := newNPU(t, map[string]string{"train_dataset.data_loader.shuffle": "True", "runner_config.epochs": "4"})
			whole, out := filepath.Join(x.dir, "whole"), filepath.Join(x.dir, "killed")
			args := []string{"--checkpoint_format", format}
			x.run(whole, args...)
			want, total := outcome(t, whole), metricLines(whole)
			args = append(args, "--resume_training", "True")
			seed := rand.Uint64()
			rng := rand.New(rand.NewPCG(seed, 1))
			kills := 0
			for _, at := range []int{0, 1, total / 3, total / 2, total - 1, total} {
				if x.killedAt(out, at, time.Duration(rng.Int64N(int64(40*time.Millisecond))), args...) {
					kills++
				}
			}
			x.run(out, args...)
			t.Logf("seed %d: %d kills in %d steps", seed, kills, total)
			if kills < 3 {
				t.Errorf("only %d kills met a living run", kills)
			}
			sameOutcome(t, fmt.Sprintf("after %d kills", kills), want, outcome(t, out))
		})
	}
}

// TestNPUAndCPU: what one device leaves, the other continues: checkpoints of either
// format, and adapters.
func TestNPUAndCPU(t *testing.T) {
	x := newNPU(t, nil)
	both := map[string]*tiny{"npu": x.tiny, "cpu": x.cpu}
	for first, second := range map[string]string{"npu": "cpu", "cpu": "npu"} {
		whole := filepath.Join(x.dir, first+"whole")
		both[first].run(whole)
		for _, format := range []string{"safetensors", "ckpt"} {
			out := filepath.Join(x.dir, first+format)
			args := []string{"--checkpoint_format", format}
			both[first].run(out, append(args, "--steps", "4")...)
			mustContain(t, both[second].run(out, append(args, "--resume_training", "True")...), "resumed after step 4")
			x.near(first+" alone", metricsOf(t, out), metricsOf(t, whole), 5e-3, 5e-2)
		}
		next := filepath.Join(x.dir, first+"next")
		said := both[second].run(next, "--run_mode", "eval", "--eval_dataset_dir", filepath.Join(x.dir, "rows.jsonl"), "--load_adapter", filepath.Join(whole, "adapter"))
		mustContain(t, said, "evaluation: loss")
	}
}

// TestNPUFaults: a fault of the device ends the run with what was computed, where, and
// code 3; the run resumes to the bits of one without.
func TestNPUFaults(t *testing.T) {
	x := newNPU(t, nil)
	whole := filepath.Join(x.dir, "whole")
	x.run(whole)
	want := outcome(t, whole)
	for name, c := range map[string]struct {
		env   []string
		words []string
		good  bool
	}{
		"exception": {[]string{"STANDIN_FAULT=507015@attention_bf16:16"}, []string{"the device failed in Attention of layer ", ", for %o, %lse (tiny.yaml:", "exception on a cube core", "resume with --resume_training True: checkpoints up to step "}, true},
		"ecc":       {[]string{"STANDIN_FAULT=507054@adamw_bf16:20"}, []string{"error of the device's memory that cannot be corrected", "resume with"}, true},
		"hung":      {[]string{"STANDIN_HANG=head_loss_bf16:9", "LORAC_DEVICE_TIMEOUT=2s"}, []string{"the device did not finish within 2s", "resume with"}, true},
		"lost":      {[]string{"STANDIN_LOST=600"}, []string{"the device is lost"}, true},
		"memory":    {[]string{"STANDIN_HBM=200000"}, []string{"no device memory left"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			x := x.in(t)
			out := filepath.Join(x.dir, name)
			said := x.failing(3, x.pretending(c.env, out))
			mustContain(t, said, c.words...)
			t.Log(said[strings.Index(said, "error: "):])
			if c.good {
				x.run(out, "--resume_training", "True")
				sameOutcome(t, name, want, outcome(t, out))
			}
		})
	}
	for _, c := range []struct{ env, words string }{
		{"LORAC_ACL=/nowhere/libascendcl.so", "no Ascend runtime: "},
		{"STANDIN_DEVICES=0", "no Ascend device"},
		{"LORAC_ASCEND_KERNELS=", "no compiled kernels for Ascend are beside the trainer"},
		{"DEVICE_ID=7", "no Ascend device 7: this machine has 1"},
	} {
		said := x.failing(3, x.pretending([]string{c.env}, filepath.Join(x.dir, "none")))
		mustContain(t, said, "error: "+c.words)
	}
}
