package main

import (
	"os"

	"lorac/cmd/lorac/cli"
	"lorac/cmd/lorac/doctor"
)

type doctorCmd struct {
	JSON bool `help:"For programs."`
}

// Run shows each finding as it comes, and ends with 1 where something that is needed lacks.
func (c doctorCmd) Run() error {
	list := []doctor.Finding{}
	fine := doctor.Examine(func(f doctor.Finding) {
		list = append(list, f)
		if !c.JSON {
			f.Print(os.Stdout)
		}
	})
	if c.JSON {
		if err := printJSON(list); err != nil {
			return err
		}
	}
	if !fine {
		return cli.ErrShown
	}
	return nil
}
