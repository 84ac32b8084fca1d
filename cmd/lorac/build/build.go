// Package build is the driver: it finds out what a job runs on and with, has it
// compiled for that, and builds the trainer. It alone sees compiler, code
// generator and runtime together.
package build

import (
	"errors"
	"fmt"
	"os"

	private "lorac/cmd/lorac/cache"
	"lorac/cmd/lorac/cli"
	"lorac/codegen"
	"lorac/codegen/toolchain"
	"lorac/compiler"
	"lorac/compiler/config"
	"lorac/compiler/cost"
	"lorac/compiler/model"
	"lorac/compiler/passes"
	"lorac/ir"
	"lorac/ir/diag"
	"lorac/runtime/sys/human"
)

// Result is a compiled module with what it takes.
type Result = compiler.Result

// Compile compiles a config for a target: the weights' types, the extents of the
// data and what is free of the memory are found out, then the compiler is asked.
func Compile(c *config.Config, t Target, o Options) (*compiler.Result, error) {
	t.complete(c)
	if err := t.readTemplate(c); err != nil {
		return nil, err
	}
	graph, err := model.Build(c)
	if err != nil {
		return nil, err
	}
	base, err := storedBase(graph, &t)
	if err != nil {
		return nil, err
	}
	facts, err := t.facts(graph, base, o)
	if err != nil {
		return nil, err
	}
	if facts.Mesh == nil {
		if facts.Mesh, err = t.asked(c, facts); err != nil {
			return nil, err
		}
	}
	r, err := compiler.Compile(c, facts)
	if err != nil {
		r, err = t.smaller(c, facts, err)
	}
	t.sayMesh(r)
	var refused diag.List
	if errors.As(err, &refused) {
		return nil, Show(refused, true)
	}
	var short *compiler.Shortfall
	if errors.As(err, &short) {
		return nil, t.explainShort(short, c, facts)
	}
	var large *compiler.TooLarge
	if errors.As(err, &large) {
		return nil, t.explain(large)
	}
	if err == nil && t.Ascend != nil {
		_, takes := cost.HostOf(r.Module, *facts.Use, device(t.Runs))
		if err := hostShort(takes, t.bound); err != nil {
			return nil, err
		}
	}
	if err == nil && r.Limit > 0 {
		if t.Ascend != nil {
			fmt.Fprintf(os.Stderr, "note: the job would take %s of the device's memory, %s are there%s: %s\n", human.Bytes(r.Wanted), human.Bytes(r.Limit), t.assumption(), r.Module.Setting("memory.choice"))
			return r, nil
		}
		t.noteThere(r)
	}
	return r, err
}

// Resume continues from a dump. One of the graph as it was built gets the types
// of the weights that it names; others have those they were compiled with.
func Resume(m *ir.Module, t Target, o Options) (*compiler.Result, error) {
	var base *passes.Base
	var err error
	if done, _ := m.Setting("ir.after").(string); done == "" || done == "model" {
		named := Target{IgnoreBase: t.IgnoreBase}
		named.Weights, _ = m.Setting("load_checkpoint").(string)
		trans, _ := m.Setting("auto_trans").(bool)
		named.Trans = &trans
		named.Layout, _ = m.Setting("src_strategy").(string)
		if base, err = storedBase(m, &named); err != nil {
			return nil, err
		}
	}
	facts, err := t.facts(m, base, o)
	if err != nil {
		return nil, err
	}
	return compiler.Resume(m, facts)
}

// facts is what can be found out about the target of a module.
func (t *Target) facts(m *ir.Module, base *passes.Base, o Options) (*compiler.Target, error) {
	use, fit, err := t.use(m)
	if err != nil {
		return nil, err
	}
	facts := &compiler.Target{Base: base, Blocks: BlockType, Fit: fit, Use: &use, Device: device(t.Runs), Limit: t.Limit, Ascend: t.Ascend, Over: t.Over, Mesh: t.Mesh, Passes: o.passes(), After: o.After}
	if t.Ascend != nil {
		card := *t.Ascend
		card.Scratch, card.Sums = scratchOn(t.Ascend), use.Sums
		facts.Ascend = &card
	}
	if t.bound = t.there(); t.Ascend == nil {
		facts.Free = t.bound.N
	}
	return facts, nil
}

// noteThere says why a job is compiled for less memory than it was allowed.
func (t *Target) noteThere(r *Result) {
	if !t.Bound && t.bound.N > 0 && r.Limit != t.Limit {
		fmt.Fprintf(os.Stderr, "note: the job would take %s; there are %s (%s): %s\n", human.Bytes(r.Wanted), human.Bytes(t.bound.N), t.bound.From, r.Module.Setting("memory.choice"))
	}
}

// Trainer compiles a config and builds its trainer into the user's cache, one
// directory per content. The weights are checked before anything is built.
func Trainer(c *config.Config, t Target) (binary string, err error) {
	r, err := Compile(c, t, Options{})
	if err != nil {
		return "", err
	}
	return cached(r.Module, c.Path)
}

// TrainerOf is Trainer of a dump.
func TrainerOf(s Source, t Target) (binary string, err error) {
	r, err := s.Compile(t)
	if err != nil {
		return "", err
	}
	return cached(r.Module, s.From)
}

// cached builds the trainer of a module that was compiled from a file.
func cached(m *ir.Module, path string) (binary string, err error) {
	cache, err := openCache()
	if err != nil {
		return "", err
	}
	dir := cache.of(m)
	if err := cache.mend(m, codegen.ProgramName(m.Name, toolchain.Here())); err != nil {
		return "", err
	}
	if !codegen.IsBuilt(dir) {
		fmt.Fprintf(os.Stderr, "compiling %s: some seconds, the first time up to half a minute\n", path)
	}
	binary, rebuilt, err := codegen.BuildHere(dir, m.Name, m, cache.sources())
	if err != nil {
		return "", err
	}
	private.Used(dir)
	if rebuilt {
		fmt.Fprintf(os.Stderr, "compiled %s to %s\n", path, dir)
		cache.prune(keptTrainers)
	}
	return binary, nil
}

// In builds the trainer of a module in a directory, for a platform; rebuilt is false
// where it is there already.
func In(dir string, m *ir.Module, p Platform) (binary string, rebuilt bool, err error) {
	return codegen.Build(dir, m.Name, m, p)
}

// Platform is what a trainer is built for.
type Platform = toolchain.Platform

// PlatformOf reads linux/arm64; "" is this machine.
func PlatformOf(text string) (Platform, error) {
	if text == "" {
		return toolchain.Here(), nil
	}
	p, err := toolchain.ParsePlatform(text)
	if err != nil {
		return p, cli.Usage("--target %s: %v", text, err)
	}
	return p, nil
}
