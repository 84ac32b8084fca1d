package codegen_test

import (
	"errors"
	"slices"
	"strings"

	"lorac/cmd/lorac/build"
	"lorac/compiler"
	"lorac/compiler/config"
	"lorac/compiler/passes"
	"lorac/ir/diag"
)

// choices are values of keys that change what is compiled, sound ones and odd ones.
var choices = map[string][]string{
	"run_mode":                                          {"train", "finetune", "predict", "eval"},
	"quant":                                             {"int8", "int4", "none"},
	"compute":                                           {"int8", "f32"},
	"seed":                                              {"0", "123456789012"},
	"runner_config.batch_size":                          {"1", "3", "4096", "0"},
	"optimizer.type":                                    {"FP32StateAdamWeightDecay", "AdamW", "Adam", "SGD", "Momentum", "Adagrad", "Lamb", "AdaFactor", "Came", "AdamWeightDecay", "adamw"},
	"optimizer.weight_decay":                            {"0.0", "0.1", "-1.0", "1.e-30"},
	"optimizer.use_nesterov":                            {"True"},
	"optimizer.scale_parameter":                         {"True", "False"},
	"optimizer.relative_step":                           {"True", "False"},
	"optimizer.learning_rate":                           {"1.e-3", "null"},
	"lr_schedule.type":                                  {"CosineWithWarmUpLR", "LinearWithWarmUpLR", "PolynomialWithWarmUpLR", "WarmUpStableDecayLR", "CosineAnnealingLR"},
	"runner_wrapper.use_clip_grad":                      {"True", "False"},
	"runner_wrapper.max_grad_norm":                      {"0.5", "0", "1"},
	"model.model_config.seq_length":                     {"1", "8", "33", "2048"},
	"model.model_config.hidden_size":                    {"8", "12", "32", "64", "96", "16", "2"},
	"model.model_config.num_heads":                      {"1", "2", "4", "3"},
	"model.model_config.n_kv_heads":                     {"1", "2", "4"},
	"model.model_config.num_layers":                     {"1", "2", "3", "5", "0"},
	"model.model_config.vocab_size":                     {"2", "11", "96", "3"},
	"model.model_config.multiple_of":                    {"1", "32"},
	"model.model_config.intermediate_size":              {"1", "12", "64", "176"},
	"model.model_config.compute_dtype":                  {"float16", "bfloat16", "float32"},
	"model.model_config.param_init_type":                {"float16", "bfloat16", "float32"},
	"model.model_config.rms_norm_eps":                   {"1.e-6", "1.e-12", "1"},
	"model.model_config.theta":                          {"10000", "500000.0", "1.5"},
	"model.model_config.qkv_concat":                     {"True"},
	"model.model_config.tie_word_embeddings":            {"True", "False"},
	"model.model_config.qkv_has_bias":                   {"True", "False"},
	"model.model_config.attn_proj_has_bias":             {"True"},
	"model.model_config.mlp_has_bias":                   {"True"},
	"model.model_config.extend_method":                  {"PI", "NTK", "YARN", "LLAMA3"},
	"model.model_config.scaling_factor":                 {"2", "1", "4.0"},
	"model.model_config.pet_config.lora_rank":           {"1", "2", "8", "100"},
	"model.model_config.pet_config.lora_alpha":          {"1", "-3", "16.5", "1.e-9"},
	"model.model_config.pet_config.lora_dropout":        {"0.0", "0.5", "0.999"},
	"model.model_config.pet_config.target_modules":      {"'.*wq'", "'wk|w2'", "'.*w[a-z0-9_]*'", "'w_qkv|wo'", "'w1|w3'", "'wq|wk|wv|wo|w1|w2|w3'"},
	"model.model_config.pet_config.exclude_layers":      {"['0']", "['wq']", "['1', 'feed_forward']"},
	"model.model_config.pet_config.use_rslora":          {"True", "False"},
	"model.model_config.pet_config.use_dora":            {"True", "False"},
	"model.model_config.pet_config.modules_to_save":     {"[embed_tokens, lm_head]", "[lm_head]", "norm"},
	"model.model_config.pet_config.ensure_weight_tying": {"True", "False"},
	"model.model_config.pet_config.loraplus_lr_ratio":   {"16", "0.5"},
	"model.model_config.pet_config.init_lora_weights":   {"True", "gaussian", "pissa", "pissa_niter_4", "olora"},
	"model.model_config.pet_config.layers_to_transform": {"[0]", "[1, 2]", "0"},
	"model.model_config.pet_config.freeze_include":      {"['*wq*']", "['*']", "['*lora_a']", "['*.0.*']", "'*wo*'"},
	"model.model_config.pet_config.freeze_exclude":      {"['*']", "['*norm*']", "['*lm_head*']", "['*embed*']", "['*w2.weight', '*.1.*']", "['*bias']"},
}

// config draws a config: where its check finds no error, it compiles, for the CPU and
// for a card unless the config's check for that refuses it.
func (p *programs) config() {
	text := frozen{layers: 2, targets: "wq|wv|w1", dropout: 0.1, wide: p.rng.Intn(2) == 0}.yaml()
	if p.rng.Intn(6) == 0 {
		text = text[:strings.Index(text, "    pet_config:")]
	}
	keys := make([]string, 0, len(choices))
	for key := range choices {
		if strings.Contains(text, "pet_config") || !strings.Contains(key, "pet_config") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	var set []config.Override
	var what []string
	for range 1 + p.rng.Intn(6) {
		key := keys[p.rng.Intn(len(keys))]
		value := choices[key][p.rng.Intn(len(choices[key]))]
		set = append(set, config.Override{Path: key, Value: value, Origin: "--" + key})
		what = append(what, "--"+key, value)
	}
	name := []string{"plain.yaml", "trainer.yaml", "vendor.yaml", "7 b-é.yaml", "main.yaml"}[p.rng.Intn(5)]
	c, _ := config.LoadBytes(name, []byte(text), set)
	if c == nil {
		return
	}
	target := compiler.Target{Blocks: build.BlockType}
	words := strings.Join(what, " ")
	if m := p.compile(words, c, &target); m != nil {
		if err := m.Verify(); err != nil {
			p.Errorf("%s: %v", words, err)
		}
	}
	refused, err := compiler.OnAscend(c)
	if list := (diag.List)(nil); err != nil && !errors.As(err, &list) {
		p.Errorf("%s, for a card: %v", words, err)
	}
	if err == nil && !refused.HasErrors() {
		if p.compile(words+", for a card", c, &compiler.Target{Blocks: build.BlockType, Ascend: &passes.Ascend{SoC: "910b3"}}) == nil {
			p.Errorf("%s: the check for a card finds nothing", words)
		}
	}
	p.accepted++
}
