// Command lorac compiles MindFormers configs of Llama + LoRA to trainers.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/cli"
	"lorac/cmd/lorac/launch"
	"lorac/compiler/config"
)

// commands is every command with its flags.
type commands struct {
	Init       initCmd       `cmd:"" help:"Write a commented config for base weights, and the commands that follow."`
	Migrate    migrateCmd    `cmd:"" help:"Translate a LoRA config of LLaMA-Factory, Axolotl or PEFT; account for every key of it."`
	Check      checkCmd      `cmd:"" help:"Account for every key of a config: used, without effect here, refused, unknown."`
	Data       dataCmd       `cmd:"" help:"Show rows of training data as a trainer reads them: mask, ids, lengths, duplicates, rows that cannot train."`
	Plan       planCmd       `cmd:"" help:"Say what a job takes before it runs: parameters, FLOPs, bytes. Takes the flags of finetune, too."`
	Inspect    inspectCmd    `cmd:"" help:"Print the IR, after any pass; resume from an edited dump. Or list what a checkpoint, strategy or MindRecord file holds."`
	Compile    compileCmd    `cmd:"" help:"Write the trainer's Go source and build its binary."`
	Finetune   finetuneCmd   `cmd:"" help:"Compile (cached), then run: train, evaluate or predict."`
	Watch      watchCmd      `cmd:"" help:"Follow a run from another terminal, by the metrics it writes."`
	Chat       chatCmd       `cmd:"" help:"Talk to a model, base against adapter where asked."`
	Serve      serveCmd      `cmd:"" help:"Answer requests over HTTP as OpenAI's servers do, with a page to try base against adapter."`
	Bench      benchCmd      `cmd:"" help:"Measure this machine, each kernel at the config's shapes, and a whole step; --quant and --compute as in finetune."`
	Convert    convertCmd    `cmd:"" help:"Convert checkpoints and adapters, or merge one into the other."`
	Doctor     doctorCmd     `cmd:"" help:"Say whether this machine has what lorac needs: Go, cache, memory, disk, processor, MPI, CANN."`
	Completion completionCmd `cmd:"" help:"Print the completion script of a shell: bash, zsh or fish."`
	Version    versionCmd    `cmd:"" help:"Tell version, commit, Go and the vector units in use."`
	Quickstart quickstartCmd `cmd:"" help:"In a few seconds: make a small base model, fine-tune it, show what it learned."`

	VersionFlag versionFlag `name:"version" help:"The same as the command version."`
}

// configSource is a config with what overrides its keys.
type configSource struct {
	Config string            `arg:"" optional:"" help:"MindFormers YAML, or base weights, which have the config that lorac init would write." name:"config"`
	Flag   string            `name:"config" help:"The same as a flag." placeholder:"CONFIG" hidden:""`
	Set    map[string]string `help:"Override a key of the config; --key.path VALUE does the same." placeholder:"key.path=VALUE"`
}

// baseFlags name the base weights that a config is compared with.
type baseFlags struct {
	Weights string `name:"load_checkpoint" help:"Base weights: what their files say of the model is compared with the config." placeholder:"PATH"`
	Trans   string `name:"auto_trans_ckpt" enum:",True,False,true,false" default:"" help:"True: the base weights may be spread over ranks." placeholder:"True"`
	Layout  string `name:"src_strategy_path_or_dir" help:"As these strategy files say." placeholder:"PATH"`
	Ignore  string `name:"base_config" enum:",compare,ignore" default:"" help:"ignore: the config counts where config.json and the like say another thing." placeholder:"ignore"`
}

// base is those weights; a path that is given must be there.
func (f *baseFlags) base() (*build.Base, error) {
	if f.Weights != "" { // one that only the config names may be where the trainer will run
		if err := build.StatBase(f.Weights); err != nil {
			return nil, err
		}
	}
	b := &build.Base{Weights: f.Weights, Layout: f.Layout, Ignore: f.Ignore == "ignore"}
	if f.Trans != "" {
		trans := strings.EqualFold(f.Trans, "true")
		b.Trans = &trans
	}
	return b, nil
}

// target is what is compiled for: these weights.
func (f *baseFlags) target(b *build.Base) build.Target {
	return build.Target{Weights: b.Weights, Trans: b.Trans, Layout: b.Layout, IgnoreBase: b.Ignore}
}

// compilerFlags steer what is compiled.
type compilerFlags struct {
	Fuel  map[string]int `help:"Limit the rewrites of an optional pass, to bisect a wrong result." placeholder:"PASS=N"`
	Limit cli.Bytes      `name:"mem_limit" help:"Most memory the trainer may take: what does not fit is stored in compute_dtype or recomputed." placeholder:"16GiB"`
	Off   []string       `help:"Switch an optional pass off." placeholder:"PASS"`
}

// source is where a command gets its module from: a config, or a dump in its place.
type source struct {
	configSource
	From string `help:"Resume from an IR dump instead of a config." placeholder:"FILE.ir"`
	compilerFlags
}

func (s *configSource) path() (string, error) {
	switch {
	case s.Config != "" && s.Flag != "" && s.Config != s.Flag:
		return "", cli.Usage("two configs are given: %s and %s", s.Config, s.Flag)
	case s.Config != "":
		return s.Config, nil
	case s.Flag != "":
		return s.Flag, nil
	}
	return "", cli.Usage("no config is given\n  = help: give a MindFormers YAML, or a model (a directory of Hugging Face, a .gguf, …), which has a config by itself")
}

func (s *configSource) overrides() []config.Override {
	var o []config.Override
	for _, k := range slices.Sorted(maps.Keys(s.Set)) {
		o = append(o, config.Override{Path: k, Value: s.Set[k], Origin: "--set " + k})
	}
	return o
}

func (f *compilerFlags) options() build.Options { return build.Options{Fuel: f.Fuel, Off: f.Off} }

// source is what the compiler reads: the dump where one is given, and then nothing
// that only a config has.
func (s *source) source() (build.Source, error) {
	out := build.Source{From: s.From, Overrides: s.overrides(), Options: s.options()}
	if s.From == "" {
		path, err := s.path()
		out.Config = path
		return out, err
	}
	if path, err := s.path(); err == nil {
		return out, cli.Usage("a dump and a config are given: --from %s and %s\n  = help: give one of them; a dump holds all that its config said", s.From, path)
	}
	for _, o := range out.Overrides {
		return out, cli.Usage("%s=%s is for a config, --from %s is a dump\n  = help: edit the dump, or compile the config", o.Origin, o.Value, s.From)
	}
	return out, nil
}

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	var c commands
	parser, err := kong.New(&c, kong.Name("lorac"), kong.Description("Compile a MindFormers fine-tuning config to one trainer binary."),
		kong.UsageOnError(), kong.Exit(func(code int) { panic(cli.Exit{Code: code}) }))
	if err != nil {
		panic(err)
	}
	alone := len(args) == 0
	if alone { // the list of commands, as a mistake
		parser.Stdout, args = os.Stderr, []string{"--help"}
	}
	if args, err = named(parser, args); err != nil {
		return cli.Code(err)
	}
	if args, err = launch.KeysAsSet(args); err != nil {
		return cli.Code(err)
	}
	code := 0
	func() {
		defer func() {
			if r := recover(); r != nil {
				e, ok := r.(cli.Exit)
				if !ok {
					panic(r)
				}
				code = e.Code
			}
		}()
		ctx, err := parser.Parse(joinNegative(args))
		if err != nil {
			code = cli.Code(wrongUse(err))
			return
		}
		if err := build.CheckCPU(); err != nil {
			code = cli.Code(err)
			return
		}
		code = cli.Code(ctx.Run(parser))
	}()
	if alone {
		return cli.Code(cli.Exit{Code: 2})
	}
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
	if ours, ok := cli.UsageOf(err); ok {
		err = ours
	} else if m := withoutValue.FindStringSubmatch(err.Error()); m != nil {
		err = fmt.Errorf("--%s needs a value", m[1])
	} else {
		err = errors.New(emptyValue.Replace(err.Error()))
	}
	return cli.Usage("%w\n  = help: lorac --help, lorac COMMAND --help", err)
}

func printJSON(v any) error {
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
