package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"lorac/cmd/test/testkit"
)

func schemaText(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := JSONSchema(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// editors compiles the schema with an independent validator.
func editors(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaText(t)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("lorac.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("lorac.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plain is a value as an editor sees it: 1e-5 is a number there.
func plain(n *node) any {
	switch n.kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for _, k := range n.keys {
			m[k] = plain(n.fields[k])
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.items {
			list = append(list, plain(item))
		}
		return list
	}
	switch v := n.value.(type) {
	case string:
		if f, ok := pyFloat(v); ok && !n.quoted {
			return f
		}
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprint(v)
		}
	}
	return n.value
}

// tree parses a text without checking it.
func tree(t *testing.T, name string, text []byte, overrides ...Override) any {
	t.Helper()
	l := newLoader(name)
	l.root = l.withBase(l.parse(name, text), name, nil)
	if l.root == nil {
		t.Fatalf("%s: %v", name, l.diags)
	}
	for _, o := range overrides {
		l.override(o)
	}
	return plain(l.root)
}

func TestJSONSchema(t *testing.T) {
	golden(t, "schema.json", schemaText(t))
}

// What lorac accepts, the schema accepts: the configs of the repository, each
// release's spelling, and MindFormers' own files where they are.
func TestSchemaAcceptsConfigs(t *testing.T) {
	s := editors(t)
	var files []string
	for _, pattern := range []string{"../../configs/*.yaml", "../../configs/*/*.yaml", shared + "/*.yaml"} {
		found, _ := filepath.Glob(pattern)
		files = append(files, found...)
	}
	n := 0
	for _, f := range files {
		if c, _ := Load(f, nil); c == nil {
			continue // refused with its reason elsewhere
		}
		n++
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(tree(t, f, text)); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
	if n < 6 {
		t.Errorf("only %d configs found", n)
	}
	for name, text := range eras {
		if err := s.Validate(tree(t, name, []byte(text))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What the schema refuses: keys nobody knows and keys that are not supported.
func TestSchemaRefuses(t *testing.T) {
	s := editors(t)
	for _, text := range []string{
		edit(minimal, "lora_rank", "lora_rnk"), minimal + "optimiser: {}\n", edit(minimal, "run_mode: 'finetune'", "run_mode: sing"),
		edit(minimal, "    vocab_size", "    kv_lora_rank: 8\n    vocab_size"), edit(minimal, "epochs: 3", "epochs: many"),
		edit(minimal, "betas: [0.8, 0.95]", "betas: [0.8]"), minimal + "callbacks: {type: MFLossMonitor}\n", edit(minimal, "type: LlamaConfig", "type: GPT2Config"),
	} {
		if s.Validate(tree(t, "x", []byte(text))) == nil {
			t.Errorf("the schema accepts\n%s", text)
		}
	}
}

// probes are values of every kind.
var probes = []string{"True", "False", "3", "2.5", "-1", "words", "[1, 2]", "['a', 'b']", "[0.5, 0.25]", "{a: 1}", "[[1]]", "2"}

// byRule are the keys whose form depends on another key, which the schema does
// not look at.
var byRule = map[string]bool{"optimizer.eps": true, mc + "scaling_factor": true, mc + "has_bias": true}

// The schema and the loader judge each value of each key alike.
func TestSchemaAgreesWithLoader(t *testing.T) {
	s := editors(t)
	asked := map[string]bool{}
	for _, text := range everything {
		for _, k := range load(t, text).Keys {
			if k.Status != Used || strings.Contains(k.Path, "[]") || k.Path == "base_config" {
				continue
			}
			if asked[k.Path] {
				continue
			}
			asked[k.Path] = true
			for i, v := range probes {
				if (len(asked)+i)%3 != 0 && !testkit.Wanted("programs") {
					continue // each probe with every third key
				}
				o := Override{Path: k.Path, Value: v, Origin: "--probe"}
				c, l := CheckBytes("x", []byte(text), []Override{o})
				at := slices.IndexFunc(c.Keys, func(x Key) bool { return x.Path == k.Path })
				if at >= 0 && c.Keys[at].Status != Used {
					continue // with this value, nobody reads it
				}
				refused := false
				for _, d := range l {
					switch d.Code {
					case "type", "value", "other-model", "other-pet", "refused", "unknown-key":
						refused = refused || d.Pos.File == "--probe"
					}
				}
				invalid := invalidAt(s, tree(t, "x", []byte(text), o), strings.Split(k.Path, "."))
				if refused && byRule[k.Path] {
					continue
				}
				if refused != invalid {
					t.Errorf("%s: %s: the loader refuses it: %v, the schema: %v\n%v", k.Path, v, refused, invalid, l)
				}
			}
		}
	}
	if len(asked) < 80 {
		t.Errorf("only %d keys were asked for", len(asked))
	}
}

// invalidAt reports whether the value at a path is what the schema objects to.
func invalidAt(s *jsonschema.Schema, doc any, path []string) bool {
	err, ok := s.Validate(doc).(*jsonschema.ValidationError)
	if !ok {
		return false
	}
	var walk func(e *jsonschema.ValidationError) bool
	walk = func(e *jsonschema.ValidationError) bool {
		if n := len(e.InstanceLocation); n >= len(path) && slices.Equal(e.InstanceLocation[:len(path)], path) {
			return true
		}
		return slices.ContainsFunc(e.Causes, walk)
	}
	return walk(err)
}

// Every key that has an effect is described, with the default that the loader
// takes.
func TestDescriptions(t *testing.T) {
	for _, r := range schema {
		if a, ok := description[r.path]; r.status == Used && (!ok || a.text == "" || strings.HasSuffix(a.text, ".")) {
			t.Errorf("%s is used and not described: add it to describe.go", r.path)
		}
	}
	seen := map[string]bool{}
	for _, a := range described {
		for _, r := range expand([]row{{a.path, Used, ""}}) {
			if seen[r.path] {
				t.Errorf("%s is described twice", r.path)
			}
			seen[r.path] = true
			if k, ok := lookup(r.path); !ok || k.status != Used {
				t.Errorf("%s is described, but not used", r.path)
			}
		}
	}
	empty := "model: {model_config: {}}\noptimizer: {type: %s}\nlr_schedule: {type: %s}\nrunner_config: {sink_mode: True}\n"
	texts := append(slices.Clone(everything), "model: {model_config: {}}\noptimizer: {}\n")
	for _, schedule := range []string{"CosineWithWarmUpLR", "cosine_annealing", "CosineAnnealingWarmRestarts"} {
		texts = append(texts, fmt.Sprintf(empty, "AdamW", schedule))
	}
	for _, text := range texts {
		c, _ := CheckBytes("x", []byte(text), nil)
		if c.Optimizer.Type.Origin == "preset" {
			continue // see preset.go
		}
		for _, d := range c.Defaults {
			a := description[d.Path]
			if a.def != nil && spell(a.def) != d.Value {
				t.Errorf("%s: the default is %s, described as %v", d.Path, d.Value, a.def)
			}
		}
	}
}

// The schema says nothing of where it was made, and is the same every time.
func TestSchemaIsStable(t *testing.T) {
	a, b := schemaText(t), schemaText(t)
	if !bytes.Equal(a, b) || !json.Valid(a) {
		t.Error("two schemas differ")
	}
}
