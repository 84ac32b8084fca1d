package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/cmd/lorac/cli"
	"lorac/cmd/lorac/start"
	"lorac/codegen"
	"lorac/codegen/jinja"
	"lorac/compiler/config"
	"lorac/ir"
	"lorac/ir/diag"
	rt "lorac/runtime"
	"lorac/runtime/sys/human"
	"lorac/runtime/weights"
	"lorac/runtime/weights/claims"
	"lorac/runtime/weights/naming"
)

// Base is the base weights that a command line names, and what to do where
// their files say another thing than the config.
type Base struct {
	Weights string // "" as the config says
	Trans   *bool  // weights may be spread over ranks; nil as the config says
	Layout  string // their strategy files; "" as the config says
	Ignore  bool   // the config counts
}

// Read takes it from the flags of a trainer.
func (b *Base) Read(args []string) error {
	t := Target{}
	if err := t.Read(args); err != nil {
		return err
	}
	b.Weights, b.Trans, b.Layout, b.Ignore = t.Weights, t.Trans, t.Layout, t.IgnoreBase
	return nil
}

// Load is the package's Load of a config for these weights: what it does not write
// is taken from their files, what it writes in another way is an error. Weights
// that are not here are left to the trainer. Base weights in the place of a config have
// the one that lorac init drafts, which is said.
func (b *Base) Load(path string, o []config.Override) (*config.Config, error) {
	c, list := b.Check(path, o)
	if err := Show(list, list.HasErrors(), c.Sources); err != nil {
		return nil, err
	}
	SayDrafted(c)
	return c, nil
}

// SayDrafted says what was chosen for base weights in the place of a config.
func SayDrafted(c *config.Config) {
	if c.Drafted {
		fmt.Fprintf(os.Stderr, "note: %s is no config but base weights: %s; `lorac init %s -o FILE.yaml` writes all of it\n", c.Path, start.Choice(c), human.ShellWord(c.Path))
	}
}

// Check is Load, but the config is never nil.
func (b *Base) Check(path string, o []config.Override) (*config.Config, diag.List) {
	if start.IsBase(path) {
		return b.drafted(path, o)
	}
	if d := start.Recognise(path); d != nil { // a config of another program
		list := diag.List{d}
		return &config.Config{Path: path, Diags: list}, list
	}
	return config.CheckOn(path, o, b.compared())
}

// Draft is the config for base weights; set are keys that the user gives.
func (b *Base) Draft(path string, set []config.Override) (*start.Draft, diag.List) {
	at := diag.Pos{File: path}
	if b.Weights != "" && b.Weights != path {
		return nil, diag.List{diag.Errorf(at, "base", "base weights stand in the place of the config, and load_checkpoint names others: %s", b.Weights).
			WithHelp("give one of them; or `lorac init %s -o FILE.yaml`, and that file as the config", human.ShellWord(path))}
	}
	said, unreadable := b.claims(path, false, "")
	w, err := OpenBase(path)
	switch {
	case err == nil:
		defer w.Close()
	case errors.Is(err, fs.ErrNotExist) && len(said) > 0: // config.json tells the model; its weights are not there yet
	default:
		refusal := diag.Errorf(at, "base", "there is no config here, and no base weights").
			WithHelp("give a MindFormers YAML, or a model: a Hugging Face directory, a .safetensors, .ckpt, .gguf, .pth or llama2.c file").Because(err)
		if models := start.Below(path); errors.Is(err, fs.ErrNotExist) && len(models) > 0 {
			refusal.Help = "give the model itself: " + strings.Join(models, ", ")
		}
		return nil, diag.List{refusal}
	}
	d, list := start.FromBase(path, func(path string) ([]claims.Claim, error) { return said, unreadable }, set)
	if d != nil && w != nil && !d.Model.KVHeads.Set() && !slices.ContainsFunc(said, func(c claims.Claim) bool { return c.Key == "n_kv_heads" }) {
		groupHeads(d, w)
	}
	if d != nil && err != nil {
		d.Notes = append(d.Notes, "there are no weights in "+path+" yet: a run needs them")
	}
	return d, list
}

// groupHeads takes the number of heads of keys from the shape of their weights, where
// nothing says it.
func groupHeads(d *start.Draft, w weights.Set) {
	const wk = "model.layers.0.attention.wk.weight"
	for _, name := range []string{naming.HF(wk), wk} {
		if h, ok := weights.Describe(w, name); ok && len(h.Shape) == 2 {
			if each := d.Model.Hidden.V / max(d.Model.Heads.V, 1); each > 0 && h.Shape[0]%each == 0 {
				d.Model.KVHeads.V = h.Shape[0] / each
			}
			return
		}
	}
}

// TakeTemplate has a draft put questions by the chat template of the tokenizer, where it
// has one that can be compiled.
func TakeTemplate(d *start.Draft) {
	text, from, err := rt.ChatTemplate("", d.Base)
	if err != nil || text == "" {
		return
	}
	if _, err := jinja.Parse(text); err != nil {
		d.Notes = append(d.Notes, fmt.Sprintf("the chat template of %s cannot be compiled, so it is not taken: %v", from, err))
		return
	}
	d.Train.Prompt, d.Eval.Prompt = start.OwnPrompt, start.OwnPrompt
}

// CheckText is Check of a config that is no file yet.
func (b *Base) CheckText(name string, text []byte) (*config.Config, diag.List) {
	return config.CheckBytesOn(filepath.ToSlash(name), text, nil, b.compared())
}

func (b *Base) drafted(path string, o []config.Override) (*config.Config, diag.List) {
	d, list := b.Draft(path, o)
	if d == nil {
		return &config.Config{Path: path, Diags: list}, list
	}
	TakeTemplate(d)
	c, list := config.CheckBytesOn(filepath.ToSlash(path), d.YAML(), o, b.compared())
	c.Name, c.Drafted = d.Name, true
	return c, list
}

func (b *Base) compared() *config.Base { return &config.Base{Ignore: b.Ignore, Claims: b.claims} }

// claims lists what the files of the base say. path, trans and strategy are those of a
// config or a dump, where the command line says nothing.
func (b *Base) claims(path string, trans bool, strategy string) ([]claims.Claim, error) {
	if b.Weights != "" {
		path = b.Weights
	}
	if b.Trans != nil {
		trans = *b.Trans
	}
	if b.Layout != "" {
		strategy = b.Layout
	}
	if _, err := os.Stat(path); path == "" || err != nil {
		return nil, nil
	}
	set, err := openWeights(path, trans, strategy)
	if err != nil {
		set = nil // which is said where the weights are needed
	} else {
		defer set.Close()
	}
	return weights.Claims(path, set)
}

// compareDump compares what the files of the base say with a dump, as Load does with a
// config: but a dump says all there is, so nothing is taken.
func (b *Base) compareDump(m *ir.Module) error {
	path, _ := m.Setting("load_checkpoint").(string)
	trans, _ := m.Setting("auto_trans").(bool)
	strategy, _ := m.Setting("src_strategy").(string)
	j, err := codegen.Job(m)
	if err != nil {
		return err
	}
	facts := rt.FactsOf(j)
	if facts == nil {
		return nil
	}
	list, err := b.claims(path, trans, strategy)
	if err != nil && !b.Ignore {
		return fmt.Errorf("what is said of the base weights cannot be read: %w\n  = help: mend or remove the file; --base_config ignore continues with the dump alone", err)
	}
	for _, n := range claims.Notes(facts, list) {
		fmt.Fprintln(os.Stderr, "note: base:", n)
	}
	var lines []string
	for _, d := range claims.Compare(facts, list) {
		lines = append(lines, fmt.Sprintf("%s is %s in %s, and %s in the dump %s", d.Key, d.Said(), d.Place, d.Ours, m.Dump))
	}
	switch {
	case len(lines) == 0:
		return nil
	case !b.Ignore:
		return fmt.Errorf("the base contradicts the dump:\n  %s\n  = help: compile the config again with this --load_checkpoint; --base_config ignore continues with the dump", strings.Join(lines, "\n  "))
	}
	for _, line := range lines {
		fmt.Fprintln(os.Stderr, "note: --base_config ignore:", line)
	}
	return nil
}

// SayBase prints what a config took from the files of its base, or passed over.
func SayBase(c *config.Config) {
	for _, s := range c.Base.Notes() {
		fmt.Fprintln(os.Stderr, "note:", s)
	}
}

// SayTaken prints what a config took from the files of its base. The trainer that is run
// then says the rest.
func SayTaken(c *config.Config) {
	taken := config.BaseReport{Taken: c.Base.Taken}
	for _, s := range taken.Notes() {
		fmt.Fprintln(os.Stderr, "note:", s)
	}
}

// ParseBaseConfig reads the flag --base_config.
func ParseBaseConfig(value string) (ignore bool, err error) {
	switch strings.ToLower(value) {
	case "", "compare":
		return false, nil
	case "ignore":
		return true, nil
	}
	return false, cli.Usage("--base_config %s: must be compare or ignore", value)
}
