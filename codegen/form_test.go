package codegen_test

import (
	"fmt"
	"strings"
	"testing"

	"lorac/codegen"
	"lorac/compiler"
	"lorac/ir"
)

// An edit that has no form in a program is named with the line of the dump.
func TestFormless(t *testing.T) {
	f := frozen{layers: 2, targets: "wq|wv"}
	list := dumps(t, f, false)
	text := list[len(list)-1]
	for _, c := range []struct{ old, by, want string }{
		{"setting epochs = 1", "setting epochs = yes", "the setting `epochs` is a string, the trainer's job wants a int"},
		{"setting epochs = 1", "setting epoch = 1", "the trainer's job has no field for the setting `epoch`"},
		{"embed %tokens, $embed", "embed %tokens, $layer.w1.w", "`embed`: $layer.w1.w is not one tensor in `"},
		{"param $layer.wq.b[0..1] : f32[q_width,rank] trainable", "param $layer.wq.b[0..1] : f32[q_width,rank] frozen", ""},
		{"{init=ones, name=model.norm_out.weight}", "{init=ones, name=x}", ""},
		{"attention_norm.weight", "attention_norm", ""},
		{"%query.rope", "%type", ""},
		{"%query.rope", "%true", ""},
		{"$norm", "$arena", "$arena has the name `arena` in the program, as the program has; give it another"},
		{"size hidden", "size init", ""},
		{"model.layers.{i}.feed_forward.w1.weight", "model.layers.0.feed_forward.w1.weight", "$layer.w1.w has 2 layers, its `name` does not say {i}"},
		{"-> (%norm)", "-> ()", "`update` must return the norm of the gradients"},
		{"entry func update", "func update", "`update` is no entry, but the program calls it"},
		{"dim N <= T", "dim M <= T", ""},
	} {
		edited := strings.ReplaceAll(text, c.old, c.by)
		if strings.HasPrefix(c.old, "embed") {
			edited = strings.Replace(text, c.old, c.by, 1)
		}
		if edited == text {
			t.Errorf("the dump has no %q", c.old)
			continue
		}
		if c.old == "size hidden" {
			edited = strings.NewReplacer("hidden]", "init]", "hidden,", "init,", ",hidden", ",init").Replace(edited)
		}
		m, err := ir.Parse("edited.ir", edited)
		if err != nil {
			if c.want == "" {
				continue // the language refuses it
			}
			t.Errorf("%s: %v", c.by, err)
			continue
		}
		r, err := compiler.Resume(m, &compiler.Target{})
		var files map[string][]byte
		if err == nil {
			files, err = codegen.Emit(r.Module)
		}
		switch {
		case c.want == "" && err == nil:
			err = typesOfGo(t).check(files)
			if err != nil {
				t.Errorf("%s: %v", c.by, err)
			}
		case c.want == "" && strings.HasPrefix(err.Error(), "edited.ir:"):
		case err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "edited.ir:"+fmt.Sprint(lineOf(edited, c.by))) && c.by != "-> ()":
			t.Errorf("%s: %v, want edited.ir:%d: %s", c.by, err, lineOf(edited, c.by), c.want)
		}
	}
}

// lineOf is the first line of a text that has a word.
func lineOf(text, word string) int {
	before, _, _ := strings.Cut(text, word)
	return strings.Count(before, "\n") + 1
}
