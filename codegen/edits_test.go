package codegen_test

import (
	"errors"
	"fmt"
	"math/rand"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"lorac/codegen"
	"lorac/compiler"
	"lorac/compiler/passes"
	"lorac/ir"
	"lorac/ir/diag"
)

var (
	dumpValue   = regexp.MustCompile(`%[\w.]+`)
	dumpStorage = regexp.MustCompile(`\$[\w.]+`)
	dumpNumber  = regexp.MustCompile(`\b\d+(\.\d+)?(e-?\d+)?\b`)
	dumpType    = regexp.MustCompile(`\b(f32|bf16|f16|i32|i64|q8_0|q4_0|i8)\b`)
	dumpAttr    = regexp.MustCompile(`\w+=[\w.\-]+(, )?`)
	dumpWord    = regexp.MustCompile(`\b[a-z][a-z_0-9.]+\b`)
	dumpName    = regexp.MustCompile(`(?m)^(?:entry )?func ([\w.]+)|^(?:param|grad|state|table|cache|copy) (\$[\w.]+)|^  (%[\w.]+)|^size (\w+)|^module (\w+)`)
)

// pick is one match of a pattern in a text.
func pick(rng *rand.Rand, re *regexp.Regexp, text string) []int {
	all := re.FindAllStringIndex(text, -1)
	if all == nil {
		return nil
	}
	return all[rng.Intn(len(all))]
}

// edit changes a dump at one place, as a person might or would not.
func edit(rng *rand.Rand, text string) string {
	lines := strings.SplitAfter(text, "\n")
	i := rng.Intn(len(lines))
	if rng.Intn(3) > 0 { // most edits are of functions
		if at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "func ") || strings.HasPrefix(l, "entry ") }); at >= 0 {
			i = at + rng.Intn(len(lines)-at)
		}
	}
	swap := func(re *regexp.Regexp, from string) {
		at, by := pick(rng, re, lines[i]), pick(rng, re, from)
		if at != nil && by != nil {
			lines[i] = lines[i][:at[0]] + from[by[0]:by[1]] + lines[i][at[1]:]
		}
	}
	switch rng.Intn(13) {
	case 0:
		lines[i] = ""
	case 1:
		lines[i] += lines[i]
	case 2:
		k := rng.Intn(len(lines))
		lines[i], lines[k] = lines[k], lines[i]
	case 3:
		k := min(i+1, len(lines)-1)
		lines[i], lines[k] = lines[k], lines[i]
	case 4:
		swap(dumpValue, text)
	case 5:
		swap(dumpValue, strings.Join(lines[max(0, i-4):min(len(lines), i+4)], ""))
	case 6:
		swap(dumpStorage, text)
	case 7:
		if at := pick(rng, dumpNumber, lines[i]); at != nil {
			lines[i] = lines[i][:at[0]] + []string{"0", "1", "2", "3", "7", "9999999", "0.5", "4096", "16"}[rng.Intn(9)] + lines[i][at[1]:]
		}
	case 8:
		swap(dumpType, "f32 bf16 f16 i32 i64 q8_0 i8")
	case 9:
		if at := pick(rng, dumpAttr, lines[i]); at != nil {
			lines[i] = lines[i][:at[0]] + lines[i][at[1]:]
		}
	case 10:
		swap(dumpWord, text)
	case 11:
		if strings.Contains(lines[i], " frozen") {
			lines[i] = strings.Replace(lines[i], " frozen", " trainable", 1)
		} else {
			lines[i] = strings.Replace(lines[i], " trainable", " frozen", 1)
		}
	case 12: // another name everywhere
		if m := dumpName.FindAllStringSubmatch(text, -1); len(m) > 0 {
			old := strings.Join(m[rng.Intn(len(m))][1:], "")
			other := strings.Join(m[rng.Intn(len(m))][1:], "")
			sigil := strings.TrimLeft(old, "%$")
			by := old[:len(old)-len(sigil)] + []string{"type", "m", "k", "step", "range.x", "_", "frame", "x_y", "model", "9x", "load", "job", "run", "main", "error", "train", "program", "T", "true", "nil", "layer", "init", "new", strings.TrimLeft(other, "%$")}[rng.Intn(24)]
			return regexp.MustCompile(regexp.QuoteMeta(old)+`\b`).ReplaceAllLiteralString(text, by)
		}
	}
	return strings.Join(lines, "")
}

// dumps are dumps of a model after each pass.
func dumps(t *testing.T, f frozen, ascend bool) (out []string) {
	target := &compiler.Target{}
	if ascend {
		target.Ascend = &passes.Ascend{SoC: "910b3"}
	}
	target.After = func(pass string, m *ir.Module) {
		if pass == "model" {
			out = nil
		}
		out = append(out, m.String())
	}
	if _, err := compiler.Compile(f.load(t), target); err != nil {
		t.Fatal(err)
	}
	return out
}

// resume compiles an edited dump: accepted says whether anything was made of it.
func (p *programs) resume(what, text string, card bool) (accepted bool) {
	defer func() {
		if r := recover(); r != nil {
			p.Errorf("%s: %v\n%s", what, r, debug.Stack())
		}
	}()
	m, err := ir.Parse("edited.ir", text)
	if err != nil {
		return false
	}
	target := &compiler.Target{}
	if card {
		target.Ascend = &passes.Ascend{SoC: "910b3"}
	}
	r, err := compiler.Resume(m, target)
	var refused diag.List
	if errors.As(err, &refused) && card {
		return false
	}
	var files map[string][]byte
	if err == nil {
		files, err = codegen.Emit(r.Module)
	}
	if err != nil {
		if strings.Contains(err.Error(), "BUG") || !strings.Contains(err.Error(), "edited.ir:") {
			p.Errorf("%s: %v", what, err)
		}
		return false
	}
	if err := p.check(files); err != nil {
		p.Errorf("%s: %v", what, err)
	}
	return true
}

var editable [2][]string // dumps for the CPU and for a card

// edited draws a dump and one or two edits: what is accepted is a program.
func (p *programs) edited() {
	card := p.rng.Intn(4) / 3
	if editable[card] == nil {
		f := frozen{layers: 3, targets: "wq|wv|w2", dropout: 0.25, exclude: []string{"*ffn_norm*", "*wo.weight"}}
		if card > 0 {
			f = frozen{layers: 2, targets: "wq|wv|w2", dropout: 0.25, wide: true, include: []string{"*.0.*w2*"}}
		}
		editable[card] = dumps(p.T, f, card > 0)
	}
	text := editable[card][p.rng.Intn(len(editable[card]))]
	changed := edit(p.rng, text)
	if p.rng.Intn(3) == 0 {
		changed = edit(p.rng, changed)
	}
	if changed != text && p.resume(difference(text, changed), changed, card > 0) {
		p.accepted++
	}
}

// difference is the lines that an edit changed.
func difference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	head := 0
	for head < min(len(x), len(y)) && x[head] == y[head] {
		head++
	}
	tail := 0
	for tail < min(len(x), len(y))-head && x[len(x)-1-tail] == y[len(y)-1-tail] {
		tail++
	}
	cut := func(l []string) string { return strings.Join(l[:min(3, len(l))], "\n") }
	return fmt.Sprintf("line %d\n-%s\n+%s\n", head+1, cut(x[head:len(x)-tail]), cut(y[head:len(y)-tail]))
}
