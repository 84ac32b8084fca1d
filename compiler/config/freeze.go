package config

import (
	"fmt"
	"slices"
	"strings"
)

// Trains decides whether a parameter trains, by its name in MindFormers: with LoRA
// the adapters do, then freeze_include and freeze_exclude move names in and out; a
// name that both match stays (MindFormers r1.3 pet/pet_model.py; mindpet
// graph/freeze_utils.py).
func (c *Config) Trains(name string) bool {
	if mode := c.RunMode.V; mode == "predict" || mode == "eval" {
		return false
	}
	if c.LoRA == nil {
		return true
	}
	if c.Saved(name) {
		return true
	}
	match := func(patterns []string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return fnmatch(p, name) })
	}
	in, out := match(c.LoRA.FreezeInclude.V), match(c.LoRA.FreezeExclude.V)
	if in != out {
		return out
	}
	return isAdapter(name)
}

// isLinear reports whether a name is that of a linear of a layer.
func isLinear(name string) bool {
	return strings.HasSuffix(name, ".weight") && (strings.Contains(name, ".attention.") || strings.Contains(name, ".feed_forward."))
}

// Decays reports whether weight_decay acts. The optimizers that divide parameters into
// groups, matrices that decay and vectors that do not, lose the decay of all where the
// first parameter that trains is a vector (r1.3
// trainer/optimizer_grouped_parameters.py sets it to 0 on the way).
func (c *Config) Decays() bool {
	switch c.Optimizer.Rule {
	case "sgd", "adafactor", "came": // no groups
		return true
	}
	if c.LoRA == nil || !c.LoRA.patterns() {
		return true // an embedding or a factor comes first
	}
	names, _ := c.parameters()
	for _, name := range names {
		if c.Trains(name) {
			return !strings.HasSuffix(name, ".bias") && !strings.Contains(name, "norm")
		}
	}
	return true
}

func isAdapter(name string) bool { return strings.Contains(name, "mindpet_delta_lora") }

// patterns reports whether freeze_include, freeze_exclude or modules_to_save are given.
func (l *LoRA) patterns() bool { return l.freezes() || len(l.ModulesToSave.V) > 0 }

// freezes reports whether freeze_include or freeze_exclude are given.
func (l *LoRA) freezes() bool { return len(l.FreezeInclude.V)+len(l.FreezeExclude.V) > 0 }

// freezing checks freeze_include and freeze_exclude against the names of the
// parameters.
func (l *loader) freezing() {
	c, lora := l.c, l.c.LoRA
	if lora == nil || !lora.patterns() || c.Model.Layers.V < 1 || c.Model.Layers.V > maxLayers || len(c.Targets()) == 0 {
		return
	}
	names, sizes := c.parameters()
	for _, k := range []struct {
		key string
		Val[[]string]
	}{{"freeze_include", lora.FreezeInclude}, {"freeze_exclude", lora.FreezeExclude}} {
		var idle, better []string
		for _, p := range k.V {
			if !matchesSome(p, names) {
				idle, better = append(idle, p), append(better, globOf(p)...)
			}
		}
		if len(idle) == 0 {
			continue
		}
		d := l.warnf(k.At, "freeze", "%s of `%s` matches no parameter", some(len(idle)), k.key).WithLabel("`%s`", strings.Join(idle, "`, `")).
			WithNote("patterns are those of fnmatch, not regular expressions, and are matched with whole names such as %s", names[len(names)/2])
		if better = slices.DeleteFunc(better, func(p string) bool { return !matchesSome(p, names) }); len(better) > 0 {
			d.WithHelp("write '%s'", strings.Join(better, "', '"))
		} else {
			d.WithHelp("write '*norm*' for what has norm in its name")
		}
	}
	if mode := c.RunMode.V; mode == "predict" || mode == "eval" {
		return
	}
	trained, idle, trains := 0, []string{}, []string{} // trains is of the base
	frozen := false                                    // a linear of the layers is
	for i, name := range names {
		if !c.Trains(name) {
			frozen = frozen || isLinear(name)
			continue
		}
		trained += sizes[i]
		if !isAdapter(name) {
			trains = append(trains, name)
		}
		if a, ok := strings.CutSuffix(name, "_lora_a"); ok && !c.Trains(a+"_lora_b") {
			idle = append(idle, name)
		}
	}
	at, key := lora.FreezeInclude.At, "freeze_include"
	if len(lora.FreezeInclude.V) == 0 {
		at, key = lora.FreezeExclude.At, "freeze_exclude"
	}
	frees, by := lora.FreezeExclude.At, "freeze_exclude"
	if len(lora.FreezeExclude.V) == 0 {
		frees, by = lora.ModulesToSave.At, "modules_to_save"
	}
	if c.Quant.V != "" && len(trains) > 0 {
		l.errorf(c.Quant.At, "frozen", "`quant` is %s, but parameters of the base train", c.Quant.V).WithLabel("keeps the base in blocks").
			At(frees, "%s", andOthers(trains)).WithHelp("take them out of %s, or remove quant", by)
	}
	if c.Compute.V == "int8" && !frozen {
		l.errorf(c.Compute.At, "frozen", "`compute` is int8, but every linear of the layers trains").WithLabel("rounds products with frozen linears").
			At(lora.FreezeExclude.At, "frees them").WithHelp("take some out of freeze_exclude, or remove compute")
	}
	switch {
	case trained == 0:
		l.errorf(at, "freeze", "`%s` freezes every parameter, so that nothing trains", key).
			WithHelp("leave a pattern out, or name in freeze_exclude what is to train")
	case len(idle) > 0:
		l.warnf(at, "freeze", "the gradient of a factor A stays zero while its B is zero, as it begins, and frozen").WithLabel("%s", andOthers(idle)).
			WithHelp("let B train too, or load an adapter whose B is not zero")
	}
}

func matchesSome(pattern string, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return fnmatch(pattern, n) })
}

// some begins a sentence on one pattern, or on each of several.
func some(n int) string {
	if n == 1 {
		return "a pattern"
	}
	return fmt.Sprintf("each of %d patterns", n)
}

func andOthers(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
}
