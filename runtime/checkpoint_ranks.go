package rt

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"lorac/runtime/exit"
	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/weights/sharded"
)

// With save_ranks, a checkpoint in MindFormers' form is also written as the ranks of the
// job would have saved it, each its slices:
//
//	rank_checkpoint/rank_R/PREFIX_rank_R-EPOCH_STEP.ckpt    and meta.json
//	strategy/ckpt_strategy_rank_R.ckpt                      where --load_checkpoint rank_checkpoint finds them

// ranksDir holds the directories of the ranks.
func (c *checkpoints) ranksDir() string { return filepath.Join(c.job.Output, "rank_checkpoint") }

// ofRank is the name of the file of a rank, by that of the whole checkpoint.
func ofRank(name string, rank int) string {
	return ofAnyRank.ReplaceAllString(name, fmt.Sprintf("rank_%d", rank))
}

// checkRanks refuses what cannot be written for ranks.
func (c *checkpoints) checkRanks() error {
	if c.job.Checkpoint.Ranks == "" {
		return nil
	}
	if c.job.Checkpoint.Format == "" {
		return exit.Usagef("save_ranks needs checkpoints as MindFormers writes them\n  = help: --checkpoint_format ckpt, or --save_ranks False")
	}
	to, err := sharded.ParseSpread(c.job.Checkpoint.Ranks)
	fits := func(name string, shape []int) {
		if err == nil {
			err = to.Fits(name, shape, c.job.Model.Layers)
		}
	}
	for _, b := range c.weights.base {
		fits(b.name, b.shape)
	}
	for _, s := range c.weights.params {
		for _, name := range s.Names {
			fits(name, s.shape())
		}
	}
	if err == nil {
		there, _ := sharded.RankDirs(c.ranksDir())
		for rank := range there {
			if rank >= to.Ranks() {
				return exit.Inputf("save_ranks: %s holds rank_%d, and this job has %d ranks\n  = help: move it away, or give another --output_dir", c.ranksDir(), rank, to.Ranks())
			}
		}
	}
	if err != nil {
		return exit.Inputf("save_ranks: %w\n  = help: --save_ranks False writes whole checkpoints alone", err)
	}
	return nil
}

// saveRanks writes the checkpoint at a path for the ranks.
func (c *checkpoints) saveRanks(path string, m meta) error {
	to, err := sharded.ParseSpread(c.job.Checkpoint.Ranks)
	if err != nil {
		return err
	}
	t, err := sharded.Open(path, "", sharded.One())
	if err != nil {
		return err
	}
	defer t.Close()
	dir := func(rank int) string { return filepath.Join(c.ranksDir(), fmt.Sprintf("rank_%d", rank)) }
	if err := t.WriteTree(to, func(rank int) string { return filepath.Join(dir(rank), ofRank(m.File, rank)) }); err != nil {
		return err
	}
	for rank := range to.Ranks() {
		f, err := t.StrategyFile(to, rank)
		if err != nil {
			return err
		}
		if err := f.Write(filepath.Join(c.job.Output, "strategy", fmt.Sprintf("ckpt_strategy_rank_%d.ckpt", rank))); err != nil {
			return err
		}
		own := m
		own.File = ofRank(m.File, rank)
		if err := atomicfile.WriteFile(filepath.Join(dir(rank), "meta.json"), func(w io.Writer) error { return json.NewEncoder(w).Encode(own) }); err != nil {
			return err
		}
	}
	return nil
}

// removeRanks removes what the ranks have of a checkpoint.
func (c *checkpoints) removeRanks(name string) {
	list, _ := filepath.Glob(filepath.Join(c.ranksDir(), "rank_*"))
	for _, dir := range list {
		number := strings.TrimPrefix(filepath.Base(dir), "rank_")
		os.Remove(filepath.Join(dir, ofAnyRank.ReplaceAllString(name, "rank_"+number)))
	}
}
