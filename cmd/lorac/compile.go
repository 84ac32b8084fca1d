package main

import (
	"fmt"

	"lorac/cmd/lorac/build"
)

type compileCmd struct {
	source
	Out string `short:"o" required:"" help:"Directory for the sources (DIR/trainer) and the binary." placeholder:"DIR"`
}

// Run writes and builds the trainer.
func (c *compileCmd) Run() error {
	s, err := c.source.source()
	if err != nil {
		return err
	}
	r, err := s.Compile(build.Target{Limit: int(c.Limit)})
	if err != nil {
		return err
	}
	bin, rebuilt, err := build.In(c.Out, r.Module)
	if err != nil {
		return err
	}
	if rebuilt {
		fmt.Printf("built %s\n", bin)
	} else {
		fmt.Printf("%s is up to date\n", bin)
	}
	return nil
}
