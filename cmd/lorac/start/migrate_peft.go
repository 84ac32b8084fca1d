package start

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
)

// migratePEFT translates adapter_config.json (peft/tuners/lora/config.py).
func migratePEFT(m *Migration) {
	d := m.Draft
	d.LoRA = &LoRA{Rank: 8, Alpha: 8} // PEFT's defaults
	m.apply([]rule{
		{keys: "peft_type", to: "pet_config.pet_type", take: func(m *Migration, v value) string {
			if !strings.EqualFold(v.text(), "LORA") {
				return "lorac trains LoRA adapters alone"
			}
			return ""
		}},
		{keys: "base_model_name_or_path", to: "load_checkpoint", take: noted},
		{keys: "r", to: "pet_config.lora_rank", take: toInt(1, rank)},
		{keys: "lora_alpha", to: "pet_config.lora_alpha", take: toFloat(alpha)},
		{keys: "use_rslora", to: "pet_config.use_rslora", take: setRoot},
		{keys: "lora_dropout", to: "pet_config.lora_dropout", take: toFloat(dropout)},
		{keys: "target_modules", to: "pet_config.target_modules", take: func(m *Migration, v value) string {
			if strings.ContainsAny(v.text(), `\.*+()[]|$^`) {
				return "it is a pattern of PEFT's names: write the pattern of lorac's, wq|wk|wv|wo|w1|w2|w3"
			}
			return setTargets(m, v.list())
		}},
		{keys: "layers_to_transform", to: "pet_config.exclude_layers", take: setLayers},
		{keys: "task_type", to: "model.arch.type", take: func(m *Migration, v value) string {
			if v.text() != "CAUSAL_LM" {
				return "lorac trains CAUSAL_LM alone"
			}
			return ""
		}},
		{keys: "layers_pattern", why: "a Llama has one list of layers"},
		{keys: "init_lora_weights", to: "pet_config.init_lora_weights", take: setInit},
		{keys: "bias lora_bias", refused: "biases of the base stay frozen; freeze_exclude trains them", fine: []string{"none"}},
		{keys: "fan_in_fan_out", refused: "a Llama's linears are not transposed"},
		{keys: "use_dora", to: "pet_config.use_dora", take: setDoRA},
		{keys: "modules_to_save", to: "pet_config.modules_to_save", take: setModules},
		{keys: "ensure_weight_tying", to: "pet_config.ensure_weight_tying", take: setTying},
		{keys: "trainable_token_indices", refused: noRows},
		{keys: "rank_pattern", to: "pet_config.rank_pattern", take: setRules(func(l *LoRA) *[]Rule { return &l.Ranks })},
		{keys: "alpha_pattern", to: "pet_config.alpha_pattern", take: setRules(func(l *LoRA) *[]Rule { return &l.Alphas })},
		{keys: "exclude_modules", to: "pet_config.target_modules", take: excludeTargets},
		{keys: "layer_replication target_parameters use_qalora use_bdlora arrow_config alora_invocation_tokens", refused: noExperts},
		{keys: "inference_mode auto_mapping revision megatron_config megatron_core peft_version runtime_config", why: ofPrograms},
		{keys: "loftq_config eva_config corda_config lora_ga_config qalora_group_size velora_config", why: ofOther},
	})
	if len(d.LoRA.Modules) > 0 { // whose rows may be more than the base's
		if a, err := peft.Load(filepath.Dir(m.File)); err == nil {
			for _, name := range naming.Embeddings {
				d.Model.Vocab.V = max(d.Model.Vocab.V, a.Modules[name].Rows)
			}
		}
	}
}

// setRules takes numbers of modules by patterns of their names.
func setRules(to func(*LoRA) *[]Rule) func(*Migration, value) string {
	return func(m *Migration, v value) string {
		n := v.node()
		if n.Kind != yaml.MappingNode {
			return "a mapping of names to numbers is due"
		}
		list := to(m.Draft.LoRA)
		for i := 0; i+1 < len(n.Content); i += 2 {
			name, why := oursIn(n.Content[i].Value)
			x, ok := value{n.Content[i+1]}.number()
			if !ok {
				why = "a mapping of names to numbers is due"
			}
			if why != "" {
				return why
			}
			*list = append(*list, Rule{name, x})
		}
		return ""
	}
}

// nameIn is a name of PEFT's in a pattern.
var nameIn = regexp.MustCompile(`[a-z]+(_[a-z]+)+`)

// oursIn is a pattern of PEFT's names in those of this program.
func oursIn(pattern string) (ours, refused string) {
	ours = nameIn.ReplaceAllStringFunc(strings.ReplaceAll(pattern, "mlp", "feed_forward"), func(name string) string {
		switch name {
		case "self_attn":
			return "attention"
		case "feed_forward":
			return name
		}
		leaf := leafOf(name)
		if leaf == "" {
			refused = noLinear(name)
		}
		return leaf
	})
	return ours, refused
}

// excludeTargets takes modules out of those that target_modules names.
func excludeTargets(m *Migration, v value) string {
	l := m.Draft.LoRA
	for _, n := range v.list() {
		leaf := leafOf(n)
		if leaf == "" {
			return noLinear(n)
		}
		l.Targets = slices.DeleteFunc(slices.Clone(l.Targets), func(t string) bool { return t == leaf })
	}
	if len(l.Targets) == 0 {
		return "it leaves no module of target_modules"
	}
	return ""
}

func rank(m *Migration) *int         { return &m.Draft.LoRA.Rank }
func alpha(m *Migration) *float64    { return &m.Draft.LoRA.Alpha }
func dropout(m *Migration) *float64  { return &m.Draft.LoRA.Dropout }
func noted(*Migration, value) string { return "" }
