package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"lorac/cmd/lorac/watch"
)

type watchCmd struct {
	Dir  string        `arg:"" help:"output_dir of the run." placeholder:"DIR"`
	Once bool          `help:"Say what it has come to by now, and end."`
	Wait time.Duration `help:"How long to wait for a run that has not begun." default:"10m" placeholder:"10m"`
}

// Run follows a run until it ends.
func (c *watchCmd) Run() error {
	w := watch.Of(c.Dir, os.Stdout)
	w.Wait = c.Wait
	err := w.Follow
	if c.Once {
		err = w.Once
	}
	if err := err(); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no run has written to %s\n  = help: give the output_dir of a run; it has a metrics.jsonl after its first step", c.Dir)
	} else if err != nil {
		return err
	}
	return nil
}
