package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/cli"
	"lorac/cmd/lorac/launch"
	"lorac/cmd/lorac/talk"
	"lorac/cmd/lorac/talk/model"
	rt "lorac/runtime"
	"lorac/runtime/data/chat"
	"lorac/runtime/sys/disk"
	"lorac/runtime/sys/human"
	"lorac/runtime/sys/signals"
)

type chatCmd struct {
	Args []string `arg:"" optional:"" passthrough:"" help:"CONFIG, the flags of chat and the trainer's."`
}

// Help is the flags, for lorac chat --help.
func (c *chatCmd) Help() string { return talk.ChatHelp() }

// Run talks on the terminal, or answers the lines of standard input.
func (c *chatCmd) Run() error {
	if asksHelp(c.Args) {
		fmt.Print(talk.ChatHelp())
		return nil
	}
	f, args, err := talk.ChatFlags(c.Args)
	if err != nil {
		return err
	}
	bin, args, err := compileModel(args, talk.ChatNames())
	if err != nil {
		return err
	}
	m, err := model.Start(bin, args)
	if err != nil {
		return ended(err)
	}
	err = talk.Chat(m, f, os.Stdin, os.Stdout, os.Stderr, human.Terminal(os.Stdin))
	return cmp.Or(err, ended(m.Close(patience)))
}

// ended is the error of a model that has ended, which said why.
func ended(err error) error {
	if e := (model.Ended{}); errors.As(err, &e) {
		return cli.Exit{Code: e.Code}
	}
	return err
}

type serveCmd struct {
	Args []string `arg:"" optional:"" passthrough:"" help:"CONFIG, the flags of serve and the trainer's."`
}

// Help is the flags, for lorac serve --help.
func (c *serveCmd) Help() string { return talk.ServeHelp() }

// Run compiles and then is the program that answers requests over HTTP.
func (c *serveCmd) Run() error {
	if asksHelp(c.Args) {
		fmt.Print(talk.ServeHelp())
		return nil
	}
	f, args, err := talk.ServeFlags(c.Args)
	if err != nil {
		return err
	}
	l, err := f.Server.Listen() // an address that is taken is said before anything is built
	if err != nil {
		return err
	}
	l.Close()
	bin, args, err := compileModel(args, talk.ServeNames())
	if err != nil {
		return err
	}
	path, args, err := talk.Server(f.Server, bin, args)
	if err != nil {
		return err
	}
	return launch.Exec(path, args)
}

// patience is how long a model that was talked to has to end.
const patience = 5 * time.Second

func asksHelp(args []string) bool {
	return slices.Contains(args, "--help") || slices.Contains(args, "-h")
}

// compileModel compiles what the arguments of chat or serve ask for, as finetune does.
// names are the flags that these have taken out of them.
func compileModel(args, names []string) (bin string, rest []string, err error) {
	prepared := signals.Prepare()
	defer prepared.Release()
	call, err := launch.Parse(append(slices.Clone(args), "--run_mode", "predict", "--serve", "True"), names...)
	if err != nil {
		return "", nil, err
	}
	if call.Workers > 1 || call.Mesh != "" || call.Launch.Workers > 1 {
		return "", nil, cli.Usage("a model that answers is one process; leave --workers, --mesh and launchers out")
	}
	p, err := call.Processes()
	if err != nil {
		return "", nil, err
	}
	if err := completeTalk(call); err != nil {
		return "", nil, err
	}
	return compileTrainer(call, p, nil, prepared)
}

// completeTalk adds what the arguments of chat and serve leave out: the adapter that the
// config's run wrote, and the template of conversations where that is the tokenizer's,
// which must be known before the trainer is compiled.
func completeTalk(call *launch.Call) error {
	given := func(name string) string {
		for i := len(call.Rest) - 2; i >= 0; i-- {
			if call.Rest[i] == "--"+name {
				return call.Rest[i+1]
			}
		}
		return ""
	}
	base := build.Base{}
	if call.From != "" || base.Read(call.Rest) != nil {
		return nil // a dump says it all; what is wrong, compiling says
	}
	cfg, list := base.Check(call.Config, call.Overrides)
	if list.HasErrors() {
		return nil
	}
	adapter := given("load_adapter")
	switch out := given("output_dir"); {
	case adapter == "none":
		i := slices.Index(call.Rest, "--load_adapter")
		call.Rest, adapter = slices.Delete(call.Rest, i, i+2), ""
	case adapter == "" && cfg.LoRA != nil:
		if out == "" {
			out = cfg.Output.V
		}
		if dir := filepath.Join(out, "adapter"); disk.IsFile(filepath.Join(dir, "adapter_config.json")) {
			fmt.Fprintf(os.Stderr, "note: the adapter is %s; --load_adapter names another, --load_adapter none takes none\n", dir)
			call.Rest, adapter = append(call.Rest, "--load_adapter", dir), dir
		}
	}
	if adapter != "" {
		if _, err := os.Stat(adapter); err != nil {
			return fmt.Errorf("cannot load the adapter: %w\n  = help: --load_adapter none takes none", err)
		}
	}
	chosen := cfg.Train.Prompt.V
	if given("prompt") != "" || chosen != "" && !cfg.Drafted {
		return nil
	}
	trained := ""
	if adapter != "" {
		trained = rt.AdapterPrompt(adapter)
	}
	if chosen != "" && trained != "" && trained != chosen { // of a model in the place of a config nobody has chosen it
		fmt.Fprintf(os.Stderr, "note: the adapter was trained with the prompt %s, which is taken\n", trained)
		call.Rest = append(call.Rest, "--prompt", trained)
		return nil
	}
	if chosen != "" {
		return nil
	}
	if trained == chat.Own || trained == "" && build.HasTemplate(cfg, given("tokenizer"), given("load_checkpoint")) {
		call.Rest = append(call.Rest, "--prompt", chat.Own)
	}
	return nil
}
