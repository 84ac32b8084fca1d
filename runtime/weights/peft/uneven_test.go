package peft

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// An adapter on some layers only names each of them, so that PEFT makes no
// others; it is read back whole.
func TestSaveUneven(t *testing.T) {
	var tensors []Tensor
	for _, linear := range []string{"model.layers.1.attention.wq", "model.layers.12.attention.wq", "model.layers.2.feed_forward.w2"} {
		tensors = append(tensors, Tensor{linear + ".mindpet_delta_lora_a", 1, 2, []float32{1, 2}}, Tensor{linear + ".mindpet_delta_lora_b", 2, 1, []float32{3, 4}})
	}
	for layers, want := range map[int]any{
		0:  []any{"down_proj", "q_proj"},
		13: `.*\.layers\.(2)\.mlp\.down_proj|.*\.layers\.(1|12)\.self_attn\.q_proj`,
	} {
		dir := t.TempDir()
		if err := Save(dir, Config{Rank: 1, Alpha: 2, Layers: layers}, tensors); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, configName))
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Targets any `json:"target_modules"`
		}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		switch want := want.(type) {
		case string:
			if got.Targets != want {
				t.Errorf("target_modules is %v, want %s", got.Targets, want)
			}
			whole := regexp.MustCompile("^(?:" + want + ")$")
			for name, on := range map[string]bool{"model.layers.1.self_attn.q_proj": true, "model.layers.12.self_attn.q_proj": true,
				"model.layers.2.self_attn.q_proj": false, "model.layers.11.self_attn.q_proj": false, "model.layers.2.mlp.down_proj": true, "model.layers.1.mlp.down_proj": false} {
				if whole.MatchString(name) != on {
					t.Errorf("%s is chosen: %v", name, !on)
				}
			}
		default:
			if list, _ := got.Targets.([]any); !slices.Equal(list, want.([]any)) {
				t.Errorf("target_modules is %v, want %v", got.Targets, want)
			}
		}
		a, err := Load(dir)
		if err != nil || len(a.Tensors) != len(tensors) {
			t.Errorf("read back: %v, %v", a, err)
		}
	}
}
