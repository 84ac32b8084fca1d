package weights

import "lorac/runtime/weights/mindspore"

// Head is what a file says of a tensor: its bytes are Chunks, laid end to end.
type Head = mindspore.Head

// header is a set that can describe a tensor without reading or joining it.
type header interface {
	Head(name string) (Head, bool)
}

// Describe is the head of a tensor. Nothing is read or joined for it; Chunks
// is nil where the bytes do not lie in a file as they are.
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
