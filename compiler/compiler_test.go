package compiler

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lorac/compiler/config"
	"lorac/compiler/cost"
	"lorac/compiler/passes"
	"lorac/ir"
)

// load reads a config of testdata/cases with some keys changed.
func load(t *testing.T, name string, keys ...string) *config.Config {
	t.Helper()
	var o []config.Override
	for i := 0; i < len(keys); i += 2 {
		o = append(o, config.Override{Path: keys[i], Value: keys[i+1], Origin: "test"})
	}
	c, list := config.Load("../testdata/cases/"+name+"/config.yaml", o)
	if c == nil {
		t.Fatal(list)
	}
	return c
}

// small is a device whose numbers are easy to add up.
func small() *Target {
	return &Target{Use: &cost.Use{Mode: "finetune", Threads: 2}, Device: &cost.Device{Page: 4096, SmallPage: 4096, Program: 1 << 16}}
}

func compile(t *testing.T, c *config.Config, target *Target) *Result {
	t.Helper()
	r, err := Compile(c, target)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func names(r *Result) (out []string) {
	for _, s := range r.Steps {
		out = append(out, s.Name)
	}
	return out
}

// Without facts, the passes that follow from them do not run, and a compile that
// is repeated gives the same text.
func TestCompileKnowsNothing(t *testing.T) {
	c := load(t, "two_layers")
	r := compile(t, c, nil)
	if got := names(r); got[0] != "order" || got[len(got)-1] != "plan-memory" {
		t.Errorf("passes: %v", got)
	}
	if r.Process != nil || r.Limit != 0 {
		t.Errorf("memory was counted: %+v", r)
	}
	if again := compile(t, c, &Target{}); again.Module.String() != r.Module.String() {
		t.Error("compiled again, the text differs")
	}
}

// Data bound the dimensions; the job has the name that it has with any data.
func TestCompileFits(t *testing.T) {
	c := load(t, "two_layers")
	job := compile(t, c, nil).Module.Identity()
	target := small()
	target.Fit = ir.Env{"T": 20, "S": 11, "N": 3}
	var shown []string
	target.After = func(pass string, m *ir.Module) { shown = append(shown, pass) }
	r := compile(t, c, target)
	if env := r.Module.MaxEnv(); env["T"] != 20 || env["S"] != 11 || env["N"] != 3 {
		t.Errorf("dimensions: %v", env)
	}
	if got := r.Module.Identity(); got != job {
		t.Errorf("the job is %s, %s with any data", got, job)
	}
	if n := slices.Index(shown, "fit-job"); n < 0 || shown[n-1] != "model" || slices.Index(shown, "model") != 0 {
		t.Errorf("shown: %v", shown)
	}
	if r.Process.Use.Env["T"] != 20 {
		t.Errorf("memory was counted for %v", r.Process.Use.Env)
	}
	// Data as large as the config allows change nothing.
	target = small()
	target.Fit = compile(t, c, nil).Module.MaxEnv()
	if got := names(compile(t, c, target)); slices.Contains(got, "fit-job") {
		t.Errorf("fitted to what there was: %v", got)
	}
}

// A limit is kept, one that nothing meets is an error that says by how much.
func TestCompileLimit(t *testing.T) {
	c := load(t, "memory_limit")
	full := compile(t, c, small())
	if full.Limit != 0 || full.Process.Total == 0 {
		t.Fatalf("without a limit: %d of %d bytes", full.Limit, full.Process.Total)
	}
	for _, limit := range []int{full.Process.Total, full.Process.Total - 1, full.Process.Total * 9 / 10} {
		target := small()
		target.Limit = limit
		r := compile(t, c, target)
		if r.Process.Total > limit {
			t.Errorf("limit %d: %d bytes", limit, r.Process.Total)
		}
		within := limit >= full.Process.Total
		if choice, _ := r.Module.Setting("memory.choice").(string); within != (choice == "") || within != (r.Limit == 0) {
			t.Errorf("limit %d of %d: %q, %d", limit, full.Process.Total, choice, r.Limit)
		}
		if !within && (r.Wanted != full.Process.Total || r.Module.Identity() != full.Module.Identity()) {
			t.Errorf("limit %d: %d are wanted, not %d; job %s", limit, r.Wanted, full.Process.Total, r.Module.Identity())
		}
	}
	target := small()
	target.Limit = 1000
	var short *Shortfall
	if _, err := Compile(c, target); !errors.As(err, &short) || short.Limit != 1000 || short.Wanted != full.Process.Total || short.Process.Total <= 1000 {
		t.Errorf("a limit of 1000 bytes: %v", err)
	} else if !strings.Contains(err.Error(), "more than the limit") {
		t.Error(err)
	}
	// What is free is a limit where nobody gives one.
	target = small()
	target.Free = full.Process.Total - 1
	if r := compile(t, c, target); r.Limit > target.Free/100*97 || r.Limit < target.Free/100*93 || r.Process.Total > r.Limit {
		t.Errorf("%d bytes free: compiled for %d, taking %d", target.Free, r.Limit, r.Process.Total)
	} else if keep, _ := r.Module.Setting("memory.keep").(string); keep != "" || strings.Contains(r.Module.String(), " = round ") {
		t.Errorf("what is free has activations rounded to %q", keep)
	}
	target.Limit = full.Process.Total // met: what is there still counts, and rounds nothing
	if r := compile(t, c, target); r.Limit > target.Free/100*97 || r.Limit < target.Free/100*93 || strings.Contains(r.Module.String(), " = round ") {
		t.Errorf("with a limit that is met: %d", r.Limit)
	}
	target.Limit = full.Process.Total - 1 // not met: rounded, however much is free
	for _, free := range []int{target.Free, full.Process.Total + 1, 0} {
		if target.Free = free; !strings.Contains(compile(t, c, target).Module.String(), " = round ") {
			t.Errorf("under a limit nothing is rounded, where %d bytes are free", free)
		}
	}
}

// A dump of the graph as it was built, or after any pass, leads to the same text;
// types come from facts.
func TestResume(t *testing.T) {
	c := load(t, "two_layers", "compute", "int8")
	base := &passes.Base{Stored: map[string]passes.Stored{"embed": {DType: ir.BF16}}}
	dumps := map[string]string{}
	target := small()
	target.Base = base
	target.After = func(pass string, m *ir.Module) { dumps[pass] = m.String() }
	want := compile(t, c, target).Module
	if want.Storage("embed").Type.DType != ir.BF16 || want.Storage("layer.wq.w").Type.DType != ir.I8 {
		t.Errorf("types: %v, %v", want.Storage("embed").Type, want.Storage("layer.wq.w").Type)
	}
	if len(dumps) < 14 {
		t.Fatalf("%d dumps", len(dumps))
	}
	for pass, dump := range dumps {
		m, err := ir.Parse(pass, dump)
		if err != nil {
			t.Fatal(err)
		}
		again := small()
		again.Base = base
		r, err := Resume(m, again)
		if err != nil {
			t.Fatalf("after %s: %v", pass, err)
		}
		if r.Module.String() != want.String() {
			t.Errorf("resumed after %s the text differs", pass)
		}
		if r.Process == nil {
			t.Errorf("after %s memory was not counted", pass)
		}
	}
}

// A place in a dump that cannot be is refused, with its line.
func TestResumeMisplaced(t *testing.T) {
	text := compile(t, load(t, "two_layers", "compute", "int8"), small()).Module.String()
	place := regexp.MustCompile(` in (frame|keep)\+(\d+)`)
	for what, c := range map[string]struct{ to, says string }{
		"upon another": {"in ${1}+0", "are needed at once, and share bytes"},
		"not aligned":  {"in ${1}+1", "places are multiples of"},
		"far away":     {"in ${1}+9999999999999936", "beyond the"},
	} {
		m, err := ir.Parse("d.ir", place.ReplaceAllString(text, " "+c.to))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Resume(m, small()); err == nil || !strings.Contains(err.Error(), c.says) || !regexp.MustCompile(`^d\.ir:\d+: `).MatchString(err.Error()) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What contradicts itself is refused before any pass.
func TestCompileRefuses(t *testing.T) {
	for key, set := range map[string]func(c *config.Config){
		"quant":   func(c *config.Config) { c.Quant.V = "int8" },
		"compute": func(c *config.Config) { c.Compute.V = "int8" },
	} {
		c := load(t, "two_layers", "model.model_config.pet_config.freeze_exclude", "['*']")
		set(c) // which the rules of configs refuse
		if _, err := Compile(c, nil); err == nil || !strings.Contains(err.Error(), "out of freeze_exclude") {
			t.Errorf("%s where everything trains: %v", key, err)
		}
	}
	if _, err := Compile(load(t, "two_layers"), &Target{Passes: passes.Options{Last: "folding"}}); err == nil || !strings.Contains(err.Error(), "no pass `folding`") {
		t.Errorf("an unknown pass: %v", err)
	}
}
