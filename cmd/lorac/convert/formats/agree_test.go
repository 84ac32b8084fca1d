package formats

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/runtime/weights/claims"
	"lorac/runtime/weights/peft"
)

// TestTwoScales: where an adapter's own files and what is known beside them give two
// scales, those of the adapter count and that is said; where only its rank tells, another
// rank is an error.
func TestTwoScales(t *testing.T) {
	a, b := random(q0+".mindpet_delta_lora_a", "F32", 2, 8), random(q0+".mindpet_delta_lora_b", "F32", 8, 2)
	const config = `{"peft_type":"LORA","r":2,"lora_alpha":4,"target_modules":["q_proj"]`
	const yaml = "pet_config in x.yaml"
	dir := t.TempDir()
	whole, beside, alone := filepath.Join(dir, "whole"), filepath.Join(dir, "beside", "a.ckpt"), filepath.Join(dir, "alone", "a.ckpt")
	must(t, peft.Save(whole, peft.Config{Rank: 2, Alpha: 4}, []peft.Tensor{{Name: a.name, Rows: 2, Cols: 8, Data: a.x}, {Name: b.name, Rows: 8, Cols: 2, Data: b.x}}))
	for _, file := range []string{beside, alone} {
		must(t, os.MkdirAll(filepath.Dir(file), 0o777))
		writeCkpt(t, file, a, b)
	}
	besideConfig := filepath.Join(dir, "beside", "adapter_config.json")
	must(t, os.WriteFile(besideConfig, []byte(config+"}"), 0o666))
	for _, c := range []struct {
		path  string
		known Known
		scale float64
		note  string
	}{
		{whole, Known{Alpha: 8, Rank: 2, Place: yaml}, 2, "by 2, pet_config in x.yaml by 4: that of the adapter counts"},
		{whole, Known{Alpha: 4, Rank: 2, Place: yaml}, 2, ""}, {whole, Known{Alpha: 8, Rank: 4, Place: yaml}, 2, ""}, {whole, Known{}, 2, ""},
		{beside, Known{Alpha: 8, Place: "--lora_alpha"}, 2, "by 2, --lora_alpha by 4: that of the adapter counts"},
		{alone, Known{Alpha: 8, Place: "--lora_alpha"}, 4, ""}, {alone, Known{Alpha: 8, Rank: 2, Place: yaml}, 4, ""},
	} {
		x, err := OpenAdapter(c.path, c.known)
		must(t, err)
		if got := strings.Join(x.Notes(), "; "); x.Linears[0].Scale != c.scale || (c.note == "") != (got == "") || !strings.Contains(got, c.note) {
			t.Errorf("%s with %+v: scale %v, %q", c.path, c.known, x.Linears[0].Scale, got)
		}
	}
	if _, err := OpenAdapter(alone, Known{Alpha: 8, Rank: 4, Place: yaml}); err == nil || !strings.Contains(err.Error(), "has rank 2, pet_config in x.yaml says 4") {
		t.Errorf("another rank: %v", err)
	}
	must(t, os.WriteFile(besideConfig, []byte(config+`,"exclude_modules":["q_proj"]}`), 0o666))
	if _, err := OpenAdapter(beside, Known{}); err == nil || !strings.Contains(err.Error(), "`exclude_modules` excludes it") {
		t.Errorf("an excluded module: %v", err)
	}
	must(t, os.WriteFile(filepath.Join(whole, claims.IgnoredName), []byte(`{"ignored": [{"key": "theta", "place": "config.json:3 (rope_theta)", "says": "20000", "trained_with": "10000"}]}`), 0o666))
	must(t, peft.MarkUnfinished(whole, "step 1 of 2"))
	x, err := OpenAdapter(whole, Known{})
	must(t, err)
	if got := strings.Join(x.Notes(), "; "); !strings.Contains(got, "theta was 10000, though config.json:3 (rope_theta) said 20000") || !strings.Contains(got, "has not ended: step 1 of 2") {
		t.Errorf("what was ignored in training, and that it has not ended: %q", got)
	}
}
