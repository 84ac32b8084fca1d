// Command lorac compiles MindFormers configs of Llama + LoRA to trainers.
package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"

	"lorac/compiler"
	"lorac/compiler/config"
	"lorac/compiler/passes"
	"lorac/ir"
	"lorac/ir/diag"
)

// cli is every command with its flags.
type cli struct {
	Check      checkCmd      `cmd:"" help:"Account for every key of a config: used, without effect here, refused, unknown."`
	Plan       planCmd       `cmd:"" help:"Say what a job takes before it runs: parameters, FLOPs, bytes. Takes the flags of finetune, too."`
	Inspect    inspectCmd    `cmd:"" help:"Print the IR, after any pass; resume from an edited dump. Or list what a checkpoint, strategy or MindRecord file holds."`
	Compile    compileCmd    `cmd:"" help:"Write the trainer's Go source and build its binary."`
	Finetune   finetuneCmd   `cmd:"" help:"Compile (cached), then run: train, evaluate or predict."`
	Bench      benchCmd      `cmd:"" help:"Measure this machine, each kernel at the config's shapes, and a whole step; --quant and --compute as in finetune."`
	Convert    convertCmd    `cmd:"" help:"Convert checkpoints and adapters, or merge one into the other."`
	Version    versionCmd    `cmd:"" help:"Tell version, commit, Go and the vector units in use."`
	Quickstart quickstartCmd `cmd:"" help:"In a few seconds: make a small base model, fine-tune it, show what it learned."`

	VersionFlag versionFlag `name:"version" help:"The same as the command version."`
}

// source is where a command gets its module from.
type source struct {
	Config string            `arg:"" optional:"" help:"MindFormers YAML." name:"config"`
	Flag   string            `name:"config" help:"The same as a flag." placeholder:"CONFIG" hidden:""`
	From   string            `help:"Resume from an IR dump instead of a config." placeholder:"FILE.ir"`
	Set    map[string]string `help:"Override a key of the config; --key.path VALUE does the same." placeholder:"key.path=VALUE"`
	Fuel   map[string]int    `help:"Limit the rewrites of a pass, to bisect a wrong result." placeholder:"PASS=N"`
	Limit  bytesFlag         `name:"mem_limit" help:"Most memory the trainer may take: what does not fit is stored in compute_dtype or computed again." placeholder:"16GiB"`
	Off    []string          `help:"Switch an optional pass off." placeholder:"PASS"`
}

func (s *source) path() (string, error) {
	switch {
	case s.Config != "" && s.Flag != "" && s.Config != s.Flag:
		return "", usage("two configs are given: %s and %s", s.Config, s.Flag)
	case s.Config != "":
		return s.Config, nil
	case s.Flag != "":
		return s.Flag, nil
	}
	return "", usage("no config is given")
}

// load reads the config and prints what is wrong with it.
func (s *source) load() (*config.Config, error) {
	path, err := s.path()
	if err != nil {
		return nil, err
	}
	return loadConfig(path, s.overrides())
}

func (s *source) overrides() []config.Override {
	var o []config.Override
	for k, v := range s.Set {
		o = append(o, config.Override{Path: k, Value: v, Origin: "--set " + k})
	}
	return o
}

func loadConfig(path string, o []config.Override) (*config.Config, error) {
	c, list := config.Load(path, o)
	return c, show(list, c == nil)
}

// show prints diagnostics with the lines they point at.
func show(list diag.List, failed bool) error {
	sources := map[string][]byte{}
	for _, d := range list {
		if _, ok := sources[d.Pos.File]; !ok && d.Pos.File != "" {
			sources[d.Pos.File], _ = os.ReadFile(d.Pos.File)
		}
	}
	diag.Render(os.Stderr, list, sources, isTerminal(os.Stderr))
	if failed {
		return errShown
	}
	return nil
}

func (s *source) options() *passes.Options {
	o := &passes.Options{Fuel: s.Fuel, Disable: map[string]bool{}}
	for _, p := range s.Off {
		o.Disable[p] = true
	}
	return o
}

// compile runs the compiler on the config or the dump.
func (s *source) compile(o *passes.Options, after func(string, *ir.Module)) (*compiler.Result, error) {
	r, _, err := s.compileFor(&target{limit: int(s.Limit)}, o, after)
	return r, err
}

func (s *source) compileFor(t *target, o *passes.Options, after func(string, *ir.Module)) (r *compiler.Result, mem *memory, err error) {
	if s.From != "" {
		if t.limit > 0 {
			return nil, nil, usage("--mem_limit goes with a config: what is computed again was decided when the dump was made")
		}
		text, err := os.ReadFile(s.From)
		if err != nil {
			return nil, nil, err
		}
		r, err := compiler.Resume(s.From, string(text), o, after)
		var list diag.List
		if errors.As(err, &list) {
			return nil, nil, show(list, true)
		}
		if err != nil {
			return nil, nil, err
		}
		u, err := usesOf(r.Module, t)
		if err != nil {
			return nil, nil, err
		}
		mem = measure(r.Module, u)
		resident(r.Module, mem, "")
		return r, mem, nil
	}
	c, err := s.load()
	if err != nil {
		return nil, nil, err
	}
	return compileFor(c, *t, o, after)
}

// Exit codes: 0 done, 1 the user's input is wrong, 2 used wrongly, 3 failed
// while running.
var errShown = errors.New("")

type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitError carries the exit code of a trainer.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit %d", e.code) }

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	var c cli
	parser, err := kong.New(&c, kong.Name("lorac"), kong.Description("Compile a MindFormers fine-tuning config to one trainer binary."),
		kong.UsageOnError(), kong.Exit(func(code int) { panic(exitError{code}) }))
	if err != nil {
		panic(err)
	}
	if args, err = keysAsSet(args); err != nil {
		return exitCode(err)
	}
	code := 0
	func() {
		defer func() {
			if r := recover(); r != nil {
				e, ok := r.(exitError)
				if !ok {
					panic(r)
				}
				code = e.code
			}
		}()
		ctx, err := parser.Parse(joinNegative(args))
		if err != nil {
			code = exitCode(wrongUse(err))
			return
		}
		code = exitCode(ctx.Run())
	}()
	return code
}

// joinNegative writes --flag -1 as --flag=-1: kong would take the number for a flag.
func joinNegative(args []string) (out []string) {
	for i, a := range args {
		if i > 0 && negative.MatchString(a) && flagAlone.MatchString(args[i-1]) && args[0] != "finetune" { // that reads its own
			out[len(out)-1] += "=" + a
		} else {
			out = append(out, a)
		}
	}
	return out
}

var (
	negative  = regexp.MustCompile(`^-\.?[0-9]`)
	flagAlone = regexp.MustCompile(`^--[^=]+$`)
)

// withoutValue is what kong says of a flag whose value is missing.
var withoutValue = regexp.MustCompile(`^--(\S+): expected \S+ value but got `)

// emptyValue takes the value of a flag that is not given out of those allowed.
var emptyValue = strings.NewReplacer(`,"" but got `, ` but got `, `must be one of "",`, `must be one of `)

// wrongUse puts an error of the parser into words that finetune, which reads its
// arguments itself, uses too.
func wrongUse(err error) error {
	var ue usageError
	if !errors.As(err, &ue) {
		ue = usageError{errors.New(emptyValue.Replace(err.Error()))}
		if m := withoutValue.FindStringSubmatch(err.Error()); m != nil {
			ue = usageError{fmt.Errorf("--%s needs a value", m[1])}
		}
	}
	return usage("%w\n  = help: lorac --help, lorac COMMAND --help", ue)
}

func exitCode(err error) int {
	var ue usageError
	var ee exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &ee):
		return ee.code
	case errors.As(err, &ue):
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		return 2
	case !errors.Is(err, errShown):
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
	}
	return 1
}
