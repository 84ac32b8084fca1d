package mindspore

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Scalar reads a number that was stored as a scalar or a vector of one.
func (f *File) Scalar(name string) (float64, error) {
	t, ok := f.Tensor(name)
	if !ok {
		return 0, fmt.Errorf("%s has no %s", f.Path, name)
	}
	if len(t.Shape) > 1 || len(t.Shape) == 1 && t.Shape[0] != 1 {
		return 0, fmt.Errorf("%s: %s has shape %v, want a single number", f.Path, name, t.Shape)
	}
	switch t.DType {
	case "I32":
		return float64(int32(binary.LittleEndian.Uint32(t.Data))), nil
	case "I64":
		return float64(int64(binary.LittleEndian.Uint64(t.Data))), nil
	case "F32":
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(t.Data))), nil
	case "F64":
		return math.Float64frombits(binary.LittleEndian.Uint64(t.Data)), nil
	}
	return 0, fmt.Errorf("%s: %s is %s, want a number", f.Path, name, t.DType)
}

// Text reads a string (stored as UTF-32).
func (f *File) Text(name string) (string, bool) {
	t, ok := f.Tensor(name)
	if !ok || t.DType != "STR" {
		return "", false
	}
	return fromUTF32(t.Data), true
}
