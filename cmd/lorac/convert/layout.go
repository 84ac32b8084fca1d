package convert

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"

	"lorac/cmd/lorac/cli"
	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/sharded"
)

// Layout distributes a MindSpore checkpoint over other ranks. It has the flags of MindFormers' transform_ckpt.py under their own
// names, too.
type Layout struct {
	Src         string            `required:"" name:"src" aliases:"src_ckpt_dir" help:"Checkpoint: a directory of rank_0 … rank_N, one of Checkpoint 2.0 or of unified parts, or a file (.ckpt, .safetensors)." placeholder:"PATH"`
	SrcStrategy string            `name:"src_strategy" aliases:"src_ckpt_strategy" help:"Strategy of the job that saved it: a file, merged or of one stage, or the directory of all ranks' files." placeholder:"PATH"`
	SrcParallel map[string]string `name:"src_parallel" mapsep:"," help:"Instead of a strategy, its parallel_config: data_parallel=2,model_parallel=4,pipeline_stage=2,vocab_emb_dp=False." placeholder:"KEY=N,…"`
	SrcConfig   string            `name:"src_config" help:"Instead of a strategy, the config of the job that saved it, for its parallel_config." placeholder:"CONFIG"`
	DstStrategy string            `name:"dst_strategy" aliases:"dst_ckpt_strategy" help:"Strategy of the job it is for; without one and without --dst_parallel, one file is written." placeholder:"PATH"`
	DstParallel map[string]string `name:"dst_parallel" mapsep:"," help:"Instead of a strategy, its parallel_config; also context_parallel, enable_parallel_optimizer=True, offset=1:0." placeholder:"KEY=N,…"`
	DstConfig   string            `name:"dst_config" help:"Instead of a strategy, the config of the job it is for." placeholder:"CONFIG"`
	Out         string            `short:"o" required:"" name:"out" aliases:"dst_ckpt_dir" help:"FILE.ckpt, FILE.safetensors, or the directory for rank_0 … rank_N." placeholder:"PATH"`
	Prefix      string            `default:"checkpoint_" help:"Names of the files in the directory: PREFIX and the rank."`
	Format      string            `enum:"source,ckpt,safetensors" default:"source" help:"In a directory: ckpt, safetensors, or what the source is."`
	Name        string            `help:"Which of several saves to take, by the name of one of its files (default: the newest that is complete)." placeholder:"FILE"`
	Strategy    string            `name:"write_strategy" help:"Write the strategy files of --dst_parallel into this directory, too." placeholder:"DIR"`
}

// Run transforms; tensors stream from file to file.
func (c *Layout) Run() error {
	src, err := spreadOf("src", c.SrcStrategy, c.SrcConfig, c.SrcParallel)
	if err != nil {
		return err
	}
	dst, err := spreadOf("dst", c.DstStrategy, c.DstConfig, c.DstParallel)
	if err != nil {
		return err
	}
	if src == nil {
		if ranks, err := sharded.RankDirs(c.Src); err == nil && len(ranks) > 1 {
			return cli.Usage("%s holds %d ranks: say how they were split, by --src_strategy PATH or --src_parallel model_parallel=N,…", c.Src, len(ranks))
		}
		src = sharded.One()
	}
	if dst == nil {
		dst = sharded.One()
	}
	path := c.paths(c.Out)
	single := mindspore.IsCheckpoint(c.Out)
	if single {
		if dst.Ranks() > 1 {
			return cli.Usage("-o %s is one file, the layout has %d ranks; name a directory", c.Out, dst.Ranks())
		}
		path = func(int) string { return c.Out }
	}
	t, err := sharded.Open(c.Src, c.Name, src)
	if err != nil {
		return err
	}
	defer t.Close()
	for _, f := range t.Files() {
		for rank := range dst.Ranks() {
			if filepath.Clean(path(rank)) == f {
				return fmt.Errorf("%s would be overwritten while it is read; choose another -o", f)
			}
		}
	}
	if err := t.Verify(); err != nil {
		return err
	}
	done := writing(c.Out, 0) // replicas are written as often as there are ranks
	if single {
		err = t.WriteTree(dst, path)
	} else { // all ranks or none
		err = atomicfile.WriteDir(c.Out, func(dir string) error { return t.WriteTree(dst, c.paths(dir)) })
	}
	done()
	if err != nil {
		return err
	}
	if c.Strategy != "" {
		for rank := range dst.Ranks() {
			f, err := t.StrategyFile(dst, rank)
			if err != nil {
				return err
			}
			if err := f.Write(filepath.Join(c.Strategy, fmt.Sprintf("ckpt_strategy_rank_%d.ckpt", rank))); err != nil {
				return err
			}
		}
	}
	fmt.Printf("%d tensors of %d files (%s) written to %d (%s): %s\n", len(t.Names()), len(t.Files()), t.Spread.From, dst.Ranks(), dst.From, path(0))
	return nil
}

// paths names the files of the ranks below a directory.
func (c *Layout) paths(dir string) func(rank int) string {
	ext := "." + c.Format
	if c.Format == "source" {
		ext = sharded.Extension(c.Src)
	}
	return func(rank int) string {
		return strings.TrimSuffix(sharded.RankPath(dir, c.Prefix)(rank), ".ckpt") + ext
	}
}

// spreadOf reads a layout from its three kinds of flags; nil when none is given.
func spreadOf(side, path, config string, parallel map[string]string) (*sharded.Spread, error) {
	given := 0
	for _, yes := range []bool{path != "", config != "", len(parallel) > 0} {
		if yes {
			given++
		}
	}
	switch {
	case given > 1:
		return nil, cli.Usage("--%s_strategy, --%s_config and --%s_parallel say the same thing; give one", side, side, side)
	case given == 0:
		return nil, nil
	case path != "":
		return sharded.Load(path)
	case config != "":
		return spreadOfConfig(side, config)
	}
	d, err := sharded.ParseDegrees(parallel)
	if err != nil {
		return nil, cli.Usage("--%s_parallel: %w", side, err)
	}
	return spreadOfDegrees(side, d)
}

func spreadOfDegrees(side string, d sharded.Degrees) (*sharded.Spread, error) {
	if side == "src" && d.OptimizerShard {
		return nil, cli.Usage("with enable_parallel_optimizer, which tensors were split further depends on their size; give --src_strategy instead")
	}
	return sharded.Of(d)
}

// spreadOfConfig reads what a config says of parallelism and nothing else: it
// may be of any job.
func spreadOfConfig(side, path string) (*sharded.Spread, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var c struct {
		Parallel struct {
			Shard bool `yaml:"enable_parallel_optimizer"`
		} `yaml:"parallel"`
		Degrees struct {
			Data     int   `yaml:"data_parallel"`
			Model    int   `yaml:"model_parallel"`
			Pipeline int   `yaml:"pipeline_stage"`
			Context  int   `yaml:"context_parallel"`
			VocabDP  *bool `yaml:"vocab_emb_dp"`
			Virtual  int   `yaml:"pp_interleave_num"`
		} `yaml:"parallel_config"`
		Model struct {
			Config struct {
				Offset yaml.Node `yaml:"offset"`
			} `yaml:"model_config"`
		} `yaml:"model"`
	}
	if err := yaml.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	g := &c.Degrees
	if g.Virtual > 1 {
		return nil, fmt.Errorf("%s: with pp_interleave_num %d, layers take turns over the stages; give --%s_strategy instead", path, g.Virtual, side)
	}
	d := sharded.Degrees{Data: g.Data, Model: g.Model, Pipeline: g.Pipeline, Context: g.Context, VocabDP: g.VocabDP == nil || *g.VocabDP, OptimizerShard: c.Parallel.Shard}
	if o := c.Model.Config.Offset; o.Kind == yaml.SequenceNode {
		if err := o.Decode(&d.Offset); err != nil {
			return nil, fmt.Errorf("%s:%d: offset must be a list of whole numbers, one a stage: %w", path, o.Line, err)
		}
	}
	return spreadOfDegrees(side, d)
}
