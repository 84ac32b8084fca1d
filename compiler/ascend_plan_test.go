package compiler

import (
	"math"
	"testing"

	"lorac/compiler/config"
	"lorac/compiler/cost"
	"lorac/compiler/passes"
)

// TestAscend7B holds the plan of the 7B at 4096 tokens to numbers worked out on
// paper: 2 bytes for each of 6.74 billion weights, 2·T·(6·C + 2·F) bytes and some
// statistics that 32 layers keep, and what each kernel takes at 294.9 TFLOP/s and 1.6 TB/s.
func TestAscend7B(t *testing.T) {
	c, list := config.Load("../configs/llama2/lora_llama2_7b.yaml", nil)
	if c == nil {
		t.Fatal(list)
	}
	m := compile(t, c, &Target{Ascend: &passes.Ascend{SoC: "910b3"}}).Module
	parts, total := cost.MemoryOn(m, nil, 0)
	if total < 26.0e9 || total > 26.9e9 {
		t.Errorf("it takes %d bytes: %+v", total, parts)
	}
	if parts[0].Bytes < 13.47e9 || parts[0].Bytes > 13.49e9 {
		t.Errorf("weights take %d bytes", parts[0].Bytes)
	}
	soc, _ := cost.SoCOf("910b3")
	s := cost.StepOn(m, cost.LargestMicroBatch(m), soc)
	if s.Seconds < 0.44 || s.Seconds > 0.5 {
		t.Errorf("a step takes %v s", s.Seconds)
	}
	want := map[string]float64{ // microseconds a run
		"Attention": 466, "AttentionGrad": 1165, "HeadLoss": 7282, "MatMulNT": 1253, "MatMulNN": 1253,
		"AddRMSNorm": 84, "RMSNormGradAdd": 84, "SwiGLU": 169, "SwiGLUGrad": 282, "RMSNorm": 42, "Rope": 43,
	}
	sum, share := 0.0, 0.0
	for _, call := range s.Calls {
		sum, share = sum+call.Seconds, share+call.Share
		if w, ok := want[call.Call]; ok {
			delete(want, call.Call)
			if got := call.Seconds / float64(call.Runs) * 1e6; math.Abs(got-w) > 0.02*w {
				t.Errorf("%s takes %.0f µs, want %.0f", call.Call, got, w)
			}
		}
		if call.Call == "AdamW" && math.Abs(call.Seconds*1e6-315) > 6 {
			t.Errorf("the optimizer takes %v s", call.Seconds)
		}
	}
	if len(want) > 0 || math.Abs(sum-s.Seconds) > 1e-9 || math.Abs(share-1) > 1e-9 {
		t.Errorf("no %v; sum %v of %v, shares %v", want, sum, s.Seconds, share)
	}
	// 105 µs of passes over y for each of 4·32 adapters, and those of the gradients.
	if got := s.Saved[0]; got.Seconds < 0.015 || got.Seconds > 0.025 {
		t.Errorf("the first fusion saves %+v", got)
	}
	if len(s.Saved) != 6 || s.Update != 26 || s.Launches < 32*25 || s.Launches > 32*50 {
		t.Errorf("%d launches, %d of the update; %+v", s.Launches, s.Update, s.Saved)
	}
}
