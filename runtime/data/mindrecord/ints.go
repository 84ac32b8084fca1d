package mindrecord

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Integer arrays are compressed since version 3.0: their count (32 bits,
// big-endian), a code of two bits for each (the first in the highest bits of a
// byte) and each in 1, 2, 4 or 8 bytes, signed, little-endian
// (ShardColumn::CompressInt).

// unpack reads packed integers.
func unpack(dst []int64, b []byte) ([]int64, error) {
	if len(b) < 4 {
		return nil, errors.New("packed integers without their count")
	}
	n := int(binary.BigEndian.Uint32(b))
	b = b[4:]
	if (n+3)/4+n > len(b) { // one byte each at least
		return nil, fmt.Errorf("%d packed integers in %d bytes", n, len(b))
	}
	codes, b := b[:(n+3)/4], b[(n+3)/4:]
	out := slices.Grow(dst[:0], n)[:n]
	for i := range out {
		size := 1 << (codes[i/4] >> (6 - i%4*2) & 3)
		if size > len(b) {
			return nil, fmt.Errorf("packed integer %d of %d is truncated", i, n)
		}
		out[i] = signed(b[:size])
		b = b[size:]
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%d bytes after %d packed integers", len(b), n)
	}
	return out, nil
}

func signed(b []byte) int64 {
	switch len(b) {
	case 1:
		return int64(int8(b[0]))
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	}
	return int64(binary.LittleEndian.Uint64(b))
}

// pack is the inverse of unpack.
func pack(x []int64) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(x)))
	codes := make([]byte, (len(x)+3)/4)
	var values []byte
	for i, v := range x {
		code := 3
		switch {
		case v == int64(int8(v)):
			code = 0
		case v == int64(int16(v)):
			code = 1
		case v == int64(int32(v)):
			code = 2
		}
		codes[i/4] |= byte(code) << (6 - i%4*2)
		values = append(values, binary.LittleEndian.AppendUint64(nil, uint64(v))[:1<<code]...)
	}
	return append(append(b, codes...), values...)
}

// numbers reads a plain array of integers.
func numbers(dst []int64, b []byte, size int) ([]int64, error) {
	if size == 0 || len(b)%size != 0 {
		return nil, fmt.Errorf("%d bytes are not an array of elements of %d bytes", len(b), size)
	}
	n := len(b) / size
	out := slices.Grow(dst[:0], n)[:n]
	for i := range out {
		out[i] = signed(b[i*size : (i+1)*size])
	}
	return out, nil
}

// plainBytes encodes a value of a blob column, before compression.
func plainBytes(v any) ([]byte, error) {
	var b []byte
	switch v := v.(type) {
	case []byte:
		return v, nil
	case []int32:
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, uint32(x))
		}
	case []int64:
		for _, x := range v {
			b = binary.LittleEndian.AppendUint64(b, uint64(x))
		}
	case []float32:
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
	case []float64:
		for _, x := range v {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
		}
	default:
		return nil, fmt.Errorf("a %T is not an array", v)
	}
	return b, nil
}
