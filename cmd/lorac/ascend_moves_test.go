package main

import (
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
)

// TestAscendMoves: a checkpoint of either format that one device leaves, the other
// resumes, to the result of one device alone within what 16 bits make.
func TestAscendMoves(t *testing.T) {
	testkit.Slow(t, "ascend")
	set := restlessOnAscend(map[string]string{"runner_config.epochs": "1"})
	dev := newTinyOnAscend(t, set)
	all := maps.Clone(ascendSizes)
	maps.Copy(all, set)
	cpu := newTiny(t, all)
	for _, c := range []struct {
		name          string
		first, second *tiny
	}{{"device", dev, cpu}, {"cpu", cpu, dev}} {
		whole := filepath.Join(c.first.dir, "whole")
		c.first.run(whole)
		want := metricsOf(t, whole)
		for _, format := range []string{"lorac", "ckpt"} {
			out := filepath.Join(c.first.dir, format)
			args := []string{"--checkpoint_format", format}
			c.first.run(out, append(args, "--steps", "4")...)
			mustContain(t, c.second.run(out, append(args, "--resume_training", "True")...), "resumed after step 4")
			got := metricsOf(t, out)
			if len(got) != len(want) || len(got) < 6 {
				t.Fatalf("%d steps, want %d", len(got), len(want))
			}
			for i := range got {
				if math.Abs(got[i].Loss-want[i].Loss) > 5e-3*want[i].Loss || math.Abs(got[i].GradNorm-want[i].GradNorm) > 5e-2*want[i].GradNorm {
					t.Errorf("begun on the %s, %s, step %d: loss %v and norm %v, alone %v and %v", c.name, format, i+1, got[i].Loss, got[i].GradNorm, want[i].Loss, want[i].GradNorm)
				}
			}
		}
	}
}

// TestAscendWaits: the host waits for the device once a micro-batch, and once a step
// for whether the gradients are finite.
func TestAscendWaits(t *testing.T) {
	testkit.Slow(t, "ascend")
	x := newTinyOnAscend(t, restlessOnAscend(map[string]string{"runner_config.gradient_accumulation_steps": "3", "runner_config.epochs": "8"}))
	var waits, micros [2]int
	for i, steps := range []string{"9", "12"} {
		log := filepath.Join(x.dir, steps+".log")
		t.Setenv("STANDIN_LOG", log)
		x.run(filepath.Join(x.dir, steps), "--steps", steps, "--save_checkpoint_steps", "0")
		text, err := os.ReadFile(log)
		x.must(err)
		waits[i], micros[i] = strings.Count(string(text), "aclrtSynchronizeStream"), strings.Count(string(text), "launch head_loss")
	}
	if got, want := waits[1]-waits[0], micros[1]-micros[0]+3; got != want || want < 9 {
		t.Errorf("3 steps of %d micro-batches waited %d times", want-3, got)
	}
}
