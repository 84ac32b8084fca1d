package weights

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights/naming"
)

// foreignTensors are tensors beside a Llama's, by their names, in words.
var foreignTensors = []struct {
	name     *regexp.Regexp
	is, help string
}{
	{regexp.MustCompile(`\.modules_to_save\.|\.original_module\.`), "a module that PEFT trained whole (modules_to_save) beside the one it replaces",
		"put it in place with PEFT, and give what that writes: model.merge_and_unload().save_pretrained(DIR)"},
	{regexp.MustCompile(`lora_magnitude_vector`), "a part of DoRA, which is not read with a base", "merge it with PEFT, and give what that writes: model.merge_and_unload().save_pretrained(DIR)"},
	{regexp.MustCompile(`lora_[AB]\.bias$|lora_[AB]\.[^.]+\.bias$`), "a bias beside a factor of LoRA, which is not supported", "merge it with PEFT, and give what that writes: model.merge_and_unload().save_pretrained(DIR)"},
	{regexp.MustCompile(`lora_embedding_[AB]`), "an adapter of the embedding, which is not supported", "merge it with PEFT, and give what that writes: model.merge_and_unload().save_pretrained(DIR)"},
	{regexp.MustCompile(`[._](?:q|k|query|key)_?(?:layer)?norm\.(?:weight|bias|scale)$`), "a norm of queries or keys, as Qwen3, OLMo 2 and Gemma 3 have; a Llama has none", "that is another network: give the weights of a Llama"},
	{regexp.MustCompile(`\.(?:pre|post)_feedforward_layernorm\.|\.post_(?:attention|ffw)_norm\.`), "a norm that a Llama does not have", "that is another network: give the weights of a Llama"},
	{regexp.MustCompile(`\.experts\.|\.block_sparse_moe\.|\.shared_expert`), "an expert of a mixture; a Llama has one feed-forward network a layer", "that is another network: give the weights of a Llama"},
}

// factor matches a factor of an adapter that has a name in PEFT.
var factor = regexp.MustCompile(`\.lora_[AB]\.([^.]+)\.weight$`)

// foreign refuses tensors that a Llama does not have and that are known, in one sentence
// for each kind. Biases of other parts than linears that are all zero change nothing; they are returned, to be left
// out.
func foreign(s Set, path string) (zero map[string]bool, err error) {
	zero = map[string]bool{}
	names := s.Names()
	beside := ""
	if slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, ".lora_A.weight") }) {
		beside = " beside \"default\"" // whose factors are read under that name
	}
	said := map[string]int{}
	var order []string
	first, help := map[string]string{}, map[string]string{}
	add := func(n, is, out string) {
		if said[is]++; said[is] == 1 {
			order = append(order, is)
			first[is], help[is] = n, out
		}
	}
	for _, n := range names {
		h, _ := Describe(s, n)
		if naming.Derived(n) || naming.Bookkeeping(n, h.Shape) {
			continue
		}
		if m := factor.FindStringSubmatch(n); m != nil {
			if m[1] != "default" {
				add(n, fmt.Sprintf("a factor of the adapter %q", m[1])+beside, "only PEFT's \"default\" is read: merge the one that counts with PEFT, and give what that writes: model.set_adapter(NAME); model.merge_and_unload().save_pretrained(DIR)")
			}
			continue
		}
		known := false
		for _, f := range foreignTensors {
			if known = f.name.MatchString(n); known {
				add(n, f.is, f.help)
				break
			}
		}
		if known || !strings.HasSuffix(n, ".bias") || naming.IsBias(n, naming.SchemeHuggingFace) || naming.IsBias(n, naming.SchemeMindFormers) {
			continue
		}
		if AllZero(s, n) {
			zero[n] = true
			continue
		}
		add(n, "a bias that is not zero, of what has none in a Llama", "that is another network: give the weights of a Llama")
	}
	if len(order) == 0 {
		return zero, nil
	}
	var parts, ways []string
	for _, is := range order {
		part := fmt.Sprintf("%s, %s", first[is], is)
		if more := said[is] - 1; more > 0 {
			part += fmt.Sprintf(" (and %d more)", more)
		}
		parts = append(parts, part)
		if !slices.Contains(ways, help[is]) {
			ways = append(ways, help[is])
		}
	}
	return nil, fmt.Errorf("%s holds what lorac's Llama has no place for: %s\n  = help: %s", path, strings.Join(parts, "; "), strings.Join(ways, "; "))
}

// IdleBias reports whether a tensor is a bias of a linear that is all zero: a model
// without that bias is the same.
func IdleBias(s Set, name string) bool {
	return (naming.IsBias(name, naming.SchemeHuggingFace) || naming.IsBias(name, naming.SchemeMindFormers)) && AllZero(s, name)
}

// PlaceOfBias says which key of model_config makes a place for a tensor that has none,
// where it is a bias; else "".
func PlaceOfBias(name string) string {
	mf := name
	if their := naming.MindFormers(name); their != "" {
		mf = their
	}
	if key := naming.BiasKey(mf); key != "" {
		return key + ": True"
	}
	return ""
}

// AllZero reports whether all bytes of a tensor are zero.
func AllZero(s Set, name string) bool {
	t, ok := s.Tensor(name)
	if !ok {
		return false
	}
	defer mmap.Release(t.Data)
	return !slices.ContainsFunc(t.Data, func(b byte) bool { return b != 0 })
}
