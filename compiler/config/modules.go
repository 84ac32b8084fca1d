package config

import (
	"slices"
	"strings"

	"lorac/ir/diag"
	"lorac/runtime/weights/naming"
)

// modules_to_save, as PEFT names it: modules that train whole beside the adapter and are
// saved with it.

const embedding, head = "model.tok_embeddings.embedding_weight", "lm_head.weight"

// Saved reports whether a parameter is the weight of one of these modules; {i} stands for
// any layer. A head that is the embedding is saved as that.
func (c *Config) Saved(name string) bool {
	if c.LoRA == nil || len(c.LoRA.ModulesToSave.V) == 0 {
		return false
	}
	name = strings.ReplaceAll(name, "{i}", "0")
	return naming.Saved(c.LoRA.ModulesToSave.V, name) || name == embedding && c.Model.TieEmbeddings.V && naming.Saved(c.LoRA.ModulesToSave.V, head)
}

// SavedModules are the entries in PEFT's names.
func (c *Config) SavedModules() (out []string) {
	for _, entry := range c.LoRA.ModulesToSave.V {
		entry = naming.SavedEntry(entry)
		if c.Model.TieEmbeddings.V && naming.Selects(entry, head) {
			entry = "embed_tokens"
		}
		out = appendOnce(out, entry)
	}
	return out
}

// TiesSaved reports whether one of them is embedding and head in one.
func (c *Config) TiesSaved() bool { return c.Model.TieEmbeddings.V && c.Saved(embedding) }

// Grows reports whether the vocabulary may be larger than the base's: embedding and head
// train and are saved.
func (c *Config) Grows() bool {
	return c.Saved(embedding) && (c.Model.TieEmbeddings.V || c.Saved(head))
}

// savedParameters counts what modules_to_save trains.
func (c *Config) savedParameters() (n int) {
	names, sizes := c.parameters()
	for i, name := range names {
		if c.Saved(name) {
			n += sizes[i]
		}
	}
	return n
}

// modules checks modules_to_save.
func (l *loader) modules() {
	c := l.c
	saved := c.LoRA.ModulesToSave
	if added := c.LoRA.AddedTokens; len(added.V) > 0 && !c.Grows() {
		l.errorf(added.At, "modules", "`added_tokens` without embedding and head in `modules_to_save`").WithLabel("their rows would never train").
			WithHelp("set modules_to_save: [embed_tokens, lm_head]")
	}
	if len(saved.V) == 0 {
		if c.LoRA.Tying.V {
			l.warnf(c.LoRA.Tying.At, "modules", "`ensure_weight_tying` has no effect without `modules_to_save`")
		}
		return
	}
	names, _ := c.parameters()
	if c.Model.TieEmbeddings.V {
		names = append(names, head)
	}
	known := []string{"embed_tokens", "lm_head", "norm", "tok_embeddings", "norm_out", "input_layernorm", "post_attention_layernorm"}
	for _, entry := range saved.V {
		switch i := slices.IndexFunc(names, func(n string) bool { return naming.Selects(entry, n) }); {
		case i < 0:
			d := l.errorf(saved.At, "modules", "`modules_to_save` names a module that a Llama has not").WithLabel("`%s`", entry).
				WithHelp("candidates: embed_tokens, lm_head, norm (all norms, as in PEFT), model.norm")
			if near := diag.Suggest(entry, known); len(near) > 0 {
				d.WithHelp("did you mean `%s`?", strings.Join(near, "` or `"))
			}
			return
		case slices.ContainsFunc(names, func(n string) bool { return naming.Selects(entry, n) && !naming.Whole(n) }):
			l.errorf(saved.At, "modules", "`modules_to_save` trains embedding, head and norms whole, no linears of layers").WithLabel("`%s`", entry).
				WithHelp("adapt it by target_modules; freeze_exclude trains a linear whole and writes the base as trained")
			return
		}
	}
	tied := c.Model.TieEmbeddings.V && c.Saved(embedding)
	switch {
	case tied && !c.LoRA.Tying.V:
		l.errorf(saved.At, "modules", "`modules_to_save` names an embedding that is also the head").
			WithLabel("PEFT would train copies, which are one no more").At(c.Model.TieEmbeddings.At, "ties them").
			WithHelp("set ensure_weight_tying: True, as in PEFT: both train as one")
	case !tied && c.LoRA.Tying.V:
		l.warnf(c.LoRA.Tying.At, "modules", "`ensure_weight_tying` has no effect").WithLabel("no tied module is in modules_to_save")
	}
}
