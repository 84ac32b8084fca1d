package config

import (
	"fmt"
	"math"
	"strings"
)

// otherModel names the model when it is not a plain Llama.
func (l *loader) otherModel() string {
	for path, want := range map[string]string{"model.arch.type": "LlamaForCausalLM", "model.model_config.type": "LlamaConfig"} {
		if n := l.root.get(path); n != nil && n.value != nil && n.value != want && !(path == "model.arch.type" && n.value == "LlamaForCausalLMWithLora") {
			return fmt.Sprint(n.value)
		}
	}
	return ""
}

func (l *loader) otherPet() bool {
	n := l.root.get(mc + "pet_config.pet_type")
	return n != nil && n.value != "lora"
}

// unsupported refuses configs of other models and methods, with the reason.
func (l *loader) unsupported() bool {
	before := len(l.diags)
	if n := l.root.get("model.arch.type"); n != nil && l.otherModel() != "" && n.value != "LlamaForCausalLM" {
		l.errorf(n.pos, "other-model", "the architecture `%v` is not supported", n.value).WithLabel("lorac trains LlamaForCausalLM").
			WithHelp("its layers differ from Llama's; a checkpoint of it can be trained where it was converted to the Llama layout")
	} else if n := l.root.get("model.model_config.type"); n != nil && n.value != nil && n.value != "LlamaConfig" {
		l.errorf(n.pos, "other-model", "the model config `%v` is not supported", n.value).WithLabel("lorac knows LlamaConfig")
	}
	if n := l.root.get(mc + "pet_config.pet_type"); n != nil && l.otherPet() {
		l.errorf(n.pos, "other-pet", "pet_type `%v` is not supported", n.value).WithLabel("lorac trains lora").
			WithHelp("set pet_type: lora with lora_rank, lora_alpha, lora_dropout and target_modules, or remove pet_config for full fine-tuning")
	}
	if n := l.root.get("moe_config.expert_num"); n != nil && n.value != nil && n.value != 1 {
		l.errorf(n.pos, "refused", "mixtures of experts are not supported").WithLabel("must be 1")
	}
	for _, key := range []string{"qkv_has_bias", "has_bias"} {
		if n := l.root.get(mc + key); n != nil && n.value == true && l.otherModel() == "" {
			l.errorf(n.pos, "refused", "`%s` is not supported: Llama's projections have no bias", key)
		}
	}
	return len(l.diags) > before
}

// rules checks values against each other.
func (l *loader) rules() {
	l.shape()
	l.adapter()
	l.training()
	l.winners()
}

func (l *loader) positive(path string, v Val[int]) bool {
	if v.V > 0 {
		return true
	}
	l.errorf(v.At, "range", "`%s` must be positive, not %d", path, v.V)
	return false
}

// limit bounds sizes, so that no product overflows and no typo asks for a terabyte.
const limit = 1 << 24

func (l *loader) shape() {
	m := &l.c.Model
	ok := true
	for _, x := range []struct {
		name string
		v    Val[int]
	}{{"hidden_size", m.Hidden}, {"num_layers", m.Layers}, {"num_heads", m.Heads}, {"n_kv_heads", m.KVHeads},
		{"vocab_size", m.Vocab}, {"seq_length", m.SeqLength}, {"max_position_embedding", m.MaxPosition}, {"intermediate_size", m.FFN}} {
		ok = l.positive(x.name, x.v) && ok
		if x.v.V > limit {
			l.errorf(x.v.At, "range", "`%s` is %d, more than lorac allows (%d)", x.name, x.v.V, limit)
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
			WithLabel("%d = %d × %d + %d", m.Heads.V, m.KVHeads.V, m.Heads.V/m.KVHeads.V, r).At(m.Heads.At, "query heads are counted here")
	}
	if m.MaxPosition.Set() && m.SeqLength.V > m.MaxPosition.V {
		l.warnf(m.SeqLength.At, "positions", "`seq_length` is longer than `max_position_embedding`").
			WithLabel("%d > %d", m.SeqLength.V, m.MaxPosition.V).At(m.MaxPosition.At, "the model was made for this many").
			WithNote("as in MindFormers, the rotary table is made long enough")
	}
	if m.RMSEps.V <= 0 || m.Theta.V <= 0 {
		l.errorf(m.RMSEps.At, "range", "`rms_norm_eps` (%v) and `theta` (%v) must be positive", m.RMSEps.V, m.Theta.V)
	}
	for _, id := range []struct {
		name string
		v    Val[int]
	}{{"bos_token_id", m.BosID}, {"pad_token_id", m.PadID}} {
		if id.v.V >= m.Vocab.V {
			l.errorf(id.v.At, "range", "`%s` lies outside the vocabulary", id.name).WithLabel("%d ≥ %d", id.v.V, m.Vocab.V).At(m.Vocab.At, "its size")
		}
	}
}

func (l *loader) adapter() {
	lora := l.c.LoRA
	if lora == nil {
		return
	}
	l.positive("lora_rank", lora.Rank)
	if lora.Alpha.V == 0 {
		l.errorf(lora.Alpha.At, "range", "`lora_alpha` must not be 0: the adapter would have no effect")
	}
	if lora.Dropout.V < 0 || lora.Dropout.V >= 1 {
		l.errorf(lora.Dropout.At, "range", "`lora_dropout` must lie in [0, 1), it is %v", lora.Dropout.V).WithHelp("0.05 drops five percent")
	}
	if m := min(l.c.Model.Hidden.V, l.c.Model.FFN.V); lora.Rank.V > m && m > 0 {
		l.errorf(lora.Rank.At, "range", "`lora_rank` exceeds the matrices it adapts").WithLabel("%d > %d", lora.Rank.V, m).
			At(l.c.Model.Hidden.At, "their smaller side")
	}
	if lora.TargetModules.V == "" {
		l.errorf(lora.TargetModules.At, "missing", "`pet_config` has no `target_modules`").
			WithHelp("name the linears to adapt, as in target_modules: '.*wq|.*wk|.*wv|.*wo'; candidates: %s", strings.Join(l.c.Linears(), ", "))
		return
	}
	found, swallowed, err := l.c.match()
	if err != nil {
		l.errorf(lora.TargetModules.At, "regexp", "%v", err).WithHelp("the syntax is RE2: no look-around, no back-references")
		return
	}
	if len(found) == 0 {
		d := l.errorf(lora.TargetModules.At, "no-target", "`target_modules` selects nothing").WithHelp("candidates: %s", strings.Join(l.c.Linears(), ", "))
		if len(swallowed) > 0 {
			d.WithLabel("matches %s and stops there", strings.Join(swallowed, ", "))
		} else {
			d.WithLabel("matches no name")
		}
		d.WithNote("MindFormers matches each module's own name from its start (not the dotted path) and does not look below a match; it would train nothing, in silence")
	}
}

func (l *loader) training() {
	c := l.c
	l.positive("epochs", c.Run.Epochs)
	l.positive("batch_size", c.Run.BatchSize)
	l.positive("gradient_accumulation_steps", c.Run.GradAccum)
	l.positive("train_dataset.repeat", c.Train.Repeat)
	if c.Run.SinkMode.V && c.Run.SinkSize.V < 1 && c.Run.SinkSize.V != -1 {
		l.errorf(c.Run.SinkSize.At, "range", "`sink_size` must be positive, or -1 for the whole data set, not %d", c.Run.SinkSize.V)
	}
	o, s := &c.Optimizer, &c.Schedule
	for name, b := range map[string]Val[float64]{"beta1": o.Beta1, "beta2": o.Beta2} {
		if b.V <= 0 || b.V >= 1 {
			l.errorf(b.At, "range", "`%s` must lie in (0, 1), it is %v", name, b.V)
		}
	}
	if o.Eps.V <= 0 {
		l.errorf(o.Eps.At, "range", "`eps` must be positive, it is %v", o.Eps.V)
	}
	if o.WeightDecay.V < 0 {
		l.errorf(o.WeightDecay.At, "range", "`weight_decay` must not be negative, it is %v", o.WeightDecay.V)
	}
	if s.LR.V <= 0 || math.IsNaN(s.LR.V) {
		l.errorf(s.LR.At, "range", "the learning rate must be positive, it is %v", s.LR.V)
	}
	if s.WarmupRatio.Set() && s.WarmupRatio.V != -1 && (s.WarmupRatio.V < 0 || s.WarmupRatio.V > 1) {
		l.errorf(s.WarmupRatio.At, "range", "`warmup_ratio` must lie in [0, 1], it is %v", s.WarmupRatio.V).WithHelp("0.03 warms up over three percent of the steps")
	}
	if s.Type.V == "polynomial" && s.LR.V <= s.LREnd.V {
		l.errorf(s.LREnd.At, "mismatch", "`lr_end` must be below `learning_rate`").WithLabel("%v", s.LREnd.V).At(s.LR.At, "%v", s.LR.V)
	}
	if s.TMax.V < 1 || s.T0.V < 1 || s.TMult.V < 1 {
		if s.Type.V != "" {
			l.positive("t_max", s.TMax)
			l.positive("t_0", s.T0)
			l.positive("t_mult", s.TMult)
		}
	}
	if c.Wrapper.UseClip.V && c.Wrapper.MaxNorm.V <= 0 {
		l.errorf(c.Wrapper.MaxNorm.At, "range", "`max_grad_norm` must be positive, it is %v", c.Wrapper.MaxNorm.V)
	}
}

// winners says which of several keys for one thing counts.
func (l *loader) winners() {
	c := l.c
	say := func(format string, args ...any) { c.Winners = append(c.Winners, fmt.Sprintf(format, args...)) }
	var others []string
	for _, path := range []string{"train_dataset.batch_size", mc + "batch_size"} {
		if n := l.root.get(path); n != nil && n.pos != c.Run.BatchSize.At {
			others = append(others, fmt.Sprintf("%s %s", path, n.text()))
		}
	}
	if len(others) > 0 {
		by := "runner_config.batch_size"
		if l.root.get(by) == nil {
			by = "train_dataset.batch_size"
		}
		say("batch size %d: %s wins over %s", c.Run.BatchSize.V, by, strings.Join(others, " and "))
	}
	if a, b := l.root.get("optimizer.learning_rate"), l.root.get("lr_schedule.learning_rate"); a != nil && b != nil {
		say("learning rate %v: lr_schedule.learning_rate wins over optimizer.learning_rate %s", c.Schedule.LR.V, a.text())
	}
	if c.UseParallel.V || c.Parallel.Data.V > 1 {
		n := c.Run.BatchSize.V * c.Parallel.Data.V
		say("one process runs here: a step takes %d rows; on %d devices it would take %d × %d = %d (gradient_accumulation_steps: %d gives the same)",
			c.Run.BatchSize.V*c.Run.GradAccum.V, c.Parallel.Data.V, c.Run.BatchSize.V, c.Parallel.Data.V, n, c.Parallel.Data.V)
	}
}
