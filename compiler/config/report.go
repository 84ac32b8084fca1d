package config

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"lorac/ir/diag"
)

// ReportText writes the status of every key as text. Errors and warnings are not in
// it; diag.Render shows Diags.
func (c *Config) ReportText(w io.Writer) {
	byStatus := map[Status][]Key{}
	for _, k := range c.Keys {
		byStatus[k.Status] = append(byStatus[k.Status], k)
	}
	fmt.Fprintf(w, "%s: %d keys: %d used, %d without effect here, %d refused, %d unknown\n",
		c.Path, len(c.Keys), len(byStatus[Used]), len(byStatus[Ignored]), len(byStatus[Refused]), len(byStatus[Unknown]))
	for _, status := range []Status{Unknown, Refused, Used} {
		if keys := byStatus[status]; len(keys) > 0 {
			fmt.Fprintf(w, "\n%s:\n", status)
			c.table(w, keys)
		}
	}
	if keys := byStatus[Ignored]; len(keys) > 0 {
		fmt.Fprintf(w, "\n%s:\n", "without effect here")
		sumUp(w, keys)
	}
	if c.Diags.HasErrors() {
		return // defaults and notes are meaningless for a refused config
	}
	if len(c.Defaults) > 0 {
		fmt.Fprintf(w, "\ndefaults in effect:\n")
		list := make([]string, 0, len(c.Defaults))
		for _, d := range c.Defaults {
			if d.Value != `""` && d.Value != "[]" {
				list = append(list, d.Path+"="+d.Value)
			}
		}
		slices.Sort(list)
		fmt.Fprint(w, wrap(list, 2, 100))
	}
	fmt.Fprintln(w)
	for _, s := range c.notes() {
		fmt.Fprintf(w, "note: %s\n", s)
	}
}

// table writes keys with their values and positions.
func (c *Config) table(w io.Writer, keys []Key) {
	width := 0
	for _, k := range keys {
		width = max(width, len(k.Path))
	}
	width = min(width, 60)
	for _, k := range keys {
		why := ""
		if k.Status == Refused {
			why = "  " + k.Why
		}
		fmt.Fprintf(w, "  %-*s  %-28s %s%s\n", width, clip(k.Path, 60), clip(k.Value, 28), where(k.At, c.Path), why)
	}
}

// sumUp writes keys grouped by reason, sections without effect as one.
func sumUp(w io.Writer, keys []Key) {
	var reasons []string
	byWhy := map[string][]string{}
	for _, k := range keys {
		if byWhy[k.Why] == nil {
			reasons = append(reasons, k.Why)
		}
		path := k.Path
		if k.Under != "" {
			path = k.Under + ".*"
		}
		if strings.HasSuffix(path, "[].type") {
			path += " " + k.Value // which callback
		}
		if !slices.Contains(byWhy[k.Why], path) {
			byWhy[k.Why] = append(byWhy[k.Why], path)
		}
	}
	for _, why := range reasons {
		fmt.Fprintf(w, "  %s:\n%s", why, wrap(bySection(byWhy[why]), 4, 100))
	}
}

// bySection groups the keys of a section: parallel.{full_batch, gradients_mean}.
func bySection(paths []string) []string {
	var order []string
	names := map[string][]string{}
	for _, p := range paths {
		section, name := "", p
		if i := strings.LastIndex(p, "."); i >= 0 {
			section, name = p[:i], p[i+1:]
		}
		if names[section] == nil {
			order = append(order, section)
		}
		names[section] = append(names[section], name)
	}
	var out []string
	for _, section := range order {
		list := names[section]
		switch {
		case section == "":
			out = append(out, list...)
		case len(list) == 1:
			out = append(out, section+"."+list[0])
		default:
			list = slices.Clone(list)
			list[0] = section + ".{" + list[0]
			list[len(list)-1] += "}"
			out = append(out, list...)
		}
	}
	return out
}

// notes describes the job in sentences.
func (c *Config) notes() []string {
	notes := append(slices.Clone(c.Winners), c.Base.Notes()...)
	say := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	trains := c.RunMode.V == "train" || c.RunMode.V == "finetune"
	switch {
	case c.LoRA != nil:
		n, all := c.TrainableAdapters(), c.Parameters()
		adapters, base := c.Trainable()
		count := n
		if trains {
			count = adapters + base
		}
		say("LoRA: '%s' selects %s in %s; rank %d, scale %v, %s trainable parameters beside %s of the base model",
			c.LoRA.TargetModules.V, strings.Join(c.Targets(), ", "), c.adaptedLayers(),
			c.LoRA.Rank.V, c.LoRA.Scale(), thousands(count), thousands(all))
		if ranks, alphas := c.Uneven(); len(ranks)+len(alphas) > 0 {
			say("rank_pattern and alpha_pattern: %d linears have another rank, %d another alpha", len(ranks), len(alphas))
		}
		if how := c.LoRA.Init.V; trains && how != "True" {
			text := "init_lora_weights " + how
			if c.OfBase() {
				text += ": the adapter starts as a part of the base, which a frozen pair takes off again; it is exported with twice its rank, for the base as it is"
			}
			say("%s", text)
		}
		if c.UsesDoRA() {
			say("DoRA: rows of the adapted matrices have magnitudes of their own")
		}
		if ratio := c.LoRA.LRRatio.V; trains && ratio != 1 {
			say("LoRA+: the factors B learn %v times as fast as the factors A", ratio)
		}
		if saved := c.LoRA.ModulesToSave.V; len(saved) > 0 {
			how := "are read from the adapter, where one is given"
			if trains {
				how = fmt.Sprintf("train whole beside the adapter and are saved with it: %s parameters", thousands(c.savedParameters()))
			}
			say("modules_to_save: %s %s", strings.Join(saved, ", "), how)
		}
		if trains && c.LoRA.freezes() {
			say("freeze_include and freeze_exclude: %s of the %s parameters of the adapters train, and %s of the base model",
				thousands(adapters), thousands(n), thousands(base))
		}
	case trains:
		say("no pet_config: full fine-tuning, all %s parameters train", thousands(c.Parameters()))
	}
	if wd := c.Optimizer.WeightDecay; trains && wd.V != 0 && !c.Decays() {
		say("weight_decay %v has no effect: the first parameter that trains is a norm or a bias, and MindFormers then lets nothing decay", wd.V)
	}
	if trains && c.Optimizer.Rule == "mindformers" {
		say("%s has no bias correction, as in MindFormers; type: AdamW follows PyTorch", c.Optimizer.Type.V)
	}
	if c.Model.ComputeDType.V != "f32" {
		say("compute_dtype is %s: arithmetic on a CPU is f32 with f32 sums, so roundings differ from an NPU's", c.Model.ComputeDType.V)
	}
	return notes
}

// adaptedLayers describes in how many layers the targets have adapters.
func (c *Config) adaptedLayers() string {
	all, most, some, whole := c.TargetsByLayer(), len(c.Targets()), 0, 0
	for _, names := range all {
		if len(names) > 0 {
			some++
		}
		if len(names) == most {
			whole++
		}
	}
	switch {
	case whole == len(all):
		return fmt.Sprintf("each of %d layers", len(all))
	case whole == some:
		return fmt.Sprintf("%d of %d layers", some, len(all))
	}
	return fmt.Sprintf("%d of %d layers, not all in each", some, len(all))
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// wrap breaks words into lines of at most width characters.
func wrap(words []string, indent, width int) string {
	var b strings.Builder
	line := strings.Repeat(" ", indent)
	for i, word := range words {
		if i < len(words)-1 {
			word += ","
		}
		if len(line)+len(word) > width && strings.TrimSpace(line) != "" {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line = strings.Repeat(" ", indent)
		}
		line += word + " "
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
	return b.String()
}

// ReportJSON writes the report as JSON, including errors and warnings.
func (c *Config) ReportJSON(w io.Writer) error {
	type key struct {
		Key    string `json:"key"`
		Status Status `json:"status"`
		Why    string `json:"why,omitempty"`
		Value  string `json:"value"`
		File   string `json:"file,omitempty"`
		Line   int    `json:"line,omitempty"`
		Col    int    `json:"column,omitempty"`
	}
	type problem struct {
		Severity string   `json:"severity"`
		Code     string   `json:"code"`
		Message  string   `json:"message"`
		Label    string   `json:"label,omitempty"`
		File     string   `json:"file,omitempty"`
		Line     int      `json:"line,omitempty"`
		Col      int      `json:"column,omitempty"`
		Help     string   `json:"help,omitempty"`
		Notes    []string `json:"notes,omitempty"`
	}
	out := struct {
		Config    string    `json:"config"`
		OK        bool      `json:"ok"`
		Problems  []problem `json:"problems"`
		Keys      []key     `json:"keys"`
		Defaults  []Default `json:"defaults"`
		Notes     []string  `json:"notes"`
		Targets   []string  `json:"targets"`
		Trainable int       `json:"trainable_parameters"`
	}{Config: c.Path, OK: !c.Diags.HasErrors(), Problems: []problem{}, Keys: []key{}, Defaults: []Default{}, Notes: []string{}, Targets: []string{}}
	for _, d := range c.Diags {
		out.Problems = append(out.Problems, problem{d.Severity.String(), d.Code, d.Message, d.Label, d.Pos.File, d.Pos.Line, d.Pos.Col, d.Help, d.Notes})
	}
	for _, k := range c.Keys {
		out.Keys = append(out.Keys, key{k.Path, k.Status, k.Why, k.Value, k.At.File, k.At.Line, k.At.Col})
	}
	if out.OK {
		out.Defaults = append(out.Defaults, c.Defaults...)
		out.Notes = append(out.Notes, c.notes()...)
		out.Targets = append(out.Targets, c.Targets()...)
		adapters, base := c.Trainable()
		out.Trainable = adapters + base
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

// where formats a position, without the file if it is the config itself.
func where(p diag.Pos, file string) string {
	if p.File == file && p.Known() {
		return fmt.Sprintf("%d:%d", p.Line, p.Col)
	}
	return p.String()
}
