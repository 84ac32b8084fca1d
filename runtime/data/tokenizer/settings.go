package tokenizer

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// other are beginnings of tokenizer classes that read no SentencePiece model: they split
// words into bytes or by a list of words.
var other = []string{"Bart", "Bert", "Bloom", "CLIP", "CodeGen", "DistilBert", "Electra", "GPT2", "GPTNeoX", "MPNet", "Qwen2", "Roberta", "Whisper"}

// alike are classes that read a SentencePiece model as is done here.
var alike = []string{"LlamaTokenizer", "LlamaTokenizerFast", "CodeLlamaTokenizer", "CodeLlamaTokenizerFast", "PreTrainedTokenizer", "PreTrainedTokenizerFast", "TokenizersBackend"}

// settings reads what tokenizer_config.json says of how texts are split. What would
// make other ids than those here is an error, or is noted.
func (t *Tokenizer) settings(b *beside, file string) error {
	if b.config == nil {
		return nil
	}
	raw := b.config.raw
	on := func(raw json.RawMessage) bool { return string(raw) == "true" || string(raw) == "1" }
	t.spellsOut = on(raw["split_special_tokens"])
	if on(raw["do_lower_case"]) {
		t.note("`do_lower_case` of %s is not obeyed, as LlamaTokenizer does not: capitals stay; where the model knows none, the data must have none", configFile)
	}
	ways := map[string]json.RawMessage{}
	json.Unmarshal(raw["sp_model_kwargs"], &ways) // another form says nothing
	for _, key := range []string{"enable_sampling", "reverse", "add_bos", "add_eos", "emit_unk_piece"} {
		if on(ways[key]) {
			return fmt.Errorf("%s: `sp_model_kwargs.%s` is true, and texts are not split that way here; take the key out to have them split as without it", configFile, key)
		}
	}
	var class string
	json.Unmarshal(raw["tokenizer_class"], &class)
	switch {
	case !t.fromModel || class == "" || slices.Contains(alike, class):
	case slices.ContainsFunc(other, func(begin string) bool { return strings.HasPrefix(class, begin) }):
		return fmt.Errorf("%s has the tokenizer_class %s, which reads no SentencePiece model as %s is: two tokenizers; move the file away that is not the model's", configFile, class, file)
	default:
		t.note("%s has the tokenizer_class %s; %s is read as LlamaTokenizer reads it", configFile, class, file)
	}
	return nil
}

// SplitsSpecial reports whether tokenizer_config.json has control tokens in texts split
// like any other text.
func (t *Tokenizer) SplitsSpecial() bool { return t.spellsOut }
