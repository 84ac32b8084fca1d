package naming

import (
	"slices"
	"strings"
)

// inside are wrappers that put their name in the middle of others: of
// torch.compile, of FSDP, of activation checkpoints, and of PEFT around the
// linear that it adapts.
var inside = []string{"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "base_layer"}

// Bare is a parameter's name in a scheme without what wrappers put before it and
// inside it, with a `model.` that is missing; false, and the name, for what is
// no parameter even so. States of the optimizer are those of their parameter.
// Factors of an adapter have no PEFTPrefix then.
func Bare(name string, s Scheme) (string, bool) {
	if param, ok := StateOf(name); ok {
		b, ok := Bare(param, s)
		return strings.TrimSuffix(name, param) + b, ok
	}
	if !strings.Contains(name, ".") {
		return name, false
	}
	parts := slices.DeleteFunc(strings.Split(name, "."), func(p string) bool { return slices.Contains(inside, p) })
	for at := range parts {
		rest := strings.Join(parts[at:], ".")
		if _, ok := StateOf(rest); ok && at > 0 { // network.adam_m.model.…
			return Bare(rest, s)
		}
		for _, c := range []string{rest, "model." + rest} {
			if named, ok := canonical(c, s); ok {
				return named, true
			}
		}
	}
	return name, false
}

// canonical is the name under which a parameter of a scheme is looked for.
func canonical(name string, s Scheme) (string, bool) {
	if s == SchemeHuggingFace {
		hf := HF(MindFormers(name))
		return hf, hf != ""
	}
	return name, Known(name, s)
}
