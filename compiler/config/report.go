package config

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"
)

// ReportText writes what became of every key, for people.
func (c *Config) ReportText(w io.Writer) {
	byWhy := map[string][]string{}
	used := 0
	for _, k := range c.Keys {
		switch k.Status {
		case Used:
			used++
			fmt.Fprintf(w, "  %-52s %-24s %s\n", k.Path, clip(k.Value, 24), where(k.At, c.Path))
		case Ignored:
			byWhy[k.Why] = append(byWhy[k.Why], k.Path)
		}
	}
	fmt.Fprintf(w, "%d keys used\n", used)
	if len(byWhy) > 0 {
		fmt.Fprintf(w, "\n%d keys without effect here:\n", len(c.Keys)-used)
	}
	for _, why := range sortedKeys(byWhy) {
		fmt.Fprintf(w, "  %s:\n%s", why, wrap(byWhy[why], 4, 100))
	}
	if len(c.Defaults) > 0 {
		fmt.Fprintf(w, "\ndefaults in effect:\n")
		var list []string
		for _, d := range c.Defaults {
			if d.Value != "" && d.Value != "[]" {
				list = append(list, d.Path+"="+d.Value)
			}
		}
		fmt.Fprint(w, wrap(list, 2, 100))
	}
	if len(c.Winners) > 0 {
		fmt.Fprintf(w, "\n")
	}
	for _, s := range c.Winners {
		fmt.Fprintf(w, "note: %s\n", s)
	}
	if c.LoRA != nil {
		fmt.Fprintf(w, "note: %q adapts %s in each of %d layers, rank %d, scale %v\n", c.LoRA.TargetModules.V,
			strings.Join(c.Targets(), ", "), c.Model.Layers.V, c.LoRA.Rank.V, c.LoRA.Alpha.V/float64(c.LoRA.Rank.V))
	} else if c.RunMode.V == "train" || c.RunMode.V == "finetune" {
		fmt.Fprintf(w, "note: no pet_config: full fine-tuning, every parameter trains\n")
	}
	if c.Model.ComputeDType.V != "f32" {
		fmt.Fprintf(w, "note: compute_dtype is %s; arithmetic on a CPU is f32 with f32 sums, so roundings differ from an NPU's\n", c.Model.ComputeDType.V)
	}
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// wrap sets words in lines of at most width bytes.
func wrap(words []string, indent, width int) string {
	sort.Strings(words)
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

// ReportJSON writes the same for programs.
func (c *Config) ReportJSON(w io.Writer) error {
	type key struct {
		Key    string `json:"key"`
		Status Status `json:"status"`
		Why    string `json:"why,omitempty"`
		Value  string `json:"value"`
		Line   int    `json:"line"`
		Col    int    `json:"column"`
	}
	out := struct {
		Config   string    `json:"config"`
		Keys     []key     `json:"keys"`
		Defaults []Default `json:"defaults"`
		Notes    []string  `json:"notes"`
		Targets  []string  `json:"targets"`
	}{Config: c.Path, Defaults: c.Defaults, Notes: c.Winners, Targets: c.Targets(), Keys: []key{}}
	for _, k := range c.Keys {
		out.Keys = append(out.Keys, key{k.Path, k.Status, k.Why, k.Value, k.At.Line, k.At.Col})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

// where prints a place without the file when it is the config itself.
func where(p Pos, file string) string {
	if p.File == file && p.Known() {
		return fmt.Sprintf("%d:%d", p.Line, p.Col)
	}
	return p.String()
}
