package config

import (
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"lorac/cmd/test/testkit"
	"lorac/ir/diag"
)

// For any text and flag: no panic, every diagnostic has a position, an accepted
// config can be reported, and the same input gives the same result.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"", "a", "model:\n  model_config: {hidden_size: 8, num_heads: 2}\n",
		"model_config:\n  pet_config: {target_modules: w}\n",
		"model: {model_config: {pet_config: {lora_rank: 1, target_modules: 'wq|wk'}}}",
		"hidden_size: 1\ntype: LlamaConfig\ntype: X\n",
		"a: &a [*a]\nb: *a\n", "<<: {seed: 1}\nseed: 2\n", "seed: 1\nseed: 2\n", "- 1\n", "? [1]\n: 2\n", "seed: !!float 1\n",
		"callbacks: [{type: CheckpointMonitor, prefix: ..}]\n", "lr_schedule: {type: YARN, learning_rate: 1e-5}\n",
		"\xef\xbb\xbfseed: 0\r\n", "<<<<<<< x\n", "a: \"\\x1b[2J\"\n", "base_config: x\n", "model: 5\nmodel_config: 6\n",
		"model: {model_config: {extend_method: YARN, scaling_factor: {factor: 1}}}",
		"model: {model_config: {num_layers: 100000000, pet_config: {target_modules: '(w'}}}",
	} {
		f.Add(seed, "model.model_config.num_layers", "3")
	}
	f.Add(minimal, "runner_config.epochs", "x")
	f.Add(minimal, "", "[")
	f.Fuzz(func(t *testing.T, text, path, value string) {
		if len(text) > 1<<12 {
			return
		}
		var flags []Override
		if path != "" {
			flags = []Override{{Path: path, Value: value, Origin: "--flag"}}
		}
		c, l := CheckBytes("fuzz.yaml", []byte(text), flags)
		for _, d := range l {
			if d.Pos.File == "" || d.Code == "" || d.Message == "" {
				t.Errorf("a diagnostic without place, code or message: %#v", d)
			}
		}
		diag.Render(io.Discard, l, c.Sources, false)
		c.ReportText(io.Discard)
		if err := c.ReportJSON(io.Discard); err != nil {
			t.Error(err)
		}
		again, _ := CheckBytes("fuzz.yaml", []byte(text), flags)
		if a, b := render(c, l), render(again, again.Diags); a != b {
			t.Errorf("two results:\n%s\nand\n%s", a, b)
		}
		if l.HasErrors() {
			return
		}
		if c.Model.Hidden.V%c.Model.Heads.V != 0 || c.Model.FFN.V <= 0 || c.Run.BatchSize.V <= 0 {
			t.Errorf("accepted with sizes that cannot be: %+v", c.Model)
		}
		if c.LoRA != nil && len(c.Targets()) == 0 {
			t.Error("accepted with an adapter on nothing")
		}
		for _, k := range c.Keys {
			if k.Status == Unknown || k.Status == Refused || k.Path == "" || !utf8.ValidString(k.Path) {
				t.Errorf("accepted with %+v", k)
			}
		}
	})
}

// Each value of a valid config in turn is replaced by an odd one: no panic, and no
// accepted config that the graph builder could not handle.
func TestOddValues(t *testing.T) {
	odd := []string{"", "~", "0", "-1", "1", "3", "1e99", "99999999999999999999", ".inf", ".nan", "True", "''", "'x'", "[]", "[1, [2]]", "{}", "{a: {b: 1}}",
		"&x [*x]", "!!str 5", "0x7fffffffffffffff", "-9223372036854775808", "16777216", "'('", "'.*'", "'a|'", "|\n      text"}
	for _, text := range append([]string{partial}, everything...) {
		lines := strings.Split(text, "\n")
		for i, line := range lines {
			key, _, ok := strings.Cut(line, ": ")
			if !ok {
				key, ok = strings.CutSuffix(line, ":")
			}
			if !ok || strings.Contains(key, "{") {
				continue
			}
			for j, v := range odd {
				if (i+j)%4 != 0 && !testkit.Wanted("programs") {
					continue // the rest in the slow tier: here each value with every fourth key
				}
				changed := strings.Join(lines[:i], "\n") + "\n" + key + ": " + v + "\n" + strings.Join(lines[i+1:], "\n")
				c, l := CheckBytes("odd.yaml", []byte(changed), nil)
				c.ReportText(io.Discard)
				for _, d := range l {
					if !d.Pos.Known() {
						t.Errorf("%s: %s: %v has no place", key, v, d)
					}
				}
				if !l.HasErrors() && (c.Model.Hidden.V <= 0 || c.Model.Vocab.V <= 0 || c.Model.FFN.V <= 0 || c.Parameters() <= 0 || c.LoRA != nil && c.TrainableAdapters() <= 0) {
					t.Errorf("%s: %s: accepted with %+v", key, v, c.Model)
				}
			}
		}
	}
}
