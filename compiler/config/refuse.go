package config

import "lorac/ir/diag"

// otherModel returns the type that names another model than Llama, nil if it is a
// Llama or no type is given.
func (l *loader) otherModel() *node {
	types := []struct{ path, ours, old string }{
		{"model.arch.type", "LlamaForCausalLM", withLora},
		{mc + "type", "LlamaConfig", ""},
	}
	if f := l.family(); f != nil {
		types[0].ours, types[1].ours = l.root.get("model.arch.type").value.(string), f.config
	}
	for _, x := range types {
		if n := l.root.get(x.path); !n.empty() && n.value != x.ours && n.value != x.old {
			return n
		}
	}
	// Configs in the spelling of Hugging Face, from r1.6 on.
	if n := l.root.get(mc + "model_type"); !n.empty() && n.value != "llama" {
		return n
	}
	if n := l.root.get(mc + "architectures"); n != nil {
		for _, item := range append(n.items, n) {
			if s, ok := item.value.(string); ok && s != "LlamaForCausalLM" {
				return item
			}
		}
	}
	return nil
}

// archName is the name of the config's architecture.
func (l *loader) archName() string {
	n := l.root.get("model.arch.type")
	if n.empty() {
		return ""
	}
	name, _ := n.value.(string)
	return name
}

// otherPet returns the pet_type of an adapter that is not LoRA, else nil.
func (l *loader) otherPet() *node {
	for _, path := range []string{mc + "pet_config.pet_type", oldPet + "pet_type"} {
		if n := l.root.get(path); !n.empty() && n.value != "lora" {
			return n
		}
	}
	return nil
}

// unsupported reports an error for other models and methods. If it does, their keys
// are not checked.
func (l *loader) unsupported() bool {
	model, pet := l.otherModel(), l.otherPet()
	if model != nil {
		d := l.errorf(model.pos, "other-model", "the model `%s` is not supported", model.text()).
			WithLabel("lorac trains LlamaForCausalLM with LlamaConfig")
		name, _ := model.value.(string)
		llama := []string{"LlamaForCausalLM", "LlamaConfig"}
		if f := l.family(); f != nil {
			d.WithLabel("%s goes with %s", l.archName(), f.config)
		} else if near := diag.Suggest(name, llama); len(near) > 0 {
			d.WithLabel("did you mean `%s`?", near[0])
		} else if own := differences[l.archName()]; own[0] != "" {
			d.WithNote("%s", own[0])
			if own[1] != "" {
				d.WithHelp("%s", own[1])
			}
		} else {
			d.WithHelp("a network that is a Llama's under another name is trained as LlamaForCausalLM with LlamaConfig")
		}
	}
	if pet != nil {
		d := l.errorf(pet.pos, "other-pet", "pet_type `%s` is not supported", pet.text()).WithLabel("lorac trains lora")
		why := map[any]string{
			"ptuning2":         "p-tuning v2 learns prompts, not matrices",
			"prefixtuning":     "prefix tuning learns prompts, not matrices",
			"slora":            "slora serves many adapters at inference; it trains none",
			"adapter":          "MindFormers knows the name only",
			"low_rank_adapter": "MindFormers knows the name only",
		}[pet.value]
		if why != "" {
			d.WithNote("%s", why)
		}
		d.WithHelp("set pet_type: lora with lora_rank, lora_alpha, lora_dropout and target_modules, or remove pet_config for full fine-tuning")
	}
	if f := l.family(); model == nil && f != nil && !l.isLlama(f) {
		l.refuseFamily(f)
		return true
	}
	if model != nil || pet != nil {
		return true
	}
	l.features()
	return false
}

// features reports an error for each feature that changes the model and is not
// supported.
func (l *loader) features() {
	if n := l.seen("moe_config.expert_num"); !n.empty() && n.value != 1 {
		l.errorf(n.pos, "refused", "mixtures of experts are not supported").WithLabel("must be 1")
	}
	f := l.family()
	if n := l.seen(mc + "has_bias"); !n.empty() && n.value != false && (f == nil || !f.biased) {
		l.errorf(n.pos, "refused", "`has_bias` is not supported").WithLabel("LlamaForCausalLM does not read it").
			WithHelp("biases of wq, wk and wv are qkv_has_bias, that of wo is attn_proj_has_bias")
	}
	if n := l.root.get("model.arch.type"); n != nil && n.value == withLora && l.root.get(l.petPath()).empty() {
		l.errorf(n.pos, "missing", "the architecture requires LoRA, but there is no `pet_config`").
			WithHelp("write model.model_config.pet_config with lora_rank, lora_alpha, lora_dropout and target_modules").
			WithNote("without it, this would be full fine-tuning")
	}
}
