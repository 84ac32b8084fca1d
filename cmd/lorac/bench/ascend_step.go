package bench

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/synthetic"
	"lorac/compiler/config"
	"lorac/compiler/cost"
	"lorac/runtime/exit"
)

// ascendStep is a run of the built trainer on the card, with synthetic weights and rows.
type ascendStep struct {
	Tokens   int     `json:"live_tokens"` // of a step, one sequence, all supervised
	Layers   int     `json:"layers"`
	Of       int     `json:"layers_of_the_config"`
	Steps    int     `json:"steps_measured"`
	Launches int     `json:"launches"`
	FLOPs    float64 `json:"useful_flops"`
	Seconds  float64 `json:"seconds_per_step"`
	TokensPS float64 `json:"tokens_per_second"`
	Roofline float64 `json:"roofline_seconds"` // of all calls of a step
	Share    float64 `json:"share_of_roofline"`
}

// ascendStep measures a step: of all layers, if no other number is asked for.
func (c *Options) ascendStep(r *AscendReport, cfg *config.Config, d *build.Device) (*ascendStep, error) {
	s := &stepRate{Tokens: cfg.Model.SeqLength.V, Layers: cfg.Model.Layers.V, Steps: 10}
	out := &ascendStep{Of: s.Layers}
	for _, n := range c.Rows {
		out.Tokens = max(out.Tokens, n)
	}
	if out.Tokens > 0 {
		s.Tokens = out.Tokens
	}
	if c.Layers != nil {
		s.Layers = *c.Layers
	}
	if c.Steps != nil {
		s.Steps = *c.Steps
	}
	cfg, err := c.loadAs(config.Override{Path: "model.model_config.num_layers", Value: strconv.Itoa(s.Layers), Origin: "bench"})
	if err != nil {
		return nil, err
	}
	res, err := build.Compile(cfg, build.Target{Ascend: d.Card}, c.Compiler)
	if err != nil {
		return nil, err
	}
	job := &stepJob{s, cfg, res}
	if err := job.fits(); err != nil {
		return nil, err
	}
	err = inBenchDir(func(ctx context.Context, dir string) error { return job.onCard(ctx, d, dir) })
	if err != nil {
		return nil, err
	}
	best := cost.StepOn(res.Module, benchEnv(s.Tokens), r.soc)
	out.Tokens, out.Layers, out.Steps, out.Launches, out.Seconds = s.Tokens, s.Layers, s.Steps, best.Launches, s.Seconds
	out.FLOPs = cost.Total(cost.Root(res.Module), benchEnv(s.Tokens))
	out.TokensPS, out.Roofline, out.Share = float64(s.Tokens)/s.Seconds, best.Seconds, best.Seconds/s.Seconds
	return out, nil
}

// onCard builds the trainer, makes weights and data for it, and runs it on the card.
func (j *stepJob) onCard(ctx context.Context, d *build.Device, dir string) error {
	if err := synthetic.Rows(filepath.Join(dir, "rows.jsonl"), j.Steps+1, j.Tokens, j.cfg.Model.Vocab.V); err != nil {
		return err
	}
	if err := writeBase(ctx, j.cfg, dir); err != nil {
		return err
	}
	here, _ := build.PlatformOf("")
	bin, _, err := build.In(filepath.Join(dir, "build"), j.full.Module, here)
	if err != nil {
		return err
	}
	if err := build.LinkKernels(d, bin); err != nil {
		return err
	}
	args := append(trainerArgs(dir), "--device_id", strconv.Itoa(d.ID))
	if err := j.run(exec.CommandContext(ctx, bin, args...), dir); err != nil {
		return exit.With(exit.Failed, fmt.Errorf("on %s: %w", d.Chip, err))
	}
	return nil
}
