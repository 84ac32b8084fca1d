package mindrecord

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// The scalars of a row are one MessagePack map (msgpack.org). Only the types of such
// a map are supported.

var errPack = errors.New("the scalars of the row are not a MessagePack map")

// decodeMap reads a map of text to scalars.
func decodeMap(b []byte) (map[string]any, error) {
	if len(b) == 0 {
		return nil, errPack
	}
	n := 0
	switch c := b[0]; {
	case c&0xF0 == 0x80:
		n, b = int(c&15), b[1:]
	case c == 0xDE && len(b) >= 3:
		n, b = int(binary.BigEndian.Uint16(b[1:])), b[3:]
	default:
		return nil, errPack
	}
	out := map[string]any{}
	for range n {
		k, rest, err := decode(b)
		if err != nil {
			return nil, err
		}
		name, ok := k.(string)
		if !ok {
			return nil, errPack
		}
		v, rest, err := decode(rest)
		if err != nil {
			return nil, err
		}
		out[name], b = v, rest
	}
	if len(b) > 0 {
		return nil, errPack
	}
	return out, nil
}

// decode reads one scalar: int64, float64, string, bool or nil.
func decode(b []byte) (any, []byte, error) {
	if len(b) == 0 {
		return nil, nil, errPack
	}
	c, rest := b[0], b[1:]
	take := func(n int) []byte {
		if n > len(rest) {
			return nil
		}
		x := rest[:n:n]
		rest = rest[n:]
		return x
	}
	text := func(n int) (any, []byte, error) {
		if n > len(rest) {
			return nil, nil, errPack
		}
		return string(take(n)), rest, nil
	}
	switch {
	case c < 0x80:
		return int64(c), rest, nil
	case c >= 0xE0:
		return int64(int8(c)), rest, nil
	case c&0xE0 == 0xA0:
		return text(int(c & 31))
	}
	sizes := map[byte]int{0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8, 0xD9: 1, 0xDA: 2, 0xDB: 4}
	switch c {
	case 0xC0:
		return nil, rest, nil
	case 0xC2, 0xC3:
		return c == 0xC3, rest, nil
	}
	size, ok := sizes[c]
	x := take(size)
	if !ok || x == nil {
		return nil, nil, fmt.Errorf("%w (byte %#02x)", errPack, c)
	}
	u := uint64(0)
	for _, e := range x {
		u = u<<8 | uint64(e)
	}
	switch {
	case c == 0xCA:
		return float64(math.Float32frombits(uint32(u))), rest, nil
	case c == 0xCB:
		return math.Float64frombits(u), rest, nil
	case c >= 0xD9:
		return text(int(u))
	case c >= 0xD0:
		shift := 64 - 8*size
		return int64(u<<shift) >> shift, rest, nil
	}
	return int64(u), rest, nil
}

// encodeMap writes scalars in the order of their names, integers in the fewest
// bytes, as nlohmann::json does.
func encodeMap(m map[string]any) ([]byte, error) {
	if len(m) > 15 {
		return nil, fmt.Errorf("%d scalar columns; at most 15 are written", len(m))
	}
	b := []byte{0x80 | byte(len(m))}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b = appendText(b, k)
		switch v := m[k].(type) {
		case string:
			b = appendText(b, v)
		case int64:
			b = appendInt(b, v)
		case float64:
			b = binary.BigEndian.AppendUint64(append(b, 0xCB), math.Float64bits(v))
		default:
			return nil, fmt.Errorf("column %q: a %T is not a scalar", k, v)
		}
	}
	return b, nil
}

func appendText(b []byte, s string) []byte {
	switch n := len(s); {
	case n < 32:
		b = append(b, 0xA0|byte(n))
	case n < 1<<8:
		b = append(b, 0xD9, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0xDA), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xDB), uint32(n))
	}
	return append(b, s...)
}

func appendInt(b []byte, v int64) []byte {
	switch {
	case v >= 0 && v < 1<<7 || v < 0 && v >= -32:
		return append(b, byte(v))
	case v >= 0 && v < 1<<8:
		return append(b, 0xCC, byte(v))
	case v >= 0 && v < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 0xCD), uint16(v))
	case v >= 0 && v < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, 0xCE), uint32(v))
	case v >= 0:
		return binary.BigEndian.AppendUint64(append(b, 0xCF), uint64(v))
	case v >= math.MinInt8:
		return append(b, 0xD0, byte(v))
	case v >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(b, 0xD1), uint16(v))
	case v >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(b, 0xD2), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xD3), uint64(v))
}
