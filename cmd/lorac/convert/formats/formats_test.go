package formats

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/runtime/weights/gguf"
	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/safetensors"
	"lorac/runtime/weights/torch"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tiny is a model of two layers: width 8, two heads of four rows, one of keys.
const tinyConfig = `{"model_type": "llama", "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
 "num_key_value_heads": 1, "vocab_size": 10, "max_position_embeddings": 16, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": %v,
 "bos_token_id": 1, "eos_token_id": 2}`

// writeTiny makes a Hugging Face directory with random numbers.
func writeTiny(t *testing.T, dir, dtype string, tied bool) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	var entries []safetensors.Entry
	add := func(name string, shape ...int) {
		n := 1
		for _, d := range shape {
			n *= d
		}
		x := make([]float32, n)
		for i := range x {
			x[i] = rng.Float32() - 0.5
		}
		data, err := Encode(x, dtype)
		must(t, err)
		entries = append(entries, safetensors.Entry{Name: name, DType: dtype, Shape: shape, Write: safetensors.Bytes(data)})
	}
	add("model.embed_tokens.weight", 10, 8)
	for i := range 2 {
		p := fmt.Sprintf("model.layers.%d.", i)
		add(p+"self_attn.q_proj.weight", 8, 8)
		add(p+"self_attn.k_proj.weight", 4, 8)
		add(p+"self_attn.v_proj.weight", 4, 8)
		add(p+"self_attn.o_proj.weight", 8, 8)
		add(p+"mlp.gate_proj.weight", 12, 8)
		add(p+"mlp.up_proj.weight", 12, 8)
		add(p+"mlp.down_proj.weight", 8, 12)
		add(p+"input_layernorm.weight", 8)
		add(p+"post_attention_layernorm.weight", 8)
	}
	add("model.norm.weight", 8)
	if !tied {
		add("lm_head.weight", 10, 8)
	}
	must(t, safetensors.Write(filepath.Join(dir, "model.safetensors"), entries, map[string]string{"format": "pt"}))
	must(t, os.WriteFile(filepath.Join(dir, "config.json"), fmt.Appendf(nil, tinyConfig, tied), 0o666))
	must(t, os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte(bpe), 0o666))
}

func convert(t *testing.T, in, to, out string, o Options, known *Model) {
	t.Helper()
	s, err := Open(in, known)
	if err != nil {
		t.Fatalf("%s to %s: %v", in, to, err)
	}
	defer s.Close()
	if _, err := Write(s, to, out, o); err != nil {
		t.Fatalf("%s to %s: %v", in, to, err)
	}
}

func same(t *testing.T, a, b string) {
	t.Helper()
	x, err := os.ReadFile(a)
	must(t, err)
	y, err := os.ReadFile(b)
	must(t, err)
	if !bytes.Equal(x, y) {
		t.Errorf("%s and %s differ", a, b)
	}
}

// TestRoundTrips takes a model through every format and back: the same bytes.
func TestRoundTrips(t *testing.T) {
	outs := map[string]string{"hf": "hf", "mindformers": "m.ckpt", "meta": "meta", "llama2c": "m.bin", "torchtune": "tt", "gguf": "m.gguf"}
	for _, tied := range []bool{false, true} {
		for _, dtype := range []string{"F32", "F16", "BF16"} {
			t.Run(fmt.Sprint(dtype, tied), func(t *testing.T) {
				dir := t.TempDir()
				base := filepath.Join(dir, "base")
				writeTiny(t, base, dtype, tied)
				known, err := ModelOf(fmt.Appendf(nil, tinyConfig, tied))
				must(t, err)
				for to, name := range outs {
					for _, o := range []Options{{}, {QKVConcat: true}, {MaxShard: 400}, {Version: 1}} {
						if o.QKVConcat && to != "mindformers" || o.MaxShard > 0 && to != "hf" || o.Version > 0 && to != "llama2c" {
							continue
						}
						out := filepath.Join(dir, fmt.Sprint(o.QKVConcat, o.MaxShard, o.Version), name)
						convert(t, base, to, out, o, nil)
						back := filepath.Join(dir, fmt.Sprint(o.QKVConcat, o.MaxShard, o.Version), to+"_back")
						if to == "gguf" && dtype != "F32" {
							// Its norms are F32: 16 bits come back when all are asked for so.
							convert(t, out, "hf", back, Options{DType: dtype}, nil)
						} else if to == "llama2c" {
							convert(t, out, "hf", back, Options{DType: dtype}, nil)
						} else if to == "mindformers" {
							convert(t, out, "hf", back, Options{}, &known)
						} else {
							convert(t, out, "hf", back, Options{}, nil)
						}
						same(t, filepath.Join(base, "model.safetensors"), filepath.Join(back, "model.safetensors"))
						var got, want map[string]any
						text, err := os.ReadFile(filepath.Join(back, "config.json"))
						must(t, err)
						must(t, json.Unmarshal(text, &got))
						must(t, json.Unmarshal(fmt.Appendf(nil, tinyConfig, tied), &want))
						for key := range want {
							if to == "meta" && slices.Contains([]string{"max_position_embeddings", "bos_token_id", "eos_token_id"}, key) ||
								to == "gguf" && strings.HasSuffix(key, "token_id") {
								continue // the format has no place for it
							}
							if fmt.Sprint(got[key]) != fmt.Sprint(want[key]) {
								t.Errorf("%s: %s is %v, was %v", to, key, got[key], want[key])
							}
						}
					}
				}
			})
		}
	}
}

// TestScoresAgree computes q·k of two positions from the weights as Hugging
// Face turns them (halves) and as Meta does (pairs of neighbours): equal, and
// different when the rows are not moved.
func TestScoresAgree(t *testing.T) {
	dir := t.TempDir()
	base, meta := filepath.Join(dir, "base"), filepath.Join(dir, "meta")
	writeTiny(t, base, "F32", false)
	convert(t, base, "meta", meta, Options{}, nil)
	hf, err := safetensors.Open(filepath.Join(base, "model.safetensors"))
	must(t, err)
	defer hf.Close()
	pt, err := torch.Open(filepath.Join(meta, "consolidated.00.pth"))
	must(t, err)
	defer pt.Close()
	project := func(data []byte, x []float64) []float64 {
		out := make([]float64, len(data)/4/len(x))
		for i := range out {
			for j, v := range x {
				out[i] += v * float64(math.Float32frombits(binary.LittleEndian.Uint32(data[4*(i*len(x)+j):])))
			}
		}
		return out
	}
	turn := func(v []float64, pos float64, neighbours bool) []float64 { // heads of four rows
		out := slices.Clone(v)
		for h := 0; h < len(v); h += 4 {
			for j := range 2 {
				a, b := h+j, h+j+2
				if neighbours {
					a, b = h+2*j, h+2*j+1
				}
				angle := pos * math.Pow(10000, -2*float64(j)/4)
				out[a] = v[a]*math.Cos(angle) - v[b]*math.Sin(angle)
				out[b] = v[a]*math.Sin(angle) + v[b]*math.Cos(angle)
			}
		}
		return out
	}
	x := []float64{0.3, -1, 0.7, 2, -0.4, 0.1, 1.5, -0.9}
	scores := func(q, k []byte, neighbours bool) (s []float64) {
		qs, ks := turn(project(q, x), 7, neighbours), turn(project(k, x), 3, neighbours)
		for h := range 2 {
			dot := 0.0
			for i := range 4 {
				dot += qs[4*h+i] * ks[i]
			}
			s = append(s, dot)
		}
		return s
	}
	q, _ := hf.Tensor("model.layers.1.self_attn.q_proj.weight")
	k, _ := hf.Tensor("model.layers.1.self_attn.k_proj.weight")
	mq, _ := pt.Tensor("layers.1.attention.wq.weight")
	mk, _ := pt.Tensor("layers.1.attention.wk.weight")
	want, got, wrong := scores(q.Data, k.Data, false), scores(mq.Data, mk.Data, true), scores(q.Data, k.Data, true)
	for h := range want {
		if math.Abs(want[h]-got[h]) > 1e-12 {
			t.Errorf("head %d: %v as Hugging Face, %v as Meta", h, want[h], got[h])
		}
		if math.Abs(want[h]-wrong[h]) < 1e-3 {
			t.Errorf("head %d: the order of rows makes no difference, so this test shows nothing", h)
		}
	}
}

// The order of rows of a head of eight, as the reference of each side prints it.
func TestRowOrder(t *testing.T) {
	for i, want := range []int{0, 2, 4, 6, 1, 3, 5, 7} {
		if FromPairs(i, 8) != want || FromPairs(8+i, 8) != 8+want {
			t.Errorf("from pairs: row %d is %d, want %d", i, FromPairs(i, 8), want)
		}
	}
	for i, want := range []int{0, 4, 1, 5, 2, 6, 3, 7} {
		if FromHalves(i, 8) != want || FromHalves(8+i, 8) != 8+want {
			t.Errorf("from halves: row %d is %d, want %d", i, FromHalves(i, 8), want)
		}
	}
}

// The real model lies there in two forms that others made.
func TestRealModel(t *testing.T) {
	const shared = "../../../../../shared/data/models/stories260K"
	if _, err := os.Stat(shared); err != nil {
		t.Skip("the real model is not here:", err)
	}
	dir := t.TempDir()
	convert(t, filepath.Join(shared, "stories260K.bin"), "hf", filepath.Join(dir, "hf"), Options{}, nil)
	same(t, filepath.Join(shared, "hf", "model.safetensors"), filepath.Join(dir, "hf", "model.safetensors"))
}

// TestConcat holds w_qkv and w_gate_hidden against their parts laid end to end.
func TestConcat(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, "base")
	writeTiny(t, base, "F32", true)
	convert(t, base, "mindformers", filepath.Join(dir, "m.ckpt"), Options{QKVConcat: true}, nil)
	hf, err := safetensors.Open(filepath.Join(base, "model.safetensors"))
	must(t, err)
	defer hf.Close()
	mf, err := mindspore.Open(filepath.Join(dir, "m.ckpt"))
	must(t, err)
	defer mf.Close()
	for name, parts := range map[string][]string{
		"model.layers.1.attention.w_qkv.weight":            {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
		"model.layers.1.feed_forward.w_gate_hidden.weight": {"mlp.gate_proj", "mlp.up_proj"},
	} {
		var want []byte
		for _, p := range parts {
			x, _ := hf.Tensor("model.layers.1." + p + ".weight")
			want = append(want, x.Data...)
		}
		if got, ok := mf.Tensor(name); !ok || !bytes.Equal(got.Data, want) {
			t.Errorf("%s: %v", name, ok)
		}
	}
	if _, ok := mf.Tensor("model.layers.1.attention.wq.weight"); ok || len(mf.Names()) != 2+2*6 {
		t.Errorf("%v", mf.Names())
	}
}

func TestShards(t *testing.T) {
	dir := t.TempDir()
	base, out := filepath.Join(dir, "base"), filepath.Join(dir, "out")
	writeTiny(t, base, "F16", false)
	convert(t, base, "hf", out, Options{MaxShard: 600}, nil)
	files, _ := filepath.Glob(filepath.Join(out, "*.safetensors"))
	whole := 0
	for _, f := range files {
		x, err := safetensors.Open(f)
		must(t, err)
		n := 0
		for _, name := range x.Names() {
			tensor, _ := x.Tensor(name)
			n += len(tensor.Data)
		}
		x.Close()
		if n > 600 {
			t.Errorf("%s has %d bytes of tensors", f, n)
		}
		whole += n
	}
	if len(files) < 4 || filepath.Base(files[0]) != fmt.Sprintf("model-00001-of-%05d.safetensors", len(files)) {
		t.Errorf("%v", files)
	}
	var index struct {
		Metadata struct{ TotalSize int } `json:"metadata"`
	}
	text, _ := os.ReadFile(filepath.Join(out, "model.safetensors.index.json"))
	if err := json.Unmarshal([]byte(strings.Replace(string(text), "total_size", "TotalSize", 1)), &index); err != nil || index.Metadata.TotalSize != whole {
		t.Errorf("total_size %d, %d are there (%v)", index.Metadata.TotalSize, whole, err)
	}
	s, err := Open(base, nil)
	must(t, err)
	defer s.Close()
	if _, err := Write(s, "hf", out, Options{}); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("wrote over a model: %v", err)
	}
}

func TestRefuses(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, "base")
	writeTiny(t, base, "F32", false)
	change := func(old, new string) {
		text, _ := os.ReadFile(filepath.Join(base, "config.json"))
		if !strings.Contains(string(text), old) {
			t.Fatalf("no %s", old)
		}
		must(t, os.WriteFile(filepath.Join(base, "config.json"), []byte(strings.Replace(string(text), old, new, 1)), 0o666))
	}
	for _, c := range []struct{ old, new, to, out, words string }{
		{`"rope_theta": 10000.0`, `"rope_theta": 500000.0`, "llama2c", "m.bin", "rope_theta 10000"},
		{`1e-05`, `1e-06`, "llama2c", "m.bin", "epsilon"},
		{`1e-05`, `"x"`, "hf", "out", "a number is due"},
		{`"rope_theta"`, `"rope_scaling": {"rope_type": "yarn", "factor": 2.0}, "rope_theta"`, "meta", "meta", "is scaled"},
		{`"rope_theta"`, `"rope_scaling": {"rope_type": "yarn", "factor": 2.0}, "rope_theta"`, "gguf", "m.gguf", "is scaled"},
		{`"num_attention_heads": 2`, `"num_attention_heads": 4`, "meta", "meta", "heads of keys"},
		{`"num_attention_heads": 2`, `"num_attention_heads": 3`, "meta", "meta", "no 3 heads"},
		{`"vocab_size": 10`, `"vocab_size": 11`, "hf", "out", "vocabulary of 11, the weights have 10"},
		{`"num_hidden_layers": 2`, `"num_hidden_layers": 3`, "hf", "out", "layers: 3"},
		{`"rope_theta"`, `"attention_bias": true, "rope_theta"`, "hf", "out", "wq.bias is missing"},
		{`"model_type"`, `"model_type"`, "mindformers", "out", ".ckpt"},
		{`"model_type"`, `"model_type"`, "llama2c", "out", ".bin"},
		{`"model_type"`, `"model_type"`, "onnx", "out", "no format"},
	} {
		change(c.old, c.new)
		s, err := Open(base, nil)
		if err == nil {
			_, err = Write(s, c.to, filepath.Join(dir, c.out), Options{})
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s → %s: error %v, want %q in it", c.new, c.to, err, c.words)
		}
		if _, err := os.Stat(filepath.Join(dir, c.out)); err == nil {
			t.Errorf("%s → %s: something is left", c.new, c.to)
		}
		must(t, os.WriteFile(filepath.Join(base, "config.json"), fmt.Appendf(nil, tinyConfig, false), 0o666))
	}
	if _, err := Encode([]float32{1, 65520}, "F16"); err == nil || !strings.Contains(err.Error(), "too great") {
		t.Error(err)
	}
	must(t, os.Rename(filepath.Join(base, "tokenizer.json"), filepath.Join(dir, "tokenizer.json")))
	s, err := Open(base, nil)
	must(t, err)
	if _, err := Write(s, "gguf", filepath.Join(dir, "m.gguf"), Options{}); err == nil || !strings.Contains(err.Error(), "which llama.cpp does not load") {
		t.Errorf("a GGUF file without a tokenizer: %v", err)
	}
	if _, err := Write(s, "gguf", filepath.Join(dir, "m.gguf"), Options{Tokenizer: dir}); err != nil {
		t.Errorf("with the tokenizer of another directory: %v", err)
	}
	s.Close()
	must(t, os.Remove(filepath.Join(base, "config.json")))
	s, err = Open(base, nil)
	must(t, err)
	defer s.Close()
	if _, err := Write(s, "meta", filepath.Join(dir, "meta"), Options{}); err == nil || !strings.Contains(err.Error(), "how many heads") {
		t.Errorf("without a config: %v", err)
	}
}

// params.json gives the inner width by Meta's formula; here for Llama 2 of 7B
// and 70B, as they were published, and for an odd one.
func TestMetaWidths(t *testing.T) {
	for _, c := range []struct{ hidden, ffn int }{{4096, 11008}, {8192, 28672}, {5120, 13824}, {4096, 14336}, {64, 172}, {8, 12}, {2048, 5632}, {288, 768}, {576, 1536}, {96, 101}} {
		m := Model{Hidden: c.hidden, FFN: c.ffn, Heads: 1, HeadDim: c.hidden, KVHeads: 1}
		text, err := m.metaParams()
		must(t, err)
		var p struct {
			Multiple   int      `json:"multiple_of"`
			Multiplier *float64 `json:"ffn_dim_multiplier"`
		}
		must(t, json.Unmarshal(text, &p))
		h := 2 * (4 * c.hidden) / 3
		if p.Multiplier != nil {
			h = int(*p.Multiplier * float64(h))
		}
		if got := p.Multiple * ((h + p.Multiple - 1) / p.Multiple); got != c.ffn {
			t.Errorf("width %d: Meta makes %d of it, %d is due (%s)", c.hidden, got, c.ffn, text)
		}
	}
}

func FuzzModel(f *testing.F) {
	f.Add(fmt.Appendf(nil, tinyConfig, true))
	f.Add([]byte(`{"dim": 8, "n_heads": 0, "vocab_size": -1, "n_layers": 1e9}`))
	f.Add([]byte(`{"hidden_size": 8, "num_attention_heads": 1e300, "rope_parameters": {"rope_type": 3}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ModelOf(text)
		if err == nil && (m.Hidden < 0 || m.Heads < 0 || m.HeadDim < 0) {
			t.Fatalf("%+v", m)
		}
	})
}

// A GGUF file has the scaling of the rotary embedding as metadata, or, for llama3, as the
// tensor of what frequencies are divided by.
func TestGGUFScaling(t *testing.T) {
	for scaling, want := range map[string]string{
		`{"rope_type": "linear", "factor": 2.0}`:                                       "linear 2 <nil>",
		`{"type": "linear", "factor": 4.0}`:                                            "linear 4 <nil>",
		`{"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 32}`: "yarn 2 32",
		`{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}`: "<nil> <nil> 64 [1 8]",
	} {
		dir := t.TempDir()
		base, out := filepath.Join(dir, "base"), filepath.Join(dir, "m.gguf")
		writeTiny(t, base, "F32", false)
		text, err := os.ReadFile(filepath.Join(base, "config.json"))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(base, "config.json"), []byte(strings.Replace(string(text), `"rope_theta"`, `"rope_scaling": `+scaling+`, "rope_theta"`, 1)), 0o666))
		convert(t, base, "gguf", out, Options{}, nil)
		f, err := gguf.Open(out)
		must(t, err)
		got := fmt.Sprintf("%v %v %v", f.Meta["llama.rope.scaling.type"], f.Meta["llama.rope.scaling.factor"], f.Meta["llama.rope.scaling.original_context_length"])
		if x, ok := f.Tensor("rope_freqs.weight"); ok {
			data, err := peft.Floats("F32", x.Data)
			must(t, err)
			got += fmt.Sprintf(" %.3g", data)
		}
		f.Close()
		if got != want {
			t.Errorf("%s: %s, want %s", scaling, got, want)
		}
		if !strings.Contains(scaling, "yarn") {
			convert(t, out, "hf", filepath.Join(dir, "back"), Options{}, nil)
			text, err := os.ReadFile(filepath.Join(dir, "back", "config.json"))
			must(t, err)
			if kind := map[bool]string{true: `"llama3"`, false: `"linear"`}[strings.Contains(scaling, "llama3")]; !strings.Contains(string(text), kind) {
				t.Errorf("and back: %s", text)
			}
		}
	}
}
