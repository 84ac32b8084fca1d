package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"lorac/ir/diag"
	"lorac/runtime/job"
)

// ModuleRule is an entry of rank_pattern or alpha_pattern: a number for the linears
// whose names end as the pattern says. As in PEFT, the first entry that matches
// counts, and `wq` matches model.layers.0.attention.wq.
type ModuleRule struct {
	Name  string
	Value float64
	At    Pos

	re *regexp.Regexp // nil: the pattern is no regular expression
}

func (r *ModuleRule) matches(module string) bool { return r.re != nil && r.re.MatchString(module) }

var niter = regexp.MustCompile(`\Apissa_niter_\d{1,3}\z`)

// initLoRA reads how an adapter starts: True, or one of PEFT's names.
func (l *loader) initLoRA(path string) Val[string] {
	v := read(l, path, "True", "True or a name", func(n *node) (string, bool) {
		switch v := n.value.(type) {
		case bool:
			return map[bool]string{true: "True", false: "False"}[v], true
		case string:
			return v, true
		}
		return "", false
	})
	known := []string{"True", "gaussian", "pissa", "olora"}
	if !slices.Contains(known, v.V) && !niter.MatchString(v.V) && !l.bad[v.At] {
		d := l.errorf(v.At, "value", "`init_lora_weights` cannot be `%s`", v.V).WithHelp("values supported: True, gaussian, pissa, pissa_niter_N, olora")
		if near := diag.Suggest(v.V, known); len(near) > 0 {
			d.WithLabel("did you mean `%s`?", strings.Join(near, "` or `"))
		}
		v.V = "True"
	}
	return v
}

// OfBase reports whether the adapter starts as a part of the base, which is taken out of it.
func (c *Config) OfBase() bool {
	return c.LoRA != nil && (strings.HasPrefix(c.LoRA.Init.V, "pissa") || c.LoRA.Init.V == "olora")
}

// startRank refuses more ranks of a matrix than it has.
func (l *loader) startRank() {
	if !l.c.OfBase() {
		return
	}
	for i, leaves := range l.c.TargetsByLayer() {
		for _, leaf := range leaves {
			in, out := l.c.LinearShape(leaf)
			if l.c.ScaleOf(i, leaf) <= 0 {
				l.errorf(l.c.LoRA.Init.At, "range", "`init_lora_weights` %s needs a `lora_alpha` above 0", l.c.LoRA.Init.V).WithLabel("`%s` has %v", leaf, l.c.AlphaOf(i, leaf))
				return
			}
			if n, side := l.c.RankOf(i, leaf), min(in, out); n > side && side > 0 {
				l.errorf(l.c.LoRA.Init.At, "range", "`init_lora_weights` takes %d ranks of `%s`, which has %d", n, leaf, side).
					WithLabel("the adapter starts as a part of the base").WithHelp("lower lora_rank, or the rank that rank_pattern gives it")
				return
			}
		}
	}
}

// UsesDoRA reports whether rows of adapted matrices have magnitudes of their own.
func (c *Config) UsesDoRA() bool { return c.LoRA != nil && c.LoRA.DoRA.V }

// dora refuses what magnitudes cannot be combined with.
func (l *loader) dora() {
	c := l.c
	if !c.UsesDoRA() {
		return
	}
	if c.OfBase() {
		l.errorf(c.LoRA.DoRA.At, "mismatch", "`use_dora` cannot be combined with `init_lora_weights` %s", c.LoRA.Init.V).
			WithLabel("the magnitudes are those of the base").At(c.LoRA.Init.At, "takes a part out of it").WithHelp("set init_lora_weights: True or gaussian, or use_dora: False")
	}
	if c.Compute.V == "int8" {
		l.errorf(c.LoRA.DoRA.At, "mismatch", "`use_dora` cannot be combined with `compute` int8").
			WithLabel("the magnitudes are norms of the base's rows").At(c.Compute.At, "multiplies by rows that are rounded").WithHelp("remove compute, or set use_dora: False")
	}
}

// moduleRules reads a mapping of patterns to numbers.
func (l *loader) moduleRules(path string) (out []ModuleRule) {
	n := l.root.get(path)
	l.seen(path)
	if n.empty() {
		return nil
	}
	if !n.isMap() {
		l.wrongType(n, path, "a mapping of names to numbers, such as {wq: 8}")
		return nil
	}
	for _, key := range n.keys {
		v := n.fields[key]
		l.seen(path + "." + key)
		f, ok := l.asFloat(v)
		if !ok {
			l.wrongType(v, path+"."+key, "a number")
			continue
		}
		re, err := regexp.Compile(`\A(?:.*\.)?(?:` + key + `)\z`)
		if err != nil {
			l.regexp(v.keyPos, path[strings.LastIndexByte(path, '.')+1:], key, err)
		}
		out = append(out, ModuleRule{key, f, v.keyPos, re})
	}
	return out
}

// RankOf is the rank of the adapter of a linear, by its leaf name.
func (c *Config) RankOf(layer int, leaf string) int {
	if r := ruleOf(c.LoRA.RankPattern, layer, leaf); r != nil {
		return int(r.Value)
	}
	return c.LoRA.Rank.V
}

// AlphaOf is its alpha.
func (c *Config) AlphaOf(layer int, leaf string) float64 {
	if r := ruleOf(c.LoRA.AlphaPattern, layer, leaf); r != nil {
		return r.Value
	}
	return c.LoRA.Alpha.V
}

// ScaleOf is what its B·A is multiplied by.
func (c *Config) ScaleOf(layer int, leaf string) float64 {
	return job.LoRA{Rank: c.RankOf(layer, leaf), Alpha: c.AlphaOf(layer, leaf), RSLoRA: c.LoRA.RSLoRA.V}.Scale()
}

func ruleOf(rules []ModuleRule, layer int, leaf string) *ModuleRule {
	if len(rules) == 0 {
		return nil
	}
	module := moduleOf(layer, leaf)
	for i := range rules {
		if rules[i].matches(module) {
			return &rules[i]
		}
	}
	return nil
}

// moduleOf is the whole name of a linear in MindFormers.
func moduleOf(layer int, leaf string) string {
	return fmt.Sprintf("model.layers.%d.%s", layer, LinearPath(leaf))
}

// Uneven lists the linears that have another rank or alpha than lora_rank and
// lora_alpha say, as NAME=NUMBER: the whole names of the linears.
func (c *Config) Uneven() (ranks, alphas []string) {
	if c.LoRA == nil || len(c.LoRA.RankPattern)+len(c.LoRA.AlphaPattern) == 0 {
		return nil, nil
	}
	for i, leaves := range c.TargetsByLayer() {
		for _, leaf := range leaves {
			if n := c.RankOf(i, leaf); n != c.LoRA.Rank.V {
				ranks = append(ranks, fmt.Sprintf("%s=%d", moduleOf(i, leaf), n))
			}
			if x := c.AlphaOf(i, leaf); x != c.LoRA.Alpha.V {
				alphas = append(alphas, fmt.Sprintf("%s=%v", moduleOf(i, leaf), x))
			}
		}
	}
	return ranks, alphas
}

// Ranks lists the ranks that adapters have, lora_rank first.
func (c *Config) Ranks() []int {
	out := []int{c.LoRA.Rank.V}
	for i, leaves := range c.TargetsByLayer() {
		for _, leaf := range leaves {
			if n := c.RankOf(i, leaf); !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}

// modulePatterns checks rank_pattern and alpha_pattern.
func (l *loader) modulePatterns() {
	adapted := l.c.TargetsByLayer()
	if r := slices.Concat(l.c.LoRA.RankPattern, l.c.LoRA.AlphaPattern); len(r) > 0 && l.c.Model.QKVConcat.V {
		l.errorf(r[0].At, "mismatch", "`rank_pattern` and `alpha_pattern` cannot be combined with `qkv_concat`").
			WithLabel("gives linears ranks of their own").At(l.c.Model.QKVConcat.At, "makes one linear of several").
			WithHelp("set qkv_concat: False, and wq|wk|wv for w_qkv in target_modules")
		return
	}
	for _, p := range []struct {
		key   string
		rules []ModuleRule
	}{{"rank_pattern", l.c.LoRA.RankPattern}, {"alpha_pattern", l.c.LoRA.AlphaPattern}} {
		for _, r := range p.rules {
			switch {
			case p.key == "rank_pattern" && (r.Value < 1 || r.Value > limit || r.Value != float64(int(r.Value))):
				l.errorf(r.At, "range", "`rank_pattern` gives `%s` the rank %v", r.Name, r.Value).WithHelp("a rank is a whole number from 1 up")
				continue
			case p.key == "alpha_pattern" && r.Value == 0:
				l.errorf(r.At, "range", "`alpha_pattern` gives `%s` the alpha 0", r.Name).WithLabel("its adapter would have no effect")
				continue
			}
			used := false
			for i, leaves := range adapted {
				used = used || slices.ContainsFunc(leaves, func(leaf string) bool { return r.matches(moduleOf(i, leaf)) })
			}
			if !used && r.re != nil {
				l.errorf(r.At, "no-target", "`%s` names no linear that has an adapter", p.key).WithLabel("`%s`", r.Name).
					WithHelp("the names are those of target_modules, %s, or whole ones as %s", strings.Join(l.c.Targets(), ", "), moduleOf(0, l.c.Linears()[0]))
			}
		}
	}
}
