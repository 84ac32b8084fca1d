package kernels

import "testing"

// What a type costs is measured where its instructions are missing, and only there.
func TestTimesF32(t *testing.T) {
	c := New(1)
	defer c.Close()
	defer func(a, b, v, d bool) { has512, has8, hasVNNI, hasDot = a, b, v, d }(has512, has8, hasVNNI, hasDot)
	if n := c.TimesF32(F32); n != 1 {
		t.Errorf("f32 takes %v times as long as f32", n)
	}
	if has8 {
		has512, hasVNNI, hasDot = false, false, false
		if n := c.TimesF32(I8); n == 1 == hasNEON {
			t.Errorf("int8 takes %v times as long as f32; it needs AVX2, or on arm64 the dot product", n)
		}
		if n := c.TimesF32(Q4_0); n != 1 {
			t.Errorf("Q4_0, which is decoded by assembly, takes %v times as long as f32", n)
		}
		if Lacks() != "" {
			t.Errorf("with vectors of eight, %s is missing", Lacks())
		}
	}
	if has512, hasVNNI = true, true; c.TimesF32(I8) != 1 || c.TimesF32(Q8_0) != 1 {
		t.Error("with all instructions a type is slower")
	}
	if has512, has8 = false, false; Lacks() == "" {
		t.Error("without vector instructions nothing is missing")
	}
	for _, d := range []DType{Q4_0, Q8_0, I8} {
		if n := c.TimesF32(d); !(n > 0.05 && n < 1e4) || n == 1 {
			t.Errorf("%s takes %v times as long as f32 in plain Go", d, n)
		}
	}
}
