package weights

import "lorac/runtime/weights/mindspore"

// Head describes a stored tensor. Its bytes are the concatenation of Chunks.
type Head = mindspore.Head

// header is a set that describes a tensor without reading or concatenating it.
type header interface {
	Head(name string) (Head, bool)
}

// Describe gives type and shape of a tensor without reading or concatenating its
// data. Chunks is nil if no file stores the bytes in this order.
func Describe(s Set, name string) (Head, bool) {
	if h, ok := s.(header); ok {
		return h.Head(name)
	}
	t, ok := s.Tensor(name)
	return Head{DType: t.DType, Shape: t.Shape, Chunks: [][]byte{t.Data}}, ok
}

func (u *union) Head(name string) (Head, bool) {
	s := u.owner[name]
	if s == nil {
		return Head{}, false
	}
	return Describe(s, name)
}
