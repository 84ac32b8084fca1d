package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"lorac/codegen"
	"lorac/compiler/config"
	"lorac/compiler/passes"
	"lorac/ir"
	rt "lorac/runtime"
)

type checkCmd struct {
	source
	JSON   bool `help:"For programs."`
	Schema bool `help:"Write the JSON Schema of the accepted YAML instead, for editors."`
}

// Run accounts for every key, wrong ones included.
func (c *checkCmd) Run() error {
	if c.Schema {
		return config.JSONSchema(os.Stdout)
	}
	path, err := c.path()
	if err != nil {
		return err
	}
	cfg, list := config.Check(path, c.overrides())
	err = show(list, list.HasErrors())
	if c.JSON {
		if e := cfg.ReportJSON(os.Stdout); e != nil {
			return e
		}
		return err
	}
	if !list.HasErrors() {
		cfg.ReportText(os.Stdout)
	}
	return err
}

type inspectCmd struct {
	source
	After string `help:"Show the module behind this pass (model, or a pass; default: the last)." placeholder:"PASS"`
	All   bool   `help:"Write the module behind every pass into a directory."`
	Out   string `short:"o" help:"Directory for --all, or file for the dump." placeholder:"PATH"`
	Stats bool   `help:"Show what each pass saved."`
}

// Run prints dumps; of a file that is no config, what it holds.
func (c *inspectCmd) Run() error {
	if path, err := c.path(); err == nil && c.From == "" {
		if shown, err := inspectFile(os.Stdout, path); shown {
			return err
		}
	}
	o := c.options()
	if c.After != "" && c.After != "model" {
		o.Last = c.After
	}
	n := 0
	var model string
	after := func(pass string, m *ir.Module) {
		if pass == "model" {
			model = m.String()
		}
		if c.All {
			name := fmt.Sprintf("%02d-%s.ir", n, pass)
			if err := os.WriteFile(filepath.Join(c.Out, name), []byte(m.String()), 0o666); err != nil {
				fmt.Fprintln(os.Stderr, "error:", err)
			}
		}
		n++
	}
	if c.All {
		if c.Out == "" {
			return usage("--all needs -o DIR")
		}
		if err := os.MkdirAll(c.Out, 0o777); err != nil {
			return err
		}
	}
	r, err := c.compile(o, after)
	if err != nil {
		return err
	}
	if c.Stats {
		for _, s := range r.Steps {
			fmt.Printf("%-18s %5d rewrites  statements %4d → %4d  %12s → %12s  kept MiB %9.2f → %9.2f\n", s.Name, s.Rewrites,
				s.Before.Statements, s.After.Statements, passes.FLOPs(s.Before.FLOPs), passes.FLOPs(s.After.FLOPs), float64(s.Before.KeptBytes)/(1<<20), float64(s.After.KeptBytes)/(1<<20))
		}
		return nil
	}
	if c.All {
		return nil
	}
	text := r.Module.String()
	if c.After == "model" {
		text = model
	}
	if c.Out != "" {
		return os.WriteFile(c.Out, []byte(text), 0o666)
	}
	_, err = os.Stdout.WriteString(text)
	return err
}

type compileCmd struct {
	source
	Out string `short:"o" required:"" help:"Directory for the sources (DIR/trainer) and the binary." placeholder:"DIR"`
}

// Run writes and builds the trainer.
func (c *compileCmd) Run() error {
	r, err := c.compile(c.options(), nil)
	if err != nil {
		return err
	}
	bin, rebuilt, err := codegen.Build(c.Out, r.Module.Name, r.Module)
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

type finetuneCmd struct {
	Args []string `arg:"" optional:"" passthrough:"" help:"CONFIG (or --config CONFIG) and the trainer's flags; --help-trainer lists them."`
}

// Help is the flags, for lorac finetune --help.
func (c *finetuneCmd) Help() string { return finetuneHelp() }

// Run compiles and then is the trainer.
func (c *finetuneCmd) Run() error {
	bin, args, err := c.build()
	if err != nil {
		return err
	}
	return execute(bin, args)
}

// build sorts the arguments into those that need compiling and those for the
// trainer, and compiles.
func (c *finetuneCmd) build() (string, []string, error) {
	call, err := splitArgs(c.Args)
	if err != nil {
		return "", nil, err
	}
	cfg, err := loadConfig(call.config, call.overrides)
	if err != nil {
		return "", nil, err
	}
	call.say()
	rest := call.rest
	if err := rt.CheckFlags(rest); err != nil {
		return "", nil, usage("%w", err)
	}
	t := target{here: true}
	if err := t.read(rest); err != nil {
		return "", nil, err
	}
	for i, a := range rest[:max(len(rest)-1, 0)] {
		if a == "--train_dataset_dir" || a == "--eval_dataset_dir" {
			if err := checkIndexes(rest[i+1]); err != nil {
				return "", nil, err
			}
		}
	}
	if err := findBase(cfg, t.weights); err != nil {
		return "", nil, err
	}
	bin, err := buildCached(cfg, t)
	return bin, rest, err
}

// buildCached compiles into the user's cache, one directory per content. The
// weights are checked before anything is built.
func buildCached(cfg *config.Config, t target) (string, error) {
	res, _, err := compileFor(cfg, t, nil, nil)
	if err != nil {
		return "", err
	}
	r := res.Module
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	cache = filepath.Join(cache, "lorac")
	dir := filepath.Join(cache, codegen.Hash(r))
	if !codegen.IsBuilt(dir) {
		fmt.Fprintf(os.Stderr, "compiling %s: some seconds, the first time up to half a minute\n", cfg.Path)
	}
	bin, rebuilt, err := codegen.BuildHere(dir, r.Name, r)
	if err != nil {
		return "", err
	}
	now := time.Now()
	os.Chtimes(dir, now, now) // when it was used last
	if rebuilt {
		fmt.Fprintf(os.Stderr, "compiled %s to %s\n", cfg.Path, dir)
		prune(cache, keptTrainers)
	}
	return bin, nil
}

// keptTrainers is how many trainers the cache holds, of some 6 MB each.
const keptTrainers = 100

// prune removes all but the directories used last.
func prune(cache string, keep int) {
	list, _ := os.ReadDir(cache)
	used := map[string]time.Time{}
	for _, d := range list {
		if info, err := d.Info(); err == nil && d.IsDir() {
			used[d.Name()] = info.ModTime()
		}
	}
	names := slices.SortedFunc(maps.Keys(used), func(a, b string) int { return used[b].Compare(used[a]) })
	for _, name := range names[min(keep, len(names)):] {
		os.RemoveAll(filepath.Join(cache, name))
	}
}

// runTrainer runs the trainer as a child and passes its exit code on.
func runTrainer(bin string, args ...string) error {
	cmd := exec.Command(bin, args...)
	cmd.Stdout, cmd.Stderr, cmd.Stdin = os.Stdout, os.Stderr, os.Stdin
	err := cmd.Run()
	if e, ok := err.(*exec.ExitError); ok {
		return exitError{e.ExitCode()}
	}
	return err
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func printJSON(v any) error {
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
