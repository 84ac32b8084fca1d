package main

import (
	"fmt"
	"io"
	"os"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/cli"
	"lorac/cmd/lorac/convert"
	"lorac/cmd/lorac/page"
	"lorac/compiler/cost"
	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/sys/human"
)

type inspectCmd struct {
	source
	baseFlags
	elsewhereFlags
	After string `help:"Show the module after this pass (model, or a pass; default: the last)." placeholder:"PASS"`
	All   bool   `help:"Write the module after every pass into a directory."`
	Out   string `short:"o" help:"Directory for --all, or file for the dump or the page." placeholder:"PATH"`
	HTML  bool   `name:"html" help:"Write a page to look at: functions, types, kept tensors, memory over time, FLOPs, each pass before and after. Needs -o FILE."`
	Stats bool   `help:"Show what each pass saved."`
}

// Run prints dumps; of a file that is no config, what it holds.
func (c *inspectCmd) Run() error {
	switch {
	case c.HTML && c.Out == "":
		return cli.Usage("--html needs -o FILE")
	case c.HTML && (c.All || c.Stats || c.After != ""):
		return cli.Usage("--html shows every pass; leave --all, --stats and --after out")
	}
	if path, err := c.path(); err == nil && c.From == "" && !c.asksGraph() {
		if shown, err := convert.Describe(os.Stdout, path); shown {
			return err
		}
	}
	s, err := c.source.source()
	if err != nil {
		return err
	}
	all := ""
	if c.All {
		if all = c.Out; all == "" {
			return cli.Usage("--all needs -o DIR")
		}
	}
	if s.Base, err = c.base(); err != nil {
		return err
	}
	t := c.target(s.Base)
	t.Limit = int(c.Limit)
	if err := c.shared(&t); err != nil {
		return err
	}
	d, err := c.device(s)
	if err != nil {
		return err
	}
	if d != nil {
		t.For(d)
	}
	if c.HTML {
		return c.page(s, t)
	}
	text, steps, err := build.Dump(s, t, c.After, all)
	switch {
	case err != nil:
		return err
	case c.Stats:
		for _, s := range steps {
			fmt.Printf("%-18s %5d rewrites  statements %4d → %4d  %12s → %12s  saved MiB %9.2f → %9.2f\n", s.Name, s.Rewrites,
				s.Before.Statements, s.After.Statements, cost.FLOPs(s.Before.FLOPs), cost.FLOPs(s.After.FLOPs), float64(s.Before.KeptBytes)/(1<<20), float64(s.After.KeptBytes)/(1<<20))
		}
		return nil
	case c.All:
		return nil
	case c.Out != "":
		return os.WriteFile(c.Out, []byte(text), 0o666)
	}
	_, err = os.Stdout.WriteString(text)
	return err
}

// asksGraph reports whether the flags are about the IR, so that a model stands for the
// config that it has, and is not listed.
func (c *inspectCmd) asksGraph() bool {
	return c.HTML || c.Stats || c.All || c.After != "" || c.Out != "" || len(c.Set) > 0 || c.Limit > 0 || len(c.Off) > 0 || len(c.Fuel) > 0
}

// page writes what there is to look at as one file.
func (c *inspectCmd) page(s build.Source, t build.Target) error {
	g, err := build.GraphOf(s, t)
	if err != nil {
		return err
	}
	if err := atomicfile.WriteFile(c.Out, func(w io.Writer) error { return page.Graph(w, g) }); err != nil {
		return err
	}
	info, err := os.Stat(c.Out)
	if err != nil {
		return err
	}
	fmt.Printf("wrote %s (%s); a browser shows it, without a network\n", c.Out, human.Bytes(int(info.Size())))
	return nil
}
