package config

import "math"

// lossScales are the classes of MindSpore and MindFormers that scale the loss.
var lossScales = map[string]string{"DynamicLossScaleUpdateCell": "dynamic", "FixedLossScaleUpdateCell": "static", "AdaptiveLossScaleUpdateCell": "adaptive"}

// lossScale reads runner_wrapper.scale_sense: a number, the fixed scale, or a class
// with its parameters (r1.3 wrapper/wrapper.py, adaptive_loss_scale.py).
func (l *loader) lossScale() {
	s := &l.c.Wrapper.Scale
	const p = "runner_wrapper.scale_sense"
	n, at := l.root.get(p), l.place(p)
	*s = LossScale{Type: Val[string]{"static", at, "default"}, Value: Val[float64]{1, at, "default"}, Factor: Val[float64]{2, at, "default"},
		Window: Val[int]{1, at, "default"}, MinWindow: Val[int]{20, at, "default"}, MaxWindow: Val[int]{1000, at, "default"}}
	if !n.isMap() {
		if !n.empty() {
			s.Value = l.scale(p, 1)
		}
		return
	}
	s.Type = l.meaning(p+".type", "DynamicLossScaleUpdateCell", lossScales)
	if !l.given(p + ".loss_scale_value") {
		l.errorf(n.pos, "missing", "`%s` needs loss_scale_value", p).WithHelp("loss_scale_value: 65536 is usual")
	}
	s.Value = l.scale(p+".loss_scale_value", 65536)
	if s.Type.V == "static" {
		return
	}
	s.Factor, s.Window = l.float(p+".scale_factor", 2), l.int(p+".scale_window", 1000)
	if s.Type.V == "adaptive" {
		s.MaxWindow, s.MinWindow = l.int(p+".max_scale_window", 1000), l.int(p+".min_scale_window", 20)
	}
}

// scale reads a number that may be infinite.
func (l *loader) scale(path string, def float64) Val[float64] {
	return read(l, path, def, "a number", func(n *node) (float64, bool) {
		if v, ok := n.value.(float64); ok && math.IsInf(v, 0) {
			return v, true
		}
		return l.asFloat(n)
	})
}

// infiniteScale stands for scales that are infinite in f32.
const infiniteScale = 1e39

func (l *loader) lossScaleRules() {
	s := &l.c.Wrapper.Scale
	switch v := s.Value.V; {
	case !(v > 0):
		l.errorf(s.Value.At, "range", "the loss scale must be positive, not %v", v)
	case v > math.MaxFloat32: // as in MindFormers
		l.warnf(s.Value.At, "range", "the loss scale %v is infinite in f32: every step overflows and is skipped", v).WithHelp("65536 is usual")
		s.Value.V = infiniteScale
	}
	if s.Factor.V < 1 {
		l.errorf(s.Factor.At, "range", "`scale_factor` must be at least 1, not %v", s.Factor.V)
	}
	l.positive("scale_window", s.Window)
	if s.Type.V == "adaptive" && (s.MinWindow.V < 1 || s.MaxWindow.V <= s.MinWindow.V || s.MaxWindow.V > limit) {
		l.errorf(s.MaxWindow.At, "mismatch", "`max_scale_window` must be above `min_scale_window`, which must be positive").
			WithLabel("%d", s.MaxWindow.V).At(s.MinWindow.At, "%d", s.MinWindow.V)
	}
}
