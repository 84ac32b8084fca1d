package start

import (
	"slices"
	"strings"

	"lorac/runtime/weights/naming"
)

// Whole modules beside an adapter, and vocabularies that grow.

const (
	embedTokens = "embed_tokens"
	lmHead      = "lm_head"

	addedTokens = "pet_config.added_tokens: control tokens, which answers do not show"
)

// setModules takes the modules that train whole.
func setModules(m *Migration, v value) string {
	if v.empty() {
		return ""
	}
	l := m.Draft.LoRA
	switch {
	case l == nil:
		return "all of the base trains"
	case m.Draft.Quant != "":
		return noBlocks
	}
	for _, entry := range v.list() {
		selects := func(name string) bool { return naming.Selects(entry, name) && naming.Whole(name) }
		if !slices.ContainsFunc(naming.ParameterNames(1, naming.SchemeMindFormers, false), selects) {
			return noModules
		}
		if !slices.Contains(l.Modules, entry) {
			l.Modules = append(l.Modules, entry)
		}
	}
	return ""
}

// setTying trains a tied embedding as one.
func setTying(m *Migration, v value) string {
	on, ok := v.truth()
	if !ok && !v.empty() {
		return "True or False is due"
	}
	if m.Draft.LoRA != nil {
		m.Draft.LoRA.Tying = on
	}
	return ""
}

// setTokens adds control tokens.
func setTokens(m *Migration, v value) string {
	list := v.list()
	switch {
	case len(list) == 0 || v.empty():
		return ""
	case m.Draft.LoRA == nil:
		return noTokens
	case m.Draft.Quant != "":
		return noBlocks
	case m.Draft.tok == nil:
		return "the base's tokenizer is not here, and the size of the vocabulary depends on it"
	}
	l := m.Draft.LoRA
	for _, text := range list {
		if text = strings.TrimSpace(text); text != "" && !slices.Contains(l.Tokens, text) {
			l.Tokens = append(l.Tokens, text)
		}
	}
	return ""
}

// growVocabulary makes places for tokens that the base has no rows for, and lets these
// train: LLaMA-Factory does so where it is not told, Axolotl wants to be told.
func (d *Draft) growVocabulary() {
	l := d.LoRA
	if l == nil {
		return
	}
	if len(l.Tokens) > 0 || l.Resize {
		n := 0
		if d.tok != nil {
			n = d.tok.Size()
			for _, text := range l.Tokens {
				if !d.has(text) {
					n++
				}
			}
		}
		d.Model.Vocab.V = max(d.Model.Vocab.V, n)
		for _, entry := range []string{embedTokens, lmHead} {
			if !slices.Contains(l.Modules, entry) && !(entry == lmHead && d.Model.TieEmbeddings.V) {
				l.Modules = append(l.Modules, entry)
			}
		}
	}
	tied := d.Model.TieEmbeddings.V && (naming.Saved(l.Modules, naming.Embeddings[0]) || naming.Saved(l.Modules, naming.Embeddings[1]))
	l.Tying = tied && (l.Tying || len(l.Tokens) > 0 || l.Resize)
}

// has reports whether the tokenizer has a token.
func (d *Draft) has(text string) bool {
	for id := range int32(d.tok.Size()) {
		if d.tok.Token(id) == text && d.tok.Special(id) {
			return true
		}
	}
	return false
}
