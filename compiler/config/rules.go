package config

import (
	"errors"
	"regexp/syntax"
	"strings"

	"lorac/ir/diag"
)

// rules checks values against each other. It skips values that were already
// reported, since a default has replaced them.
func (l *loader) rules() {
	if l.c.Model.Hidden.Origin == "" {
		return // there is no model
	}
	before := len(l.diags)
	l.shape()
	l.tokens()
	l.adapter()
	l.freezing()
	l.frozenBase()
	l.training()
	l.dataRules()
	l.rateRules()
	l.notes()
	kept := l.diags[:before:before]
	for _, d := range l.diags[before:] {
		if !l.judged(d) {
			kept = append(kept, d)
		}
	}
	l.diags = kept
}

func (l *loader) judged(d *diag.Diagnostic) bool {
	if l.bad[d.Pos] {
		return true
	}
	for _, s := range d.Also {
		if l.bad[s.Pos] {
			return true
		}
	}
	return false
}

func (l *loader) positive(path string, v Val[int]) bool {
	if v.V > 0 {
		return true
	}
	l.errorf(v.At, "range", "`%s` must be positive, not %d", path, v.V)
	return false
}

// Limits on sizes, far above any Llama, so that no product of them overflows.
const (
	limit     = 1 << 24 // of any number
	maxHidden = 1 << 20
	maxHeads  = 1 << 16

	maxDevices = 1 << 16
)

func (l *loader) shape() {
	m := &l.c.Model
	ok := true
	for _, x := range []struct {
		name string
		v    Val[int]
		most int
	}{{"hidden_size", m.Hidden, maxHidden}, {"num_layers", m.Layers, maxLayers}, {"num_heads", m.Heads, maxHeads}, {"n_kv_heads", m.KVHeads, maxHeads},
		{"vocab_size", m.Vocab, limit}, {"seq_length", m.SeqLength, limit}, {"max_position_embedding", m.MaxPosition, limit}, {"intermediate_size", m.FFN, limit}} {
		if x.v.Origin == "default" && x.name == "n_kv_heads" || x.v.Origin == "default" && x.name == "max_position_embedding" {
			continue // equal to another one, which is checked
		}
		if x.v.Origin == "derived" && !ok {
			continue
		}
		ok = l.positive(x.name, x.v) && ok
		if x.v.V > x.most {
			l.errorf(x.v.At, "range", "`%s` is %d, more than lorac allows (%d)", x.name, x.v.V, x.most)
			ok = false
		}
	}
	if !ok {
		return
	}
	if r := m.Hidden.V % m.Heads.V; r != 0 {
		l.errorf(m.Hidden.At, "mismatch", "`hidden_size` must be a multiple of `num_heads`").
			WithLabel("%d = %d × %d + %d", m.Hidden.V, m.Heads.V, m.Hidden.V/m.Heads.V, r).At(m.Heads.At, "heads are counted here").
			WithHelp("every head takes hidden_size/num_heads columns")
	} else if m.HeadDim.V%2 != 0 {
		l.errorf(m.Heads.At, "mismatch", "the size of a head must be even for the rotary embedding").
			WithLabel("%d / %d = %d", m.Hidden.V, m.Heads.V, m.HeadDim.V).At(m.Hidden.At, "divided among the heads")
	}
	if r := m.Heads.V % m.KVHeads.V; r != 0 {
		l.errorf(m.KVHeads.At, "mismatch", "`num_heads` must be a multiple of `n_kv_heads`").
			WithLabel("%d = %d × %d + %d", m.Heads.V, m.KVHeads.V, m.Heads.V/m.KVHeads.V, r).At(m.Heads.At, "query heads are counted here").
			WithHelp("every key/value head serves num_heads/n_kv_heads query heads")
	}
	if m.MaxPosition.Set() && m.SeqLength.V > m.MaxPosition.V {
		l.warnf(m.SeqLength.At, "positions", "`seq_length` is longer than `max_position_embedding`").
			WithLabel("%d > %d", m.SeqLength.V, m.MaxPosition.V).At(m.MaxPosition.At, "the model's maximum").
			WithNote("as in MindFormers, the rotary table is extended to seq_length")
	}
	if m.RMSEps.V <= 0 {
		l.errorf(m.RMSEps.At, "range", "`rms_norm_eps` must be positive, not %v", m.RMSEps.V).WithHelp("Llama2 has 1.e-5")
	}
	if m.Theta.V <= 1 {
		l.errorf(m.Theta.At, "range", "`theta` must be above 1, not %v", m.Theta.V).WithHelp("Llama2 has 10000.0, Llama3 500000.0")
	}
}

// tokens checks the ids of special tokens against the vocabulary.
func (l *loader) tokens() {
	m := &l.c.Model
	check := func(name string, id int, at Pos, given bool) {
		if given && id >= m.Vocab.V && m.Vocab.V > 0 {
			l.errorf(at, "range", "`%s` is outside the vocabulary", name).WithLabel("%d ≥ %d", id, m.Vocab.V).At(m.Vocab.At, "its size").
				WithHelp("give the id that the tokenizer has, of Llama2 1 for bos_token_id and 2 for eos_token_id; or vocab_size as the base has it")
		}
	}
	check("bos_token_id", m.BosID.V, m.BosID.At, m.BosID.Set())
	if m.PadID.Set() && m.PadID.V >= m.Vocab.V && m.Vocab.V > 0 {
		l.warnf(m.PadID.At, "padding", "`pad_token_id` is outside the vocabulary").WithLabel("%d ≥ %d", m.PadID.V, m.Vocab.V).At(m.Vocab.At, "its size").
			WithNote("padding at the end of a row is removed, whatever its id; elsewhere this id is not a token of the model")
	}
	for _, id := range m.EosIDs.V {
		check("eos_token_id", id, m.EosIDs.At, m.EosIDs.Set())
	}
}

func (l *loader) adapter() {
	lora := l.c.LoRA
	if lora == nil {
		return
	}
	if l.positive("lora_rank", lora.Rank); lora.Rank.V > limit {
		l.errorf(lora.Rank.At, "range", "`lora_rank` is %d, more than lorac allows (%d)", lora.Rank.V, limit)
	}
	if lora.Alpha.V == 0 {
		l.errorf(lora.Alpha.At, "range", "`lora_alpha` must not be 0").WithLabel("the adapter would have no effect").
			WithHelp("the adapter is scaled by lora_alpha/lora_rank")
	}
	if lora.Dropout.V < 0 || lora.Dropout.V >= 1 {
		l.errorf(lora.Dropout.At, "range", "`lora_dropout` must be in [0, 1), not %v", lora.Dropout.V).WithHelp("0.05 drops five percent")
	}
	if r := lora.LRRatio; r.V <= 0 {
		l.errorf(r.At, "range", "`loraplus_lr_ratio` must be above 0, not %v", r.V).WithHelp("16 is what LoRA+ recommends; 1 is plain LoRA")
	} else if o := &l.c.Optimizer; r.V != 1 && o.RelativeStep.V {
		l.errorf(r.At, "value", "`loraplus_lr_ratio` is %v, but the optimizer has a rate of its own", r.V).At(o.RelativeStep.At, "relative_step").
			WithHelp("set relative_step: False, or remove loraplus_lr_ratio")
	}
	for _, n := range lora.LayersToTransform.V {
		if most := l.c.Model.Layers.V; n < 0 || n >= most && most > 0 {
			l.errorf(lora.LayersToTransform.At, "range", "`layers_to_transform` has layer %d, the model has 0 to %d", n, most-1)
			return
		}
	}
	for i, re := range lora.ExcludeLayers.V {
		if _, err := compile(re); err != nil {
			l.regexp(lora.ExcludeLayers.At, "exclude_layers", lora.ExcludeLayers.V[i], err)
			return
		}
	}
	if lora.TargetModules.V == "" {
		l.errorf(lora.TargetModules.At, "missing", "`pet_config` has no `target_modules`").
			WithHelp("name the linears to adapt, as in target_modules: '.*wq|.*wk|.*wv|.*wo'; candidates: %s", strings.Join(l.c.Linears(), ", "))
		return
	}
	if _, err := compile(lora.TargetModules.V); err != nil {
		l.regexp(lora.TargetModules.At, "target_modules", lora.TargetModules.V, err)
		return
	}
	if l.c.Model.Layers.V > 0 {
		l.targets()
	}
}

// frozenBase checks the keys that require a frozen base.
func (l *loader) frozenBase() {
	c := l.c
	if trains := c.RunMode.V == "train" || c.RunMode.V == "finetune"; trains && c.LoRA == nil {
		for _, k := range []struct {
			key, off, does string
			Val[string]
		}{{"quant", "", "keeps the frozen base in blocks", c.Quant}, {"compute", "f32", "rounds products with the frozen base", c.Compute}} {
			if k.V != k.off {
				l.errorf(k.At, "frozen", "`%s` is %s, but nothing is frozen: without `pet_config` every parameter trains", k.key, k.V).
					WithLabel("%s", k.does).WithHelp("add a pet_config, which freezes the base, or remove %s", k.key)
			}
		}
	}
	if c.Quant.V != "" && c.Model.QKVConcat.V {
		l.errorf(c.Quant.At, "mismatch", "`quant` cannot be combined with `qkv_concat`").
			WithLabel("q, k and v are quantised separately").At(c.Model.QKVConcat.At, "concatenates them").
			WithHelp("set qkv_concat: False, and wq|wk|wv for w_qkv in target_modules; `lorac convert weights` splits a concatenated base")
	}
}

// regexp reports a pattern that RE2 does not support.
func (l *loader) regexp(at Pos, key, pattern string, err error) {
	d := l.errorf(at, "regexp", "`%s` is not a supported regular expression", key)
	var se *syntax.Error
	if errors.As(err, &se) {
		d.WithLabel("%s: `%s`", se.Code, se.Expr)
	}
	d.WithHelp("write a list of names, as in 'wq|wv'; the syntax is RE2, without look-around and back-references")
}

// targets checks the selection of target_modules.
func (l *loader) targets() {
	c, lora := l.c, l.c.LoRA
	sel := c.selection()
	if len(sel.found) == 0 {
		d := l.errorf(lora.TargetModules.At, "no-target", "`target_modules` selects nothing").
			WithHelp("candidates: %s", strings.Join(c.Linears(), ", "))
		switch {
		case len(sel.swallowed) > 0:
			d.WithLabel("matches `%s` and stops there", strings.Join(sel.swallowed, "`, `"))
		case len(sel.excluded) > 0:
			d.WithLabel("matches nothing that exclude_layers leaves").At(lora.ExcludeLayers.At, "excludes `%s`", strings.Join(sel.excluded, "`, `"))
		default:
			d.WithLabel("matches no name")
		}
		d.WithNote("a pattern is matched from the start of a module's own name (`wq`, not `attention.wq`), and modules below a match are not searched; MindFormers would silently train nothing")
		if ours := fromPEFT(lora.TargetModules.V); ours != "" {
			d.WithNote("in PEFT's names this would be '%s'", ours)
		}
		return
	}
	for _, part := range alternatives(lora.TargetModules.V) {
		if re, err := compile(part); err == nil && !sel.uses(re) {
			l.warnf(lora.TargetModules.At, "no-target", "an alternative of `target_modules` selects nothing").WithLabel("`%s`", part).
				WithHelp("candidates: %s", strings.Join(c.Linears(), ", "))
		}
	}
	l.modulePatterns()
	l.startRank()
	l.dora()
	l.modules()
	for _, name := range c.Targets() {
		in, out := c.LinearShape(name)
		if side := min(in, out); lora.Rank.V > side && side > 0 && !c.OfBase() {
			l.warnf(lora.Rank.At, "rank", "`lora_rank` exceeds the smaller side of `%s`", name).WithLabel("%d > %d", lora.Rank.V, side).
				WithHelp("a rank of %d can represent every matrix of this shape", side)
			break
		}
	}
}

// fromPEFT translates a pattern of PEFT module names; "" for any other pattern.
func fromPEFT(pattern string) string {
	r := strings.NewReplacer("q_proj", "wq", "k_proj", "wk", "v_proj", "wv", "o_proj", "wo", "gate_proj", "w1", "down_proj", "w2", "up_proj", "w3")
	if out := r.Replace(pattern); out != pattern {
		return out
	}
	return ""
}

// alternatives splits a pattern at the bars outside of brackets; nil if there is only
// one alternative.
func alternatives(pattern string) []string {
	var parts []string
	depth, start := 0, 0
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '\\':
			i++
		case '(', '[':
			depth++
		case ')', ']':
			depth--
		case '|':
			if depth == 0 {
				parts = append(parts, pattern[start:i])
				start = i + 1
			}
		}
	}
	if parts == nil {
		return nil
	}
	return append(parts, pattern[start:])
}
