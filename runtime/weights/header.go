package weights

import "lorac/runtime/weights/mindspore"

// Header describes a stored tensor. Its bytes are the concatenation of Chunks.
type Header = mindspore.Header

// header is a set that describes a tensor without reading or concatenating it.
type header interface {
	Header(name string) (Header, bool)
}

// Describe gives type and shape of a tensor without reading or concatenating its
// data. Chunks is nil if no file stores the bytes in this order.
func Describe(s Set, name string) (Header, bool) {
	if h, ok := s.(header); ok {
		return h.Header(name)
	}
	t, ok := s.Tensor(name)
	return Header{DType: t.DType, Shape: t.Shape, Chunks: [][]byte{t.Data}}, ok
}

func (u *union) Header(name string) (Header, bool) {
	s := u.owner[name]
	if s == nil {
		return Header{}, false
	}
	return Describe(s, name)
}
