package config

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"lorac/ir/diag"
)

// nested writes levels of anchors, each with nine aliases of the previous one: a few
// hundred bytes that expand to 9¹¹ values.
func nested(first, level, each, sep string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "a0: &a0 %s\n", first)
	for i := 1; i < 12; i++ {
		parts := make([]string, 9)
		for j := range parts {
			parts[j] = strings.ReplaceAll(strings.ReplaceAll(each, "J", fmt.Sprint(j)), "I", fmt.Sprint(i-1))
		}
		fmt.Fprintf(&b, "a%d: &a%d %s\n", i, i, fmt.Sprintf(level, strings.Join(parts, sep)))
	}
	return b.String()
}

func times(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// stairs are mappings in mappings, one blank further in each.
func stairs(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func inUTF16(s string) string {
	b := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

// Texts that could take unbounded time or memory, or break a reader, fail quickly
// with an error that has a position and little text.
func TestHostileYAML(t *testing.T) {
	for name, x := range map[string]struct{ text, code string }{
		"laughs in lists":    {nested("[x, x]", "[%s]", "*aI", ", "), "yaml-size"},
		"laughs in mappings": {nested("{x: 1}", "{%s}", "kJ: *aI", ", "), "yaml-size"},
		"laughs by merging":  {nested("{x: 1}", "{<<: [%s], k: 1}", "*aI", ", "), "yaml-size"},
		"alias to itself":    {"a: &a [*a]\n", "yaml-size"},
		"merge of itself":    {"a: &a\n  <<: *a\n", "yaml-size"},
		"many aliases":       {"a: &a 1\nb: [" + strings.Repeat("*a,", 200_000) + "]\n", "yaml-size"},
		"deep in brackets":   {"a: " + strings.Repeat("[", 500_000), "yaml-syntax"},
		"deep and closed":    {"a: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "yaml-size"},
		"deep by indent":     {stairs(400), "yaml-size"},
		"deep by dashes":     {strings.Repeat("- ", 300_000) + "a\n", "yaml-syntax"},
		"deep by keys":       {strings.Repeat("? ", 300_000), "yaml-syntax"},
		"many keys":          {times(60_000, "k%d: 1\n"), "unknown-key"},
		"many in a section":  {"model:\n  model_config:\n" + times(30_000, "    hidden_siz%d: 1\n"), "unknown-key"},
		"repeated keys":      {strings.Repeat("seed: 1\n", 100_000), "duplicate-key"},
		"many callbacks":     {"model: {model_config: {}}\ncallbacks:\n" + times(20_000, "  - {type: CheckpointMoniter, x%d: 1}\n"), "value"},
		"a long word":        {strings.Repeat("x", 1000) + ": 1\n", "unknown-key"},
		"a longer word":      {strings.Repeat("x", 1_000_000) + ": 1\n", "yaml-syntax"},
		"a long tag":         {"seed: !!" + strings.Repeat("x", 900_000) + " 1\nmodel: {model_config: {}}\n", "yaml-tag"},
		"a long number":      {"model: {model_config: {}}\nseed: " + strings.Repeat("9", 900_000) + "\n", "type"},
		"base sixty":         {"model: {model_config: {}}\nseed: 1" + strings.Repeat(":59", 300_000) + "\n", "type"},
		"a pattern":          {"model: {model_config: {num_layers: 4096, pet_config: {target_modules: '" + strings.Repeat("(a|b)*", 9000) + "'}}}\n", "regexp"},
		"a pattern, counted": {"model: {model_config: {pet_config: {target_modules: '(x{1000}){1000}'}}}\n", "regexp"},
		"UTF-16":             {inUTF16("seed: 1\nmodel:\n  model_config: {}\n"), "yaml-syntax"},
		"Latin-1":            {"seed: 1 # caf\xe9\n", "yaml-syntax"},
		"zero bytes":         {"seed: 1\n\x00\x00", "yaml-syntax"},
		"escape codes":       {"seed: \"\\x1b[2J\x1b[2J\"\n", "yaml-syntax"},
		"tabs":               {"model:\n\tmodel_config: {}\n", "yaml-syntax"},
		"a tab inside":       {"model:\n  model_config:\n  \thidden_size: 8\n", "yaml-syntax"},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			c, l := CheckBytes("hostile.yaml", []byte(x.text), nil)
			var out strings.Builder
			diag.Render(&out, l, c.Sources, false)
			c.ReportText(io.Discard)
			runtime.ReadMemStats(&after)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it takes %v", took)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 1<<30 {
				t.Errorf("it allocates %d MB", n>>20)
			}
			d := has(l, x.code, "")
			if d == nil || !d.Pos.Known() {
				t.Errorf("want %s, got\n%.2000s", x.code, out.String())
			}
			if len(l) > maxDiags+1 || out.Len() > 200_000 {
				t.Errorf("%d problems in %d bytes are shown", len(l), out.Len())
			}
			if strings.ContainsAny(out.String(), "\x1b\x00") {
				t.Error("control characters reach the terminal")
			}
		})
	}
}

// A byte order mark and Windows line ends change nothing.
func TestForeignLineEnds(t *testing.T) {
	want := load(t, minimal)
	got := load(t, "\xef\xbb\xbf"+strings.ReplaceAll(minimal, "\n", "\r\n"))
	if len(got.Keys) != len(want.Keys) {
		t.Fatalf("%d keys, want %d", len(got.Keys), len(want.Keys))
	}
	for i, k := range want.Keys {
		g := got.Keys[i]
		if g.Path != k.Path || g.Value != k.Value || g.At.Line != k.At.Line || g.Status != k.Status {
			t.Errorf("%+v, want %+v", g, k)
		}
	}
}
