package checkpoint

import (
	"fmt"
	"regexp"
	"strings"
)

// names is the one table of parameter names: MindFormers beside Hugging Face,
// without the layer prefix.
var names = [][2]string{
	{"attention.wq", "self_attn.q_proj"},
	{"attention.wk", "self_attn.k_proj"},
	{"attention.wv", "self_attn.v_proj"},
	{"attention.wo", "self_attn.o_proj"},
	{"feed_forward.w1", "mlp.gate_proj"},
	{"feed_forward.w2", "mlp.down_proj"},
	{"feed_forward.w3", "mlp.up_proj"},
	{"attention_norm", "input_layernorm"},
	{"ffn_norm", "post_attention_layernorm"},
}

// whole are the names outside the layers, complete.
var whole = [][2]string{
	{"model.tok_embeddings.embedding_weight", "model.embed_tokens.weight"},
	{"model.norm_out.weight", "model.norm.weight"},
	{"lm_head.weight", "lm_head.weight"},
}

// joined are the matrices qkv_concat stores as one: rows of the parts in order.
var joined = map[string][]string{
	"attention.w_qkv":            {"attention.wq", "attention.wk", "attention.wv"},
	"feed_forward.w_gate_hidden": {"feed_forward.w1", "feed_forward.w3"},
}

// suffixes are how weight and adapter matrices end in MindFormers and PEFT.
var suffixes = [][2]string{
	{".weight", ".weight"},
	{".mindpet_delta_lora_a", ".lora_A.weight"},
	{".mindpet_delta_lora_b", ".lora_B.weight"},
}

var layerName = regexp.MustCompile(`^model\.layers\.(\d+)\.(.+)$`)

// HF returns the Hugging Face name of a MindFormers parameter, or "".
func HF(name string) string { return translate(name, 0) }

// MindFormers returns the MindFormers name of a Hugging Face parameter, or "".
func MindFormers(name string) string { return translate(name, 1) }

func translate(name string, from int) string {
	to := 1 - from
	for _, w := range whole {
		if w[from] == name {
			return w[to]
		}
	}
	m := layerName.FindStringSubmatch(name)
	if m == nil {
		return ""
	}
	// Longest suffix first: ".lora_A.weight" also ends in ".weight".
	for i := len(suffixes) - 1; i >= 0; i-- {
		base, ok := strings.CutSuffix(m[2], suffixes[i][from])
		if !ok {
			continue
		}
		for _, n := range names {
			if n[from] == base {
				return fmt.Sprintf("model.layers.%s.%s%s", m[1], n[to], suffixes[i][to])
			}
		}
	}
	return ""
}

// Parts returns the MindFormers names of the matrices a qkv_concat parameter
// is made of, or nil.
func Parts(name string) []string {
	m := layerName.FindStringSubmatch(name)
	if m == nil {
		return nil
	}
	base, ok := strings.CutSuffix(m[2], ".weight")
	if !ok {
		return nil
	}
	var out []string
	for _, p := range joined[base] {
		out = append(out, fmt.Sprintf("model.layers.%s.%s.weight", m[1], p))
	}
	return out
}

// Module is the Hugging Face name of the module a LoRA leaf names, as PEFT
// lists it in target_modules: wq is q_proj.
func Module(leaf string) string {
	for _, n := range names {
		if strings.HasSuffix(n[0], "."+leaf) {
			return n[1][strings.LastIndexByte(n[1], '.')+1:]
		}
	}
	return leaf
}
