package rt

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/runtime/exit"
	"lorac/runtime/sys/disk"
)

// left are what a run leaves in its output_dir.
var left = []string{"checkpoint", "metrics.jsonl", "adapter", "model", "best", "tensorboard", "report.html", "loss.svg"}

// moveAside moves what an earlier run left in output_dir, so that nothing of it is
// overwritten or taken for this run's. Checkpoints in MindFormers' layout stay: runs
// number theirs, as in the original. With hint, it says how to resume instead.
func (c *checkpoints) moveAside(hint bool) error {
	var there []string
	for _, name := range left {
		if name == "checkpoint" && c.job.Checkpoint.Format != "" {
			continue
		}
		path := filepath.Join(c.job.Output, name)
		info, err := os.Stat(path)
		if err != nil || !info.IsDir() && info.Size() == 0 {
			continue
		}
		if list, err := os.ReadDir(path); err == nil && len(list) == 0 {
			continue
		}
		if within(path, c.job.LoadCheckpoint) {
			return exit.Inputf("this run reads its base weights from %s, which an earlier run left in the output_dir\n  = help: give another --output_dir", path)
		}
		there = append(there, name)
	}
	if len(there) == 0 {
		return nil
	}
	step := c.last()
	moved, err := c.move(there)
	if err != nil {
		return err
	}
	resume := ""
	if hint && step > 0 {
		resume = fmt.Sprintf(" (--resume_training True would have resumed after step %d)", step)
	}
	c.out.Say("what an earlier run left in %s was moved: %s; this run starts from the beginning%s", c.job.Output, moved, resume)
	return nil
}

// number is the first that nothing moved aside has.
func (c *checkpoints) number() int {
	for n := 1; ; n++ {
		if !slices.ContainsFunc(left, func(name string) bool { return disk.Exists(filepath.Join(c.job.Output, fmt.Sprintf("%s.%d", name, n))) }) {
			return n
		}
	}
}

// move gives files and directories of output_dir a number, the same for all.
func (c *checkpoints) move(names []string) (moved string, err error) {
	n := c.number()
	c.aside = n
	var list []string
	for _, name := range names {
		to := fmt.Sprintf("%s.%d", name, n)
		if err := os.Rename(filepath.Join(c.job.Output, name), filepath.Join(c.job.Output, to)); err != nil {
			return "", exit.Inputf("cannot move aside what an earlier run left: %w", err)
		}
		list = append(list, fmt.Sprintf("%s to %s", name, to))
	}
	return strings.Join(list, ", "), nil
}

// moveMetrics moves the metrics of steps that were of another size.
func (c *checkpoints) moveMetrics() error {
	if info, err := os.Stat(filepath.Join(c.job.Output, "metrics.jsonl")); err != nil || info.Size() == 0 {
		return nil
	}
	moved, err := c.move([]string{"metrics.jsonl"})
	if err == nil {
		c.out.Say("metrics of the steps so far, which were of another size, were moved: %s", moved)
	}
	return err
}

// moveStale moves checkpoints that are no longer of this run, once it has one of its
// own: of steps after the one it resumed from, or of steps of another size.
func (c *checkpoints) moveStale(at int) error {
	aside := ""
	for _, n := range c.stale {
		if n == at || !disk.Exists(c.path(n)) {
			continue
		}
		if aside == "" {
			if c.aside == 0 { // else beside the metrics
				c.aside = c.number()
			}
			aside = fmt.Sprintf("%s.%d", c.dir(), c.aside)
		}
		err := os.MkdirAll(aside, 0o777)
		if err == nil {
			err = os.Rename(c.path(n), filepath.Join(aside, filepath.Base(c.path(n))))
		}
		if err != nil {
			return exit.Failedf("cannot move checkpoints aside: %w", err)
		}
	}
	c.stale = nil
	if aside != "" {
		c.out.Say("checkpoints that this run does not continue were moved to %s", aside)
	}
	return nil
}

// within reports whether a path is a directory or below it.
func within(dir, path string) bool {
	if path == "" {
		return false
	}
	a, err1 := filepath.Abs(dir)
	b, err2 := filepath.Abs(path)
	rel, err := filepath.Rel(a, b)
	return err1 == nil && err2 == nil && err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
