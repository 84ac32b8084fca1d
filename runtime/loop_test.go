package rt

import (
	"fmt"
	"math"
	"testing"

	"lorac/kernels"
	"lorac/runtime/train"
)

// A gradient that is not finite stops the update and is cleared; else
// gradients come back to their own size.
func TestReady(t *testing.T) {
	k := kernels.New(1)
	defer k.Close()
	grad := &Stack{Names: []string{"x"}, Rows: 1, Cols: 3, Data: []float32{8, -16, 4}}
	r := &Loop{job: &Job{}, world: one(), sums: &sums{}, scaler: train.NewScaler(LossScale{Value: 8}), weights: &Loader{k: k, dev: &host{k}, params: []*Stack{{Names: []string{"x"}, Rows: 1, Cols: 3, grad: grad}}}}
	if !r.Ready() || fmt.Sprint(grad.Data) != "[1 -2 0.5]" {
		t.Errorf("gradients %v", grad.Data)
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		grad.Data[1] = float32(bad)
		if r.Ready() || fmt.Sprint(grad.Data) != "[0 0 0]" {
			t.Errorf("%v passes: %v", bad, grad.Data)
		}
	}
	grad.Data[0] = math.MaxFloat32 // large is not infinite, its square neither
	if !r.Ready() {
		t.Error("the largest number counts as an overflow")
	}
}

// The inverse of a scale that f32 has no normal number for is zero.
func TestInverse(t *testing.T) {
	if inverse(4) != 0.25 || inverse(8e37) == 0 || inverse(1e38) != 0 {
		t.Error(inverse(4), inverse(8e37), inverse(1e38))
	}
}
