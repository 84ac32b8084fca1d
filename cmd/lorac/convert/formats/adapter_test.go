package formats

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/runtime/weights/gguf"
	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/safetensors"
	"lorac/runtime/weights/torch"
)

// smallModel has two heads of four rows, one of keys.
var smallModel = &Model{Hidden: 8, Heads: 2, KVHeads: 1, HeadDim: 4}

// factor is a matrix to put into a file.
type factor struct {
	name, dtype string
	rows, cols  int
	x           []float32
}

func random(name, dtype string, rows, cols int) factor {
	rng := rand.New(rand.NewPCG(uint64(len(name)), uint64(rows*1000+cols)))
	f := factor{name, dtype, rows, cols, nil}
	for range rows * cols {
		f.x = append(f.x, rng.Float32()-0.5)
	}
	return f
}

func (f factor) bytes(t *testing.T) []byte {
	b, err := Encode(f.x, f.dtype)
	must(t, err)
	return b
}

func writeCkpt(t *testing.T, path string, list ...factor) {
	t.Helper()
	var entries []mindspore.Entry
	for _, f := range list {
		entries = append(entries, mindspore.Entry{Name: f.name, DType: f.dtype, Shape: []int{f.rows, f.cols}, Write: mindspore.Bytes(f.bytes(t))})
	}
	must(t, mindspore.Write(path, entries, false))
}

func writePEFT(t *testing.T, dir, config string, list ...factor) {
	t.Helper()
	var entries []safetensors.Entry
	for _, f := range list {
		entries = append(entries, safetensors.Entry{Name: f.name, DType: f.dtype, Shape: []int{f.rows, f.cols}, Write: safetensors.Bytes(f.bytes(t))})
	}
	must(t, safetensors.Write(filepath.Join(dir, "adapter_model.safetensors"), entries, nil))
	must(t, os.WriteFile(filepath.Join(dir, "adapter_config.json"), []byte(config), 0o666))
}

func adapt(t *testing.T, in, to, out string, k Known) *Written {
	t.Helper()
	a, err := OpenAdapter(in, k)
	if err != nil {
		t.Fatalf("%s to %s: %v", in, to, err)
	}
	w, err := WriteAdapter(a, to, out, "", k.Model)
	if err != nil {
		t.Fatalf("%s to %s: %v", in, to, err)
	}
	return w
}

// delta is scale·B·A of a linear, its rows in halves.
func delta(t *testing.T, path, linear string, k Known) []float64 {
	t.Helper()
	a, err := OpenAdapter(path, k)
	must(t, err)
	for _, l := range a.Linears {
		if l.Name != linear {
			continue
		}
		fb, err := l.B.floats()
		must(t, err)
		fa, err := l.A.floats()
		must(t, err)
		var out []float64
		for i := range l.B.Shape[0] {
			for j := range l.A.Shape[1] {
				sum := 0.0
				for r := range l.Rank() {
					sum += float64(fb[i*l.Rank()+r]) * float64(fa[r*l.A.Shape[1]+j])
				}
				out = append(out, l.Scale*sum)
			}
		}
		return out
	}
	t.Fatalf("%s has no %s", path, linear)
	return nil
}

func near(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	for i := range want {
		if math.Abs(got[i]-want[i]) > tolerance*(1+math.Abs(want[i])) {
			t.Fatalf("%s: element %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

const q0 = "model.layers.0.attention.wq"

// TestAdapterRoundTrips takes the .ckpt of a training to each format and back
// through PEFT: the same bytes, in each type.
func TestAdapterRoundTrips(t *testing.T) {
	for _, dtype := range []string{"F32", "F16", "BF16"} {
		dir := t.TempDir()
		from := filepath.Join(dir, "from.ckpt")
		writeCkpt(t, from,
			random(q0+".mindpet_delta_lora_a", dtype, 2, 8), random(q0+".mindpet_delta_lora_b", dtype, 8, 2),
			random("model.layers.0.attention.wk.mindpet_delta_lora_a", dtype, 2, 8), random("model.layers.0.attention.wk.mindpet_delta_lora_b", dtype, 4, 2),
			random("model.layers.3.feed_forward.w2.mindpet_delta_lora_a", dtype, 2, 12), random("model.layers.3.feed_forward.w2.mindpet_delta_lora_b", dtype, 8, 2))
		k := Known{Model: smallModel, Alpha: 3}
		for to, name := range map[string]string{"peft": "p", "torchtune": "t", "gguf": "g.gguf"} {
			out := filepath.Join(dir, name)
			adapt(t, from, to, out, k)
			back, again := filepath.Join(dir, to+"_peft"), filepath.Join(dir, to+".ckpt")
			adapt(t, out, "peft", back, Known{Model: smallModel}) // the file says the alpha
			w := adapt(t, back, "mindformers", again, Known{})
			same(t, from, again)
			if w.Rank != 2 || w.Alpha != 3 || w.Padded+w.Scaled != 0 || fmt.Sprint(w.Targets) != "[w2 wk wq]" {
				t.Errorf("%s %s: %+v", to, dtype, w)
			}
		}
	}
}

// TestAdapterRows: B of the queries is stored with the rows of each head in
// pairs, A as it is; B of the values as it is.
func TestAdapterRows(t *testing.T) {
	dir := t.TempDir()
	b := factor{q0 + ".mindpet_delta_lora_b", "F32", 8, 1, []float32{0, 1, 2, 3, 4, 5, 6, 7}}
	a := random(q0+".mindpet_delta_lora_a", "F32", 1, 8)
	v := factor{"model.layers.0.attention.wv.mindpet_delta_lora_b", "F32", 4, 1, []float32{0, 1, 2, 3}}
	va := random("model.layers.0.attention.wv.mindpet_delta_lora_a", "F32", 1, 8)
	from := filepath.Join(dir, "from.ckpt")
	writeCkpt(t, from, a, b, va, v)
	adapt(t, from, "torchtune", filepath.Join(dir, "t"), Known{Model: smallModel, Alpha: 2})
	adapt(t, from, "gguf", filepath.Join(dir, "g.gguf"), Known{Model: smallModel, Alpha: 2})
	tt, err := torch.Open(filepath.Join(dir, "t", "adapter_0.pt"))
	must(t, err)
	defer tt.Close()
	g, err := gguf.Open(filepath.Join(dir, "g.gguf"))
	must(t, err)
	defer g.Close()
	want := map[string][]byte{
		"q_proj.lora_b": factor{x: []float32{0, 2, 1, 3, 4, 6, 5, 7}, dtype: "F32"}.bytes(t), // heads of four: 0 2 1 3
		"q_proj.lora_a": a.bytes(t),
		"v_proj.lora_b": v.bytes(t),
	}
	for name, data := range want {
		if got, ok := tt.Tensor("layers.0.attn." + name + ".weight"); !ok || !bytes.Equal(got.Data, data) {
			t.Errorf("torchtune's %s: %v %v", name, ok, got.Data)
		}
	}
	if got, ok := g.Tensor("blk.0.attn_q.weight.lora_b"); !ok || !bytes.Equal(got.Data, want["q_proj.lora_b"]) || fmt.Sprint(got.Shape) != "[8 1]" {
		t.Errorf("GGUF's B: %v %+v", ok, got)
	}
	if g.Meta["adapter.lora.alpha"] != 2.0 || g.Meta["general.type"] != "adapter" {
		t.Errorf("%v", g.Meta)
	}
}

// TestAdapterScales: what PEFT says of ranks and alphas has the same effect
// after each conversion.
func TestAdapterScales(t *testing.T) {
	const prefix = "base_model.model.model.layers.0.self_attn."
	q := []factor{random(prefix+"q_proj.lora_A.weight", "F32", 4, 8), random(prefix+"q_proj.lora_B.weight", "F32", 8, 4)}
	v := []factor{random(prefix+"v_proj.lora_A.weight", "F32", 2, 8), random(prefix+"v_proj.lora_B.weight", "F32", 4, 2)}
	for _, c := range []struct {
		what, config   string
		qScale, vScale float64
		tolerance      float64
	}{
		{"ranks", `{"peft_type":"LORA","r":4,"lora_alpha":8,"rank_pattern":{"v_proj":2}}`, 2, 4, 0},
		{"ranks, an odd alpha", `{"peft_type":"LORA","r":4,"lora_alpha":8,"rank_pattern":{"v_proj":2},"alpha_pattern":{"v_proj":3}}`, 2, 1.5, 1e-6},
		{"root of the rank", `{"peft_type":"LORA","r":4,"lora_alpha":6,"use_rslora":true,"rank_pattern":{"v_proj":2}}`, 3, 6 / math.Sqrt2, 1e-6},
	} {
		dir := t.TempDir()
		from := filepath.Join(dir, "from")
		writePEFT(t, from, c.config, append(q, v...)...)
		for _, l := range []struct {
			linear string
			f      []factor
			scale  float64
		}{{q0, q, c.qScale}, {"model.layers.0.attention.wv", v, c.vScale}} {
			var want []float64
			for i := range l.f[1].rows {
				for j := range 8 {
					sum := 0.0
					for r := range l.f[0].rows {
						sum += float64(l.f[1].x[i*l.f[1].cols+r]) * float64(l.f[0].x[r*8+j])
					}
					want = append(want, l.scale*sum)
				}
			}
			for to, name := range map[string]string{"peft": "p", "mindformers": "m.ckpt", "torchtune": "t", "gguf": "g.gguf"} {
				out := filepath.Join(dir, l.linear, name)
				w := adapt(t, from, to, out, Known{Model: smallModel})
				if to != "gguf" && to != "peft" && (w.Rank != 4 || w.Padded != 1) {
					t.Errorf("%s: %+v", to, w)
				}
				k := Known{Model: smallModel}
				if to == "mindformers" {
					k.Alpha = w.Alpha
				}
				near(t, c.what+" "+to, delta(t, out, l.linear, k), want, max(c.tolerance, 1e-12))
			}
		}
	}
}

// TestAdapterForms: with the base in it, in old spellings, of qkv_concat,
// as a file of torch.
func TestAdapterForms(t *testing.T) {
	dir := t.TempDir()
	a, b := random(q0+".mindpet_delta_lora_a", "F32", 2, 8), random(q0+".mindpet_delta_lora_b", "F32", 8, 2)
	plain := filepath.Join(dir, "plain.ckpt")
	writeCkpt(t, plain, a, b)
	adapt(t, plain, "peft", filepath.Join(dir, "want"), Known{Alpha: 4})
	rename := func(f factor, name string) factor { f.name = name; return f }
	file := filepath.Join(dir, "full.ckpt")
	writeCkpt(t, file, random("model.norm_out.weight", "F32", 8, 1), a, b, random("adam_m."+a.name, "F32", 2, 8), random(q0+".weight", "F32", 8, 8))
	adapt(t, file, "peft", filepath.Join(dir, "full"), Known{Alpha: 4})
	file = filepath.Join(dir, "old.ckpt")
	writeCkpt(t, file, rename(a, q0+".tk_delta_lora_a"), rename(b, q0+".tk_delta_lora_b"))
	adapt(t, file, "peft", filepath.Join(dir, "old"), Known{Alpha: 4})
	bin := filepath.Join(dir, "bin")
	must(t, os.Mkdir(bin, 0o777))
	const name = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
	must(t, torch.Write(filepath.Join(bin, "adapter_model.bin"), []torch.Entry{
		{Name: name + "A.weight", DType: "F32", Shape: []int{2, 8}, Write: mindspore.Bytes(a.bytes(t))}, {Name: name + "B.weight", DType: "F32", Shape: []int{8, 2}, Write: mindspore.Bytes(b.bytes(t))}}))
	must(t, os.WriteFile(filepath.Join(bin, "adapter_config.json"), []byte(`{"peft_type":"LORA","r":2,"lora_alpha":4}`), 0o666))
	adapt(t, bin, "peft", filepath.Join(dir, "torch"), Known{})
	for _, other := range []string{"full", "old", "torch"} {
		same(t, filepath.Join(dir, "want", "adapter_model.safetensors"), filepath.Join(dir, other, "adapter_model.safetensors"))
		same(t, filepath.Join(dir, "want", "adapter_config.json"), filepath.Join(dir, other, "adapter_config.json"))
	}
	// w_qkv of width 8: queries of 8 rows, keys and values of 4; A for each.
	qa, qb := random("model.layers.0.attention.w_qkv.mindpet_delta_lora_a", "F32", 2, 8), random("model.layers.0.attention.w_qkv.mindpet_delta_lora_b", "F32", 16, 2)
	file = filepath.Join(dir, "qkv.ckpt")
	writeCkpt(t, file, qa, qb)
	x, err := OpenAdapter(file, Known{Alpha: 4})
	must(t, err)
	if len(x.Linears) != 3 {
		t.Fatalf("%d linears", len(x.Linears))
	}
	at := 0
	for i, rows := range []int{8, 4, 4} {
		l := x.Linears[i]
		fa, _ := l.A.data()
		fb, _ := l.B.data()
		if !bytes.Equal(fa, qa.bytes(t)) || !bytes.Equal(fb, qb.bytes(t)[at:at+8*rows]) {
			t.Errorf("%s has other rows", l.Name)
		}
		at += 8 * rows
	}
}

func TestAdapterRefuses(t *testing.T) {
	a, b := random(q0+".mindpet_delta_lora_a", "F32", 2, 8), random(q0+".mindpet_delta_lora_b", "F32", 8, 2)
	with := func(f factor, change func(f *factor)) factor { change(&f); return f }
	nan := with(b, func(f *factor) { f.x = append([]float32{float32(math.NaN())}, f.x[1:]...) })
	for _, c := range []struct {
		what  string
		list  []factor
		k     Known
		to    string
		words string
	}{
		{"no alpha", []factor{a, b}, Known{}, "peft", "--lora_alpha"},
		{"half", []factor{a}, Known{Alpha: 1}, "peft", "only one of its two"},
		{"ranks", []factor{a, random(b.name, "F32", 8, 3)}, Known{Alpha: 1}, "peft", "[2 8] and [8 3]"},
		{"diverged", []factor{a, nan}, Known{Alpha: 1}, "peft", "diverged"},
		{"no adapter", []factor{random(q0+".weight", "F32", 8, 8)}, Known{Alpha: 1}, "peft", "holds no adapter"},
		{"of an embedding", []factor{random("model.tok_embeddings.mindpet_delta_lora_a", "F32", 2, 8)}, Known{Alpha: 1}, "peft", "no linear of a Llama"},
		{"no heads", []factor{a, b}, Known{Alpha: 1}, "torchtune", "how many heads"},
		{"other heads", []factor{a, b}, Known{Model: &Model{HeadDim: 6}, Alpha: 1}, "torchtune", "no heads of 6"},
		{"too great", []factor{with(a, func(f *factor) { f.name, f.rows, f.cols, f.x = a.name, 1, 2, []float32{1, 2} }),
			{b.name, "F32", 2, 1, []float32{1e6, 1}}}, Known{Alpha: 1}, "f16", "too great"},
		{"twice", []factor{a, b, random(q0+".tk_delta_lora_a", "F32", 2, 8)}, Known{Alpha: 1}, "peft", "the same matrix"},
	} {
		dir := t.TempDir()
		from, out := filepath.Join(dir, "from.ckpt"), filepath.Join(dir, "out")
		writeCkpt(t, from, c.list...)
		x, err := OpenAdapter(from, c.k)
		if err == nil {
			to, dtype := c.to, ""
			if to == "f16" {
				to, dtype = "peft", "F16"
			}
			_, err = WriteAdapter(x, to, out, dtype, c.k.Model)
		}
		if err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: error %v, want %q in it", c.what, err, c.words)
		}
		if list, _ := filepath.Glob(out + "/*"); len(list) > 0 {
			t.Errorf("%s: %v is left", c.what, list)
		}
	}
}

// The real adapter, through every format.
func TestRealAdapter(t *testing.T) {
	const shared = "../../../../../shared/data/adapters/smollm135m_medical_ckpt1000"
	if _, err := os.Stat(shared); err != nil {
		t.Skip("the real adapter is not here:", err)
	}
	k := Known{Model: &Model{HeadDim: 64}, Alpha: 32}
	at, dir := shared, t.TempDir()
	for i, to := range []string{"mindformers", "peft", "torchtune", "gguf", "mindformers", "peft"} {
		out := filepath.Join(dir, fmt.Sprint(i), map[string]string{"mindformers": "m.ckpt", "gguf": "g.gguf"}[to])
		adapt(t, at, to, out, k)
		if at = out; to == "peft" {
			same(t, filepath.Join(shared, "adapter_model.safetensors"), filepath.Join(out, "adapter_model.safetensors"))
		}
	}
}
