package start

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"lorac/compiler/config"
	"lorac/ir/diag"
	"lorac/runtime/sys/human"
	"lorac/runtime/weights/naming"
)

// Migration is the translation of a config of another program.
type Migration struct {
	File  string
	Kind  string // what it is, in words
	Draft *Draft
	Rows  []Row

	keys   keys
	order  []string // of the file
	leave  []string // keys that are left out though they matter
	prefix string   // of the rows of a nested mapping
}

// Row is what became of one key.
type Row struct {
	Key, Value string
	Line       int
	Status     config.Status
	Text       string // the key here, or the reason
}

// rule is what becomes of keys.
type rule struct {
	keys string // names, with blanks between
	to   string // the key here, where they are used
	take func(m *Migration, v value) (refused string)
	// why they have no effect here.
	why string
	// refused is why they cannot be followed, unless they say nothing: null, false, 0, "", or
	// one of fine.
	refused string
	fine    []string
}

// Migrate translates the config of another program. The base that it names is where base
// says, if that is not empty. draft drafts the config of base weights.
func Migrate(path, base string, leave []string, draft func(base string) (*Draft, diag.List)) (*Migration, error) {
	k, root, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	kind := dialectOf(k)
	if kind == nil {
		return nil, fmt.Errorf("%s is no config of LLaMA-Factory, Axolotl or PEFT that can be recognised\n  = help: lorac check %s reads it as one of MindFormers", path, human.ShellWord(path))
	}
	if kind.translate == nil {
		return nil, fmt.Errorf("%s is %s, which is not translated\n  = help: %s", path, kind.name, kind.help(path))
	}
	m := &Migration{File: path, Kind: kind.name, keys: k, leave: leave}
	for i := 0; i+1 < len(root.Content); i += 2 {
		m.order = append(m.order, root.Content[i].Value)
	}
	if base == "" {
		base = value{first(k, "model_name_or_path", "base_model", "base_model_name_or_path")}.text()
	}
	if _, err := os.Stat(base); base == "" || err != nil {
		return nil, fmt.Errorf("the base %q is not here, and nothing is downloaded\n  = help: give --load_checkpoint DIR, where the model is: its sizes are read there", base)
	}
	d, list := draft(base)
	if d == nil {
		return nil, list
	}
	d.From = "`lorac migrate " + human.ShellWord(path) + "` (" + kind.name + ")"
	m.Draft = d
	kind.translate(m)
	for _, name := range m.order {
		if m.keys[name] != nil {
			m.row(name, value{m.keys[name]}, config.Unknown, unknownHere)
		}
	}
	d.growVocabulary()
	slices.SortStableFunc(m.Rows, func(a, b Row) int { return a.Line - b.Line })
	return m, nil
}

func first(k keys, names ...string) *yaml.Node {
	for _, n := range names {
		if k[n] != nil {
			return k[n]
		}
	}
	return nil
}

func (m *Migration) row(key string, v value, status config.Status, text string) {
	line := 0
	if v.n != nil {
		line = v.n.Line
	}
	key = m.prefix + key
	if (status == config.Refused || status == config.Unknown) && slices.Contains(m.leave, key) {
		status, text = config.Ignored, "left out, as --leave_out says; otherwise "+string(status)+": "+text
	}
	m.Rows = append(m.Rows, Row{key, v.String(), line, status, text})
}

// apply applies rules in their order to the keys that are there, and takes these away.
func (m *Migration) apply(rules []rule) {
	for _, r := range rules {
		for _, name := range strings.Fields(r.keys) {
			n := m.keys[name]
			if n == nil {
				continue
			}
			delete(m.keys, name)
			v := value{n}
			switch {
			case r.why != "":
				m.row(name, v, config.Ignored, r.why)
			case r.refused != "" && v.neutral(r.fine):
				m.row(name, v, config.Ignored, "it is how lorac trains anyway")
			case r.refused != "":
				m.row(name, v, config.Refused, r.refused)
			case v.empty():
				m.row(name, v, config.Ignored, "it has no value")
			default:
				if why := r.take(m, v); why != "" {
					m.row(name, v, config.Refused, why)
				} else {
					m.row(name, v, config.Used, r.to)
				}
			}
		}
	}
}

// Failed are the keys that are refused or not known.
func (m *Migration) Failed() (list []string) {
	for _, r := range m.Rows {
		if r.Status == config.Refused || r.Status == config.Unknown {
			list = append(list, r.Key)
		}
	}
	return list
}

// Report says of every key what became of it.
func (m *Migration) Report(w io.Writer) {
	count := map[config.Status]int{}
	width := 0
	for _, r := range m.Rows {
		count[r.Status]++
		width = max(width, len(r.Key))
	}
	width = min(width, 40)
	fmt.Fprintf(w, "%s: %s, %d keys: %d used, %d without effect here, %d refused, %d unknown\n", m.File, m.Kind, len(m.Rows),
		count[config.Used], count[config.Ignored], count[config.Refused], count[config.Unknown])
	for _, s := range []config.Status{config.Unknown, config.Refused, config.Used, config.Ignored} {
		if count[s] == 0 {
			continue
		}
		title := string(s)
		if s == config.Ignored {
			title = "without effect here"
		}
		fmt.Fprintf(w, "\n%s:\n", title)
		for _, r := range m.Rows {
			if r.Status == s {
				arrow := ""
				if s == config.Used {
					arrow = "→ "
				}
				fmt.Fprintf(w, "  %-*s  %-24s  line %-4d %s%s\n", width, clip(r.Key, 40), clip(r.Value, 24), r.Line, arrow, r.Text)
			}
		}
	}
	fmt.Fprintln(w)
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// value is one value of a file.
type value struct{ n *yaml.Node }

func (v value) node() *yaml.Node {
	n := v.n
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func (v value) text() string {
	if n := v.node(); n != nil && n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		return n.Value
	}
	return ""
}

// String is the value in a line.
func (v value) String() string {
	n := v.node()
	switch {
	case n == nil:
		return ""
	case n.Kind == yaml.ScalarNode:
		return strings.Join(strings.Fields(n.Value), " ")
	case n.Kind == yaml.SequenceNode:
		var list []string
		for _, x := range n.Content[:min(len(n.Content), 8)] {
			list = append(list, value{x}.String())
		}
		return "[" + strings.Join(list, ", ") + "]"
	}
	return "{…}"
}

func (v value) empty() bool {
	n := v.node()
	return n == nil || n.Kind == yaml.ScalarNode && (n.Tag == "!!null" || n.Value == "") || n.Kind != yaml.ScalarNode && len(n.Content) == 0
}

func (v value) neutral(fine []string) bool {
	if v.empty() || slices.Contains(fine, v.text()) {
		return true
	}
	if n := v.node(); n.Kind == yaml.MappingNode {
		for i := 1; i < len(n.Content); i += 2 {
			if !slices.Contains(fine, value{n.Content[i]}.text()) {
				return false
			}
		}
		return true
	}
	if v.node().Kind == yaml.SequenceNode {
		return !slices.ContainsFunc(v.list(), func(s string) bool { return !slices.Contains(fine, s) })
	}
	if on, ok := v.truth(); ok {
		return !on
	}
	x, ok := v.number()
	return ok && x == 0
}

// truth reads True or False, as YAML 1.1 spells it.
func (v value) truth() (on, ok bool) {
	switch strings.ToLower(v.text()) {
	case "true", "yes", "on":
		return true, true
	case "false", "no", "off":
		return false, true
	}
	return false, false
}

func (v value) number() (float64, bool) {
	x, err := strconv.ParseFloat(strings.ReplaceAll(v.text(), "_", ""), 64)
	return x, err == nil && !math.IsNaN(x) && !math.IsInf(x, 0)
}

// list are the elements; of a text, its parts between commas.
func (v value) list() (out []string) {
	n := v.node()
	if n != nil && n.Kind == yaml.SequenceNode {
		for _, x := range n.Content {
			out = append(out, value{x}.text())
		}
		return out
	}
	for _, s := range strings.Split(v.text(), ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// toInt takes a whole number from least up.
func toInt(least int, to func(m *Migration) *int) func(*Migration, value) string {
	return func(m *Migration, v value) string {
		x, ok := v.number()
		if !ok || x != math.Trunc(x) || x < float64(least) || x > math.MaxInt32 {
			return fmt.Sprintf("a whole number from %d up is due", least)
		}
		*to(m) = int(x)
		return ""
	}
}

func toFloat(to func(m *Migration) *float64) func(*Migration, value) string {
	return func(m *Migration, v value) string {
		x, ok := v.number()
		if !ok || x < 0 {
			return "a number from 0 up is due"
		}
		*to(m) = x
		return ""
	}
}

func toBool(to func(m *Migration) *bool) func(*Migration, value) string {
	return func(m *Migration, v value) string {
		on, ok := v.truth()
		if !ok {
			return "True or False is due"
		}
		*to(m) = on
		return ""
	}
}

func patience(m *Migration) *int { return &m.Draft.Patience }

func loadBest(m *Migration) *bool { return &m.Draft.LoadBest }

// linears are the matrices of a layer, in the order of the network.
var linears = []string{"wq", "wk", "wv", "wo", "w1", "w3", "w2"}

// setTargets takes the names of modules as PEFT has them.
func setTargets(m *Migration, names []string) string {
	if m.Draft.LoRA == nil {
		return ""
	}
	var list []string
	for _, n := range names {
		if n == "all" || n == "all-linear" {
			list = linears
			break
		}
		ours := leafOf(n)
		if ours == "" {
			return noLinear(n)
		}
		list = append(list, ours)
	}
	if len(list) == 0 {
		return "it names nothing"
	}
	m.Draft.LoRA.Targets = slices.DeleteFunc(slices.Clone(linears), func(l string) bool { return !slices.Contains(list, l) })
	return ""
}

// leafOf is the name here of a linear that PEFT names; "" for what is none.
func leafOf(name string) string {
	leaf := name[strings.LastIndexByte(name, '.')+1:]
	for _, part := range []string{"self_attn.", "mlp."} {
		if mf := naming.MindFormers("model.layers.0." + part + leaf + ".weight"); mf != "" {
			mf = strings.TrimSuffix(mf, ".weight")
			return mf[strings.LastIndexByte(mf, '.')+1:]
		}
	}
	return ""
}

func noLinear(name string) string {
	return fmt.Sprintf("%q is no linear of a Llama that can have an adapter: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, or all", name)
}

// setLayers has adapters in these layers alone.
func setLayers(m *Migration, v value) string {
	all := m.Draft.Model.Layers.V
	list := v.list()
	keep := map[int]bool{}
	for _, s := range list {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n >= all {
			return fmt.Sprintf("layers are whole numbers from 0 to %d", all-1)
		}
		keep[n] = true
	}
	if l := m.Draft.LoRA; l != nil {
		for i := range all {
			if !keep[i] {
				l.Exclude = append(l.Exclude, fmt.Sprintf("%d$", i))
			}
		}
	}
	return ""
}

// setRoot is rsLoRA, whose factor is alpha/√rank.
func setRoot(m *Migration, v value) string {
	on, ok := v.truth()
	if !ok {
		return "True or False is due"
	}
	if l := m.Draft.LoRA; l != nil {
		l.Root = on
	}
	return ""
}

// setDoRA gives rows of adapted matrices magnitudes.
func setDoRA(m *Migration, v value) string {
	on, ok := v.truth()
	if !ok {
		return "True or False is due"
	}
	if l := m.Draft.LoRA; l != nil {
		l.DoRA = on
	}
	return ""
}

// setInit is how adapters start.
func setInit(m *Migration, v value) string {
	how := v.text()
	if on, ok := v.truth(); ok && on {
		return "" // as lorac does
	}
	if how != "gaussian" && how != "pissa" && how != "olora" && !strings.HasPrefix(how, "pissa_niter_") {
		return noInit
	}
	m.Draft.LoRA.Init = how
	return ""
}

// setIterations is how often PiSSA's space is refined, -1 for an exact one; it follows
// the key that asks for PiSSA.
func setIterations(m *Migration, v value) string {
	n, ok := v.number()
	switch {
	case !ok || n != math.Trunc(n) || n < -1 || n > 999:
		return "a whole number is due, -1 for exact ones"
	case m.Draft.LoRA.Init == "":
	case n < 0:
		m.Draft.LoRA.Init = "pissa"
	default:
		m.Draft.LoRA.Init = fmt.Sprintf("pissa_niter_%d", int(n))
	}
	return ""
}

// setRatio is LoRA+: the factors B learn so many times as fast as the factors A.
func setRatio(m *Migration, v value) string {
	x, ok := v.number()
	switch {
	case !ok || x <= 0:
		return "a number above 0 is due"
	case x != 1 && !config.Known("model.model_config.pet_config.loraplus_lr_ratio"):
		return noRates
	}
	m.Draft.LoRA.Ratio = x
	return ""
}

// schedules are the names that the trainer of transformers has.
var schedules = map[string]string{"cosine": "CosineWithWarmUpLR", "linear": "LinearWithWarmUpLR", "constant": "ConstantWarmUpLR", "constant_with_warmup": "ConstantWarmUpLR",
	"cosine_with_restarts": "CosineWithRestartsAndWarmUpLR", "polynomial": "PolynomialWithWarmUpLR", "cosine_with_min_lr": "CosineWithWarmUpLR"}

func setSchedule(m *Migration, v value) string {
	d := m.Draft
	name, ok := schedules[v.text()]
	if !ok {
		return "there is no such schedule here: docs/training.md has those there are"
	}
	d.Schedule = name
	switch v.text() {
	case "constant":
		d.WarmupRatio, d.WarmupSteps = 0, 0 // it has no warm-up there, whatever is written
		d.noWarmup = true
	case "cosine_with_restarts":
		d.Cycles = 1
	case "polynomial":
		d.LREnd = 1e-7
	}
	return ""
}

func setWarmupRatio(m *Migration, v value) string {
	x, ok := v.number()
	if !ok || x < 0 || x > 1 {
		return "a share from 0 to 1 is due"
	}
	if !m.Draft.noWarmup && m.Draft.WarmupRatio >= 0 {
		m.Draft.WarmupRatio = x
	}
	return ""
}

// setWarmupSteps comes before setWarmupRatio: steps above 0 win there.
func setWarmupSteps(m *Migration, v value) string {
	x, ok := v.number()
	switch {
	case !ok || x < 0 || x > math.MaxInt32:
		return "a number of steps is due"
	case x > 0 && x < 1:
		return setWarmupRatio(m, v)
	case x != math.Trunc(x):
		return "a whole number of steps is due"
	case x > 0 && !m.Draft.noWarmup:
		m.Draft.WarmupRatio, m.Draft.WarmupSteps = -1, int(x)
	}
	return ""
}

// setOptimizer takes the names that the trainer of transformers has.
func setOptimizer(m *Migration, v value) string {
	switch name := v.text(); {
	case strings.Contains(name, "adamw") && !strings.Contains(name, "anyprecision") && !strings.Contains(name, "schedule_free") && !strings.Contains(name, "adopt"):
		m.Draft.Optimizer = "AdamW" // states are f32, whatever they are there
	case name == "adafactor":
		m.Draft.Optimizer = "AdaFactor"
	case name == "sgd":
		m.Draft.Optimizer = "SGD"
	default:
		return "there is no such optimizer here: AdamW, AdaFactor and SGD are translated, docs/training.md has the others"
	}
	return ""
}

func setEpochs(m *Migration, v value) string {
	x, ok := v.number()
	if !ok || x < 1 || x != math.Trunc(x) || x > math.MaxInt32 {
		return "whole epochs are due; --steps ends a run within one"
	}
	m.Draft.Epochs = int(x)
	return ""
}

// setSteps takes a number of steps, which counts instead of epochs.
func setSteps(m *Migration, v value) string {
	x, ok := v.number()
	if !ok || x != math.Trunc(x) || x > math.MaxInt32 {
		return "a whole number is due"
	}
	if x > 0 {
		m.Draft.Steps, m.Draft.Epochs = int(x), 1000
	}
	return ""
}

// setBlocks sets the blocks that a frozen base is stored in.
func setBlocks(name string) func(*Migration, value) string {
	return func(m *Migration, v value) string {
		on, ok := v.truth()
		if !ok {
			return "True or False is due"
		}
		if on {
			m.Draft.Quant = name
		}
		return ""
	}
}

func found(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// near finds a path from the working directory, or from that of the file.
func (m *Migration) near(path string) string {
	if beside := filepath.Join(filepath.Dir(m.File), path); !found(path) && !filepath.IsAbs(path) && found(beside) {
		return beside
	}
	return path
}
