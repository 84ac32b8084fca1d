package build

import (
	"fmt"
	"os"
	"strings"

	"lorac/cmd/lorac/cli"
	"lorac/codegen"
	"lorac/compiler/config"
	"lorac/ir"
	"lorac/ir/diag"
	rt "lorac/runtime"
	"lorac/runtime/weights"
	"lorac/runtime/weights/claims"
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
// that are not here are left to the trainer.
func (b *Base) Load(path string, o []config.Override) (*config.Config, error) {
	c, list := config.LoadOn(path, o, b.compared())
	return c, Show(list, c == nil)
}

// Check is Load, but the config is never nil.
func (b *Base) Check(path string, o []config.Override) (*config.Config, diag.List) {
	return config.CheckOn(path, o, b.compared())
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
