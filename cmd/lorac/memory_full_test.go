package main

import (
	"path/filepath"
	"testing"

	"lorac/cmd/test/testkit"
)

// TestTrainedBaseOfPlan: a base that trains is copied, and neither its file nor
// the checkpoint that a run resumes from stays in memory with the copy.
func TestTrainedBaseOfPlan(t *testing.T) {
	testkit.Slow(t, "memory")
	t.Parallel()
	j := newLimitedJob(t, "hidden_size: 256", "hidden_size: 512", "vocab_size: 40", "vocab_size: 9000", "    pet_config:", "    # ")
	for _, format := range []string{"ckpt", "lorac"} {
		out := filepath.Join(j.dir, format)
		flags := []string{"--batch_size", "1", "--checkpoint_format", format, "--save_checkpoint_steps", "2", "--epochs", "2"}
		for _, more := range [][]string{{"--steps", "2"}, {"--steps", "4", "--resume_training", "True"}} {
			flags := append(flags, more...)
			p := j.planned(flags...)
			measured := j.finetune(out, flags...)
			t.Logf("%s, %q: planned %d, measured %d (%.3f)", format, more, p.Total, measured, float64(measured)/float64(p.Total))
			if measured > p.Total || measured > 0 && measured < p.Total*9/10 { // the largest row may come late
				t.Errorf("%s, %q: planned %d bytes, measured %d", format, more, p.Total, measured)
			}
		}
	}
}
