package rt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMetricsGoOnBehindAStep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out", "metrics.jsonl")
	m, err := openMetrics(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	for s := 1; s <= 5; s++ {
		if err := m.add(metric{Step: s, Loss: 1, LR: 2, GradNorm: 3, Tokens: 4, Speed: 5, Elapsed: 6}); err != nil {
			t.Fatal(err)
		}
	}
	m.f.WriteString(`{"step":6,"lo`) // a run killed while writing
	m.f.Close()
	if m, err = openMetrics(path, 3); err != nil {
		t.Fatal(err)
	}
	m.add(metric{Step: 4, Loss: 9})
	m.f.Close()
	text, _ := os.ReadFile(path)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[3], `{"step":4,"loss":9,`) || strings.Contains(string(text), "lo\n") {
		t.Errorf("after resuming behind step 3:\n%s", text)
	}
}

func TestSampler(t *testing.T) {
	logits := []float32{1, 3, 2, -1}
	greedy := &sampler{Predict: Predict{RepetitionPenalty: 1}}
	if id := greedy.pick(logits, nil); id != 1 {
		t.Errorf("greedy took %d", id)
	}
	tired := &sampler{Predict: Predict{RepetitionPenalty: 10}}
	if id := tired.pick(logits, []int32{1}); id != 2 {
		t.Errorf("with 1 seen and a penalty of 10: %d", id)
	}
	counts := map[int32]int{}
	s := &sampler{Predict: Predict{DoSample: true, TopK: 2, TopP: 1, Temperature: 1, RepetitionPenalty: 1}, seed: 1}
	for range 4000 {
		counts[s.pick(logits, nil)]++
	}
	// e³/(e³+e²) = 0.731
	if len(counts) != 2 || counts[1] < 2800 || counts[1] > 3050 {
		t.Errorf("of 4000 draws among the two likeliest: %v", counts)
	}
	narrow := &sampler{Predict: Predict{DoSample: true, TopP: 0.5, Temperature: 1, RepetitionPenalty: 1}, seed: 1}
	for range 100 {
		if id := narrow.pick(logits, nil); id != 1 {
			t.Fatalf("top_p 0.5 took %d", id)
		}
	}
}

func TestCompleteRunes(t *testing.T) {
	for s, want := range map[string]int{"": 0, "abc": 3, "aé": 3, "a\xc3": 1, "a\xe2\x82": 1, "a€": 4, "\xf0\x9f\x98": 0} {
		if got := completeRunes(s); got != want {
			t.Errorf("%q: %d bytes are whole characters, want %d", s, got, want)
		}
	}
}

func TestFlags(t *testing.T) {
	j := Job{Schedule: Schedule{LR: 1}}
	o, err := parseFlags(&j, []string{"--epochs", "3", "--runner_config.batch_size=4", "--do_eval", "True", "--steps=9", "--predict_data", `a\nb`, "--no_progress"})
	if err != nil || j.Epochs != 3 || j.BatchSize != 4 || !j.DoEval || o.Steps != 9 || o.Prompts[0] != `a\nb` || !o.NoProgress {
		t.Errorf("%+v %+v %v", j, o, err)
	}
	for _, bad := range [][]string{{"--epochs", "0"}, {"--epochs"}, {"--do_eval", "yes"}, {"--nope", "1"}, {"word"}, {"--model.model_config.num_layers", "3"}, {"--mem_limit", "lots"}} {
		if _, err := parseFlags(&Job{}, bad); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}
