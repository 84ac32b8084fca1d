package formats

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/runtime/weights/gguf"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/safetensors"
)

// biasKinds are networks of transformers by their biases.
var biasKinds = map[string]struct {
	config  string // what config.json says
	linears []string
	arch    string // of llama.cpp
}{
	"qwen2":     {`"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]`, []string{"q_proj", "k_proj", "v_proj"}, "qwen2"},
	"attention": {`"model_type": "llama", "attention_bias": true`, []string{"q_proj", "k_proj", "v_proj", "o_proj"}, "llama"},
	"all":       {`"model_type": "llama", "attention_bias": true, "mlp_bias": true`, []string{"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}, "llama"},
}

// writeBiased is writeTiny with biases: number i of the one of a linear in layer l is
// value(l, i).
func writeBiased(t *testing.T, dir, kind string, value func(layer, i int) float32) {
	t.Helper()
	writeTiny(t, dir, "F32", true)
	set, err := safetensors.OpenSet(dir)
	must(t, err)
	var entries []safetensors.Entry
	for _, name := range naming.ParameterNames(2, naming.SchemeHuggingFace, false) {
		s, ok := set.Tensor(name)
		if !ok {
			continue
		}
		data := append([]byte(nil), s.Data...)
		entries = append(entries, safetensors.Entry{Name: name, DType: "F32", Shape: s.Shape, Write: safetensors.Bytes(data)})
		for _, l := range biasKinds[kind].linears {
			if strings.HasSuffix(name, l+".weight") {
				x := make([]float32, s.Shape[0])
				for i := range x {
					x[i] = value(naming.Layer(name), i)
				}
				entries = append(entries, safetensors.Entry{Name: strings.TrimSuffix(name, "weight") + "bias", DType: "F32", Shape: s.Shape[:1], Write: safetensors.Bytes(peft.Bytes(x))})
			}
		}
	}
	set.Close()
	must(t, os.RemoveAll(dir))
	must(t, safetensors.Write(filepath.Join(dir, "model.safetensors"), entries, map[string]string{"format": "pt"}))
	text := strings.Replace(fmt.Sprintf(tinyConfig, true), `"model_type": "llama"`, biasKinds[kind].config, 1)
	must(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o666))
	must(t, os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte(bpe), 0o666))
}

func counted(layer, i int) float32 { return float32(10*layer+i) + 0.5 }

// TestBiasRoundTrips takes models with biases through the formats that have them and
// back: the same bytes. The others refuse them.
func TestBiasRoundTrips(t *testing.T) {
	for kind := range biasKinds {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			base := filepath.Join(dir, "base")
			writeBiased(t, base, kind, counted)
			// Weights and biases in the order of the network: that of what is written.
			convert(t, base, "hf", filepath.Join(dir, "hf"), Options{}, nil)
			for i, to := range []string{"mindformers", "mindformers", "torchtune", "gguf"} {
				out := filepath.Join(dir, fmt.Sprint(i), map[string]string{"mindformers": "m.ckpt", "torchtune": "tt", "gguf": "m.gguf"}[to])
				back := filepath.Join(dir, fmt.Sprint(i), "back")
				convert(t, base, to, out, Options{QKVConcat: i == 1}, nil)
				var known *Model
				if to == "mindformers" {
					m, err := configIn(base)
					must(t, err)
					known = &m
				}
				convert(t, out, "hf", back, Options{}, known)
				same(t, filepath.Join(dir, "hf", "model.safetensors"), filepath.Join(back, "model.safetensors"))
				m, err := configIn(back)
				must(t, err)
				if want := kind == "qwen2"; m.qwen2() != want || !m.QKVBias || m.MLPBias != (kind == "all") {
					t.Errorf("%s: config.json says %+v", to, m)
				}
				if to != "gguf" {
					continue
				}
				// llama.cpp turns halves for qwen2; for llama, rows j and j+2 of a head of four are adjacent.
				f, err := gguf.Open(out)
				must(t, err)
				if arch, _ := f.Meta["general.architecture"].(string); arch != biasKinds[kind].arch || f.Meta[arch+".block_count"] == nil {
					t.Errorf("architecture %s", arch)
				}
				q, _ := f.Tensor("blk.1.attn_q.bias")
				v, _ := f.Tensor("blk.1.attn_v.bias")
				want := []float32{10.5, 12.5, 11.5, 13.5, 14.5, 16.5, 15.5, 17.5}
				if kind == "qwen2" {
					want = []float32{10.5, 11.5, 12.5, 13.5, 14.5, 15.5, 16.5, 17.5}
				}
				if string(q.Data) != string(peft.Bytes(want)) || string(v.Data) != string(peft.Bytes([]float32{10.5, 11.5, 12.5, 13.5})) {
					t.Errorf("%s: the bias of queries is not in the order of its rows", kind)
				}
				f.Close()
			}
			s, err := Open(base, nil)
			must(t, err)
			defer s.Close()
			for to, want := range map[string]string{"meta": "has no name in a checkpoint of Meta", "llama2c": "llama2.c computes no biases"} {
				if _, err := Write(s, to, filepath.Join(dir, "no.bin"), Options{}); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v", to, err)
				}
			}
		})
	}
}

// TestIdleBiases: biases that are all zero have a place where the config says that the
// model has them; elsewhere they are left out.
func TestIdleBiases(t *testing.T) {
	dir := t.TempDir()
	writeBiased(t, dir, "qwen2", func(int, int) float32 { return 0 })
	s, err := Open(dir, nil)
	must(t, err)
	if !s.Model.QKVBias || len(s.Noted) != 0 {
		t.Errorf("left out: %v", s.Noted)
	}
	s.Close()
	must(t, os.WriteFile(filepath.Join(dir, "config.json"), fmt.Appendf(nil, tinyConfig, true), 0o666))
	s, err = Open(dir, nil)
	must(t, err)
	defer s.Close()
	if s.Model.QKVBias || len(s.Noted) != 1 || !strings.Contains(s.Noted[0], "q_proj.bias") || !strings.Contains(s.Noted[0], "and 3 more") {
		t.Errorf("left out: %v", s.Noted)
	}
}

// TestBiasLogits: what verifies a merge computes biases.
func TestBiasLogits(t *testing.T) {
	dir := t.TempDir()
	logits := func(value func(int, int) float32) []float32 {
		writeBiased(t, dir, "all", value)
		s, err := Open(dir, nil)
		must(t, err)
		defer s.Close()
		m, err := s.logits([]int32{1, 2, 3}, nil)
		must(t, err)
		return m.Data
	}
	with, without := logits(counted), logits(func(int, int) float32 { return 0 })
	if fmt.Sprint(with) == fmt.Sprint(without) {
		t.Error("biases change nothing")
	}
}

// TestQwen2Adapter: adapters of a model with Qwen2's biases have their rows in halves in
// every format, and come back from each.
func TestQwen2Adapter(t *testing.T) {
	dir := t.TempDir()
	b := factor{q0 + ".mindpet_delta_lora_b", "F32", 8, 1, []float32{0, 1, 2, 3, 4, 5, 6, 7}}
	from := filepath.Join(dir, "from.ckpt")
	writeCkpt(t, from, random(q0+".mindpet_delta_lora_a", "F32", 1, 8), b)
	model := *smallModel
	model.QKVBias = true
	k := Known{Model: &model, Alpha: 2}
	for to, name := range map[string]string{"peft": "p", "torchtune": "t", "gguf": "g.gguf"} {
		out := filepath.Join(dir, name)
		adapt(t, from, to, out, k)
		adapt(t, out, "mindformers", filepath.Join(dir, to+".ckpt"), Known{Model: &model})
		same(t, from, filepath.Join(dir, to+".ckpt"))
	}
	f, err := gguf.Open(filepath.Join(dir, "g.gguf"))
	must(t, err)
	defer f.Close()
	if q, _ := f.Tensor("blk.0.attn_q.weight.lora_b"); string(q.Data) != string(b.bytes(t)) || f.Meta["general.architecture"] != "qwen2" {
		t.Errorf("%v %v", q.Data, f.Meta)
	}
}
