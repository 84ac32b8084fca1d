package config

import (
	"fmt"
	"slices"

	"lorac/ir/diag"
)

// Limits of the kernels for Ascend devices (docs/ascend.md): their buffers are
// computed for these extents.
const (
	ascendHidden = 8192   // columns of a row kernel, of at least 64
	ascendWidth  = 65520  // columns of any matrix: a copy counts a row's elements in 16 bits
	ascendHead   = 128    // columns of a head
	ascendRank   = 128    // of an adapter
	ascendVocab  = 128256 // rows of the head
	ascendRows   = 8192   // token rows of a micro-batch
	ascendUnit   = 16     // columns of a block that the cube multiplies
)

// OnAscend is what keeps the job from an Ascend device, and notes on what is
// different there.
func (c *Config) OnAscend() diag.List {
	if c.Model.Hidden.Origin == "" {
		return nil // there is no model
	}
	a := &ascendRules{c: c}
	a.shapes()
	a.methods()
	if t := c.Model.ComputeDType; t.V != "bf16" && t.V != "f16" {
		a.list = append(a.list, &diag.Diagnostic{Severity: diag.Note, Code: "ascend", Pos: t.At,
			Message: fmt.Sprintf("`compute_dtype` is %s; an Ascend device multiplies bf16 and sums in f32", t.V)})
	}
	return a.list
}

type ascendRules struct {
	c    *Config
	list diag.List
}

func (a *ascendRules) refuse(at Pos, format string, args ...any) *diag.Diagnostic {
	d := diag.Errorf(at, "ascend", format, args...)
	a.list = append(a.list, d)
	return d
}

// inside refuses a number that is outside a range or no multiple of a block.
func (a *ascendRules) inside(name string, v Val[int], least, most, unit int) {
	switch {
	case v.V < least || v.V > most:
		a.refuse(v.At, "`%s` is %d; the Ascend kernels take %d to %d", name, v.V, least, most).
			WithHelp("run this job with --device cpu")
	case v.V%unit != 0:
		a.refuse(v.At, "`%s` is %d; the Ascend kernels take multiples of %d", name, v.V, unit).
			WithLabel("%d = %d × %d + %d: the cube multiplies blocks of %d columns", v.V, v.V/unit, unit, v.V%unit, unit).
			WithHelp("run this job with --device cpu")
	}
}

func (a *ascendRules) shapes() {
	m := &a.c.Model
	a.inside("hidden_size", m.Hidden, 64, ascendHidden, ascendUnit)
	a.inside("intermediate_size", m.FFN, ascendUnit, ascendWidth, ascendUnit)
	a.inside("vocab_size", m.Vocab, 1, ascendVocab, 1)
	a.inside("seq_length", m.SeqLength, 1, ascendRows, 1)
	switch head := m.HeadDim.V; {
	case head > ascendHead:
		a.refuse(m.Heads.At, "a head has %d columns; the Ascend kernels take up to %d", head, ascendHead).
			WithLabel("%d / %d = %d", m.Hidden.V, m.Heads.V, head).At(m.Hidden.At, "divided among the heads").WithHelp("run this job with --device cpu")
	case head%ascendUnit != 0:
		a.refuse(m.Heads.At, "a head has %d columns; the Ascend kernels take multiples of %d", head, ascendUnit).
			WithLabel("%d / %d = %d", m.Hidden.V, m.Heads.V, head).At(m.Hidden.At, "divided among the heads").WithHelp("run this job with --device cpu")
	}
	if a.c.LoRA != nil {
		a.inside("lora_rank", a.c.LoRA.Rank, 1, ascendRank, 1)
		if a.c.OfBase() {
			a.refuse(a.c.LoRA.Init.At, "`init_lora_weights` %s has no Ascend kernels: what the adapter started as is taken off again there by none", a.c.LoRA.Init.V).
				WithHelp("set init_lora_weights: True, or run with --device cpu")
		}
		if a.c.UsesDoRA() {
			a.refuse(a.c.LoRA.DoRA.At, "`use_dora` has no Ascend kernels: rows of an adapted matrix have no norms and magnitudes there").
				WithHelp("set use_dora: False, or run with --device cpu")
		}
		if len(a.c.LoRA.ModulesToSave.V) > 0 {
			a.refuse(a.c.LoRA.ModulesToSave.At, "`modules_to_save` has no Ascend kernels: the device has no gradients of embeddings, heads and norms").
				WithHelp("remove it, or run with --device cpu; of an adapter that has modules, `lorac convert merge` makes a base")
		}
		for _, r := range slices.Concat(a.c.LoRA.RankPattern, a.c.LoRA.AlphaPattern) {
			a.refuse(r.At, "`rank_pattern` and `alpha_pattern` have no Ascend kernels: adapters there share a rank and a scale").
				WithHelp("remove them, or run with --device cpu")
			break
		}
	}
}

// methods refuses ways of training and of storing that have no kernel.
func (a *ascendRules) methods() {
	c := a.c
	trains := c.RunMode.V == "train" || c.RunMode.V == "finetune"
	if c.Quant.V != "" {
		a.refuse(c.Quant.At, "`quant` keeps the base in blocks; an Ascend device holds it in 16 bits").
			WithHelp("remove quant; a base that is stored in blocks is loaded all the same")
	}
	if c.Compute.V == "int8" {
		a.refuse(c.Compute.At, "`compute` int8 has no Ascend kernel").WithHelp("remove compute: the device multiplies in 16 bits")
	}
	if c.Model.QKVConcat.V {
		a.refuse(c.Model.QKVConcat.At, "`qkv_concat` has no Ascend kernel: linears side by side are not cut there").
			WithHelp("set qkv_concat: False, and wq|wk|wv for w_qkv in target_modules; `lorac convert weights` splits a concatenated base")
	}
	if trains && c.LoRA == nil {
		a.refuse(c.RunMode.At, "full fine-tuning has no Ascend kernels: without `pet_config` every parameter trains").
			WithLabel("the device has no gradients of whole matrices, norms' gains and embeddings").
			WithHelp("add a pet_config, which trains adapters, or run with --device cpu")
	}
	if r := c.Optimizer.Rule; trains && r != "mindformers" && r != "torch" {
		a.refuse(c.Optimizer.Type.At, "optimizer `%s` has no Ascend kernel", c.Optimizer.Type.V).
			WithHelp("take FP32StateAdamWeightDecay or AdamW, or run with --device cpu")
	}
}
