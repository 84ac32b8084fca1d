package tensorfile

import "lorac/runtime/ckpt"

// Head is what a file says of a tensor: its bytes are Chunks, laid end to end.
type Head = ckpt.Head

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

// JoinedBytes is the memory that Tensor takes for what a set stores in pieces,
// if all of it is asked for.
func JoinedBytes(s Set) int {
	if j, ok := s.(interface{ JoinedBytes() int }); ok {
		return j.JoinedBytes()
	}
	return 0
}

func (u *union) Head(name string) (Head, bool) {
	s := u.owner[name]
	if s == nil {
		return Head{}, false
	}
	return Describe(s, name)
}

func (u *union) JoinedBytes() int {
	n := 0
	for _, s := range u.sets {
		n += JoinedBytes(s)
	}
	return n
}
