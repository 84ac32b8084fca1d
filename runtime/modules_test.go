package rt

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/kernels"
	"lorac/runtime/weights"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/safetensors"
)

// modulesLoader is a loader over a base of 3 entries of 2 columns, whose adapter has an
// embedding of 5 and a head of 3.
func modulesLoader(t *testing.T, said *[]string) (l *Loader, embed, head *Stack) {
	t.Helper()
	dir := t.TempDir()
	base := func(name string, x ...float32) safetensors.Entry {
		return safetensors.Entry{Name: name, DType: "F32", Shape: []int{len(x) / 2, 2}, Write: safetensors.Bytes(peft.Bytes(x))}
	}
	path := filepath.Join(dir, "model.safetensors")
	if err := safetensors.Write(path, []safetensors.Entry{base("model.embed_tokens.weight", 1, 2, 3, 4, 5, 12), base("lm_head.weight", 1, 1, 2, 2, 3, 3)}, nil); err != nil {
		t.Fatal(err)
	}
	k := kernels.New(1)
	t.Cleanup(k.Close)
	j := &Job{}
	j.LoRA.Rank, j.LoRA.Alpha, j.LoRA.Modules = 1, 2, []string{"embed_tokens", "lm_head"}
	l = newLoader(j, k, nil, func(format string, args ...any) { *said = append(*said, fmt.Sprintf(format, args...)) })
	set, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	l.set = set
	t.Cleanup(set.Close)
	embed = &Stack{Names: []string{"model.tok_embeddings.embedding_weight"}, Rows: 5, Cols: 2, Data: make([]float32, 10)}
	head = &Stack{Names: []string{"lm_head.weight"}, Rows: 3, Cols: 2, Data: make([]float32, 6)}
	l.fixed = []*Stack{embed, head}
	for _, s := range l.fixed {
		l.moduleOfBase(s.Data, s.Names[0], s)
	}
	return l, embed, head
}

// Rows that the base has not start as the mean of its rows, and the base answers by its own
// modules where the adapter is switched off.
func TestModulesOfBase(t *testing.T) {
	var said []string
	l, embed, head := modulesLoader(t, &said)
	if len(l.faults) > 0 || l.grown != 5 || len(l.grew) != 1 {
		t.Fatal(l.faults, l.grown, l.grew)
	}
	grown := []float32{1, 2, 3, 4, 5, 12, 3, 6, 3, 6}
	if !slices.Equal(embed.Data, grown) || !slices.Equal(head.Data, []float32{1, 1, 2, 2, 3, 3}) {
		t.Fatalf("%v, %v", embed.Data, head.Data)
	}
	for i := range embed.Data {
		embed.Data[i] = float32(-i)
	}
	trained := slices.Clone(embed.Data)
	of := l.adapterSwitch()
	of(0)
	if !slices.Equal(embed.Data, grown) {
		t.Errorf("without the adapter the embedding is %v", embed.Data)
	}
	of(1)
	if !slices.Equal(embed.Data, trained) {
		t.Errorf("with it again it is %v", embed.Data)
	}
}

// An adapter's modules are those of the config, of its shapes.
func TestLoadModules(t *testing.T) {
	var said []string
	l, embed, head := modulesLoader(t, &said)
	dir := t.TempDir()
	a, b := peft.Tensor{Name: "model.layers.0.attention.wq.mindpet_delta_lora_a", Rows: 1, Cols: 2, Data: []float32{1, 2}}, peft.Tensor{Name: "model.layers.0.attention.wq.mindpet_delta_lora_b", Rows: 2, Cols: 1, Data: []float32{1, 2}}
	save := func(of ...peft.Tensor) *peft.Adapter {
		t.Helper()
		c := peft.Config{Rank: 1, Alpha: 2, Layers: 1}
		for _, m := range of {
			c.Modules = append(c.Modules, map[bool]string{true: "lm_head", false: "embed_tokens"}[m.Name == "lm_head.weight"])
		}
		if err := peft.Save(dir, c, append([]peft.Tensor{a, b}, of...)); err != nil {
			t.Fatal(err)
		}
		read, err := peft.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		return read
	}
	e := peft.Tensor{Name: embed.Names[0], Rows: 5, Cols: 2, Data: []float32{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}}
	h := peft.Tensor{Name: head.Names[0], Rows: 3, Cols: 2, Data: []float32{6, 5, 4, 3, 2, 1}}
	if err := l.loadModules(dir, save(e, h)); err != nil || !slices.Equal(embed.Data, e.Data) || !slices.Equal(head.Data, h.Data) {
		t.Errorf("%v: %v, %v", err, embed.Data, head.Data)
	}
	short := e
	short.Rows, short.Data = 4, e.Data[:8]
	for want, of := range map[string][]peft.Tensor{
		"has no lm_head.weight":                     {e},
		"set vocab_size: 4":                         {short, h},
		"has no model.embed_tokens.weight, and the": nil,
	} {
		if err := l.loadModules(dir, save(of...)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
	l.job.LoRA.Modules, l.fixed = []string{"lm_head"}, []*Stack{head}
	if err := l.loadModules(dir, save(e, h)); err == nil || !strings.Contains(err.Error(), "set modules_to_save: [embed_tokens, lm_head]") {
		t.Error(err)
	}
	// A tied module is embedding and head in the file, and one tensor here.
	l.job.LoRA.Modules, l.job.LoRA.Tied, l.fixed = []string{"embed_tokens"}, true, []*Stack{embed}
	clear(embed.Data)
	if err := peft.Save(dir, peft.Config{Rank: 1, Alpha: 2, Layers: 1, Modules: []string{"embed_tokens"}, Tied: true}, []peft.Tensor{a, b, e}); err != nil {
		t.Fatal(err)
	}
	tied, err := peft.Load(dir)
	if err != nil || len(tied.Modules) != 2 {
		t.Fatal(err, tied)
	}
	if err := l.loadModules(dir, tied); err != nil || !slices.Equal(embed.Data, e.Data) {
		t.Errorf("%v: %v", err, embed.Data)
	}
}
