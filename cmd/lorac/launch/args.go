package launch

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"lorac/cmd/lorac/cli"
	"lorac/compiler/config"
	"lorac/ir/diag"
	rt "lorac/runtime"
)

// Call is a parsed command line of finetune.
type Call struct {
	Config    string
	From      string            // an IR dump in its place
	Overrides []config.Override // what is compiled in, in the order it counts
	Rest      []string          // flags for the trainer, in the order they count
	Devices   int               // that the launch line or --devices asks for; 0: neither does
	Mesh      string            // how they share the work, as --mesh has it: dp=2,mp=4; "": each does a part of the rows
	Workers   int               // processes that --workers asks for; 0: it is not given
	Restarts  int               // after faults, at most
	Launch    Launch
	notes     []string
}

// rank is the order in which settings of one key win, the last one over all
// others, wherever they stand on the line (MindFormers run_mindformer.py).
type rank int

const (
	byFlag   rank = iota // flags
	byOption             // --options a.b=c
	byData               // the two data set directories
	byPrompt             // --predict_data
	byLoop               // epochs, batch_size and what else concerns the loop
	byKey                // --a.b.c value
	ranks
)

// ranked are the flags that do not count as the others.
var ranked = map[string]rank{
	"train_dataset_dir": byData, "eval_dataset_dir": byData, "predict_data": byPrompt, "predict_batch_size": byPrompt,
	"epochs": byLoop, "batch_size": byLoop, "gradient_accumulation_steps": byLoop, "sink_mode": byLoop, "num_samples": byLoop, "output_dir": byLoop,
}

// compiledFlag sets keys the trainer is compiled with.
type compiledFlag struct {
	name, help string
	keys       []string
}

var compiled = []compiledFlag{
	{"batch_size", "rows of a micro-batch; of a trainer that is compiled already, another batch of the same passes", []string{"runner_config.batch_size"}},
	{"num_samples", "rows of an epoch at most", []string{"train_dataset.data_loader.num_samples", "eval_dataset.data_loader.num_samples"}},
	{"compute", "int8: products with the frozen base in eight bits; f32 (default)", []string{"compute"}},
	{"quant", "int8 or int4: the frozen base in blocks of so many bits", []string{"quant"}},
	{"sink_mode", "True: count steps as MindFormers does with sink_size; False: count all", []string{"runner_config.sink_mode"}},
	{"use_parallel", "True: the job is of as many devices as the launch line or parallel_config says", []string{"use_parallel"}},
	{"devices", "how many devices the job is of, where neither the launch line nor parallel_config says it; any number of processes gives its result", []string{"devices"}},
	{"save_ranks", "True: with --checkpoint_format ckpt or safetensors, each checkpoint also as the ranks of parallel_config would have saved it, with their strategies", []string{"save_ranks"}},
	{"units", "into how many parts the rows of a step are divided for processes to share, a power of two (default: the least that gives each device one); changes roundings", []string{"units"}},
	{"shard_by", "block (MindSpore to 2.5) or stride (from 2.6): how rows are cut over devices", []string{"shard_by"}},
	{"adapter_id", "no effect: give --load_adapter", []string{"adapter_id"}},
	{"remote_save_url", "no effect: concerns Huawei's cloud platform", []string{"remote_save_url"}},
}

// compiledHelp lists the flags that are the command's own.
func compiledHelp() string {
	var b strings.Builder
	b.WriteString("Flags of the command, most of which compile another trainer:\n\n")
	line := func(name, help string) { fmt.Fprintf(&b, "  --%-28s %s\n", name, help) }
	line("config", "the MindFormers YAML; also given without a flag")
	line("from", "an IR dump in the place of a config: what lorac inspect wrote, edited or not")
	for _, f := range compiled {
		line(f.name, f.help)
	}
	line("workers", "processes on this host that share the work, over MPI; their number does not change the result")
	line("mesh", "dp=2,pp=2,mp=2: 8 processes: 2 share the rows, 2 have the layers in turn, 2 share each layer; os=2 besides: those of dp share the optimizer's states; sp=2: those of mp divide the tokens, too (default: all share the rows)")
	line("restarts", "how often a run of several processes is started again after a fault, from its last checkpoint (default 0)")
	line("options", "a.b=c d.e=f: keys of the config, over the flags")
	line("a.b.c VALUE", "any key of the config, over everything else")
	b.WriteString("\nrun_mindformer.py may stand before the flags, with python and msrun too, and the whole command in quotes\nfollowed by a worker count, as msrun_launcher.sh takes it.\n")
	return b.String()
}

// Help lists the flags of finetune.
func Help() string {
	own := map[string]bool{"config": true, "workers": true, "mesh": true}
	for _, f := range compiled {
		own[f.name] = true
	}
	var trainer strings.Builder
	for line := range strings.Lines(rt.FlagHelp()) {
		if name, _, _ := strings.Cut(strings.TrimLeft(line, " -"), " "); !own[name] {
			trainer.WriteString(line)
		}
	}
	return "usage: lorac finetune CONFIG [flags]\n\nCONFIG is a MindFormers YAML, or base weights, which have the config that lorac init would write.\n\nFlags of the trainer:\n\n" + trainer.String() + "\n" + compiledHelp()
}

// sorter sorts the settings of a command line.
type sorter struct {
	Call
	also []string // flags that the command has besides, which have been taken out
	over [ranks][]config.Override
	run  [ranks][]string
}

// Parse splits a command line: the config, what needs compiling, and
// what the trainer reads itself. also are flags that the command has besides, of which
// one that is unknown may be meant.
func Parse(in []string, also ...string) (*Call, error) {
	l, err := unlaunch(in)
	if err != nil {
		return nil, err
	}
	s := &sorter{Call: Call{notes: l.notes, Launch: l.line}, also: also}
	for in = l.args; len(in) > 0; {
		a := in[0]
		in = in[1:]
		if a == "--help-trainer" || a == "--help" || a == "-h" {
			fmt.Print(Help())
			return nil, cli.Exit{}
		}
		if !strings.HasPrefix(a, "--") {
			if err := s.path(l, a, true); err != nil {
				return nil, err
			}
			continue
		}
		name, value, has := strings.Cut(a[2:], "=")
		var values []string
		switch {
		case has:
			values = []string{value}
		case rt.Switch(name):
			values = []string{""}
		case name == "options" || name == "predict_data" || name == "modal_type":
			for len(in) > 0 && !strings.HasPrefix(in[0], "--") {
				values, in = append(values, in[0]), in[1:]
			}
		case len(in) > 0 && !strings.HasPrefix(in[0], "--"):
			values, in = in[:1:1], in[1:]
		}
		if len(values) == 0 {
			return nil, cli.Usage("--%s needs a value", name)
		}
		for _, v := range values {
			switch name {
			case "config":
				err = s.path(l, v, false)
			case "from":
				s.From = v
			default:
				err = s.set(name, v)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	if s.Config == "" && s.From == "" {
		return nil, cli.Usage("no config is given\n  = help: give a MindFormers YAML, or a model (a directory of Hugging Face, a .gguf, …), which has a config by itself")
	}
	s.devices()
	for r := range ranks {
		s.Overrides = append(s.Overrides, s.over[r]...)
		s.Rest = append(s.Rest, s.run[r]...)
	}
	if s.From != "" {
		if err := s.fromDump(); err != nil {
			return nil, err
		}
	}
	return &s.Call, nil
}

// fromDump refuses what a dump decided when it was made.
func (c *Call) fromDump() error {
	switch {
	case c.Config != "":
		return cli.Usage("a dump and a config are given: --from %s and %s\n  = help: give one of them; a dump holds all that its config said", c.From, c.Config)
	case len(c.Overrides) > 0:
		o := c.Overrides[0]
		return cli.Usage("%s %s is for a config, --from %s is a dump\n  = help: edit the dump, or compile the config", o.Origin, o.Value, c.From)
	case c.Workers > 1 || c.Mesh != "" || c.Launch.Workers > 1:
		return cli.Usage("--from %s runs as one process\n  = help: lorac compile --from %s -o DIR, and start its trainer with mpirun", c.From, c.From)
	}
	return nil
}

// devices makes the launch line's number of workers that of devices, over --devices.
func (s *sorter) devices() {
	var asked []config.Override
	for r := range s.over {
		for _, o := range s.over[r] {
			if o.Path == "devices" {
				asked = append(asked, o)
			}
		}
	}
	if n := len(asked); n > 0 {
		s.Devices, _ = strconv.Atoi(asked[n-1].Value) // a wrong one is an error of the config
	}
	if s.Launch.Workers == 0 {
		return
	}
	if n := s.Launch.Workers; len(asked) > 0 && s.Devices != n {
		s.notes = append(s.notes, fmt.Sprintf("%d devices: the launch line (%s) wins over %s %s", n, s.Launch.By, asked[len(asked)-1].Origin, asked[len(asked)-1].Value))
	}
	s.Devices = s.Launch.Workers
	s.over[byKey] = append(s.over[byKey], config.Override{Path: "devices", Value: strconv.Itoa(s.Devices), Origin: s.Launch.By})
}

func (s *sorter) path(l *launch, path string, bare bool) error {
	if path = l.config(path); s.Config != "" && s.Config != path {
		if bare {
			return cli.Usage("unexpected argument %q", path)
		}
		return cli.Usage("two configs are given: %s and %s", s.Config, path)
	}
	s.Config = path
	return nil
}

// set takes one flag with its value.
func (s *sorter) set(name, value string) error {
	for _, f := range compiled {
		if f.name == name {
			for _, key := range f.keys {
				s.key(ranked[name], "--"+name, key, value)
			}
			return nil
		}
	}
	switch {
	case name == "options":
		key, v, ok := strings.Cut(value, "=")
		if !ok || key == "" {
			return cli.Usage("--options takes pairs like runner_config.epochs=3, not %q", value)
		}
		return s.option(key, v)
	case name == "workers":
		return count(name, value, 1, &s.Workers)
	case name == "mesh":
		s.Mesh = value
		return nil
	case name == "restarts":
		return count(name, value, 0, &s.Restarts)
	case name == "modal_type":
		return cli.Usage("--modal_type is for models of several kinds of input; lorac trains on text")
	case name == "run_mode" && value == "export":
		return cli.Usage("--run_mode export: MINDIR files are for Ascend; lorac convert writes checkpoints for other programs")
	case strings.Contains(name, "."):
		s.key(byKey, "--"+name, name, value)
	case rt.AtRunTime(name):
		s.trainer(ranked[name], name, value)
	case config.Known(name):
		s.key(byKey, "--"+name, name, value)
	default:
		return cli.Usage("unknown flag --%s%s", name, nearFlags(name, s.also))
	}
	return nil
}

// count reads a number of processes or the like.
func count(name, value string, least int, to *int) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > maxWorkers {
		return cli.Usage("--%s %s: must be a whole number from %d to %d", name, value, least, maxWorkers)
	}
	*to = n
	return nil
}

// option takes one pair of --options. A list may go without brackets there.
func (s *sorter) option(key, value string) error {
	if _, ok := rt.FlagOf(key); !ok && strings.Contains(value, ",") && !strings.ContainsAny(value, "[]{}'\"") {
		value = "[" + strings.Trim(value, "()") + "]"
	}
	s.key(byOption, "--options "+key, key, value)
	return nil
}

// key sets a key of the config: in the trainer, if it reads it itself.
func (s *sorter) key(r rank, origin, key, value string) {
	name, ok := rt.FlagOf(key)
	if ok && !slices.ContainsFunc(compiled, func(f compiledFlag) bool { return f.name == name }) {
		s.trainer(r, name, value)
		return
	}
	s.over[r] = append(s.over[r], config.Override{Path: key, Value: value, Origin: origin})
}

func (s *sorter) trainer(r rank, name, value string) {
	s.run[r] = append(s.run[r], "--"+name)
	if !rt.Switch(name) {
		s.run[r] = append(s.run[r], value)
	}
}

// nearFlags is the tail of an error about an unknown flag.
func nearFlags(name string, also []string) string {
	names := append(rt.FlagNames(), also...)
	names = append(names, "config", "options", "workers", "mesh", "restarts")
	for _, f := range compiled {
		names = append(names, f.name)
	}
	slices.Sort(names)
	if key := config.KeyNamed(name); key != "" { // of the config, and no flag of its own
		if flag := key[strings.LastIndexByte(key, '.')+1:]; rt.AtRunTime(flag) {
			key = flag
		}
		return "; did you mean --" + key + "?"
	}
	if near := diag.Suggest(name, slices.Compact(names)); len(near) > 0 {
		return "; did you mean --" + strings.Join(near, " or --") + "?"
	}
	return "; `lorac finetune --help` lists all"
}

// Check refuses flags that the trainer of a config with this run_mode would.
func (c *Call) Check(mode string) error {
	if err := rt.CheckFlags(mode, c.Rest); err != nil {
		return cli.Usage("%w", err)
	}
	return nil
}

// Say prints what the launcher was told, what was asked for and has no effect,
// and which of several settings counts, those of the trainer included. check reads the
// config with overrides.
func (c *Call) Say(check func([]config.Override) (*config.Config, diag.List)) {
	all := slices.Clone(c.Overrides)
	for i := 0; i+1 < len(c.Rest); i++ {
		name := strings.TrimPrefix(c.Rest[i], "--")
		if rt.Switch(name) {
			continue
		}
		if key := rt.KeyOf(name); key != "" && key != "model.model_config.use_past" { // which has one as a flag only
			all = append(all, config.Override{Path: key, Value: c.Rest[i+1], Origin: c.Rest[i]})
		}
		i++
	}
	notes := slices.Clone(c.notes)
	if cfg, list := check(all); !list.HasErrors() { // what is wrong with it, others say
		notes = append(notes, cfg.Winners...)
		for _, k := range cfg.Keys {
			if k.Status == config.Ignored && strings.HasPrefix(k.At.File, "--") {
				notes = append(notes, fmt.Sprintf("%s has no effect here: %s", k.At.File, k.Why))
			}
		}
	}
	for _, note := range notes {
		fmt.Fprintln(os.Stderr, "note:", note)
	}
}
